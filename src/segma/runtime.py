"""Where and how precisely a network runs: the only code that asks what hardware there is.

Precision "auto" means bfloat16 for the encoder and the decoder's image side where the processor has
matrix units for it (AMX on a CPU, or a GPU), and float32 elsewhere. Tokens, norms, position codes and
everything after the logits are float32 always (docs/decisions/0006-precision.md).
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal, get_args

import cv2
import torch
from torch import nn

from segma.errors import MemoryLimitError, ModelError

Precision = Literal["auto", "fp32", "bf16", "fp16"]
Device = Literal["auto", "cpu", "cuda", "mps"]
_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


@dataclass(frozen=True, kw_only=True, slots=True)
class Runtime:
    """A device, a precision, a number of threads, an engine.

    `threads` None leaves torch's own choice. `engine` names a row of `engines.catalog`. Raises ModelError
    `model.device` for what is not there.
    """

    device: str = "auto"
    precision: Precision = "auto"
    threads: int | None = None
    engine: str = "eager"

    def __post_init__(self) -> None:
        if self.precision not in get_args(Precision):
            raise ModelError(
                "model.device", f'No precision "{self.precision}".', "Use auto, fp32, bf16 or fp16."
            )
        if self.threads is not None and self.threads < 1:
            raise ModelError("model.device", f"{self.threads} threads are too few; use 1 or more.")
        _check_device(self.device)
        if self.precision == "fp16" and self.torch_device.type == "cpu":
            raise ModelError(
                "model.device", "fp16 is no use on a CPU.", "Use --precision bf16 or fp32, or a GPU."
            )

    @property
    def torch_device(self) -> torch.device:
        """The device; "auto" is the first of cuda, mps, cpu that is there."""
        if self.device != "auto":
            return torch.device(self.device)
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")

    @property
    def dtype(self) -> torch.dtype:
        """The type of the encoder's layers and of the image embedding."""
        if self.precision != "auto":
            return _DTYPES[self.precision]
        return torch.bfloat16 if _has_bf16_units(self.torch_device) else torch.float32

    @property
    def prompts_at_once(self) -> int:
        """Prompts decoded together.

        Few on a CPU, where their image sides (4 MB each) must stay in the cache; many on a GPU.
        """
        return 4 if self.torch_device.type == "cpu" else 64

    def place(self, module: nn.Module) -> None:
        """Move to the device and set the types.

        Linear layers and convolutions of the parts that `module.low_precision` names get `dtype`.
        """
        if self.threads is not None:
            torch.set_num_threads(self.threads)
            cv2.setNumThreads(self.threads)
        if self.torch_device.type == "cpu":
            keep_freed_memory()
        module.to(self.torch_device)
        parts: tuple[str, ...] = getattr(module, "low_precision", ())
        for name in parts:
            for layer in module.get_submodule(name).modules():
                if isinstance(layer, nn.Linear | nn.Conv2d):
                    layer.to(self.dtype)

    def describe(self) -> str:
        """For people: "cpu, float32, 2 threads"."""
        parts = [str(self.torch_device), str(self.dtype).removeprefix("torch.")]
        if self.torch_device.type == "cpu":
            count = self.threads or torch.get_num_threads()
            parts.append(f"{count} thread{'' if count == 1 else 's'}")
        return ", ".join(parts if self.engine == "eager" else [*parts, self.engine])


@contextmanager
def memory_errors() -> Generator[None]:
    """Turns a failed allocation, of either memory, into MemoryLimitError."""
    hint = "Try --precision bf16, a smaller model, or a smaller --points-per-batch."
    try:
        yield
    except torch.OutOfMemoryError as error:
        raise MemoryLimitError("memory.gpu", "Not enough GPU memory.", hint) from error
    except (MemoryError, RuntimeError) as error:
        is_allocation = isinstance(error, MemoryError) or "can't allocate memory" in str(error)
        if isinstance(error, MemoryLimitError) or not is_allocation:
            raise
        raise MemoryLimitError("memory.cpu", "Not enough main memory.", hint) from error


def keep_freed_memory() -> None:
    """Let the C library keep large freed blocks for the next request, process-wide; glibc only.

    Otherwise each of the encoder's and decoder's temporary arrays (4 to 50 MB) goes back to the system and is
    cleared page by page when it comes again: a fifth of everything mode's time
    (docs/decisions/0010-memory-of-the-c-library.md). The peak stays what it was.
    """
    trim_threshold, mmap_threshold = -1, -3  # M_TRIM_THRESHOLD, M_MMAP_THRESHOLD of malloc.h
    if sys.platform != "linux":
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:  # musl has none
        mallopt(mmap_threshold, 1 << 30)
        mallopt(trim_threshold, (1 << 31) - 1)


def _check_device(name: str) -> None:
    if name == "auto" or name == "cpu":
        return
    try:
        kind = torch.device(name).type
    except RuntimeError as error:
        raise ModelError("model.device", f'No device "{name}".', "Use auto, cpu, cuda or mps.") from error
    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if not there.get(kind, False):
        raise ModelError("model.device", f'There is no device "{name}" here.', "Use --device cpu.")


def has_amx() -> bool:
    """Whether this CPU has bfloat16 matrix units (AMX), and torch uses them."""
    check = getattr(torch.cpu, "_is_amx_tile_supported", None)  # no public name in torch 2.13
    return bool(check and check())


def _has_bf16_units(device: torch.device) -> bool:
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return device.type == "cpu" and has_amx()
