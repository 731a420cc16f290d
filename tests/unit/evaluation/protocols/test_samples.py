"""Judging what a generator makes: what stands out, what it is, and rows of all three sources."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from stubs.generators import PICTURES, WORDED, toy_maker
from stubs.shapes_folder import TINY

from segma.errors import InputError, ModelError
from segma.evaluation import portrait_judge
from segma.evaluation.portrait_judge import PortraitJudge, box_of_thing, view_of
from segma.evaluation.protocols import samples
from segma.evaluation.protocols.samples import SOURCES, SamplesConfig, others, run
from segma.models.sam2.model import Sam2
from segma.runtime import Runtime
from segma.tasks.maker import Maker
from segma.worlds.portraits import draw_portrait
from segma.worlds.render import render
from segma.worlds.scene import CLASSES

CPU = Runtime(device="cpu", precision="fp32")
FEW = ("disc", "star", "comb")
PAINTS = {
    "red": (200, 20, 20), "orange": (240, 130, 10), "yellow": (230, 220, 20), "green": (20, 160, 30),
    "teal": (20, 150, 150), "blue": (20, 40, 200), "purple": (130, 20, 180), "pink": (240, 60, 160),
    "brown": (110, 60, 10), "white": (245, 245, 245), "grey": (130, 130, 130), "black": (10, 10, 10),
}  # fmt: skip


def painted(seed: int, name: str) -> tuple[np.ndarray, np.ndarray]:
    rendered = render([draw_portrait(seed, name).scene], size=128)
    image = rendered.images[0, 0].permute(1, 2, 0).numpy()
    return np.ascontiguousarray(image), rendered.visible(0)[0, 0].numpy()


def test_the_box_of_what_stands_out_is_about_that_of_the_thing() -> None:
    good = 0
    for seed in range(6):
        image, mask = painted(seed, "star")
        rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
        wanted = np.array([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1])
        good += bool(np.abs(np.array(box_of_thing(image)) - wanted).max() < 16)
    assert good >= 5
    assert box_of_thing(np.full((40, 50, 3), 9, np.uint8)) == (0, 0, 50, 40)


def test_a_judge_learns_classes_that_differ(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(portrait_judge, "CLASSES", FEW)
    monkeypatch.setattr(portrait_judge, "_BATCH", 16)  # 64 steps; after 16 it depended on the machine
    judge = PortraitJudge.learned(60, 8)
    found = [
        FEW[int(judge.shares(*painted(1000 + seed, name)).argmax())] == name
        for seed, name in enumerate(FEW * 10)
    ]
    assert sum(found) >= 24, "by chance it would be 10; eight seeds of the judge all had 30"
    image, mask = painted(0, "star")
    assert judge.shares(image, np.zeros_like(mask)).tolist() == [1 / 3] * 3


def test_a_view_shows_the_thing_alone_as_large_as_fits() -> None:
    image = np.full((60, 80, 3), 200, np.uint8)
    mask = np.zeros((60, 80), bool)
    mask[10:20, 30:50] = True
    image[mask] = 50
    view = view_of(image, mask)
    columns = np.flatnonzero((view[0] > 0.5).any(0))
    assert columns[-1] - columns[0] + 1 == pytest.approx(40 / 1.2, abs=1.5)
    assert float(view[1].abs().max()) == 0, "one brightness has no pattern"


def test_every_portrait_is_judged_painted_tokenised_and_sampled(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (portrait_judge, samples):
        monkeypatch.setattr(module, "CLASSES", FEW)
    asked: list[tuple[float, ...]] = []

    def found_thing(picture: np.ndarray, network: object, runtime: Runtime) -> np.ndarray:
        asked.append(box_of_thing(picture))
        return np.ones(picture.shape[:2], bool)

    monkeypatch.setattr(samples, "found_thing", found_thing)
    maker = toy_maker(WORDED)
    config = SamplesConfig(per_class=2, portraits=6, rounds=1)
    report = run(Sam2(TINY), maker, config, runtime=CPU)
    assert len(asked) == 18 and len([row for row in report.rows if row.source != "by chance"]) == 18
    assert [part.name for part in report.parts] == list(SOURCES)
    assert {"class", "class3", "colour"} == report.rows[0].values.keys()
    assert report.mean("class3", "painted") == 1, "there are but three"
    assert CLASSES[0] == "disc"


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_by_chance_each_portrait_has_the_wishes_of_another(seed: int) -> None:
    portraits = [draw_portrait(number, CLASSES[number % 40]) for number in range(80)]
    found = others(portraits, seed)
    assert sorted(found) == sorted(found.values()) == list(range(80)), "each once"
    for made, asked in found.items():
        one, other = portraits[made], portraits[asked]
        assert one.class_name != other.class_name
        assert one.thing.attributes.colour != other.thing.attributes.colour
    assert others(portraits, seed) == found != others(portraits, seed + 1)
    assert others([portraits[0]] * 3, seed) == {}, "all ask for the same"


class Oracle(PortraitJudge):
    """Reads the class from the first pixel."""

    def shares(self, image: np.ndarray, mask: np.ndarray) -> np.ndarray:
        return np.eye(len(FEW))[image[0, 0, 0]]


def test_samples_that_are_all_right_are_never_so_by_chance(monkeypatch: pytest.MonkeyPatch) -> None:
    def painted_as_asked(
        maker: Maker, labels: list[tuple[int, ...]], *rest: object, **more: object
    ) -> Iterator[np.ndarray]:
        for colour, name in ([maker.spec.words[word - 1] for word in label] for label in labels):
            picture = np.full((16, 16, 3), PAINTS[colour], np.uint8)
            picture[0, 0] = FEW.index(name)
            yield picture

    monkeypatch.setattr(samples, "CLASSES", FEW)
    monkeypatch.setattr(samples, "generate_images", painted_as_asked)
    monkeypatch.setattr(samples.PortraitJudge, "learned", lambda *numbers: Oracle(torch.nn.Identity()))
    monkeypatch.setattr(samples, "found_thing", lambda picture, *rest: np.ones((16, 16), bool))
    maker = toy_maker(WORDED)
    told: list[tuple[int, int]] = []
    report = run(
        Sam2(TINY), maker, SamplesConfig(per_class=6, sources=("by chance", "sampled")), runtime=CPU,
        on_progress=lambda done, total: told.append((done, total)),
    )  # fmt: skip
    assert told[-1] == (18, 18), "the same samples serve both"
    for measure in ("class", "colour"):
        assert (report.mean(measure, "sampled"), report.mean(measure, "by chance")) == (1, 0)
    assert report.part("by chance").count >= 15


@pytest.mark.parametrize("values", [{"per_class": 0}, {"sources": ("dreamt",)}])
def test_settings_that_make_no_sense_are_refused(values: dict[str, object]) -> None:
    with pytest.raises(InputError):
        SamplesConfig(**values)  # type: ignore[arg-type]


def test_a_generator_without_words_is_refused() -> None:
    with pytest.raises(ModelError, match="knows no words of made worlds"):
        run(Sam2(TINY), toy_maker(PICTURES), runtime=CPU)
