"""Frames of a data set's clip, from files or from stretches of one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from segma.errors import InputError
from segma.media.picture_source import PictureSource
from segma.media.source import FrameSource
from segma.samples import PictureFile


def written(folder: Path, count: int = 3) -> list[PictureFile]:
    """Pictures of one grey each, the last ones stretches of one file."""
    pictures: list[PictureFile] = []
    for index in range(count):
        path = folder / f"{index}.png"
        Image.fromarray(np.full((6, 8, 3), 10 * index, np.uint8)).save(path)
        pictures.append(PictureFile(path))
    data = pictures[-1].path.read_bytes()
    (folder / "shard").write_bytes(b"x" * 7 + data + b"y" * 5)
    return [*pictures, PictureFile(folder / "shard", 7, len(data))]


def test_frames_come_in_either_direction(tmp_path: Path) -> None:
    source = PictureSource(written(tmp_path), (6, 8), fps=10, name="clip")
    assert isinstance(source, FrameSource) and source.num_frames == 4
    assert [frame.pixels[0, 0, 0] for frame in source.frames()] == [0, 10, 20, 20]
    assert [frame.index for frame in source.frames(1, 3, reverse=True)] == [3, 2, 1]
    assert source.read(3).time == source.time_of(3) == 0.3
    source.close()


def test_a_frame_that_is_broken_is_named(tmp_path: Path) -> None:
    pictures = written(tmp_path)
    pictures[1].path.write_bytes(b"none")
    source = PictureSource(pictures, (6, 8), name="clip")
    with pytest.raises(InputError, match="Frame 1 of clip") as caught:
        list(source.frames())
    assert caught.value.code == "input.frame_broken"
    with pytest.raises(InputError, match="8x6, its masks are 7x6"):
        PictureSource(pictures, (6, 7)).read(0)
    with pytest.raises(InputError) as caught:
        source.read(4)
    assert caught.value.code == "input.frame_range"
