"""Clicks and boxes on an image that is encoded already: segma against transformers, the same weights.

Both decode, choose the mask, enlarge it to the image and threshold it. "whole answer" is the click as
`ImageSession.predict` gives it, with stability and run lengths on top, against the peer's best mask.
"""

from __future__ import annotations

import sys

import numpy as np
from numpy import ndarray
from programs import lineup
from programs.turns import compare


def main() -> int:
    parser = lineup.parser(__doc__ or "", repeats=10)
    parser.add_argument("--boxes", type=int, default=64, help="boxes of the batch")
    options = parser.parse_args()
    name, image = lineup.picture(options)
    print(lineup.heading("click", options, name, image), flush=True)
    height, width = image.shape[:2]
    programs = lineup.programs(
        options,
        "clicks",
        image=image,
        click=(0.28 * width, 0.31 * height),
        boxes=random_boxes(options.boxes, height, width),
    )
    tasks = ["click, best mask", "click, three masks", "click, whole answer", f"{options.boxes} boxes"]
    tables = compare(programs, tasks, repeats=options.repeats, warm_up=options.warm_up)
    for task, measured in tables.items():
        print(f"\n{task}\n{lineup.speed_table(measured)}")
        exact = measured[lineup.THEIRS].answer
        for program, found in measured.items():
            if program != lineup.THEIRS:
                print(f"{overlap(found.answer, exact)} with {lineup.THEIRS}: {program}")
    if options.save:
        rows = {task: lineup.as_json(measured) for task, measured in tables.items()}
        print(f"saved {lineup.save('click', options, name, rows)}")
    return 0


def random_boxes(number: int, height: int, width: int) -> list[list[float]]:
    """Boxes from a fixed seed, inside the image."""
    corners = np.random.default_rng(7).random((number, 2, 2)) * [width - 1, height - 1]
    return np.concatenate([corners.min(1), corners.max(1)], 1).tolist()


def overlap(masks: ndarray, others: ndarray) -> str:
    """The smallest IoU of two stacks of masks, mask by mask."""
    both = (masks & others).sum((1, 2), dtype=np.int64)
    either = (masks | others).sum((1, 2), dtype=np.int64)
    return f"{len(masks)} masks, smallest IoU {(both / np.maximum(either, 1)).min():.5f}"


if __name__ == "__main__":
    sys.exit(main())
