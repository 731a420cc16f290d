"""segma's side of the benchmarks: networks with weights made up by rule, and the tasks of each benchmark."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy import ndarray
from programs.turns import Task
from torch import Tensor

from segma.checkpoints.fill import made_up_state
from segma.checkpoints.match import fit, shapes_of
from segma.models.interfaces import Decoded
from segma.models.sam.config import VARIANTS
from segma.models.sam.model import Sam
from segma.prompts.types import Box, Points, PromptSet
from segma.results import Prediction
from segma.runtime import Precision, Runtime
from segma.tasks.everything import EverythingConfig, segment_everything
from segma.tasks.postprocess import candidate_order, stability_score, to_image_size
from segma.tasks.preprocess import image_to_model, pack_prompts
from segma.tasks.segment import EncodedImage, ImageSession, decode, encode

MASK_THRESHOLD = 1.25
"""Of everything mode: with made-up weights, where masks are small enough to differ."""
Click = tuple[float, float]


def state_of(variant: str, *, small_masks: bool) -> dict[str, Tensor]:
    """Official names -> values that follow from names and shapes.

    `small_masks`: change them so that masks differ from click to click. All four taps of the upscaling become
    equal (else masks are a texture over the whole picture) and positions count eight times as much.
    """
    with torch.device("meta"):
        shapes = shapes_of(Sam(VARIANTS[variant]))
    state = made_up_state(shapes)
    if small_masks:
        for name in ("mask_decoder.output_upscaling.0.weight", "mask_decoder.output_upscaling.3.weight"):
            state[name] = state[name][..., :1, :1].expand_as(state[name]).contiguous()
        state["prompt_encoder.pe_layer.positional_encoding_gaussian_matrix"] *= 8
    return state


def network_of(variant: str, precision: Precision, *, small_masks: bool = False) -> tuple[Sam, Runtime]:
    """The network as `segma.load` would place it, and its runtime."""
    with torch.device("meta"):
        network = Sam(VARIANTS[variant])
    fit(network, state_of(variant, small_masks=small_masks), variant)
    network.eval().requires_grad_(False)
    if small_masks:
        network.mask_threshold = MASK_THRESHOLD
    runtime = Runtime(device="cpu", precision=precision, threads=torch.get_num_threads())
    runtime.place(network)
    return network, runtime


def encoder(variant: str, precision: Precision, image: ndarray) -> dict[str, Task]:
    """`encode_image` of the pixels that both programs get."""
    network, runtime = network_of(variant, precision)
    pixels, _ = image_to_model(image, network.input_spec, runtime.torch_device)
    run = torch.inference_mode()(lambda: network.encode_image(pixels).embedding)
    return {"encode": Task(run=run, summary=lambda found: found.float().numpy())}


def clicks(
    variant: str, precision: Precision, image: ndarray, click: Click, boxes: Sequence[Sequence[float]]
) -> dict[str, Task]:
    """Decoder, drawing and enlarging, for a click and for boxes; and the click as a user gets it."""
    network, runtime = network_of(variant, precision)
    session = ImageSession(network, image, runtime)
    one = PromptSet(points=Points([click]))
    several = [PromptSet(box=Box.of(box)) for box in boxes]
    best, all_three, single = (
        partial(_masks, network, session.encoded, runtime, kind=kind) for kind in "ba0"
    )
    same = _as_it_is
    return {
        "click, best mask": Task(run=lambda: best([one]), summary=same),
        "click, three masks": Task(run=lambda: all_three([one]), summary=same),
        "click, whole answer": Task(
            run=lambda: session.predict([one]), summary=lambda found: found.masks.dense()
        ),
        f"{len(boxes)} boxes": Task(run=lambda: single(several), summary=same),
    }


def everything(
    variant: str, precision: Precision, image: ndarray, settings: dict[str, Any]
) -> dict[str, Task]:
    """From the RGB array to the records with their run lengths as JSON."""
    network, runtime = network_of(variant, precision, small_masks=True)
    config = EverythingConfig(**settings)

    def run() -> Prediction:
        found = segment_everything(network, image, config, runtime=runtime)
        found.to_dict()  # the run lengths of the whole image, which the other program makes as well
        return found

    return {"everything": Task(run=run, summary=_records)}


@torch.inference_mode()
def _masks(
    network: Sam, encoded: EncodedImage, runtime: Runtime, prompts: list[PromptSet], kind: str
) -> ndarray:
    """Boolean masks at image size: b the best of the ambiguous three, a all three, 0 the single one."""
    found: list[ndarray] = []
    step = runtime.prompts_at_once
    for start in range(0, len(prompts), step):
        part = prompts[start : start + step]
        tensors = pack_prompts(part, encoded.transform, network.input_spec, runtime.torch_device)
        decoded = decode(network, encoded, tensors)
        wanted: list[tuple[int, int]] = []
        for row, prompt in enumerate(part):
            order = candidate_order(decoded.predicted_iou[row].numpy(), prompt, 3 if kind == "a" else 1)
            wanted += [(row, number) for number in order]
        rows, columns = torch.tensor(wanted).T
        for logits in network.render_masks(decoded, rows, columns).numpy():
            found.append(to_image_size(logits, encoded.transform) > network.mask_threshold)
    return np.stack(found)


@torch.inference_mode()
def candidates(
    variant: str, image: ndarray, points_per_side: int, offset: float, share: float
) -> tuple[ndarray, ndarray]:
    """Predicted IoU of all masks of a grid of clicks, and the stability of at least `share` of them, the best
    ones; NaN for those that were not drawn."""
    network, runtime = network_of(variant, "fp32", small_masks=True)
    encoded = encode(network, image, runtime)
    grid = EverythingConfig(points_per_side=points_per_side).grids()[0]
    clicks = [PromptSet(points=Points(xy)) for xy in grid * np.array([image.shape[1], image.shape[0]])]

    def decoded(index: int) -> Decoded:
        spec, device = network.input_spec, runtime.torch_device
        return decode(network, encoded, pack_prompts([clicks[index]], encoded.transform, spec, device))

    quality = np.concatenate([decoded(index).predicted_iou[:, 1:].numpy() for index in range(len(clicks))])
    stability = np.full(quality.shape, np.nan)
    least = np.quantile(quality, max(0, 1 - 1.1 * share))
    for index in np.flatnonzero((quality >= least).any(1)):
        state = decoded(int(index))
        columns = torch.tensor(np.flatnonzero(quality[index] >= least))
        drawn = network.render_masks(state, torch.zeros_like(columns), columns + 1).numpy()
        for column, low_res_logits in zip(columns.tolist(), drawn, strict=True):
            logits = to_image_size(low_res_logits, encoded.transform)
            stability[index, column] = stability_score(logits, MASK_THRESHOLD, offset)
    return quality.ravel(), stability.ravel()


def _as_it_is(found: Any) -> Any:
    return found


def _records(found: Prediction) -> dict[str, Any]:
    """Candidates left after each filter, seconds, boxes, areas."""
    counts = found.counts
    left = [counts["candidates"]]
    for name in ("low_iou", "unstable", "at_edge", "duplicate"):
        left.append(left[-1] - counts[name])
    return {
        "left": left,
        "stages": found.timings,
        "boxes": found.boxes,
        "scores": found.predicted_iou,
        "areas": found.masks.areas,
    }
