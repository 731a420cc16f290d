"""Scenes are named by their seeds, equal everywhere, and survive JSON."""

from __future__ import annotations

import json

import pytest

from segma.errors import FormatError, InputError
from segma.worlds.families import EXAM_ONLY, FAMILIES, IMAGE_TRAINING, VIDEO_TRAINING, draw_scene
from segma.worlds.scene import CLASSES, COLOURS, MOTIONS, SHAPES, SIZES, TEXTURES
from segma.worlds.scene_json import read_scene, rounded
from segma.worlds.stream import scenes


def test_there_are_forty_classes() -> None:
    assert len(CLASSES) == len(set(CLASSES)) == 40


@pytest.mark.parametrize("family", ["plain", "camouflaged", "moving", "long_absence"])
def test_a_seed_is_a_scene(family: str) -> None:
    first, again, other = (draw_scene(family, seed, num_frames=2) for seed in (5, 5, 6))
    assert first == again
    assert first.digest() == again.digest() != other.digest()
    assert read_scene(first.to_json()) == first == rounded(first)


def test_digests_are_those_of_other_machines() -> None:
    found = [draw_scene(family, 1).digest()[:12] for family in ("plain", "parts", "moving")]
    assert found == ["69a6d5a8788c", "acb05063f517", "ad243b8c1bf9"]


@pytest.mark.parametrize("family", FAMILIES)
def test_scenes_keep_their_invariants(family: str) -> None:
    scene = draw_scene(family, 3, num_frames=3)
    assert [each.object_id for each in scene.objects] == list(range(1, len(scene.objects) + 1))
    assert scene.size[0] * scene.size[1] == pytest.approx(1, abs=1e-5)
    assert scene.shots[0].start == 0
    for each in scene.objects:
        assert each.parent is None or each.parent < each.object_id
        whole = scene.objects[scene.whole_of(each.object_id) - 1]
        assert (each.depth, each.class_name) == (whole.depth, whole.class_name)
        assert (each.part == "") == (each.parent is None)
        assert {len(each.motion.poses), len(each.motion.present)} <= {1, 3}
        said = each.attributes
        assert each.class_name in CLASSES
        assert each.motion.kind in MOTIONS
        assert said.colour in COLOURS and said.texture in TEXTURES
        assert said.shape in SHAPES and said.size in SIZES


def test_families_of_the_exam_are_kept_from_training() -> None:
    assert {"silhouettes", "night", "pairs", "swarm", "orbit"} == set(EXAM_ONLY)
    assert not set(EXAM_ONLY) & {*IMAGE_TRAINING, *VIDEO_TRAINING}
    assert {*EXAM_ONLY, *IMAGE_TRAINING, *VIDEO_TRAINING} == set(FAMILIES)


def test_a_stream_never_repeats_and_can_be_taken_up_again() -> None:
    source = scenes(("plain", "parts"), 3)
    first = [next(source) for _ in range(6)]
    assert len({each.digest() for each in first}) == 6
    assert {each.family for each in first} == {"plain", "parts"}
    assert next(scenes(("plain", "parts"), 3, start=4)) == first[4]
    assert next(scenes(("plain", "parts"), 10)).digest() not in {each.digest() for each in first}


@pytest.mark.parametrize(
    ("families", "seed"), [((), 0), (("plain", "nothing"), 0), (("plain",), -1), (("plain", "moving"), 0)]
)
def test_a_stream_of_nonsense_is_refused_at_once(families: tuple[str, ...], seed: int) -> None:
    with pytest.raises(InputError):
        scenes(families, seed)


@pytest.mark.parametrize(("family", "seed", "frames"), [("dreams", 0, 1), ("plain", -1, 1), ("moving", 0, 0)])
def test_a_scene_of_nonsense_is_refused(family: str, seed: int, frames: int) -> None:
    with pytest.raises(InputError):
        draw_scene(family, seed, num_frames=frames)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("size", [1.0]),
        ("size", [1.0, float("nan")]),
        ("num_frames", "1"),
        ("num_frames", True),
        ("objects", {}),
        ("shots", [1]),
        ("camera", None),
        ("more", 1),
    ],
)
def test_json_of_something_else_is_refused(field: str, value: object) -> None:
    data = json.loads(draw_scene("plain", 0).to_json())
    with pytest.raises(FormatError, match=r"expected|no scene"):
        read_scene(json.dumps({**data, field: value}))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"object_id":1,', '"object_id":2,'),
        ('"parent":null', '"parent":9999'),
        ('"start":0', '"start":1'),
        ('"num_frames":1,', '"num_frames":0,'),
        ('"zoom":1.0', '"zoom":0.0'),
        ('"tile":', '"tile":99'),
        ('"class_name":"', '"class_name":"un'),
    ],
)
def test_scenes_that_contradict_themselves_are_refused(old: str, new: str) -> None:
    text = draw_scene("plain", 0).to_json()
    assert old in text
    with pytest.raises(FormatError, match="no scene"):
        read_scene(text.replace(old, new))


def test_a_pose_too_many_is_refused() -> None:
    data = json.loads(draw_scene("plain", 0).to_json())
    data["objects"][0]["motion"]["poses"] *= 3
    with pytest.raises(FormatError, match="poses"):
        read_scene(json.dumps(data))


@pytest.mark.parametrize("text", ["", "[]", "null", '{"seed": 1}', "[" * 100_000])
def test_text_that_is_no_scene_is_refused(text: str) -> None:
    with pytest.raises(FormatError):
        read_scene(text)
