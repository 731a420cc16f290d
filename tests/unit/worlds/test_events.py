"""Events are found on hand-made courses, at their times, and doubtful ones are only hints."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from segma.worlds.courses import Courses, courses_of
from segma.worlds.events import CLEAR, DOUBTFUL, absences, find_events, overtakings, speed_changes, turns
from segma.worlds.families import draw_scene
from segma.worlds.render import render

FRAMES = 24
TIME = np.arange(FRAMES)


def along(x: np.ndarray, y: float = 0.0) -> np.ndarray:
    return np.stack([x, np.full(len(x), y)], -1).astype(float)


def courses(*paths: np.ndarray, **changed: Any) -> Courses:
    """Discs of radius 0.05 on paths in a square picture that is 1 wide, the first the nearest."""
    places = np.stack(paths)
    count, frames = places.shape[:2]
    areas = np.full((count, frames), 0.008)
    gaps = np.linalg.norm(places[:, None] - places[None], axis=-1) + np.eye(count)[..., None] * 9
    fields: dict[str, Any] = {
        "areas": areas,
        "wholes": areas,
        "centres": places + 0.5,
        "places": places,
        "cover": np.zeros_like(gaps),
        "overlap": np.clip(0.1 - gaps, 0, None) * 5,
        "inside": np.zeros_like(gaps),
        "touch": gaps < 0.108,
        "near": gaps < 0.14,
        "steady": np.ones(frames, bool),
    }
    return Courses(**(fields | changed))


def test_something_stops_and_its_film_reversed_starts() -> None:
    path = along(np.minimum(TIME, 10) * 0.02)
    (event,) = speed_changes(path, CLEAR)
    assert (event.kind, event.frame) == ("stops", 10)
    assert event.start <= 10 <= event.stop
    (event,) = speed_changes(path[::-1], CLEAR)
    assert (event.kind, event.frame) == ("starts", FRAMES - 1 - 10)


@pytest.mark.parametrize("step", [0.0, 0.02])
def test_what_rests_or_moves_all_the_time_neither_starts_nor_stops(step: float) -> None:
    path = along(TIME * step)
    assert list(speed_changes(path, DOUBTFUL)) == list(turns(path, DOUBTFUL)) == []


def test_something_that_slows_down_is_a_hint_and_no_event() -> None:
    path = along(np.cumsum(np.where(TIME < 12, 0.02, 0.002)))
    events, hints = find_events(courses(path))
    assert events == () and [each.kind for each in hints] == ["stops"]


def test_something_turns_back_once() -> None:
    (event,) = turns(along(0.2 - np.abs(TIME - 12) * 0.02), CLEAR)
    assert (event.kind, event.frame) == ("turns back", 12)
    corner = np.stack([np.minimum(TIME, 12) * 0.02, np.maximum(TIME - 12, 0) * 0.02], -1)
    assert list(turns(corner, CLEAR)) == []


def test_something_leaves_and_returns() -> None:
    seen = ~((TIME >= 6) & (TIME < 15))
    found = list(absences(seen, seen, CLEAR))
    assert [(each.kind, each.frame) for each in found] == [("leaves", 6), ("returns", 15)]
    assert list(absences(seen, np.ones(FRAMES, bool), CLEAR)) == []  # only hidden
    assert list(absences(np.zeros(FRAMES, bool), seen, CLEAR)) == []


def test_the_faster_of_two_on_one_way_overtakes() -> None:
    fast, slow = along(TIME * 0.03), along(0.2 + TIME * 0.012, 0.05)
    (event,) = overtakings(fast, slow, CLEAR)
    assert (event.kind, event.thing, event.other) == ("overtakes", 0, 1)
    assert fast[event.frame - 1, 0] <= slow[event.frame - 1, 0] < fast[event.frame, 0] + 0.01
    assert list(overtakings(slow, fast, CLEAR)) == []
    assert list(overtakings(fast, along(0.5 - TIME * 0.012), DOUBTFUL)) == []  # meets it, head on


def test_what_moves_runs_into_what_rests() -> None:
    moving, resting = along(TIME * 0.02), along(np.full(FRAMES, 0.4))
    events, _ = find_events(courses(moving, resting))
    assert [(each.kind, each.thing, each.other) for each in events] == [("collides", 0, 1)]
    assert abs(events[0].frame * 0.02 - 0.3) < 0.03


def test_something_hides_behind_another() -> None:
    moving, resting = along(TIME * 0.02), along(np.full(FRAMES, 0.3))
    hidden = np.abs(moving[:, 0] - 0.3) < 0.05
    cover = np.zeros((2, 2, FRAMES))
    cover[1, 0, hidden] = 1.0
    areas = np.stack([np.where(hidden, 0.0, 0.008), np.full(FRAMES, 0.008)])
    wholes = np.full((2, FRAMES), 0.008)
    events, _ = find_events(courses(moving, resting, areas=areas, wholes=wholes, cover=cover))
    (event,) = [each for each in events if each.kind == "hides"]
    assert (event.thing, event.other, event.frame) == (0, 1, int(np.flatnonzero(hidden)[0]))
    assert "leaves" not in {each.kind for each in events}


@pytest.mark.parametrize(
    "changed", [{"steady": TIME != 10}, {"cuts": (10,)}, {"areas": np.where(TIME == 10, 0.0, 0.008)[None]}]
)
def test_what_cannot_be_seen_for_sure_is_only_a_hint(changed: dict[str, Any]) -> None:
    events, hints = find_events(courses(along(np.minimum(TIME, 10) * 0.02), **changed))
    assert "stops" not in {each.kind for each in events}
    assert "stops" in {each.kind for each in hints}


def test_other_orders_have_other_events() -> None:
    found = courses(along(np.minimum(TIME, 10) * 0.02))
    assert {each.kind for each in find_events(found)[0]} == {"stops"}
    assert {each.kind for each in find_events(found.reordered(range(FRAMES)[::-1]))[0]} == {"starts"}


@pytest.fixture
def measure() -> Callable[[str], Courses]:
    def found(family: str) -> Courses:
        return courses_of(render([draw_scene(family, 2, num_frames=4)], size=48), 0)[1]

    return found


@pytest.mark.parametrize("family", ["race", "moving"])
def test_courses_of_scenes_keep_their_bounds(measure: Callable[[str], Courses], family: str) -> None:
    found = measure(family)
    assert found.num_frames == 4 and (found.areas <= found.wholes + 1e-9).all()
    assert ((found.centres >= 0) & (found.centres <= 1)).all()
    for each in (found.cover, found.overlap):
        assert (
            each.min() >= 0 and each.max() <= 1 + 1e-6 and not each[range(len(each)), range(len(each))].any()
        )
    assert (found.near | ~found.touch).all() and (found.touch == found.touch.transpose(1, 0, 2)).all()
