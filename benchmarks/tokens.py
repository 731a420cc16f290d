"""Pictures and clips to codes and back: segma against the paper's network written straight, same weights.

GFLOP are counted in segma's network: products, convolutions and attention. Their share of the peak is that of
the product of two large matrices, which is measured here.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from typing import Any

from programs import lineup
from programs.tokens_ours import DECODE, ENCODE, Shape, flops_of, task_name
from programs.turns import Measured, Program, compare

from segma.evaluation.protocols.speed import text_table
from segma.models.omnitokenizer.config import VARIANTS
from segma.runtime import has_amx

PLAIN, PLAIN_AUTOCAST = "plain float32", "plain bf16 autocast"
USUAL: tuple[Shape, ...] = ((1, 256), (17, 128), (17, 256))


def main() -> int:
    options = arguments()
    shapes = [shape_of(text) for text in options.shapes]
    programs = line_up(options, shapes)
    print(
        f"tokens: {options.variant} with weights made up by rule, {options.threads} threads each, median and "
        f"best of {options.repeats} in turn after {options.warm_up} to warm up\n"
        f"{lineup.machine()}, inference mode\n{lineup.auto_note()}",
        flush=True,
    )
    peaks = peaks_of(programs)
    tables: dict[str, Any] = {"product_flops_per_second": peaks}
    ways = [(way, shape, task_name(way, shape)) for shape in shapes for way in (ENCODE, DECODE)]
    names = [name for _, _, name in ways]
    found = compare(programs, names, repeats=options.repeats, warm_up=options.warm_up)
    for way, shape, name in ways:
        flops, measured = flops_of(options.variant, way, shape), found[name]
        print(f"\n{name}, {flops / 1e9:.1f} GFLOP\n{table(measured, flops, peaks)}")
        print(agreement(measured, way), flush=True)
        tables[name] = document(measured, flops, peaks, way)
    print("\n" + ", ".join(f"a product in {name}: {peak / 1e9:.0f} GFLOP/s" for name, peak in peaks.items()))
    if options.save:
        print(f"saved {lineup.save('tokens', options, 'made-up pixels', tables)}")
    return 0


def arguments() -> argparse.Namespace:
    """The options of this benchmark."""
    parser = lineup.plain_parser(__doc__ or "")
    coded = [
        name for name, config in VARIANTS.items() if config.num_codes and config.spatial_position == "rope"
    ]
    parser.add_argument("--variant", choices=coded, default="omnitokenizer_vq", help="which tokenizer")
    usual = [f"{frames}x{side}" for frames, side in USUAL]
    parser.add_argument("--shapes", nargs="+", default=usual, metavar="FxS", help="frames x side, as 17x128")
    parser.add_argument("--product", type=int, default=3072, help="side of the matrices that are multiplied")
    parser.add_argument("--repeats", type=int, default=5, help="runs that count")
    parser.add_argument("--warm-up", type=int, default=1, help="runs before that do not count")
    lineup.add_peer(parser)
    return parser.parse_args()


def shape_of(text: str) -> Shape:
    """Frames and side."""
    frames, side = text.split("x")
    return int(frames), int(side)


def line_up(options: argparse.Namespace, shapes: list[Shape]) -> list[Program]:
    """Ours and the plain one, in every precision that is wanted here, alternating."""
    ours, plain = "programs.tokens_ours", "programs.tokens_plain"
    rows: list[tuple[str, str, dict[str, Any]]] = [
        (lineup.OURS, ours, {"precision": "fp32"}),
        (PLAIN, plain, {"autocast": False}),
    ]
    if has_amx() or options.all:
        name = lineup.OURS_AUTO if has_amx() else lineup.OURS_BF16
        rows.append((name, ours, {"precision": "bf16"}))
    if not options.no_autocast:
        rows.append((PLAIN_AUTOCAST, plain, {"autocast": True}))
    return [
        Program(
            name=name,
            module=module,
            function="tokens",
            arguments={
                "variant": options.variant,
                "shapes": shapes,
                **({"product_side": options.product} if module == ours else {}),
                **own,
            },
            threads=options.threads,
        )
        for name, module, own in rows
    ]


def peaks_of(programs: list[Program]) -> dict[str, float]:
    """Operations a second of a large product, by type; bfloat16 only where there are units for it."""
    ours = [program for program in programs if program.name == lineup.OURS]
    wanted = ["float32", *(["bfloat16"] if has_amx() else [])]
    found = compare(ours, [f"product {name}" for name in wanted], repeats=1, warm_up=0)
    return {name: found[f"product {name}"][lineup.OURS].answer for name in wanted}


def peak_for(program: str, peaks: Mapping[str, float]) -> float | None:
    """That of the type a program computes in, where it was measured."""
    return peaks.get("float32" if program in (lineup.OURS, PLAIN) else "bfloat16")


def table(measured: Mapping[str, Measured], flops: int, peaks: Mapping[str, float]) -> str:
    """Seconds, GFLOP a second, share of the peak, memory, and how many times as fast ours is."""
    peers = [name for name in (PLAIN, PLAIN_AUTOCAST) if name in measured]
    rows: list[list[str]] = []
    for name, found in measured.items():
        speed, peak = flops / found.timing.median, peak_for(name, peaks)
        ratios = ["" if name in peers else f"{lineup.ratio(measured, peer, name):.2f} x" for peer in peers]
        cells = [f"{found.timing.median:.4f}", f"{found.timing.best:.4f}", f"{speed / 1e9:.1f}"]
        share = "" if peak is None else f"{speed / peak:.0%}"
        rows.append([name, *cells, share, f"{found.peak_bytes / 1e6:.0f}", *ratios])
    header = ["program", "median s", "best s", "GFLOP/s", "of peak", "peak MB"]
    return text_table([*header, *(f"faster than {peer}" for peer in peers)], rows)


def differences(measured: Mapping[str, Measured], way: str) -> dict[str, float]:
    """By program the share of equal codes, or the largest difference of pixels (of a range of 1)."""
    exact = measured[PLAIN].answer
    return {
        name: float((found.answer == exact).float().mean() if way == ENCODE
                    else (found.answer - exact).abs().max())
        for name, found in measured.items()
        if name != PLAIN
    }  # fmt: skip


def agreement(measured: Mapping[str, Measured], way: str) -> str:
    """The same, in words."""
    lines = [
        f"{name}: {value:.2%} of the codes are those of {PLAIN}"
        if way == ENCODE
        else f"{name}: pixels differ by {value:.2g} at most from those of {PLAIN}"
        for name, value in differences(measured, way).items()
    ]
    return "\n".join(lines)


def document(
    measured: Mapping[str, Measured], flops: int, peaks: Mapping[str, float], way: str
) -> dict[str, Any]:
    """The numbers for the file."""
    rows = lineup.as_json(measured)
    told = differences(measured, way)
    for name, row in rows.items():
        peak = peak_for(name, peaks)
        row["flops"] = flops
        row["share_of_peak"] = None if peak is None else flops / row["median"] / peak
        if name in told:
            row["equal_codes" if way == ENCODE else "largest_difference"] = told[name]
            row["times_as_fast_as"] = {
                peer: lineup.ratio(measured, peer, name)
                for peer in (PLAIN, PLAIN_AUTOCAST)
                if peer in measured and name != PLAIN_AUTOCAST
            }
    return rows


if __name__ == "__main__":
    sys.exit(main())
