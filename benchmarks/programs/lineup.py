"""What all benchmarks have in common: options, who runs, the table, the file of results."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from numpy import ndarray
from programs.turns import Measured, Program

from segma.evaluation.protocols.speed import computed_picture, machine_facts, text_table
from segma.media.image import read_image
from segma.models.sam.config import VARIANTS
from segma.runtime import has_amx

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "benchmarks" / "results"
OURS, OURS_BF16, OURS_AUTO = "segma float32", "segma bfloat16", "segma auto (bfloat16)"
THEIRS, THEIRS_AUTOCAST = "transformers float32", "transformers bf16 autocast"
_SHARED = Path(os.environ.get("SEGMA_SHARED") or ROOT.parent / "shared")
_TRUCK = _SHARED / "media" / "truck.jpg"


def parser(text: str, *, repeats: int) -> argparse.ArgumentParser:
    """The options of every benchmark of a photo with a SAM against its peer."""
    options = plain_parser(text)
    options.add_argument("--variant", choices=list(VARIANTS), default="sam_vit_b", help="which SAM")
    add_photo(options)
    options.add_argument("--repeats", type=int, default=repeats, help="runs that count")
    options.add_argument("--warm-up", type=int, default=1, help="runs before that do not count")
    add_peer(options)
    return options


def plain_parser(text: str) -> argparse.ArgumentParser:
    """The options of every benchmark."""
    options = argparse.ArgumentParser(description=text.splitlines()[0])
    options.add_argument("--threads", type=int, default=_cores(), help="threads of each program")
    options.add_argument(
        "--save", type=Path, nargs="?", const=RESULTS, help="write NAME.json to benchmarks/results, or there"
    )
    return options


def add_photo(options: argparse.ArgumentParser) -> None:
    """The options of what works on a photo."""
    options.add_argument("--image", type=Path, help="a photo; without it the truck of SEGMA_SHARED/media")
    options.add_argument("--made-up", action="store_true", help="take the computed picture, not a photo")


def add_peer(options: argparse.ArgumentParser) -> None:
    """The options of what is compared with transformers."""
    options.add_argument("--no-autocast", action="store_true", help="without transformers under autocast")
    options.add_argument("--all", action="store_true", help="segma in bfloat16 without matrix units, too")


def picture(options: argparse.Namespace) -> tuple[str, ndarray]:
    """The name of the picture and its RGB values: --image, the truck, or the computed one."""
    path = options.image or _TRUCK
    if options.made_up or (options.image is None and not path.exists()):
        return "made-up picture", computed_picture()
    return path.name, read_image(path)


def programs(options: argparse.Namespace, function: str, **arguments: Any) -> list[Program]:
    """Ours and theirs, in every precision that is wanted here, alternating; `function` builds their tasks."""
    ours, theirs = "programs.ours", "programs.theirs"
    rows: list[tuple[str, str, dict[str, Any]]] = [
        (OURS, ours, {"precision": "fp32"}),
        (THEIRS, theirs, {"autocast": False}),
    ]
    if has_amx():
        rows.append((OURS_AUTO, ours, {"precision": "auto"}))
    elif options.all:
        rows.append((OURS_BF16, ours, {"precision": "bf16"}))
    if not options.no_autocast:
        rows.append((THEIRS_AUTOCAST, theirs, {"autocast": True}))
    return [
        Program(
            name=name,
            module=module,
            function=function,
            arguments={"variant": options.variant, **own, **arguments},
            threads=options.threads,
        )
        for name, module, own in rows
    ]


def auto_note() -> str:
    """What "auto" means on this machine."""
    if has_amx():
        return f'auto is bfloat16 here (this CPU has matrix units for it): the row "{OURS_AUTO}".'
    return f'auto is float32 here (this CPU has no AMX, no bfloat16 matrix units): it is the row "{OURS}".'


def heading(name: str, options: argparse.Namespace, image_name: str, image: ndarray) -> str:
    """What was run, where: the lines above a table."""
    return "\n".join(
        [
            f"{name}: {options.variant} with weights made up by rule, {image_name} "
            f"({image.shape[1]}x{image.shape[0]}), {options.threads} threads each, "
            f"median and best of {options.repeats} in turn after {options.warm_up} to warm up",
            f"{machine()}, sdpa attention, inference mode",
            auto_note(),
        ]
    )


def machine() -> str:
    """Processor, its units, memory, versions: one line."""
    facts = machine_facts(("torch", "transformers"))
    units = ", ".join(facts["units"]) or "none known"
    versions = ", ".join(f"{package} {number}" for package, number in facts["versions"].items())
    memory = (facts["memory_bytes"] or 0) / 1e9
    return f"{facts['processor']}, {facts['cores']} cores, vector units: {units}, {memory:.0f} GB; {versions}"


def speed_table(measured: Mapping[str, Measured]) -> str:
    """Seconds and memory of every program, and how much faster ours is than each of theirs."""
    peers = [name for name in (THEIRS, THEIRS_AUTOCAST) if name in measured]
    header = ["program", "median s", "best s", "peak MB", *(f"faster than {name}" for name in peers)]
    rows: list[list[str]] = []
    for name, found in measured.items():
        ratios = [ratio(measured, peer, name) for peer in peers]
        texts = [f"{value:.2f} x" if name not in peers else "" for value in ratios]
        timing = found.timing
        rows.append(
            [name, f"{timing.median:.4f}", f"{timing.best:.4f}", f"{found.peak_bytes / 1e6:.0f}", *texts]
        )
    return text_table(header, rows)


def ratio(measured: Mapping[str, Measured], slower: str, faster: str) -> float:
    """How many times as fast, by the medians."""
    return measured[slower].timing.median / measured[faster].timing.median


def save(
    name: str, options: argparse.Namespace, image_name: str, tables: Mapping[str, Mapping[str, Any]]
) -> Path:
    """Write the numbers with machine, versions, commit and date; the path."""
    document = {
        "benchmark": name,
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": _commit(),
        "machine": machine_facts(("torch", "transformers", "numpy", "opencv-python-headless")),
        "auto": "bfloat16" if has_amx() else "float32",
        "variant": options.variant,
        "image": image_name,
        "threads": options.threads,
        "repeats": getattr(options, "repeats", 1),
        "tables": tables,
    }
    options.save.mkdir(parents=True, exist_ok=True)
    path = options.save / f"{name}.json"
    path.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    return path


def as_json(measured: Mapping[str, Measured]) -> dict[str, Any]:
    """The numbers of one table, for `save`."""
    peers = [name for name in (THEIRS, THEIRS_AUTOCAST) if name in measured]
    return {
        name: {
            "seconds": list(found.timing.seconds),
            "median": found.timing.median,
            "best": found.timing.best,
            "peak_bytes": found.peak_bytes,
            "times_as_fast_as": {peer: ratio(measured, peer, name) for peer in peers if name not in peers},
        }
        for name, found in measured.items()
    }


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _commit() -> str:
    """The short commit, with + when files differ from it; unknown outside a repository."""
    command = ["git", "describe", "--always", "--dirty=+"]
    try:
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    except FileNotFoundError:
        return "unknown"
    return done.stdout.strip() or "unknown"
