"""The image predictor's answers on the photo of a truck."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from numpy import ndarray
from torch import Tensor

from segma.models.sam2.model import Sam2
from segma.prompts.types import Box, MaskPrompt, Points, PromptSet
from segma.tasks.choice import single_masks
from segma.tasks.preprocess import pack_prompts

Golden = dict[str, ndarray]
BOXES = ((75, 275, 1725, 850), (425, 600, 700, 875), (1375, 550, 1650, 800), (1240, 675, 1400, 750))
CLICK = PromptSet(points=Points([(500, 375)]))
BOX_AND_CLICK = PromptSet(box=Box.of(BOXES[1]), points=Points([(575, 750)], [0]))


def answers(
    network: Sam2, truck: Any, prompts: Sequence[PromptSet], *, several: bool
) -> tuple[Tensor, Tensor]:
    """Logits and predicted IoU of the masks asked for: three, or the single one; all prompts in a row."""
    spec = network.input_spec
    with torch.inference_mode():
        packed = pack_prompts(prompts, truck.transform, spec, torch.device("cpu"))
        decoded = network.decode(truck.features, packed, network.share(truck.features))
        count = len(prompts)
        masks = torch.arange(1, 4).repeat(count) if several else single_masks(network, decoded)
        rows = torch.arange(count).repeat_interleave(3 if several else 1)
        return network.render_masks(decoded, rows, masks), decoded.predicted_iou[rows, masks]


def check(ours: tuple[Tensor, Tensor], golden: Golden, key: str, tolerance: Any) -> None:
    logits, predicted_iou = ours
    np.testing.assert_allclose(predicted_iou, golden[f"{key}/iou"].reshape(-1), atol=tolerance.score, rtol=0)
    absolute, relative = tolerance.logits
    expected = golden[f"{key}/logits_s2"].astype(np.float32).reshape(-1, 128, 128)
    clamped = logits[:, ::2, ::2].clamp(-32, 32)
    np.testing.assert_allclose(clamped, expected, atol=absolute, rtol=relative)
    large = F.interpolate(logits[:, None], (1200, 1800), mode="bilinear")[:, 0] > 0
    off = (large.sum((1, 2)).numpy() - golden[f"{key}/area"]).astype(np.int64)
    assert np.abs(off).max() <= tolerance.area_pixels


def previous(network: Sam2, truck: Any) -> MaskPrompt:
    """The best answer to the click, clamped as the original clamps it."""
    logits, predicted_iou = answers(network, truck, [CLICK], several=True)
    return MaskPrompt(logits[predicted_iou.argmax()].clamp(-32, 32).numpy())


@pytest.fixture(scope="module")
def golden(golden_file: Callable[[str], Golden]) -> Golden:
    return golden_file("image")


@pytest.mark.parametrize("name", ["image", "image_plain"])
def test_the_embedding(
    request: pytest.FixtureRequest, golden_file: Callable[[str], Golden], name: str, tolerance: Any
) -> None:
    truck = request.getfixturevalue("truck" if name == "image" else "plain_truck")
    golden = golden_file(name)
    maps = (truck.features.embedding[0, ::8, ::4, ::4], truck.features.fine[0][0, ::4, ::16, ::16])
    maps = (*maps, truck.features.fine[1][0, ::4, ::8, ::8])
    for ours, key in zip(maps, ("image_embed_s", "high0_s", "high1_s"), strict=True):
        np.testing.assert_allclose(ours, golden[key], atol=tolerance.values, rtol=0)


def test_a_click(tiny: Sam2, truck: Any, golden: Golden, tolerance: Any) -> None:
    check(answers(tiny, truck, [CLICK], several=True), golden, "p1", tolerance)


def test_clicks_with_the_earlier_answer(tiny: Sam2, truck: Any, golden: Golden, tolerance: Any) -> None:
    asked = PromptSet(points=Points([(500, 375), (1125, 625)]), mask=previous(tiny, truck))
    check(answers(tiny, truck, [asked], several=False), golden, "p2", tolerance)


def test_a_box_with_a_negative_click(tiny: Sam2, truck: Any, golden: Golden, tolerance: Any) -> None:
    check(answers(tiny, truck, [BOX_AND_CLICK], several=False), golden, "p3", tolerance)


def test_four_boxes_at_once(tiny: Sam2, truck: Any, golden: Golden, tolerance: Any) -> None:
    asked = [PromptSet(box=Box.of(corners)) for corners in BOXES]
    check(answers(tiny, truck, asked, several=False), golden, "p4", tolerance)


def test_only_a_mask(tiny: Sam2, truck: Any, golden: Golden, tolerance: Any) -> None:
    asked = PromptSet(mask=previous(tiny, truck))
    check(answers(tiny, truck, [asked], several=True), golden, "p5", tolerance)


def test_plain_weights(
    plain_tiny: Sam2, plain_truck: Any, golden_file: Callable[[str], Golden], tolerance: Any
) -> None:
    golden = golden_file("image_plain")
    check(answers(plain_tiny, plain_truck, [CLICK], several=True), golden, "p1", tolerance)
    check(answers(plain_tiny, plain_truck, [BOX_AND_CLICK], several=False), golden, "p3", tolerance)
