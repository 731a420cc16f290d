"""`segma cutout` of videos and projects: alpha, other backgrounds, ranges, sound and times kept."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image
from stubs.clips import frames_of, times_of

from segma.masks.mask import Mask

Segma = Callable[..., Any]  # conftest's Ended
BALL = ("--object", "ball@0:point=20,16")
BOX = ("--object", "other@0:box=30,20,60,45")


@pytest.fixture
def project(segma: Segma, clip: Path, tracking_toy: Path) -> Path:
    """A project with two objects."""
    done = segma("track", clip, *BALL, *BOX, "--model", tracking_toy)
    assert done.code == 0, done.err
    return clip.with_suffix(".segma")


def masks(segma: Segma, project: Path, *names: str) -> list[np.ndarray]:
    rows = [row["objects"] for row in segma("track", project, "--json").objects]
    return [np.any([Mask.from_coco(row[n]["segmentation"]).dense() for n in names], 0) for row in rows]


def test_alpha_of_a_project_is_the_mask(
    segma: Segma, project: Path, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("segma.cli.compute.Compute.load", None)  # its masks are there
    done = segma("cutout", project, "--object", "ball")
    assert done.code == 0, done.err
    target = clip.with_name("clip.cutout.mov")
    seen = sum(mask.any() for mask in masks(segma, project, "ball"))
    assert done.out == f"clip.mp4  cut out ball  {seen} of 12 frames\n"
    assert done.err == f"saved {target}   (prores4444)\n"
    with av.open(str(target)) as container:
        assert str(container.streams.video[0].codec_context.pix_fmt).startswith("yuva444p")
    for frame, mask in zip(frames_of(target, "rgba"), masks(segma, project, "ball"), strict=True):
        assert np.array_equal(frame[..., 3] > 127, mask)
    assert times_of(target) == pytest.approx(times_of(clip), abs=1e-3)


def test_all_objects_a_range_and_png(segma: Segma, project: Path, clip: Path) -> None:
    folder = clip.with_name("frames")
    done = segma("cutout", project, "--frames", "3-5", "--format", "png", "-o", folder, "--json")
    [row] = done.objects
    assert (row["objects"], row["first"], row["last"], row["frames"]) == (["ball", "other"], 3, 5, 3)
    assert sorted(path.name for path in folder.glob("*.png")) == ["00003.png", "00004.png", "00005.png"]
    picture = np.array(Image.open(folder / "00004.png"))
    assert np.array_equal(picture[..., 3] == 255, masks(segma, project, "ball", "other")[4])
    again = segma("cutout", project, "-f", "png", "-o", folder)
    assert (again.code, "--overwrite" in again.err) == (2, True)


@pytest.mark.parametrize(
    ("options", "name", "codec"),
    [
        ((), "x.webm", "vp9"),
        (("--format", "green"), "x.mp4", "h264"),
        (("--format", "matte", "--feather", "2", "--grow", "1"), "x.mp4", "h264"),
        (("--background", "#ff0000"), "x.mp4", "h264"),
        (("--format", "blur:3"), "x.mp4", "h264"),
        (("--background", "green"), "", "h264"),
    ],
)
def test_kinds_and_backgrounds(
    segma: Segma, project: Path, tmp_path: Path, options: tuple[str, ...], name: str, codec: str
) -> None:
    done = segma("cutout", project, "--object", "ball", *options, *(("-o", tmp_path / name) if name else ()))
    assert done.code == 0, done.err
    target = tmp_path / name if name else project.with_name("clip.cutout.mp4")
    with av.open(str(target)) as container:
        assert container.streams.video[0].codec_context.name.removeprefix("lib") in (
            codec,
            f"{codec}-vpx",
            "vpx-vp9",
        )
    frames = frames_of(target)
    assert len(frames) == 12
    outside = ~masks(segma, project, "ball")[0]
    if "matte" in options:
        assert frames[0][..., 0].max() > 200 and np.median(frames[0][outside]) < 30
    if "#ff0000" in options:
        assert np.median(frames[0][outside], 0)[0] > 200


def test_a_video_is_tracked_first(segma: Segma, clip: Path, tracking_toy: Path) -> None:
    done = segma("cutout", clip, "--point", "20,16", "--model", tracking_toy, "--frames", "2-5")
    assert done.code == 0, done.err
    assert done.out.startswith("clip.mp4  cut out object  ")
    assert done.out.endswith(" of 4 frames\n")
    assert len(frames_of(clip.with_name("clip.cutout.mov"))) == 4
    done = segma("cutout", clip, "--object", "a@6:point=20,16", "--model", tracking_toy, "--json", "-o",
                 clip.with_name("y.webm"))  # fmt: skip
    [row] = done.objects
    assert (row["frames"], row["objects"], row["format"]) == (12, ["a"], "webm-alpha")
    assert {path.name for path in clip.parent.iterdir()} == {"clip.mp4", "clip.cutout.mov", "y.webm"}


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ((), "Nothing says what to cut out."),
        (
            ("--object", "ball"),
            'There is no object "ball": the video is not tracked yet. Say where it is: --obj',
        ),
        (("--text", "a cup"), "Sentences come with the find model"),
        (("--point", "20,16", "--normalized"), "--normalized is for pictures."),
        (("--point", "20,16", "-o", "x.mp4"), "h264 has no alpha."),
        (("--point", "20,16", "-o", "x.avi"), "the name does not say what to write. Use .mov, .mp4, .webm"),
        (("--point", "20,16", "-o", "x.mp4", "--format", "prores4444"), "contradict each other"),
        (("--point", "20,16", "--format", "gif"), 'No video kind "gif".'),
        (("--point", "20,16", "--background", "purple"), 'No background "purple".'),
        (("clip.mp4", "--point", "20,16"), "2 sources, and one video was expected."),
    ],
)
def test_wrong_use(
    segma: Segma,
    clip: Path,
    tracking_toy: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...],
    text: str,
) -> None:
    monkeypatch.chdir(clip.parent)
    done = segma("cutout", "clip.mp4", *arguments, "--model", tracking_toy)
    assert (done.code, done.out) == (2, "")
    assert text in done.err and "Traceback" not in done.err
    assert [path.name for path in clip.parent.iterdir()] == ["clip.mp4"]


def test_wrong_use_of_a_project(segma: Segma, project: Path) -> None:
    for options, text in (
        (("--object", "cat"), 'There is no object "cat". Objects: ball, other.'),
        (("--object", "a@0:point=1,2"), "clip.segma is tracked already."),
        (("--point", "20,16"), "is tracked already."),
    ):
        done = segma("cutout", project, *options)
        assert (done.code, text in done.err) == (2, True), done.err
    assert segma("cutout", project, "--frames", "5-99").code == 3
