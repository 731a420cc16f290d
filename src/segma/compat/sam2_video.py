"""SAM 2's video predictor under its original name, over `tasks.track.VideoSession`."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import replace
from typing import Any, SupportsIndex

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from numpy import ndarray
from torch import Tensor

from segma.compat.sam2_network import SAM2Base
from segma.compat.sam2_settings import Sam2Settings
from segma.compat.sam2_state import InferenceState, LazyFrames
from segma.errors import InputError, PromptError
from segma.masks.mask import Mask
from segma.media.source import open_source
from segma.models.sam2.config import Sam2Config
from segma.prompts.types import Box, FramePrompt, Points
from segma.runtime import Runtime, memory_errors
from segma.tasks.track import VideoSession
from segma.tasks.track_config import TrackConfig
from segma.tasks.track_frame import absence, encoded, ensure_anchors, ensure_memories
from segma.tasks.track_state import ObjectTrack

Answer = tuple[int, list[Any], Float[Tensor, "objects 1 height width"]]
"""Frame, ids of all objects (the user's own), logits at the size of the video."""
_WINDOW = 64
_NEVER = 1e9  # seconds


class SAM2VideoPredictor(SAM2Base):
    """Follows objects through a video; it is the network as well, as in the original.

    Version 1.1.0 but for its faults. What differs for a script: frames are decoded when they are needed, and
    memories are held for 64 frames around the current one (the original holds all frames and memories); a
    corrected frame becomes a conditioning frame and so corrections last
    (`add_all_frames_to_correct_as_cond`, False in the original); all objects of a frame are tracked together;
    holes are filled on every device; prompts that cannot be right raise PromptError (a point outside the
    picture, an object with exclude points only); there is no progress bar. Within those 64 frames logits are
    the network's; of frames tracked longer ago they are +-10.

    `fill_hole_area`, `non_overlap_masks`, `clear_non_cond_mem_around_input`,
    `add_all_frames_to_correct_as_cond`, `binarize_mask_from_pts_for_mem_enc`,
    `memory_temporal_stride_for_eval` and `max_cond_frames_in_attn` may be set at any time.
    """

    def __init__(self, config: Sam2Config, settings: Sam2Settings | None = None) -> None:
        settings = settings or Sam2Settings()
        super().__init__(config, settings)
        self.fill_hole_area = settings.fill_hole_area
        self.non_overlap_masks = settings.non_overlap_masks
        self.clear_non_cond_mem_around_input = settings.clear_non_cond_mem_around_input
        self.add_all_frames_to_correct_as_cond = settings.add_all_frames_to_correct_as_cond
        self.binarize_mask_from_pts_for_mem_enc = settings.binarize_mask_from_pts_for_mem_enc
        self.memory_temporal_stride_for_eval = settings.memory_temporal_stride_for_eval
        self.max_cond_frames_in_attn = settings.max_cond_frames_in_attn

    @classmethod
    def from_pretrained(cls, model_id: str, **kwargs: Any) -> SAM2VideoPredictor:  # those of the builder
        """A predictor with official weights, as "facebook/sam2.1-hiera-tiny". Raises ModelError."""
        from segma.compat.sam2 import build_sam2_video_predictor_hf

        return build_sam2_video_predictor_hf(model_id, **kwargs)

    def init_state(
        self,
        video_path: object,
        offload_video_to_cpu: bool = False,
        offload_state_to_cpu: bool = False,
        async_loading_frames: bool = False,
    ) -> InferenceState:
        """Open a video: a file, a folder of frames, or anything else that `open_source` takes.

        The three options are taken and change nothing: neither the video nor all memories are ever held. The
        first frame is encoded at once. Raises InputError, also for a source without an end.
        """
        source = open_source(video_path)
        if source.num_frames is None or not source.can_seek:
            raise InputError(
                "input.value",
                f"{source.name} is a stream; init_state needs frames that can be asked for again.",
                "Use segma.stream.",
            )
        runtime = Runtime(device=str(self.device), precision="fp32")
        session = VideoSession(self, source, self._config(), runtime)
        with memory_errors(), torch.inference_mode():
            encoded(session, 0)
        return InferenceState(
            session,
            LazyFrames(source, self.input_spec, torch.device("cpu") if offload_video_to_cpu else self.device),
            offload_video_to_cpu=offload_video_to_cpu,
            offload_state_to_cpu=offload_state_to_cpu,
        )

    def add_new_points_or_box(
        self,
        inference_state: InferenceState,
        frame_idx: SupportsIndex,
        obj_id: Hashable,
        points: Sequence[Sequence[float | int]] | ndarray | Tensor | None = None,
        labels: Sequence[int] | ndarray | Tensor | None = None,
        clear_old_points: bool = True,
        normalize_coords: bool = True,
        box: Sequence[float | int] | ndarray | Tensor | None = None,
    ) -> Answer:
        """Click on an object, new or known, on a frame, or give its box; the masks of all objects there.

        Points (n, 2) are x, y, the box (4) x0, y0, x1, y1, in pixels of the video, or fractions of it without
        `normalize_coords`; labels are 1 or 0 (2 and 3, first, are corners of a box). Points replace earlier
        ones of the frame unless `clear_old_points` is False. Raises PromptError, InputError.
        """
        if (points is None) != (labels is None):
            raise PromptError("prompt.shape", "Points and labels come together.", "Give both, or a box.")
        if points is None and box is None:
            raise PromptError("prompt.empty", "Neither points nor a box are given.")
        if box is not None and not clear_old_points:
            raise PromptError(
                "prompt.shape", "A box comes before all points of its frame.", "Use clear_old_points=True."
            )
        size = (inference_state["video_height"], inference_state["video_width"])
        xy, marks = _array(points).reshape(-1, 2), _array(labels).reshape(-1)
        corners = None if box is None else _array(box).reshape(-1, 2)
        if corners is None and marks[:2].tolist() == [2, 3]:
            corners, xy, marks = xy[:2], xy[2:], marks[2:]
        prompt = FramePrompt(
            points=Points(_pixels(xy, size, normalize_coords), marks) if len(xy) else None,
            box=None if corners is None else Box.of(_pixels(corners, size, normalize_coords).reshape(-1)),
        )
        return self._say(inference_state, frame_idx, obj_id, prompt, clear=clear_old_points)

    def add_new_points(self, *args: Any, **kwargs: Any) -> Answer:  # those of the method below
        """The old name of `add_new_points_or_box`."""
        return self.add_new_points_or_box(*args, **kwargs)

    def add_new_mask(
        self,
        inference_state: InferenceState,
        frame_idx: SupportsIndex,
        obj_id: Hashable,
        mask: ndarray | Tensor | Sequence[Sequence[float | int]],
    ) -> Answer:
        """Give the mask (height, width) of an object on a frame, in place of points; the masks of all there.

        Of another size than the video it is resized to that. Raises PromptError, InputError.
        """
        whole = mask if isinstance(mask, Tensor) else torch.as_tensor(np.array(mask, bool))
        if whole.dim() != 2:
            raise PromptError("prompt.shape", f"A mask has shape {tuple(whole.shape)}, not (height, width).")
        size = (inference_state["video_height"], inference_state["video_width"])
        values = whole.detach().cpu().float()
        if tuple(values.shape) != size:
            values = F.interpolate(values[None, None], size, mode="bilinear", antialias=True)[0, 0]
        prompt = FramePrompt(mask=Mask.from_dense(values.numpy() >= 0.5))
        return self._say(inference_state, frame_idx, obj_id, prompt, clear=True)

    def propagate_in_video_preflight(self, inference_state: InferenceState) -> None:
        """Make the memories of all prompts. Raises RuntimeError where an object has none, as the original."""
        session = self._session(inference_state)
        if not session.tracks:
            raise RuntimeError("No object has points or a mask yet: add them first.")
        tracks = list(session.tracks.values())
        with session.lock, memory_errors(), torch.inference_mode():
            ensure_anchors(session, tracks)
            for track in tracks:
                if not track.anchors:
                    raise RuntimeError(f"Object {track.name} has no points or mask: add them first.")
                fresh = [frame for frame, memory in track.anchors.items() if memory.spatial is None]
                ensure_memories(session, [track])
                self._clear_around(track, fresh)

    def propagate_in_video(
        self,
        inference_state: InferenceState,
        start_frame_idx: SupportsIndex | None = None,
        max_frame_num_to_track: int | None = None,
        reverse: bool = False,
    ) -> Iterator[Answer]:
        """Track all objects, and give frame, ids and logits of each frame as it is done.

        From `start_frame_idx`, or the first prompted frame, over `max_frame_num_to_track` further frames, or
        to the end; in reverse to the beginning (from frame 0: nothing). Frames that do not decode are left
        out. Raises RuntimeError without prompts.
        """
        self.propagate_in_video_preflight(inference_state)
        session = self._session(inference_state)
        last = inference_state["num_frames"] - 1
        start = start_frame_idx
        if start is None:
            start = min(frame for track in session.tracks.values() for frame in track.anchors)
        start, most = int(start), last + 1 if max_frame_num_to_track is None else int(max_frame_num_to_track)
        if reverse and start == 0:
            return
        ends = (max(start - most, 0), start) if reverse else (start, min(start + most, last))
        for found in session.run(*ends, reverse=reverse):
            for track in session.tracks.values():
                if found.index in track.anchors:
                    self._clear_around(track, [found.index])
            yield self._answer(inference_state, found.index)

    def clear_all_prompts_in_frame(
        self,
        inference_state: InferenceState,
        frame_idx: SupportsIndex,
        obj_id: Hashable,
        need_output: bool = True,
    ) -> Answer | None:
        """Forget what was said of an object on a frame; the masks of all there, if `need_output`."""
        frame, session = int(frame_idx), self._session(inference_state)
        track = inference_state.track_of(obj_id)
        if frame in track.prompts:
            memory, was_tracked = track.memory(frame), track.direction(frame) is not None
            session.clear(track.name, frame)
            if memory is not None and memory.spatial is None and not was_tracked:
                _forget(session, track, frame)  # nothing was tracked with it: it never counted
        return self._answer(inference_state, frame) if need_output else None

    def remove_object(
        self,
        inference_state: InferenceState,
        obj_id: Hashable,
        strict: bool = False,
        need_output: bool = True,
    ) -> tuple[list[Any], list[tuple[int, Float[Tensor, "objects 1 height width"]]]]:
        """Remove an object: the ids that are left, and the masks of frames where it had prompts.

        An unknown one is an error only if `strict`: RuntimeError, as in the original.
        """
        session, ids = self._session(inference_state), inference_state["obj_ids"]
        if obj_id not in ids:
            if strict:
                raise RuntimeError(f"There is no object {obj_id}. Objects: {ids}.")
            return ids, []
        if len(ids) == 1:
            self.reset_state(inference_state)
            return inference_state["obj_ids"], []
        track = inference_state.track_of(obj_id)
        frames = sorted(track.prompts)
        session.remove(track.name)
        inference_state.set_ids([other for other in ids if other != obj_id])
        shown = frames if need_output else []
        updated = [(frame, self._answer(inference_state, frame)[2]) for frame in shown]
        return inference_state["obj_ids"], updated

    def reset_state(self, inference_state: InferenceState) -> None:
        """Remove all objects; the video stays open."""
        session = self._session(inference_state)
        for name in session.names:
            session.remove(name)
        for key in ("obj_ids", "obj_id_to_idx", "obj_idx_to_id"):
            inference_state[key].clear()

    def _config(self) -> TrackConfig:
        stride, most = self.memory_temporal_stride_for_eval, self.max_cond_frames_in_attn
        return TrackConfig(
            max_conditioning=None if most == -1 else most,
            stride=stride,
            window=max(_WINDOW, 8 * stride),
            corrections_condition=self.add_all_frames_to_correct_as_cond,
            binarize_prompted=self.binarize_mask_from_pts_for_mem_enc,
            fill_hole_area=self.fill_hole_area,
            non_overlap=self.non_overlap_masks,
            cuts="ignore",
            before_first_prompt=True,
            state_seconds=_NEVER,
        )

    def _session(self, state: InferenceState) -> VideoSession:
        """The session, as the predictor is set now."""
        state.session.config = self._config()
        return state.session

    def _say(
        self,
        state: InferenceState,
        frame: SupportsIndex,
        obj_id: Hashable,
        prompt: FramePrompt,
        *,
        clear: bool,
    ) -> Answer:
        self._session(state).say(state.name_of(obj_id), int(frame), prompt, clear=clear)
        if obj_id not in state["obj_ids"]:
            state.set_ids([*state["obj_ids"], obj_id])
        return self._answer(state, int(frame))

    def _answer(self, state: InferenceState, frame: int) -> Answer:
        return frame, state["obj_ids"], state.logits(frame, non_overlap=self.non_overlap_masks)

    def _clear_around(self, track: ObjectTrack, frames: Sequence[int]) -> None:
        """Forget tracked frames about prompted ones, if that is wanted."""
        if not self.clear_non_cond_mem_around_input:
            return
        reach = self.memory_temporal_stride_for_eval * (self.memory_spec.num_recent + 1)
        for other in [o for o in track.recent if any(abs(o - frame) <= reach for frame in frames)]:
            del track.recent[other]


def _forget(session: VideoSession, track: ObjectTrack, frame: int) -> None:
    """Nothing is known of an object on a frame: neither a memory nor a kept mask."""
    track.recent.pop(frame, None)
    run = session.keeper.begin((track.object_id,), frame, frame, reverse=False, reason="fix")
    session.keeper.put(run, track.object_id, frame, replace(absence(session), source="model"))
    session.keeper.end(run, "done")


def _array(values: object) -> Float[ndarray, ...]:
    """Numbers of a list, an array or a tensor; none of None."""
    if values is None:
        return np.zeros(0)
    if isinstance(values, Tensor):
        return values.detach().cpu().double().numpy()
    try:
        return np.array(values, np.float64)
    except (TypeError, ValueError) as error:
        raise PromptError("prompt.shape", "Points, labels and boxes are numbers.") from error


def _pixels(
    xy: Float[ndarray, "n 2"], size: tuple[int, int], normalize_coords: bool
) -> Float[ndarray, "n 2"]:
    """Places in pixels; those on the right and bottom edge of the picture (its width, its height) inside."""
    edge = np.array([size[1], size[0]], np.float64)
    placed = xy if normalize_coords else xy * edge
    return np.where((placed > edge - 0.5) & (placed <= edge), edge - 0.5, placed)
