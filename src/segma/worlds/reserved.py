"""What belongs to the exam alone, pairs of attributes and paraphrases, and whose the seeds of scenes are."""

from __future__ import annotations

from segma.errors import InputError

STREAM_SIZE = 1 << 40
"""Seeds of a stream: more scenes than anyone draws from one."""
KEPT_STREAM, JUDGE_STREAM, ASKED_STREAM = 1, 5, 6
"""Of portraits: those that runs are measured on, those that the judge of samples learns from, and those that
its protocol asks for."""
_FIRST_TRAINED = 16
EXAM_STREAM = 1_000_003
"""The stream whose seeds the exam is drawn from; `stream.scenes` refuses it."""
EXAM_SEED = EXAM_STREAM * STREAM_SIZE
"""The first seed of the exam."""
RESERVED_PAIRS = frozenset(
    {
        *(("cup", "purple"), ("fish", "green"), ("car", "orange"), ("bird", "red"), ("ring", "blue")),
        *(("star", "teal"), ("house", "pink"), ("key", "white"), ("disc", "yellow"), ("snake", "grey")),
        *(("block", "brown"), ("heart", "black"), ("letter", "green"), ("gear", "pink"), ("leaf", "blue")),
    }
)
"""Classes and colours that no scene for training joins in one whole, and no sentence for training names
together."""


def stream_of(seed: int) -> int:
    """The stream that a scene's seed belongs to."""
    return seed // STREAM_SIZE


def trained_stream(seed: int) -> int:
    """The stream of portraits that a run of this seed learns from. Raises InputError for the exam's."""
    if _FIRST_TRAINED + seed == EXAM_STREAM:
        raise InputError("input.value", f"the stream of seed {seed} is the exam's.", "Take another seed.")
    return _FIRST_TRAINED + seed


def is_reserved_pair(class_name: str, colour: str) -> bool:
    """Whether a whole of a class may have a colour in the exam only."""
    return (class_name, colour) in RESERVED_PAIRS


def is_reserved_way(place: int) -> bool:
    """Whether the way of saying something at a place of its list is for the exam: every third one."""
    return place % 3 == 2
