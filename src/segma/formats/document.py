"""JSON annotation files read with suspicion: every complaint names the file and the line."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any, cast

from segma.errors import FormatError, InputError, SegmaError
from segma.masks.mask import Box, Mask, coco_runs
from segma.masks.rle import CocoRle
from segma.samples import Attribute

MAX_PIXELS = 10**9

Skip = Callable[[SegmaError], None]
"""What is told of an entry that was left out."""

Row = dict[str, Any]  # JSON: what it holds is checked field by field

_STRUCTURE = re.compile(r'"(?:[^"\\]|\\.)*"\s*(:?)|[\[\]{},]')


@dataclass(frozen=True, slots=True)
class Document:
    """A JSON file whose top is an object."""

    path: Path
    text: str
    data: Row

    def rows(self, key: str) -> Iterator[tuple[int, Row]]:
        """The objects of the list under a key, with their positions. Raises FormatError."""
        found = self.data.get(key)
        if not isinstance(found, list):
            raise FormatError("format.bad", f'{self.path.name}: has no list "{key}".')
        for index, row in enumerate(cast("list[Any]", found)):  # JSON
            with self.at(key, index):
                if not isinstance(row, dict):
                    raise TypeError("not an object")
            yield index, row

    @contextmanager
    def at(self, key: str, index: int, skip: Skip | None = None) -> Generator[None, None, None]:
        """Errors inside become FormatError (or stay InputError) that name file, line and entry.

        With `skip` they are handed to it, without the line, and not raised.
        """
        # finding the line takes a walk through the file: not for entries that are only skipped
        with skipping(skip), placed(lambda: self._place(key, index, with_line=skip is None)):
            yield

    def _place(self, key: str, index: int, *, with_line: bool) -> str:
        line = line_of(self.text, key, index) if with_line else None
        where = self.path.name + (f" line {line}" if line else "")
        return f"{where} ({key}[{index}])" if self.text else where


@contextmanager
def skipping(skip: Skip | None) -> Generator[None, None, None]:
    """What is wrong inside is told to `skip` and not raised, where there is one."""
    try:
        yield
    except SegmaError as error:
        if skip is None:
            raise
        skip(error)


@contextmanager
def placed(place: Callable[[], str]) -> Generator[None, None, None]:
    """Errors inside become FormatError (or stay what they are) that begin with the place."""
    try:
        yield
    except SegmaError as error:
        raise type(error)(error.code, f"{place()}: {error.message}", error.hint) from error
    except KeyError as error:
        raise FormatError("format.bad", f"{place()}: has no {error}.") from error
    except (TypeError, ValueError, OverflowError, AttributeError) as error:
        raise FormatError("format.bad", f"{place()}: {error}.") from error


def read_document(path: str | Path) -> Document:
    """The file, parsed. Raises InputError where it cannot be read, FormatError where it is no JSON object."""
    path = Path(path)
    text, data = _parsed(path)
    if not isinstance(data, dict):
        raise FormatError("format.bad", f"{path.name}: the top is no object.")
    return Document(path, text, cast(Row, data))  # keys of JSON objects are strings


def read_list(path: str | Path, key: str) -> Document:
    """The same of a file whose top is a list, as if it stood in an object under `key`."""
    path = Path(path)
    text, data = _parsed(path)
    if not isinstance(data, list):
        raise FormatError("format.bad", f"{path.name}: the top is no list.")
    return Document(path, f'{{"{key}":{text}}}', {key: data})


def _parsed(path: Path) -> tuple[str, object]:
    """The text of a file, and what it says."""
    try:
        text = path.read_bytes().decode("utf-8-sig")
        return text, json.loads(text, parse_constant=_no_number)
    except FileNotFoundError:
        hint = f"Looked in {path.parent.resolve()}."
        raise InputError("input.not_found", f"{path.name}: no such file.", hint) from None
    except OSError as error:
        raise InputError("input.unreadable", f"{path.name}: cannot be opened ({error}).") from error
    except json.JSONDecodeError as error:
        message = f"{path.name} line {error.lineno}: no JSON ({error.msg.lower()})."
        raise FormatError("format.bad", message) from error
    except (ValueError, RecursionError) as error:
        raise FormatError("format.bad", f"{path.name}: no JSON ({error}).") from error


def line_of(text: str, key: str, index: int) -> int | None:
    r"""The line on which entry `index` of the top-level list `key` begins, from 1.

    >>> line_of('{"a": [1],\n"b": [{"x": [2, 3]},\n{}]}', "b", 1)
    3
    """
    depth, inside, count = 0, False, 0
    for token in _STRUCTURE.finditer(text):
        mark = token.group()
        if depth == 1 and token.group(1):
            inside = json.loads(mark.rstrip(": \t\r\n")) == key
        elif mark in "[{":
            depth += 1
        elif mark in "]}":
            depth -= 1
        elif mark == "," and depth == 2 and inside:
            count += 1
        begins = mark == "[" if index == 0 else mark == ","
        if inside and depth == 2 and begins and count == index:
            after = token.end() + len(text[token.end() :]) - len(text[token.end() :].lstrip())
            return text.count("\n", 0, after) + 1
    return None


def inside_name(name: object, what: str = "file_name") -> str:
    """A file name that stays in its folder, or "" for none. Raises InputError `input.outside`."""
    if not isinstance(name, str) or "\0" in name:
        raise ValueError(f"{what} is no name of a file")
    windows, posix = PureWindowsPath(name), PurePosixPath(name.replace("\\", "/"))
    if windows.drive or windows.root or posix.is_absolute() or ".." in posix.parts:
        raise InputError(
            "input.outside", f'{what} "{name}" leaves its folder.', "Names must be relative to the images."
        )
    return name


def stored_name(name: str) -> str:
    """The name as it is written: as it is where it stays in its folder, else without the folders."""
    try:
        return inside_name(name)
    except InputError:
        return PureWindowsPath(name).name


def whole(value: object) -> int:
    """A whole number of JSON, which may be written as a float. Raises ValueError."""
    if isinstance(value, bool) or not isinstance(value, int | float) or value != value // 1:
        raise ValueError(f"{value!r} is no whole number")
    return int(value)


def number(value: object) -> float:
    """A finite number of JSON. Raises ValueError."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"{value!r} is no number")
    return float(value)


def optional_number(value: object) -> float | None:
    """A finite number, or None for null and what is missing."""
    return None if value is None else number(value)


def image_size(row: Row) -> tuple[int, int]:
    """Height and width of an image's entry. Raises ValueError where they make no sense."""
    height, width = whole(row["height"]), whole(row["width"])
    if height < 1 or width < 1 or height * width > MAX_PIXELS:
        raise ValueError(f"an image cannot have {width}x{height} pixels")
    return height, width


def rle_mask(segmentation: object, size: tuple[int, int]) -> Mask:
    """The mask of run lengths that belong to an image of this size (height, width)."""
    return Mask.from_coco(_rle(segmentation, size))  # which checks the counts


def checked_rle(segmentation: object, size: tuple[int, int]) -> CocoRle:
    """The run lengths themselves, found good but not decoded: `Mask.from_coco` will take them."""
    found = _rle(segmentation, size)
    coco_runs(found)
    return found


def _rle(segmentation: object, size: tuple[int, int]) -> CocoRle:
    """Run lengths of this size (height, width), their counts not looked at."""
    if not isinstance(segmentation, dict):
        raise TypeError("segmentation is neither run lengths nor polygons")
    row = cast(Row, segmentation)
    claimed = [whole(value) for value in row["size"]]
    if claimed != list(size):
        raise ValueError(f"the mask's size is {claimed}, the image's [height, width] is {list(size)}")
    return cast(CocoRle, row)


def points_of(values: object) -> tuple[tuple[float, float], ...]:
    """Clicks of [[x, y], ...]; none for null."""
    pairs = cast("list[tuple[Any, Any]]", values or [])  # JSON; unpacking fails where it is something else
    return tuple((number(x), number(y)) for x, y in pairs)


def box_of(values: object) -> Box | None:
    """Corners of [x, y, width, height]; None for null."""
    if values is None:
        return None
    x, y, width, height = (number(value) for value in cast("list[Any]", values))  # JSON
    return (x, y, x + width, y + height)


def xywh(box: Box | None) -> list[float] | None:
    """The reverse of `box_of`."""
    return None if box is None else [box[0], box[1], box[2] - box[0], box[3] - box[1]]


def attributes_of(values: object) -> dict[str, Attribute]:
    """Plain attributes; what is nested is kept as JSON text."""
    return {
        str(name): value
        if value is None or isinstance(value, str | int | float | bool)
        else json.dumps(value)
        for name, value in cast("dict[str, Any]", values or {}).items()  # JSON
    }


def json_text(data: object) -> str:
    """JSON without spaces; numbers that JSON does not know are refused."""
    return json.dumps(data, separators=(",", ":"), allow_nan=False, ensure_ascii=False)


def _no_number(name: str) -> None:
    raise ValueError(f"{name} is no JSON number")
