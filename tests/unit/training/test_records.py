from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from segma.errors import ModelError
from segma.training.records import (
    IMAGES,
    VIDEO,
    Record,
    Source,
    embedded,
    embedded_folder,
    read_record,
    write_record,
)


def record(name: str = "toy", **values: Any) -> Record:
    return Record(name=name, variant="v", recipe="r", sha256="0" * 64, **values)


def test_what_lacks_most_counts():
    scores = {"images": {"click1": 48, "click3": 75, "box": 80}, "video": {"jf": 45}}
    found = record(scores=scores)
    assert found.shortfall(IMAGES) == pytest.approx(0.2 / 3)
    assert (found.behind, found.distance) == (VIDEO, 0.25)
    assert record(scores={"video": {"jf": 99}}).behind == IMAGES  # what was never measured lacks all
    assert record(targets={}).distance == 0


def test_records_come_back_as_they_were(tmp_path: Path):
    given = record(
        data=(Source(name="pets", terms="CC BY 4.0"),),
        samples=12,
        minutes=1.5,
        scores={"video": {"jf": 45.5}},
        history=({"why": "the mean rose"},),
        notes={"limits": ["small things"]},
    )
    assert read_record(write_record(given, tmp_path)) == given


def test_the_furthest_comes_first(tmp_path: Path):
    write_record(record("near", scores={"images": {"click1": 60, "click3": 75, "box": 75}}), tmp_path)
    write_record(record("far", targets={"video": {"jf": 60}}, scores={"video": {"jf": 12}}), tmp_path)
    write_record(record("done", targets={}), tmp_path)
    for name in ("near", "far", "done"):
        (tmp_path / f"{name}.safetensors").touch()
    assert [each.name for each in embedded(tmp_path)] == ["near", "far", "done"]  # no video at all: 100 %
    (tmp_path / "far.safetensors").unlink()
    with pytest.raises(ModelError, match=r"far\.json has no far\.safetensors"):
        embedded(tmp_path)


def test_the_records_in_the_package_make_sense():
    for each in embedded(embedded_folder()):
        assert each.name and each.distance >= 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sha256": None}, "is no str"),
        ({"samples": "many"}, "is no int"),
        ({"minutes": -1}, "no number from 0 on"),
        ({"minutes": float("nan")}, "no number from 0 on"),
        ({"scores": {"sound": {"x": 1}}}, "neither images nor video"),
        ({"scores": {"video": {"jf": True}}}, "no number"),
        ({"scores": [1]}, "scores are no object"),
        ({"data": [{"terms": "CC0"}]}, "name is not given"),
        ({"history": [3]}, "is no object"),
        ({"weights": "x"}, "an unknown field weights"),
        ({"name": "other"}, "it names 'other'"),
    ],
)
def test_nonsense_is_refused(tmp_path: Path, change: dict[str, Any], message: str):
    path = tmp_path / "toy.json"
    path.write_text(json.dumps(record().to_dict() | change))
    with pytest.raises(ModelError, match=message):
        read_record(path)


@pytest.mark.parametrize("text", ["", "[]", "{", "[" * 100_000, "\x00"])
def test_what_is_no_json_object_is_refused(tmp_path: Path, text: str):
    path = tmp_path / "toy.json"
    path.write_text(text)
    with pytest.raises(ModelError, match="no record of a model"):
        read_record(path)
