"""The two ways in which SAM weights are named, and what the shapes tell of the network.

"official" is the naming of the released files and of our modules; "transformers" is that of the hub.
Only names change between them: no tensor is transposed or reshaped. Everything here is pure and
leaves the tensors alone, so it works on shapes as well.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal, TypeVar, cast

from segma.errors import ModelError
from segma.models.naming import Shape, compile_rules, count_blocks, drop_twin, rename, strip_prefixes
from segma.models.sam.config import SamConfig, from_json_dict, to_json_dict

T = TypeVar("T")
Layout = Literal["official", "transformers"]

_OFFICIAL_POSITION = "prompt_encoder.pe_layer.positional_encoding_gaussian_matrix"
_HUB_POSITION = "prompt_encoder.shared_embedding.positional_embedding"
# A second name, at the top of a transformers file, for the same tensor.
_HUB_POSITION_TWIN = "shared_image_embedding.positional_embedding"
_HYPER_MLPS = "mask_decoder.output_hypernetworks_mlps.<n>"

# Beginnings of names, official and transformers; see `naming.compile_rules`.
_RULES = (
    ("image_encoder.blocks.<n>.norm<n>.", "vision_encoder.layers.<n>.layer_norm<n>."),
    ("image_encoder.blocks.", "vision_encoder.layers."),
    ("image_encoder.patch_embed.proj.", "vision_encoder.patch_embed.projection."),
    ("image_encoder.neck.0.", "vision_encoder.neck.conv1."),
    ("image_encoder.neck.1.", "vision_encoder.neck.layer_norm1."),
    ("image_encoder.neck.2.", "vision_encoder.neck.conv2."),
    ("image_encoder.neck.3.", "vision_encoder.neck.layer_norm2."),
    ("image_encoder.", "vision_encoder."),
    (_OFFICIAL_POSITION, _HUB_POSITION),
    ("prompt_encoder.point_embeddings.", "prompt_encoder.point_embed."),
    ("prompt_encoder.mask_downscaling.0.", "prompt_encoder.mask_embed.conv1."),
    ("prompt_encoder.mask_downscaling.1.", "prompt_encoder.mask_embed.layer_norm1."),
    ("prompt_encoder.mask_downscaling.3.", "prompt_encoder.mask_embed.conv2."),
    ("prompt_encoder.mask_downscaling.4.", "prompt_encoder.mask_embed.layer_norm2."),
    ("prompt_encoder.mask_downscaling.6.", "prompt_encoder.mask_embed.conv3."),
    ("mask_decoder.transformer.layers.<n>.norm<n>.", "mask_decoder.transformer.layers.<n>.layer_norm<n>."),
    ("mask_decoder.transformer.norm_final_attn.", "mask_decoder.transformer.layer_norm_final_attn."),
    ("mask_decoder.output_upscaling.0.", "mask_decoder.upscale_conv1."),
    ("mask_decoder.output_upscaling.1.", "mask_decoder.upscale_layer_norm."),
    ("mask_decoder.output_upscaling.3.", "mask_decoder.upscale_conv2."),
    (f"{_HYPER_MLPS}.layers.0.", f"{_HYPER_MLPS}.proj_in."),
    (f"{_HYPER_MLPS}.layers.1.", f"{_HYPER_MLPS}.layers.0."),
    (f"{_HYPER_MLPS}.layers.2.", f"{_HYPER_MLPS}.proj_out."),
    ("mask_decoder.iou_prediction_head.layers.0.", "mask_decoder.iou_prediction_head.proj_in."),
    ("mask_decoder.iou_prediction_head.layers.1.", "mask_decoder.iou_prediction_head.layers.0."),
    ("mask_decoder.iou_prediction_head.layers.2.", "mask_decoder.iou_prediction_head.proj_out."),
)

# Constants that some files carry; ours come from the input spec.
_NOT_WEIGHTS = frozenset({"pixel_mean", "pixel_std"})
_WRAPPINGS = ("model.", "module.", "sam.", "_orig_mod.")


_TO_TRANSFORMERS, _TO_OFFICIAL = compile_rules(_RULES)


def layout_of(names: Iterable[str]) -> Layout | None:
    """Which naming these are, by the name of the image encoder; None when it is neither."""
    for name in names:
        if name.startswith("image_encoder."):
            return "official"
        if name.startswith("vision_encoder."):
            return "transformers"
    return None


def strip_wrapping(state: Mapping[str, T]) -> dict[str, T]:
    """The same entries without the prefixes that training code puts before names (`module.`, `sam.`).

    A name that would meet another one keeps its prefix.
    """
    return strip_prefixes(state, _WRAPPINGS)


def to_official(state: Mapping[str, T]) -> dict[str, T]:
    """The entries of either layout under official names, without `pixel_mean` and `pixel_std`.

    The position matrix, which a transformers file may hold once or twice, comes out once.
    """
    entries = {name: value for name, value in state.items() if name not in _NOT_WEIGHTS}
    if layout_of(entries) != "transformers":
        return entries
    drop_twin(entries, _HUB_POSITION_TWIN, _HUB_POSITION)
    return {rename(name, _TO_OFFICIAL): value for name, value in entries.items()}


def to_transformers(state: Mapping[str, T]) -> dict[str, T]:
    """The entries of either layout under transformers names; the position matrix stands twice, shared."""
    renamed = {rename(name, _TO_TRANSFORMERS): value for name, value in to_official(state).items()}
    if _HUB_POSITION in renamed:
        renamed[_HUB_POSITION_TWIN] = renamed[_HUB_POSITION]
    return renamed


def detect(shapes: Mapping[str, Shape]) -> SamConfig | None:
    """The sizes of the network with these official names and shapes; None when it is no SAM.

    Sizes are read, not looked up, so relatives of other widths are found. `decoder_heads` cannot be
    seen and stays 8.
    """
    try:
        _, grid, _, width = shapes["image_encoder.pos_embed"]
        patch_size = shapes["image_encoder.patch_embed.proj.weight"][-1]
        depth = count_blocks(shapes, r"image_encoder\.blocks\.(\d+)\.attn\.qkv\.weight")
        tables = [shapes[f"image_encoder.blocks.{index}.attn.rel_pos_h"] for index in range(depth)]
        attention_width = shapes["image_encoder.blocks.0.attn.qkv.weight"][0] // 3
        global_blocks, window_size = _windows(tables, grid)
        return SamConfig(
            encoder_width=width,
            encoder_depth=depth,
            encoder_heads=attention_width // tables[0][1],
            encoder_mlp_dim=shapes["image_encoder.blocks.0.mlp.lin1.weight"][0],
            global_blocks=global_blocks,
            window_size=window_size,
            patch_size=patch_size,
            image_size=grid * patch_size,
            dim=shapes["image_encoder.neck.0.weight"][0],
            decoder_depth=count_blocks(shapes, r"mask_decoder\.transformer\.layers\.(\d+)\.norm1\.weight"),
            decoder_mlp_dim=shapes["mask_decoder.transformer.layers.0.mlp.lin1.weight"][0],
            mask_channels=shapes["prompt_encoder.mask_downscaling.4.weight"][0],
            iou_hidden_dim=shapes["mask_decoder.iou_prediction_head.layers.0.weight"][0],
            num_multimask=shapes["mask_decoder.mask_tokens.weight"][0] - 1,
        )
    except (KeyError, IndexError, ValueError, ZeroDivisionError, ModelError):
        return None  # a name is not there, a shape has other axes, or the sizes contradict each other


def transformers_config(config: SamConfig) -> dict[str, Any]:  # JSON
    """What stands in the `config.json` beside weights in the transformers layout.

    `layer_norm_eps` of the decoder is written as 1e-5, the value of the original: left to its default
    of 1e-6 the logits would differ by a few thousandths.
    """
    image = {"image_size": config.image_size, "patch_size": config.patch_size}
    vision = {
        "model_type": "sam_vision_model",
        "hidden_size": config.encoder_width,
        "num_hidden_layers": config.encoder_depth,
        "num_attention_heads": config.encoder_heads,
        "global_attn_indexes": list(config.global_blocks),
        "window_size": config.window_size,
        "mlp_dim": config.encoder_mlp_dim,
        "mlp_ratio": config.encoder_mlp_dim / config.encoder_width,
        "output_channels": config.dim,
        "num_pos_feats": config.dim // 2,
        "layer_norm_eps": 1e-6,
        **image,
    }
    prompt = {
        "hidden_size": config.dim,
        "mask_input_channels": config.mask_channels,
        "num_point_embeddings": 4,
        "image_embedding_size": config.grid_size,
        **image,
    }
    decoder = {
        "hidden_size": config.dim,
        "mlp_dim": config.decoder_mlp_dim,
        "num_hidden_layers": config.decoder_depth,
        "num_attention_heads": config.decoder_heads,
        "attention_downsample_rate": 2,
        "num_multimask_outputs": config.num_multimask,
        "iou_head_depth": 3,
        "iou_head_hidden_dim": config.iou_hidden_dim,
        "layer_norm_eps": 1e-5,
    }
    return {
        "model_type": "sam",
        "architectures": ["SamModel"],
        "vision_config": vision,
        "prompt_encoder_config": prompt,
        "mask_decoder_config": decoder,
    }


def with_transformers_config(config: SamConfig, values: Mapping[str, Any]) -> SamConfig:  # JSON
    """The config, with what only a `config.json` can say: the number of heads of the decoder."""
    decoder: Any = values.get("mask_decoder_config")  # JSON
    if not isinstance(decoder, dict) or "num_attention_heads" not in decoder:
        return config
    heads = cast("dict[str, Any]", decoder)["num_attention_heads"]  # JSON
    return from_json_dict({**to_json_dict(config), "decoder_heads": heads})


def _windows(tables: list[Shape], grid: int) -> tuple[tuple[int, ...], int]:
    """Blocks whose position table spans the whole grid, and the window of the other blocks.

    A table for a side of S tokens has 2 S - 1 rows.
    """
    sides = [(table[0] + 1) // 2 for table in tables]
    windows = {side for side in sides if side != grid}
    if len(windows) > 1:
        raise ValueError(f"windows of several sizes: {sorted(windows)}")
    return tuple(index for index, side in enumerate(sides) if side == grid), min(windows, default=14)
