"""SAM as a network: batches, training, precision; at toy size, and the demo's size once."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from segma.checkpoints.fill import made_up_state
from segma.checkpoints.match import fit, shapes_of
from segma.engines.catalog import start
from segma.models.interfaces import ImageFeatures, Promptable, PromptTensors
from segma.models.sam.config import VARIANTS, SamConfig
from segma.models.sam.model import Sam
from segma.runtime import Runtime


def made_up_sam(config: SamConfig) -> Sam:
    with torch.device("meta"):
        network = Sam(config)
    fit(network, made_up_state(shapes_of(network)), "made up")
    return network.eval()


@pytest.fixture
def toy(toy_config: SamConfig) -> Sam:
    return made_up_sam(toy_config)


def pixels(batch: int, size: int) -> Tensor:
    return torch.randn(batch, 3, size, size, generator=torch.Generator().manual_seed(8))


def prompts(size: int) -> Iterator[PromptTensors]:
    """Three of each kind."""
    generator = torch.Generator().manual_seed(9)
    coords = size * torch.rand(3, 2, 2, generator=generator)
    labels = torch.tensor([[1, 0], [1, 1], [1, -1]])
    boxes = torch.cat([coords[:, 0] / 2, size / 2 + coords[:, 1] / 2], 1)
    masks = 5 * torch.randn(3, 1, size // 4, size // 4, generator=generator)
    yield PromptTensors(coords=coords[:, :1], labels=torch.ones(3, 1, dtype=torch.long))
    yield PromptTensors(coords=coords, labels=labels)
    yield PromptTensors(boxes=boxes)
    yield PromptTensors(coords=coords, labels=labels, boxes=boxes)
    yield PromptTensors(coords=coords, labels=labels, mask_logits=masks)
    yield PromptTensors(mask_logits=masks)


def row(part: Tensor | None, index: int) -> Tensor | None:
    return None if part is None else part[index : index + 1]


def one_of(asked: PromptTensors, index: int) -> PromptTensors:
    parts = (asked.coords, asked.labels, asked.boxes, asked.mask_logits, asked.embeddings)
    return PromptTensors(*(row(part, index) for part in parts))


def masks(network: Sam, features: ImageFeatures, asked: PromptTensors) -> tuple[Tensor, Tensor]:
    """Logits and predicted IoU of all masks of all prompts."""
    decoded = network.decode(features, asked, network.share(features))
    count = len(decoded.predicted_iou)
    drawn = network.render_masks(
        decoded, torch.arange(count).repeat_interleave(4), torch.arange(4).repeat(count)
    )
    return drawn.view(count, 4, *drawn.shape[1:]), decoded.predicted_iou


def test_it_is_promptable(toy: Sam) -> None:
    assert isinstance(toy, Promptable)
    assert (toy.input_spec.size, toy.input_spec.mask_size, toy.input_spec.fit) == (64, 16, "pad")


@pytest.mark.parametrize("kind", range(6))
def test_batched_equals_one_by_one(toy: Sam, kind: int) -> None:
    asked = list(prompts(64))[kind]
    with torch.inference_mode():
        features = toy.encode_image(pixels(1, 64))
        together = masks(toy, features, asked)
        for index in range(3):
            alone = masks(toy, features, one_of(asked, index))
            for ours, whole in zip(alone, together, strict=True):
                torch.testing.assert_close(ours[0], whole[index], atol=2e-5, rtol=1e-4)


def test_images_of_a_batch_do_not_see_each_other(toy: Sam) -> None:
    with torch.inference_mode():
        together = toy.encode_image(pixels(3, 64)).embedding
        for index, image in enumerate(pixels(3, 64)):
            torch.testing.assert_close(
                toy.encode_image(image[None]).embedding[0], together[index], atol=1e-5, rtol=1e-4
            )


def test_drawing_some_masks_equals_drawing_all(toy: Sam) -> None:
    asked = next(prompts(64))
    with torch.inference_mode():
        features = toy.encode_image(pixels(1, 64))
        every, _ = masks(toy, features, asked)
        decoded = toy.decode(features, asked)
        rows, columns = torch.tensor([2, 0, 2, 0]), torch.tensor([1, 3, 3, 3])
        torch.testing.assert_close(toy.render_masks(decoded, rows, columns), every[rows, columns])


def test_embeddings_enter_as_prompt_tokens(toy: Sam) -> None:
    """The token of a click handed over as a vector is the click."""
    coords, labels = torch.tensor([[[20.0, 30.0]]]), torch.tensor([[1]])
    tokens = toy.prompt_encoder.sparse(coords, labels, None)
    with torch.inference_mode():
        features = toy.encode_image(pixels(1, 64))
        clicked = masks(toy, features, PromptTensors(coords=coords, labels=labels))
        spoken = masks(toy, features, PromptTensors(embeddings=tokens))
    for ours, theirs in zip(spoken, clicked, strict=True):
        torch.testing.assert_close(ours, theirs)


def test_every_weight_can_be_trained(toy: Sam) -> None:
    toy.train().requires_grad_(True)
    features = toy.encode_image(pixels(1, 64))
    total = torch.zeros(())
    for asked in prompts(64):
        for part in masks(toy, features, asked):
            total = total + (part * torch.linspace(-1, 1, part.numel()).view(part.shape)).sum()
    total.backward()
    lacking = {name for name, p in toy.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0}
    # Softmax drops what is the same for all keys: without a gradient, or with one of rounding errors alone.
    assert {name for name in lacking if not name.endswith("k_proj.bias")} == set()
    assert all(p.grad is None or p.grad.isfinite().all() for p in toy.parameters())


def test_bfloat16_is_near(toy: Sam) -> None:
    asked = next(prompts(64))
    with torch.inference_mode():
        exact, exact_iou = masks(toy, toy.encode_image(pixels(1, 64)), asked)
        Runtime(device="cpu", precision="bf16").place(toy)
        features = toy.encode_image(pixels(1, 64))
        low, low_iou = masks(toy, features, asked)
    assert features.embedding.dtype == torch.bfloat16
    assert low.dtype == low_iou.dtype == torch.float32
    assert (low - exact).std() < 0.1 * exact.std()
    assert (low_iou - exact_iou).abs().max() < 0.05


def test_the_demo_runs_and_answers_batches_as_one_by_one() -> None:
    demo = made_up_sam(VARIANTS["sam_vit_demo"])
    runtime = Runtime(device="cpu", precision="fp32")
    runtime.place(demo)
    assert start(demo, runtime) is demo  # the eager engine is the network itself
    asked = next(prompts(1024))
    with torch.inference_mode():
        features = demo.encode_image(pixels(1, 1024))
        assert features.embedding.shape == (1, 256, 64, 64)
        logits, predicted_iou = masks(demo, features, asked)
        alone, _ = masks(demo, features, one_of(asked, 1))
    assert logits.shape == (3, 4, 256, 256) and predicted_iou.shape == (3, 4)
    torch.testing.assert_close(alone[0], logits[1], atol=5e-5, rtol=1e-4)
    assert logits.std() > 0.1  # far from degenerate: prompts and places matter
    assert (logits[0] - logits[1]).std() > 0.05
