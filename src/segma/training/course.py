"""What a system brings to a training run: its network, batches, step and exam. `start` does the rest."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Protocol, cast, runtime_checkable

from torch import Tensor, nn

from segma.errors import InputError
from segma.runtime import Runtime
from segma.training.config import TrainConfig
from segma.training.data import Samples

if TYPE_CHECKING:
    from segma.training.distributed import Step, Team
    from segma.training.loop import Batches


@dataclass(frozen=True, slots=True)
class Network:
    """A network to train, the config that its weights are saved with, and the licence of those it began with.

    `original` are the weights it began with, where the run began with weights.
    """

    module: nn.Module
    config: Any  # each system's own dataclass
    licence: str
    original: Mapping[str, Tensor] | None


@runtime_checkable
class Exam(Protocol):
    """What a network is measured on; false where there is nothing."""

    def __bool__(self) -> bool:
        """Whether there is anything."""
        ...

    def scores(self, module: nn.Module, runtime: Runtime) -> dict[str, float]:
        """Numbers by name; the module's mode is left as it was."""
        ...


@runtime_checkable
class Course(Protocol):
    """One system's part of a run."""

    labelled: bool
    """Whether only pictures and clips with masks are of use."""

    def makes_its_own(self, config: TrainConfig) -> bool:
        """Whether the run makes what it learns from and is measured on, and takes no data."""
        ...

    def build(self, config: TrainConfig) -> Network:
        """The network on the CPU, in float32, its frozen parts without gradients. Raises ModelError."""
        ...

    def settled(self, config: TrainConfig, network: Network) -> TrainConfig:
        """The config, with what the network says of it."""
        ...

    def student(self, network: Network, samples: Samples, config: TrainConfig) -> nn.Module:
        """The module that learns: the network, or it and what helps it."""
        ...

    def rates(self, config: TrainConfig) -> Mapping[str, float]:
        """Beginnings of the names of weights that learn at a share of the rate."""
        ...

    def step(self, config: TrainConfig, runtime: Runtime) -> Step:
        """The loss of a batch."""
        ...

    def batches(self, samples: Samples, config: TrainConfig, team: Team) -> Batches:
        """The run's batches from any number on. Raises InputError where there is nothing to learn from."""
        ...

    def exam(self, samples: Samples, config: TrainConfig) -> Exam:
        """What is kept aside, to be measured on."""
        ...

    def finish(
        self, network: Network, samples: Samples, config: TrainConfig, runtime: Runtime
    ) -> dict[str, float]:
        """What is fitted when all else is trained; numbers to report of it."""
        ...


# A module with `course() -> Course` for each system that can be trained.
_COURSES: Mapping[str, str] = MappingProxyType(
    {
        "sam2": "segma.training.mask_course",
        "omnitokenizer": "segma.training.code_course",
        "omnitokenizer_gpt": "segma.training.language_course",
        "omnitokenizer_dit": "segma.training.diffusion_course",
        "omnitokenizer_enhancer": "segma.training.enhance_course",
    }
)


def course_of(config: TrainConfig) -> Course:
    """The course of the config's system. Raises InputError for one that cannot be trained."""
    if config.system not in _COURSES:
        known = ", ".join(_COURSES)
        raise InputError("input.value", f'system is "{config.system}".', f"Trained are: {known}.")
    return cast(Course, import_module(_COURSES[config.system]).course())
