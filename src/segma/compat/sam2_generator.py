"""SAM 2's automatic mask generator under its original name, over everything mode."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from jaxtyping import Float, Int, UInt8
from numpy import ndarray
from torch import Tensor

from segma.compat.mask_records import as_dicts, check_output_mode
from segma.compat.sam2_image import SAM2ImagePredictor, SAM2Transforms
from segma.compat.sam2_network import SAM2Base
from segma.models.interfaces import Decoded, DynamicChoice, ImageFeatures, InputSpec, PromptTensors
from segma.runtime import Runtime
from segma.tasks.choice import single_masks
from segma.tasks.everything import EverythingConfig, segment_everything

_CLAMP = 32.0  # logits that are fed back stay within this


@dataclass(frozen=True, slots=True)
class _Asked:
    """What was decoded: one entry with the number of its mask for each column that everything mode sees."""

    decoded: tuple[Decoded, ...]
    numbers: tuple[Int[Tensor, " batch"], ...]


@dataclass(slots=True)
class _GridView:
    """The network as everything mode is to see it: its ambiguous set has the masks that were asked for.

    Without `multimask` that is the single mask; with `refine` every mask is asked for once more, with the
    click and itself as the prompt. Column 0 is not used. Drawn masks are cleaned by `transforms`.
    """

    network: SAM2Base
    transforms: SAM2Transforms
    mask_threshold: float
    multimask: bool
    refine: bool
    dynamic_choice: DynamicChoice | None = None
    low_precision: tuple[str, ...] = ()
    input_spec: InputSpec = field(init=False)

    def __post_init__(self) -> None:
        self.input_spec = self.network.input_spec

    def encode_image(self, pixels: Float[Tensor, "batch 3 size size"]) -> ImageFeatures:
        return self.network.encode_image(pixels)

    def share(self, features: ImageFeatures) -> Any:  # the network's own tensors
        return self.network.share(features)

    def decode(
        self,
        features: ImageFeatures,
        prompts: PromptTensors,
        shared: Any = None,  # what `share` gave
    ) -> Decoded:
        first = self.network.decode(features, prompts, shared)
        count = first.predicted_iou.shape[1]
        device = first.predicted_iou.device
        rows = torch.arange(len(first.predicted_iou), device=device)
        numbers = [torch.full_like(rows, number) for number in range(1, count)]
        if not self.multimask:
            numbers = [single_masks(self.network, first)]
        asked = _Asked((first,) * len(numbers), tuple(numbers))
        if self.refine:
            again = [self._again(features, prompts, first, (rows, number), shared) for number in numbers]
            asked = _Asked(tuple(again), tuple(single_masks(self.network, each) for each in again))
        columns = [
            each.predicted_iou[rows, number].float()
            for each, number in zip(asked.decoded, asked.numbers, strict=True)
        ]
        return Decoded(torch.stack([torch.zeros_like(columns[0]), *columns], 1), asked)

    def render_masks(
        self, decoded: Decoded, prompt_index: Int[Tensor, " k"], mask_index: Int[Tensor, " k"]
    ) -> Float[Tensor, "k side side"]:
        asked = decoded.state
        assert isinstance(asked, _Asked)
        side = self.input_spec.mask_size
        drawn = torch.zeros(len(prompt_index), side, side, device=prompt_index.device)
        for column, (each, number) in enumerate(zip(asked.decoded, asked.numbers, strict=True), 1):
            places = (mask_index == column).nonzero()[:, 0]
            if len(places):
                rows = prompt_index[places]
                drawn[places] = self.network.render_masks(each, rows, number[rows])
        return self.transforms.clean(drawn)

    def _again(
        self,
        features: ImageFeatures,
        prompts: PromptTensors,
        first: Decoded,
        pairs: tuple[Int[Tensor, " batch"], Int[Tensor, " batch"]],
        shared: Any,  # what `share` gave
    ) -> Decoded:
        """The clicks once more, with the masks that they gave."""
        logits = self.network.render_masks(first, *pairs).clamp(-_CLAMP, _CLAMP)[:, None]
        asked = PromptTensors(coords=prompts.coords, labels=prompts.labels, mask_logits=logits)
        return self.network.decode(features, asked, shared)


class SAM2AutomaticMaskGenerator:
    """Masks of everything in a picture; the options are explained at `EverythingConfig`.

    `mask_threshold` cuts the logits. `min_mask_region_area` fills holes and drops specks of at most so many
    cells of the low-resolution mask, on every device. `use_m2m` asks for every mask once more with itself as
    prompt; without `multimask_output` a point has one mask. `output_mode` is the form of each
    `segmentation`: binary_mask, uncompressed_rle or coco_rle. `kwargs` are taken and not used.
    """

    def __init__(
        self,
        model: SAM2Base,
        points_per_side: int | None = 32,
        points_per_batch: int = 64,
        pred_iou_thresh: float | int = 0.8,
        stability_score_thresh: float | int = 0.95,
        stability_score_offset: float | int = 1.0,
        mask_threshold: float | int = 0.0,
        box_nms_thresh: float | int = 0.7,
        crop_n_layers: int = 0,
        crop_nms_thresh: float | int = 0.7,
        crop_overlap_ratio: float | int = 512 / 1500,
        crop_n_points_downscale_factor: int = 1,
        point_grids: Sequence[Float[ndarray, "points 2"]] | None = None,
        min_mask_region_area: int = 0,
        output_mode: str = "binary_mask",
        use_m2m: bool = False,
        multimask_output: bool = True,
        **kwargs: Any,  # not used
    ) -> None:
        check_output_mode(output_mode)
        self.config = EverythingConfig(
            points_per_side=points_per_side,
            points_per_batch=points_per_batch,
            pred_iou_thresh=float(pred_iou_thresh),
            stability_score_thresh=float(stability_score_thresh),
            stability_score_offset=float(stability_score_offset),
            box_nms_thresh=float(box_nms_thresh),
            crop_n_layers=crop_n_layers,
            crop_nms_thresh=float(crop_nms_thresh),
            crop_overlap_ratio=float(crop_overlap_ratio),
            crop_n_points_downscale_factor=crop_n_points_downscale_factor,
            point_grids=None if point_grids is None else tuple(point_grids),
        )
        self.predictor = SAM2ImagePredictor(
            model, max_hole_area=min_mask_region_area, max_sprinkle_area=min_mask_region_area
        )
        self.mask_threshold = mask_threshold
        self.min_mask_region_area = min_mask_region_area
        self.output_mode = output_mode
        self.use_m2m = use_m2m
        self.multimask_output = multimask_output

    @classmethod
    def from_pretrained(cls, model_id: str, **kwargs: Any) -> SAM2AutomaticMaskGenerator:
        """A generator with official weights, as "facebook/sam2.1-hiera-tiny". Raises ModelError."""
        from segma.compat.sam2 import build_sam2_hf

        return cls(build_sam2_hf(model_id, **kwargs), **kwargs)

    def generate(self, image: UInt8[ndarray, "height width 3"]) -> list[dict[str, Any]]:  # JSON, or masks
        """A record for each mask, best first.

        Its fields are segmentation, area, bbox (x, y, width, height), predicted_iou, point_coords,
        stability_score, and crop_box (x, y, width, height).
        """
        network = self.predictor.model
        side = self.predictor.model.image_size
        transforms = SAM2Transforms(side, 0.0, self.min_mask_region_area, self.min_mask_region_area)
        view = _GridView(network, transforms, float(self.mask_threshold), self.multimask_output, self.use_m2m)
        runtime = Runtime(device=str(network.device), precision="fp32")
        found = segment_everything(view, image, self.config, runtime=runtime)
        return as_dicts(found, self.output_mode)
