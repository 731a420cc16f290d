"""Images and prompts -> model tensors. Label codes and scaling live here and in the prompt encoder."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import torch
from jaxtyping import Bool, Float, Int, UInt8
from numpy import ndarray
from PIL import Image
from torch import Tensor

from segma.errors import PromptError
from segma.geometry.transforms import Transform
from segma.models.interfaces import InputSpec, PromptTensors
from segma.prompts.types import Box, FramePrompt, MaskPrompt, Points, PromptSet

# A mask that a person made enters as logits of +-10, as in SAM 2's predictor.
_CERTAIN = 10.0


def fit(image_size: tuple[int, int], spec: InputSpec) -> Transform:
    """How an image of this size is laid into the model's square."""
    make = Transform.pad if spec.fit == "pad" else Transform.stretch
    return make(image_size, spec.size)


def image_to_model(
    image: UInt8[ndarray, "height width 3"], spec: InputSpec, device: torch.device
) -> tuple[Float[Tensor, "1 3 size size"], Transform]:
    """The picture as the model wants it: resized, normalised, then padded with zeros.

    Resized by Pillow's bilinear filter, as uint8 or as floats: it widens when shrinking, and the weights
    expect that.
    """
    transform = fit((image.shape[0], image.shape[1]), spec)
    height, width = transform.input_size
    resize = _resize_float if spec.resize == "float" else _resize_uint8
    resized = torch.as_tensor(resize(image, (width, height))).to(device)
    return normalize(resized[None], spec), transform


def _resize_uint8(
    image: UInt8[ndarray, "height width 3"], xy_size: tuple[int, int]
) -> UInt8[ndarray, "3 h w"]:
    picture = Image.fromarray(image).resize(xy_size, Image.Resampling.BILINEAR)
    return np.array(picture).transpose(2, 0, 1)


def _resize_float(
    image: UInt8[ndarray, "height width 3"], xy_size: tuple[int, int]
) -> Float[ndarray, "3 h w"]:
    channels = (Image.fromarray(channel.astype(np.float32)) for channel in np.moveaxis(image, 2, 0))
    return np.stack([np.asarray(channel.resize(xy_size, Image.Resampling.BILINEAR)) for channel in channels])


def normalize(
    resized: Float[Tensor, "batch 3 h w"] | UInt8[Tensor, "batch 3 h w"], spec: InputSpec
) -> Float[Tensor, "batch 3 size size"]:
    """0..255 at the resized size -> normalised, padded right and bottom to the square."""
    mean = torch.tensor(spec.mean, device=resized.device).view(3, 1, 1)
    std = torch.tensor(spec.std, device=resized.device).view(3, 1, 1)
    pixels = (resized.float() - mean) / std
    pad = (0, spec.size - pixels.shape[-1], 0, spec.size - pixels.shape[-2])
    return torch.nn.functional.pad(pixels, pad)


def mask_prompt(mask: Bool[ndarray, "height width"], spec: InputSpec) -> MaskPrompt:
    """A mask of the image as a prompt: area-averaged to the model's mask size, logits of +-10."""
    transform = fit((mask.shape[0], mask.shape[1]), spec)
    cell = spec.size / spec.mask_size
    height, width = (max(1, round(side / cell)) for side in transform.input_size)
    small = cv2.resize(mask.astype(np.float32), (width, height), interpolation=cv2.INTER_AREA)
    logits = np.full((spec.mask_size, spec.mask_size), -_CERTAIN, np.float32)
    logits[:height, :width] = (2 * small - 1) * _CERTAIN
    return MaskPrompt(logits)


def alike(prompts: Sequence[PromptSet]) -> list[list[int]]:
    """Indices of prompts that can go through the decoder together.

    They have the same number of points, and a box, a mask, an embedding each or none. (Padding a prompt with
    "not a point" tokens would change its answer.) Raises PromptError for a sentence.
    """
    groups: dict[tuple[object, ...], list[int]] = {}
    for index, prompt in enumerate(prompts):
        if prompt.text is not None:
            raise PromptError(
                "prompt.unsupported",
                "This model cannot read text.",
                "Use points, a box or a mask; sentences come with the find model.",
            )
        signature = (
            len(prompt.points) if prompt.points else 0,
            prompt.box is not None,
            prompt.mask is not None,
            None if prompt.embedding is None else prompt.embedding.vectors.shape,
        )
        groups.setdefault(signature, []).append(index)
    return list(groups.values())


def pack_prompts(
    prompts: Sequence[PromptSet], transform: Transform, spec: InputSpec, device: torch.device
) -> PromptTensors:
    """Tensors of prompts that are alike, in the model's frame. Scaled in float64, then float32."""
    first = prompts[0]
    coords = labels = boxes = masks = embeddings = None
    if first.points is not None:
        coords, labels = _placed_points([prompt.points for prompt in prompts if prompt.points], transform)
        coords, labels = coords.to(device), labels.to(device)
    if first.box is not None:
        boxes = _placed_boxes([prompt.box for prompt in prompts if prompt.box], transform).to(device)
    if first.mask is not None:
        logits = np.stack([prompt.mask.logits for prompt in prompts if prompt.mask])
        if logits.shape[-1] != spec.mask_size:
            raise PromptError(
                "prompt.shape",
                f"Mask logits have side {logits.shape[-1]}, this model wants {spec.mask_size}.",
            )
        masks = torch.as_tensor(logits)[:, None].to(device)
    if first.embedding is not None:
        vectors = np.stack([prompt.embedding.vectors for prompt in prompts if prompt.embedding])
        embeddings = torch.as_tensor(vectors).to(device)
    return PromptTensors(coords, labels, boxes, masks, embeddings)


def pack_frame_prompt(
    prompt: FramePrompt,
    previous: Float[Tensor, "side side"] | None,
    transform: Transform,
    device: torch.device,
) -> PromptTensors:
    """Tensors of the points and the box of one object on a frame, and its earlier logits (a batch of one)."""
    coords = labels = boxes = None
    if prompt.points is not None:
        coords, labels = (part.to(device) for part in _placed_points([prompt.points], transform))
    if prompt.box is not None:
        boxes = _placed_boxes([prompt.box], transform).to(device)
    masks = None if previous is None else previous[None, None].to(device)
    return PromptTensors(coords, labels, boxes, masks)


def frame_to_model(
    pixels: UInt8[ndarray, "height width 3"], spec: InputSpec, device: torch.device
) -> tuple[Float[Tensor, "1 3 size size"], Transform]:
    """A frame of a video as the model wants it: resized as uint8 by Pillow's bicubic filter, normalised.

    This is what SAM 2 does to folders of frames, on which its figures were measured; here for every source.
    """
    transform = fit((pixels.shape[0], pixels.shape[1]), spec)
    height, width = transform.input_size
    picture = Image.fromarray(pixels).resize((width, height), Image.Resampling.BICUBIC)
    resized = torch.as_tensor(np.array(picture)).to(device)
    return normalize(resized.permute(2, 0, 1)[None], spec), transform


def _placed_points(
    points: Sequence[Points], transform: Transform
) -> tuple[Float[Tensor, "batch points 2"], Int[Tensor, "batch points"]]:
    xy = np.array([each.xy for each in points], np.float64)
    labels = np.array([each.labels for each in points], np.int64)
    return torch.as_tensor(transform.to_model(xy).astype(np.float32)), torch.as_tensor(labels)


def _placed_boxes(boxes: Sequence[Box], transform: Transform) -> Float[Tensor, "batch 4"]:
    corners = np.array([each.xyxy for each in boxes], np.float64)
    return torch.as_tensor(transform.to_model(corners.reshape(-1, 2, 2)).reshape(-1, 4).astype(np.float32))
