"""Tensors into a network, strictly: every name, every shape, or an error that lists what is wrong."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from segma.errors import MisfitError, ModelError

Shape = tuple[int, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Misfit:
    """How tensors differ from what a network wants; `misshapen` is (name, shape found, shape wanted)."""

    missing: tuple[str, ...]
    unexpected: tuple[str, ...]
    misshapen: tuple[tuple[str, Shape, Shape], ...]

    def __bool__(self) -> bool:
        return bool(self.missing or self.unexpected or self.misshapen)

    def __str__(self) -> str:
        """`3 tensors missing, 12 unexpected, 1 misshapen`, leaving out what does not occur."""
        counts = (
            (len(self.missing), "missing"),
            (len(self.unexpected), "unexpected"),
            (len(self.misshapen), "misshapen"),
        )
        parts = [f"{count} {kind}" for count, kind in counts if count]
        if not parts:
            return "all tensors fit"
        count, kind = parts[0].split(" ")
        return ", ".join([f"{count} tensor{'s' * (count != '1')} {kind}", *parts[1:]])

    @property
    def first(self) -> str:
        """The first offender with what is wrong with it, in words."""
        if self.missing:
            return f"First missing: {self.missing[0]}"
        if self.unexpected:
            return f"First unexpected: {self.unexpected[0]}"
        if self.misshapen:
            name, found, wanted = self.misshapen[0]
            return f"First misshapen: {name} is {list(found)}, not {list(wanted)}"
        return ""


def compare(wanted: Mapping[str, Shape], found: Mapping[str, Shape]) -> Misfit:
    """How the names and shapes found differ from those wanted."""
    both = (name for name in wanted if name in found)
    return Misfit(
        missing=tuple(name for name in wanted if name not in found),
        unexpected=tuple(name for name in found if name not in wanted),
        misshapen=tuple((name, found[name], wanted[name]) for name in both if found[name] != wanted[name]),
    )


def shapes_of(module: nn.Module) -> dict[str, Shape]:
    """The shape of everything in the state dict of a network."""
    return {name: tuple(tensor.shape) for name, tensor in module.state_dict().items()}


def fit(
    module: nn.Module,
    tensors: Mapping[str, Tensor],
    origin: Path | str,
    *,
    looks_like: str = "",
    dtype: torch.dtype | None = torch.float32,
) -> None:
    """Put the tensors into the network, which may be on the meta device, without copying them.

    Floating tensors become `dtype` (None keeps what the file has). `MisfitError` model.mismatch lists
    missing, unexpected and misshapen names; `looks_like` is named in it. The network is unchanged then.
    """
    wanted = module.state_dict()
    found = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    misfit = compare(shapes_of(module), found)
    label = Path(origin).name or str(origin)
    if misfit:
        guess = f"; it looks like {looks_like}" if looks_like else ""
        raise MisfitError(
            f"{label}: {misfit}{guess}.",
            f"{misfit.first}.",
            missing=misfit.missing,
            unexpected=misfit.unexpected,
            misshapen=misfit.misshapen,
        )
    for name, tensor in tensors.items():
        if tensor.is_floating_point() != wanted[name].is_floating_point():
            kinds = f"{str(tensor.dtype)[6:]}, not {str(wanted[name].dtype)[6:]}"
            raise ModelError("model.mismatch", f"{label}: {name} is {kinds}.", "Convert the file first.")
    ready = {name: _converted(tensor, dtype) for name, tensor in tensors.items()}
    module.load_state_dict(ready, strict=True, assign=True)


def _converted(tensor: Tensor, dtype: torch.dtype | None) -> Tensor:
    if dtype is not None and tensor.is_floating_point():
        tensor = tensor.to(dtype)
    return tensor.contiguous()
