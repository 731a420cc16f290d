"""The re-associated attention of the mask decoder against textbook attention, few and many tokens."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from segma.nn.two_way import ImageSide, TokenAttention, TwoWayLayer, TwoWayTransformer, project

DIM, HEADS, CELLS = 32, 4, 12
# With 4 heads and 16 inner channels, up to 4 tokens are few: they are taken to the cells' space.
FEW, MANY = 3, 9


def assert_close(ours: Tensor, theirs: Tensor) -> None:
    torch.testing.assert_close(ours, theirs, atol=2e-5, rtol=1e-4)


def numbers(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def attention(downsample: int = 2) -> TokenAttention:
    torch.manual_seed(1)
    module = TokenAttention(DIM, HEADS, downsample).requires_grad_(False)
    for layer in (module.q_proj, module.k_proj, module.v_proj, module.out_proj):
        layer.bias.data = 0.5 * torch.randn_like(layer.bias)
        layer.weight.data *= 3
    return module


def textbook(module: TokenAttention, queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
    """Project all, softmax over all pairs, head by head."""
    q, k, v = module.q_proj(queries), module.k_proj(keys), module.v_proj(values)
    head_dim = q.shape[-1] // HEADS
    parts: list[Tensor] = []
    for head in range(HEADS):
        at = slice(head * head_dim, (head + 1) * head_dim)
        logits = q[..., at] @ k[..., at].transpose(-1, -2) / head_dim**0.5
        parts.append(torch.softmax(logits, -1) @ v[..., at])
    return module.out_proj(torch.cat(parts, -1))


def test_tokens_among_themselves() -> None:
    module = attention(downsample=1)
    q, k, v = numbers(2, 5, DIM), numbers(2, 5, DIM, seed=1), numbers(2, 5, DIM, seed=2)
    assert_close(module(q, k, v), textbook(module, q, k, v))


@pytest.mark.parametrize("tokens", [FEW, MANY])
def test_tokens_read_images_of_their_own(tokens: int) -> None:
    module = attention()
    queries, keyed, image = numbers(2, tokens, DIM), numbers(2, CELLS, DIM, seed=1), numbers(2, CELLS, DIM)
    expected = textbook(module, queries, keyed, image)
    assert_close(module.read_image(queries, keyed, image), expected)


@pytest.mark.parametrize("tokens", [FEW, MANY])
def test_tokens_of_many_prompts_read_one_image(tokens: int) -> None:
    module = attention()
    queries, keyed, image = numbers(5, tokens, DIM), numbers(1, CELLS, DIM, seed=1), numbers(1, CELLS, DIM)
    keys, values = project(module.k_proj, keyed), project(module.v_proj, image)
    expected = textbook(module, queries, keyed.expand(5, -1, -1), image.expand(5, -1, -1))
    assert_close(module.read_shared(queries, keys, values), expected)


@pytest.mark.parametrize("tokens", [FEW, MANY])
@pytest.mark.parametrize("images", [1, 4])
def test_cells_read_tokens(tokens: int, images: int) -> None:
    module = attention()
    keys, values = numbers(4, tokens, DIM), numbers(4, tokens, DIM, seed=3)
    image, keyed = numbers(images, CELLS, DIM), numbers(images, CELLS, DIM, seed=1)
    expected = image + textbook(module, keyed.expand(4, -1, -1), keys, values)
    if images == 1:  # one image for all prompts comes with its queries already projected
        written = module.write_image(image, project(module.q_proj, keyed), keys, values)
    else:
        written = module.write_image(image, keyed, keys, values)
    assert_close(written, expected)


def transformer() -> TwoWayTransformer:
    torch.manual_seed(2)
    module = TwoWayTransformer(depth=2, dim=DIM, num_heads=HEADS, mlp_dim=48)
    for parameter in module.parameters():
        parameter.data += 0.1 * torch.randn_like(parameter)
    return module


def textbook_transformer(
    module: TwoWayTransformer, tokens: Tensor, image: Tensor, position: Tensor
) -> tuple[Tensor, Tensor]:
    """The layers as the paper draws them, the image copied for every prompt."""
    initial = tokens
    for index, layer in enumerate(module.layers):
        assert isinstance(layer, TwoWayLayer)
        own = tokens if index == 0 else tokens + initial
        seen = textbook(layer.self_attn, own, own, tokens)
        tokens = layer.norm1(seen if index == 0 else tokens + seen)
        read = textbook(layer.cross_attn_token_to_image, tokens + initial, image + position, image)
        tokens = layer.norm2(tokens + read)
        tokens = layer.norm3(tokens + layer.mlp(tokens))
        written = textbook(layer.cross_attn_image_to_token, image + position, tokens + initial, tokens)
        image = layer.norm4(image + written)
    last = textbook(module.final_attn_token_to_image, tokens + initial, image + position, image)
    return module.norm_final_attn(tokens + last), image


@pytest.mark.parametrize("count", [FEW, MANY])
def test_the_whole_transformer_shared_and_not(count: int) -> None:
    module = transformer().requires_grad_(False)
    tokens, image, position = (
        numbers(3, count, DIM),
        numbers(1, CELLS, DIM, seed=1),
        numbers(CELLS, DIM, seed=2),
    )
    copies = image.repeat(3, 1, 1)
    expected = textbook_transformer(module, tokens, copies, position)
    for side in (module.share(image, position), ImageSide(image=copies, position=position)):
        for ours, theirs in zip(module(tokens, side, count), expected, strict=True):
            torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=1e-3)


def test_tokens_nobody_reads_need_no_last_look() -> None:
    module = transformer().requires_grad_(False)
    tokens, image, position = (
        numbers(3, FEW, DIM),
        numbers(1, CELLS, DIM, seed=1),
        numbers(CELLS, DIM, seed=2),
    )
    side = module.share(image, position)
    some, every = module(tokens, side, 2), module(tokens, side, FEW)
    assert_close(some[0], every[0][:, :2])
    assert_close(some[1], every[1])


@pytest.mark.parametrize("count", [FEW, MANY])
def test_gradients_are_those_of_the_textbook(count: int) -> None:
    module = transformer().double()
    tokens, image = numbers(2, count, DIM).double(), numbers(1, CELLS, DIM, seed=1).double()
    position = numbers(CELLS, DIM, seed=2).double()
    gradients: list[dict[str, Tensor]] = []
    for ours in (True, False):
        module.zero_grad()
        if ours:
            answer = module(tokens, module.share(image, position), count)
        else:
            answer = textbook_transformer(module, tokens, image.repeat(2, 1, 1), position)
        torch.stack([(part * numbers(*part.shape, seed=4)).sum() for part in answer]).sum().backward()
        gradients.append({n: p.grad.clone() for n, p in module.named_parameters() if p.grad is not None})
    assert gradients[0].keys() >= gradients[1].keys() - key_biases(module)
    for name, expected in gradients[1].items():
        torch.testing.assert_close(gradients[0].get(name, torch.zeros_like(expected)), expected)


def key_biases(module: nn.Module) -> set[str]:
    """Softmax drops them, so our form may leave them without a gradient."""
    return {name for name, _ in module.named_parameters() if name.endswith("k_proj.bias")}


def test_a_bfloat16_image_side_is_near() -> None:
    module = transformer().requires_grad_(False)
    tokens, image, position = (
        numbers(3, FEW, DIM),
        numbers(1, CELLS, DIM, seed=1),
        numbers(CELLS, DIM, seed=2),
    )
    exact = module(tokens, module.share(image, position), FEW)
    low = module(tokens, module.share(image.bfloat16(), position.bfloat16()), FEW)
    assert low[0].dtype == torch.float32 and low[1].dtype == torch.bfloat16
    for ours, theirs in zip(low, exact, strict=True):
        assert (ours.float() - theirs).std() < 0.05 * theirs.std()
