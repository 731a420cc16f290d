"""What belongs to the exam alone: pairs of attributes, paraphrases, and the seeds of its scenes."""

from __future__ import annotations

EXAM_STREAM = 1_000_003
"""The stream whose seeds the exam is drawn from; `stream.scenes` refuses it."""
EXAM_SEED = EXAM_STREAM << 40
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


def is_reserved_pair(class_name: str, colour: str) -> bool:
    """Whether a whole of a class may have a colour in the exam only."""
    return (class_name, colour) in RESERVED_PAIRS


def is_reserved_way(place: int) -> bool:
    """Whether the way of saying something at a place of its list is for the exam: every third one."""
    return place % 3 == 2
