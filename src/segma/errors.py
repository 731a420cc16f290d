"""Every exception of segma.

    SegmaError                      code, message, hint
    |- InputError (ValueError)      a file or array that cannot be read as what it should be
    |- PromptError (ValueError)     a click, box, mask or sentence that cannot be used
    |- FormatError (ValueError)     an annotation file that is broken, or cannot hold what it should
    |- ModelError (RuntimeError)    weights that are missing, broken, unknown or do not fit
    |  `- MisfitError               ... and which tensors do not fit
    |- MemoryLimitError (MemoryError)
    |- MissingExtraError (ImportError)
    |- StoreError (OSError)         a project, cache or output folder that cannot be written
    `- Cancelled                    the caller asked to stop

Every code stands in `CODES`, and the manual explains each (docs/reference/errors.md).
"""

from __future__ import annotations

CODES: dict[str, str] = {
    "input.not_found": "the file or folder does not exist",
    "input.unreadable": "the file is empty, truncated, or no picture",
    "input.too_large": "the file claims more pixels than are accepted",
    "input.outside": "a path leaves the folder that it should stay in",
    "input.network": "an address was given without permission to use the network",
    "input.array": "an array or tensor has a wrong shape, type or range",
    "input.exists": "the output exists and --overwrite was not given",
    "input.no_video": "the file has no moving pictures",
    "input.frame_range": "the video has no frame of this number",
    "input.frame_broken": "the frame is damaged and cannot be decoded",
    "input.gone": "a camera or stream went away",
    "input.value": "an option has a value that makes no sense",
    "prompt.outside": "a prompt lies outside the image",
    "prompt.empty": "nothing says what to include",
    "prompt.syntax": "a prompt could not be parsed",
    "prompt.shape": "coordinates, labels or logits have a wrong shape",
    "prompt.object": "no object of this name, or its prompts contradict each other",
    "prompt.unsupported": "the model cannot use this kind of prompt",
    "format.unknown": "no such annotation format or output kind",
    "format.bad": "an annotation file is broken",
    "format.loss": "a format cannot hold what should be written",
    "model.unknown": "no model of this name",
    "model.mismatch": "tensors are missing, unexpected or misshapen",
    "model.pickle": "a checkpoint holds code besides tensors",
    "model.unreadable": "a checkpoint is empty, truncated or of an unknown kind",
    "model.download": "weights could not be fetched",
    "model.corrupt": "a download does not have the size or hash that the server states",
    "model.task": "a model cannot do what was asked of it",
    "model.device": "a device, precision or engine that is not there",
    "memory.cpu": "not enough main memory",
    "memory.gpu": "not enough GPU memory",
    "db.locked": "a project is open for writing in another process",
    "db.broken": "a project's tables are damaged, foreign, or of a newer segma",
    "db.conflict": "something that is kept would be changed in place, or changes under the hands of a run",
    "job.lost": "a run ended with its process, before it was done",
    "disk.full": "not enough room to write",
    "disk.unwritable": "a file or folder cannot be written",
    "optional.missing": "an optional package is not installed",
    "cancelled": "the caller asked to stop",
}


class SegmaError(Exception):
    """What was found, what was expected (`message`), and what to do (`hint`); `code` is stable."""

    def __init__(self, code: str, message: str, hint: str = "") -> None:
        assert code in CODES, f"undocumented error code {code}"
        super().__init__(code, message, hint)
        self.code = code
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} {self.hint}".rstrip()

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild, (type(self), self.code, self.message, self.hint)


def _rebuild(kind: type[SegmaError], code: str, message: str, hint: str) -> SegmaError:
    """The same error again on the other side of a process border (subclasses have own arguments)."""
    error = kind.__new__(kind, code, message, hint)
    SegmaError.__init__(error, code, message, hint)
    return error


class InputError(SegmaError, ValueError):
    """A file or array that cannot be read as what it should be."""


class PromptError(SegmaError, ValueError):
    """A click, box, mask or sentence that cannot be used."""


class FormatError(SegmaError, ValueError):
    """An annotation file that is broken, or a format that cannot hold what should be written."""


class ModelError(SegmaError, RuntimeError):
    """Weights that are missing, broken, unknown, or do not fit."""


class MisfitError(ModelError):
    """Tensors that do not fit a network, all of them by name.

    `missing` and `unexpected` are names, `misshapen` are (name, shape found, shape expected).
    """

    def __init__(
        self,
        message: str,
        hint: str = "",
        missing: tuple[str, ...] = (),
        unexpected: tuple[str, ...] = (),
        misshapen: tuple[tuple[str, tuple[int, ...], tuple[int, ...]], ...] = (),
    ) -> None:
        super().__init__("model.mismatch", message, hint)
        self.missing = missing
        self.unexpected = unexpected
        self.misshapen = misshapen

    def __reduce__(self) -> tuple[object, ...]:
        lists = (self.missing, self.unexpected, self.misshapen)
        return type(self), (self.message, self.hint, *lists)


class MemoryLimitError(SegmaError, MemoryError):
    """Not enough main or GPU memory."""


class MissingExtraError(SegmaError, ImportError):
    """An optional package is missing; the text ends in the install command."""

    def __init__(self, what: str, extra: str) -> None:
        SegmaError.__init__(
            self, "optional.missing", f"{what} needs extra packages:", f'pip install "segma[{extra}]"'
        )


class StoreError(SegmaError, OSError):
    """A project, cache or output folder that cannot be written."""


class Cancelled(SegmaError):
    """The caller asked to stop; what was finished before is kept."""

    def __init__(self, message: str = "Stopped on request.") -> None:
        super().__init__("cancelled", message)
