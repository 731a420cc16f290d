"""The peer of the tracking benchmark: transformers' Sam2VideoModel with the same weights and sdpa attention.

Its pixels are made before, and its low-resolution masks are enlarged to the video and thresholded as its
processor does it. Its norms and its choice of masks are those of the original, so nothing had to be changed.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from programs.lively import CONFIGS, FIRST_TRACKED, clip, discs, state_of
from programs.track_ours import Watch, stacked
from programs.turns import Task
from torch import Tensor
from transformers import Sam2VideoConfig, Sam2VideoModel
from transformers.models.sam2_video.modeling_sam2_video import Sam2VideoInferenceSession

from segma.models.interfaces import InputSpec
from segma.models.sam2.layout import to_transformers, transformers_config
from segma.tasks.preprocess import fit, frame_to_model


def model_of(variant: str) -> Sam2VideoModel:
    """Sam2VideoModel with our values under its names; strict, so that nothing is left to chance."""
    config = Sam2VideoConfig(**transformers_config(CONFIGS[variant]))
    model = Sam2VideoModel._from_config(config, attn_implementation="sdpa")
    model.load_state_dict(to_transformers(state_of(variant)), strict=True, assign=True)
    chosen = {
        part.config._attn_implementation
        for part in model.modules()
        if hasattr(getattr(part, "config", None), "_attn_implementation")
    }
    if chosen != {"sdpa"}:
        raise RuntimeError(f"transformers does not use sdpa attention: {chosen}")
    return model.eval().requires_grad_(False)


def tracking(
    variant: str, autocast: bool, size: tuple[int, int], objects: Sequence[int], frames: int
) -> dict[str, Task]:
    """For each number of objects a task that tracks the next frame; one session lives at a time."""
    model = model_of(variant)
    watch = _watched(model)
    pixels = _pixels(variant, size, FIRST_TRACKED + frames)
    going: dict[int, tuple[Sam2VideoInferenceSession, list[Tensor]]] = {}

    def step(number: int) -> int:
        precision = torch.autocast("cpu", torch.bfloat16) if autocast else nullcontext()
        with torch.inference_mode(), precision:
            if number not in going:
                going.clear()
                watch.parts.clear()
                going[number] = _full(model, pixels, size, number), []
            session, given = going[number]
            frame = FIRST_TRACKED + len(given)
            watch.begin()
            masks = model(session, frame_idx=frame).pred_masks
            given.append(F.interpolate(masks.float(), size, mode="bilinear", align_corners=False) > 0)
            return frame

    return {
        f"{number} objects": Task(
            run=lambda number=number: step(number),
            summary=lambda last, number=number: _answer(*going[number], watch, last),
        )
        for number in objects
    }


def _watched(model: Sam2VideoModel) -> Watch:
    """The model with its encoder and its memory attention timed, and the tokens counted."""
    watch = Watch()

    def count(_: Any, arguments: Any, named: dict[str, Any]) -> None:
        pointers = named["num_object_pointer_tokens"]
        watch.tokens = len(named["memory"]) - pointers, pointers

    model.get_image_features = watch.timed("encoder", model.get_image_features)
    conditioned = watch.timed("attention", model._prepare_memory_conditioned_features)
    model._prepare_memory_conditioned_features = conditioned
    model.memory_attention.register_forward_pre_hook(count, with_kwargs=True)
    return watch


def _pixels(variant: str, size: tuple[int, int], count: int) -> list[Tensor]:
    """What segma's network gets of each frame; frames that are not looked at are the first one again."""
    spec = model_spec(CONFIGS[variant].image_size)
    frames = clip(size, count)
    made = {id(frame): frame_to_model(frame, spec, torch.device("cpu"))[0][0] for frame in frames}
    return [made[id(frame)] for frame in frames]


def model_spec(side: int) -> InputSpec:
    """What a network of this input side takes."""
    return InputSpec(size=side, mask_size=side // 4, fit="stretch", resize="float")


def _full(
    model: Sam2VideoModel, pixels: list[Tensor], size: tuple[int, int], number: int
) -> Sam2VideoInferenceSession:
    """A session whose frames before `FIRST_TRACKED` hold copies of what is known of frame 0."""
    height, width = size
    session = Sam2VideoInferenceSession(None, height, width, dtype=torch.float32)
    session.processed_frames = dict(enumerate(pixels))
    places = fit(size, model_spec(pixels[0].shape[-1])).to_model(np.array(discs(size, 0)[:number]))
    for place in places.tolist():
        index = session.obj_id_to_idx(len(session.obj_ids) + 1)
        point = torch.tensor([[[place]]])
        label = torch.ones(1, 1, 1, dtype=torch.int32)
        session.add_point_inputs(index, 0, {"point_coords": point, "point_labels": label})
        session.obj_with_new_inputs.append(session.obj_idx_to_id(index))
    model(session, frame_idx=0)
    for kept in session.output_dict_per_obj.values():
        for frame in range(1, FIRST_TRACKED):
            kept["non_cond_frame_outputs"][frame] = dict(kept["cond_frame_outputs"][0])
    return session


def _answer(
    session: Sam2VideoInferenceSession, given: list[Tensor], watch: Watch, last: int
) -> dict[str, Any]:
    """Masks (packed bits) and logits of all tracked frames and objects, parts of the time, token counts."""
    outputs = [
        [kept["non_cond_frame_outputs"][frame] for kept in session.output_dict_per_obj.values()]
        for frame in range(FIRST_TRACKED, last + 1)
    ]
    return {
        "masks": np.packbits(torch.stack(given).flatten(1, 2).numpy()),
        "logits": stacked([[each["pred_masks"][0, 0].float().numpy() for each in row] for row in outputs]),
        "present": sum(bool(each["object_score_logits"] > 0) for row in outputs for each in row),
        "parts": watch.parts,
        "tokens": watch.tokens,
        "saving": 0.0,
    }
