"""`segma provenance`, and the marks that `segma cutout` writes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image

from segma import __version__
from segma.media.provenance_read import read_mark

Segma = Callable[..., Any]  # conftest's Ended
POINT = ("--point", "40,30")


@pytest.mark.parametrize("name", ["x.png", "x.webp", "x.jpg"])
def test_a_cutout_says_what_edited_it(
    segma: Segma, toy: Path, photo: Path, tmp_path: Path, name: str
) -> None:
    target = tmp_path / name
    options = (*POINT, "--model", toy, "-o", target, *(("--background", "white") if name == "x.jpg" else ()))
    assert segma("cutout", photo, *options).code == 0
    told = segma("provenance", target, photo)
    model = read_mark(target).model  # pyright: ignore[reportOptionalMemberAccess]  it has one
    assert model
    assert "/" not in model
    assert told.code == 0
    assert told.out.splitlines() == [
        f"{target}  edited with segma {__version__}, model {model}   (XMP)",
        f"{photo}  no mark",
    ]
    with Image.open(target) as image:
        marked = np.array(image)
    assert segma("cutout", photo, *options, "--no-mark", "--overwrite").code == 0
    assert read_mark(target) is None
    with Image.open(target) as image:
        assert np.array_equal(np.array(image), marked)


@pytest.mark.parametrize("name", ["x.mp4", "x.webm", "x.mov", "frames"])
def test_a_video_cutout_says_it_too(
    segma: Segma, clip: Path, tracking_toy: Path, tmp_path: Path, name: str
) -> None:
    target = tmp_path / name
    ground = ("--background", "green") if name == "x.mp4" else ()
    prompt = ("--object", "ball@0:point=20,16", "--model", tracking_toy, "--frames", "0-2")
    done = segma("cutout", clip, *prompt, *ground, "-o", target)
    assert done.code == 0, done.err
    rows = segma("provenance", target, "--json").objects
    assert len(rows) == (3 if name == "frames" else 1)
    for row in rows:
        assert row["mark"]["action"] == "edited"
        assert row["mark"]["model"] == tracking_toy.name
        assert row["stored"] == ("XMP" if name == "frames" else "comment")
    assert segma("cutout", clip, *prompt, *ground, "-o", target, "--no-mark", "--overwrite").code == 0
    assert all(row["mark"] is None for row in segma("provenance", target, "--json").objects)


def test_other_verbs_that_cut_out_mark_too(segma: Segma, toy: Path, photo: Path, tmp_path: Path) -> None:
    target = tmp_path / "x.cutout.png"
    assert segma("segment", photo, *POINT, "--model", toy, "-o", target).code == 0
    mark = read_mark(target)
    assert mark is not None and (mark.action, mark.tool) == ("edited", "segma")


def test_what_cannot_be_read_costs_only_itself(segma: Segma, photo: Path, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("edited with segma")
    told = segma("provenance", photo, tmp_path / "notes.txt", tmp_path / "none.png")
    assert told.code == 1
    assert told.out == f"{photo}  no mark\n"
    assert "notes.txt: neither a picture nor a video that can be read. [input.unreadable]" in told.err
    assert "none.png: no such file" in told.err
    assert segma("provenance", tmp_path / "none.png").code == 3
    (tmp_path / "empty").mkdir()
    told = segma("provenance", tmp_path / "empty")
    assert (told.code, "no pictures or videos there" in told.err) == (3, True)


def test_a_video_without_pictures_may_still_be_marked(segma: Segma, tmp_path: Path) -> None:
    """Sound in a container: what `provenance` needs is the container alone."""
    path = tmp_path / "a.mp4"
    with av.open(str(path), "w") as output:
        output.metadata["comment"] = "made by hand"
        stream = output.add_stream("aac", rate=44100)
        assert isinstance(stream, av.AudioStream)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 4096), np.float32), "fltp", "mono")
        frame.sample_rate = 44100
        output.mux([*stream.encode(frame), *stream.encode(None)])
    assert segma("provenance", path).out == f"{path}  no mark\n"


def test_half_a_signature_is_refused_before_any_work(
    segma: Segma, photo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEGMA_C2PA_KEY", str(photo))
    told = segma("cutout", photo, *POINT)
    assert (told.code, "Only SEGMA_C2PA_KEY is set" in told.err) == (2, True)
    assert segma("cutout", photo, *POINT, "--no-mark").code == 0
