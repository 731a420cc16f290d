"""Training of language models over codes: what a loss counts, portraits, folders by class, whole runs."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from stubs.generators import CLIPS, PICTURES, PLAIN, toy_gpt
from stubs.tokenizer import SMALL, toy_tokenizer

from segma.checkpoints.load import load
from segma.checkpoints.save import save
from segma.datasets.report import ReadReport
from segma.errors import InputError
from segma.models.omnitokenizer import gpt_config
from segma.models.omnitokenizer.gpt import Gpt
from segma.runtime import Runtime
from segma.tasks.generate import generate
from segma.tasks.maker import Maker
from segma.tasks.sample_codes import SamplingConfig, sample_codes
from segma.tasks.sentences import sentences, word_ids
from segma.training import made_portraits
from segma.training.catalog import RECIPES, recipe
from segma.training.config import GeneratorConfig, OptimConfig, TrainConfig
from segma.training.data import Samples
from segma.training.distributed import Team
from segma.training.labelled_loader import class_names
from segma.training.language_course import course
from segma.training.start import start
from segma.training.steps.language import cross_entropy

CPU = Runtime(device="cpu", precision="fp32")
CHANCE = torch.Generator()
NOTHING = Samples((), (), ReadReport())
TINY = replace(
    gpt_config.VARIANTS["omnitokenizer_gpt_small"], dim=24, layers=1, heads=2, side=4, block=10 + 16
)


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """A tiny variant, and portraits four at once."""
    rows = {**gpt_config.VARIANTS, "tiny": TINY}
    monkeypatch.setattr("segma.training.language_course.VARIANTS", rows)
    monkeypatch.setattr(made_portraits, "_AT_ONCE", 8)


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One of random weights, of 8 x 8 pixels a code, as a file."""
    path = tmp_path_factory.mktemp("tokenizer") / "codes.safetensors"
    return save(toy_tokenizer(), SMALL, path, origin="a test", licence="CC0-1.0")


@pytest.fixture
def run(tokenizer: Path, tmp_path: Path) -> TrainConfig:
    """Six steps on eight portraits of 32 pixels."""
    return TrainConfig(
        name="tiny_words",
        system="omnitokenizer_gpt",
        variant="tiny",
        batch=4,
        steps=6,
        workers=0,
        validate_objects=16,
        generator=GeneratorConfig(
            tokenizer=str(tokenizer), made=8, size=32, phrasings=2, codes=str(tmp_path / "codes.npz")
        ),
        optim=OptimConfig(lr=1e-2, warmup=1, ema=0.5),
    )


def test_what_stands_before_the_codes_in_training_is_what_stands_there_in_sampling() -> None:
    """The loss of a row is that of the logits that the sampler draws from, with the class and without."""
    worded = replace(TINY, vocabulary=TINY.first_code + 50, tied=False, axes=False)
    for sizes in (PICTURES, replace(CLIPS, side=2, block=13), worded):
        network = toy_gpt(sizes)
        spec = network.generator_spec
        label: Any = word_ids(spec, "a red star") if spec.words else 2
        codes = torch.randint(50, (1, spec.side**2 * spec.groups), generator=torch.Generator().manual_seed(0))
        asked = sentences(spec, [label]) if spec.words else torch.tensor([label])
        for blank in (False, True):
            seen = _drawn_from(network, label, codes, blank)
            wanted = F.cross_entropy(seen[..., sizes.first_code :].flatten(0, 1), codes.flatten())
            found = cross_entropy(network, codes, asked, torch.tensor([blank]), CHANCE).loss
            torch.testing.assert_close(found, wanted, atol=1e-4, rtol=1e-4)


@torch.inference_mode()
def _drawn_from(network: Gpt, label: Any, codes: torch.Tensor, blank: bool) -> torch.Tensor:
    """The logits of each code, with the codes before it given."""
    found: list[torch.Tensor] = []

    class Watched:
        generator_spec = network.generator_spec
        new_cache = staticmethod(network.new_cache)

        @staticmethod
        def extend(*arguments: Any) -> torch.Tensor:
            found.append(network.extend(*arguments))
            return found[-1]

    config = SamplingConfig(guidance=1.0, parity=False)
    rows: list[torch.Tensor] = []
    before = network.config.before
    late = network.config.order == "start_class" and blank
    for number in range(codes.shape[1]):
        found.clear()
        given = codes[:, :number] if number else None
        chance = [torch.Generator().manual_seed(0)]
        sample_codes(Watched(), [label], 1, chance, config, given=given)  # type: ignore[arg-type]
        place = before - 1 + number - int(late and not number)
        rows.append(found[0][int(blank), place])
    return torch.stack(rows)[None]


def test_frame_prediction_learns_the_codes_after_a_zero() -> None:
    network = toy_gpt(PLAIN)
    codes = torch.randint(50, (2, 48), generator=torch.Generator().manual_seed(0))
    logits = network(torch.cat([torch.zeros(2, 1, dtype=torch.long), codes[:, :-1]], 1))
    nothing = torch.zeros(2, dtype=torch.long)
    found = cross_entropy(network, codes, nothing, nothing.bool(), CHANCE).loss
    torch.testing.assert_close(found, F.cross_entropy(logits.flatten(0, 1), codes.flatten()))


def test_portraits_are_kept_in_a_file_and_each_is_learned_from_equally_often(run: TrainConfig) -> None:
    ours = course()
    ours.build(run)
    first = list(ours.batches(NOTHING, run, Team.alone())(0))
    path = Path(run.generator.codes)
    with np.load(path) as file:
        codes, classes = file["values"], file["classes"]
    assert len(codes) == len(classes) > 8  # those that may be mirrored are there twice
    before = path.stat().st_mtime_ns
    again = list(ours.batches(NOTHING, run, Team.alone())(2))
    assert path.stat().st_mtime_ns == before and len(again) == len(first) - 2
    assert torch.equal(again[0].pixels, first[2].pixels)
    rows = torch.cat([each.pixels for each in ours.batches(NOTHING, run, Team.alone())(0)])
    turn = {tuple(row.tolist()) for row in rows[: len(codes)]}
    assert turn == {tuple(row) for row in codes.tolist()}
    other = replace(run, seed=1)
    with pytest.raises(InputError, match=r"made otherwise \(different: stream"):
        ours.batches(NOTHING, other, Team.alone())
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(InputError, match="no codes of portraits"):
        ours.batches(NOTHING, run, Team.alone())


def test_a_run_makes_a_generator_that_makes_what_a_sentence_asks_for(
    run: TrainConfig, tokenizer: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("segma.training.loop._LOG_SECONDS", 0.0)
    outcome = start(run, tmp_path / "run", CPU)
    lines = (tmp_path / "run" / "log.jsonl").read_text().splitlines()
    losses = [row["loss"] for row in map(json.loads, lines) if "loss" in row]
    assert len(losses) == 6 and losses[-1] < losses[0]
    assert {"nats", "nats_unasked"} == outcome.report["held_out"]["after"].keys()
    found, book = load(outcome.weights, CPU), load(tokenizer, CPU)
    assert found.config.tokenizer == book.weights_hash
    maker = Maker(generator=found.module, tokenizer=book.module, runtime=CPU)  # type: ignore[arg-type]
    strongly = SamplingConfig(guidance=20.0)
    first, other, again = (
        np.stack(generate(maker, said, config=strongly, count=4))
        for said in ("a red star on wood", "car", "the red star, on wood")
    )
    assert first.shape == (4, 32, 32, 3) and not np.array_equal(first, other)
    assert np.array_equal(first, again)


def test_pictures_by_class_are_learned_from_folders(
    run: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, level in (("cat", 40), ("dog", 200)):
        for number in range(4):
            path = tmp_path / "data" / "train" / name / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(np.full((40, 50, 3), level + number, np.uint8)).save(path)
    assert class_names([str(tmp_path / "data")]) == ("cat", "dog")
    sizes = replace(PICTURES, parity=True, num_classes=3)
    monkeypatch.setattr("segma.training.language_course.VARIANTS", {"toy": sizes})
    config = replace(
        run, variant="toy", data=(str(tmp_path / "data"),), steps=20, generator=replace(run.generator, made=0)
    )
    outcome = start(config, tmp_path / "run", CPU)
    found = load(outcome.weights)
    assert found.config.class_names == ("cat", "dog") and not found.config.parity
    after = outcome.report["held_out"]["after"]
    assert after["nats"] < np.log(found.config.vocabulary)
    with pytest.raises(InputError, match="no folders, one a class"):
        class_names([str(tmp_path / "data" / "train" / "cat")])


def test_a_loaded_model_of_classes_goes_on_with_the_folders_of_its_classes_alone(
    run: TrainConfig, tmp_path: Path
) -> None:
    for name in ("ball", "cone", "cube"):
        (tmp_path / "data" / "train" / name).mkdir(parents=True)
        Image.new("RGB", (40, 40)).save(tmp_path / "data" / "train" / name / "0.png")
    own = replace(PICTURES, class_names=("ball", "cone", "cube"))
    config = replace(run, data=(str(tmp_path / "data"),), generator=replace(run.generator, made=0))
    for number, sizes in enumerate((own, replace(own, class_names=()), PICTURES, _of_four(own))):
        path = tmp_path / f"{number}.safetensors"
        save(toy_gpt(sizes), sizes, path, origin="made up", licence="CC0-1.0")
        if number < 2:  # the same names, or as many without names
            assert course().build(replace(config, start=str(path))).config.num_classes == 3
            continue
        with pytest.raises(InputError, match=f"have 3 classes, .* {sizes.num_classes}, or others"):
            course().build(replace(config, start=str(path)))


def _of_four(sizes: gpt_config.GptConfig) -> gpt_config.GptConfig:
    names = (*sizes.class_names, "disc")
    return replace(sizes, num_classes=4, class_names=names, vocabulary=sizes.vocabulary + 1)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"size": 64}, "generator.size is 64, expected 32"),
        ({"frames": 5}, "generator.frames is 5, expected 1"),
        ({"made": 0}, "generator.made is 0"),
        ({"blank": 1.5}, "generator.blank is 1.5"),
        ({"phrasings": 0}, "a sentence or more"),
    ],
)
def test_settings_that_do_not_fit_are_told(run: TrainConfig, changes: dict[str, Any], told: str) -> None:
    ours = course()
    network = ours.build(run)
    with pytest.raises(InputError, match=told):
        ours.settled(replace(run, generator=replace(run.generator, **changes)), network)


@pytest.mark.parametrize("name", [name for name in RECIPES if "_gpt_" in name])
def test_recipes_name_sizes_that_there_are(name: str) -> None:
    config = recipe(name)
    sizes = gpt_config.VARIANTS[config.variant]
    assert config.name == name and config.system == "omnitokenizer_gpt"
    assert config.generator.size == 8 * sizes.side
    groups = 1 + (config.generator.frames - 1) // 4
    assert groups * sizes.side**2 in (sizes.codes_at_most, sizes.codes_at_most - 1)


def test_other_data_are_refused_where_a_run_makes_its_own(shapes: Path, tmp_path: Path) -> None:
    config = replace(recipe("omnitokenizer_gpt_small"), data=(str(shapes),))
    for given, check in ((config, ()), (replace(config, data=()), (shapes,))):
        with pytest.raises(InputError, match="makes what it learns from"):
            start(given, tmp_path / "run", Runtime(device="cpu", precision="fp32"), check=check)
