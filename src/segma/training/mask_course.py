"""Runs of promptable networks: pictures and clips with masks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from torch import nn

from segma.models.sam2.model import Sam2
from segma.runtime import Runtime
from segma.training.config import TrainConfig
from segma.training.course import Network
from segma.training.data import Samples
from segma.training.distributed import Step, Team
from segma.training.heads import Student
from segma.training.kinds import batches_of, step_of
from segma.training.loop import Batches
from segma.training.network import build

if TYPE_CHECKING:
    from segma.training.validation import Exam


@dataclass(frozen=True, slots=True)
class MaskCourse:
    """The `Course` of SAM 2."""

    labelled: bool = True

    def makes_its_own(self, config: TrainConfig) -> bool:
        """Never."""
        return False

    def build(self, config: TrainConfig) -> Network:
        """That of `training.network`."""
        return build(config)

    def settled(self, config: TrainConfig, network: Network) -> TrainConfig:
        """With the network's own input size."""
        return replace(config, image_size=network.config.image_size)

    def student(self, network: Network, samples: Samples, config: TrainConfig) -> nn.Module:
        """The network, with heads that help where they have a weight."""
        assert isinstance(network.module, Sam2)
        return Student.of(network.module, samples.pictures, config.losses)

    def rates(self, config: TrainConfig) -> Mapping[str, float]:
        """None."""
        return {}

    def step(self, config: TrainConfig, runtime: Runtime) -> Step:
        """On pictures and on clips."""
        return step_of(config, runtime)

    def batches(self, samples: Samples, config: TrainConfig, team: Team) -> Batches:
        """Of pictures and of clips."""
        return batches_of(samples, config, team)

    def exam(self, samples: Samples, config: TrainConfig) -> Exam:
        """What is asked of pictures, and of clips where the run is about them."""
        # a machine lent for training measures nothing, and need not have what reads videos
        from segma.evaluation.protocols.asking import evenly
        from segma.training.validation import Exam, questions

        asked = questions(samples.pictures, config.validate_objects, config.seed)
        clips = evenly(samples.clips, config.validate_clips) if config.video_share else []
        return Exam(tuple(asked), tuple(clips) if config.validate_clips else ())

    def finish(
        self, network: Network, samples: Samples, config: TrainConfig, runtime: Runtime
    ) -> dict[str, float]:
        """The choice among scales."""
        if not config.choice_clicks:
            return {}
        from segma.training.choosing import learn_choice  # as in `exam`

        assert isinstance(network.module, Sam2)
        clicks, mix = config.choice_clicks, config.mix
        return learn_choice(network.module, samples.pictures, clicks, runtime, config.seed, mix=mix)


def course() -> MaskCourse:
    """The course."""
    return MaskCourse()
