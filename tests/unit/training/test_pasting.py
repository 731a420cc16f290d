from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from segma.training.augment import Labelled
from segma.training.config import CropConfig, PromptConfig, TrainConfig
from segma.training.data import read_samples
from segma.training.loader import ImageBatches, Pool, read_labelled
from segma.training.pasting import cut_from, pasted
from segma.worlds.sprites import Sprite


def sprite(side: int = 40) -> Sprite:
    pixels = np.full((side, side, 4), 1.0, np.float32)
    pixels[:, :, :3] = np.random.default_rng(0).uniform(0, 255, (side, side, 3))
    return Sprite(pixels)


def plain(size: int = 128) -> Labelled:
    left, small = np.zeros((2, size, size), np.uint8)
    left[:, : size // 2] = 1
    small[60:64, 60:64] = 1
    return Labelled(np.full((size, size, 3), 90, np.uint8), [left, small], ["left", "small"])


@pytest.mark.parametrize("seed", range(6))
def test_what_is_in_front_is_labelled_and_what_it_covers_is_not(seed: int) -> None:
    found = pasted(plain(), [sprite()], ["new"], np.random.default_rng(seed))
    masks = dict(zip(found.labels, found.masks, strict=True))
    new, left = masks["new"] > 0, masks["left"] > 0
    assert new.any()
    assert not (new & left).any()
    assert (new | left)[:, : 128 // 2].all()
    before = plain()
    untouched = ~(np.abs(found.image.astype(int) - before.image).max(2) > 0)
    assert untouched.mean() > 0.3
    assert not untouched[new].all()
    if "small" not in masks:
        assert new[60:64, 60:64].mean() > 0.2


def test_nothing_to_paste_changes_nothing() -> None:
    found = pasted(plain(), [], [], np.random.default_rng(0))
    assert found.labels == ["left", "small"]
    assert np.array_equal(found.image, plain().image)


def test_batches_hold_pasted_things(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    for number in range(4):  # one grainy square each
        mask = np.zeros((96, 96), np.uint8)
        mask[30:66, 30:66] = 255
        grain = random.integers(0, 255, (96, 96, 3)).astype(np.uint8)
        cv2.imwrite(str(tmp_path / f"{number}.jpg"), np.where(mask[..., None] > 0, grain, 90))
        cv2.imwrite(str(tmp_path / f"{number}.png"), mask)
    pool = Pool.of(read_samples(tmp_path).pictures)
    prompts = PromptConfig(least=1)
    config = TrainConfig(name="a", image_size=128, batch=4, crop=CropConfig(mosaic=0.0), prompts=prompts)
    always, never = (replace(config, crop=replace(config.crop, paste=share)) for share in (1.0, 0.0))
    assert len(ImageBatches(pool, always)[0].asked) > len(ImageBatches(pool, never)[0].asked) == 4


def test_an_object_of_another_size_than_its_picture_is_not_cut(shapes: Path) -> None:
    sample = read_samples(shapes).pictures[0]
    each = sample.objects[0]
    wrong = replace(each, mask=type(each.mask).from_dense(np.ones((9, 9), bool)))
    assert cut_from(sample, wrong, np.random.default_rng(0)) is None
    assert read_labelled(sample).labels == [row.label or "" for row in sample.objects]
