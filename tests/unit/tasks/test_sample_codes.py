"""The sampler of codes: the cache, chance by row, top-k and top-p, guidance, official slips."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from stubs.generators import CLIPS, PICTURES, PLAIN, toy_gpt
from torch import Tensor

from segma.errors import InputError, ModelError
from segma.models.interfaces import CodeGenerator
from segma.models.omnitokenizer.gpt import Gpt
from segma.tasks.sample_codes import PRESETS, SamplingConfig, draw, first_code, prompt_for, sample_codes

SHARES = torch.tensor([[0.05, 0.4, 0.3, 0.15, 0.1]])
LOGITS = SHARES.log()
GREEDY = SamplingConfig(temperature=0)


def chances(*seeds: int) -> list[torch.Generator]:
    return [torch.Generator().manual_seed(seed) for seed in seeds]


def drawn(config: SamplingConfig, *, parity: bool = False, count: int = 20_000) -> dict[int, float]:
    """How often each id is drawn."""
    chance = (torch.arange(count) + 0.5) / count
    ids = draw(LOGITS.expand(count, -1), chance, config, parity=parity)
    return {int(each): float((ids == each).float().mean()) for each in ids.unique()}


class Recorder:
    """A network that keeps what it was asked and what it answered."""

    def __init__(self, network: Gpt) -> None:
        self.network = network
        self.asked: list[tuple[Tensor, int, Tensor | None]] = []
        self.found: list[Tensor] = []

    @property
    def generator_spec(self) -> Any:  # GeneratorSpec
        return self.network.generator_spec

    def new_cache(self, batch: int, length: int) -> Any:  # the network's own
        return self.network.new_cache(batch, length)

    def extend(self, ids: Tensor, start: int, cache: Any, shown: Tensor | None = None) -> Tensor:
        self.asked.append((ids.clone(), start, shown))
        self.found.append(self.network.extend(ids, start, cache, shown))
        return self.found[-1]


def test_every_id_is_drawn_as_often_as_its_share() -> None:
    found = drawn(SamplingConfig())
    assert found == {index: pytest.approx(share, abs=1e-3) for index, share in enumerate(SHARES[0].tolist())}
    hot = drawn(SamplingConfig(temperature=2))
    wanted = SHARES[0].sqrt() / SHARES[0].sqrt().sum()
    assert hot == {index: pytest.approx(share, abs=1e-3) for index, share in enumerate(wanted.tolist())}


@pytest.mark.parametrize(
    ("config", "kept"),
    [
        (SamplingConfig(top_k=2), (1, 2)),
        (SamplingConfig(top_k=99), (0, 1, 2, 3, 4)),
        (SamplingConfig(top_p=0.3), (1,)),
        (SamplingConfig(top_p=0.39), (1,)),
        (SamplingConfig(top_p=0.41), (1, 2)),  # 0.4 is not enough: the one that passes it is kept
        (SamplingConfig(top_p=0.72), (1, 2, 3)),
        (SamplingConfig(top_k=2, top_p=0.72), (1, 2)),  # shares are those among the two: 0.57 and 0.43
        (SamplingConfig(top_k=2, top_p=0.5), (1,)),
        (SamplingConfig(temperature=0), (1,)),
    ],
)
def test_top_k_and_top_p_keep_the_likeliest(config: SamplingConfig, kept: tuple[int, ...]) -> None:
    total = sum(float(SHARES[0, index]) for index in kept)
    assert drawn(config) == {
        index: pytest.approx(float(SHARES[0, index]) / total, abs=1e-3) for index in kept
    }


def test_officially_top_p_counts_only_beside_a_top_k() -> None:
    assert set(drawn(SamplingConfig(top_p=0.3), parity=True)) == {0, 1, 2, 3, 4}
    assert set(drawn(SamplingConfig(top_p=0.3, top_k=5), parity=True)) == {1}


def test_a_chance_of_almost_one_draws_nothing_that_is_left_out() -> None:
    logits = torch.full((1, 9193), -torch.inf)
    logits[:, 5:300] = torch.linspace(0, 3, 295)
    last = torch.tensor([1 - 2**-24])
    assert 5 <= int(draw(logits, last, SamplingConfig())) < 300
    assert int(draw(logits, last, SamplingConfig(top_p=0.5))) >= 100


@torch.inference_mode()
def test_the_cache_gives_the_logits_of_the_whole_sequence() -> None:
    network = toy_gpt(PLAIN)
    recorder = Recorder(network)
    codes = sample_codes(recorder, [None, None], 48, chances(1, 2), SamplingConfig(top_k=20))
    found = torch.cat([each[:, -1:] for each in recorder.found], 1)
    whole = network(torch.cat([torch.zeros(2, 1, dtype=torch.long), codes[:, :-1]], 1))
    torch.testing.assert_close(found, whole, atol=1e-5, rtol=1e-5)
    assert isinstance(network, CodeGenerator)


@torch.inference_mode()
@pytest.mark.parametrize("parity", [False, True])
@pytest.mark.parametrize("config", [PICTURES, CLIPS], ids=["pictures", "clips"])
def test_a_row_does_not_depend_on_its_batch(config: Any, parity: bool) -> None:
    network = toy_gpt(config)
    how = SamplingConfig(top_k=30, top_p=0.9, guidance=1.5, parity=parity)
    both = sample_codes(network, [2, 0], 16, chances(7, 8), how)
    alone = [sample_codes(network, [label], 16, chances(seed), how) for label, seed in ((2, 7), (0, 8))]
    assert torch.equal(both, torch.cat(alone))
    assert not torch.equal(both, sample_codes(network, [2, 0], 16, chances(9, 10), how))
    assert not torch.equal(both[:1], sample_codes(network, [1], 16, chances(7), how))


@torch.inference_mode()
def test_guidance_is_the_formula_over_sequences_without_the_class() -> None:
    """Of our own weights the class alone is left out: its place stays empty."""
    network = toy_gpt(PICTURES)
    how = SamplingConfig(temperature=0, guidance=1.5)
    recorder = Recorder(network)
    codes = sample_codes(recorder, [2], 3, chances(0), how)
    first = first_code(network.generator_spec)
    for step in range(3):
        tail = codes[:, :step] + first
        wanted = network(torch.cat([torch.tensor([[3, 0]]), tail], 1))[:, -1]
        other = without_class(network, tail)
        logits = 2.5 * wanted - 1.5 * other
        logits[:, :first] = -torch.inf
        assert int(logits.argmax()) - first == int(codes[0, step])
        torch.testing.assert_close(recorder.found[step][1:, -1], other, atol=1e-5, rtol=1e-5)


def without_class(network: Gpt, tail: Tensor) -> Tensor:
    """The logits after start symbol and codes that stand where they stand behind a class."""
    ids = torch.cat([torch.zeros(1, 1, dtype=torch.long), tail], 1)
    x = network.tok_emb(ids) + network.pos_emb[:, 1 : 1 + ids.shape[1]]
    for block in network.blocks:
        x = block(x)
    assert network.head is not None
    return network.head(network.ln_f(x))[:, -1]


@pytest.mark.parametrize(
    ("order", "parity", "ids", "without", "shown"),
    [
        ("class_start", True, [3, 0], [0, 0], (True, False)),
        ("start_class", True, [0, 3], [0, 0], (True, False)),
        ("class_start", False, [3, 0], [0, 0], (False, True)),
        ("start_class", False, [0, 3], [0, 0], (True, False)),
    ],
)
def test_what_stands_before_the_codes(
    order: str, parity: bool, ids: list[int], without: list[int], shown: tuple[bool, ...]
) -> None:
    spec = toy_gpt(replace(PICTURES, order=order)).generator_spec
    prompt = prompt_for(spec, [2], torch.tensor([[7]]), parity=parity)
    assert prompt.ids.tolist() == [[*ids, 4 + 7]]
    assert prompt.without is not None
    assert prompt.without.tolist() == [[*without, 4 + 7]]
    assert prompt.shown_without == (*shown, True)


def test_given_codes_officially_stand_alone_and_else_after_the_zero_of_training() -> None:
    spec = toy_gpt(PLAIN).generator_spec
    given = torch.tensor([[7, 8]])
    assert prompt_for(spec, [None], given, parity=True).ids.tolist() == [[7, 8]]
    assert prompt_for(spec, [None], given, parity=False).ids.tolist() == [[0, 7, 8]]
    for parity in (True, False):
        assert prompt_for(spec, [None], parity=parity).ids.tolist() == [[0]]


@torch.inference_mode()
def test_the_official_branch_without_a_class_is_the_start_symbol_at_position_0() -> None:
    recorder = Recorder(toy_gpt(PICTURES))
    how = SamplingConfig(temperature=0, guidance=1.5, parity=True)
    codes = sample_codes(recorder, [2], 2, chances(0), how)
    start = recorder.network(torch.zeros(1, 1, dtype=torch.long))[:, 0]
    torch.testing.assert_close(recorder.found[0][1:, 0], start, atol=1e-5, rtol=1e-5)
    wanted = recorder.network(torch.tensor([[3, 0]]))[:, -1]
    found = int((2.5 * wanted - 1.5 * start).argmax())
    assert int(codes[0, 0]) == max(0, found - 4)
    ids, place, shown = recorder.asked[1]
    assert (ids.tolist(), place, shown) == ([[found], [found]], 2, None)


@torch.inference_mode()
def test_only_official_weights_draw_ids_that_are_no_codes() -> None:
    network = toy_gpt(PICTURES)
    assert network.head is not None
    network.head.weight[2] = 40 * network.head.weight[30]  # a class that is often the likeliest id
    recorder = Recorder(network)
    official = sample_codes(recorder, [0], 16, chances(3), replace(GREEDY, parity=True))
    read = [int(ids[0, -1]) for ids, _, _ in recorder.asked[1:]]
    assert 2 in read, "it is read on as what it is"
    assert official[0, read.index(2)] == 0
    recorder.asked.clear()
    ours = sample_codes(recorder, [0], 16, chances(3), GREEDY)
    assert all(int(ids.min()) >= 4 for ids, _, _ in recorder.asked[1:])
    assert 0 <= int(ours.min()) <= int(ours.max()) < 50


@torch.inference_mode()
def test_the_weights_say_whether_the_slips_are_kept() -> None:
    assert PICTURES.parity is False
    how = SamplingConfig(top_p=0.2)
    ours, official = toy_gpt(PICTURES), toy_gpt(replace(PICTURES, parity=True))
    as_said = [sample_codes(each, [1], 16, chances(3), how) for each in (ours, official)]
    asked = [sample_codes(ours, [1], 16, chances(3), replace(how, parity=each)) for each in (False, True)]
    assert torch.equal(as_said[0], asked[0])
    assert torch.equal(as_said[1], asked[1])
    assert not torch.equal(*as_said)


@torch.inference_mode()
def test_long_given_codes_are_read_in_pieces() -> None:
    network = toy_gpt(replace(PLAIN, side=16, block=768))
    recorder = Recorder(network)
    given = torch.randint(0, 50, (1, 600), generator=chances(1)[0])
    found = sample_codes(recorder, [None], 1, chances(2), GREEDY, given=given)
    assert [ids.shape[1] for ids, _, _ in recorder.asked] == [256, 256, 89]
    whole = network(torch.cat([torch.zeros(1, 1, dtype=torch.long), given], 1))
    assert int(found) == int(whole[0, -1].argmax())
    with pytest.raises(ModelError, match="169 codes after 600 given ones: the model has positions for 768"):
        sample_codes(network, [None], 169, chances(1), GREEDY, given=given)


@pytest.mark.parametrize(
    "values",
    [
        {"temperature": float("nan")},
        {"temperature": float("inf")},
        {"temperature": -1.0},
        {"top_k": 0},
        {"top_p": 0.0},
        {"top_p": 1.5},
        {"guidance": float("inf")},
        {"guidance": -0.5},
    ],
)
def test_numbers_that_make_no_sense_are_refused(values: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=next(iter(values))) as caught:
        SamplingConfig(**values)
    assert caught.value.code == "input.value"


def test_the_presets_are_the_numbers_of_the_scripts() -> None:
    rows = {name.rsplit("_", 1)[1]: (row.guidance, row.top_k, row.top_p) for name, row in PRESETS.items()}
    assert rows.pop("small")[0] > 0, "ours is guided by the sentence"
    assert rows == {"imagenet": (1.5, 2048, 1.0), "ucf": (0.5, 4096, 0.9), "k600": (0.0, 2048, 0.9)}
