"""Prompts to vectors: points, boxes, masks, embeddings (SAM section 3, "Prompt encoder").

Shared by SAM and SAM 2. Official names; label codes: 1, 0 clicks, -1 padding, 2 and 3 box corners.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from segma.nn.norm import ChannelNorm
from segma.nn.position import RandomFourier

PADDING, FIRST_CORNER = -1, 2


class PromptEncoder(nn.Module):
    """Sparse prompts become tokens, mask prompts a map that is added to the image embedding.

    `image_size` is the side of the frame that coordinates are in; `grid` that of the embedding. `num_maps`
    more channels go into the mask prompt (`nn.prompt_maps`); official weights have none.
    """

    def __init__(
        self, *, dim: int, image_size: int, grid: int, mask_channels: int, num_maps: int = 0
    ) -> None:
        super().__init__()
        self.image_size = image_size
        self.grid = grid
        self.pe_layer = RandomFourier(dim)
        self.point_embeddings = nn.ModuleList(nn.Embedding(1, dim) for _ in range(4))
        self.not_a_point_embed = nn.Embedding(1, dim)
        self.no_mask_embed = nn.Embedding(1, dim)
        quarter = mask_channels // 4
        self.mask_downscaling = nn.Sequential(
            nn.Conv2d(1 + num_maps, quarter, 2, 2),
            ChannelNorm(quarter),
            nn.GELU(),
            nn.Conv2d(quarter, mask_channels, 2, 2),
            ChannelNorm(mask_channels),
            nn.GELU(),
            nn.Conv2d(mask_channels, dim, 1),
        )

    def grid_code(self) -> Float[Tensor, "tokens dim"]:
        """Position codes of the embedding's cells, row by row."""
        return self.pe_layer.grid(self.grid, self.grid)

    def encode_points(
        self, coords: Float[Tensor, "batch points 2"], labels: Int[Tensor, "batch points"]
    ) -> Float[Tensor, "batch points dim"]:
        """Code of the place (0.5 is added: an integer is the middle of a pixel) plus the label's vector.

        A padding point is its own vector alone, its place is erased.
        """
        codes = self.pe_layer((coords.float() + 0.5) / self.image_size)
        embeddings = [*self.point_embeddings, self.not_a_point_embed]
        table = torch.cat([embedding.get_parameter("weight") for embedding in embeddings])
        is_padding = labels == PADDING
        tokens = torch.where(is_padding[..., None], torch.zeros_like(codes), codes)
        return tokens + table[torch.where(is_padding, len(table) - 1, labels.long())]

    def encode_boxes(self, boxes: Float[Tensor, "batch 4"]) -> Float[Tensor, "batch 2 dim"]:
        """Two tokens, the corners."""
        corners = torch.tensor([FIRST_CORNER, FIRST_CORNER + 1], device=boxes.device)
        return self.encode_points(boxes.view(-1, 2, 2), corners.expand(len(boxes), 2))

    def encode_masks(
        self, mask_logits: Float[Tensor, "batch channels side side"]
    ) -> Float[Tensor, "batch tokens dim"]:
        """Mask logits (and maps, if any) as a map over the embedding's cells, row by row."""
        return self.mask_downscaling(mask_logits.float()).flatten(2).transpose(1, 2)

    def sparse(
        self,
        coords: Float[Tensor, "batch points 2"] | None,
        labels: Int[Tensor, "batch points"] | None,
        boxes: Float[Tensor, "batch 4"] | None,
        embeddings: Float[Tensor, "batch tokens dim"] | None = None,
    ) -> Float[Tensor, "batch sparse dim"] | None:
        """All sparse tokens: points, one padding point if there is no box, box corners, embeddings.

        None where nothing sparse is given.
        """
        parts: list[Tensor] = []
        if coords is not None and labels is not None:
            if boxes is None:  # SAM's rule: exactly one padding point, and none beside a box
                coords = torch.cat([coords, coords.new_zeros(len(coords), 1, 2)], 1)
                labels = torch.cat([labels, labels.new_full((len(labels), 1), PADDING)], 1)
            parts.append(self.encode_points(coords, labels))
        if boxes is not None:
            parts.append(self.encode_boxes(boxes))
        if embeddings is not None:
            parts.append(embeddings.float())
        return torch.cat(parts, 1) if parts else None
