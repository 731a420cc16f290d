from __future__ import annotations

import io
import logging
import os
import struct
import subprocess
import sys
import zlib
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from segma.errors import InputError
from segma.media.image import list_images, picture_size, read_image, write_mask

RNG = np.random.default_rng(3)
PICTURE = RNG.integers(0, 256, (13, 21, 3), np.uint8)


def encoded(image: Image.Image | np.ndarray, kind: str = "PNG", **options: Any) -> bytes:
    stream = io.BytesIO()
    (image if isinstance(image, Image.Image) else Image.fromarray(image)).save(stream, kind, **options)
    return stream.getvalue()


def png_claiming(width: int, height: int) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b"\0" * 99))
        + chunk(b"IEND", b"")
    )


def refused(source: object, **options: Any) -> InputError:
    with pytest.raises(InputError) as caught:
        read_image(source, **options)
    assert "\n" not in str(caught.value)
    return caught.value


# --- sources ---------------------------------------------------------------------------------------


def test_every_source_gives_the_same_picture(tmp_path: Path):
    path = tmp_path / "a.png"
    path.write_bytes(encoded(PICTURE))
    with path.open("rb") as stream:
        sources = [
            path,
            str(path),
            path.read_bytes(),
            stream,
            io.BytesIO(path.read_bytes()),
            Image.open(path),
            PICTURE,
        ]
        for source in sources:
            found = read_image(source)
            assert found.dtype == np.uint8 and found.flags.c_contiguous
            assert np.array_equal(found, PICTURE)


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF", "PPM", "WEBP", "GIF", "JPEG2000"])
def test_formats_that_keep_every_pixel(kind: str):
    picture = np.repeat(PICTURE[:, :, :1] & 0xE0, 3, 2)  # few colours, so that a palette holds them
    options = {"lossless": True} if kind == "WEBP" else {}
    assert np.array_equal(read_image(encoded(picture, kind, **options)), picture)


@pytest.mark.parametrize("kind", ["JPEG", "AVIF"])
def test_formats_that_lose(kind: str):
    smooth = np.broadcast_to(np.linspace(0, 255, 64, dtype=np.uint8)[None, :, None], (48, 64, 3)).copy()
    assert np.abs(read_image(encoded(smooth, kind, quality=95)).astype(int) - smooth).mean() < 3


def test_arrays_of_other_kinds():
    grey = PICTURE[:, :, 0]
    rgba = np.dstack([PICTURE, grey])
    expected = np.dstack([grey] * 3)
    assert np.array_equal(read_image(grey), expected)
    assert np.array_equal(read_image(grey[..., None]), expected)
    assert np.array_equal(read_image(rgba), PICTURE)
    assert np.array_equal(read_image(grey.astype(np.uint16) << 8), expected)
    assert np.array_equal(read_image(grey > 99), expected * 0 + (expected > 99) * np.uint8(255))
    assert np.array_equal(read_image(PICTURE[::-1, ::2]), PICTURE[::-1, ::2])


@pytest.mark.parametrize("shape", [(4,), (0, 5, 3), (4, 5, 2), (2, 4, 5, 3), (3, 13, 21)])
def test_arrays_of_wrong_shape(shape: tuple[int, ...]):
    error = refused(np.zeros(shape, np.uint8))
    assert error.code == "input.array" and str(shape) in error.message


@pytest.mark.parametrize("dtype", ["float32", "int64", "int8", "complex64"])
def test_arrays_of_wrong_type(dtype: str):
    error = refused(np.zeros((4, 5, 3), dtype))
    assert error.code == "input.array" and dtype in error.message and "uint8" in error.message


def test_tensors():
    torch = pytest.importorskip("torch")
    last = torch.from_numpy(PICTURE.copy())
    first = last.permute(2, 0, 1)
    for tensor in (last, first, first / 255, (first / 255).requires_grad_(), (first / 255).double()):
        assert np.array_equal(read_image(tensor), PICTURE)
    assert np.abs(read_image((first / 255).bfloat16()).astype(int) - PICTURE).max() <= 1
    assert np.array_equal(read_image(first[:1]), np.dstack([PICTURE[:, :, 0]] * 3))
    assert refused(first.float()).code == "input.array"
    assert "0 to 1" in str(refused(first / 255 - 0.5))
    assert refused(first[None]).code == "input.array"


@pytest.mark.parametrize("source", [42, None, [1, 2], {"a": 1}, io.StringIO("text")])
def test_what_is_no_source(source: object):
    assert refused(source).code in ("input.array", "input.unreadable")


# --- what is inside --------------------------------------------------------------------------------


def test_alpha_is_dropped_with_a_note(caplog: pytest.LogCaptureFixture):
    with caplog.at_level(logging.INFO, "segma"):
        assert np.array_equal(read_image(encoded(np.dstack([PICTURE, PICTURE[:, :, 0]]))), PICTURE)
    assert "alpha dropped" in caplog.text


def test_grey_palette_bilevel_and_cmyk():
    grey = Image.fromarray(PICTURE[:, :, 0])
    assert np.array_equal(read_image(encoded(grey)), np.dstack([PICTURE[:, :, 0]] * 3))
    assert np.array_equal(read_image(encoded(grey.convert("LA"))), np.dstack([PICTURE[:, :, 0]] * 3))
    palette = Image.fromarray(PICTURE & 0xC0).convert("P", palette=Image.Palette.ADAPTIVE, colors=64)
    assert np.array_equal(read_image(encoded(palette)), np.asarray(palette.convert("RGB")))
    clear = encoded(palette, transparency=bytes(range(64)))
    assert np.array_equal(read_image(clear), np.asarray(palette.convert("RGB")))
    bilevel = grey.convert("1")
    assert set(np.unique(read_image(encoded(bilevel)))) == {0, 255}
    cmyk = Image.new("CMYK", (9, 7), (0, 255, 255, 0))
    assert (read_image(encoded(cmyk, "TIFF"))[0, 0] == [255, 0, 0]).all()
    assert np.abs(read_image(encoded(cmyk, "JPEG"))[0, 0].astype(int) - [255, 0, 0]).max() < 12


def test_sixteen_bits_keep_the_upper_eight(tmp_path: Path):
    deep = RNG.integers(0, 65536, (6, 8), np.uint16)
    deep[0, :2] = 0, 65535
    assert np.array_equal(read_image(encoded(deep))[:, :, 1], deep >> 8)
    assert np.array_equal(read_image(encoded(deep, "TIFF"))[:, :, 1], deep >> 8)
    colour = RNG.integers(0, 65536, (6, 8, 3), np.uint16)
    for name in ("deep.png", "deep.tif"):
        cv2.imwrite(str(tmp_path / name), colour[:, :, ::-1])
        assert np.array_equal(read_image(tmp_path / name), colour >> 8)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([0.0, 0.5, 1.0], [0, 128, 255]),
        ([0.0, 100.2, 255.0], [0, 100, 255]),
        ([0.0, 256.0, 65535.0], [0, 1, 255]),
        ([-1.0, 0.0, 3.0], [0, 64, 255]),
        ([5e8, 5e8, 5e8], [0, 0, 0]),
        ([np.nan, 1.0, np.inf], [0, 255, 0]),
    ],
)
def test_floats_are_scaled_by_their_range(values: list[float], expected: list[int]):
    picture = encoded(np.array([values], np.float32), "TIFF")
    assert read_image(picture)[0, :, 0].tolist() == expected


def test_whole_numbers_of_32_bits():
    picture = encoded(np.array([[0, 1, 200]], np.int32), "TIFF")
    assert read_image(picture)[0, :, 0].tolist() == [0, 1, 200]


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_rotated_photos_come_upright(orientation: int, kind: str):
    upright = np.zeros((16, 32, 3), np.uint8)
    upright[:8, :16, 0] = upright[8:, 16:, 1] = upright[:8, 16:, 2] = 255
    turns = {
        1: lambda a: a,
        2: lambda a: a[:, ::-1],
        3: lambda a: a[::-1, ::-1],
        4: lambda a: a[::-1],
        5: lambda a: a.transpose(1, 0, 2),
        6: lambda a: np.rot90(a, 1),
        7: lambda a: a.transpose(1, 0, 2)[::-1, ::-1],
        8: lambda a: np.rot90(a, -1),
    }
    stored = np.ascontiguousarray(turns[orientation](upright))
    exif = Image.Exif()
    exif[0x0112] = orientation
    found = read_image(encoded(stored, kind, exif=exif.tobytes() if kind != "TIFF" else exif))
    assert found.shape == upright.shape
    assert np.abs(found.astype(int) - upright).mean() < 8


def test_a_broken_rotation_tag_does_not_lose_the_picture():
    data = encoded(PICTURE, "PNG", exif=b"Exif\0\0MM\0*\xff\xff\xff\xff")
    assert np.array_equal(read_image(data), PICTURE)


def test_animations_give_their_first_frame_with_a_note(caplog: pytest.LogCaptureFixture):
    frames = [Image.new("RGB", (5, 4), colour) for colour in ("red", "lime")]
    with caplog.at_level(logging.INFO, "segma"):
        for kind in ("GIF", "PNG", "WEBP"):
            data = encoded(frames[0], kind, save_all=True, append_images=frames[1:])
            assert np.abs(read_image(data)[0, 0].astype(int) - [255, 0, 0]).max() < 9
    assert caplog.text.count("only its first frame") == 3


@pytest.mark.parametrize("size", [(1, 1), (1, 37), (37, 1), (3, 2)])
def test_odd_sizes(size: tuple[int, int]):
    picture = RNG.integers(0, 256, (*size, 3), np.uint8)
    assert np.array_equal(read_image(encoded(picture)), picture)


# --- what is broken --------------------------------------------------------------------------------


def test_a_missing_file(tmp_path: Path):
    error = refused(tmp_path / "clip.jpg")
    assert error.code == "input.not_found"
    assert str(error) == f"clip.jpg: no such file. Looked in {tmp_path.resolve()}."


def test_empty_folder_and_nul(tmp_path: Path):
    (tmp_path / "none.png").touch()
    assert str(refused(tmp_path / "none.png")) == "none.png: empty, 0 bytes."
    assert "folder" in str(refused(tmp_path)) and refused(tmp_path).code == "input.unreadable"
    assert refused(b"").code == "input.unreadable"
    assert refused("a\0b.png").code == "input.unreadable"


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read(tmp_path: Path):
    path = tmp_path / "secret.png"
    path.write_bytes(encoded(PICTURE))
    path.chmod(0)
    assert refused(path).code == "input.unreadable"


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "TIFF", "GIF", "BMP", "AVIF", "JPEG2000"])
def test_truncated_files(kind: str, tmp_path: Path):
    data = encoded(RNG.integers(0, 256, (64, 64, 3), np.uint8), kind)
    for share in (0.02, 0.5, 0.8):
        path = tmp_path / "cut.img"
        path.write_bytes(data[: int(len(data) * share)])
        error = refused(path)
        assert error.code == "input.unreadable" and error.message.startswith("cut.img: ")


@pytest.mark.parametrize(
    "data", [b"hello, no picture at all", b"%PDF-1.7\n", b"<svg/>", b"%!PS-Adobe-3.0 EPSF-3.0\n", b"\0" * 400]
)
def test_what_is_no_picture(data: bytes):
    assert refused(data).code == "input.unreadable"


@pytest.mark.parametrize("size", [(1_000_000, 1000), (50_000, 50_000), (2**31 - 1, 2**31 - 1)])
def test_a_header_that_claims_too_much_is_refused_before_decoding(size: tuple[int, int], tmp_path: Path):
    path = tmp_path / "bomb.png"
    path.write_bytes(png_claiming(*size))
    error = refused(path)
    assert error.code in ("input.too_large", "input.unreadable")
    if size[0] < 2**31 - 1:
        assert (
            error.code == "input.too_large"
            and f"bomb.png: claims {size[0]}x{size[1]} pixels" in error.message
        )


def test_the_limit_is_the_callers_and_pillows_own_does_not_warn():
    assert refused(encoded(PICTURE), max_pixels=13 * 21 - 1).code == "input.too_large"
    assert read_image(encoded(PICTURE), max_pixels=13 * 21).shape == PICTURE.shape
    assert "truncated" in refused(png_claiming(20_000, 10_000)).message  # 2 * 10^8: allowed, but a lie


def test_a_picture_without_pixels():
    assert refused(png_claiming(0, 10)).code == "input.unreadable"


@given(
    st.integers(0, 2**20), st.sampled_from(["PNG", "JPEG", "GIF", "TIFF", "BMP", "WEBP"]), st.integers(1, 12)
)
def test_damaged_files_give_a_picture_or_an_input_error(seed: int, kind: str, damage: int):
    data = bytearray(encoded(PICTURE, kind))
    rng = np.random.default_rng(seed)
    for place in rng.integers(0, len(data), damage):
        data[place] = rng.integers(256)
    try:
        assert read_image(bytes(data), max_pixels=10**6).ndim == 3
    except InputError as error:
        assert error.code in ("input.unreadable", "input.too_large")


# --- lists -----------------------------------------------------------------------------------------


def test_listing_a_file_a_folder_and_a_glob(tmp_path: Path):
    for name in ("10.png", "2.JPG", "1.webp", "notes.txt", ".hidden.png"):
        (tmp_path / name).touch()
    (tmp_path / "deep.png").mkdir()
    (tmp_path / "deep.png" / "3.png").touch()
    assert [path.name for path in list_images(tmp_path)] == ["1.webp", "2.JPG", "10.png"]
    assert [path.name for path in list_images(str(tmp_path / "*.png"))] == ["10.png"]
    assert {path.name for path in list_images(f"{tmp_path}/**/*.png")} == {"10.png", "3.png"}
    assert list_images(tmp_path / "notes.txt") == [tmp_path / "notes.txt"]


@pytest.mark.parametrize("name", ["missing.png", "missing/*.png", "empty"])
def test_listing_nothing(name: str, tmp_path: Path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError) as caught:
        list_images(tmp_path / name)
    assert caught.value.code == "input.not_found"


def test_importing_needs_no_torch():
    modules = "segma.media.image, segma.media.sheet, segma.formats.outputs"
    code = f"import sys, {modules}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_size_is_read_from_the_header(tmp_path: Path):
    path = write_mask(np.eye(31, 43) > 0, tmp_path / "a.png")
    path.write_bytes(path.read_bytes()[:60])
    assert picture_size(path) == (31, 43)
    with pytest.raises(InputError, match="no such file"):
        picture_size(tmp_path / "b.png")
