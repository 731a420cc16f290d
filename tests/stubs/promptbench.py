"""A small data set of the promptbench layout, computed; and the judge of the real one, from ../shared."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType

import numpy as np
from numpy import ndarray
from PIL import Image

from segma.media.image import write_palette

HEIGHT, WIDTH = 60, 80


def disc(x: float, y: float, radius: float, size: tuple[int, int] = (HEIGHT, WIDTH)) -> ndarray:
    rows, columns = np.mgrid[: size[0], : size[1]]
    return (columns - x) ** 2 + (rows - y) ** 2 <= radius**2


def photo(masks: Sequence[ndarray]) -> ndarray:
    """Grey noise with the objects in shades."""
    picture = np.random.default_rng(1).integers(90, 110, (*masks[0].shape, 3)).astype(np.uint8)
    for number, mask in enumerate(masks):
        picture[mask] = (40 + 60 * number, 200 - 50 * number, 30)
    return picture


def write_bench(
    root: Path,
    photos: Mapping[str, Sequence[ndarray]] | None = None,
    clips: Mapping[str, Sequence[ndarray]] | None = None,
    shades: Mapping[int, int] | None = None,
) -> Path:
    """`photos` are masks by name; `clips` are maps of ids by name, each id of one grey."""
    images: list[dict] = []
    videos: list[dict] = []
    for folder in ("images", "masks", "videos"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    for name, masks in (photos or {}).items():
        Image.fromarray(photo(masks)).save(root / "images" / f"{name}.jpg", quality=95)
        for number, mask in enumerate(masks):
            Image.fromarray(mask.astype(np.uint8) * 255).save(root / "masks" / f"{name}_{number}.png")
        objects = [{"k": number, "name": None} for number in range(len(masks))]
        images.append({"id": name, "repo": f"by/{name[0]}", "objects": objects})
    for name, maps in (clips or {}).items():
        (root / "videos" / name).mkdir()
        (root / "masks" / name).mkdir()
        for index, ids in enumerate(maps):
            grey = np.full(ids.shape, 120, np.uint8)
            for number, shade in (shades or {1: 20, 2: 230}).items():
                grey[ids == number] = shade
            frame = Image.fromarray(np.stack([grey] * 3, -1))
            frame.save(root / "videos" / name / f"{index:05d}.jpg", quality=100, subsampling=0)
            write_palette(ids.astype(np.uint8), root / "masks" / name / f"{index:05d}.png")
        annotated = list(range(len(maps)))
        videos.append({"id": name, "repo": "by/clips", "frames": len(maps), "annotated": annotated})
    (root / "index.json").write_text(json.dumps({"images": images, "videos": videos}), encoding="utf-8")
    return root


def load_judge(shared: Path) -> ModuleType:
    return _load(shared / "realdev" / "realbench.py")


def load_adapter(repository: Path) -> ModuleType:
    return _load(repository / "benchmarks" / "realbench_adapter.py")


def _load(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
