"""SAM 2 and 2.1: a frame is encoded once, seen by each object through its memories, and masks are decoded.

Parameter names are the official ones, however odd, because checkpoints are addressed by them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from segma.models.interfaces import (
    Decoded,
    DynamicChoice,
    ImageFeatures,
    InputSpec,
    MemoryBank,
    MemorySpec,
    PromptTensors,
)
from segma.models.sam2.config import NUM_LEVELS, Sam2Config
from segma.models.sam2.image_encoder import ImageEncoder
from segma.models.sam2.mask_decoder import MaskDecoder, MaskState
from segma.models.sam2.memory import MemoryAttention, MemoryEncoder, MemoryTokens
from segma.nn.mask_head import Skips
from segma.nn.mlp import MlpStack
from segma.nn.position import sine_line, sine_map
from segma.nn.prompt_encoder import FIRST_CORNER, PromptEncoder
from segma.nn.prompt_maps import directions, likeness_maps, num_channels, prompt_maps, with_mask
from segma.nn.two_way import ImageSide
from segma.nn.view_judge import ViewJudge, num_features


@dataclass(frozen=True, slots=True)
class Shared:
    """What the decoder needs of one frame: the first layer's projections if one image serves all prompts.

    `directions` are those that drawn prompts are compared with; none for weights that know tokens only.
    """

    side: ImageSide | None
    skips: Skips
    directions: tuple[Float[Tensor, "_ _ _ _"], ...]


class Sam2(nn.Module):
    """Segment Anything 2 (arXiv 2408.00714), satisfying `models.interfaces.WithMemory`."""

    mask_threshold: float = 0.0
    dynamic_choice: DynamicChoice | None = DynamicChoice()
    low_precision: tuple[str, ...] = ("image_encoder", "memory_attention")

    def __init__(self, config: Sam2Config) -> None:
        super().__init__()
        self.config = config
        dim, grid = config.dim, config.grid_size
        self.input_spec = InputSpec(
            size=config.image_size,
            mask_size=grid * 4,
            fit="stretch",
            resize="float",
            looks_twice=config.trunk == "conv",
            hedges=config.hedges,
        )
        if config.hedges:  # several clicks are for the single mask alone then
            self.dynamic_choice = None
        self.memory_spec = MemorySpec(
            num_recent=config.num_recent,
            num_pointers=config.num_pointers,
            attends_others=config.attends_others,
            follows_masks=config.follows_masks,
        )
        self.image_encoder = ImageEncoder(config)
        self.memory_attention = MemoryAttention(
            dim=dim,
            memory_dim=config.memory_dim,
            num_layers=config.memory_layers,
            mlp_dim=config.memory_mlp_dim,
        )
        self.memory_encoder = MemoryEncoder(
            dim=dim,
            memory_dim=config.memory_dim,
            num_layers=config.fuser_layers,
            hidden_dim=config.fuser_dim,
        )
        self.sam_prompt_encoder = PromptEncoder(
            dim=dim,
            image_size=config.image_size,
            grid=grid,
            mask_channels=config.mask_channels,
            num_maps=num_channels(NUM_LEVELS) - 1 if config.prompt_maps else 0,
        )
        self.sam_mask_decoder = MaskDecoder(config)
        self.mask_downsample = nn.Conv2d(1, 1, 4, 4)
        self.obj_ptr_proj = MlpStack(dim, dim, dim, 3)
        self.view_judge = _view_judge(config) if config.views else None
        self._add_codes(config)

    def _add_codes(self, config: Sam2Config) -> None:
        """The learned vectors that say what is missing, and when something was."""
        dim, memory_dim = config.dim, config.memory_dim
        self.maskmem_tpos_enc = _learned(config.num_recent + 1, 1, 1, memory_dim)
        self.no_mem_embed = _learned(1, 1, dim)
        self.no_mem_pos_enc = _learned(1, 1, dim)  # in every official file, and never used
        self.no_obj_ptr = _learned(1, dim)
        self.no_obj_embed_spatial = _learned(1, memory_dim) if config.absent_memory else None
        self.other_obj_embed = _learned(1, memory_dim) if config.attends_others else None
        self.obj_ptr_tpos_proj = nn.Linear(dim, memory_dim) if config.object_pointer_time else None

    def encode_image(self, pixels: Float[Tensor, "batch 3 size size"]) -> ImageFeatures:
        """The features of normalised pixels, ready to be asked, in the type of the encoder's layers."""
        return self.condition_first(self.encode_frame(pixels))

    def encode_frame(self, pixels: Float[Tensor, "batch 3 size size"]) -> ImageFeatures:
        """The features before any object has conditioned them."""
        after = (self.sam_mask_decoder.conv_s0, self.sam_mask_decoder.conv_s1)
        embedding, finest, fine = self.image_encoder(pixels, after)
        return ImageFeatures(embedding=embedding, fine=(finest, fine))

    def condition_first(self, frame: ImageFeatures) -> ImageFeatures:
        """The frame for an object without memory: a learned vector is added."""
        vector = self.no_mem_embed.view(-1, 1, 1).to(frame.embedding.dtype)
        return ImageFeatures(embedding=frame.embedding + vector, fine=frame.fine)

    def condition(self, frame: ImageFeatures, banks: Sequence[MemoryBank]) -> ImageFeatures:
        """The frame as each object sees it (batch = objects). No bank may be empty of maps."""
        dim, height, width = frame.embedding.shape[1:]
        position = sine_map(dim, height, width, device=frame.embedding.device)
        memories = [self._memory_tokens(bank, height) for bank in banks]
        seen = self.memory_attention(_rows(frame.embedding), position, memories)
        embedding = seen.to(frame.embedding.dtype).transpose(1, 2).unflatten(2, (height, width))
        return ImageFeatures(embedding=embedding, fine=frame.fine)

    def share(self, features: ImageFeatures) -> Shared:
        """What the decoder needs of the features whatever the prompt is: made once, asked often."""
        embedding = features.embedding
        side = None
        if len(embedding) == 1 and not self.config.prompt_maps:
            image = _rows(embedding) + self.sam_prompt_encoder.no_mask_embed.weight.to(embedding.dtype)
            side = self.sam_mask_decoder.transformer.share(image, self._position(embedding))
        return Shared(side, Skips.of(*features.fine), self._directions(features))

    def decode(
        self, features: ImageFeatures, prompts: PromptTensors, shared: Shared | None = None
    ) -> Decoded:
        """Qualities of the four masks of every prompt, and whether the object is there.

        The features are of one image, or of one for each prompt. `shared` = `share(features)`.
        """
        coords, labels = _with_corners(prompts)
        sparse = self.sam_prompt_encoder.sparse(coords, labels, None, prompts.embeddings)
        if shared is None and len(features.embedding) == 1 and sparse is not None and len(sparse) > 1:
            shared = self.share(features)
        skips = shared.skips if shared else Skips.of(*features.fine)
        side = shared.side if shared and prompts.mask_logits is None else None
        prompt = None
        if self.config.prompt_maps:
            levels = shared.directions if shared else self._directions(features)
            prompt = self._drawn(levels, prompts, sparse)
        if side is None:
            dense = prompts.mask_logits if prompt is None else prompt
            side = self._own_side(features.embedding, dense, has_mask=prompts.mask_logits is not None)
        if sparse is None:  # only a mask, or nothing at all
            sparse = self.no_obj_ptr.new_zeros(len(side.image), 0, self.config.dim)
        predicted_iou, object_score, state = self.sam_mask_decoder.decode(side, sparse, skips, prompt)
        return Decoded(predicted_iou=predicted_iou, state=state, object_score=object_score)

    def render_masks(
        self, decoded: Decoded, prompt_index: Int[Tensor, " k"], mask_index: Int[Tensor, " k"]
    ) -> Float[Tensor, "k side side"]:
        """Low-resolution logits, float32, of the (prompt, mask) pairs asked for. Nothing is blanked."""
        assert isinstance(decoded.state, MaskState)
        return self.sam_mask_decoder.draw(decoded.state, prompt_index, mask_index)

    def render_all(self, decoded: Decoded) -> Float[Tensor, "batch masks side side"]:
        """Low-resolution logits, float32, of all masks of all prompts: `render_masks` of everything."""
        assert isinstance(decoded.state, MaskState)
        return self.sam_mask_decoder.draw_all(decoded.state)

    @property
    def views(self) -> tuple[float, ...]:
        """See `models.interfaces.JudgesViews`."""
        has_learned = self.view_judge is not None and bool(self.view_judge.clicks)
        return self.config.view_shares if has_learned else ()

    def judge_views(self, features: Float[Tensor, "batch features"]) -> Float[Tensor, "batch masks"]:
        """See `models.interfaces.JudgesViews`."""
        assert self.view_judge is not None
        return self.view_judge(features.to(self.view_judge.mean.device)).float().sigmoid()

    def pointers(
        self, decoded: Decoded, mask_index: Int[Tensor, " batch"], present: Bool[Tensor, " batch"]
    ) -> Float[Tensor, "batch dim"]:
        """The object pointers of the masks chosen; the learned "no object" one where not `present`."""
        assert isinstance(decoded.state, MaskState)
        tokens = decoded.state.mask_tokens
        chosen = tokens[torch.arange(len(tokens), device=tokens.device), mask_index]
        return torch.where(present[:, None], self.obj_ptr_proj(chosen), self.no_obj_ptr)

    def reduce_masks(self, masks: Float[Tensor, "batch 1 size size"]) -> Float[Tensor, "batch 1 side side"]:
        """Masks (0 or 1) of the input frame as mask prompts, by the learned reduction."""
        return self.mask_downsample(masks.to(self.mask_downsample.weight.dtype)).float()

    def encode_memory(
        self,
        frame: ImageFeatures,
        masks: Float[Tensor, "batch 1 size size"],
        present: Bool[Tensor, " batch"],
    ) -> Float[Tensor, "batch h w memory_dim"]:
        """Memories, float32, of an unconditioned frame and masks in 0..1."""
        maps = self.memory_encoder(frame.embedding, masks * 20 - 10)
        memory = maps.float().permute(0, 2, 3, 1)
        if self.no_obj_embed_spatial is not None:
            memory = memory + (~present).view(-1, 1, 1, 1) * self.no_obj_embed_spatial
        return memory.contiguous()

    def _directions(self, features: ImageFeatures) -> tuple[Float[Tensor, "_ _ _ _"], ...]:
        """Those that drawn prompts are compared with."""
        return directions((features.embedding, *features.fine)) if self.config.prompt_maps else ()

    def _drawn(
        self, levels: Sequence[Float[Tensor, "_ _ _ _"]], prompts: PromptTensors, sparse: Tensor | None
    ) -> Float[Tensor, "batch maps side side"]:
        """The prompts as maps, the mask prompt first, then how alike every place is to what they point at."""
        batch = 1 if sparse is None else len(sparse)
        if prompts.mask_logits is not None:
            batch = len(prompts.mask_logits)
        maps = prompt_maps(
            prompts.coords,
            prompts.labels,
            _drawn_boxes(prompts),
            batch=batch,
            side=self.input_spec.mask_size,
            image_size=self.config.image_size,
            device=self.no_mem_embed.device,
        )
        drawn = with_mask(maps, prompts.mask_logits)
        return torch.cat([drawn, likeness_maps(levels, drawn)], 1)

    def _own_side(
        self,
        embedding: Float[Tensor, "_ dim h w"],
        dense_prompt: Float[Tensor, "_ maps side side"] | None,
        *,
        has_mask: bool,
    ) -> ImageSide:
        """The image side of prompts that do not share it."""
        encoder = self.sam_prompt_encoder
        dense = 0 if has_mask else encoder.no_mask_embed.weight
        if dense_prompt is not None:
            dense = encoder.encode_masks(dense_prompt) + dense
        assert isinstance(dense, Tensor)
        image = _rows(embedding) + dense.to(embedding.dtype)
        return ImageSide(image=image, position=self._position(embedding))

    def _memory_tokens(self, bank: MemoryBank, grid: int) -> MemoryTokens:
        """What a bank holds as tokens in a row: maps, own pointers, pointers of others."""
        assert bank.maps, "an object without memories is conditioned by condition_first"
        values = [memory.flatten(0, 1).float() for memory in bank.maps]
        positions = [
            self._map_position(memory, row, grid) for memory, row in zip(bank.maps, bank.rows, strict=True)
        ]
        if bank.pointers:
            values.append(self._cut(bank.pointers))
            positions.append(self._pointer_position(bank.distances))
        if bank.others:
            assert self.other_obj_embed is not None, "these weights know no pointers of other objects"
            near = [1 / max(1, self.config.num_pointers - 1)] * len(bank.others)  # one frame away
            values.append(self._cut(bank.others))
            positions.append(self._pointer_position(near) + self.other_obj_embed)
        sides = tuple(memory.shape[0] for memory in bank.maps)
        return MemoryTokens(values=torch.cat(values), positions=torch.cat(positions), sides=sides)

    def _map_position(
        self, memory: Float[Tensor, "h w memory_dim"], row: int, grid: int
    ) -> Float[Tensor, "tokens memory_dim"]:
        height, width, dim = memory.shape
        position = sine_map(dim, height, width, device=memory.device, stride=grid // height)
        return position if row < 0 else position + self.maskmem_tpos_enc[row, 0, 0]

    def _cut(self, pointers: Sequence[Float[Tensor, " dim"]]) -> Float[Tensor, "tokens memory_dim"]:
        """Pointers as tokens as wide as a memory, one pointer after the other."""
        return torch.stack(list(pointers)).float().view(-1, self.config.memory_dim)

    def _pointer_position(self, distances: Sequence[float]) -> Float[Tensor, "tokens memory_dim"]:
        """The same code for all tokens of a pointer: its distance in time (2.1), or nothing (2.0)."""
        config, vector = self.config, self.maskmem_tpos_enc
        pieces = config.dim // config.memory_dim
        if self.obj_ptr_tpos_proj is None:
            return vector.new_zeros(len(distances) * pieces, config.memory_dim)
        codes = sine_line(config.dim, torch.tensor(distances, dtype=torch.float32, device=vector.device))
        return self.obj_ptr_tpos_proj(codes).repeat_interleave(pieces, 0)

    def _position(self, embedding: Float[Tensor, "batch dim h w"]) -> Float[Tensor, "cells dim"]:
        return self.sam_prompt_encoder.grid_code().to(embedding.dtype)


def _view_judge(config: Sam2Config) -> ViewJudge:
    num_views, num_masks = len(config.views) + 1, config.num_multimask + 1
    return ViewJudge(
        num_features=num_features(num_views, num_masks),
        num_masks=num_views * num_masks,
        width=config.view_judge_width,
    )


def _learned(*shape: int) -> nn.Parameter:
    return nn.Parameter(nn.init.trunc_normal_(torch.empty(shape), std=0.02))


def _rows(maps: Float[Tensor, "batch dim h w"]) -> Float[Tensor, "batch cells dim"]:
    return maps.flatten(2).transpose(1, 2).contiguous()


def _drawn_boxes(prompts: PromptTensors) -> Float[Tensor, "batch 4"] | None:
    """The boxes, also where they came as two points before the clicks."""
    coords, labels = prompts.coords, prompts.labels
    if prompts.boxes is not None or coords is None or labels is None or labels.shape[1] < 2:
        return prompts.boxes
    marks = torch.tensor([FIRST_CORNER, FIRST_CORNER + 1], device=labels.device)
    return coords[:, :2].flatten(1) if bool((labels[:, :2] == marks).all()) else None


def _with_corners(prompts: PromptTensors) -> tuple[Tensor | None, Tensor | None]:
    """Coordinates and labels; a box is two points before the clicks (SAM 2's own rule)."""
    coords, labels, boxes = prompts.coords, prompts.labels, prompts.boxes
    if boxes is None:
        return coords, labels
    corners = boxes.view(-1, 2, 2)
    marks = torch.tensor([FIRST_CORNER, FIRST_CORNER + 1], device=boxes.device).expand(len(boxes), 2)
    if coords is None or labels is None:
        return corners, marks
    return torch.cat([corners, coords.to(corners.dtype)], 1), torch.cat([marks, labels.long()], 1)
