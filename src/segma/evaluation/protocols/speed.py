"""How fast and how large: timers, peak memory, facts of the machine, and the rows of `segma bench`.

Times are warm and in seconds. Programs that are compared take turns, so that a machine that slows down
slows all of them.
"""

from __future__ import annotations

import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import UInt8
from numpy import ndarray

from segma.models.interfaces import Promptable
from segma.prompts.types import Points, PromptSet
from segma.runtime import Runtime
from segma.tasks.everything import EverythingConfig, segment_everything
from segma.tasks.segment import ImageSession, encode

_PROCESS = Path("/proc/self")
_PROCESSOR = Path("/proc/cpuinfo")
# What decides between float32 and bfloat16, and how fast either is.
_FLAGS = ("avx2", "avx512f", "avx512_bf16", "amx_bf16", "amx_tile")
_GRID = 8  # clicks along a side of the everything row
_MEGABYTE = 1e6


@dataclass(frozen=True, kw_only=True, slots=True)
class Timing:
    """The seconds of every repeat of one call."""

    seconds: tuple[float, ...]

    @property
    def median(self) -> float:
        """The middle one: what a user sees."""
        return statistics.median(self.seconds)

    @property
    def best(self) -> float:
        """The smallest: least disturbed by what else the machine does."""
        return min(self.seconds)


@dataclass(frozen=True, kw_only=True, slots=True)
class SpeedRow:
    """One line of `segma bench`: `value` in `unit`; `best` is the best repeat, where there are several."""

    name: str
    value: float
    unit: str
    best: float | None = None

    def to_dict(self) -> dict[str, Any]:  # JSON
        """JSON-ready."""
        return {"name": self.name, "value": self.value, "unit": self.unit, "best": self.best}


def measure(call: Callable[[], object], *, repeats: int = 5, warm_up: int = 1) -> Timing:
    """Times of one call, after calls that do not count."""
    return take_turns({"": call}, repeats=repeats, warm_up=warm_up)[""]


def take_turns(
    calls: Mapping[str, Callable[[], object]], *, repeats: int = 5, warm_up: int = 1
) -> dict[str, Timing]:
    """Times of several calls that take turns: each once, then each once again."""
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for turn in range(warm_up + repeats):
        for name, call in calls.items():
            start = time.perf_counter()
            call()
            spent = time.perf_counter() - start
            if turn >= warm_up:
                seconds[name].append(spent)
    return {name: Timing(seconds=tuple(found)) for name, found in seconds.items()}


def peak_memory() -> int | None:
    """The most main memory that this process has held, in bytes; None where the system does not say.

    On Linux since the last `reset_peak_memory`. There the high-water mark of the process itself is read,
    because `getrusage` also counts what its parent held before the process began.
    """
    status = _PROCESS / "status"
    if status.exists():
        for line in status.read_text(encoding="ascii", errors="replace").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    try:
        import resource
    except ImportError:  # not on Windows
        return None
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if platform.system() == "Darwin" else most * 1024


def reset_peak_memory() -> bool:
    """Count `peak_memory` from what is held now; False where the system cannot do that."""
    try:
        (_PROCESS / "clear_refs").write_text("5", encoding="ascii")  # man 5 proc: resets VmHWM
    except OSError:
        return False
    return True


def resident_memory() -> int | None:
    """The main memory that this process holds now, in bytes; None where the system does not say."""
    table = _PROCESS / "statm"  # man 5 proc: pages of all, then of those in memory
    if not table.exists():
        return None
    return int(table.read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")


def machine_facts(packages: Sequence[str] = ("torch",)) -> dict[str, Any]:  # JSON
    """What the numbers depend on: processor, cores, its units, memory, system, versions of `packages`."""
    names = _processor_lines("model name")
    flags = set(" ".join(_processor_lines("flags")[:1]).split())
    return {
        "processor": names[0] if names else platform.processor() or platform.machine(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "units": [flag for flag in _FLAGS if flag in flags],
        "memory_bytes": _main_memory(),
        "system": platform.system(),
        "python": platform.python_version(),
        "versions": {name: _version(name) for name in packages},
    }


def text_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns of one width each, the first one flush left, the others flush right.

    >>> print(text_table(["what", "ms"], [["encode", "212"], ["click", "9"]]))
    what     ms
    encode  212
    click     9
    """
    lines = [header, *rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(header))]
    texts: list[str] = []
    for line in lines:
        first, *others = [cell.rjust(width) for cell, width in zip(line, widths, strict=True)]
        texts.append("  ".join([line[0].ljust(len(first)), *others]).rstrip())
    return "\n".join(texts)


def computed_picture() -> UInt8[ndarray, "700 500 3"]:
    """A computed picture, the same on every machine: stripes and squares, a disc and a rectangle."""
    y, x = np.mgrid[:700, :500]
    squares = np.where((x // 50 + y // 50) % 2 == 1, 255, 32)
    picture = np.stack([(3 * x + 5 * y) % 256, x * y // 97 % 256, squares], -1)
    picture[(x - 250) ** 2 + (y - 300) ** 2 < 120**2] = (220, 40, 40)
    picture[(abs(x - 120) < 60) & (abs(y - 560) < 80)] = (30, 200, 90)
    return picture.astype(np.uint8)


def bench_rows(
    network: Promptable,
    image: UInt8[ndarray, "height width 3"],
    *,
    runtime: Runtime | None = None,
    repeats: int = 5,
) -> tuple[SpeedRow, ...]:
    """Speed of a network on one image: encoding, a click, everything mode, and the peak memory of these.

    The click is the whole answer at image size, run lengths included. Everything mode is 8 x 8 clicks with
    the usual filters; its speed leaves the encoding out. Raises MemoryLimitError.
    """
    runtime = runtime or Runtime()
    height, width = image.shape[:2]
    device = runtime.torch_device
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    reset_peak_memory()
    encoding = measure(lambda: _encode(network, image, runtime), repeats=repeats)
    session = ImageSession(network, image, runtime)
    click = PromptSet(points=Points([(width / 2, height / 2)]))
    clicking = measure(lambda: session.predict([click]), repeats=4 * repeats, warm_up=2)
    config = EverythingConfig(points_per_side=_GRID)
    decoding = [
        segment_everything(network, image, config, runtime=runtime).timings["decode"]
        for _ in range(1 + max(1, repeats // 2))
    ][1:]
    rows = [
        SpeedRow(name="encode", value=1000 * encoding.median, unit="ms", best=1000 * encoding.best),
        SpeedRow(name="click", value=1000 * clicking.median, unit="ms", best=1000 * clicking.best),
        SpeedRow(
            name=f"everything, {_GRID} x {_GRID} clicks",
            value=_GRID**2 / statistics.median(decoding),
            unit="clicks/s",
            best=_GRID**2 / min(decoding),
        ),
    ]
    held = peak_memory()
    if held is not None:
        rows.append(SpeedRow(name="peak memory", value=held / _MEGABYTE, unit="MB"))
    if device.type == "cuda":
        held = torch.cuda.max_memory_allocated(device)
        rows.append(SpeedRow(name="peak GPU memory", value=held / _MEGABYTE, unit="MB"))
    return tuple(rows)


def _encode(network: Promptable, image: UInt8[ndarray, "height width 3"], runtime: Runtime) -> float:
    """One number of the embedding: reading it waits for a device that works on its own."""
    return float(encode(network, image, runtime).features.embedding[0, 0, 0, 0])


def _processor_lines(key: str) -> list[str]:
    """What Linux says of its processors under `key`, one text a core; nothing on other systems."""
    if not _PROCESSOR.exists():
        return []
    lines = _PROCESSOR.read_text(encoding="utf-8", errors="replace").splitlines()
    return [line.partition(":")[2].strip() for line in lines if line.partition(":")[0].strip() == key]


def _main_memory() -> int | None:
    """Bytes of main memory, where the system says."""
    names = getattr(os, "sysconf_names", {})  # not on Windows
    if "SC_PHYS_PAGES" not in names or "SC_PAGE_SIZE" not in names:
        return None
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
