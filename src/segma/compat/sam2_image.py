"""SAM 2's image predictor under its original name: encode a picture, or several, and ask."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Shaped, UInt8
from numpy import ndarray
from PIL import Image
from torch import Tensor

from segma.compat.sam2_network import SAM2Base
from segma.compat.sam_network import prompt_tensors
from segma.errors import InputError, PromptError
from segma.masks.components import remove_small_regions
from segma.media.image import read_image
from segma.models.interfaces import ImageFeatures
from segma.tasks.preprocess import image_to_model

Size = Sequence[int]  # height, width
_CLAMP = 32.0  # low-resolution logits that are given back stay within this
_CERTAIN = 10.0  # how far filled holes and removed specks lie from the threshold


class SAM2Transforms:
    """Between pictures and the model's frame of `resolution` pixels a side.

    Holes of at most `max_hole_area` cells of the low-resolution mask are filled, and specks of at most
    `max_sprinkle_area` dropped, on every device.
    """

    def __init__(
        self,
        resolution: int,
        mask_threshold: float | int = 0.0,
        max_hole_area: float | int = 0.0,
        max_sprinkle_area: float | int = 0.0,
    ) -> None:
        self.resolution = resolution
        self.mask_threshold = mask_threshold
        self.max_hole_area = max_hole_area
        self.max_sprinkle_area = max_sprinkle_area

    def transform_coords(
        self, coords: Shaped[Tensor, "*n 2"], normalize: bool = False, orig_hw: Size | None = None
    ) -> Float[Tensor, "*n 2"]:
        """Points in the model's frame: fractions, or pixels of a picture of `orig_hw` if `normalize`."""
        coords = coords.float()
        if normalize:
            if orig_hw is None:
                raise InputError("input.value", "Pixels become fractions by a size.", "Give orig_hw.")
            coords = coords / torch.tensor([orig_hw[1], orig_hw[0]], device=coords.device)
        return coords * self.resolution

    def transform_boxes(
        self, boxes: Shaped[Tensor, "... 4"], normalize: bool = False, orig_hw: Size | None = None
    ) -> Float[Tensor, "n 2 2"]:
        """Boxes, x0, y0, x1, y1, as two corners each in the model's frame."""
        return self.transform_coords(boxes.reshape(-1, 2, 2), normalize, orig_hw)

    def clean(self, masks: Float[Tensor, "*batch side side"]) -> Float[Tensor, "*batch side side"]:
        """Low-resolution logits, holes filled and specks removed (both found in the logits as given)."""
        if self.max_hole_area <= 0 and self.max_sprinkle_area <= 0:
            return masks
        inside = masks > self.mask_threshold
        holes, specks = _small(~inside, self.max_hole_area), _small(inside, self.max_sprinkle_area)
        masks = torch.where(holes, torch.full_like(masks, self.mask_threshold + _CERTAIN), masks)
        return torch.where(specks, torch.full_like(masks, self.mask_threshold - _CERTAIN), masks)

    def postprocess_masks(
        self, masks: Float[Tensor, "batch masks side side"], orig_hw: Size
    ) -> Float[Tensor, "batch masks height width"]:
        """Logits at the size of the picture, holes filled and specks removed."""
        size = (int(orig_hw[0]), int(orig_hw[1]))
        return F.interpolate(self.clean(masks.float()), size, mode="bilinear", align_corners=False)


class SAM2ImagePredictor:
    """Encodes a picture, or a batch of them, once and answers prompts about it.

    `kwargs` are taken and not used, as in the original.
    """

    def __init__(
        self,
        sam_model: SAM2Base,
        mask_threshold: float | int = 0.0,
        max_hole_area: float | int = 0.0,
        max_sprinkle_area: float | int = 0.0,
        **kwargs: Any,  # not used
    ) -> None:
        self.model = sam_model
        self.mask_threshold = mask_threshold
        self._transforms = SAM2Transforms(
            sam_model.image_size, mask_threshold, max_hole_area, max_sprinkle_area
        )
        self.reset_predictor()

    @classmethod
    def from_pretrained(cls, model_id: str, **kwargs: Any) -> SAM2ImagePredictor:  # of build and __init__
        """A predictor with official weights, as "facebook/sam2.1-hiera-tiny". Raises ModelError."""
        from segma.compat.sam2 import build_sam2_hf

        return cls(build_sam2_hf(model_id, **kwargs), **kwargs)

    @property
    def device(self) -> torch.device:
        """Where the network is."""
        return self.model.device

    @torch.no_grad()
    def set_image(self, image: object) -> None:
        """Encode an RGB picture: an array of uint8 or a Pillow image. Raises InputError."""
        self._encode([_rgb(image)])

    @torch.no_grad()
    def set_image_batch(self, image_list: Sequence[Shaped[ndarray, "_ _ 3"]]) -> None:
        """Encode several RGB pictures, which may differ in size. Raises InputError."""
        if not image_list:
            raise InputError("input.array", "The list of images is empty.", "Give one image or more.")
        self._encode([_rgb(image) for image in image_list])
        self._is_batch = True

    def predict(
        self,
        point_coords: Shaped[ndarray, "*n 2"] | None = None,
        point_labels: Shaped[ndarray, "*labels"] | None = None,
        box: Shaped[ndarray, "... 4"] | None = None,
        mask_input: Shaped[ndarray, "... side side"] | None = None,
        multimask_output: bool = True,
        return_logits: bool = False,
        normalize_coords: bool = True,
    ) -> tuple[Float[ndarray, "... height width"], Float[ndarray, "... masks"], Float[ndarray, "... s s"]]:
        """Masks (float32, 0 and 1; or logits if `return_logits`), predicted IoU, low-resolution logits.

        Points are x, y and boxes x0, y0, x1, y1, in pixels of the picture, or fractions of it without
        `normalize_coords`. Several boxes (n, 4), or points (n, points, 2), give results with a first axis
        n. `mask_input` are low-resolution logits of an earlier answer, which come back within +-32. Raises
        RuntimeError without a picture, PromptError.
        """
        self._set_features()
        asked = self._prep_prompts(point_coords, point_labels, box, mask_input, normalize_coords)
        return self._answer(asked, multimask_output, return_logits)

    def predict_batch(
        self,
        point_coords_batch: Sequence[ndarray | None] | None = None,
        point_labels_batch: Sequence[ndarray | None] | None = None,
        box_batch: Sequence[ndarray | None] | None = None,
        mask_input_batch: Sequence[ndarray | None] | None = None,
        multimask_output: bool = True,
        return_logits: bool = False,
        normalize_coords: bool = True,
    ) -> tuple[list[ndarray], list[ndarray], list[ndarray]]:
        """The same for every picture of `set_image_batch`: lists with one entry a picture."""
        features = self._set_features()
        if not self._is_batch:
            raise InputError("input.value", "One image is set, not a batch.", "Call set_image_batch first.")
        batches = (point_coords_batch, point_labels_batch, box_batch, mask_input_batch)
        count = len(features["image_embed"])
        for batch in batches:
            if batch is not None and len(batch) != count:
                raise PromptError("prompt.shape", f"{len(batch)} prompts for {count} images: one an image.")
        found: list[tuple[ndarray, ndarray, ndarray]] = []
        for index in range(count):
            coords, labels, boxes, masks = (None if batch is None else batch[index] for batch in batches)
            asked = self._prep_prompts(coords, labels, boxes, masks, normalize_coords, index)
            found.append(self._answer(asked, multimask_output, return_logits, index))
        return [each[0] for each in found], [each[1] for each in found], [each[2] for each in found]

    def get_image_embedding(self) -> Float[Tensor, "batch dim h w"]:
        """The embedding of the picture, or pictures. Raises RuntimeError without one."""
        return self._set_features()["image_embed"]

    def reset_predictor(self) -> None:
        """Forget the picture, or pictures."""
        self._is_image_set = False
        self._is_batch = False
        self._features: dict[str, Any] | None = None  # tensors, and a list of tensors
        self._orig_hw: list[tuple[int, int]] = []

    def _encode(self, images: Sequence[UInt8[ndarray, "_ _ 3"]]) -> None:
        self.reset_predictor()
        spec = self.model.input_spec
        pixels = torch.cat([image_to_model(image, spec, self.device)[0] for image in images])
        features = self.model.encode_image(pixels)
        self._features = {"image_embed": features.embedding, "high_res_feats": list(features.fine)}
        self._orig_hw = [(image.shape[0], image.shape[1]) for image in images]
        self._is_image_set = True

    def _answer(
        self,
        asked: tuple[Tensor | None, Tensor | None, Tensor | None, Tensor | None],
        multimask_output: bool,
        return_logits: bool,
        img_idx: int = -1,
    ) -> tuple[ndarray, ndarray, ndarray]:
        masks, coords, labels, boxes = asked
        answer = self._predict(coords, labels, boxes, masks, multimask_output, return_logits, img_idx)
        drawn, qualities, low_res = (part.squeeze(0).float().cpu().numpy() for part in answer)
        return drawn, qualities, low_res

    # The next two have the names and results of the original's: scripts that train call them.

    def _prep_prompts(
        self,
        point_coords: ndarray | None,
        point_labels: ndarray | None,
        box: ndarray | None,
        mask_logits: ndarray | None,
        normalize_coords: bool,
        img_idx: int = -1,
    ) -> tuple[Tensor | None, Tensor | None, Tensor | None, Tensor | None]:
        """Mask logits, points, labels, and boxes as two corners, in the model's frame."""
        size = self._orig_hw[img_idx]
        masks = coords = labels = corners = None
        if point_coords is not None:
            if point_labels is None:
                raise PromptError("prompt.shape", "There are points but no labels.", "Give point_labels.")
            coords, labels = self._tensor(point_coords), self._tensor(point_labels).int()
            coords = self._transforms.transform_coords(coords, normalize_coords, size)
            coords, labels = coords.view(-1, *coords.shape[-2:]), labels.view(-1, labels.shape[-1])
        if box is not None:
            corners = self._transforms.transform_boxes(self._tensor(box), normalize_coords, size)
        if mask_logits is not None:
            masks = self._tensor(mask_logits)
            masks = masks.view(-1, 1, *masks.shape[-2:])
        return masks, coords, labels, corners

    @torch.no_grad()
    def _predict(
        self,
        point_coords: Tensor | None,
        point_labels: Tensor | None,
        boxes: Tensor | None = None,
        mask_input: Tensor | None = None,
        multimask_output: bool = True,
        return_logits: bool = False,
        img_idx: int = -1,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Masks (or logits), predicted IoU, low-resolution logits of prompts in the model's frame."""
        features = self._set_features()
        embedding, fine = features["image_embed"], features["high_res_feats"]
        index = img_idx % len(embedding)
        one = ImageFeatures(embedding[index : index + 1], tuple(level[index : index + 1] for level in fine))
        corners = None if boxes is None else boxes.reshape(-1, 4)
        _check(point_coords, point_labels, corners)
        asked = prompt_tensors(point_coords, point_labels, corners, mask_input)
        low_res, qualities = self.model.answer(one, asked, multimask_output)
        masks = self._transforms.postprocess_masks(low_res, self._orig_hw[index])
        low_res = low_res.clamp(-_CLAMP, _CLAMP)
        return (masks if return_logits else masks > self.mask_threshold), qualities, low_res

    def _set_features(self) -> dict[str, Any]:  # tensors, and a list of tensors
        if not self._is_image_set or self._features is None:
            raise RuntimeError("No image is set: call set_image first.")  # as in the original
        return self._features

    def _tensor(self, values: ndarray) -> Tensor:
        # A copy, because arrays of users may be read-only.
        return torch.as_tensor(np.array(values, np.float32), device=self.device)


def _rgb(image: object) -> UInt8[ndarray, "height width 3"]:
    if isinstance(image, Image.Image):  # not turned upright: the original reads pixels as they are
        return np.asarray(image.convert("RGB"))
    if not isinstance(image, ndarray):
        raise InputError(
            "input.array", f"An image cannot be a {type(image).__name__}.", "Give an array or a Pillow image."
        )
    return read_image(cast("object", image))


def _check(coords: Tensor | None, labels: Tensor | None, boxes: Tensor | None) -> None:
    """Raises PromptError where points and labels, or points and boxes, are not as many."""
    if coords is not None and labels is not None and coords.shape[:-1] != labels.shape:
        found = f"{coords.shape[-2]} points but {labels.shape[-1]} labels"
        raise PromptError("prompt.shape", f"{found} (of a prompt): one label a point.")
    if coords is not None and boxes is not None and len(coords) != len(boxes):
        raise PromptError("prompt.shape", f"{len(boxes)} boxes but points for {len(coords)} prompts.")


def _small(regions: Tensor, area: float | int) -> Tensor:
    """Cells of 8-connected regions of at most `area` cells, mask by mask."""
    found = torch.zeros_like(regions)
    if area > 0:
        flat, marks = regions.reshape(-1, *regions.shape[-2:]), found.view(-1, *regions.shape[-2:])
        for row in range(len(flat)):
            rest = ~flat[row].cpu().numpy()  # a small region of the one is a hole of the other
            filled, _ = remove_small_regions(rest, int(area) + 1, "holes")
            marks[row] = torch.as_tensor(filled & ~rest, device=regions.device)
    return found
