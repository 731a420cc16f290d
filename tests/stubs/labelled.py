"""Small labelled pictures, shards and folders, as tests of data sets need them."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from PIL import Image

from segma.masks.mask import Mask

SIZE = (6, 8)


def square(top: int, left: int, side: int = 2, size: tuple[int, int] = SIZE) -> np.ndarray:
    mask = np.zeros(size, bool)
    mask[top : top + side, left : left + side] = True
    return mask


def rle(mask: np.ndarray) -> dict[str, Any]:
    return dict(Mask.from_dense(mask).to_coco())


def picture_bytes(size: tuple[int, int] = SIZE, suffix: str = "PNG", value: int = 90) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(np.full((*size, 3), value, np.uint8)).save(stream, suffix)
    return stream.getvalue()


def photo(*objects: Any, **more: Any) -> dict[str, Any]:
    return {"source": "made", "ident": "one", "width": 8, "height": 6, "objects": list(objects), **more}


def thing(mask: np.ndarray, **more: Any) -> dict[str, Any]:
    return {"name": "cup", "area": int(mask.sum()), "segmentation": rle(mask), **more}
