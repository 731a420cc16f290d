"""A second look: where it is taken, that coordinates and logits fit, and that it sees more."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from numpy import ndarray
from torch import Tensor

from segma.masks.mask import Mask
from segma.models.interfaces import Decoded, DynamicChoice, ImageFeatures, InputSpec, PromptTensors
from segma.prompts.types import MaskPrompt, PromptSet
from segma.tasks.second_look import LookConfig, in_whole, in_window, window_of
from segma.tasks.segment import ImageSession

SIZE, SIDE = 64, 32
LOOK = LookConfig(least=24)
ZERO, WHITE = (0.0, 0.0, 0.0), (255.0, 255.0, 255.0)
SPEC = InputSpec(size=SIZE, mask_size=SIDE, fit="stretch", mean=ZERO, std=WHITE)


@dataclass
class Shadow:
    """A model that masks what is dark, at half of its 64 pixels; counts what it encodes."""

    input_spec: InputSpec = SPEC
    mask_threshold: float = 0.0
    dynamic_choice: DynamicChoice | None = None
    low_precision: tuple[str, ...] = ()
    encoded: int = 0
    asked: list[PromptTensors] = field(default_factory=list[PromptTensors])

    def encode_image(self, pixels: Tensor) -> ImageFeatures:
        self.encoded += 1
        return ImageFeatures(10 - 20 * F.avg_pool2d(pixels.mean(1, keepdim=True), SIZE // SIDE))

    def share(self, features: ImageFeatures) -> None:
        return None

    def decode(self, features: ImageFeatures, prompts: PromptTensors, shared: None = None) -> Decoded:
        self.asked.append(prompts)
        count = len(prompts.coords if prompts.coords is not None else prompts.boxes)  # pyright: ignore[reportArgumentType]
        return Decoded(torch.full((count, 4), 0.9), features.embedding)

    def render_masks(self, decoded: Decoded, prompt_index: Tensor, mask_index: Tensor) -> Tensor:
        return decoded.state[:, 0].expand(len(mask_index), -1, -1)


def _picture(x0: int = 180, y0: int = 60, side: int = 22) -> tuple[ndarray, ndarray]:
    truth = np.zeros((300, 400), bool)
    truth[y0 : y0 + side, x0 : x0 + side] = True
    return np.where(truth[..., None], 0, 255).repeat(3, 2).astype(np.uint8), truth


def _iou(mask: ndarray, truth: ndarray) -> float:
    return float((mask & truth).sum() / (mask | truth).sum())


def test_small_things_are_seen_better() -> None:
    image, truth = _picture()
    plain = ImageSession(Shadow(), image).segment(points=[(190.0, 70.0)]).records[0]
    looked = ImageSession(Shadow(), image, look=LOOK).segment(points=[(190.0, 70.0)]).records[0]
    assert _iou(plain.mask, truth) < 0.8 < 0.9 < _iou(looked.mask, truth)
    assert plain.crop_box is None
    assert looked.crop_box is not None
    x0, y0, x1, y1 = looked.crop_box
    assert x0 < 180 < 202 <= x1
    assert y0 < 60 < 82 < y1


def test_boxes_are_looked_at_too_and_large_things_are_not() -> None:
    image, truth = _picture()
    looked = ImageSession(Shadow(), image, look=LOOK).segment(box=(180.0, 60.0, 201.0, 81.0)).records[0]
    assert _iou(looked.mask, truth) > 0.9
    large = ImageSession(Shadow(), _picture(20, 20, 250)[0], look=LOOK).segment(points=[(100.0, 100.0)])
    assert large.records[0].crop_box is None


def test_the_next_click_uses_the_same_part_and_what_was_found() -> None:
    model = Shadow()
    session = ImageSession(model, _picture()[0], look=LOOK)
    first = session.segment(points=[(190.0, 70.0)]).records[0]
    assert model.encoded == 2
    second = session.segment(points=[(190.0, 70.0), (183.0, 63.0)], labels=[1, 0], previous=first)
    assert model.encoded == 2, "the part's embedding was kept"
    assert second.records[0].crop_box == first.crop_box
    last = model.asked[-1]
    assert last.mask_logits is not None
    assert (last.mask_logits > 0).any()
    assert last.coords is not None
    assert first.crop_box is not None
    side = first.crop_box[2] - first.crop_box[0]
    expected = (np.array([190.0, 70.0]) - first.crop_box[:2]) * SIZE / side
    assert np.allclose(last.coords[0, 0].numpy(), expected, atol=1e-3)


def test_only_so_many_parts_are_kept() -> None:
    image = np.full((300, 400, 3), 255, np.uint8)
    places = [(30 + 90 * (n % 4), 40 + 120 * (n // 4)) for n in range(8)]
    session = ImageSession(Shadow(), image, look=LookConfig(kept=3, least=24))
    for x, y in places:
        session.segment(box=(x - 8.0, y - 8.0, x + 8.0, y + 8.0))
    assert len(session.parts) == 3


@given(
    x=st.integers(0, 399),
    y=st.integers(0, 299),
    w=st.integers(1, 120),
    h=st.integers(1, 90),
    px=st.integers(0, 399),
)
def test_a_part_is_inside_and_holds_what_it_is_about(x: int, y: int, w: int, h: int, px: int) -> None:
    dense = np.zeros((300, 400), bool)
    dense[y : y + h, x : x + w] = True
    prompt = PromptSet.of(points=[(float(px), float(y))])
    window = window_of(prompt, Mask.from_dense(dense), (300, 400), LOOK)
    if window is None:
        return
    x0, y0, x1, y1 = window
    assert 0 <= x0 < x1 <= 400
    assert 0 <= y0 < y1 <= 300
    assert x1 - x0 == y1 - y0 <= 0.6 * 300
    assert not (np.delete(np.delete(dense, range(y0, y1), 0), range(x0, x1), 1)).any()
    assert x0 <= px < x1
    assert y0 <= y < y1


def test_logits_go_into_a_part_and_back() -> None:
    size, window = (320, 320), (80, 160, 160, 240)
    grid = np.indices((64, 64)).sum(0).astype(np.float32)
    whole = in_whole(grid - 60, window, size)
    assert whole[0, 0] == -10
    prompt = PromptSet.of(points=[(100.0, 200.0)], mask=MaskPrompt(whole))
    again = in_window(prompt, window, size)
    assert again.mask is not None
    assert np.abs(again.mask.logits - (grid - 60))[4:-4, 4:-4].max() < 4  # as coarse as four cells in one
    assert again.points is not None
    assert again.points.xy == ((20.0, 40.0),)


def test_nothing_found_means_no_second_look() -> None:
    empty = Mask.from_dense(np.zeros((300, 400), bool))
    assert window_of(PromptSet.of(points=[(5.0, 5.0)]), empty, (300, 400), LOOK) is None
    nothing = MaskPrompt(np.full((SIDE, SIDE), -3, np.float32))
    prompt = PromptSet.of(points=[(5.0, 5.0)], mask=nothing)
    assert window_of(prompt, empty, (300, 400), LOOK) is None


@pytest.mark.parametrize("share", [0.0, 1.5])
def test_impossible_looks_are_refused(share: float) -> None:
    with pytest.raises(AssertionError, match="part"):
        LookConfig(share=share)
