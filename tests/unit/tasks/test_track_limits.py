"""Options against the stated limits of SAM 2: their mechanisms, on made clips and models without weights."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from stubs.chooser import Chooser
from stubs.follower import Follower
from stubs.scenes import Place, click, kept, scene, session, stand, stands_at, tracked, walk

from segma.tasks.track import VideoSession
from segma.tasks.track_motion import Box

# motion


def misled(frame: int, box: Box, nearness: float) -> float:
    """From frame 20 on the square that stands is taken to be a little better."""
    return 0.90 if box[0] >= 24 and frame >= 20 else 0.85


@pytest.mark.parametrize("weight", [0.0, 0.3])
def test_motion_keeps_to_the_object_that_moves_as_before(weight: float) -> None:
    frames = scene(30, walk, stand)
    video = session(frames, Chooser(quality=misled), motion_weight=weight)
    masks = tracked(video)
    assert all(stands_at(masks[frame], 4 + 3 * frame) for frame in range(20))
    for frame in range(20, 30):
        expected = 4 + 3 * frame if weight else 100
        assert stands_at(masks[frame], expected)
    motion = video.track("a").paths[0].motion
    assert (motion is not None and motion.updates >= 29) if weight else motion is None


def test_the_filter_predicts_through_frames_that_are_not_reliable() -> None:
    frames = scene(30, lambda f: walk(f) if not 20 <= f < 24 else None)
    video = session(frames, motion_weight=0.3)
    video.say("a", 0, click(12, 28))
    seen: dict[int, Any] = {f.index: video.track("a").paths[0].motion for f in video.run()}
    assert seen[19].updates == seen[23].updates == 20 and seen[24].updates == 21
    assert seen[23].frame == 23 and seen[23].mean[0] - seen[19].mean[0] == pytest.approx(3.0, abs=0.4)


def test_a_frame_off_its_expected_way_is_not_remembered() -> None:
    def jump(frame: int) -> Place:
        return (80, 90) if frame == 20 else walk(frame)

    banks: dict[float, int] = {}
    for least in (0.0, 0.5):
        video = session(scene(24, jump), memory="reliable", motion_weight=0.2, min_motion=least)
        video.say("a", 0, click(12, 28))
        for frame in video.run(0, 21):
            if frame.index == 21:
                memory = video.track("a").recent[20]
                banks[least] = memory.is_reliable
    assert banks == {0.0: True, 0.5: False}


# memory


def rows_of(video: VideoSession) -> list[tuple[int, ...]]:
    return [bank.rows for bank in video.model.banks]  # type: ignore[attr-defined]


def test_only_reliable_frames_enter_memory_and_old_ones_stay() -> None:
    def quality(frame: int, box: Box, nearness: float) -> float:
        return 0.2 if frame >= 4 else 0.9

    video = session(scene(40, walk), Chooser(quality=quality), memory="reliable")
    tracked(video)
    rows = rows_of(video)
    assert rows[:4] == [(6,), (6, 0), (6, 1, 0), (6, 2, 1, 0)]
    assert set(rows[4:]) == {(6, 2, 1, 0)}
    assert sorted(frame for frame in video.track("a").recent if frame < 20) == [1, 2, 3]
    plain = session(scene(40, walk), Chooser(quality=quality))
    tracked(plain)
    assert min(plain.track("a").recent) == 39 - 16 and rows_of(plain)[-1] == (6, 5, 4, 3, 2, 1, 0)


def test_empty_masks_never_enter_sparse_memory() -> None:
    frames = scene(40, lambda f: None if 12 <= f < 36 else walk(f % 12))
    video = session(frames, Chooser(), memory="distractor")
    video.say("a", 0, click(12, 28))
    for frame in video.run():
        if frame.index == 35:
            held = video.track("a").recent
            reliable = sorted(other for other, memory in held.items() if memory.is_reliable)
            assert reliable == [5, 10, 11]
    assert rows_of(video)[35] == (6, 2, 1, 0)


def beside(frame: int) -> Place:
    return (100, 60) if frame in (6, 8, 14, 22, 30) else None


def test_frames_with_a_distractor_are_held_apart() -> None:
    frames = scene(40, lambda f: (20, 20), beside)
    video = session(frames, Chooser(quality=lambda f, box, near: 0.7 + 0.25 * near), memory="distractor")
    video.say("a", 0, click(28, 28))
    flagged: set[int] = set()
    for _ in video.run():
        held = video.track("a").recent
        flagged |= {other for other, memory in held.items() if memory.has_distractor}
        assert len(held) <= 16 + 1 + 6
    assert flagged == {6, 14, 22, 30}  # 8 comes too soon after 6
    last = video.model.banks[-1]  # type: ignore[attr-defined]
    assert last.rows.count(-1) == 2 and set(last.rows) == {6, -1, 2, 1, 0}  # 30 is a recent one too
    assert 14 in video.track("a").recent and 6 not in video.track("a").recent


def test_no_distractor_without_one_beside_or_while_unsure() -> None:
    for sure, squares in ((0.7, (beside,)), (0.9, ())):
        frames = scene(20, lambda f: (20, 20), *squares)
        model = Chooser(quality=lambda f, box, near, sure=sure: sure - 0.1 + 0.1 * near)
        video = session(frames, model, memory="distractor")
        tracked(video, (28, 28))
        assert not any(memory.has_distractor for memory in video.track("a").recent.values())


# hypotheses


def hesitant(frame: int, box: Box, nearness: float) -> float:
    """On frame 6 the wrong square looks best; whoever follows it is soon told that it was wrong."""
    if frame == 6:
        return 0.9 if box[0] >= 24 else 0.8
    return (0.4 if box[0] >= 24 else 0.9) * (0.1 + 0.9 * nearness)


@pytest.mark.parametrize("hypotheses", [1, 3])
def test_a_path_that_was_second_comes_back(hypotheses: int) -> None:
    frames = scene(20, lambda f: (20, 20), stand)
    video = session(frames, Chooser(quality=hesitant), hypotheses=hypotheses)
    masks = tracked(video, (28, 28))
    assert stands_at(masks[6], 100)  # given at once, and not rewritten
    assert stands_at(masks[19], 100 if hypotheses == 1 else 20)
    assert len(video.track("a").paths) <= hypotheses
    scores = [path.score for path in video.track("a").paths]
    assert scores == sorted(scores, reverse=True) and max(scores) < 0


def test_hypotheses_are_distinct_and_absence_is_one() -> None:
    video = session(scene(12, lambda f: (20, 20) if f < 6 else None), hypotheses=4)
    video.say("a", 0, click(28, 28))
    for frame in video.run():
        assert len(video.track("a").paths) == 1
        assert frame.records["a"].is_present == (frame.index < 6)
    two = session(scene(12, lambda f: (20, 20), stand), hypotheses=4)
    two.say("a", 0, click(28, 28))
    counts = [len(two.track("a").paths) for _ in two.run()]
    assert counts[0] == 1 and set(counts[1:]) == {2}


def test_a_prompted_frame_leaves_one_path() -> None:
    video = session(scene(12, lambda f: (20, 20), stand), hypotheses=4)
    video.say("a", 0, click(28, 28))
    video.say("a", 5, click(28, 28))
    counts = {frame.index: len(video.track("a").paths) for frame in video.run()}
    assert counts[4] == 2 and counts[5] == 1 and counts[6] == 2


# coming back


def away(frame: int) -> Place:
    return (20, 20) if frame < 4 else (None if frame < 16 else (60, 60))


def test_after_a_long_absence_only_a_reliable_mask_brings_an_object_back() -> None:
    def quality(frame: int, box: Box, nearness: float) -> float:
        return 0.45 if 16 <= frame < 20 else 0.9

    for options, back in (({}, 16), ({"redetect": True}, 20), ({"redetect": True, "redetect_after": 13}, 16)):
        video = session(scene(24, away), Chooser(quality=quality), **options)
        masks = tracked(video, (28, 28))
        present = [frame for frame in masks if masks[frame].is_present]
        assert present == [0, 1, 2, 3, *range(back, 24)]
        refused = [masks[frame] for frame in range(16, back)]
        assert all(each.object_score < 0 and each.compact.area == 0 for each in refused)
        assert not any(frame in video.track("a").recent for frame in range(16, back))


def test_what_comes_back_must_look_alike_and_lie_where_it_can_be() -> None:
    class Turned(Chooser):
        def pointers(self, decoded: Any, mask_index: torch.Tensor, present: torch.Tensor) -> torch.Tensor:
            found = super().pointers(decoded, mask_index, present).clone()
            if self.encoded > 16:
                found[:, :2] *= -1
            return found

    for least, is_back in ((-0.5, True), (0.5, False)):
        video = session(scene(24, away), Turned(), redetect=True, min_appearance=least)
        assert tracked(video, (28, 28))[23].is_present == is_back
    for place, is_back in (((20, 24), True), ((100, 90), False)):
        frames = scene(40, lambda f, place=place: (20, 20) if f < 20 else (None if f < 31 else place))
        video = session(frames, redetect=True, motion_weight=0.15)
        assert tracked(video, (28, 28))[31].is_present == is_back


# cuts


def two_shots(frame: int) -> Place:
    return (20, 20) if frame < 10 else (None if frame < 25 else (70, 60))


def test_an_object_is_looked_for_in_a_new_shot_and_followed_as_a_candidate() -> None:
    video = session(scene(50, two_shots), cuts="reidentify", cuts_at=(10, 45))
    masks = tracked(video, (28, 28))
    assert sorted(masks) == [*range(10), *range(30, 45), *range(45, 50)]
    tries = [bank for bank in video.model.banks if len(bank.maps) == 1]  # type: ignore[attr-defined]
    assert len(tries) == 1 + 7 + 1  # frame 1; 10 to 14, 20, 30; and 45: conditioning memories alone
    said = video.keeper.said  # type: ignore[attr-defined]
    assert {state for *_, state in said} == {"candidate"}
    assert [each[:3] for each in said] == [(1, 30, 30), (1, 30, 44), (1, 45, 45), (1, 45, 49)]
    stops = session(scene(50, two_shots), cuts="stop", cuts_at=(10, 45))
    assert sorted(tracked(stops, (28, 28))) == list(range(10))
    assert stops.keeper.said == []  # type: ignore[attr-defined]


def test_a_mask_in_a_new_shot_that_is_not_reliable_is_not_written() -> None:
    def quality(frame: int, box: Box, nearness: float) -> float:
        return 0.4 if 25 <= frame < 35 else 0.9

    video = session(scene(50, two_shots), Chooser(quality=quality), cuts="reidentify", cuts_at=(10,))
    assert sorted(tracked(video, (28, 28))) == [*range(10), *range(40, 50)]


def test_a_run_takes_up_an_object_that_was_found_again_and_goes_back_over_a_cut() -> None:
    video = session(scene(50, two_shots), cuts="reidentify", cuts_at=(10,))
    tracked(video, (28, 28), last=33)
    list(video.run(34, 40))
    assert sorted(kept(video)) == [*range(10), *range(30, 41)]
    back = session(scene(20, lambda f: (20, 20)), cuts="reidentify", cuts_at=(10,))
    back.say("a", 15, click(28, 28))
    list(back.run(reverse=True))
    assert sorted(kept(back)) == list(range(16))
    assert back.keeper.said[-1] == (1, 0, 9, "candidate")  # type: ignore[attr-defined]


def test_a_prompt_in_the_new_shot_ends_the_search() -> None:
    video = session(scene(50, two_shots), cuts="reidentify", cuts_at=(10,))
    video.say("a", 0, click(28, 28))
    video.say("a", 32, click(78, 68))
    list(video.run())
    assert sorted(kept(video)) == [*range(10), *range(32, 50)]
    assert video.keeper.said == []  # type: ignore[attr-defined]


# attention


def test_pointers_of_the_others_enter_attention() -> None:
    frames = scene(12, lambda f: (20, 20), lambda f: stand(f) if f < 8 else None, lambda f: (60, 90))
    for wanted in (False, True):
        model = Chooser(quality=lambda f, box, near: near)
        video = session(frames, model, attend_others=wanted)
        for name, place in (("a", (28, 28)), ("b", (108, 68)), ("c", (68, 98))):
            video.say(name, 0, click(*place))
        model.banks.clear()
        list(video.run(0, 6, objects=["a", "b"]))
        assert {len(bank.others) for bank in model.banks} == ({1} if wanted else {0})
        model.banks.clear()
        list(video.run(1, 1, objects=["a"]))
        assert len(model.banks[0].others) == 0  # objects that do not run are not looked at
        model.banks.clear()
        list(video.run(5, 8))
        assert [len(bank.others) for bank in model.banks[:3]] == ([1, 1, 2] if wanted else [0] * 3)


def test_memories_are_pooled_before_they_are_attended_to() -> None:
    for pool in (1, 2, 4):
        model = Follower()
        video = session(scene(6, lambda f: (20, 20)), model, pool=pool)
        video.say("a", 0, click(28, 28))
        list(video.run())
        assert {tuple(each.shape[:2]) for bank in model.banks for each in bank.maps} == {(32 // pool,) * 2}
        whole = video.track("a").anchors[0].spatial
        assert whole is not None and whole.shape == (32, 32, 2)
        mean = whole.float().reshape(32 // pool, pool, 32 // pool, pool, 2).mean((1, 3))
        assert torch.allclose(model.banks[0].maps[0].float(), mean)
