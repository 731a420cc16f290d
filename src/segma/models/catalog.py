"""Which models there are: one row a name, and where the code of each system stands.

Nothing here imports torch or any other package, so that `segma model list` answers at once. Modules
are named by strings and imported by `checkpoints` when a model is loaded.
"""

from __future__ import annotations

import difflib
import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from types import MappingProxyType
from typing import TypeVar, cast

from segma.errors import ModelError

PLUGIN_GROUP = "segma.models"

_log = logging.getLogger(__name__)
_Row = TypeVar("_Row", "Entry", "System")


@dataclass(frozen=True, kw_only=True, slots=True)
class OfficialFile:
    """Weights that their authors publish: the address of one file, and their repository on the hub."""

    url: str
    hub_repo: str
    """Repository of the same weights, in the layout of transformers where there is such a layout."""

    @property
    def file_name(self) -> str:
        """The last part of the address."""
        return self.url.rsplit("/", 1)[-1]


@dataclass(frozen=True, kw_only=True, slots=True)
class EmbeddedFile:
    """Weights that are installed with a Python package."""

    package: str
    file_name: str


Weights = OfficialFile | EmbeddedFile


@dataclass(frozen=True, kw_only=True, slots=True)
class System:
    """Where the code of one system stands, as dotted module paths.

    The config module has `VARIANTS`, `to_json_dict` and `from_json_dict`; the layout module has
    `detect`, `layout_of`, `strip_wrapping`, `to_official`, `to_transformers` and
    `transformers_config`, and `with_arguments` where it reads those; the model class takes the config.
    """

    name: str
    config_module: str
    model_module: str
    model_class: str
    layout_module: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """One model that can be loaded by name."""

    name: str
    system: str
    variant: str
    """Key of the system's `VARIANTS`."""
    tasks: tuple[str, ...]
    licence: str
    """SPDX name of the licence of the weights."""
    weights: Weights
    parameters: int
    """Trained numbers, without buffers."""
    note: str = ""
    family: str = ""
    """What people call the release, where the variant alone does not tell: "SAM 2.0"."""


_SAM_TASKS = ("segment", "everything")
_SAM_FILES = "https://dl.fbaipublicfiles.com/segment_anything/"


def _sam(name: str, file_name: str, hub_repo: str, parameters: int, note: str) -> Entry:
    weights = OfficialFile(url=_SAM_FILES + file_name, hub_repo=hub_repo)
    return Entry(
        name=name, system="sam", variant=name, tasks=_SAM_TASKS, licence="Apache-2.0",
        weights=weights, parameters=parameters, note=note,
    )  # fmt: skip


_ROWS = (
    Entry(
        name="default",
        system="sam2",
        variant="sam2.1_conv_small",
        tasks=("segment", "everything", "track"),
        licence="LicenseRef-research-only",
        weights=EmbeddedFile(package="segma.checkpoints.embedded", file_name="default.safetensors"),
        parameters=7_210_740,
        note="small, trained by us, in the package; see its card (docs/reference/default-model.md)",
    ),
    Entry(
        name="tokenizer",
        system="omnitokenizer",
        variant="omnitokenizer_small",
        tasks=("tokens",),
        licence="LicenseRef-research-only",
        weights=EmbeddedFile(package="segma.checkpoints.embedded", file_name="tokenizer.safetensors"),
        parameters=3_243_924,
        note="small, trained by us, in the package: codes, and latents; see its card",
    ),
    Entry(
        name="generator",
        system="omnitokenizer_dit",
        variant="omnitokenizer_dit_small",
        tasks=("generate",),
        licence="LicenseRef-research-only",
        weights=EmbeddedFile(package="segma.checkpoints.embedded", file_name="generator.safetensors"),
        parameters=3_034_816,
        note="small, trained by us, in the package: made worlds by class and sentence; see its card",
    ),
    Entry(
        name="enhancer",
        system="omnitokenizer_enhancer",
        variant="omnitokenizer_enhancer_small",
        tasks=("enhance",),
        licence="LicenseRef-research-only",
        weights=EmbeddedFile(package="segma.checkpoints.embedded", file_name="enhancer.safetensors"),
        parameters=166_492,
        note="small, trained by us, in the package: pictures 2 and 4 times larger; see its card",
    ),
    _sam("sam_vit_b", "sam_vit_b_01ec64.pth", "facebook/sam-vit-base", 93_735_472, "smallest official SAM"),
    _sam("sam_vit_l", "sam_vit_l_0b3195.pth", "facebook/sam-vit-large", 312_342_832, "close to sam_vit_h"),
    _sam("sam_vit_h", "sam_vit_h_4b8939.pth", "facebook/sam-vit-huge", 641_090_608, "best official SAM"),
)

_SAM2_TASKS = ("segment", "everything", "track")
_SAM2_FILES = "https://dl.fbaipublicfiles.com/segment_anything_2/"
# Version, folder of its files, and what a network of it has less than one of 2.1.
_SAM2_RELEASES = (("sam2.1", "092824/", 0), ("sam2", "072824/", 16_512))
_SAM2_SIZES = (
    ("t", "tiny", 38_962_498, "smallest"),
    ("s", "small", 46_060_354, "close to tiny"),
    ("b+", "base_plus", 80_850_178, "between small and large"),
    ("l", "large", 224_446_642, "best"),
)


def _sam2(release: tuple[str, str, int], size: tuple[str, str, int, str]) -> Entry:
    version, folder, fewer = release
    short, long, parameters, note = size
    variant = f"{version}_hiera_{long}"
    hub_repo = f"facebook/{variant.replace('_', '-')}"
    family = "SAM 2.1" if version == "sam2.1" else "SAM 2.0"
    return Entry(
        name=f"{version}_hiera_{short}", system="sam2", variant=variant, tasks=_SAM2_TASKS,
        licence="Apache-2.0", parameters=parameters - fewer, note=f"{note} official {family}", family=family,
        weights=OfficialFile(url=f"{_SAM2_FILES}{folder}{variant}.pt", hub_repo=hub_repo),
    )  # fmt: skip


_SAM2_ROWS = tuple(_sam2(release, size) for release in _SAM2_RELEASES for size in _SAM2_SIZES)

_OMNI_REPO = "Daniel0724/OmniTokenizer"
# Variant, its system, what it does, and its parameters.
_OMNI_KINDS = MappingProxyType(
    {
        "omnitokenizer_vq": ("omnitokenizer", "tokens", 53_708_440),
        "omnitokenizer_kl": ("omnitokenizer", "tokens", 53_712_544),
        "omnitokenizer_image": ("omnitokenizer", "tokens", 54_923_848),
        "omnitokenizer_image_biased": ("omnitokenizer", "tokens", 54_923_848),
        "omnitokenizer_gpt_imagenet": ("omnitokenizer_gpt", "generate", 709_774_848),
        "omnitokenizer_gpt_ucf": ("omnitokenizer_gpt", "generate", 713_304_576),
        "omnitokenizer_gpt_k600": ("omnitokenizer_gpt", "generate", 712_989_696),
        "omnitokenizer_dit_xl": ("omnitokenizer_dit", "generate", 675_184_960),
        "omnitokenizer_latte_xl": ("omnitokenizer_dit", "generate", 674_155_072),
    }
)
# File, variant, and what it was trained on.
_OMNI_FILES = (
    ("imagenet_k600.ckpt", "omnitokenizer_vq", "codes, the one to try first: ImageNet, Kinetics-600"),
    (
        "imagenet_only.ckpt",
        "omnitokenizer_image_biased",
        "codes of images: ImageNet; its name sets attention_bias",
    ),
    ("imagenet_ucf.ckpt", "omnitokenizer_vq", "codes: ImageNet, UCF-101"),
    ("imagenet_mit.ckpt", "omnitokenizer_vq", "codes: ImageNet, Moments in Time"),
    ("imagenet_sthv2.ckpt", "omnitokenizer_vq", "codes: ImageNet, Something-Something v2"),
    ("celebahq.ckpt", "omnitokenizer_image", "codes of images: CelebA-HQ"),
    ("celebahq_ucf.ckpt", "omnitokenizer_vq", "codes: CelebA-HQ, UCF-101"),
    ("celebahq_k600.ckpt", "omnitokenizer_vq", "codes: CelebA-HQ, Kinetics-600"),
    ("ffhq.ckpt", "omnitokenizer_image", "codes of images: FFHQ"),
    ("ffhq_ucf.ckpt", "omnitokenizer_vq", "codes: FFHQ, UCF-101"),
    ("ffhq_k600.ckpt", "omnitokenizer_vq", "codes: FFHQ, Kinetics-600"),
    ("imagenet_ucf_vae.ckpt", "omnitokenizer_kl", "latents: ImageNet, UCF-101"),
    ("imagenet_k600_vae.ckpt", "omnitokenizer_kl", "latents: ImageNet, Kinetics-600"),
    ("imagenet_class_lm.ckpt", "omnitokenizer_gpt_imagenet", "codes of an ImageNet class"),
    ("ucf_class_lm.ckpt", "omnitokenizer_gpt_ucf", "codes of clips of a UCF-101 class"),
    ("k600_fp_lm.ckpt", "omnitokenizer_gpt_k600", "codes that continue a Kinetics-600 clip"),
    ("dit.pt", "omnitokenizer_dit_xl", "latents of an ImageNet class"),
    ("latte_17frms.pt", "omnitokenizer_latte_xl", "latents of clips of a UCF-101 class"),
)


def _omni(file_name: str, variant: str, note: str) -> Entry:
    system, task, parameters = _OMNI_KINDS[variant]
    url = f"https://huggingface.co/{_OMNI_REPO}/resolve/main/{file_name}"
    return Entry(
        name=f"omnitokenizer_{file_name.rsplit('.', 1)[0]}", system=system, variant=variant,
        tasks=(task,), licence="MIT", parameters=parameters, note=note,
        weights=OfficialFile(url=url, hub_repo=_OMNI_REPO),
    )  # fmt: skip


_OMNI_ROWS = tuple(_omni(*row) for row in _OMNI_FILES)

MODELS: Mapping[str, Entry] = MappingProxyType({row.name: row for row in (*_ROWS, *_SAM2_ROWS, *_OMNI_ROWS)})

ALIASES: Mapping[str, str] = MappingProxyType(
    {"vit_b": "sam_vit_b", "vit_l": "sam_vit_l", "vit_h": "sam_vit_h"}
    | {row.variant: row.name for row in _SAM2_ROWS}
    | {row.variant.replace("_hiera", ""): row.name for row in _SAM2_ROWS if row.family == "SAM 2.1"}
)

SYSTEMS: Mapping[str, System] = MappingProxyType(
    {
        "sam": System(
            name="sam",
            config_module="segma.models.sam.config",
            model_module="segma.models.sam.model",
            model_class="Sam",
            layout_module="segma.models.sam.layout",
        ),
        "sam2": System(
            name="sam2",
            config_module="segma.models.sam2.config",
            model_module="segma.models.sam2.model",
            model_class="Sam2",
            layout_module="segma.models.sam2.layout",
        ),
        "omnitokenizer": System(
            name="omnitokenizer",
            config_module="segma.models.omnitokenizer.config",
            model_module="segma.models.omnitokenizer.model",
            model_class="OmniTokenizer",
            layout_module="segma.models.omnitokenizer.layout",
        ),
        "omnitokenizer_gpt": System(
            name="omnitokenizer_gpt",
            config_module="segma.models.omnitokenizer.gpt_config",
            model_module="segma.models.omnitokenizer.gpt",
            model_class="Gpt",
            layout_module="segma.models.omnitokenizer.gpt_layout",
        ),
        "omnitokenizer_dit": System(
            name="omnitokenizer_dit",
            config_module="segma.models.omnitokenizer.dit_config",
            model_module="segma.models.omnitokenizer.dit",
            model_class="Dit",
            layout_module="segma.models.omnitokenizer.dit_layout",
        ),
        "omnitokenizer_enhancer": System(
            name="omnitokenizer_enhancer",
            config_module="segma.models.omnitokenizer.enhancer_config",
            model_module="segma.models.omnitokenizer.enhancer",
            model_class="Enhancer",
            layout_module="segma.models.omnitokenizer.enhancer_layout",
        ),
    }
)


def lookup(name: str) -> Entry:
    """The row of a model name or alias. `ModelError` model.unknown names the nearest one."""
    name = ALIASES.get(name, name)
    if name in MODELS:
        return MODELS[name]
    rows = all_models()
    if name in rows:
        return rows[name]
    nearest = difflib.get_close_matches(name, [*rows, *ALIASES], n=1, cutoff=0.0)[0]
    raise ModelError(
        "model.unknown",
        f'No model "{name}". Nearest: {ALIASES.get(nearest, nearest)}.',
        "See: segma model list",
    )


def check_task(name: str, task: str) -> None:
    """`ModelError` model.task for a name of the catalog whose model is for other tasks; files may pass."""
    row = all_models().get(ALIASES.get(name, name))
    if row is not None and task not in row.tasks:
        raise wrong_task(row.name, task, "default" if task == "segment" else "")


def wrong_task(name: str, task: str, other: str = "") -> ModelError:
    """The error for a model that cannot do this, with the name of one that can."""
    choose = f"Choose another, for example --model {other}." if other else "See: segma model list"
    return ModelError("model.task", f'{name} is not for the task "{task}".', choose)


def all_models() -> dict[str, Entry]:
    """Every row by name: ours, then those of installed plug-ins, which cannot replace ours."""
    rows = dict(MODELS)
    for row in _plugin_rows():
        if isinstance(row, Entry):
            _add(rows, row)
    return rows


def all_systems() -> dict[str, System]:
    """Every system by name, in the order in which a file is tried: ours, then those of plug-ins."""
    rows = dict(SYSTEMS)
    for row in _plugin_rows():
        if isinstance(row, System):
            _add(rows, row)
    return rows


def find_system(name: str) -> System:
    """The system of this name. `ModelError` model.unknown when there is none."""
    if name in SYSTEMS:
        return SYSTEMS[name]
    rows = all_systems()
    if name not in rows:
        known = ", ".join(rows)
        raise ModelError("model.unknown", f'No system "{name}" in this build. It has: {known}.')
    return rows[name]


def _add(rows: dict[str, _Row], row: _Row) -> None:
    if row.name in rows:
        _log.warning('plug-in row "%s" left out: the name is taken', row.name)
    else:
        rows[row.name] = row


def _plugin_rows() -> list[Entry | System]:
    """What the entry points of `segma.models` give: each an `Entry`, a `System`, or several of them."""
    rows: list[Entry | System] = []
    for point in entry_points(group=PLUGIN_GROUP):
        rows.extend(_read_plugin(point))
    return rows


def _read_plugin(point: EntryPoint) -> list[Entry | System]:
    try:
        found = point.load()
    except Exception as error:  # a plug-in may fail in any way, and must not take the others along
        _log.warning('plug-in "%s" (%s) cannot be loaded: %s', point.name, point.value, error)
        return []
    if isinstance(found, Entry | System):
        return [found]
    # an Iterable of unknown things: each is checked below
    given = list(cast("Iterable[object]", found)) if isinstance(found, Iterable) else [found]
    rows = [row for row in given if isinstance(row, Entry | System)]
    if len(rows) < len(given):
        _log.warning('plug-in "%s" gives something besides Entry and System rows', point.name)
    return rows
