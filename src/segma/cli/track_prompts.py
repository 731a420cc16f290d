"""What the options and a prompt file say of objects, checked before a model is loaded."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from segma.errors import InputError, PromptError

if TYPE_CHECKING:
    from segma.media.source import FrameSource
    from segma.prompts.parse import ObjectPrompt
    from segma.prompts.types import FramePrompt


@dataclass(frozen=True, kw_only=True, slots=True)
class Said:
    """One prompt of an object on a frame."""

    name: str
    frame: int
    prompt: FramePrompt


def said(specs: Sequence[str] | None, prompt_file: Path | None = None) -> list[Said]:
    """The prompts of options and a file, one for every object and frame. Raises PromptError, InputError."""
    from segma.prompts import parse

    found = [parse.object_prompt(spec) for spec in specs or ()]
    told = [_loaded(each, Path()) for each in parse.joined(found)]
    if prompt_file is None:
        return told
    try:
        rows = parse.object_prompts(_read(prompt_file))
        told += [_loaded(each, prompt_file.parent) for each in parse.joined(rows)]
    except PromptError as error:
        raise PromptError(error.code, f"{prompt_file.name}: {error.message}", error.hint) from error
    twice = [each for number, each in enumerate(told) if _key(each) in map(_key, told[:number])]
    if twice:
        raise PromptError(
            "prompt.object",
            f'Object "{twice[0].name}" has prompts of frame {twice[0].frame} on the command line and in '
            f"{prompt_file.name}.",
            "Give one or the other.",
        )
    return told


def check(told: Sequence[Said], source: FrameSource, known: Collection[str] = ()) -> None:
    """Whether prompts belong to a video. `known` are names of objects that are there.

    Raises PromptError `prompt.outside` and `prompt.empty`, InputError `input.frame_range`.
    """
    from segma.media.source import check_range

    for each in told:
        if source.num_frames is not None:
            check_range(source.name, each.frame, source.num_frames)
        each.prompt.check_inside(source.size)
        if each.name not in known and not each.prompt.says_where:
            raise PromptError(
                "prompt.empty",
                f'Object "{each.name}" has only exclude points on frame {each.frame}.',
                "Add one include point or a box.",
            )


def _key(each: Said) -> tuple[str, int]:
    return each.name, each.frame


def _loaded(each: ObjectPrompt, folder: Path) -> Said:
    """The prompt with its mask, which is a file of this folder."""
    from segma.masks.mask import Mask
    from segma.media.image import read_mask
    from segma.prompts.types import FramePrompt

    if each.prompt is not None:
        return Said(name=each.name, frame=each.frame, prompt=each.prompt)
    assert each.mask_file is not None
    mask = Mask.from_dense(read_mask(folder / each.mask_file))
    if not mask.area:
        raise PromptError(
            "prompt.empty", f"The mask {Path(each.mask_file).name} is empty.", "Paint something."
        )
    return Said(name=each.name, frame=each.frame, prompt=FramePrompt(mask=mask))


def _read(path: Path) -> object:
    try:
        return json.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        raise InputError(
            "input.not_found", f"{path.name}: no such file.", f"Looked in {path.parent.resolve()}."
        ) from None
    except json.JSONDecodeError as error:
        message = f"line {error.lineno}: no JSON ({error.msg.lower()})."
        raise PromptError("prompt.syntax", message) from error
    except (OSError, ValueError) as error:
        raise InputError("input.unreadable", f"{path.name}: cannot be read ({error}).") from error
