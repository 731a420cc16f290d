"""The names and calls of the original `segment_anything` package, over our network and tasks.

A script changes its import line, `from segma.compat.sam import SamPredictor, sam_model_registry`, and runs
as before: the same arguments, results of the same shapes and types. What differs: checkpoints of either
layout load on any machine, results are float32 under bfloat16 autocast, where the original raises, and
mistakes raise errors of `segma.errors` where it asserts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Shaped, UInt8
from numpy import ndarray
from PIL import Image
from torch import Tensor

from segma.checkpoints.detect import identify
from segma.checkpoints.match import fit
from segma.checkpoints.read import read_checkpoint
from segma.compat.mask_records import as_dicts, check_output_mode
from segma.compat.sam_network import Sam, Size, prompt_tensors
from segma.errors import InputError, PromptError
from segma.geometry.transforms import Transform
from segma.models.sam import layout
from segma.models.sam.config import VARIANTS
from segma.runtime import Runtime
from segma.tasks.everything import EverythingConfig, segment_everything

__all__ = [
    "ResizeLongestSide",
    "Sam",
    "SamAutomaticMaskGenerator",
    "SamPredictor",
    "build_sam",
    "build_sam_vit_b",
    "build_sam_vit_h",
    "build_sam_vit_l",
    "sam_model_registry",
]


def build_sam_vit_h(checkpoint: str | Path | None = None) -> Sam:
    """ViT-H with the weights of a file, or untrained. Raises InputError, ModelError."""
    return _build("sam_vit_h", checkpoint)


def build_sam_vit_l(checkpoint: str | Path | None = None) -> Sam:
    """ViT-L with the weights of a file, or untrained. Raises InputError, ModelError."""
    return _build("sam_vit_l", checkpoint)


def build_sam_vit_b(checkpoint: str | Path | None = None) -> Sam:
    """ViT-B with the weights of a file, or untrained. Raises InputError, ModelError."""
    return _build("sam_vit_b", checkpoint)


build_sam = build_sam_vit_h

# lower case: the original's name
sam_model_registry: Mapping[str, Callable[..., Sam]] = MappingProxyType(
    {
        "default": build_sam_vit_h,
        "vit_h": build_sam_vit_h,
        "vit_l": build_sam_vit_l,
        "vit_b": build_sam_vit_b,
    }
)


class ResizeLongestSide:
    """Between pixels of a picture and of the model's frame: the longest side becomes `target_length`."""

    def __init__(self, target_length: int) -> None:
        self.target_length = target_length

    @staticmethod
    def get_preprocess_shape(oldh: int, oldw: int, long_side_length: int) -> tuple[int, int]:
        """Height and width after resizing."""
        return Transform.pad((oldh, oldw), long_side_length).input_size

    def apply_image(self, image: UInt8[ndarray, "height width channels"]) -> UInt8[ndarray, "h w channels"]:
        """The resized picture, by Pillow's bilinear filter on uint8: what the weights expect."""
        height, width = self.get_preprocess_shape(image.shape[0], image.shape[1], self.target_length)
        picture = Image.fromarray(np.ascontiguousarray(image))
        return np.array(picture.resize((width, height), Image.Resampling.BILINEAR))

    def apply_coords(self, coords: Shaped[ndarray, "*n 2"], original_size: Size) -> Float[ndarray, "*n 2"]:
        """Points in the model's frame, float64."""
        return self._transform(original_size).to_model(np.asarray(coords, np.float64))

    def apply_boxes(self, boxes: Shaped[ndarray, "*n 4"], original_size: Size) -> Float[ndarray, "n 4"]:
        """Boxes, x0, y0, x1, y1, in the model's frame, float64."""
        return self.apply_coords(np.reshape(boxes, (-1, 2, 2)), original_size).reshape(-1, 4)

    def apply_image_torch(
        self, image: Float[Tensor, "batch channels height width"]
    ) -> Float[Tensor, "batch channels h w"]:
        """Resized pictures; close to `apply_image`, but not the same bytes."""
        size = self.get_preprocess_shape(image.shape[2], image.shape[3], self.target_length)
        return F.interpolate(image, size, mode="bilinear", align_corners=False, antialias=True)

    def apply_coords_torch(
        self, coords: Shaped[Tensor, "*n 2"], original_size: Size
    ) -> Float[Tensor, "*n 2"]:
        """Points in the model's frame, float32."""
        scale = self._transform(original_size).scale.tolist()
        return coords.float() * torch.tensor(scale, dtype=torch.float32, device=coords.device)

    def apply_boxes_torch(self, boxes: Shaped[Tensor, "*n 4"], original_size: Size) -> Float[Tensor, "n 4"]:
        """Boxes, x0, y0, x1, y1, in the model's frame, float32."""
        return self.apply_coords_torch(boxes.reshape(-1, 2, 2), original_size).reshape(-1, 4)

    def _transform(self, original_size: Size) -> Transform:
        height, width = original_size
        return Transform.pad((height, width), self.target_length)


class SamPredictor:
    """Encodes a picture once and answers prompts about it.

    `features`, `original_size`, `input_size` and `is_image_set` may be saved and set again from outside.
    """

    features: Tensor | None
    original_size: Size
    input_size: Size

    def __init__(self, sam_model: Sam) -> None:
        self.model = sam_model
        self.transform = ResizeLongestSide(sam_model.input_spec.size)
        self.reset_image()

    @property
    def device(self) -> torch.device:
        """Where the network is."""
        return self.model.device

    def set_image(self, image: UInt8[ndarray, "height width 3"], image_format: str = "RGB") -> None:
        """Encode a picture; `image_format` is the order of its channels, RGB or BGR."""
        if image_format not in ("RGB", "BGR"):
            raise InputError("input.value", f'No image format "{image_format}".', "Use RGB or BGR.")
        if image_format != self.model.image_format:
            image = image[..., ::-1]
        resized = torch.as_tensor(self.transform.apply_image(image), device=self.device)
        self.set_torch_image(resized.permute(2, 0, 1)[None], image.shape[:2])

    @torch.no_grad()
    def set_torch_image(
        self, transformed_image: Shaped[Tensor, "1 3 h w"], original_image_size: Size
    ) -> None:
        """Encode pixels of 0..255 already resized; `original_image_size` is (height, width)."""
        shape = tuple(transformed_image.shape)
        side = self.model.input_spec.size
        if len(shape) != 4 or shape[:2] != (1, 3) or max(shape[2:]) != side:
            raise InputError(
                "input.array", f"The image has shape {shape}.", f"Give (1, 3, h, w), longest side {side}."
            )
        self.reset_image()
        self.original_size = (int(original_image_size[0]), int(original_image_size[1]))
        self.input_size = shape[2:]
        self.features = self.model.encode_image(self.model.preprocess(transformed_image)).embedding
        self.is_image_set = True

    def predict(
        self,
        point_coords: Shaped[ndarray, "n 2"] | None = None,
        point_labels: Shaped[ndarray, " n"] | None = None,
        box: Shaped[ndarray, "... 4"] | None = None,
        mask_input: Shaped[ndarray, "1 side side"] | None = None,
        multimask_output: bool = True,
        return_logits: bool = False,
    ) -> tuple[
        Shaped[ndarray, "masks height width"], Float[ndarray, " masks"], Float[ndarray, "masks side side"]
    ]:
        """Masks (or logits, if `return_logits`), predicted IoU and low-resolution logits of one prompt.

        Points are x, y and the box x0, y0, x1, y1, in pixels of the picture; labels are 1 or 0;
        `mask_input` are low-resolution logits of an earlier answer. Raises RuntimeError without a picture.
        """
        self._embedding()
        if point_coords is not None and point_labels is None:
            raise PromptError("prompt.shape", "There are points but no labels.", "Give point_labels.")
        coords = labels = boxes = masks = None
        if point_coords is not None:
            coords = self._tensor(self.transform.apply_coords(point_coords, self.original_size))[None]
            labels = self._tensor(point_labels)[None].long()
        if box is not None:
            boxes = self._tensor(self.transform.apply_boxes(box, self.original_size))
        if mask_input is not None:
            masks = self._tensor(mask_input)[None]
        answer = self.predict_torch(coords, labels, boxes, masks, multimask_output, return_logits)
        drawn, predicted_iou, low_res = (part[0].cpu().numpy() for part in answer)
        return drawn, predicted_iou, low_res

    @torch.no_grad()
    def predict_torch(
        self,
        point_coords: Shaped[Tensor, "batch n 2"] | None,
        point_labels: Shaped[Tensor, "batch n"] | None,
        boxes: Shaped[Tensor, "... 4"] | None = None,
        mask_input: Shaped[Tensor, "_ 1 side side"] | None = None,
        multimask_output: bool = True,
        return_logits: bool = False,
    ) -> tuple[
        Shaped[Tensor, "batch masks height width"],
        Float[Tensor, "batch masks"],
        Float[Tensor, "batch masks side side"],
    ]:
        """The same for a batch of prompts, already in the model's frame, as tensors."""
        embedding = self._embedding()
        asked = prompt_tensors(point_coords, point_labels, boxes, mask_input)
        low_res, predicted_iou = self.model.answer(embedding, asked, multimask_output)
        masks = self.model.postprocess_masks(low_res, self.input_size, self.original_size)
        return (masks if return_logits else masks > self.model.mask_threshold), predicted_iou, low_res

    def get_image_embedding(self) -> Float[Tensor, "1 dim h w"]:
        """The embedding of the picture. Raises RuntimeError without one."""
        return self._embedding()

    def reset_image(self) -> None:
        """Forget the picture."""
        self.is_image_set = False
        self.features = None

    def _embedding(self) -> Tensor:
        if not self.is_image_set or self.features is None:
            raise RuntimeError("No image is set: call set_image first.")  # as in the original
        return self.features

    def _tensor(self, values: Shaped[ndarray, "*shape"] | None) -> Tensor:
        # A copy, because arrays of users may be read-only.
        return torch.as_tensor(np.array(values, np.float32), device=self.device)


class SamAutomaticMaskGenerator:
    """Masks of everything in a picture; the options are explained at `EverythingConfig`.

    `output_mode` is the form of each `segmentation`: binary_mask, uncompressed_rle or coco_rle.
    """

    def __init__(
        self,
        model: Sam,
        points_per_side: int | None = 32,
        points_per_batch: int = 64,
        pred_iou_thresh: float = 0.88,
        stability_score_thresh: float = 0.95,
        stability_score_offset: float = 1.0,
        box_nms_thresh: float = 0.7,
        crop_n_layers: int = 0,
        crop_nms_thresh: float = 0.7,
        crop_overlap_ratio: float = 512 / 1500,
        crop_n_points_downscale_factor: int = 1,
        point_grids: Sequence[Float[ndarray, "points 2"]] | None = None,
        min_mask_region_area: int = 0,
        output_mode: str = "binary_mask",
    ) -> None:
        check_output_mode(output_mode)
        self.config = EverythingConfig(
            points_per_side=points_per_side,
            points_per_batch=points_per_batch,
            pred_iou_thresh=pred_iou_thresh,
            stability_score_thresh=stability_score_thresh,
            stability_score_offset=stability_score_offset,
            box_nms_thresh=box_nms_thresh,
            crop_n_layers=crop_n_layers,
            crop_nms_thresh=crop_nms_thresh,
            crop_overlap_ratio=crop_overlap_ratio,
            crop_n_points_downscale_factor=crop_n_points_downscale_factor,
            point_grids=None if point_grids is None else tuple(point_grids),
            min_mask_region_area=min_mask_region_area,
        )
        self.output_mode = output_mode
        self.predictor = SamPredictor(model)

    def generate(self, image: UInt8[ndarray, "height width 3"]) -> list[dict[str, Any]]:  # JSON, or masks
        """A record for each mask, best first.

        Its fields are segmentation, area, bbox (x, y, width, height), predicted_iou, point_coords,
        stability_score, and crop_box (x, y, width, height).
        """
        network = self.predictor.model
        if network.image_format != "RGB":
            image = np.ascontiguousarray(image[..., ::-1])
        runtime = Runtime(device=str(network.device), precision="fp32")
        found = segment_everything(network, image, self.config, runtime=runtime)
        return as_dicts(found, self.output_mode)


def _build(variant: str, checkpoint: str | Path | None) -> Sam:
    if checkpoint is None:
        return Sam(VARIANTS[variant]).eval()
    file = read_checkpoint(Path(checkpoint))
    found = identify(file.shapes, file.metadata)
    with torch.device("meta"):
        network = Sam(VARIANTS[variant])
    tensors = layout.to_official(layout.strip_wrapping(file.tensors))
    fit(network, tensors, checkpoint, looks_like=found.label)
    return network.eval()
