"""Runs of diffusion transformers: DiT on pictures, Latte on clips, a small one of worlds by a sentence."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from torch import nn

from segma.errors import InputError, ModelError
from segma.models.interfaces import CodeSpec
from segma.models.omnitokenizer.dit import Dit
from segma.models.omnitokenizer.dit_config import NAME, VARIANTS, DitConfig
from segma.training.beginning import copied, size_named, weights_named
from segma.training.config import TrainConfig
from segma.training.course import Network
from segma.training.generator_course import GeneratorCourse, check_classes, names_of_data
from segma.training.steps.diffusion import denoising
from segma.training.steps.generating import Loss

# Of tables and of the first layer of a step's vector; other matrices keep the size of what goes through.
_SPREAD = 0.02
_TABLES = ("y_embedder.embedding_table.", "y_embedder.words.", "y_embedder.before.")
# Blocks and what comes out begin as nothing (Peebles and Xie 2023, section 3.2).
_ZEROS = ("adaLN_modulation.1.weight", "final_layer.linear.weight", ".near.weight", "outliner.last.weight")
_FIXED = ("pos_embed", "temp_embed")
_OUTLINES = "outliner."


@dataclass(slots=True)
class DiffusionCourse(GeneratorCourse):
    """The `Course` of diffusion transformers."""

    latents: bool = field(default=True, init=False)
    number: str = field(default="error", init=False)

    def network(self, config: TrainConfig, codes: CodeSpec) -> Network:
        """A transformer from nothing, for the tokenizer and the data; or from weights."""
        network = _loaded(config) if config.start else _fresh(config, codes)
        if network.config.channels != codes.channels:
            wrong = f"latents of {network.config.channels} channels, {self.tokenizer.name} {codes.channels}"
            raise ModelError("model.mismatch", f"The transformer knows {wrong}.", "Name its tokenizer.")
        return network

    def what_is_wrong(self, config: TrainConfig, network: Network, codes: CodeSpec) -> str:
        """Pictures or clips of another size than the network's."""
        made, sizes = config.generator, network.config
        frames = 1 + (max(1, sizes.groups) - 1) * codes.temporal_patch
        if made.size != sizes.side * codes.patch:
            return f"generator.size is {made.size}, expected {sizes.side * codes.patch}"
        return "" if made.frames == frames else f"generator.frames is {made.frames}, expected {frames}"

    def rates(self, config: TrainConfig) -> Mapping[str, float]:
        """What stands for patches, classes and words is no matrix to be turned, and learns at the rate."""
        names = ("x_embedder.", "final_layer.linear.", *_TABLES, *(_OUTLINES + name for name in _TABLES))
        return {f"network.{name}": 1.0 for name in names}

    def loss(self, config: TrainConfig) -> Loss:
        """The error of the noise, and the bound."""
        return denoising(config.generator)


def course() -> DiffusionCourse:
    """The course."""
    return DiffusionCourse()


def _fresh(config: TrainConfig, codes: CodeSpec) -> Network:
    sizes = size_named(config, VARIANTS)
    if not sizes.words:
        sizes = _for_data(config, sizes, codes)
    if config.generator.latent_scale:
        sizes = replace(sizes, latent_scale=config.generator.latent_scale)
    module = Dit(replace(sizes, channels=codes.channels))
    for name, each in module.named_parameters():
        if name in _FIXED:
            continue
        if name.endswith(_ZEROS) or each.ndim == 1:
            nn.init.zeros_(each)
        elif name.removeprefix(_OUTLINES).startswith((*_TABLES, "t_embedder.")):
            nn.init.normal_(each, std=_SPREAD)
        else:
            nn.init.xavier_uniform_(each.flatten(1))
    return Network(module, module.config, "unknown", None)


def _for_data(config: TrainConfig, sizes: DitConfig, codes: CodeSpec) -> DitConfig:
    """The sizes for these data and this tokenizer; all channels are guided, unlike in the original."""
    made, names = config.generator, names_of_data(config)
    if not names:
        raise InputError(
            "input.value", "A diffusion transformer is asked for classes.", "Set generator.classes=true."
        )
    side, groups = max(sizes.patch, made.size // codes.patch), 1 + (made.frames - 1) // codes.temporal_patch
    if (groups > 1) != (sizes.groups > 0):
        expects = "clips, of more frames than one" if sizes.groups else "pictures, of one frame"
        raise InputError("input.value", f"{config.variant} learns from {expects}.", "Set generator.frames.")
    return replace(
        sizes, side=side, groups=groups if sizes.groups else 0, num_classes=len(names), class_names=names,
        guided_channels=0, cover=0, outline_dim=0, outline_layers=0, near=False,
    )  # fmt: skip


def _loaded(config: TrainConfig) -> Network:
    found, module = weights_named(config, Dit, NAME)
    sizes = module.config
    if not sizes.words:
        check_classes(config, sizes.num_classes, sizes.class_names)
    for name, each in module.named_parameters():
        each.requires_grad_(name not in _FIXED)
    return Network(module, sizes, found.licence, copied(module))
