"""Everything mode, end to end: segma against transformers' mask generation, the same weights and thresholds.

From the decoded RGB array to the records with run lengths. Weights made up by rule give no usable masks,
so they are changed by the rule in `programs.ours.state_of`, and the filters are set so that about 400 of the
3072 candidates pass the one on predicted IoU and about 200 of these reach suppression, in both programs.
Thresholds that are not in the table below are found first, in the same way.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from importlib.util import find_spec
from typing import Any

import numpy as np
from programs import lineup, thresholds
from programs.turns import Measured, compare

from segma.evaluation.protocols.speed import text_table

# (variant, picture) -> predicted IoU, stability; found by programs.thresholds for 32 x 32 clicks. Of the 3072
# candidates 390 and then 195 are left on the truck, 399 and 153 on the made-up picture (empty masks).
THRESHOLDS = {
    ("sam_vit_b", "truck.jpg"): (0.3143, 0.2746),
    ("sam_vit_b", "made-up picture"): (0.3253, 0.04),
}
OFFSET = 0.05
SUPPRESSION = 0.9
STAGES = ("candidates", "after IoU", "after stability", "after edges", "records")


def main() -> int:
    options = arguments()
    name, image = lineup.picture(options)
    print(lineup.heading("everything", options, name, image), flush=True)
    limits = THRESHOLDS.get((options.variant, name))
    if limits is None:
        limits = thresholds.find(options.variant, image, options.points_per_side, OFFSET, options.threads)
    if options.pred_iou_thresh is not None:
        limits = (options.pred_iou_thresh, limits[1])
    if options.stability_score_thresh is not None:
        limits = (limits[0], options.stability_score_thresh)
    settings = {
        "points_per_side": options.points_per_side,
        "pred_iou_thresh": limits[0],
        "stability_score_thresh": limits[1],
        "stability_score_offset": OFFSET,
        "box_nms_thresh": SUPPRESSION,
    }
    print(", ".join(f"{key} {value:.6g}" for key, value in settings.items()))
    print(peer_note(), flush=True)
    programs = lineup.programs(options, "everything", image=image, settings=settings)
    tables = compare(programs, ["everything"], repeats=options.repeats, warm_up=options.warm_up)
    report(tables["everything"])
    if options.save:
        print(f"saved {lineup.save('everything', options, name, document(tables['everything'], settings))}")
    return 0


def arguments() -> argparse.Namespace:
    """The options of this benchmark."""
    parser = lineup.parser(__doc__ or "", repeats=3)
    parser.add_argument("--points-per-side", type=int, default=32, help="clicks along a side; 8 is quick")
    parser.add_argument("--pred-iou-thresh", type=float, help="instead of the one for this picture")
    parser.add_argument("--stability-score-thresh", type=float, help="instead of the one for this picture")
    return parser.parse_args()


def peer_note() -> str:
    """What was changed in the peer."""
    if find_spec("torchvision") is None:
        return (
            "transformers: its own pipeline; torchvision is not installed, so its suppression is segma's nms."
        )
    return "transformers: its own pipeline, suppression by torchvision."


def report(measured: Mapping[str, Measured]) -> None:
    """Speed, what each filter left, where our time went, and how well the records agree."""
    print(f"\n{lineup.speed_table(measured)}\n")
    rows = [[name, *(str(number) for number in found.answer["left"])] for name, found in measured.items()]
    print(text_table(["candidates left", *STAGES], rows))
    print()
    exact = measured[lineup.THEIRS].answer
    for name, found in measured.items():
        if found.answer["stages"]:
            seconds = ", ".join(f"{stage} {value:.2f} s" for stage, value in found.answer["stages"].items())
            print(f"stages of {name}, last run: {seconds}")
    for name, found in measured.items():
        if name != lineup.THEIRS:
            print(f"{name} and {lineup.THEIRS}: {agreement(found.answer, exact)}")


def agreement(answer: dict[str, Any], other: dict[str, Any]) -> str:
    """Records of two programs compared, in words."""
    facts = compared(answer, other)
    if not facts["same_number"]:
        ours, theirs = facts["records"]
        return f"{ours} and {theirs} records, {facts['shared_boxes']} boxes are in both"
    return (
        f"{len(answer['boxes'])} records in both; one by one, in order, boxes differ by at most "
        f"{facts['box_pixels']:g} px, areas by {facts['area_share']:.3%}, predicted IoU by "
        f"{facts['predicted_iou']:.1e}"
    )


def compared(answer: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    """Number of records, and their differences one by one, in order, where there are as many."""
    boxes, others = answer["boxes"], other["boxes"]
    facts: dict[str, Any] = {"records": [len(boxes), len(others)], "same_number": len(boxes) == len(others)}
    if not facts["same_number"]:
        theirs = {tuple(box) for box in others.tolist()}
        return {**facts, "shared_boxes": sum(tuple(box) in theirs for box in boxes.tolist())}
    areas, other_areas = np.array(answer["areas"]), np.array(other["areas"])
    return {
        **facts,
        "box_pixels": float(np.abs(boxes - others).max(initial=0)),
        "area_share": float((np.abs(areas - other_areas) / np.maximum(other_areas, 1)).max(initial=0)),
        "predicted_iou": float(np.abs(answer["scores"] - other["scores"]).max(initial=0)),
    }


def document(measured: Mapping[str, Measured], settings: dict[str, Any]) -> dict[str, Any]:
    """The numbers for the file."""
    exact = measured[lineup.THEIRS].answer
    return {
        "everything": lineup.as_json(measured),
        "settings": settings,
        "left": {
            name: dict(zip(STAGES, found.answer["left"], strict=True)) for name, found in measured.items()
        },
        "stages": {name: found.answer["stages"] for name, found in measured.items()},
        "agreement": {
            name: compared(found.answer, exact) for name, found in measured.items() if name != lineup.THEIRS
        },
    }


if __name__ == "__main__":
    sys.exit(main())
