"""SAM 2's mask decoder: SAM's, with a token that says whether the object is there, and fine maps added.

SAM 2 appendix D.1 and figure 9. The quality of a mask is known before the mask is drawn, so the two steps are
two calls.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from segma.models.sam2.config import NUM_LEVELS, Sam2Config
from segma.nn import mask_head
from segma.nn.mask_head import Refined, Refiner, Skips
from segma.nn.mask_judge import MaskJudge
from segma.nn.mlp import MlpStack
from segma.nn.prompt_maps import num_channels
from segma.nn.two_way import ImageSide, TwoWayTransformer


@dataclass(frozen=True, slots=True)
class MaskState:
    """What is needed to draw, and for pointers: mask tokens, image side and fine maps of every prompt.

    `prompt` are the drawn prompts that the refiner sees, where there is one; `drawn` all masks, where they
    were drawn to be judged.
    """

    mask_tokens: Float[Tensor, "batch masks dim"]
    image: Float[Tensor, "batch cells dim"]
    skips: Skips
    prompt: Float[Tensor, "batch maps side side"] | None = None
    drawn: Float[Tensor, "batch masks side side"] | None = None


class MaskDecoder(nn.Module):
    """Four masks a prompt: number 0 the single one, 1..3 the ambiguous set; and a score of presence."""

    def __init__(self, config: Sam2Config) -> None:
        super().__init__()
        dim, num_masks = config.dim, config.num_multimask + 1
        self.transformer = TwoWayTransformer(
            depth=config.decoder_depth,
            dim=dim,
            num_heads=config.decoder_heads,
            mlp_dim=config.decoder_mlp_dim,
            make_mlp=lambda width, hidden: MlpStack(width, hidden, width, 2),
        )
        self.iou_token = nn.Embedding(1, dim)
        self.mask_tokens = nn.Embedding(num_masks, dim)
        self.obj_score_token = nn.Embedding(1, dim)
        self.output_upscaling = mask_head.upscaling(dim)
        self.conv_s0 = nn.Conv2d(dim, dim // 8, 1)
        self.conv_s1 = nn.Conv2d(dim, dim // 4, 1)
        self.output_hypernetworks_mlps = nn.ModuleList(
            MlpStack(dim, dim, dim // 8, 3) for _ in range(num_masks)
        )
        self.iou_prediction_head = MlpStack(dim, config.iou_hidden_dim, num_masks, 3)
        self.pred_obj_score_head = MlpStack(dim, dim, 1, 3)
        self.refiner = None
        if config.refiner_width:
            num_maps = num_channels(NUM_LEVELS) if config.prompt_maps else 0
            self.refiner = Refiner(dim // 8, num_maps, config.refiner_width)
        self.judge = None
        if config.judge_width:
            self.judge = MaskJudge(
                channels=dim // 8,
                dim=dim,
                num_maps=num_channels(NUM_LEVELS),
                num_masks=num_masks,
                width=config.judge_width,
            )

    def decode(
        self,
        side: ImageSide,
        sparse: Float[Tensor, "batch sparse dim"],
        skips: Skips,
        prompt: Float[Tensor, "batch maps side side"] | None = None,
    ) -> tuple[Float[Tensor, "batch masks"], Float[Tensor, " batch"], MaskState]:
        """Predicted IoU of every mask (in 0..1), the score of presence, and the state to draw from."""
        own = torch.cat([self.obj_score_token.weight, self.iou_token.weight, self.mask_tokens.weight])
        tokens = torch.cat([own.expand(len(sparse), -1, -1), sparse], 1)
        tokens, image = self.transformer(tokens, side, len(own))
        object_score = self.pred_obj_score_head(tokens[:, 0])[:, 0]
        guess = self.iou_prediction_head(tokens[:, 1])
        state = MaskState(tokens[:, 2:], image, skips, prompt)
        if self.judge is not None:
            guess, object_score, state = self._judged(self.judge, guess, object_score, state)
        return guess.sigmoid(), object_score, state

    def _judged(
        self, judge: MaskJudge, guess: Tensor, object_score: Tensor, state: MaskState
    ) -> tuple[Float[Tensor, "batch masks"], Float[Tensor, " batch"], MaskState]:
        """The guesses after a look at the masks, and the state with these masks."""
        assert self.refiner is not None
        assert state.prompt is not None
        fine = mask_head.upscale(self.output_upscaling, state.image, state.skips)
        maps = Refined(self.refiner, state.prompt).maps(fine)
        weights = mask_head.vectors(self.output_hypernetworks_mlps, state.mask_tokens)
        drawn = Refined.drawn(maps, weights)
        grid = round(state.image.shape[1] ** 0.5)
        image = state.image.transpose(1, 2).view(len(drawn), -1, grid, grid)
        guess, object_score = judge(drawn, maps, state.prompt, image, guess, object_score)
        return guess, object_score, replace(state, drawn=drawn)

    def draw(
        self, state: MaskState, prompt_index: Int[Tensor, " k"], mask_index: Int[Tensor, " k"]
    ) -> Float[Tensor, "k side side"]:
        """Logits of the (prompt, mask) pairs."""
        if state.drawn is not None:
            return state.drawn[prompt_index, mask_index]
        return mask_head.draw_pairs(
            self.output_upscaling,
            self.output_hypernetworks_mlps,
            state.mask_tokens,
            state.image,
            (prompt_index, mask_index),
            state.skips,
            None if self.refiner is None else Refined(self.refiner, state.prompt),
        )

    def draw_all(self, state: MaskState) -> Float[Tensor, "batch masks side side"]:
        """Logits of every mask of every prompt, as training wants them."""
        if state.drawn is not None:
            return state.drawn
        refined = None if self.refiner is None else Refined(self.refiner, state.prompt)
        return mask_head.draw_all(
            self.output_upscaling,
            self.output_hypernetworks_mlps,
            state.mask_tokens,
            state.image,
            state.skips,
            refined,
        )
