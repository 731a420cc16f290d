"""SAM's network with the calls that scripts written for `segment_anything` make on it and its parts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int, Shaped
from torch import Tensor

from segma.models.interfaces import ImageFeatures, PromptTensors
from segma.models.sam import mask_decoder, model
from segma.models.sam.config import SamConfig
from segma.nn import prompt_encoder
from segma.nn.two_way import ImageSide
from segma.runtime import Runtime
from segma.tasks.preprocess import normalize

Size = Sequence[int]  # height, width


class PromptEncoder(prompt_encoder.PromptEncoder):
    """The prompt encoder with its original call."""

    @property
    def embed_dim(self) -> int:
        """Channels of a token."""
        return self.no_mask_embed.weight.shape[1]

    @property
    def image_embedding_size(self) -> tuple[int, int]:
        """Height and width of the image embedding."""
        return (self.grid, self.grid)

    @property
    def input_image_size(self) -> tuple[int, int]:
        """Height and width of the frame that coordinates are in."""
        return (self.image_size, self.image_size)

    @property
    def mask_input_size(self) -> tuple[int, int]:
        """Height and width of a mask prompt."""
        return (4 * self.grid, 4 * self.grid)

    def get_dense_pe(self) -> Float[Tensor, "1 dim h w"]:
        """The position code of every cell of the image embedding."""
        return _maps(self.grid_code()[None], self.image_embedding_size)

    def forward(
        self,
        points: tuple[Shaped[Tensor, "batch n 2"], Shaped[Tensor, "batch n"]] | None,
        boxes: Shaped[Tensor, "... 4"] | None,
        masks: Shaped[Tensor, "_ 1 side side"] | None,
    ) -> tuple[Float[Tensor, "batch tokens dim"], Float[Tensor, "_ dim h w"]]:
        """Sparse tokens and the dense map. All prompts are in the frame of the model's input."""
        given = prompt_tensors(*(points or (None, None)), boxes, masks)
        sparse = self.sparse(given.coords, given.labels, given.boxes)
        batch = 1 if sparse is None else len(sparse)
        if given.mask_logits is not None:
            dense = _maps(self.encode_masks(given.mask_logits), self.image_embedding_size)
            batch = len(dense) if sparse is None else batch
        else:
            dense = self.no_mask_embed.weight[..., None, None].expand(batch, -1, self.grid, self.grid)
        if sparse is None:
            sparse = self.no_mask_embed.weight.new_zeros(batch, 0, self.embed_dim)
        return sparse, dense


class MaskDecoder(mask_decoder.MaskDecoder):
    """The mask decoder with its original call."""

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
    ) -> tuple[Float[Tensor, "batch masks side side"], Float[Tensor, "batch masks"]]:
        """Low-resolution logits and predicted IoU: of masks 1 to 3, or of mask 0 alone."""
        masks, predicted_iou = self.predict_masks(
            image_embeddings, image_pe, sparse_prompt_embeddings, dense_prompt_embeddings
        )
        wanted = slice(1, None) if multimask_output else slice(0, 1)
        return masks[:, wanted], predicted_iou[:, wanted]

    def predict_masks(
        self,
        image_embeddings: Float[Tensor, "_ dim h w"],
        image_pe: Float[Tensor, "1 dim h w"],
        sparse_prompt_embeddings: Float[Tensor, "batch tokens dim"],
        dense_prompt_embeddings: Float[Tensor, "_ dim h w"],
    ) -> tuple[Float[Tensor, "batch masks side side"], Float[Tensor, "batch masks"]]:
        """Low-resolution logits and predicted IoU of all masks."""
        batch = len(sparse_prompt_embeddings)
        image = (image_embeddings + dense_prompt_embeddings).flatten(2).transpose(1, 2)
        side = ImageSide(
            image=image.expand(batch, -1, -1).contiguous(),
            position=image_pe[0].flatten(1).T.to(image.dtype),
        )
        predicted_iou, state = self.decode(side, sparse_prompt_embeddings)
        rows, columns = _pairs(batch, range(self.num_mask_tokens), image.device)
        masks = self.draw(state, rows, columns)
        return masks.view(batch, -1, *masks.shape[1:]), predicted_iou.float()


class Sam(model.Sam):
    """The network under its original name; the state dict has the original names as well."""

    image_format = "RGB"
    prompt_encoder: PromptEncoder  # pyright: ignore[reportIncompatibleVariableOverride]: set here only
    mask_decoder: MaskDecoder  # pyright: ignore[reportIncompatibleVariableOverride]: set here only

    def __init__(self, config: SamConfig) -> None:
        super().__init__(config)
        self.prompt_encoder = PromptEncoder(
            dim=config.dim,
            image_size=config.image_size,
            grid=config.grid_size,
            mask_channels=config.mask_channels,
        )
        self.mask_decoder = MaskDecoder(config)
        # Scripts ask the encoder for its size; nn.Module's own __setattr__ is typed for tensors only.
        object.__setattr__(self.image_encoder, "img_size", config.image_size)

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.prompt_encoder.no_mask_embed.weight.device

    @property
    def pixel_mean(self) -> Float[Tensor, "3 1 1"]:
        """What is subtracted from pixels of 0..255."""
        return torch.tensor(self.input_spec.mean, device=self.device).view(3, 1, 1)

    @property
    def pixel_std(self) -> Float[Tensor, "3 1 1"]:
        """What pixels are divided by then."""
        return torch.tensor(self.input_spec.std, device=self.device).view(3, 1, 1)

    def preprocess(self, x: Shaped[Tensor, "*batch 3 h w"]) -> Float[Tensor, "*batch 3 size size"]:
        """Resized pixels of 0..255 normalised and padded to the square."""
        pixels = normalize(x.reshape(-1, *x.shape[-3:]), self.input_spec)
        return pixels.reshape(*x.shape[:-3], *pixels.shape[1:])

    def postprocess_masks(
        self, masks: Float[Tensor, "batch masks side side"], input_size: Size, original_size: Size
    ) -> Float[Tensor, "batch masks height width"]:
        """Logits at the size of the picture, padding cut off. Sizes are (height, width)."""
        square = (self.input_spec.size, self.input_spec.size)
        masks = F.interpolate(masks, square, mode="bilinear", align_corners=False)
        masks = masks[..., : input_size[0], : input_size[1]]
        return F.interpolate(masks, tuple(original_size), mode="bilinear", align_corners=False)

    @torch.no_grad()
    def forward(
        self,
        batched_input: list[dict[str, Any]],  # as the original's: keys name what is in them
        multimask_output: bool,
    ) -> list[dict[str, Tensor]]:
        """Masks of several pictures: `masks`, `iou_predictions` and `low_res_logits` of each.

        A picture is a dict of `image` (3, h, w), resized, `original_size` (height, width), and what is
        asked: `point_coords`, `point_labels`, `boxes`, `mask_inputs`, in the frame of the resized image.
        """
        pixels = torch.stack([self.preprocess(picture["image"]) for picture in batched_input])
        answers: list[dict[str, Tensor]] = []
        for picture, embedding in zip(batched_input, self.encode_image(pixels).embedding, strict=True):
            names = ("point_coords", "point_labels", "boxes", "mask_inputs")
            asked = prompt_tensors(*(picture.get(name) for name in names))
            low_res, predicted_iou = self.answer(embedding[None], asked, multimask_output)
            size = picture["image"].shape[-2:], picture["original_size"]
            masks = self.postprocess_masks(low_res, *size) > self.mask_threshold
            answers.append({"masks": masks, "iou_predictions": predicted_iou, "low_res_logits": low_res})
        return answers

    def answer(
        self,
        embedding: Float[Tensor, "1 dim h w"],
        asked: PromptTensors,
        multimask_output: bool,
    ) -> tuple[Float[Tensor, "batch masks side side"], Float[Tensor, "batch masks"]]:
        """Low-resolution logits and predicted IoU, float32, of prompts on one image, a few at a time."""
        # Not kept from call to call: scripts that train may have changed the weights.
        features = ImageFeatures(embedding)
        shared = self.share(features) if asked.mask_logits is None else None
        numbers = range(1, self.mask_decoder.num_mask_tokens) if multimask_output else range(1)
        step = Runtime(device=str(self.device)).prompts_at_once
        parts = (asked.coords, asked.labels, asked.boxes, asked.mask_logits)
        batch = max((len(part) for part in parts if part is not None), default=1)
        logits: list[Tensor] = []
        qualities: list[Tensor] = []
        for start in range(0, batch, step):
            few = PromptTensors(*(part if part is None else part[start : start + step] for part in parts))
            decoded = self.decode(features, few, shared)
            predicted_iou = decoded.predicted_iou[:, numbers.start : numbers.stop]
            pairs = _pairs(len(predicted_iou), numbers, self.device)
            drawn = self.render_masks(decoded, *pairs)
            logits.append(drawn.view(*predicted_iou.shape, *drawn.shape[1:]))
            qualities.append(predicted_iou.float())
        return torch.cat(logits), torch.cat(qualities)


def prompt_tensors(
    coords: Shaped[Tensor, "batch n 2"] | None,
    labels: Shaped[Tensor, "batch n"] | None,
    boxes: Shaped[Tensor, "... 4"] | None,
    masks: Shaped[Tensor, "_ 1 side side"] | None,
) -> PromptTensors:
    """Prompts of any number type, as the network takes them; one mask may serve a whole batch."""
    boxes = None if boxes is None else boxes.float().reshape(-1, 4)
    batch = max((len(part) for part in (coords, boxes, masks) if part is not None), default=1)
    return PromptTensors(
        None if coords is None else coords.float(),
        None if labels is None else labels.long(),
        boxes,
        None if masks is None else masks.float().expand(batch, -1, -1, -1),
    )


def _pairs(batch: int, numbers: range, device: torch.device) -> tuple[Int[Tensor, " k"], Int[Tensor, " k"]]:
    """Every prompt with every mask number, prompt by prompt."""
    rows = torch.arange(batch, device=device).repeat_interleave(len(numbers))
    return rows, torch.tensor(list(numbers), device=device).repeat(batch)


def _maps(rows: Float[Tensor, "_ cells dim"], size: tuple[int, int]) -> Float[Tensor, "_ dim h w"]:
    """Cells in rows as a map."""
    return rows.transpose(1, 2).reshape(len(rows), -1, *size)
