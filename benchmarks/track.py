"""A tracked frame with a full memory bank: segma against transformers, the same weights and the same pixels.

Full is 7 memories and 16 pointers for each object. Both encode the frame once, attend, decode, enlarge the
masks to the video and make the frame's memory; segma also resizes the frame and makes run lengths.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy import ndarray
from programs import lineup
from programs.lively import CONFIGS
from programs.turns import Measured, Program, compare

from segma.evaluation.protocols.speed import text_table

_MOST_FRAMES = 14  # tracked frames, those to warm up with them, that a session still holds


def main() -> int:
    options = arguments()
    height, width = options.size
    print(
        f"track: {options.variant} with weights made up by rule, {width}x{height}, "
        f"{options.threads} threads each, median and best of {options.repeats} frames in turn "
        f"after {options.warm_up} to warm up\n"
        f"{lineup.machine()}, sdpa attention, inference mode\n{lineup.auto_note()}",
        flush=True,
    )
    tasks = [f"{number} objects" for number in options.objects]
    tables = compare(programs(options), tasks, repeats=options.repeats, warm_up=options.warm_up)
    for task, measured in tables.items():
        print(f"\n{task}, a frame\n{frame_table(measured, options.repeats)}\n{agreements(measured)}")
    if len(tasks) > 1:
        print(f"\n{further_table(tables, options.objects)}")
    if options.save:
        print(f"saved {lineup.save('track', options, 'made-up clip', document(tables, options))}")
    return 0


def arguments() -> argparse.Namespace:
    """The options of this benchmark."""
    parser = lineup.plain_parser(__doc__ or "")
    known = [name for name, config in CONFIGS.items() if config.memory_dim == 64]  # all that the peer knows
    parser.add_argument("--variant", choices=known, default="sam2.1_hiera_tiny", help="which SAM 2")
    parser.add_argument("--objects", type=int, nargs="+", default=[1, 3, 6], help="how many, 1 to 6")
    parser.add_argument("--frames", dest="repeats", type=int, default=3, help="frames that count")
    parser.add_argument("--warm-up", type=int, default=1, help="frames before that do not count")
    parser.add_argument("--pool", type=int, default=2, help="the pooled memory's factor; 1: leave it out")
    parser.add_argument(
        "--size", type=int, nargs=2, default=(720, 1280), help="height and width of the video"
    )
    parser.add_argument(
        "--precision", choices=("float32", "low", "both"), default="both",
        help="float32 of both programs; auto and the peer's autocast; or both",
    )  # fmt: skip
    lineup.add_peer(parser)
    options = parser.parse_args()
    if not 1 <= options.repeats + options.warm_up <= _MOST_FRAMES:
        parser.error(f"--frames and --warm-up are {_MOST_FRAMES} together at most")
    options.objects = sorted(set(options.objects))
    return options


def programs(options: argparse.Namespace) -> list[Program]:
    """Ours exact, ours with pooled memories, and theirs, in every precision that is wanted here."""
    arguments = {
        "size": tuple(options.size),
        "objects": options.objects,
        "frames": options.repeats + options.warm_up,
    }
    found: list[Program] = []
    for program in lineup.programs(options, "tracking", **arguments):
        is_ours = program.module == "programs.ours"
        is_float32 = program.name in (lineup.OURS, lineup.THEIRS)
        if options.precision == ("low" if is_float32 else "float32"):
            continue
        exact = {**program.arguments, "pool": 1} if is_ours else program.arguments
        module = "programs.track_ours" if is_ours else "programs.track_theirs"
        found.append(replace(program, module=module, arguments=exact))
        if is_ours and options.pool > 1:
            pooled = {**exact, "pool": options.pool}
            found.append(replace(found[-1], name=pooled_name(program.name), arguments=pooled))
    return found


def pooled_name(name: str) -> str:
    """What a program is called when its memories are pooled."""
    return f"{name}, pooled"


def frame_table(measured: Mapping[str, Measured], repeats: int) -> str:
    """Seconds of a frame and of its parts, memory, and how much faster ours is than each of theirs."""
    peers = peers_in(measured)
    header = [
        "program",
        "median s",
        "best s",
        "encoder",
        "attention",
        "rest",
        "peak MB",
        "memory + pointer tokens",
    ]
    header += [f"faster than {peer}" for peer in peers]
    rows: list[list[str]] = []
    for name, found in measured.items():
        parts = parts_of(found, repeats)
        maps, pointers = found.answer["tokens"]
        ratios = [
            f"{lineup.ratio(measured, peer, name):.2f} x" if name not in peers else "" for peer in peers
        ]
        seconds = (found.timing.median, found.timing.best, *parts.values())
        texts = [f"{value:.3f}" for value in seconds]
        rows.append([name, *texts, f"{found.peak_bytes / 1e6:.0f}", f"{maps} + {pointers}", *ratios])
    return text_table(header, rows)


def parts_of(found: Measured, repeats: int) -> dict[str, float]:
    """Median seconds of the encoder, of memory attention, and of the rest, in the frames that count."""
    counted = found.answer["parts"][-repeats:]
    names = ("encoder", "attention")
    rest = [whole - sum(parts.values()) for whole, parts in zip(found.timing.seconds, counted, strict=True)]
    return {name: statistics.median(parts[name] for parts in counted) for name in names} | {
        "rest": statistics.median(rest)
    }


def peers_in(measured: Mapping[str, Measured]) -> list[str]:
    """The peer's rows."""
    return [name for name in (lineup.THEIRS, lineup.THEIRS_AUTOCAST) if name in measured]


def agreements(measured: Mapping[str, Measured]) -> str:
    """What masks differ in: each program from the peer in float32, pooled memories from exact ones."""
    lines: list[str] = []
    for name, found in measured.items():
        exact = exact_of(name, measured)
        if exact is not None:
            facts = compared(found.answer, measured[exact].answer)
            lines.append(
                f"{name} and {exact}: IoU of masks {facts['iou']:.5f} on average, {facts['least_iou']:.5f} "
                f"at least; logits differ by {facts['logits']:.2g} on average, "
                f"and are {facts['size']:.2g} large"
            )
    answers = [found.answer for found in measured.values()]
    present = ", ".join(str(answer["present"]) for answer in answers)
    saving = max(answer["saving"] for answer in answers)
    lines.append(f"objects that are there, over all frames, by program: {present} of {len_of(answers[0])}")
    lines.append(f"not in the times: every 10 s segma saves its memories, {saving:.2f} s")
    return "\n".join(lines)


def exact_of(name: str, measured: Mapping[str, Measured]) -> str | None:
    """The program whose masks another one should give."""
    pairs = {pooled_name(other): other for other in measured}
    exact = pairs.get(name, lineup.THEIRS)
    return exact if exact in measured and exact != name else None


def compared(answer: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, float]:
    """IoU of masks over frames and objects, and the mean difference and size of their logits."""
    logits, others = answer["logits"], other["logits"]
    shape = (*logits.shape[:2], -1)
    ious = overlaps(unpacked(answer["masks"], shape), unpacked(other["masks"], shape))
    return {
        "iou": float(ious.mean()),
        "least_iou": float(ious.min()),
        "logits": float(np.abs(logits - others).mean()),
        "size": float(np.abs(others).mean()),
    }


def unpacked(bits: ndarray, shape: tuple[int, ...]) -> ndarray:
    """(frames, objects, pixels)."""
    count = len(bits) * 8 // (shape[0] * shape[1]) * shape[0] * shape[1]
    return np.unpackbits(bits, count=count).reshape(shape).astype(bool)


def overlaps(masks: ndarray, others: ndarray) -> ndarray:
    """IoU of every frame and object; 1 where both are empty."""
    both, either = (masks & others).sum(-1), (masks | others).sum(-1)
    return np.where(either > 0, both / np.maximum(either, 1), 1.0)


def len_of(answer: Mapping[str, Any]) -> int:
    """Masks of an answer."""
    return int(np.prod(answer["logits"].shape[:2]))


def further_table(tables: Mapping[str, Mapping[str, Measured]], objects: Sequence[int]) -> str:
    """What each object costs beyond the first ones, by the medians, and as a share of the peer's."""
    found = further(tables, objects)
    peers = [name for name in (lineup.THEIRS, lineup.THEIRS_AUTOCAST) if name in found]
    rows = [
        [
            name,
            f"{seconds:.3f}",
            *(f"{seconds / found[peer]:.2f}" if name not in peers else "" for peer in peers),
        ]
        for name, seconds in found.items()
    ]
    return text_table(["each further object", "s", *(f"of that of {peer}" for peer in peers)], rows)


def further(tables: Mapping[str, Mapping[str, Measured]], objects: Sequence[int]) -> dict[str, float]:
    """Seconds of each object beyond the fewest."""
    few, many = objects[0], objects[-1]
    first, last = tables[f"{few} objects"], tables[f"{many} objects"]
    return {name: (last[name].timing.median - first[name].timing.median) / (many - few) for name in first}


def document(
    tables: Mapping[str, Mapping[str, Measured]], options: argparse.Namespace
) -> dict[str, dict[str, Any]]:
    """The numbers for the file."""
    found: dict[str, dict[str, Any]] = {}
    for task, measured in tables.items():
        rows = lineup.as_json(measured)
        for name, row in rows.items():
            answer = measured[name].answer
            exact = exact_of(name, measured)
            row["parts"] = parts_of(measured[name], options.repeats)
            row["tokens"] = list(answer["tokens"])
            row["present"] = [answer["present"], len_of(answer)]
            row["compared"] = {exact: compared(answer, measured[exact].answer)} if exact else {}
        found[task] = rows
    if len(options.objects) > 1:
        found["each further object"] = further(tables, options.objects)
    return found


if __name__ == "__main__":
    sys.exit(main())
