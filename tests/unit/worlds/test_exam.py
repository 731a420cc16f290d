"""The exam is as it was frozen, keeps its conditions, and is read with pixels."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from segma.datasets import catalog
from segma.errors import FormatError, InputError
from segma.media.image import read_picture
from segma.samples import ImageSample, VideoSample
from segma.worlds import worlds_val
from segma.worlds.exam import (
    CLIPS,
    IMAGES,
    LEAST_ALIKE,
    LEAST_THINGS,
    Slots,
    bare,
    clip_sentences,
    faults,
    image_sentences,
    is_hard_target,
    seen_areas,
)
from segma.worlds.exam_entries import SIZE, ExamEntry, exam_text, parse_exam, read_exam, write_exam
from segma.worlds.expressions import denotation
from segma.worlds.facts import facts_of
from segma.worlds.families import EXAM_ONLY, draw_scene
from segma.worlds.language import NOTHING_SHARE, depends_on_order
from segma.worlds.render import render
from segma.worlds.reserved import EXAM_STREAM, RESERVED_PAIRS
from segma.worlds.scene import Scene
from segma.worlds.truth import image_truth

STILL = [each for each in read_exam() if not each.is_clip]
MOVING = [each for each in read_exam() if each.is_clip]


def test_the_exam_holds_what_it_should() -> None:
    entries = read_exam()
    assert Counter(each.family for each in STILL) == IMAGES
    assert Counter(each.family for each in MOVING) == CLIPS
    assert (
        len({each.name for each in entries}) == len({each.digest for each in entries}) == len(entries) == 160
    )
    assert {each.seed >> 40 for each in entries} == {EXAM_STREAM}
    assert {each.family for each in entries} >= set(EXAM_ONLY)
    assert all(each.sentences for each in entries)
    kinds = Counter(said.kind for each in entries for said in each.sentences)
    assert min(kinds[kind] for kind in ("referring", "motion", "reasoning")) >= 60


@pytest.mark.parametrize("entries", [STILL, MOVING])
def test_fifteen_in_a_hundred_match_nothing(entries: list[ExamEntry]) -> None:
    said = [one for each in entries for one in each.sentences]
    share = sum(not one.object_ids for one in said) / len(said)
    assert share == pytest.approx(NOTHING_SHARE, abs=0.02)


def test_questions_have_their_answers_among_the_choices() -> None:
    asked = [one for each in read_exam() for one in each.questions]
    assert len(asked) >= 200 and worlds_val.questions() == tuple(asked)
    assert {one.kind for one in asked} >= {"count", "colour", "where", "when", "what"}
    assert all(one.answer in one.choices for one in asked)
    assert all(one.spans_seconds and one.spans_frames for one in asked if one.kind == "when")


def check_conditions(entry: ExamEntry) -> None:
    """Five things; of the one that is meant, two share class or colour, and it is neither tiny nor huge."""
    scene = draw_scene(entry.family, entry.seed, num_frames=1)
    assert scene.digest() == entry.digest
    wholes = {each.object_id: (each, area[0]) for each, area in zip(scene.wholes, entry.areas, strict=True)}
    assert sum(area > 0 for _, area in wholes.values()) >= LEAST_THINGS
    for said in entry.sentences:
        for object_id in said.object_ids if said.kind == "referring" else ():
            target, area = wholes[object_id]
            assert 5 <= area <= 150
            mine = target.class_name, target.attributes.colour
            alike = [
                each
                for each, _ in wholes.values()
                if each is not target and (each.class_name == mine[0] or each.attributes.colour == mine[1])
            ]
            assert len(alike) >= LEAST_ALIKE


@pytest.mark.parametrize("entry", STILL[::12], ids=lambda each: each.name)
def test_referring_scenes_are_hard(entry: ExamEntry) -> None:
    check_conditions(entry)


@pytest.mark.slow
def test_all_referring_scenes_are_hard() -> None:
    for entry in STILL:
        check_conditions(entry)


def test_some_pairs_and_words_are_only_in_the_exam() -> None:
    scenes = [draw_scene(each.family, each.seed) for each in STILL if each.family == "pairs"][:12]
    assert any(
        (one.class_name, one.attributes.colour) in RESERVED_PAIRS for each in scenes for one in each.wholes
    )
    text = exam_text()
    assert all(way in text for way in ("nearest the right edge", "I am looking for", "-hued"))


@pytest.mark.parametrize("entry", [STILL[0], STILL[70], MOVING[-1]], ids=lambda each: each.name)
def test_truth_is_as_it_was_frozen(entry: ExamEntry) -> None:
    assert list(faults(entry)) == []


@pytest.mark.slow
def test_all_truth_is_as_it_was_frozen() -> None:
    assert [fault for entry in read_exam() for fault in faults(entry)] == []


def test_what_is_off_is_found() -> None:
    entry = STILL[0]
    assert list(faults(replace(entry, digest="0" * 64))) == [f"{entry.name}: the scene is another"]
    areas = tuple(tuple(value + 9 for value in row) for row in entry.areas)
    (fault,) = faults(replace(entry, areas=areas))
    assert "9 thousandths" in fault


def test_a_file_that_was_changed_is_refused(tmp_path: Path) -> None:
    write_exam(STILL[:2], tmp_path / "a.json")
    text = (tmp_path / "a.json").read_text()
    assert parse_exam(text) == tuple(STILL[:2])
    for bad in (text.replace(STILL[0].digest, "0" * 64), text[:-9], "[]", "null", '{"entries": [{}]}'):
        with pytest.raises(FormatError):
            parse_exam(bad)


def test_bare_scenes_have_the_same_masks() -> None:
    scene = draw_scene("pairs", 4)
    full, empty = (render([each], size=48) for each in (scene, bare(scene)))
    assert (full.owners == empty.owners).all() and (full.whole_bits == empty.whole_bits).all()
    assert seen_areas(full) == seen_areas(empty)


@pytest.mark.slow
@pytest.mark.parametrize("family", ["race", "errands", "lookalikes"])
def test_motion_sentences_cannot_be_solved_with_frames_shuffled(family: str) -> None:
    entry = next(each for each in MOVING if each.family == family)
    scene = draw_scene(family, entry.seed, num_frames=entry.num_frames)
    facts = facts_of(render([scene], size=96))
    said = clip_sentences(facts, Slots(), np.random.default_rng(0))
    assert said
    for each in (one for one in said if one.object_ids):
        assert depends_on_order(each.expression, facts, denotation(each.expression, facts))
        for frame in range(facts.num_frames):  # nor from one frame
            assert denotation(each.expression, facts.reordered([frame])).one is None


def test_slots_keep_their_share() -> None:
    slots = Slots()
    found: list[bool] = []
    for _ in range(200):
        found.append(slots.is_nothing())
        slots.filled += 1
    assert sum(found) == 200 * NOTHING_SHARE


def test_an_empty_room_has_no_sentence() -> None:
    facts = facts_of(render([draw_scene("parts", 1)], size=32))
    assert not any(is_hard_target(facts, i) for i in range(len(facts.things))) or len(facts.things) >= 5
    few = replace(facts, things=facts.things[:1])
    assert image_sentences(few, Slots(), np.random.default_rng(0)) == ()


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """An exam of one image and one short clip."""
    scene: Scene = draw_scene("race", 5, num_frames=2)
    clip = replace(MOVING[0], family="race", seed=5, num_frames=2, digest=scene.digest())
    monkeypatch.setattr(worlds_val, "read_exam", lambda: (STILL[0], clip))


@pytest.mark.usefixtures("small")
def test_the_exam_is_read_as_a_data_set(tmp_path: Path) -> None:
    folder = tmp_path / "exam"
    with pytest.raises(InputError, match="Wanted: "):
        catalog.read("worlds-val", tmp_path)
    worlds_val.make(folder)
    assert catalog.detect(folder) == "worlds-val"
    image, clip = catalog.read("worlds-val", folder)
    assert isinstance(image, ImageSample) and isinstance(clip, VideoSample)
    assert image.size == clip.size == (SIZE, SIZE) and image.picture is not None
    assert image.sentences == STILL[0].sentences and len(clip.pictures) == clip.num_frames == 2
    scene = draw_scene(STILL[0].family, STILL[0].seed)
    rendered = render([scene], size=SIZE)
    assert (read_picture(image.picture) == rendered.images[0, 0].permute(1, 2, 0).numpy()).all()
    (truth,) = image_truth(rendered)
    assert [each.mask for each in image.objects] == [each.mask for each in truth.sample.objects]
    assert {one for said in image.sentences for one in said.object_ids} <= {
        each.object_id for each in image.objects
    }
    (folder / "clips" / clip.name / "00001.jpg").unlink()
    (again,) = catalog.read("worlds-val", folder, split="clips")
    assert again == clip and all(each.path.is_file() for each in clip.pictures)
    with pytest.raises(InputError, match="no split"):
        catalog.read("worlds-val", folder, split="test")


def test_another_drawing_of_a_scene_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    changed = replace(STILL[0], digest="0" * 64)
    monkeypatch.setattr(worlds_val, "read_exam", lambda: (changed,))
    (tmp_path / worlds_val.MARK).touch()
    with pytest.raises(FormatError, match="not drawn as it was frozen"):
        list(worlds_val.read(tmp_path))
