"""Objects through a live stream: frames come once, memory stays bounded, there is no end."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

from jaxtyping import Bool
from numpy import ndarray

from segma.errors import InputError
from segma.media.shots import CutDetector
from segma.media.source import Frame, FrameSource
from segma.models.interfaces import WithMemory
from segma.results import TrackFrame, TrackRecord
from segma.runtime import Runtime
from segma.tasks.track import VideoSession
from segma.tasks.track_config import TrackConfig
from segma.tasks.track_recent_keeper import RecentKeeper
from segma.tracker import frame_prompt


@dataclass(slots=True, repr=False)
class LiveTracker:
    """A stream with objects in it, given frame by frame: iterate over it, and prompt on the frame at hand.

    `objects` are prompted on the first frame: name -> the arguments of `add`.
    """

    session: VideoSession
    objects: Mapping[str, Mapping[str, Any]] = field(default_factory=dict[str, Mapping[str, Any]])
    detector: CutDetector | None = None

    @classmethod
    def of(
        cls,
        network: WithMemory,
        source: FrameSource,
        config: TrackConfig,
        runtime: Runtime,
        objects: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> LiveTracker:
        """Over a source, in bounded memory; it looks for cuts unless the config says to ignore them."""
        session = VideoSession(network, source, config, runtime=runtime, keeper=RecentKeeper())
        detector = CutDetector() if config.cuts != "ignore" else None
        return cls(session, objects or {}, detector)

    def __repr__(self) -> str:
        names = ", ".join(self.session.names) or "no objects"
        return f"LiveTracker({self.session.source.name}, {names})"

    def __enter__(self) -> LiveTracker:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the stream."""
        self.session.source.close()

    def __iter__(self) -> Iterator[TrackFrame]:
        """Every frame, with the masks of the objects that were added so far.

        Raises InputError `input.gone` where the stream goes away; what came before was given.
        """
        live = self.session.run_live(self._is_cut)
        first = next(live, None)
        if first is None:
            raise InputError("input.unreadable", f"{self.session.source.name} has no frames.")
        for name, prompt in self.objects.items():
            self.add(name, **prompt)
        yield self.session.frame(first.index, image=self.session.current)
        yield from live

    def add(
        self,
        name: str,
        *,
        points: Sequence[Sequence[float | int]] | ndarray | None = None,
        labels: Sequence[int] | ndarray | None = None,
        box: Sequence[float | int] | ndarray | None = None,
        mask: Bool[ndarray, "height width"] | None = None,
    ) -> TrackRecord:
        """Prompt an object, new or known, on the frame that was given last. Raises PromptError."""
        if self.session.current is None:
            raise InputError("input.value", "No frame has come yet.", "Take the first frame, then add.")
        prompt = frame_prompt(points, labels, box, mask)
        return self.session.say(name, self.session.current.index, prompt)

    def remove(self, name: str) -> None:
        """Follow an object no longer."""
        self.session.remove(name)

    def _is_cut(self, frame: Frame) -> bool:
        return self.detector is not None and self.detector.push(frame)
