"""Runs of language models over codes: worlds by sentences, pictures and clips by class, whole clips."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from torch import nn

from segma.errors import InputError, ModelError
from segma.models.interfaces import CodeSpec
from segma.models.omnitokenizer.gpt import Gpt
from segma.models.omnitokenizer.gpt_config import BARE, NAME, VARIANTS, WORDED, GptConfig
from segma.training.beginning import copied, size_named, weights_named
from segma.training.config import TrainConfig
from segma.training.course import Network
from segma.training.generator_course import GeneratorCourse, check_classes, names_of_data
from segma.training.steps.generating import Loss
from segma.training.steps.language import cross_entropy

_SPREAD = 0.02


@dataclass(slots=True)
class LanguageCourse(GeneratorCourse):
    """The `Course` of language models over codes."""

    number: str = field(default="nats", init=False)

    def network(self, config: TrainConfig, codes: CodeSpec) -> Network:
        """A language model from nothing, for the tokenizer and the data; or from weights."""
        network = _loaded(config) if config.start else _fresh(config, codes)
        sizes = network.config
        if sizes.vocabulary - sizes.first_code != codes.num_codes:
            wrong = f"{sizes.vocabulary - sizes.first_code} codes, {self.tokenizer.name} {codes.num_codes}"
            raise ModelError("model.mismatch", f"The language model knows {wrong}.", "Name its tokenizer.")
        return network

    def what_is_wrong(self, config: TrainConfig, network: Network, codes: CodeSpec) -> str:
        """Pictures or clips with more or fewer codes than there are places for."""
        made, sizes = config.generator, network.config
        groups = 1 + (made.frames - 1) // codes.temporal_patch
        if made.size != sizes.side * codes.patch:
            return f"generator.size is {made.size}, expected {sizes.side * codes.patch}"
        if (made.frames - 1) % codes.temporal_patch or groups * sizes.side**2 != sizes.codes_at_most:
            frames = 1 + (sizes.codes_at_most // sizes.side**2 - 1) * codes.temporal_patch
            return f"generator.frames is {made.frames}, expected {frames}"
        return ""

    def rates(self, config: TrainConfig) -> Mapping[str, float]:
        """What stands for ids and places is no matrix to be turned, and learns at the rate."""
        return {"network.tok_emb.": 1.0, "network.places.": 1.0, "network.pos_emb": 1.0, "network.head.": 1.0}

    def loss(self, config: TrainConfig) -> Loss:
        """The cross entropy of codes."""
        return cross_entropy


def course() -> LanguageCourse:
    """The course."""
    return LanguageCourse()


def _fresh(config: TrainConfig, codes: CodeSpec) -> Network:
    sizes = size_named(config, VARIANTS)
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
    made, names = config.generator, names_of_data(config)
    if bool(names) == (sizes.order == BARE):
        told = "classes" if names else "no classes"
        raise InputError(
            "input.value", f"{config.variant} does not learn from {told}.", "Set generator.classes."
        )
    side = max(1, made.size // codes.patch)
    count = side**2 * (1 + (made.frames - 1) // codes.temporal_patch)
    sizes = replace(sizes, num_classes=len(names), class_names=names, parity=False, side=side)
    return replace(sizes, vocabulary=sizes.first_code + codes.num_codes, block=count + sizes.before - 1)


def _loaded(config: TrainConfig) -> Network:
    found, module = weights_named(config, Gpt, NAME)
    sizes = module.config
    if sizes.order not in (BARE, WORDED):
        check_classes(config, sizes.num_classes, sizes.class_names)
    return Network(module.requires_grad_(True), sizes, found.licence, copied(module))
