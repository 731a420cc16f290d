from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from segma.errors import FormatError, MissingExtraError, SegmaError
from segma.masks.mask import Mask
from segma.media.image import read_image, read_mask
from segma.results import MaskRecord, Prediction

SIZE = (12, 17)
PICTURE = np.random.default_rng(9).integers(0, 256, (*SIZE, 3), np.uint8)


def record(seed: int, **given: Any) -> MaskRecord:
    dense = np.random.default_rng(seed).random(SIZE) < 0.3
    fields: dict[str, Any] = {"compact": Mask.from_dense(dense), "predicted_iou": 0.5 + seed / 100}
    return MaskRecord(**(fields | given))


def prediction(count: int = 3) -> Prediction:
    records = tuple(
        record(
            seed,
            prompt_index=seed % 2,
            points=((1.5, 2.0),),
            stability_score=0.9,
            crop_box=(0.0, 0.0, 17.0, 12.0),
        )
        for seed in range(count)
    )
    return Prediction(size=SIZE, records=records, source="truck.jpg", counts={"points": 4}, image=PICTURE)


@given(st.lists(st.integers(0, 40), max_size=4))
def test_json_round_trip(seeds: list[int]):
    before = Prediction(size=SIZE, records=tuple(record(seed) for seed in seeds), source="a.jpg")
    assert Prediction.from_dict(json.loads(json.dumps(before.to_dict()))) == before


def test_every_field_of_a_record_comes_back():
    before = prediction()
    assert Prediction.from_dict(json.loads(json.dumps(before.to_dict()))) == before


def test_pickle_and_equality():
    before = prediction()
    after = pickle.loads(pickle.dumps(before))
    assert after == before and after.image is not None and np.array_equal(after.image, PICTURE)
    assert prediction(2) != before


def test_it_is_a_sequence():
    whole = prediction()
    assert len(whole) == 3 and list(whole) == [whole[0], whole[1], whole[2]]
    assert isinstance(whole[1:], Prediction) and whole[1:].records == whole.records[1:]
    assert whole[-1] is whole.records[-1] and whole[1:].source == "truck.jpg"
    assert [each.prompt_index for each in whole.of_prompt(0)] == [0, 0]


def test_best_is_the_highest_predicted_iou():
    assert prediction().best is not None and prediction().best.predicted_iou == pytest.approx(0.52)
    with pytest.raises(ValueError):
        _ = prediction(0).best


def test_arrays():
    found = prediction()
    assert found.boxes.shape == (3, 4) and found.predicted_iou.dtype == np.float32
    assert np.array_equal(found.masks.dense()[1], found[1].mask)
    assert (found[1].area, found[1].box) == (found[1].compact.area, found[1].compact.box)
    assert prediction(0).boxes.shape == (0, 4)


@pytest.mark.parametrize("count", [0, 1, 3])
def test_repr_is_one_line(count: int):
    text = repr(prediction(count))
    assert "\n" not in text and "17x12" in text and "truck.jpg" in text and len(text) < 120
    assert ("1 mask" in text) == (count == 1)


@pytest.mark.parametrize(
    "change",
    [
        {"size": "big"},
        {"size": None},
        {"masks": None},
        {"masks": [{}]},
        {"masks": [{"segmentation": {"size": [12, 17], "counts": [5]}, "predicted_iou": 1}]},
        {"masks": [{"segmentation": {"size": [12, 17], "counts": [204]}, "predicted_iou": "good"}]},
    ],
)
def test_broken_json_is_a_format_error(change: dict[str, object]):
    with pytest.raises(FormatError) as caught:
        Prediction.from_dict(prediction().to_dict() | change)
    assert caught.value.code == "format.bad"


def test_to_sample_and_to_coco():
    found = prediction()
    sample = found.to_sample()
    assert [each.object_id for each in sample.objects] == [1, 2, 3]
    document = found.to_coco()
    assert json.loads(json.dumps(document)) == document
    assert document["images"][0] == {"id": 1, "width": 17, "height": 12, "file_name": "truck.jpg"}
    assert document["annotations"][0]["predicted_iou"] == 0.5


def test_plot_draws_on_the_picture_or_on_grey():
    found = prediction(1)
    drawn = found.plot(border_pixels=0)
    assert np.array_equal(drawn[~found[0].mask], PICTURE[~found[0].mask])
    assert not np.array_equal(drawn, PICTURE)
    bare = Prediction.from_dict(found.to_dict())
    assert (bare.plot(border_pixels=0)[~found[0].mask] == 128).all()


def test_save_by_name(tmp_path: Path):
    found = prediction(1)
    assert np.array_equal(read_mask(found.save(tmp_path / "out.png")), found[0].mask)
    assert read_image(found.save(str(tmp_path / "out.overlay.jpg"))).shape == (*SIZE, 3)
    with pytest.raises(SegmaError):
        found.save(tmp_path / "out.unheard")


def test_a_missing_extra_names_the_install_command():
    import importlib.util

    if importlib.util.find_spec("supervision"):
        assert len(prediction().to_supervision()) == 3
        return
    with pytest.raises(MissingExtraError, match=r'pip install "segma\[interop\]"'):
        prediction().to_supervision()
