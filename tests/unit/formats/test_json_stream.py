from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path

import pytest

from segma.formats.json_stream import json_pieces, write_json


def test_iterators_are_lists_asked_in_the_order_of_the_file(tmp_path: Path):
    seen: list[int] = []

    def rows() -> Iterator[object]:
        for number in range(1000):
            seen.append(number)
            yield {"n": number, "of": iter((None, "ü"))}

    write_json(tmp_path / "x.json", {"rows": rows(), "sum": (sum(seen) for _ in range(1)), "none": iter(())})
    found = json.loads((tmp_path / "x.json").read_text(encoding="utf-8"))
    assert found["rows"][999] == {"n": 999, "of": [None, "ü"]} and len(found["rows"]) == 1000
    assert found["sum"] == [499500] and found["none"] == []


def test_a_long_file_is_made_in_pieces():
    pieces = json_pieces({"rows": iter(range(10))})
    assert [next(pieces) for _ in range(4)] == ['{"rows":', "[", "0", ","]


def test_numbers_that_json_does_not_know_leave_no_file(tmp_path: Path):
    with pytest.raises(ValueError, match="JSON"):
        write_json(tmp_path / "x.json", {"rows": iter([1.0, math.nan])})
    assert list(tmp_path.iterdir()) == []
