from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from stubs.labelled import SIZE

Save = Callable[..., Path]
Shard = Callable[..., Path]


@pytest.fixture
def save(tmp_path: Path) -> Save:
    """Writes a picture of `values` (grey, or an array), a JSON or bytes below the test's folder."""

    def make(name: str, content: Any = 90, **options: Any) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, bytes):
            path.write_bytes(content)
        elif path.suffix == ".json":
            path.write_text(json.dumps(content))
        else:
            array = (
                np.full((*SIZE, 3), content, np.uint8) if isinstance(content, int) else np.asarray(content)
            )
            image = Image.fromarray(array)
            if options.pop("palette", False):
                image.putpalette(bytes(range(256)) * 3)
            image.save(path, **options)
        return path

    return make


@pytest.fixture
def shard(tmp_path: Path) -> Shard:
    """Writes a tar of members by name: bytes, or what is written as JSON."""

    def make(name: str, members: dict[str, Any]) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with tarfile.open(path, "w") as archive:
            for member, content in members.items():
                data = content if isinstance(content, bytes) else json.dumps(content).encode()
                entry = tarfile.TarInfo(member)
                entry.size = len(data)
                archive.addfile(entry, io.BytesIO(data))
        return path

    return make
