"""Any sequence of actions on a project gives what a plain dict gives."""

from __future__ import annotations

import copy
import tempfile
from pathlib import Path

import numpy as np
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from segma.keeping import Run
from segma.masks.mask import Mask
from segma.prompts.types import FramePrompt, Points
from segma.results import TrackRecord
from segma.store.history import History
from segma.store.project import Project
from segma.store.tracks import AssetTracks

Model = dict[int, tuple[str, dict[int, FramePrompt], dict[int, TrackRecord]]]
FRAMES = st.integers(0, 9)
OBJECTS = st.integers(0, 3)


def record(number: int) -> TrackRecord:
    dense = np.zeros((6, 8), bool)
    dense.flat[: number % 48] = True
    return TrackRecord(compact=Mask.from_dense(dense), predicted_iou=number / 7, object_score=0.5)


class ProjectMachine(RuleBasedStateMachine):
    """A project and its model: name, prompts and records by object, and all states that undo leads to."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.now: Model = {}
        self.past: list[Model] = []
        self.future: list[Model] = []
        self.num_objects = 0
        self.run: Run | None = None
        self.written: set[tuple[int, int]] = set()
        self.begun = 0  # states in the past when the run began

    @initialize()
    def start(self) -> None:
        project = Project.create(Path(self.folder.name) / "x.segma")
        project.add_asset("cam", kind="stream", size=(6, 8))
        self.take(project)

    def take(self, project: Project) -> None:
        self.project = project
        self.tracks = AssetTracks(project, project.assets()[0])
        self.history = History(self.tracks)

    def step(self) -> None:
        self.past.append(copy.deepcopy(self.now))
        self.future.clear()

    def some(self, number: int) -> int | None:
        """One of the objects that are there."""
        return sorted(self.now)[number % len(self.now)] if self.now else None

    @rule()
    def add(self) -> None:
        self.step()
        self.num_objects += 1
        assert self.tracks.add_object("new") == self.num_objects
        self.now[self.num_objects] = ("new", {}, {})

    @rule(which=OBJECTS)
    def remove(self, which: int) -> None:
        if (each := self.some(which)) is not None:
            self.step()
            self.tracks.remove_object(each)
            del self.now[each]

    @rule(which=OBJECTS, name=st.sampled_from("abc"))
    def rename(self, which: int, name: str) -> None:
        each = self.some(which)
        if each is not None and self.now[each][0] != name:
            self.step()
            self.tracks.rename_object(each, name)
            self.now[each] = (name, *self.now[each][1:])

    @rule(which=OBJECTS, frame=FRAMES, x=st.integers(0, 7))
    def prompt(self, which: int, frame: int, x: int) -> None:
        if (each := self.some(which)) is not None:
            said = FramePrompt(points=Points([(x, 1)]))
            before = list(self.project.events())[-1]
            added = before.kind == "object.add" and self.tracks.objects()[-1].object_id == each
            if added:  # the first click of an object is one step with it
                self.future.clear()
            else:
                self.step()
            self.tracks.set_prompts(each, frame, (said,))
            self.now[each][1][frame] = said

    @precondition(lambda self: self.run is None)
    @rule(which=st.sets(OBJECTS, min_size=1), reverse=st.booleans())
    def begin(self, which: set[int], reverse: bool) -> None:
        objects = tuple(dict.fromkeys(each for number in which if (each := self.some(number)) is not None))
        if objects:
            self.step()
            self.run = self.tracks.begin(objects, 0, None, reverse=reverse, reason="new")
            self.written = set()
            self.begun = len(self.past)

    @precondition(lambda self: self.run is not None)
    @rule(which=OBJECTS, frame=FRAMES, number=st.integers(0, 100))
    def put(self, which: int, frame: int, number: int) -> None:
        assert self.run is not None
        each = self.run.object_ids[which % len(self.run.object_ids)]
        if (each, frame) not in self.written and each in self.now:
            self.written.add((each, frame))
            self.tracks.put(self.run, each, frame, record(number))
            # what was done while it runs is undone by itself: of the run everything stays then
            for state in (*self.past[self.begun :], self.now):
                if each in state:
                    state[each][2][frame] = record(number)

    @precondition(lambda self: self.run is not None)
    @rule()
    def end(self) -> None:
        assert self.run is not None
        self.tracks.end(self.run, "done")
        self.run = None

    @precondition(lambda self: self.run is None)
    @rule()
    def undo(self) -> None:
        assert (self.history.undo() is not None) == bool(self.past)
        if self.past:
            self.future.append(self.now)
            self.now = self.past.pop()

    @precondition(lambda self: self.run is None)
    @rule()
    def redo(self) -> None:
        assert (self.history.redo() is not None) == bool(self.future)
        if self.future:
            self.past.append(self.now)
            self.now = self.future.pop()

    @precondition(lambda self: self.run is None)
    @rule()
    def reopen(self) -> None:
        self.project.close()
        self.take(Project.open(Path(self.folder.name) / "x.segma"))

    @invariant()
    def equals_the_model(self) -> None:
        if not hasattr(self, "project"):
            return
        found = {kept.object_id: kept for kept in self.tracks.objects()}
        assert list(found) == sorted(self.now)
        for each, (name, prompts, records) in self.now.items():
            assert found[each].name == name
            assert found[each].prompts == {frame: (said,) for frame, said in sorted(prompts.items())}
            assert self.tracks.get(each, 4) == records.get(4)
            assert dict(self.tracks.records(each, 0, None)) == records
            inside = {frame: kept for frame, kept in records.items() if 2 <= frame <= 6}
            assert list(self.tracks.records(each, 2, 6)) == sorted(inside.items(), key=lambda pair: pair[0])

    def teardown(self) -> None:
        if hasattr(self, "project"):
            self.project.close()
        self.folder.cleanup()


TestProject = ProjectMachine.TestCase
TestProject.settings = settings(
    max_examples=12, stateful_step_count=30, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
