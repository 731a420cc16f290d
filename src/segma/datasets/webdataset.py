"""WebDataset shards: tar files of pictures beside JSON with their masks as COCO run lengths.

Nothing is unpacked and no pixel decoded: a sample says where in its shard the bytes of its pictures are, so
that any process can read any of them later, in any order.

An `index.json` in the folder, or in the one above, tells of each source what is loose and what is kept for
tuning: a list of objects with `source`, `loose` (text or null) and `tune` (true, false, or a list of the
`ident`s that are kept). Where it has `shards` too, a list of objects with `file`, those are not opened
for a part that has nothing of the source.
"""

from __future__ import annotations

import json
import logging
import re
import tarfile
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Literal, cast

from segma.datasets import shard_labels
from segma.datasets.report import ReadReport
from segma.errors import InputError
from segma.formats.document import Row, placed, read_list
from segma.media.image import SUFFIXES, not_found
from segma.samples import ImageSample, PictureFile, VideoSample

LAYOUT = (
    "x.tar, or a folder with such files at any depth, and index.json beside or above them if there is one; "
    'a photo is <key>.webp (.jpg, .png, ...) and <key>.json = {"source", "width", "height", "objects": '
    '[{"name", "segmentation": {"size": [h, w], "counts": "..."}}]}; a clip is <key>.<number>.webp of '
    'each frame and <key>.json = {"source", "ident", "width", "height", "fps", "names": {"1": "cat"}, '
    '"sentences": [{"obj": [1], "text": "..."}], '
    '"masks": [null or {"1": {"size": [h, w], "counts": "..."}} of each frame]}'
)
"""What a folder must look like, in one line."""

Part = Literal["all", "train", "tune"]

_FRAME = re.compile(r"(\d{1,9})(\.[a-z0-9]+)")
_NUMBER = re.compile(r"-\d+$")  # of a shard among those of its source

_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class SourceRow:
    """What an index says of a source: what is loose in it ("" for nothing), and which part is for tuning.

    `tune` is all of it, nothing of it, or the samples of these names; `files` are its shards, where known.
    """

    loose: str = ""
    tune: bool | frozenset[str] = False
    files: tuple[str, ...] = ()

    def keeps(self, ident: str) -> bool:
        """Whether the sample of this name is kept for tuning."""
        return self.tune if isinstance(self.tune, bool) else ident in self.tune


@dataclass(slots=True)
class _Group:
    """The members of a shard that share a key: (offset, bytes) of the labels and of the pictures."""

    labels: tuple[int, int] | None = None
    picture: tuple[str, PictureFile] | None = None
    frames: dict[int, PictureFile] = field(default_factory=dict[int, PictureFile])


def read(
    root: str | Path, *, part: Part = "all", report: ReadReport | None = None
) -> Iterator[ImageSample | VideoSample]:
    """The samples of a shard, or of all shards in a folder and below, by file name, read as asked for.

    `part` leaves out what the index keeps for tuning, or all else; without an index everything is "train".
    A photo's objects have their position in the file as id; attributes are whatever else stands with them
    (`part_of` is the id of the whole). On frames with labels, a clip's object that is not among them has an
    empty mask. What cannot be used is left out and counted in `report` (in the log, where there is none).
    Raises InputError where there are no shards, FormatError for a broken index.
    """
    root = Path(root)
    shards, index = find_shards(root), read_index(root)
    return _samples(root, shards, index, part, report)


def find_shards(root: Path) -> list[Path]:
    """The shard itself, or all `*.tar` in a folder and below, by name. Raises InputError for none."""
    if root.is_file():
        return [root]
    if not root.exists():
        raise not_found(root)
    found = sorted(path for path in root.rglob("*.tar") if path.is_file())
    if not found:
        raise InputError("input.not_found", f"{root}: no shards (*.tar) there.", f"Wanted: {LAYOUT}.")
    return found


def matches(root: Path) -> bool:
    """Whether this is a shard, or a folder with some in it or one folder deeper."""
    return root.suffix.lower() == ".tar" or any(next(root.glob(at), None) for at in ("*.tar", "*/*.tar"))


def read_index(root: Path) -> Mapping[str, SourceRow]:
    """What `index.json` in the folder of `root`, or in the one above, says of each source; empty without one.

    A file of this name that is no list of objects with `source` is not meant. Raises FormatError for a broken
    one, since nobody knows then what is not to be trained on.
    """
    folder = root.parent if root.is_file() else root
    for place in (folder, folder.resolve().parent):
        path = place / "index.json"
        if path.is_file() and (found := _index(path)) is not None:
            return found
    return {}


def _index(path: Path) -> dict[str, SourceRow] | None:
    """The rows of an index; None for a file that is something else."""
    if not path.read_bytes().lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"["):
        return None
    found: dict[str, SourceRow] = {}
    for number, row in read_list(path, "sources").rows("sources"):
        if "source" not in row:
            return None
        with placed(lambda number=number: f"{path.name} entry {number}"):
            found[str(row["source"])] = SourceRow(
                loose=str(row.get("loose") or ""),
                tune=_tune(row.get("tune")),
                files=tuple(str(shard["file"]) for shard in row.get("shards") or ()),
            )
    return found


def _tune(value: object) -> bool | frozenset[str]:
    if value is None or isinstance(value, bool):
        return bool(value)
    if not isinstance(value, list):
        raise TypeError(f"tune is {value!r}, expected true, false or a list of names")
    return frozenset(str(name) for name in cast("list[object]", value))


def _samples(
    root: Path, shards: list[Path], index: Mapping[str, SourceRow], part: Part, report: ReadReport | None
) -> Iterator[ImageSample | VideoSample]:
    counted = ReadReport() if report is None else report
    other = tuple(
        f"/{file}"
        for row in index.values()
        for file in row.files
        if part != "all" and isinstance(row.tune, bool) and row.tune != (part == "tune")
    )
    for shard in shards:
        if shard.resolve().as_posix().endswith(other):
            continue
        name = shard.relative_to(root).as_posix() if shard != root else shard.name
        yield from _shard_samples(shard, name, index, part, counted)
    if report is None and counted.skipped:
        _log.warning("%s: %s", root.name, counted.summary())


def _shard_samples(
    shard: Path, name: str, index: Mapping[str, SourceRow], part: Part, report: ReadReport
) -> Iterator[ImageSample | VideoSample]:
    """The samples of one shard."""
    with _counting(name, report), shard.open("rb") as stream:
        groups, whole = _groups(shard)
        if not whole:
            report.add("broken shard", name)
        for key, group in groups.items():
            if group.labels is None:
                if whole:
                    report.add("broken labels", f"{name}/{key}: no JSON")
                continue
            stream.seek(group.labels[0])
            sample = _sample(shard, name, key, group, stream.read(group.labels[1]), index, part, report)
            if sample is not None:
                yield sample


@contextmanager
def _counting(name: str, report: ReadReport) -> Generator[None, None, None]:
    """What the system says while a shard is read is counted."""
    try:
        yield
    except OSError:
        report.add("broken shard", name)


def _groups(shard: Path) -> tuple[dict[str, _Group], bool]:
    """The members of a shard by key, in its order, and whether it could be read to its end."""
    groups: dict[str, _Group] = {}
    end = shard.stat().st_size
    try:
        with tarfile.open(shard, "r:") as archive:
            for member in archive:
                if member.offset_data + member.size > end:
                    return groups, False
                if member.isreg() and not member.issparse():
                    _place(shard, member, groups)
            stopped = archive.offset
    except (tarfile.TarError, ValueError, EOFError):
        return groups, False
    with shard.open("rb") as stream:  # tarfile takes a broken header after the first for the end
        stream.seek(stopped)
        return groups, not any(stream.read(tarfile.BLOCKSIZE))


def _place(shard: Path, member: tarfile.TarInfo, groups: dict[str, _Group]) -> None:
    """Put a member to those of its key, which ends at the first dot of its name."""
    path = PurePosixPath(member.name)
    stem, dot, ending = path.name.partition(".")
    ending = dot + ending.lower()
    numbered = _FRAME.fullmatch(ending[1:])
    if not stem or not (ending == ".json" or ending in SUFFIXES or numbered):
        return
    place = (member.offset_data, member.size)
    picture = PictureFile(shard, *place)
    group = groups.setdefault(str(path.parent / stem), _Group())
    if ending == ".json":
        group.labels = place
    elif ending in SUFFIXES:
        group.picture = (path.name, picture)
    elif numbered and numbered[2] in SUFFIXES:
        group.frames[int(numbered[1])] = picture


def _sample(
    shard: Path,
    name: str,
    key: str,
    group: _Group,
    text: bytes,
    index: Mapping[str, SourceRow],
    part: Part,
    report: ReadReport,
) -> ImageSample | VideoSample | None:
    """The sample of one key; None where it is of another part, or cannot be used."""
    where = f"{name}/{key}.json"
    try:
        row: object = json.loads(text)
    except (ValueError, RecursionError):
        row = None
    if not isinstance(row, dict):
        report.add("broken labels", where)
        return None
    row = cast(Row, row)  # keys of JSON objects are strings
    source = str(row.get("source") or _NUMBER.sub("", shard.stem))
    known = index.get(source, SourceRow())
    if part != "all" and known.keeps(str(row.get("ident"))) != (part == "tune"):
        return None
    loose = known.loose or str(row.get("loose") or "")
    found = shard_labels.Place(name=where, source=source, loose=loose)
    if group.frames and group.picture is None:
        frames = tuple(picture for _, picture in sorted(group.frames.items()))
        return shard_labels.video(row, found, frames, report)
    if group.picture is None or not group.picture[1].size:
        report.add("unreadable picture", where)
        return None
    file_name, picture = group.picture
    file_name = PurePosixPath(name).with_suffix("").joinpath(key).with_name(file_name).as_posix()
    return shard_labels.image(row, found, file_name, picture, report)
