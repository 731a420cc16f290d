"""What the user points at: options and prompt files, as prompts of each picture."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from segma.cli.compute import LazyModel
from segma.cli.inputs import Item
from segma.errors import InputError, PromptError

if TYPE_CHECKING:
    from jaxtyping import Bool
    from numpy import ndarray

    from segma.models.interfaces import InputSpec
    from segma.prompts.types import PromptSet
    from segma.results import Prediction

_PARTS = frozenset({"points", "labels", "box", "text", "mask"})


@dataclass(frozen=True, kw_only=True, slots=True)
class Prompting:
    """The options. --point, --box, --mask and --text together describe one object."""

    point: Annotated[
        list[str] | None,
        typer.Option("--point", "-p", metavar="X,Y[:+|-]", help="A click; :- excludes. Repeat for more."),
    ] = None
    box: Annotated[
        str | None, typer.Option("--box", "-b", metavar="X0,Y0,X1,Y1", help="Two corners around the object.")
    ] = None
    mask: Annotated[
        Path | None, typer.Option("--mask", metavar="FILE", help="A rough mask of the size of the picture.")
    ] = None
    text: Annotated[
        str | None, typer.Option("--text", metavar="WORDS", help="What to find, for models that can read.")
    ] = None
    prompts: Annotated[
        Path | None,
        typer.Option(
            "--prompts",
            metavar="FILE",
            help="JSON: a prompt {points, labels, box, text, mask}, a list of them (several objects), "
            "or those of each picture by its file name.",
        ),
    ] = None
    normalized: Annotated[
        bool, typer.Option("--normalized", help="Coordinates are fractions of the picture, 0 to 1.")
    ] = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Asked:
    """One object: its prompt, and the file of its rough mask (the prompt then holds a stand-in)."""

    prompt: PromptSet
    mask_file: Path | None = None

    def check(self, size: tuple[int, int], *, normalized: bool) -> None:
        """Raises PromptError where the prompt does not belong on a picture of this size."""
        prompt = self.prompt.denormalized(size) if normalized else self.prompt
        prompt.check_inside(size)
        if self.mask_file is not None and self.mask().shape != size:
            height, width = self.mask().shape
            raise PromptError(
                "prompt.shape",
                f"The mask {self.mask_file.name} is {width}x{height}, the picture {size[1]}x{size[0]}.",
            )

    def mask(self) -> Bool[ndarray, "height width"]:
        """The rough mask. Raises InputError."""
        from segma.media.image import read_mask

        assert self.mask_file is not None
        return read_mask(self.mask_file)

    def prompt_set(self, spec: InputSpec) -> PromptSet:
        """The prompt for a model of this input."""
        if self.mask_file is None:
            return self.prompt
        from segma.tasks.preprocess import mask_prompt

        return replace(self.prompt, mask=mask_prompt(self.mask(), spec))


@dataclass(frozen=True, kw_only=True, slots=True)
class Questions:
    """The objects of every picture: the same for all, or by file name."""

    for_all: tuple[Asked, ...] = ()
    by_name: Mapping[str, tuple[Asked, ...]] | None = None
    origin: str = ""

    def of(self, item: Item) -> tuple[Asked, ...]:
        """The objects of a picture. Raises PromptError where the file names none."""
        if self.by_name is None:
            return self.for_all
        found = self.by_name.get(item.name, self.by_name.get(item.file_name, ()))
        if not found:
            raise PromptError(
                "prompt.empty",
                f"{self.origin} has no prompts for {item.file_name}.",
                "Add them under that name.",
            )
        return found

    def answer(self, item: Item, models: LazyModel, *, candidates: int, normalized: bool) -> Prediction:
        """The masks of a picture. What is cheap to find wrong is found before the model is loaded.

        Raises InputError, PromptError, ModelError, MemoryLimitError.
        """
        objects = self.of(item)
        picture = item.read()
        for asked in objects:
            asked.check((picture.shape[0], picture.shape[1]), normalized=normalized)
        model = models.get()
        session = model.image(picture)
        session.source = item.file_name
        prompts = [asked.prompt_set(model.promptable().input_spec) for asked in objects]
        return session.predict(prompts, candidates=candidates, normalized=normalized)

    def strangers(self, items: Sequence[Item]) -> list[str]:
        """Names in the file that belong to no picture."""
        known = {name for item in items for name in (item.name, item.file_name)}
        return [name for name in self.by_name or () if name not in known]


def questions_of(options: Prompting) -> Questions:
    """What the options and the prompt file ask. Raises PromptError, InputError."""
    given = (options.point, options.box, options.mask, options.text)
    if options.prompts is None:
        questions = Questions(for_all=(_from_options(options),))
    elif any(part is not None for part in given):
        raise PromptError(
            "prompt.syntax", "There are prompts on the command line and in a file.", "Give one or the other."
        )
    else:
        questions = _from_file(options.prompts)
    _check_supported(questions)
    return questions


def _from_options(options: Prompting) -> Asked:
    from segma.prompts import parse
    from segma.prompts.types import PromptSet, Text

    if options.mask is not None and not options.mask.is_file():
        raise _missing(options.mask)
    prompt = PromptSet(
        points=parse.points(options.point) if options.point else None,
        box=None if options.box is None else parse.box(options.box),
        mask=None if options.mask is None else _stand_in(),
        text=None if options.text is None else Text(options.text),
    )
    return Asked(prompt=prompt, mask_file=options.mask)


def _from_file(path: Path) -> Questions:
    try:
        data = json.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        raise _missing(path) from None
    except json.JSONDecodeError as error:
        message = f"{path.name} line {error.lineno}: no JSON ({error.msg.lower()})."
        raise PromptError("prompt.syntax", message) from error
    except (OSError, ValueError) as error:
        raise InputError("input.unreadable", f"{path.name}: cannot be read ({error}).") from error
    if isinstance(data, dict) and not set(cast("dict[str, Any]", data)) & _PARTS:  # JSON
        rows = cast("dict[str, Any]", data)
        return Questions(
            by_name={name: _objects(value, path, f"{path.name}: {name}: ") for name, value in rows.items()},
            origin=path.name,
        )
    return Questions(for_all=_objects(data, path, f"{path.name}: "), origin=path.name)


def _objects(data: Any, path: Path, where: str) -> tuple[Asked, ...]:  # JSON
    """A prompt or a list of prompts."""
    rows = cast("list[Any]", data) if isinstance(data, list) else [data]
    if not rows:
        raise PromptError("prompt.empty", f"{where}the list of prompts is empty.")
    return tuple(_object(row, path, where) for row in rows)


def _object(row: Any, path: Path, where: str) -> Asked:  # JSON
    from segma.prompts.parse import prompt_set
    from segma.prompts.types import PromptSet

    try:
        if not isinstance(row, dict):
            raise PromptError("prompt.syntax", f"expected a prompt, found {json.dumps(row)[:40]}.")
        parts: dict[str, Any] = dict(cast("dict[str, Any]", row))  # JSON
        mask = parts.pop("mask", None)
        if mask is None:
            return Asked(prompt=prompt_set(parts))
        mask_file = path.parent / str(mask)
        if not mask_file.is_file():
            raise _missing(mask_file)
        text = parts.pop("text", None)
        rest = PromptSet.of(mask=_stand_in(), text=text, **parts)
        return Asked(prompt=rest, mask_file=mask_file)
    except PromptError as error:
        raise PromptError(error.code, where + error.message, error.hint) from error
    except (TypeError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise PromptError("prompt.syntax", f"{where}no prompt ({error}).") from error


def _check_supported(questions: Questions) -> None:
    """Raises PromptError for a kind of prompt that no model of this version can use."""
    from segma.tasks.preprocess import alike

    for asked in (questions.for_all, *(questions.by_name or {}).values()):
        alike([each.prompt for each in asked])


def _stand_in() -> Any:  # a MaskPrompt, whose module imports numpy
    """Logits that hold the place of a rough mask until the model is known."""
    import numpy as np

    from segma.prompts.types import MaskPrompt

    return MaskPrompt(np.zeros((1, 1), np.float32))


def _missing(path: Path) -> InputError:
    return InputError("input.not_found", f"{path.name}: no such file.", f"Looked in {path.parent.resolve()}.")
