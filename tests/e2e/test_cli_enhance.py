"""`segma enhance`: pictures, videos and codes made larger, with networks of toy size from files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image
from stubs.enhancer import LATENTS, TOY, toy_enhancer
from stubs.tokenizer import smooth_clip, toy_tokenizer

import segma as library
from segma.checkpoints.save import save
from segma.errors import ModelError
from segma.media.provenance_read import read_mark
from segma.media.resample import enlarged

Segma = Callable[..., Any]  # conftest's Ended


@pytest.fixture(scope="module")
def networks(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, ...]:
    """The options that name an enhancer and its tokenizer."""
    folder = tmp_path_factory.mktemp("models")
    options: Any = {"origin": "made up for tests", "licence": "CC0-1.0"}  # keywords
    enhancer = save(toy_enhancer(), TOY, folder / "toy.safetensors", **options)
    tokenizer = save(toy_tokenizer(LATENTS), LATENTS, folder / "toytok.safetensors", **options)
    return ("-m", str(enhancer), "--tokenizer", str(tokenizer))


def shown(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.array(image)


def test_a_picture_is_enlarged_and_says_so(segma: Segma, networks: tuple[str, ...], photo: Path) -> None:
    done = segma("enhance", photo, *networks)
    target = photo.with_name("photo.2x.png")
    assert (done.code, done.out) == (0, f"{photo}  180x120  2x\n")
    assert f"saved {target}   (cpu, toy)" in done.err
    model = library.load(networks[1])
    wanted = model.enhance(photo, tokenizer=library.load(networks[3]))
    assert np.array_equal(shown(target), wanted)
    told = segma("provenance", target)
    assert f"edited with segma {library.__version__}, model toy (2 times larger)" in told.out
    again = segma("enhance", photo, *networks)
    assert again.code == 2 and "[input.exists]" in again.err
    large = segma(
        "enhance", photo, *networks, "--scale", 4, "-o", photo.parent / "x.jpg", "--no-mark", "--json"
    )
    assert large.objects == [
        {"source": str(photo), "output": str(photo.parent / "x.jpg"), "model": "toy", "scale": 4,
         "size": [240, 360], "frames": 1, "marked": False}
    ]  # fmt: skip
    assert read_mark(photo.parent / "x.jpg") is None and shown(photo.parent / "x.jpg").shape == (240, 360, 3)


def test_alpha_is_kept_and_turned_with_the_picture(
    segma: Segma, networks: tuple[str, ...], tmp_path: Path
) -> None:
    [pixels] = smooth_clip(1, 20, 30)
    alpha = np.zeros((20, 30), np.uint8)
    alpha[5:, 8:] = 200
    exif = Image.Exif()
    exif[0x0112] = 6  # a quarter to the right
    Image.fromarray(np.dstack([pixels, alpha])).save(tmp_path / "clear.png", exif=exif)
    done = segma("enhance", tmp_path / "clear.png", *networks)
    assert done.code == 0, done.err
    made = shown(tmp_path / "clear.2x.png")
    assert made.shape == (60, 40, 4)
    assert np.array_equal(made[..., 3], enlarged(np.rot90(alpha, -1), 2))
    lost = segma("enhance", tmp_path / "clear.png", *networks, "-o", tmp_path / "x.jpg")
    assert lost.code == 2 and "[format.loss]" in lost.err


def test_of_a_folder_one_is_broken_and_our_own_are_left_out(
    segma: Segma, networks: tuple[str, ...], photos: Path
) -> None:
    for options in ((), ("--overwrite",)):
        done = segma("enhance", photos, *networks, *options)
        assert done.code == 1 and "b.jpg" in done.err and "[input.unreadable]" in done.err
    made = sorted(each.name for each in photos.iterdir() if ".2x" in each.name)
    assert made == ["a.2x.png", "c.2x.png"]


def test_a_video_keeps_its_times(segma: Segma, networks: tuple[str, ...], clip: Path, tmp_path: Path) -> None:
    done = segma("enhance", clip, *networks)
    assert (done.code, done.out) == (0, f"{clip}  128x96, 12 frames  2x\n")
    target = clip.with_name("clip.2x.mp4")
    with av.open(str(target)) as ours, av.open(str(clip)) as source:
        times = [[frame.time for frame in each.decode(video=0)] for each in (ours, source)]
        assert times[0] == times[1]
        assert (ours.streams.video[0].width, ours.streams.video[0].height) == (128, 96)
    mark = read_mark(target)
    assert mark is not None and mark.model == "toy"
    wrong = segma("enhance", clip, *networks, "-o", tmp_path / "x.png")
    assert wrong.code == 2 and "a picture cannot hold a clip" in wrong.err


@pytest.mark.parametrize("frames", [1, 3])
def test_codes_are_decoded_and_enlarged(
    segma: Segma, networks: tuple[str, ...], tmp_path: Path, frames: int
) -> None:
    tokenizer = library.load(networks[3])
    clip = smooth_clip(frames, 20, 36)
    grid = tokenizer.encode(clip[0] if frames == 1 else clip)
    path = grid.save(tmp_path / "some.codes")
    done = segma("enhance", path, *networks, "-o", tmp_path / "out/")
    assert done.code == 0, done.err
    [target] = (tmp_path / "out").iterdir()
    assert target.name == ("some.2x.png" if frames == 1 else "some.2x.mp4")
    if frames == 1:
        wanted = library.load(networks[1]).enhance(tokenizer.decode(grid), tokenizer=tokenizer)
        assert np.array_equal(shown(target), wanted)
    path.write_bytes(path.read_bytes()[:-2])
    broken = segma("enhance", path, *networks, "--overwrite")
    assert broken.code == 3 and "[format.bad]" in broken.err
    assert not list(tmp_path.glob("some.2x.*"))


def test_what_cannot_be_done_is_told(
    segma: Segma, networks: tuple[str, ...], photo: Path, tmp_path: Path
) -> None:
    for arguments, code, said in (
        ((photo, *networks, "--scale", 3), 2, "cannot be made 3 times larger. 2 or 4. [input.value]"),
        ((photo, "-m", networks[3]), 4, "[model.task]"),
        ((photo, "-m", "tokenizer"), 4, 'tokenizer is not for the task "enhance"'),
        ((photo, *networks, "-o", tmp_path / "x.txt"), 2, "[format.unknown]"),
        ((tmp_path / "none.png", *networks), 3, "[input.not_found]"),
        ((photo, *networks, "-o", tmp_path / "no" / "x.png"), 3, "[disk.unwritable]"),
    ):
        done = segma("enhance", *arguments)
        assert done.code == code and said in done.err, done.err
    with pytest.raises(ModelError, match="--model enhancer"):
        library.load(networks[3]).enhance(photo)


def test_codes_of_another_tokenizer_are_told(segma: Segma, networks: tuple[str, ...], tmp_path: Path) -> None:
    grid = library.load("tokenizer").encode(smooth_clip(1, 20, 36)[0])
    grid.save(tmp_path / "other.codes")
    done = segma("enhance", tmp_path / "other.codes", *networks)
    assert done.code == 4 and "segma tokens decode --model tokenizer, then enhance that" in done.err


def test_eval_prints_one_table(segma: Segma, networks: tuple[str, ...], photos: Path, tmp_path: Path) -> None:
    done = segma("eval", "enhance", photos, *networks, "--no-codes", "-o", tmp_path / "report.json")
    assert done.code == 1 and "b.jpg" in done.err and (tmp_path / "report.json").is_file()
    rows = [line.split()[:4] for line in done.out.splitlines()[2:6]]
    assert [row[:3] for row in rows] == [
        [scale, way, "2"] for scale in ("2x:", "4x:") for way in ("bicubic", "ours")
    ]
    wrong = segma("eval", "enhance", photos, "-m", networks[3], "--tokenizer", networks[3])
    assert wrong.code == 4 and "[model.task]" in wrong.err
