from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import pytest
import torch

from segma.datasets.report import ReadReport
from segma.errors import InputError
from segma.training.config import OptimConfig, TrainConfig
from segma.training.data import Samples
from segma.training.distributed import Team
from segma.training.kinds import batches_of, in_turns

CONFIG = TrainConfig(name="mixed", steps=50, video_share=0.3, optim=OptimConfig(accumulate=2))
NOTHING = Samples((), (), ReadReport())


def numbered(kind: str) -> Callable[[Sequence[int]], Iterator[tuple[str, int]]]:
    def source(numbers: Sequence[int]) -> Iterator[tuple[str, int]]:
        return ((kind, number) for number in numbers)

    return source


def test_pictures_and_clips_take_turns_and_each_counts_its_own() -> None:
    drawn = list(in_turns(numbered("picture"), numbered("clip"), CONFIG, Team.alone())(0))
    assert len(drawn) == 100
    for kind in ("picture", "clip"):
        numbers = [number for which, number in drawn if which == kind]
        assert numbers == list(range(len(numbers)))
    assert 0.15 < sum(kind == "clip" for kind, _ in drawn) / 100 < 0.45


@pytest.mark.parametrize("first", [1, 37, 99])
def test_turns_go_on_where_they_were(first: int) -> None:
    turns = in_turns(numbered("picture"), numbered("clip"), CONFIG, Team.alone())
    assert list(turns(first)) == list(turns(0))[first:]


def test_a_team_shares_the_batches_of_one_process() -> None:
    alone = list(in_turns(numbered("picture"), numbered("clip"), CONFIG, Team.alone())(4))
    for rank in range(3):
        team = Team(rank=rank, size=3, device=torch.device("cpu"))
        shared = list(in_turns(numbered("picture"), numbered("clip"), CONFIG, team)(4))
        assert shared == alone[rank::3]


def test_a_kind_without_data_is_told() -> None:
    with pytest.raises(InputError, match="no pictures with masks"):
        batches_of(NOTHING, CONFIG)
    with pytest.raises(InputError, match="no clips with masks"):
        batches_of(NOTHING, replace(CONFIG, video_share=1.0))
    with pytest.raises(InputError, match="expected 0 to 1"):
        batches_of(NOTHING, replace(CONFIG, video_share=1.5))
