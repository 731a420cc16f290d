"""Which memories a frame attends to, against the rules of SAM 2 said once more, plainly."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from segma.models.interfaces import MemorySpec
from segma.tasks.track_config import TrackConfig
from segma.tasks.track_memory import outliving, select

SPEC = MemorySpec()


def plainly(
    f: int, reverse: bool, anchors: list[int], recent: set[int], config: TrackConfig, num_frames: int | None
) -> tuple[list[tuple[int, int]], list[tuple[int, float]]]:
    """Section 7 of the specification, rule by rule."""
    most = config.max_conditioning
    selected = set(anchors)
    if most is not None and len(anchors) > most:
        before = [t for t in anchors if t < f]
        after = [t for t in anchors if t >= f]
        selected = ({max(before)} if before else set()) | ({min(after)} if after else set())
        while len(selected) > most:
            selected.remove(min(after))
        rest = [t for t in anchors if t not in selected]
        while len(selected) < most:
            nearest = min(rest, key=lambda t: abs(t - f))
            selected.add(nearest)
            rest.remove(nearest)
    others = (recent | set(anchors)) - selected
    r, maps = config.stride, [(t, 6) for t in anchors if t in selected]
    for k in range(6, 0, -1):
        if k == 1:
            place = f + 1 if reverse else f - 1
        elif reverse:
            place = -((-f - 2) // r) * r + (k - 2) * r
        else:
            place = ((f - 2) // r) * r - (k - 2) * r
        if place in others:
            maps.append((place, k - 1))
    p = 16 if num_frames is None else min(num_frames, 16)
    d = -1 if reverse else 1
    ahead = [t for t in anchors if t in selected and (t >= f if reverse else t <= f)]
    pointers = [(t, (f - t) * d / max(1, p - 1)) for t in ahead]
    for k in range(1, p):
        if f - d * k in others:
            pointers.append((f - d * k, k / max(1, p - 1)))
    return maps, pointers


@settings(max_examples=400, deadline=None)
@given(
    st.integers(0, 60),
    st.booleans(),
    st.lists(st.integers(0, 60), min_size=1, max_size=8, unique=True),
    st.sets(st.integers(0, 60)),
    st.sampled_from([None, 1, 2, 4]),
    st.sampled_from([1, 1, 2, 4, 7]),
    st.sampled_from([None, 1, 2, 9, 16, 61]),
)
def test_selection_is_that_of_the_rules(
    f: int,
    reverse: bool,
    anchors: list[int],
    tracked: set[int],
    most: int | None,
    stride: int,
    length: int | None,
) -> None:
    recent = tracked - set(anchors) - {f}
    config = TrackConfig(max_conditioning=most, stride=stride)
    found = select(
        f,
        reverse=reverse,
        anchors=anchors,
        recent=dict.fromkeys(recent, True),
        spec=SPEC,
        config=config,
        num_frames=length,
    )
    maps, pointers = plainly(f, reverse, anchors, recent, config, length)
    assert list(found.maps) == maps
    assert list(found.pointers) == pointers


def test_an_unselected_conditioning_frame_counts_as_a_recent_one() -> None:
    config = TrackConfig(max_conditioning=1)
    found = select(10, reverse=False, anchors=[4, 8, 9], recent={}, spec=SPEC, config=config, num_frames=None)
    assert found.maps == ((9, 6), (8, 1)) or found.maps == ((9, 6), (4, 5), (8, 1))
    assert (4, 6) not in found.maps


def test_a_clip_of_one_frame_divides_by_nothing() -> None:
    found = select(0, reverse=False, anchors=[0], recent={}, spec=SPEC, config=TrackConfig(), num_frames=1)
    assert found.pointers == ((0, 0.0),)


def test_reliable_memory_takes_the_last_reliable_frames_however_old() -> None:
    config = TrackConfig(memory="reliable")
    recent = {f: f < 12 and f % 3 == 0 for f in range(1, 40)}
    found = select(40, reverse=False, anchors=[0], recent=recent, spec=SPEC, config=config, num_frames=None)
    assert found.maps == ((0, 6), (3, 2), (6, 1), (9, 0))
    assert found.pointers == ((0, 40 / 15),)  # pointers still come from the last frames alone
    kept = outliving(39, reverse=False, recent=recent, distractors=(), spec=SPEC, config=config)
    assert kept == {3, 6, 9}
    back = select(2, reverse=True, anchors=[41], recent=recent, spec=SPEC, config=config, num_frames=None)
    assert [frame for frame, _ in back.maps] == [41, 9, 6, 3]


def test_distractor_memory_is_sparse_and_keeps_three_without_a_temporal_code() -> None:
    config = TrackConfig(memory="distractor")
    recent = {f: f != 29 for f in range(1, 30)} | {35: True}
    found = select(
        30,
        reverse=False,
        anchors=[0],
        recent=recent,
        distractors=[2, 7, 12, 20, 35],
        spec=SPEC,
        config=config,
        num_frames=None,
    )
    assert found.maps == ((0, 6), (7, -1), (12, -1), (20, 2), (25, 1), (28, 0))
    kept = outliving(
        29, reverse=False, recent=recent, distractors=[2, 7, 12, 20, 35], spec=SPEC, config=config
    )
    assert kept == {7, 12, 20, 25, 28}


def test_neither_recent_frames_nor_distractors_come_from_another_shot() -> None:
    config = TrackConfig(memory="distractor")
    found = select(
        12,
        reverse=False,
        anchors=[0],
        recent={8: True, 9: True, 11: True},
        distractors=[8],
        spec=SPEC,
        config=config,
        num_frames=None,
        shot=(10, 20),
    )
    assert found.maps == ((0, 6), (11, 0)) and found.pointers == ((0, 12 / 15), (11, 1 / 15))


@given(st.sampled_from(["recent", "reliable", "distractor"]), st.lists(st.booleans(), max_size=200))
def test_what_outlives_the_window_is_bounded(memory: str, flags: list[bool]) -> None:
    config = TrackConfig(memory=memory)  # type: ignore[arg-type]
    recent = dict(enumerate(flags))
    kept = outliving(
        len(flags), reverse=False, recent=recent, distractors=list(recent), spec=SPEC, config=config
    )
    assert len(kept) <= 6 and kept <= set(recent)
