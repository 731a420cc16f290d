"""Generating: samples by seed, long clips, what goes on from frames, pairs that do not fit."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from numpy import ndarray
from stubs.generators import CLIPS, COVERED, DIT, LATENTS, LATTE, PICTURES, PLAIN, toy_dit, toy_gpt, toy_maker
from stubs.tokenizer import SMALL, smooth_clip, toy_tokenizer

from segma.errors import Cancelled, InputError, ModelError
from segma.media.footage import middle_of
from segma.runtime import Runtime
from segma.tasks.generate import (
    continue_clip,
    generate,
    generate_clips,
    generate_grids,
    generate_images,
    last_frames,
)
from segma.tasks.maker import Maker, usual_config
from segma.tasks.sample_codes import PRESETS, SamplingConfig
from segma.tasks.sample_latents import DiffusionConfig
from segma.tasks.sentences import label_of

FEW = DiffusionConfig(steps=3)
TOP = SamplingConfig(top_k=20, guidance=0.5)


def test_pictures_are_those_of_their_seeds_whatever_the_batch() -> None:
    maker = toy_maker(PICTURES)
    found = list(generate_images(maker, [0, 1, 2], TOP, seed=5, batch=2))
    assert all(each.shape == (32, 32, 3) and each.dtype == np.uint8 for each in found)
    for number, picture in enumerate(found):
        alone = next(generate_images(maker, [number], TOP, seed=5 + number))
        assert np.array_equal(alone, picture)
    assert not np.array_equal(found[0], next(generate_images(maker, [0], TOP, seed=6)))
    assert not np.array_equal(found[0], next(generate_images(maker, [1], TOP, seed=5)))


@pytest.mark.parametrize(("config", "how"), [(CLIPS, TOP), (LATTE, FEW)], ids=["codes", "latents"])
def test_clips_come_from_codes_and_from_latents(config: Any, how: Any) -> None:
    maker = toy_maker(config)
    clip = next(generate_clips(maker, [1], how))
    assert clip.shape == (9, 32, 32, 3)
    grid = next(generate_grids(maker, [1], how, fps=12))
    assert (grid.num_frames, grid.fps, grid.size) == (9, 12, (32, 32))
    assert grid.values.shape[:3] == (3, 4, 4)
    assert (grid.codes is None) == (config is LATTE)
    assert np.array_equal(maker.decode(grid), clip)


def test_a_language_model_of_clips_makes_pictures_and_short_clips_too() -> None:
    maker = toy_maker(CLIPS)
    whole = next(generate_grids(maker, [1], TOP)).values
    picture = next(generate_grids(maker, [1], TOP, num_frames=1))
    assert picture.fps is None
    # the chances of fewer codes are the first ones of the seed
    assert np.array_equal(picture.values, whole[:1])
    short = next(generate_grids(maker, [1], TOP, num_frames=4))
    assert (short.num_frames, len(short.values)) == (4, 2)
    assert next(generate_clips(maker, [1], TOP, num_frames=4)).shape[0] == 4


def test_batches_are_sampled_when_they_are_asked_for() -> None:
    heard: list[tuple[int, int | None]] = []
    samples = generate_images(
        toy_maker(PICTURES), [0, 1, 2, 0, 1], TOP, batch=2, on_progress=lambda *at: heard.append(at)
    )
    next(samples)
    next(samples)
    assert heard[-1] == (32, 80)
    assert len(list(samples)) == 3
    assert heard[-1] == (80, 80)
    assert [done for done, _ in heard] == sorted({done for done, _ in heard})


@pytest.mark.parametrize(("network", "steps"), [(DIT, 4), (COVERED, 8)], ids=["plain", "outlines"])
def test_progress_counts_outlines_too(network: Any, steps: int) -> None:
    heard: list[tuple[int, int | None]] = []
    maker = toy_maker(network)
    config = DiffusionConfig(steps=4, sampler="ddim")
    list(generate_images(maker, [0, 1], config, batch=2, on_progress=lambda *at: heard.append(at)))
    assert heard[-1] == (2 * steps, 2 * steps)


@pytest.mark.parametrize("parity", [False, True])
@pytest.mark.parametrize("config", [PLAIN, CLIPS], ids=["plain", "classes"])
def test_what_goes_on_keeps_the_codes_of_the_given_frames(config: Any, parity: bool) -> None:
    maker = toy_maker(replace(config, parity=parity))
    frames = smooth_clip(20, 32, 32)
    label = None if config is PLAIN else 1
    how = SamplingConfig(top_k=20)
    heard: list[tuple[int, int | None]] = []
    windows = list(
        continue_clip(maker, frames, 9, how, label=label, on_progress=lambda *at: heard.append(at))
    )
    given = torch.as_tensor(frames[-5:]).permute(3, 0, 1, 2)[None].float() / 255 - 0.5
    codes = maker.tokenizer.encode_codes(given)[0]
    assert windows[0].num_given == 2
    assert np.array_equal(windows[0].grid.values[:2], codes.numpy())
    assert [len(window.new) for window in windows] == [4, 4, 1]
    assert np.array_equal(maker.decode(windows[0].grid)[5:], windows[0].new)
    # the next window begins with the last frames of the one before, as they were shown
    shown = np.concatenate([frames[-1:], windows[0].new])
    again = maker.tokenizer.encode_codes(torch.as_tensor(shown).permute(3, 0, 1, 2)[None].float() / 255 - 0.5)
    assert np.array_equal(windows[1].grid.values[:2], again[0].numpy())
    assert heard[-1] == (48, 48)
    other = next(continue_clip(maker, frames, 4, how, label=label, seed=1))
    assert not np.array_equal(other.new, windows[0].new)


def test_officially_given_codes_are_read_from_position_0() -> None:
    """The slip shows in what is drawn: the same weights, chance and frames, another clip."""
    frames = smooth_clip(5, 32, 32)
    how = SamplingConfig(temperature=0)
    ours, official = (
        next(continue_clip(toy_maker(replace(PLAIN, parity=each)), frames, 4, how)).grid.values
        for each in (False, True)
    )
    assert np.array_equal(ours[:2], official[:2])
    assert not np.array_equal(ours[2], official[2])


def test_a_single_frame_and_groups_that_are_not_whole_are_enough() -> None:
    maker = toy_maker(PLAIN)
    assert len(last_frames(maker, smooth_clip(1, 40, 60))) == 1
    assert len(last_frames(maker, smooth_clip(4, 40, 60))) == 1
    assert len(last_frames(maker, smooth_clip(6, 40, 60))) == 5
    window = next(continue_clip(maker, smooth_clip(1, 40, 60), 8))
    assert (window.num_given, len(window.new)) == (1, 8)


def test_longer_clips_are_fed_their_own_last_frames() -> None:
    maker = toy_maker(CLIPS)
    heard: list[tuple[int, int | None]] = []
    long = next(generate_clips(maker, [2], TOP, num_frames=15, on_progress=lambda *at: heard.append(at)))
    assert long.shape == (15, 32, 32, 3)
    assert np.array_equal(long[:9], next(generate_clips(maker, [2], TOP)))
    assert heard[-1] == (48 + 2 * 16, 48 + 2 * 16)
    with pytest.raises(ModelError, match="makes clips of 9 frames, not 15 frames"):
        next(generate_clips(toy_maker(LATTE), [2], FEW, num_frames=15))


def test_the_middle_of_a_frame_is_taken() -> None:
    frame = np.zeros((40, 100, 3), np.uint8)
    frame[:, 30:70] = 200
    assert np.array_equal(middle_of(frame, (32, 32)), np.full((32, 32, 3), 200, np.uint8))
    assert middle_of(np.zeros((90, 7, 3), np.uint8), (32, 32)).shape == (32, 32, 3)
    assert middle_of(np.zeros((1, 500, 3), np.uint8), (32, 32)).shape == (32, 32, 3)


def test_one_function_makes_whatever_the_generator_makes() -> None:
    assert [each.shape for each in generate(toy_maker(PICTURES), "cone", count=2)] == [(32, 32, 3)] * 2
    assert generate(toy_maker(CLIPS), 1)[0].shape == (9, 32, 32, 3)
    assert generate(toy_maker(CLIPS), 1, num_frames=1)[0].shape == (32, 32, 3)
    assert generate(toy_maker(DIT), 1, config=FEW)[0].shape == (32, 32, 3)
    assert generate(toy_maker(PLAIN), frames=smooth_clip(9, 32, 32))[0].shape == (4, 32, 32, 3)


def test_classes_have_numbers_and_names() -> None:
    spec = toy_gpt(PICTURES).generator_spec
    assert [label_of(spec, each) for each in (0, 2, "1", "ball")] == [0, 2, 1, 1]
    for wrong in (3, -1, "3", "-1", "ball ", "²", "1e0"):
        with pytest.raises(InputError, match=r"No class .* a number from 0 to 2, or a name: cube, ball"):
            label_of(spec, wrong)
    with pytest.raises(InputError, match="asks for a class"):
        label_of(spec, None)
    plain = toy_gpt(PLAIN).generator_spec
    assert label_of(plain, None) is None
    with pytest.raises(InputError, match="knows no classes"):
        label_of(plain, 0)


def test_usual_ways_to_sample() -> None:
    gpt, plain, dit = (each.generator_spec for each in (toy_gpt(PICTURES), toy_gpt(PLAIN), toy_dit(DIT)))
    assert usual_config(gpt, "omnitokenizer_gpt_ucf") == PRESETS["omnitokenizer_gpt_ucf"]
    assert usual_config(gpt) == SamplingConfig(guidance=1.0)
    assert usual_config(plain) == SamplingConfig()
    assert usual_config(dit) == DiffusionConfig(steps=250)
    ours = usual_config(dit, "omnitokenizer_dit_small")
    assert isinstance(ours, DiffusionConfig) and ours.sampler == "ddim"


@pytest.mark.parametrize(
    ("generator", "tokenizer", "said"),
    [
        (toy_gpt(PICTURES), LATENTS, "makes 50 codes, the other knows none"),
        (toy_dit(DIT), SMALL, "makes latents of 6 channels, the other knows none"),
        (toy_gpt(PICTURES), replace(SMALL, num_codes=51), "makes 50 codes, the other knows 51\\."),
        (
            toy_dit(replace(DIT, channels=8)),
            LATENTS,
            "makes latents of 8 channels, the other knows those of 6",
        ),
        (toy_gpt(replace(PICTURES, side=3, block=10)), SMALL, "24 pixels squared, .* multiples of 16"),
        (
            toy_gpt(replace(PLAIN, block=96)),
            replace(SMALL, temporal_layout="official", temporal_memory=0),
            "6 latent frames, the other takes 17 frames",
        ),
    ],
)
def test_pairs_that_do_not_fit_are_refused(generator: Any, tokenizer: Any, said: str) -> None:
    with pytest.raises(ModelError, match=said) as caught:
        Maker(generator=generator, tokenizer=toy_tokenizer(tokenizer), runtime=Runtime(device="cpu"))
    assert caught.value.code == "model.task"


def test_positions_that_are_no_whole_frames_are_refused() -> None:
    with pytest.raises(ModelError, match="no whole latent frames of 4x4"):
        toy_maker(replace(PICTURES, block=19))


def test_an_official_tokenizer_is_used_in_its_chunks() -> None:
    tokenizer = toy_tokenizer(replace(SMALL, temporal_layout="official", temporal_memory=0))
    maker = Maker(generator=toy_gpt(replace(PLAIN, block=80)), tokenizer=tokenizer, runtime=Runtime())
    clip = next(generate_clips(maker, [None], SamplingConfig(top_k=9)))
    assert clip.shape == (17, 32, 32, 3)
    assert len(next(continue_clip(maker, clip, 12)).new) == 12


@pytest.mark.parametrize(
    ("work", "said"),
    [
        (lambda: generate_images(toy_maker(PICTURES), []), "0 samples"),
        (lambda: generate_images(toy_maker(PICTURES), [0], batch=0), "batches of 0"),
        (lambda: generate_images(toy_maker(PICTURES), [0], seed=-1), "Seed -1"),
        (lambda: generate_images(toy_maker(PICTURES), [0], seed=2**63), "Seed"),
        (lambda: generate_images(toy_maker(PICTURES), [3]), "No class 3"),
        (lambda: generate_images(toy_maker(PICTURES), [0], FEW), "sampled with a SamplingConfig"),
        (lambda: generate_images(toy_maker(DIT), [0], TOP), "sampled with a DiffusionConfig"),
        (lambda: generate_images(toy_maker(LATTE), [0], FEW), "clips of 9 frames, not 1 frames"),
        (lambda: generate_clips(toy_maker(PICTURES), [0]), "makes pictures, not clips"),
        (lambda: generate_clips(toy_maker(CLIPS), [0], num_frames=0), "0 frames"),
        (lambda: continue_clip(toy_maker(PLAIN), iter([]), 4), "no frame to go on from"),
        (lambda: continue_clip(toy_maker(PLAIN), smooth_clip(9), 0), "0 new frames"),
        (lambda: continue_clip(toy_maker(PLAIN), smooth_clip(9), 4, given_groups=3), "expected 1 to 2"),
        (lambda: continue_clip(toy_maker(LATTE), smooth_clip(9), 4), "does not go on from frames"),
        (lambda: continue_clip(toy_maker(PICTURES), smooth_clip(9), 4, label=0), "does not go on"),
        (lambda: continue_clip(toy_maker(CLIPS), smooth_clip(9), 4), "asks for a class"),
    ],
)
def test_wrong_requests_are_refused(work: Any, said: str) -> None:
    with pytest.raises((InputError, ModelError), match=said):
        next(work())


def test_work_stops_on_request() -> None:
    cancel = threading.Event()
    done: list[int] = []

    def hear(number: int, total: int | None) -> None:
        done.append(number)
        if number == 5:
            cancel.set()

    samples: Iterator[ndarray] = generate_images(
        toy_maker(PICTURES), [0], TOP, on_progress=hear, cancel=cancel
    )
    with pytest.raises(Cancelled):
        next(samples)
    assert done == [1, 2, 3, 4, 5]
