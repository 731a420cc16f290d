"""A generator with the tokenizer that decodes what it makes, and one batch of samples."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from numpy import ndarray
from torch import Tensor

from segma.errors import Cancelled, InputError, ModelError
from segma.formats.codes import CodeGroup, CodeHeader
from segma.models.interfaces import CodeGenerator, CodeSpec, Generator, GeneratorSpec, VisualTokenizer
from segma.results import CodeGrid
from segma.runtime import Runtime, memory_errors
from segma.tasks import tokenize
from segma.tasks.sample_codes import PRESETS, SamplingConfig, sample_codes
from segma.tasks.sample_latents import DIFFUSION_PRESETS, DiffusionConfig, sample_latents
from segma.tasks.sentences import Label

Config = SamplingConfig | DiffusionConfig
Progress = Callable[[int, int | None], None]

_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class Maker:
    """A generator and the tokenizer that decodes what it makes.

    `name` and `weights` are the tokenizer's, `variant` the generator's: its official script says how to
    sample. Raises ModelError model.task where the two networks do not fit each other.
    """

    generator: Generator
    tokenizer: VisualTokenizer
    runtime: Runtime
    name: str = ""
    weights: str = ""
    variant: str | None = None

    def __post_init__(self) -> None:
        """Check that the tokenizer knows what the generator makes."""
        check_pair(self.spec, self.tokenizer.code_spec)
        if self.weights and self.spec.tokenizer not in ("", self.weights):
            _log.warning("the generator has learned the codes of other weights than those of %s", self.name)

    @property
    def spec(self) -> GeneratorSpec:
        """What the generator makes."""
        return self.generator.generator_spec

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the pictures."""
        side = self.spec.side * self.tokenizer.code_spec.patch
        return side, side

    @property
    def num_frames(self) -> int:
        """Frames of a clip that is made at once; 1 of a generator of pictures."""
        return self.frames_of(self.spec.groups)

    @property
    def is_coded(self) -> bool:
        """Whether codes are drawn, which can go on from given ones, and not latents."""
        return isinstance(self.generator, CodeGenerator)

    def frames_of(self, groups: int) -> int:
        """Frames of so many latent frames from the beginning of a clip."""
        return 1 + (groups - 1) * self.tokenizer.code_spec.temporal_patch

    def groups_of(self, frames: int) -> int:
        """Latent frames of so many frames."""
        return 1 + -(-(frames - 1) // self.tokenizer.code_spec.temporal_patch)

    def header(self, fps: float | int | None) -> CodeHeader:
        """What a grid says; `fps` is None of a picture."""
        return tokenize.header_for(
            self.tokenizer,
            self.size,
            fps=fps,
            latents=not self.is_coded,
            model=self.name,
            weights=self.weights,
        )

    def config_or_usual(self, config: Config | None) -> Config:
        """The config, if it is one of this kind of generator; the usual one for None. Raises InputError."""
        if config is None:
            return usual_config(self.spec, self.variant)
        kind = SamplingConfig if self.is_coded else DiffusionConfig
        if type(config) is not kind:
            raise InputError("input.value", f"This generator is sampled with a {kind.__name__}.")
        return config

    def decode(self, grid: CodeGrid) -> UInt8[ndarray, "frames height width 3"]:
        """The frames of a grid; of a picture a single one."""
        frames = tokenize.decode(self.tokenizer, grid, runtime=self.runtime)
        return frames[None] if frames.ndim == 3 else frames


@dataclass(slots=True)
class Watch:
    """Who hears how far a piece of work is (`on_progress(steps done, steps in all)`) and may stop it."""

    on_progress: Progress | None = None
    cancel: threading.Event | None = None
    total: int = 0
    done: int = 0

    def add(self, steps: int) -> None:
        """So many more steps are done. Raises Cancelled on request."""
        if self.cancel is not None and self.cancel.is_set():
            raise Cancelled
        self.done += steps
        if self.on_progress is not None:
            self.on_progress(self.done, self.total or None)


def check_pair(spec: GeneratorSpec, codes: CodeSpec) -> None:
    """Raises ModelError model.task where a tokenizer cannot decode what a generator makes."""
    side = spec.side * codes.patch
    wrong = ""
    if not spec.groups:
        wrong = f"what the one makes are no whole latent frames of {spec.side}x{spec.side}"
    elif spec.num_codes and spec.num_codes != codes.num_codes:
        wrong = f"the one makes {spec.num_codes} codes, the other knows {codes.num_codes or 'none'}"
    elif not spec.num_codes and spec.channels != codes.channels:
        knows = f"those of {codes.channels}" if codes.channels else "none"
        wrong = f"the one makes latents of {spec.channels} channels, the other knows {knows}"
    elif side % codes.side_multiple:
        wrong = f"the one makes {side} pixels squared, the other takes multiples of {codes.side_multiple}"
    elif codes.chunk and spec.groups > 1 + (codes.chunk - 1) // codes.temporal_patch:
        wrong = f"the one makes {spec.groups} latent frames, the other takes {codes.chunk} frames"
    if wrong:
        message = f"Generator and tokenizer do not fit: {wrong}."
        raise ModelError("model.task", message, "Name the tokenizer it was trained with.")


def usual_config(spec: GeneratorSpec, variant: str | None = None) -> Config:
    """How to sample where nobody says: as goes with a variant, else as the official scripts do."""
    if not spec.num_codes:
        return DIFFUSION_PRESETS.get(variant or "", DIFFUSION_PRESETS["official"])
    usual = SamplingConfig(guidance=1.0) if spec.num_classes else SamplingConfig()
    return PRESETS.get(variant or "", usual)


def sampled(
    maker: Maker,
    labels: Sequence[Label],
    config: Config,
    chances: Sequence[torch.Generator],
    groups: int,
    watch: Watch,
    given: Int[ndarray, "groups side side"] | Float[Tensor, "1 parts side side"] | None = None,
) -> ndarray:
    """One batch: codes (batch, groups, side, side), begun with `given` ones, or latents (..., channels).

    Of a generator that makes outlines, `given` is the outline of all. Raises MemoryLimitError, and Cancelled.
    """
    spec, device = maker.spec, maker.runtime.torch_device

    def on_step() -> None:
        watch.add(len(labels))

    with memory_errors(), torch.inference_mode():
        if isinstance(maker.generator, CodeGenerator):
            assert isinstance(config, SamplingConfig)
            first = torch.zeros(len(labels), 0, dtype=torch.long, device=device)
            if isinstance(given, ndarray):
                first = torch.as_tensor(given).to(device).long().flatten().expand(len(labels), -1)
            count = groups * spec.side**2 - first.shape[1]
            codes = sample_codes(
                maker.generator, labels, count, chances, config, given=first, device=device, on_step=on_step
            )
            codes = torch.cat([first, codes], 1).view(-1, groups, spec.side, spec.side)
            return codes.cpu().numpy().astype(np.int32)
        assert isinstance(config, DiffusionConfig)
        outline = given if isinstance(given, Tensor) else None
        latents = sample_latents(
            maker.generator, labels, chances, config, outline=outline, device=device, on_step=on_step
        )
        return latents.float().cpu().numpy()


def grid_of(header: CodeHeader, values: ndarray, num_frames: int) -> CodeGrid:
    """A grid of codes (groups, side, side), or latents, of which the last frames may be left out."""
    groups: list[CodeGroup] = [
        CodeGroup(values=each, num_frames=header.frames_of(index)) for index, each in enumerate(values)
    ]
    return replace(CodeGrid.of(header, groups), num_frames=num_frames)
