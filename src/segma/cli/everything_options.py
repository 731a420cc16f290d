"""The options of everything mode, for the verbs that run it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import typer

PointsPerSide = Annotated[
    int | None,
    typer.Option(
        "--points-per-side",
        show_default="officially 32",
        metavar="N",
        min=1,
        help="Clicks along one side of the picture.",
    ),
]
MinIou = Annotated[
    float | None,
    typer.Option(
        "--pred-iou-thresh",
        show_default="officially 0.88",
        metavar="X",
        help="Keep masks of predicted IoU above this; 0 keeps all.",
    ),
]
MinStability = Annotated[
    float | None,
    typer.Option(
        "--stability-score-thresh",
        show_default="officially 0.95",
        metavar="X",
        help="Keep masks of at least this stability; 0 keeps all.",
    ),
]


@dataclass(frozen=True, kw_only=True, slots=True)
class Grid:
    """The options of the official script, under its names; without, those that go with the model.

    For official weights these are the script's own defaults (`tasks.everything.EverythingConfig`).
    """

    points_per_side: PointsPerSide = None
    points_per_batch: Annotated[
        int | None,
        typer.Option(
            "--points-per-batch",
            show_default="officially 64",
            metavar="N",
            help="At most so many clicks are decoded together.",
        ),
    ] = None
    pred_iou_thresh: MinIou = None
    stability_score_thresh: MinStability = None
    stability_score_offset: Annotated[
        float | None,
        typer.Option(
            "--stability-score-offset",
            show_default="officially 1.0",
            metavar="X",
            help="Shift of the threshold to measure stability.",
        ),
    ] = None
    box_nms_thresh: Annotated[
        float | None,
        typer.Option(
            "--box-nms-thresh",
            show_default="officially 0.7",
            metavar="X",
            help="Box IoU above which the worse of two masks goes.",
        ),
    ] = None
    crop_n_layers: Annotated[
        int | None,
        typer.Option(
            "--crop-n-layers",
            show_default="officially 0",
            metavar="N",
            help="Layers of crops; layer k has 2^k x 2^k.",
        ),
    ] = None
    crop_nms_thresh: Annotated[
        float | None,
        typer.Option(
            "--crop-nms-thresh",
            show_default="officially 0.7",
            metavar="X",
            help="Box IoU above which the mask of the larger crop goes.",
        ),
    ] = None
    crop_overlap_ratio: Annotated[
        float | None,
        typer.Option(
            "--crop-overlap-ratio",
            show_default="officially 0.34",
            metavar="X",
            help="Overlap of crops, as a share of the short side.",
        ),
    ] = None
    crop_n_points_downscale_factor: Annotated[
        int | None,
        typer.Option(
            "--crop-n-points-downscale-factor",
            show_default="officially 1",
            metavar="N",
            help="Layer k has clicks per side / factor^k.",
        ),
    ] = None
    min_mask_region_area: Annotated[
        int | None,
        typer.Option(
            "--min-mask-region-area",
            show_default="officially 0",
            metavar="N",
            help="Smaller holes and islands, in pixels, are removed.",
        ),
    ] = None
