"""How a video is tracked: policy, not architecture. One frozen dataclass; every field is one decision."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from segma.errors import InputError

Cuts = Literal["stop", "reidentify", "ignore"]
Memory = Literal["recent", "reliable", "distractor"]


@dataclass(frozen=True, kw_only=True, slots=True)
class TrackConfig:
    """The defaults are SAM 2's own, with its corrections kept (`docs/decisions/0011-tracking.md`).

    Raises InputError `input.value` for what makes no sense.
    """

    # what an object attends to
    max_conditioning: int | None = None
    """At most so many prompted frames, the nearest; None: all (SAM 2 `max_cond_frames_in_attn` -1)."""
    stride: int = 1
    """Distance of the recent frames (SAM 2 `memory_temporal_stride_for_eval`)."""
    memory: Memory = "recent"
    """Which frames enter the memory: the last ones; the last reliable ones (SAMURAI); or sparse ones without
    empty masks, and frames with a distractor beside them (DAM4SAM)."""
    pool: int = 1
    """Memories are averaged over squares of so many cells before they are attended to (EfficientTAM)."""
    attend_others: bool = False
    """Pointers of the other objects enter the attention, for weights that were trained so."""
    window: int = 16
    """Frames around the current one whose memories are held."""

    # what is decided on a frame
    corrections_condition: bool = True
    """A corrected frame becomes a conditioning frame. False loses corrections, as SAM 2 1.1.0 does."""
    binarize_prompted: bool = True
    """The mask of a prompted frame is remembered as 0 and 1."""
    hypotheses: int = 1
    """Memory paths that are kept for each object (SAM2Long)."""
    motion_weight: float = 0.0
    """Share of the Kalman filter's vote in the choice among candidates, 0 to 1 (SAMURAI: 0.15)."""
    flow: bool = True
    """Weights that follow masks are shown that of the frame before moved along the optical flow, or as it
    was. Others are not shown any."""
    closer: float = 2.2
    """They look at a part of the frame around the object: its side, in extents of the mask; 0: at all."""
    inertia: float = 0.3
    """Share of the moved mask in what they find (weights that follow masks, as the two above)."""
    reach: float = 0.2
    """How far a mask may reach beyond the moved one, in square roots of its area; 0: anywhere."""
    exclusive: bool = False
    """Look-alikes: candidates are chosen together, so that two objects do not take the same pixels."""
    redetect: bool = False
    """After a long absence an object comes back only if its mask looks reliable."""
    redetect_after: int = 10
    """Frames of absence that are long."""

    # what is reliable
    min_predicted_iou: float = 0.5
    """Predicted IoU of a frame that may be remembered (memory "reliable" and "distractor")."""
    min_object_score: float = 0.0
    """Its object score, a logit."""
    min_motion: float = 0.3
    """Its overlap with the box that the Kalman filter expects, where that runs."""
    min_appearance: float = 0.0
    """Cosine of object pointers from which a mask may be an object that was away (`redetect`, `cuts`)."""

    # what becomes of masks
    fill_hole_area: int = 8
    """Holes of at most so many cells of the low-resolution mask are filled; 0: none."""
    non_overlap: bool = False
    """A pixel belongs to one object at most, the one of highest logit."""

    # where tracking goes
    cuts: Cuts = "stop"
    """At a shot cut an object stops; is looked for again; or goes on as if there were none."""
    before_first_prompt: bool = False
    """Forward runs also give masks on frames before an object's first prompt."""
    same_frames: int = 10
    """A re-track ends after so many frames that are as before."""
    same_iou: float = 0.98
    """IoU above which a frame is as before."""
    worse_frames: int = 2
    """On its way back to an earlier prompt it ends after so many frames on end of which it is less sure than
    what was found from there, and near it far better (`research/LOG.md`, 37)."""
    cached_frames: int = 2
    """Encoded frames that are held for the next click."""
    state_seconds: float = 10.0
    """How often the memories are saved during a run, so that it can be resumed."""

    def __post_init__(self) -> None:
        """Check ranges."""
        limits: dict[str, tuple[float, float]] = {
            "stride": (1, 1000), "pool": (1, 16), "window": (16, 4096), "hypotheses": (1, 8),
            "motion_weight": (0, 1), "closer": (0, 100), "inertia": (0, 1), "reach": (0, 100),
            "redetect_after": (1, 1 << 20), "min_predicted_iou": (0, 1), "min_motion": (0, 1),
            "min_appearance": (-1, 1), "fill_hole_area": (0, 1 << 20),
            "same_frames": (1, 1 << 20), "same_iou": (0, 1), "worse_frames": (1, 1 << 20),
            "cached_frames": (1, 64), "state_seconds": (0, 1e9),
        }  # fmt: skip
        for name, (low, high) in limits.items():
            value = getattr(self, name)
            if not low <= value <= high:
                raise InputError("input.value", f"{name} is {value}; it goes from {low:g} to {high:g}.")
        if self.max_conditioning is not None and self.max_conditioning < 1:
            raise InputError("input.value", f"max_conditioning is {self.max_conditioning}; it starts at 1.")
