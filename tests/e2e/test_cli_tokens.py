"""`segma tokens`: encode, decode, info, compare, with a tokenizer of toy size from a file."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image
from stubs.tokenizer import SMALL, smooth_clip, toy_tokenizer

import segma as library
from segma.checkpoints.save import save
from segma.errors import ModelError
from segma.evaluation.metrics.psnr_ssim import psnr
from segma.results import CodeGrid
from segma.tasks import tokenize

Segma = Callable[..., Any]  # conftest's Ended


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("models") / "toytok.safetensors"
    return save(toy_tokenizer(), SMALL, path, origin="made up for tests", licence="CC0-1.0")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of its own, with a picture and frames of a clip."""
    Image.fromarray(smooth_clip(1, 40, 60)[0]).save(tmp_path / "photo.png")
    (tmp_path / "frames").mkdir()
    for index, frame in enumerate(smooth_clip(6, 40, 60)):
        Image.fromarray(frame).save(tmp_path / "frames" / f"{index}.png")
    return tmp_path


def shown(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path).convert("RGB"))


def test_a_picture_there_and_back(segma: Segma, tokenizer: Path, folder: Path) -> None:
    done = segma("tokens", "encode", folder / "photo.png", "-m", tokenizer)
    assert (done.code, done.out) == (0, "photo.png  60x40  1x6x8 codes of 6 bits  0.12 bits per pixel\n")
    codes = folder / "photo.codes"
    assert f"saved {codes}" in done.err
    back = segma("tokens", "decode", codes, "-m", tokenizer, "--json")
    assert back.code == 0 and back.objects[0]["output"] == str(folder / "photo.decoded.png")
    model = library.load(tokenizer)
    grid = model.encode(folder / "photo.png")
    assert CodeGrid.load(codes) == grid and grid.model == "toytok" and len(grid.weights) == 64
    assert np.array_equal(shown(folder / "photo.decoded.png"), model.decode(grid))
    assert np.array_equal(model.decode(codes), model.decode(grid))


def test_the_tokenizer_in_the_package_keeps_a_photo(segma: Segma, repository: Path, tmp_path: Path) -> None:
    sample = repository / "src/segma/samples_data/coffee.jpg"
    codes, again = tmp_path / "a.codes", tmp_path / "again.png"
    assert segma("tokens", "encode", sample, "--size", 256, "-o", codes).code == 0
    assert segma("tokens", "decode", codes, "-o", again).code == 0
    with Image.open(again) as made, Image.open(sample) as photo:
        small = photo.convert("RGB").resize(made.size, Image.Resampling.BOX)
        assert max(made.size) == 256 and psnr(np.asarray(made), np.asarray(small)) > 22
    # 12 bits for each 8 x 8 pixels, and little beside
    assert codes.stat().st_size < 2000


def test_a_clip_there_and_back(segma: Segma, tokenizer: Path, folder: Path) -> None:
    codes = folder / "clip.codes"
    done = segma("tokens", "encode", folder / "frames", "-o", codes, "-m", tokenizer, "--fps", 10, "--json")
    [data] = done.objects
    assert done.code == 0 and data["frames"] == 6 and data["fps"] == 10 and data["grid"] == [3, 6, 8]
    assert data["file_bytes"] == codes.stat().st_size
    assert segma("tokens", "decode", codes, "-m", tokenizer, "-o", folder / "clip.mp4").code == 0
    with av.open(str(folder / "clip.mp4")) as video:
        frames = [frame.to_ndarray(format="rgb24") for frame in video.decode(video=0)]
        assert len(frames) == 6 and frames[0].shape == (40, 60, 3)
        assert float(video.streams.video[0].average_rate or 0) == 10
    assert segma("tokens", "decode", codes, "-m", tokenizer, "-o", folder / "out").code == 0
    assert len(list((folder / "out").glob("*.png"))) == 6
    decoded = library.load(tokenizer).decode(codes)
    assert np.array_equal(shown(folder / "out" / "00005.png"), decoded[5])


def test_parts_and_smaller_sizes(segma: Segma, tokenizer: Path, folder: Path, clip: Path) -> None:
    codes = folder / "part.codes"
    options = ("-m", tokenizer, "--frames", "2-6", "--size", 32, "-o", codes)
    assert segma("tokens", "encode", clip, *options).code == 0
    found = CodeGrid.load(codes)
    assert (found.num_frames, found.size) == (5, (24, 32))
    [data] = segma("tokens", "info", codes, "--json").objects
    assert (data["frames"], data["size"], data["num_codes"], data["bits_per_code"]) == (5, [24, 32], 50, 6)
    assert data["codes_used"] == len(np.unique(found.values)) and data["model"] == "toytok"
    text = segma("tokens", "info", codes).out
    assert "bits per pixel" in text and "codes used" in text


def test_standard_input_needs_a_name_to_write_to(segma: Segma, tokenizer: Path, folder: Path) -> None:
    data = (folder / "photo.png").read_bytes()
    refused = segma("tokens", "encode", "-", "-m", tokenizer, stdin=data)
    assert refused.code == 2 and "Add -o FILE" in refused.err
    codes = folder / "in.codes"
    assert segma("tokens", "encode", "-", "-m", tokenizer, "-o", codes, stdin=data).code == 0
    assert CodeGrid.load(codes).size == (40, 60)


def test_compare_tells_and_draws(segma: Segma, tokenizer: Path, folder: Path) -> None:
    sheet = folder / "sheet.png"
    done = segma("tokens", "compare", folder / "photo.png", "-m", tokenizer, "-o", sheet)
    lines = done.out.splitlines()
    assert done.code == 0 and lines[0] == "photo.png  60x40"
    assert lines[1].split() == ["setting", "bytes", "bits/pixel", "PSNR", "SSIM"]
    assert lines[2].split()[:2] == ["tokens", "36"] and lines[3].split()[:3] == ["JPEG", "quality", "1"]
    assert "JPEG at its worst setting still takes more bytes" in done.err
    assert shown(sheet).shape == (200, 3 * 300 + 8, 3)
    video = folder / "sheet.mp4"
    done = segma("tokens", "compare", folder / "frames", "-m", tokenizer, "-o", video, "--json")
    [data] = done.objects
    assert done.code == 0 and data["other"]["name"] == "H.264" and data["frames"] == 6
    assert data["codes"]["bytes"] == 3 * 48 * 6 // 8 and 0 < data["codes"]["psnr"] < 60
    with av.open(str(video)) as opened:
        assert sum(1 for _ in opened.decode(video=0)) == 6


def test_what_is_wrong_is_told_in_one_line(segma: Segma, tokenizer: Path, toy: Path, folder: Path) -> None:
    photo = folder / "photo.png"
    assert segma("tokens", "encode", photo, "-m", tokenizer).code == 0
    again = segma("tokens", "encode", photo, "-m", tokenizer)
    assert again.code == 2 and "[input.exists]" in again.err
    clip = folder / "clip.codes"
    assert segma("tokens", "encode", folder / "frames", "-m", tokenizer, "-o", clip).code == 0
    broken = folder / "broken.codes"
    broken.write_bytes(clip.read_bytes()[:-20])
    for arguments, code, text in (
        (("encode", photo, "-m", "no_such_tokenizer", "-o", folder / "a.codes"), 4, "[model.unknown]"),
        (("encode", photo, "-m", toy, "-o", folder / "a.codes"), 4, "[model.task]"),
        (("encode", photo, "-m", "default", "-o", folder / "a.codes"), 4, "[model.task]"),
        (("encode", photo, "-m", tokenizer, "-o", folder / "a.png"), 2, "called x.codes"),
        (("encode", folder / "none.png", "-m", tokenizer), 3, "[input.not_found]"),
        (("decode", broken, "-m", tokenizer, "-o", folder / "b.mp4"), 3, "cut short"),
        (("decode", broken, "-m", tokenizer, "-o", folder / "frames2"), 3, "cut short"),
        (("decode", clip, "-m", tokenizer, "-o", folder / "b.png"), 2, "cannot hold a clip"),
        (("decode", clip, "-m", tokenizer, "-o", folder / "b.xyz"), 2, "[format.unknown]"),
        (("decode", photo, "-m", tokenizer), 3, "no file of codes"),
        (("info", broken), 3, "cut short"),
        (("compare", folder / "frames", "-m", tokenizer, "-o", folder / "b.png"), 2, "[format.unknown]"),
    ):
        done = segma("tokens", *arguments)
        assert (done.code, done.out) == (code, ""), arguments
        assert text in done.err and len(done.err.splitlines()) == 1, done.err
    assert not {"a.codes", "b.mp4", "frames2", "b.png"} & {path.name for path in folder.iterdir()}
    assert not [path for path in folder.iterdir() if path.name.endswith(".part")]


def test_an_interruption_leaves_nothing(
    segma: Segma, tokenizer: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = tokenize.encode_groups

    def interrupted(*arguments: Any, **options: Any) -> Iterator[Any]:
        yield next(real(*arguments, **options))
        raise KeyboardInterrupt

    before = sorted(folder.iterdir())
    monkeypatch.setattr(tokenize, "encode_groups", interrupted)
    done = segma("tokens", "encode", folder / "frames", "-m", tokenizer, "-o", folder / "x.codes")
    assert done.code == 130 and "nothing was written" in done.err
    assert sorted(folder.iterdir()) == before


def test_codes_of_other_weights_are_decoded_with_a_warning(
    segma: Segma, tokenizer: Path, folder: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other.safetensors"
    save(toy_tokenizer(seed=1), SMALL, other, origin="made up", licence="CC0-1.0")
    assert segma("tokens", "encode", folder / "photo.png", "-m", tokenizer).code == 0
    done = segma("tokens", "decode", folder / "photo.codes", "-m", other)
    assert done.code == 0 and "other weights" in done.err


def test_a_model_does_its_own_tasks_only(tokenizer: Path) -> None:
    ours = library.load(tokenizer)
    picture = smooth_clip(1)[0]
    for call in (
        lambda: ours.segment(picture, points=[(3, 3)]),
        lambda: ours.everything(picture),
        lambda: ours.image(picture),
        lambda: library.load().encode(picture),
        lambda: library.load().decode(ours.encode(picture)),
    ):
        with pytest.raises(ModelError) as caught:
            call()
        assert caught.value.code == "model.task"
    with pytest.raises(ModelError) as caught:
        ours.track(smooth_clip(3))
    assert caught.value.code == "model.task"
    assert json.loads(json.dumps(ours.encode(picture).header.model)) == "toytok"
