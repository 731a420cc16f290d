"""`segma tokens compare`: the table, and the panels side by side."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from segma.cli.compute import LazyModel
from segma.cli.console import say, table
from segma.cli.exits import DONE
from segma.cli.output import Place, spaced
from segma.cli.progress import Bar
from segma.cli.stopping import Stop
from segma.cli.tokens_files import opened, sizes, uninterrupted, video_kind, write_frames

if TYPE_CHECKING:
    from segma.cli.tokens import Part
    from segma.evaluation.code_comparison import Comparison, Kept
    from segma.media.footage import Footage


def compare_source(
    source: str, output: Path | None, part: Part, models: LazyModel, *, latents: bool, overwrite: bool
) -> int:
    """Tell what codes keep, and draw it. Raises SegmaError."""
    from segma.evaluation.code_comparison import compare_codes

    console = models.console
    footage = opened(source, part)
    with ExitStack() as stack:
        stack.callback(footage.close)
        kind = "picture" if footage.is_picture or output is None else video_kind(output)
        if output is not None:
            Place(path=output, kind=kind, overwrite=overwrite).check()
        stop = stack.enter_context(Stop(say))
        model = models.get()
        header = model.code_header(footage, latents=latents)
        bar = stack.enter_context(Bar("comparing", quiet=console.quiet, memory=True))
        stack.enter_context(uninterrupted())
        event = stack.enter_context(stop.gently())
        found = compare_codes(
            model.tokenizer(), footage, header, runtime=model.runtime, on_progress=bar.update, cancel=event
        )
        if output is not None:
            _draw(found, footage, output, kind, overwrite=overwrite)
    count = len(found.original)
    data = {"source": source, "size": list(footage.size), "frames": count, "model": model.name}
    data |= {"codes": found.codes.to_dict(), "other": found.other.to_dict()}
    data |= {"output": None if output is None else str(output)}
    rows = [["", "setting", "bytes", "bits/pixel", "PSNR", "SSIM"], _row(found.codes), _row(found.other)]
    text = f"{footage.source.name}  {sizes(footage.size, count)}\n"
    console.result(text + table(rows, right=frozenset({2, 3, 4, 5})), data)
    if not found.other.fits:
        console.note(f"note: {found.other.name} at its worst setting still takes more bytes than the codes")
    if output is not None:
        console.note(f"saved {output}   ({models.describe()})")
    return DONE


def _row(kept: Kept) -> list[str]:
    name = {"JPEG": "quality", "H.264": "crf"}.get(kept.name, "")
    setting = "" if kept.setting is None else f"{name} {kept.setting}"
    numbers = [f"{kept.bits_per_pixel:.4f}", f"{kept.psnr:.2f}", f"{kept.ssim:.4f}"]
    return [kept.name, setting, spaced(kept.num_bytes), *numbers]


def _draw(found: Comparison, footage: Footage, output: Path, kind: str, *, overwrite: bool) -> None:
    """Original, codes and the other, side by side."""
    from segma.media.panels import panels_size, side_by_side

    names = ("original", *(f"{kept.name}  {kept.psnr:.1f} dB" for kept in (found.codes, found.other)))
    columns = zip(found.original, found.codes.frames, found.other.frames, strict=True)
    panels = (side_by_side(dict(zip(names, pictures, strict=True))) for pictures in columns)
    size = panels_size(footage.size, len(names))
    write_frames(output, kind, panels, size, footage.fps, overwrite=overwrite)
