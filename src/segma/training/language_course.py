"""Runs of language models over codes: worlds by sentences, pictures and clips by class, whole clips."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

import torch
from torch import nn

from segma.checkpoints.load import LoadedModel, load
from segma.errors import InputError, ModelError
from segma.models.interfaces import CodeSpec, GeneratorSpec, VisualTokenizer
from segma.models.omnitokenizer.gpt import Gpt
from segma.models.omnitokenizer.gpt_config import BARE, NAME, VARIANTS, WORDED, GptConfig
from segma.runtime import Runtime
from segma.training.code_batch import LabelledBatch, SentenceBatch
from segma.training.config import TrainConfig
from segma.training.course import Network
from segma.training.data import Samples
from segma.training.distributed import Step, Team
from segma.training.labelled_loader import LabelledBatches, class_names, items_of
from segma.training.language_exam import LanguageExam
from segma.training.loader import made_ahead
from segma.training.loop import Batches
from segma.training.made_codes import kept_codes, trained_codes
from segma.training.steps.language import Speaker, language_step
from segma.training.steps.result import StepResult

_SPREAD = 0.02
# Rows that are measured together.
_EXAM_ROWS = 16


@dataclass(slots=True)
class LanguageCourse:
    """The `Course` of language models over codes. `build` keeps the tokenizer and the network's spec."""

    labelled: bool = False
    _tokenizer: LoadedModel | None = field(default=None, init=False)
    _spec: GeneratorSpec | None = field(default=None, init=False)

    @property
    def tokenizer(self) -> LoadedModel:
        """The tokenizer."""
        assert self._tokenizer is not None, "build comes first"
        return self._tokenizer

    @property
    def spec(self) -> GeneratorSpec:
        """What the network makes."""
        assert self._spec is not None, "build comes first"
        return self._spec

    def build(self, config: TrainConfig) -> Network:
        """A language model from nothing, for the tokenizer and the data; or from weights."""
        torch.manual_seed(config.seed)  # pyright: ignore[reportUnknownMemberType]  torch leaves it untyped
        self._tokenizer = load(config.language.tokenizer)
        codes = _codes(self.tokenizer).code_spec
        if not codes.num_codes:
            raise ModelError(
                "model.task", f"{self.tokenizer.name} knows no codes.", "Name another tokenizer."
            )
        network = _loaded(config) if config.start else _fresh(config, codes)
        sizes = network.config
        if sizes.vocabulary - sizes.first_code != codes.num_codes:
            wrong = f"{sizes.vocabulary - sizes.first_code} codes, {self.tokenizer.name} {codes.num_codes}"
            raise ModelError("model.mismatch", f"The language model knows {wrong}.", "Name its tokenizer.")
        sizes = replace(sizes, tokenizer=self.tokenizer.weights_hash)
        assert isinstance(network.module, Gpt)
        self._spec = network.module.generator_spec
        network.module.requires_grad_(True).train()
        for name, parameter in network.module.named_parameters():
            if name.startswith(config.frozen):
                parameter.requires_grad_(False)
        return replace(network, config=sizes)

    def settled(self, config: TrainConfig, network: Network) -> TrainConfig:
        """The config; sizes are checked against what network and tokenizer take."""
        language, sizes = config.language, network.config
        codes = _codes(self.tokenizer).code_spec
        groups = 1 + (language.frames - 1) // codes.temporal_patch
        wrong = ""
        if language.size != sizes.side * codes.patch or language.size % codes.side_multiple:
            wrong = f"language.size is {language.size}, expected {sizes.side * codes.patch}"
        elif (language.frames - 1) % codes.temporal_patch or groups * sizes.side**2 != sizes.codes_at_most:
            frames = 1 + (sizes.codes_at_most // sizes.side**2 - 1) * codes.temporal_patch
            wrong = f"language.frames is {language.frames}, expected {frames}"
        elif (sizes.order == WORDED) != (language.made > 0):
            wrong = f"language.made is {language.made}: words are learned from made portraits, and only they"
        elif language.made and (language.frames != 1 or language.phrasings < 1):
            wrong = "portraits are pictures, with a sentence or more"
        if wrong or not 0 <= language.blank <= 1:
            raise InputError("input.value", f"{wrong or f'language.blank is {language.blank}'}.")
        return config

    def student(self, network: Network, samples: Samples, config: TrainConfig) -> nn.Module:
        """The network with the tokenizer."""
        assert isinstance(network.module, Gpt)
        return Speaker(network.module, self.tokenizer.module)

    def rates(self, config: TrainConfig) -> Mapping[str, float]:
        """What stands for ids and places is no matrix to be turned, and learns at the rate."""
        return {"network.tok_emb.": 1.0, "network.places.": 1.0, "network.pos_emb": 1.0, "network.head.": 1.0}

    def step(self, config: TrainConfig, runtime: Runtime) -> Step:
        """The cross entropy of codes; in bfloat16 where the runtime computes in it."""
        device, dtype = runtime.torch_device, runtime.dtype

        def step(
            module: nn.Module, batch: SentenceBatch | LabelledBatch, generator: torch.Generator
        ) -> StepResult:
            assert isinstance(module, Speaker)
            with torch.autocast(device.type, dtype=dtype, enabled=dtype != torch.float32):
                return language_step(module, batch, config.language.blank, generator)

        return step

    def batches(self, samples: Samples, config: TrainConfig, team: Team) -> Batches:
        """Of portraits that are made now, or of the data."""
        total = config.steps * config.optim.accumulate
        if config.language.made:
            weights = self.tokenizer.weights_hash
            made = trained_codes(config, self.spec, _codes(self.tokenizer), weights)

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

    def exam(self, samples: Samples, config: TrainConfig) -> LanguageExam:
        """Portraits that no run learns from, or what is kept aside of the data."""
        count = config.validate_objects
        batches: list[SentenceBatch | LabelledBatch] = []
        if config.language.made and count:
            made = kept_codes(config, self.spec, _codes(self.tokenizer), count)
            rows = min(_EXAM_ROWS, len(made))
            batches = [made.batch(number, rows, 0) for number in range(-(-len(made) // rows))]
        elif (dataset := _labelled(samples, config, _EXAM_ROWS)) is not None:
            batches = [dataset[number] for number in range(-(-count // _EXAM_ROWS))]
        return LanguageExam(tuple(batches), self.tokenizer.module)

    def finish(
        self, network: Network, samples: Samples, config: TrainConfig, runtime: Runtime
    ) -> dict[str, float]:
        """Nothing."""
        return {}


def course() -> LanguageCourse:
    """The course."""
    return LanguageCourse()


def _codes(found: LoadedModel) -> VisualTokenizer:
    if not isinstance(found.module, VisualTokenizer):
        raise ModelError("model.task", f"{found.name} is no tokenizer.", "Name one: language.tokenizer=FILE.")
    return found.module


def _fresh(config: TrainConfig, codes: CodeSpec) -> Network:
    if config.variant not in VARIANTS:
        raise ModelError("model.unknown", f'No size "{config.variant}".', f"Sizes: {', '.join(VARIANTS)}.")
    sizes = VARIANTS[config.variant]
    if sizes.order != WORDED:
        sizes = _for_data(config, sizes, codes)
    elif sizes.vocabulary - sizes.first_code != codes.num_codes:
        sizes = replace(sizes, vocabulary=sizes.first_code + codes.num_codes)
    module = Gpt(sizes)
    for name, each in module.named_parameters():
        if each.ndim > 1:
            ends = name.endswith(("attn.proj.weight", "mlp.2.weight"))  # they add to what goes round
            nn.init.normal_(each, std=_SPREAD / (2 * sizes.layers) ** 0.5 if ends else _SPREAD)
        elif name.endswith("bias"):
            nn.init.zeros_(each)
    return Network(module, sizes, "unknown", None)


def _for_data(config: TrainConfig, sizes: GptConfig, codes: CodeSpec) -> GptConfig:
    """The sizes for these data and this tokenizer, without the slips of the original."""
    language = config.language
    names = class_names(config.data) if language.classes else ()
    if bool(names) == (sizes.order == BARE):
        told = "classes" if names else "no classes"
        raise InputError(
            "input.value", f"{config.variant} does not learn from {told}.", "Set language.classes."
        )
    side = max(1, language.size // codes.patch)
    count = side**2 * (1 + (language.frames - 1) // codes.temporal_patch)
    sizes = replace(sizes, num_classes=len(names), class_names=names, parity=False, side=side)
    return replace(sizes, vocabulary=sizes.first_code + codes.num_codes, block=count + sizes.before - 1)


def _loaded(config: TrainConfig) -> Network:
    found = load(config.start)
    if not isinstance(found.module, Gpt):
        raise ModelError("model.task", f"{found.name} is of the system {found.system}, not {NAME}.")
    sizes = found.module.config
    _check_classes(config, sizes)
    original = {name: value.detach().clone() for name, value in found.module.state_dict().items()}
    return Network(found.module, sizes, found.licence, original)


def _check_classes(config: TrainConfig, sizes: GptConfig) -> None:
    """Raises InputError where the folders of the data are not the classes that a network knows."""
    if sizes.order in (BARE, WORDED):
        return
    names = class_names(config.data) if config.language.classes else ()
    if len(names) != sizes.num_classes or sizes.class_names not in ((), names):
        text = f"The data have {len(names)} classes, {config.start} {sizes.num_classes}"
        raise InputError("input.value", f"{text}, or others.", "Give it a folder for each of its classes.")


def _labelled(samples: Samples, config: TrainConfig, rows: int) -> LabelledBatches | None:
    """The batches of data; None where there is nothing of the right kind."""
    names = class_names(config.data) if config.language.classes else ()
    classes = {name: number for number, name in enumerate(names)}
    items = items_of(samples.pictures, samples.clips, config.language.frames)
    items = tuple(each for each in items if not names or each.source in classes)
    return LabelledBatches(items, classes, config, rows) if items else None
