"""Images and prompts -> model tensors. Label codes and scaling live here and in the prompt encoder."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8
from numpy import ndarray
from PIL import Image
from torch import Tensor

from segma.errors import PromptError
from segma.geometry.transforms import Transform
from segma.models.interfaces import InputSpec, PromptTensors
from segma.prompts.types import MaskPrompt, PromptSet

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

    Resized as uint8 by Pillow's bilinear filter: it widens when shrinking, and the weights expect that.
    """
    transform = fit((image.shape[0], image.shape[1]), spec)
    height, width = transform.input_size
    picture = Image.fromarray(image).resize((width, height), Image.Resampling.BILINEAR)
    resized = torch.as_tensor(np.array(picture)).to(device)
    return normalize(resized.permute(2, 0, 1)[None], spec), transform


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
        xy = np.array([prompt.points.xy for prompt in prompts if prompt.points], np.float64)
        coords = torch.as_tensor(transform.to_model(xy).astype(np.float32)).to(device)
        marks = np.array([prompt.points.labels for prompt in prompts if prompt.points], np.int64)
        labels = torch.as_tensor(marks).to(device)
    if first.box is not None:
        corners = np.array([prompt.box.xyxy for prompt in prompts if prompt.box], np.float64)
        scaled = transform.to_model(corners.reshape(-1, 2, 2)).reshape(-1, 4)
        boxes = torch.as_tensor(scaled.astype(np.float32)).to(device)
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
