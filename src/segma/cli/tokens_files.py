"""`segma tokens encode`, `decode` and `info`: from a source to a file of codes and back."""

from __future__ import annotations

import sys
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from segma.cli.compute import LazyModel
from segma.cli.console import say
from segma.cli.exits import DONE
from segma.cli.inputs import STANDARD_INPUT
from segma.cli.output import Place, is_folder, spaced
from segma.cli.progress import Bar
from segma.cli.stopping import Stop
from segma.cli.track_video import beside
from segma.errors import Cancelled, FormatError, InputError
from segma.formats.codes import SUFFIX, CodeHeader, CodeReader, new_codes, open_codes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jaxtyping import UInt8
    from numpy import ndarray

    from segma.cli.tokens import Part
    from segma.media.footage import Footage
    from segma.media.provenance import Mark

_FOLDER, _PICTURE = "png", "picture"


def encode_file(
    source: str, output: Path | None, part: Part, models: LazyModel, *, latents: bool, overwrite: bool
) -> int:
    """Write the codes of a source. Raises SegmaError."""
    from segma.tasks.tokenize import encode_groups, watched

    console = models.console
    path = _codes_path(source, output)
    Place(path=path, kind="codes", overwrite=overwrite).check()
    footage = opened(source, part)
    with ExitStack() as stack:
        stack.callback(footage.close)
        stop = stack.enter_context(Stop(say))
        model = models.get()
        header = model.code_header(footage, latents=latents)
        bar = stack.enter_context(Bar("encoding", quiet=console.quiet, memory=True))
        stack.enter_context(uninterrupted())
        event = stack.enter_context(stop.gently())
        groups = encode_groups(model.tokenizer(), footage.frames(), header, runtime=model.runtime)
        with new_codes(path, header, overwrite=overwrite) as writer:
            for group in watched(groups, bar.update, event, footage.num_frames):
                writer.write(group)
    facts = _facts(header, writer.num_frames, path)
    grid = f"{writer.num_groups}x{header.grid[0]}x{header.grid[1]}"
    what = f"latents of {header.channels} numbers" if header.channels else f"codes of {header.bits} bits"
    text = f"{_name(source)}  {sizes(header.size, writer.num_frames)}  {grid} {what}"
    text = f"{text}  {facts['bits_per_pixel']:.3g} bits per pixel"
    console.result(text, {"source": source, "output": str(path), **facts})
    console.note(f"saved {path}   ({spaced(facts['file_bytes'])} bytes, {models.describe()})")
    return DONE


def decode_file(file: Path, output: str | None, models: LazyModel, *, overwrite: bool) -> int:
    """Write the picture or video of a file. Raises SegmaError."""
    from segma.tasks.tokenize import decode_groups, watched

    console = models.console
    with ExitStack() as stack:
        reader = stack.enter_context(open_codes(file))
        path, kind = _decoded_path(file, output, reader.header)
        _check(path, kind, overwrite=overwrite)
        stop = stack.enter_context(Stop(say))
        model = models.get()
        model.check_origin(reader.header)
        bar = stack.enter_context(Bar("decoding", quiet=console.quiet, memory=True))
        stack.enter_context(uninterrupted())
        groups = watched(reader, bar.update, stack.enter_context(stop.gently()))
        frames = decode_groups(model.tokenizer(), groups, reader.header, runtime=model.runtime)
        write_frames(path, kind, frames, reader.header.size, reader.header.fps, overwrite=overwrite)
    data = {"source": str(file), "output": str(path), "model": model.name}
    data |= {"size": list(reader.header.size), "frames": reader.num_frames}
    console.result(f"{file.name}  {sizes(reader.header.size, reader.num_frames)}  decoded", data)
    console.note(f"saved {path}   ({models.describe()})")
    return DONE


def facts_of(file: Path) -> dict[str, Any]:  # JSON
    """What a file holds, and that all of it is whole. Raises InputError, FormatError."""
    with open_codes(file) as reader:
        used = _used(reader)
        return {"source": str(file), **_facts(reader.header, reader.num_frames, file), "codes_used": used}


def opened(source: str, part: Part) -> Footage:
    """The frames of a source. Raises InputError."""
    from segma.media.footage import open_footage
    from segma.prompts.parse import frame_range

    given = sys.stdin.buffer.read() if source == STANDARD_INPUT else source
    frames = None if part.frames is None else frame_range(part.frames)
    return open_footage(
        given, longest_side=part.size, frames=frames, fps=part.fps, allow_network=part.allow_network
    )


def write_frames(
    path: Path,
    kind: str,
    frames: Iterator[UInt8[ndarray, "height width 3"]],
    size: tuple[int, int],
    fps: float | None,
    *,
    overwrite: bool,
    mark: Mark | None = None,
) -> None:
    """Write a picture, or a video of a kind. Raises SegmaError."""
    from segma.media.image import write_image
    from segma.media.source import DEFAULT_FPS
    from segma.media.video_write import Timing, VideoWriter

    if kind == _PICTURE:
        shown = list(frames)  # also of a picture all is read, so that a broken end is found
        write_image(shown[0], path, overwrite=overwrite, mark=mark)
        return
    rate = fps or DEFAULT_FPS
    timing = Timing.of_rate(rate)
    with VideoWriter(path, size, kind=kind, timing=timing, overwrite=overwrite, mark=mark) as writer:
        for index, frame in enumerate(frames):
            writer.write(frame, index / rate)


def video_kind(path: Path) -> str:
    """The kind of video that a name says. Raises FormatError."""
    from segma.media.video_kinds import KINDS

    found = [kind.name for kind in KINDS if kind.suffix and kind.suffix == path.suffix.lower()]
    if not found:
        known = ", ".join(sorted({kind.suffix for kind in KINDS if kind.suffix}))
        raise FormatError("format.unknown", f"{path.name}: no video has such a name.", f"Use {known}.")
    return found[0]


def sizes(size: tuple[int, int], num_frames: int) -> str:
    """For people: "640x480", or "640x480, 12 frames"."""
    return f"{size[1]}x{size[0]}" + (f", {num_frames} frames" if num_frames > 1 else "")


@contextmanager
def uninterrupted() -> Generator[None, None, None]:
    """Says, of whatever was interrupted inside, that nothing was written."""
    try:
        yield
    except (Cancelled, KeyboardInterrupt):
        raise Cancelled("Interrupted: nothing was written.") from None


def _codes_path(source: str, output: Path | None) -> Path:
    """Where the codes go. Raises InputError, FormatError."""
    if output is None:
        if source == STANDARD_INPUT or "://" in source:
            raise InputError("input.value", f"{source} has no folder for the result.", "Add -o FILE.")
        stem = beside(source)
        return stem.with_name(stem.name + SUFFIX)
    if output.suffix.lower() != SUFFIX:
        raise FormatError("format.unknown", f"{output}: a file of codes is called x{SUFFIX}.")
    return output


def _decoded_path(file: Path, output: str | None, header: CodeHeader) -> tuple[Path, str]:
    """Where the frames go, and as what. Raises FormatError."""
    from segma.media.image import SUFFIXES

    is_picture = header.fps is None
    if output is None:
        ending = "png" if is_picture else "mp4"
        return file.with_name(f"{file.stem}.decoded.{ending}"), _PICTURE if is_picture else "h264"
    path = Path(output)
    if is_folder(output):
        return path, _FOLDER
    if is_picture:
        return path, _PICTURE
    if path.suffix.lower() in SUFFIXES:
        raise FormatError(
            "format.loss", f"{path.name}: a picture cannot hold a clip.", "Name a video (x.mp4), or a folder."
        )
    return path, video_kind(path)


def _check(path: Path, kind: str, *, overwrite: bool) -> None:
    """Raises what would keep the output from being written, before any work is done."""
    if kind != _FOLDER:
        Place(path=path, kind=kind, overwrite=overwrite).check()
    elif not overwrite and path.is_dir() and any(path.iterdir()):
        raise InputError("input.exists", f"{path} exists and is not empty.", "Use --overwrite to replace it.")


def _used(reader: CodeReader) -> int | None:
    """How many codes of the codebook occur; None for latents."""
    seen = np.zeros(max(1, reader.header.num_codes), bool)
    for group in reader:
        if reader.header.num_codes:
            seen[group.values.reshape(-1)] = True
    return int(np.count_nonzero(seen)) if reader.header.num_codes else None


def _facts(header: CodeHeader, num_frames: int, file: Path) -> dict[str, Any]:  # JSON
    return {
        "size": list(header.size),
        "frames": num_frames,
        "fps": header.fps,
        "grid": [header.num_groups(num_frames), *header.grid],
        "num_codes": header.num_codes,
        "channels": header.channels,
        "bits_per_code": header.bits,
        "bits_per_pixel": header.bits_per_pixel(num_frames),
        "patch": header.patch,
        "temporal_patch": header.temporal_patch,
        "chunk": header.chunk,
        "model": header.model,
        "weights": header.weights,
        "file_bytes": file.stat().st_size,
    }


def _name(source: str) -> str:
    return "stdin" if source == STANDARD_INPUT else Path(source).name or source
