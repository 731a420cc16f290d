"""The work of `segma enhance`: from files to larger, marked files."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from segma.cli.batch import Done, Progress, run_batch
from segma.cli.compute import LazyModel
from segma.cli.console import say
from segma.cli.inputs import Batch, Item, batch_of, is_video_file
from segma.cli.output import Place, is_folder, one_file, result_paths
from segma.cli.stopping import Stop
from segma.cli.tokens_files import sizes, video_kind, write_frames
from segma.errors import FormatError, ModelError, SegmaError
from segma.formats.codes import SUFFIX

if TYPE_CHECKING:
    from segma.cli.enhance import EnhanceCompute
    from segma.formats.codes import CodeHeader
    from segma.media.credentials import Signing
    from segma.media.provenance import Mark
    from segma.media.source import Frame
    from segma.tasks.enhance import Enhancement, Picture

_PICTURE, _VIDEO = "picture", "video"


@dataclass(frozen=True, kw_only=True, slots=True)
class Wanted:
    """What was asked for."""

    scale: int
    output: str | None
    overwrite: bool
    allow_network: bool
    no_mark: bool


@dataclass(slots=True)
class _Work:
    """The networks, loaded when they are first needed, and how results are written."""

    wanted: Wanted
    compute: EnhanceCompute
    models: LazyModel
    stop: Stop
    signing: Signing | None
    _ready: Enhancement | None = field(default=None, init=False)

    def enhancement(self) -> Enhancement:
        """The enhancer with its tokenizer. Raises ModelError, InputError for the scale."""
        if self._ready is None:
            model = self.models.get()
            self.models.is_broken = True  # what keeps this from being made keeps every item from it
            tokenizer = self.compute.load_tokenizer()
            self._ready = model.enhancement(self.wanted.scale, tokenizer=tokenizer)
            self.models.is_broken = False
        return self._ready

    def one(self, item: Item, place: Place | None, on_progress: Progress | None) -> Done:
        """Enlarge one file. Raises SegmaError."""
        from segma.media.credentials import sign

        assert place is not None
        run = {_VIDEO: self._video, SUFFIX: self._codes}.get(_kind(item), self._picture)
        size, frames = run(item, place, on_progress)
        sign(place.path, self._mark, self.signing)
        text = f"{item.name}  {sizes(size, frames)}  {self.wanted.scale}x"
        data: dict[str, Any] = {"source": item.name, "output": str(place.path)}
        data |= {"model": self.models.get().name, "scale": self.wanted.scale}
        data |= {"size": list(size), "frames": frames, "marked": not self.wanted.no_mark}
        return Done(text=text, data=data, note=f"saved {place.path}   ({self.models.describe()})")

    @property
    def _mark(self) -> Mark:
        from segma.media.provenance import Mark

        about = f"{self.wanted.scale} times larger"
        return Mark(action="edited", model=self.models.get().name, description=about)

    @property
    def _shown_mark(self) -> Mark | None:
        return None if self.wanted.no_mark else self._mark

    def _picture(self, item: Item, place: Place, on_progress: Progress | None) -> tuple[tuple[int, int], int]:
        """Enlarge a picture, with its alpha; the size of the result, and its frames."""
        import numpy as np

        from segma.media.image import write_image
        from segma.media.resample import enlarged

        work = self.enhancement()
        pixels, alpha = item.read_with_alpha()
        with self.stop.gently() as event:
            made: Any = work.picture(pixels, on_progress, event)  # RGB, or RGBA below
        if alpha is not None:
            made = np.dstack([made, enlarged(alpha, self.wanted.scale)])
        write_image(made, place.path, overwrite=place.overwrite, mark=self._shown_mark)
        return made.shape[:2], 1

    def _video(self, item: Item, place: Place, on_progress: Progress | None) -> tuple[tuple[int, int], int]:
        """Enlarge a video, frame by frame."""
        from segma.cli.track_video import open_video
        from segma.tasks import render

        work, count = self.enhancement(), 0
        source = open_video(item.name)
        with closing(source), self.stop.gently() as event:

            def picture(frame: Frame) -> Picture:
                nonlocal count
                count += 1
                return work.picture(frame.pixels, cancel=event)

            size = work.size_of(source.size)
            render.write_frames(
                source, place.path, picture, kind=place.kind, scale=self.wanted.scale,
                stretch=render.Stretch(on_progress=on_progress, cancel=event), overwrite=place.overwrite,
                mark=self._shown_mark,
            )  # fmt: skip
        return size, count

    def _codes(self, item: Item, place: Place, on_progress: Progress | None) -> tuple[tuple[int, int], int]:
        """Decode a file of codes, and enlarge what is in it."""
        from segma.formats.codes import open_codes
        from segma.tasks.tokenize import decode_groups, watched

        work = self.enhancement()
        with open_codes(item.name) as reader, self.stop.gently() as event:
            header, tokenizer = reader.header, work.tokenizer
            assert tokenizer is not None, "enhancement() gives one"
            self._check_origin(header, work)
            size = work.size_of(header.size)
            groups = watched(reader, on_progress, event)
            frames = work.frames(decode_groups(tokenizer, groups, header, runtime=work.runtime), event)
            write_frames(
                place.path, place.kind, frames, size, header.fps, overwrite=place.overwrite,
                mark=self._shown_mark,
            )  # fmt: skip
        return size, reader.num_frames

    def _check_origin(self, header: CodeHeader, work: Enhancement) -> None:
        """Raises ModelError model.task for codes that the tokenizer at hand did not make."""
        from segma.tasks.tokenize import check_fits

        assert work.tokenizer is not None, "enhancement() gives one"
        try:
            check_fits(work.tokenizer.code_spec, header)
        except ModelError as error:
            own = f" --model {header.model}" if header.model else ""
            hint = f"Decode it first: segma tokens decode{own}, then enhance that."
            raise ModelError(error.code, error.message, hint) from error
        if header.weights and work.weights not in ("", header.weights):
            self.models.console.note("note: the codes were made with other weights than this tokenizer's")


def enhance_files(sources: Sequence[str], wanted: Wanted, compute: EnhanceCompute, models: LazyModel) -> int:
    """Enlarge all files, and give the exit code. Raises SegmaError."""
    from segma.media.credentials import signing_of

    signing = None if wanted.no_mark else signing_of()
    batch = batch_of(sources, allow_network=wanted.allow_network)
    places = _places(batch, wanted)
    moves = any(_kind(item) != _PICTURE for item in batch.items)
    with Stop(say) as stop:
        work = _Work(wanted, compute, models, stop, signing)
        return run_batch(
            batch.items, places, work.one, models, models.console, steps="frames" if moves else "tiles"
        )


def _kind(item: Item) -> str:
    """What a file is: a picture, a video, or codes."""
    if is_video_file(item.name):
        return _VIDEO
    return SUFFIX if item.path is not None and item.path.suffix.lower() == SUFFIX else _PICTURE


def _is_clip(item: Item) -> bool:
    """Whether a video comes out; of codes their header says so."""
    if _kind(item) != SUFFIX:
        return _kind(item) == _VIDEO
    from segma.formats.codes import open_codes

    try:
        with open_codes(item.name) as reader:
            return reader.header.fps is not None
    except SegmaError:  # it is told when its turn comes
        return False


def _places(batch: Batch, wanted: Wanted) -> list[Place]:
    """Where results go. Raises InputError, FormatError."""
    is_clip = [_is_clip(item) for item in batch.items]
    if wanted.output is not None and not is_folder(wanted.output):
        path = one_file(wanted.output, batch)
        return [Place(path=path, kind=_file_kind(path, is_clip[0]), overwrite=wanted.overwrite)]
    found: dict[Item, Place] = {}
    for clips, kind, ending in ((False, _PICTURE, "png"), (True, "h264", "mp4")):
        items = [item for item, each in zip(batch.items, is_clip, strict=True) if each == clips]
        paths = result_paths(items, wanted.output, f".{wanted.scale}x.{ending}")
        found |= {
            item: Place(path=path, kind=kind, overwrite=wanted.overwrite)
            for item, path in zip(items, paths, strict=True)
        }
    return [found[item] for item in batch.items]


def _file_kind(path: Path, is_clip: bool) -> str:
    """As what a file is written. Raises FormatError."""
    from segma.media.image import SUFFIXES

    is_picture = path.suffix.lower() in SUFFIXES
    if is_clip and is_picture:
        raise FormatError(
            "format.loss", f"{path.name}: a picture cannot hold a clip.", "Name a video (x.mp4)."
        )
    if is_clip:
        return video_kind(path)
    if not is_picture:
        raise FormatError("format.unknown", f"{path.name}: no picture has such a name.", "Use .png or .jpg.")
    return _PICTURE
