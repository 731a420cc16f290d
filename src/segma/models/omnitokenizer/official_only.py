"""What layout modules of networks share that transformers does not have: there is one naming, "official"."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NoReturn, TypeVar

from segma.errors import ModelError
from segma.models.naming import strip_prefixes

T = TypeVar("T")
C = TypeVar("C")

_WRAPPINGS = ("module.", "model.", "_orig_mod.")


def strip_wrapping(state: Mapping[str, T]) -> dict[str, T]:
    """The same entries without the prefixes that training code puts before names."""
    return strip_prefixes(state, _WRAPPINGS)


def to_official(state: Mapping[str, T]) -> dict[str, T]:
    """The entries as they are."""
    return dict(state)


def to_transformers(state: Mapping[str, T]) -> dict[str, T]:
    """`ModelError` model.mismatch: transformers knows no such network."""
    _refuse()


def transformers_config(config: object) -> dict[str, Any]:  # JSON
    """`ModelError` model.mismatch: transformers knows no such network."""
    _refuse()


def with_transformers_config(config: C, values: Mapping[str, Any]) -> C:  # JSON
    """The config as it is: no config.json belongs to these weights."""
    return config


def _refuse() -> NoReturn:
    raise ModelError("model.mismatch", "transformers has no such network.", "Use the official layout.")
