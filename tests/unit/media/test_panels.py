"""Pictures beside each other."""

from __future__ import annotations

import numpy as np

from segma.media.panels import panels_size, side_by_side


def test_panels_stand_in_their_order_each_with_a_name() -> None:
    pictures = {name: np.full((300, 400, 3), value, np.uint8) for name, value in (("one", 10), ("two", 200))}
    sheet = side_by_side(pictures)
    assert sheet.shape == (*panels_size((300, 400), 2), 3) == (300, 804, 3)
    assert (sheet[60:, :400] == 10).all() and (sheet[60:, 404:] == 200).all()
    assert (sheet[:40, :400] != 10).any() and (sheet[:40, 404:] != 200).any(), "names are missing"


def test_small_pictures_are_enlarged_as_they_are() -> None:
    picture = np.arange(20 * 30 * 3).reshape(20, 30, 3).astype(np.uint8)
    sheet = side_by_side({"a": picture})
    assert sheet.shape == (20 * 9, 30 * 9, 3)
    assert np.array_equal(sheet[4 + 9 * 10 :: 9, 4::9], picture[10:])
