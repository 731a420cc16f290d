"""`segma bench`, `segma doctor`, help and the version."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import segma as package
from segma.cli import doctor
from segma.cli.exits import EXIT_CODES, MEANINGS, exit_code
from segma.cli.main import VERBS, VerbGroup
from segma.errors import CODES, SegmaError

Segma = Callable[..., Any]  # conftest's Ended


def test_bench_is_a_table(segma: Segma, toy: Path) -> None:
    done = segma("bench", "--model", toy, "--repeats", 1, "--threads", 1)
    assert done.code == 0
    lines = done.out.splitlines()
    assert lines[0].startswith("toy  cpu, ")
    assert lines[1].split() == ["middle", "best"]
    assert {"encode", "click", "everything,", "peak"} <= {line.split()[0] for line in lines[2:]}


def test_bench_as_json_on_a_picture(segma: Segma, toy: Path, photo: Path) -> None:
    done = segma("bench", photo, "--model", toy, "--repeats", 1, "--json", "-q")
    [data] = done.objects
    assert (data["model"], data["picture"]["width"], done.err) == ("toy", 90, "")
    assert all(row["value"] > 0 for row in data["rows"])
    assert data["machine"]["cores"] >= 1


def test_doctor_has_a_line_a_check(segma: Segma) -> None:
    done = segma("doctor")
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith("python 3.")
    for name in ("torch", "CPU matrix units", "GPU", "images Pillow", "images OpenCV", "video PyAV",
                 "alpha video", "studio packages", "default model", "cache"):  # fmt: skip
        assert sum(line.startswith(name) for line in done.out.splitlines()) == 1


def test_doctor_as_json(segma: Segma) -> None:
    checks = {check["name"]: check for check in segma("doctor", "--json").objects}
    assert checks["torch"]["ok"]
    assert not checks["GPU"]["is_needed"]


def test_doctor_fails_when_something_needed_is_broken(segma: Segma, monkeypatch: pytest.MonkeyPatch) -> None:
    looks = (lambda: doctor.check_package("torch", "no-such-package", "torch"),)
    monkeypatch.setattr(doctor, "_LOOKS", looks)
    done = segma("doctor")
    assert done.code == 4
    assert done.out.startswith("torch broken (")


def test_doctor_finds_a_cache_that_cannot_be_written(
    segma: Segma, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("SEGMA_CACHE", str(tmp_path / "file" / "cache"))
    done = segma("doctor", "--json")
    assert done.code == 0, "segma works without a cache"
    [check] = [check for check in done.objects if check["name"] == "cache"]
    assert (check["ok"], "SEGMA_CACHE" in check["hint"]) == (False, True)


def test_version(segma: Segma) -> None:
    assert segma("--version").out == f"segma {package.__version__}\n"


def test_help_lists_the_verbs(segma: Segma) -> None:
    done = segma("--help")
    assert done.code == 0
    assert [name for name in VERBS if f"\n  {name} " in done.out] == list(VERBS)


@pytest.mark.parametrize("name", VERBS)
def test_the_table_says_of_a_verb_what_its_help_says(segma: Segma, name: str) -> None:
    command = VerbGroup(name="segma").get_command(None, name)
    assert VERBS[name].help.split(":")[0].rstrip(".") in command.help
    assert segma(name, "--help").code == 0


def test_an_unknown_verb(segma: Segma) -> None:
    done = segma("segmnt")
    assert (done.code, done.out) == (2, "")
    assert "segmnt" in done.err


def test_every_error_has_an_exit_code() -> None:
    assert {exit_code(SegmaError(code, "")) for code in CODES} <= MEANINGS.keys()
    families = {code.partition(".")[0] for code in CODES}
    assert EXIT_CODES.keys() <= families | CODES.keys()
