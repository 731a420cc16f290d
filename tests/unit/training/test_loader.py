from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from stubs.shapes_folder import TINY, write_shapes

from segma.errors import InputError
from segma.masks.mask import Mask
from segma.models.sam2.model import Sam2
from segma.samples import ImageSample, ObjectSample, PictureFile
from segma.training.batch import FIRST, ImageBatch
from segma.training.config import TrainConfig
from segma.training.data import read_samples
from segma.training.loader import ImageBatches, Pool, batches, read_labelled
from segma.training.steps.images import image_step


@pytest.fixture
def config(tiny_run: TrainConfig) -> TrainConfig:
    return replace(tiny_run, image_size=64)


@pytest.fixture
def pool(shapes: Path) -> Pool:
    return Pool.of(read_samples(shapes).pictures)


def assert_equal(one: ImageBatch, other: ImageBatch) -> None:
    for field in fields(one):
        first, second = getattr(one, field.name), getattr(other, field.name)
        if isinstance(first, torch.Tensor):
            assert torch.equal(first, second), field.name


def test_a_batch_is_the_same_from_any_worker(pool: Pool, config: TrainConfig) -> None:
    here = list(batches(pool, replace(config, steps=4)))
    there = list(batches(pool, replace(config, steps=4, workers=2)))
    assert len(here) == len(there) == 4
    for one, other in zip(here, there, strict=True):
        assert_equal(one, other)
    assert not torch.equal(here[0].pixels, here[1].pixels)


@pytest.mark.timeout(60)
def test_workers_begin_though_opencv_has_threads_already(pool: Pool, config: TrainConfig) -> None:
    before = cv2.getNumThreads()
    try:
        cv2.setNumThreads(2)
        cv2.GaussianBlur(np.zeros((2000, 2000, 3), np.uint8), (0, 0), 3)
        assert len(next(iter(batches(pool, replace(config, workers=1)))).pixels) == 2
        assert cv2.getNumThreads() == 2
    finally:
        cv2.setNumThreads(before)


def test_batches_can_begin_anywhere(pool: Pool, config: TrainConfig) -> None:
    assert_equal(next(iter(batches(pool, config, [3]))), ImageBatches(pool, config)[3])
    assert list(batches(pool, config, range(6, 6))) == []


def test_clicks_are_on_their_objects_and_boxes_around_them(pool: Pool, config: TrainConfig) -> None:
    for index in range(6):
        batch = ImageBatches(pool, config)[index]
        assert batch.under[:, 0].tolist() == batch.asked.tolist()
        for row, mask in enumerate(batch.masks):
            x, y = batch.clicks[row].long().tolist()
            assert mask[y, x]
            ys, xs = torch.nonzero(mask, as_tuple=True)
            x0, y0, x1, y1 = batch.boxes[row].tolist()
            assert abs(x0 - float(xs.min())) <= 0.1 * 65 + 1
            assert abs(y1 - float(ys.max())) <= 0.1 * 65 + 1
            assert x0 < x1
            assert y0 < y1


@pytest.mark.parametrize("kind", FIRST)
def test_first_prompts_are_of_the_kinds_asked_for(pool: Pool, config: TrainConfig, kind: str) -> None:
    prompts = replace(config.prompts, box=float(kind == "box"), mask=float(kind == "mask"))
    batch = ImageBatches(pool, replace(config, prompts=prompts))[0]
    assert [FIRST[first] for first in batch.first.tolist()] == [kind] * len(batch.asked)
    for mask, before in zip(batch.masks > 0, batch.before > 0, strict=True):
        if kind == "mask":
            assert (mask & before).any()
            assert not torch.equal(mask, before)
        else:
            assert not before.any()


@pytest.mark.parametrize("kind", FIRST)
def test_every_first_prompt_is_answered_and_corrected(pool: Pool, config: TrainConfig, kind: str) -> None:
    prompts = replace(config.prompts, box=float(kind == "box"), mask=float(kind == "mask"), rounds=2)
    config = replace(config, prompts=prompts)
    model = Sam2(replace(TINY, hedges=True))
    result = image_step(model, ImageBatches(pool, config)[0], config, torch.Generator().manual_seed(0))
    torch.autograd.backward([result.loss])
    told = {name.removeprefix("iou/") for name in result.numbers if name.startswith("iou/")}
    assert told == ({"click1", "click2"} if kind == "click" else {kind, f"{kind}+1"})
    has_several = {name.removeprefix("best_iou/") for name in result.numbers if name.startswith("best_iou/")}
    assert has_several == {"click": {"click1"}, "box": set(), "mask": {"mask"}}[kind]


def test_truths_at_places_are_those_of_the_mask(pool: Pool, config: TrainConfig) -> None:
    batch = ImageBatches(pool, config)[0]
    for row, truth in enumerate(batch.asked.tolist()):
        cells = (batch.places[truth] + 0.5).floor().long().clamp(0, 63)
        assert torch.equal(batch.masks[row][cells[:, 1], cells[:, 0]] > 0, batch.inside[truth])


def test_an_unreadable_picture_is_skipped_and_counted(tmp_path: Path, config: TrainConfig) -> None:
    folder = write_shapes(tmp_path / "some", 3)
    pictures = read_samples(folder).pictures
    (folder / "photo1.jpg").write_bytes(b"no picture any more")
    found = [ImageBatches(Pool.of(pictures), config)[index] for index in range(4)]
    assert all(len(batch.pixels) == 2 for batch in found)
    assert sum(batch.unreadable for batch in found) > 0
    assert all(batch.skipped >= batch.unreadable for batch in found)


@pytest.mark.parametrize("workers", [0, 1])
def test_where_nothing_can_be_read_the_run_ends(tmp_path: Path, config: TrainConfig, workers: int) -> None:
    folder = write_shapes(tmp_path / "some", 2)
    pictures = read_samples(folder).pictures
    for path in folder.glob("*.jpg"):
        path.unlink()
    with pytest.raises(InputError, match="Hardly any picture can be read"):
        next(iter(batches(Pool.of(pictures), replace(config, workers=workers))))


def test_empty_objects_and_masks_of_another_size_are_left_out(shapes: Path) -> None:
    masks = [np.zeros((80, 80), bool), np.ones((40, 40), bool), np.tri(80, dtype=bool)]
    named = zip(masks, ("first", "second", "third"), strict=True)
    objects = tuple(
        ObjectSample(object_id=row, mask=Mask.from_dense(mask), label=label)
        for row, (mask, label) in enumerate(named)
    )
    picture = PictureFile(shapes / "photo0.jpg")
    labelled = read_labelled(ImageSample(file_name="a", size=(80, 80), objects=objects, picture=picture))
    assert labelled.labels == ["third"]


def test_sources_are_drawn_by_the_square_root_of_their_size() -> None:
    mask = Mask.from_dense(np.ones((2, 2), bool))
    sample = ImageSample(
        file_name="a",
        size=(2, 2),
        objects=(ObjectSample(object_id=1, mask=mask),),
        picture=PictureFile(Path("a")),
        source="small",
    )
    pool = Pool.of([sample] + [replace(sample, source="large")] * 9 + [replace(sample, objects=())])
    assert len(pool) == 10
    assert pool.chances == pytest.approx((0.25, 0.75))
    mixed = Pool.of([sample] + [replace(sample, source="large")] * 9, ["small=9", "elsewhere=2"])
    assert mixed.chances == pytest.approx((0.75, 0.25))
    assert not Pool.of([sample], ["small=0"])


@pytest.mark.parametrize("mix", ["small", "small=", "small=-1", "small=nan", "small=inf", "small=many"])
def test_a_mix_must_name_multiples(mix: str) -> None:
    with pytest.raises(InputError, match="mix has"):
        Pool.of([], [mix])
