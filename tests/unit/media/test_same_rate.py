"""The best JPEG and H.264 within a number of bytes."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image
from stubs.tokenizer import smooth_clip

from segma.media.same_rate import h264_within, jpeg_within, webp_nearest


def error(found: np.ndarray, truth: np.ndarray) -> float:
    return float(np.mean((found.astype(float) - truth) ** 2))


def jpeg_bytes(picture: np.ndarray, quality: int) -> int:
    stream = io.BytesIO()
    Image.fromarray(picture).save(stream, "JPEG", quality=quality, subsampling=2, optimize=True)
    return stream.tell()


def test_jpeg_takes_the_highest_quality_that_fits() -> None:
    picture = smooth_clip(1, 96, 128)[0]
    limit = jpeg_bytes(picture, 40)
    found = jpeg_within(picture, limit)
    assert found.fits and found.num_bytes <= limit and found.setting >= 40
    assert jpeg_bytes(picture, found.setting + 1) > limit
    assert found.num_bytes == jpeg_bytes(picture, found.setting)
    assert found.frames[0].shape == picture.shape
    assert error(found.frames[0], picture) < error(jpeg_within(picture, 900).frames[0], picture)
    assert jpeg_within(picture, 10**9).setting == 95


def test_webp_is_as_near_as_its_qualities_are() -> None:
    picture = smooth_clip(1, 96, 128)[0]

    def size(quality: int) -> int:
        stream = io.BytesIO()
        Image.fromarray(picture).save(stream, "WEBP", quality=quality, method=6)
        return stream.tell() - 20  # the container

    sizes = [size(quality) for quality in range(101)]
    for wanted in (sizes[30], sizes[60] + 3, sizes[80] - 2):
        found = webp_nearest(picture, wanted)
        assert found.fits and found.num_bytes == sizes[found.setting]
        assert abs(found.num_bytes - wanted) == min(abs(each - wanted) for each in sizes)
    least = webp_nearest(picture, 20)
    assert (least.fits, least.setting, least.num_bytes) == (False, 0, sizes[0])
    assert webp_nearest(picture, 10**9).setting == 100 and found.frames[0].shape == picture.shape


def test_where_nothing_fits_the_worst_is_given_and_said() -> None:
    clip = smooth_clip(3, 48, 64)
    jpeg, h264 = jpeg_within(clip[0], 100), h264_within(list(clip), 20, fps=25)
    assert (jpeg.fits, jpeg.setting, h264.fits, h264.setting) == (False, 1, False, 51)
    assert jpeg.num_bytes > 100 and h264.num_bytes > 20


@pytest.mark.parametrize("size", [(48, 64), (33, 47)])
def test_h264_keeps_every_frame_within_its_bytes(size: tuple[int, int]) -> None:
    clip = smooth_clip(9, *size)
    small, large = (h264_within(list(clip), limit, fps=25) for limit in (1500, 20_000))
    for found in (small, large):
        assert found.fits and len(found.frames) == 9
        assert all(frame.shape == (*size, 3) for frame in found.frames)
    assert small.num_bytes <= 1500 < large.num_bytes <= 20_000 and small.setting > large.setting
    errors = [[error(*pair) for pair in zip(each.frames, clip, strict=True)] for each in (small, large)]
    assert np.mean(errors[1]) < np.mean(errors[0])
    assert max(errors[1]) < 20, "colours or the order of frames went wrong"
