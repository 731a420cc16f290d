"""What tasks return: plain data that pickles, compares, slices and turns into JSON.

Invariants: every record's mask has the size of the prediction; records are in the order the task
gave them (candidates of a prompt: best first; everything mode: as suppression left them).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib import import_module
from pathlib import Path
from typing import Any, Literal, overload

import numpy as np
from jaxtyping import Bool, Float, Int, UInt8
from numpy import ndarray

from segma.errors import FormatError, MissingExtraError
from segma.formats.codes import CodeGroup, CodeHeader, new_codes, open_codes
from segma.masks.mask import Box, CompactMasks, Mask
from segma.masks.rle import CocoRle
from segma.samples import ImageSample, ObjectSample


@dataclass(frozen=True, kw_only=True, slots=True)
class MaskRecord:
    """One mask with what the model says of it.

    `compact` is the stored mask; `mask` decodes it. `predicted_iou` is the model's own guess, not a
    measurement; `stability_score` is None where it was not computed. `prompt_index` counts the prompts
    of a batch. `low_res_logits` (side, side) may be given back as `previous`.
    """

    compact: Mask
    predicted_iou: float
    stability_score: float | None = None
    prompt_index: int = 0
    points: tuple[tuple[float, float], ...] = ()
    crop_box: Box | None = None
    low_res_logits: Float[ndarray, "side side"] | None = field(default=None, compare=False, repr=False)

    @property
    def mask(self) -> Bool[ndarray, "height width"]:
        """The pixels, decoded on every call."""
        return self.compact.dense()

    @property
    def area(self) -> int:
        """Foreground pixels."""
        return self.compact.area

    @property
    def box(self) -> Box:
        """x0, y0, x1, y1 of the outermost pixels, themselves inside."""
        return self.compact.box

    def to_dict(self) -> dict[str, Any]:  # JSON
        """JSON-ready; `low_res_logits` stay behind."""
        return {
            "segmentation": self.compact.to_coco(),
            "box": list(self.box),
            "area": self.area,
            "predicted_iou": self.predicted_iou,
            "stability_score": self.stability_score,
            "prompt_index": self.prompt_index,
            "points": [list(xy) for xy in self.points],
            "crop_box": None if self.crop_box is None else list(self.crop_box),
        }

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> MaskRecord:
        """The record of `to_dict`. Raises FormatError."""
        try:
            segmentation: CocoRle = data["segmentation"]
            return cls(
                compact=Mask.from_coco(segmentation),
                predicted_iou=float(data["predicted_iou"]),
                stability_score=data.get("stability_score"),
                prompt_index=int(data.get("prompt_index", 0)),
                points=tuple((float(x), float(y)) for x, y in data.get("points", ())),
                crop_box=None if data.get("crop_box") is None else _box(data["crop_box"]),
            )
        except (KeyError, TypeError, ValueError) as error:
            if isinstance(error, FormatError):
                raise
            raise FormatError("format.bad", f"a mask record cannot be read: {error!r}.") from error


@dataclass(frozen=True, kw_only=True, slots=True)
class Prediction(Sequence[MaskRecord]):
    """The masks of one image. A sequence of `MaskRecord`; slicing gives a smaller Prediction.

    `size` = (height, width); `source` is the file's name or ""; `timings` are seconds by stage
    ("encode", "decode", ...); `counts` say what everything mode removed; `image` is the picture itself, for
    drawing, and neither compared nor written to JSON.
    """

    size: tuple[int, int]
    records: tuple[MaskRecord, ...]
    source: str = ""
    timings: dict[str, float] = field(default_factory=dict[str, float], compare=False)
    counts: dict[str, int] = field(default_factory=dict[str, int])
    image: UInt8[ndarray, "height width 3"] | None = field(default=None, compare=False, repr=False)

    @property
    def best(self) -> MaskRecord:
        """The record of highest predicted IoU. Raises ValueError where there is none."""
        return max(self.records, key=lambda record: record.predicted_iou)

    @property
    def masks(self) -> CompactMasks:
        """All masks; `.dense()` gives the (n, height, width) array."""
        return CompactMasks((record.compact for record in self.records), self.size)

    @property
    def boxes(self) -> Float[ndarray, "n 4"]:
        """Tight boxes, xyxy float32, outermost pixels inside."""
        return self.masks.boxes

    @property
    def predicted_iou(self) -> Float[ndarray, " n"]:
        """The model's own quality guesses."""
        return np.array([record.predicted_iou for record in self.records], np.float32)

    def of_prompt(self, index: int) -> Prediction:
        """The candidates of one prompt of a batch."""
        return replace(self, records=tuple(r for r in self.records if r.prompt_index == index))

    def __len__(self) -> int:
        return len(self.records)

    def __iter__(self) -> Iterator[MaskRecord]:
        return iter(self.records)

    @overload
    def __getitem__(self, index: int) -> MaskRecord: ...
    @overload
    def __getitem__(self, index: slice) -> Prediction: ...
    def __getitem__(self, index: int | slice) -> MaskRecord | Prediction:
        if isinstance(index, slice):
            return replace(self, records=self.records[index])
        return self.records[index]

    def __repr__(self) -> str:
        name = f"{self.source}, " if self.source else ""
        best = f", best predicted IoU {self.best.predicted_iou:.2f}" if self.records else ""
        masks = "1 mask" if len(self.records) == 1 else f"{len(self.records)} masks"
        return f"Prediction({name}{self.size[1]}x{self.size[0]}, {masks}{best})"

    def to_dict(self) -> dict[str, Any]:  # JSON
        """JSON-ready, with the masks as COCO run lengths."""
        return {
            "source": self.source,
            "size": list(self.size),
            "masks": [record.to_dict() for record in self.records],
            "counts": dict(self.counts),
            "timings": dict(self.timings),
        }

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Prediction:
        """The prediction of `to_dict`. Raises FormatError."""
        try:
            height, width = (int(v) for v in data["size"])
            return cls(
                size=(height, width),
                records=tuple(MaskRecord.from_dict(record) for record in data["masks"]),
                source=str(data.get("source", "")),
                counts=dict(data.get("counts", {})),
                timings=dict(data.get("timings", {})),
            )
        except (KeyError, TypeError, ValueError) as error:
            if isinstance(error, FormatError):
                raise
            raise FormatError("format.bad", f"a prediction cannot be read: {error!r}.") from error

    def to_sample(self) -> ImageSample:
        """The same as annotations, which is what formats write; object ids count from 1."""
        return ImageSample(
            file_name=self.source,
            size=self.size,
            objects=tuple(
                ObjectSample(
                    object_id=number,
                    mask=record.compact,
                    predicted_iou=record.predicted_iou,
                    stability_score=record.stability_score,
                    points=record.points,
                    crop_box=record.crop_box,
                )
                for number, record in enumerate(self.records, 1)
            ),
        )

    def to_coco(self) -> dict[str, Any]:  # JSON
        """COCO's JSON of this one image."""
        from segma.formats.coco import to_document

        return to_document([self.to_sample()])

    def to_supervision(self) -> Any:  # supervision.Detections; the package is an extra
        """A `supervision.Detections`. Raises MissingExtraError where supervision is not installed."""
        try:
            detections: Any = import_module("supervision").Detections  # an extra, not installed by default
        except ImportError as error:
            raise MissingExtraError("to_supervision()", "interop") from error
        boxes = self.boxes + np.array([0, 0, 1, 1], np.float32)  # its corners are pixel edges
        return detections(xyxy=boxes, mask=self.masks.dense(), confidence=self.predicted_iou)

    def plot(self, **options: Any) -> UInt8[ndarray, "height width 3"]:  # draw.overlay's own options
        """The picture with the masks drawn over it, RGB. Options are those of `media.draw.overlay`."""
        from segma.media import draw

        return draw.overlay(self._picture(), self.masks, **options)

    def save(self, path: str | Path, *, kind: str | None = None, overwrite: bool = True) -> Path:
        """Write to a file whose name says what it is, or as `kind` says (the table is `outputs.KINDS`).

        `mask.png`, `x.overlay.jpg`, `x.cutout.png`, `x.sheet.png`, `x.coco.json`, `x.sa1b.json`, `x.csv`, or
        a folder of one PNG a mask. Raises FormatError, InputError, StoreError.
        """
        from segma.formats import outputs

        return outputs.write(self.to_sample(), self.image, Path(path), kind=kind, overwrite=overwrite)

    def _picture(self) -> UInt8[ndarray, "height width 3"]:
        """The image, or grey where the prediction came without it."""
        return self.image if self.image is not None else np.full((*self.size, 3), 128, np.uint8)


@dataclass(frozen=True, kw_only=True, slots=True)
class TrackRecord:
    """One object on one frame of a video.

    `predicted_iou` and `object_score` (a logit: above 0 means there) are the model's own guesses; they are 1
    and 10 or -10 for what a person drew or said. An anchor is a frame that a person made or confirmed.
    """

    compact: Mask
    predicted_iou: float
    object_score: float
    stability_score: float | None = None
    source: Literal["model", "person", "import"] = "model"
    is_anchor: bool = False

    @property
    def is_present(self) -> bool:
        """Whether the object is there to be seen."""
        return self.object_score > 0


@dataclass(frozen=True, kw_only=True, slots=True)
class TrackFrame:
    """All objects on one frame, by name; `time` in seconds from the start.

    `image` is the frame itself, for drawing, and neither compared nor written to JSON.
    """

    index: int
    time: float
    size: tuple[int, int]
    records: Mapping[str, TrackRecord]
    tracked: tuple[str, ...] = ()
    """The objects that this run worked on here; the others are as they were."""
    image: UInt8[ndarray, "height width 3"] | None = field(default=None, compare=False, repr=False)

    @property
    def masks(self) -> dict[str, Mask]:
        """The masks by name; `.dense()` gives the array."""
        return {name: record.compact for name, record in self.records.items()}

    @property
    def quality(self) -> dict[str, float]:
        """The predicted IoU by name."""
        return {name: record.predicted_iou for name, record in self.records.items()}

    def to_dict(self) -> dict[str, Any]:  # JSON
        """JSON-ready, with the masks as COCO run lengths."""
        objects = {
            name: {
                "segmentation": record.compact.to_coco(),
                "box": list(record.compact.box),
                "area": record.compact.area,
                "predicted_iou": record.predicted_iou,
                "present": record.is_present,
                "source": record.source,
                "anchor": record.is_anchor,
            }
            for name, record in self.records.items()
        }
        return {"frame": self.index, "time": self.time, "size": list(self.size), "objects": objects}

    def plot(self, **options: Any) -> UInt8[ndarray, "height width 3"]:  # draw.overlay's own options
        """The frame with the masks drawn over it, RGB. Options are those of `media.draw.overlay`."""
        from segma.media import draw

        picture = self.image if self.image is not None else np.full((*self.size, 3), 128, np.uint8)
        return draw.overlay(picture, CompactMasks(self.masks.values(), self.size), **options)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class CodeGrid:
    """A picture or clip as `codes` of a tokenizer, or as `latent` of one without a codebook.

    `size` (height, width) is that of the pictures, `fps` is None for a single picture. The grid also covers
    what was padded right, below and at the end; decoding cuts that off. `num_codes` is 0 for latents; the
    first frame of a clip, or of each `chunk` of frames where that is not 0, is a group of its own, others
    are of `temporal_patch` frames. `model` and `weights` (a hash) say what can decode it; they may be "".
    Raises FormatError format.bad, say for a code outside the codebook.
    """

    size: tuple[int, int]
    num_frames: int = 1
    fps: float | int | None = None
    num_codes: int
    patch: int
    temporal_patch: int
    chunk: int = 0
    model: str = ""
    weights: str = ""
    codes: Int[ndarray, "groups rows columns"] | None = None
    latent: Float[ndarray, "groups rows columns channels"] | None = None

    def __post_init__(self) -> None:
        header = self.header
        header.check_count(self.num_frames)
        groups = header.num_groups(self.num_frames) if self.num_frames > 0 else 0
        if not len(self.values) == groups > 0:
            text = f"{len(self.values)} groups cannot be of {self.num_frames} frames"
            raise FormatError("format.bad", f"Codes: {text}.")
        for values in self.values:
            header.check_group(values)

    @property
    def values(self) -> Int[ndarray, "groups rows columns"] | Float[ndarray, "groups rows columns channels"]:
        """The codes, or the latents."""
        found = self.codes if self.latent is None else self.latent
        if found is None or not (self.codes is None or self.latent is None):
            raise FormatError("format.bad", "Codes: a grid has either codes or latents.")
        return found

    @property
    def header(self) -> CodeHeader:
        """What a file says before the codes."""
        shape = self.values.shape
        return CodeHeader(
            grid=(shape[1], shape[2]),
            channels=0 if self.latent is None else shape[3],
            **{name: getattr(self, name) for name in _HEADER},
        )

    @property
    def groups(self) -> Iterator[CodeGroup]:
        """One group after the other, each with the number of its frames."""
        header, left = self.header, self.num_frames
        for index, values in enumerate(self.values):
            count = min(left, header.frames_of(index))
            left -= count
            yield CodeGroup(values=values, num_frames=count)

    @classmethod
    def of(cls, header: CodeHeader, groups: Iterable[CodeGroup]) -> CodeGrid:
        """All groups of a clip together. Raises FormatError."""
        found = list(groups)
        if not found:
            raise FormatError("format.bad", "Codes: no frames.")
        values = np.stack([group.values for group in found])
        return cls(
            num_frames=sum(group.num_frames for group in found),
            **{"latent" if header.channels else "codes": values},
            **{name: getattr(header, name) for name in _HEADER},
        )

    @classmethod
    def load(cls, path: str | Path) -> CodeGrid:
        """The grid of a file. Raises InputError, and FormatError for a broken one."""
        with open_codes(path) as reader:
            return cls.of(reader.header, reader)

    def save(self, path: str | Path, *, overwrite: bool = True) -> Path:
        """Write a file; latents in 16 bits. Raises InputError, FormatError, StoreError."""
        with new_codes(path, self.header, overwrite=overwrite) as writer:
            for group in self.groups:
                writer.write(group)
        return Path(path)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, CodeGrid):
            return NotImplemented
        same = (self.header, self.num_frames) == (other.header, other.num_frames)
        return same and np.array_equal(self.values, other.values)


_HEADER = ("size", "fps", "num_codes", "patch", "temporal_patch", "chunk", "model", "weights")


def _box(values: Sequence[float]) -> Box:
    x0, y0, x1, y1 = (float(v) for v in values)
    return (x0, y0, x1, y1)
