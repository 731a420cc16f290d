from __future__ import annotations

import json
import pickle
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from stubs.labelled import SIZE, photo, picture_bytes, rle, square, thing

from segma.datasets import webdataset
from segma.datasets.report import ReadReport
from segma.errors import FormatError, InputError
from segma.media.image import read_picture
from segma.samples import ImageSample, VideoSample

PICTURE = picture_bytes()

Shard = Callable[..., Path]


def read(root: Path, **options: Any) -> tuple[list[Any], ReadReport]:
    report = ReadReport()
    return list(webdataset.read(root, report=report, **options)), report


def test_a_photo_says_where_its_pixels_are(shard: Shard, tmp_path: Path):
    whole, part = square(0, 0, 4), square(1, 1)
    objects = (thing(whole, annot=3), thing(part, part_of=0, stuff=True, multi=False, name=None))
    light = picture_bytes(suffix="WEBP", value=200)
    shard("photos/made-00.tar", {"0000.png": PICTURE, "0000.json": photo(*objects), "sub/0001.webp": light})
    with_labels = photo(thing(part), source="other")
    shard("photos/made-01.tar", {"sub/0001.json": with_labels, "sub/0001.webp": light, "readme.txt": b"hi"})
    found, report = read(tmp_path)
    assert report.summary() == "skipped 1: 1 broken label (photos/made-00.tar/sub/0001: no JSON)"
    first, second = found
    assert first.file_name == "photos/made-00/0000.png" and second.file_name == "photos/made-01/sub/0001.webp"
    assert (first.source, second.source, first.size) == ("made", "other", SIZE)
    assert [each.object_id for each in first.objects] == [0, 1]
    assert [each.label for each in first.objects] == ["cup", None]
    assert dict(first.objects[0].attributes) == {"annot": 3}
    assert dict(first.objects[1].attributes) == {"part_of": 0, "stuff": True, "multi": False}
    assert (first.objects[0].mask.dense() == whole).all()
    again = pickle.loads(pickle.dumps(first))
    assert again == first and (read_picture(again.picture) == 90).all()
    assert abs(int(read_picture(second.picture).mean()) - 200) < 3


def test_a_clip(shard: Shard):
    masks = [{"1": rle(square(0, 0)), "7": rle(square(2, 2))}, None, {"1": rle(square(0, 1))}]
    labels = {
        "source": "film", "ident": "walk", "width": 8, "height": 6, "fps": 12.5, "frames": 3,
        "names": {"1": "dog"}, "masks": masks,
        "sentences": [{"obj": [1], "text": "the dog"}, {"obj": [], "text": "nothing"}],
    }  # fmt: skip
    frames = {f"0000.{t:03d}.png": picture_bytes(value=t * 50) for t in (2, 0, 1)}
    (clip,), report = read(shard("film-00.tar", {**frames, "0000.json": labels}))
    assert isinstance(clip, VideoSample) and not report.skipped
    assert (clip.name, clip.source, clip.num_frames, clip.fps) == ("walk", "film", 3, 12.5)
    assert [int(read_picture(picture)[0, 0, 0]) for picture in clip.pictures] == [0, 50, 100]
    dog, other = clip.objects
    assert (dog.object_id, dog.label, other.object_id, other.label) == (1, "dog", 7, None)
    assert list(dog.masklet.masks) == [0, 2], "a frame without labels was not annotated"
    assert list(other.masklet.masks) == [0, 2] and not other.masklet.masks[2].area, "absent where others are"
    assert [(each.text, each.object_ids) for each in clip.sentences] == [("the dog", (1,)), ("nothing", ())]


def test_an_index_says_what_is_loose_and_what_is_kept(shard: Shard, tmp_path: Path):
    for source, idents in {"a": "xy", "b": "x", "c": "xy"}.items():
        members: dict[str, Any] = {}
        for ident in idents:
            labels = photo(thing(square(0, 0)), source=source, ident=ident)
            members |= {f"{ident}.png": PICTURE, f"{ident}.json": labels}
        shard(f"photos/{source}-00.tar", members)
    index = [
        {"source": "a", "loose": None, "tune": False, "shards": [{"file": "photos/a-00.tar"}]},
        {"source": "b", "loose": "regions", "tune": True},
        {"source": "c", "tune": ["y"]},
    ]
    (tmp_path / "index.json").write_text(json.dumps(index))
    for root in (tmp_path, tmp_path / "photos"):
        names = {
            part: [f"{each.source}/{Path(each.file_name).stem}" for each in read(root, part=part)[0]]
            for part in ("train", "tune", "all")
        }
        assert names["train"] == ["a/x", "a/y", "c/x"] and names["tune"] == ["b/x", "c/y"]
        assert sorted(names["train"] + names["tune"]) == names["all"]
    assert [each.loose for each in webdataset.read(tmp_path / "photos/b-00.tar")] == ["regions"]
    assert not list(webdataset.read(tmp_path / "photos/a-00.tar", part="tune"))


def test_a_broken_index_is_no_licence_to_train_on_everything(shard: Shard, tmp_path: Path):
    shard("made.tar", {"0.png": PICTURE, "0.json": photo(thing(square(0, 0)))})
    index = tmp_path / "index.json"
    for text in (
        '[{"source": "made", "tune": tru',
        '[{"source": "made", "tune": 3}]',
        '[{"source": "made", "shards": 3}]',
        "[3]",
    ):
        index.write_text(text)
        with pytest.raises(FormatError, match=r"index\.json"):
            webdataset.read(tmp_path)
    for text in ('{"pages": []}', '[{"page": 1}]'):  # of something else
        index.write_text(text)
        assert len(list(webdataset.read(tmp_path, part="train"))) == 1


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (thing(np.zeros(SIZE, bool)), "empty object"),
        (thing(square(0, 0, size=(8, 6))), "size"),
        ({"segmentation": {"size": [6, 8], "counts": [40]}}, "broken labels"),
        ({"segmentation": {"size": [6, 8], "counts": [50, -10, 8]}}, "broken labels"),
        ({"segmentation": {"size": [6, 8], "counts": "\x00\xff"}}, "broken labels"),
        ({"segmentation": {"size": [6, 8], "counts": {"a": 1}}}, "broken labels"),
        ({"segmentation": {"size": [6, 1e400], "counts": "0"}}, "broken labels"),
        ({"segmentation": [[1, 2, 3]]}, "broken labels"),
        ({"name": "cup"}, "broken labels"),
        (None, "broken labels"),
    ],
)
def test_a_bad_object_is_dropped_and_the_others_stay(shard: Shard, bad: Any, reason: Any):
    good, part = thing(square(0, 0)), thing(square(3, 3), part_of=0)
    path = shard("made.tar", {"0.png": PICTURE, "0.json": photo(bad, good, part)})
    (sample,), report = read(path)
    assert report.counts == {reason: 1} and report.examples == {reason: ["made.tar/0.json"]}
    assert [each.object_id for each in sample.objects] == [1, 2]
    assert dict(sample.objects[1].attributes) == {}, "its whole was dropped"


@pytest.mark.parametrize(
    ("members", "reason"),
    [
        ({"0.json": photo()}, "unreadable picture"),
        ({"0.png": b"", "0.json": photo()}, "unreadable picture"),
        ({"0.png": PICTURE, "0.json": b"{"}, "broken labels"),
        ({"0.png": PICTURE, "0.json": b""}, "broken labels"),
        ({"0.png": PICTURE, "0.json": b"[" * 200_000}, "broken labels"),
        ({"0.png": PICTURE, "0.json": []}, "broken labels"),
        ({"0.png": PICTURE, "0.json": {"width": 8, "height": 6}}, "broken labels"),
        ({"0.png": PICTURE, "0.json": photo(width=0)}, "broken labels"),
        ({"0.png": PICTURE, "0.json": photo(width="8")}, "broken labels"),
        ({"0.png": PICTURE, "0.json": photo(width=10**9)}, "broken labels"),
        ({"0.0.png": PICTURE, "0.json": photo(masks=[None, None])}, "unreadable picture"),
        ({"0.0.png": b"", "0.json": photo(masks=[None])}, "unreadable picture"),
        ({"0.0.png": PICTURE, "0.json": photo(masks=[{"cat": {}}])}, "broken labels"),
        ({"0.0.png": PICTURE, "0.json": photo(masks=[[]])}, "broken labels"),
    ],
)
def test_a_bad_sample_is_left_out_and_the_next_is_read(shard: Shard, members: Any, reason: Any):
    good = {"1.png": PICTURE, "1.json": photo(thing(square(0, 0)))}
    found, report = read(shard("made.tar", {**members, **good}))
    assert [each.file_name for each in found] == ["made/1.png"] and report.counts == {reason: 1}


def test_bad_masks_of_a_clip_are_unknown_not_absent(shard: Shard):
    masks = [
        {"1": rle(square(0, 0)), "2": rle(square(0, 0, size=(8, 6)))},
        {"1": {"size": [6, 8], "counts": [9]}},
        {"1": None, "2": rle(np.zeros(SIZE, bool))},
    ]
    sentences = [{"obj": [2], "text": "gone"}, {"obj": [1], "text": "here"}, {"obj": [1]}]
    labels = photo(masks=masks, sentences=sentences, names={})
    frames = {f"0.{t}.png": PICTURE for t in range(3)}
    (clip,), report = read(shard("made.tar", {**frames, "0.json": labels}))
    (only,) = clip.objects
    assert {frame: mask.area for frame, mask in only.masklet.masks.items()} == {0: 4, 2: 0}
    assert report.counts == {"broken labels": 3, "size": 1, "empty object": 1}
    assert [each.text for each in clip.sentences] == ["here"], (
        "what meant a dropped object is not true any more"
    )


def shard_of(shard: Shard, count: int) -> bytes:
    members: dict[str, Any] = {}
    for number in range(count):
        members |= {f"{number}.png": PICTURE, f"{number}.json": photo(thing(square(0, 0)))}
    return shard("whole.tar", members).read_bytes()


@pytest.mark.parametrize("keep", [0.05, 0.4, 0.55, 0.83])
def test_of_a_truncated_shard_what_is_there_is_read(shard: Shard, tmp_path: Path, keep: float):
    data = shard_of(shard, 4)
    (tmp_path / "whole.tar").write_bytes(data[: int(data.rindex(b"ustar") * keep) + 100])
    found, report = read(tmp_path)
    assert [each.file_name for each in found] == [f"whole/{number}.png" for number in range(len(found))]
    assert report.counts == {"broken shard": 1} and len(found) < 4
    assert all(read_picture(each.picture).shape == (*SIZE, 3) for each in found)


def test_other_broken_shards(shard: Shard, tmp_path: Path, caplog: pytest.LogCaptureFixture):
    data = bytearray(shard_of(shard, 3))
    second = data.index(b"1.png")
    data[second : second + 400] = b"\xa5" * 400  # tarfile alone would take this for the end
    (tmp_path / "whole.tar").write_bytes(data)
    for name, content in {"a": b"", "b": b"no tar at all" * 99, "c": b"\x1f\x8b" + bytes(99)}.items():
        (tmp_path / f"{name}.tar").write_bytes(content)
    (tmp_path / "d.tar").mkdir()
    found, report = read(tmp_path)
    assert [each.file_name for each in found] == ["whole/0.png"]
    assert report.counts == {"broken shard": 4} and report.examples["broken shard"] == [
        "a.tar",
        "b.tar",
        "c.tar",
    ]
    assert len(list(webdataset.read(tmp_path))) == 1
    assert "skipped 4: 4 broken shards (a.tar, b.tar, c.tar, ...)" in caplog.text


def test_random_damage_never_stops_the_reader(shard: Shard, tmp_path: Path):
    data = shard_of(shard, 3)
    rng = np.random.default_rng(5)
    counts: Counter[int] = Counter()
    for _ in range(150):
        hurt = bytearray(data)
        for place in rng.integers(0, len(data), rng.integers(1, 6)):
            hurt[place] = rng.integers(256)
        (tmp_path / "whole.tar").write_bytes(hurt)
        found, report = read(tmp_path)
        counts[len(found)] += 1
        assert len(found) == 3 or report.skipped
    assert counts[3] and sum(counts.values()) > counts[3]


def test_no_shards(tmp_path: Path):
    with pytest.raises(InputError, match=r"no shards.*<key>\.json"):
        webdataset.read(tmp_path)
    with pytest.raises(InputError, match="no such file"):
        webdataset.read(tmp_path / "nowhere")


def test_realtrain(shared: Path):
    root = shared / "realtrain"
    samples, report = read(root / "clips")
    assert not report.skipped and len(samples) == 101
    assert sum(each.num_frames for each in samples) == 3100
    assert sum(len(each.objects) for each in samples) == 279
    assert sum(len(each.sentences) for each in samples) == 82
    tune, report = read(root, part="tune")
    photos = [each for each in tune if isinstance(each, ImageSample)]
    assert len(photos) == 945 and sum(len(each.objects) for each in photos) == 2289
    assert len(tune) - len(photos) == 8 and not report.skipped
    assert len({each.source for each in photos}) == 10
    places = [(each.size, each.picture) for each in photos[::97]]
    places += [(clip.size, picture) for clip in samples[::25] for picture in clip.pictures[::20]]
    assert all(picture and read_picture(picture).shape == (*size, 3) for size, picture in places)


@pytest.mark.slow
def test_all_photos_of_realtrain(shared: Path):
    samples, report = read(shared / "realtrain/photos")
    assert (len(samples), sum(len(each.objects) for each in samples)) == (11_873, 65_768)
    assert len({each.source for each in samples}) == 115 and not report.skipped
    assert len({each.file_name for each in samples}) == len(samples)
    assert sum("part_of" in each.attributes for sample in samples for each in sample.objects) > 5000
