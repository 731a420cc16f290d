"""Arrays and tensors of users, and pixels of many bits, as RGB uint8."""

from __future__ import annotations

import logging
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Num, UInt8
from numpy import ndarray

from segma.errors import InputError

_log = logging.getLogger(__name__)


@runtime_checkable
class Tensor(Protocol):
    """A torch tensor, known by its methods, so that torch need not be imported."""

    def detach(self) -> Any:  # torch.Tensor, and torch is not imported here
        """The same without gradient."""
        ...

    def is_floating_point(self) -> bool:
        """Whether it holds floats."""
        ...


def rgb_of_array(array: ndarray, what: str = "array") -> UInt8[ndarray, "height width 3"]:
    """RGB of (height, width), (height, width, 1), RGB or RGBA; uint8, uint16 or bool. Raises InputError."""
    channels = array.shape[2] if array.ndim == 3 else 1
    if array.ndim not in (2, 3) or channels not in (1, 3, 4) or 0 in array.shape:
        raise InputError(
            "input.array",
            f"The {what} has shape {tuple(array.shape)}, expected (height, width, 3).",
            "Grey (height, width) and RGBA (height, width, 4) are accepted too.",
        )
    if array.dtype.name not in ("uint8", "uint16", "bool"):
        raise InputError(
            "input.array",
            f"The {what} has type {array.dtype}, expected uint8 from 0 to 255.",
            "Convert it, for example (image * 255).round().astype('uint8').",
        )
    if array.dtype == np.bool_:
        array = array.astype(np.uint8) * np.uint8(255)
    elif array.dtype == np.uint16:
        array = eight_bits(array)
    if channels == 1:
        return repeated(array.reshape(array.shape[:2]))
    if channels == 4:
        _log.info("%s: alpha dropped", what)
    return np.ascontiguousarray(array[:, :, :3])


def rgb_of_tensor(tensor: Tensor) -> UInt8[ndarray, "height width 3"]:
    """RGB of a tensor, channels first or last (first wins where both fit); uint8, or floats from 0 to 1."""
    plain = tensor.detach().cpu()
    is_float = bool(plain.is_floating_point())
    array = np.asarray((plain.float() if is_float else plain).numpy())
    if array.ndim == 3 and array.shape[0] in (1, 3, 4):
        array = array.transpose(1, 2, 0)
    if is_float:
        if array.size and not (array.min() >= 0 and array.max() <= 1):
            raise InputError(
                "input.array",
                f"The tensor has floats from {array.min():g} to {array.max():g}, expected 0 to 1.",
                "Give the picture before any normalisation, or uint8.",
            )
        array = np.rint(array * 255).astype(np.uint8)
    return rgb_of_array(array, "tensor")


def eight_bits(values: Num[ndarray, "*shape"]) -> UInt8[ndarray, "*shape"]:
    """More bits a value as 8: of uint16 the upper 8.

    Others are taken as 0 to 1 (floats only), 0 to 255 or 0 to 65535, the smallest range that holds them
    all, else stretched from their own range. NaN and infinity are 0.
    """
    if values.dtype.kind == "u" and values.dtype.itemsize == 2:
        return (values >> 8).astype(np.uint8)
    numbers = np.nan_to_num(values.astype(np.float64), nan=0, posinf=0, neginf=0)
    low, high = float(numbers.min()), float(numbers.max())
    if low < 0 or high > 65535:
        return np.rint((numbers - low) * (255 / (high - low or 1))).astype(np.uint8)
    if values.dtype.kind == "f" and high <= 1:
        return np.rint(numbers * 255).astype(np.uint8)
    return (np.rint(numbers) if high <= 255 else np.floor(numbers / 256)).astype(np.uint8)


def repeated(grey: UInt8[ndarray, "height width"]) -> UInt8[ndarray, "height width 3"]:
    """Grey as RGB."""
    return np.repeat(grey[:, :, None], 3, 2)
