"""A video step at toy size: what learns, what counts, and that frames are seen as a session sees them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from segma.models.interfaces import Decoded, ImageFeatures, MemoryBank, PromptTensors
from segma.models.sam2.config import Sam2Config
from segma.models.sam2.model import Sam2
from segma.training.batch import ClipBatch
from segma.training.config import ClipConfig, TrainConfig
from segma.training.prompting import compared_places
from segma.training.steps.clips import clip_step

SIZE, FRAMES = 128, 4
CONFIG = TrainConfig(name="test", clips=ClipConfig(mask_prompt=1.0, second_prompt=0.0))


def _config(**changes: float | int) -> TrainConfig:
    return replace(CONFIG, clips=replace(CONFIG.clips, **changes))


def _generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def model(sam2_toy_config: Sam2Config) -> Sam2:
    torch.random.manual_seed(0)
    ours = replace(sam2_toy_config, trunk="conv", prompt_maps=True, refiner_width=8, follows_masks=True)
    network = Sam2(ours).train()
    with torch.no_grad():  # everything counts as present, so that pointers are made
        network.get_parameter("sam_mask_decoder.pred_obj_score_head.layers.2.bias").fill_(5.0)
    return network


def _batch(*, absent: bool = False, complete: bool = True, known: bool = True) -> ClipBatch:
    """Two clips: a bright square that moves, and two squares of which the second may leave."""
    random = np.random.default_rng(0)
    pixels = random.integers(60, 90, (2, FRAMES, SIZE, SIZE, 3)).astype(np.uint8)
    masks = np.zeros((3, FRAMES, SIZE, SIZE), np.uint8)
    for row, (clip, x, y) in enumerate([(0, 20, 20), (1, 20, 70), (1, 80, 30)]):
        for frame in range(FRAMES):
            if absent and row == 2 and frame == 2:
                continue
            place = np.s_[y : y + 32, x + 4 * frame : x + 4 * frame + 32]
            masks[row, frame][place] = 1
            pixels[clip, frame][place] = (230, 180, 60 + 60 * row)
    compared = [[compared_places(mask, 256, random) for mask in frames] for frames in masks]
    places, inside, weights = (
        torch.from_numpy(np.stack([[each[part] for each in row] for row in compared])) for part in range(3)
    )
    labels = torch.ones(3, FRAMES, dtype=torch.bool)
    labels[2, 2] = known
    return ClipBatch(
        pixels=torch.from_numpy(pixels.transpose(0, 1, 4, 2, 3).copy()),
        clip=torch.tensor([0, 1, 1]),
        masks=torch.from_numpy(masks),
        known=labels,
        places=places,
        inside=inside,
        weights=weights,
        complete=torch.full((3,), complete),
        motion=torch.zeros(2, FRAMES, SIZE, SIZE, 2, dtype=torch.float16),
    )


def _learners(model: Sam2) -> set[str]:
    return {name.split(".")[0] for name, p in model.named_parameters() if p.grad is not None and p.grad.any()}


def test_gradients_reach_the_memory_and_spare_a_frozen_encoder(model: Sam2) -> None:
    clip_step(model, _batch(absent=True), _config(), _generator()).loss.backward()
    memory = {"memory_attention", "memory_encoder", "maskmem_tpos_enc", "obj_ptr_proj", "obj_ptr_tpos_proj"}
    assert memory | {"sam_mask_decoder"} <= _learners(model)
    assert "image_encoder" not in _learners(model)
    clip_step(model, _batch(), replace(_config(), clips=replace(CONFIG.clips, train_encoder=True)),
              _generator()).loss.backward()  # fmt: skip
    assert "image_encoder" in _learners(model)


def test_a_seed_gives_the_same_step(model: Sam2) -> None:
    config = _config(mask_prompt=0.0, second_prompt=0.5)
    first, again = (clip_step(model, _batch(), config, _generator(5)) for _ in range(2))
    assert torch.equal(first.loss, again.loss)
    assert first.numbers == again.numbers
    assert {"iou/prompted", "iou/tracked", "false_absent"} <= first.numbers.keys()


def test_steps_lower_the_loss(model: Sam2) -> None:
    batch, config = _batch(), _config(mask_prompt=0.0, corrections=1, train_encoder=True)
    optimizer = torch.optim.AdamW(model.parameters(), 3e-3)
    losses: list[float] = []
    for _ in range(7):
        optimizer.zero_grad()
        loss = clip_step(model, batch, config, _generator(1)).loss
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.75 * losses[0]


def test_presence_is_trained_only_where_labels_tell(model: Sam2) -> None:
    told = clip_step(model, _batch(absent=True), _config(), _generator())
    assert told.numbers["false_present"] in (0.0, 1.0)
    for untold in (_batch(absent=True, complete=False), _batch(absent=True, known=False)):
        result = clip_step(model, untold, _config(), _generator())
        assert "false_present" not in result.numbers
        assert bool(result.loss.isfinite())


def test_banks_hold_what_a_session_would_hold(model: Sam2, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[MemoryBank, ...]] = []
    condition = model.condition

    def watched(frame: ImageFeatures, banks: list[MemoryBank]) -> ImageFeatures:
        seen.append(tuple(banks))
        return condition(frame, banks)

    monkeypatch.setattr(model, "condition", watched)
    clip_step(model, _batch(), _config(), _generator())
    assert [len(banks) for banks in seen] == [1, 1, 1, 2, 2, 2]
    recent = model.memory_spec.num_recent
    assert [banks[0].rows for banks in seen[:3]] == [(recent,), (recent, 0), (recent, 1, 0)]
    assert all(len(banks[0].pointers) == number for number, banks in enumerate(seen[:3], 1))
    first: Tensor = seen[3][0].maps[0]
    assert not torch.equal(first, seen[3][1].maps[0]), "each object has memories of its own"


def test_the_mask_before_is_shown_where_there_was_one(model: Sam2, monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[Tensor | None] = []
    decode = model.decode

    def watched(features: ImageFeatures, prompts: PromptTensors, shared: None = None) -> Decoded:
        shown.append(prompts.mask_logits)
        return decode(features, prompts, shared)

    monkeypatch.setattr(model, "decode", watched)
    batch = _batch()
    clip_step(model, batch, _config(), _generator())
    assert len(shown) == 2 * FRAMES
    second = shown[1]
    assert second is not None
    assert not second.requires_grad
    side = second.shape[-1]
    truth = torch.nn.functional.avg_pool2d(batch.masks[0, 0].float()[None], SIZE // side)
    assert torch.equal(second[0] > 0, truth > 0.5), "the mask that was given on the first frame"
