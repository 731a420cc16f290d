"""`segma stream`: files, pipes, prompts as their frames come, and ends of all kinds."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from subprocess import PIPE
from typing import Any

import pytest
from stubs.clips import frames_of, times_of, write_clip

Segma = Callable[..., Any]  # conftest's Ended
Start = Callable[..., subprocess.Popen[bytes]]
BALL = ("--object", "ball@0:point=20,16")


def test_lines_when_objects_appear_and_a_video(segma: Segma, clip: Path, tracking_toy: Path) -> None:
    target = clip.with_name("o.mp4")
    late = ("--object", "late@4:box=5,5,30,30")
    done = segma("stream", clip, *BALL, *late, "--model", tracking_toy, "-o", target)
    assert done.code == 0, done.err
    lines = done.out.splitlines()
    assert lines[0] == "0.0 s  frame 0  ball appears"
    assert "0.2 s  frame 4  late appears" in lines
    assert done.err.startswith(f"saved {target}   12 frames, ")
    assert len(frames_of(target)) == 12
    assert times_of(target) == pytest.approx(times_of(clip), abs=1e-3)


def test_json_lines_and_an_end_that_was_asked_for(segma: Segma, clip: Path, tracking_toy: Path) -> None:
    done = segma("stream", clip, *BALL, "--model", tracking_toy, "--json", "--frames", 5, "-q")
    assert (done.code, done.err) == (0, "")
    assert [row["frame"] for row in done.objects] == [0, 1, 2, 3, 4]
    assert done.objects[0]["objects"]["ball"]["anchor"]
    assert [path.name for path in clip.parent.iterdir()] == ["clip.mp4"]


def test_standard_input_and_ctrl_c_leave_a_whole_file(
    start: Start, tracking_toy: Path, tmp_path: Path
) -> None:
    data = write_clip(tmp_path / "long.mkv", 200).read_bytes()
    target = tmp_path / "o.mp4"
    options = (*BALL, "--model", tracking_toy, "--json", "--threads", 1, "-o", target)
    process = start("stream", "-", *options, stdin=PIPE)
    assert process.stdin and process.stdout
    process.stdin.write(data[: len(data) // 2])
    process.stdin.flush()  # the rest never comes: it waits for it when Ctrl-C arrives
    frames = [json.loads(process.stdout.readline())["frame"] for _ in range(30)]
    process.send_signal(signal.SIGINT)
    rest, err = process.communicate(timeout=60)
    frames += [json.loads(line)["frame"] for line in rest.splitlines()]
    assert process.returncode == 130, err.decode()
    assert f"saved {target}   stopped after {len(frames)} frames" in err.decode()
    assert "Traceback" not in err.decode()
    assert frames == list(range(len(frames)))
    assert len(frames_of(target)) == len(frames) < 200


def test_a_stream_that_breaks_off_keeps_what_came(
    segma: Segma, tracking_toy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from segma.errors import InputError
    from segma.media.video import VideoFile

    clip = write_clip(tmp_path / "cam.mp4", 20)
    play = VideoFile.frames

    def gone(self: VideoFile, *arguments: Any, **options: Any) -> Any:
        for frame in play(self, *arguments, **options):
            if frame.index == 7:
                raise InputError("input.gone", "cam: gone after frame 6 (unplugged).")
            yield frame

    monkeypatch.setattr(VideoFile, "frames", gone)
    done = segma("stream", clip, *BALL, "--model", tracking_toy, "-o", tmp_path / "o.mp4")
    assert done.code == 3
    assert "error: " in done.err and done.err.rstrip().endswith(
        "gone after frame 6 (unplugged). [input.gone]"
    )
    assert len(frames_of(tmp_path / "o.mp4")) == 7


@pytest.mark.parametrize(
    ("source", "arguments", "code", "text"),
    [
        ("clip.mp4", (), 2, "Nothing says what to follow."),
        ("clip.mp4", ("--object", "a@0:point=200,1"), 2, "[prompt.outside]"),
        ("clip.mp4", ("--object", "a@0:point=20,16:-"), 2, "has only exclude points"),
        ("clip.mp4", (*BALL, "-o", "x.avi"), 2, "a stream is written as .mp4"),
        ("clip.mp4", (*BALL, "-o", "clip.mp4"), 2, "[input.exists]"),
        ("none.mp4", BALL, 3, "none.mp4: no such file."),
        ("cam:77", BALL, 3, "cam:77: no such camera"),
        ("rtsp://127.0.0.1:1/x", BALL, 3, "Add --allow-network. [input.network]"),
        ("rtsp://127.0.0.1:1/x", (*BALL, "--allow-network"), 3, "no video came"),
    ],
)
def test_what_is_wrong_is_told_in_one_line(
    segma: Segma,
    clip: Path,
    monkeypatch: pytest.MonkeyPatch,
    source: str,
    arguments: tuple[str, ...],
    code: int,
    text: str,
) -> None:
    monkeypatch.chdir(clip.parent)
    done = segma("stream", source, *arguments)
    assert (done.code, done.out) == (code, "")
    assert text in done.err and "Traceback" not in done.err
    assert [path.name for path in clip.parent.iterdir()] == ["clip.mp4"]


def test_an_empty_pipe(segma: Segma, tracking_toy: Path) -> None:
    done = segma("stream", "-", *BALL, "--model", tracking_toy)
    assert (done.code, "[input.unreadable]" in done.err) == (3, True)
