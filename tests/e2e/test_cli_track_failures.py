"""What goes wrong with videos: one line, the right exit code, and nothing half-written."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from stubs.clips import frames_of, times_of, write_clip, write_no_frames, write_sound

from segma.errors import CODES

Segma = Callable[..., Any]  # conftest's Ended
Start = Callable[..., subprocess.Popen[bytes]]
BALL = ("--object", "ball@0:point=20,16")


def error(done: Any, code: int) -> str:
    """The only error line of a run that ended with this exit code."""
    lines = [line for line in done.err.splitlines() if line.startswith("error: ")]
    assert (done.code, len(lines)) == (code, 1), done.err
    assert lines[0].rpartition("[")[2].rstrip("]") in CODES
    assert "Traceback" not in done.err
    return lines[0]


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        (
            (),
            2,
            "Nothing says what to follow. Add --object NAME@FRAME:point=X,Y or --prompts. [prompt.empty]",
        ),
        (("--object", "ball"), 2, '"ball" is no prompt of an object: expected NAME@FRAME:point=x,y'),
        (("--object", "ball@0:point=1"), 2, '"1" is no point: expected x,y. [prompt.syntax]'),
        (("--object", "ball@0:pt=1,2"), 2, "is no prompt of an object"),
        (("--object", "ball@0:box=1,2,3,4;box=1,2,3,4"), 2, "is no prompt of an object"),
        (("--object", "ball@0:text=the red ball"), 2, "Sentences come with the find model"),
        (("--object", "ball@0:mask=none.png"), 3, "none.png: no such file."),
        (("--object", "ball@0:mask=a.png;point=1,2"), 2, "A mask stands alone"),
        (("--object", "ball@0:point=200,40"), 2, "Point (200, 40) is outside the image (64x48)."),
        (("--object", "ball@0:box=70,0,90,9"), 2, "[prompt.outside]"),
        (("--object", "ball@99:point=20,16"), 3, "Frame 99 does not exist: clip.mp4 has frames 0 to 11."),
        (
            ("--object", "ball@0:point=20,16:-"),
            2,
            'Object "ball" has only exclude points on frame 0. Add one',
        ),
        ((*BALL, "--object", "b@3:point=20,16:-"), 2, 'Object "b" has only exclude points on frame 3.'),
        ((*BALL, "--frames", "3-99"), 3, "Frame 99 does not exist"),
        ((*BALL, "--frames", "9-3"), 2, "the first comes after the last"),
        ((*BALL, "--frames", "x"), 2, '"x" is no range of frames: expected a-b'),
        ((*BALL, "--reverse", "--both"), 2, "contradict"),
        ((*BALL, "--across-cuts", "--reidentify"), 2, "contradict"),
        ((*BALL, "--hypotheses", "99"), 2, "hypotheses is 99; it goes from 1 to 8."),
        ((*BALL, "--absent", "cat@1-2"), 2, 'There is no object "cat"'),
        ((*BALL, "--fix", "ball@0:point=1,2"), 2, "--fix works on a project, and clip.mp4 is none."),
        ((*BALL, "--resume"), 2, "--resume works on a project"),
        (
            (*BALL, "-o", "x.docx"),
            2,
            "x.docx: the name does not say what to write. Names end in .segma, .mp4",
        ),
        ((*BALL, "-o", "x.mov"), 2, 'objects with alpha come with "segma cutout"'),
        ((*BALL, "-o", "x.csv", "--format", "coco"), 2, "contradict each other"),
        ((*BALL, "--format", "xml"), 2, 'No output kind "xml". Kinds: project, overlay, png'),
        ((*BALL, "-o", "none/x.csv"), 3, "There is no folder none. [disk.unwritable]"),
        ((*BALL, "-o", "a.segma", "-o", "b.segma"), 2, "one project is kept"),
        ((*BALL, "--project", "a"), 2, "the name of a project ends in .segma"),
        ((*BALL, "-o", "clip.mp4"), 2, "clip.mp4 exists in "),
        ((*BALL, "--model", "sam_vit_b"), 4, "[model.download]"),
    ],
)
def test_wrong_use_is_told_before_any_work(
    segma: Segma,
    clip: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...],
    code: int,
    text: str,
) -> None:
    monkeypatch.chdir(clip.parent)
    if "sam_vit_b" not in arguments:
        monkeypatch.setattr("segma.cli.compute.Compute.load", None)  # no model is loaded for this
    done = segma("track", "clip.mp4", *arguments)
    assert text in error(done, code)
    assert done.out == ""
    assert [path.name for path in clip.parent.iterdir()] == ["clip.mp4"]


@pytest.mark.parametrize(
    "text",
    ["{", "3", "[]", "[3]", '[{"object": "a"}]', '[{"points": [[1, 2]]}]', '[{"object": "a", "point": [1]}]',
     '[{"object": "a", "frame": -1, "points": [[1, 2]]}]', '[{"object": "a", "points": 3}]',
     '[{"object": "a", "mask": 3}]', '[{"object": "a", "text": "a cup"}]'],
)  # fmt: skip
def test_prompt_files_that_are_none(segma: Segma, clip: Path, text: str) -> None:
    prompts = clip.with_name("p.json")
    prompts.write_text(text)
    assert error(segma("track", clip, "--prompts", prompts), 2).startswith("error: p.json")


def test_a_model_without_memory(segma: Segma, clip: Path, toy: Path) -> None:
    assert "it has no memory to follow objects with" in error(segma("track", clip, *BALL, "--model", toy), 4)
    assert not clip.with_suffix(".segma").exists()


def test_sources_that_are_no_video(segma: Segma, tmp_path: Path) -> None:
    whole = write_clip(tmp_path / "whole.mp4").read_bytes()
    (tmp_path / "half.mp4").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "text.mp4").write_text("hello\n" * 500)
    (tmp_path / "huge.y4m").write_bytes(
        b"YUV4MPEG2 W30000 H30000 F24:1 Ip A1:1 C420jpeg\nFRAME\n" + bytes(999)
    )
    write_sound(tmp_path / "sound.mp4")
    write_no_frames(tmp_path / "none.mp4")
    for name, text in {
        "half.mp4": "half.mp4: ",
        "text.mp4": "text.mp4: ",
        "huge.y4m": "larger than can be decoded",
        "sound.mp4": "sound.mp4 has audio only (aac). Nothing to segment. [input.no_video]",
        "none.mp4": "[input.no_video]",
        "gone.mp4": "gone.mp4: no such file. Looked in ",
        "gone.segma": "gone.segma: no such project. Looked in ",
    }.items():
        assert text in error(segma("track", tmp_path / name, *BALL), 3)
    for source in ("-", "cam:0", "rtsp://127.0.0.1/x"):
        assert 'Use "segma stream"' in error(segma("track", source, *BALL), 2)


def test_a_header_that_lies_about_its_frames(segma: Segma, tracking_toy: Path, tmp_path: Path) -> None:
    data = bytearray(write_clip(tmp_path / "lie.mkv", 30).read_bytes())
    (tmp_path / "lie.mkv").write_bytes(data[: len(data) * 2 // 3])
    done = segma("track", tmp_path / "lie.mkv", *BALL, "--model", tracking_toy, "--json")
    assert done.code == 0, done.err
    assert 5 < len(done.objects) < 30


def test_a_frame_that_does_not_decode_is_said_and_shifts_nothing(
    segma: Segma, tracking_toy: Path, tmp_path: Path
) -> None:
    clip = write_clip(tmp_path / "hurt.mp4", 16, damaged={9})
    done = segma("track", clip, *BALL, "--model", tracking_toy, "--json", "-o", tmp_path / "o.mp4")
    assert done.code == 0, done.err
    told = re.search(r"warning: hurt.mp4: frames? (\d+).* left out", done.err)
    assert told
    frames = [row["frame"] for row in done.objects]
    missing = sorted(set(range(16)) - set(frames))
    assert 9 in missing and missing[0] == int(told[1]) and frames[-1] == 15
    assert [row["time"] for row in done.objects] == pytest.approx([frame / 24 for frame in frames], abs=1e-3)
    assert len(frames_of(tmp_path / "o.mp4")) == len(frames)
    done = segma("track", clip, "--object", "b@9:point=20,16", "--model", tracking_toy)
    assert "Frame 9 of hurt.mp4 cannot be decoded" in error(done, 3)
    assert not (tmp_path / "hurt.segma").exists()


def test_variable_rates_and_turned_pictures(segma: Segma, tracking_toy: Path, tmp_path: Path) -> None:
    times = [0, 3, 9, 10, 25, 26, 40, 60]
    clip = write_clip(tmp_path / "odd.mkv", 8, times=times)
    done = segma("track", clip, *BALL, "--model", tracking_toy, "--json", "-o", tmp_path / "o.mp4")
    assert [row["time"] for row in done.objects] == pytest.approx([time / 100 for time in times], abs=1e-3)
    assert times_of(tmp_path / "o.mp4") == pytest.approx([time / 100 for time in times], abs=2e-3)
    clip = write_clip(tmp_path / "tall.mp4", 3, rotation=90)
    done = segma("track", clip, "--object", "a@0:point=20,60", "--model", tracking_toy, "--json")
    assert [row["size"] for row in done.objects] == [[64, 48]] * 3
    assert "is outside the image (48x64)" in error(segma("track", clip, "--object", "a@0:point=60,20"), 2)


def test_nothing_is_replaced_without_being_asked(segma: Segma, clip: Path, tracking_toy: Path) -> None:
    command = ("track", clip, *BALL, "--model", tracking_toy)
    assert segma(*command).code == 0
    project = clip.with_suffix(".segma")
    line = error(segma(*command), 2)
    assert f"clip.segma exists in {clip.parent}. Go on with it (segma track {project} --resume" in line
    assert segma(*command, "--overwrite").code == 0
    foreign = clip.with_name("mine.segma")
    foreign.mkdir()
    (foreign / "precious").write_text("x")
    assert "[input.exists]" in error(segma(*command, "-o", foreign, "--overwrite"), 2)
    assert (foreign / "precious").read_text() == "x"


def test_what_a_project_refuses(segma: Segma, clip: Path, tracking_toy: Path) -> None:
    project = clip.with_suffix(".segma")
    assert segma("track", clip, *BALL, "--model", tracking_toy).code == 0
    for options, code, text in (
        (("--fix", "cat@0:point=1,2"), 2, 'There is no object "cat". Objects: ball. [prompt.object]'),
        (("--fix", "ball@99:point=1,2"), 3, "Frame 99 does not exist"),
        (("--object", "b@0:point=1,2:-"), 2, 'Object "b" has only exclude points'),
        (("--absent", "ball@0-3"), 2, "has prompts on frame 0, where it is said to be absent"),
        (("--remove", "cat"), 2, 'There is no object "cat"'),
        (("--resume", "--fix", "ball@0:point=1,2"), 2, "Say new things after it"),
        (("--resume", "--frames", "1-2"), 2, "--resume goes on with the frames"),
        (("--project", "x.segma"), 2, "is a project already"),
    ):
        assert text in error(segma("track", project, *options), code)
    (project / "project.db").write_bytes(b"no tables")
    assert error(segma("track", project), 3).endswith("[db.broken]")
    clip.unlink()
    shutil.rmtree(project)


def test_a_project_whose_video_is_gone(segma: Segma, clip: Path, tracking_toy: Path) -> None:
    assert segma("track", clip, *BALL, "--model", tracking_toy).code == 0
    clip.unlink()
    done = segma("track", clip.with_suffix(".segma"), "--fix", "ball@3:point=20,16")
    assert "clip.mp4: no such file." in error(done, 3)


def test_two_writers_of_one_project(segma: Segma, clip: Path, tracking_toy: Path) -> None:
    from segma.store.project import Project

    assert segma("track", clip, *BALL, "--model", tracking_toy).code == 0
    project = clip.with_suffix(".segma")
    with Project.open(project):
        assert error(segma("track", project, "--fix", "ball@3:point=20,16"), 3).endswith("[db.locked]")
        assert segma("track", project).code == 0, "readers are fine"


def test_a_full_disk_leaves_the_tracks(
    segma: Segma, clip: Path, tracking_toy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(clip)
    target = clip.with_name("o.mp4")
    full = usage._replace(free=1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: full if Path(path) == clip.parent else usage)
    done = segma("track", clip, *BALL, "--model", tracking_toy, "-o", target)
    assert "Nothing was written. Make room, or write to another disk. [disk.full]" in error(done, 3)
    assert f"note: the tracks are kept in {clip.with_suffix('.segma')}" in done.err
    assert not target.exists()
    monkeypatch.undo()
    done = segma("track", clip.with_suffix(".segma"), "-o", target)
    assert (done.code, len(frames_of(target))) == (0, 12)


def test_a_disk_that_fills_up_while_tracking(start: Start, tracking_toy: Path, tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "clip.mp4", 40)
    size = 500_000  # of a file, in bytes: enough for the tables, not for their log and the memories
    code = (
        "import resource, signal, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
        f"resource.setrlimit(resource.RLIMIT_FSIZE, ({size}, {size}));"
        "from segma.cli.main import main; main(sys.argv[1:])"
    )
    process = start("track", clip, *BALL, "--model", tracking_toy, "--json", program=("-c", code))
    _, err = process.communicate(timeout=120)
    assert process.returncode == 3, err.decode()
    assert "[disk.full]" in err.decode() and "Traceback" not in err.decode()


def test_image_verbs_name_the_verb_for_videos(segma: Segma, clip: Path) -> None:
    done = segma("segment", clip, "--point", "20,16")
    assert "clip.mp4 is a video. Of a video: segma track, or segma cutout." in error(done, 3)
    assert "segma stream" in error(segma("everything", "cam:0"), 2)


def test_masks_that_do_not_fit(segma: Segma, clip: Path) -> None:
    for size, text in (((10, 10), "The mask is 10x10, the video 64x48."), ((64, 48), "m.png is empty")):
        Image.fromarray(np.zeros(size[::-1], np.uint8)).save(clip.with_name("m.png"))
        if size == (10, 10):
            Image.fromarray(np.full(size, 255, np.uint8)).save(clip.with_name("m.png"))
        done = segma("track", clip, "--object", f"a@0:mask={clip.with_name('m.png')}")
        assert text in error(done, 2)


def test_json_is_all_there_is_on_standard_output(segma: Segma, clip: Path, tracking_toy: Path) -> None:
    done = segma("track", clip, *BALL, "--model", tracking_toy, "--json", "-q", "-o", clip.with_name("x.csv"))
    assert (done.code, done.err) == (0, "")
    assert [json.loads(line)["frame"] for line in done.out.splitlines()] == list(range(12))
