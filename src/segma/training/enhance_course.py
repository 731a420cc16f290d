"""Runs of enhancers: pictures that were made smaller are to be as they were."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

import torch
from torch import nn

from segma.checkpoints.load import LoadedModel
from segma.errors import InputError, ModelError
from segma.models.interfaces import VisualTokenizer
from segma.models.omnitokenizer.enhancer import Block, Enhancer
from segma.models.omnitokenizer.enhancer_config import NAME, VARIANTS
from segma.runtime import Runtime
from segma.training.beginning import copied, size_named, tokenizer_named, weights_named
from segma.training.config import TrainConfig
from segma.training.course import Network
from segma.training.data import Samples
from segma.training.distributed import Step, Team
from segma.training.enhance_exam import EnhanceExam
from segma.training.enhance_loader import EnhanceBatch, EnhanceBatches
from segma.training.loader import made_ahead
from segma.training.loop import Batches
from segma.training.pixel_loader import PixelPool
from segma.training.steps.enhancing import EnhanceStudent, enhance_step
from segma.training.steps.result import StepResult

# What says nothing in the beginning: the residual, and latents, which are larger than pixels (log, 30).
_SILENT = ("heads.", "from_latents.")
# What blocks add in the beginning, as a share of what layers usually say.
_QUIET = 0.1
# Sides of the kept pictures' middle that is enlarged: of most photos all there is in height.
_EXAM_SIDE = 256


@dataclass(slots=True)
class EnhanceCourse:
    """The `Course` of enhancers. `build` keeps the tokenizer."""

    labelled: bool = False
    _tokenizer: LoadedModel | None = field(default=None, init=False)
    _scales: tuple[int, ...] = field(default=(), init=False)

    @property
    def tokenizer(self) -> LoadedModel:
        """The tokenizer whose latents are looked at."""
        assert self._tokenizer is not None, "build comes first"
        return self._tokenizer

    @property
    def visual(self) -> VisualTokenizer:
        """Its network."""
        assert isinstance(self.tokenizer.module, VisualTokenizer)
        return self.tokenizer.module

    def makes_its_own(self, config: TrainConfig) -> bool:
        """Never."""
        return False

    def build(self, config: TrainConfig) -> Network:
        """An enhancer from nothing, which begins as bicubic, or from weights; it names the tokenizer."""
        torch.manual_seed(config.seed)  # pyright: ignore[reportUnknownMemberType]  torch leaves it untyped
        found, visual = tokenizer_named(config.enhance.tokenizer, "enhance.tokenizer")
        self._tokenizer = found
        network = _loaded(config) if config.start else _fresh(config)
        sizes, channels = network.config, visual.code_spec.channels
        if sizes.channels not in (0, channels):
            text = f"The enhancer knows latents of {sizes.channels} channels, {found.name} has {channels}."
            raise ModelError("model.mismatch", text, "Name its tokenizer: enhance.tokenizer=FILE.")
        self._scales = sizes.scales
        network.module.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]  torch's stubs lack it
        network.module.requires_grad_(True).train()
        for name, parameter in network.module.named_parameters():
            parameter.requires_grad_(not name.startswith(config.frozen))
        return replace(network, config=replace(sizes, tokenizer=found.weights_hash if sizes.channels else ""))

    def settled(self, config: TrainConfig, network: Network) -> TrainConfig:
        """The config; what it says of pictures is checked. Raises InputError."""
        made, multiple = config.enhance, self.visual.code_spec.side_multiple
        if made.size < 1 or made.size % multiple:
            raise InputError(
                "input.value", f"enhance.size is {made.size}, expected a multiple of {multiple}."
            )
        for name in ("area", "jpeg", "coded"):
            if not 0 <= getattr(made, name) <= 1:
                raise InputError("input.value", f"enhance.{name} is {getattr(made, name)}, expected 0 to 1.")
        low, high = made.quality
        if not 1 <= low <= high <= 100:
            raise InputError("input.value", f"enhance.quality is {made.quality}, expected two of 1 to 100.")
        return config

    def student(self, network: Network, samples: Samples, config: TrainConfig) -> nn.Module:
        """The network with the tokenizer."""
        assert isinstance(network.module, Enhancer)
        return EnhanceStudent(network.module, self.tokenizer.module)

    def rates(self, config: TrainConfig) -> Mapping[str, float]:
        """What stands for pixels is no matrix to be turned, and learns at the rate."""
        return {f"network.{name}": 1.0 for name in ("stem.", "from_latents.", "heads.")}

    def step(self, config: TrainConfig, runtime: Runtime) -> Step:
        """The loss of a batch; in bfloat16 where the runtime computes in it."""
        device, dtype = runtime.torch_device, runtime.dtype

        def step(module: nn.Module, batch: EnhanceBatch, chance: torch.Generator) -> StepResult:
            assert isinstance(module, EnhanceStudent)
            with torch.autocast(device.type, dtype=dtype, enabled=dtype != torch.float32):
                return enhance_step(module, batch, config.enhance, chance)

        return step

    def batches(self, samples: Samples, config: TrainConfig, team: Team) -> Batches:
        """Crops of pictures, or of frames of clips where there are no pictures."""
        pool = PixelPool.of(samples.pictures, samples.clips)
        if not pool.pictures and not pool.clips:
            raise InputError("input.not_found", "There are no pictures or clips to train on.")
        total = config.steps * config.optim.accumulate
        dataset = EnhanceBatches(pool, config, self._scales)

        def from_number(first: int) -> Iterator[EnhanceBatch]:
            return made_ahead(dataset, team.numbers(first, total), config.workers)

        return from_number

    def exam(self, samples: Samples, config: TrainConfig) -> EnhanceExam:
        """Pictures that are kept aside."""
        return EnhanceExam.of(samples, self.visual, pictures=config.validate_objects, size=_EXAM_SIDE)

    def finish(
        self, network: Network, samples: Samples, config: TrainConfig, runtime: Runtime
    ) -> dict[str, float]:
        """Nothing."""
        return {}


def course() -> EnhanceCourse:
    """The course."""
    return EnhanceCourse()


def _fresh(config: TrainConfig) -> Network:
    sizes = size_named(config, VARIANTS)
    module = Enhancer(sizes)
    with torch.no_grad():
        for name, each in module.named_parameters():
            if name.startswith(_SILENT) or name.endswith(".bias"):
                each.zero_()
        for block in module.blocks:
            assert isinstance(block, Block)
            block.second.weight.mul_(_QUIET)
    return Network(module, sizes, "unknown", None)


def _loaded(config: TrainConfig) -> Network:
    found, module = weights_named(config, Enhancer, NAME)
    return Network(module, module.config, found.licence, copied(module))
