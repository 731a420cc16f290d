from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from segma.datasets import webdataset
from segma.datasets.shard_writer import ShardWriter, members_of, room_of, suffix_of
from segma.errors import InputError, StoreError
from segma.masks.mask import Mask, Masklet
from segma.samples import ImageSample, ObjectSample, PictureFile, Sentence, TrackSample, VideoSample

SIZE = (12, 16)
EMPTY = Mask(size=SIZE, offset=(0, 0), crop_size=(0, 0), counts=b"")


def box(x: int, y: int, w: int = 5, h: int = 4) -> Mask:
    dense = np.zeros(SIZE, bool)
    dense[y : y + h, x : x + w] = True
    return Mask.from_dense(dense)


def picture(folder: Path, name: str) -> PictureFile:
    path = folder / name
    Image.fromarray(np.full((*SIZE, 3), 90, np.uint8)).save(path)
    return PictureFile(path)


def photo(folder: Path) -> ImageSample:
    return ImageSample(
        file_name="a.jpg",
        size=SIZE,
        objects=(
            ObjectSample(object_id=7, mask=box(1, 1, 9, 9), label="cat"),
            ObjectSample(object_id=9, mask=box(2, 2), attributes={"part_of": 7, "area": 3, "stuff": True}),
            ObjectSample(object_id=11, mask=box(4, 3), attributes={"part_of": 8}),
        ),
        picture=picture(folder, "a.jpg"),
        source="pets",
        loose="edges",
    )


def clip(folder: Path, *, known: tuple[int, ...] = (0, 2, 3)) -> VideoSample:
    masks = {0: box(1, 1), 2: EMPTY, 3: box(3, 1)}
    return VideoSample(
        name="walk",
        size=SIZE,
        num_frames=4,
        fps=12.5,
        objects=(
            TrackSample(object_id=3, masklet=Masklet(size=SIZE, masks=masks), label="dog"),
            TrackSample(object_id=5, masklet=Masklet(size=SIZE, masks={t: box(t, 6) for t in known})),
        ),
        pictures=tuple(picture(folder, f"f{number}.webp") for number in range(4)),
        sentences=(Sentence("the dog", (3,)),),
        source="walks",
    )


def written(path: Path, *samples: ImageSample | VideoSample) -> list[ImageSample | VideoSample]:
    writer = ShardWriter(path)
    for number, sample in enumerate(samples):
        writer.add(members_of(sample, f"k{number}"))
    writer.close()
    assert path.stat().st_size <= writer.size
    return list(webdataset.read(path))


def test_a_photo_comes_back_with_its_masks_and_pixels(tmp_path: Path):
    given = photo(tmp_path)
    found = written(tmp_path / "x.tar", given)[0]
    assert isinstance(found, ImageSample)
    assert (found.size, found.source, found.loose) == (SIZE, "pets", "edges")
    assert [each.mask for each in found.objects] == [each.mask for each in given.objects]
    assert [each.label for each in found.objects] == ["cat", None, None]
    # objects are numbered by their places, and a whole that is not there is not named
    assert [dict(each.attributes) for each in found.objects] == [{}, {"part_of": 0, "stuff": True}, {}]
    where = found.picture
    assert where is not None and given.picture is not None and where.size is not None
    data = where.path.read_bytes()[where.offset : where.offset + where.size]
    assert data == given.picture.path.read_bytes()


def test_a_clip_comes_back_with_known_and_unknown_frames(tmp_path: Path):
    given = clip(tmp_path)
    found = written(tmp_path / "x.tar", given)[0]
    assert isinstance(found, VideoSample)
    assert (found.num_frames, found.fps, found.sentences) == (4, 12.5, given.sentences)
    assert [dict(each.masklet.masks) for each in found.objects] == [
        dict(each.masklet.masks) for each in given.objects
    ]


def test_frames_that_some_objects_are_unknown_on_are_not_labelled(tmp_path: Path):
    found = written(tmp_path / "x.tar", clip(tmp_path, known=(0, 1, 3)))[0]
    assert isinstance(found, VideoSample)
    assert {tuple(each.masklet.masks) for each in found.objects} == {(0, 3)}
    with pytest.raises(InputError, match="two frames"):
        members_of(clip(tmp_path, known=(1, 2)), "k")


def test_samples_without_pixels_are_refused(tmp_path: Path):
    given = photo(tmp_path)
    with pytest.raises(InputError, match="no picture"):
        members_of(ImageSample(file_name="a.jpg", size=SIZE), "k")
    assert given.picture is not None
    given.picture.path.unlink()
    with pytest.raises(InputError, match="cannot be read"):
        members_of(given, "k")
    with pytest.raises(InputError, match="every frame"):
        members_of(VideoSample(name="v", size=SIZE, num_frames=2), "k")


def test_a_shard_that_cannot_be_written_is_told(tmp_path: Path):
    with pytest.raises(StoreError):
        ShardWriter(tmp_path / "missing" / "x.tar")


def test_room_and_suffixes():
    assert room_of([("a", b""), ("b", b"x" * 513)]) == 512 + 512 + 1024
    assert [suffix_of(data) for data in (b"\xff\xd8\xff", b"RIFFxxxx", b"\x89PNG", b"")] == [
        ".jpg",
        ".webp",
        ".png",
        ".png",
    ]
