"""Text of the command line and JSON -> prompts."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, cast

from segma.errors import InputError, PromptError
from segma.prompts.types import BACKGROUND, FOREGROUND, Box, FramePrompt, Points, PromptSet

_SIGNS = {"+": FOREGROUND, "-": BACKGROUND}
_OBJECT_FORM = "NAME@FRAME:point=x,y or ...:box=x0,y0,x1,y1 or ...:mask=file.png; several are joined by ;"
_RANGE_FORM = "a-b: first and last frame"
_SENTENCE_HINT = "Sentences come with the find model; point at the object, or draw a box around it."


@dataclass(frozen=True, kw_only=True, slots=True)
class ObjectPrompt:
    """What is said of one object on one frame: clicks and a box, or the file of a mask.

    Exactly one of `prompt` and `mask_file` is there.
    """

    name: str
    frame: int
    prompt: FramePrompt | None = None
    mask_file: str | None = None


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


def object_prompt(spec: str) -> ObjectPrompt:
    """What "NAME@FRAME:point=x,y:-;box=x0,y0,x1,y1" says. Raises PromptError.

    >>> object_prompt("player 7@12:point=40,80;point=9,9:-").prompt.points.labels
    (1, 0)
    """
    found = re.fullmatch(r"(?s)(.*?)@(\d+):(.*)", spec.strip())
    if found is None or not found[1].strip():
        raise _unreadable("prompt of an object", spec, _OBJECT_FORM)
    clicks: list[str] = []
    once: dict[str, str] = {}
    for part in found[3].strip().rstrip(";").split(";"):
        kind, is_told, value = part.strip().partition("=")
        if kind == "text" and is_told:
            raise PromptError("prompt.unsupported", f'"{value}" is a sentence.', _SENTENCE_HINT)
        if kind not in ("point", "box", "mask") or not value or kind in once:
            raise _unreadable("prompt of an object", spec, _OBJECT_FORM)
        if kind == "point":
            clicks.append(value)
        else:
            once[kind] = value
    return _said(
        found[1].strip(),
        int(found[2]),
        points(clicks) if clicks else None,
        box(once["box"]) if "box" in once else None,
        once.get("mask"),
    )


def object_prompts(data: object) -> list[ObjectPrompt]:
    """The same as JSON: a list of {"object": name, "frame": 0, "points", "labels", "box", "mask"}.

    `labels` are 1 (include, the default) or 0, one a point; `mask` is a file. Raises PromptError.
    """
    rows = cast("list[object]", data) if isinstance(data, list) else [data]
    if not rows:
        raise PromptError("prompt.empty", "The list of prompts is empty.")
    return [_of_json(row) for row in rows]


def joined(said: Iterable[ObjectPrompt]) -> list[ObjectPrompt]:
    """One prompt for every object and frame, in the order in which they were named first.

    Points are added up. Raises PromptError for two boxes, two masks, or a mask beside clicks.
    """
    found: dict[tuple[str, int], ObjectPrompt] = {}
    for each in said:
        key = each.name, each.frame
        found[key] = each if key not in found else _both(found[key], each)
    return list(found.values())


def frame_range(spec: str) -> tuple[int, int]:
    """First and last frame of "a-b", both inclusive, or of "a" alone. Raises InputError.

    >>> frame_range("12-90"), frame_range("7")
    ((12, 90), (7, 7))
    """
    found = re.fullmatch(r"\s*(\d+)\s*(?:-\s*(\d+)\s*)?", spec)
    if found is None:
        raise InputError("input.value", f'"{spec}" is no range of frames: expected {_RANGE_FORM}.')
    first, last = int(found[1]), int(found[2] or found[1])
    if last < first:
        raise InputError("input.value", f"Frames {first} to {last}: the first comes after the last.")
    return first, last


def object_range(spec: str) -> tuple[str, int, int]:
    """Name, first and last frame of "NAME@a-b". Raises PromptError, InputError.

    >>> object_range("ball@5-9")
    ('ball', 5, 9)
    """
    name, _, frames = spec.rpartition("@")
    if not name.strip():
        raise _unreadable("object with frames", spec, "NAME@a-b")
    return name.strip(), *frame_range(frames)


def _of_json(row: object) -> ObjectPrompt:
    if not isinstance(row, dict):
        raise _unreadable("prompt", json.dumps(row)[:40], 'an object {"object", "frame", "points", ...}')
    parts = cast("Mapping[str, Any]", row)  # JSON
    known = ("object", "frame", "points", "labels", "box", "mask")
    if parts.get("text") is not None:
        raise PromptError("prompt.unsupported", f'"{parts["text"]}" is a sentence.', _SENTENCE_HINT)
    if unknown := sorted(set(parts) - {*known, "text"}):
        raise PromptError(
            "prompt.syntax", f'A prompt has no part "{unknown[0]}".', f"Use {', '.join(known)}."
        )
    name, frame, mask = parts.get("object"), parts.get("frame", 0), parts.get("mask")
    if not isinstance(name, str) or not name.strip():
        raise PromptError("prompt.syntax", "A prompt names no object.", 'Add "object": "ball".')
    if isinstance(frame, bool) or not isinstance(frame, int) or frame < 0:
        raise PromptError(
            "prompt.syntax", f'The frame of "{name}" is {json.dumps(frame)}, expected 0, 1, ...'
        )
    if mask is not None and not isinstance(mask, str):
        raise PromptError("prompt.syntax", f'The mask of "{name}" is no file name.')
    try:
        clicks = None if parts.get("points") is None else Points(parts["points"], parts.get("labels"))
        corners = None if parts.get("box") is None else Box.of(parts["box"])
    except TypeError as error:
        raise PromptError("prompt.syntax", f'The prompt of "{name}" cannot be read ({error}).') from error
    return _said(name.strip(), frame, clicks, corners, mask)


def _said(
    name: str, frame: int, clicks: Points | None, corners: Box | None, mask: str | None
) -> ObjectPrompt:
    """One prompt of its parts. Raises PromptError where there is none, or a mask beside others."""
    if mask is not None and (clicks is not None or corners is not None):
        raise _mask_alone(name, frame)
    if mask is not None:
        return ObjectPrompt(name=name, frame=frame, mask_file=mask)
    return ObjectPrompt(name=name, frame=frame, prompt=FramePrompt(points=clicks, box=corners))


def _both(one: ObjectPrompt, other: ObjectPrompt) -> ObjectPrompt:
    """Two prompts of one object and frame as one."""
    if one.prompt is None or other.prompt is None:
        raise _mask_alone(one.name, one.frame)
    boxes = [each.box for each in (one.prompt, other.prompt) if each.box is not None]
    if len(boxes) > 1:
        raise PromptError("prompt.object", f'Object "{one.name}" has two boxes on frame {one.frame}.')
    clicks = [each.points for each in (one.prompt, other.prompt) if each.points is not None]
    xy = [point for each in clicks for point in each.xy]
    labels = [label for each in clicks for label in each.labels]
    return _said(one.name, one.frame, Points(xy, labels) if xy else None, boxes[0] if boxes else None, None)


def _mask_alone(name: str, frame: int) -> PromptError:
    return PromptError(
        "prompt.object",
        f'Object "{name}" has a mask and other prompts on frame {frame}.',
        "A mask stands alone: give one or the other.",
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
