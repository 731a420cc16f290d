"""The mark on generated and edited files: written, read back by us and by others, hostile files."""

from __future__ import annotations

import io
import logging
import struct
import zlib
from pathlib import Path
from xml.etree import ElementTree

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from segma.errors import InputError
from segma.media.image import read_image, write_image
from segma.media.provenance import (
    SOURCE_TYPE,
    SOURCE_TYPES,
    Mark,
    comment_of,
    mark_of_comment,
    mark_of_words,
    marked_png,
    picture_metadata,
    xmp_packet,
)
from segma.media.provenance_read import MAX_XMP_BYTES, find_mark, read_mark, xmp_properties
from segma.media.video_write import Timing, VideoWriter

MARK = Mark(action="generated", model='tiny <&"> ü', description="a cat; on a <mat>")
COMPOSITE = "http://cv.iptc.org/newscodes/digitalsourcetype/compositeWithTrainedAlgorithmicMedia"
TEXTS = st.text(max_size=40)


def picture(channels: int = 3) -> np.ndarray:
    return np.random.default_rng(5).integers(0, 256, (24, 32, channels), np.uint8)


@given(st.sampled_from(["generated", "edited"]), TEXTS, TEXTS, st.text(max_size=80))
@settings(max_examples=60, deadline=None)
def test_any_mark_survives_xmp_and_comment(action: str, model: str, version: str, about: str) -> None:
    mark = Mark(action=action, model=model, version=version.replace(" ", ""), description=about)  # pyright: ignore[reportArgumentType]  one of two
    if " " not in mark.version:
        assert mark_of_comment(comment_of(mark)) == mark
    words = xmp_properties(xmp_packet(mark))
    assert words[SOURCE_TYPE] == SOURCE_TYPES[action]
    assert words.get("http://purl.org/dc/elements/1.1/ description", "") == mark.description
    ElementTree.fromstring(xmp_packet(mark))  # another parser takes it


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".tif"])
def test_pictures_carry_it_and_keep_their_pixels(suffix: str, tmp_path: Path) -> None:
    plain = write_image(picture(), tmp_path / f"plain{suffix}")
    marked = write_image(picture(), tmp_path / f"marked{suffix}", mark=MARK)
    found = find_mark(marked)
    assert found is not None and (found.mark, found.stored) == (MARK, "XMP")
    assert read_mark(plain) is None
    assert np.array_equal(read_image(plain), read_image(marked))
    with Image.open(marked) as image:  # as others see it
        software = image.info["Software"] if suffix == ".png" else image.getexif()[0x131]
        packet = image.info["xmp"]
    assert software == MARK.software
    assert b"digitalsourcetype/trainedAlgorithmicMedia" in packet


def test_alpha_and_gif_and_what_holds_none(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = write_image(picture(4), tmp_path / "a.png", mark=MARK)
    assert read_mark(path) == MARK
    with Image.open(path) as image:
        assert np.array_equal(np.array(image), picture(4))
    Image.fromarray(picture()).save(tmp_path / "a.gif", **picture_metadata(MARK, "GIF"))
    found = find_mark(tmp_path / "a.gif")
    assert found is not None and (found.mark, found.stored) == (MARK, "comment")
    with caplog.at_level(logging.WARNING):
        write_image(picture(), tmp_path / "a.bmp", mark=MARK)
    assert "BMP files hold no mark" in caplog.text
    assert read_mark(tmp_path / "a.bmp") is None


def test_a_png_of_another_encoder_is_marked_without_touching_it() -> None:
    stream = io.BytesIO()
    Image.fromarray(picture()).save(stream, "PNG")
    marked = marked_png(stream.getvalue(), MARK)
    with Image.open(io.BytesIO(marked)) as image:
        assert np.array_equal(np.array(image), picture())  # Pillow checks the sums of the chunks
        assert image.info["xmp"] == xmp_packet(MARK)
    with pytest.raises(InputError, match="no PNG"):
        marked_png(b"GIF89a" * 10, MARK)


@pytest.mark.parametrize(
    ("kind", "name"),
    [("h264", "a.mp4"), ("matte", "m.mp4"), ("webm-alpha", "a.webm"), ("prores4444", "a.mov")],
)
def test_videos_carry_it(kind: str, name: str, tmp_path: Path) -> None:
    for mark in (MARK, None):
        path = tmp_path / name
        timing = Timing.of_rate(25)
        with VideoWriter(path, (48, 64), kind=kind, timing=timing, mark=mark, overwrite=True) as writer:
            for index in range(3):
                writer.write(np.full((48, 64, 3), 80 * index, np.uint8), index / 25)
        assert read_mark(path) == mark
        with av.open(str(path)) as container:  # as others see it
            tags = {key.lower(): value for key, value in container.metadata.items()}
        assert tags.get("comment") == (None if mark is None else comment_of(MARK))


def test_folders_of_frames_carry_it(tmp_path: Path) -> None:
    frames = [picture(4), picture(4)[::-1].copy()]
    with VideoWriter(tmp_path / "f", (24, 32), kind="png", mark=MARK) as writer:
        for index, frame in enumerate(frames):
            writer.write(frame, index / 25)
    for index, frame in enumerate(frames):
        path = tmp_path / "f" / f"{index:05d}.png"
        assert read_mark(path) == MARK
        with Image.open(path) as image:
            assert np.array_equal(np.array(image), frame)


def test_names_become_one_clean_line() -> None:
    mark = Mark(action="edited", model="a;b\n\x00\udc80 c" + "x" * 400)
    assert mark.model.startswith("a,b c")
    assert len(mark.model) == 200
    assert mark_of_comment(comment_of(mark)) == mark
    with pytest.raises(InputError, match="without a tool"):
        Mark(action="edited", tool=" ")


def test_marks_of_other_programs(tmp_path: Path) -> None:
    """As exiftool writes them: elements instead of attributes, a resource, https."""
    packet = f"""<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF
     xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description
     xmlns:e="http://iptc.org/std/Iptc4xmpExt/2008-02-29/" xmlns:xap="http://ns.adobe.com/xap/1.0/">
     <e:DigitalSourceType rdf:resource="{COMPOSITE.replace("http:", "https:")}"/>
     <xap:CreatorTool>Painter 25.0 (Windows)</xap:CreatorTool></rdf:Description></rdf:RDF></x:xmpmeta>"""
    Image.fromarray(picture()).save(tmp_path / "a.jpg", xmp=packet.encode())
    mark = read_mark(tmp_path / "a.jpg")
    assert mark == Mark(action="edited", tool="Painter 25.0 (Windows)", version="")
    camera = "http://cv.iptc.org/newscodes/digitalsourcetype/digitalCapture"
    assert mark_of_words("Camera", camera) is None
    unnamed = mark_of_words("", COMPOSITE)
    assert unnamed is not None and unnamed.tool == "an unnamed program"


BOMB = (
    '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa">'
    + "".join(f'<!ENTITY {b} "{f"&{a};" * 10}">' for a, b in zip("abcdefgh", "bcdefghi", strict=True))
    + "]><x>&i;</x>"
)


@pytest.mark.parametrize(
    ("packet", "why"),
    [
        (BOMB.encode(), "document type"),
        (b'<!DOCTYPE x SYSTEM "file:///etc/passwd"><x/>', "document type"),
        (b"<x>" * 300, "no XML"),
        (b"\xff\xfe\x00nonsense", "no XML"),
        (b'<?xml version="1.0" encoding="nobody-knows"?><x/>', "no XML"),
        (b"<x>" + b"a" * MAX_XMP_BYTES + b"</x>", "at most"),
        (b"", "no XML"),
    ],
)
def test_hostile_packets_count_as_none(
    packet: bytes, why: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(ValueError, match=why):
        xmp_properties(packet)
    Image.fromarray(picture()).save(tmp_path / "a.webp", xmp=packet)
    with caplog.at_level(logging.WARNING):
        assert read_mark(tmp_path / "a.webp") is None
    assert not packet or why in caplog.text


def test_deep_packets_cost_little() -> None:
    deep = b"<a>" * 40_000 + b"x" + b"</a>" * 40_000
    assert xmp_properties(deep)["a"] == "x"


def test_a_png_that_unpacks_to_much_is_refused(tmp_path: Path) -> None:
    body = b"XML:com.adobe.xmp\0\1\0\0\0" + zlib.compress(b" " * 50_000_000, 9)
    stream = io.BytesIO()
    Image.fromarray(picture()).save(stream, "PNG")
    data, chunk = stream.getvalue(), b"iTXt" + body
    chunk = struct.pack(">I", len(body)) + chunk + struct.pack(">I", zlib.crc32(chunk))
    (tmp_path / "a.png").write_bytes(data[:33] + chunk + data[33:])
    with pytest.raises(InputError, match=r"a\.png"):
        read_mark(tmp_path / "a.png")


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".tif"])
def test_cut_and_garbled_files_never_crash(suffix: str, tmp_path: Path) -> None:
    whole = write_image(picture(), tmp_path / f"whole{suffix}", mark=MARK).read_bytes()
    generator = np.random.default_rng(3)
    path = tmp_path / f"x{suffix}"
    for length in (*range(1, 40, 3), *generator.integers(40, len(whole), 25)):
        noisy = bytearray(whole[:length])
        noisy[generator.integers(length)] ^= 255
        for data in (whole[:length], bytes(noisy)):
            path.write_bytes(data)
            try:
                assert isinstance(read_mark(path), Mark | None)
            except InputError as error:
                assert path.name in str(error)


def test_what_is_no_picture_and_no_video(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("Edited with segma")
    (tmp_path / "b.m3u8").write_text("#EXTM3U\nhttp://127.0.0.1/x.ts\n")
    (tmp_path / "c.png").touch()
    for name, why in [
        ("a.txt", "neither a picture nor a video"),
        ("b.m3u8", "neither"),
        ("c.png", "0 bytes"),
    ]:
        with pytest.raises(InputError, match=why):
            read_mark(tmp_path / name)
    with pytest.raises(InputError, match="is a folder"):
        read_mark(tmp_path)
    with pytest.raises(InputError, match="no such file"):
        read_mark(tmp_path / "none.png")
