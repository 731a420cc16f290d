"""Codes beside JPEG and H.264 in as many bytes."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from stubs.tokenizer import SMALL, smooth_clip, toy_tokenizer

import segma.evaluation.code_comparison as module
from segma.errors import InputError
from segma.evaluation.code_comparison import Kept, compare_codes
from segma.evaluation.metrics.psnr_ssim import psnr
from segma.media.footage import open_footage
from segma.runtime import Runtime
from segma.tasks.tokenize import header_for

CPU = Runtime(device="cpu", precision="fp32")


def compared(source: np.ndarray, num_codes: int = 50) -> module.Comparison:
    network = toy_tokenizer(replace(SMALL, num_codes=num_codes))
    footage = open_footage(source)
    header = header_for(network, footage.size, fps=footage.fps)
    return compare_codes(network, footage, header, runtime=CPU)


def test_a_picture_stands_beside_jpeg() -> None:
    picture = smooth_clip(1, 160, 240)[0]
    found = compared(picture)
    assert found.codes.num_bytes == 20 * 30 * 6 // 8 and found.codes.setting is None
    assert found.codes.bits_per_pixel == pytest.approx(6 / 64)
    assert found.codes.psnr == psnr(found.codes.frames[0], picture)
    assert found.other.name == "JPEG" and not found.other.fits and found.other.setting == 1
    assert np.array_equal(found.original[0], picture)


def test_latents_give_jpeg_room() -> None:
    found = compared(smooth_clip(1, 160, 240)[0], num_codes=0)
    assert found.codes.num_bytes == 20 * 30 * 8 * 2
    assert found.other.fits and found.other.num_bytes <= found.codes.num_bytes
    assert found.other.psnr > 25 > found.codes.psnr, "a network of random weights cannot keep pictures"


def test_a_clip_stands_beside_h264() -> None:
    clip = smooth_clip(7, 64, 96)
    found = compared(clip)
    assert found.codes.num_bytes == 3 * 8 * 12 * 6 // 8
    assert found.other.name == "H.264" and len(found.other.frames) == len(found.codes.frames) == 7
    each = [psnr(*pair) for pair in zip(found.codes.frames, clip, strict=True)]
    assert found.codes.psnr == pytest.approx(np.mean(each))


def test_what_was_not_lost_has_no_decibels_in_json() -> None:
    kept = Kept(name="JPEG", psnr=math.inf, ssim=1.0, num_bytes=5, bits_per_pixel=0.1)
    assert kept.to_dict()["psnr"] is None


def test_a_clip_that_is_too_long_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MOST_BYTES", 20_000)
    with pytest.raises(InputError, match="--frames") as caught:
        compared(smooth_clip(5, 64, 96))
    assert caught.value.code == "input.too_large"
