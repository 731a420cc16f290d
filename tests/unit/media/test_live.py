from __future__ import annotations

import io
import os
import socket
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import av
import numpy as np
import pytest
from av.container import InputContainer

from segma.errors import InputError
from segma.media.live import LiveSource, camera, device_of, network_stream, pipe
from segma.media.source import Frame, FrameSource, open_source
from segma.media.video import VideoFile

ClipMaker = Callable[..., Path]
Answer = tuple[bytes, int]


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[list[Answer]], str]]:
    """Serves one answer a request, each (bytes, length that the header claims); then errors."""
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    running: list[tuple[HTTPServer, threading.Thread]] = []

    def start(answers: list[Answer]) -> str:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                if not answers:
                    self.send_error(503)
                    return
                data, length = answers.pop(0)
                self.send_response(200)
                self.send_header("Content-Type", "video/mp2t")
                self.send_header("Content-Length", str(length))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, format: str, *args: object) -> None:
                pass

        server = HTTPServer(("127.0.0.1", 0), Handler)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        running.append((server, thread))
        return f"http://127.0.0.1:{server.server_port}/live.ts"

    yield start
    for server, thread in running:
        server.shutdown()
        thread.join()
        server.server_close()


def same(one: Frame, other: Frame) -> bool:
    return np.array_equal(one.pixels, other.pixels) and abs(one.time - other.time) < 1e-3


def test_standard_input_gives_each_frame_once(make_clip: ClipMaker):
    path = make_clip("a.ts", options={"bf": "2"})
    expected = list(VideoFile(path).frames())
    read_end, write_end = os.pipe()

    def write() -> None:
        with os.fdopen(write_end, "wb") as stream:
            stream.write(path.read_bytes())

    writer = threading.Thread(target=write)
    writer.start()
    with os.fdopen(read_end, "rb") as stream, pipe(stream, name="-") as source:
        assert isinstance(source, FrameSource)
        assert (source.can_seek, source.num_frames, source.size, source.fps) == (False, None, (48, 64), 24.0)
        first = list(source.frames(0, 9))
        assert [frame.index for frame in first] == list(range(10))
        assert source.read(9) is first[9] and source.time_of(9) == first[9].time
        rest = list(source.frames(15))  # it goes on where it stands, and passes over five
        assert [frame.index for frame in rest] == list(range(15, 40))
        assert all(same(frame, expected[frame.index]) for frame in [*first, *rest])
        assert list(source.frames()) == []
    writer.join()


def test_there_is_no_going_back(make_clip: ClipMaker):
    with pipe(io.BytesIO(make_clip("a.ts").read_bytes()), name="-") as source:
        list(source.frames(0, 5))
        with pytest.raises(InputError, match="gives each frame once") as caught:
            source.read(2)
        assert caught.value.code == "input.frame_range"
        with pytest.raises(InputError, match="reverse") as caught:
            source.frames(reverse=True)
        assert caught.value.code == "input.value"


@pytest.mark.parametrize("data", [b"", b"hello\n" * 1000, b"#EXTM3U\n#EXTINF:2,\nsecret.ts\n"])
def test_pipes_that_hold_no_video(data: bytes):
    with pytest.raises(InputError) as caught:
        pipe(io.BytesIO(data), name="standard input")
    assert caught.value.code == "input.unreadable" and "standard input" in str(caught.value)


def test_a_pipe_of_sound_alone():
    stream = io.BytesIO()
    with av.open(stream, "w", format="wav") as output:
        sound = output.add_stream("pcm_s16le", rate=8000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 8000), np.int16), "s16", "mono")
        frame.sample_rate = 8000
        output.mux(sound.encode(frame))
    with pytest.raises(InputError, match=r"audio only \(pcm_s16le\)"):
        pipe(io.BytesIO(stream.getvalue()), name="-")


def test_network_streams(make_clip: ClipMaker, serve: Callable[[list[Answer]], str]):
    path = make_clip("a.ts")
    data = path.read_bytes()
    expected = list(VideoFile(path).frames())
    source = open_source(serve([(data, len(data))]), allow_network=True)
    assert isinstance(source, LiveSource)
    frames = list(source.frames())
    assert len(frames) == 40 and all(same(one, other) for one, other in zip(frames, expected, strict=True))
    source.close()


def test_streams_that_go_away_are_said(make_clip: ClipMaker, serve: Callable[[list[Answer]], str]):
    data = make_clip("a.ts").read_bytes()
    source = network_stream(serve([(data[: len(data) // 2], len(data))]), allow_network=True)
    shown: list[int] = []
    with pytest.raises(InputError, match=r"gone after frame \d+ \(") as caught:
        shown.extend(frame.index for frame in source.frames())
    assert caught.value.code == "input.gone"
    assert len(shown) > 5 and shown == list(range(len(shown)))
    assert list(source.frames()) == []


def test_streams_that_come_back_go_on(
    make_clip: ClipMaker, serve: Callable[[list[Answer]], str], caplog: pytest.LogCaptureFixture
):
    data = make_clip("a.ts").read_bytes()
    address = serve([(data[: len(data) // 2], len(data)), (data, len(data))])
    source = network_stream(address, allow_network=True, reconnect_seconds=10)
    frames = list(source.frames())
    assert len(frames) > 45 and [frame.index for frame in frames] == list(range(len(frames)))
    times = np.array([frame.time for frame in frames])
    assert np.all(np.diff(times) >= 0) and times[-1] > 39 / 24
    assert "trying again" in caplog.text
    source.close()


def test_reconnecting_ends(make_clip: ClipMaker):
    path, opened = make_clip("a.ts", count=10), []
    clock = [0.0]

    def open_() -> InputContainer:
        opened.append(clock[0])
        if len(opened) > 1:
            raise InputError("input.unreadable", "cam:0: cannot be opened.")
        return av.open(str(path))

    def sleep(seconds: float) -> None:
        clock[0] += seconds

    source = LiveSource(
        open_, "cam:0", is_endless=True, reconnect_seconds=3, clock=lambda: clock[0], sleep=sleep
    )
    shown: list[int] = []
    with pytest.raises(InputError, match=r"cam:0: gone after frame 9 \(it ended\)") as caught:
        for frame in source.frames():
            shown.append(frame.index)
    assert caught.value.code == "input.gone" and shown == list(range(10))
    assert 4 < len(opened) < 10 and clock[0] >= 3


def test_coming_back_with_another_size_is_said(make_clip: ClipMaker):
    paths = [make_clip("a.ts", count=5), make_clip("b.ts", count=5, size=(64, 96))]
    source = LiveSource(lambda: av.open(str(paths.pop(0))), "cam:0", is_endless=True, reconnect_seconds=3)
    with pytest.raises(InputError, match="came back with pictures of 96x64"):
        list(source.frames())


def test_addresses_without_an_answer(serve: Callable[[list[Answer]], str]):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        for address in (f"http://127.0.0.1:{port}/a.mp4", f"rtsp://me:secret@127.0.0.1:{port}/a", serve([])):
            with pytest.raises(InputError, match="no video came") as caught:
                network_stream(address, allow_network=True)
            assert caught.value.code == "input.network" and "secret" not in str(caught.value)


def test_a_served_playlist_is_refused(serve: Callable[[list[Answer]], str]):
    text = b"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\nfile:///etc/hosts\n#EXT-X-ENDLIST\n"
    with pytest.raises(InputError) as caught:
        network_stream(serve([(text, len(text))] * 3), allow_network=True)
    assert caught.value.code == "input.network"


def test_cameras_by_name():
    assert device_of("cam:0", "linux") == ("v4l2", "/dev/video0")
    assert device_of("cam:/dev/video3", "linux") == ("v4l2", "/dev/video3")
    assert device_of("/dev/video3", "linux") == ("v4l2", "/dev/video3")
    assert device_of("cam:1", "darwin") == ("avfoundation", "1")
    assert device_of("cam:Front Camera", "win32") == ("dshow", "video=Front Camera")
    assert device_of("clip.mp4", "linux") is None and device_of("cam.mp4", "linux") is None


def test_a_camera_that_is_not_there():
    for name in ("cam:87", "cam:/dev/video87"):
        with pytest.raises(InputError, match=r"no such camera|no cameras") as caught:
            open_source(name)
        assert caught.value.code == "input.not_found"
    with pytest.raises(InputError):
        camera("clip.mp4")
