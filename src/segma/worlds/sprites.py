"""Cut-outs of real objects, moving over a background: clips whose truth is perfect and whose pixels are real.

A cut-out is pasted with a soft edge whose colours are its own, not those of the picture it came from; it
takes on some of the light and the blur of the background; noise, blur and compression come over the whole
frame afterwards. So the paste itself tells little about where the object is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Bool, Float, UInt8
from numpy import ndarray

from segma.samples import ImageSample, ObjectSample
from segma.worlds.sprite_paths import SpritePath

# What a cut-out may be: pixels of its longer side, of its area, share of its picture, and share of its
# outline's extent that may lie on the edge of the picture.
_LEAST_SIDE, _LEAST_AREA, _MOST_SHARE, _MOST_ON_EDGE = 24, 200, 0.6, 0.12
# Of its colours: a flat patch is seen to be pasted, and may be one that somebody painted over.
_LEAST_SPREAD = 4.0
# A cut-out is not enlarged further: it would be softer than anything else.
_MOST_SCALE = 1.5


@dataclass(frozen=True, slots=True)
class Sprite:
    """An object without its picture: colours times `alpha`, and alpha (last channel), from 0 to 1."""

    pixels: Float[ndarray, "height width 4"]


@dataclass(frozen=True, slots=True)
class SpriteClip:
    """Frames, and where each sprite is to be seen: what a nearer one covers is not in its mask.

    `contrast` is how much each sprite changes the first frame where it is seen, on average (0 to 255).
    """

    frames: UInt8[ndarray, "frames size size 3"]
    masks: UInt8[ndarray, "sprites frames size size"]
    contrast: Float[ndarray, " sprites"]


def usable(sample: ImageSample) -> tuple[int, ...]:
    """Positions of the objects that may be cut out, as far as boxes and labels tell; nothing is decoded."""
    if sample.loose or sample.picture is None:
        return ()
    return tuple(number for number, each in enumerate(sample.objects) if _may(each, sample.size))


def _may(each: ObjectSample, size: tuple[int, int]) -> bool:
    height, width = each.mask.crop_size
    if each.is_crowd or each.attributes.get("stuff") or each.attributes.get("multi"):
        return False
    at_edge = (each.mask.offset[0] == 0) + (each.mask.offset[1] == 0)
    at_edge += (each.mask.offset[0] + height == size[0]) + (each.mask.offset[1] + width == size[1])
    return max(height, width) >= _LEAST_SIDE and height * width <= size[0] * size[1] and at_edge <= 2


def cut_out(
    image: UInt8[ndarray, "height width 3"], mask: Bool[ndarray, "height width"], random: np.random.Generator
) -> Sprite | None:
    """The object of a mask; None for one too small, too large, flat, or cut off by its picture's edge."""
    solid = mask.astype(np.uint8)
    x, y, w, h = cv2.boundingRect(solid)
    area = cv2.countNonZero(solid)
    on_edge = int(mask[0].sum() + mask[-1].sum() + mask[:, 0].sum() + mask[:, -1].sum())
    if max(w, h) < _LEAST_SIDE or area < _LEAST_AREA or area > _MOST_SHARE * mask.size:
        return None
    if on_edge > _MOST_ON_EDGE * (w + h):
        return None
    if cv2.meanStdDev(image[y : y + h, x : x + w], mask=solid[y : y + h, x : x + w])[1].max() < _LEAST_SPREAD:
        return None
    solid = np.pad(solid[y : y + h, x : x + w], 4)
    part = cv2.copyMakeBorder(image[y : y + h, x : x + w], 4, 4, 4, 4, cv2.BORDER_REPLICATE)
    if min(w, h) >= 32:  # labels are drawn around things, a little of the background with them
        solid = cv2.erode(solid, np.ones((3, 3), np.uint8))
    inner = solid.astype(np.float32)
    colours = part.astype(np.float32)
    # beyond the edge go on with the object's own colours
    weight = cv2.GaussianBlur(inner, (0, 0), 1.5)[:, :, None]
    spread = cv2.GaussianBlur(colours * inner[:, :, None], (0, 0), 1.5) / np.maximum(weight, 1e-3)
    colours = np.where(inner[:, :, None] > 0, colours, spread)
    alpha = cv2.GaussianBlur(inner, (0, 0), float(random.uniform(0.5, 0.9)))[:, :, None]
    return Sprite(np.concatenate([colours * alpha, alpha], 2))


def fitted(sprite: Sprite, side: float | int, random: np.random.Generator) -> tuple[Sprite, float]:
    """The sprite with about `side` pixels of its longer side, perhaps mirrored, and its enlargement."""
    pixels = sprite.pixels
    scale = min(side / max(pixels.shape[:2]), _MOST_SCALE)
    extent = [max(2, round(length * scale)) for length in (pixels.shape[1], pixels.shape[0])]
    pixels = cv2.resize(pixels, extent, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    if random.random() < 0.5:
        pixels = pixels[:, ::-1]
    return Sprite(np.ascontiguousarray(pixels)), scale


def look_alike(sprite: Sprite, random: np.random.Generator) -> Sprite:
    """The same thing once more, mirrored, a little stretched, and of a slightly other colour."""
    pixels = sprite.pixels[:, ::-1]
    extent = [max(2, round(n * random.uniform(0.85, 1.15))) for n in (pixels.shape[1], pixels.shape[0])]
    pixels = cv2.resize(pixels, extent, interpolation=cv2.INTER_LINEAR)
    gain = np.append(random.uniform(0.9, 1.1) * random.uniform(0.94, 1.06, 3), 1).astype(np.float32)
    return Sprite(_valid(pixels * gain))


def matched(
    sprite: Sprite, background: UInt8[ndarray, "height width 3"], blur: float, random: np.random.Generator
) -> Sprite:
    """The sprite in some of the light of a background, softer by `blur` (sigma in pixels; 0 for none)."""
    pixels = sprite.pixels
    alpha = pixels[:, :, 3:]
    solid = (alpha[:, :, 0] > 0.9).astype(np.uint8)
    if solid.any():
        # (3,) each, as float32
        mean, spread, behind, behind_spread = (
            value.astype(np.float32)[:, 0]
            for array, where in ((pixels[:, :, :3], solid), (background, None))
            for value in cv2.meanStdDev(array, mask=where)
        )
        light, tint = random.uniform(0, 0.5), random.uniform(0, 0.25)
        shift = light * (behind.mean() - mean.mean())
        shift = shift + tint * ((behind - behind.mean()) - (mean - mean.mean()))
        gain = float(np.clip((behind_spread.mean() / (spread.mean() + 1e-3)) ** light, 0.7, 1.4))
        colours = (pixels[:, :, :3] - mean * alpha) * gain + (mean + shift).astype(np.float32) * alpha
        pixels = _valid(np.concatenate([colours, alpha], 2))
    if blur > 0.2:
        edge = int(np.ceil(2 * blur))
        pixels = cv2.copyMakeBorder(pixels, edge, edge, edge, edge, cv2.BORDER_CONSTANT, value=(0, 0, 0, 0))
        pixels = cv2.GaussianBlur(pixels, (0, 0), blur)
    return Sprite(pixels)


def _valid(pixels: Float[ndarray, "height width 4"]) -> Float[ndarray, "height width 4"]:
    """Colours between nothing and full, for their alpha."""
    return np.concatenate([np.clip(pixels[:, :, :3], 0, 255 * pixels[:, :, 3:]), pixels[:, :, 3:]], 2)


def composed(
    background: UInt8[ndarray, "frames size size 3"],
    sprites: Sequence[Sprite],
    paths: Sequence[SpritePath],
    *,
    shutter: float = 0.0,
    shadow: float = 0.0,
) -> SpriteClip:
    """The sprites on their paths over a background, the last one nearest.

    `shutter` is the share of the time between two frames in which a moving thing smears (its mask is where
    it is in the middle of that time); `shadow` how dark a soft shadow is, 0 for none.
    """
    count, size = background.shape[:2]
    frames = np.empty_like(background)
    masks = np.zeros((len(sprites), count, size, size), np.uint8)
    for time in range(count):
        canvas = background[time].astype(np.float32)
        visible = np.zeros((len(sprites), size, size), np.float32)
        for number, (sprite, path) in enumerate(zip(sprites, paths, strict=True)):
            _paste(canvas, visible, number, sprite, path, time, shutter, shadow)
        frames[time] = np.clip(canvas + 0.5, 0, 255).astype(np.uint8)
        masks[:, time] = visible > 0.5
    change = np.abs(frames[0].astype(np.float32) - background[0]).mean(2)
    contrast = [float(change[mask > 0].mean()) if mask.any() else 0.0 for mask in masks[:, 0]]
    return SpriteClip(frames, masks, np.array(contrast))


def _paste(
    canvas: Float[ndarray, "size size 3"],
    visible: Float[ndarray, "sprites size size"],
    number: int,
    sprite: Sprite,
    path: SpritePath,
    time: int,
    shutter: float,
    shadow: float,
) -> None:
    """Draw one sprite on what is behind it, and take from the others what it covers."""
    smear = path.velocity[time] * shutter
    smear = smear * min(1.0, 24 / max(1e-6, float(np.hypot(*smear))))
    reach = int(np.ceil(np.abs(smear).max() / 2)) + 1
    found = _placed(sprite, path, time, canvas.shape[0], reach)
    if found is None:
        return
    (x0, y0, x1, y1), patch = found
    truth = patch[:, :, 3]
    visible[:number, y0:y1, x0:x1] *= 1 - truth
    visible[number, y0:y1, x0:x1] = truth
    if np.hypot(*smear) > 1.5:
        patch = cv2.filter2D(patch, -1, _streak(smear), borderType=cv2.BORDER_CONSTANT)
    if shadow:
        _darken(canvas, (x0, y0, x1, y1), patch[:, :, 3], shadow)
    behind = canvas[y0:y1, x0:x1]
    behind *= 1 - patch[:, :, 3:]
    behind += patch[:, :, :3]


def _placed(
    sprite: Sprite, path: SpritePath, time: int, size: int, reach: int
) -> tuple[tuple[int, int, int, int], Float[ndarray, "rows columns 4"]] | None:
    """The part of the frame that a sprite may touch, and its pixels there; None where it is outside."""
    height, width = sprite.pixels.shape[:2]
    angle, scale = np.deg2rad(path.angle[time]), path.scale[time]
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    half = np.abs(turn) @ (width / 2, height / 2) * scale + path.bend * max(width, height) * scale + reach
    low = np.maximum(np.floor(path.xy[time] - half), 0).astype(int)
    high = np.minimum(np.ceil(path.xy[time] + half), size).astype(int)
    if (high <= low).any():
        return None
    x0, y0, x1, y1 = int(low[0]), int(low[1]), int(high[0]), int(high[1])
    columns = np.arange(x0, x1, dtype=np.float32) - np.float32(path.xy[time, 0] - 0.5)
    rows = np.arange(y0, y1, dtype=np.float32)[:, None] - np.float32(path.xy[time, 1] - 0.5)
    # from the sprite's middle, in its own pixels
    cos, sin = (np.float32(value / scale) for value in (np.cos(angle), np.sin(angle)))
    x, y = cos * columns + sin * rows, cos * rows - sin * columns
    if path.bend:
        side = max(width, height)
        pace, phase = np.float32(2 * np.pi * path.bend_frequency / side), np.float32(path.bend_phase[time])
        swing = np.float32(path.bend * side)
        x, y = x + swing * np.sin(pace * y + phase), y + swing * np.sin(pace * x + phase)
    x, y = x + np.float32(width / 2 - 0.5), y + np.float32(height / 2 - 0.5)
    patch = cv2.remap(sprite.pixels, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)
    return (x0, y0, x1, y1), patch


def _streak(smear: Float[ndarray, " 2"]) -> Float[ndarray, "k k"]:
    """The kernel that smears along a way, in pixels."""
    side = 2 * int(np.ceil(np.abs(smear).max() / 2)) + 1
    middle = side / 2 - 0.5
    kernel = np.zeros((side, side), np.float32)
    along = np.round(middle + np.linspace(-0.5, 0.5, 4 * side)[:, None] * smear).astype(int)
    np.add.at(kernel, (along[:, 1], along[:, 0]), 1)
    return kernel / kernel.sum()


def _darken(
    canvas: Float[ndarray, "size size 3"],
    box: tuple[int, int, int, int],
    alpha: Float[ndarray, "rows columns"],
    shadow: float,
) -> None:
    """A soft shadow a little below and beside the sprite."""
    x0, y0, x1, y1 = box
    shift = max(2, (y1 - y0) // 12)
    y2, x2 = min(canvas.shape[0], y1 + shift), min(canvas.shape[1], x1 + shift // 2)
    shade = np.zeros((y2 - y0, x2 - x0), np.float32)
    down, right = min(shift, y2 - y0), min(shift // 2, x2 - x0)
    part = alpha[: y2 - y0 - down, : x2 - x0 - right]
    shade[down : down + part.shape[0], right : right + part.shape[1]] = part
    shade = cv2.GaussianBlur(shade, (0, 0), max(1.0, 0.6 * shift), borderType=cv2.BORDER_CONSTANT)
    canvas[y0:y2, x0:x2] *= 1 - shadow * shade[:, :, None]


def filmed(
    frames: UInt8[ndarray, "frames size size 3"], random: np.random.Generator
) -> UInt8[ndarray, "frames size size 3"]:
    """The frames as one camera would give them: a common blur, fresh noise, compression, each sometimes."""
    blur = float(random.uniform(0.3, 0.9)) if random.random() < 0.5 else 0.0
    noise = float(random.uniform(1, 6)) if random.random() < 0.6 else 0.0
    quality = int(random.integers(45, 92)) if random.random() < 0.6 else 0
    size = frames.shape[1]
    grain = noise * random.standard_normal((size + 32, size + 32, 3), np.float32) if noise else None
    made = np.empty_like(frames)
    for image, out in zip(frames, made, strict=True):
        out[...] = cv2.GaussianBlur(image, (0, 0), blur) if blur else image
        if grain is not None:
            y, x = random.integers(0, 33, 2)
            out[...] = np.clip(out + grain[y : y + size, x : x + size], 0, 255)
        if quality:
            data = cv2.imencode(".jpg", out, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
            decoded = cv2.imdecode(data, cv2.IMREAD_COLOR)
            assert decoded is not None
            out[...] = decoded
    return made
