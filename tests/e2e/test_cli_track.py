"""`segma track`: from a video to a project and files, corrections, going on after a stop, bad input."""

from __future__ import annotations

import csv
import fcntl
import json
import re
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from stubs.clips import frames_of, scene, times_of, write_clip

import segma as api
from segma.masks.mask import Mask

Segma = Callable[..., Any]  # conftest's Ended
Start = Callable[..., subprocess.Popen[bytes]]
BALL = ("--object", "ball@0:point=20,16")
BOX = ("--object", "player 7@3:box=5,5,30,30")


@pytest.fixture
def track(segma: Segma, tracking_toy: Path) -> Segma:
    """Runs `segma track` with the toy, which projects remember."""

    def run(source: object, *arguments: object) -> Any:
        model = () if str(source).endswith(".segma") else ("--model", tracking_toy)
        return segma("track", source, *arguments, *model)

    return run


def kept(segma: Segma, project: Path) -> dict[int, dict[str, Any]]:
    """All that a project holds, by frame and object."""
    return {row["frame"]: row["objects"] for row in segma("track", project, "--json").objects}


def test_a_project_beside_the_source_and_the_report(track: Segma, clip: Path) -> None:
    done = track(clip, *BALL, *BOX)
    assert done.code == 0, done.err
    lines = done.out.splitlines()
    assert lines[0] == "clip.mp4  12 frames  24 fps  1 shot"
    quality = r"lowest quality (at frame \d+ \(\d\.\d\d\)|not measured)"
    assert re.fullmatch(rf"  ball      +\d+ present +\d+ absent   {quality}", lines[1])
    assert re.fullmatch(rf"  player 7  +\d+ present +\d+ absent   {quality}   3 not tracked", lines[2])
    assert re.match(
        r"done in \d+\.\d s \(\d+\.\d fps\), peak memory [\d.]+ [MG]B\.   look next at: ", lines[3]
    )
    assert len(lines) == 4
    assert done.err.splitlines() == [f"saved {clip.with_suffix('.segma')}"]


def test_a_project_tells_what_it_holds_without_its_model(
    segma: Segma, track: Segma, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = clip.with_suffix(".segma")
    told = track(clip, *BALL, *BOX).out.splitlines()
    monkeypatch.setattr("segma.cli.compute.Compute.load", None)
    again = segma("track", project)
    assert again.code == 0
    assert again.out.splitlines()[:3] == told[:3]
    done = segma("track", project, "-o", clip.with_name("t.csv"))
    assert (done.code, done.out) == (0, "")
    with clip.with_name("t.csv").open() as rows:
        assert {row["label"] for row in csv.DictReader(rows)} == {"ball", "player 7"}


def test_json_gives_a_line_a_frame_and_keeps_nothing(track: Segma, clip: Path) -> None:
    done = track(clip, *BALL, "--json")
    assert [row["frame"] for row in done.objects] == list(range(12))
    for row in done.objects:
        mask = Mask.from_coco(row["objects"]["ball"]["segmentation"])
        assert mask.size == (48, 64)
        assert mask.area == row["objects"]["ball"]["area"]
    assert [path.name for path in clip.parent.iterdir()] == ["clip.mp4"]


def test_several_outputs_of_one_run(segma: Segma, track: Segma, clip: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    names = ["o.mp4", "masks/", "t.csv", "a.coco.json", "a.ytvis.json", "a.sav.json", "p.segma"]
    out.mkdir()
    done = track(clip, *BALL, *BOX, *(part for name in names for part in ("-o", f"{out}/{name}")))
    assert done.code == 0, done.err
    assert {path.name for path in out.iterdir()} == {name.rstrip("/") for name in names}
    assert len(frames_of(out / "o.mp4")) == 12
    assert np.allclose(times_of(out / "o.mp4"), times_of(clip), atol=1e-3)
    picture = Image.open(out / "masks" / "00005.png")
    assert (picture.mode, picture.size) == ("P", (64, 48))
    answer = kept(segma, out / "p.segma")[5]
    ball = Mask.from_coco(answer["ball"]["segmentation"]).dense()
    assert np.array_equal(np.asarray(picture) == 1, ball)
    for name in ("a.coco.json", "a.ytvis.json", "a.sav.json"):
        json.loads((out / name).read_text())
    assert "saved " in done.err and "objects' anchors" in done.err, "what a format cannot hold is said"


@pytest.mark.parametrize(
    "kind", ["davis", "ytvos", "sav-png", "png", "sav", "csv", "overlay", "coco", "ytvis"]
)
def test_formats_by_name(segma: Segma, clip: Path, track: Segma, tmp_path: Path, kind: str) -> None:
    assert track(clip, *BALL).code == 0
    project = clip.with_suffix(".segma")
    done = segma("track", project, "--format", kind, "-o", f"{tmp_path}/out/")
    assert done.code == 0, done.err
    assert any(path.is_file() for path in (tmp_path / "out").rglob("*"))
    again = segma("track", project, "--export", kind, "-o", f"{tmp_path}/out/")
    assert (again.code, "--overwrite" in again.err) == (2, True)
    assert segma("track", project, "-f", kind, "-o", f"{tmp_path}/out/", "--overwrite").code == 0


def test_ranges_and_directions(track: Segma, clip: Path) -> None:
    def frames(*options: str) -> list[int]:
        done = track(clip, "--object", "a@6:point=20,16", "--json", *options)
        assert done.code == 0, done.err
        return [row["frame"] for row in done.objects]

    assert frames() == [6, 7, 8, 9, 10, 11]
    assert frames("--reverse") == [6, 5, 4, 3, 2, 1, 0]
    assert frames("--both") == [6, 7, 8, 9, 10, 11, 6, 5, 4, 3, 2, 1, 0]
    assert frames("--both", "--frames", "4-8") == [4, 5, 6, 7, 8, 6, 5, 4]
    assert frames("--frames", "6-7") == [6, 7]


def test_prompts_of_a_file_and_masks(segma: Segma, track: Segma, clip: Path) -> None:
    Image.fromarray(np.pad(np.full((20, 20), 255, np.uint8), ((10, 18), (5, 39)))).save(
        clip.with_name("m.png")
    )
    rows = [
        {"object": "ball", "points": [[20, 16], [60, 40]], "labels": [1, 0]},
        {"object": "drawn", "frame": 2, "mask": "m.png"},
        {"object": "ball", "frame": 4, "box": [5, 5, 30, 30]},
    ]
    clip.with_name("p.json").write_text(json.dumps(rows))
    assert track(clip, "--prompts", clip.with_name("p.json")).code == 0
    found = kept(segma, clip.with_suffix(".segma"))
    assert [frame for frame in found if found[frame]["ball"]["anchor"]] == [0, 4]
    assert found[2]["drawn"]["area"] == pytest.approx(400, rel=0.05)
    clip.with_suffix(".segma").rename(clip.with_name("other.segma"))
    same = ("--object", "ball@0:point=20,16;point=60,40:-", "--object", "ball@4:box=5,5,30,30")
    assert track(clip, *same, "--object", f"drawn@2:mask={clip.with_name('m.png')}").code == 0
    assert kept(segma, clip.with_suffix(".segma"))[1] == found[1]


def test_shots_are_told_and_not_crossed(segma: Segma, track: Segma, tmp_path: Path) -> None:
    def draw(index: int) -> np.ndarray:
        picture = scene(index // 2)
        return picture if index < 12 else np.ascontiguousarray(255 - picture[::-1, ::-1])

    film = write_clip(tmp_path / "film.mp4", 24, draw=draw)
    done = track(film, *BALL)
    assert done.out.splitlines()[0] == "film.mp4  24 frames  24 fps  2 shots (0-11, 12-23)"
    assert done.out.splitlines()[1].endswith("12 not tracked")
    done = track(film, *BALL, "--across-cuts", "--overwrite")
    assert done.out.splitlines()[0] == "film.mp4  24 frames  24 fps"
    assert "not tracked" not in done.out


def test_a_correction_tracks_again_and_leaves_others_alone(segma: Segma, track: Segma, clip: Path) -> None:
    project = clip.with_suffix(".segma")
    track(clip, *BALL, *BOX)
    before = kept(segma, project)
    done = segma("track", project, "--fix", "ball@6:point=40,30:+", "--fix", "ball@6:point=5,40:-")
    assert done.code == 0, done.err
    form = r"re-tracked ball (\d+)-(\d+) \((\d+) of 12 frames\), \d+\.\d s; player 7 unchanged"
    told = re.fullmatch(form, done.out.strip())
    assert told
    first, last, count = map(int, told.groups())
    assert first <= 6 <= last and count == last - first + 1
    after = kept(segma, project)
    assert after[6]["ball"]["anchor"] and not before[6]["ball"]["anchor"]
    assert [after[f].get("player 7") for f in after] == [before[f].get("player 7") for f in before]
    assert all(after[f] == before[f] for f in after if not first <= f <= last)


def test_objects_come_go_and_are_said_to_be_absent(segma: Segma, track: Segma, clip: Path) -> None:
    project = clip.with_suffix(".segma")
    track(clip, *BALL, "--absent", "ball@8-9")
    before = kept(segma, project)
    assert [before[8]["ball"]["present"], before[8]["ball"]["source"]] == [False, "person"]
    done = segma("track", project, "--object", "late@5:point=40,30", "--frames", "5-8")
    assert done.code == 0, done.err
    after = kept(segma, project)
    assert [frame for frame in after if "late" in after[frame]] == [5, 6, 7, 8]
    assert all(after[f]["ball"] == before[f]["ball"] for f in before)
    assert segma("track", project, "--remove", "late", "--absent", "ball@3-4").code == 0
    rest = kept(segma, project)
    assert not any("late" in objects for objects in rest.values())
    assert not rest[3]["ball"]["present"]


def test_a_folder_of_frames(segma: Segma, track: Segma, tmp_path: Path) -> None:
    (tmp_path / "frames").mkdir()
    for index in range(5):
        Image.fromarray(scene(index)).save(tmp_path / "frames" / f"{index}.png")
    done = track(tmp_path / "frames", *BALL)
    assert done.out.startswith("frames  5 frames  24 fps  1 shot")
    assert len(kept(segma, tmp_path / "frames.segma")) == 5


# stopping, and going on


LATE = ("--object", "late@40:point=20,16")


@pytest.fixture(scope="module")
def long(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clip of so many frames that a run can be stopped in it."""
    return write_clip(tmp_path_factory.mktemp("long") / "long.mp4", 70)


@pytest.fixture(scope="module")
def whole(long: Path, tracking_toy: Path) -> dict[int, dict[str, Any]]:
    """What comes of it if nothing stops it, by Python."""
    with api.track(long, model=tracking_toy, threads=1) as video:
        video.add("ball", points=[(20, 16)])
        video.add("late", frame=40, points=[(20, 16)])
        frames = list(video.run())
        assert len(frames) + len(list(video.run(reverse=True, last=40, objects=["late"]))) == 111
        return {index: video.frame(index).to_dict()["objects"] for index in range(70)}


def read_lines(process: subprocess.Popen[bytes], count: int, pause: float) -> None:
    """Read frames so slowly that the run, which waits for its reader, is in the middle of its work."""
    assert process.stdout
    fcntl.fcntl(process.stdout, fcntl.F_SETPIPE_SZ, 4096)
    for _ in range(count):
        assert process.stdout.readline().startswith(b"{")
        time.sleep(pause)


@pytest.mark.parametrize("ending", ["SIGINT", "SIGTERM", "SIGKILL"])
def test_a_stopped_run_goes_on_and_gives_the_same(
    segma: Segma,
    start: Start,
    long: Path,
    whole: dict[int, Any],
    tracking_toy: Path,
    tmp_path: Path,
    ending: str,
) -> None:
    project = tmp_path / "x.segma"
    options = (*BALL, *LATE, "--both", "--model", tracking_toy, "--json")
    process = start("track", long, *options, "-o", project, "--threads", 1)
    read_lines(process, 20, 0.1)
    process.send_signal(getattr(signal, ending))
    _, err = process.communicate(timeout=60)
    told = segma("track", project)
    assert told.code == 1
    assert f"Continue: segma track {project} --resume [job.lost]" in told.err
    if ending == "SIGKILL":
        assert process.returncode == -signal.SIGKILL
        assert re.search(r"Tracking stopped at frame \d+ \(process ended\)\.", told.err)
    else:
        assert process.returncode == 130
        form = (
            r"interrupted: Tracking stopped at frame (\d+); what is done is kept. "
            rf"Continue: segma track {project} --resume \[cancelled\]"
        )
        stopped = re.search(form, err.decode())
        assert stopped and 19 <= int(stopped[1]) < 69
        assert set(kept_of(segma, project)) >= set(range(int(stopped[1]) + 1))
    done = segma("track", project, "--resume")
    assert done.code == 0, done.err
    assert kept(segma, project) == whole
    again = segma("track", project, "--resume")
    assert (again.code, "is complete: there is nothing to go on with" in again.err) == (0, True)


def kept_of(segma: Segma, project: Path) -> list[int]:
    """Frames of an unfinished project, which is exported with a note."""
    target = project.with_suffix(".csv")
    done = segma("track", project, "-o", target)
    assert (done.code, "[job.lost]" in done.err) == (0, True)
    with target.open() as rows:
        return [int(row["frame"]) for row in csv.DictReader(rows)]


def test_an_interrupted_run_without_a_project_is_kept_beside_the_output(
    segma: Segma, start: Start, long: Path, tracking_toy: Path, tmp_path: Path
) -> None:
    options = (*BALL, "--model", tracking_toy, "--json", "-o", tmp_path / "t.csv", "--threads", 1)
    process = start("track", long, *options)
    read_lines(process, 5, 0.05)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert f"Continue: segma track {tmp_path / 'long.segma'} --resume" in err.decode()
    assert not (tmp_path / "t.csv").exists()
    assert segma("track", tmp_path / "long.segma", "--resume", "-o", tmp_path / "t.csv").code == 0
    assert len(kept(segma, tmp_path / "long.segma")) == 70
