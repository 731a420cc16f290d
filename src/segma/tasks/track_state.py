"""What a tracking session holds in memory; all of it can be computed again from the log and kept masks.

Invariants: an anchor (a conditioning frame) of an object has at least one prompt and is in no path's
`recent`; what `recent` holds depends on the log of actions alone, never on time or free memory, so a replay
is equal.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field

from jaxtyping import Float
from torch import Tensor

from segma.geometry.transforms import Transform
from segma.models.interfaces import ImageFeatures
from segma.prompts.types import FramePrompt, Points
from segma.tasks.second_look import Window
from segma.tasks.track_motion import BoxMotion

ABSENT_LOGIT = -1024.0
"""Every logit of an object that is not there (SAM 2's NO_OBJ_SCORE)."""


@dataclass(frozen=True, slots=True)
class Close:
    """What was found in a part of a frame, of weights that look at the object closely."""

    window: Window
    logits: Float[Tensor, "side side"] = field(repr=False)


@dataclass(slots=True)
class FrameMemory:
    """What is known of one object on one frame.

    `low_res_logits` are of the whole frame. Where a part of it was looked at, `close` is what was found
    there, and `spatial` is of that part. `spatial` is the memory, bfloat16 as SAM 2 stores it, None until it
    is needed. `is_reliable` and `has_distractor` are the judgement of the memory policy.
    """

    low_res_logits: Float[Tensor, "side side"] = field(repr=False)
    predicted_iou: float
    object_score: float
    pointer: Float[Tensor, " dim"] = field(repr=False)
    spatial: Float[Tensor, "h w memory_dim"] | None = field(default=None, repr=False)
    is_reliable: bool = True
    has_distractor: bool = False
    close: Close | None = field(default=None, repr=False)

    @property
    def window(self) -> Window | None:
        """The part of the frame that was looked at, None for all of it."""
        return None if self.close is None else self.close.window

    @property
    def is_present(self) -> bool:
        """Whether the object is there."""
        return self.object_score > 0


@dataclass(slots=True)
class Path:
    """One history of an object: its memories near the current frame, and how well it went so far.

    `score` sums the log of the predicted IoU; `motion` is the state of the Kalman filter (8 numbers and
    their covariance), None before the first box; `absent_for` counts frames.
    """

    recent: dict[int, FrameMemory] = field(default_factory=dict[int, FrameMemory])
    score: float = 0.0
    motion: BoxMotion | None = None
    absent_for: int = 0

    def forget_far(self, frame: int, window: int, keep: Collection[int] = ()) -> None:
        """Drop memories more than `window` frames away, save those of frames in `keep`."""
        for other in [other for other in self.recent if abs(other - frame) > window and other not in keep]:
            del self.recent[other]


@dataclass(slots=True)
class ObjectTrack:
    """One object: what was said of it, its conditioning memories, and its paths (the first is the best).

    `prompts` are by frame, in the order in which they were said; `directions` tell for frames tracked so far
    whether in reverse, as ranges (first, last, reverse), the newest last.
    """

    object_id: int
    name: str
    prompts: dict[int, tuple[FramePrompt, ...]] = field(default_factory=dict[int, tuple[FramePrompt, ...]])
    anchors: dict[int, FrameMemory] = field(default_factory=dict[int, FrameMemory])
    paths: list[Path] = field(default_factory=lambda: [Path()])
    absences: tuple[tuple[int, int], ...] = ()
    directions: list[tuple[int, int, bool]] = field(default_factory=list[tuple[int, int, bool]])
    outdated: set[tuple[int, bool]] = field(default_factory=set[tuple[int, bool]])
    """Prompted frames from which nothing has been tracked since, and which way (True: in reverse)."""
    at: int | None = None
    """The frame that the paths stand at; None after a word of a person, when none goes on from anywhere."""
    at_reverse: bool = False
    """Which way they went to it."""

    fresh: dict[int, tuple[FrameMemory | None, bool]] = field(
        default_factory=dict[int, tuple[FrameMemory | None, bool]]
    )
    """Frames prompted since the last run: what was held of them before, and whether as an anchor."""

    def at_last_run(self) -> tuple[dict[int, FrameMemory], dict[int, FrameMemory]]:
        """Conditioning and recent memories as they were before the prompts since the last run.

        A click is answered from these: answers do not depend on each other before they are tracked from.
        """
        anchors = {frame: memory for frame, memory in self.anchors.items() if frame not in self.fresh}
        recent = dict(self.recent)
        for frame, (memory, was_anchor) in self.fresh.items():
            if memory is not None:
                (anchors if was_anchor else recent)[frame] = memory
        return anchors, recent

    @property
    def recent(self) -> dict[int, FrameMemory]:
        """The memories of the best path."""
        return self.paths[0].recent

    def memory(self, frame: int) -> FrameMemory | None:
        """What is held of a frame, by a prompt or by tracking."""
        return self.anchors.get(frame) or self.recent.get(frame)

    def direction(self, frame: int) -> bool | None:
        """Whether a frame was last tracked in reverse; None where it was not tracked."""
        for first, last, reverse in reversed(self.directions):
            if first <= frame <= last:
                return reverse
        return None

    def follows_on(self, frame: int, most: int, *, reverse: bool) -> bool:
        """Whether the paths go on to a frame from at most `most` frames behind it."""
        if self.at is None or self.at_reverse != reverse:
            return False
        return 0 < (self.at - frame if reverse else frame - self.at) <= most

    def passed(self, frame: int, *, reverse: bool) -> None:
        """Note that a frame was tracked; ranges grow while a run goes on."""
        self.at, self.at_reverse = frame, reverse
        if self.directions:
            first, last, way = self.directions[-1]
            if way == reverse and frame == (first - 1 if reverse else last + 1):
                self.directions[-1] = (min(first, frame), max(last, frame), reverse)
                return
            if way == reverse and first <= frame <= last:
                return
        self.directions.append((frame, frame, reverse))

    def forget(self, frame: int) -> None:
        """The frame counts as never tracked."""
        kept: list[tuple[int, int, bool]] = []
        for first, last, reverse in self.directions:
            sides = ((first, min(last, frame - 1)), (max(first, frame + 1), last))
            kept += [(low, high, reverse) for low, high in sides if low <= high]
        self.directions = kept

    def is_absent(self, frame: int) -> bool:
        """Whether a person said that the object is not there."""
        return any(first <= frame <= last for first, last in self.absences)


@dataclass(frozen=True, kw_only=True, slots=True)
class EncodedFrame:
    """A frame, or a part of it, as the network sees it, before any object has conditioned it."""

    index: int
    features: ImageFeatures
    transform: Transform


@dataclass(slots=True)
class FeatureCache:
    """The last few encoded frames, by index; a click on one of them need not encode it again."""

    size: int
    frames: OrderedDict[int, EncodedFrame] = field(default_factory=OrderedDict[int, EncodedFrame])

    def get(self, index: int, encode: Callable[[], EncodedFrame]) -> EncodedFrame:
        """The encoded frame, made by `encode` where it is not held."""
        if index in self.frames:
            self.frames.move_to_end(index)
            return self.frames[index]
        found = encode()
        self.frames[index] = found
        while len(self.frames) > self.size:
            self.frames.popitem(last=False)
        return found


def joined(prompts: tuple[FramePrompt, ...]) -> FramePrompt:
    """All that was said on a frame as one prompt: the points together, the last box; a mask stands alone."""
    last = prompts[-1]
    if last.mask is not None:
        return last
    drawn = [number for number, each in enumerate(prompts) if each.mask is not None]
    said = prompts[drawn[-1] + 1 :] if drawn else prompts
    boxes = [each.box for each in said if each.box is not None]
    points = [each.points for each in said if each.points is not None]
    xy = [place for each in points for place in each.xy]
    labels = [label for each in points for label in each.labels]
    return FramePrompt(points=Points(xy, labels) if xy else None, box=boxes[-1] if boxes else None)


def ranges(frames: Iterator[int]) -> list[tuple[int, int]]:
    """Ascending frames as inclusive ranges.

    >>> ranges(iter([1, 2, 3, 7]))
    [(1, 3), (7, 7)]
    """
    found: list[tuple[int, int]] = []
    for frame in frames:
        if found and frame == found[-1][1] + 1:
            found[-1] = (found[-1][0], frame)
        else:
            found.append((frame, frame))
    return found
