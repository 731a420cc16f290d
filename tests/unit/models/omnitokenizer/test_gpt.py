"""The language model of our own: words, places by axes, neighbours; and configs that make no sense."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import nn

from segma.checkpoints.load import load
from segma.checkpoints.save import save
from segma.errors import ModelError
from segma.models.omnitokenizer.gpt import Gpt
from segma.models.omnitokenizer.gpt_config import VARIANTS, GptConfig, from_json_dict, to_json_dict

SMALL = VARIANTS["omnitokenizer_gpt_small"]
TINY = replace(
    SMALL, vocabulary=6 + 1 + 20, block=3 + 3 * 16, dim=24, layers=2, heads=2, side=4, num_classes=2,
    words=("a", "b", "c", "d", "e", "f"), class_names=("a", "b"), sentence=3,
)  # fmt: skip


def tiny(config: GptConfig = TINY) -> Gpt:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = Gpt(config)
        for each in network.parameters():
            nn.init.normal_(each, std=0.3)
        return network.eval().requires_grad_(False)


def test_the_small_one_fits_into_its_six_mebibytes() -> None:
    count = sum(each.numel() for each in Gpt(SMALL).parameters())
    assert count <= 3_100_000 and 2 * count < 6 << 20
    spec = Gpt(SMALL).generator_spec
    assert (spec.groups, spec.side, spec.num_codes, spec.num_classes) == (1, 16, 4096, 40)


@torch.inference_mode()
@pytest.mark.parametrize("changes", [{}, {"neighbours": False}, {"axes": False}, {"tied": False}], ids=str)
def test_the_cache_gives_the_logits_of_the_whole_sequence(changes: dict[str, Any]) -> None:
    network = tiny(replace(TINY, **changes))
    ids = torch.randint(27, (2, TINY.block), generator=torch.Generator().manual_seed(1))
    whole, cache = network(ids), network.new_cache(2, TINY.block)
    pieces = [network.extend(ids[:, at], at.start, cache) for at in (slice(0, 4), slice(4, 5), slice(5, 51))]
    torch.testing.assert_close(torch.cat(pieces, 1), whole, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(network(ids, since=9), whole[:, 9:])


@torch.inference_mode()
def test_no_code_is_told_by_one_that_comes_later() -> None:
    network = tiny()
    ids = torch.randint(27, (1, TINY.block), generator=torch.Generator().manual_seed(1))
    for place in (2, 10, 25, 50):
        other = ids.clone()
        other[:, place] = (other[:, place] + 1) % 27
        change = (network(ids) - network(other)).abs().amax(-1)[0]
        assert float(change[:place].max()) == 0 < float(change[place])


@torch.inference_mode()
def test_neighbours_are_those_above_and_the_one_in_the_frame_before() -> None:
    network = tiny()
    assert network.neighbours is not None
    ids = torch.zeros(1, TINY.block, dtype=torch.long)
    start = 4  # words and the 0: code k is id 4 + k, and is foretold at 3 + k
    plain = network.neighbours(ids, 0, network.tok_emb)
    ids[0, start + 5] = 9  # frame 0, row 1, column 1
    found = (network.neighbours(ids, 0, network.tok_emb) - plain).abs().amax(-1)[0] > 0
    told = {int(place) - 3 for place in found.nonzero()}
    assert told == {8, 9, 10, 16 + 5}  # below it, beside that, and the same place of frame 1


def test_a_file_says_which_tokenizer_it_is_of_and_is_still_the_variant(tmp_path: Any) -> None:
    config = replace(SMALL, tokenizer="abc")
    path = save(Gpt(config), config, tmp_path / "made.safetensors", origin="a test", licence="CC0-1.0")
    found = load(path)
    assert found.variant == "omnitokenizer_gpt_small" and found.config.tokenizer == "abc"
    assert from_json_dict(to_json_dict(config)) == config


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"words": ()}, "0 words, 3 places"),
        ({"sentence": 0}, "6 words, 0 places"),
        ({"order": "class_start"}, "in the order class_start"),
        ({"vocabulary": 7}, "6 words in a vocabulary of 7"),
        ({"block": 50}, "no whole latent frames"),
    ],
)
def test_configs_that_contradict_themselves_are_refused(changes: dict[str, Any], told: str) -> None:
    with pytest.raises(ModelError, match=told):
        replace(TINY, **changes)
