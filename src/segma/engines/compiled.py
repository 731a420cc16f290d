"""torch.compile for the image encoder: needs a C++ compiler on the machine, pays off on GPUs."""

from __future__ import annotations

import shutil

from torch import nn

from segma.errors import ModelError
from segma.models.interfaces import Promptable
from segma.runtime import Runtime


def start(model: Promptable, runtime: Runtime) -> Promptable:
    """The model, whose encoder is compiled on first use. Raises ModelError without a compiler."""
    if runtime.torch_device.type == "cpu" and not any(map(shutil.which, ("c++", "g++", "clang++"))):
        raise ModelError(
            "model.device", "The engine compile needs a C++ compiler.", "Install g++, or use --engine eager."
        )
    assert isinstance(model, nn.Module)
    for name in model.low_precision:
        model.get_submodule(name).compile()  # pyright: ignore[reportUnknownMemberType]  # untyped in torch
    return model
