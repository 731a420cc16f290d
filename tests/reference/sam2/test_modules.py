"""Every part on its own against the official numbers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from numpy import ndarray
from torch import Tensor

from segma.models.interfaces import Decoded, MemoryBank, PromptTensors
from segma.models.sam2.model import Sam2
from segma.nn.position import sine_map
from segma.tasks.choice import best_candidate, single_masks, stability

Golden = dict[str, ndarray]
CPU = torch.device("cpu")
ALL_MASKS = torch.zeros(4, dtype=torch.long), torch.arange(4)


@pytest.fixture(scope="module")
def golden(golden_file: Callable[[str], Golden]) -> Golden:
    return golden_file("modules")


@pytest.fixture(scope="module")
def decoded(tiny: Sam2, truck: Any) -> Decoded:
    with torch.inference_mode():
        return tiny.decode(truck.features, asked(), tiny.share(truck.features))


@pytest.fixture(scope="module")
def memories(tiny: Sam2, truck: Any) -> list[Tensor]:
    """Of the truck and three made-up masks: prompted, tracked, absent."""
    logits = [
        14 * ellipse(1024, *of) - 7 for of in ((400, 500, 200, 150), (650, 420, 120, 180), (300, 300, 80, 80))
    ]
    masks = [(logits[0] > 0).float(), logits[1].sigmoid(), logits[2].sigmoid()]
    with torch.inference_mode():
        batch = tiny.encode_memory(
            truck.frame, torch.stack(masks)[:, None], torch.tensor([True, True, False])
        )
    return list(batch)


@pytest.fixture(scope="module")
def pointers(golden: Golden) -> Tensor:
    return torch.as_tensor(golden["ptrs"])


def ellipse(side: int, x: int, y: int, x_radius: int, y_radius: int) -> Tensor:
    """1 inside."""
    rows, columns = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    return (((columns - x) / x_radius) ** 2 + ((rows - y) / y_radius) ** 2 < 1).float()


def asked() -> PromptTensors:
    """Three points (the third labelled as a corner) and a mask."""
    coords = torch.tensor([[[300.0, 400.0], [700.0, 512.0], [100.0, 900.0]]])
    mask = 12 * ellipse(256, 100, 128, 50, 40) - 6
    return PromptTensors(coords=coords, labels=torch.tensor([[1, 0, 2]]), mask_logits=mask[None, None])


def tracking(mask_logits: Tensor | None = None) -> PromptTensors:
    """What a frame without points is asked with."""
    return PromptTensors(coords=torch.zeros(1, 1, 2), labels=torch.full((1, 1), -1), mask_logits=mask_logits)


def sliced(rows: Tensor, every: int, step: int, side: int) -> ndarray:
    """Cells in a row as a map: every n-th channel, rows and columns in steps."""
    return rows.T.reshape(-1, side, side)[::every, ::step, ::step].numpy()


def near(ours: Any, golden: ndarray, tolerance: float) -> None:
    np.testing.assert_allclose(np.asarray(ours), golden, atol=tolerance, rtol=0)


def test_the_picture_enters_as_recorded(truck: Any, golden: Golden, tolerance: Any) -> None:
    near(truck.pixels[0, :, ::32, ::32], golden["input_s"], tolerance.pixels)


def test_stages_and_pyramid(tiny: Sam2, truck: Any, golden: Golden, tolerance: Any) -> None:
    encoder = tiny.image_encoder
    with torch.inference_mode():
        stages = encoder.trunk(truck.pixels)
        levels = [encoder.neck.lateral(level, stages[level]) for level in range(4)]
        levels[2] = encoder.neck.deep(stages)
    for level, step in enumerate((16, 8, 4, 2)):
        stage = stages[level].whole()[0].permute(2, 0, 1)[::16, ::step, ::step]
        near(stage, golden[f"trunk{level}_s"], tolerance.values)
        near(
            levels[level][0].permute(2, 0, 1)[::16, ::step, ::step], golden[f"fpn{level}_s"], tolerance.values
        )


def test_sine_positions(golden: Golden) -> None:
    near(sliced(sine_map(256, 64, 64, device=CPU), 16, 8, 64), golden["fpnpos2_s"], 1e-6)
    near(sliced(sine_map(64, 64, 64, device=CPU), 4, 8, 64), golden["mempos_s"], 1e-6)


def test_prompts(tiny: Sam2, golden: Golden, tolerance: Any) -> None:
    prompts, encoder = asked(), tiny.sam_prompt_encoder
    assert prompts.mask_logits is not None
    with torch.inference_mode():
        sparse = encoder.sparse(prompts.coords, prompts.labels, None)
        dense = encoder.encode_masks(prompts.mask_logits)
        grid = encoder.grid_code()
    near(sparse, golden["sparse"], tolerance.values)
    near(sliced(dense[0], 8, 4, 64), golden["dense_s"], tolerance.values)
    near(sliced(grid, 8, 4, 64), golden["dense_pe_s"], tolerance.values)


def test_decoder(tiny: Sam2, decoded: Decoded, golden: Golden, tolerance: Any) -> None:
    with torch.inference_mode():
        masks = tiny.render_masks(decoded, *ALL_MASKS)
    near(masks[:, ::4, ::4], golden["dec_masks_s4"], tolerance.values)
    near(decoded.predicted_iou, golden["dec_iou"], tolerance.score)
    near(decoded.object_score, golden["dec_score"][:, 0], tolerance.score)
    near(decoded.state.mask_tokens, golden["dec_tokens"], tolerance.values)


def test_the_unsure_single_mask_is_replaced(
    tiny: Sam2, decoded: Decoded, golden: Golden, tolerance: Any
) -> None:
    with torch.inference_mode():
        masks = tiny.render_masks(decoded, *ALL_MASKS)
        chosen = single_masks(tiny, decoded)
    assert tiny.dynamic_choice is not None
    near(stability(masks[:1], tiny.dynamic_choice.offset), golden["dyn_stability"][0], tolerance.score)
    near(decoded.predicted_iou[0, chosen], golden["dyn_iou"][0], tolerance.score)


def test_memories(memories: list[Tensor], golden: Golden, tolerance: Any) -> None:
    for index, memory in enumerate(memories):
        near(memory.permute(2, 0, 1)[::4, ::8, ::8], golden[f"mem{index}_s"], tolerance.memory)


def test_pointers(tiny: Sam2, decoded: Decoded, golden: Golden, tolerance: Any) -> None:
    with torch.inference_mode():
        for mask in range(4):
            pointer = tiny.pointers(decoded, torch.tensor([mask]), torch.tensor([True]))
            near(pointer[0], golden["ptrs"][mask], tolerance.values)
        absent = tiny.pointers(decoded, torch.tensor([1]), torch.tensor([False]))
    near(absent, tiny.no_obj_ptr.numpy(), 0)


@pytest.mark.parametrize("reverse", [False, True])
def test_a_frame_seen_through_memories(
    tiny: Sam2,
    truck: Any,
    memories: list[Tensor],
    pointers: Tensor,
    golden: Golden,
    tolerance: Any,
    reverse: bool,
) -> None:
    """Conditioning frames 0 and 9, tracked 3 and 4; seen from frame 5, or from 2 in reverse."""
    first, tracked, absent = memories
    if reverse:
        rows, own, distances = (6, 6, 1, 0), (3, 1, 2), (7, 1, 2)
        maps = (first, absent, absent, tracked)
    else:
        rows, own, distances = (6, 6, 1, 0), (0, 2, 1), (5, 1, 2)
        maps = (first, absent, tracked, absent)
    bank = MemoryBank(
        maps=maps,
        rows=rows,
        pointers=tuple(pointers[index] for index in own),
        distances=tuple(distance / 15 for distance in distances),
    )
    with torch.inference_mode():
        seen = tiny.condition(truck.frame, [bank]).embedding[0, ::8, ::4, ::4]
    near(seen, golden["ma_rev_s" if reverse else "ma_fwd_s"], tolerance.conditioned)


def test_a_mask_as_prompt(tiny: Sam2, truck: Any, golden: Golden, tolerance: Any) -> None:
    """Its pointer comes from the decoder, all else from the mask itself."""
    mask = ellipse(1024, 400, 500, 200, 150)[None, None]
    with torch.inference_mode():
        decoded = tiny.decode(truck.features, tracking(tiny.reduce_masks(mask)))
        assert decoded.object_score is not None
        pointer = tiny.pointers(decoded, torch.tensor([0]), decoded.object_score > 0)
    near(pointer, golden["maskout_ptr"], tolerance.values)
    low = F.interpolate(mask * 20 - 10, (256, 256), mode="bilinear", antialias=True)[0, 0, ::2, ::2]
    near(low, golden["maskout_low_s2"].astype(np.float32), tolerance.logits[0])
    assert golden["maskout_score"].item() == 10


def test_tracking_takes_the_best_of_three(tiny: Sam2, truck: Any) -> None:
    """With nothing asked there are two padding tokens; with a mask alone, none."""
    with torch.inference_mode():
        empty = tiny.decode(truck.features, tracking())
        sparse = tiny.sam_prompt_encoder.sparse(tracking().coords, tracking().labels, None)
    assert sparse is not None and sparse.shape == (1, 2, 256)
    torch.testing.assert_close(sparse[0, 0], sparse[0, 1])
    assert best_candidate(tiny, empty).item() in (1, 2, 3)
