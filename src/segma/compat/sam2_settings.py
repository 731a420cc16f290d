"""What scripts set on SAM 2 besides its weights: names of configs, and overrides of their fields."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from types import MappingProxyType
from typing import Any

from segma.errors import InputError
from segma.models.interfaces import DynamicChoice
from segma.models.sam2.config import VARIANTS

_SHORT_SIZES = MappingProxyType({"t": "tiny", "s": "small", "b+": "base_plus", "l": "large"})
_DECODER = "sam_mask_decoder_extra_args."
_TRUE, _FALSE = ("true", "1", "yes", "on"), ("false", "0", "no", "off")
# Fields of the original that are as they are here: an override that says the same is no error.
_FIXED: Mapping[str, bool | float] = MappingProxyType(
    {
        "num_maskmem": 7,
        "max_obj_ptrs_in_encoder": 16,
        "sigmoid_scale_for_mem_enc": 20,
        "sigmoid_bias_for_mem_enc": -10,
        "use_mask_input_as_output_without_sam": True,
        "directly_add_no_mem_embed": True,
        "use_high_res_features_in_sam": True,
        "multimask_output_in_sam": True,
        "multimask_output_for_tracking": True,
        "multimask_min_pt_num": 0,
        "multimask_max_pt_num": 1,
        "use_multimask_token_for_obj_ptr": True,
        "iou_prediction_use_sigmoid": True,
        "use_obj_ptrs_in_encoder": True,
        "only_obj_ptrs_in_the_past_for_eval": True,
        "pred_obj_scores": True,
        "pred_obj_scores_mlp": True,
        "fixed_no_obj_ptr": True,
        "soft_no_obj_ptr": False,
        "use_mlp_for_obj_ptr_proj": True,
        "non_overlap_masks_for_mem_enc": False,
    }
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Sam2Settings:
    """The fields of the original's configs that can be set, under its names.

    The defaults are those of the original without post-processing, but for the one that keeps corrections.
    """

    dynamic_multimask_via_stability: bool = False
    """An unsure single mask gives way to the best of three."""
    dynamic_multimask_stability_delta: float = 0.05
    """Shift of the logits that measures how sure it is."""
    dynamic_multimask_stability_thresh: float = 0.98
    """Below this it is unsure."""
    binarize_mask_from_pts_for_mem_enc: bool = False
    """The mask of a prompted frame is remembered as 0 and 1."""
    fill_hole_area: int = 0
    """Holes of at most so many cells of the low-resolution mask are filled."""
    non_overlap_masks: bool = False
    """Of objects that overlap only the one of highest logit keeps a pixel."""
    clear_non_cond_mem_around_input: bool = False
    """Memories of tracked frames around a prompted one are dropped."""
    add_all_frames_to_correct_as_cond: bool = True
    """A corrected frame becomes a conditioning frame. False (the original's default) loses corrections."""
    memory_temporal_stride_for_eval: int = 1
    """Distance of the recent frames that are attended to."""
    max_cond_frames_in_attn: int = -1
    """At most so many conditioning frames are attended to; -1: all."""
    compile_image_encoder: bool = False
    """The image encoder is compiled by torch when it first runs."""
    image_size: int | None = None
    """Side of the square input in pixels; None: what the weights were trained with, 1024."""

    @property
    def dynamic_choice(self) -> DynamicChoice | None:
        """When the single mask is unsure; None: it always stands."""
        if not self.dynamic_multimask_via_stability:
            return None
        offset, threshold = self.dynamic_multimask_stability_delta, self.dynamic_multimask_stability_thresh
        return DynamicChoice(offset=offset, threshold=threshold)


def variant_of(config_file: str) -> str:
    """The name in `VARIANTS` of an original config file, with or without folder and suffix.

    Raises InputError `input.value`.

    >>> variant_of("configs/sam2.1/sam2.1_hiera_b+.yaml")
    'sam2.1_hiera_base_plus'
    """
    stem = re.split(r"[/\\]", config_file)[-1].removesuffix(".yaml").removesuffix(".yml")
    family, _, size = stem.rpartition("_")
    name = f"{family}_{_SHORT_SIZES.get(size, size)}"
    for variant in (stem, name):
        if variant in VARIANTS:
            return variant
    known = ", ".join(f"{family}_hiera_{size}.yaml" for family in ("sam2.1", "sam2") for size in _SHORT_SIZES)
    raise InputError("input.value", f'No config "{config_file}".', f"Configs: {known}.")


def settings_of(overrides: Sequence[str], *, apply_postprocessing: bool) -> Sam2Settings:
    """Settings of overrides such as "++model.fill_hole_area=8"; the last of several counts.

    They count more than what `apply_postprocessing` sets (in the original less). Raises InputError
    `input.value` for what has no meaning here, by name.
    """
    settings = Sam2Settings()
    if apply_postprocessing:
        settings = replace(
            settings,
            dynamic_multimask_via_stability=True,
            binarize_mask_from_pts_for_mem_enc=True,
            fill_hole_area=8,
        )
    changes: dict[str, Any] = {}  # values of several types, by field
    for override in overrides:
        name, value = _split(override)
        if name == "_target_":  # a class of the original; which one is built follows from the function
            continue
        if name in _FIXED:
            if _number(value, override) != _FIXED[name]:
                raise InputError("input.value", f'"{override}": {name} is always {_FIXED[name]} here.')
            continue
        changes[name] = _value(name, value, override)
    return replace(settings, **changes)


def _split(override: str) -> tuple[str, str]:
    """Field and value of "++model.field=value"."""
    found = re.fullmatch(r"\+{0,2}model\.([^=]+)=(.*)", override.strip())
    if found is None:
        raise InputError(
            "input.value", f'"{override}" is no override of a model.', 'Write "++model.field=value".'
        )
    return found[1].removeprefix(_DECODER), found[2].strip().strip("'\"")


def _value(name: str, text: str, override: str) -> bool | int | float:
    kinds = {field.name: str(field.type) for field in fields(Sam2Settings)}
    if name not in kinds:
        raise InputError("input.value", f'"{override}" cannot be set here.', f"Fields: {', '.join(kinds)}.")
    number = _number(text, override)
    if kinds[name] == "bool":
        if number not in (0, 1):
            raise InputError("input.value", f'"{override}": the value is true or false.')
        return bool(number)
    if kinds[name] == "float":
        return float(number)
    if number != int(number):
        raise InputError("input.value", f'"{override}": the value is a whole number.')
    return int(number)


def _number(text: str, override: str) -> float:
    if text.lower() in _TRUE or text.lower() in _FALSE:
        return float(text.lower() in _TRUE)
    try:
        return float(text)
    except ValueError as error:
        raise InputError("input.value", f'"{override}": the value is no number, true or false.') from error
