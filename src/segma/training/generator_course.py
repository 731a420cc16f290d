"""What runs of all generators share: the tokenizer, portraits or data by class, and the exam."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import torch
from torch import nn

from segma.checkpoints.load import LoadedModel
from segma.errors import InputError, ModelError
from segma.models.interfaces import CodeSpec, GeneratorSpec, VisualTokenizer
from segma.runtime import Runtime
from segma.training.beginning import tokenizer_named
from segma.training.config import TrainConfig
from segma.training.course import Network
from segma.training.data import Samples
from segma.training.distributed import Step, Team
from segma.training.generator_batch import GeneratorBatch, LabelledBatch, SentenceBatch
from segma.training.generator_exam import GeneratorExam
from segma.training.labelled_loader import LabelledBatches, class_names, items_of
from segma.training.loader import made_ahead
from segma.training.loop import Batches
from segma.training.made_portraits import kept_portraits, trained_portraits
from segma.training.steps.generating import GeneratorStudent, Loss, generator_step
from segma.training.steps.result import StepResult

# Rows that are measured together.
_EXAM_ROWS = 16


@dataclass(slots=True)
class GeneratorCourse(ABC):
    """The `Course` of a kind of generator. `build` keeps the tokenizer and the network's spec."""

    labelled: bool = False
    latents: bool = field(default=False, init=False)
    """Whether latents are learned, and not codes."""
    number: str = field(default="", init=False)
    """Which number of the loss tells how good it is."""
    _tokenizer: LoadedModel | None = field(default=None, init=False)
    _spec: GeneratorSpec | None = field(default=None, init=False)

    @abstractmethod
    def network(self, config: TrainConfig, codes: CodeSpec) -> Network:
        """A network from nothing, for the tokenizer and the data; or from weights."""

    @abstractmethod
    def what_is_wrong(self, config: TrainConfig, network: Network, codes: CodeSpec) -> str:
        """What does not fit together, in words; "" where all does."""

    @abstractmethod
    def loss(self, config: TrainConfig) -> Loss:
        """What is learned by."""

    @property
    def tokenizer(self) -> LoadedModel:
        """The tokenizer."""
        assert self._tokenizer is not None, "build comes first"
        return self._tokenizer

    @property
    def visual(self) -> VisualTokenizer:
        """Its network."""
        assert isinstance(self.tokenizer.module, VisualTokenizer)
        return self.tokenizer.module

    @property
    def spec(self) -> GeneratorSpec:
        """What the network makes."""
        assert self._spec is not None, "build comes first"
        return self._spec

    def makes_its_own(self, config: TrainConfig) -> bool:
        """Whether portraits are learned from, and no data."""
        return config.generator.made > 0

    def build(self, config: TrainConfig) -> Network:
        """A network from nothing, or from weights; its sizes name the tokenizer."""
        torch.manual_seed(config.seed)  # pyright: ignore[reportUnknownMemberType]  torch leaves it untyped
        found, visual = tokenizer_named(config.generator.tokenizer, "generator.tokenizer")
        self._tokenizer, codes = found, visual.code_spec
        if not (codes.channels if self.latents else codes.num_codes):
            knows = "latents" if self.latents else "codes"
            raise ModelError("model.task", f"{found.name} knows no {knows}.", "Name another tokenizer.")
        network = self.network(config, codes)
        self._spec = network.module.generator_spec  # pyright: ignore[reportAttributeAccessIssue]  all have it
        trained = {name for name, each in network.module.named_parameters() if each.requires_grad}
        network.module.train()
        for name, parameter in network.module.named_parameters():
            parameter.requires_grad_(name in trained and not name.startswith(config.frozen))
        return replace(network, config=replace(network.config, tokenizer=found.weights_hash))

    def settled(self, config: TrainConfig, network: Network) -> TrainConfig:
        """The config; sizes are checked against what network and tokenizer take. Raises InputError."""
        codes = self.visual.code_spec
        wrong = self.what_is_wrong(config, network, codes) or _wrong_settings(config, self.spec, codes)
        if wrong:
            raise InputError("input.value", f"{wrong}.")
        return config

    def student(self, network: Network, samples: Samples, config: TrainConfig) -> nn.Module:
        """The network with the tokenizer."""
        return GeneratorStudent(network.module, self.tokenizer.module, latents=self.latents)

    def step(self, config: TrainConfig, runtime: Runtime) -> Step:
        """The loss of a batch; in bfloat16 where the runtime computes in it."""
        device, dtype, loss = runtime.torch_device, runtime.dtype, self.loss(config)

        def step(module: nn.Module, batch: GeneratorBatch, chance: torch.Generator) -> StepResult:
            assert isinstance(module, GeneratorStudent)
            with torch.autocast(device.type, dtype=dtype, enabled=dtype != torch.float32):
                return generator_step(module, batch, config.generator.blank, chance, loss)

        return step

    def batches(self, samples: Samples, config: TrainConfig, team: Team) -> Batches:
        """Of portraits that are made now, or of the data."""
        total = config.steps * config.optim.accumulate
        if config.generator.made:
            hashed, leads = self.tokenizer.weights_hash, team.leads
            made = trained_portraits(config, self.spec, self.visual, hashed, may_write=leads)

            def portraits(first: int) -> Iterator[SentenceBatch]:
                for number in team.numbers(first, total):
                    yield made.batch(number, config.batch, config.seed)

            return portraits
        dataset = _labelled(samples, config, config.batch)
        if dataset is None:
            raise InputError("input.not_found", "There is nothing to train on.")

        def from_number(first: int) -> Iterator[LabelledBatch]:
            return made_ahead(dataset, team.numbers(first, total), config.workers)

        return from_number

    def exam(self, samples: Samples, config: TrainConfig) -> GeneratorExam:
        """Portraits that no run learns from, or what is kept aside of the data."""
        count = config.validate_objects
        batches: list[GeneratorBatch] = []
        if config.generator.made and count:
            made = kept_portraits(config, self.spec, self.visual, count)
            rows = min(_EXAM_ROWS, len(made))
            batches = [made.batch(number, rows, 0) for number in range(-(-len(made) // rows))]
        elif (dataset := _labelled(samples, config, _EXAM_ROWS)) is not None:
            batches = [dataset[number] for number in range(-(-count // _EXAM_ROWS))]
        module, loss = self.tokenizer.module, self.loss(config)
        return GeneratorExam(tuple(batches), module, loss, self.number, self.latents)

    def finish(
        self, network: Network, samples: Samples, config: TrainConfig, runtime: Runtime
    ) -> dict[str, float]:
        """Nothing."""
        return {}


def _wrong_settings(config: TrainConfig, spec: GeneratorSpec, codes: CodeSpec) -> str:
    made = config.generator
    if made.size % codes.side_multiple:
        return f"generator.size is {made.size}, expected a multiple of {codes.side_multiple}"
    if bool(spec.words) != (made.made > 0):
        return f"generator.made is {made.made}: words are learned from made portraits, and only they"
    if made.made and (made.frames != 1 or made.phrasings < 1):
        return "portraits are pictures, with a sentence or more"
    if not 0 <= made.blank <= 1:
        return f"generator.blank is {made.blank}, expected 0 to 1"
    if made.outlines_alone and not spec.cover:
        return "there are no outlines to learn alone"
    least = {"stride": made.stride - 1, "noises": made.noises - 1, "variance": made.variance,
             "snr_limit": made.snr_limit, "latent_scale": made.latent_scale}  # fmt: skip
    low = [name for name, value in least.items() if value < 0]
    return f"generator.{low[0]} is too low" if low else ""


def names_of_data(config: TrainConfig) -> tuple[str, ...]:
    """The classes of the data; none where they are not to be asked for. Raises InputError."""
    return class_names(config.data) if config.generator.classes else ()


def check_classes(config: TrainConfig, num_classes: int, known: tuple[str, ...]) -> None:
    """Raises InputError where the folders of the data are not the classes that a network knows."""
    names = names_of_data(config)
    if len(names) != num_classes or known not in ((), names):
        text = f"The data have {len(names)} classes, {config.start} {num_classes}"
        raise InputError("input.value", f"{text}, or others.", "Give it a folder for each of its classes.")


def _labelled(samples: Samples, config: TrainConfig, rows: int) -> LabelledBatches | None:
    """The batches of data; None where there is nothing of the right kind."""
    names = names_of_data(config)
    classes = {name: number for number, name in enumerate(names)}
    items = items_of(samples.pictures, samples.clips, config.generator.frames)
    items = tuple(each for each in items if not names or each.source in classes)
    return LabelledBatches(items, classes, config, rows) if items else None
