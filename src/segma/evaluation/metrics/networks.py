"""FID, IS, LPIPS and FVD by the packages of the extra `metrics`, with their networks and weights.

A meter is told of what was made and of what is true, and then asked. The packages fetch their weights
themselves when they are first used. FID and IS are torch-fidelity's, which agree with the original TensorFlow
network; LPIPS is the authors' own; FVD takes I3D from cd-fvd.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import torch
from jaxtyping import UInt8
from numpy import ndarray

from segma.errors import InputError, MissingExtraError, ModelError
from segma.evaluation.metrics.frechet import frechet_distance
from segma.media.image import write_image

Frames = UInt8[ndarray, "frames height width 3"]

PACKAGES = (("FID", "torch_fidelity"), ("IS", "torch_fidelity"), ("LPIPS", "lpips"), ("FVD", "cdfvd"))
"""Which package measures what."""


def check_package(metric: str) -> None:
    """Raises MissingExtraError where the package of a metric is not installed."""
    package = dict(PACKAGES)[metric]
    if find_spec(package) is None:
        raise MissingExtraError(f"{metric} (package {package})", "metrics")


class InceptionMeter(AbstractContextManager["InceptionMeter"]):
    """FID and IS of pictures, through two folders of PNGs; a context, which removes them."""

    def __init__(self) -> None:
        check_package("FID")
        self._stack = ExitStack()
        self._folders = [Path(self._stack.enter_context(tempfile.TemporaryDirectory())) for _ in range(2)]
        self._counts = [0, 0]

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.close()

    def add(self, made: Frames | None, true: Frames | None) -> None:
        """Pictures of either side."""
        for side, frames in enumerate((made, true)):
            for frame in () if frames is None else frames:
                write_image(frame, self._folders[side] / f"{self._counts[side]:08d}.png")
                self._counts[side] += 1

    def fid(self) -> float:
        """The distance between what was made and what is true."""
        return self._measured("frechet_inception_distance", input2=str(self._folders[1]), fid=True)

    def inception_score(self) -> float:
        """How sure and how varied the classes of what was made are."""
        return self._measured("inception_score_mean", isc=True)

    def _measured(self, key: str, **options: Any) -> float:  # the package's own
        fewest = min(self._counts if "fid" in options else self._counts[:1])
        if fewest < 2:
            raise InputError("input.value", f"{fewest} pictures, expected 2 or more.")
        package: Any = import_module("torch_fidelity")
        cuda = torch.cuda.is_available()
        found = _asked(
            lambda: package.calculate_metrics(
                input1=str(self._folders[0]), cuda=cuda, cache=False, verbose=False, **options
            )
        )
        return float(found[key])


class LpipsMeter:
    """LPIPS with AlexNet, the mean over frames, as the paper's code has it."""

    def __init__(self) -> None:
        check_package("LPIPS")
        package: Any = import_module("lpips")
        self._network = _asked(lambda: package.LPIPS(net="alex", verbose=False).eval())
        self._values: list[float] = []

    def add(self, made: Frames, true: Frames) -> None:
        """Frames beside the true ones."""
        pairs = [torch.as_tensor(each).permute(0, 3, 1, 2).float() / 127.5 - 1 for each in (made, true)]
        with torch.inference_mode():
            self._values += self._network(*pairs).flatten().tolist()

    def result(self) -> float:
        """The mean. Raises InputError where nothing was added."""
        if not self._values:
            raise InputError("input.value", "there is nothing to compare")
        return float(np.mean(self._values))


class FvdMeter:
    """FVD: the Fréchet distance of the 400 logits of I3D, frames at 224 pixels (the flavour of VideoGPT)."""

    def __init__(self) -> None:
        check_package("FVD")
        package: Any = import_module("cdfvd.fvd")
        device = "cuda" if torch.cuda.is_available() else "cpu"
        self._meter: Any = _asked(lambda: package.cdfvd("i3d", n_real="full", n_fake="full", device=device))

    def add(self, made: Frames | None, true: Frames | None) -> None:
        """A clip of either side."""
        if made is not None:
            self._meter.add_fake_stats(made[None])
        if true is not None:
            self._meter.add_real_stats(true[None])

    def result(self) -> float:
        """The distance."""
        sides = (self._meter.fake_stats, self._meter.real_stats)
        if min(side.num_items for side in sides) < 2:
            raise InputError("input.value", "FVD needs 2 clips or more on either side.")
        one, other = (side.get_mean_cov() for side in sides)
        return frechet_distance(one, other)


def _asked(call: Callable[[], Any]) -> Any:  # whatever the package gives
    """What a package gives. Raises ModelError `model.download` where it cannot fetch its weights."""
    try:
        return call()
    except OSError as error:  # as requests' and urllib's errors are
        raise ModelError(
            "model.download",
            f"The weights of a metric could not be fetched ({type(error).__name__}).",
            "They are fetched once, with a network; see the package's own manual.",
        ) from error
