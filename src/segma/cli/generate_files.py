"""The work of `segma generate`: from options to marked files."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from segma.cli.compute import LazyModel
from segma.cli.console import say
from segma.cli.exits import DONE, INTERRUPTED
from segma.cli.inputs import STANDARD_INPUT
from segma.cli.output import Place, is_folder
from segma.cli.progress import Bar
from segma.cli.stopping import Stop
from segma.cli.tokens_files import sizes, video_kind
from segma.cli.track_video import beside
from segma.errors import Cancelled, FormatError, InputError

if TYPE_CHECKING:
    from numpy import ndarray

    from segma.cli.generate import GenerateCompute, Sampling
    from segma.media.credentials import Signing
    from segma.media.footage import Footage
    from segma.tasks.maker import Config, Maker
    from segma.tasks.sentences import Label

_CODED, _NOISED = ("temperature", "top_k", "top_p"), ("steps", "sampler")
_PICTURE = "picture"


@dataclass(frozen=True, slots=True)
class Order:
    """What was asked for. `labels` are classes as they were typed; none of a generator without classes."""

    sampling: Sampling
    compute: GenerateCompute
    models: LazyModel
    labels: Sequence[str]
    sentences: Sequence[str]
    output: str | None
    overwrite: bool
    no_mark: bool


@dataclass(frozen=True, slots=True)
class Beginning:
    """What a video is to go on from."""

    source: str
    frames: str | None
    fps: float | None
    allow_network: bool


@dataclass(frozen=True, slots=True)
class _Sample:
    """One file to make."""

    label: str | None
    is_sentence: bool
    seed: int
    path: Path
    kind: str

    @property
    def said(self) -> str:
        """What was asked for and the seed, for people."""
        asked = f'"{self.label}"' if self.is_sentence else f"class {self.label}"
        return f"seed {self.seed}" if self.label is None else f"{asked}, seed {self.seed}"


@dataclass(frozen=True, slots=True)
class _Work:
    """What is sampled, how, and of what; `options` are the rest of the functions' arguments."""

    maker: Maker
    config: Config
    labels: list[Label]
    options: dict[str, Any]  # seed, batch, on_progress, cancel


_Make = Callable[[_Work], Iterator["ndarray"]]


def make_images(order: Order, mask: Path | None) -> int:
    """Write pictures, of things of the shape of a mask's file. Raises SegmaError."""
    from segma.media.image import read_mask
    from segma.tasks.generate import generate_images

    shape = None if mask is None else read_mask(mask)

    def make(work: _Work) -> Iterator[ndarray]:
        for picture in generate_images(work.maker, work.labels, work.config, mask=shape, **work.options):
            yield picture[None]

    return _run(order, _samples(order, "image", ".png"), make, None)


def make_videos(order: Order, length: int | None, fps: float) -> int:
    """Write clips. Raises SegmaError."""
    from segma.tasks.generate import generate_clips

    def make(work: _Work) -> Iterator[ndarray]:
        return generate_clips(work.maker, work.labels, work.config, num_frames=length, **work.options)

    return _run(order, _samples(order, "video", ".mp4"), make, _checked_rate(fps))


def continue_source(order: Order, beginning: Beginning, length: int | None) -> int:
    """Write the end of a source and what may follow on it. Raises SegmaError."""
    from segma.media.footage import open_footage
    from segma.media.source import DEFAULT_FPS
    from segma.prompts.parse import frame_range

    if len(order.labels) + len(order.sentences) > 1:
        raise InputError("input.value", "A video goes on in one class at a time.", "Name one --class.")
    rate = None if beginning.fps is None else _checked_rate(beginning.fps)
    samples = _samples(order, "video", ".mp4", beginning.source)
    given = sys.stdin.buffer.read() if beginning.source == STANDARD_INPUT else beginning.source
    part = None if beginning.frames is None else frame_range(beginning.frames)
    footage = open_footage(given, frames=part, fps=rate, allow_network=beginning.allow_network)
    with ExitStack() as stack:
        stack.callback(footage.close)
        return _run(order, samples, _continuing(footage, length), rate or footage.fps or DEFAULT_FPS)


def _continuing(footage: Footage, length: int | None) -> _Make:
    import numpy as np

    from segma.tasks.generate import continue_clip, last_frames

    def make(work: _Work) -> Iterator[ndarray]:
        last = last_frames(work.maker, footage.frames())
        more = work.maker.num_frames - len(last) if length is None else length
        options = {name: work.options[name] for name in ("on_progress", "cancel")}
        for number, label in enumerate(work.labels):
            seed = work.options["seed"] + number
            windows = continue_clip(work.maker, last, more, work.config, label=label, seed=seed, **options)
            yield np.concatenate([last, *(window.new for window in windows)])

    return make


def _run(order: Order, samples: Sequence[_Sample], make: _Make, fps: float | None) -> int:
    """Write what `make` gives for each sample, and give the exit code. Raises SegmaError."""
    from segma.media.credentials import signing_of

    for sample in samples:
        Place(path=sample.path, kind=sample.kind, overwrite=order.overwrite).check()
    signing = None if order.no_mark else signing_of()
    done = 0
    with ExitStack() as stack:
        stop = stack.enter_context(Stop(say, "step"))
        work = _begun(order, samples)
        bar = stack.enter_context(Bar("sampling", quiet=order.models.console.quiet, memory=True))
        event = stack.enter_context(stop.gently())
        work.options.update(on_progress=bar.update, cancel=event)
        try:
            for sample, clip in zip(samples, make(work), strict=True):
                with bar.paused():
                    _write(order, sample, clip, fps, signing)
                done += 1
        except (Cancelled, KeyboardInterrupt):
            if not done:
                raise Cancelled("Interrupted: nothing was written.") from None
            say(f"interrupted: {done} of {len(samples)} files are done, and stay so. [cancelled]")
            return INTERRUPTED
    return DONE


def _begun(order: Order, samples: Sequence[_Sample]) -> _Work:
    """The networks, and what they are asked. Raises ModelError, InputError."""
    from segma.tasks.sentences import class_label, word_ids

    maker = order.models.get().maker(order.compute.load_tokenizer())
    if order.sentences and not maker.spec.words:
        raise InputError("input.value", "This generator knows no words.", "Ask for a --class.")
    labels = [
        word_ids(maker.spec, str(sample.label))
        if sample.is_sentence
        else class_label(maker.spec, sample.label)
        for sample in samples
    ]
    options: dict[str, Any] = {"seed": order.sampling.seed, "batch": order.sampling.batch}  # arguments
    return _Work(maker, _config(maker, order.sampling), labels, options)


def _config(maker: Maker, sampling: Sampling) -> Config:
    """The usual way to sample, but for what was asked for. Raises InputError."""
    from segma.tasks.sample_latents import DIFFUSION_PRESETS, DiffusionConfig

    config = maker.config_or_usual(None)
    own, other = (_CODED, _NOISED) if maker.is_coded else (_NOISED, _CODED)
    for name in other:
        if getattr(sampling, name) is not None:
            what = "of diffusion, and this generator draws codes"
            what = what if maker.is_coded else "of codes, and this generator takes noise away"
            raise InputError("input.value", f"--{name.replace('_', '-')} is {what}.", "Leave it out.")
    if isinstance(config, DiffusionConfig) and sampling.sampler not in (None, config.sampler):
        steps = {
            DIFFUSION_PRESETS[name].sampler: DIFFUSION_PRESETS[name].steps for name in ("official", "fast")
        }
        config = replace(config, steps=steps.get(sampling.sampler, config.steps))
    given = {name: getattr(sampling, name) for name in (*own, "guidance")}
    return replace(config, **{name: value for name, value in given.items() if value is not None})


def _write(order: Order, sample: _Sample, clip: ndarray, fps: float | None, signing: Signing | None) -> None:
    """Write the frames of a sample with their mark, and tell of it. Raises SegmaError."""
    from segma.media.credentials import sign
    from segma.media.image import write_image
    from segma.media.provenance import Mark
    from segma.media.video_write import Timing, VideoWriter

    model = order.models.get()
    mark = Mark(action="generated", model=model.name, description=sample.said)
    shown = None if order.no_mark else mark
    overwrite, size = order.overwrite, (clip.shape[1], clip.shape[2])
    if fps is None:
        write_image(clip[0], sample.path, overwrite=overwrite, mark=shown)
    else:
        timing = Timing.of_rate(fps, num_frames=len(clip))
        with VideoWriter(
            sample.path, size, kind=sample.kind, timing=timing, overwrite=overwrite, mark=shown
        ) as writer:
            for index, frame in enumerate(clip):
                writer.write(frame, index / fps)
    sign(sample.path, mark, signing)
    data = {
        "output": str(sample.path),
        "model": model.name,
        "sentence" if sample.is_sentence else "class": sample.label,
        "seed": sample.seed,
        "size": list(size),
        "frames": len(clip),
        "fps": fps,
        "marked": shown is not None,
    }
    console = order.models.console
    console.result(f"{sample.path.name}  {sizes(size, len(clip))}  {sample.said}", data)
    console.note(f"saved {sample.path}   ({order.models.describe()})")


def _samples(order: Order, what: str, ending: str, source: str | None = None) -> list[_Sample]:
    """All files to make. Raises InputError, FormatError."""
    sampling = order.sampling
    asked = [*((label, False) for label in order.labels), *((each, True) for each in order.sentences)]
    each_asked = [pair for pair in asked or [(None, False)] for _ in range(sampling.count)]
    labels = [label for label, _ in each_asked]
    seeds = range(sampling.seed, sampling.seed + len(labels))
    stems = [_stem(what, label, seed) for label, seed in zip(labels, seeds, strict=True)]
    folder = Path()
    if source is not None:
        folder, stem = _beside(source, order.output)
        stems = [stem if len(labels) == 1 else f"{stem}-seed{seed}" for seed in seeds]
    if order.output is not None and not is_folder(order.output):
        if len(labels) > 1:
            text = f"{len(labels)} samples do not go into the one file {order.output}."
            raise InputError("input.value", text, "Name a folder: -o results/")
        paths = [Path(order.output)]
    else:
        if order.output is not None:
            from segma.media.files import make_folder

            folder = Path(order.output)
            make_folder(order.output)
        paths = [folder / f"{stem}{ending}" for stem in stems]
    kinds = [_kind(what, path) for path in paths]
    rows = zip(each_asked, seeds, paths, kinds, strict=True)
    return [_Sample(*pair, seed, path, kind) for pair, seed, path, kind in rows]


def _stem(what: str, label: str | None, seed: int) -> str:
    """The name of a file without its suffix: "image-207-seed0"."""
    name = "" if label is None else "-" + (re.sub(r"[^\w-]+", "-", label).strip("-")[:60] or "class")
    return f"{what}{name}-seed{seed}"


def _beside(source: str, output: str | None) -> tuple[Path, str]:
    """Folder and name of what follows on a source. Raises InputError."""
    if source != STANDARD_INPUT and "://" not in source:
        stem = beside(source)
        return stem.parent, f"{stem.name}.continued"
    if output is None:
        raise InputError("input.value", f"{source} has no folder for the result.", "Add -o FILE.")
    return Path(), "continued"


def _kind(what: str, path: Path) -> str:
    """As what a file is written. Raises FormatError."""
    from segma.media.image import SUFFIXES

    if what != "image":
        return video_kind(path)
    if path.suffix.lower() not in SUFFIXES:
        raise FormatError("format.unknown", f"{path.name}: no picture has such a name.", "Use .png or .jpg.")
    return _PICTURE


def _checked_rate(fps: float) -> float:
    if not 0 < fps < float("inf"):
        raise InputError("input.value", f"{fps} frames a second make no video.")
    return fps
