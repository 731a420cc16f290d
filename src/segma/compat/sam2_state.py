"""What `init_state` of the video predictor gives: a dict, as scripts read it, over a tracking session."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from segma.errors import PromptError
from segma.media.source import FrameSource
from segma.models.interfaces import InputSpec
from segma.tasks.preprocess import frame_to_model
from segma.tasks.track import VideoSession
from segma.tasks.track_state import ABSENT_LOGIT, ObjectTrack
from segma.tasks.track_steps import logits_of

_YIELDED = -10.0  # the logit, at most, of a pixel that another object has taken


@dataclass(frozen=True, slots=True)
class LazyFrames:
    """The frames as the network sees them, (3, size, size) each, decoded when they are asked for."""

    source: FrameSource
    spec: InputSpec
    device: torch.device

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """Frames, channels, height, width."""
        return (len(self), 3, self.spec.size, self.spec.size)

    def __len__(self) -> int:
        return self.source.num_frames or 0

    def __getitem__(self, index: int) -> Float[Tensor, "3 size size"]:
        if not -len(self) <= index < len(self):
            raise IndexError(f"frame {index} of {len(self)}")
        frame = self.source.read(index % len(self))
        return frame_to_model(frame.pixels, self.spec, self.device)[0][0]

    def __iter__(self) -> Iterator[Float[Tensor, "3 size size"]]:
        return (self[index] for index in range(len(self)))


class InferenceState(dict[str, Any]):  # values of several types, by the original's names
    """The video, its objects and their ids, under the keys that scripts read; `session` does the work.

    Keys: images, num_frames, video_height, video_width, device, storage_device, offload_video_to_cpu,
    offload_state_to_cpu, obj_ids, obj_id_to_idx, obj_idx_to_id. Invariant: the ids name the session's objects
    in the order in which they were prompted first.
    """

    def __init__(self, session: VideoSession, images: LazyFrames, **options: bool) -> None:
        height, width = session.source.size
        super().__init__(
            images=images,
            num_frames=len(images),
            video_height=height,
            video_width=width,
            device=images.device,
            storage_device=torch.device("cpu") if options["offload_state_to_cpu"] else images.device,
            obj_ids=[],
            obj_id_to_idx={},
            obj_idx_to_id={},
            **options,
        )
        self.session = session

    def name_of(self, obj_id: Hashable) -> str:
        """What the session calls an object, new or known. Raises PromptError where 1 and "1" are two."""
        for other in self["obj_ids"]:
            if str(other) == str(obj_id) and other != obj_id:
                raise PromptError(
                    "prompt.object", f"Object ids {other!r} and {obj_id!r} look alike.", "Use one of them."
                )
        return str(obj_id)

    def track_of(self, obj_id: Hashable) -> ObjectTrack:
        """An object that is known. Raises PromptError `prompt.object`."""
        return self.session.track(self.name_of(obj_id))

    def set_ids(self, ids: list[Hashable]) -> None:
        """The objects that there are now."""
        self["obj_ids"] = ids
        self["obj_id_to_idx"] = {each: index for index, each in enumerate(ids)}
        self["obj_idx_to_id"] = dict(enumerate(ids))

    def logits(self, frame: int, *, non_overlap: bool) -> Float[Tensor, "objects 1 height width"]:
        """The logits of all objects on a frame, at the size of the video; -1024 where one is not known."""
        session, size = self.session, (self["video_height"], self["video_width"])
        with torch.no_grad():
            rows = [self._low_res(self.track_of(each), frame) for each in self["obj_ids"]]
            if not rows:
                return torch.empty(0, 1, *size, device=self["device"])
            low_res = torch.stack([row.to(self["device"]).float() for row in rows])[:, None]
            logits = F.interpolate(low_res, size, mode="bilinear", align_corners=False)
            # Weights of a bilinear filter need not sum to 1 exactly, and scripts compare with -1024.
            is_absent = low_res.amax((2, 3), keepdim=True) == ABSENT_LOGIT
            logits = torch.where(is_absent, torch.full_like(logits, ABSENT_LOGIT), logits)
        if non_overlap and len(session.tracks) > 1:
            is_first = torch.arange(len(logits), device=logits.device)[:, None, None] == logits[:, 0].argmax(
                0
            )
            logits = torch.where(is_first[:, None], logits, logits.clamp(max=_YIELDED))
        return logits

    def _low_res(self, track: ObjectTrack, frame: int) -> Float[Tensor, "side side"]:
        """From memory; else, on a frame that was tracked long ago, of the kept mask (logits of +-10)."""
        memory = track.memory(frame)
        if memory is not None:
            return memory.low_res_logits
        side = self.session.model.input_spec.mask_size
        record = self.session.keeper.get(track.object_id, frame)
        if record is None or not record.is_present or track.direction(frame) is None:
            return torch.full((side, side), ABSENT_LOGIT)
        return logits_of(record.compact, side)
