"""Codes drawn one after the other from a language model, rows of a batch at once.

Chance comes from one `torch.Generator` a row, on the CPU: a row does not depend on the device or on what
else is in its batch. Official weights are sampled with the slips of their program (`parity`):

- without a class there is the start symbol alone, at position 0; position 1 stays empty
- top-p counts only where a top-k is given
- what follows on given codes, in the order "codes", starts without the 0 of training
- ids of classes can be drawn and are read on; in the end such an id is the first code

Of other weights the class alone is left out, top-p counts always, the 0 is there, and only codes are drawn.
Weights that know words have a place for each, of which those after the last word hold a 0, and all of them
where nothing is asked for.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import torch
from jaxtyping import Float, Int
from torch import Tensor

from segma.errors import InputError, ModelError
from segma.models.interfaces import CodeGenerator, GeneratorSpec
from segma.tasks.sentences import Label, sentences

# Ids that are read together before the first is drawn: their logits fit into little memory.
_READ_AT_ONCE = 256


@dataclass(frozen=True, kw_only=True, slots=True)
class SamplingConfig:
    """How codes are drawn. Raises InputError for values that make no sense.

    `guidance` s: logits are (1 + s) times those of the class less s times those of none. `top_k` keeps so
    many of the likeliest ids, `top_p` of these the likeliest until they have that share together (the one
    that passes it is kept). At `temperature` 0 the likeliest id is taken. `parity`: see the module; None: as
    the weights say.
    """

    temperature: float | int = 1.0
    top_k: int | None = None
    top_p: float | int = 1.0
    guidance: float | int = 0.0
    parity: bool | None = None

    def __post_init__(self) -> None:
        """Check the values."""
        for name, least, most in (("temperature", 0.0, 1e6), ("guidance", 0.0, 1e6), ("top_p", 0.0, 1.0)):
            value = getattr(self, name)
            if not (math.isfinite(value) and least <= value <= most):
                raise InputError("input.value", f"{name} is {value}, expected {least:g} to {most:g}.")
        if self.top_p == 0:
            raise InputError("input.value", "top_p 0 keeps nothing; for the likeliest id use temperature 0.")
        if self.top_k is not None and self.top_k < 1:
            raise InputError("input.value", f"top_k is {self.top_k}, expected 1 or more.")


PRESETS: Mapping[str, SamplingConfig] = MappingProxyType(
    {
        "omnitokenizer_gpt_imagenet": SamplingConfig(guidance=1.5, top_k=2048),
        "omnitokenizer_gpt_ucf": SamplingConfig(guidance=0.5, top_k=4096, top_p=0.9),
        "omnitokenizer_gpt_k600": SamplingConfig(top_k=2048, top_p=0.9),
        "omnitokenizer_gpt_small": SamplingConfig(guidance=2.0, top_p=0.9),
    }
)
"""Those of the three official scripts, by variant (specification, section 8), and of our own."""


@dataclass(frozen=True, slots=True)
class Prompt:
    """What stands before the first code to draw: ids, and how the same row begins without its class.

    `shown_without` (n) says which of `without` are there; both are None where there is no class to leave out.
    """

    ids: Int[Tensor, "batch n"]
    without: Int[Tensor, "batch n"] | None = None
    shown_without: tuple[bool, ...] = ()


def prompt_for(
    spec: GeneratorSpec,
    labels: Sequence[Label],
    given: Int[Tensor, "batch codes"] | None = None,
    *,
    parity: bool,
) -> Prompt:
    """The prompt for rows of these classes (None in the order "codes") or words, before given codes."""
    count = len(labels)
    codes = torch.zeros(count, 0, dtype=torch.long) if given is None else given.cpu() + first_code(spec)
    start = torch.zeros(count, 1, dtype=torch.long)
    if spec.order == "codes":
        begins_alone = parity and codes.shape[1] > 0
        return Prompt(codes if begins_alone else torch.cat([start, codes], 1))
    if spec.order == "words":
        words = sentences(spec, [label if isinstance(label, tuple) else () for label in labels])
        without = torch.cat([torch.zeros_like(words), start, codes], 1)
        return Prompt(torch.cat([words, start, codes], 1), without, (True,) * without.shape[1])
    classes = torch.tensor([1 + (label if isinstance(label, int) else 0) for label in labels])[:, None]
    both = [classes, start] if spec.order == "class_start" else [start, classes]
    without = torch.cat([start, start, codes], 1)
    has_first = parity or spec.order == "start_class"
    shown = (has_first, not has_first, *[True] * codes.shape[1])
    return Prompt(torch.cat([*both, codes], 1), without, shown)


def first_code(spec: GeneratorSpec) -> int:
    """The id of code 0."""
    return 0 if spec.order == "codes" else 1 + (len(spec.words) or spec.num_classes)


def sample_codes(
    network: CodeGenerator,
    labels: Sequence[Label],
    num_codes: int,
    generators: Sequence[torch.Generator],
    config: SamplingConfig,
    *,
    given: Int[Tensor, "batch codes"] | None = None,
    device: torch.device | str = "cpu",
    on_step: Callable[[], object] | None = None,
) -> Int[Tensor, "batch {num_codes}"]:
    """So many codes for each label, after those that are `given`; on the device.

    `on_step` is called after each. Raises ModelError model.task where they are more than the network has
    positions for.
    """
    spec = network.generator_spec
    parity = spec.parity if config.parity is None else config.parity
    prompt = prompt_for(spec, labels, given, parity=parity)
    _check_length(spec, 0 if given is None else given.shape[1], num_codes)
    begun = _Begun.of(network, prompt, num_codes, config, device)
    draws = torch.stack([torch.rand(num_codes, generator=each) for each in generators]).to(device)
    ids = torch.empty(len(labels), num_codes, dtype=torch.long, device=device)
    first = first_code(spec)
    for step in range(num_codes):
        logits = begun.guided(config)
        if not parity:
            logits[:, :first] = -torch.inf
        ids[:, step] = draw(logits, draws[:, step], config, parity=parity)
        if step + 1 < num_codes:
            begun.extend(ids[:, step])
        if on_step is not None:
            on_step()
    return (ids - first).clamp(0, spec.num_codes - 1)


def draw(
    logits: Float[Tensor, "batch vocabulary"],
    chance: Float[Tensor, " batch"],
    config: SamplingConfig,
    *,
    parity: bool = False,
) -> Int[Tensor, " batch"]:
    """The ids that numbers from 0 to 1 (without 1) choose, the likeliest id having the lowest numbers."""
    if config.temperature == 0:
        return logits.argmax(-1)
    values, order = (logits / config.temperature).topk(min(config.top_k or logits.shape[1], logits.shape[1]))
    shares = values.softmax(-1)
    if config.top_p < 1 and not (parity and config.top_k is None):
        before = shares.cumsum(-1) - shares
        before[:, 0] = 0
        shares = shares.masked_fill(before > config.top_p, 0)
    reached = shares.cumsum(-1)
    total = reached[:, -1:]
    # below the total even where the product is rounded up, so that no id without a share is chosen
    wanted = torch.minimum(chance[:, None] * total, total.nextafter(torch.zeros_like(total)))
    return order.gather(1, torch.searchsorted(reached, wanted, right=True))[:, 0]


@dataclass(slots=True)
class _Begun:
    """Rows that a network has read so far: those with a class first, then, of guidance, those without."""

    network: CodeGenerator
    cache: object
    place: int
    wanted: Tensor
    other: Tensor | None

    @classmethod
    def of(
        cls,
        network: CodeGenerator,
        prompt: Prompt,
        num_codes: int,
        config: SamplingConfig,
        device: torch.device | str,
    ) -> _Begun:
        """The rows of a prompt, with room for so many codes."""
        batch, length = prompt.ids.shape
        ids, shown = prompt.ids.to(device), torch.ones(1, length, dtype=torch.bool, device=device)
        is_guided = config.guidance > 0 and prompt.without is not None
        if is_guided and prompt.without is not None:
            ids = torch.cat([ids, prompt.without.to(device)])
            without = torch.tensor([prompt.shown_without], device=device)
            shown = torch.cat([shown.expand(batch, -1), without.expand(batch, -1)])
        shown = shown.expand(len(ids), -1)
        cache = network.new_cache(len(ids), length + num_codes - 1)
        # where those without a class have their last id: in its place there may be a gap
        last = max((place for place, there in enumerate(prompt.shown_without) if there), default=0)
        logits = other = torch.empty(0)
        for start in range(0, length, _READ_AT_ONCE):
            part = slice(start, start + _READ_AT_ONCE)
            logits = network.extend(ids[:, part], start, cache, shown[:, part])
            if start <= last < start + _READ_AT_ONCE:
                other = logits[batch:, last - start]
        return cls(network, cache, length, logits[:batch, -1], other if is_guided else None)

    def guided(self, config: SamplingConfig) -> Tensor:
        """The logits (batch, vocabulary) of what comes next; the caller may change them."""
        if self.other is None:
            return self.wanted.clone()
        return (1 + config.guidance) * self.wanted - config.guidance * self.other

    def extend(self, ids: Int[Tensor, " batch"]) -> None:
        """Read one more id of each row."""
        both = ids if self.other is None else torch.cat([ids, ids])
        found = self.network.extend(both[:, None], self.place, self.cache)[:, 0]
        self.place += 1
        self.wanted = found[: len(ids)]
        self.other = None if self.other is None else found[len(ids) :]


def _check_length(spec: GeneratorSpec, given: int, num_codes: int) -> None:
    room = spec.groups * spec.side**2
    if given + num_codes > room or num_codes < 1:
        text = f"{num_codes} codes after {given} given ones: the model has positions for {room}."
        raise ModelError("model.task", text)
