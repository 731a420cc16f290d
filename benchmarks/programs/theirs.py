"""The peer: transformers' SamModel with the same weights, sdpa attention, and its own mask generation.

Everything here is its public way of working, with two changes: the norms of its decoder get the original's
eps (1e-5), so that both programs compute the same thing, and where torchvision is not installed the
suppression of duplicates, which its pipeline takes from there, is ours (the output says so).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from importlib.util import find_spec
from typing import Any
from unittest.mock import patch

import torch
from numpy import ndarray
from PIL import Image
from programs.ours import MASK_THRESHOLD, Click, state_of
from programs.turns import Task
from transformers import SamConfig, SamModel, pipeline
from transformers.models.sam import image_processing_pil_sam as processing
from transformers.models.sam.image_processing_pil_sam import SamImageProcessorPil
from transformers.models.sam.modeling_sam import SamVisionSdpaAttention

from segma.geometry.boxes import nms
from segma.models.sam.config import VARIANTS
from segma.models.sam.layout import to_transformers, transformers_config

POINTS_PER_BATCH = 64
"""Its pipeline's own number."""


def model_of(variant: str, *, small_masks: bool = False) -> SamModel:
    """SamModel with our values under its names; strict, so that nothing is left to chance."""
    sizes = transformers_config(VARIANTS[variant])
    config = SamConfig(**{name: value for name, value in sizes.items() if name.endswith("_config")})
    with torch.device("meta"):
        model = SamModel._from_config(config, attn_implementation="sdpa")
    state = to_transformers(state_of(variant, small_masks=small_masks))
    model.load_state_dict(state, strict=True, assign=True)
    kinds = {type(layer.attn) for layer in model.vision_encoder.layers}
    if kinds != {SamVisionSdpaAttention} or model.config.mask_decoder_config._attn_implementation != "sdpa":
        raise RuntimeError(f"transformers does not use sdpa attention: {kinds}")
    if {block.layer_norm1.eps for block in model.mask_decoder.transformer.layers} != {1e-5}:
        raise RuntimeError("transformers did not take the eps of the decoder's norms from the config")
    return model.eval().requires_grad_(False)


def encoder(variant: str, autocast: bool, image: ndarray) -> dict[str, Task]:
    """`get_image_embeddings` of the pixels of its own image processor."""
    model = model_of(variant)
    pixels = _processor(variant)(images=[Image.fromarray(image)], return_tensors="pt")["pixel_values"]
    run = _inference(lambda: model.get_image_embeddings(pixels), autocast)
    return {"encode": Task(run=run, summary=lambda found: found.float().numpy())}


def clicks(
    variant: str, autocast: bool, image: ndarray, click: Click, boxes: Sequence[Sequence[float]]
) -> dict[str, Task]:
    """Prompt encoder, mask decoder and `post_process_masks`, for a click and for boxes."""
    model, processor = model_of(variant), _processor(variant)
    inputs = processor(images=[Image.fromarray(image)], return_tensors="pt")
    sizes = (inputs["original_sizes"].tolist(), inputs["reshaped_input_sizes"].tolist())
    height, width = (new / old for old, new in zip(sizes[0][0], sizes[1][0], strict=True))
    point = torch.tensor([[[[click[0] * width, click[1] * height]]]])
    corners = torch.tensor([[[x0 * width, y0 * height, x1 * width, y1 * height] for x0, y0, x1, y1 in boxes]])
    embedding = _inference(lambda: model.get_image_embeddings(inputs["pixel_values"]), autocast)()

    def enlarge(logits: Any) -> Any:
        return processor.post_process_masks(logits, *sizes)[0].flatten(0, 1)

    def three() -> Any:
        return model(image_embeddings=embedding, input_points=point)

    def best() -> Any:
        found = three()
        number = int(found.iou_scores[0, 0].argmax())  # chosen before it is enlarged, as ours does
        return enlarge(found.pred_masks[:, :, number : number + 1])

    def single() -> Any:
        found = model(image_embeddings=embedding, input_boxes=corners, multimask_output=False)
        return enlarge(found.pred_masks)

    def ordered() -> Any:
        found = three()
        order = found.iou_scores[0, 0].argsort(descending=True, stable=True)
        return enlarge(found.pred_masks[:, :, order])

    tasks = {
        "click, best mask": best,
        "click, three masks": ordered,
        "click, whole answer": best,
        f"{len(boxes)} boxes": single,
    }
    return {
        name: Task(run=_inference(run, autocast), summary=lambda found: found.numpy())
        for name, run in tasks.items()
    }


def everything(variant: str, autocast: bool, image: ndarray, settings: dict[str, Any]) -> dict[str, Task]:
    """Its mask generation pipeline, from the RGB array to its records, run lengths and boxes included."""
    processor = _processor(variant)
    generator = pipeline(
        "mask-generation",
        model=model_of(variant, small_masks=True),
        image_processor=processor,
        device="cpu",
    )

    def run() -> Any:
        processor.left = [0] * 5
        with patch.object(processing, "_is_box_near_crop_edge", processor.near_edge):
            return generator(
                Image.fromarray(image),
                points_per_batch=POINTS_PER_BATCH,
                points_per_crop=settings["points_per_side"],
                pred_iou_thresh=settings["pred_iou_thresh"],
                stability_score_thresh=settings["stability_score_thresh"],
                stability_score_offset=settings["stability_score_offset"],
                crops_nms_thresh=settings["box_nms_thresh"],
                mask_threshold=MASK_THRESHOLD,
                output_rle_mask=True,
                output_bboxes_mask=True,
            )

    return {"everything": Task(run=_inference(run, autocast), summary=processor.records)}


class CountingProcessor(SamImageProcessorPil):
    """Its image processor, which also notes how many candidates each filter leaves."""

    left: list[int]

    def filter_masks(self, masks: Any, iou_scores: Any, *arguments: Any) -> Any:
        """Its filters; `arguments` begin with the image's size, the crop and the IoU threshold."""
        self.left[0] += iou_scores.numel()
        self.left[1] += int((iou_scores > arguments[2]).sum())
        found = super().filter_masks(masks, iou_scores, *arguments)
        self.left[3] += len(found[0])
        return found

    def near_edge(self, boxes: Any, *arguments: Any) -> Any:
        """Its edge filter, which sees what is left after the stability filter."""
        self.left[2] += len(boxes)
        return _near_edge(boxes, *arguments)

    def post_process_for_mask_generation(
        self, all_masks: Any, all_scores: Any, all_boxes: Any, crops_nms_thresh: float
    ) -> Any:
        """Its suppression; without torchvision ours, which takes the same boxes in the same order."""
        if find_spec("torchvision") is not None:
            return super().post_process_for_mask_generation(
                all_masks, all_scores, all_boxes, crops_nms_thresh
            )
        kept = nms(all_boxes.float().numpy(), all_scores.float().numpy(), crops_nms_thresh).tolist()
        chosen = [all_masks[index] for index in kept]
        dense = [processing._rle_to_mask(mask) for mask in chosen]
        return dense, all_scores[kept], chosen, all_boxes[kept]

    def records(self, found: dict[str, Any]) -> dict[str, Any]:
        """Candidates left after each filter, boxes, areas."""
        self.left[4] = len(found["rle_mask"])
        return {
            "left": self.left,
            "stages": {},
            "boxes": found["bounding_boxes"].float().numpy(),
            "scores": found["scores"].float().numpy(),
            "areas": [sum(mask["counts"][1::2]) for mask in found["rle_mask"]],
        }


_near_edge = processing._is_box_near_crop_edge


def _processor(variant: str) -> CountingProcessor:
    """The processor over Pillow: the resizing that the weights expect, and what ours does."""
    side = VARIANTS[variant].image_size
    return CountingProcessor(size={"longest_edge": side}, pad_size={"height": side, "width": side})


def _inference(run: Callable[[], Any], autocast: bool) -> Callable[[], Any]:
    """`run` in inference mode, under bf16 autocast if wanted."""

    def wrapped() -> Any:
        precision = torch.autocast("cpu", torch.bfloat16) if autocast else nullcontext()
        with torch.inference_mode(), precision:
            return run()

    return wrapped
