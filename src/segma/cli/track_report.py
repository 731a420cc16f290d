"""What is said of a tracked video: frames and shots, a line an object, how long it took, where to look."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from segma.cli.output import spaced

if TYPE_CHECKING:
    from segma.tracker import Tracker

_MOST_SHOTS = 12  # in one line
_SUGGESTIONS = 3


def video_line(tracker: Tracker) -> str:
    """As "match.mp4  1 918 frames  29.97 fps  3 shots (0-611, 612-1304, 1305-1917)"."""
    source = tracker.source
    count = source.num_frames or 0
    parts = [source.name, _plural(count, "frame")]
    if source.fps:
        parts.append(f"{source.fps:.4g} fps")
    if tracker.session.config.cuts != "ignore" and count:
        cuts = tracker.session.cuts
        shots = [
            f"{first}-{last}"
            for first, last in zip((0, *cuts), (*(c - 1 for c in cuts), count - 1), strict=True)
        ]
        more = f", and {len(shots) - _MOST_SHOTS} more" if len(shots) > _MOST_SHOTS else ""
        ranges = f" ({', '.join(shots[:_MOST_SHOTS])}{more})" if len(shots) > 1 else ""
        parts.append(_plural(len(shots), "shot") + ranges)
    return "  ".join(parts)


def object_lines(tracker: Tracker) -> list[str]:
    """One line an object, in columns: on how many frames it is there or not, and where it is worst."""
    found = [each.summary for each in tracker.objects]
    if not found:
        return ["  no objects"]
    name_width = max(len(each.name) for each in found)
    present = [spaced(each.present) for each in found]
    absent = [spaced(each.absent) for each in found]
    widths = max(map(len, present)), max(map(len, absent))
    lines: list[str] = []
    for each, there, away in zip(found, present, absent, strict=True):
        line = f"  {each.name.ljust(name_width)}  {there.rjust(widths[0])} present"
        line += f"  {away.rjust(widths[1])} absent   lowest quality "
        line += (
            "not measured"
            if each.lowest_quality is None
            else f"at frame {each.lowest_frame} ({each.lowest_quality:.2f})"
        )
        rest = (tracker.num_frames or 0) - each.present - each.absent
        lines.append(line + (f"   {spaced(rest)} not tracked" if rest > 0 else ""))
    return lines


def look_line(tracker: Tracker) -> str:
    """As "look next at: ball 744, player 7 640", or "" where nothing stands out."""
    found = tracker.suggest(_SUGGESTIONS)
    return "look next at: " + ", ".join(f"{each.name} {each.frame}" for each in found) if found else ""


def done_line(tracker: Tracker, frames: int, seconds: float) -> str:
    """As "done in 3 min 12 s (10.0 fps), peak memory 1.9 GB.   look next at: ball 744"."""
    from segma.evaluation.protocols.speed import peak_memory

    rate = f" ({frames / seconds:.1f} fps)" if frames and seconds > 0 else ""
    most = peak_memory()
    memory = "not measured" if most is None else size_text(most)
    look = look_line(tracker)
    return f"done in {time_text(seconds)}{rate}, peak memory {memory}." + (f"   {look}" if look else "")


def fixed_line(tracker: Tracker, done: Mapping[str, Sequence[int]], seconds: float) -> str:
    """As "re-tracked ball 731-792 (62 of 1 918 frames), 6.4 s; player 7 unchanged"."""
    total = spaced(tracker.num_frames or 0)
    parts = [
        f"{name} {ranges_text(frames)} ({spaced(len(frames))} of {total} frames)"
        for name, frames in done.items()
        if frames
    ]
    others = [name for name in tracker.session.names if not done.get(name)]
    same = f"; {', '.join(others)} unchanged" if others else ""
    return f"re-tracked {', '.join(parts) or 'nothing'}, {time_text(seconds)}{same}"


def ranges_text(frames: Sequence[int]) -> str:
    """Frames as ranges.

    >>> ranges_text([3, 4, 5, 9])
    '3-5, 9'
    """
    ranges: list[list[int]] = []
    for frame in sorted(frames):
        if ranges and ranges[-1][1] + 1 == frame:
            ranges[-1][1] = frame
        else:
            ranges.append([frame, frame])
    texts = [str(first) if first == last else f"{first}-{last}" for first, last in ranges]
    return ", ".join([*texts[:_MOST_SHOTS], *(["..."] if len(texts) > _MOST_SHOTS else [])])


def time_text(seconds: float | int) -> str:
    """A duration for people.

    >>> time_text(6.42), time_text(192), time_text(4000)
    ('6.4 s', '3 min 12 s', '1 h 06 min')
    """
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"


def size_text(count: int) -> str:
    """Bytes for people.

    >>> size_text(1_900_000_000), size_text(350_000_000)
    ('1.9 GB', '350 MB')
    """
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.0f} MB"


def _plural(count: int, what: str) -> str:
    return f"{spaced(count)} {what}" + ("" if count == 1 else "s")
