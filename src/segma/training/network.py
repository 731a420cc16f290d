"""The network of a run: made from nothing or from weights, frozen in parts, blended at the end."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor, nn

from segma.errors import InputError
from segma.models.sam2.config import VARIANTS
from segma.models.sam2.model import Sam2
from segma.training.beginning import copied, size_named, weights_named
from segma.training.config import TrainConfig
from segma.training.course import Network

# What is fitted when all else is finished, see `training.choosing`.
_LAST = ("view_judge.",)
# What only tracking uses, so that steps on pictures give it no gradient.
_MEMORY = ("memory_", "obj_ptr", "maskmem", "no_mem_pos", "no_obj", "mask_downsample")


def build(config: TrainConfig) -> Network:
    """The network of a run on the CPU, in float32, its frozen parts without gradients.

    Raises ModelError for a variant or weights that are not there, or are no SAM 2; InputError where parts
    are frozen though the weights are random.
    """
    torch.manual_seed(config.seed)  # pyright: ignore[reportUnknownMemberType]  torch leaves it untyped
    network = _loaded(config) if config.start else _fresh(config)
    module = network.module
    module.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]  torch's stubs lack it
    module.requires_grad_(True).train()
    frozen = (*config.frozen, *_LAST) if config.video_share else (*config.frozen, *_LAST, *_MEMORY)
    for name, parameter in module.named_parameters():
        if name.startswith(frozen):
            parameter.requires_grad_(False)
    for layer in module.modules():
        if hasattr(layer, "drop_path"):  # some layers' own
            setattr(layer, "drop_path", config.drop_path)  # noqa: B010  torch types attributes as modules
    if not any(parameter.requires_grad for parameter in module.parameters()):
        raise InputError("input.value", "Every weight is frozen, nothing would be trained.", "Change frozen.")
    return network


def _fresh(config: TrainConfig) -> Network:
    if config.frozen:
        raise InputError(
            "input.value",
            f"{config.name} keeps weights as they are ({', '.join(config.frozen)}), but has none.",
            "Say what to start from: --model NAME|FILE.",
        )
    sizes = size_named(config, VARIANTS)
    sizes = replace(sizes, image_size=config.image_size or sizes.image_size)
    return Network(Sam2(sizes), sizes, "unknown", None)


def _loaded(config: TrainConfig) -> Network:
    found, module = weights_named(config, Sam2, "sam2")
    sizes = module.config
    if config.image_size not in (0, sizes.image_size):
        sizes = replace(sizes, image_size=config.image_size)
        module = Sam2(sizes)
        module.load_state_dict(found.module.state_dict())
    return Network(module, sizes, found.licence, copied(module))


def blend(module: nn.Module, original: Mapping[str, Tensor], share: float) -> None:
    """Put `share` of a module's weights and the rest of the original ones into it."""
    state = module.state_dict()
    mixed = {
        name: torch.lerp(original[name].to(value), value, share) if value.is_floating_point() else value
        for name, value in state.items()
    }
    module.load_state_dict(mixed)
