"""SAM: an image encoder, a prompt encoder, a mask decoder. Parameter names are the official ones."""

from __future__ import annotations

from jaxtyping import Float, Int
from torch import Tensor, nn

from segma.models.interfaces import Decoded, DynamicChoice, ImageFeatures, InputSpec, PromptTensors
from segma.models.sam.config import SamConfig
from segma.models.sam.mask_decoder import MaskDecoder, MaskState
from segma.nn.backbones.sam_vit import SamVit
from segma.nn.prompt_encoder import PromptEncoder
from segma.nn.two_way import ImageSide


class Sam(nn.Module):
    """Segment Anything (arXiv 2304.02643), satisfying `models.interfaces.Promptable`."""

    mask_threshold: float = 0.0
    dynamic_choice: DynamicChoice | None = None
    low_precision: tuple[str, ...] = ("image_encoder",)

    def __init__(self, config: SamConfig) -> None:
        super().__init__()
        self.config = config
        grid = config.image_size // config.patch_size
        self.input_spec = InputSpec(size=config.image_size, mask_size=grid * 4, fit="pad")
        self.image_encoder = SamVit(
            image_size=config.image_size,
            patch_size=config.patch_size,
            dim=config.encoder_width,
            depth=config.encoder_depth,
            num_heads=config.encoder_heads,
            mlp_dim=config.encoder_mlp_dim,
            output_dim=config.dim,
            window=config.window_size,
            global_blocks=config.global_blocks,
        )
        self.prompt_encoder = PromptEncoder(
            dim=config.dim, image_size=config.image_size, grid=grid, mask_channels=config.mask_channels
        )
        self.mask_decoder = MaskDecoder(config)

    def encode_image(self, pixels: Float[Tensor, "batch 3 size size"]) -> ImageFeatures:
        """The image embedding of normalised, padded pixels, in the type of the encoder's layers."""
        return ImageFeatures(self.image_encoder(pixels))

    def share(self, features: ImageFeatures) -> ImageSide:
        """The image as the decoder sees it when no mask is given: made once, asked often."""
        embedding = features.embedding
        image = _rows(embedding) + self.prompt_encoder.no_mask_embed.weight.to(embedding.dtype)
        return self.mask_decoder.transformer.share(image, self._position(embedding))

    def decode(
        self,
        features: ImageFeatures,
        prompts: PromptTensors,
        shared: ImageSide | None = None,
    ) -> Decoded:
        """Predicted IoU of the four masks of every prompt on one image. `shared` = `share(features)`."""
        embedding = features.embedding
        sparse = self.prompt_encoder.sparse(prompts.coords, prompts.labels, prompts.boxes, prompts.embeddings)
        if prompts.mask_logits is None:
            side = shared or self.share(features)
        else:
            dense = self.prompt_encoder.encode_masks(prompts.mask_logits).to(embedding.dtype)
            side = ImageSide(image=_rows(embedding) + dense, position=self._position(embedding))
        if sparse is None:  # only a mask, or nothing at all
            sparse = self.mask_decoder.iou_token.weight.new_zeros(len(side.image), 0, self.config.dim)
        predicted_iou, state = self.mask_decoder.decode(side, sparse)
        return Decoded(predicted_iou=predicted_iou, state=state)

    def render_masks(
        self, decoded: Decoded, prompt_index: Int[Tensor, " k"], mask_index: Int[Tensor, " k"]
    ) -> Float[Tensor, "k side side"]:
        """Low-resolution logits, float32, of the (prompt, mask) pairs asked for."""
        assert isinstance(decoded.state, MaskState)
        return self.mask_decoder.draw(decoded.state, prompt_index, mask_index)

    def _position(self, embedding: Float[Tensor, "1 dim h w"]) -> Float[Tensor, "cells dim"]:
        return self.prompt_encoder.grid_code().to(embedding.dtype)


def _rows(maps: Float[Tensor, "batch dim h w"]) -> Float[Tensor, "batch cells dim"]:
    return maps.flatten(2).transpose(1, 2).contiguous()
