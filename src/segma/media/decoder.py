"""Decoding a video file from any place, so that seeking equals playing."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Iterator

from av.container import InputContainer
from av.error import FFmpegError
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from segma.media.container import packets
from segma.media.frame_index import FrameIndex, Opener

_NEAR_FRAMES = 8  # so far ahead, decoding on is not slower than seeking
_RETRIES = (1, 3)  # keyframes before the nearest one, where a frame does not come out of that
_EARLIER_SECONDS = (0.0, 1.0, 10.0)  # how far before a keyframe a container is asked to go, until it obeys

_log = logging.getLogger(__name__)


class FrameReader:
    """The frame wanted, or the next one that decodes.

    It holds one decoder, which goes on where it stands if that is nearest. A frame that does not come out
    of a decoder on its way, nor after seeking further back, is broken: that is said once.
    """

    def __init__(self, open_: Opener, index: FrameIndex, name: str, size: tuple[int, int]) -> None:
        self.broken: set[int] = set()
        self._index = index
        self._name = name
        self._decoder = Decoder(open_, index, name, size)
        self._decoder.start()
        self._held: tuple[int, VideoFrame] | None = None

    def at_or_after(self, want: int) -> tuple[int, VideoFrame] | None:
        """The first frame from `want` on that decodes, None where none follows."""
        if self._held is not None and self._held[0] == want:
            return self._held
        decoder = self._decoder
        if decoder.next <= want and self._index.group_start(want) <= decoder.next + _NEAR_FRAMES:
            return self._settled(want, self._wait_for(want))
        decoder.seek(want)
        found = self._wait_for(want)
        for back in _RETRIES:
            # no frame before the start of the file is missing, and a recovery without keyframes takes a while
            if decoder.at_start or (found is not None and found[0] == want) or want in self.broken:
                break
            decoder.seek(want, keys_back=back)
            found = self._wait_for(want)
        return self._settled(want, found)

    def close(self) -> None:
        """Let go of the file."""
        self._held = None
        self._decoder.close()

    def _wait_for(self, want: int) -> tuple[int, VideoFrame] | None:
        return next((found for found in self._decoder if found[0] >= want), None)

    def _settled(self, want: int, found: tuple[int, VideoFrame] | None) -> tuple[int, VideoFrame] | None:
        """Remember a frame, and that those between are broken."""
        self._held = found
        end = len(self._index) if found is None else found[0]
        new = sorted(set(range(want, end)) - self.broken)
        if new:
            self.broken.update(new)
            which = f"frame {new[0]}" if len(new) == 1 else f"frames {new[0]} to {new[-1]}"
            _log.warning("%s: %s cannot be decoded, left out", self._name, which)
        return found


class Decoder:
    """Frames with their index, from the start or from a keyframe on.

    Which frame came out is looked up by its display time, never counted (unless the index is counted). The
    place in the file is checked packet by packet, so a container that seeks inexactly costs time, no more.
    """

    def __init__(self, open_: Opener, index: FrameIndex, name: str, size: tuple[int, int]) -> None:
        self._open = open_
        self._index = index
        self._name = name
        self._size = size
        self._other_size: tuple[int, int] | None = None
        self._container: InputContainer | None = None
        self._stream: VideoStream | None = None
        self._frames: Iterator[tuple[int, VideoFrame]] = iter(())
        self.next = 0
        """The frame after the last one given; frames before it do not come any more."""
        self.at_start = False
        """Whether the decoder began at the start of the file."""

    def start(self) -> None:
        """Begin at the start of the file."""
        self.close()
        self._container, self._stream = self._open()
        self._begin(packets(self._container, self._stream), at_start=True)

    def seek(self, frame: int, *, keys_back: int = 0) -> None:
        """Begin at the keyframe that a frame needs, or some keyframes before it, or at the start.

        The next frames may be earlier ones than `frame`.
        """
        index = self._index
        if index.is_counted or index.pts[frame] < index.key_pts[0] or self._container is None:
            return self.start()
        key = max(0, index.key_before(frame) - keys_back)
        for target in self._targets(key):
            found = self._packets_from(key, target)
            if found is not None:
                return self._begin(found, at_start=key == 0)
        self.start()

    def __iter__(self) -> Iterator[tuple[int, VideoFrame]]:
        return self

    def __next__(self) -> tuple[int, VideoFrame]:
        found = next(self._frames)
        self.next = found[0] + 1
        return found

    def close(self) -> None:
        """Let go of the file."""
        self._frames = iter(())
        if self._container is not None:
            self._container.close()
        self._container = self._stream = None

    def _begin(self, coded: Iterator[Packet[VideoStream]], *, at_start: bool) -> None:
        self._frames = self._decoded(coded)
        self.next = 0
        self.at_start = at_start

    def _targets(self, key: int) -> Iterator[int]:
        """Times to ask a container for, to come to a keyframe: Matroska seeks by display time."""
        pts, dts = int(self._index.key_pts[key]), int(self._index.key_dts[key])
        assert self._container is not None
        yield pts if self._container.format.name.startswith("matroska") else dts
        for seconds in _EARLIER_SECONDS:
            yield min(pts, dts) - 1 - int(seconds / self._index.time_base)

    def _packets_from(self, key: int, target: int) -> Iterator[Packet[VideoStream]] | None:
        """The packets from a keyframe on, or None where asking for `target` leads past it."""
        assert self._container is not None and self._stream is not None
        wanted = int(self._index.key_pts[key])
        try:
            self._container.seek(target, stream=self._stream)
        except FFmpegError:
            return None
        coded = packets(self._container, self._stream)
        for packet in coded:
            if packet.pts == wanted:
                return itertools.chain((packet,), coded)
            if packet.is_keyframe and packet.pts is not None and packet.pts > wanted:
                return None
        return None

    def _decoded(self, coded: Iterator[Packet[VideoStream]]) -> Iterator[tuple[int, VideoFrame]]:
        count = 0
        for packet in coded:
            try:
                frames = packet.decode()
            except FFmpegError:
                continue  # the frame is missed by whoever waits for it
            for frame in frames:
                number = count if self._index.is_counted else self._index.index_of(frame.pts)
                count += 1
                if number is not None and number >= self.next and self._fits(number, frame):
                    yield number, frame

    def _fits(self, number: int, frame: VideoFrame) -> bool:
        """Whether a frame is of the size of the first; another size is said once."""
        size = frame.width, frame.height
        if size not in (self._size, self._other_size):
            self._other_size = size
            text = "%s: from frame %d on pictures are %dx%d, not %dx%d; those are left out"
            _log.warning(text, self._name, number, *size, *self._size)
        return size == self._size
