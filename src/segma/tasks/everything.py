"""Every object of an image: a grid of clicks, filters, suppression of duplicates.

The records are those of SAM's automatic mask generator (SAM section 5 and appendix B), in its order. Work is
saved where the records cannot change: a mask whose predicted IoU is too low is never drawn, and run
lengths are made only of what suppression leaves.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from jaxtyping import Float, UInt8
from numpy import ndarray

from segma.errors import Cancelled, InputError
from segma.geometry.boxes import nms
from segma.geometry.grids import CropBox, crop_boxes, layer_grids
from segma.masks.components import remove_small_regions
from segma.masks.mask import Mask
from segma.models.interfaces import InputSpec, Promptable
from segma.prompts.types import Points, PromptSet
from segma.results import MaskRecord, Prediction
from segma.runtime import Runtime, memory_errors
from segma.tasks import postprocess
from segma.tasks.choice import first_candidate
from segma.tasks.preprocess import pack_prompts
from segma.tasks.segment import EncodedImage, decode, encode

Progress = Callable[[int, int], None]
_NEAR_EDGE = 20  # pixels; amg.py's is_box_near_crop_edge


@dataclass(frozen=True, kw_only=True, slots=True)
class EverythingConfig:
    """The options of the official mask generator under their own names and defaults."""

    points_per_side: int | None = 32
    """Clicks along one side of the image; None where `point_grids` says where."""
    points_per_batch: int = 64
    """At most so many clicks are decoded together."""
    pred_iou_thresh: float = 0.88
    """Keep masks of predicted IoU above this; no filter at 0 or below."""
    stability_score_thresh: float = 0.95
    """Keep masks of at least this stability; no filter at 0 or below."""
    stability_score_offset: float = 1.0
    """Shift of the logit threshold that stability is measured with."""
    box_nms_thresh: float = 0.7
    """Box IoU above which the worse of two masks of one crop goes."""
    crop_n_layers: int = 0
    """Layers of crops; layer k has 2^k x 2^k."""
    crop_nms_thresh: float = 0.7
    """Box IoU above which the mask of the larger crop goes."""
    crop_overlap_ratio: float = 512 / 1500
    """Overlap of the first layer's crops, as a share of the short side."""
    crop_n_points_downscale_factor: int = 1
    """Layer k has points_per_side / factor^k clicks a side."""
    point_grids: tuple[Float[ndarray, "points 2"], ...] | None = None
    """Clicks in [0, 1]^2, one array a layer, instead of `points_per_side`."""
    min_mask_region_area: int = 0
    """Holes and islands smaller than this many pixels are removed."""

    def __post_init__(self) -> None:
        if (self.points_per_side is None) == (self.point_grids is None):
            raise InputError("input.value", "Give either points_per_side or point_grids.")
        if self.point_grids is not None and len(self.point_grids) <= self.crop_n_layers:
            raise InputError(
                "input.value",
                f"{len(self.point_grids)} point grids for {self.crop_n_layers + 1} layers: one a layer.",
            )
        limits = {
            "points_per_side": (1 if self.points_per_side is None else self.points_per_side, 1, 1024),
            "points_per_batch": (self.points_per_batch, 1, 1 << 20),
            "crop_n_layers": (self.crop_n_layers, 0, 6),
            "crop_n_points_downscale_factor": (self.crop_n_points_downscale_factor, 1, 1024),
            "min_mask_region_area": (self.min_mask_region_area, 0, 1 << 40),
            "crop_overlap_ratio": (self.crop_overlap_ratio, 0, 0.99),
        }
        for name, (value, low, high) in limits.items():
            if not low <= value <= high:
                raise InputError("input.value", f"{name} is {value}; it goes from {low} to {high}.")

    def grids(self) -> list[Float[ndarray, "points 2"]]:
        """The clicks of every layer, in [0, 1]^2."""
        if self.point_grids is not None:
            return list(self.point_grids)
        assert self.points_per_side is not None
        return layer_grids(self.points_per_side, self.crop_n_layers, self.crop_n_points_downscale_factor)


def usual_config(spec: InputSpec) -> EverythingConfig:
    """The options that go with a model: the official ones, but for our small models.

    Those see small things at parts of the picture only, and guess qualities more carefully: the threshold
    leaves about a hundred masks of a photo, and the stability of their masks tells nothing (research/LOG.md).
    """
    if not spec.looks_twice:
        return EverythingConfig()
    return EverythingConfig(
        points_per_side=12,
        pred_iou_thresh=0.33,
        stability_score_thresh=0.0,
        crop_n_layers=1,
    )


@dataclass(slots=True)
class _Candidates:
    """Masks of one crop that passed the filters, not yet at image size. Columns of one length."""

    low_res_logits: list[Float[ndarray, "side side"]] = field(default_factory=list[ndarray])
    boxes: list[tuple[int, int, int, int]] = field(default_factory=list[tuple[int, int, int, int]])
    predicted_iou: list[float] = field(default_factory=list[float])
    stability: list[float] = field(default_factory=list[float])
    points: list[tuple[float, float]] = field(default_factory=list[tuple[float, float]])


def segment_everything(
    model: Promptable,
    image: UInt8[ndarray, "height width 3"],
    config: EverythingConfig | None = None,
    *,
    runtime: Runtime | None = None,
    source: str = "",
    on_progress: Progress | None = None,
    cancel: threading.Event | None = None,
) -> Prediction:
    """All masks of an image, by `usual_config` without another.

    `counts` of the result say how many candidates each filter removed. `on_progress(clicks done, clicks in
    all)`. Raises Cancelled when `cancel` is set, MemoryLimitError.
    """
    run = _Run(
        model, image, config or usual_config(model.input_spec), runtime or Runtime(), on_progress, cancel
    )
    start = time.perf_counter()
    with memory_errors(), torch.inference_mode():
        records = run.records()
    timings = {**run.seconds, "total": time.perf_counter() - start}
    size = (image.shape[0], image.shape[1])
    return Prediction(
        size=size, records=tuple(records), source=source, image=image, timings=timings, counts=run.counts
    )


@dataclass(slots=True)
class _Run:
    """One pass over an image, with its counters."""

    model: Promptable
    image: UInt8[ndarray, "height width 3"]
    config: EverythingConfig
    runtime: Runtime
    on_progress: Progress | None
    cancel: threading.Event | None
    seconds: dict[str, float] = field(default_factory=lambda: {"encode": 0.0, "decode": 0.0})
    counts: dict[str, int] = field(
        default_factory=lambda: dict.fromkeys(
            ("points", "candidates", "low_iou", "unstable", "at_edge", "duplicate"), 0
        )
    )

    @property
    def size(self) -> tuple[int, int]:
        return (self.image.shape[0], self.image.shape[1])

    def records(self) -> list[MaskRecord]:
        """All crops, then suppression between crops, then cleaning."""
        config = self.config
        boxes = crop_boxes(self.size, config.crop_n_layers, config.crop_overlap_ratio)
        grids = config.grids()
        total = sum(len(grids[layer]) for _, layer in boxes)
        records: list[MaskRecord] = []
        for crop, layer in boxes:
            records += self._of_crop(crop, grids[layer], total)
        if len(boxes) > 1:
            records = self._suppress(
                records, [self._merit(record) for record in records], config.crop_nms_thresh
            )
        if config.min_mask_region_area > 0:
            records = self._clean(records)
        return records

    def _merit(self, record: MaskRecord) -> float:
        """Which of two crops' masks stays: that of the smaller crop; of a hedging model the better one."""
        return record.predicted_iou if self.model.input_spec.hedges else 1 / _area(record)

    def _of_crop(self, crop: CropBox, grid: Float[ndarray, "points 2"], total: int) -> list[MaskRecord]:
        """The masks of one crop, duplicates removed, in the image's frame."""
        x0, y0, x1, y1 = crop
        start = time.perf_counter()
        encoded = encode(self.model, np.ascontiguousarray(self.image[y0:y1, x0:x1]), self.runtime)
        self.seconds["encode"] += time.perf_counter() - start
        start = time.perf_counter()
        found = _Candidates()
        points = grid * np.array([x1 - x0, y1 - y0])
        for batch in self._batches(points, total):
            self._filter(encoded, batch, crop, found)
        kept = nms(
            np.array(found.boxes, np.float32).reshape(-1, 4),
            np.array(found.predicted_iou, np.float32),
            self.config.box_nms_thresh,
        )
        self.counts["duplicate"] += len(found.boxes) - len(kept)
        records = [self._record(found, int(index), encoded, crop) for index in kept]
        self.seconds["decode"] += time.perf_counter() - start
        return records

    def _batches(self, points: Float[ndarray, "points 2"], total: int) -> Iterator[Float[ndarray, "batch 2"]]:
        """The clicks of a crop, a few at a time; here progress is told and cancelling is heard."""
        step = min(self.config.points_per_batch, self.runtime.prompts_at_once)
        for start in range(0, len(points), step):
            if self.cancel is not None and self.cancel.is_set():
                raise Cancelled
            yield points[start : start + step]
            self.counts["points"] += len(points[start : start + step])
            if self.on_progress is not None:
                self.on_progress(self.counts["points"], total)

    def _filter(
        self,
        encoded: EncodedImage,
        points: Float[ndarray, "batch 2"],
        crop: CropBox,
        found: _Candidates,
    ) -> None:
        """Decode a batch of clicks and keep the masks that are good, stable and not cut by the crop."""
        config, threshold = self.config, self.model.mask_threshold
        prompts = [PromptSet(points=Points(point)) for point in points]
        device = self.runtime.torch_device
        tensors = pack_prompts(prompts, encoded.transform, self.model.input_spec, device)
        decoded = decode(self.model, encoded, tensors)
        first = first_candidate(self.model.input_spec)
        predicted_iou = decoded.predicted_iou[:, first:].float()  # the ambiguous set
        self.counts["candidates"] += predicted_iou.numel()
        good = predicted_iou > (config.pred_iou_thresh if config.pred_iou_thresh > 0 else -torch.inf)
        rows, columns = good.nonzero(as_tuple=True)
        self.counts["low_iou"] += predicted_iou.numel() - len(rows)
        if not len(rows):
            return
        drawn = self.model.render_masks(decoded, rows, columns + first).cpu().numpy()
        quality = predicted_iou[rows, columns].cpu().numpy()
        for row, low_res_logits, iou in zip(map(int, rows), drawn, quality, strict=True):
            logits = postprocess.to_image_size(low_res_logits, encoded.transform)
            stability = postprocess.stability_score(logits, threshold, config.stability_score_offset)
            if config.stability_score_thresh > 0 and not stability >= config.stability_score_thresh:
                self.counts["unstable"] += 1
                continue
            box = postprocess.box_of(logits > threshold)
            if _is_cut(box, crop, self.size):
                self.counts["at_edge"] += 1
                continue
            found.low_res_logits.append(low_res_logits.copy())  # a view would keep the whole batch
            found.boxes.append(box)
            found.predicted_iou.append(float(iou))
            found.stability.append(stability)
            found.points.append((float(points[row, 0]), float(points[row, 1])))

    def _record(self, found: _Candidates, index: int, encoded: EncodedImage, crop: CropBox) -> MaskRecord:
        """One survivor: its logits at crop size once more, then run lengths in the image's frame."""
        logits = postprocess.to_image_size(found.low_res_logits[index], encoded.transform)
        x0, y0, x1, y1 = (float(side) for side in found.boxes[index])
        mask = Mask.from_dense(logits > self.model.mask_threshold, within=(x0, y0, x1, y1))
        x, y = found.points[index]
        return MaskRecord(
            compact=mask.moved((crop[1], crop[0]), self.size),
            predicted_iou=found.predicted_iou[index],
            stability_score=found.stability[index],
            points=((x + crop[0], y + crop[1]),),
            crop_box=(float(crop[0]), float(crop[1]), float(crop[2]), float(crop[3])),
        )

    def _clean(self, records: list[MaskRecord]) -> list[MaskRecord]:
        """Holes filled and islands dropped; of the duplicates that makes, the untouched one stays."""
        cleaned: list[MaskRecord] = []
        scores: list[float] = []
        for record in records:
            mask, filled = remove_small_regions(record.mask, self.config.min_mask_region_area, "holes")
            mask, dropped = remove_small_regions(mask, self.config.min_mask_region_area, "islands")
            changed = filled or dropped
            scores.append(0.0 if changed else 1.0)
            cleaned.append(replace(record, compact=Mask.from_dense(mask)) if changed else record)
        threshold = max(self.config.box_nms_thresh, self.config.crop_nms_thresh)
        return self._suppress(cleaned, scores, threshold)

    def _suppress(self, records: list[MaskRecord], scores: list[float], threshold: float) -> list[MaskRecord]:
        """Box suppression of finished records."""
        boxes = np.array([record.box for record in records], np.float32).reshape(-1, 4)
        kept = nms(boxes, np.array(scores, np.float32), threshold)
        self.counts["duplicate"] += len(records) - len(kept)
        return [records[int(index)] for index in kept]


def _area(record: MaskRecord) -> float:
    """Pixels of the crop a record was found in."""
    assert record.crop_box is not None
    x0, y0, x1, y1 = record.crop_box
    return (x1 - x0) * (y1 - y0)


def _is_cut(box: tuple[int, int, int, int], crop: CropBox, size: tuple[int, int]) -> bool:
    """Whether a box (crop frame) comes near a crop edge that is no image edge: then it is cut there."""
    placed = np.array(box) + np.array([crop[0], crop[1], crop[0], crop[1]])
    near_crop = np.abs(placed - np.array(crop)) <= _NEAR_EDGE
    near_image = np.abs(placed - np.array([0, 0, size[1], size[0]])) <= _NEAR_EDGE
    return bool((near_crop & ~near_image).any())
