"""SAM beside SAM 2 on the same photo: encode, a click, and the memory of both. Ours only, one table.

SAM 2 stretches a photo to its square, SAM pads it, both of 1024 pixels. The click is the whole answer at
image size, with run lengths, best mask of three.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from programs import lineup
from programs.lively import CONFIGS
from programs.turns import Measured, Program, compare

from segma.evaluation.protocols.speed import text_table
from segma.models.sam.config import VARIANTS
from segma.runtime import has_amx

_NAMED = ("sam_vit_b", "sam2.1_hiera_tiny", "sam2.1_hiera_base_plus")
_TASKS = ("encode", "click")


def main() -> int:
    options = arguments()
    name, image = lineup.picture(options)
    print(
        f"SAM and SAM 2: weights made up by rule, {name} ({image.shape[1]}x{image.shape[0]}), "
        f"{options.threads} threads, median and best of {options.repeats} in turn "
        f"after {options.warm_up} to warm up\n"
        f"{lineup.machine()}\n{lineup.auto_note()}",
        flush=True,
    )
    tables = compare(programs(options, image), _TASKS, repeats=options.repeats, warm_up=options.warm_up)
    print(f"\n{table(tables)}")
    if options.save:
        rows = {task: lineup.as_json(measured) for task, measured in tables.items()}
        print(f"saved {lineup.save('sam_and_sam2', options, name, rows)}")
    return 0


def arguments() -> argparse.Namespace:
    """The options of this benchmark."""
    parser = lineup.plain_parser(__doc__ or "")
    known = [*VARIANTS, *CONFIGS]
    parser.add_argument("--variant", nargs="+", choices=known, default=list(_NAMED), help="which networks")
    parser.add_argument("--repeats", type=int, default=5, help="runs that count")
    parser.add_argument("--warm-up", type=int, default=1, help="runs before that do not count")
    lineup.add_photo(parser)
    return parser.parse_args()


def programs(options: argparse.Namespace, image: Any) -> list[Program]:
    """Every network in float32, and in bfloat16 where that is what auto means."""
    first = Program(
        name="",
        module="programs.photo",
        function="photo",
        arguments={"image": image},
        threads=options.threads,
    )
    return [
        replace(
            first,
            name=f"{variant} {name}",
            arguments={**first.arguments, "variant": variant, "precision": precision},
        )
        for variant in options.variant
        for name, precision in (("float32", "fp32"), *((("auto (bfloat16)", "auto"),) if has_amx() else ()))
    ]


def table(tables: Mapping[str, Mapping[str, Measured]]) -> str:
    """A row for each network."""
    rows: list[list[str]] = []
    for name, encoding in tables["encode"].items():
        clicking = tables["click"][name]
        times = [f"{1000 * value:.0f}" for value in (encoding.timing.median, encoding.timing.best)]
        times += [f"{1000 * value:.1f}" for value in (clicking.timing.median, clicking.timing.best)]
        peaks = [f"{found.peak_bytes / 1e6:.0f}" for found in (encoding, clicking)]
        rows.append([name, *times, *peaks])
    header = ["network", "encode ms", "best", "click ms", "best", "peak MB, encode", "peak MB, click"]
    return text_table(header, rows)


if __name__ == "__main__":
    sys.exit(main())
