"""Images and videos of a project: what is known of them, and where they are found again."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Literal

from sqlalchemy import Connection, delete, insert, select

from segma.errors import InputError
from segma.store.columns import Values
from segma.store.ids import new_id
from segma.store.schema import FrameTimeRow, ShotRow

AssetKind = Literal["image", "video", "frames", "stream"]
ShotSource = Literal["auto", "person"]

_MOST_DENOMINATOR = 1001  # 30000 / 1001 and its like; a rate of any file is that or simpler


@dataclass(frozen=True, kw_only=True, slots=True)
class Asset:
    """One image or video. `size` = (height, width), upright; `path` is absolute, or an address.

    `near` is the way from the project's `folder`, for files inside or beside it; `num_bytes` and `modified`
    (nanoseconds) tell whether the file is still the same; `sha256` is computed by `upkeep.check`.
    """

    asset_id: str
    folder: Path
    name: str
    path: str
    near: str | None
    kind: AssetKind
    size: tuple[int, int]
    num_frames: int | None
    fps: Fraction | None
    rotation: int
    num_bytes: int | None
    modified: int | None
    sha256: str | None
    state: str

    def locate(self) -> Path:
        """The file or folder of frames: where it was beside the project, where it was, or beside the project.

        Raises InputError `input.not_found` where it is gone, or where another file has its name.
        """
        if self.kind == "stream":
            raise InputError("input.not_found", f"{self.name} was a live stream: there is no file of it.")
        changed: Path | None = None
        for path in self._places():
            found = _num_bytes(path)
            if found == self.num_bytes and path.exists():
                return path
            changed = changed or (path if found is not None else None)
        hint = f"Put it back, or beside {self.folder.name}."
        if changed is not None:
            raise InputError(
                "input.not_found",
                f"{self.name}: {changed} is another file now ({_num_bytes(changed)} bytes, "
                f"it had {self.num_bytes}).",
                hint,
            )
        raise InputError(
            "input.not_found", f"{self.name}: no such file. Looked in {Path(self.path).parent}.", hint
        )

    def _places(self) -> Iterable[Path]:
        if self.near is not None:
            yield (self.folder / self.near).resolve()
        yield Path(self.path)
        yield self.folder / "media" / self.name
        yield self.folder.parent / self.name


def new_asset(
    path: str | Path,
    folder: Path,
    *,
    kind: AssetKind,
    size: tuple[int, int],
    num_frames: int | None,
    fps: Fraction | float | int | None,
    rotation: int,
) -> Values:
    """The row of a file, folder or address that is to become part of the project in `folder`.

    Raises InputError `input.not_found`.
    """
    name, near, where, num_bytes, modified = str(path), None, str(path), None, None
    if kind != "stream":
        real = Path(path).resolve()
        if not real.exists():
            raise InputError("input.not_found", f"{path}: no such file. Looked in {real.parent}.")
        name, where, near = real.name, str(real), _near(real, folder)
        num_bytes, modified = _num_bytes(real), real.stat().st_mtime_ns
    rate = None if not fps else Fraction(fps).limit_denominator(_MOST_DENOMINATOR)
    return {
        "id": new_id(),
        "name": name,
        "path": where,
        "near": near,
        "sha256": None,
        "num_bytes": num_bytes,
        "modified": modified,
        "kind": kind,
        "height": size[0],
        "width": size[1],
        "frames": num_frames,
        "fps_num": rate and rate.numerator,
        "fps_den": rate and rate.denominator,
        "duration": float(num_frames / rate) if num_frames and rate else None,
        "rotation": rotation,
        "state": "new",
        "attributes": {},
    }


def as_asset(row: Values, folder: Path) -> Asset:
    """The asset of a row of its table."""
    return Asset(
        asset_id=row["id"],
        folder=folder,
        name=row["name"],
        path=row["path"],
        near=row["near"],
        kind=row["kind"],
        size=(row["height"], row["width"]),
        num_frames=row["frames"],
        fps=Fraction(row["fps_num"], row["fps_den"]) if row["fps_num"] and row["fps_den"] else None,
        rotation=row["rotation"],
        num_bytes=row["num_bytes"],
        modified=row["modified"],
        sha256=row["sha256"],
        state=row["state"],
    )


def write_times(connection: Connection, asset_id: str, times: Sequence[float]) -> None:
    """Keep the seconds of every frame of a variable frame rate."""
    rows = [{"asset": asset_id, "frame": frame, "pts": float(time)} for frame, time in enumerate(times)]
    if rows:
        connection.execute(insert(FrameTimeRow), rows)


def read_times(connection: Connection, asset_id: str) -> tuple[float, ...] | None:
    """Seconds by frame, None where the frame rate says them."""
    query = select(FrameTimeRow.pts).where(FrameTimeRow.asset == asset_id).order_by(FrameTimeRow.frame)
    return tuple(connection.execute(query).scalars()) or None


def write_shots(
    connection: Connection, asset_id: str, shots: Iterable[tuple[int, int]], source: ShotSource
) -> None:
    """Put (first, last) ranges in place of the shots that were known."""
    connection.execute(delete(ShotRow).where(ShotRow.asset == asset_id))
    rows = [{"asset": asset_id, "first": first, "last": last, "source": source} for first, last in shots]
    if rows:
        connection.execute(insert(ShotRow), rows)


def read_shots(connection: Connection, asset_id: str) -> list[tuple[int, int]]:
    """(first, last) frames of the shots, in order."""
    query = select(ShotRow.first, ShotRow.last).where(ShotRow.asset == asset_id).order_by(ShotRow.first)
    return [(first, last) for first, last in connection.execute(query)]


def file_sha256(path: Path) -> str:
    """The hash of a file's bytes."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _near(path: Path, folder: Path) -> str | None:
    """The way from the project to a file inside it or beside it, None for one elsewhere."""
    home = folder.resolve()
    if not path.is_relative_to(home.parent):
        return None
    return Path(os.path.relpath(path, home)).as_posix()


def _num_bytes(path: Path) -> int | None:
    """The size of a file; None for folders, and for what is not there."""
    try:
        return path.stat().st_size if path.is_file() else None
    except OSError:
        return None
