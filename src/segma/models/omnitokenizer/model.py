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

from segma.models.interfaces import CodeSpec
from segma.models.omnitokenizer.config import PLAIN, OmniTokenizerConfig
from segma.models.omnitokenizer.transformer import Past, SpatialTransformer, TemporalTransformer
from segma.nn.vq import Codebook, Gaussian

# Groups after the first frame in the clips that official weights were trained on (17 frames).
_OFFICIAL_GROUPS = 4


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
    """Patches to tokens: norm (perhaps), linear, norm; named by the official positions."""

    def __init__(self, patch_dim: int, dim: int, *, has_norm: bool) -> None:
        first = nn.LayerNorm(patch_dim) if has_norm else nn.Identity()
        super().__init__({"1": first, "2": nn.Linear(patch_dim, dim), "3": nn.LayerNorm(dim)})

    def forward(self, patches: Float[Tensor, "... patch_dim"]) -> Float[Tensor, "... dim"]:
        """The tokens."""
        return self["3"](self["2"](self["1"](patches)))


class Encoder(nn.Module):
    """Pixels to tokens."""

    def __init__(self, config: OmniTokenizerConfig) -> None:
        super().__init__()
        self.config = config
        frame = 3 * config.patch**2
        group, has_norm = frame * config.temporal_patch, config.pixel_norm
        self.to_patch_emb_first_frame = PatchEmbedding(frame, config.dim, has_norm=has_norm)
        self.to_patch_emb = PatchEmbedding(group, config.dim, has_norm=has_norm)
        self.enc_spatial_transformer = SpatialTransformer(config, config.encoder_spatial)
        self.enc_temporal_transformer = TemporalTransformer(config, config.encoder_temporal)

    def forward(
        self, pixels: Float[Tensor, "batch 3 t h w"], stream: Stream | None = None
    ) -> Float[Tensor, "batch groups rows columns dim"]:
        """The tokens of a clip, or of the next groups of one."""
        layers = (self.to_patch_emb_first_frame, self.to_patch_emb)
        parts = cut(pixels, self.config, begins=stream is None or not stream.has_begun)
        embedded = [layer(part) for layer, part in zip(layers, parts, strict=True) if part is not None]
        if stream is not None:
            stream.has_begun = True
        x = torch.cat(embedded, 1)
        x = self.enc_spatial_transformer(x, stream.spatial if stream else None)
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
        begins = stream is None or not stream.has_begun
        x = self.dec_temporal_transformer(x, stream.temporal if stream else None)
        x = self.dec_spatial_transformer(x, stream.spatial if stream else None)
        if stream is not None:
            stream.has_begun = True
        return joined(x, self.config, self.to_pixels_first_frame, self.to_pixels, begins=begins)


class Shortcut(nn.Module):
    """Linear ways round the layers: from patches to numbers of tokens, and back."""

    def __init__(self, config: OmniTokenizerConfig) -> None:
        super().__init__()
        self.config = config
        frame, numbers = 3 * config.patch**2, config.code_dim
        self.to_numbers = nn.ModuleList(
            nn.Linear(size, numbers) for size in (frame, frame * config.temporal_patch)
        )
        self.to_pixels = nn.ModuleList(
            nn.Linear(numbers, size) for size in (frame, frame * config.temporal_patch)
        )

    def numbers(
        self, pixels: Float[Tensor, "batch 3 t h w"], *, begins: bool
    ) -> Float[Tensor, "batch groups rows columns numbers"]:
        """What is added to the numbers of the tokens of a clip, or of its next groups."""
        parts = zip(self.to_numbers, cut(pixels, self.config, begins=begins), strict=True)
        return torch.cat([layer(part) for layer, part in parts if part is not None], 1)

    def pixels(
        self, numbers: Float[Tensor, "batch groups rows columns numbers"], *, begins: bool
    ) -> Float[Tensor, "batch 3 t h w"]:
        """What is added to the pixels of a clip, or of its next groups."""
        first, rest = self.to_pixels
        return joined(numbers, self.config, first, rest, begins=begins)


class OmniTokenizer(nn.Module):
    """Encoder, bottleneck and decoder; the modules are named as in the official checkpoints."""

    def __init__(self, config: OmniTokenizerConfig) -> None:
        super().__init__()
        self.config = config
        twice = 2 * config.code_dim
        numbers = twice if config.is_continuous else config.code_dim
        self.encoder = Encoder(config)
        self.decoder = Decoder(config)
        self.pre_vq_conv = nn.ModuleDict({"1": nn.Linear(config.dim, numbers)})
        self.post_vq_conv = nn.ModuleDict({"1": nn.Linear(config.code_dim, config.dim)})
        if not config.is_continuous:
            self.codebook = Codebook(config.num_codes, config.code_dim)
        if config.joint:
            self.pre_kl_conv = nn.ModuleDict({"1": nn.Linear(config.dim, twice)})
            self.post_kl_conv = nn.ModuleDict({"1": nn.Linear(config.code_dim, config.dim)})
        self.shortcut = Shortcut(config) if config.shortcut and config.has_gaussians else None
        self.code_shortcut = Shortcut(config) if config.shortcut and config.num_codes else None

    @property
    def code_spec(self) -> CodeSpec:
        """What `tasks.tokenize` must know.

        Official models were trained on clips of one and four groups, those of images alone on images.
        """
        config = self.config
        groups = 0 if config.spatial_position == "relative" else _OFFICIAL_GROUPS
        chunk = 1 + groups * config.temporal_patch if groups == 0 or config.is_official else 0
        return CodeSpec(
            num_codes=config.num_codes,
            channels=config.code_dim if config.has_gaussians else 0,
            patch=config.patch,
            temporal_patch=config.temporal_patch,
            side_multiple=config.side_multiple,
            chunk=chunk,
            attends_whole=PLAIN in config.encoder_spatial + config.decoder_spatial,
        )

    def project(
        self, pixels: Float[Tensor, "batch 3 t h w"], stream: Stream | None = None
    ) -> Float[Tensor, "batch groups rows columns numbers"]:
        """The numbers before the bottleneck: vectors without a length, or the halves of Gaussians."""
        begins = stream is None or not stream.has_begun
        return self.vectors_of(self.encoder(pixels, stream), pixels, begins=begins)

    def vectors_of(
        self,
        tokens: Float[Tensor, "batch groups rows columns dim"],
        pixels: Float[Tensor, "batch 3 t h w"],
        *,
        begins: bool = True,
    ) -> Float[Tensor, "batch groups rows columns numbers"]:
        """The numbers of `project` of encoded tokens, and of the pixels they are of."""
        found = self.pre_vq_conv["1"](tokens)
        if self.code_shortcut is None:
            return found
        return found + self.code_shortcut.numbers(pixels, begins=begins)

    def encode_codes(
        self, pixels: Float[Tensor, "batch 3 t h w"], stream: Stream | None = None
    ) -> Int[Tensor, "batch groups rows columns"]:
        """The codes of a clip."""
        return self.codebook.nearest(F.normalize(self.project(pixels, stream), dim=-1))

    def encode_gaussian(
        self, pixels: Float[Tensor, "batch 3 t h w"], stream: Stream | None = None
    ) -> Gaussian:
        """The Gaussians of a clip, of models that have them."""
        begins = stream is None or not stream.has_begun
        return self.gaussian_of(self.encoder(pixels, stream), pixels, begins=begins)

    def gaussian_of(
        self,
        tokens: Float[Tensor, "batch groups rows columns dim"],
        pixels: Float[Tensor, "batch 3 t h w"],
        *,
        begins: bool = True,
    ) -> Gaussian:
        """The Gaussians of encoded tokens, and of the pixels they are of."""
        convert = self.pre_kl_conv if self.config.joint else self.pre_vq_conv
        found = Gaussian.of(convert["1"](tokens))
        if self.shortcut is None:
            return found
        return Gaussian(found.mean + self.shortcut.numbers(pixels, begins=begins), found.logvar)

    def encode_latent(
        self, pixels: Float[Tensor, "batch 3 t h w"], stream: Stream | None = None
    ) -> Float[Tensor, "batch groups rows columns channels"]:
        """The means of the Gaussians of a clip, of models that have them."""
        return self.encode_gaussian(pixels, stream).mean

    def decode_codes(
        self, codes: Int[Tensor, "batch groups rows columns"], stream: Stream | None = None
    ) -> Float[Tensor, "batch 3 t h w"]:
        """The pixels of codes, not clamped."""
        begins = stream is None or not stream.has_begun
        vectors = self.codebook(codes)
        made = self.decoder(self.post_vq_conv["1"](vectors), stream)
        return with_shortcut(self.code_shortcut, made, vectors, begins=begins)

    def decode_latent(
        self, latent: Float[Tensor, "batch groups rows columns channels"], stream: Stream | None = None
    ) -> Float[Tensor, "batch 3 t h w"]:
        """The pixels of draws from Gaussians; not clamped."""
        begins = stream is None or not stream.has_begun
        convert = self.post_kl_conv if self.config.joint else self.post_vq_conv
        made = self.decoder(convert["1"](latent), stream)
        return with_shortcut(self.shortcut, made, latent, begins=begins)

    def encoding_stream(self) -> Stream:
        """For `encode_*` of a clip that comes in pieces: one frame first, then whole groups."""
        return Stream.of(self.config.encoder_spatial, self.config.encoder_temporal)

    def decoding_stream(self) -> Stream:
        """For `decode_*` of codes that come group by group."""
        return Stream.of(self.config.decoder_spatial, self.config.decoder_temporal)


def with_shortcut(
    shortcut: Shortcut | None,
    pixels: Float[Tensor, "batch 3 t h w"],
    numbers: Float[Tensor, "batch groups rows columns numbers"],
    *,
    begins: bool = True,
) -> Float[Tensor, "batch 3 t h w"]:
    """Decoded pixels, with what comes straight from the numbers of their tokens."""
    return pixels if shortcut is None else pixels + shortcut.pixels(numbers, begins=begins)


def cut(
    pixels: Float[Tensor, "batch 3 t h w"], config: OmniTokenizerConfig, *, begins: bool
) -> tuple[Tensor | None, Tensor | None]:
    """The patches of the first frame, where the clip begins, and of the groups after it."""
    first = to_patches(pixels[:, :, :1], config.patch, 1) if begins else None
    rest = pixels[:, :, 1 if begins else 0 :]
    return first, to_patches(rest, config.patch, config.temporal_patch) if rest.shape[2] else None


def joined(
    x: Float[Tensor, "batch groups rows columns numbers"],
    config: OmniTokenizerConfig,
    first: nn.Module,
    rest: nn.Module,
    *,
    begins: bool,
) -> Float[Tensor, "batch 3 t h w"]:
    """The frames of tokens: `first` makes patches of the first frame, `rest` of the groups after it."""
    parts: list[Tensor] = []
    if begins:
        parts.append(from_patches(first(x[:, :1]), config.patch, 1))
    if (groups := x[:, 1 if begins else 0 :]).shape[1]:
        parts.append(from_patches(rest(groups), config.patch, config.temporal_patch))
    return torch.cat(parts, 2)


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
