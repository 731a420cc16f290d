"""What every `TrackKeeper` must do: the one in memory, and the one in a project folder."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from segma.errors import InputError, StoreError
from segma.keeping import KeptObject, Run, TrackKeeper
from segma.masks.mask import Mask
from segma.prompts.types import Box, FramePrompt, Points
from segma.store.project import Project
from segma.store.tracks import AssetTracks
from segma.tasks.track_memory_keeper import MemoryKeeper

if TYPE_CHECKING:
    from tests.unit.store.conftest import MakeRecord

CLICK = FramePrompt(points=Points([(3.5, 4)], [1]))
BOX = FramePrompt(points=Points([(1, 1), (2, 2)], [1, 0]), box=Box.of((0, 1, 10, 20.25)))
MASK = FramePrompt(mask=Mask.from_dense(np.eye(24, 32, dtype=bool)))


class Kept:
    """A keeper, and how to find it again in another process, had this one ended now."""

    def __init__(self, keeper: TrackKeeper, reopen: Callable[[TrackKeeper], TrackKeeper]) -> None:
        self.keeper, self._reopen = keeper, reopen

    def reopen(self) -> TrackKeeper:
        self.keeper = self._reopen(self.keeper)
        return self.keeper


@pytest.fixture(params=["memory", "project"])
def kept(request: pytest.FixtureRequest, folder: Path) -> Iterator[Kept]:
    if request.param == "memory":
        yield Kept(MemoryKeeper(), lambda keeper: keeper.reopened())  # pyright: ignore
        return
    projects = [request.getfixturevalue("project")]

    def reopen(keeper: TrackKeeper) -> TrackKeeper:
        assert isinstance(keeper, AssetTracks)
        keeper.flush()  # a second went by
        projects[-1].close()
        projects.append(Project.open(folder))
        return AssetTracks(projects[-1], projects[-1].assets()[0])

    yield Kept(AssetTracks(projects[0], projects[0].assets()[0]), reopen)
    projects[-1].close()


@pytest.fixture
def keeper(kept: Kept) -> TrackKeeper:
    return kept.keeper


def begin(
    keeper: TrackKeeper, *objects: int, first: int = 0, last: int | None = None, back: bool = False
) -> Run:
    return keeper.begin(objects, first, last, reverse=back, reason="new")


def test_ids_count_from_one_and_are_never_used_again(kept: Kept) -> None:
    keeper = kept.keeper
    assert [keeper.add_object("ball"), keeper.add_object("ball")] == [1, 2]
    keeper.remove_object(2)
    keeper.remove_object(1)
    assert keeper.objects() == []
    assert kept.reopen().add_object("cup") == 3
    assert kept.keeper.objects() == [KeptObject(object_id=3, name="cup")]


def test_prompts_replace_those_of_the_frame_and_are_kept_exactly(kept: Kept) -> None:
    keeper = kept.keeper
    ball, cup = keeper.add_object("ball"), keeper.add_object("cup")
    keeper.set_prompts(ball, 7, (CLICK,))
    keeper.set_prompts(ball, 7, (CLICK, BOX))
    keeper.set_prompts(ball, 2, (MASK,))
    keeper.set_prompts(cup, 2, (CLICK,))
    keeper.set_prompts(cup, 2, ())
    keeper.set_prompts(cup, 3, ())
    expected = [
        KeptObject(object_id=1, name="ball", prompts={2: (MASK,), 7: (CLICK, BOX)}),
        KeptObject(object_id=2, name="cup"),
    ]
    assert keeper.objects() == expected
    assert kept.reopen().objects() == expected
    assert list(kept.keeper.objects()[0].prompts) == [2, 7]


def test_presence_is_what_was_said_last(kept: Kept) -> None:
    keeper = kept.keeper
    ball = keeper.add_object("ball")
    keeper.set_presence(ball, 10, 20, "absent")
    keeper.set_presence(ball, 21, 30, "absent")
    assert keeper.objects()[0].absences == ((10, 30),)
    keeper.set_presence(ball, 15, 16, "present")
    keeper.set_presence(ball, 28, 99, "unknown")
    keeper.set_presence(ball, 15, 16, "present")
    assert kept.reopen().objects()[0].absences == ((10, 14), (17, 27))


@pytest.mark.parametrize(("first", "last"), [(5, 4), (-1, 4)])
def test_turned_ranges_are_refused(keeper: TrackKeeper, first: int, last: int) -> None:
    ball = keeper.add_object("ball")
    with pytest.raises(InputError, match="the first one comes first"):
        keeper.set_presence(ball, first, last, "absent")
    assert keeper.objects()[0].absences == ()


def test_masks_come_back_equal(kept: Kept, record: MakeRecord) -> None:
    keeper = kept.keeper
    ball = keeper.add_object("ball")
    given = {
        0: record(0),
        3: record(1, stability_score=0.25, source="person", is_anchor=True, object_score=math.inf),
        4: record(2, source="import", object_score=-math.inf),
    }
    run = begin(keeper, ball, first=0, last=9)
    for frame, each in given.items():
        keeper.put(run, ball, frame, each)
        assert keeper.get(ball, frame) == each
    keeper.end(run, "done")
    for now in (keeper, kept.reopen()):
        assert dict(now.records(ball, 0, None)) == given
        assert list(now.records(ball, 1, 3)) == [(3, given[3])]
        assert list(now.records(ball, 5, 9)) == []
        assert [now.get(ball, frame) for frame in (0, 1, 3)] == [given[0], None, given[3]]
        assert (now.get(2, 0), list(now.records(2, 0, None))) == (None, [])


def test_a_version_inherits_what_it_does_not_hold(kept: Kept, record: MakeRecord) -> None:
    keeper = kept.keeper
    ball, cup = keeper.add_object("ball"), keeper.add_object("cup")
    run = begin(keeper, ball, cup)
    for frame in range(10):
        keeper.put(run, ball, frame, record(frame))
        keeper.put(run, cup, frame, record(20 + frame))
    keeper.end(run, "done")
    fix = begin(keeper, ball, first=4, last=6)
    assert keeper.get(ball, 5) == record(5)
    keeper.put(fix, ball, 4, record(104))
    keeper.put(fix, ball, 5, record(105))
    keeper.end(fix, "stopped")
    expected = {**{frame: record(frame) for frame in range(10)}, 4: record(104), 5: record(105)}
    for now in (keeper, kept.reopen()):
        assert dict(now.records(ball, 0, None)) == expected
        assert dict(now.records(cup, 0, 30)) == {frame: record(20 + frame) for frame in range(10)}


def test_a_run_never_changes_a_mask(keeper: TrackKeeper, record: MakeRecord) -> None:
    ball = keeper.add_object("ball")
    run = begin(keeper, ball)
    for frame in (3, 4):
        keeper.put(run, ball, frame, record(frame))
    keeper.put(run, ball, 3, record(3))
    with pytest.raises(StoreError, match="another mask of frame 3") as caught:
        keeper.put(run, ball, 3, record(8))
    assert caught.value.code == "db.conflict"
    keeper.put(run, ball, 2, record(2))
    keeper.end(run, "done")
    assert dict(keeper.records(ball, 0, None)) == {frame: record(frame) for frame in (2, 3, 4)}


def test_a_run_that_is_over_takes_nothing(keeper: TrackKeeper, record: MakeRecord) -> None:
    ball, cup = keeper.add_object("ball"), keeper.add_object("cup")
    run = begin(keeper, ball)
    with pytest.raises(InputError, match="no part of this run"):
        keeper.put(run, cup, 0, record(1))
    keeper.end(run, "stopped")
    for attempt in (lambda: keeper.put(run, ball, 0, record(1)), lambda: keeper.end(run, "done")):
        with pytest.raises(StoreError, match="run is over"):
            attempt()
    assert keeper.get(ball, 0) is None


def test_objects_that_are_not_there_are_refused(keeper: TrackKeeper) -> None:
    keeper.remove_object(keeper.add_object("ball"))
    for attempt in (
        lambda: keeper.remove_object(1),
        lambda: keeper.set_prompts(2, 0, (CLICK,)),
        lambda: keeper.set_presence(1, 0, 1, "absent"),
        lambda: begin(keeper, 1),
    ):
        with pytest.raises(InputError, match="There is no object"):
            attempt()
    assert keeper.unfinished() == []


def test_a_removed_object_has_no_masks(keeper: TrackKeeper, record: MakeRecord) -> None:
    ball, cup = keeper.add_object("ball"), keeper.add_object("cup")
    run = begin(keeper, ball, cup)
    keeper.put(run, ball, 0, record(1))
    keeper.put(run, cup, 0, record(2))
    keeper.remove_object(ball)
    keeper.put(run, ball, 1, record(1))  # a run that goes on does not know yet
    keeper.put(run, cup, 1, record(2))
    keeper.end(run, "done")
    assert list(keeper.records(ball, 0, None)) == []
    assert keeper.get(ball, 0) is None
    assert len(list(keeper.records(cup, 0, None))) == 2


@pytest.mark.parametrize("back", [False, True])
def test_runs_that_the_process_left_are_unfinished(kept: Kept, record: MakeRecord, back: bool) -> None:
    keeper = kept.keeper
    ball, cup = keeper.add_object("ball"), keeper.add_object("cup")
    over = begin(keeper, ball)
    keeper.end(over, "done")
    empty = begin(keeper, cup, first=2, last=None)
    run = begin(keeper, ball, cup, first=3, last=9, back=back)
    for frame in (7, 6) if back else (5, 6):
        keeper.put(run, ball, frame, record(frame))
    assert keeper.unfinished() == []
    found = kept.reopen().unfinished()
    assert [each.run_id for each in found] == [empty.run_id, run.run_id]
    assert (found[0].reached, found[1].reached) == (None, 6)
    assert (found[1].object_ids, found[1].first, found[1].last) == ((ball, cup), 3, 9)
    assert (found[1].reverse, found[1].reason, found[1].state) == (back, "new", "running")
    assert kept.keeper.get(ball, 6) == record(6)
    kept.keeper.end(found[0], "stopped")
    assert kept.keeper.unfinished() == found[1:]


def test_a_lost_run_can_go_on(kept: Kept, record: MakeRecord) -> None:
    ball = kept.keeper.add_object("ball")
    run = begin(kept.keeper, ball)
    kept.keeper.put(run, ball, 0, record(1))
    keeper = kept.reopen()
    (found,) = keeper.unfinished()
    keeper.put(found, ball, 0, record(1))
    with pytest.raises(StoreError, match="another mask"):
        keeper.put(found, ball, 0, record(2))
    keeper.put(found, ball, 1, record(2))
    assert keeper.get(ball, 1) == record(2)
    assert keeper.unfinished() == []
    keeper.end(found, "done")
    assert dict(kept.reopen().records(ball, 0, None)) == {0: record(1), 1: record(2)}


def test_states_are_kept_under_any_name(kept: Kept) -> None:
    names = ("memory", "../../etc/x", "a/b", "a_b", "", "ä" * 300)
    for number, name in enumerate(names):
        kept.keeper.save_state(name, b"old")
        kept.keeper.save_state(name, bytes([number]) * 1000)
    keeper = kept.reopen()
    assert [keeper.load_state(name) for name in names] == [bytes([n]) * 1000 for n in range(len(names))]
    assert keeper.load_state("other") is None
