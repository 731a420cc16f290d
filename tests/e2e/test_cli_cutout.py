"""`segma cutout`: alpha, colours, blur and pictures behind the object."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from segma.masks.mask import Mask

Segma = Callable[..., Any]  # conftest's Ended
POINT = ("--point", "40,30")


@pytest.fixture
def cut(segma: Segma, toy: Path, photo: Path, tmp_path: Path) -> Callable[..., np.ndarray]:
    """The pixels of a cut-out with these options."""

    def run(*options: object, name: str = "out.png") -> np.ndarray:
        target = tmp_path / name
        done = segma("cutout", photo, *POINT, "--model", toy, "-o", target, "--overwrite", *options)
        assert done.code == 0, done.err
        return pixels(target)

    return run


@pytest.fixture
def mask(segma: Segma, toy: Path, photo: Path) -> np.ndarray:
    """The mask that is cut out."""
    answer = segma("segment", photo, *POINT, "--model", toy, "--json").objects[0]
    dense = Mask.from_coco(answer["masks"][0]["segmentation"]).dense()
    assert 0 < dense.sum() < dense.size
    return dense


def pixels(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.array(image)


def test_alpha_is_the_mask(segma: Segma, toy: Path, photo: Path, mask: np.ndarray) -> None:
    done = segma("cutout", photo, *POINT, "--model", toy)
    assert done.code == 0
    assert done.out.startswith(f"{photo}  cut out  predicted IoU ")
    found = pixels(photo.with_name("photo.cutout.png"))
    assert np.array_equal(found[..., 3] == 255, mask)
    assert np.array_equal(found[mask][:, :3], pixels(photo)[mask])


@pytest.mark.parametrize(
    ("text", "colour"), [("white", (255, 255, 255)), ("#Ff8001", (255, 128, 1)), ("green", (0, 177, 64))]
)
def test_colours(
    cut: Callable[..., np.ndarray], photo: Path, mask: np.ndarray, text: str, colour: tuple[int, int, int]
) -> None:
    found = cut("--background", text)
    assert (found[~mask] == colour).all()
    assert np.array_equal(found[mask], pixels(photo)[mask])


def test_blur_keeps_the_object_sharp(cut: Callable[..., np.ndarray], photo: Path, mask: np.ndarray) -> None:
    found, picture = cut("--background", "blur:6").astype(float), pixels(photo).astype(float)
    assert np.array_equal(found[mask], picture[mask])
    assert found[~mask].std() < 0.8 * picture[~mask].std()


def test_a_picture_behind(cut: Callable[..., np.ndarray], mask: np.ndarray, tmp_path: Path) -> None:
    Image.new("RGB", (30, 20), (9, 8, 7)).save(tmp_path / "bg.png")
    assert (cut("--background", f"image:{tmp_path / 'bg.png'}")[~mask] == (9, 8, 7)).all()


def test_edges_move_and_soften(cut: Callable[..., np.ndarray], mask: np.ndarray) -> None:
    assert (cut("--grow", -2)[..., 3] > 0).sum() < mask.sum() < (cut("--grow", 3)[..., 3] > 0).sum()
    levels = np.unique(cut("--feather", 6)[..., 3])
    assert len(levels) > 4


def test_other_picture_formats(
    cut: Callable[..., np.ndarray], segma: Segma, toy: Path, photo: Path, tmp_path: Path
) -> None:
    assert cut(name="x.webp").shape == (60, 90, 4)
    assert cut("--background", "white", name="x.jpg").shape == (60, 90, 3)
    assert segma("cutout", photo, *POINT, "--model", toy, "--format", "webp").code == 0
    assert pixels(photo.with_name("photo.cutout.webp")).shape == (60, 90, 4)
    wrong = segma("cutout", photo, *POINT, "--model", toy, "-o", tmp_path / "y.png", "--format", "webp")
    assert (wrong.code, "contradict" in wrong.err) == (2, True)


def test_json_names_the_file(segma: Segma, toy: Path, photo: Path) -> None:
    done = segma("cutout", photo, *POINT, "--model", toy, "--json", "-q")
    [answer] = done.objects
    assert answer["output"] == str(photo.with_name("photo.cutout.png"))
    assert (done.err, len(answer["masks"])) == ("", 1)


@pytest.mark.parametrize("text", ["purple", "#12", "blur:", "blur:-1", "blur:nan", "image:", "#gggggg"])
def test_backgrounds_that_make_no_sense(segma: Segma, photo: Path, text: str) -> None:
    done = segma("cutout", photo, *POINT, "--background", text)
    assert done.code == 2
    assert f'No background "{text}". Use none, white' in done.err


def test_a_background_picture_that_is_missing(segma: Segma, photo: Path) -> None:
    assert segma("cutout", photo, *POINT, "--background", "image:none.png").code == 3
