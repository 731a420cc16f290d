"""The sizes for which there are no recorded numbers, and 2.0, against Sam2VideoModel of transformers.

Both networks hold the very same tensors: one click on a frame of a clip, and the two frames after it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from segma.media.image import read_image
from segma.models.interfaces import ImageFeatures, MemoryBank, PromptTensors
from segma.models.sam2 import layout
from segma.models.sam2.model import Sam2
from segma.runtime import Runtime
from segma.tasks.choice import best_candidate
from segma.tasks.preprocess import image_to_model

pytestmark = pytest.mark.slow

CLICK = PromptTensors(coords=torch.tensor([[[224.0, 664.0]]]), labels=torch.ones(1, 1, dtype=torch.long))
NOTHING = PromptTensors(coords=torch.zeros(1, 1, 2), labels=torch.full((1, 1), -1))
NUM_FRAMES = 3
_ABSENT = -1024.0


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What is known of the object on a frame."""

    logits: Tensor
    object_score: Tensor
    pointer: Tensor
    memory: Tensor
    """Rounded to bfloat16, as both sides store it."""


@pytest.mark.timeout(3000)
@pytest.mark.parametrize(
    "name", ["sam2.1_hiera_small", "sam2.1_hiera_base_plus", "sam2.1_hiera_large", "sam2_hiera_tiny"]
)
def test_a_click_and_two_frames_agree_with_transformers(
    name: str, made: Callable[[str], Sam2], shared: Path, tolerance: Any
) -> None:
    network = made(name)
    frames = torch.cat(list(clip(shared, network)))
    with torch.inference_mode():
        theirs = list(track_theirs(transformers_network(network), frames))
        assert theirs[0].object_score > 0, "else nothing is compared"
        for ours, expected in zip(track(network, frames, theirs), theirs, strict=True):
            for kind in ("logits", "object_score", "pointer"):
                torch.testing.assert_close(
                    getattr(ours, kind), getattr(expected, kind), atol=tolerance.values, rtol=0
                )
            assert (ours.memory - expected.memory).abs().mean() < 1e-3


def clip(shared: Path, network: Sam2) -> Iterator[Tensor]:
    for index in range(NUM_FRAMES):
        image = read_image(shared / "media" / "bedroom" / f"{index:05d}.jpg")
        yield image_to_model(image, network.input_spec, Runtime(device="cpu").torch_device)[0]


def track(network: Sam2, frames: Tensor, past: list[Seen]) -> Iterator[Seen]:
    """Ours: the first frame is asked with a click, the others through the memories of the other network.

    Through its own it would drift: a pixel at 0 that changes sides in a prompted mask moves its memory.
    """
    for index in range(NUM_FRAMES):
        frame = network.encode_frame(frames[index : index + 1])
        if index == 0:
            features, prompts = network.condition_first(frame), CLICK
        else:
            features, prompts = network.condition(frame, [bank(past[:index])]), NOTHING
        yield answer(network, frame, features, prompts, is_prompted=index == 0)


def bank(past: list[Seen]) -> MemoryBank:
    """Frame 0 conditions; the pointers' distances are over those of a clip of three."""
    ages = range(len(past), 0, -1)
    return MemoryBank(
        maps=tuple(seen.memory for seen in past),
        rows=(6, *(age - 1 for age in ages[1:])),
        pointers=tuple(seen.pointer for seen in past),
        distances=tuple(age / (NUM_FRAMES - 1) for age in ages),
    )


def answer(
    network: Sam2, frame: ImageFeatures, features: ImageFeatures, prompts: PromptTensors, *, is_prompted: bool
) -> Seen:
    decoded = network.decode(features, prompts)
    assert decoded.object_score is not None
    present, chosen = decoded.object_score > 0, best_candidate(network, decoded)
    logits = network.render_masks(decoded, torch.zeros(1, dtype=torch.long), chosen)[:, None]
    logits = torch.where(present.view(-1, 1, 1, 1), logits, _ABSENT)
    large = F.interpolate(logits, frame_size(network), mode="bilinear")
    masks = (large > 0).float() if is_prompted else large.sigmoid()
    memory = network.encode_memory(frame, masks, present)[0]
    return Seen(
        logits=logits[0, 0],
        object_score=decoded.object_score[0],
        pointer=network.pointers(decoded, chosen, present)[0],
        memory=memory.bfloat16().float(),
    )


def frame_size(network: Sam2) -> tuple[int, int]:
    return network.input_spec.size, network.input_spec.size


def transformers_network(network: Sam2) -> Any:
    """Theirs over the same tensors."""
    transformers = pytest.importorskip("transformers")
    config = transformers.Sam2VideoConfig(**layout.transformers_config(network.config))
    theirs = transformers.Sam2VideoModel._from_config(config, attn_implementation="sdpa")
    theirs.load_state_dict(layout.to_transformers(network.state_dict()), strict=True, assign=True)
    return theirs.eval()


def track_theirs(network: Any, frames: Tensor) -> Iterator[Seen]:
    from transformers.models.sam2_video.modeling_sam2_video import Sam2VideoInferenceSession

    height, width = frames.shape[2:]
    session = Sam2VideoInferenceSession(frames, height, width, dtype=torch.float32)
    index = session.obj_id_to_idx(1)
    assert CLICK.coords is not None and CLICK.labels is not None
    inputs = {"point_coords": CLICK.coords[None], "point_labels": CLICK.labels[None].int()}
    session.add_point_inputs(index, 0, inputs)
    session.obj_with_new_inputs.append(1)
    for frame in range(NUM_FRAMES):
        network(session, frame_idx=frame)
        outputs = session.output_dict_per_obj[index]
        output = outputs["cond_frame_outputs" if frame == 0 else "non_cond_frame_outputs"][frame]
        grid = round(len(output["maskmem_features"]) ** 0.5)
        yield Seen(
            logits=output["pred_masks"].view(*output["pred_masks"].shape[-2:]),
            object_score=output["object_score_logits"].flatten()[0],
            pointer=output["object_pointer"].flatten(),
            memory=output["maskmem_features"].float().view(grid, grid, -1),
        )
