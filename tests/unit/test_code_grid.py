"""CodeGrid: a plain object that compares, pickles and is written to a file."""

from __future__ import annotations

import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from segma.errors import FormatError, InputError
from segma.results import CodeGrid

CODES = np.random.default_rng(0).integers(0, 50, (3, 4, 6), np.int32)
CLIP = CodeGrid(
    size=(20, 36), num_frames=7, fps=29.97, num_codes=50, patch=8, temporal_patch=4, model="toy", codes=CODES
)
LATENT = CodeGrid(
    size=(20, 36), num_frames=1, num_codes=0, patch=8, temporal_patch=4,
    latent=np.random.default_rng(0).normal(size=(1, 4, 6, 8)).astype(np.float32),
)  # fmt: skip


def test_a_file_gives_the_same_grid(tmp_path: Path) -> None:
    path = CLIP.save(tmp_path / "clip.codes")
    assert CodeGrid.load(path) == CLIP
    found = CodeGrid.load(LATENT.save(tmp_path / "picture.codes"))
    assert found.latent is not None and LATENT.latent is not None
    assert np.allclose(found.latent, LATENT.latent, atol=2e-3) and found.fps is None
    assert CodeGrid.load(found.save(path)) == found, "16 bits stay as they are"
    with pytest.raises(InputError):
        CLIP.save(path, overwrite=False)


def test_grids_compare_and_pickle() -> None:
    assert pickle.loads(pickle.dumps(CLIP)) == CLIP
    assert replace(CLIP, codes=CODES.copy()) == CLIP
    assert replace(CLIP, model="other") != CLIP != LATENT and CLIP != "codes"
    other = CODES.copy()
    other[0, 0, 0] = (other[0, 0, 0] + 1) % 50
    assert replace(CLIP, codes=other) != CLIP


def test_groups_say_how_many_frames_were_there() -> None:
    assert [group.num_frames for group in CLIP.groups] == [1, 4, 2]
    assert CodeGrid.of(CLIP.header, CLIP.groups) == CLIP
    assert CLIP.header.bits_per_pixel(7) == 3 * 24 * 6 / (7 * 20 * 36)


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"codes": None}, "either codes or latents"),
        ({"latent": np.zeros((3, 4, 6, 8), np.float32)}, "either codes or latents"),
        ({"codes": CODES + 1 - CODES.min()}, "code 50 is outside the codebook of 50"),
        ({"codes": CODES - 1}, "code -1 is outside"),
        ({"num_frames": 10}, "3 groups cannot be of 10 frames"),
        ({"num_frames": 0}, "3 groups cannot be of 0 frames"),
        ({"fps": None}, "7 frames, and no number of them a second"),
        ({"fps": float("nan")}, "nan frames a second"),
        ({"size": (90, 36)}, "a side of the grid is 4"),
        ({"size": (0, 36)}, "a side is 0"),
        ({"num_codes": 0}, "one of them is 0"),
        ({"codes": None, "num_codes": 0, "latent": np.full((3, 4, 6, 8), np.nan, np.float32)}, "not finite"),
    ],
)
def test_what_makes_no_sense_is_refused(changes: dict[str, object], text: str) -> None:
    with pytest.raises(FormatError, match=text):
        replace(CLIP, **changes)
