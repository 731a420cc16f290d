"""The Python of README.md runs as it stands, in a folder with the sample images."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

Run = Callable[..., subprocess.CompletedProcess[str]]
ROOT = Path(__file__).resolve().parents[2]
BLOCK = re.compile(r"^```python\n(.*?)^```", flags=re.MULTILINE | re.DOTALL)
NO_BLOCK = pytest.param("", marks=pytest.mark.skip(reason="README.md has no python block"))


def blocks() -> list[str]:
    readme = ROOT / "README.md"
    return BLOCK.findall(readme.read_text(encoding="utf-8")) if readme.exists() else []


@pytest.mark.parametrize(
    "block", blocks() or [NO_BLOCK], ids=lambda block: f"line:{block.partition(chr(10))[0]}"
)
def test_python_of_the_readme_runs(run_python: Run, tmp_path: Path, block: str) -> None:
    for sample in (ROOT / "src" / "segma" / "samples_data").iterdir():
        shutil.copy(sample, tmp_path)
    done = run_python("-c", block, cwd=tmp_path)
    assert done.returncode == 0, f"{block}\n{done.stderr}"
