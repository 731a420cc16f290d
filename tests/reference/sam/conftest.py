"""SAM ViT-B with made-up weights, two pictures with prompts, and what the official code computed of them.

The `.npz` files here and in `shared/golden/sam` hold its outputs; the README there says how they were made
(official package, float32, weights filled by the name rule of `checkpoints.fill`).
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TypeVar

import numpy as np
import pytest
import torch
from numpy import ndarray
from torch import Tensor, nn

from segma.checkpoints.fill import made_up_state
from segma.checkpoints.match import fit, shapes_of
from segma.compat import sam as compat
from segma.geometry.transforms import Transform
from segma.media.image import read_image
from segma.models.interfaces import ImageFeatures
from segma.models.sam.config import VARIANTS
from segma.models.sam.model import Sam
from segma.prompts.types import Box, MaskPrompt, Points, PromptSet
from segma.runtime import Runtime
from segma.tasks.preprocess import image_to_model
from segma.tasks.segment import EncodedImage

TAPPED = (0, 1, 2, 5, 8, 11)
Golden = dict[str, ndarray]
XY = tuple[float, float]
Network = TypeVar("Network", bound=Sam)


@dataclass(frozen=True, kw_only=True)
class Tolerance:
    """Largest differences allowed to the official numbers; what float32 noise measures is a tenth of it."""

    tokens: float = 1e-5
    """Prompt tokens, dense prompts, the position grid, the normalised picture."""
    blocks: float = 1e-4
    """Outputs of encoder blocks, relative to their standard deviation."""
    embedding: float = 1e-4
    logits: float = 5e-5
    predicted_iou: float = 1e-5
    sign_flips: int = 8
    """Pixels of a low-resolution mask that may change sides."""
    area_pixels: int = 20
    """Pixels of area at image size, and 1 % of those with logits near 0 on top."""
    record_box: int = 1
    record_area: tuple[float, int] = (0.001, 2)
    """Share and pixels."""
    record_score: float = 1e-3
    mask_iou: float = 0.9999
    """Overlap of a mask at image size with the official one."""


# The one table. In bfloat16 numbers are not comparable, masks are.
TOLERANCES = MappingProxyType(
    {
        torch.float32: Tolerance(),
        torch.bfloat16: Tolerance(mask_iou=0.95, predicted_iou=0.05),
    }
)


@dataclass(frozen=True, kw_only=True)
class Case:
    """A picture, the official numbers for it, its prompts by their key, and our encoder's outputs."""

    name: str
    image: ndarray
    golden: Golden
    prompts: dict[str, list[PromptSet]]
    pixels: Tensor
    encoded: EncodedImage
    taps: dict[str, Tensor]

    @property
    def transform(self) -> Transform:
        return self.encoded.transform


@pytest.fixture(scope="session")
def tolerances() -> MappingProxyType[torch.dtype, Tolerance]:
    return TOLERANCES


@pytest.fixture(scope="session")
def tolerance() -> Tolerance:
    return TOLERANCES[torch.float32]


@pytest.fixture(scope="session")
def embeddings() -> dict[int, Tensor]:
    """Image embeddings by the checksum of their pixels: every picture is encoded once in a session."""
    return {}


@pytest.fixture(scope="session")
def state() -> dict[str, Tensor]:
    """The weights of the official ViT-B, filled by the rule."""
    with torch.device("meta"):
        shapes = shapes_of(Sam(VARIANTS["sam_vit_b"]))
    return made_up_state(shapes)


@pytest.fixture(scope="session")
def vit_b(state: dict[str, Tensor], embeddings: dict[int, Tensor]) -> Sam:
    """Our network with these weights."""
    return remembering(filled(Sam, state), embeddings)


@pytest.fixture(scope="session")
def compat_vit_b(state: dict[str, Tensor], embeddings: dict[int, Tensor]) -> compat.Sam:
    """The same under the original's names, sharing its memory."""
    return remembering(filled(compat.Sam, state), embeddings)


@pytest.fixture(scope="session")
def spread_vit_b(state: dict[str, Tensor], embeddings: dict[int, Tensor]) -> compat.Sam:
    """The network of the `amg_*` cases: masks with boxes of many sizes. Its encoder is the same."""
    changed = dict(state)
    for name in ("mask_decoder.output_upscaling.0.weight", "mask_decoder.output_upscaling.3.weight"):
        changed[name] = changed[name][:, :, :1, :1].repeat(1, 1, 2, 2)
    name = "prompt_encoder.pe_layer.positional_encoding_gaussian_matrix"
    changed[name] = changed[name] * 8
    network = remembering(filled(compat.Sam, changed), embeddings)
    network.mask_threshold = 1.25
    return network


@pytest.fixture(scope="session")
def golden_file(request: pytest.FixtureRequest) -> Callable[[str], Golden]:
    """Arrays by the file's name: from here, or from the shared folder where the picture is not ours."""

    def read(name: str) -> Golden:
        path = Path(__file__).with_name(f"{name}.npz")
        if not path.is_file():
            shared: Path = request.getfixturevalue("shared")
            path = shared / "golden" / "sam" / path.name
        with np.load(path) as file:
            return dict(file)

    return read


@pytest.fixture(scope="session")
def synthetic(vit_b: Sam, embeddings: dict[int, Tensor], golden_file: Callable[[str], Golden]) -> Case:
    """The computed picture, 700 high and 500 wide."""
    prompts = prompt_table(
        clicks=((250, 300), (120, 560), (400, 100)),
        box=(130, 180, 370, 420),
        beside_box=(250, 300),
        discs=((92, 110, 44), (60, 200, 30)),
        boxes=((130, 180, 370, 420), (60, 480, 180, 640), (0, 0, 500, 700)),
        points=((62.5, 87.5), (437.5, 87.5), (250, 300), (120, 560)),
    )
    return case("synthetic", synthetic_image(), golden_file("synthetic"), prompts, vit_b, embeddings)


@pytest.fixture(scope="session")
def truck(
    shared: Path, vit_b: Sam, embeddings: dict[int, Tensor], golden_file: Callable[[str], Golden]
) -> Case:
    """The photo of the official examples, 1200 high and 1800 wide."""
    prompts = prompt_table(
        clicks=((500, 375), (1125, 625), (900, 200)),
        box=(425, 600, 700, 875),
        beside_box=(575, 750),
        discs=((100, 90, 50), (140, 70, 40)),
        boxes=((75, 275, 1725, 850), (425, 600, 700, 875), (1375, 550, 1650, 800), (1240, 675, 1400, 750)),
        points=((500, 375), (1125, 625), (900, 200), (60, 1100)),
    )
    image = read_image(shared / "media" / "truck.jpg")
    return case("truck", image, golden_file("truck"), prompts, vit_b, embeddings)


@pytest.fixture(scope="session", params=["synthetic", "truck"])
def each(request: pytest.FixtureRequest) -> Case:
    """One picture after the other."""
    return request.getfixturevalue(request.param)


def filled(kind: type[Network], state: dict[str, Tensor]) -> Network:
    """A network over these very tensors, for evaluation."""
    with torch.device("meta"):
        network = kind(VARIANTS["sam_vit_b"])
    fit(network, state, "made up")
    return network.eval().requires_grad_(False)


def remembering(network: Network, embeddings: dict[int, Tensor]) -> Network:
    """The network, which looks up what any network of the session has encoded."""

    def encode_image(pixels: Tensor) -> ImageFeatures:
        for one in pixels:
            if checksum(one) not in embeddings:
                embeddings[checksum(one)] = network.image_encoder(one[None])
        return ImageFeatures(torch.cat([embeddings[checksum(one)] for one in pixels]))

    network.__dict__["encode_image"] = encode_image
    return network


def checksum(pixels: Tensor) -> int:
    return zlib.crc32(pixels.contiguous().numpy().tobytes())


def case(
    name: str,
    image: ndarray,
    golden: Golden,
    prompts: dict[str, list[PromptSet]],
    network: Sam,
    embeddings: dict[int, Tensor],
) -> Case:
    """Encodes, keeping what the official numbers know of the encoder's inside."""
    taps: dict[str, Tensor] = {}
    modules = {"patch": network.image_encoder.patch_embed}
    modules |= {str(index): network.image_encoder.blocks[index] for index in TAPPED}
    handles = [module.register_forward_hook(keep(taps, key)) for key, module in modules.items()]
    pixels, transform = image_to_model(image, network.input_spec, Runtime(device="cpu").torch_device)
    with torch.inference_mode():
        embeddings[checksum(pixels[0])] = network.image_encoder(pixels)
        features = ImageFeatures(embeddings[checksum(pixels[0])])
        shared = network.share(features)
    for handle in handles:
        handle.remove()
    return Case(
        name=name,
        image=image,
        golden=golden,
        prompts=prompts,
        pixels=pixels,
        encoded=EncodedImage(features=features, shared=shared, transform=transform),
        taps=taps,
    )


def keep(taps: dict[str, Tensor], key: str) -> Callable[[nn.Module, object, Tensor], None]:
    """A hook that stores an output under a key."""

    def hook(module: nn.Module, given: object, output: Tensor) -> None:
        taps[key] = output

    return hook


def synthetic_image() -> ndarray:
    """Integer arithmetic only, so the same bytes everywhere."""
    y, x = np.mgrid[:700, :500]
    checks = np.where((x // 50 + y // 50) % 2 == 1, 255, 32)
    image = np.stack([(3 * x + 5 * y) % 256, x * y // 97 % 256, checks], -1)
    image[(x - 250) ** 2 + (y - 300) ** 2 < 120**2] = (220, 40, 40)
    image[(abs(x - 120) < 60) & (abs(y - 560) < 80)] = (30, 200, 90)
    return image.astype(np.uint8)


def prompt_table(
    *,
    clicks: tuple[XY, XY, XY],
    box: tuple[float, float, float, float],
    beside_box: XY,
    discs: tuple[tuple[int, int, int], tuple[int, int, int]],
    boxes: tuple[tuple[float, float, float, float], ...],
    points: tuple[XY, ...],
) -> dict[str, list[PromptSet]]:
    """The eight prompts of a picture, under the keys of the official numbers."""
    first = Points([clicks[0]])
    return {
        "p1": [PromptSet(points=first)],
        "p3": [PromptSet(points=Points(clicks, [1, 1, 0]))],
        "box": [PromptSet(box=Box.of(box))],
        "boxpt": [PromptSet(box=Box.of(box), points=Points([beside_box], [0]))],
        "mask": [PromptSet(points=first, mask=disc(*discs[0]))],
        "maskonly": [PromptSet(mask=disc(*discs[1]))],
        "batchbox": [PromptSet(box=Box.of(corners)) for corners in boxes],
        "batchpt": [PromptSet(points=Points([xy])) for xy in points],
    }


def disc(x: int, y: int, radius: int) -> MaskPrompt:
    """A mask input: +10 in a disc of mask pixels, -10 elsewhere."""
    rows, columns = np.mgrid[:256, :256]
    inside = (columns - x) ** 2 + (rows - y) ** 2 < radius**2
    return MaskPrompt(np.where(inside, 10, -10).astype(np.float32))
