"""SAM 2 as a network, at toy size: batches, objects, memories, training, precision, files."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from segma.checkpoints.detect import advice, detect, identify
from segma.checkpoints.fill import made_up_state
from segma.checkpoints.load import load
from segma.checkpoints.match import fit, shapes_of
from segma.checkpoints.save import save
from segma.errors import MisfitError, ModelError
from segma.models.interfaces import ImageFeatures, MemoryBank, PromptTensors, WithMemory
from segma.models.sam2 import layout
from segma.models.sam2.config import VARIANTS, Sam2Config, from_json_dict, to_json_dict
from segma.models.sam2.model import Sam2
from segma.runtime import Runtime

SIZE = 128
MASKS = 4


def made_up(config: Sam2Config) -> Sam2:
    with torch.device("meta"):
        network = Sam2(config)
    fit(network, made_up_state(shapes_of(network)), "made up")
    return network.eval()


def ours(config: Sam2Config) -> Sam2Config:
    """The config with everything that official weights do not have."""
    return replace(
        config,
        trunk="conv",
        prompt_maps=True,
        refiner_width=8,
        judge_width=16,
        follows_masks=True,
        hedges=True,
    )


@pytest.fixture(params=["official", "ours"])
def toy(sam2_toy_config: Sam2Config, request: pytest.FixtureRequest) -> Sam2:
    return made_up(ours(sam2_toy_config) if request.param == "ours" else sam2_toy_config)


def pixels(batch: int = 1) -> Tensor:
    return torch.randn(batch, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(8))


def blobs(count: int) -> Tensor:
    """Soft masks of the input frame."""
    noise = torch.randn(count, 1, 8, 8, generator=torch.Generator().manual_seed(4))
    return torch.nn.functional.interpolate(noise, (SIZE, SIZE), mode="bilinear").mul(4).sigmoid()


def prompts() -> Iterator[PromptTensors]:
    """Three of each kind."""
    generator = torch.Generator().manual_seed(9)
    coords = SIZE * torch.rand(3, 2, 2, generator=generator)
    labels = torch.tensor([[1, 0], [1, 1], [1, -1]])
    boxes = torch.cat([coords[:, 0] / 2, SIZE / 2 + coords[:, 1] / 2], 1)
    masks = 5 * torch.randn(3, 1, SIZE // 4, SIZE // 4, generator=generator)
    yield PromptTensors(coords=coords[:, :1], labels=torch.ones(3, 1, dtype=torch.long))
    yield PromptTensors(coords=coords, labels=labels)
    yield PromptTensors(boxes=boxes)
    yield PromptTensors(coords=coords, labels=labels, boxes=boxes)
    yield PromptTensors(coords=coords, labels=labels, mask_logits=masks)
    yield PromptTensors(mask_logits=masks)


def row(part: Tensor | None, index: int) -> Tensor | None:
    return None if part is None else part[index : index + 1]


def one_of(asked: PromptTensors, index: int) -> PromptTensors:
    parts = (asked.coords, asked.labels, asked.boxes, asked.mask_logits, asked.embeddings)
    return PromptTensors(*(row(part, index) for part in parts))


def answers(
    network: Sam2, features: ImageFeatures, asked: PromptTensors, *, share: bool = True
) -> tuple[Tensor, Tensor, Tensor]:
    """Logits and predicted IoU of all masks of all prompts, and whether the object is there."""
    decoded = network.decode(features, asked, network.share(features) if share else None)
    count = len(decoded.predicted_iou)
    rows, masks = torch.arange(count).repeat_interleave(MASKS), torch.arange(MASKS).repeat(count)
    drawn = network.render_masks(decoded, rows, masks)
    assert decoded.object_score is not None
    return drawn.view(count, MASKS, *drawn.shape[1:]), decoded.predicted_iou, decoded.object_score


def close(ours: tuple[Tensor, ...], theirs: tuple[Tensor, ...]) -> None:
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other, atol=2e-5, rtol=1e-4)


def banks(network: Sam2, frame: ImageFeatures) -> list[MemoryBank]:
    """Of two objects: one long known, one of a single frame."""
    present = torch.tensor([True, False, True])
    first, second, third = network.encode_memory(frame, blobs(3), present)
    decoded = network.decode(network.condition_first(frame), next(prompts()))
    pointers = tuple(network.pointers(decoded, torch.tensor([1, 2, 3]), present))
    return [
        MemoryBank(
            maps=(first, second, third), rows=(6, 1, 0), pointers=pointers, distances=(0.4, 1 / 15, 2 / 15)
        ),
        MemoryBank(maps=(third,), rows=(6,), pointers=pointers[:1], distances=(1 / 15,)),
    ]


def test_it_has_a_memory(toy: Sam2) -> None:
    assert isinstance(toy, WithMemory)
    spec = toy.input_spec
    assert (spec.size, spec.mask_size, spec.fit, spec.resize) == (SIZE, SIZE // 4, "stretch", "float")
    assert (toy.memory_spec.num_recent, toy.memory_spec.num_pointers) == (6, 16)
    assert not toy.memory_spec.attends_others


def test_shapes_of_everything(toy: Sam2) -> None:
    with torch.inference_mode():
        frame = toy.encode_frame(pixels())
        assert frame.embedding.shape == (1, 32, 8, 8)
        assert [part.shape for part in frame.fine] == [(1, 4, 32, 32), (1, 8, 16, 16)]
        memory = toy.encode_memory(frame, blobs(2), torch.tensor([True, False]))
        assert memory.shape == (2, 8, 8, 16) and memory.dtype == torch.float32 and memory.is_contiguous()
        assert toy.reduce_masks(blobs(2)).shape == (2, 1, 32, 32)
        assert toy.condition(frame, banks(toy, frame)).embedding.shape == (2, 32, 8, 8)


@pytest.mark.parametrize("kind", range(6))
def test_batched_equals_one_by_one_shared_or_not(toy: Sam2, kind: int) -> None:
    asked = list(prompts())[kind]
    with torch.inference_mode():
        features = toy.encode_image(pixels())
        together = answers(toy, features, asked)
        close(answers(toy, features, asked, share=False), together)
        for index in range(3):
            for share in (True, False):
                alone = answers(toy, features, one_of(asked, index), share=share)
                close(tuple(part[0] for part in alone), tuple(part[index] for part in together))


def test_images_of_a_batch_do_not_see_each_other(toy: Sam2) -> None:
    """Features of several images are asked by as many prompts, each its own."""
    asked = next(prompts())
    with torch.inference_mode():
        together = toy.encode_image(pixels(3))
        whole = answers(toy, together, asked)
        for index, image in enumerate(pixels(3)):
            alone = toy.encode_image(image[None])
            close((alone.embedding[0], *(part[0] for part in alone.fine)),
                  (together.embedding[index], *(part[index] for part in together.fine)))  # fmt: skip
            close(
                tuple(part[0] for part in answers(toy, alone, one_of(asked, index))),
                tuple(part[index] for part in whole),
            )


def test_objects_do_not_see_each_other(toy: Sam2) -> None:
    """Two objects conditioned and asked together, fine maps shared, equal one by one."""
    asked = PromptTensors(coords=torch.zeros(2, 1, 2), labels=torch.full((2, 1), -1))
    with torch.inference_mode():
        frame = toy.encode_frame(pixels())
        objects = banks(toy, frame)
        seen = toy.condition(frame, objects)
        together = answers(toy, seen, asked)
        assert len(seen.fine[0]) == 1
        for index, bank in enumerate(objects):
            alone = toy.condition(frame, [bank])
            torch.testing.assert_close(alone.embedding[0], seen.embedding[index], atol=2e-5, rtol=1e-4)
            close(
                tuple(part[0] for part in answers(toy, alone, one_of(asked, index))),
                tuple(part[index] for part in together),
            )


def test_drawing_some_masks_equals_drawing_all(toy: Sam2) -> None:
    asked = next(prompts())
    with torch.inference_mode():
        features = toy.encode_image(pixels(3))
        every, _, _ = answers(toy, features, asked)
        decoded = toy.decode(features, asked)
        rows, columns = torch.tensor([2, 0, 2, 0]), torch.tensor([1, 3, 3, 3])
        torch.testing.assert_close(toy.render_masks(decoded, rows, columns), every[rows, columns])


def test_a_box_is_two_points_before_the_clicks(toy: Sam2) -> None:
    *_, asked, _, _ = prompts()
    assert asked.boxes is not None and asked.coords is not None and asked.labels is not None
    corners = torch.tensor([[2, 3]]).expand(3, 2)
    points = PromptTensors(
        coords=torch.cat([asked.boxes.view(3, 2, 2), asked.coords], 1),
        labels=torch.cat([corners, asked.labels], 1),
    )
    with torch.inference_mode():
        features = toy.encode_image(pixels())
        close(answers(toy, features, asked), answers(toy, features, points))


def test_pooled_memories_and_maps_without_time(toy: Sam2) -> None:
    """A row of -1 has no temporal code; a map of half the side stands for the same places."""
    with torch.inference_mode():
        frame = toy.encode_frame(pixels())
        (full,) = toy.encode_memory(frame, blobs(1), torch.tensor([True]))
        half = full.view(4, 2, 4, 2, -1).mean((1, 3))
        timed, bare, pooled = (
            toy.condition(frame, [MemoryBank(maps=(memory,), rows=(at,))]).embedding
            for memory, at in ((full, 3), (full, -1), (half, 3))
        )
        toy.maskmem_tpos_enc.zero_()
        timeless = toy.condition(frame, [MemoryBank(maps=(full,), rows=(3,))]).embedding
    torch.testing.assert_close(bare, timeless)
    assert not torch.equal(bare, timed)
    assert (pooled - timed).std() < 0.3 * timed.std()


def test_absence_is_marked_in_memory_and_pointer(toy: Sam2, sam2_toy_config: Sam2Config) -> None:
    with torch.inference_mode():
        frame = toy.encode_frame(pixels())
        there, gone = (
            toy.encode_memory(frame, blobs(1), torch.tensor([is_there])) for is_there in (True, False)
        )
        assert toy.no_obj_embed_spatial is not None
        torch.testing.assert_close(
            gone - there, toy.no_obj_embed_spatial.expand(gone.shape), atol=1e-6, rtol=0
        )
        old = made_up(replace(sam2_toy_config, absent_memory=False, object_pointer_time=False))
        same = [old.encode_memory(frame, blobs(1), torch.tensor([is_there])) for is_there in (True, False)]
    assert torch.equal(*same)


def test_pointers_of_other_objects_are_marked(sam2_toy_config: Sam2Config) -> None:
    network = made_up(replace(sam2_toy_config, attends_others=True))
    assert network.memory_spec.attends_others
    with torch.inference_mode():
        frame = network.encode_frame(pixels())
        own = banks(network, frame)[0]
        other = torch.ones(32)
        alone, beside = (
            network.condition(frame, [bank]).embedding for bank in (own, replace(own, others=(other,)))
        )
        more = replace(own, pointers=(*own.pointers, other), distances=(*own.distances, 1 / 15))
        as_own = network.condition(frame, [more]).embedding
        network.other_obj_embed.zero_()  # pyright: ignore[reportOptionalMemberAccess]
        unmarked = network.condition(frame, [replace(own, others=(other,))]).embedding
    assert not torch.equal(alone, beside)
    assert not torch.equal(as_own, beside)
    torch.testing.assert_close(unmarked, as_own)


def test_every_weight_can_be_trained(toy: Sam2) -> None:
    toy.train().requires_grad_(True)
    frame = toy.encode_frame(pixels())
    features = toy.condition_first(frame)
    parts = [part for asked in prompts() for part in answers(toy, features, asked)]
    seen = toy.condition(frame, banks(toy, frame))
    parts.extend(answers(toy, seen, PromptTensors(mask_logits=toy.reduce_masks(blobs(2)))))
    total = torch.stack(
        [(part * torch.linspace(-1, 2, part.numel()).view(part.shape)).sum() for part in parts]
    )
    total.sum().backward()
    lacking = {name for name, p in toy.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0}
    # Softmax drops what is the same for all keys; one parameter of the official file is never used.
    lacking = {name for name in lacking if not name.endswith("k_proj.bias")}
    assert lacking == {"no_mem_pos_enc"}
    assert all(p.grad is None or p.grad.isfinite().all() for p in toy.parameters())


def test_bfloat16_is_near(toy: Sam2) -> None:
    asked = next(prompts())
    with torch.inference_mode():
        frame = toy.encode_frame(pixels())
        exact = answers(toy, toy.condition_first(frame), asked)
        exact_seen = toy.condition(frame, banks(toy, frame)).embedding
        Runtime(device="cpu", precision="bf16").place(toy)
        low_frame = toy.encode_frame(pixels())
        low = answers(toy, toy.condition_first(low_frame), asked)
        seen = toy.condition(low_frame, banks(toy, low_frame)).embedding
        memory = toy.encode_memory(low_frame, blobs(1), torch.tensor([True]))
    assert low_frame.embedding.dtype == low_frame.fine[0].dtype == seen.dtype == torch.bfloat16
    assert memory.dtype == torch.float32 and all(part.dtype == torch.float32 for part in low)
    assert (low[0] - exact[0]).std() < 0.1 * exact[0].std()
    assert (low[1] - exact[1]).abs().max() < 0.05
    assert (seen.float() - exact_seen).std() < 0.1 * exact_seen.std()


def test_files_of_both_layouts_load(toy: Sam2, tmp_path: Path) -> None:
    names = ["toy.safetensors", "trainer.pt"]
    save(toy, toy.config, tmp_path / "toy.safetensors", origin="a test", licence="X")
    torch.save({"model": toy.state_dict(), "optimizer": {}, "epoch": 3}, tmp_path / "trainer.pt")
    if toy.config.trunk == "hiera":
        names.append("hub")
        save(toy, toy.config, tmp_path / "hub", origin="a test", licence="X", layout="transformers")
    else:
        with pytest.raises(ModelError, match="no such network"):
            save(toy, toy.config, tmp_path / "hub", origin="a test", licence="X", layout="transformers")
    expected = toy.state_dict()
    for name in names:
        loaded = load(tmp_path / name)
        assert loaded.system == "sam2"
        assert name == "trainer.pt" or loaded.config == toy.config
        assert loaded.config.trunk == toy.config.trunk
        assert all(torch.equal(value, expected[key]) for key, value in loaded.module.state_dict().items())


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("wrap", ["", "model."])
def test_system_variant_and_layout_are_found(variant: str, wrap: str) -> None:
    official = meta_shapes(VARIANTS[variant])
    for names, naming in ((official, "official"), (layout.to_transformers(official), "transformers")):
        found = detect({wrap + name: shape for name, shape in names.items()})
        assert (found.system, found.variant, found.layout) == ("sam2", variant, naming)
        assert found.config == VARIANTS[variant]


def test_a_2_0_file_given_as_2_1_is_told(sam2_toy_config: Sam2Config) -> None:
    found = identify(meta_shapes(VARIANTS["sam2_hiera_large"]), {})
    wanted = identify(meta_shapes(VARIANTS["sam2.1_hiera_large"]), {})
    with torch.device("meta"):
        network = Sam2(VARIANTS["sam2.1_hiera_large"])
        tensors = Sam2(VARIANTS["sam2_hiera_large"]).state_dict()
    with pytest.raises(MisfitError) as caught:
        fit(network, tensors, Path("file.pt"), looks_like=advice(found, wanted))
    assert str(caught.value).startswith(
        "file.pt: 3 tensors missing; it looks like SAM 2.0, try --model sam2_hiera_l. First missing: "
    )
    assert advice(identify(meta_shapes(sam2_toy_config), {}), wanted) == "sam2 of unusual size"


def meta_shapes(config: Sam2Config) -> dict[str, tuple[int, ...]]:
    with torch.device("meta"):
        return shapes_of(Sam2(config))


def test_a_config_survives_json(sam2_toy_config: Sam2Config) -> None:
    for config in (*VARIANTS.values(), sam2_toy_config):
        assert from_json_dict(json.loads(json.dumps(to_json_dict(config)))) == config


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"colour": 3}, "no field colour"),
        ({"trunk": "resnet"}, "trunk is 'resnet'"),
        ({"trunk": 3}, "trunk is 3"),
        ({"dim": "256"}, "dim is '256'"),
        ({"dim": 0}, "dim is 0"),
        ({"num_recent": True}, "num_recent is True"),
        ({"absent_memory": 1}, "absent_memory is 1"),
        ({"memory_layers": 10**9}, "memory_layers is 1000000000"),
        ({"stage_depths": 3}, "stage_depths is not a list"),
        ({"stage_depths": [1, 2, 7]}, "stage_depths has 3 numbers"),
        ({"stage_depths": [1, 2, 10**9, 1]}, "stage_depths is 1000000000"),
        ({"stage_heads": [1, 2, 5, 8]}, "width 384 cannot have 5 heads"),
        ({"windows": [8, 4, 7, 7]}, "must be even"),
        ({"global_blocks": [12]}, r"not all within 0\.\.11"),
        ({"global_blocks": [1, 1]}, "twice"),
        ({"image_size": 1000}, "no multiple of 32"),
        ({"window_position_side": 7}, "does not divide"),
        ({"memory_dim": 48}, "dim 256 is no multiple of memory_dim 48"),
        ({"mask_channels": 6}, "mask_channels 6"),
        ({"dim": 12, "memory_dim": 4, "decoder_heads": 4}, "cannot be split"),
    ],
)
def test_a_config_that_makes_no_sense_is_refused(change: dict[str, object], said: str) -> None:
    with pytest.raises(ModelError, match=said) as caught:
        from_json_dict({**to_json_dict(VARIANTS["sam2.1_hiera_tiny"]), **change})
    assert caught.value.code == "model.unreadable"


def test_a_config_without_a_size_is_refused() -> None:
    values = to_json_dict(VARIANTS["sam2.1_hiera_tiny"])
    del values["stage_widths"]
    with pytest.raises(ModelError, match="stage_widths is not given"):
        from_json_dict(values)
