"""Pickled checkpoints (.pt, .pth, .bin, .ckpt), read as tensors without running what they ask for.

A pickle names the functions that it wants called. First all those names are collected without following
any (`foreign_globals`), and the file is refused when one is not in the closed list below; then torch
reads it with `weights_only`, which enforces a list of its own.

One class of this list is not in torch's: `argparse.Namespace`, in which training programs keep their
arguments. It is a bag of values: making one calls nothing but itself, whatever is in it.
"""

from __future__ import annotations

import argparse
import io
import mmap
import pickletools
import threading
import zipfile
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, cast

import torch

from segma.errors import ModelError

# Both read like a file, and never more than there is, whatever length a pickle claims.
Stream = io.BytesIO | mmap.mmap

_ALLOWED = frozenset(
    {
        "_codecs.encode",
        "argparse.Namespace",
        "builtins.bytearray",
        "builtins.complex",
        "builtins.set",
        "collections.Counter",
        "collections.OrderedDict",
        "torch.Size",
        "torch.Tensor",
        "torch._utils._rebuild_parameter",
        "torch._utils._rebuild_tensor",
        "torch._utils._rebuild_tensor_v2",
        "torch._utils._rebuild_tensor_v3",
        "torch.device",
        "torch.nn.parameter.Parameter",
        "torch.serialization._get_layout",
        "torch.storage.UntypedStorage",
    }
)
_NUMBERS = (
    *("Double", "Float", "Half", "BFloat16", "Long", "Int", "Short", "Char", "Byte", "Bool"),
    *("ComplexFloat", "ComplexDouble"),
)
_STORAGES = frozenset(f"torch.{number}Storage" for number in _NUMBERS)
_DTYPES = frozenset(str(value) for value in vars(torch).values() if isinstance(value, torch.dtype))
# A pickle stores the module that defines a function; people know it by the one they import.
_KNOWN_AS = {"posix": "os", "nt": "os", "__builtin__": "builtins", "copy_reg": "copyreg"}
# What torch is told to allow holds for the whole process: only one thread may change it.
_ALLOWING = threading.Lock()
# torch wrote files of this form before 1.6: this many pickles, then raw numbers.
_LEGACY_PICKLES = 4


def read_pickled(path: Path) -> object:
    """Whatever the file holds, on the CPU, memory-mapped where the file allows.

    Raises `ModelError`: model.pickle names what was asked for besides tensors, model.unreadable says
    that the file is cut short or no checkpoint.
    """
    is_zip = zipfile.is_zipfile(path)
    foreign = _foreign_in_zip(path) if is_zip else _foreign_in_legacy(path)
    if foreign:
        raise _refused(path, foreign[0])
    # torch takes any path with this suffix for a safetensors file, whatever is in it
    by_path = is_zip and path.suffix != ".safetensors"
    try:
        # nothing in here may run code, so any exception means the same: this is no checkpoint
        if by_path:
            with _with_namespaces():
                return torch.load(path, map_location="cpu", weights_only=True, mmap=True)
        with path.open("rb") as file, _with_namespaces():
            return torch.load(file, map_location="cpu", weights_only=True)
    except MemoryError:
        raise
    except Exception as error:
        raise ModelError(
            "model.unreadable", f"{path}: cut short, or no checkpoint ({type(error).__name__})."
        ) from error


@contextmanager
def _with_namespaces() -> Generator[None]:
    """Let torch read `argparse.Namespace`, unless the user lets it anyway."""
    with _ALLOWING:
        allowed = cast("list[object]", torch.serialization.get_safe_globals())  # pyright: ignore[reportUnknownMemberType]: its functions have unknown types
        if argparse.Namespace in allowed:
            yield
            return
        with torch.serialization.safe_globals([argparse.Namespace]):
            yield


def foreign_globals(stream: Stream) -> list[str]:
    """Names of the functions and classes that one pickle asks for and that are not in the closed list.

    Nothing is imported or called. `ValueError` when the stream is no pickle.
    """
    names = (f"{_KNOWN_AS.get(module, module)}.{name}" for module, name in _globals(stream))
    return [name for name in names if name not in _ALLOWED | _STORAGES | _DTYPES]


def _globals(stream: Stream) -> Iterator[tuple[str, str]]:
    """(module, name) of every GLOBAL and STACK_GLOBAL, following strings through the memo."""
    strings: list[str] = []
    memo: dict[int, str] = {}
    latest: object = None
    for opcode, argument, _ in pickletools.genops(cast("IO[bytes]", stream)):
        match opcode.name:
            case "GLOBAL" | "INST":
                module, _, name = str(argument).partition(" ")
                yield module, name
            case "STACK_GLOBAL":
                module, name = ["?", "?", *strings][-2:]
                yield module, name
            case "MEMOIZE":
                memo[len(memo)] = str(latest)
            case "PUT" | "BINPUT" | "LONG_BINPUT":
                memo[int(cast("int", argument))] = str(latest)  # these opcodes carry a number
            case "GET" | "BINGET" | "LONG_BINGET":
                latest = memo.get(int(cast("int", argument)), "?")
                strings.append(str(latest))
            case _:
                latest = argument
                if isinstance(argument, str):
                    strings.append(argument)


def _foreign_in_zip(path: Path) -> list[str]:
    try:
        with zipfile.ZipFile(path) as archive:
            infos = archive.infolist()
            names = [info.filename for info in infos]
            if any(name.endswith("/constants.pkl") for name in names):
                raise _refused(path, "a TorchScript program")
            pickles = [name for name in names if name == "data.pkl" or name.endswith("/data.pkl")]
            if len(pickles) != 1:
                raise ModelError("model.unreadable", f"{path}: a zip archive, but no checkpoint.")
            if any(info.compress_type != zipfile.ZIP_STORED for info in infos):
                raise ModelError("model.unreadable", f"{path}: a compressed archive, but no checkpoint.")
            return foreign_globals(io.BytesIO(archive.read(pickles[0])))
    except (zipfile.BadZipFile, ValueError, EOFError) as error:
        raise ModelError("model.unreadable", f"{path}: a damaged archive, fetch it again.") from error


def _foreign_in_legacy(path: Path) -> list[str]:
    found: list[str] = []
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        for _ in range(_LEGACY_PICKLES):
            try:
                found.extend(foreign_globals(data))
            except (ValueError, IndexError, UnicodeDecodeError):
                break  # raw numbers, or no pickle at all; torch will say
            if found:
                break
    return found


def _refused(path: Path, what: str) -> ModelError:
    return ModelError(
        "model.pickle",
        f"{path.name} holds code besides tensors ({what}); refused.",
        "Convert it in a sandbox or use safetensors.",
    )
