from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from segma.errors import StoreError
from segma.prompts.types import FramePrompt, Points
from segma.store.history import History
from segma.store.project import Project
from segma.store.tracks import AssetTracks
from segma.store.upkeep import collect

if TYPE_CHECKING:
    from tests.unit.store.conftest import MakeRecord

CLICK = (FramePrompt(points=Points([(3.5, 4)], [1])),)
OTHER = (FramePrompt(points=Points([(5, 6)], [1])),)


@pytest.fixture
def history(tracks: AssetTracks) -> History:
    return History(tracks)


def state(tracks: AssetTracks) -> object:
    """All that a person sees."""
    return [
        (
            kept.object_id,
            kept.name,
            kept.prompts,
            kept.absences,
            dict(tracks.records(kept.object_id, 0, None)),
        )
        for kept in tracks.objects()
    ]


def write_run(
    tracks: AssetTracks, record: MakeRecord, seed: int, *frames: int, objects: tuple[int, ...] = (1,)
) -> None:
    run = tracks.begin(objects, frames[0], frames[-1], reverse=False, reason="fix")
    for frame in frames:
        for each in objects:
            tracks.put(run, each, frame, record(seed + frame + 50 * each))
    tracks.end(run, "done")


def actions(tracks: AssetTracks, record: MakeRecord) -> list[Callable[[], object]]:
    """One of every kind, each one step."""
    return [
        lambda: tracks.add_object("ball"),
        lambda: write_run(tracks, record, 0, 0, 1, 2, 3),
        lambda: tracks.set_prompts(1, 0, CLICK),
        lambda: tracks.set_prompts(1, 0, (*CLICK, *OTHER)),
        lambda: tracks.set_presence(1, 5, 9, "absent"),
        lambda: tracks.rename_object(1, "the ball"),
        lambda: tracks.set_presence(1, 6, 7, "present"),
        lambda: tracks.add_object("cup"),
        lambda: write_run(tracks, record, 100, 1, 2, objects=(1, 2)),
        lambda: tracks.set_prompts(1, 0, ()),
        lambda: tracks.remove_object(1),
    ]


def test_every_action_can_be_undone_and_redone(
    tracks: AssetTracks, history: History, record: MakeRecord, folder: Path
) -> None:
    assert (history.undo(), history.redo()) == (None, None)
    states = [state(tracks)]
    for act in actions(tracks, record):
        act()
        states.append(state(tracks))
    count = len(states) - 1
    assert len(history.done()) == count
    for step in range(count, 0, -1):
        assert state(tracks) == states[step]
        assert history.undo() is not None
    assert state(tracks) == states[0]
    tracks.project.close()
    with Project.open(folder) as project:  # what can be redone is kept as well
        tracks = AssetTracks(project, project.assets()[0])
        history = History(tracks)
        for step in range(count):
            assert state(tracks) == states[step]
            assert history.redo() is not None
        assert state(tracks) == states[-1]
        assert history.redo() is None


def test_something_new_ends_what_can_be_redone(
    tracks: AssetTracks, history: History, record: MakeRecord
) -> None:
    tracks.add_object("ball")
    tracks.rename_object(1, "a")
    tracks.rename_object(1, "b")
    history.undo()
    history.undo()
    assert [step.kind for step in history.undone()] == ["object.rename", "object.rename"]
    write_run(tracks, record, 0, 0, 1)
    assert history.undone() == []
    assert history.redo() is None
    assert [step.kind for step in history.done()] == ["object.add", "run"]
    assert tracks.objects()[0].name == "ball"


def test_what_changes_nothing_is_no_step(tracks: AssetTracks, history: History) -> None:
    tracks.add_object("ball")
    tracks.rename_object(1, "ball")
    tracks.set_prompts(1, 4, ())
    tracks.set_presence(1, 0, 5, "unknown")
    assert len(history.done()) == 1


def test_a_click_is_one_step(tracks: AssetTracks, history: History, record: MakeRecord) -> None:
    ball = tracks.add_object("ball")  # the first click: object, prompt, mask of the frame
    tracks.set_prompts(ball, 7, CLICK)
    write_run(tracks, record, 0, 7)
    tracks.set_prompts(ball, 7, (*CLICK, *OTHER))  # a correction
    write_run(tracks, record, 1, 7)
    write_run(tracks, record, 2, 7, 8, 9)  # tracking from it
    tracks.set_presence(ball, 8, 9, "absent")  # a word, with its empty masks
    write_run(tracks, record, 3, 8, 9)
    assert [len(step.events) for step in history.done()] == [3, 2, 1, 2]
    history.undo()
    history.undo()
    history.undo()
    assert tracks.get(ball, 7) == record(57)
    assert tracks.objects()[0].prompts == {7: CLICK}
    history.undo()
    assert tracks.objects() == []
    history.redo()
    assert tracks.get(ball, 7) == record(57)


def test_undoing_a_correction_brings_the_version_before_back(
    tracks: AssetTracks, history: History, record: MakeRecord
) -> None:
    tracks.add_object("ball")
    write_run(tracks, record, 0, *range(10))
    before = dict(tracks.records(1, 0, None))
    write_run(tracks, record, 200, 3, 4, 5)
    after = dict(tracks.records(1, 0, None))
    assert {frame for frame in before if before[frame] != after[frame]} == {3, 4, 5}
    history.undo()
    assert dict(tracks.records(1, 0, None)) == before
    write_run(tracks, record, 300, 4)  # of the version that is current again
    history.undo()
    assert dict(tracks.records(1, 0, None)) == before


def test_a_run_that_goes_on_cannot_be_undone(
    tracks: AssetTracks, history: History, record: MakeRecord
) -> None:
    ball = tracks.add_object("ball")
    run = tracks.begin((ball,), 0, None, reverse=False, reason="new")
    tracks.put(run, ball, 0, record(1))
    with pytest.raises(StoreError, match="Stop it first") as caught:
        history.undo()
    assert caught.value.code == "db.conflict"
    tracks.rename_object(ball, "the ball")
    assert history.undo() is not None
    tracks.put(run, ball, 1, record(2))
    tracks.end(run, "stopped")
    assert len(dict(tracks.records(ball, 0, None))) == 2
    history.undo()
    assert dict(tracks.records(ball, 0, None)) == {}


def test_an_undone_run_that_was_lost_is_not_offered_again(tracks: AssetTracks, folder: Path) -> None:
    ball = tracks.add_object("ball")
    tracks.begin((ball,), 0, None, reverse=False, reason="new")
    tracks.project.close()
    with Project.open(folder) as project:
        tracks = AssetTracks(project, project.assets()[0])
        assert len(tracks.unfinished()) == 1
        History(tracks).undo()
        assert tracks.unfinished() == []


def test_steps_of_collected_objects_are_passed_over(
    tracks: AssetTracks, history: History, record: MakeRecord
) -> None:
    tracks.add_object("ball")
    tracks.add_object("cup")
    tracks.set_prompts(1, 0, CLICK)
    write_run(tracks, record, 0, 0, 1, objects=(1, 2))
    tracks.remove_object(1)
    tracks.rename_object(2, "the cup")
    assert collect(tracks.project, older_than_days=0).objects == 1
    assert [step.kind for step in history.done()] == ["object.add", "run", "object.rename"]
    assert [step.kind for step in History(tracks).done()] == ["object.add", "run", "object.rename"]
    for _ in range(3):
        assert history.undo() is not None
    assert (history.undo(), tracks.objects()) == (None, [])
    for _ in range(3):
        history.redo()
    assert [kept.name for kept in tracks.objects()] == ["the cup"]
    assert len(dict(tracks.records(2, 0, None))) == 2


def test_two_hundred_steps_each_within_a_tenth_of_a_second(
    tracks: AssetTracks, record: MakeRecord, project: Project
) -> None:
    tracks.add_object("ball")
    for step in range(100):
        tracks.set_prompts(1, step, CLICK)
        write_run(tracks, record, step, 0, 1, 2)
    history = History(tracks)
    assert len(history.done()) == 200  # the first click made the object
    seconds: list[float] = []
    for move in [history.undo] * 200 + [history.redo] * 200:
        start = time.perf_counter()
        assert move() is not None
        seconds.append(time.perf_counter() - start)
    assert sorted(seconds)[len(seconds) // 2] < 0.1
    assert tracks.get(1, 2) == record(151)
    assert len(list(project.events(tracks.asset))) == 201 + 400
