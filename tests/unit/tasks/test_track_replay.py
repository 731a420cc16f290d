"""Sessions of every option: replayed from their actions, and resumed, they are equal."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy import ndarray
from stubs.chooser import Chooser
from stubs.scenes import Place, click, everything, scene, session, unbroken_and_resumed, walk

from segma.errors import InputError, PromptError
from segma.results import TrackRecord
from segma.runtime import Runtime
from segma.tasks.track import VideoSession
from segma.tasks.track_config import TrackConfig
from segma.tasks.track_motion import Box


@pytest.mark.parametrize(
    ("name", "value"),
    [("motion_weight", 1.5), ("hypotheses", 0), ("min_appearance", -2.0), ("redetect_after", 0), ("pool", 0)],
)
def test_what_makes_no_sense_is_refused(name: str, value: float) -> None:
    wrong: dict[str, Any] = {name: value}
    with pytest.raises(InputError, match=f"{name} is {value}; it goes from"):
        TrackConfig(**wrong)


OPTIONS: dict[str, dict[str, Any]] = {
    "default": {},
    "motion": {"motion_weight": 0.3, "memory": "reliable"},
    "distractor": {"memory": "distractor"},
    "paths": {"hypotheses": 3},
    "all": {
        "hypotheses": 2,
        "motion_weight": 0.2,
        "memory": "distractor",
        "exclusive": True,
        "redetect": True,
        "redetect_after": 2,
        "attend_others": True,
        "cuts": "reidentify",
        "non_overlap": True,
    },
    "exclusive": {"exclusive": True, "attend_others": True},
    "again": {"redetect": True, "redetect_after": 2, "cuts": "reidentify"},
    "pooled": {"pool": 2, "stride": 2, "max_conditioning": 2},
}


def blinking(frame: int) -> Place:
    return None if 9 <= frame < 13 else (100, 20 + 3 * frame)


def busy() -> ndarray:
    return scene(24, walk, blinking)


def uneven(frame: int, box: Box, nearness: float) -> float:
    return 0.4 + 0.3 * nearness + 0.25 * ((7 * frame + 3 * int(box[0])) % 5) / 4


# Before the cut at 16, and after it where runs go on there.
STOPS = [(name, stop) for name in OPTIONS for stop in (6, 14)]
STOPS += [(name, 18) for name, options in OPTIONS.items() if options.get("cuts", "stop") != "stop"]


@pytest.mark.parametrize(
    ("options", "stop"), [(OPTIONS[name], stop) for name, stop in STOPS], ids=map(str, STOPS)
)
def test_a_resumed_run_equals_an_unbroken_one(options: dict[str, Any], stop: int) -> None:
    def prepared(**more: Any) -> VideoSession:
        return session(busy(), Chooser(quality=uneven), cuts_at=(16,), **options, **more)

    whole, again = unbroken_and_resumed(prepared, stop)
    for name in whole.names:
        one, other = whole.track(name), again.track(name)
        assert one.directions == other.directions and one.at == other.at
        assert [path.score for path in one.paths] == [path.score for path in other.paths]
        assert [path.motion for path in one.paths] == [path.motion for path in other.paths]
        assert [sorted(path.recent) for path in one.paths] == [sorted(path.recent) for path in other.paths]


ACTIONS = st.lists(
    st.tuples(
        st.sampled_from(["say", "run", "back", "stale", "clear", "absent", "present", "remove", "part"]),
        st.sampled_from(["a", "b"]),
        st.integers(0, 23),
        st.integers(0, 23),
    ),
    min_size=2,
    max_size=7,
)


def act(video: VideoSession, action: tuple[str, str, int, int]) -> str:
    """What came of it: a mark that a replay must give too."""
    verb, name, one, other = action
    first, last = min(one, other), max(one, other)
    x, y = (12 + 3 * one, 28) if name == "a" else (108, 28 + 3 * one)
    try:
        if verb == "say":
            video.say(name, one, click(min(x, 127), min(y, 127)))
        elif verb in ("run", "back"):
            list(video.run(first, last, reverse=verb == "back"))
        elif verb == "part":
            list(video.run(first, last, objects=[name]))
        elif verb == "stale":
            return str([frame.index for frame in video.run_stale()])
        elif verb == "clear":
            video.clear(name, one)
        elif verb in ("absent", "present"):
            getattr(video, verb)(name, first, last)
        else:
            video.remove(name)
    except (InputError, PromptError) as error:
        return str(error)
    return "done"


@pytest.mark.parametrize("which", ["default", "motion", "distractor", "paths", "again", "all"])
@settings(max_examples=3, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(actions=ACTIONS)
def test_a_session_replayed_from_its_actions_equals_the_live_one(
    which: str, actions: list[tuple[str, str, int, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    start = [("say", "a", 0, 0), ("say", "b", 2, 0), ("run", "a", 0, 23)]
    results: list[tuple[list[str], dict[str, dict[int, TrackRecord]]]] = []
    for cached, at_once in ((1, 4), (3, 1)):  # neither what is cached nor how it is batched matters
        monkeypatch.setattr(Runtime, "prompts_at_once", property(lambda _, number=at_once: number))
        video = session(
            busy(), Chooser(quality=uneven), cuts_at=(16,), cached_frames=cached, **OPTIONS[which]
        )
        marks = [act(video, action) for action in [*start, *actions]]
        results.append((marks, everything(video)))
    assert results[0] == results[1]
