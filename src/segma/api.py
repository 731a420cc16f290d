"""`load()` -> `Model`, the one thing a user holds: it joins a network with what people do.

Thread rule: one model may be used from many threads; its lock queues the calls.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from jaxtyping import Bool, Float, UInt8
from numpy import ndarray

from segma.checkpoints.load import LoadedModel
from segma.checkpoints.load import load as load_checkpoint
from segma.checkpoints.pairing import USUAL, tokenizer_for
from segma.engines.catalog import start
from segma.errors import ModelError
from segma.formats.codes import CodeHeader
from segma.live_tracker import LiveTracker
from segma.media.files import name_of
from segma.media.footage import Footage, open_footage
from segma.media.image import read_image
from segma.media.source import open_source
from segma.models.catalog import MODELS, wrong_task
from segma.models.enhancing import Enhances
from segma.models.interfaces import Generator, Promptable, VisualTokenizer, WithMemory
from segma.prompts.types import PromptSet
from segma.results import CodeGrid, Prediction
from segma.runtime import Precision, Runtime
from segma.tasks import tokenize
from segma.tasks.enhance import Enhancement
from segma.tasks.everything import EverythingConfig, segment_everything, usual_config
from segma.tasks.generate import generate
from segma.tasks.maker import Maker
from segma.tasks.segment import ImageSession, usual_session
from segma.tasks.track_config import TrackConfig
from segma.tracker import Tracker
from segma.tracker_projects import MadeBy, tracker_of

_log = logging.getLogger(__name__)


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
    network: object = loaded.module
    if isinstance(network, Promptable):
        network = start(network, runtime)
    elif engine != "eager":
        raise ModelError(
            "model.device", f"The engine {engine} runs models that segment, and {loaded.name} is none."
        )
    return Model(network=network, facts=loaded, runtime=runtime)


@dataclass(slots=True)
class Model:
    """A network with its tasks. `facts` says where the weights come from; `name` is what was asked for.

    What a network cannot do raises ModelError `model.task`: some segment, some turn pictures into codes.
    Pictures may be a path, bytes, an open file, a Pillow image, an array (height, width, 3) of RGB uint8, a
    torch tensor, or, with `allow_network=True`, an address.
    """

    network: object
    """Asked for as what it can do: `promptable`, `with_memory`, `tokenizer`."""
    facts: LoadedModel
    runtime: Runtime
    lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    @property
    def name(self) -> str:
        """The catalog's name, or the file's."""
        return self.facts.name

    @property
    def _hash(self) -> str:
        """The hash of the weights, "" where they are of no file."""
        return self.facts.weights_hash if self.facts.files else ""

    @property
    def note(self) -> str:
        """What a user of these weights should know, or ""."""
        return self.facts.note

    def promptable(self) -> Promptable:
        """The network, if it can be asked for masks. Raises ModelError `model.task` if not."""
        if not isinstance(self.network, Promptable):
            raise wrong_task(self.name, "segment", "default")
        return self.network

    def tokenizer(self) -> VisualTokenizer:
        """The network, if it makes codes of pictures. Raises ModelError `model.task` if not."""
        if not isinstance(self.network, VisualTokenizer):
            raise wrong_task(self.name, "tokens")
        return self.network

    def with_memory(self) -> WithMemory:
        """The network, if it can follow objects through video. Raises ModelError `model.task` if not."""
        self.promptable()
        if not isinstance(self.network, WithMemory):
            raise ModelError(
                "model.task",
                f"{self.name} is for images: it has no memory to follow objects with.",
                "Choose a SAM 2 model, for example --model sam2.1_hiera_t.",
            )
        return self.network

    def made_by(self) -> MadeBy:
        """What a project is told of this model. Raises ModelError `model.task` where it cannot track."""
        unnamed = self.facts.files and self.name not in MODELS
        return MadeBy(
            network=self.with_memory(),
            runtime=self.runtime,
            name=self.name,
            origin=str(self.facts.files[0].resolve()) if unnamed else self.name,
            weights_hash=self.facts.weights_hash,
        )

    def track(self, source: Any, **options: Any) -> Tracker:  # see `segma.track`
        """A video to point at things in and follow them; the arguments are those of `segma.track`."""
        return track(source, model=self, **options)

    def image(self, image: Any, *, allow_network: bool = False) -> ImageSession:  # see the class
        """An image that is encoded once and can be asked often."""
        network = self.promptable()
        picture = read_image(image, allow_network=allow_network)
        return usual_session(network, picture, self.runtime, name_of(image), self.lock)

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
            points=points, labels=labels, box=box, mask=mask, embedding=embedding, candidates=candidates,
            normalized=normalized,
        )  # fmt: skip

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
        """All objects of an image. Options are the fields of `EverythingConfig`, else the model's usual ones.

        Raises InputError, MemoryLimitError, and Cancelled once `cancel` is set.
        """
        network = self.promptable()
        settings = config or replace(usual_config(network.input_spec), **options)
        picture = read_image(image, allow_network=allow_network)
        with self.lock:
            return segment_everything(
                network, picture, settings, runtime=self.runtime, source=name_of(image),
                on_progress=on_progress, cancel=cancel,
            )  # fmt: skip

    def encode(
        self,
        source: Any,  # whatever media.footage.open_footage takes
        *,
        longest_side: int | None = None,
        frames: tuple[int, int] | None = None,
        fps: float | int | None = None,
        latents: bool = False,
        allow_network: bool = False,
        on_progress: Callable[[int, int | None], None] | None = None,
        cancel: threading.Event | None = None,
    ) -> CodeGrid:
        """The codes of a picture, or of a clip: an array of four axes, a video file, a folder of frames.

        Of a model without codes, or with `latents` of one that has both, they are latents.

        Pictures larger than `longest_side` are made smaller first; `frames` (first, last) are a part of a
        video; `fps` is that of arrays and folders (else 24). A video whose codes do not fit into memory goes
        through `tasks.tokenize.encode_groups`. Raises InputError, ModelError, MemoryLimitError, and
        Cancelled once `cancel` is set.
        """
        network = self.tokenizer()
        footage = open_footage(
            source, longest_side=longest_side, frames=frames, fps=fps, allow_network=allow_network
        )
        with closing(footage), self.lock:
            header = self.code_header(footage, latents=latents)
            watch: dict[str, Any] = {"on_progress": on_progress, "cancel": cancel}
            return tokenize.encode(network, footage.frames(), header, runtime=self.runtime, **watch)

    def code_header(self, footage: Footage, *, latents: bool = False) -> CodeHeader:
        """What a file of codes says before them. Raises ModelError `model.task`."""
        return tokenize.header_for(
            self.tokenizer(),
            footage.size,
            fps=footage.fps,
            latents=latents,
            model=self.name,
            weights=self._hash,
        )

    def decode(
        self,
        grid: CodeGrid | str | Path,
        *,
        on_progress: Callable[[int, int | None], None] | None = None,
        cancel: threading.Event | None = None,
    ) -> UInt8[ndarray, "*frames height width 3"]:
        """The picture of codes, (height, width, 3), or the clip, (frames, height, width, 3); or of a file.

        Raises ModelError `model.task` for codes of another model, FormatError for a broken file,
        MemoryLimitError, and Cancelled once `cancel` is set.
        """
        network = self.tokenizer()
        codes = grid if isinstance(grid, CodeGrid) else CodeGrid.load(grid)
        self.check_origin(codes.header)
        with self.lock:
            return tokenize.decode(
                network, codes, runtime=self.runtime, on_progress=on_progress, cancel=cancel
            )

    def maker(self, tokenizer: Model | None = None) -> Maker:
        """With a tokenizer (None: the one in its own file, or the usual one). Raises ModelError."""
        if not isinstance(self.network, Generator):
            raise wrong_task(self.name, "generate")
        if tokenizer is None:
            facts = tokenizer_for(self.facts, self.network.generator_spec, self.runtime)
            tokenizer = Model(network=facts.module, facts=facts, runtime=self.runtime)
        return Maker(
            generator=self.network,
            tokenizer=tokenizer.tokenizer(),
            runtime=self.runtime,
            name=tokenizer.name,
            weights=tokenizer._hash,
            variant=self.facts.variant,
        )

    def generate(
        self,
        label: int | str | None = None,
        *,
        tokenizer: Model | None = None,
        **options: Any,  # of `tasks.generate.generate`
    ) -> list[UInt8[ndarray, "*frames height width 3"]]:
        """Pictures or clips of a class, by number or name. Mark what you write of them: `media.provenance`.

        Options: `count`, `num_frames`, `frames` (to go on from), `mask` (the shape of the thing, booleans of
        any size), `config`, `seed`, `batch`, `on_progress`, `cancel`. Raises InputError, ModelError,
        MemoryLimitError, Cancelled.
        """
        with self.lock:
            return generate(self.maker(tokenizer), label, **options)

    def enhancement(self, scale: int = 2, *, tokenizer: Model | None = None) -> Enhancement:
        """For many pictures or a clip, with a tokenizer (None: the usual one). Raises as `enhance`."""
        if not isinstance(self.network, Enhances):
            raise wrong_task(self.name, "enhance", "enhancer")
        if tokenizer is None:
            facts = load_checkpoint(USUAL, self.runtime)
            tokenizer = Model(network=facts.module, facts=facts, runtime=self.runtime)
        eyes, weights = tokenizer.tokenizer(), tokenizer._hash
        return Enhancement(
            network=self.network, tokenizer=eyes, scale=scale, runtime=self.runtime, weights=weights
        )

    def enhance(
        self,
        image: Any,  # see the class
        *,
        scale: int = 2,
        tokenizer: Model | None = None,
        allow_network: bool = False,
        on_progress: Callable[[int, int | None], None] | None = None,
        cancel: threading.Event | None = None,
    ) -> UInt8[ndarray, "height width 3"]:
        """The picture, `scale` times larger. Mark what you write of it: `media.provenance`.

        Raises InputError for a scale that the network lacks, ModelError, MemoryLimitError, Cancelled.
        """
        work = self.enhancement(scale, tokenizer=tokenizer)
        picture = read_image(image, allow_network=allow_network)
        with self.lock:
            return work.picture(picture, on_progress, cancel)

    def check_origin(self, header: CodeHeader) -> None:
        """Raises ModelError `model.task` where codes do not fit the network; warns of other weights."""
        tokenize.check_fits(self.tokenizer().code_spec, header)
        if header.weights and self._hash not in ("", header.weights):
            _log.warning("the codes were made with other weights than those of %s", self.name)


def track(
    source: Any,  # whatever media.source.open_source takes, or a project folder
    *,
    model: str | Path | Model | None = None,
    project: str | Path | None = None,
    config: TrackConfig | None = None,
    allow_network: bool = False,
    overwrite: bool = False,
    device: str = "auto",
    precision: Precision = "auto",
    threads: int | None = None,
    engine: str = "eager",
    **options: Any,  # the fields of TrackConfig
) -> Tracker:
    """A video to point at things in and follow them; or, for a folder *.segma, one that was begun earlier.

    `source` is a video file, a folder of frames, an array (frames, height, width, 3) or anything else with
    frames. Masks are kept in the folder `project` (*.segma), or in a temporary one until `save`. `model` is a
    name, a checkpoint or a loaded `Model`; None is the project's own, or "default". Options are the fields of
    `TrackConfig`. Raises InputError, ModelError, StoreError.
    """

    def made_by(named: str | None) -> MadeBy:
        name = model or named or "default"
        if isinstance(name, Model):
            return name.made_by()
        return load(name, device=device, precision=precision, threads=threads, engine=engine).made_by()

    chosen = config or TrackConfig(**options)
    return tracker_of(
        source, made_by, chosen, project=project, allow_network=allow_network, overwrite=overwrite
    )


def stream(
    source: Any,  # whatever media.source.open_source takes
    *,
    model: str | Path | Model = "default",
    objects: Mapping[str, Mapping[str, Any]] | None = None,
    config: TrackConfig | None = None,
    reconnect_seconds: float | int = 0,
    allow_network: bool = True,
    device: str = "auto",
    precision: Precision = "auto",
    threads: int | None = None,
    engine: str = "eager",
    **options: Any,  # the fields of TrackConfig
) -> LiveTracker:
    """A camera, address or pipe, frame by frame, in bounded memory, without end.

    `objects` are prompted on the first frame: name -> `points`, `labels`, `box` or `mask`. Iterate to get a
    `TrackFrame` a frame. After a cut, objects are looked for again, unless `cuts` says otherwise.
    Raises InputError, ModelError.

    >>> import numpy as np
    >>> import segma
    >>> clip = np.zeros((3, 64, 64, 3), np.uint8)
    >>> [frame.index for frame in segma.stream(clip, objects={"it": {"points": [(5, 5)]}})]
    [0, 1, 2]
    """
    loaded = (
        model
        if isinstance(model, Model)
        else load(model, device=device, precision=precision, threads=threads, engine=engine)
    )
    options.setdefault("cuts", "reidentify")
    frames = open_source(source, allow_network=allow_network, reconnect_seconds=reconnect_seconds)
    chosen = config or TrackConfig(**options)
    return LiveTracker.of(loaded.with_memory(), frames, chosen, loaded.runtime, objects)
