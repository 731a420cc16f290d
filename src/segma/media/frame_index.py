"""Which frames a video file has, in display order, and where decoding may start.

Made by reading every packet once and decoding none: 8 bytes a frame and 16 a keyframe are kept.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from av.container import InputContainer
from av.error import FFmpegError
from av.packet import Packet
from av.video.stream import VideoStream
from jaxtyping import Float64, Int64
from numpy import ndarray

from segma.media.container import packets

_STORES_TIMES = ("mov", "matroska", "flv", "mpegts", "asf", "mxf", "nut", "gif", "apng")
"""Containers that hold display times; of others FFmpeg guesses them, and the guess is tried first."""
_TRIED_FRAMES = 32
_NO_TIME = -(1 << 62)

Opener = Callable[[], tuple[InputContainer, VideoStream]]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class FrameIndex:
    """The frames of a file.

    `pts` are display times in units of `time_base`, rising; `key_pts` and `key_dts` those of keyframes, in
    the same order. Where `is_counted`, the file has no times of use: frames are those that come out of a
    pass from the start, `pts` their count, and there is no place to seek to.
    """

    pts: Int64[ndarray, " frames"]
    key_pts: Int64[ndarray, " keys"]
    key_dts: Int64[ndarray, " keys"]
    time_base: Fraction
    last_duration: int
    is_counted: bool = False

    def __len__(self) -> int:
        return len(self.pts)

    def index_of(self, pts: int | None) -> int | None:
        """The frame of a display time, None where there is none."""
        if pts is None:
            return None
        at = int(np.searchsorted(self.pts, pts))
        return at if at < len(self.pts) and int(self.pts[at]) == pts else None

    def key_before(self, frame: int) -> int:
        """The last keyframe (a position in `key_pts`) that is shown no later than a frame; at least 0.

        Frames that follow it in the file but are shown before it need the keyframe before (open groups of
        pictures), so display times decide.
        """
        return max(0, bisect_right(self.key_pts, int(self.pts[frame])) - 1)

    def group_start(self, frame: int) -> int:
        """The frame that decoding starts at to come to a frame."""
        if self.is_counted:
            return 0
        return int(np.searchsorted(self.pts, int(self.key_pts[self.key_before(frame)])))

    def seconds(self) -> Float64[ndarray, " frames"]:
        """The time of each frame, from the first."""
        if not len(self.pts):
            return np.zeros(0)
        return (self.pts - self.pts[0]) * float(self.time_base)


def build_index(open_: Opener, rate: Fraction) -> FrameIndex:
    """The index of what `open_` opens; `rate` gives times where the file has none."""
    container, stream = open_()
    with container:
        found = _read(container, stream)
        trusted = container.format.name.startswith(_STORES_TIMES)
    if found is not None and (trusted or _is_shown_in_order(open_, found)):
        return found
    container, stream = open_()
    with container:
        count = sum(1 for _ in _decoded(container, stream))
    return FrameIndex(
        pts=np.arange(count, dtype=np.int64),
        key_pts=np.zeros(1, np.int64),
        key_dts=np.zeros(1, np.int64),
        time_base=1 / rate,
        last_duration=1,
        is_counted=True,
    )


def is_frame(packet: Packet[VideoStream], codec: str) -> bool:
    """Whether a packet is shown: not cut off by an edit list, and no hidden picture of VP8."""
    if packet.is_discard:
        return False
    # the fifth bit of a VP8 frame says that it is shown (RFC 6386, 9.1)
    return codec != "vp8" or bool(memoryview(packet)[0] & 0x10)


def _read(container: InputContainer, stream: VideoStream) -> FrameIndex | None:
    """The index by display times, or None where packets have none, or not one each."""
    pts, key_pts, key_dts = array("q"), array("q"), array("q")
    codec = stream.codec_context.name
    latest, last_duration, previous_dts = _NO_TIME, 0, _NO_TIME
    for packet in packets(container, stream):
        if not packet.size:
            continue
        if packet.pts is None or (packet.dts is not None and packet.dts <= previous_dts):
            return None
        previous_dts = previous_dts if packet.dts is None else packet.dts
        if packet.is_keyframe:  # also where it is cut off: what follows may need it
            key_pts.append(packet.pts)
            key_dts.append(packet.pts if packet.dts is None else packet.dts)
        if not is_frame(packet, codec):
            continue
        pts.append(packet.pts)
        if packet.pts > latest:
            latest, last_duration = packet.pts, packet.duration or 0
    times = np.sort(np.frombuffer(pts, np.int64)) if pts else np.zeros(0, np.int64)
    if np.any(np.diff(times) <= 0) or (
        len(key_pts) > 1 and np.any(np.diff(np.frombuffer(key_pts, np.int64)) <= 0)
    ):
        return None
    if not key_pts:
        key_pts, key_dts = array("q", [int(times[0]) if len(times) else 0]), array("q", [_NO_TIME])
    step = int(np.median(np.diff(times[:1000]))) if len(times) > 1 else 1
    return FrameIndex(
        pts=times,
        key_pts=np.frombuffer(key_pts, np.int64),
        key_dts=np.frombuffer(key_dts, np.int64),
        time_base=stream.time_base or Fraction(1, 1000),
        last_duration=last_duration or step,
    )


def _is_shown_in_order(open_: Opener, index: FrameIndex) -> bool:
    """Whether the first frames that are decoded have the times of the index, rising."""
    container, stream = open_()
    shown: list[int | None] = []
    with container:
        for pts in _decoded(container, stream):
            shown.append(index.index_of(pts))
            if len(shown) == _TRIED_FRAMES:
                break
    known = [frame for frame in shown if frame is not None]
    # half of the frames missing: two packets, one a field, make one picture
    return known == shown and known == sorted(set(known)) and (not known or known[-1] < 1.5 * len(known) + 4)


def _decoded(container: InputContainer, stream: VideoStream):
    """The display time of each frame that comes out."""
    for packet in packets(container, stream):
        try:
            frames = packet.decode()
        except FFmpegError:
            continue
        for frame in frames:
            yield frame.pts
