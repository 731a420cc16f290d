"""Pictures seen by a moving camera: windows that pan, zoom, turn and shake, and made pictures to look at.

NumPy and OpenCV. Whatever is random comes from the `numpy.random.Generator` of the caller.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from jaxtyping import Float, UInt8
from numpy import ndarray

Window = tuple[float, float, float, float]
"""x0, y0, width, height of a part of a picture, in pixels; an integer is the edge of a pixel."""

# Blur of a picture that is shrunk, in its own pixels for each pixel that becomes one.
_SHRINK_BLUR = 0.35


def window_matrix(window: Window, size: int, angle: float = 0.0) -> Float[ndarray, "2 3"]:
    """OpenCV's matrix from a picture to the window as a square of `size`, turned by `angle` degrees."""
    x0, y0, width, height = window
    scale_x, scale_y = size / width, size / height
    matrix = np.array([[scale_x, 0, -x0 * scale_x], [0, scale_y, -y0 * scale_y]])
    if angle:
        turn = np.vstack([cv2.getRotationMatrix2D((size / 2, size / 2), angle, 1), [0, 0, 1]])
        matrix = (turn @ np.vstack([matrix, [0, 0, 1]]))[:2]
    # an integer is the middle of a pixel in OpenCV, its edge in the window
    matrix[:, 2] += matrix[:, :2] @ (0.5, 0.5) - 0.5
    return matrix


def camera_path(
    size: tuple[int, int], frames: int, speed: float, random: np.random.Generator
) -> list[tuple[Window, float]]:
    """The window and angle of each frame: slow pan and zoom inside a picture of `size`, at times shaken.

    `speed` is how far the window moves in a frame, at most, as a share of its side.
    """
    height, width = size
    side = min(height, width) * float(random.uniform(0.55, 0.95))
    times = np.arange(frames) - random.uniform(0, frames - 1)
    sides = np.clip(side * np.exp(random.normal(0, 0.3 * speed) * times), 0.3 * side, min(height, width))
    heading = random.uniform(0, 2 * np.pi)
    along = np.array([np.cos(heading), np.sin(heading)]) * speed * side * random.uniform(0, 1) ** 2
    drift = times[:, None] * along + 0.5 * times[:, None] ** 2 * random.normal(0, 0.1 * speed * side, 2)
    if random.random() < 0.2:
        drift = drift + random.normal(0, 0.012 * side, (frames, 2))
    start = random.uniform(0, 1, 2) * (width - side, height - side)
    corners = np.clip(start + drift - (sides[:, None] - side) / 2, 0, (width, height) - sides[:, None])
    angles = (
        random.normal(0, 3) + times * random.normal(0, 15 * speed) if random.random() < 0.5 else 0 * times
    )
    return [
        ((float(x), float(y), float(s), float(s)), float(a))
        for (x, y), s, a in zip(corners, sides, angles, strict=True)
    ]


def seen(
    image: UInt8[ndarray, "height width 3"],
    path: Sequence[tuple[Window, float]],
    size: int,
    *,
    outside: tuple[int, int, int] | None = None,
) -> UInt8[ndarray, "frames size size 3"]:
    """What each window of a path shows; outside the picture that is one colour, or the picture reflected."""
    smallest = min(min(size / window[2], size / window[3]) for window, _ in path)
    if smallest < 0.75:  # warping skips pixels when it shrinks, so blur first
        image = cv2.GaussianBlur(image, (0, 0), _SHRINK_BLUR / smallest)
    border = cv2.BORDER_REFLECT_101 if outside is None else cv2.BORDER_CONSTANT
    shown = [
        cv2.warpAffine(
            image,
            window_matrix(window, size, angle),
            (size, size),
            borderMode=border,
            borderValue=outside or (0, 0, 0),
        )
        for window, angle in path
    ]
    return np.stack(shown)


def made_picture(size: int, random: np.random.Generator) -> UInt8[ndarray, "size size 3"]:
    """A picture of nothing: a gradient under noise that is coarse more than it is fine, in few colours."""
    roughness = float(random.uniform(0.6, 1.6))
    field = np.zeros((size, size), np.float32)
    cells = 2
    while cells < size:
        noise = random.standard_normal((cells, cells), np.float32)
        field += cv2.resize(noise, (size, size), interpolation=cv2.INTER_CUBIC) * cells**-roughness
        cells *= 2
    field /= max(1e-6, float(np.abs(field).max()))
    down, right = random.uniform(-1, 1, 2)
    ramp = np.linspace(-1, 1, size, dtype=np.float32)
    slope = 0.5 * (down * ramp[:, None] + right * ramp[None])
    ends = random.uniform(20, 235, (3, 3))
    if random.random() < 0.75:  # muted: the three colours drawn together
        ends = ends.mean(0) + 0.35 * (ends - ends.mean(0))
    contrast = float(random.uniform(0.2, 0.8))
    position = np.clip(0.5 + contrast * field + slope * random.uniform(0, 0.8), 0, 1)
    if random.random() < 0.2:  # regions rather than clouds
        position = np.floor(position * 4.99) / 4
    made = np.empty((size, size, 3), np.uint8)
    for channel in range(3):
        made[:, :, channel] = np.interp(position, (0, 0.5, 1), ends[:, channel])
    return made
