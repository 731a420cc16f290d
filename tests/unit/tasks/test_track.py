"""Sessions on made clips with a model that follows shades: prompts, runs, corrections, resuming, equality."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from stubs.follower import Follower
from stubs.following import click, clip, drain, everything, follower, kept, session

from segma.errors import Cancelled, InputError, PromptError
from segma.masks.mask import Mask, mask_iou
from segma.models.interfaces import WithMemory
from segma.prompts.types import Box, FramePrompt, Points
from segma.tasks.track_memory_keeper import MemoryKeeper


def test_the_stub_is_what_sessions_need() -> None:
    assert isinstance(Follower(), WithMemory)


def test_a_click_is_answered_and_followed_to_the_end() -> None:
    video = session()
    answer = video.say("light", 0, click(20, 25))
    assert answer.is_anchor and answer.is_present and 450 < answer.compact.area < 1100
    frames = list(video.run())
    assert [frame.index for frame in frames] == list(range(24))
    assert [frame.time for frame in frames] == sorted(frame.time for frame in frames)
    for frame in frames:
        x0, _, x1, _ = frame.masks["light"].box
        assert abs((x0 + x1) / 2 - (20 + 3 * frame.index)) < 6
        assert 0 < frame.quality["light"] <= 1 and frame.image is not None
    assert set(kept(video, "light")) == set(range(24))


def test_objects_may_come_later_and_in_any_order() -> None:
    video = session()
    video.say("light", 6, FramePrompt(box=Box(24.0, 8.0, 54.0, 42.0)))
    run = video.run()
    for frame in run:
        if frame.index == 10:
            video.say("dark", 15, click(105, 50))
        if frame.index < 6:
            raise AssertionError("runs begin at the first prompt")
    assert set(kept(video, "light")) == set(range(6, 24))
    assert set(kept(video, "dark")) == {15}  # not in the plan of that run
    drain(video.run(objects=["dark"]))
    assert set(kept(video, "dark")) == set(range(15, 24))
    drain(video.run(reverse=True))
    assert set(kept(video, "dark")) == set(range(24)) and set(kept(video, "light")) == set(range(24))


def test_an_object_is_not_followed_before_its_first_prompt_unless_asked() -> None:
    for before, first in ((False, 9), (True, 4)):
        video = session(before_first_prompt=before)
        video.say("light", 4, click(30, 25))
        video.say("dark", 9, click(105, 40))
        drain(video.run())
        assert min(kept(video, "dark")) == first


def test_ranges_are_inclusive_and_checked() -> None:
    video = session()
    video.say("light", 5, click(35, 25))
    assert drain(video.run(7, 9)) == [7, 8, 9]
    assert drain(video.run(3, 5, reverse=True)) == [5, 4, 3]
    with pytest.raises(InputError, match=r"Frame 24 does not exist: .* has frames 0 to 23"):
        drain(video.run(0, 24))
    with pytest.raises(InputError, match="first comes after"):
        drain(video.run(9, 7))
    with pytest.raises(InputError, match="does not exist"):
        video.say("light", 24, click(1, 1))


def test_bad_prompts_say_what_is_wrong_and_change_nothing() -> None:
    video = session()
    with pytest.raises(PromptError, match="No object has a prompt yet"):
        drain(video.run())
    with pytest.raises(PromptError, match='"ball" has only exclude points on frame 3'):
        video.say("ball", 3, FramePrompt(points=Points([(5, 5)], [0])))
    with pytest.raises(PromptError, match="outside the image"):
        video.say("ball", 3, click(500, 5))
    with pytest.raises(PromptError, match=r"mask is 4x4, the video 128x96"):
        video.say("ball", 3, FramePrompt(mask=Mask.from_dense(np.ones((4, 4), bool))))
    with pytest.raises(PromptError, match='no object "ball"'):
        video.remove("ball")
    assert video.names == () and video.keeper.objects() == []


def test_an_exclude_point_alone_corrects_a_frame_that_has_a_mask() -> None:
    video = session()
    video.say("light", 0, click(20, 25))
    drain(video.run())
    before = kept(video, "light")
    wrong = video.say("light", 12, FramePrompt(points=Points([(50, 20)], [0])))
    assert wrong.compact.area < before[12].compact.area and not wrong.compact.dense()[20, 50]


def test_masks_as_prompts_are_kept_as_they_are() -> None:
    video = session()
    dense = np.zeros((96, 128), bool)
    dense[10:40, 8:32] = True
    answer = video.say("light", 0, FramePrompt(mask=Mask.from_dense(dense)))
    assert np.count_nonzero(answer.compact.dense() ^ dense) <= 0.06 * dense.sum()
    drain(video.run())
    assert kept(video, "light")[20].is_present


def test_absence_said_by_a_person() -> None:
    video = session()
    video.say("light", 0, click(20, 25))
    drain(video.run())
    video.absent("light", 5, 8)
    assert all(kept(video, "light")[frame].compact.area == 0 for frame in range(5, 9))
    assert kept(video, "light")[5].source == "person" and not kept(video, "light")[5].is_present
    drain(video.run())
    assert kept(video, "light")[6].compact.area == 0 and kept(video, "light")[9].compact.area > 0
    with pytest.raises(PromptError, match="has prompts on frame 0"):
        video.absent("light", 0, 3)
    video.present("light", 6, 6)
    drain(video.run())
    assert kept(video, "light")[6].compact.area > 0 and kept(video, "light")[7].compact.area == 0


def test_removing_and_clearing_leave_the_others_alone() -> None:
    video = session()
    video.say("light", 0, click(20, 25))
    video.say("dark", 0, click(105, 20))
    drain(video.run())
    dark = kept(video, "dark")
    video.remove("light")
    assert video.names == ("dark",) and kept(video, "dark") == dark
    video.say("light", 0, click(20, 25))
    assert video.track("light").object_id == 3  # ids are never used again
    video.say("dark", 9, click(105, 38))
    video.clear("dark", 9)
    with pytest.raises(PromptError, match="no prompts on frame 9"):
        video.clear("dark", 9)
    assert 9 not in video.track("dark").anchors
    assert all(kept(video, "dark")[frame] == dark[frame] for frame in dark if frame != 9)


def test_cuts_are_not_crossed_unless_asked() -> None:
    frames = clip()
    for cuts, reached in (("stop", 11), ("ignore", 23)):
        video = session(frames, cuts=(12,))
        object.__setattr__(video.config, "cuts", cuts)
        video.say("light", 0, click(20, 25))
        drain(video.run())
        assert max(kept(video, "light")) == reached
    video = session(frames, cuts=(12,))
    video.say("light", 0, click(20, 25))
    video.say("light", 15, click(70, 25))
    drain(video.run())
    assert set(kept(video, "light")) == {*range(12), *range(15, 24)}


def test_recent_memories_do_not_cross_a_cut() -> None:
    video = session(cuts=(12,))
    video.say("light", 0, click(20, 25))
    video.say("light", 12, click(60, 25))
    drain(video.run())
    second, third = follower(video).banks[-11:-9]  # frames 13 and 14
    assert second.rows == (6, 6) and third.rows == (6, 6, 0)


def test_one_pass_of_the_encoder_serves_all_objects() -> None:
    video = session()
    for name, x in (("a", 20), ("b", 22), ("c", 24)):
        video.say(name, 0, click(x, 25))
    assert follower(video).encoded == 1
    drain(video.run())
    assert follower(video).encoded == 24


def test_objects_do_not_depend_on_each_other() -> None:
    alone = session()
    alone.say("dark", 0, click(105, 20))
    drain(alone.run())
    together = session()
    for number in range(6):
        together.say(f"light {number}", 0, click(20 + number, 25))
    together.say("dark", 0, click(105, 20))
    drain(together.run())
    assert kept(together, "dark") == kept(alone, "dark")


def test_non_overlap_gives_a_pixel_to_one_object() -> None:
    for wanted in (False, True):
        video = session(non_overlap=wanted)
        video.say("a", 0, click(20, 25))
        video.say("b", 0, click(22, 25))
        drain(video.run())
        both = video.frame(9)
        shared = both.masks["a"].dense() & both.masks["b"].dense()
        assert shared.any() != wanted


def test_a_run_stops_between_frames_and_keeps_what_is_done() -> None:
    video = session()
    video.say("light", 0, click(20, 25))
    cancel = threading.Event()
    seen: list[int] = []
    with pytest.raises(Cancelled):
        for frame in video.run(cancel=cancel, on_progress=lambda done, total: seen.append(total or 0)):
            if frame.index == 7:
                cancel.set()
    assert set(kept(video, "light")) == set(range(8)) and set(seen) == {24}
    assert video.keeper.unfinished() == []
    for frame in video.run(8):
        if frame.index == 10:
            break
    assert max(kept(video, "light")) == 10


@pytest.mark.parametrize("state", [True, False])
def test_a_killed_run_goes_on_where_it_was_and_gives_the_same_masks(state: bool) -> None:
    whole = session()
    whole.say("light", 0, click(20, 25))
    whole.say("dark", 0, click(105, 20))
    drain(whole.run())
    broken = session(state_seconds=0.0)
    broken.say("light", 0, click(20, 25))
    broken.say("dark", 0, click(105, 20))
    keeper = MemoryKeeper()
    for frame in broken.run():
        if frame.index == 13:
            assert isinstance(broken.keeper, MemoryKeeper)
            keeper = broken.keeper.reopened()  # what is left when the process ends here
    if not state:
        keeper.save_state("memories", b"cut short")
    again = session(keeper=keeper)
    assert max(kept(again, "light")) == 13
    done = drain(again.resume())
    assert max(done) == 23 and min(done) == (14 if state else 0)
    if state:
        assert everything(again) == everything(whole)
    for name, records in everything(whole).items():  # without memories, from masks: nearly the same
        again_records = kept(again, name)
        assert all(mask_iou(again_records[f].compact, records[f].compact) > 0.8 for f in records)
    assert keeper.unfinished() == []


def test_a_session_that_is_opened_again_knows_its_objects_and_goes_on() -> None:
    keeper = MemoryKeeper()
    first = session(keeper=keeper)
    first.say("light", 0, click(20, 25))
    drain(first.run(0, 11))
    second = session(keeper=keeper)
    assert second.names == ("light",)
    drain(second.run(12))
    whole = session()
    whole.say("light", 0, click(20, 25))
    drain(whole.run())
    assert kept(second, "light") == kept(whole, "light")


def test_memories_stay_in_a_window() -> None:
    video = session(np.repeat(clip(1), 80, 0))
    video.say("light", 0, click(20, 25))
    for frame in video.run():
        assert len(video.track("light").recent) <= video.config.window + 1
        assert all(abs(other - frame.index) <= video.config.window for other in video.track("light").recent)
    assert len(video.features.frames) <= video.config.cached_frames


def test_clicks_on_a_corrected_frame_are_answered_as_before_it() -> None:
    video = session()
    video.say("light", 0, click(20, 25))
    drain(video.run())
    follower(video).banks.clear()
    video.say("light", 12, click(56, 25))
    video.say("light", 12, FramePrompt(points=Points([(50, 20)], [0])))
    video.say("light", 14, click(60, 25))
    first, second, third = follower(video).banks
    assert first.rows == second.rows and first.distances == second.distances
    assert third.rows.count(6) == 1 and len(third.rows) == 7  # frame 12 is still what was tracked there
    drain(video.run(14, 16))
    assert follower(video).banks[-1].rows.count(6) == 3


def test_clearing_a_new_prompt_brings_back_what_was_tracked() -> None:
    video = session()
    video.say("light", 0, click(20, 25))
    drain(video.run())
    before = video.track("light").recent[12]
    video.say("light", 12, click(56, 25))
    video.clear("light", 12)
    assert video.track("light").recent[12] is before
    video.say("dark", 3, click(105, 30))
    video.clear("dark", 3)
    assert video.track("dark").memory(3) is None
