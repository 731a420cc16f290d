"""The names and calls of the original `sam2` package, over our network and tasks.

A script changes its import line, `from segma.compat.sam2 import build_sam2_video_predictor`, and runs as
before: the same arguments, results of the same shapes and types. What differs: checkpoints of either layout
load on any machine, nothing needs a compiled extension, mistakes raise errors of `segma.errors` where it
asserts, and the faults of version 1.1.0 are gone (see `SAM2VideoPredictor`).
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

import torch

from segma.checkpoints.detect import identify
from segma.checkpoints.hub import fetch
from segma.checkpoints.match import fit
from segma.checkpoints.read import read_checkpoint
from segma.compat.sam2_generator import SAM2AutomaticMaskGenerator
from segma.compat.sam2_image import SAM2ImagePredictor, SAM2Transforms
from segma.compat.sam2_network import SAM2Base
from segma.compat.sam2_settings import settings_of, variant_of
from segma.compat.sam2_video import SAM2VideoPredictor
from segma.errors import ModelError
from segma.models.sam2 import layout
from segma.models.sam2.config import VARIANTS
from segma.runtime import Runtime

__all__ = [
    "SAM2AutomaticMaskGenerator",
    "SAM2Base",
    "SAM2ImagePredictor",
    "SAM2Transforms",
    "SAM2VideoPredictor",
    "build_sam2",
    "build_sam2_hf",
    "build_sam2_video_predictor",
    "build_sam2_video_predictor_hf",
]

Network = TypeVar("Network", bound=SAM2Base)
_OWNER = "facebook/"

_log = logging.getLogger(__name__)


def build_sam2(
    config_file: str,
    ckpt_path: str | Path | None = None,
    device: str | torch.device = "cuda",
    mode: str = "eval",
    hydra_overrides_extra: Sequence[str] = (),
    apply_postprocessing: bool = True,
    **kwargs: Any,  # not used, as in the original
) -> SAM2Base:
    """The network of a config, as "configs/sam2.1/sam2.1_hiera_t.yaml", with the weights of a file, or none.

    Where there is no "cuda", it is on the CPU, and the log says so. `hydra_overrides_extra` are those of
    `sam2_settings.settings_of`. Raises InputError, ModelError.
    """
    options = (ckpt_path, device, mode, hydra_overrides_extra, apply_postprocessing)
    return _build(SAM2Base, config_file, *options)


def build_sam2_video_predictor(
    config_file: str,
    ckpt_path: str | Path | None = None,
    device: str | torch.device = "cuda",
    mode: str = "eval",
    hydra_overrides_extra: Sequence[str] = (),
    apply_postprocessing: bool = True,
    vos_optimized: bool = False,
    **kwargs: Any,  # not used, as in the original
) -> SAM2VideoPredictor:
    """The same as a video predictor.

    With `vos_optimized` the image encoder is compiled by torch when it first runs, which takes a minute or
    more (the original compiles the other parts as well).
    """
    overrides = [*hydra_overrides_extra]
    if vos_optimized:
        overrides.append("++model.compile_image_encoder=true")
    options = (ckpt_path, device, mode, overrides, apply_postprocessing)
    return _build(SAM2VideoPredictor, config_file, *options)


def build_sam2_hf(model_id: str, **kwargs: Any) -> SAM2Base:  # those of build_sam2
    """The network of a repository, as "facebook/sam2.1-hiera-tiny", whose official weights are fetched."""
    name, path = _fetched(model_id)
    return build_sam2(config_file=name, ckpt_path=path, **kwargs)


def build_sam2_video_predictor_hf(model_id: str, **kwargs: Any) -> SAM2VideoPredictor:  # of the builder above
    """The same as a video predictor."""
    name, path = _fetched(model_id)
    return build_sam2_video_predictor(config_file=name, ckpt_path=path, **kwargs)


def _build(
    kind: type[Network],
    config_file: str,
    ckpt_path: str | Path | None,
    device: str | torch.device,
    mode: str,
    overrides: Sequence[str],
    apply_postprocessing: bool,
) -> Network:
    settings = settings_of(overrides, apply_postprocessing=apply_postprocessing)
    config = VARIANTS[variant_of(str(config_file))]
    runtime = Runtime(device=_device(str(device)), precision="fp32")
    if ckpt_path is None:
        network = kind(config, settings)
    else:
        file = read_checkpoint(Path(ckpt_path))
        found = identify(file.shapes, file.metadata)
        with torch.device("meta"):
            network = kind(config, settings)
        tensors = layout.to_official(layout.strip_wrapping(file.tensors))
        fit(network, tensors, ckpt_path, looks_like=found.label)
    runtime.place(network)
    if settings.compile_image_encoder:
        network.image_encoder.compile()  # pyright: ignore[reportUnknownMemberType]: torch's stubs
    return network.eval() if mode == "eval" else network


def _fetched(model_id: str) -> tuple[str, Path]:
    """Variant and file of a repository. Raises ModelError."""
    name = model_id.removeprefix(_OWNER).replace("-hiera-", "_hiera_").replace("-", "_")
    if name not in VARIANTS:
        known = ", ".join(f"{_OWNER}{variant.replace('_', '-')}" for variant in VARIANTS)
        raise ModelError("model.unknown", f'No model "{model_id}".', f"Models: {known}.")
    return name, fetch(name)


def _device(name: str) -> str:
    """The device that was asked for; the original's default, which may not be there, gives way to the CPU."""
    if name.startswith("cuda") and not torch.cuda.is_available():
        _log.warning("there is no %s here: the network is on the CPU", name)
        return "cpu"
    return name
