"""Runs of tokenizers: bare pixels there and back."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from segma.checkpoints.read import read_checkpoint
from segma.errors import InputError, ModelError
from segma.models.omnitokenizer.config import NAME, VARIANTS
from segma.models.omnitokenizer.model import OmniTokenizer
from segma.runtime import Runtime
from segma.training.batch import PixelBatch
from segma.training.beginning import copied, size_named, weights_named
from segma.training.config import TrainConfig
from segma.training.course import Network
from segma.training.data import Samples
from segma.training.distributed import Step, Team
from segma.training.loop import Batches
from segma.training.losses.perceptual import Lpips
from segma.training.pixel_loader import PixelBatches, PixelPool, pixel_batches
from segma.training.shortcut import fit_shortcuts
from segma.training.steps.codes import Apprentice, codes_step
from segma.training.steps.result import StepResult

if TYPE_CHECKING:
    from segma.training.pixel_exam import PixelExam

_SPREAD = 0.02
# Share of the rate. Eighty steps of eight pictures brought latents from 23.33 to 23.59 dB at the whole rate,
# where codes lost 0.27 dB; and to 23.66 at this share, where codes won 0.14.
_SHORTCUT_RATE = 0.05
# Gaussians begin nearly without noise.
_FIRST_LOGVAR = -6.0
# Batches that the codebook is settled on when the network is done, and those that a shortcut is fitted on.
_SETTLING, _FITTING = 40, 12
# What codes depend on, beside the codebook; what latents depend on besides; what of it pictures do not see.
_CHOOSING = ("encoder.", "pre_vq_conv.", "code_shortcut.to_numbers.")
_DRAWING = ("pre_kl_conv.", "shortcut.to_numbers.")
_LATER = re.compile(r"encoder\.to_patch_emb\.|.*to_numbers\.1\.|.*_transformer\.layers\.\d+\.5\.")
_LPIPS_PREFIX = "perceptual_model."


@dataclass(frozen=True, slots=True)
class CodeCourse:
    """The `Course` of OmniTokenizer."""

    labelled: bool = False

    def makes_its_own(self, config: TrainConfig) -> bool:
        """Never."""
        return False

    def build(self, config: TrainConfig) -> Network:
        """A tokenizer from nothing, from weights, or of Gaussians from one of codes."""
        torch.manual_seed(config.seed)  # pyright: ignore[reportUnknownMemberType]  torch leaves it untyped
        network = _loaded(config) if config.start else _fresh(config)
        network.module.requires_grad_(True).train()
        pictures = config.codes.same_pictures
        frozen = config.frozen + (_CHOOSING if config.codes.same_codes else ())
        for name, parameter in network.module.named_parameters():
            is_fixed = pictures and name.startswith(_CHOOSING + _DRAWING) and not _LATER.match(name)
            if is_fixed or name.startswith(frozen):
                parameter.requires_grad_(False)
        return network

    def settled(self, config: TrainConfig, network: Network) -> TrainConfig:
        """The config; sizes are checked against what the network takes."""
        sizes = network.config
        wrong = [each for each in config.codes.sizes if each < 1 or each % sizes.side_multiple]
        if wrong or not config.codes.sizes:
            raise InputError(
                "input.value", f"codes.sizes has {wrong}, expected multiples of {sizes.side_multiple}."
            )
        frames, group = config.codes.frames, sizes.temporal_patch
        if (frames - 1) % group or frames < 1:
            raise InputError("input.value", f"codes.frames is {frames}, expected 1 + a multiple of {group}.")
        return config

    def student(self, network: Network, samples: Samples, config: TrainConfig) -> nn.Module:
        """The network with its judges. Shortcuts of a network from nothing are fitted to the data first."""
        module = network.module
        assert isinstance(module, OmniTokenizer)
        if not config.start and module.config.shortcut:
            batches = pixel_batches(_pool(samples), replace(config, workers=0), range(_FITTING))
            fit_shortcuts(module, [batch.scaled() for batch in batches], config.seed)
        return Apprentice(module, config.codes, _lpips(config.codes.lpips))

    def rates(self, config: TrainConfig) -> Mapping[str, float]:
        """The discriminators' and the shortcuts', which are nearly right from the start."""
        judge = config.codes.judge_rate
        return {
            "image_judge.": judge,
            "video_judge.": judge,
            "network.shortcut.": _SHORTCUT_RATE,
            "network.code_shortcut.": _SHORTCUT_RATE,
        }

    def step(self, config: TrainConfig, runtime: Runtime) -> Step:
        """There and back; in bfloat16 where the runtime computes in it."""
        device, dtype = runtime.torch_device, runtime.dtype

        def step(module: nn.Module, batch: PixelBatch, generator: torch.Generator) -> StepResult:
            assert isinstance(module, Apprentice)
            if module.lpips is not None:
                module.lpips.to(device)
            with torch.autocast(device.type, dtype=dtype, enabled=dtype != torch.float32):
                return codes_step(module, batch, config.codes, generator)

        return step

    def batches(self, samples: Samples, config: TrainConfig, team: Team) -> Batches:
        """Crops of pictures and of clips."""
        pool = _pool(samples)
        if not pool.pictures and not pool.clips:
            raise InputError("input.not_found", "There are no pictures or clips to train on.")
        total = config.steps * config.optim.accumulate

        def from_number(first: int) -> Iterator[PixelBatch]:
            return pixel_batches(pool, config, team.numbers(first, total))

        return from_number

    def exam(self, samples: Samples, config: TrainConfig) -> PixelExam:
        """Pictures and clips that are kept aside, made smaller to the largest of `codes.sizes`."""
        # a machine lent for training measures nothing, and need not have what reads videos
        from segma.training.pixel_exam import PixelExam

        return PixelExam.of(
            samples,
            pictures=config.validate_objects,
            clips=config.validate_clips if config.video_share else 0,
            size=max(config.codes.sizes),
            frames=config.codes.frames,
        )

    def finish(
        self, network: Network, samples: Samples, config: TrainConfig, runtime: Runtime
    ) -> dict[str, float]:
        """The codebook is settled on what the finished encoder says."""
        module = network.module
        assert isinstance(module, OmniTokenizer)
        if not module.config.num_codes or config.codes.same_book:
            return {}
        dataset = PixelBatches(_pool(samples), config)
        seen = torch.zeros(module.config.num_codes, dtype=torch.bool)
        with torch.inference_mode():
            for number in range(_SETTLING):
                pixels = dataset[len(dataset) + number].scaled().to(runtime.torch_device)
                z = F.normalize(module.project(pixels).float(), dim=-1)
                chosen = module.codebook.nearest(z)
                module.codebook.learn(z, chosen)
                seen[chosen.flatten().cpu()] = True
        return {"codes_used": round(float(seen.float().mean()), 4)}


def course() -> CodeCourse:
    """The course."""
    return CodeCourse()


def _pool(samples: Samples) -> PixelPool:
    return PixelPool.of(samples.pictures, samples.clips)


def _fresh(config: TrainConfig) -> Network:
    if config.codes.to_gaussians:
        raise InputError("input.value", "codes.to_gaussians needs weights.", "Name them with --model.")
    sizes = size_named(config, VARIANTS)
    module = OmniTokenizer(sizes)
    for layer in module.modules():
        if isinstance(layer, nn.Linear):
            nn.init.trunc_normal_(layer.weight, std=_SPREAD)
            for name, each in layer.named_parameters():
                if name == "bias":
                    nn.init.zeros_(each)
    if sizes.num_codes:
        module.codebook.N.zero_()  # nothing has chosen a code yet, so the first batch makes them all
    if sizes.has_gaussians:
        _quiet(module)
    if sizes.shortcut:
        _silence(module)
    return Network(module, sizes, "unknown", None)


def _quiet(module: OmniTokenizer) -> None:
    """Gaussians of little variance."""
    last = (module.pre_kl_conv if module.config.joint else module.pre_vq_conv)["1"]
    assert isinstance(last, nn.Linear)
    last.bias.data[module.config.code_dim :] = _FIRST_LOGVAR


def _silence(module: OmniTokenizer) -> None:
    """Layers that have nothing to say at first, beside shortcuts."""
    quiet: list[Tensor] = [module.pre_vq_conv.get_parameter("1.weight")]
    if module.config.joint:
        quiet.append(module.pre_kl_conv.get_parameter("1.weight"))
    quiet += [
        head.get_parameter("0.weight")
        for head in (module.decoder.to_pixels_first_frame, module.decoder.to_pixels)
    ]
    for weight in quiet:
        nn.init.zeros_(weight)


def _loaded(config: TrainConfig) -> Network:
    found, module = weights_named(config, OmniTokenizer, NAME)
    if config.codes.moving and not module.config.moving:
        module = _with_moving(module)
    if config.codes.to_gaussians:
        if module.config.joint:
            raise InputError(
                "input.value", f"{found.name} has Gaussians already.", "Leave codes.to_gaussians out."
            )
        sizes = replace(module.config, num_codes=0, joint=False)
        kept = module.state_dict()
        module = OmniTokenizer(sizes)
        new = module.state_dict()
        kept = {name: value for name, value in kept.items() if name in new and value.shape == new[name].shape}
        module.load_state_dict(kept, strict=False)
        _quiet(module)
        return Network(module, sizes, found.licence, None)
    return Network(module, module.config, found.licence, copied(module))


def _with_moving(module: OmniTokenizer) -> OmniTokenizer:
    """The network with layers for what moves, which have nothing to say yet."""
    wider = OmniTokenizer(replace(module.config, moving=True))
    wider.load_state_dict(wider.state_dict() | module.state_dict())
    for name, each in wider.named_parameters():
        if name.endswith(".5.4.weight"):
            nn.init.zeros_(each)
    return wider


def _lpips(name: str) -> Lpips | None:
    """LPIPS with the weights of a file. Raises ModelError where it has none."""
    if not name:
        return None
    tensors = read_checkpoint(Path(name)).tensors
    bare: dict[str, Any] = {key.removeprefix(_LPIPS_PREFIX): value for key, value in tensors.items()}
    module = Lpips()
    wanted = module.state_dict()
    if missing := [key for key in wanted if key not in bare]:
        raise ModelError("model.mismatch", f"{name}: no LPIPS weights ({missing[0]} is missing).")
    module.load_state_dict({key: bare[key] for key in wanted})
    return module.eval().requires_grad_(False)
