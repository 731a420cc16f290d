"""Codes or latents of made portraits with sentences: made once, and learned from many times.

A picture takes far longer to paint and to encode than a step takes for it. So they are made before the first
step, each as it is and mirrored (but for letters), and what is kept is small: 0.5 kB each of codes, 4 kB of
latents.
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
from jaxtyping import Bool, Shaped, UInt8, UInt16
from numpy import ndarray
from torch import Tensor
from torch.utils.data import Dataset

from segma.errors import InputError
from segma.media.files import explained_errors
from segma.models.interfaces import GeneratorSpec, VisualTokenizer
from segma.tasks.outlines import outlines_of
from segma.tasks.sentences import sentences, word_ids
from segma.training.config import TrainConfig
from segma.training.generator_batch import SentenceBatch
from segma.training.loader import made_ahead
from segma.training.steps.generating import encoded
from segma.worlds.portraits import Portrait, draw_portrait, draw_sentence
from segma.worlds.render import render
from segma.worlds.reserved import KEPT_STREAM, STREAM_SIZE, trained_stream
from segma.worlds.scene import CLASSES

_AT_ONCE = 32
_WORDS, _ORDER = 0x5A1D, 0x0DE2

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class MadePortraits:
    """Codes or latents of portraits, words of some sentences of each (zeros after the last), and classes.

    Codes are uint16 (portraits, codes), latents float16 (portraits, channels, h, w); the channels after the
    tokenizer's tell what share of their parts the thing covers, -1 to 1.
    """

    values: Shaped[ndarray, "portraits ..."]
    words: UInt16[ndarray, "portraits phrasings sentence"]
    classes: UInt8[ndarray, " portraits"]

    def __len__(self) -> int:
        return len(self.values)

    def batch(self, number: int, rows: int, seed: int) -> SentenceBatch:
        """Batch number i of a run: all portraits in a new order in each round, each in one phrasing."""
        places = range(number * rows, (number + 1) * rows)
        chosen = [int(_order(len(self), seed, place // len(self))[place % len(self)]) for place in places]
        draws = np.random.default_rng((seed, number, _WORDS)).integers(self.words.shape[1], size=rows)
        values = self.values[chosen]
        values = values.astype(np.int64) if values.dtype == np.uint16 else values
        return SentenceBatch(
            values=torch.from_numpy(values),  # pyright: ignore[reportUnknownMemberType]  torch leaves it untyped
            words=torch.from_numpy(self.words[chosen, draws].astype(np.int64)),  # pyright: ignore[reportUnknownMemberType]  torch again
        )


@lru_cache(maxsize=2)
def _order(count: int, seed: int, turn: int) -> ndarray:
    return np.random.default_rng((seed, turn, _ORDER)).permutation(count)


@dataclass(frozen=True, slots=True)
class _Painted:
    """Some portraits: pictures, sentences of each, classes."""

    pixels: UInt8[Tensor, "portraits 3 size size"]
    seen: Bool[Tensor, "portraits size size"]
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
        parts = [render([each.scene for each in drawn[at : at + 8]], size=self.size, at_once=8)
                 for at in range(0, _AT_ONCE, 8)]  # fmt: skip
        pixels = torch.cat([part.images[:, 0] for part in parts])
        # one whole and its parts are all that is there
        seen = torch.cat([part.owners[:, 0] > 0 for part in parts])
        said = tuple(_phrasings(each, self.phrasings) for each in drawn)
        return _Painted(pixels, seen, said, tuple(each.class_name for each in drawn))


def _phrasings(portrait: Portrait, count: int) -> tuple[str, ...]:
    rng = np.random.default_rng((portrait.scene.seed, _WORDS))
    return tuple(draw_sentence(portrait, rng) for _ in range(count))


def trained_portraits(
    config: TrainConfig,
    spec: GeneratorSpec,
    tokenizer: VisualTokenizer,
    weights: str,
    *,
    may_write: bool = True,
) -> MadePortraits:
    """The `generator.made` portraits of a run's seed, read from `generator.codes` where that is there.

    `weights` is the tokenizer's hash. Raises InputError for a file that was made otherwise and for the exam's
    seed, StoreError.
    """
    settings, stream = config.generator, trained_stream(config.seed)
    told = {
        "tokenizer": weights, "stream": stream, "made": settings.made, "size": settings.size,
        "phrasings": settings.phrasings, "sentence": spec.sentence, "latents": not spec.num_codes,
        "cover": spec.cover, "words": hashlib.sha256(" ".join(spec.words).encode()).hexdigest(),
    }  # fmt: skip
    path = Path(settings.codes) if settings.codes else None
    if path is not None and path.exists():
        return _read(path, told)
    made = _made(stream * STREAM_SIZE, settings.made, config, spec, tokenizer)
    if path is not None and may_write:
        _write(path, made, told)
    return made


def kept_portraits(
    config: TrainConfig, spec: GeneratorSpec, tokenizer: VisualTokenizer, count: int
) -> MadePortraits:
    """So many portraits that no run learns from, the same for all."""
    return _made(KEPT_STREAM * STREAM_SIZE, count, config, spec, tokenizer)


def _made(
    first: int, count: int, config: TrainConfig, spec: GeneratorSpec, tokenizer: VisualTokenizer
) -> MadePortraits:
    painted = _Portraits(first, config.generator.size, config.generator.phrasings)
    latents = not spec.num_codes
    values: list[ndarray] = []
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
        pixels, seen = (torch.cat([all_[:room], all_[plain].flip(-1)]) for all_ in (part.pixels, part.seen))
        found = encoded(tokenizer, pixels[:, None], latents=latents).cpu()
        if spec.cover:
            found = torch.cat([found, outlines_of(seen, spec)], 1)
        values.append(found.numpy().astype(np.float16 if latents else np.uint16))
        words += [ids, ids[plain]]
        classes += [CLASSES.index(names[place]) for place in (*range(len(names)), *plain)]
        if number % 32 == 31:
            _log.info("%d of %d portraits made", (number + 1) * _AT_ONCE, count)
    return MadePortraits(np.concatenate(values), np.concatenate(words), np.array(classes, np.uint8))


def _write(path: Path, made: MadePortraits, told: dict[str, Any]) -> None:  # JSON
    draft = path.with_name(path.name + ".part")
    with explained_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with draft.open("wb") as stream:
            np.savez(
                stream, told=json.dumps(told), values=made.values, words=made.words, classes=made.classes
            )
        draft.replace(path)


def _read(path: Path, told: dict[str, Any]) -> MadePortraits:  # JSON
    try:
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as file:
            was: dict[str, Any] = json.loads(str(file["told"]))  # JSON
            made = MadePortraits(file["values"], file["words"], file["classes"])
    except Exception as error:  # a broken or foreign file may raise anything
        raise InputError(
            "input.unreadable",
            f"{path.name}: no codes of portraits ({error}).",
            "Delete it, or name another.",
        ) from error
    if different := [name for name, value in told.items() if was.get(name) != value]:
        raise InputError(
            "input.value",
            f"{path.name}: what it holds was made otherwise (different: {', '.join(different)}).",
            "Name another file with --set generator.codes=FILE, or delete it.",
        )
    return made
