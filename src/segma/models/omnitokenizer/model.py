"""One autoencoder for images and for clips of 4k + 1 frames (OmniTokenizer, section 3).

Pixels are (batch, 3, frames, height, width), value / 255 - 0.5; an image is a clip of one frame. Latents are
(batch, groups, rows, columns, channels): the first frame is a group of its own, then come groups of
`temporal_patch` frames. Sides are multiples of `config.side_multiple`.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from segma.models.omnitokenizer.config import OmniTokenizerConfig
from segma.models.omnitokenizer.transformer import Past, SpatialTransformer, TemporalTransformer
from segma.nn.vq import Codebook, Gaussian


@dataclass(slots=True)
class Stream:
    """What the encoder or the decoder keeps of a clip that comes group by group (layout "causal")."""

    spatial: list[Past] = field(default_factory=list[Past])
    temporal: list[Past] = field(default_factory=list[Past])
    has_begun: bool = False

    @classmethod
    def of(cls, spatial: str, temporal: str) -> Stream:
        """The beginning, for so many layers."""
        return cls([Past() for _ in spatial], [Past() for _ in temporal])


class PatchEmbedding(nn.ModuleDict):
    """Patches to tokens: norm, linear, norm; named by the official positions."""

    def __init__(self, patch_dim: int, dim: int) -> None:
        super().__init__(
            {"1": nn.LayerNorm(patch_dim), "2": nn.Linear(patch_dim, dim), "3": nn.LayerNorm(dim)}
        )

    def forward(self, patches: Float[Tensor, "... patch_dim"]) -> Float[Tensor, "... dim"]:
        """The tokens."""
        return self["3"](self["2"](self["1"](patches)))


class Encoder(nn.Module):
    """Pixels to tokens."""

    def __init__(self, config: OmniTokenizerConfig) -> None:
        super().__init__()
        self.config = config
        frame = 3 * config.patch**2
        self.to_patch_emb_first_frame = PatchEmbedding(frame, config.dim)
        self.to_patch_emb = PatchEmbedding(frame * config.temporal_patch, config.dim)
        self.enc_spatial_transformer = SpatialTransformer(config, config.encoder_spatial)
        self.enc_temporal_transformer = TemporalTransformer(config, config.encoder_temporal)

    def forward(
        self, pixels: Float[Tensor, "batch 3 t h w"], stream: Stream | None = None
    ) -> Float[Tensor, "batch groups rows columns dim"]:
        """The tokens of a clip, or of the next groups of one."""
        config = self.config
        begins = stream is None or not stream.has_begun
        parts: list[Tensor] = []
        if begins:
            parts.append(self.to_patch_emb_first_frame(to_patches(pixels[:, :, :1], config.patch, 1)))
        if (rest := pixels[:, :, 1 if begins else 0 :]).shape[2]:
            parts.append(self.to_patch_emb(to_patches(rest, config.patch, config.temporal_patch)))
        if stream is not None:
            stream.has_begun = True
        x = self.enc_spatial_transformer(torch.cat(parts, 1), stream.spatial if stream else None)
        return self.enc_temporal_transformer(x, stream.temporal if stream else None)


class Decoder(nn.Module):
    """Tokens to pixels."""

    def __init__(self, config: OmniTokenizerConfig) -> None:
        super().__init__()
        self.config = config
        frame = 3 * config.patch**2
        self.dec_spatial_transformer = SpatialTransformer(config, config.decoder_spatial)
        self.dec_temporal_transformer = TemporalTransformer(config, config.decoder_temporal)
        self.to_pixels_first_frame = nn.Sequential(nn.Linear(config.dim, frame))
        self.to_pixels = nn.Sequential(nn.Linear(config.dim, frame * config.temporal_patch))

    def forward(
        self, x: Float[Tensor, "batch groups rows columns dim"], stream: Stream | None = None
    ) -> Float[Tensor, "batch 3 t h w"]:
        """The frames of a clip, or of its next groups."""
        config = self.config
        begins = stream is None or not stream.has_begun
        x = self.dec_temporal_transformer(x, stream.temporal if stream else None)
        x = self.dec_spatial_transformer(x, stream.spatial if stream else None)
        parts: list[Tensor] = []
        if begins:
            parts.append(from_patches(self.to_pixels_first_frame(x[:, :1]), config.patch, 1))
        if (rest := x[:, 1 if begins else 0 :]).shape[1]:
            parts.append(from_patches(self.to_pixels(rest), config.patch, config.temporal_patch))
        if stream is not None:
            stream.has_begun = True
        return torch.cat(parts, 2)


class OmniTokenizer(nn.Module):
    """Encoder, bottleneck and decoder; the modules are named as in the official checkpoints."""

    def __init__(self, config: OmniTokenizerConfig) -> None:
        super().__init__()
        self.config = config
        numbers = config.code_dim * (2 if config.is_continuous else 1)
        self.encoder = Encoder(config)
        self.decoder = Decoder(config)
        self.pre_vq_conv = nn.ModuleDict({"1": nn.Linear(config.dim, numbers)})
        self.post_vq_conv = nn.ModuleDict({"1": nn.Linear(config.code_dim, config.dim)})
        if not config.is_continuous:
            self.codebook = Codebook(config.num_codes, config.code_dim)

    def project(
        self, pixels: Float[Tensor, "batch 3 t h w"], stream: Stream | None = None
    ) -> Float[Tensor, "batch groups rows columns numbers"]:
        """The numbers before the bottleneck: vectors without a length, or the halves of Gaussians."""
        return self.pre_vq_conv["1"](self.encoder(pixels, stream))

    def encode_codes(
        self, pixels: Float[Tensor, "batch 3 t h w"], stream: Stream | None = None
    ) -> Int[Tensor, "batch groups rows columns"]:
        """The codes of a clip."""
        return self.codebook.nearest(F.normalize(self.project(pixels, stream), dim=-1))

    def encode_gaussian(
        self, pixels: Float[Tensor, "batch 3 t h w"], stream: Stream | None = None
    ) -> Gaussian:
        """The Gaussians of a clip (KL models)."""
        return Gaussian.of(self.project(pixels, stream))

    def decode_codes(
        self, codes: Int[Tensor, "batch groups rows columns"], stream: Stream | None = None
    ) -> Float[Tensor, "batch 3 t h w"]:
        """The pixels of codes, not clamped."""
        return self.decode_latent(self.codebook(codes), stream)

    def decode_latent(
        self, latent: Float[Tensor, "batch groups rows columns channels"], stream: Stream | None = None
    ) -> Float[Tensor, "batch 3 t h w"]:
        """The pixels of vectors of codes, or of draws from Gaussians; not clamped."""
        return self.decoder(self.post_vq_conv["1"](latent), stream)

    def encoding_stream(self) -> Stream:
        """For `encode_*` of a clip that comes in pieces: one frame first, then whole groups."""
        return Stream.of(self.config.encoder_spatial, self.config.encoder_temporal)

    def decoding_stream(self) -> Stream:
        """For `decode_*` of codes that come group by group."""
        return Stream.of(self.config.decoder_spatial, self.config.decoder_temporal)


def to_patches(
    pixels: Float[Tensor, "batch 3 t h w"], side: int, frames: int
) -> Float[Tensor, "batch groups rows columns numbers"]:
    """Patches of `frames` x `side` x `side` pixels, each flattened by channel, frame, row, column."""
    batch, channels, time, height, width = pixels.shape
    x = pixels.reshape(batch, channels, time // frames, frames, height // side, side, width // side, side)
    x = x.permute(0, 2, 4, 6, 1, 3, 5, 7)  # (batch, groups, rows, columns, 3, frames, side, side)
    return x.reshape(*x.shape[:4], -1)


def from_patches(
    patches: Float[Tensor, "batch groups rows columns numbers"], side: int, frames: int
) -> Float[Tensor, "batch 3 t h w"]:
    """The pixels of `to_patches`."""
    batch, groups, rows, columns = patches.shape[:4]
    x = patches.view(batch, groups, rows, columns, 3, frames, side, side)
    x = x.permute(0, 4, 1, 5, 2, 6, 3, 7)  # (batch, 3, groups, frames, rows, side, columns, side)
    return x.reshape(batch, 3, groups * frames, rows * side, columns * side)
