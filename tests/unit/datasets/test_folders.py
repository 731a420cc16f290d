from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from stubs.labelled import SIZE, picture_bytes, rle, square

from segma.datasets import catalog, coco, davis, folder, sa1b, sav, youtube_vos
from segma.datasets.report import ReadReport
from segma.errors import FormatError, InputError
from segma.media.image import read_picture

Save = Callable[..., Path]

IDS = square(0, 0).astype(np.uint8) + 2 * square(3, 3).astype(np.uint8)
NONE = np.zeros(SIZE, np.uint8)


def read(name: str, root: Path, **options: Any) -> tuple[list[Any], ReadReport]:
    report = ReadReport()
    return list(catalog.read(name, root, report=report, **options)), report


def areas(sample: Any) -> dict[int, int]:
    return {each.object_id: each.mask.area for each in sample.objects}


def tracks(sample: Any) -> dict[int, dict[int, int]]:
    return {
        each.object_id: {frame: mask.area for frame, mask in each.masklet.masks.items()}
        for each in sample.objects
    }


def sa1b_json(*objects: Mapping[str, Any], **image: Any) -> dict[str, Any]:
    row = {"image_id": 1, "width": 8, "height": 6, "file_name": "", **image}
    return {"image": row, "annotations": [{"id": n, **each} for n, each in enumerate(objects, 1)]}


def test_sa1b(save: Save, tmp_path: Path):
    good = {"segmentation": rle(square(0, 0)), "predicted_iou": 0.9}
    save("sa_0/sa_1.png")
    save("sa_0/sa_1.json", sa1b_json(good, good, file_name="sa_1.png"))
    save("sa_1/sa_2.jpg")
    wrong = (
        {"segmentation": rle(square(0, 0, size=(8, 6)))},
        {"segmentation": {"size": [6, 8], "counts": [3]}},
    )
    save("sa_1/sa_2.json", sa1b_json(*wrong, {"segmentation": rle(NONE > 0)}, good))
    save("sa_1/sa_3.json", sa1b_json(good))
    save("sa_1/sa_4.json", b"{")
    save("sa_1/sa_4.jpg", b"no picture")
    save("sa_1/sa_5.json", sa1b_json(good))
    save("sa_1/sa_5.jpg", b"no picture")
    save("sa_1/sa_6.json", sa1b_json(good, good, width=9, height=9))
    assert catalog.detect(tmp_path) == "sa1b"
    (first, second), report = read("sa1b", tmp_path)
    assert areas(first) == {1: 4, 2: 4} and areas(second) == {4: 4}
    assert read_picture(first.picture).shape == (*SIZE, 3) and first.source == "sa1b"
    assert second.picture.path.name == "sa_2.jpg", "found by its name where the file does not say it"
    assert report.counts == {"broken labels": 5, "empty object": 1, "unreadable picture": 3}
    assert report.examples["broken labels"][0].startswith("sa_2.json (annotations[0]): the mask's size")


def test_a_picture_of_another_size_takes_its_masks_with_it(save: Save, tmp_path: Path):
    good = {"segmentation": rle(square(0, 0))}
    save("a.json", sa1b_json(good, good))
    save("a.png", np.zeros((8, 6, 3), np.uint8))
    save("b.json", sa1b_json(good))
    turned = Image.Exif()
    turned[0x0112] = 6
    save("b.jpg", np.zeros((8, 6, 3), np.uint8), exif=turned)
    found, report = read("sa1b", tmp_path)
    assert [each.picture.path.name for each in found] == ["b.jpg"], "upright it has the size of its masks"
    assert read_picture(found[0].picture).shape == (*SIZE, 3)
    assert report.counts == {"size": 2}


def coco_json(count: int = 2, **more: Any) -> dict[str, Any]:
    images = [{"id": n, "width": 8, "height": 6, "file_name": f"{n}.jpg"} for n in range(count)]
    box = {"category_id": 3, "iscrowd": 0}
    rows = [{"id": n, "image_id": n, "segmentation": [[0, 0, 3, 0, 3, 2, 0, 2]], **box} for n in range(count)]
    return {"images": images, "annotations": rows, "categories": [{"id": 3, "name": "cat"}], **more}


@pytest.mark.parametrize(
    ("file", "pictures"),
    [
        ("annotations/instances_val2017.json", "val2017"),
        ("annotations/instances_val2017.json", "images/val2017"),
        ("annotations/instances_default.json", "images"),
        ("valid/_annotations.coco.json", "valid"),
        ("labels.json", "images"),
        ("labels.json", "."),
    ],
)
def test_coco_wherever_its_pictures_are(save: Save, tmp_path: Path, file: str, pictures: str):
    save(file, coco_json(3))
    save(
        "annotations/captions_val2017.json", {"images": [], "annotations": []}
    ) if "val2017" in file else None
    for name in "01":
        save(f"{pictures}/{name}.jpg")
    assert catalog.detect(tmp_path) == "coco"
    found, report = read("coco", tmp_path)
    assert [each.file_name for each in found] == ["0.jpg", "1.jpg"]
    assert all((tmp_path / pictures).samefile(each.picture.path.parent) for each in found)
    assert [(each.label, each.mask.area) for each in found[0].objects] == [("cat", 6)]
    assert found[0].source == tmp_path.name and report.counts == {"unreadable picture": 1}
    assert [each.image_id for each in coco.read(tmp_path / file)] == [0, 1]


def test_of_a_coco_file_broken_annotations_are_left_out(save: Save, tmp_path: Path):
    document = coco_json(1)
    good, image = document["annotations"][0], {"image_id": 0}
    bad = [
        {**good, "id": 7, "segmentation": [[0, 0, 1]]},
        {**good, "id": 8, "segmentation": rle(square(0, 0, size=(8, 6)))},
        {**good, "id": 9, "image_id": 44},
        {**good, **image, "id": 10, "segmentation": [[0, 0, 0.1, 0, 0.1, 0.1]]},
        good,
    ]
    save("x.json", {**document, "annotations": [good, *bad]})
    save("0.jpg")
    (sample,), report = read("coco", tmp_path)
    assert areas(sample) == {0: 6}
    assert report.counts == {"broken labels": 4, "empty object": 1}, "an id twice is broken too"
    save("x.json", {"images": [3], "annotations": [], "categories": []})
    with pytest.raises(FormatError, match=r"x\.json line 1 \(images\[0\]\)"):
        list(coco.read(tmp_path))


def test_of_several_coco_files_one_split(save: Save, tmp_path: Path):
    for split in ("train", "valid"):
        save(f"{split}/_annotations.coco.json", coco_json(1))
        save(f"{split}/0.jpg")
    assert len(list(coco.read(tmp_path))) == 2
    (only,) = coco.read(tmp_path, split="valid")
    assert only.picture is not None and only.picture.path.parent.name == "valid"


def test_davis(save: Save, tmp_path: Path):
    for video in ("a", "b", "c", "d"):
        for frame, ids in enumerate((IDS, NONE)):
            save(f"Annotations/480p/{video}/{frame:05d}.png", ids, palette=True)
            save(f"JPEGImages/480p/{video}/{frame:05d}.jpg", 30 * frame)
    save("Annotations/480p/b/00001.png", b"no picture")
    save("JPEGImages/480p/c/00001.jpg", b"")
    (tmp_path / "JPEGImages/480p/d").rename(tmp_path / "away")
    save("ImageSets/2017/val.txt", b"c\na\n")
    assert catalog.detect(tmp_path) == "davis"
    (sample,), report = read("davis", tmp_path)
    assert sample.name == "a" and sample.source == "davis"
    assert tracks(sample) == {1: {0: 4, 1: 0}, 2: {0: 4, 1: 0}}
    assert [int(read_picture(each).mean().round()) for each in sample.pictures] == [0, 30]
    assert report.counts == {"broken labels": 1, "unreadable picture": 2}
    assert [each.name for each in davis.read(tmp_path, split="2017/val")] == ["a"]


def test_youtube_vos(save: Save, tmp_path: Path):
    objects = {"1": {"category": "ape", "frames": ["00000"]}, "2": {"category": "owl"}, "3": {"frames": []}}
    save("train/meta.json", {"videos": {"v": {"objects": objects}, "w": {"objects": []}}})
    for video in "vw":
        save(f"train/Annotations/{video}/00000.png", IDS, palette=True)
        save(f"train/JPEGImages/{video}/00000.jpg")
        save(f"train/JPEGImages/{video}/00005.jpg")
    assert catalog.detect(tmp_path) == catalog.detect(tmp_path / "train") == "youtube_vos"
    for root in (tmp_path, tmp_path / "train"):
        (sample,), report = read("youtube_vos", root)
        assert [(each.object_id, each.label) for each in sample.objects] == [(1, "ape"), (2, "owl")]
        assert len(sample.pictures) == 2 and tracks(sample) == {1: {0: 4}, 2: {0: 4}}
        assert report.counts == {"broken labels": 1, "empty object": 1}
    (tmp_path / "train/meta.json").unlink()  # as MOSE
    assert [each.name for each in youtube_vos.read(tmp_path)] == ["v", "w"]


def sav_json(video: str, *rows: Any) -> dict[str, Any]:
    return {
        "video_id": video, "video_duration": 0.25, "video_frame_count": 6.0, "video_height": 6.0,
        "video_width": 8.0, "masklet": list(rows), "masklet_id": [0, 1], "masklet_type": ["manual"] * 2,
    }  # fmt: skip


def test_sav_with_videos(save: Save, tmp_path: Path):
    rows = [rle(square(0, 0)), rle(NONE > 0)], [rle(NONE > 0), None]
    save("sav_000/sav_1_manual.json", sav_json("sav_1", *rows))
    save("sav_000/sav_1_auto.json", b"[]")
    save("sav_000/sav_1.mp4", b"not looked at")
    save("sav_000/sav_2_manual.json", sav_json("sav_2", *rows))
    assert catalog.detect(tmp_path) == "sav"
    (sample,), report = read("sav", tmp_path)
    assert tracks(sample) == {0: {0: 4, 4: 0}} and sample.num_frames == 6 and sample.pictures == ()
    assert Path(str(sample.attributes["video"])).samefile(tmp_path / "sav_000/sav_1.mp4")
    assert sample.video == tmp_path / "sav_000/sav_1.mp4"
    assert sample.attributes["kind"] == "manual" and sample.source == "sav"
    assert report.counts == {"broken labels": 1, "unreadable picture": 1, "empty object": 1}


def test_sav_with_pictures(save: Save, tmp_path: Path):
    for video in ("one", "two"):
        save(f"Annotations_6fps/{video}/003/00004.png", square(1, 1).astype(np.uint8) * 255)
        for frame in range(5):
            save(f"JPEGImages_24fps/{video}/{frame:05d}.jpg", 20 * frame)
    save("Annotations_6fps/two/x/00004.png", NONE)
    save("sav_val.txt", b"one\n")
    assert catalog.detect(tmp_path) == "sav"
    (sample,), report = read("sav", tmp_path)
    assert tracks(sample) == {3: {4: 4}} and len(sample.pictures) == 5
    assert report.counts == {"broken labels": 1}
    assert [each.name for each in sav.read(tmp_path, split="sav_val")] == ["one"]


def test_a_folder_with_masks_beside_the_pictures(save: Save, tmp_path: Path):
    save("a.jpg")
    save("a.png", square(0, 0).astype(np.uint8) * 255)
    save("b_2.jpg")
    save("b_2_cat_1.png", square(0, 0).astype(np.uint8))
    save("b_2_cat_2.png", square(2, 2, 3).astype(np.uint8))
    save("b_2_3.png", square(3, 3, 1).astype(np.uint8))
    save("c.png")
    save("c_mask.png", IDS, palette=True)
    save("c_10.png")
    assert catalog.detect(tmp_path) == "folder"
    found, report = read("folder", tmp_path)
    assert {each.file_name: areas(each) for each in found} == {
        "a.jpg": {1: 4},
        "b_2.jpg": {1: 1, 2: 4, 3: 9},
        "c.png": {1: 4, 2: 4},
    }
    assert [each.label for each in found[1].objects] == [None, "cat", "cat"]
    assert found[0].source == tmp_path.name and not report.skipped


def test_a_folder_with_a_folder_of_masks(save: Save, tmp_path: Path):
    for name in ("a.png", "a_1.png", "b.jpg", "c.jpg", "unlabelled.jpg", "broken.jpg"):
        save(f"images/{name}", b"" if name == "broken.jpg" else 50)
    save("masks/a.png", NONE)
    save("masks/a_1.png", square(0, 0, 3).astype(np.uint8) * 255)
    save("masks/b/0.png", square(0, 0).astype(np.uint8) * 255)
    save("masks/b/1.png", np.zeros((8, 6), np.uint8))
    save("masks/b/2.png", b"no picture")
    save("masks/c_mask.png", IDS)
    save("masks/broken.png", IDS)
    assert catalog.detect(tmp_path) == "folder"
    found, report = read("folder", tmp_path)
    assert {each.file_name: areas(each) for each in found} == {
        "a.png": {},
        "a_1.png": {1: 9},
        "b.jpg": {1: 4},
        "c.jpg": {1: 4, 2: 4},
    }
    assert report.counts == {"empty object": 1, "size": 1, "broken labels": 1, "unreadable picture": 1}
    assert report.examples["size"] == ["b/1.png"]


COLOURS = np.stack([IDS == 1, IDS == 2, IDS == 2], -1).astype(np.uint8) * np.uint8(200)
SHADES = np.clip(np.arange(48).reshape(SIZE) * 6, 0, 255).astype(np.uint8)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (IDS * np.uint8(255 // 2), [4, 4]),
        (np.where(square(3, 3), np.uint8(255), IDS), [4]),
        (np.where(IDS == 2, np.uint8(2), np.uint8(0)), [4]),
        (IDS.astype(np.uint16) * 300, [4, 4]),
        (COLOURS, [4, 4]),
        (np.repeat(SHADES[..., None], 3, 2), [int((SHADES > 127).sum())]),
        (SHADES, [int((SHADES > 127).sum())]),
        (square(0, 0), [4]),
    ],
    ids=["grey", "void", "one id", "16 bits", "colours", "shades in RGB", "shades", "one bit"],
)
def test_masks_are_drawn_in_many_ways(save: Save, tmp_path: Path, values: np.ndarray, expected: list[int]):
    save("a.jpg")
    save("a.png", values)
    (sample,) = folder.read(tmp_path)
    assert sorted(areas(sample).values()) == expected


def test_a_folder_with_annotations_as_json(save: Save, tmp_path: Path):
    save("images/a.jpg")
    save("images/a.json", sa1b_json({"segmentation": rle(square(0, 0))}))
    (sample,) = folder.read(tmp_path)
    assert areas(sample) == {1: 4} and sample.source == tmp_path.name
    save("images/0.jpg")
    save("labels.json", coco_json(1))
    (sample,) = folder.read(tmp_path)
    assert areas(sample) == {0: 6}


@pytest.mark.parametrize("name", list(catalog.DATASETS))
def test_every_layout_says_what_it_wants(tmp_path: Path, save: Save, name: str):
    save("photo.jpg" if catalog.entry(name).labelled else "notes.json", picture_bytes())
    with pytest.raises(InputError, match="Wanted: ") as caught:
        catalog.read(name, tmp_path)
    assert "\n" not in str(caught.value)


def test_detect_lists_what_it_looked_for(tmp_path: Path, save: Save):
    save("photo.jpg", picture_bytes())
    save("notes.json", {"photo": "a cat"})
    with pytest.raises(InputError, match=r"no known layout.*webdataset.*SA-1B.*masks"):
        catalog.detect(tmp_path)
    with pytest.raises(InputError, match="no such folder"):
        catalog.detect(tmp_path / "nowhere")
    with pytest.raises(InputError, match="No data set 'coca'"):
        catalog.read("coca", tmp_path)


def test_a_large_sa1b_file_is_no_coco(save: Save, tmp_path: Path):
    objects = [{"segmentation": rle(square(0, 0)), "point_coords": [[1.0, 2.0]] * 200} for _ in range(100)]
    path = save("a.json", sa1b_json(*objects))
    save("a.jpg")
    assert path.stat().st_size > 1 << 17
    assert catalog.detect(tmp_path) == "sa1b" and len(list(sa1b.read(tmp_path))) == 1
    large = coco_json(3000)
    path.write_text(json.dumps(large))
    assert catalog.detect(tmp_path) == catalog.detect(path) == "coco"
