from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from stubs import labelled
from stubs.shapes_folder import write_shapes

from segma.errors import InputError
from segma.training.data import read_parts, read_samples


def write_shard(path: Path, files: Mapping[str, bytes]) -> Path:
    with tarfile.open(path, "w") as archive:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return path


def names(samples: Sequence[object]) -> set[str]:
    return {getattr(sample, "file_name", "") for sample in samples}


def test_a_share_of_a_folder_is_kept_and_stays_nearly_the_same(tmp_path: Path) -> None:
    folder = write_shapes(tmp_path / "mine", 20)
    parts = read_parts([folder], "train", 0.25)
    train, kept = names(parts.train.pictures), names(parts.kept.pictures)
    assert (len(train), len(kept)) == (15, 5)
    assert not train & kept
    (folder / "photo3.jpg").unlink()
    again = names(read_parts([folder], "train", 0.25).kept.pictures)
    assert len(again - kept) <= 1


@pytest.mark.parametrize(("count", "share", "kept"), [(2, 0.01, 1), (2, 0.99, 1), (1, 0.5, 0), (4, 0, 0)])
def test_at_least_one_picture_is_on_either_side(
    tmp_path: Path, count: int, share: float | int, kept: int
) -> None:
    parts = read_parts([write_shapes(tmp_path / "mine", count)], "train", share)
    assert (len(parts.train.pictures), len(parts.kept.pictures)) == (count - kept, kept)


def test_data_that_say_what_to_keep_are_parted_so(tmp_path: Path) -> None:
    mask = labelled.square(1, 2)
    photos = {name: labelled.photo(labelled.thing(mask), ident=name) for name in ("a", "b", "c")}
    write_shard(
        tmp_path / "made-0.tar",
        {f"{name}.json": json.dumps(row).encode() for name, row in photos.items()}
        | {f"{name}.png": labelled.picture_bytes() for name in photos},
    )
    (tmp_path / "index.json").write_text(json.dumps([{"source": "made", "tune": ["b"]}]))
    parts = read_parts([tmp_path], "train", 0.5)
    assert [len(parts.train.pictures), len(parts.kept.pictures)] == [2, 1]
    assert "b" in next(iter(names(parts.kept.pictures)))


def test_a_broken_shard_and_an_empty_object_are_counted(tmp_path: Path) -> None:
    mask = labelled.square(1, 2)
    row = labelled.photo(labelled.thing(mask), labelled.thing(mask & False))
    files = {"a.json": json.dumps(row).encode(), "a.png": labelled.picture_bytes()}
    whole = write_shard(tmp_path / "made-0.tar", files)
    (tmp_path / "made-1.tar").write_bytes(whole.read_bytes()[:700])
    report = read_parts([tmp_path], "train", 0.0).train.report
    assert report.counts["broken shard"] == 1
    assert report.counts["empty object"] == 1
    assert "broken shard" in report.summary()


def test_a_folder_without_labels_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no known layout"):
        read_samples(tmp_path)
    with pytest.raises(InputError, match="held_out is 1"):
        read_parts([tmp_path], "train", 1)
