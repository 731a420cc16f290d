"""Codes of made portraits with sentences: made once, and learned from many times.

A picture takes far longer to paint and to encode than a step takes for it. So they are made before the first
step, each as it is and mirrored (but for letters), and what is kept is small: 0.5 kB each.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import UInt8, UInt16
from numpy import ndarray
from torch import Tensor
from torch.utils.data import Dataset

from segma.errors import InputError
from segma.media.files import explained_errors
from segma.models.interfaces import GeneratorSpec, VisualTokenizer
from segma.tasks.sample_codes import sentences
from segma.tasks.sentences import word_ids
from segma.training.code_batch import SentenceBatch
from segma.training.config import TrainConfig
from segma.training.loader import made_ahead
from segma.worlds.portraits import Portrait, draw_portrait, draw_sentence
from segma.worlds.render import render
from segma.worlds.scene import CLASSES

_AT_ONCE = 32
# Streams of seeds, see `worlds.stream`: a run's own begins after these.
_STREAM, _KEPT, _TRAINED = 1 << 40, 1, 2
# Seeds of runs from here on pass by the streams of the judge of samples and of their protocol.
_PASSING, _PASSED = 3, 16
_WORDS, _ORDER = 0x5A1D, 0x0DE2

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class MadeCodes:
    """Codes of portraits, the words of some sentences of each (zeros after the last), and the classes."""

    codes: UInt16[ndarray, "portraits codes"]
    words: UInt16[ndarray, "portraits phrasings sentence"]
    classes: UInt8[ndarray, " portraits"]

    def __len__(self) -> int:
        return len(self.codes)

    def batch(self, number: int, rows: int, seed: int) -> SentenceBatch:
        """Batch number i of a run: all portraits in a new order in each round, each in one phrasing."""
        places = range(number * rows, (number + 1) * rows)
        chosen = [int(_order(len(self), seed, place // len(self))[place % len(self)]) for place in places]
        draws = np.random.default_rng((seed, number, _WORDS)).integers(self.words.shape[1], size=rows)
        return SentenceBatch(
            codes=torch.from_numpy(self.codes[chosen].astype(np.int64)),  # pyright: ignore[reportUnknownMemberType]  torch leaves it untyped
            words=torch.from_numpy(self.words[chosen, draws].astype(np.int64)),  # pyright: ignore[reportUnknownMemberType]  torch again
        )


@lru_cache(maxsize=2)
def _order(count: int, seed: int, turn: int) -> ndarray:
    return np.random.default_rng((seed, turn, _ORDER)).permutation(count)


@dataclass(frozen=True, slots=True)
class _Painted:
    """Some portraits: pictures, sentences of each, classes."""

    pixels: UInt8[Tensor, "portraits 3 size size"]
    said: tuple[tuple[str, ...], ...]
    classes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Portraits(Dataset[_Painted]):
    """Portraits of the seeds from `first` on, `_AT_ONCE` an item."""

    first: int
    size: int
    phrasings: int

    def __getitem__(self, index: int) -> _Painted:
        seeds = range(self.first + index * _AT_ONCE, self.first + (index + 1) * _AT_ONCE)
        drawn = [draw_portrait(seed) for seed in seeds]
        # painting some together saves a tenth on a CPU
        parts = [render([each.scene for each in drawn[at : at + 8]], size=self.size, at_once=8).images
                 for at in range(0, _AT_ONCE, 8)]  # fmt: skip
        said = tuple(_phrasings(each, self.phrasings) for each in drawn)
        return _Painted(torch.cat(parts)[:, 0], said, tuple(each.class_name for each in drawn))


def _phrasings(portrait: Portrait, count: int) -> tuple[str, ...]:
    rng = np.random.default_rng((portrait.scene.seed, _WORDS))
    return tuple(draw_sentence(portrait, rng) for _ in range(count))


def trained_codes(
    config: TrainConfig, spec: GeneratorSpec, tokenizer: VisualTokenizer, weights: str
) -> MadeCodes:
    """The `language.made` portraits of a run's seed, read from `language.codes` where that is there.

    `weights` is the tokenizer's hash. Raises InputError for a file that was made otherwise, StoreError.
    """
    language = config.language
    told = {
        "tokenizer": weights, "seed": config.seed, "made": language.made, "size": language.size,
        "phrasings": language.phrasings, "sentence": spec.sentence,
        "words": hashlib.sha256(" ".join(spec.words).encode()).hexdigest(),
    }  # fmt: skip
    path = Path(language.codes) if language.codes else None
    if path is not None and path.exists():
        return _read(path, told)
    first = (_TRAINED + config.seed + _PASSED * (config.seed >= _PASSING)) * _STREAM
    made = _made(first, language.made, config, spec, tokenizer)
    if path is not None:
        _write(path, made, told)
    return made


def kept_codes(config: TrainConfig, spec: GeneratorSpec, tokenizer: VisualTokenizer, count: int) -> MadeCodes:
    """So many portraits that no run learns from, the same for all."""
    return _made(_KEPT * _STREAM, count, config, spec, tokenizer)


def _made(
    first: int, count: int, config: TrainConfig, spec: GeneratorSpec, tokenizer: VisualTokenizer
) -> MadeCodes:
    language = config.language
    painted = _Portraits(first, language.size, language.phrasings)
    codes: list[ndarray] = []
    words: list[ndarray] = []
    classes: list[int] = []
    source: Iterator[_Painted] = made_ahead(painted, range(-(-count // _AT_ONCE)), config.workers)
    for number, part in enumerate(source):
        room = count - number * _AT_ONCE
        ids = np.stack([
            sentences(spec, [word_ids(spec, said) for said in each]).numpy().astype(np.uint16)
            for each in part.said[:room]
        ])  # fmt: skip
        names = part.classes[:room]
        plain = [place for place, name in enumerate(names) if name != "letter"]
        pixels = torch.cat([part.pixels[:room], part.pixels[plain].flip(-1)])
        codes.append(encoded(tokenizer, pixels[:, None]).cpu().numpy().astype(np.uint16))
        words += [ids, ids[plain]]
        classes += [CLASSES.index(names[place]) for place in (*range(len(names)), *plain)]
        if number % 32 == 31:
            _log.info("%d of %d portraits made", (number + 1) * _AT_ONCE, count)
    return MadeCodes(np.concatenate(codes), np.concatenate(words), np.array(classes, np.uint8))


@torch.inference_mode()
def encoded(tokenizer: VisualTokenizer, pixels: UInt8[Tensor, "rows frames 3 size size"]) -> Tensor:
    """The codes of pictures or clips, (rows, codes), on their device."""
    scaled = pixels.float().transpose(1, 2) / 255 - 0.5
    return tokenizer.encode_codes(scaled).flatten(1)


def _write(path: Path, made: MadeCodes, told: dict[str, Any]) -> None:  # JSON
    draft = path.with_name(path.name + ".part")
    with explained_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with draft.open("wb") as stream:
            np.savez(stream, told=json.dumps(told), codes=made.codes, words=made.words, classes=made.classes)
        draft.replace(path)


def _read(path: Path, told: dict[str, Any]) -> MadeCodes:  # JSON
    try:
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as file:
            was: dict[str, Any] = json.loads(str(file["told"]))  # JSON
            made = MadeCodes(file["codes"], file["words"], file["classes"])
    except Exception as error:  # a broken or foreign file may raise anything
        raise InputError(
            "input.unreadable",
            f"{path.name}: no codes of portraits ({error}).",
            "Delete it, or name another.",
        ) from error
    if different := [name for name, value in told.items() if was.get(name) != value]:
        raise InputError(
            "input.value",
            f"{path.name}: its codes were made otherwise (different: {', '.join(different)}).",
            "Name another file with --set language.codes=FILE, or delete it.",
        )
    return made
