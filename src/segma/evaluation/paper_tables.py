"""The tables of OmniTokenizer's paper (Wang et al. 2024, arXiv 2406.09399) as it prints them: facts, no code.

Values of released files that the paper rounds are those of its repository. Lower is better but for IS.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal


@dataclass(frozen=True, slots=True)
class PaperRow:
    """What a method has of a metric on a data set; `setting` is the side in pixels, or how it was trained."""

    data: str
    metric: str
    method: str
    value: float | int
    setting: str = ""


@dataclass(frozen=True, slots=True)
class PaperTable:
    """A table. `measures`: what a tokenizer gives back, or samples that were made."""

    title: str
    measures: Literal["reconstruction", "generation"]
    rows: tuple[PaperRow, ...]


_OURS, _OURS_KL = "OmniTokenizer, codes", "OmniTokenizer, latents"

_IMAGES = (
    PaperRow("imagenet", "rFID", _OURS, 1.11),
    PaperRow("imagenet", "rFID", _OURS_KL, 0.69),
    PaperRow("imagenet", "rFID", "ViT-VQGAN", 1.28),
    PaperRow("imagenet", "rFID", "VQGAN-Gumbel", 1.49),
    PaperRow("imagenet", "rFID", "DALL-E", 32.01),
    PaperRow("celebahq", "rFID", _OURS, 1.93),
    PaperRow("celebahq", "rFID", "ViT-VQGAN", 4.66),
    PaperRow("ffhq", "rFID", _OURS, 1.91),
    PaperRow("ffhq", "rFID", "ViT-VQGAN", 3.13),
)

_VIDEOS = (
    PaperRow("ucf101", "rFVD", _OURS, 42.35),
    PaperRow("ucf101", "rFVD", _OURS_KL, 23.44),
    PaperRow("ucf101", "rFVD", "MAGVIT", 58),
    PaperRow("ucf101", "rFVD", "TATS", 162),
    PaperRow("ucf101", "rFVD", "MaskGIT", 240),
    PaperRow("ucf101", "rFVD", "VQGAN", 299),
    PaperRow("k600", "rFVD", _OURS, 25.97),
    PaperRow("k600", "rFVD", _OURS_KL, 13.02),
    PaperRow("mit", "rFVD", _OURS, 19.87),
    PaperRow("mit", "rFVD", _OURS_KL, 13),
    PaperRow("mit", "rFVD", "C-ViViT", 66),
    PaperRow("mit", "rFVD", "ViT-VQGAN", 167),
    PaperRow("sthv2", "rFVD", _OURS, 20.30),
)

# By training: rFVD of Kinetics-600, UCF-101, Moments in Time, Something-Something v2 at 128 and at 256.
_ABLATED = (
    ("video, one size", ((211.5, 48.9), (214.8, 118.5), (211.1, 64.5), (162.5, 22.8))),
    ("video, many sizes", ((194.5, 54.9), (211.8, 114.5), (238.1, 26.5), (193.4, 38.8))),
    ("joint, one size", ((113.5, 26.9), (186.8, 62.5), (140.1, 21.5), (108.4, 20.8))),
    ("joint, many sizes", ((84.4, 26.0), (107.8, 42.4), (59.5, 19.9), (84.8, 20.3))),
)
_ABLATION = (
    PaperRow("imagenet", "rFID", "images, one size", 1.28, "256"),
    PaperRow("imagenet", "rFID", "images, many sizes", 1.44, "256"),
    PaperRow("imagenet", "rFID", "joint, one size", 1.35, "256"),
    PaperRow("imagenet", "rFID", "joint, many sizes", 1.11, "256"),
    *(
        PaperRow(data, "rFVD", method, value, size)
        for number, data in enumerate(("k600", "ucf101", "mit", "sthv2"))
        for place, size in enumerate(("128", "256"))
        for method, values in _ABLATED
        for value in (values[number][place],)
    ),
)

_LAYERS = (
    PaperRow("imagenet", "rFID", "spatial layers plain", 1.55),
    PaperRow("imagenet", "rFID", "spatial layers in windows", 1.28),
    PaperRow("imagenet", "rFID", "codes, then latents: latents", 0.69),
    PaperRow("imagenet", "rFID", "latents, then codes: codes", 2.05),
    PaperRow("imagenet", "rFID", "latents, then codes: latents", 0.89),
    PaperRow("k600", "rFVD", "temporal layers plain", 26.43),
    PaperRow("k600", "rFVD", "temporal layers causal", 25.97),
    PaperRow("k600", "rFVD", "codes, then latents: latents", 13.02),
    PaperRow("k600", "rFVD", "latents, then codes: codes", 33.79),
    PaperRow("k600", "rFVD", "latents, then codes: latents", 12.43),
)

_MADE_IMAGES = (
    PaperRow("imagenet", "gFID", "language model, 227 M", 10.13),
    PaperRow("imagenet", "gFID", "language model, 650 M", 7.45),
    PaperRow("imagenet", "gFID", "ViT-VQGAN, 650 M", 8.81),
    PaperRow("imagenet", "gFID", "RQ-Transformer, 821 M", 13.11),
    PaperRow("imagenet", "gFID", "DiT-XL/2 on our latents, no guidance", 12.25),
    PaperRow("imagenet", "gFID", "DiT-XL/2 on our latents, guidance", 3.48),
    PaperRow("imagenet", "gFID", "DiT-XL/2, no guidance", 9.62),
    PaperRow("imagenet", "gFID", "DiT-XL/2, guidance", 2.27),
    PaperRow("imagenet", "IS", "language model, 227 M", 94.5),
    PaperRow("imagenet", "IS", "language model, 650 M", 146.7),
)

_MADE_VIDEOS = (
    PaperRow("ucf101", "gFVD", "language model, 227 M", 314, "128"),
    PaperRow("ucf101", "gFVD", "language model, 650 M", 191, "128"),
    PaperRow("ucf101", "gFVD", "TATS", 332, "128"),
    PaperRow("ucf101", "gFVD", "Latte-XL/2 on our latents", 209.2, "128"),
    PaperRow("ucf101", "gFVD", "Latte-XL/2", 478.0, "128"),
    PaperRow("k600", "gFVD", "language model, 227 M, from 5 frames", 34.2, "64"),
    PaperRow("k600", "gFVD", "language model, 650 M, from 5 frames", 32.9, "64"),
    PaperRow("k600", "gFVD", "Phenaki", 36.4, "64"),
    PaperRow("k600", "gFVD", "MAGVIT", 9.9, "64"),
    PaperRow("k600", "gFVD", "MAGVIT-v2", 4.3, "64"),
)

TABLES: Mapping[str, PaperTable] = MappingProxyType(
    {
        "images": PaperTable("pictures there and back, 256 x 256", "reconstruction", _IMAGES),
        "videos": PaperTable("clips there and back, 17 x 256 x 256", "reconstruction", _VIDEOS),
        "training": PaperTable("what joint training and many sizes give", "reconstruction", _ABLATION),
        "layers": PaperTable("what kinds of layers and the order of stages give", "reconstruction", _LAYERS),
        "made-images": PaperTable("pictures of a class, 50 000 of them", "generation", _MADE_IMAGES),
        "made-videos": PaperTable("clips, 2048 of them, 17 frames", "generation", _MADE_VIDEOS),
    }
)
"""By name."""
