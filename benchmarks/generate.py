"""Codes a second of a language model: segma's sampler against transformers' own generate, the same weights.

Greedy and with top-k and top-p, a row and several. The share of the memory's bandwidth is what is read of the
weights in each step, over what copying a large array reads and writes in that time.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from typing import Any

from programs import lineup
from programs.language_ours import SIZES, task_name, weight_bytes
from programs.turns import Measured, Program, compare

from segma.evaluation.protocols.speed import text_table
from segma.runtime import has_amx

THEIRS_BF16 = "transformers bfloat16"
_BYTES = {lineup.OURS: 4, lineup.THEIRS: 4, lineup.OURS_BF16: 2, lineup.OURS_AUTO: 2, THEIRS_BF16: 2}


def main() -> int:
    options = arguments()
    programs = line_up(options)
    names = [task_name(kind, rows) for kind in ("greedy", "top-k and top-p") for rows in options.rows]
    print(
        f"generate: {options.variant} with weights made up by rule, {options.tokens} codes, "
        f"{options.threads} threads each, median and best of {options.repeats} in turn after "
        f"{options.warm_up} to warm up\n{lineup.machine()}, sdpa attention, static cache, inference mode\n"
        f"{lineup.auto_note()}",
        flush=True,
    )
    ours = [program for program in programs if program.name == lineup.OURS]
    copied = compare(ours, ["copy"], repeats=1, warm_up=0)["copy"][lineup.OURS].answer
    measured = compare(programs, names, repeats=options.repeats, warm_up=options.warm_up)
    tables: dict[str, Any] = {"copied_bytes_per_second": copied}
    for name in names:
        print(f"\n{name}\n{table(options, name, measured[name], copied)}", flush=True)
        tables[name] = lineup.as_json(measured[name])
    for name in names:
        for program, row in tables[name].items():
            row |= facts(options, program, name, row["median"], copied)
    print(f"\ncopying reads and writes {copied / 1e9:.1f} GB a second\n{agreement(measured, names[0])}")
    if options.save:
        print(f"saved {lineup.save('generate', options, 'none', tables)}")
    return 0


def arguments() -> argparse.Namespace:
    """The options of this benchmark."""
    parser = lineup.plain_parser(__doc__ or "")
    parser.add_argument(
        "--variant", choices=list(SIZES), default="omnitokenizer_gpt_imagenet", help="which sizes"
    )
    parser.add_argument("--tokens", type=int, default=64, help="codes of each row")
    parser.add_argument("--rows", type=int, nargs="+", default=[1, 4], help="rows of a batch")
    parser.add_argument("--repeats", type=int, default=3, help="runs that count")
    parser.add_argument("--warm-up", type=int, default=1, help="runs before that do not count")
    lineup.add_peer(parser)
    options = parser.parse_args()
    most = SIZES[options.variant].block - 1
    if not 0 < options.tokens <= most:
        parser.error(f"--tokens goes from 1 to {most}, the positions of {options.variant}")
    return options


def line_up(options: argparse.Namespace) -> list[Program]:
    """Ours and theirs, in every precision that is wanted here, alternating."""
    ours, theirs = "programs.language_ours", "programs.language_theirs"
    rows: list[tuple[str, str, dict[str, Any]]] = [
        (lineup.OURS, ours, {"precision": "fp32"}),
        (lineup.THEIRS, theirs, {"autocast": False, "half": False}),
    ]
    if has_amx() or options.all:
        name = lineup.OURS_AUTO if has_amx() else lineup.OURS_BF16
        rows.append((name, ours, {"precision": "bf16"}))
        rows.append((THEIRS_BF16, theirs, {"autocast": False, "half": True}))
    if not options.no_autocast:
        rows.append((lineup.THEIRS_AUTOCAST, theirs, {"autocast": True, "half": False}))
    own = {"variant": options.variant, "tokens": options.tokens, "rows": options.rows}
    return [
        Program(
            name=name,
            module=module,
            function="sampling",
            arguments={**own, **arguments},
            threads=options.threads,
        )
        for name, module, arguments in rows
    ]


def table(options: argparse.Namespace, name: str, measured: Mapping[str, Measured], copied: float) -> str:
    """Codes a second, the share of the bandwidth, and how many times as fast ours is."""
    rows = int(name.rsplit(", ", 1)[1].split()[0])
    peers = [peer for peer in (lineup.THEIRS, lineup.THEIRS_AUTOCAST, THEIRS_BF16) if peer in measured]
    lines: list[list[str]] = []
    for program, found in measured.items():
        step = found.timing.median / options.tokens
        share = ""
        if program in _BYTES:
            share = f"{weight_bytes(options.variant, _BYTES[program]) / step / copied:.0%}"
        ratios = [
            "" if program in peers else f"{lineup.ratio(measured, peer, program):.2f} x" for peer in peers
        ]
        speeds = [f"{rows / step:.1f}", f"{rows * options.tokens / found.timing.best:.1f}"]
        lines.append([program, *speeds, share, f"{found.peak_bytes / 1e6:.0f}", *ratios])
    header = ["program", "median codes/s", "best codes/s", "of copying", "peak MB"]
    return text_table([*header, *(f"faster than {peer}" for peer in peers)], lines)


def facts(
    options: argparse.Namespace, program: str, name: str, median: float, copied: float
) -> dict[str, Any]:
    """For the file: codes a second, and the share of the bandwidth where weights have one type."""
    rows = int(name.rsplit(", ", 1)[1].split()[0])
    found: dict[str, Any] = {"codes_per_second": rows * options.tokens / median}
    if program in _BYTES:
        read = weight_bytes(options.variant, _BYTES[program]) * options.tokens
        found["share_of_copying"] = read / median / copied
    return found


def agreement(measured: Mapping[str, Mapping[str, Measured]], name: str) -> str:
    """How many of the greedy codes are those of transformers in float32."""
    exact = measured[name][lineup.THEIRS].answer
    lines: list[str] = []
    for program, found in measured[name].items():
        pairs = [(own, each) for row, other in zip(found.answer, exact, strict=True)
                 for own, each in zip(row, other, strict=True)]  # fmt: skip
        same = sum(own == each for own, each in pairs)
        lines.append(f"{program}: {same} of {len(pairs)} greedy codes are those of {lineup.THEIRS}")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
