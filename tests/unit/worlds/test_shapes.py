"""Outlines: what is inside, and how far."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from segma.worlds.compounds import PLANS
from segma.worlds.degrade import degrade
from segma.worlds.families import draw_scene
from segma.worlds.plans import letter_shape
from segma.worlds.scene import CLASSES, COLOURS, TEXTURES, Shape
from segma.worlds.shapes import extent, pack_shapes, signed_distance
from segma.worlds.textures import (
    draw_colour,
    draw_texture,
    noise_tiles,
    pattern,
    ramp,
    shaded_colours,
    textures_table,
)

SQUARE = Shape(kind="polygon", numbers=(-1.0, -1.0, 1.0, -1.0, 1.0, 1.0, -1.0, 1.0))
BAR = Shape(kind="strokes", numbers=(-1.0, 0.0, 1.0, 0.0, 0.2, 0.2))
DISC = Shape(kind="ellipse", numbers=(1.0, 1.0))


def at(shape: Shape, *points: tuple[float, float]) -> list[float]:
    x, y = torch.tensor(points).T[:, None, None]
    return signed_distance(pack_shapes([shape]), np.array([0]), x, y)[0, 0].tolist()


def test_distances_are_those_of_geometry() -> None:
    assert at(SQUARE, (0, 0), (0.9, 0), (1.5, 0), (2, 2)) == pytest.approx(
        [1, 0.1, -0.5, -(2**0.5)], abs=1e-5
    )
    assert at(BAR, (0, 0), (0, 0.2), (1.5, 0)) == pytest.approx([0.2, 0, -0.3], abs=1e-5)
    assert at(DISC, (0.5, 0), (0, -2), (0.6, 0.8)) == pytest.approx([0.5, -1, 0], abs=1e-3)


def test_holes_are_outside() -> None:
    ring = Shape(kind="ellipse", numbers=(1.0, 1.0), holes=((0.0, 0.0, 0.5),))
    assert at(ring, (0, 0), (0.75, 0), (1.5, 0)) == pytest.approx([-0.5, 0.25, -0.5], abs=1e-3)


def test_concave_polygons_keep_their_notch() -> None:
    notched = Shape(kind="polygon", numbers=(-1.0, -1.0, 0.0, 0.5, 1.0, -1.0, 1.0, 1.0, -1.0, 1.0))
    inside = [value > 0 for value in at(notched, (0, 0), (0, 0.8), (0.8, 0))]
    assert inside == [False, True, True]


@pytest.mark.parametrize("class_name", CLASSES)
def test_every_class_has_a_plan_whose_shapes_fit_their_extents(class_name: str) -> None:
    parts = PLANS[class_name](np.random.default_rng(3))
    assert parts[0].parent == -1
    assert all(0 <= part.parent < i for i, part in enumerate(parts) if i)
    for part in parts:
        if part.shape is not None:
            x0, y0, x1, y1 = extent(part.shape)
            assert max(map(abs, (x0, y0, x1, y1))) < 2.5
            x, y = torch.meshgrid(
                torch.linspace(-2.6, 2.6, 105), torch.linspace(-2.6, 2.6, 105), indexing="xy"
            )
            depth = signed_distance(pack_shapes([part.shape]), np.array([0]), x[None], y[None])[0]
            assert torch.isfinite(depth).all()
            inside = depth > 0.03
            beyond = (x < x0) | (x > x1) | (y < y0) | (y > y1)
            assert not (inside & beyond).any()


def test_shapes_of_all_kinds_are_evaluated_together_as_alone() -> None:
    shapes = [SQUARE, BAR, DISC, letter_shape("R", 0.1)]
    x, y = torch.meshgrid(torch.linspace(-1, 1, 9), torch.linspace(-1, 1, 9), indexing="xy")
    together = signed_distance(pack_shapes(shapes), np.arange(4), x.repeat(4, 1, 1), y.repeat(4, 1, 1))
    for shape, found in zip(shapes, together, strict=True):
        assert torch.allclose(
            found, signed_distance(pack_shapes([shape]), np.array([0]), x[None], y[None])[0]
        )


@pytest.mark.parametrize("kind", TEXTURES)
def test_patterns_are_numbers_about_0_to_1_and_vary(kind: str) -> None:
    rng = np.random.default_rng(2)
    colours = shaded_colours((0.5, 0.2, 0.3), 1.0, rng)
    rows = torch.from_numpy(textures_table([draw_texture(kind, colours, rng)]))
    x, y = torch.meshgrid(torch.linspace(-1, 1, 64), torch.linspace(-1, 1, 64), indexing="xy")
    value = pattern(noise_tiles("cpu"), rows, x[None], y[None], frozenset({TEXTURES.index(kind)}))
    assert -0.5 < value.min() < value.max() < 1.5
    assert value.std() > 0.02
    assert torch.isfinite(ramp(rows, value)).all()


def test_named_colours_look_like_their_names() -> None:
    rng = np.random.default_rng(0)
    for name in COLOURS:
        red, green, blue = np.mean([draw_colour(name, 0.5, rng) for _ in range(20)], 0)
        strongest = {"red": red, "green": green, "blue": blue}
        if name in strongest:
            assert strongest[name] == max(red, green, blue)
        if name in ("white", "black"):
            assert (red > 0.8) == (name == "white") and (red < 0.2) == (name == "black")


def test_degradations_are_the_same_each_time_and_leave_numbers_sound() -> None:
    scene = draw_scene("low_contrast", 3)
    image = torch.rand(1, 3, 37, 41, generator=torch.Generator().manual_seed(0))
    first, again = (degrade(image.clone(), [(scene, 0)]) for _ in range(2))
    assert torch.equal(first, again)
    assert first.shape == image.shape
