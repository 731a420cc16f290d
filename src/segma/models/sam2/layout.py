"""The two ways in which SAM 2 weights are named, and what the shapes tell of the network.

"official" is the naming of the released files and of our modules; "transformers" is that of the hub
(Sam2VideoModel). No tensor is transposed; the four label vectors are one table there. Everything here is pure
and works on shapes as well.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal, TypeVar, cast

import torch
from torch import Tensor

from segma.errors import ModelError
from segma.models.naming import Shape, compile_rules, count_blocks, drop_twin, rename, strip_prefixes
from segma.models.sam2.config import (
    FIRST_STRIDE,
    LAST_STRIDE,
    NUM_STAGES,
    VARIANTS,
    Sam2Config,
    from_json_dict,
    to_json_dict,
)

T = TypeVar("T")
Layout = Literal["official", "transformers"]

_OFFICIAL_POSITION = "sam_prompt_encoder.pe_layer.positional_encoding_gaussian_matrix"
_HUB_POSITION = "prompt_encoder.shared_embedding.positional_embedding"
# A second name, at the top of a transformers file, for the same tensor.
_HUB_POSITION_TWIN = "shared_image_embedding.positional_embedding"
_LABELS = tuple(f"sam_prompt_encoder.point_embeddings.{label}.weight" for label in range(4))
_HUB_LABELS = "prompt_encoder.point_embed.weight"
_WRAPPINGS = ("model.", "module.", "sam2.", "_orig_mod.")

_TRUNK, _HUB_TRUNK = "image_encoder.trunk.", "vision_encoder.backbone."
_FUSER, _HUB_FUSER = "memory_encoder.fuser.layers.<n>.", "memory_encoder.memory_fuser.layers.<n>."
_LAYER = "transformer.layers.<n>."


def _head(ours: str, theirs: str) -> tuple[tuple[str, str], ...]:
    """A head of three layers."""
    parts = (("layers.0.", "proj_in."), ("layers.1.", "layers.0."), ("layers.2.", "proj_out."))
    return tuple((f"{ours}.{a}", f"{theirs}.{b}") for a, b in parts)


# Beginnings of names, official and transformers; see `naming.compile_rules`.
_RULES = (
    ("no_mem_embed", "no_memory_embedding"),
    ("no_mem_pos_enc", "no_memory_positional_encoding"),
    ("maskmem_tpos_enc", "memory_temporal_positional_encoding"),
    ("no_obj_ptr", "no_object_pointer"),
    ("no_obj_embed_spatial", "occlusion_spatial_embedding_parameter"),
    (_TRUNK + "patch_embed.proj.", _HUB_TRUNK + "patch_embed.projection."),
    (_TRUNK + "blocks.<n>.norm<n>.", _HUB_TRUNK + "blocks.<n>.layer_norm<n>."),
    (_TRUNK + "blocks.<n>.mlp.layers.0.", _HUB_TRUNK + "blocks.<n>.mlp.proj_in."),
    (_TRUNK + "blocks.<n>.mlp.layers.1.", _HUB_TRUNK + "blocks.<n>.mlp.proj_out."),
    (_TRUNK, _HUB_TRUNK),
    ("image_encoder.neck.convs.<n>.conv.", "vision_encoder.neck.convs.<n>."),
    (_OFFICIAL_POSITION, _HUB_POSITION),
    ("sam_prompt_encoder.mask_downscaling.0.", "prompt_encoder.mask_embed.conv1."),
    ("sam_prompt_encoder.mask_downscaling.1.", "prompt_encoder.mask_embed.layer_norm1."),
    ("sam_prompt_encoder.mask_downscaling.3.", "prompt_encoder.mask_embed.conv2."),
    ("sam_prompt_encoder.mask_downscaling.4.", "prompt_encoder.mask_embed.layer_norm2."),
    ("sam_prompt_encoder.mask_downscaling.6.", "prompt_encoder.mask_embed.conv3."),
    ("sam_prompt_encoder.", "prompt_encoder."),
    (f"sam_mask_decoder.{_LAYER}norm<n>.", f"mask_decoder.{_LAYER}layer_norm<n>."),
    (f"sam_mask_decoder.{_LAYER}mlp.layers.0.", f"mask_decoder.{_LAYER}mlp.proj_in."),
    (f"sam_mask_decoder.{_LAYER}mlp.layers.1.", f"mask_decoder.{_LAYER}mlp.proj_out."),
    (f"sam_mask_decoder.{_LAYER}<w>.out_proj.", f"mask_decoder.{_LAYER}<w>.o_proj."),
    ("sam_mask_decoder.transformer.<w>.out_proj.", "mask_decoder.transformer.<w>.o_proj."),
    ("sam_mask_decoder.transformer.norm_final_attn.", "mask_decoder.transformer.layer_norm_final_attn."),
    ("sam_mask_decoder.output_upscaling.0.", "mask_decoder.upscale_conv1."),
    ("sam_mask_decoder.output_upscaling.1.", "mask_decoder.upscale_layer_norm."),
    ("sam_mask_decoder.output_upscaling.3.", "mask_decoder.upscale_conv2."),
    *_head("sam_mask_decoder.output_hypernetworks_mlps.<n>", "mask_decoder.output_hypernetworks_mlps.<n>"),
    *_head("sam_mask_decoder.iou_prediction_head", "mask_decoder.iou_prediction_head"),
    *_head("sam_mask_decoder.pred_obj_score_head", "mask_decoder.pred_obj_score_head"),
    ("sam_mask_decoder.", "mask_decoder."),
    ("memory_attention.layers.<n>.norm<n>.", "memory_attention.layers.<n>.layer_norm<n>."),
    ("memory_attention.layers.<n>.<w>.out_proj.", "memory_attention.layers.<n>.<w>.o_proj."),
    ("memory_attention.norm.", "memory_attention.layer_norm."),
    *(
        (f"memory_encoder.mask_downsampler.encoder.{3 * layer + part}.",
         f"memory_encoder.mask_downsampler.layers.{layer}.{name}.")
        for layer in range(4)
        for part, name in enumerate(("conv", "layer_norm"))
    ),
    ("memory_encoder.mask_downsampler.encoder.12.", "memory_encoder.mask_downsampler.final_conv."),
    ("memory_encoder.pix_feat_proj.", "memory_encoder.feature_projection."),
    (_FUSER + "dwconv.", _HUB_FUSER + "depthwise_conv."),
    (_FUSER + "norm.", _HUB_FUSER + "layer_norm."),
    (_FUSER + "pwconv<n>.", _HUB_FUSER + "pointwise_conv<n>."),
    (_FUSER + "gamma", _HUB_FUSER + "scale"),
    ("memory_encoder.out_proj.", "memory_encoder.projection."),
    *_head("obj_ptr_proj", "object_pointer_proj"),
    ("obj_ptr_tpos_proj.", "temporal_positional_encoding_projection_layer."),
)  # fmt: skip
_TO_TRANSFORMERS, _TO_OFFICIAL = compile_rules(_RULES)


def layout_of(names: Iterable[str]) -> Layout | None:
    """Which naming these are, by the name of the image encoder's trunk; None when it is neither."""
    for name in names:
        if name.startswith(_TRUNK):
            return "official"
        if name.startswith(_HUB_TRUNK):
            return "transformers"
    return None


def strip_wrapping(state: Mapping[str, T]) -> dict[str, T]:
    """The same entries without the prefixes that training code puts before names (`module.`, `model.`).

    A name that would meet another one keeps its prefix.
    """
    return strip_prefixes(state, _WRAPPINGS)


def to_official(state: Mapping[str, T]) -> dict[str, T]:
    """The entries of either layout under official names.

    The position matrix, which a transformers file may hold once or twice, comes out once.
    """
    entries = dict(state)
    if layout_of(entries) != "transformers":
        return entries
    drop_twin(entries, _HUB_POSITION_TWIN, _HUB_POSITION)
    table = entries.pop(_HUB_LABELS, None)
    labels = {} if table is None else dict(zip(_LABELS, _split(table), strict=True))
    return {rename(name, _TO_OFFICIAL): value for name, value in entries.items()} | labels


def to_transformers(state: Mapping[str, T]) -> dict[str, T]:
    """The entries of either layout under transformers names; the position matrix stands twice, shared."""
    entries = to_official(state)
    labels = [entries.pop(name) for name in _LABELS if name in entries]
    renamed = {rename(name, _TO_TRANSFORMERS): value for name, value in entries.items()}
    if labels:
        renamed[_HUB_LABELS] = _joined(labels)
    if _HUB_POSITION in renamed:
        renamed[_HUB_POSITION_TWIN] = renamed[_HUB_POSITION]
    return renamed


def detect(shapes: Mapping[str, Shape]) -> Sam2Config | None:
    """The sizes of the network with these official names and shapes; None when it is no SAM 2.

    Sizes are read, not looked up, so relatives of other widths are found. What no tensor shows (windows,
    heads, global blocks, the image's size) is that of the variant with the same stages, or a guess in the
    official manner: then only the metadata of our own files, or a config.json, say it for certain.
    """
    try:
        seen = _seen(shapes)
        alike = next((known for known in VARIANTS.values() if _same_stages(known, seen)), None)
        if alike is None and seen.get("trunk") == "conv":
            alike = _usual_conv()
        hidden = ["follows_masks", "hedges", "views", *(name for name, _ in _HIDDEN)]
        guess = {name: getattr(alike, name) for name in hidden} if alike else _guess(seen)
        if not seen["view_judge_width"]:
            guess["views"] = ()
        return Sam2Config(**seen, **guess)
    except (KeyError, IndexError, ValueError, ZeroDivisionError, ModelError):
        return None  # a name is not there, a shape has other axes, or the sizes contradict each other


def transformers_config(config: Sam2Config) -> dict[str, Any]:  # JSON
    """What stands in the `config.json` beside weights in the transformers layout (Sam2VideoModel).

    `ModelError` model.mismatch for networks that it cannot hold: our own trunk, drawn prompts, a refiner.
    """
    _check_shared(config)
    prompt = {
        "model_type": "sam2_video_prompt_encoder",
        "hidden_size": config.dim,
        "image_size": config.image_size,
        "patch_size": LAST_STRIDE // 2,
        "mask_input_channels": config.mask_channels,
        "num_point_embeddings": len(_LABELS),
    }
    decoder = {
        "model_type": "sam2_video_mask_decoder",
        "hidden_size": config.dim,
        "mlp_dim": config.decoder_mlp_dim,
        "num_hidden_layers": config.decoder_depth,
        "num_attention_heads": config.decoder_heads,
        "attention_downsample_rate": 2,
        "num_multimask_outputs": config.num_multimask,
        "iou_head_depth": 3,
        "iou_head_hidden_dim": config.iou_hidden_dim,
    }
    return {
        "model_type": "sam2_video",
        "architectures": ["Sam2VideoModel"],
        "vision_config": _vision_config(config),
        "prompt_encoder_config": prompt,
        "mask_decoder_config": decoder,
        "image_size": config.image_size,
        "num_maskmem": config.num_recent + 1,
        "max_object_pointers_in_encoder": config.num_pointers,
        "enable_temporal_pos_encoding_for_object_pointers": config.object_pointer_time,
        "enable_occlusion_spatial_embedding": config.absent_memory,
        "memory_attention_hidden_size": config.dim,
        "memory_attention_num_layers": config.memory_layers,
        "memory_attention_feed_forward_hidden_size": config.memory_mlp_dim,
        "memory_attention_rope_feat_sizes": [config.grid_size] * 2,
        "memory_encoder_hidden_size": config.dim,
        "memory_encoder_output_channels": config.memory_dim,
        "mask_downsampler_embed_dim": config.dim,
        "memory_fuser_num_layers": config.fuser_layers,
        "memory_fuser_embed_dim": config.dim,
        "memory_fuser_intermediate_dim": config.fuser_dim,
    }


def _check_shared(config: Sam2Config) -> None:
    """`ModelError` model.mismatch unless transformers has networks like this one."""
    if config.trunk != "hiera" or config.prompt_maps or config.refiner_width:  # a judge needs both
        raise ModelError(
            "model.mismatch",
            "transformers has no such network: these weights are of segma's own design.",
            "Keep the official layout, a .safetensors file.",
        )


def _vision_config(config: Sam2Config) -> dict[str, Any]:  # JSON
    backbone = {
        "model_type": "sam2_hiera_det_model",
        "hidden_size": config.stage_widths[0],
        "num_attention_heads": config.stage_heads[0],
        "image_size": [config.image_size] * 2,
        "window_positional_embedding_background_size": [config.position_side] * 2,
        "blocks_per_stage": list(config.stage_depths),
        "embed_dim_per_stage": list(config.stage_widths),
        "num_attention_heads_per_stage": list(config.stage_heads),
        "window_size_per_stage": list(config.windows),
        "global_attention_blocks": list(config.global_blocks),
        "mlp_ratio": config.stage_mlp_dims[0] / config.stage_widths[0],
    }
    finest = config.image_size // FIRST_STRIDE
    return {
        "model_type": "sam2_vision_model",
        "backbone_config": backbone,
        "backbone_channel_list": list(reversed(config.stage_widths)),
        "backbone_feature_sizes": [[finest >> level] * 2 for level in range(3)],
        "fpn_hidden_size": config.dim,
    }


# Fields that no tensor shows, and where a config.json has them.
_HIDDEN = (
    ("stage_heads", ("vision_config", "backbone_config", "num_attention_heads_per_stage")),
    ("windows", ("vision_config", "backbone_config", "window_size_per_stage")),
    ("global_blocks", ("vision_config", "backbone_config", "global_attention_blocks")),
    ("image_size", ("prompt_encoder_config", "image_size")),
    ("decoder_heads", ("mask_decoder_config", "num_attention_heads")),
    ("num_pointers", ("max_object_pointers_in_encoder",)),
)


def with_transformers_config(config: Sam2Config, values: Mapping[str, Any]) -> Sam2Config:  # JSON
    """The config, with what only a `config.json` can say: windows, heads, global blocks, the image's size."""
    told = {field: _at(values, path) for field, path in _HIDDEN}
    told = {field: value for field, value in told.items() if value is not None}
    if isinstance(told.get("image_size"), list):  # height and width, which are the same
        told["image_size"] = told["image_size"][0]
    return from_json_dict({**to_json_dict(config), **told})


def _at(values: Any, path: tuple[str, ...]) -> Any:  # JSON
    for key in path:
        if not isinstance(values, dict):
            return None
        values = cast("dict[str, Any]", values).get(key)  # JSON
    return values


def _hiera_seen(shapes: Mapping[str, Shape]) -> dict[str, Any]:  # fields of a config
    """The fields of the trunk that shapes show."""
    blocks = _TRUNK + "blocks."
    depth = count_blocks(shapes, r"image_encoder\.trunk\.blocks\.(\d+)\.norm1\.weight")
    starts = [0, *(index for index in range(depth) if f"{blocks}{index}.proj.weight" in shapes)]
    if len(starts) != NUM_STAGES:
        raise ValueError(f"{len(starts)} stages")
    ends = [*starts[1:], depth]
    return {
        "stage_depths": tuple(end - start for start, end in zip(starts, ends, strict=True)),
        "stage_widths": tuple(shapes[f"{blocks}{index}.norm2.weight"][0] for index in starts),
        "stage_mlp_dims": tuple(shapes[f"{blocks}{index}.mlp.layers.0.weight"][0] for index in starts),
        "position_side": shapes[_TRUNK + "pos_embed"][2],
        "window_position_side": shapes[_TRUNK + "pos_embed_window"][2],
    }


def _conv_seen(shapes: Mapping[str, Shape]) -> dict[str, Any]:  # fields of a config
    """The fields of our own trunk that shapes show; what it has none of is as in its first variant."""
    stages = range(NUM_STAGES)
    return {
        "trunk": "conv",
        "stage_depths": tuple(
            count_blocks(shapes, rf"image_encoder\.trunk\.stages\.{stage}\.(\d+)\.norm\.weight")
            for stage in stages
        ),
        "stage_widths": tuple(shapes[f"{_TRUNK}stages.{stage}.0.norm.weight"][0] for stage in stages),
        "stage_mlp_dims": _usual_conv().stage_mlp_dims,
    }


def _usual_conv() -> Sam2Config:
    return next(known for known in VARIANTS.values() if known.trunk == "conv")


def _seen(shapes: Mapping[str, Shape]) -> dict[str, Any]:  # fields of a config
    """The fields that shapes show."""
    fuser, refiner = "memory_encoder.fuser.layers.", "sam_mask_decoder.refiner.first.weight"
    judge, views = "sam_mask_decoder.judge.layers.1.weight", "view_judge.layers.0.weight"
    is_conv = f"{_TRUNK}stem.0.weight" in shapes
    return (_conv_seen(shapes) if is_conv else _hiera_seen(shapes)) | {
        "dim": shapes["image_encoder.neck.convs.0.conv.weight"][0],
        "memory_dim": shapes["memory_encoder.out_proj.weight"][0],
        "memory_layers": count_blocks(shapes, r"memory_attention\.layers\.(\d+)\.norm1\.weight"),
        "memory_mlp_dim": shapes["memory_attention.layers.0.linear1.weight"][0],
        "fuser_layers": count_blocks(shapes, r"memory_encoder\.fuser\.layers\.(\d+)\.gamma"),
        "fuser_dim": shapes[fuser + "0.pwconv1.weight"][0],
        "decoder_depth": count_blocks(shapes, r"sam_mask_decoder\.transformer\.layers\.(\d+)\.norm1\.weight"),
        "decoder_mlp_dim": shapes["sam_mask_decoder.transformer.layers.0.mlp.layers.0.weight"][0],
        "mask_channels": shapes["sam_prompt_encoder.mask_downscaling.4.weight"][0],
        "iou_hidden_dim": shapes["sam_mask_decoder.iou_prediction_head.layers.0.weight"][0],
        "num_multimask": shapes["sam_mask_decoder.mask_tokens.weight"][0] - 1,
        "num_recent": shapes["maskmem_tpos_enc"][0] - 1,
        "object_pointer_time": "obj_ptr_tpos_proj.weight" in shapes,
        "absent_memory": "no_obj_embed_spatial" in shapes,
        "attends_others": "other_obj_embed" in shapes,
        "prompt_maps": shapes["sam_prompt_encoder.mask_downscaling.0.weight"][1] > 1,
        "refiner_width": shapes[refiner][0] if refiner in shapes else 0,
        "judge_width": shapes[judge][0] if judge in shapes else 0,
        "view_judge_width": shapes[views][0] if views in shapes else 0,
    }


def _same_stages(known: Sam2Config, seen: Mapping[str, Any]) -> bool:  # fields of a config
    return (known.stage_depths, known.stage_widths) == (seen["stage_depths"], seen["stage_widths"])


def _guess(seen: Mapping[str, Any]) -> dict[str, Any]:  # fields of a config
    """What no shape shows, in the manner of the official sizes.

    Three global blocks at equal distances (about a quarter of the stage) up to the end of the third stage.
    """
    depths, side = seen["stage_depths"], seen["window_position_side"]
    last, step = sum(depths[:3]) - 1, max(1, round(depths[2] * 0.27))
    blocks = tuple(index for index in (last - 2 * step, last - step, last) if index >= sum(depths[:2]))
    return {
        "stage_heads": tuple(1 << stage for stage in range(NUM_STAGES)),
        "windows": (side, max(2, side // 2), 14, 7),
        "global_blocks": blocks,
    }


def _split(table: T) -> list[T]:
    """The rows of a table of label vectors, each with its axis kept."""
    if isinstance(table, Tensor):
        rows = cast("Tensor", table)
        return [cast(T, rows[index : index + 1].clone()) for index in range(len(rows))]
    count, *rest = cast("Shape", table)
    return [cast(T, (1, *rest))] * count


def _joined(rows: list[T]) -> T:
    if isinstance(rows[0], Tensor):
        return cast(T, torch.cat(cast("list[Tensor]", rows)))
    return cast(T, (len(rows), *cast("Shape", rows[0])[1:]))
