"""`load()` -> `Model`, the one thing a user holds: it joins a network with what people do.

Thread rule: one model may be used from many threads; its lock queues the calls.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from jaxtyping import Bool, Float
from numpy import ndarray

from segma.checkpoints.load import LoadedModel
from segma.checkpoints.load import load as load_checkpoint
from segma.engines.catalog import start
from segma.media.image import read_image
from segma.models.interfaces import Promptable
from segma.prompts.types import PromptSet
from segma.results import Prediction
from segma.runtime import Precision, Runtime
from segma.tasks.everything import EverythingConfig, segment_everything
from segma.tasks.segment import ImageSession


def load(
    model: str | Path = "default",
    *,
    device: str = "auto",
    precision: Precision = "auto",
    threads: int | None = None,
    engine: str = "eager",
    on_progress: Callable[[int, int | None], None] | None = None,
) -> Model:
    """A model by name ("default", "sam_vit_b", ...) or by the path of a checkpoint, ready to use.

    `on_progress(bytes done, bytes in all)` hears of a first download. Raises ModelError.

    >>> import segma
    >>> segma.load().name
    'default'
    """
    runtime = Runtime(device=device, precision=precision, threads=threads, engine=engine)
    loaded = load_checkpoint(model, runtime, on_progress=on_progress)
    network = start(cast(Promptable, loaded.module), runtime)  # the catalog's rows satisfy the protocol
    return Model(network=network, facts=loaded, runtime=runtime)


@dataclass(slots=True)
class Model:
    """A network with its tasks. `facts` says where the weights come from; `name` is what was asked for.

    Pictures may be a path, bytes, an open file, a Pillow image, an array (height, width, 3) of RGB uint8, a
    torch tensor, or, with `allow_network=True`, an address.
    """

    network: Promptable
    facts: LoadedModel
    runtime: Runtime
    lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    @property
    def name(self) -> str:
        """The catalog's name, or the file's."""
        return self.facts.name

    @property
    def note(self) -> str:
        """What a user of these weights should know, or ""."""
        return self.facts.note

    def image(self, image: Any, *, allow_network: bool = False) -> ImageSession:  # see the class
        """An image that is encoded once and can be asked often."""
        picture = read_image(image, allow_network=allow_network)
        return ImageSession(self.network, picture, self.runtime, _name(image), self.lock)

    def segment(
        self,
        image: Any,  # see the class
        *,
        points: Sequence[Sequence[float | int]] | ndarray | None = None,
        labels: Sequence[int] | ndarray | None = None,
        box: Sequence[float | int] | ndarray | None = None,
        mask: Bool[ndarray, "height width"] | None = None,
        embedding: Float[ndarray, "n dim"] | None = None,
        candidates: int = 1,
        normalized: bool = False,
        allow_network: bool = False,
    ) -> Prediction:
        """Masks of one object of an image, best first; the arguments are those of `ImageSession.segment`.

        Raises InputError, PromptError, MemoryLimitError.
        """
        if mask is None:  # a prompt that cannot be used is told before the picture is encoded
            PromptSet.of(points=points, labels=labels, box=box, embedding=embedding)
        return self.image(image, allow_network=allow_network).segment(
            points=points,
            labels=labels,
            box=box,
            mask=mask,
            embedding=embedding,
            candidates=candidates,
            normalized=normalized,
        )

    def everything(
        self,
        image: Any,  # see the class
        *,
        config: EverythingConfig | None = None,
        allow_network: bool = False,
        on_progress: Callable[[int, int], None] | None = None,
        cancel: threading.Event | None = None,
        **options: Any,  # the fields of EverythingConfig
    ) -> Prediction:
        """All objects of an image. Options are the fields of `EverythingConfig`.

        Raises InputError, MemoryLimitError, and Cancelled once `cancel` is set.
        """
        settings = config or EverythingConfig(**options)
        picture = read_image(image, allow_network=allow_network)
        with self.lock:
            return segment_everything(
                self.network,
                picture,
                settings,
                runtime=self.runtime,
                source=_name(image),
                on_progress=on_progress,
                cancel=cancel,
            )


def _name(image: Any) -> str:  # anything that read_image takes
    """The file's name, where there is one."""
    if isinstance(image, str | Path):
        return Path(image).name
    name = getattr(image, "filename", None) or getattr(image, "name", None)
    return Path(name).name if isinstance(name, str | Path) else ""
