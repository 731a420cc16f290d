"""What is painted: masks, painting order, parts, motion, cuts, absence."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from segma.errors import InputError
from segma.worlds.degrade import degrade
from segma.worlds.families import draw_scene
from segma.worlds.render import Rendered, render
from segma.worlds.scene import (
    Attributes,
    Background,
    Camera,
    Degradations,
    Light,
    Motion,
    Pose,
    Scene,
    SceneObject,
    Shape,
    Shot,
    Texture,
    View,
)
from segma.worlds.truth import LEAST_PIXELS, image_truth, video_truth

GREY, WHITE = (0.4, 0.4, 0.4), (0.9, 0.9, 0.9)
PLAIN = Texture(kind="plain", colours=(GREY, GREY, GREY), contrast=0.0)
CLIPS = ("cuts", "long_absence", "lookalikes", "fast_small")
DISC = Shape(kind="ellipse", numbers=(1.0, 1.0))


def thing(
    number: int, x: float, *, depth: float = 1.0, parent: int | None = None, **more: object
) -> SceneObject:
    fields: dict[str, object] = {
        "attributes": Attributes(colour="red", texture="plain", shape="round", size="medium"),
        "shape": DISC,
        "texture": replace(PLAIN, colours=(WHITE, WHITE, WHITE)),
        "motion": Motion(poses=(Pose(x=x, scale=0.2),)),
        "relief": 0.0,
    }
    return SceneObject(
        object_id=number,
        parent=parent,
        class_name="disc",
        part="" if parent is None else "spot",
        depth=depth,
        **{**fields, **more},  # type: ignore[arg-type]
    )


def scene_of(*objects: SceneObject, num_frames: int = 1, **more: object) -> Scene:
    shot = Shot(start=0, background=Background(texture=PLAIN), light=Light(shadow=0.0))
    fields: dict[str, object] = {"camera": Camera(), "degradations": Degradations(), "shots": (shot,)}
    return Scene(
        seed=0,
        family="plain",
        size=(1.0, 1.0),
        num_frames=num_frames,
        fps=12.0,
        objects=objects,
        **{**fields, **more},  # type: ignore[arg-type]
    )


@pytest.fixture(scope="module")
def clips() -> dict[str, Rendered]:
    return {name: render([draw_scene(name, 2, num_frames=6)], size=48) for name in CLIPS}


@pytest.mark.parametrize("family", ["plain", "parts", "camouflaged", "letters", "translucent"])
def test_what_is_seen_of_an_object_is_within_its_whole_and_parts_within_wholes(family: str) -> None:
    scene = draw_scene(family, 4)
    rendered = render([scene], size=(48, 64))
    visible, whole = rendered.visible(0), rendered.whole(0)
    assert rendered.images.shape == (1, 1, 3, 48, 64)
    assert visible.shape == whole.shape == (len(scene.objects), 1, 48, 64)
    assert not (visible & ~whole).any()
    assert visible.any()
    for each in scene.objects:
        if each.parent is not None:
            assert not (visible[each.object_id - 1] & ~visible[each.parent - 1]).any()
            assert not (whole[each.object_id - 1] & ~whole[each.parent - 1]).any()
    assert rendered.images.float().std() > 3


def test_wholes_share_no_pixel_and_a_disc_has_its_area() -> None:
    rendered = render([scene_of(thing(1, -0.2), thing(2, 0.3))], size=200)
    visible = rendered.visible(0)[:, 0]
    assert not (visible[0] & visible[1]).any()
    assert int(visible[0].sum()) == pytest.approx(np.pi * 40**2, rel=0.01)
    rows, columns = torch.nonzero(visible[0], as_tuple=True)
    assert (float(rows.float().mean()), float(columns.float().mean())) == pytest.approx((99.5, 59.5), abs=0.2)


@pytest.mark.parametrize("nearer", [1, 2])
def test_the_nearer_one_hides_the_further(nearer: int) -> None:
    objects = [thing(i, 0.1 * i, depth=0.8 if i == nearer else 1.2) for i in (1, 2)]
    rendered = render([scene_of(*objects)], size=64)
    visible, whole = rendered.visible(0), rendered.whole(0)
    further = 3 - nearer
    assert torch.equal(visible[nearer - 1], whole[nearer - 1])
    assert torch.equal(visible[further - 1], whole[further - 1] & ~whole[nearer - 1])


def test_holes_show_what_is_behind() -> None:
    ring = thing(1, 0.0, shape=replace(DISC, holes=((0.0, 0.0, 0.5),)), depth=0.5)
    visible = render([scene_of(ring, thing(2, 0.0))], size=64).visible(0)[:, 0]
    assert not visible[0, 32, 32]
    assert visible[1, 32, 32]


def test_a_part_of_a_group_is_the_group() -> None:
    group = thing(1, 0.1, shape=None)
    part = thing(2, 0.0, parent=1, motion=Motion(poses=(Pose(scale=0.5),)))
    visible = render([scene_of(group, part)], size=64).visible(0)
    assert visible[1].any()
    assert torch.equal(visible[0], visible[1])


def test_a_translucent_thing_lets_through_but_keeps_its_mask() -> None:
    images, masks = [], []
    for opacity in (1.0, 0.5):
        rendered = render([scene_of(thing(1, 0.0, opacity=opacity))], size=64)
        images.append(rendered.images[0, 0, 0, 32, 32].item())
        masks.append(rendered.visible(0))
    ground = rendered.images[0, 0, 0, 1, 1].item()
    assert torch.equal(masks[0], masks[1])
    assert images[0] > images[1] > ground


def test_background_and_object_move_on_their_own() -> None:
    along = tuple(Pose(x=0.1 * i) for i in range(3))
    checks = Texture(kind="checked", colours=((0.0, 0.0, 0.0), GREY, WHITE), scale=1.0)
    moved = Background(texture=checks, motion=along)
    still = scene_of(thing(1, 0.0), num_frames=3, shots=(Shot(start=0, background=moved, light=Light()),))
    rendered = render([still], size=64)
    assert torch.equal(rendered.owners[0, 0], rendered.owners[0, 2])
    assert (rendered.images[0, 0] != rendered.images[0, 2]).any(0)[:8].float().mean() > 0.3
    path = Motion(kind="straight", poses=tuple(Pose(x=0.1 * i, scale=0.2) for i in range(3)))
    quiet = Background(texture=checks)
    moving = scene_of(
        thing(1, 0.0, motion=path), num_frames=3, shots=(Shot(start=0, background=quiet, light=Light()),)
    )
    rendered = render([moving], size=64)
    assert not torch.equal(rendered.owners[0, 0], rendered.owners[0, 2])
    assert torch.equal(rendered.images[0, 0, :, :8], rendered.images[0, 2, :, :8])


def test_the_camera_moves_near_things_more_than_far_ones() -> None:
    camera = Camera(kind="pan", views=(View(), View(x=0.1)))
    small = [Motion(poses=(Pose(x=x, scale=0.08),)) for x in (-0.2, 0.2)]
    things = [thing(1, 0.0, depth=0.5, motion=small[0]), thing(2, 0.0, depth=2.0, motion=small[1])]
    scene = scene_of(*things, num_frames=2, camera=camera)
    visible = render([scene], size=100).visible(0)
    shifts = [column(visible[i, 1]) - column(visible[i, 0]) for i in (0, 1)]
    assert shifts == pytest.approx([-20, -5], abs=1.0)


def column(mask: torch.Tensor) -> float:
    """The mean column of a mask's top row: what is hidden lower down does not shift it."""
    return float(torch.nonzero(mask)[:, 1].float().mean())


def test_an_open_shutter_blurs_what_moves_and_leaves_masks_alone() -> None:
    path = Motion(kind="straight", poses=tuple(Pose(x=0.15 * i, scale=0.1) for i in range(3)))
    sharp, blurred = (
        render(
            [scene_of(thing(1, 0.0, motion=path), num_frames=3, degradations=Degradations(shutter=shutter))],
            size=64,
        )
        for shutter in (0.0, 0.8)
    )
    assert torch.equal(sharp.owners, blurred.owners)
    assert not torch.equal(sharp.images, blurred.images)


def test_cuts_change_the_background(clips: dict[str, Rendered]) -> None:
    rendered = clips["cuts"]
    scene = rendered.scenes[0]
    assert len(scene.shots) > 1
    change = (rendered.images[0, 1:].float() - rendered.images[0, :-1].float()).abs().mean((1, 2, 3))
    cut = scene.shots[1].start - 1
    assert change[cut] > 1.5 * change.median()
    assert scene.shot(cut) is not scene.shot(cut + 1)


def test_long_absences_are_long_and_over_at_the_end() -> None:
    for seed in range(2):
        scene = draw_scene("long_absence", seed)
        rendered = render([scene], size=32)
        visible = rendered.visible(0)
        found = 0
        for each in scene.wholes[:2]:
            seen = visible[each.object_id - 1].flatten(1).any(1)
            found += 1 if bool(seen[0]) and int((~seen).sum()) >= 3 else 0
            if each.motion.kind == "vanishing":
                absent = [i for i in range(16) if not each.motion.is_present(i)]
                assert len(absent) >= 6
                assert not seen[absent].any()
                assert each.motion.is_present(15)
        assert found >= 1


@pytest.mark.parametrize("family", CLIPS)
def test_clips_move(family: str, clips: dict[str, Rendered]) -> None:
    owners = clips[family].owners[0]
    assert (owners[0] != owners[-1]).any()
    assert torch.equal(
        clips[family].images[:, 3:5], render(clips[family].scenes, size=48, frames=slice(3, 5)).images
    )


def test_a_batch_is_its_scenes_one_by_one() -> None:
    batch = [draw_scene(family, 1) for family in ("plain", "parts", "letters")]
    together = render(batch, size=40)
    for i, scene in enumerate(batch):
        alone = render([scene], size=40)
        assert torch.equal(alone.images[0], together.images[i])
        assert torch.equal(alone.owners[0], together.owners[i])


def test_scenes_painted_together_are_those_painted_alone() -> None:
    batch = [draw_scene("plain", 3), draw_scene("translucent", 5), draw_scene("night", 2)]
    alone, together = (render(batch, size=40, at_once=count) for count in (1, 3))
    assert (alone.owners != together.owners).float().mean() < 1e-3
    assert (alone.whole_bits != together.whole_bits).float().mean() < 1e-3
    # the slope of a distance is one-sided at a box's border, and the boxes differ
    assert (alone.images.float() - together.images.float()).abs().mean() < 0.5


def test_no_colour_is_not_a_number(monkeypatch: pytest.MonkeyPatch) -> None:
    found: list[bool] = []

    def watched(image: torch.Tensor, pairs: list[tuple[Scene, int]]) -> torch.Tensor:
        found.append(bool(torch.isfinite(image).all()))
        return degrade(image, pairs)

    monkeypatch.setattr("segma.worlds.render.degrade", watched)
    render([draw_scene(family, 6) for family in ("plain", "thin", "letters")], size=32)
    assert found == [True] * 3


def test_truth_of_an_image() -> None:
    rendered = render([draw_scene("parts", 7), draw_scene("letters", 7)], size=64)
    for index, truth in enumerate(image_truth(rendered)):
        visible = rendered.visible(index)[:, 0]
        assert len(truth.sample.objects) == len(truth.wholes) > 1
        kept = {each.object_id for each in truth.sample.objects}
        for each, whole in zip(truth.sample.objects, truth.wholes, strict=True):
            assert (each.mask.dense() == visible[each.object_id - 1].numpy()).all()
            assert each.mask.area >= LEAST_PIXELS
            assert each.attributes["seen"] == pytest.approx(each.mask.area / whole.area, abs=1e-4)
            assert each.attributes.get("part_of", min(kept)) in kept


def test_truth_of_a_clip(clips: dict[str, Rendered]) -> None:
    (truth,) = video_truth(clips["long_absence"])
    assert truth.sample.num_frames == 6
    for track, whole in zip(truth.sample.objects, truth.wholes, strict=True):
        assert list(track.masklet.masks) == list(range(6))
        assert all(mask.area == 0 or mask.area >= LEAST_PIXELS for mask in track.masklet.masks.values())
        assert all(whole.masks[i].area >= mask.area for i, mask in track.masklet.masks.items())


def test_bad_orders_are_refused() -> None:
    scene = scene_of(thing(1, 0.0))
    with pytest.raises(InputError, match="same frames"):
        render([scene, draw_scene("moving", 0)], size=32)
    with pytest.raises(InputError, match="same frames"):
        render([scene], size=32, frames=slice(5, 6))
    with pytest.raises(InputError, match="no scenes"):
        render([], size=32)
    with pytest.raises(InputError, match="least"):
        render([scene], size=4)
    with pytest.raises(InputError, match="no shape"):
        render([scene_of(thing(1, 0.0, shape=replace(DISC, kind="cloud")))], size=32)
    with pytest.raises(InputError, match="finite"):
        render([scene_of(thing(1, 0.0, shape=replace(DISC, numbers=(1.0, float("nan")))))], size=32)
