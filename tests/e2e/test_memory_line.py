"""A long video does not fill the memory: tracked from file to project, by a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

SETTLED, LAST = 100, 200
# Kept by mistake, the frames would come to 17 MB, and six memories of each to 8 MB.
LIMIT_BYTES = 6_000_000


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="only Linux says what a process holds")
def test_resident_memory_stays_flat_while_six_objects_are_tracked(repository: Path, tmp_path: Path) -> None:
    command = [sys.executable, "benchmarks/memory_line.py", "--variant", "toy", "--threads", "1"]
    command += [
        "--size",
        "180",
        "320",
        "--frames",
        str(LAST + 1),
        "--settled",
        str(SETTLED),
        "--save",
        str(tmp_path),
    ]
    env = {**os.environ, "PYTHONPATH": str(repository / "src")}
    done = subprocess.run(command, cwd=repository, env=env, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stderr
    assert f"{6 * (LAST + 1)} masks are of objects that are there" in done.stdout
    table = json.loads((tmp_path / "memory_line.json").read_text(encoding="utf-8"))["tables"]["memory"]
    held = [table[str(frame)]["resident_bytes"] for frame in (SETTLED, LAST)]
    assert held[0] > 10**8, "a process with torch holds more than that"
    assert held[1] - held[0] < LIMIT_BYTES
