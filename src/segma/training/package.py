"""A package for a machine with a GPU: code, weights and data in numbered parts of a size that can be sent.

`part-000` holds the code, the few pure-Python packages it needs, the weights to start from, and the first
data, so that training starts before the rest has come; every other part is a shard of pictures (their own
bytes) and masks. `training.packaged` trains there; `training.next` takes the weights back.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from itertools import chain
from pathlib import Path

import numpy as np

import segma
from segma.datasets.report import ReadReport
from segma.datasets.shard_writer import Member, ShardWriter, members_of, room_of
from segma.errors import InputError, MissingExtraError, StoreError
from segma.media.files import check_room, explained_errors, make_folder, new_folder, write_text
from segma.samples import ImageSample, VideoSample
from segma.training.data import Samples
from segma.training.packaged import DATA, FIRST_PART, ORDER, START, Order, order_text

LIMIT_BYTES = 60_000_000
"""The most that a part may hold, by default."""

RUN = "run.py"
_CARRIED = ("jaxtyping", "wadler_lindig")
# The code must leave room for data in the first part, or a limit makes no sense.
_LEAST_DATA = 200_000
_RUN_TEXT = '''"""Train on all parts that are here: python part-000/run.py --seconds 540 --out FOLDER."""

import sys
from importlib.util import find_spec
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE / "src"))
sys.path.append(str(HERE / "carried"))

if __name__ == "__main__":
    missing = [name for name in ("torch", "numpy", "safetensors", "PIL", "cv2") if find_spec(name) is None]
    if missing:
        sys.exit(f"error: not installed here: {', '.join(missing)}")
    from segma.training.packaged import main

    sys.exit(main(HERE.parent, sys.argv[1:]))
'''


@dataclass(frozen=True, kw_only=True, slots=True)
class Package:
    """What was written: the parts in their order, how much is in them, and what could not be used."""

    parts: tuple[Path, ...]
    pictures: int
    clips: int
    report: ReadReport


def write_package(
    order: Order,
    samples: Samples,
    folder: Path,
    random: np.random.Generator,
    *,
    weights: Path | None = None,
    limit_bytes: int = LIMIT_BYTES,
) -> Package:
    """Write the parts into a new folder, samples in random order, so that every part has some of all sources.

    `parts` of the order is filled in. Raises InputError where the folder is there, without samples, or for a
    limit that the code alone fills; MissingExtraError, StoreError.
    """
    things: Sequence[ImageSample | VideoSample] = (*samples.pictures, *samples.clips)
    if not things:
        raise InputError("input.not_found", "There are no labelled pictures or clips to pack.")
    shuffled = [things[int(index)] for index in random.permutation(len(things))]
    with new_folder(folder) as draft:
        first = make_folder(draft / FIRST_PART)
        _write_code(first, weights)
        taken = _bytes_of(first)
        if limit_bytes - taken < _LEAST_DATA:
            raise InputError(
                "input.value",
                f"A part may hold {limit_bytes} bytes, but code and weights take {taken}.",
                f"Allow {taken + 10 * _LEAST_DATA} or more.",
            )
        parts = _Parts(draft, limit_bytes, taken)
        parts.write(shuffled)
        write_text(first / ORDER, order_text(replace(order, parts=parts.count)))
        _check_sizes(draft, limit_bytes)
    return Package(
        parts=tuple(sorted(folder.glob("part-*"))),
        pictures=parts.pictures,
        clips=parts.clips,
        report=parts.report,
    )


@dataclass(slots=True)
class _Parts:
    """Parts that are filled one after the other."""

    root: Path
    limit_bytes: int
    taken: int
    count: int = 0
    pictures: int = 0
    clips: int = 0
    report: ReadReport = field(default_factory=ReadReport)

    def write(self, samples: Sequence[ImageSample | VideoSample]) -> None:
        """Write all samples; those that cannot be used are counted. Raises InputError, StoreError."""
        shard = self._next(self.taken)
        for number, sample in enumerate(samples):
            try:
                members = members_of(sample, f"{number:07d}")
            except InputError as error:
                reason = "broken labels" if error.code == "input.value" else "unreadable picture"
                self.report.add(reason, error.message.rstrip("."))
                continue
            if shard.size + room_of(members) > self._room:
                shard.close()
                shard = self._next(0)
            if shard.size + room_of(members) > self._room:
                raise InputError(
                    "input.too_large",
                    f"A sample takes {room_of(members)} bytes, a part may hold {self.limit_bytes}.",
                    "Allow larger parts.",
                )
            self._add(shard, members, sample)
        shard.close()

    @property
    def _room(self) -> int:
        return self.limit_bytes - self.taken - 4096  # for order.json

    def _next(self, taken: int) -> ShardWriter:
        self.taken = taken
        folder = make_folder(self.root / f"part-{self.count:03d}" / DATA)
        self.count += 1
        check_room(folder, self._room)
        return ShardWriter(folder / f"{folder.parent.name}.tar")

    def _add(self, shard: ShardWriter, members: list[Member], sample: ImageSample | VideoSample) -> None:
        shard.add(members)
        if isinstance(sample, VideoSample):
            self.clips += 1
        else:
            self.pictures += 1


def _write_code(first: Path, weights: Path | None) -> None:
    """What runs, what it imports that may be missing there, and what it starts from."""
    write_text(first / RUN, _RUN_TEXT)
    with explained_errors(first):
        root = Path(segma.__file__).parent
        _copy_code(root, first / "src" / "segma")
        for name in _CARRIED:
            _copy_code(_home(name), first / "carried" / name)
        if weights is not None:
            shutil.copyfile(weights, first / START)


def _copy_code(source: Path, target: Path) -> None:
    for path in _code(source):
        place = target / path.relative_to(source)
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, place)


def _code(folder: Path) -> Iterator[Path]:
    return chain(folder.rglob("*.py"), folder.rglob("py.typed"))


def _home(name: str) -> Path:
    """The folder of an installed package."""
    found = find_spec(name)
    if found is None or not found.submodule_search_locations:
        raise MissingExtraError(f"The package {name}", "dev")
    return Path(found.submodule_search_locations[0])


def _bytes_of(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _check_sizes(root: Path, limit_bytes: int) -> None:
    for part in root.glob("part-*"):
        size = _bytes_of(part)
        if size > limit_bytes:
            raise StoreError("disk.unwritable", f"{part.name} became {size} bytes, over {limit_bytes}.")
