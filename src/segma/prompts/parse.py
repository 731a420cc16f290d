"""Text of the command line and JSON -> prompts."""

from __future__ import annotations

import json
from typing import Any

from segma.errors import PromptError
from segma.prompts.types import BACKGROUND, FOREGROUND, Box, Points, PromptSet

_SIGNS = {"+": FOREGROUND, "-": BACKGROUND}


def points(specs: list[str]) -> Points:
    """Points of "x,y", "x,y:+" or "x,y:-" (one click a text; several may be joined by ";").

    >>> points(["320,240", "10,20:-"]).labels
    (1, 0)
    """
    xy: list[list[float]] = []
    labels: list[int] = []
    for spec in (part for text in specs for part in text.split(";")):
        where, _, sign = spec.strip().partition(":")
        if sign not in ("", *_SIGNS):
            raise _unreadable("point", spec, "x,y or x,y:+ (include) or x,y:- (exclude)")
        xy.append(_numbers(where, 2, "point", "x,y"))
        labels.append(_SIGNS.get(sign, FOREGROUND))
    return Points(xy, labels)


def box(spec: str) -> Box:
    """A box of "x0,y0,x1,y1".

    >>> box("100,80,420,500").xyxy
    (100.0, 80.0, 420.0, 500.0)
    """
    return Box.of(_numbers(spec, 4, "box", "x0,y0,x1,y1"))


def prompt_set(data: str | dict[str, Any]) -> PromptSet:  # JSON
    """A PromptSet of JSON: {"points": [[x, y], ...], "labels": [1, 0, ...], "box": [...], "text": "..."}."""
    if isinstance(data, str):
        try:
            data = json.loads(data)
        except json.JSONDecodeError as error:
            raise _unreadable("prompt", error.doc[:40], "a JSON object") from error
    if not isinstance(data, dict):
        raise _unreadable("prompt", str(data)[:40], "a JSON object")
    if unknown := sorted(set(data) - {"points", "labels", "box", "text"}):
        raise PromptError(
            "prompt.syntax", f'A prompt has no part "{unknown[0]}".', "Use points, labels, box, text."
        )
    return PromptSet.of(
        points=data.get("points"), labels=data.get("labels"), box=data.get("box"), text=data.get("text")
    )


def _numbers(text: str, count: int, what: str, form: str) -> list[float]:
    try:
        values = [float(part) for part in text.split(",")]
    except ValueError as error:
        raise _unreadable(what, text, form) from error
    if len(values) != count:
        raise _unreadable(what, text, form)
    return values


def _unreadable(what: str, text: str, form: str) -> PromptError:
    return PromptError("prompt.syntax", f'"{text}" is no {what}: expected {form}.')
