"""Prompt encoder, mask decoder and postprocessing against the official numbers, prompt by prompt."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from numpy import ndarray

from segma.models.interfaces import ImageFeatures, PromptTensors
from segma.tasks import postprocess
from segma.tasks.preprocess import pack_prompts
from segma.tasks.segment import ImageSession, decode

KEYS = ("p1", "p3", "box", "boxpt", "mask", "maskonly", "batchbox", "batchpt")


@dataclass(frozen=True)
class Answer:
    """All four masks of every prompt of a key, and the official numbers, named without the key."""

    tensors: PromptTensors
    predicted_iou: ndarray
    low_res_logits: ndarray
    golden: dict[str, ndarray]


@pytest.fixture(scope="module", params=KEYS)
def answer(request: pytest.FixtureRequest, each: Any, vit_b: Any) -> Answer:
    prompts = each.prompts[request.param]
    tensors = pack_prompts(prompts, each.transform, vit_b.input_spec, torch.device("cpu"))
    with torch.inference_mode():
        decoded = decode(vit_b, each.encoded, tensors)
        prompt_index = torch.arange(len(prompts)).repeat_interleave(4)
        drawn = vit_b.render_masks(decoded, prompt_index, torch.arange(4).repeat(len(prompts)))
    key = f"{request.param}_"
    return Answer(
        tensors=tensors,
        predicted_iou=decoded.predicted_iou.numpy(),
        low_res_logits=drawn.view(-1, 4, 256, 256).numpy(),
        golden={name.removeprefix(key): a for name, a in each.golden.items() if name.startswith(key)},
    )


def test_sparse_prompts(answer: Answer, vit_b: Any, tolerance: Any) -> None:
    prompts = answer.tensors
    sparse = vit_b.prompt_encoder.sparse(prompts.coords, prompts.labels, prompts.boxes)
    expected = answer.golden["sparse"]
    if not expected.size:
        assert sparse is None
    else:
        assert furthest(sparse.numpy(), expected) <= tolerance.tokens


def test_dense_prompts(answer: Answer, compat_vit_b: Any, tolerance: Any) -> None:
    points = answer.tensors.coords, answer.tensors.labels
    dense = compat_vit_b.prompt_encoder(
        points if answer.tensors.coords is not None else None,
        answer.tensors.boxes,
        answer.tensors.mask_logits,
    )[1]
    assert furthest(dense[:, ::16, ::9, ::9].numpy(), answer.golden["dense_sub"]) <= tolerance.tokens


def test_predicted_iou(answer: Answer, tolerance: Any) -> None:
    assert furthest(answer.predicted_iou, answer.golden["iou"]) <= tolerance.predicted_iou


def test_low_res_logits(answer: Answer, tolerance: Any) -> None:
    logits, golden = answer.low_res_logits, answer.golden
    assert furthest(logits[:, :, ::5, ::5], golden["low_sub"]) <= tolerance.logits
    stats = np.stack(
        [logits.mean((2, 3)), logits.std((2, 3), ddof=1), logits.min((2, 3)), logits.max((2, 3))], -1
    )
    assert furthest(stats, golden["low_stats"]) <= tolerance.logits
    if "low_full" in golden:
        assert furthest(logits[:, 0], golden["low_full"]) <= tolerance.logits


def test_low_res_signs(answer: Answer, tolerance: Any) -> None:
    ours = answer.low_res_logits > 0
    theirs = np.unpackbits(answer.golden["low_bits"], axis=-1).reshape(ours.shape).astype(bool)
    assert (ours ^ theirs).sum((2, 3)).max() <= tolerance.sign_flips


def test_masks_at_image_size(answer: Answer, each: Any, tolerance: Any) -> None:
    for row, column in np.ndindex(answer.predicted_iou.shape):
        logits = postprocess.to_image_size(answer.low_res_logits[row, column], each.transform)
        assert logits.shape == each.image.shape[:2]
        assert furthest(logits[::61, ::61], answer.golden["up_sub"][row, column]) <= tolerance.logits
        allowed = tolerance.area_pixels + 0.01 * answer.golden["near"][row, column]
        assert abs(int((logits > 0).sum()) - answer.golden["area"][row, column]) <= allowed


@pytest.mark.parametrize("key", KEYS)
def test_a_session_answers_with_the_official_masks(each: Any, vit_b: Any, tolerance: Any, key: str) -> None:
    golden = {name: each.golden[f"{key}_{name}"] for name in ("iou", "area", "near")}
    session = ImageSession(vit_b, each.image)
    for candidates in (1, 3):
        prediction = session.predict(each.prompts[key], candidates=candidates)
        assert len(prediction) == candidates * len(each.prompts[key])
        for row in range(len(each.prompts[key])):
            numbers = chosen(golden["iou"][row], key, candidates)
            for record, number in zip(prediction.of_prompt(row), numbers, strict=True):
                assert abs(record.predicted_iou - golden["iou"][row, number]) <= tolerance.predicted_iou
                allowed = tolerance.area_pixels + 0.01 * golden["near"][row, number]
                assert abs(record.area - golden["area"][row, number]) <= allowed


def test_bfloat16_gives_nearly_the_same_masks(synthetic: Any, vit_b: Any, tolerances: Any) -> None:
    """The decoder's image side in bfloat16, from the float32 embedding; the encoder's has its own test."""
    tolerance = tolerances[torch.bfloat16]
    features = ImageFeatures(synthetic.encoded.features.embedding.bfloat16())
    for key in ("p1", "box", "mask"):
        device = torch.device("cpu")
        tensors = pack_prompts(synthetic.prompts[key], synthetic.transform, vit_b.input_spec, device)
        with torch.inference_mode():
            decoded = vit_b.decode(features, tensors, vit_b.share(features))
            drawn = vit_b.render_masks(decoded, torch.zeros(4, dtype=torch.long), torch.arange(4))
        assert drawn.dtype == torch.float32
        golden = synthetic.golden[f"{key}_low_bits"][0]
        theirs = np.unpackbits(golden, axis=-1).reshape(drawn.shape).astype(bool)
        ours = (drawn > 0).numpy()
        overlap = (ours & theirs).sum((1, 2)) / (ours | theirs).sum((1, 2))
        assert overlap.min() >= tolerance.mask_iou
        iou = decoded.predicted_iou.numpy()
        assert furthest(iou, synthetic.golden[f"{key}_iou"]) <= tolerance.predicted_iou


def chosen(predicted_iou: ndarray, key: str, candidates: int) -> list[int]:
    """The masks that answer a prompt, by number: one click is ambiguous, all else is not."""
    if candidates == 1 and key not in ("p1", "batchpt"):
        return [0]
    best_first = sorted(range(1, 4), key=lambda number: -predicted_iou[number])
    return best_first[:candidates]


def furthest(ours: ndarray, theirs: ndarray) -> float:
    """The largest difference."""
    assert ours.shape == theirs.shape
    return float(np.abs(ours - theirs).max())
