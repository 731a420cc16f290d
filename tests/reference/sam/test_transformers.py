"""ViT-L and ViT-H, for which there are no recorded numbers, against the networks of transformers.

Both networks hold the very same tensors. The layer norms of their decoder get eps 1e-5, the original's (their
default of 1e-6 moves the logits by thousandths); `layout.transformers_config` says so.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from segma.checkpoints.fill import made_up_state
from segma.checkpoints.match import fit, shapes_of
from segma.media.image import read_image
from segma.models.interfaces import PromptTensors
from segma.models.sam import layout
from segma.models.sam.config import VARIANTS
from segma.models.sam.model import Sam
from segma.runtime import Runtime
from segma.tasks.preprocess import image_to_model

pytestmark = pytest.mark.slow


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", ["sam_vit_l", "sam_vit_h"])
def test_the_larger_networks_agree_with_transformers(name: str, shared: Path, tolerance: Any) -> None:
    image = read_image(shared / "media" / "truck.jpg")
    with torch.device("meta"):
        ours = Sam(VARIANTS[name])
    state = made_up_state(shapes_of(ours))
    fit(ours, state, name)
    pixels, transform = image_to_model(image, ours.input_spec, Runtime(device="cpu").torch_device)
    with torch.inference_mode():
        features = ours.eval().encode_image(pixels)
        theirs = transformers_network(name, state)
        expected = theirs.vision_encoder(pixels).last_hidden_state
        assert (features.embedding - expected).abs().max() <= tolerance.embedding
        for prompts in asked(torch.tensor(transform.scale, dtype=torch.float32)):
            decoded = ours.decode(features, prompts)
            pairs = torch.zeros(4, dtype=torch.long), torch.arange(4)
            logits, predicted_iou = decode_theirs(theirs, expected, prompts)
            assert (ours.render_masks(decoded, *pairs) - logits).abs().max() <= tolerance.logits
            assert (decoded.predicted_iou[0] - predicted_iou).abs().max() <= tolerance.predicted_iou


def transformers_network(name: str, state: dict[str, Tensor]) -> Any:
    """Their network over the same tensors; their fused attention, for global blocks need gigabytes else."""
    transformers = pytest.importorskip("transformers")
    config = transformers.SamConfig(**layout.transformers_config(VARIANTS[name]))
    with torch.device("meta"):
        network = transformers.SamModel._from_config(config, attn_implementation="sdpa")
    network.load_state_dict(layout.to_transformers(state), strict=True, assign=True)
    assert not any(tensor.is_meta for tensor in (*network.parameters(), *network.buffers()))
    return network.eval()


def asked(scale: Tensor) -> Iterator[PromptTensors]:
    """A click, a box, and a click with a mask, in the frame of the model."""
    click = torch.tensor([[[500.0, 375.0]]]) * scale
    label = torch.ones(1, 1, dtype=torch.long)
    rows, columns = torch.meshgrid(torch.arange(256), torch.arange(256), indexing="ij")
    disc = torch.where((columns - 100) ** 2 + (rows - 90) ** 2 < 50**2, 10.0, -10.0)
    yield PromptTensors(coords=click, labels=label)
    yield PromptTensors(boxes=torch.tensor([[425.0, 600.0, 700.0, 875.0]]) * scale.repeat(2))
    yield PromptTensors(coords=click, labels=label, mask_logits=disc[None, None])


def decode_theirs(network: Any, embedding: Tensor, prompts: PromptTensors) -> tuple[Tensor, Tensor]:
    """All four masks; their prompts have one axis more, and the first mask is asked for on its own."""

    def answer(multimask_output: bool) -> Any:
        return network(
            image_embeddings=embedding,
            input_points=None if prompts.coords is None else prompts.coords[:, None],
            input_labels=None if prompts.labels is None else prompts.labels[:, None],
            input_boxes=None if prompts.boxes is None else prompts.boxes[:, None],
            input_masks=prompts.mask_logits,
            multimask_output=multimask_output,
        )

    single, several = answer(False), answer(True)
    logits = torch.cat([single.pred_masks[0, 0], several.pred_masks[0, 0]])
    return logits, torch.cat([single.iou_scores[0, 0], several.iou_scores[0, 0]])
