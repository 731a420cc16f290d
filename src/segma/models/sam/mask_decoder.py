"""SAM's mask decoder: tokens for masks and their quality, the two-way transformer, the mask head.

SAM section 3 and figure 14. The quality of a mask is known before the mask is drawn, so the two steps
are two calls.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from segma.models.sam.config import SamConfig
from segma.nn import mask_head
from segma.nn.mlp import MlpStack
from segma.nn.two_way import ImageSide, TwoWayTransformer


@dataclass(frozen=True, slots=True)
class MaskState:
    """What is needed to draw: the mask tokens and the image side of every prompt."""

    mask_tokens: Float[Tensor, "batch masks dim"]
    image: Float[Tensor, "batch cells dim"]


class MaskDecoder(nn.Module):
    """Four masks a prompt: number 0 the single one, 1..3 the ambiguous set."""

    def __init__(self, config: SamConfig) -> None:
        super().__init__()
        dim, num_masks = config.dim, config.num_multimask + 1
        self.transformer = TwoWayTransformer(
            depth=config.decoder_depth,
            dim=dim,
            num_heads=config.decoder_heads,
            mlp_dim=config.decoder_mlp_dim,
        )
        self.iou_token = nn.Embedding(1, dim)
        self.mask_tokens = nn.Embedding(num_masks, dim)
        self.output_upscaling = mask_head.upscaling(dim)
        self.output_hypernetworks_mlps = nn.ModuleList(
            MlpStack(dim, dim, dim // 8, 3) for _ in range(num_masks)
        )
        self.iou_prediction_head = MlpStack(dim, config.iou_hidden_dim, num_masks, 3)

    def decode(
        self, side: ImageSide, sparse: Float[Tensor, "batch sparse dim"]
    ) -> tuple[Float[Tensor, "batch masks"], MaskState]:
        """Predicted IoU of every mask (no sigmoid: may leave [0, 1]), and the state to draw from."""
        own = torch.cat([self.iou_token.weight, self.mask_tokens.weight])
        tokens = torch.cat([own.expand(len(sparse), -1, -1), sparse], 1)
        tokens, image = self.transformer(tokens, side, len(own))
        predicted_iou = self.iou_prediction_head(tokens[:, 0])
        return predicted_iou, MaskState(tokens[:, 1:], image)

    def draw(
        self, state: MaskState, prompt_index: Int[Tensor, " k"], mask_index: Int[Tensor, " k"]
    ) -> Float[Tensor, "k side side"]:
        """Logits of the (prompt, mask) pairs."""
        return mask_head.draw_pairs(
            self.output_upscaling,
            self.output_hypernetworks_mlps,
            state.mask_tokens,
            state.image,
            (prompt_index, mask_index),
        )
