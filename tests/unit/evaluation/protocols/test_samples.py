"""Judging what a generator makes: what stands out, what it is, and rows of all three sources."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from stubs.generators import toy_gpt
from stubs.shapes_folder import TINY
from stubs.tokenizer import toy_tokenizer

from segma.errors import InputError
from segma.evaluation import portrait_judge
from segma.evaluation.portrait_judge import PortraitJudge, box_of_thing, view_of
from segma.evaluation.protocols import samples
from segma.evaluation.protocols.samples import SOURCES, SamplesConfig, run
from segma.models.omnitokenizer.gpt_config import VARIANTS
from segma.models.sam2.model import Sam2
from segma.runtime import Runtime
from segma.tasks.maker import Maker
from segma.worlds.portraits import draw_portrait
from segma.worlds.render import render
from segma.worlds.scene import CLASSES

CPU = Runtime(device="cpu", precision="fp32")
FEW = ("disc", "star", "comb")


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
    sizes = VARIANTS["omnitokenizer_gpt_small"]
    sizes = replace(sizes, dim=24, layers=1, heads=2, side=4, block=26, tied=False, axes=False,
                    vocabulary=sizes.first_code + 50)  # fmt: skip
    maker = Maker(generator=toy_gpt(sizes), tokenizer=toy_tokenizer(), runtime=CPU)
    config = SamplesConfig(per_class=2, portraits=6, rounds=1)
    report = run(Sam2(TINY), maker, config, runtime=CPU)
    assert len(asked) == len(report.rows) == 18
    assert [part.name for part in report.parts] == list(SOURCES)
    assert {"class", "class3", "colour"} == report.rows[0].values.keys()
    assert report.mean("class3", "painted") == 1, "there are but three"
    assert CLASSES[0] == "disc"


@pytest.mark.parametrize("values", [{"per_class": 0}, {"sources": ("dreamt",)}])
def test_settings_that_make_no_sense_are_refused(values: dict[str, object]) -> None:
    with pytest.raises(InputError):
        SamplesConfig(**values)  # type: ignore[arg-type]
