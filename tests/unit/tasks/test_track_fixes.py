"""Corrections: what they outdate, and how far their runs go."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from stubs.following import DARK, LIGHT, MIDDLE, click, clip, drain, kept, session


def test_a_correction_sticks_and_runs_only_what_it_changed() -> None:
    video = session(clip(40)[:, :, :], same_frames=3)
    video.say("light", 0, click(20, 25))
    video.say("dark", 0, click(105, 20))
    drain(video.run())
    dark, light = kept(video, "dark"), kept(video, "light")
    fixed = video.say("light", 20, click(80, 25, (70, 15, 0)))
    done = drain(video.run_stale())
    after = kept(video, "light")
    assert after[20] == fixed and after[20] != light[20]
    assert kept(video, "dark") == dark
    assert 20 not in done and len(done) < 39
    untouched = set(range(40)) - set(done) - {20}
    assert untouched and all(after[frame] == light[frame] for frame in untouched)
    assert drain(video.run_stale()) == []
    drain(video.run())
    assert kept(video, "light")[20] == fixed


def test_a_correction_stops_at_the_neighbouring_anchors_absences_and_cuts() -> None:
    video = session(same_frames=100, cuts=(21,))
    video.say("dark", 0, click(105, 20))
    video.say("dark", 10, click(105, 38))
    drain(video.run())
    assert set(kept(video, "dark")) == set(range(21))  # the cut
    video.absent("dark", 17, 18)
    video.say("dark", 14, click(105, 48))
    assert sorted(drain(video.run_stale())) == [11, 12, 13, 15, 16]


def test_same_masks_stop_a_run_early_and_stay_bit_for_bit() -> None:
    still = np.repeat(clip(1), 60, 0)
    video = session(still, same_iou=0.9)
    video.say("light", 0, click(20, 25))
    drain(video.run())
    before = kept(video, "light")
    video.say("light", 30, click(21, 26))
    done = drain(video.run_stale())
    assert len(done) == 20  # ten frames each way, and none of them written
    after = kept(video, "light")
    assert {frame for frame in after if after[frame] != before[frame]} <= {30}


def test_a_run_back_to_an_earlier_prompt_leaves_what_it_does_not_find() -> None:
    frames = np.full((44, 96, 128, 3), MIDDLE, np.uint8)
    frames[:16, 10:40, 8:40] = LIGHT
    frames[16:, 50:80, 60:92] = DARK
    video = session(frames, same_frames=4)
    video.say("it", 0, click(20, 25))
    drain(video.run())
    before = kept(video, "it")
    assert all(before[frame].is_present for frame in range(16)) and not before[30].compact.area
    video.say("it", 34, click(75, 65))
    done = drain(video.run_stale())
    after = kept(video, "it")
    assert after[18].compact.area and {17, 18, 33, 35} <= set(done)
    assert all(after[frame] == before[frame] for frame in range(16))


def test_a_run_back_to_an_earlier_prompt_ends_where_that_one_was_surer() -> None:
    video = session(same_frames=100)
    video.say("light", 0, click(20, 25))
    drain(video.run())
    key, before = video.track("light").object_id, kept(video, "light")
    surer = video.keeper.begin((key,), 1, 8, reverse=False, reason="new")
    for frame in range(1, 9):
        video.keeper.put(surer, key, frame, replace(before[frame], predicted_iou=0.99))
    video.keeper.end(surer, "done")
    before = kept(video, "light")
    video.say("light", 14, click(60, 25, (70, 15, 0)))
    done = drain(video.run_stale())
    assert sorted(done) == [*range(7, 14), *range(15, 24)]  # two that were surer end it
    after = kept(video, "light")
    assert all(after[frame] == before[frame] for frame in range(9))
