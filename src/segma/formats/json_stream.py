"""JSON written piece by piece, so that a long video's masks need not be in memory together."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

from segma.formats.document import Row, json_text
from segma.media.files import new_file

_PIECES = 256  # entries that go to the file together


def write_json(path: str | Path, data: object, *, overwrite: bool = False) -> None:
    """Write a JSON file. Iterators in `data` become lists, asked for their entries while it is written.

    They are asked in the order of the file, so one may tell what another one before it has found. Raises as
    `media.files.write_bytes`.
    """
    with new_file(path, overwrite=overwrite) as stream:
        pieces: list[str] = []
        for piece in json_pieces(data):
            pieces.append(piece)
            if len(pieces) >= _PIECES:
                stream.write("".join(pieces).encode())
                pieces.clear()
        stream.write("".join(pieces).encode())


def json_pieces(data: object) -> Iterator[str]:
    """The text of `data`, in order.

    >>> "".join(json_pieces({"rows": iter([1, iter("ab")]), "n": 2}))
    '{"rows":[1,["a","b"]],"n":2}'
    """
    if isinstance(data, Iterator):
        yield from _list(cast("Iterator[Any]", data))  # anything that JSON takes
    elif isinstance(data, dict) and any(isinstance(value, Iterator) for value in cast(Row, data).values()):
        yield from _object(cast(Row, data))
    else:
        yield json_text(cast(object, data))


def _list(entries: Iterator[Any]) -> Iterator[str]:  # anything that JSON takes
    yield "["
    for index, entry in enumerate(entries):
        if index:
            yield ","
        yield from json_pieces(entry)
    yield "]"


def _object(row: Row) -> Iterator[str]:
    for index, (name, value) in enumerate(row.items()):
        yield f"{',' if index else '{'}{json.dumps(name, ensure_ascii=False)}:"
        yield from json_pieces(value)
    yield "}"
