"""How the exam `worlds-val` is made and checked: `python -m segma.worlds.exam freeze|verify|make FOLDER`.

It is made of scenes of its own seeds, some of families of its own, without any real matter. Every referring
sentence is about a scene of five things or more, two of which share class or colour with the one that is
meant, which covers 0.5 to 15 % of the picture; motion sentences mean something else when frames are shuffled;
of all, 15 % match nothing.
"""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

import numpy as np

from segma.worlds.exam_entries import SIZE, ExamEntry, read_exam, write_exam
from segma.worlds.facts import Facts, facts_of
from segma.worlds.families import draw_scene
from segma.worlds.language import Kind, Random, SpokenMeaning, draw_sentence
from segma.worlds.questions import draw_questions
from segma.worlds.render import Rendered, render
from segma.worlds.reserved import EXAM_SEED
from segma.worlds.scene import Background, Degradations, Light, Scene, Shot, Texture

LEAST_THINGS, LEAST_ALIKE = 5, 2
LEAST_AREA, MOST_AREA = 0.005, 0.15
"""How many things a referring scene holds, how many share class or colour with the target, its share."""
CLIP_FRAMES = 24
IMAGES: Mapping[str, int] = MappingProxyType(
    {
        **{"pairs": 44, "crowded": 18, "clutter": 14, "plain": 14, "letters": 10, "silhouettes": 8},
        **{"night": 8, "translucent": 4},
    }
)
"""How many images of each family."""
CLIPS: Mapping[str, int] = MappingProxyType(
    {
        **{"cuts": 5, "long_absence": 5, "lookalikes": 5, "thin_moving": 4, "fast_small": 5},
        **{"crowded_moving": 4, "swarm": 4, "orbit": 4, "errands": 2, "race": 2},
    }
)
"""How many clips of each family."""
_NOTHING = (3, 10, 17)  # of twenty sentences in a row: 15 %
_TOLERANCE = 2  # thousandths of the picture between devices
_FLAT = Texture(kind="plain", colours=((0.5, 0.5, 0.5), (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)))
_log = logging.getLogger(__name__)


def is_hard_target(facts: Facts, place: int) -> bool:
    """Whether a thing may be meant by a referring sentence of the exam."""
    if len(facts.things) < LEAST_THINGS or not LEAST_AREA <= facts.courses.areas[place, 0] <= MOST_AREA:
        return False
    mine = facts.things[place].said
    shared = [
        each
        for i, each in enumerate(facts.things)
        if i != place
        and any(len(mine[key]) == 1 and each.said[key] == mine[key] for key in ("class", "colour"))
    ]
    return len(shared) >= LEAST_ALIKE


class Slots:
    """Counts the sentences that were drawn, so that 15 % of all match nothing."""

    def __init__(self) -> None:
        self.filled = 0

    def is_nothing(self) -> bool:
        """Whether the next sentence is to match nothing."""
        return self.filled % 20 in _NOTHING


def image_sentences(facts: Facts, slots: Slots, rng: Random) -> tuple[SpokenMeaning, ...]:
    """The sentences about an image of the exam: two that refer, one that takes reasoning; fewer, or none."""
    found: list[SpokenMeaning] = []
    targets = [i for i in range(len(facts.things)) if is_hard_target(facts, i)]
    for _ in range(2 if targets else 0):
        one = _sentence(facts, "referring", slots, rng, int(rng.choice(targets)))
        if one is not None and one.expression not in [each.expression for each in found]:
            found.append(one)
            slots.filled += 1
    one = _sentence(facts, "reasoning", slots, rng, None) if found else None
    slots.filled += one is not None
    return (*found, *([one] if one is not None else []))


def clip_sentences(facts: Facts, slots: Slots, rng: Random) -> tuple[SpokenMeaning, ...]:
    """The sentences about a clip of the exam: up to three about motion; none where there is none."""
    found: list[SpokenMeaning] = []
    for _ in range(6):
        one = _sentence(facts, "motion", slots, rng, None)
        if one is not None and one.expression not in [each.expression for each in found]:
            found.append(one)
            slots.filled += 1
        if len(found) == 3:
            break
    return tuple(found) if any(each.object_ids for each in found) else ()


def _sentence(
    facts: Facts, kind: Kind, slots: Slots, rng: Random, target: int | None
) -> SpokenMeaning | None:
    nothing = slots.is_nothing()
    return draw_sentence(facts, kind, rng, exam=True, nothing=nothing, target=None if nothing else target)


def freeze() -> tuple[ExamEntry, ...]:
    """The exam, drawn anew: scene after scene of each family until there are enough with sentences."""
    entries: list[ExamEntry] = []
    tables = ((IMAGES, 1, image_sentences), (CLIPS, CLIP_FRAMES, clip_sentences))
    for table, frames, say in tables:
        slots = Slots()
        for family, count in table.items():
            found = _family(family, count, frames, say, slots)
            entries += found
            _log.info("%s: %d scenes, %d sentences so far", family, len(found), slots.filled)
    return tuple(entries)


def _family(
    family: str,
    count: int,
    frames: int,
    say: Callable[[Facts, Slots, Random], tuple[SpokenMeaning, ...]],
    slots: Slots,
) -> list[ExamEntry]:
    found: list[ExamEntry] = []
    seed = EXAM_SEED
    while len(found) < count:
        scene = draw_scene(family, seed, num_frames=frames)
        if len(scene.wholes) >= (2 if frames > 1 else LEAST_THINGS):
            before = slots.filled
            rendered = render([scene], size=SIZE)
            facts, rng = facts_of(rendered), np.random.default_rng((seed, frames))
            said = say(facts, slots, rng)
            if said:
                found.append(_entry(rendered, facts, said, rng))
            else:
                slots.filled = before
        seed += 1
    return found


def _entry(rendered: Rendered, facts: Facts, said: tuple[SpokenMeaning, ...], rng: Random) -> ExamEntry:
    (scene,) = rendered.scenes
    entry = ExamEntry(
        family=scene.family,
        seed=scene.seed,
        num_frames=scene.num_frames,
        digest=scene.digest(),
        areas=seen_areas(rendered),
        sentences=tuple(each.sentence() for each in said),
        questions=(),
    )
    wanted = 4 if entry.is_clip else 2
    return replace(entry, questions=draw_questions(facts, rng, name=entry.name, count=wanted, exam=True))


def seen_areas(rendered: Rendered) -> tuple[tuple[int, ...], ...]:
    """`ExamEntry.areas` of the one scene that was rendered."""
    (scene,) = rendered.scenes
    rows = [each.object_id - 1 for each in scene.wholes]
    visible = rendered.visible(0)[rows]
    frames = sorted({0, scene.num_frames // 2, scene.num_frames - 1})
    shares = visible[:, frames].flatten(2).float().mean(2).cpu().numpy() * 1000
    return tuple(tuple(round(float(value)) for value in row) for row in shares)


def bare(scene: Scene) -> Scene:
    """The scene with the same masks, but nothing to look at: several times faster to render."""
    objects = tuple(
        replace(each, texture=_FLAT, relief=0.0, gloss=0.0, shadow=False) for each in scene.objects
    )
    shots = tuple(
        Shot(
            start=shot.start,
            background=Background(texture=_FLAT, depth=shot.background.depth),
            light=Light(shadow=0.0),
        )
        for shot in scene.shots
    )
    return replace(scene, objects=objects, shots=shots, degradations=Degradations())


def faults(entry: ExamEntry) -> Iterator[str]:
    """What is not as it was frozen: the scene, or what is seen of its wholes."""
    scene = draw_scene(entry.family, entry.seed, num_frames=entry.num_frames)
    if scene.digest() != entry.digest:
        yield f"{entry.name}: the scene is another"
        return
    found = seen_areas(render([bare(scene)], size=SIZE))
    off = [
        abs(value - frozen)
        for row, kept in zip(found, entry.areas, strict=True)
        for value, frozen in zip(row, kept, strict=True)
    ]
    if max(off) > _TOLERANCE:
        yield f"{entry.name}: a whole is seen by {max(off)} thousandths of the picture more or less"


def main(arguments: Sequence[str] | None = None) -> int:
    """The command: `freeze` writes the file, `verify` draws all anew and compares, `make` fills a folder."""
    parser = argparse.ArgumentParser(prog="python -m segma.worlds.exam", description="The exam worlds-val.")
    parser.add_argument("what", choices=("freeze", "verify", "make"))
    parser.add_argument(
        "folder", nargs="?", type=Path, help="of the pictures (make), or of the file (freeze)"
    )
    chosen = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    if chosen.what == "make":
        from segma.worlds.worlds_val import make

        if chosen.folder is None:
            parser.error("make needs a folder")
        make(chosen.folder)
        return 0
    if chosen.what == "freeze":
        folder = chosen.folder or Path(__file__).with_name("data")
        folder.mkdir(parents=True, exist_ok=True)
        write_exam(freeze(), folder / "worlds_val.json")
        return 0
    found = [fault for entry in read_exam() for fault in faults(entry)]
    sys.stdout.write("\n".join([*found, f"{len(read_exam())} scenes, {len(found)} are not as frozen", ""]))
    return 1 if found else 0


if __name__ == "__main__":
    raise SystemExit(main())
