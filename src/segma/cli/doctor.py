"""`segma doctor`: what works here, and what to install."""

from __future__ import annotations

import os
import platform
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

import typer

from segma.cli.command import command
from segma.cli.console import Console
from segma.cli.exits import DONE, MODEL
from segma.errors import SegmaError

app = typer.Typer(rich_markup_mode=None, add_completion=False)

_ALPHA_ENCODERS = ("prores_ks", "libvpx-vp9")


@dataclass(frozen=True, kw_only=True, slots=True)
class Check:
    """One line: what was looked at, what was found, what to do if it is not fine.

    `is_needed` is false for what segma can do without.
    """

    name: str
    found: str
    ok: bool
    is_needed: bool = True
    hint: str = ""

    def line(self) -> str:
        """For people: "torch 2.13.0 ok (cpu)"."""
        return " ".join(part for part in (self.name, self.found, self.hint and f"- {self.hint}") if part)


@app.command()
@command
def doctor(console: Console) -> int:
    """What works here, and what to install.

    The exit code is 4 when something is broken that segma cannot do without.
    """
    checks = [look() for look in _LOOKS]
    for check in checks:
        console.result(check.line(), asdict(check))
    return DONE if all(check.ok for check in checks if check.is_needed) else MODEL


def check_package(name: str, package: str, module: str) -> Check:
    """Whether a package of the base install is there and can be imported."""
    try:
        found = version(package)
        __import__(module)
    except (PackageNotFoundError, ImportError, OSError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        return Check(name=name, found=f"broken ({reason})", ok=False, hint="pip install --upgrade segma")
    return Check(name=name, found=f"{found} ok", ok=True)


def _python() -> Check:
    return Check(name="python", found=f"{platform.python_version()} ok", ok=True)


def _torch() -> Check:
    check = check_package("torch", "torch", "torch")
    if not check.ok:
        return check
    from segma.runtime import Runtime

    return Check(name="torch", found=f"{check.found} ({Runtime().describe()})", ok=True)


def _matrix_units() -> Check:
    from segma.runtime import has_amx

    found = "ok, bf16 is used" if has_amx() else "not found, fp32 is used on the CPU"
    return Check(name="CPU matrix units (AMX)", found=found, ok=has_amx(), is_needed=False)


def _gpu() -> Check:
    import torch

    if torch.cuda.is_available():
        return Check(name="GPU", found=f"{torch.cuda.get_device_name()} ok", ok=True, is_needed=False)
    if torch.backends.mps.is_available():
        return Check(name="GPU", found="mps ok", ok=True, is_needed=False)
    return Check(name="GPU", found="not found", ok=False, is_needed=False)


def _images() -> Check:
    return check_package("images Pillow", "pillow", "PIL.Image")


def _opencv() -> Check:
    return check_package("images OpenCV", "opencv-python-headless", "cv2")


def _video() -> Check:
    return check_package("video PyAV", "av", "av")


def _alpha_video() -> Check:
    """Whether FFmpeg's encoders for video with alpha are in PyAV."""
    try:
        import av

        missing = [name for name in _ALPHA_ENCODERS if name not in av.codecs_available]
    except ImportError:
        missing = list(_ALPHA_ENCODERS)
    name = f"alpha video ({', '.join(_ALPHA_ENCODERS)})"
    if missing:
        return Check(name=name, found=f"missing {', '.join(missing)}", ok=False, is_needed=False)
    return Check(name=name, found="ok", ok=True, is_needed=False)


def _studio() -> Check:
    missing = [module for module in ("fastapi", "uvicorn", "argon2") if find_spec(module) is None]
    if not missing:
        return Check(name="studio packages", found="ok", ok=True, is_needed=False)
    found = f"missing {', '.join(missing)}"
    hint = 'pip install "segma[studio]"'
    return Check(name="studio packages", found=found, ok=False, is_needed=False, hint=hint)


def _default_model() -> Check:
    from segma.checkpoints.load import load

    try:
        loaded = load("default")
    except SegmaError as error:
        return Check(name="default model", found="broken", ok=False, hint=str(error))
    return Check(name="default model", found=f"ok (sha256 {loaded.weights_hash[:8]}..)", ok=True)


def _cache() -> Check:
    """Whether weights could be kept; nothing is left behind."""
    from segma.checkpoints.hub import cache_folder

    folder = cache_folder()
    try:
        with tempfile.TemporaryFile(dir=_nearest(folder)):
            pass
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else str(error)
        hint = "set SEGMA_CACHE to a folder of your own"
        return Check(
            name="cache",
            found=f"{folder} not writable ({reason.lower()})",
            ok=False,
            is_needed=False,
            hint=hint,
        )
    return Check(name="cache", found=f"{folder} ok", ok=True, is_needed=False)


def _nearest(folder: Path) -> Path:
    """The folder, or the nearest one above it that exists: there it would be made."""
    return next((path for path in (folder, *folder.parents) if path.exists()), folder)


_LOOKS: tuple[Callable[[], Check], ...] = (
    _python,
    _torch,
    _matrix_units,
    _gpu,
    _images,
    _opencv,
    _video,
    _alpha_video,
    _studio,
    _default_model,
    _cache,
)
