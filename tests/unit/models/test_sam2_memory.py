"""SAM 2's memory attention and encoder against formulas written out, on small maps."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from segma.models.sam2.memory import MemoryAttention, MemoryEncoder, MemoryTokens, pool_map

DIM, MEMORY_DIM, SIDE = 32, 8, 6


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed + sum(shape)))


def drawn(module: nn.Module) -> nn.Module:
    """Weights that all matter, none of them the initial one."""
    generator = torch.Generator().manual_seed(1)
    for parameter in module.parameters():
        parameter.data.normal_(
            0.0, 0.3 if parameter.dim() == 1 else parameter[0].numel() ** -0.5, generator=generator
        )
    return module.eval().requires_grad_(False)


@pytest.fixture
def attention() -> MemoryAttention:
    module = drawn(MemoryAttention(dim=DIM, memory_dim=MEMORY_DIM, num_layers=2, mlp_dim=48))
    assert isinstance(module, MemoryAttention)
    return module


@pytest.fixture
def encoder() -> MemoryEncoder:
    module = drawn(MemoryEncoder(dim=DIM, memory_dim=MEMORY_DIM, num_layers=2, hidden_dim=48))
    assert isinstance(module, MemoryEncoder)
    return module


def bank(sides: tuple[int, ...] = (SIDE, SIDE // 2), pointers: int = 5, seed: int = 0) -> MemoryTokens:
    tokens = sum(side * side for side in sides) + pointers
    values, positions = (noise(tokens, MEMORY_DIM, seed=seed + i) for i in range(2))
    return MemoryTokens(values=values, positions=positions, sides=sides)


def turned(x: Tensor, side: int) -> Tensor:
    """Section 6: adjacent channels are a pair; half of the pairs turn by x, half by y. Cell by cell."""
    out, stride = x.double().clone(), SIDE / side
    for cell in range(side * side):
        place = [(index * stride + (stride - 1) / 2) for index in (cell % side, cell // side)]
        for pair in range(DIM // 2):
            axis, i = divmod(pair, DIM // 4)
            angle = place[axis] * 10000 ** (-4 * i / DIM)
            a, b = x[cell, 2 * pair].item(), x[cell, 2 * pair + 1].item()
            out[cell, 2 * pair] = a * math.cos(angle) - b * math.sin(angle)
            out[cell, 2 * pair + 1] = a * math.sin(angle) + b * math.cos(angle)
    return out.float()


def attend(layer: nn.Module, asking: Tensor, keyed: Tensor, values: Tensor, sides: tuple[int, ...]) -> Tensor:
    q_proj, k_proj, v_proj, out_proj = (
        layer.get_submodule(f"{name}_proj") for name in ("q", "k", "v", "out")
    )
    k, done = k_proj(keyed), 0
    for side in sides:
        part = slice(done, done + side * side)
        k[part] = turned(k[part], side)
        done = part.stop
    logits = turned(q_proj(asking), SIDE) @ k.T / DIM**0.5
    return out_proj(torch.softmax(logits, -1) @ v_proj(values))


def textbook(module: MemoryAttention, image: Tensor, position: Tensor, memory: MemoryTokens) -> Tensor:
    """Section 6 of the specification for one object, every product in full."""
    x = image[0] + 0.1 * position
    for layer in module.layers:
        part = layer.get_submodule
        n = part("norm1")(x)
        x = x + attend(part("self_attn"), n, n, n, (SIDE,))
        keyed = memory.values + memory.positions
        x = x + attend(part("cross_attn_image"), part("norm2")(x), keyed, memory.values, memory.sides)
        x = x + part("linear2")(part("linear1")(part("norm3")(x)).relu())
    return module.norm(x)


@pytest.mark.parametrize(
    ("sides", "pointers"), [((SIDE,), 0), ((SIDE, SIDE, SIDE), 4), ((SIDE, 3, 2), 5), ((1,), 1)]
)
def test_attention_is_the_formula(attention: MemoryAttention, sides: tuple[int, ...], pointers: int) -> None:
    image, position, memory = noise(1, SIDE * SIDE, DIM), noise(SIDE * SIDE, DIM), bank(sides, pointers)
    seen = attention(image, position, [memory])
    expected = textbook(attention, image, position, memory)
    torch.testing.assert_close(seen[0], expected, atol=2e-5, rtol=0)


def test_many_objects_are_seen_as_one_by_one(
    attention: MemoryAttention, monkeypatch: pytest.MonkeyPatch
) -> None:
    image, position = noise(1, SIDE * SIDE, DIM), noise(SIDE * SIDE, DIM)
    memories = [
        bank(seed=1),
        bank(seed=2),
        bank(seed=3),
        bank(pointers=0, seed=4),
        bank((SIDE,), 14),
        bank(seed=5),
    ]
    single = torch.cat([attention(image, position, [memory]) for memory in memories])
    torch.testing.assert_close(attention(image, position, memories), single, atol=1e-5, rtol=0)
    monkeypatch.setattr("segma.models.sam2.memory._at_once", lambda image: 2)  # as on a GPU
    torch.testing.assert_close(attention(image, position, memories), single, atol=1e-5, rtol=0)


def test_pointers_have_no_place_and_cells_have_one(attention: MemoryAttention) -> None:
    image, position, memory = noise(1, SIDE * SIDE, DIM), noise(SIDE * SIDE, DIM), bank((SIDE,), 5)
    seen = attention(image, position, [memory])

    def reordered(order: Tensor) -> Tensor:
        other = replace(memory, values=memory.values[order], positions=memory.positions[order])
        return attention(image, position, [other])

    cells, pointers = torch.arange(SIDE * SIDE), torch.arange(SIDE * SIDE, SIDE * SIDE + 5)
    torch.testing.assert_close(reordered(torch.cat([cells, pointers.flip(0)])), seen, atol=1e-5, rtol=0)
    assert (reordered(torch.cat([cells.flip(0), pointers])) - seen).abs().max() > 1e-2


def test_gradients_reach_all_weights_and_inputs_and_the_result_is_the_same(
    attention: MemoryAttention,
) -> None:
    image, position, memory = noise(1, SIDE * SIDE, DIM), noise(SIDE * SIDE, DIM), bank()
    without = attention(image, position, [memory])
    inputs = [tensor.requires_grad_() for tensor in (image, memory.values, memory.positions)]
    with_gradients = attention.requires_grad_()(image, position, [memory])
    torch.testing.assert_close(with_gradients, without, atol=1e-5, rtol=0)
    (with_gradients * noise(1, SIDE * SIDE, DIM, seed=9)).sum().backward()
    for tensor in [*inputs, *attention.parameters()]:
        assert tensor.grad is not None and tensor.grad.isfinite().all()
    assert all(tensor.grad is not None and tensor.grad.abs().max() > 0 for tensor in inputs)


def test_bfloat16_layers_are_close_and_the_result_is_float32(attention: MemoryAttention) -> None:
    image, position, memory = noise(1, SIDE * SIDE, DIM), noise(SIDE * SIDE, DIM), bank()
    exact = attention(image, position, [memory])
    for layer in attention.modules():
        if isinstance(layer, nn.Linear):
            layer.bfloat16()
    seen = attention(image.bfloat16(), position, [memory])
    assert seen.dtype == torch.float32
    assert 0 < (seen - exact).abs().mean() < 0.02


def encode_textbook(module: MemoryEncoder, image: Tensor, masks: Tensor) -> Tensor:
    """Section 5, channels first throughout."""

    def norm(layer: nn.Module, x: Tensor) -> Tensor:
        weight, bias = (layer.get_parameter(name).view(-1, 1, 1) for name in ("weight", "bias"))
        scale = (x.var(1, correction=0, keepdim=True) + 1e-6).rsqrt()
        return (x - x.mean(1, keepdim=True)) * scale * weight + bias

    def convolve(name: str, x: Tensor, stride: int = 1, padding: int = 0, groups: int = 1) -> Tensor:
        layer = module.get_submodule(name)
        weight, bias = layer.get_parameter("weight"), layer.get_parameter("bias")
        return F.conv2d(x, weight, bias, stride, padding, 1, groups)

    x = masks
    for index in (0, 3, 6, 9):
        x = convolve(f"mask_downsampler.encoder.{index}", x, 2, 1)
        x = F.gelu(norm(module.mask_downsampler.encoder[index + 1], x))
    x = convolve("mask_downsampler.encoder.12", x) + convolve("pix_feat_proj", image)
    for index in range(2):
        block = module.get_submodule(f"fuser.layers.{index}")
        y = norm(block.get_submodule("norm"), convolve(f"fuser.layers.{index}.dwconv", x, 1, 3, DIM))
        y = F.gelu(block.get_submodule("pwconv1")(y.permute(0, 2, 3, 1)))
        x = x + (block.get_submodule("pwconv2")(y) * block.get_parameter("gamma")).permute(0, 3, 1, 2)
    return convolve("out_proj", x)


def test_the_encoder_is_the_formula_for_one_mask_and_many(encoder: MemoryEncoder) -> None:
    image, masks = noise(1, DIM, 5, 5), 20 * noise(3, 1, 80, 80).sigmoid() - 10
    expected = encode_textbook(encoder, image, masks)
    assert expected.shape == (3, MEMORY_DIM, 5, 5)
    torch.testing.assert_close(encoder(image, masks), expected, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(encoder(image, masks[1:2]), expected[1:2], atol=1e-5, rtol=1e-5)


def test_the_encoder_batches_where_there_is_room(
    encoder: MemoryEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    image, masks = noise(1, DIM, 5, 5), 20 * noise(3, 1, 80, 80).sigmoid() - 10
    single = encoder(image, masks)
    monkeypatch.setattr("segma.models.sam2.memory._at_once", lambda image: 2)
    torch.testing.assert_close(encoder(image, masks), single, atol=1e-5, rtol=1e-5)


def test_the_encoder_has_gradients_and_a_low_precision(encoder: MemoryEncoder) -> None:
    image, masks = noise(1, DIM, 5, 5), (20 * noise(1, 1, 80, 80).sigmoid() - 10).requires_grad_()
    exact = encoder.requires_grad_()(image, masks)
    exact.square().sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in [masks, *encoder.parameters()])
    for layer in encoder.modules():
        if isinstance(layer, nn.Linear | nn.Conv2d):
            layer.bfloat16()
    low = encoder(image.bfloat16(), masks)
    assert low.dtype == torch.bfloat16
    assert (low - exact).abs().mean() < 0.05 * exact.abs().mean()


def test_a_pooled_map_holds_means() -> None:
    memory = torch.arange(32.0).view(4, 4, 2)
    pooled = pool_map(memory, 2)
    assert pooled.shape == (2, 2, 2)
    assert pooled[1, 0].tolist() == memory[2:, :2].flatten(0, 1).mean(0).tolist()
    assert pool_map(memory.bfloat16(), 4).dtype == torch.bfloat16
    assert torch.equal(pool_map(memory, 1), memory)
