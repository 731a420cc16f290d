"""What goes wrong: one line, the right exit code, and nothing half-written."""

from __future__ import annotations

import os
import re
import resource
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from segma.errors import CODES
from segma.tasks.segment import ImageSession

Segma = Callable[..., Any]  # conftest's Ended
Start = Callable[..., subprocess.Popen[bytes]]
POINT = ("--point", "40,30")


def errors(ended: Any) -> list[str]:  # conftest's Ended
    """The error lines, each of which ends in a code of the manual."""
    lines = [line for line in ended.err.splitlines() if line.startswith("error: ")]
    assert all(line.rpartition("[")[2].rstrip("]") in CODES for line in lines)
    return lines


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        ((), 2, "Missing argument"),
        (("photo",), 2, "[prompt.empty]"),
        (("photo", "--point", "40"), 2, '"40" is no point: expected x,y. [prompt.syntax]'),
        (("photo", "--point", "40,30:-"), 2, "There are only exclude points."),
        (("photo", "--point", "400,30"), 2, "Point (400, 30) is outside the image (90x60)."),
        (("photo", "--box", "9,9,1,1"), 2, "[prompt.shape]"),
        (("photo", "--text", "a cup"), 2, "This model cannot read text."),
        (("photo", *POINT, "--candidates", "4"), 2, "--candidates"),
        (("photo", *POINT, "--precision", "fp8"), 2, "--precision"),
        (("photo", *POINT, "--engine", "warp"), 2, "there is no engine"),
        (("photo", *POINT, "--format", "xml"), 2, 'No output kind "xml".'),
        (("photo", *POINT, "-o", "x.docx"), 2, "[format.unknown]"),
        (("photo", *POINT, "--mask", "none.png"), 3, "none.png: no such file."),
        (("photo", "--prompts", "none.json"), 3, "none.json: no such file."),
        (("none.png", *POINT), 3, "none.png: no such file. Looked in "),
        (("*.gif", *POINT), 3, "no pictures there"),
        (("photo", *POINT, "--model", "sam_vit_bb"), 4, "Nearest: sam_vit_b. See: segma model list"),
        (("photo", *POINT, "--model", "photo"), 4, "[model.unreadable]"),
        (("photo", *POINT, "--model", "none.pth"), 3, "none.pth: no such file."),
        (("photo", *POINT, "--model", "sam_vit_b"), 4, "[model.download]"),
        (("photo", *POINT, "--device", "tpu"), 4, "[model.device]"),
        (("photo", *POINT, "--precision", "fp16", "--device", "cpu"), 4, "fp16 is no use on a CPU."),
    ],
)
def test_one_line_and_the_right_code(
    segma: Segma,
    photo: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...],
    code: int,
    text: str,
) -> None:
    monkeypatch.chdir(photo.parent)
    done = segma("segment", *(str(photo) if word == "photo" else word for word in arguments))
    assert (done.code, done.out) == (code, "")
    assert text in done.err
    assert "Traceback" not in done.err
    assert len(errors(done)) == (0 if "Usage:" in done.err else 1)


@pytest.mark.parametrize(
    "text",
    ["{", "3", "[]", "[3]", '{"points": 3}', '{"points": [[1, 2]], "labels": 5}', '{"pints": [[1, 2]]}'],
)
def test_prompt_files_that_are_none(segma: Segma, photo: Path, tmp_path: Path, text: str) -> None:
    (tmp_path / "p.json").write_text(text)
    done = segma("segment", photo, "--prompts", tmp_path / "p.json")
    assert done.code == 2
    assert errors(done)[0].startswith("error: p.json")


def test_prompts_are_given_in_one_place(segma: Segma, photo: Path, tmp_path: Path) -> None:
    (tmp_path / "p.json").write_text('{"points": [[1, 2]]}')
    assert segma("segment", photo, *POINT, "--prompts", tmp_path / "p.json").code == 2


@pytest.mark.parametrize("verb", ["segment", "everything", "cutout"])
def test_nothing_is_replaced_and_that_is_known_before_the_work(
    segma: Segma, photo: Path, toy: Path, verb: str
) -> None:
    names = {"segment": "photo.mask.png", "everything": "photo.masks.json", "cutout": "photo.cutout.png"}
    target = photo.with_name(names[verb])
    target.write_text("mine")
    prompt = ("--points-per-side", "2") if verb == "everything" else POINT
    done = segma(verb, photo, *prompt, "--model", "missing.pth")
    assert done.code == 2
    assert "Use --overwrite to replace it. [input.exists]" in errors(done)[0]
    assert target.read_text() == "mine"
    assert segma(verb, photo, *prompt, "--model", toy, "--overwrite").code == 0
    assert target.read_bytes() != b"mine"


def test_a_folder_of_masks_is_not_replaced(segma: Segma, toy: Path, photo: Path, tmp_path: Path) -> None:
    command = ("segment", photo, *POINT, "--model", toy, "-o", f"{tmp_path}/out/", "--format", "masks")
    assert [segma(*command).code, segma(*command).code, segma(*command, "--overwrite").code] == [0, 2, 0]


def test_a_broken_picture_costs_only_itself(segma: Segma, toy: Path, photos: Path) -> None:
    done = segma("segment", photos, *POINT, "--model", toy)
    assert done.code == 1
    assert [line.split()[0] for line in done.out.splitlines()] == [
        str(photos / "a.png"),
        str(photos / "c.png"),
    ]
    [line] = errors(done)
    assert "b.jpg" in line
    assert line.endswith("[input.unreadable]")
    assert "3 pictures: 2 done, 1 failed" in done.err
    assert {path.name for path in photos.glob("*.mask.png")} == {"a.mask.png", "c.mask.png"}


def test_when_all_fail_the_first_gives_the_code(segma: Segma, toy: Path, photos: Path) -> None:
    for name in ("a.png", "c.png"):
        (photos / name).write_bytes(b"no picture")
    assert segma("segment", photos, *POINT, "--model", toy).code == 3


def test_a_second_run_does_the_rest(
    segma: Segma, toy: Path, photos: Path, picture: Callable[..., Path]
) -> None:
    assert segma("segment", photos, *POINT, "--model", toy).code == 1
    picture(photos / "b.jpg")
    done = segma("segment", photos, *POINT, "--model", toy)
    assert [line.split()[0] for line in done.out.splitlines()] == [str(photos / "b.jpg")]
    assert len(errors(done)) == 2


def test_a_model_that_is_missing_ends_the_run(segma: Segma, photos: Path) -> None:
    done = segma("segment", photos, *POINT, "--model", "sam_vit_b")
    assert (done.code, len(errors(done))) == (4, 1)


def test_weights_of_another_size_and_the_note_on_their_origin(
    segma: Segma, toy: Path, photo: Path, cache: Path
) -> None:
    cache.mkdir()
    shutil.copy(toy, cache / "sam_vit_b_01ec64.pth")
    done = segma("segment", photo, *POINT, "--model", "sam_vit_b")
    assert done.code == 4
    assert "info: " in done.err.splitlines()[0]
    assert "its hash is unchecked" in done.err.splitlines()[0]
    assert errors(done)[0].endswith("[model.mismatch]")
    quiet = segma("segment", photo, *POINT, "--model", "sam_vit_b", "--quiet")
    assert quiet.err.splitlines() == errors(done)


def test_several_pictures_need_a_folder(segma: Segma, photos: Path, tmp_path: Path) -> None:
    done = segma("segment", photos, *POINT, "-o", tmp_path / "x.png")
    assert done.code == 2
    assert "3 pictures do not go into the one file" in done.err


def test_two_results_of_one_name(segma: Segma, picture: Callable[..., Path], tmp_path: Path) -> None:
    sources = [picture(tmp_path / folder / "a.png") for folder in "xy"]
    done = segma("segment", *sources, *POINT, "-o", f"{tmp_path}/out/")
    assert done.code == 2
    assert "Two pictures would be written to" in done.err


@pytest.mark.parametrize("target", ["none/x.png", "file/x.png", "file/"])
def test_a_folder_that_cannot_be_written(segma: Segma, photo: Path, tmp_path: Path, target: str) -> None:
    (tmp_path / "file").write_text("")
    done = segma("segment", photo, *POINT, "--model", "missing.pth", "-o", f"{tmp_path}/{target}")
    assert done.code == 3
    assert errors(done)[0].endswith("[disk.unwritable]")


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may write everywhere")
def test_a_folder_without_permission(segma: Segma, photo: Path, tmp_path: Path) -> None:
    folder = tmp_path / "closed"
    folder.mkdir(mode=0o555)
    done = segma("segment", photo, *POINT, "--model", "missing.pth", "-o", folder / "x.png")
    assert (done.code, "is read-only. [disk.unwritable]" in done.err) == (3, True)


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """Files end at `size` bytes, as they would on a disk that fills up."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


def test_a_disk_that_fills_up(segma: Segma, toy: Path, photo: Path, tmp_path: Path) -> None:
    target = tmp_path / "x.overlay.png"
    with largest_file(2000):
        done = segma("segment", photo, *POINT, "--model", toy, "-o", target)
    assert (done.code, done.out) == (3, "")
    assert "Nothing was written. Make room, or write to another disk. [disk.full]" in done.err
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == []


def test_a_disk_that_is_full(
    segma: Segma, toy: Path, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=1000))
    done = segma("segment", photos, *POINT, "--model", toy, "-o", tmp_path / "out")
    assert done.code == 3
    assert [line.rpartition(" ")[2] for line in errors(done)] == [
        "[disk.full]", "[input.unreadable]", "[disk.full]"
    ]  # fmt: skip
    assert list((tmp_path / "out").iterdir()) == []


def test_too_little_memory(segma: Segma, toy: Path, photo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def exhausted(*_: object, **__: object) -> None:
        raise MemoryError

    monkeypatch.setattr(ImageSession, "predict", exhausted)
    done = segma("segment", photo, *POINT, "--model", toy)
    assert done.code == 5
    assert errors(done)[0].endswith("[memory.cpu]")


def test_a_bug_is_one_line_without_debug(
    segma: Segma, toy: Path, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def surprised(*_: object, **__: object) -> None:
        raise ZeroDivisionError("two\nlines")

    monkeypatch.setattr(ImageSession, "predict", surprised)
    done = segma("segment", photos / "a.png", *POINT, "--model", toy)
    assert done.code == 1
    [line] = done.err.splitlines()
    assert line.endswith(
        "ZeroDivisionError: two lines This is a bug of segma; run again with --debug and report it. [bug]"
    )
    done = segma("segment", photos / "a.png", *POINT, "--model", toy, "--debug")
    assert "Traceback (most recent call last)" in done.err


def test_debug_shows_where_an_error_comes_from(segma: Segma) -> None:
    done = segma("segment", "none.png", *POINT, "--debug")
    assert done.code == 3
    assert "Traceback (most recent call last)" in done.err


def test_verbose_shows_notes(segma: Segma, toy: Path, tmp_path: Path) -> None:
    Image.new("RGBA", (90, 60), (1, 2, 3, 4)).save(tmp_path / "x.png")
    command = ("segment", tmp_path / "x.png", *POINT, "--model", toy, "--json")
    assert "alpha dropped" not in segma(*command).err
    assert "info: x.png: alpha dropped" in segma(*command, "--verbose").err


def test_an_interrupted_batch_keeps_what_is_done(
    start: Start, toy: Path, photo: Path, tmp_path: Path
) -> None:
    folder, out = tmp_path / "many", tmp_path / "out"
    folder.mkdir()
    for number in range(3000):
        os.link(photo, folder / f"{number}.png")
    process = start("segment", folder, *POINT, "--model", toy, "-o", out)
    assert process.stdout
    first = [process.stdout.readline() for _ in range(3)]
    process.send_signal(signal.SIGINT)
    rest, err = process.communicate(timeout=60)
    lines = [*first, *rest.splitlines()]
    assert process.returncode == 130
    told = re.search(
        r"^interrupted: (\d+) of 3000 pictures are done, and stay so.", err.decode(), re.MULTILINE
    )
    assert told
    assert "Traceback" not in err.decode()
    written = sorted(out.iterdir())
    assert 3 <= len(lines) <= int(told[1]) <= len(written) < 3000
    for path in written:
        with Image.open(path) as image:
            assert image.size == (90, 60), "nothing half-written"


def test_a_reader_that_leaves_ends_the_run_quietly(
    start: Start, toy: Path, photo: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "many"
    folder.mkdir()
    for number in range(300):
        os.link(photo, folder / f"{number}.png")
    process = start("segment", folder, *POINT, "--model", toy, "--json", "-q")
    assert process.stdout
    assert process.stdout.readline().startswith(b"{")
    process.stdout.close()
    assert process.stderr
    assert process.stderr.read() == b""
    process.stderr.close()
    assert process.wait(timeout=60) == 1
