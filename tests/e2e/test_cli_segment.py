"""`segma segment`: prompts in, every kind of output out, one line or JSON object a picture."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from segma.formats import coco, png, sa1b
from segma.masks.mask import Mask
from segma.media.image import read_mask

Segma = Callable[..., Any]  # conftest's Ended
POINT = ("--point", "40,30")


def shape(path: Path) -> tuple[str, tuple[int, int]]:
    """Mode and size of a picture file."""
    with Image.open(path) as image:
        return image.mode, image.size


def dense(record: dict[str, Any]) -> np.ndarray:
    return Mask.from_coco(record["segmentation"]).dense()


def test_a_mask_is_written_beside_the_source(segma: Segma, toy: Path, photo: Path) -> None:
    done = segma("segment", photo, *POINT, "--model", toy)
    assert done.code == 0
    assert done.out.startswith(f"{photo}  1 mask  predicted IoU ")
    assert done.out.count("\n") == 1
    saved = photo.with_name("photo.mask.png")
    assert f"saved {saved}   encode " in done.err
    assert "(cpu, toy)" in done.err
    assert shape(saved) == ("L", (90, 60))


def test_json_holds_the_mask_that_is_written(segma: Segma, toy: Path, photo: Path, tmp_path: Path) -> None:
    target = tmp_path / "out.png"
    done = segma("segment", photo, *POINT, "--model", toy, "--json", "-o", target)
    [answer] = done.objects
    assert (answer["source"], answer["output"], answer["model"]) == (str(photo), str(target), "toy")
    assert np.array_equal(dense(answer["masks"][0]), read_mask(target))


def test_json_alone_writes_no_file(segma: Segma, toy: Path, photo: Path) -> None:
    done = segma("segment", photo, *POINT, "--model", toy, "--json", "--quiet")
    assert (done.code, done.err) == (0, "")
    assert done.objects[0]["output"] is None
    assert list(photo.parent.iterdir()) == [photo]


@pytest.mark.parametrize(
    "name", ["x.overlay.png", "x.overlay.jpg", "x.cutout.png", "x.sheet.png", "x.sheet.webp", "x.cutout.webp"]
)
def test_pictures_by_name(segma: Segma, toy: Path, photo: Path, tmp_path: Path, name: str) -> None:
    assert segma("segment", photo, *POINT, "--model", toy, "-o", tmp_path / name).code == 0
    mode, size = shape(tmp_path / name)
    assert mode == ("RGBA" if "cutout" in name else "RGB")
    assert size == (90, 60) or "sheet" in name


@pytest.mark.parametrize("name", ["x.coco.json", "x.sa1b.json", "x.json"])
def test_annotations_by_name(segma: Segma, toy: Path, photo: Path, tmp_path: Path, name: str) -> None:
    done = segma("segment", photo, *POINT, "--model", toy, "--json", "-o", tmp_path / name)
    [sample] = (coco if "coco" in name else sa1b).read(tmp_path / name)
    assert (sample.file_name, sample.size) == ("photo.png", (60, 90))
    assert np.array_equal(sample.objects[0].mask.dense(), dense(done.objects[0]["masks"][0]))


def test_a_table(segma: Segma, toy: Path, photo: Path, tmp_path: Path) -> None:
    done = segma("segment", photo, *POINT, "--model", toy, "--json", "-o", tmp_path / "x.csv")
    [row] = csv.DictReader((tmp_path / "x.csv").read_text().splitlines())
    assert (row["file"], int(row["area_pixels"])) == ("photo.png", done.objects[0]["masks"][0]["area"])


def test_a_folder_of_masks(segma: Segma, toy: Path, photo: Path, tmp_path: Path) -> None:
    done = segma(
        "segment", photo, *POINT, "--model", toy, "-o", tmp_path / "out", "--format", "masks", "--json"
    )
    [sample] = png.read(tmp_path / "out" / "photo")
    assert np.array_equal(sample.objects[0].mask.dense(), dense(done.objects[0]["masks"][0]))


@pytest.mark.parametrize(("kind", "name"), [("overlay", "photo.overlay.png"), ("masks", "photo.masks")])
def test_format_names_the_file_beside_the_source(
    segma: Segma, toy: Path, photo: Path, kind: str, name: str
) -> None:
    assert segma("segment", photo, *POINT, "--model", toy, "--format", kind).code == 0
    assert photo.with_name(name).exists()


def test_candidates_come_best_first(segma: Segma, toy: Path, photo: Path) -> None:
    done = segma("segment", photo, *POINT, "--model", toy, "--candidates", 3, "--json")
    qualities = [record["predicted_iou"] for record in done.objects[0]["masks"]]
    assert len(qualities) == 3
    assert qualities == sorted(qualities, reverse=True)


def test_several_objects_become_ids(segma: Segma, toy: Path, photo: Path, tmp_path: Path) -> None:
    prompts = tmp_path / "p.json"
    prompts.write_text(json.dumps([{"points": [[40, 30]]}, {"box": [60, 5, 80, 20]}]))
    done = segma("segment", photo, "--prompts", prompts, "--model", toy, "-o", tmp_path / "ids.png")
    assert done.out.splitlines()[0] == f"{photo}  2 masks"
    assert len(done.out.splitlines()) == 3
    assert shape(tmp_path / "ids.png")[0] == "P"


def test_prompts_of_each_picture(
    segma: Segma, toy: Path, picture: Callable[..., Path], tmp_path: Path
) -> None:
    folder = tmp_path / "photos"
    for name in ("1.png", "2.png", "10.png"):
        picture(folder / name)
    prompts = tmp_path / "p.json"
    prompts.write_text(
        json.dumps(
            {"1.png": {"points": [[4, 3]]}, "2.png": [{"box": [1, 2, 30, 40]}] * 2, "0.png": {}}
        ).replace("{}", '{"text": "a cup"}')
    )
    assert segma("segment", folder, "--prompts", prompts, "--model", toy).code == 2, "text is unsupported"
    prompts.write_text(prompts.read_text().replace('{"text": "a cup"}', '{"points": [[4, 3]]}'))
    done = segma("segment", folder, "--prompts", prompts, "--model", toy, "--json")
    assert [len(answer["masks"]) for answer in done.objects] == [1, 2]
    assert done.code == 1
    assert "note: p.json names 0.png, which is not among the pictures" in done.err
    assert "p.json has no prompts for 10.png. Add them under that name. [prompt.empty]" in done.err


def test_a_rough_mask(segma: Segma, toy: Path, photo: Path, tmp_path: Path) -> None:
    rough = tmp_path / "rough.png"
    Image.fromarray(np.pad(np.full((30, 40), 255, np.uint8), ((15, 15), (25, 25)))).save(rough)
    (tmp_path / "p.json").write_text('{"mask": "rough.png", "points": [[40, 30]]}')
    plain = segma("segment", photo, *POINT, "--model", toy, "--json").objects[0]["masks"]
    given = segma("segment", photo, *POINT, "--mask", rough, "--model", toy, "--json").objects[0]["masks"]
    file = segma("segment", photo, "--prompts", tmp_path / "p.json", "--model", toy, "--json")
    assert given == file.objects[0]["masks"]
    assert given != plain
    Image.fromarray(np.zeros((60, 91), np.uint8)).save(rough)
    wrong = segma("segment", photo, "--mask", rough, "--model", toy)
    assert wrong.code == 2
    assert "The mask rough.png is 91x60, the picture 90x60. [prompt.shape]" in wrong.err


def test_normalized_coordinates(segma: Segma, toy: Path, photo: Path) -> None:
    pixels = segma("segment", photo, "--point", "44.5,29.5", "--model", toy, "--json").objects
    shares = segma("segment", photo, "--point", "0.5,0.5", "--normalized", "--model", toy, "--json").objects
    assert [row["segmentation"] for row in pixels[0]["masks"]] == [
        row["segmentation"] for row in shares[0]["masks"]
    ]


def test_boxes_and_exclude_points_matter(segma: Segma, toy: Path, photo: Path) -> None:
    def mask(*prompt: str) -> object:
        return segma("segment", photo, *prompt, "--model", toy, "--json").objects[0]["masks"][0]

    answers = [mask(*POINT), mask(*POINT, "--point", "5,5:-"), mask("--box", "20,10,60,50")]
    assert answers[0] != answers[1] != answers[2]


@pytest.mark.parametrize("name", ["a b.png", "снимок 写真.png", "[1] 50%.png", "-x.png"])
def test_names_with_spaces_and_letters_of_the_world(
    segma: Segma, toy: Path, picture: Callable[..., Path], tmp_path: Path, name: str
) -> None:
    path = picture(tmp_path / "my föld er" / name)
    done = segma("segment", path, *POINT, "--model", toy, "-q", "-o", path.parent / "ö ut.overlay.png")
    assert (done.code, done.err) == (0, "")
    assert (path.parent / "ö ut.overlay.png").is_file()


def test_a_name_that_is_no_text(
    segma: Segma, toy: Path, picture: Callable[..., Path], tmp_path: Path
) -> None:
    path = picture(tmp_path / "plain.png").rename(tmp_path / "a\udcff.png")
    done = segma("segment", path, *POINT, "--model", toy)
    assert done.code == 0
    assert "\\udcff.png  1 mask" in done.out
    assert segma("segment", path, *POINT, "--model", toy, "--json").objects[0]["source"] == str(path)


def test_standard_input(segma: Segma, toy: Path, photo: Path, tmp_path: Path) -> None:
    data = photo.read_bytes()
    from_file = segma("segment", photo, *POINT, "--model", toy, "--json").objects[0]
    done = segma("segment", "-", *POINT, "--model", toy, "--json", "-o", f"{tmp_path}/out/", stdin=data)
    assert done.objects[0]["masks"] == from_file["masks"]
    assert (tmp_path / "out" / "stdin.mask.png").is_file()
    assert segma("segment", "-", *POINT, "--model", toy, stdin=data).code == 2, "it has no folder"
    assert segma("segment", "-", *POINT, "--model", toy, "--json").code == 3, "nothing came"


def test_globs_several_sources_and_names_that_differ_in_their_suffix(
    segma: Segma, toy: Path, picture: Callable[..., Path], tmp_path: Path
) -> None:
    for name in ("a.png", "a.jpg", "b.png"):
        picture(tmp_path / "in" / name)
    done = segma("segment", tmp_path / "in" / "a.*", tmp_path / "in" / "b.png", *POINT, "--model", toy)
    assert done.code == 0
    assert len(done.out.splitlines()) == 3
    written = {path.name for path in (tmp_path / "in").glob("*.mask.png")}
    assert written == {"a.png.mask.png", "a.jpg.mask.png", "b.mask.png"}


def test_our_own_results_are_no_sources(segma: Segma, toy: Path, photo: Path) -> None:
    for _ in range(2):
        done = segma("segment", photo.parent, *POINT, "--model", toy, "--overwrite", "--json", "-f", "mask")
        assert [answer["source"] for answer in done.objects] == [str(photo)]
    photo.unlink()
    assert segma("segment", photo.parent, *POINT, "--model", toy).code == 3


def test_addresses_need_permission(segma: Segma, toy: Path, photo: Path, web: str, tmp_path: Path) -> None:
    address = f"{web}/photo.png"
    refused = segma("segment", address, *POINT, "--model", toy, "--json")
    assert refused.code == 3
    assert "Add --allow-network, or download the file first. [input.network]" in refused.err
    done = segma("segment", address, *POINT, "--model", toy, "--allow-network", "-o", f"{tmp_path}/out/")
    assert done.code == 0
    assert done.out.startswith(f"{address}  1 mask")
    assert (tmp_path / "out" / "photo.mask.png").is_file()


@pytest.mark.parametrize("source", ["cam:0", "rtsp://10.0.0.1/live"])
def test_live_video_is_another_verb(segma: Segma, source: str) -> None:
    done = segma("segment", source, *POINT)
    assert done.code == 2
    assert "live video" in done.err
    assert "segma stream" in done.err


def test_video_files_are_another_verb(segma: Segma, tmp_path: Path) -> None:
    (tmp_path / "clip.mp4").write_bytes(b"\0\0\0\x18ftypmp42")
    done = segma("segment", tmp_path / "clip.mp4", *POINT)
    assert done.code == 3
    assert "clip.mp4 is a video. Of a video: segma track" in done.err


def test_the_default_model_says_where_its_card_is(
    start: Callable[..., Any], photo: Path, tmp_path: Path
) -> None:
    process = start("segment", photo, *POINT, "-o", tmp_path / "mask.png", "--threads", 1)
    out, err = (stream.decode() for stream in process.communicate(timeout=60))
    assert process.returncode == 0, err
    assert out.startswith(f"{photo}  1 mask  predicted IoU ")
    assert err.count("see its card") == 1
    assert (tmp_path / "mask.png").is_file()
