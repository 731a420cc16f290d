"""A small OmniTokenizer: shapes, what is causal, and a clip that comes in pieces."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from segma.checkpoints.fill import made_up_state
from segma.errors import ModelError
from segma.models.omnitokenizer.config import OmniTokenizerConfig, from_json_dict, to_json_dict
from segma.models.omnitokenizer.model import OmniTokenizer, from_patches, to_patches

SMALL = OmniTokenizerConfig(
    dim=32, heads=2, head_dim=16, mlp_dim=40, window=2, encoder_spatial="tw", encoder_temporal="tt",
    decoder_temporal="tt", decoder_spatial="t", num_codes=64, temporal_layout="causal",
)  # fmt: skip
BOUNDED = replace(SMALL, temporal_memory=2)
MOVING = replace(BOUNDED, encoder_spatial="tc", moving=True)


def network(config: OmniTokenizerConfig) -> OmniTokenizer:
    """Weights that follow from their names."""
    model = OmniTokenizer(config).eval()
    shapes = {
        name: tuple(value.shape) for name, value in model.state_dict().items() if value.is_floating_point()
    }
    model.load_state_dict(made_up_state(shapes), strict=False)
    return model


def clip(frames: int, height: int = 16, width: int = 32, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(2, 3, frames, height, width, generator=generator) - 0.5


@pytest.mark.parametrize("frames", [1, 5, 9])
@torch.inference_mode()
def test_images_and_clips_of_any_sides_come_back_in_their_shape(frames: int) -> None:
    model = network(SMALL)
    codes = model.encode_codes(clip(frames))
    assert codes.shape == (2, SMALL.num_groups(frames), 2, 4)
    assert int(codes.max()) < SMALL.num_codes and len(codes.unique()) > 4
    assert model.decode_codes(codes).shape == (2, 3, frames, 16, 32)


@torch.inference_mode()
def test_gaussians_have_a_mean_and_a_draw() -> None:
    model = network(replace(SMALL, num_codes=0))
    found = model.encode_gaussian(clip(5))
    assert found.mean.shape == found.logvar.shape == (2, 2, 2, 4, SMALL.code_dim)
    draws = torch.stack([found.sample(torch.Generator().manual_seed(seed)) for seed in range(400)])
    assert torch.allclose(draws.mean(0), found.mean, atol=0.4)
    assert torch.allclose(draws.std(0), (found.logvar / 2).exp(), rtol=0.25)
    assert model.decode_latent(found.mean).shape == (2, 3, 5, 16, 32)
    assert float(found.divergence()) > 0


@torch.inference_mode()
def test_right_layout_is_causal_and_an_image_is_the_first_frame_of_a_clip() -> None:
    model = network(SMALL)
    whole = model.project(clip(9))
    assert torch.allclose(model.project(clip(9)[:, :, :1]), whole[:, :1], atol=1e-5)
    assert torch.allclose(model.project(clip(9)[:, :, :5]), whole[:, :2], atol=1e-5)
    codes = model.encode_codes(clip(9))
    decoded = model.decode_codes(codes)
    assert torch.allclose(model.decode_codes(codes[:, :2]), decoded[:, :, :5], atol=1e-5)


@torch.inference_mode()
def test_official_layout_is_not() -> None:
    model = network(replace(SMALL, temporal_layout="official"))
    whole = model.project(clip(9))
    assert not torch.allclose(model.project(clip(9)[:, :, :1]), whole[:, :1], atol=1e-3)


@torch.inference_mode()
def test_layers_for_what_moves_leave_first_frames_alone() -> None:
    plain, moving = network(replace(MOVING, moving=False)), network(MOVING)
    moving.load_state_dict(moving.state_dict() | plain.state_dict())
    frames = clip(9)
    one, other = plain.project(frames), moving.project(frames)
    assert torch.equal(one[:, 0], other[:, 0]) and not torch.allclose(one[:, 1:], other[:, 1:], atol=1e-3)
    codes = plain.encode_codes(frames)
    before, after = plain.decode_codes(codes), moving.decode_codes(codes)
    assert torch.equal(before[:, :, 0], after[:, :, 0]) and not torch.allclose(before, after, atol=1e-3)


@pytest.mark.parametrize("config", [SMALL, BOUNDED, MOVING], ids=["all", "bounded", "moving"])
@pytest.mark.parametrize("pieces", [(1, 4, 4, 4, 4), (5, 8, 4), (1, 16)])
@torch.inference_mode()
def test_a_clip_in_pieces_gives_the_same_codes_and_pixels(
    config: OmniTokenizerConfig, pieces: tuple[int, ...]
) -> None:
    model = network(config)
    frames = clip(17)
    whole, stream = model.project(frames), model.encoding_stream()
    parts = [model.project(part, stream) for part in frames.split(pieces, 2)]
    assert torch.allclose(torch.cat(parts, 1), whole, atol=1e-5)
    codes, begun = model.encode_codes(frames), model.decoding_stream()
    found = [model.decode_codes(part, begun) for part in codes.split([1, 3, 1], 1)]
    assert torch.allclose(torch.cat(found, 2), model.decode_codes(codes), atol=1e-5)


@torch.inference_mode()
def test_a_bounded_memory_stays_small() -> None:
    model = network(BOUNDED)
    stream = model.encoding_stream()
    model.project(clip(1), stream)
    for seed in range(6):
        model.project(clip(4, seed=seed), stream)
        for past in stream.temporal:
            assert past.keys is not None and past.keys.shape[2] <= BOUNDED.temporal_memory
            assert past.groups is not None and past.groups.shape[1] <= 2


def test_patches_and_back() -> None:
    pixels = clip(8)
    patches = to_patches(pixels, 8, 4)
    assert patches.shape == (2, 2, 2, 4, 3 * 4 * 64)
    assert torch.equal(patches[0, 1, 1, 2].view(3, 4, 8, 8), pixels[0, :, 4:, 8:, 16:24])
    assert torch.equal(from_patches(patches, 8, 4), pixels)


@pytest.mark.parametrize(
    "wrong",
    [
        {"dim": 0},
        {"head_dim": 6},
        {"num_codes": -1},
        {"temporal_layout": "right"},
        {"spatial_position": "none"},
        {"encoder_temporal": "tw"},
        {"decoder_spatial": ""},
        {"encoder_spatial": "x"},
        {"temporal_layout": "official", "temporal_memory": 3},
        {"temporal_memory": -1},
        {"moving": True},
    ],
)
def test_sizes_without_sense_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ModelError):
        from_json_dict({**to_json_dict(SMALL), **wrong})


def test_a_config_survives_json() -> None:
    assert from_json_dict(to_json_dict(BOUNDED)) == BOUNDED
