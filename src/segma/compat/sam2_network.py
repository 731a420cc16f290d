"""SAM 2's network with the calls that scripts written for `sam2` make on it and its parts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from segma.compat.sam2_settings import Sam2Settings
from segma.compat.sam_network import PromptEncoder
from segma.models.interfaces import DynamicChoice, ImageFeatures, PromptTensors
from segma.models.sam2 import mask_decoder, model
from segma.models.sam2.config import Sam2Config
from segma.nn.mask_head import Skips
from segma.nn.two_way import ImageSide
from segma.runtime import Runtime
from segma.tasks.choice import single_masks, stability


class MaskDecoder(mask_decoder.MaskDecoder):
    """The mask decoder with its original call."""

    dynamic_choice: DynamicChoice | None = None

    @property
    def num_mask_tokens(self) -> int:
        """Masks of a prompt: the single one and the ambiguous set."""
        return len(self.output_hypernetworks_mlps)

    def forward(
        self,
        image_embeddings: Float[Tensor, "_ dim h w"],
        image_pe: Float[Tensor, "1 dim h w"],
        sparse_prompt_embeddings: Float[Tensor, "batch tokens dim"],
        dense_prompt_embeddings: Float[Tensor, "_ dim h w"],
        multimask_output: bool,
        repeat_image: bool,
        high_res_features: Sequence[Tensor] | None = None,
    ) -> tuple[
        Float[Tensor, "batch masks side side"],
        Float[Tensor, "batch masks"],
        Float[Tensor, "batch masks dim"],
        Float[Tensor, "batch 1"],
    ]:
        """Low-resolution logits, predicted IoU and tokens of masks 1 to 3, or of one; and object scores.

        The one is mask 0, or (not in training) the best of three where that is unsure. `high_res_features`
        are the finest map and the next. Images are repeated whether or not `repeat_image` says so.
        """
        assert high_res_features is not None, "SAM 2's weights need the fine maps"
        batch = len(sparse_prompt_embeddings)
        image = (image_embeddings + dense_prompt_embeddings).flatten(2).transpose(1, 2)
        side = ImageSide(
            image=image.expand(batch, -1, -1).contiguous(),
            position=image_pe[0].flatten(1).T.to(image.dtype),
        )
        decoded = self.decode(side, sparse_prompt_embeddings, Skips.of(*high_res_features))
        predicted_iou, object_score, state = decoded
        rows = torch.arange(batch, device=image.device)
        numbers = torch.arange(self.num_mask_tokens, device=image.device)
        masks = self.draw(state, rows.repeat_interleave(len(numbers)), numbers.repeat(batch))
        masks = masks.view(batch, -1, *masks.shape[1:])
        scores = object_score.float()[:, None]
        if multimask_output:
            return masks[:, 1:], predicted_iou[:, 1:].float(), state.mask_tokens[:, 1:], scores
        chosen = torch.zeros_like(rows)
        if self.dynamic_choice is not None and not self.training:
            sure = stability(masks[:, 0], self.dynamic_choice.offset) >= self.dynamic_choice.threshold
            chosen = torch.where(sure, chosen, 1 + predicted_iou[:, 1:].argmax(1))
        return (
            masks[rows, chosen][:, None],
            predicted_iou[rows, chosen].float()[:, None],
            state.mask_tokens[:, :1],
            scores,
        )


class SAM2Base(model.Sam2):
    """The network under its original name; the state dict has the original names as well."""

    sam_prompt_encoder: PromptEncoder  # pyright: ignore[reportIncompatibleVariableOverride]: set here only
    sam_mask_decoder: MaskDecoder  # pyright: ignore[reportIncompatibleVariableOverride]: set here only

    def __init__(self, config: Sam2Config, settings: Sam2Settings | None = None) -> None:
        settings = settings or Sam2Settings()
        if settings.image_size is not None:
            config = replace(config, image_size=settings.image_size)
        super().__init__(config)
        self.sam_prompt_encoder = PromptEncoder(
            dim=config.dim,
            image_size=config.image_size,
            grid=config.grid_size,
            mask_channels=config.mask_channels,
        )
        self.sam_mask_decoder = MaskDecoder(config)
        self.image_size = config.image_size
        self.hidden_dim = config.dim
        self.dynamic_choice = self.sam_mask_decoder.dynamic_choice = settings.dynamic_choice

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.no_mem_embed.device

    def answer(
        self, features: ImageFeatures, asked: PromptTensors, multimask_output: bool
    ) -> tuple[Float[Tensor, "batch masks side side"], Float[Tensor, "batch masks"]]:
        """Low-resolution logits and predicted IoU, float32, of prompts on one image, a few at a time."""
        # Not kept from call to call: scripts that train may have changed the weights.
        shared = self.share(features)
        step = Runtime(device=str(self.device), precision="fp32").prompts_at_once
        parts = (asked.coords, asked.labels, asked.boxes, asked.mask_logits)
        batch = max((len(part) for part in parts if part is not None), default=1)
        logits: list[Tensor] = []
        qualities: list[Tensor] = []
        for start in range(0, batch, step):
            few = PromptTensors(*(part if part is None else part[start : start + step] for part in parts))
            decoded = self.decode(features, few, shared)
            count = len(decoded.predicted_iou)
            rows = torch.arange(count, device=self.device)
            if multimask_output:
                masks = torch.arange(1, decoded.predicted_iou.shape[1], device=self.device).repeat(count)
                rows = rows.repeat_interleave(len(masks) // count)
            else:
                masks = torch.zeros_like(rows) if self.training else single_masks(self, decoded)
            drawn = self.render_masks(decoded, rows, masks)
            logits.append(drawn.view(count, -1, *drawn.shape[1:]))
            qualities.append(decoded.predicted_iou[rows, masks].float().view(count, -1))
        return torch.cat(logits), torch.cat(qualities)
