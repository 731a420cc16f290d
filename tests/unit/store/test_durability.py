"""What is left when the process is killed in the middle of a run."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import select, text

from segma.errors import InputError
from segma.keeping import Run
from segma.store import run_writer
from segma.store.history import History
from segma.store.jobs import lost_error
from segma.store.project import Project
from segma.store.schema import JobRow, MaskRow, TrackRow
from segma.store.tracks import AssetTracks

if TYPE_CHECKING:
    from tests.unit.store.conftest import MakeRecord

TRACK = """
import sys, time
import numpy as np
from segma.masks.mask import Mask
from segma.results import TrackRecord
from segma.store.project import Project
from segma.store.tracks import AssetTracks

project = Project.open(sys.argv[1])
tracks = AssetTracks(project, project.assets()[0])
ball, cup = tracks.add_object("ball"), tracks.add_object("cup")
run = tracks.begin((ball, cup), 0, None, reverse=False, reason="new")
for frame in range(100_000):
    dense = np.random.default_rng(frame).random((24, 32)) > 0.7
    record = TrackRecord(compact=Mask.from_dense(dense), predicted_iou=0.5, object_score=1.0)
    for each in (ball, cup):
        tracks.put(run, each, frame, record)
    print(frame, time.time(), flush=True)
    time.sleep(0.01)
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="this system has no SIGKILL")
@pytest.mark.parametrize("seconds", [0.3, 2.6])
def test_a_kill_loses_the_last_second_at_most(folder: Path, project: Project, seconds: float) -> None:
    project.close()
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(
        [sys.executable, "-c", TRACK, str(folder)], stdout=subprocess.PIPE, text=True, env=env
    ) as child:
        assert child.stdout is not None
        lines = [child.stdout.readline()]  # it imports until here
        time.sleep(seconds)
        killed = time.time()
        child.send_signal(signal.SIGKILL)
        lines += child.stdout.read().splitlines()[:-1]
    old = [int(line.split()[0]) for line in lines if float(line.split()[1]) < killed - 1.5]
    with Project.open(folder) as again:
        with again.reading() as connection:
            assert connection.execute(text("PRAGMA integrity_check")).scalar() == "ok"
        tracks = AssetTracks(again, again.assets()[0])
        kept = [list(dict(tracks.records(each, 0, None))) for each in (1, 2)]
        assert set(old) <= set(kept[0])
        assert kept[0] == kept[1] == list(range(len(kept[0])))
        (run,) = tracks.unfinished()
        assert (run.object_ids, run.first, run.last, run.state) == ((1, 2), 0, None, "running")
        assert run.reached == (kept[0][-1] if kept[0] else None)
        assert bool(kept[0]) == (seconds > 1.5)
        error = lost_error(run, again)
        assert error.code == "job.lost"
        where = f"at frame {run.reached}" if kept[0] else "before its first frame"
        assert str(error) == (
            f"Tracking stopped {where} (process ended). Continue: segma track zoo.segma --resume"
        )
        assert History(tracks).undo() is not None
        assert dict(tracks.records(1, 0, None)) == {}


class Clock:
    """Seconds that a test moves on."""

    seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def timed(project: Project, clock: Clock) -> AssetTracks:
    tracks = AssetTracks(project, project.assets()[0], model="toy", settings_hash="bb", clock=clock)
    tracks.add_object("ball")
    tracks.add_object("cup")
    return tracks


def begin(tracks: AssetTracks, *, reverse: bool = False) -> Run:
    return tracks.begin((1, 2), 0, 9, reverse=reverse, reason="auto")


def committed(tracks: AssetTracks) -> list[int]:
    """Frames in the table, as another connection sees them."""
    with tracks.project.reading() as connection:
        return sorted(connection.execute(select(MaskRow.frame)).scalars())


def test_frames_are_committed_whole_and_once_a_second(
    timed: AssetTracks, clock: Clock, record: MakeRecord
) -> None:
    run = begin(timed)
    late = {0: 0.5, 1: 0.9, 2: 1.1, 3: 1.9, 4: 2.2}  # when frames come; a commit at 1.1 and one at 2.2
    expected = {0: [], 1: [], 2: [0, 0, 1, 1], 3: [0, 0, 1, 1], 4: [0, 0, 1, 1, 2, 2, 3, 3]}
    for frame, seconds in late.items():
        clock.seconds = seconds
        for each in (1, 2):
            timed.put(run, each, frame, record(frame))
            assert committed(timed) == expected[frame]
    clock.seconds = 9.0  # this frame took long, so it is written as soon as it is whole
    timed.put(run, 1, 5, record(5))
    assert committed(timed)[-1] == 4
    clock.seconds = 10.5
    timed.put(run, 2, 5, record(5))
    assert committed(timed)[-2:] == [5, 5]
    clock.seconds = 20.0  # this one holds one object only
    timed.put(run, 1, 6, record(6))
    timed.end(run, "done")
    assert committed(timed)[-2:] == [5, 6]


def test_many_masks_are_committed_before_the_second_is_over(timed: AssetTracks, record: MakeRecord) -> None:
    run = begin(timed)
    for frame in range(128):
        timed.put(run, 1, frame, record(1))
        timed.put(run, 2, frame, record(1))
    assert len(committed(timed)) == run_writer.FLUSH_MASKS


def test_rows_say_what_made_them(timed: AssetTracks, record: MakeRecord) -> None:
    run = begin(timed)
    timed.put(run, 1, 0, record(1))
    timed.end(run, "stopped")
    with timed.project.reading() as connection:
        (job,) = connection.execute(select(JobRow.state, JobRow.kind, JobRow.pid, JobRow.checkpoint)).all()
        tracks = connection.execute(
            select(TrackRow.model, TrackRow.settings_hash, TrackRow.reason, TrackRow.run, TrackRow.is_current)
        ).all()
    assert tuple(job) == ("cancelled", "track", os.getpid(), {"reached": 0})
    assert [tuple(track) for track in tracks] == [("toy", "bb", "auto", run.run_id, True)] * 2
    assert [event.kind for event in timed.project.events()] == ["object.add", "object.add", "run"]


def test_a_mask_of_another_size_is_refused(timed: AssetTracks, record: MakeRecord) -> None:
    run = begin(timed)
    wrong = replace(record(1), compact=record(1).compact.moved((0, 0), (48, 64)))
    with pytest.raises(InputError, match=r"A mask of 64x48, but clip\.mp4 is 32x24"):
        timed.put(run, 1, 0, wrong)


def test_a_score_that_is_no_number_is_kept_as_such(timed: AssetTracks, record: MakeRecord) -> None:
    run = begin(timed)
    odd = record(3, predicted_iou=float("nan"), object_score=float("inf"))
    timed.put(run, 1, 0, odd)
    timed.flush()
    timed.put(run, 1, 0, odd)
    found = timed.get(1, 0)
    assert found is not None and found.predicted_iou != found.predicted_iou
    assert (found.object_score, found.stability_score) == (float("inf"), None)
