from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from segma.datasets.report import ReadReport
from segma.errors import InputError
from segma.training.config import OptimConfig, TrainConfig
from segma.training.data import Samples
from segma.training.kinds import batches_of, in_turns

CONFIG = TrainConfig(name="mixed", steps=50, video_share=0.3, optim=OptimConfig(accumulate=2))
NOTHING = Samples((), (), ReadReport())


def numbered(kind: str) -> Callable[[int], Iterator[tuple[str, int]]]:
    def source(first: int) -> Iterator[tuple[str, int]]:
        return ((kind, number) for number in range(first, 1000))

    return source


def test_pictures_and_clips_take_turns_and_each_counts_its_own() -> None:
    drawn = list(in_turns(numbered("picture"), numbered("clip"), CONFIG)(0))
    assert len(drawn) == 100
    for kind in ("picture", "clip"):
        numbers = [number for which, number in drawn if which == kind]
        assert numbers == list(range(len(numbers)))
    assert 0.15 < sum(kind == "clip" for kind, _ in drawn) / 100 < 0.45


@pytest.mark.parametrize("first", [1, 37, 99])
def test_turns_go_on_where_they_were(first: int) -> None:
    turns = in_turns(numbered("picture"), numbered("clip"), CONFIG)
    assert list(turns(first)) == list(turns(0))[first:]


def test_a_kind_without_data_is_told() -> None:
    with pytest.raises(InputError, match="no pictures with masks"):
        batches_of(NOTHING, CONFIG)
    with pytest.raises(InputError, match="no clips with masks"):
        batches_of(NOTHING, replace(CONFIG, video_share=1.0))
    with pytest.raises(InputError, match="expected 0 to 1"):
        batches_of(NOTHING, replace(CONFIG, video_share=1.5))
