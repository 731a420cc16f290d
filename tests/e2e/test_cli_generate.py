"""`segma generate`: pictures, videos and what follows on a video, with toy networks, and their marks."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from stubs.generators import (
    CLIPS,
    COVERED,
    DIT,
    LATENTS,
    LATTE,
    PICTURES,
    PLAIN,
    WORDED,
    toy_dit,
    toy_gpt,
)
from stubs.tokenizer import SMALL, smooth_clip, toy_tokenizer
from torch import nn

import segma as package
from segma.checkpoints.save import save
from segma.media.provenance_read import read_mark
from segma.media.source import open_source
from segma.media.video_write import Timing, VideoWriter
from segma.models.omnitokenizer.gpt_layout import TOKENIZER_PREFIX

Segma = Callable[..., Any]  # conftest's Ended
Files = dict[str, Path]
NETWORKS: dict[str, tuple[nn.Module, Any]] = {
    "codes": (toy_tokenizer(), SMALL),
    "latents": (toy_tokenizer(LATENTS), LATENTS),
    "pictures": (toy_gpt(PICTURES), PICTURES),
    "clips": (toy_gpt(CLIPS), CLIPS),
    "plain": (toy_gpt(PLAIN), PLAIN),
    "worded": (toy_gpt(WORDED), WORDED),
    "dit": (toy_dit(DIT), DIT),
    "covered": (toy_dit(COVERED), COVERED),
    "latte": (toy_dit(LATTE), LATTE),
}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    """Every network in a file, with its config."""
    folder = tmp_path_factory.mktemp("generators")
    return {
        name: save(module, config, folder / f"{name}.safetensors", origin="a test", licence="MIT")
        for name, (module, config) in NETWORKS.items()
    }


def networks(files: Files, generator: str, tokenizer: str) -> tuple[object, ...]:
    return "--model", files[generator], "--tokenizer", files[tokenizer]


def generated(path: Path) -> str:
    """What the mark of a file says beside the action."""
    mark = read_mark(path)
    assert mark is not None
    assert mark.action == "generated"
    return f"{mark.model}: {mark.description}"


def num_frames(path: Path) -> int:
    source = open_source(path)
    try:
        return sum(1 for _ in source.frames(0, None))
    finally:
        source.close()


def test_pictures_of_classes_in_a_folder(segma: Segma, files: Files, tmp_path: Path) -> None:
    pair = networks(files, "pictures", "codes")
    options = ("--class", "ball", "--class", "0", "-n", "2", "--seed", "5", "--top-k", "9", "--json")
    done = segma("generate", "image", *pair, *options, "-o", tmp_path / "out")
    assert done.code == 0, done.err
    names = ["image-ball-seed5.png", "image-ball-seed6.png", "image-0-seed7.png", "image-0-seed8.png"]
    assert [Path(row["output"]).name for row in done.objects] == names
    assert done.objects[1] == {
        "output": str(tmp_path / "out" / names[1]), "model": "pictures", "class": "ball", "seed": 6,
        "size": [32, 32], "frames": 1, "fps": None, "marked": True,
    }  # fmt: skip
    assert generated(tmp_path / "out" / names[0]) == "pictures: class ball, seed 5"
    alone = tmp_path / "alone.png"
    again = ("--class", "1", "--seed", "6", "--top-k", "9", "-o", alone, "--no-mark")
    assert segma("generate", "image", *pair, *again).code == 0
    assert read_mark(alone) is None
    with Image.open(alone) as one, Image.open(tmp_path / "out" / names[1]) as other:
        assert np.array_equal(np.array(one), np.array(other))


@pytest.mark.parametrize(
    ("options", "tokenizer", "frames"),
    [
        (("clips", "--class", "cone", "--temperature", "0.5", "--top-p", "0.9"), "codes", 9),
        (("clips", "--class", "cone", "--length", "12", "--guidance", "0"), "codes", 12),
        (("plain",), "codes", 9),
        (("latte", "--class", "1", "--steps", "3"), "latents", 9),
        (("latte", "--class", "1", "--steps", "3", "--sampler", "ddim", "--guidance", "1"), "latents", 9),
    ],
)
def test_videos(
    segma: Segma, files: Files, tmp_path: Path, options: tuple[str, ...], tokenizer: str, frames: int
) -> None:
    target = tmp_path / "x.mp4"
    name, *rest = options
    done = segma("generate", "video", *networks(files, name, tokenizer), *rest, "-o", target, "--fps", "8")
    assert done.code == 0, done.err
    assert f"32x32, {frames} frames" in done.out
    assert num_frames(target) == frames
    assert generated(target).startswith(f"{name}: ")
    told = segma("provenance", target, "--json").objects[0]
    assert (told["mark"]["action"], told["mark"]["model"]) == ("generated", name)


def test_a_picture_by_diffusion(segma: Segma, files: Files, tmp_path: Path) -> None:
    target = tmp_path / "x.webp"
    pair = networks(files, "dit", "latents")
    done = segma("generate", "image", *pair, "--class", "2", "--steps", "2", "-o", target)
    assert done.code == 0, done.err
    assert generated(target) == "dit: class 2, seed 0"


def test_a_picture_of_a_given_shape(segma: Segma, files: Files, tmp_path: Path) -> None:
    mask = np.zeros((20, 30), np.uint8)
    mask[5:15, 5:25] = 255
    Image.fromarray(mask).save(tmp_path / "cup.mask.png")
    Image.fromarray(mask.T).save(tmp_path / "other.png")
    quick = (*networks(files, "covered", "latents"), "--class", "2", "--steps", "2")
    found: list[np.ndarray] = []
    for name in ("cup.mask.png", "other.png"):
        target = tmp_path / f"made-{name}"
        done = segma("generate", "image", *quick, "--mask", tmp_path / name, "-o", target)
        assert done.code == 0, done.err
        assert generated(target) == "covered: class 2, seed 0"
        with Image.open(target) as made:
            found.append(np.asarray(made))
    assert not np.array_equal(found[0], found[1])
    Image.fromarray(np.zeros_like(mask)).save(tmp_path / "empty.png")
    done = segma("generate", "image", *quick, "--mask", tmp_path / "empty.png", "-o", tmp_path / "no.png")
    assert (done.code, "The mask is empty" in done.err) == (2, True), done.err
    other = (*networks(files, "dit", "latents"), "--class", "2")
    done = segma("generate", "image", *other, "--mask", tmp_path / "other.png", "-o", tmp_path / "no.png")
    assert (done.code, "takes no mask" in done.err) == (4, True), done.err
    assert not (tmp_path / "no.png").exists()


def test_what_follows_on_a_video(
    segma: Segma, files: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    clip = smooth_clip(12, 40, 64)
    with VideoWriter("match.mp4", (40, 64), kind="h264", timing=Timing.of_rate(10)) as writer:
        for index, frame in enumerate(clip):
            writer.write(frame, index / 10)
    pair = networks(files, "plain", "codes")
    done = segma("generate", "continue", "match.mp4", *pair, "--length", "7", "--json")
    assert done.code == 0, done.err
    row = done.objects[0]
    assert (row["output"], row["frames"], row["size"]) == ("match.continued.mp4", 12, [32, 32])
    assert row["fps"] == pytest.approx(10)
    assert num_frames(Path("match.continued.mp4")) == 12
    assert generated(Path("match.continued.mp4")) == "plain: seed 0"
    two = segma("generate", "continue", "match.mp4", *pair, "-n", "2", "--frames", "0-0", "-o", "out/")
    assert two.code == 0, two.err
    paths = sorted(Path("out").iterdir())
    assert [path.name for path in paths] == ["match.continued-seed0.mp4", "match.continued-seed1.mp4"]
    assert num_frames(paths[0]) == 9


def test_the_tokenizer_inside_a_file_is_found(segma: Segma, files: Files, tmp_path: Path) -> None:
    from safetensors import safe_open
    from safetensors.torch import save_file

    state = dict(NETWORKS["pictures"][0].state_dict())
    for name, tensor in NETWORKS["codes"][0].state_dict().items():
        state[TOKENIZER_PREFIX + name] = tensor
    with safe_open(files["pictures"], "pt") as file:  # pyright: ignore[reportUnknownVariableType]
        metadata: dict[str, str] = dict(file.metadata())
    both = tmp_path / "both.safetensors"
    save_file({name: tensor.contiguous() for name, tensor in state.items()}, both, metadata)
    inside, beside = tmp_path / "inside.png", tmp_path / "beside.png"
    done = segma("generate", "image", "--model", both, "--class", "0", "-o", inside)
    assert done.code == 0, done.err
    pair = networks(files, "pictures", "codes")
    assert segma("generate", "image", *pair, "--class", "0", "-o", beside).code == 0
    with Image.open(inside) as one, Image.open(beside) as other:
        assert np.array_equal(np.array(one), np.array(other))


def test_python_gives_the_same_pictures(segma: Segma, files: Files, tmp_path: Path) -> None:
    model = package.load(files["pictures"], device="cpu", precision="fp32")
    tokenizer = package.load(files["codes"], device="cpu", precision="fp32")
    found = model.generate("ball", tokenizer=tokenizer, seed=3)
    pair = networks(files, "pictures", "codes")
    options = ("--class", "ball", "--seed", "3", "-o", tmp_path / "x.png", "--precision", "fp32")
    assert segma("generate", "image", *pair, *options).code == 0
    with Image.open(tmp_path / "x.png") as image:
        assert np.array_equal(np.array(image), found[0])
    with pytest.raises(package.SegmaError, match='codes is not for the task "generate"'):
        tokenizer.generate(0)


@pytest.mark.parametrize(
    ("what", "pair", "options", "code", "said"),
    [
        ("image", "pictures codes", ("--class", "3"), 2, "No class 3"),
        ("image", "pictures codes", ("--class", "dog"), 2, "No class dog"),
        ("image", "pictures codes", (), 2, "asks for a class"),
        ("video", "plain codes", ("--class", "0"), 2, "knows no classes"),
        ("image", "pictures latents", ("--class", "0"), 4, "do not fit"),
        ("image", "pictures pictures", ("--class", "0"), 4, 'not for the task "tokens"'),
        ("image", "codes codes", ("--class", "0"), 4, 'not for the task "generate"'),
        ("video", "pictures codes", ("--class", "0"), 4, "makes pictures, not clips"),
        ("image", "latte latents", ("--class", "0", "--steps", "2"), 4, "clips of 9 frames"),
        ("image", "pictures codes", ("--class", "0", "-n", "0"), 2, "--count"),
        ("image", "pictures codes", ("--class", "0", "--temperature", "nan"), 2, "temperature is nan"),
        ("image", "pictures codes", ("--class", "0", "--temperature", "inf"), 2, "temperature is inf"),
        ("image", "pictures codes", ("--class", "0", "--top-p", "2"), 2, "top_p is 2"),
        ("image", "pictures codes", ("--class", "0", "--top-k", "0"), 2, "top_k is 0"),
        ("image", "pictures codes", ("--class", "0", "--steps", "9"), 2, "--steps is of diffusion"),
        ("image", "dit latents", ("--class", "0", "--top-k", "9"), 2, "--top-k is of codes"),
        ("image", "dit latents", ("--class", "0", "--steps", "0"), 2, "0 steps"),
        ("image", "dit latents", ("--class", "0", "--sampler", "x"), 2, 'No sampler "x"'),
        ("image", "pictures codes", ("--class", "0", "-o", "x.mp4"), 2, "no picture has such a name"),
        ("video", "clips codes", ("--class", "0", "-o", "x.png"), 2, "no video has such a name"),
        ("video", "clips codes", ("--class", "0", "--fps", "0"), 2, "0.0 frames a second"),
        ("image", "pictures codes", ("--class", "0", "-n", "2", "-o", "x.png"), 2, "2 samples do not go"),
    ],
)
def test_wrong_requests_end_in_one_line(
    segma: Segma,
    files: Files,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    what: str,
    pair: str,
    options: tuple[str, ...],
    code: int,
    said: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    done = segma("generate", what, *networks(files, *pair.split()), *options)
    assert (done.code, said in done.err) == (code, True), done.err
    assert not list(tmp_path.iterdir())


def test_the_generator_in_the_package_makes_what_a_sentence_says(segma: Segma, tmp_path: Path) -> None:
    target = tmp_path / "star.png"
    assert segma("generate", "image", "--sentence", "a red star on sand", "-o", target).code == 0
    with Image.open(target) as made:
        assert generated(target) and made.size == (128, 128)
    done = segma("generate", "image", "--sentence", "a red stra", "-o", tmp_path / "b.png")
    assert done.code == 2 and "star" in done.err
    assert not (tmp_path / "b.png").exists()


def test_a_number_is_a_class_after_class_and_a_word_in_a_sentence(
    segma: Segma, files: Files, tmp_path: Path
) -> None:
    asked = ("--class 7", "--class cross", "--sentence cross", "--sentence 7", "--sentence 'the 7'")
    made: list[np.ndarray] = []
    for number, words in enumerate(map(shlex.split, asked)):
        target = tmp_path / f"{number}.png"
        pair = networks(files, "worded", "codes")
        done = segma("generate", "image", *pair, *words, "--guidance", "9", "-o", target)
        assert done.code == 0, done.err
        with Image.open(target) as image:
            made.append(np.array(image))
    same = [[np.array_equal(one, other) for other in made] for one in made]
    assert same == [[number // 3 == other // 3 for other in range(5)] for number in range(5)]
    assert generated(tmp_path / "0.png") == "worded: class 7, seed 0"
    assert generated(tmp_path / "3.png") == 'worded: "7", seed 0'
    for words, said in ((("--class", "red star"), "No class red star"), (("--sentence", "8"), 'No word "8"')):
        done = segma("generate", "image", *networks(files, "worded", "codes"), *words)
        assert (done.code, said in done.err) == (2, True), done.err


def test_nothing_is_overwritten_unasked(segma: Segma, files: Files, tmp_path: Path) -> None:
    target = tmp_path / "x.png"
    target.write_bytes(b"mine")
    pair = networks(files, "pictures", "codes")
    done = segma("generate", "image", *pair, "--class", "0", "-o", target)
    assert done.code == 2
    assert target.read_bytes() == b"mine"
    assert segma("generate", "image", *pair, "--class", "0", "-o", target, "--overwrite").code == 0
    assert generated(target)
