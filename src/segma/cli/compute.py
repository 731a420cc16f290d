"""Which model, and where it runs: the options, and the model loaded when it is first needed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from segma.cli.console import Console
from segma.cli.progress import Bar
from segma.engines.catalog import ENGINES
from segma.models.catalog import check_task

if TYPE_CHECKING:
    from segma.api import Model as Segmenter


class Precision(StrEnum):
    """What the encoder computes in."""

    AUTO = "auto"
    FP32 = "fp32"
    BF16 = "bf16"
    FP16 = "fp16"


def _known_engine(name: str) -> str:
    if name not in ENGINES:
        raise typer.BadParameter(f'there is no engine "{name}"; there are {", ".join(ENGINES)}')
    return name


@dataclass(frozen=True, kw_only=True, slots=True)
class Compute:
    """Options of every verb that runs a network."""

    model: Annotated[
        str,
        typer.Option("--model", "-m", metavar="NAME|FILE", help='A name of "segma model list", or a file.'),
    ] = "default"
    device: Annotated[
        str, typer.Option("--device", metavar="NAME", help="auto, cpu, cuda, cuda:N or mps.")
    ] = "auto"
    precision: Annotated[
        Precision,
        typer.Option(
            "--precision",
            metavar="|".join(Precision),
            help="auto is bf16 where the machine has units for it.",
        ),
    ] = Precision.AUTO
    threads: Annotated[
        int | None,
        typer.Option("--threads", metavar="N", min=1, help="Threads of the CPU; torch's own choice without."),
    ] = None
    engine: Annotated[
        str,
        typer.Option(
            "--engine", metavar="|".join(ENGINES), callback=_known_engine, help="What runs the network."
        ),
    ] = "eager"

    def load(
        self, on_progress: Callable[[int, int | None], None] | None = None, *, task: str = "segment"
    ) -> Segmenter:
        """The model.

        Raises ModelError, before anything is fetched where it is not for `task`, and InputError for a file
        that is not there.
        """
        from segma.api import load

        check_task(self.model, task)
        return load(
            self.model,
            device=self.device,
            precision=self.precision.value,
            threads=self.threads,
            engine=self.engine,
            on_progress=on_progress,
        )


@dataclass(slots=True)
class LazyModel:
    """A model that is loaded when it is first asked for, so that cheap errors come before that.

    `is_broken` is true once loading has failed: then no item can succeed.
    """

    compute: Compute
    console: Console
    is_broken: bool = False
    _model: Segmenter | None = field(default=None, repr=False)

    def get(self) -> Segmenter:
        """The model; its note, if it has one, is told the first time. Raises as `Compute.load`."""
        if self._model is None:
            self.is_broken = True
            with Bar("fetching weights", quiet=self.console.quiet) as bar:
                self._model = self.compute.load(bar.update)
            self.is_broken = False
            if self._model.note:
                self.console.note(f"note: {self._model.name}: {self._model.note}")
        return self._model

    def describe(self) -> str:
        """Device and name: "cpu, default"."""
        model = self.get()
        return f"{model.runtime.torch_device}, {model.name}"
