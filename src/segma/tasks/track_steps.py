"""What the network does for a tracking session: on a prompted frame, on a tracked one, and to remember.

Tensors in, `FrameMemory` out; nothing here knows of other frames than the one it works on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

from segma.masks.mask import Mask
from segma.models.interfaces import (
    Decoded,
    ImageFeatures,
    InputSpec,
    MemoryBank,
    PromptTensors,
    WithMemory,
)
from segma.prompts.types import FramePrompt
from segma.tasks.choice import best_candidate, single_masks
from segma.tasks.postprocess import to_image_size
from segma.tasks.preprocess import fit, pack_frame_prompt
from segma.tasks.track_state import ABSENT_LOGIT, EncodedFrame, FrameMemory

_CLAMP = 32.0  # earlier logits that are fed back stay within this
_CERTAIN = 10.0  # the logit of a mask that a person gave
_FILLED = 0.1  # the logit of a filled hole


def prompted(
    model: WithMemory,
    frame: EncodedFrame,
    features: ImageFeatures,
    prompt: FramePrompt,
    previous: Float[Tensor, "side side"] | None,
) -> FrameMemory:
    """The answer to points and a box on a frame.

    `features` are conditioned; `previous` are earlier logits of the object on this frame.
    """
    clamped = None if previous is None else previous.clamp(-_CLAMP, _CLAMP)
    asked = pack_frame_prompt(prompt, clamped, frame.transform, features.embedding.device)
    decoded = model.decode(features, asked)
    clicks = (len(prompt.points) if prompt.points else 0) + (2 if prompt.box else 0)
    single = clicks > 1
    index = single_masks(model, decoded) if single else best_candidate(model, decoded)
    return memories_of(model, decoded, index, torch.zeros_like(index) if single else index)[0]


def masked(model: WithMemory, frame: EncodedFrame, mask: Bool[np.ndarray, "height width"]) -> FrameMemory:
    """The answer to a mask is that mask; the network only makes its pointer (section 4)."""
    size, side = model.input_spec.size, model.input_spec.mask_size
    device = frame.features.embedding.device
    dense = torch.as_tensor(mask, device=device).float()[None, None]
    whole = (_resized(dense, size) >= 0.5).float()
    low = _resized(whole * (2 * _CERTAIN) - _CERTAIN, side)[0, 0]
    coords, nothing = _no_points(1, device)
    asked = PromptTensors(coords=coords, labels=nothing, mask_logits=model.reduce_masks(whole))
    decoded = model.decode(frame.features, asked)
    assert decoded.object_score is not None
    is_there = whole.flatten(1).any(1)
    index = torch.zeros(1, dtype=torch.long, device=device)
    pointer = model.pointers(decoded, index, is_there & (decoded.object_score > 0))[0]
    score = _CERTAIN if bool(is_there) else -_CERTAIN
    return FrameMemory(low, 1.0, score, pointer)


def tracked(
    model: WithMemory, frame: EncodedFrame, banks: Sequence[MemoryBank]
) -> tuple[Decoded, Int[Tensor, " batch"]]:
    """Every object's frame, conditioned by its bank and decoded without prompts; and each best mask.

    Weights that follow masks are shown those of the frame before.
    """
    features = model.condition(frame.features, banks)
    coords, nothing = _no_points(len(banks), features.embedding.device)
    masks = masks_before([bank.previous for bank in banks]) if model.memory_spec.follows_masks else None
    decoded = model.decode(features, PromptTensors(coords=coords, labels=nothing, mask_logits=masks))
    return decoded, best_candidate(model, decoded)


def masks_before(
    previous: Sequence[Float[Tensor, "side side"] | None],
) -> Float[Tensor, "batch 1 side side"] | None:
    """The masks of the frame before as mask prompts, zeros where there is none; None where nobody has one."""
    known = next((logits for logits in previous if logits is not None), None)
    if known is None:
        return None
    shown = [torch.zeros_like(known) if logits is None else logits for logits in previous]
    return torch.stack(shown)[:, None].clamp(-_CLAMP, _CLAMP)


def memories_of(
    model: WithMemory,
    decoded: Decoded,
    mask_index: Int[Tensor, " batch"],
    pointer_index: Int[Tensor, " batch"],
) -> list[FrameMemory]:
    """What was decided for every object of a batch, its spatial memory still to come."""
    assert decoded.object_score is not None
    rows = torch.arange(len(mask_index), device=mask_index.device)
    logits = model.render_masks(decoded, rows, mask_index)
    present = decoded.object_score > 0
    logits = torch.where(present[:, None, None], logits, torch.full_like(logits, ABSENT_LOGIT))
    pointers = model.pointers(decoded, pointer_index, present)
    iou = decoded.predicted_iou.gather(1, mask_index[:, None])[:, 0].float().cpu().numpy()
    scores = decoded.object_score.float().cpu().numpy()
    return [
        FrameMemory(logits[row], float(iou[row]), float(scores[row]), pointers[row])
        for row in range(len(mask_index))
    ]


def remember(
    model: WithMemory, frame: EncodedFrame, memories: Sequence[FrameMemory], *, binarize: bool
) -> None:
    """Give every memory its spatial part, rounded to bfloat16 as SAM 2 stores it."""
    if not memories:
        return
    size = model.input_spec.size
    seen = [memory.low_res_logits if memory.close is None else memory.close.logits for memory in memories]
    logits = torch.stack(seen)[:, None]
    whole = F.interpolate(logits, (size, size), mode="bilinear", align_corners=False)
    masks = (whole > 0).float() if binarize else whole.sigmoid_()
    present = torch.tensor([memory.is_present for memory in memories], device=logits.device)
    spatial = model.encode_memory(frame.features, masks, present).bfloat16()
    for memory, one in zip(memories, spatial, strict=True):
        memory.spatial = one


def fill_holes(memory: FrameMemory, area: int) -> None:
    """Set holes of at most `area` cells (8-connected) of the low-resolution masks to just inside."""
    if area <= 0 or not memory.is_present:
        return
    memory.low_res_logits = _filled(memory.low_res_logits, area)
    if memory.close is not None:
        memory.close = replace(memory.close, logits=_filled(memory.close.logits, area))


def _filled(logits: Float[Tensor, "side side"], area: int) -> Float[Tensor, "side side"]:
    background = (logits <= 0).to("cpu", torch.uint8).numpy()
    _, labels, stats, _ = cv2.connectedComponentsWithStats(background, connectivity=8)
    small = stats[:, cv2.CC_STAT_AREA] <= area
    small[0] = False
    if not small.any():
        return logits
    holes = torch.as_tensor(small[labels.astype(np.int64)], device=logits.device)
    return torch.where(holes, torch.full_like(logits, _FILLED), logits)


def image_logits(
    memory: FrameMemory, size: tuple[int, int], spec: InputSpec
) -> Float[np.ndarray, "height width"]:
    """The logits at the size of the video."""
    if memory.close is None:
        return to_image_size(memory.low_res_logits.float().cpu().numpy(), fit(size, spec))
    x0, y0, x1, y1 = memory.close.window
    whole = np.full(size, ABSENT_LOGIT, np.float32)
    part = memory.close.logits.float().cpu().numpy()
    whole[y0:y1, x0:x1] = to_image_size(part, fit((y1 - y0, x1 - x0), spec))
    return whole


def logits_of(mask: Mask, side: int) -> Float[Tensor, "side side"]:
    """A kept mask as logits of +-10, for a frame whose own logits are no longer held."""
    small = cv2.resize(mask.dense().astype(np.float32), (side, side), interpolation=cv2.INTER_AREA)
    return torch.as_tensor((2 * small - 1) * _CERTAIN)


def _no_points(batch: int, device: torch.device) -> tuple[Float[Tensor, "batch 1 2"], Int[Tensor, "batch 1"]]:
    """The padding point that SAM 2 asks with where nobody clicked (section 3 of the specification)."""
    return torch.zeros(batch, 1, 2, device=device), torch.full((batch, 1), -1, device=device)


def _resized(masks: Float[Tensor, "batch 1 h w"], side: int) -> Float[Tensor, "batch 1 side side"]:
    """Bilinear, widened when shrinking."""
    if masks.shape[-2:] == (side, side):
        return masks
    return F.interpolate(masks, (side, side), mode="bilinear", align_corners=False, antialias=True)


def pooled(memory: FrameMemory, factor: int) -> Float[Tensor, "h w memory_dim"]:
    """The spatial memory, averaged over squares of `factor` cells where that is more than 1."""
    assert memory.spatial is not None
    if factor == 1:
        return memory.spatial
    maps = memory.spatial.float().permute(2, 0, 1)[None]
    return F.avg_pool2d(maps, factor)[0].permute(1, 2, 0)
