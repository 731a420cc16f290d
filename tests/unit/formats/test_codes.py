"""Files of codes: what goes in comes out, in few bits, as a stream; whatever is wrong is told."""

from __future__ import annotations

import io
import json
import struct
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy import ndarray

from segma.errors import FormatError, InputError
from segma.formats.codes import MAGIC, CodeGroup, CodeHeader, CodeReader, CodeWriter, new_codes, open_codes

CLIP = CodeHeader(size=(20, 36), grid=(4, 6), fps=25.0, num_codes=50, patch=8, temporal_patch=4, model="toy")
LATENT = replace(CLIP, num_codes=0, channels=8)


def values(header: CodeHeader, seed: int = 0) -> ndarray:
    rng = np.random.default_rng(seed)
    if header.channels:
        return rng.normal(size=header.group_shape).astype(np.float32)
    return rng.integers(0, header.num_codes, header.group_shape, np.int32)


def groups(header: CodeHeader, frames: int) -> list[CodeGroup]:
    found: list[CodeGroup] = []
    for index in range(header.num_groups(frames)):
        count = min(frames, header.frames_of(index))
        frames -= count
        found.append(CodeGroup(values=values(header, index), num_frames=count))
    return found


def written(header: CodeHeader, given: list[CodeGroup]) -> bytes:
    stream = io.BytesIO()
    writer = CodeWriter(stream, header)
    for group in given:
        writer.write(group)
    writer.finish()
    return stream.getvalue()


def refused(data: bytes) -> str:
    with pytest.raises(FormatError) as caught:
        list(CodeReader(io.BytesIO(data), "x.codes"))
    assert caught.value.code == "format.bad" and caught.value.message.startswith("x.codes: ")
    assert caught.value.hint
    return caught.value.message


def with_header(change: Callable[[dict[str, object]], object], data: bytes | None = None) -> bytes:
    """A file whose header was changed and has a right checksum."""
    data = data or written(CLIP, groups(CLIP, 7))
    (length,) = struct.unpack("<I", data[16:20])
    fields = json.loads(data[20 : 20 + length])
    change(fields)
    text = json.dumps(fields).encode()
    return (
        MAGIC
        + struct.pack("<I", len(text))
        + text
        + struct.pack("<I", zlib.crc32(text))
        + data[24 + length :]
    )


@pytest.mark.parametrize("num_codes", [1, 2, 3, 50, 256, 257, 4096, 8192, 100_000])
@settings(max_examples=8, deadline=None)
@given(rows=st.integers(1, 7), columns=st.integers(1, 9), seed=st.integers(0, 99))
def test_codes_come_back_in_as_few_bits_as_they_need(
    num_codes: int, rows: int, columns: int, seed: int
) -> None:
    header = replace(CLIP, size=(rows * 8, columns * 8 - 3), grid=(rows, columns), num_codes=num_codes)
    given_values = values(header, seed)
    data = written(header, [CodeGroup(values=given_values, num_frames=1)])
    [found] = CodeReader(io.BytesIO(data))
    assert np.array_equal(found.values, given_values)
    bits = max(1, int(np.ceil(np.log2(num_codes))))
    assert header.bits == bits and header.group_bytes == -(-rows * columns * bits // 8)
    (length,) = struct.unpack("<I", data[16:20])
    assert len(data) == 16 + 8 + length + 5 + header.group_bytes + 13


def test_latents_come_back_in_16_bits() -> None:
    given_groups = groups(LATENT, 6)
    found = list(CodeReader(io.BytesIO(written(LATENT, given_groups))))
    for ours, theirs in zip(found, given_groups, strict=True):
        assert ours.values.dtype == np.float32
        assert np.array_equal(ours.values, theirs.values.astype(np.float16).astype(np.float32))


@pytest.mark.parametrize("chunk", [0, 1, 9])
@pytest.mark.parametrize("frames", [1, 2, 5, 9, 10, 18, 23])
def test_frames_are_counted_whatever_the_chunks(chunk: int, frames: int) -> None:
    header = replace(CLIP, chunk=chunk)
    given_groups = groups(header, frames)
    reader = CodeReader(io.BytesIO(written(header, given_groups)))
    assert reader.header == header
    assert [group.num_frames for group in reader] == [group.num_frames for group in given_groups]
    assert (reader.num_frames, reader.num_groups) == (frames, header.num_groups(frames))
    if chunk == 9:
        assert header.num_groups(frames) == {1: 1, 2: 2, 5: 2, 9: 3, 10: 4, 18: 6, 23: 8}[frames]


def test_a_stream_gives_each_group_once_the_next_is_there() -> None:
    data = written(CLIP, groups(CLIP, 13))
    reader = CodeReader(io.BytesIO(data[:-13]))  # the end is missing
    found = iter(reader)
    assert [next(found).num_frames for _ in range(3)] == [1, 4, 4]
    with pytest.raises(FormatError, match="cut short"):
        next(found)


def test_every_cut_and_every_changed_byte_is_told() -> None:
    data = written(CLIP, groups(CLIP, 7))
    assert sum(group.num_frames for group in CodeReader(io.BytesIO(data))) == 7
    for end in range(len(data)):
        refused(data[:end])
    for index in range(len(data)):
        refused(data[:index] + bytes([data[index] ^ 0x10]) + data[index + 1 :])


def test_other_files_are_told() -> None:
    assert "no file of codes" in refused(b"\x89PNG\r\n\x1a\n" + bytes(40))
    assert "no file of codes" in refused(b"")
    assert "something follows" in refused(written(CLIP, groups(CLIP, 7)) + b"x")
    assert "header of 4294967295 bytes" in refused(MAGIC + b"\xff" * 40)
    text = b"[" * 60_000
    deep = MAGIC + struct.pack("<I", len(text)) + text + struct.pack("<I", zlib.crc32(text))
    assert "no JSON" in refused(deep)


@pytest.mark.parametrize(
    ("field", "value", "text"),
    [
        ("version", 2, "version 2"),
        ("size", [20], "size in its header"),
        ("size", [0, 36], "a side is 0"),
        ("size", [2_000_000, 2_000_000], "a side of the grid"),
        ("size", "20x36", "size in its header"),
        ("grid", [10_000_000, 10_000_000], "more than is accepted"),
        ("grid", [2, 6], "a side of the grid is 2"),
        ("fps", "fast", "fps"),
        ("fps", -1, "-1 frames a second"),
        ("fps", float("nan"), "nan frames a second"),
        ("fps", float("inf"), "inf frames a second"),
        ("num_codes", -5, "num_codes is -5"),
        ("num_codes", 1 << 40, "num_codes"),
        ("num_codes", True, "num_codes is True"),
        ("num_codes", 0, "one of them is 0"),
        ("channels", 8, "one of them is 0"),
        ("patch", 0, "patch"),
        ("temporal_patch", 10**9, "temporal_patch"),
        ("chunk", 16, "chunk 16"),
        ("model", 5, "model in its header"),
        ("model", "x" * 10_000, "too long"),
        ("extra", 1, "missing or unknown: extra"),
    ],
)
def test_headers_that_make_no_sense_are_told_before_anything_is_read(
    field: str, value: object, text: str
) -> None:
    data = with_header(lambda fields: fields.update({field: value}))
    with pytest.raises(FormatError) as caught:
        CodeReader(io.BytesIO(data), "x.codes")
    assert text in caught.value.message


def test_a_header_that_lacks_a_field_or_is_no_object_is_told() -> None:
    assert "missing or unknown: patch" in refused(with_header(lambda fields: fields.pop("patch")))
    text = b"[1, 2]"
    data = MAGIC + struct.pack("<I", len(text)) + text + struct.pack("<I", zlib.crc32(text))
    assert "no JSON object" in refused(data)


def test_a_claimed_size_takes_no_memory_before_its_bytes_are_there() -> None:
    tracemalloc = pytest.importorskip("tracemalloc")
    large = replace(CLIP, size=(20_000, 20_000), grid=(2500, 2500), num_codes=1 << 24)
    stream = io.BytesIO()
    CodeWriter(stream, large)
    data = stream.getvalue() + b"G" + bytes(1000)
    assert large.group_bytes > 15_000_000
    tracemalloc.start()
    assert "cut short" in refused(data)
    assert tracemalloc.get_traced_memory()[1] < 4_000_000
    tracemalloc.stop()


def test_codes_outside_the_codebook_are_told() -> None:
    whole = written(replace(CLIP, num_codes=64), [CodeGroup(values=np.full((4, 6), 63), num_frames=1)])
    assert "code 63 is outside the codebook of 50" in refused(
        with_header(lambda fields: fields.update(num_codes=50), whole)
    )


def test_latents_that_are_not_finite_are_told() -> None:
    given_groups = groups(LATENT, 1)
    data = bytearray(written(LATENT, given_groups))
    start = data.index(b"G", 20 + struct.unpack("<I", data[16:20])[0]) + 1
    data[start : start + 2] = np.array([np.nan], "<f2").tobytes()
    body = bytes(data[start : start + LATENT.group_bytes])
    data[start + LATENT.group_bytes : start + LATENT.group_bytes + 4] = struct.pack("<I", zlib.crc32(body))
    assert "not finite" in refused(bytes(data))


def test_the_number_of_frames_must_fit_the_groups() -> None:
    data = written(CLIP, groups(CLIP, 7))
    sums = struct.unpack("<I", data[-17:-13])[0]
    for total in (0, 1, 5, 10, 2**60):
        count = struct.pack("<Q", total)
        ending = b"E" + count + struct.pack("<I", zlib.crc32(count, sums))
        assert f"cannot be of {total} frames" in refused(data[:-13] + ending)
    empty = written(CLIP, groups(CLIP, 1))[: -13 - 5 - CLIP.group_bytes]
    count = struct.pack("<Q", 0)
    assert "no frames" in refused(empty + b"E" + count + struct.pack("<I", zlib.crc32(count)))
    assert "a second" in refused(with_header(lambda fields: fields.update(fps=None)))


@pytest.mark.parametrize(
    ("values_given", "num_frames", "text"),
    [
        (np.zeros((4, 5), np.int32), 1, r"shape \(4, 5\), not \(4, 6\)"),
        (np.full((4, 6), 50), 1, "code 50 is outside"),
        (np.full((4, 6), -1), 1, "code -1 is outside"),
        (np.zeros((4, 6), np.float32), 1, "cannot be float32"),
        (np.zeros((4, 6), np.int32), 2, "2 frames, not 1 to 1"),
        (np.zeros((4, 6), np.int32), 0, "0 frames"),
    ],
)
def test_a_writer_refuses_what_no_reader_would_take(
    values_given: ndarray, num_frames: int, text: str
) -> None:
    with pytest.raises(FormatError, match=text):
        written(CLIP, [CodeGroup(values=values_given, num_frames=num_frames)])


def test_a_writer_wants_frames_in_full_groups_and_latents_in_range() -> None:
    short = [CodeGroup(values=values(CLIP), num_frames=count) for count in (1, 2, 4)]
    with pytest.raises(FormatError, match="was not full"):
        written(CLIP, short)
    with pytest.raises(FormatError, match="no frames"):
        written(CLIP, [])
    huge = np.full(LATENT.group_shape, 1e6, np.float32)
    with pytest.raises(FormatError, match="16 bits") as caught:
        written(LATENT, [CodeGroup(values=huge, num_frames=1)])
    assert caught.value.code == "format.loss"


def test_a_file_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "clip.codes"
    with pytest.raises(RuntimeError), new_codes(path, CLIP) as writer:
        writer.write(groups(CLIP, 1)[0])
        raise RuntimeError
    with pytest.raises(FormatError), new_codes(path, CLIP):
        pass  # no frames
    assert list(tmp_path.iterdir()) == []
    with new_codes(path, CLIP) as writer:
        for group in groups(CLIP, 7):
            writer.write(group)
    with open_codes(path) as reader:
        assert sum(group.num_frames for group in reader) == 7
    with pytest.raises(InputError) as caught, new_codes(path, CLIP):
        pass
    assert caught.value.code == "input.exists"
    with pytest.raises(InputError) as caught, open_codes(tmp_path / "none.codes"):
        pass
    assert caught.value.code == "input.not_found"
    with pytest.raises(InputError), open_codes(tmp_path):
        pass
