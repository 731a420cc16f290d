"""What light, lens, sensor and file do to a finished picture, for many pictures at once.

In order: uneven light, haze, colour and exposure, defocus and streaks, vignette, sensor noise, compression.
Noise comes from a fixed tile shifted by the scene's seed and the frame, so that it is the same on all
devices.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float, UInt8
from numpy import ndarray
from torch import Tensor
from torch.nn.functional import conv2d, pad

from segma.worlds.scene import Degradations, Scene
from segma.worlds.textures import NOISE_TILE, TILE, look_up, noise_tiles

_LUMA = (0.299, 0.587, 0.114)
_VEIL = (0.80, 0.83, 0.86)
_SHOULDER = 0.7


def degrade(
    image: Float[Tensor, "pictures 3 h w"], pairs: Sequence[tuple[Scene, int]]
) -> UInt8[Tensor, "pictures 3 h w"]:
    """The pictures of some (scene, frame) as a camera and a file would give them."""
    grades = [scene.degradations for scene, _ in pairs]
    image = _lit(image, pairs)
    image = _graded(image, grades)
    image = _blurred(image, grades)
    if any(each.vignette for each in grades):
        across, down = _axes(image)
        corner = (across[None, :] ** 2 + down[:, None] ** 2) * 2
        image = image * (1 - _column(image, [each.vignette for each in grades]) * corner)
    image = image.clamp(0, 1)
    if any(each.noise for each in grades):
        image = (image + _noise(image, pairs) * (0.35 + 0.9 * image.sqrt())).clamp(0, 1)
    if any(each.compression for each in grades):
        image = _compressed(image, grades)
    return (image * 255 + 0.5).clamp(0, 255).to(torch.uint8)


def _column(image: Tensor, numbers: Sequence[float]) -> Tensor:
    return torch.tensor(numbers, dtype=torch.float32, device=image.device).view(-1, 1, 1, 1)


def _axes(image: Tensor) -> tuple[Tensor, Tensor]:
    """Across and down, -0.5 to 0.5."""
    height, width = image.shape[-2:]
    across = (torch.arange(width, device=image.device) + 0.5) / width - 0.5
    down = (torch.arange(height, device=image.device) + 0.5) / height - 0.5
    return across, down


def _lit(image: Tensor, pairs: Sequence[tuple[Scene, int]]) -> Tensor:
    """The colour of the light, its falling off to one side, and a spot."""
    lights = [scene.shot(frame).light for scene, frame in pairs]
    colour = torch.tensor([each.colour for each in lights], dtype=torch.float32, device=image.device)
    across, down = _axes(image)
    light = colour[:, :, None, None]
    if any(each.falloff for each in lights):
        toward_x = _column(image, [math.cos(each.angle) * each.falloff for each in lights])
        toward_y = _column(image, [math.sin(each.angle) * each.falloff for each in lights])
        light = light * (1 + toward_x * across + toward_y * down[:, None])
    if any(each.spot[2] > 0 for each in lights):
        x, y, radius = (_column(image, [each.spot[i] for each in lights]) for i in range(3))
        away = ((across - x) ** 2 + (down[:, None] - y) ** 2).sqrt() / radius.clamp_min(1e-3)
        inside = torch.sigmoid((1 - away) * 5)
        light = light * torch.where(radius > 0, 0.22 + 0.95 * inside, 1.0)
    if any(each.dapple > 0 for each in lights):
        light = light * _dapple(image, pairs, _column(image, [each.dapple for each in lights]))
    return image * light


def _dapple(image: Tensor, pairs: Sequence[tuple[Scene, int]], strength: Tensor) -> Tensor:
    """The shade of leaves: where a slow noise is low it is dark, with soft edges."""
    across, down = _axes(image)
    tiles = noise_tiles(str(image.device))
    rows = [np.random.default_rng((s.seed, s.shot(f).start, 6)).uniform(0, 1, 4) for s, f in pairs]
    places = torch.tensor(np.array(rows), dtype=torch.float32, device=image.device)[:, :, None, None]
    fine = 0.3 + 0.9 * places[:, 2]
    u, v = across * fine + places[:, 0], down[:, None] * fine + places[:, 1]
    tile = (places[:, 3] * 3).floor()
    shape = (len(pairs), *image.shape[-2:])
    found = look_up(tiles, tile, u.expand(shape), v.expand(shape))
    return 1 - strength * torch.sigmoid((0.5 - found) * 30)[:, None]


def _graded(image: Tensor, grades: Sequence[Degradations]) -> Tensor:
    haze = _column(image, [each.haze for each in grades])
    veil = torch.tensor(_VEIL, device=image.device)[:, None, None]
    image = image * (1 - haze) + veil * haze
    grey = (image * torch.tensor(_LUMA, device=image.device)[:, None, None]).sum(1, keepdim=True)
    image = torch.lerp(grey, image, _column(image, [each.saturation for each in grades]))
    image = (image - 0.5) * _column(image, [each.contrast for each in grades]) + 0.5
    image = image * _column(image, [each.exposure for each in grades])
    bright = (image - _SHOULDER).clamp_min(0)  # bright places run out slowly, as on film
    return image - bright + (1 - _SHOULDER) * torch.tanh(bright / (1.25 * (1 - _SHOULDER)))


def _blurred(image: Tensor, grades: Sequence[Degradations]) -> Tensor:
    """Defocus and streaks: one kernel for each picture that has any."""
    height, width = image.shape[-2:]
    pixels = math.sqrt(height * width)
    for wanted, build in ((_has_defocus, _defocus_kernels), (_has_streak, _streak_kernels)):
        rows = [i for i, each in enumerate(grades) if wanted(each)]
        if rows:
            kernels = build([grades[i] for i in rows], pixels)
            image = image.clone() if image.requires_grad else image
            image[rows] = _filtered(image[rows], kernels)
    return image


def _has_defocus(grade: Degradations) -> bool:
    return grade.defocus > 0


def _has_streak(grade: Degradations) -> bool:
    return grade.streak != (0.0, 0.0)


def _defocus_kernels(grades: Sequence[Degradations], pixels: float) -> list[ndarray]:
    """Down and across kernels of a round blur."""
    reach = max(1, math.ceil(2.2 * max(each.defocus for each in grades) * pixels))
    place = np.arange(-reach, reach + 1)
    rows = np.stack([np.exp(-0.5 * (place / max(each.defocus * pixels, 0.2)) ** 2) for each in grades])
    rows /= rows.sum(1, keepdims=True)
    return [rows[:, :, None], rows[:, None, :]]


def _streak_kernels(grades: Sequence[Degradations], pixels: float) -> list[ndarray]:
    """One kernel with a line through its middle, at most 21 pixels long."""
    half = max(1, min(10, math.ceil(max(max(map(abs, each.streak)) for each in grades) * pixels / 2)))
    kernels = np.zeros((len(grades), 2 * half + 1, 2 * half + 1))
    for kernel, each in zip(kernels, grades, strict=True):
        for share in np.linspace(-0.5, 0.5, 8 * half):
            x = float(np.clip(each.streak[0] * pixels * share, -half, half - 1e-3)) + half
            y = float(np.clip(each.streak[1] * pixels * share, -half, half - 1e-3)) + half
            column, line = int(x), int(y)
            for dy, dx in ((0, 0), (0, 1), (1, 0), (1, 1)):
                weight = abs(1 - dy - (y - line)) * abs(1 - dx - (x - column))
                kernel[min(line + dy, 2 * half), min(column + dx, 2 * half)] += weight
    return [kernels / kernels.sum((1, 2), keepdims=True)]


def _filtered(image: Tensor, kernels: list[ndarray]) -> Tensor:
    count, _, height, width = image.shape
    for kernel in kernels:
        weight = torch.as_tensor(kernel.astype(np.float32)).to(image.device)
        weight = weight.repeat_interleave(3, 0)[:, None]
        down, across = (each // 2 for each in weight.shape[-2:])
        flat = pad(image.reshape(1, count * 3, height, width), (across, across, down, down), mode="replicate")
        image = conv2d(flat, weight, groups=count * 3).view(count, 3, height, width)
    return image


def _noise(image: Tensor, pairs: Sequence[tuple[Scene, int]]) -> Tensor:
    height, width = image.shape[-2:]
    tile = noise_tiles(str(image.device))[NOISE_TILE * TILE * TILE : (NOISE_TILE + 1) * TILE * TILE]
    shifts = np.stack([np.random.default_rng((s.seed, f, 5)).integers(0, TILE, (3, 2)) for s, f in pairs])
    shift = torch.as_tensor(shifts).to(image.device)
    lines = (torch.arange(height, device=image.device) + shift[:, :, 0, None]) % TILE
    columns = (torch.arange(width, device=image.device) + shift[:, :, 1, None]) % TILE
    where = lines[:, :, :, None] * TILE + columns[:, :, None, :]  # (pictures, 3, h, w)
    noise = tile.index_select(0, where.view(-1)).view_as(image)
    noise = 0.6 * noise + 0.4 * noise.mean(1, keepdim=True)  # grain is partly of all colours alike
    return noise * _column(image, [scene.degradations.noise for scene, _ in pairs])


def _compressed(image: Tensor, grades: Sequence[Degradations]) -> Tensor:
    """Blocks of 8 x 8 rounded in frequency, brightness finer than colour, as a JPEG does."""
    height, width = image.shape[-2:]
    image = pad(image, (0, -width % 8, 0, -height % 8), mode="replicate")
    basis, mixing = _cosines().to(image.device), _colour_axes().to(image.device)
    split = torch.einsum("ij,njhw->nihw", mixing, image)
    count, _, high, wide = split.shape
    blocks = split.view(count, 3, high // 8, 8, wide // 8, 8)
    waves = torch.einsum("ua,ncyaxb,vb->ncyuxv", basis, blocks, basis)
    step = _steps().to(image.device) * _column(image, [each.compression for each in grades])[..., None, None]
    step = step.clamp_min(1 / 255)
    waves = (waves / step).round() * step
    blocks = torch.einsum("ua,ncyuxv,vb->ncyaxb", basis, waves, basis)
    split = blocks.reshape(count, 3, high, wide)
    image = torch.einsum("ij,njhw->nihw", torch.inverse(mixing), split)
    return image[..., :height, :width].clamp(0, 1)


def _cosines() -> Float[Tensor, "8 8"]:
    """The rows of the orthonormal cosine transform of eight samples."""
    order, place = torch.arange(8.0)[:, None], torch.arange(8.0)[None]
    rows = torch.cos(math.pi / 8 * (place + 0.5) * order) * 0.5
    rows[0] *= math.sqrt(0.5)
    return rows


def _colour_axes() -> Float[Tensor, "3 3"]:
    """Brightness and two colour differences."""
    return torch.tensor([_LUMA, (-0.169, -0.331, 0.5), (0.5, -0.419, -0.081)])


def _steps() -> Float[Tensor, "3 1 8 1 8"]:
    """How coarse each frequency is rounded at compression 1: coarser for higher ones, and for colour."""
    order = torch.arange(8.0)
    rise = (order[:, None] + order[None]) ** 1.3
    steps = torch.stack([0.1 + 0.075 * rise, 0.16 + 0.18 * rise, 0.16 + 0.18 * rise])
    return steps[:, None, :, None, :]
