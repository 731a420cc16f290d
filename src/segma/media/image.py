"""Pictures in and out: whatever a picture is, it comes in as RGB uint8 (height, width, 3), upright.

The rotation tag is applied, alpha dropped (with a note in the log), grey, palette and CMYK made RGB, the
first frame of an animation taken, and more bits a value scaled to 8 by the rule of `arrays.eight_bits`.
Nothing is decoded before the header has said how large the picture is.
"""

from __future__ import annotations

import io
import logging
import re
import struct
from glob import glob, has_magic
from importlib import import_module
from pathlib import Path
from typing import Any, cast

import numpy as np
from jaxtyping import Bool, Int32, UInt8
from numpy import ndarray
from PIL import ExifTags, Image, ImageOps

from segma.errors import FormatError, InputError
from segma.media.arrays import Tensor, eight_bits, repeated, rgb_of_array, rgb_of_tensor
from segma.media.files import write_bytes
from segma.media.provenance import Mark, picture_metadata
from segma.samples import PictureFile

MAX_PIXELS = 500_000_000
"""Pictures of more pixels are refused, unless the caller says otherwise."""

_FORMATS = {  # what may be opened: no format that starts programs or reads other files
    "PNG": "PngImagePlugin",
    "JPEG": "JpegImagePlugin",
    "MPO": "MpoImagePlugin",
    "WEBP": "WebPImagePlugin",
    "TIFF": "TiffImagePlugin",
    "BMP": "BmpImagePlugin",
    "GIF": "GifImagePlugin",
    "PPM": "PpmImagePlugin",
    "JPEG2000": "Jpeg2KImagePlugin",
    "AVIF": "AvifImagePlugin",
}
SUFFIXES = (
    ".png", ".apng", ".jpg", ".jpeg", ".mpo", ".webp", ".tif", ".tiff", ".bmp", ".gif", ".ppm", ".pgm",
    ".pbm", ".pnm", ".jp2", ".j2k", ".avif",
)  # fmt: skip
"""Names of files that are taken for pictures when a folder is listed."""

_WRITERS: dict[str, tuple[str, dict[str, Any]]] = {  # suffix -> Pillow's format and its options
    ".png": ("PNG", {}),
    ".jpg": ("JPEG", {"quality": 95, "subsampling": 0}),
    ".jpeg": ("JPEG", {"quality": 95, "subsampling": 0}),
    ".webp": ("WEBP", {"quality": 95, "exact": False}),
    ".tif": ("TIFF", {"compression": "tiff_deflate"}),
    ".tiff": ("TIFF", {"compression": "tiff_deflate"}),
    ".bmp": ("BMP", {}),
}
_OPAQUE = {"JPEG", "BMP"}

_Stream = io.BytesIO | io.BufferedReader

_log = logging.getLogger(__name__)


def read_image(
    source: object, *, allow_network: bool = False, max_pixels: int = MAX_PIXELS
) -> UInt8[ndarray, "height width 3"]:
    """The picture as RGB, upright.

    `source` is a path, the bytes of a file, an open binary file, a Pillow image, an array (height, width
    and none, 1, 3 or 4 channels; uint8, uint16 or bool), a torch tensor (channels first or last; uint8, or
    floats from 0 to 1), or, with `allow_network`, an http address. An RGB array comes back as it is, not
    copied. Raises InputError.
    """
    if isinstance(source, ndarray):
        # a cast, because narrowing from object leaves shape and type unknown
        return rgb_of_array(cast("ndarray[Any, Any]", source))
    if isinstance(source, Tensor):
        return rgb_of_tensor(source)
    if isinstance(source, Image.Image):
        return _rgb(source, "picture", max_pixels)
    data, name = _stream(source, allow_network)
    with data:
        return _rgb(_open(data, name), name, max_pixels)


def read_picture(picture: PictureFile, *, max_pixels: int = MAX_PIXELS) -> UInt8[ndarray, "height width 3"]:
    """The picture of a sample as RGB, upright, from its file or its stretch of one. Raises InputError."""
    if picture.offset == 0 and picture.size is None:
        return read_image(picture.path, max_pixels=max_pixels)
    try:
        with picture.path.open("rb") as stream:
            stream.seek(picture.offset)
            data = stream.read(-1 if picture.size is None else picture.size)
    except FileNotFoundError:
        raise not_found(picture.path) from None
    except OSError as error:
        raise InputError("input.unreadable", f"{picture.path.name}: cannot be read ({error}).") from error
    try:
        return read_image(data, max_pixels=max_pixels)
    except InputError as error:
        place = f"{picture.path.name} at byte {picture.offset}"
        raise InputError(error.code, f"{place}: {error.message}", error.hint) from error


def read_mask(path: str | Path, *, max_pixels: int = MAX_PIXELS) -> Bool[ndarray, "height width"]:
    """The mask of a picture file: True where it is not black, or its palette index is not 0."""
    image, _ = decoded(path, max_pixels)
    if image.mode in ("P", "PA"):
        return np.asarray(image.getchannel(0) if image.mode == "PA" else image) > 0
    if image.mode in ("1", "L"):
        return np.asarray(image) > 0
    return _channels(image).max(-1) > 0


def read_palette(path: str | Path, *, max_pixels: int = MAX_PIXELS) -> UInt8[ndarray, "height width"]:
    """The ids of a palette or grey PNG: its raw values, 0 for the background. Raises InputError."""
    image, name = decoded(path, max_pixels)
    if image.mode not in ("P", "L", "1"):
        raise InputError("input.unreadable", f"{name}: holds colours ({image.mode}), not one id a pixel.")
    return np.array(image, np.uint8)


def read_ids(path: str | Path, *, max_pixels: int = MAX_PIXELS) -> Int32[ndarray, "height width"]:
    """The raw values of a PNG of masks; of a colour 65536 R + 256 G + B. Raises InputError."""
    image, _ = decoded(path, max_pixels)
    if image.mode in ("P", "L", "1", "I") or image.mode.startswith("I;"):
        return np.array(image).astype(np.int32)
    return _channels(image).astype(np.int32) @ np.array([65536, 256, 1], np.int32)


def picture_size(path: str | Path, *, upright: bool = False) -> tuple[int, int]:
    """Height and width as the header of a picture file says, before any turning. Raises InputError.

    With `upright` they are those that `read_image` gives.
    """
    data, name = _stream(path, False)
    with data:
        image = _open(data, name)
        width, height = image.size
        try:
            turned = upright and image.getexif().get(ExifTags.Base.Orientation, 1) in (5, 6, 7, 8)
        except Exception:  # a broken tag: `read_image` does not turn it either
            turned = False
    return (width, height) if turned else (height, width)


def list_images(source: str | Path) -> list[Path]:
    """The picture files that a file, folder or glob names, in the order people count (2 before 10).

    A file is taken whatever its name is; of a folder or glob the files with the suffix of a picture.
    Raises InputError `input.not_found` where there is none.
    """
    path = Path(source)
    if path.is_file():
        return [path]
    if path.is_dir():
        found = [entry for entry in path.iterdir() if entry.is_file()]
    elif has_magic(str(source)):
        names = glob(str(source), recursive=True)  # noqa: PTH207 (Path.glob takes no absolute pattern)
        found = [Path(name) for name in names if Path(name).is_file()]
    else:
        raise not_found(path)
    pictures = [entry for entry in found if entry.suffix.lower() in SUFFIXES and entry.name[0] != "."]
    if not pictures:
        raise InputError(
            "input.not_found", f"{source}: no pictures there.", f"Known suffixes: {' '.join(SUFFIXES)}."
        )
    return sorted(pictures, key=counting_order)


def not_found(path: Path) -> InputError:
    """The error for a file that is not there."""
    folder = path.parent.resolve()
    return InputError("input.not_found", f"{path.name}: no such file.", f"Looked in {folder}.")


def write_image(
    array: UInt8[ndarray, "height width channels"],
    path: str | Path,
    *,
    overwrite: bool = False,
    mark: Mark | None = None,
) -> Path:
    """Write RGB or RGBA; the suffix says how (png, jpg, webp, tif, bmp). A BMP holds no mark.

    Raises FormatError where the suffix is unknown or the format cannot hold the picture, and the errors
    of `files.write_bytes`.
    """
    path = Path(path)
    if path.suffix.lower() not in _WRITERS:
        message = f"{path.name}: no picture format of this name can be written."
        raise FormatError("format.unknown", message, f"Known: {' '.join(_WRITERS)}.")
    kind, options = _WRITERS[path.suffix.lower()]
    if array.shape[2] == 4 and kind in _OPAQUE:
        raise FormatError("format.loss", f"{path.name}: {kind} cannot hold alpha.", "Write a .png file.")
    options = options | (picture_metadata(mark, kind) if mark else {})
    return write_bytes(path, _encoded(Image.fromarray(array), path, kind, **options), overwrite=overwrite)


def write_mask(mask: Bool[ndarray, "height width"], path: str | Path, *, overwrite: bool = False) -> Path:
    """Write a grey PNG of 8 bits: 255 is the object, 0 the rest."""
    return write_bytes(path, mask_bytes(mask), overwrite=overwrite)


def mask_bytes(mask: Bool[ndarray, "height width"]) -> bytes:
    """The bytes of that file."""
    image = Image.fromarray(mask.astype(np.uint8) * np.uint8(255))
    return _encoded(image, Path("mask.png"), "PNG")


def write_palette(ids: UInt8[ndarray, "height width"], path: str | Path, *, overwrite: bool = False) -> Path:
    """Write a palette PNG: one object id a pixel, 0 the background, shown in the colours of VOC."""
    path = Path(path)
    image = Image.fromarray(ids)
    image.putpalette(voc_palette().tobytes())
    return write_bytes(path, _encoded(image, path, "PNG"), overwrite=overwrite)


def voc_palette() -> UInt8[ndarray, "256 3"]:
    """The colours of Pascal VOC: bits 0, 1, 2 of the index are the top bits of R, G, B, then 3 bits on.

    >>> voc_palette()[:4].tolist()
    [[0, 0, 0], [128, 0, 0], [0, 128, 0], [128, 128, 0]]
    """
    index = np.arange(256)[:, None]
    colours = np.zeros((256, 3), np.int64)
    for level in range(8):
        bits = index >> (3 * level) + np.arange(3)
        colours |= (bits & 1) << (7 - level)
    return colours.astype(np.uint8)


def _stream(source: object, allow_network: bool) -> tuple[_Stream, str]:
    """An open binary file and its name for messages."""
    if isinstance(source, bytes | bytearray):
        return _not_empty(io.BytesIO(source), "bytes")
    if isinstance(source, str) and "://" in source:
        from segma.media.network import fetch

        return _not_empty(io.BytesIO(fetch(source, allowed=allow_network)), source)
    if isinstance(source, str | Path):
        return _file(Path(source))
    read = getattr(source, "read", None)
    if callable(read):
        data = read()
        if not isinstance(data, bytes):
            raise InputError(
                "input.unreadable", "The file object is open as text.", 'Open it with mode "rb".'
            )
        return _not_empty(io.BytesIO(data), str(getattr(source, "name", "file object")))
    raise InputError(
        "input.array",
        f"A picture cannot be a {type(source).__name__}.",
        "Give a path, bytes, a binary file, a Pillow image, an array or a tensor.",
    )


def _file(path: Path) -> tuple[_Stream, str]:
    """A file, opened and found not to be empty."""
    try:
        if path.is_dir():
            raise InputError(
                "input.unreadable", f"{path.name or path} is a folder, not a picture.", "Name a file in it."
            )
        return _not_empty(path.open("rb"), path.name)
    except FileNotFoundError:
        raise not_found(path) from None
    except (OSError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError("input.unreadable", f"{path.name}: cannot be opened ({error}).") from error


def _not_empty(stream: _Stream, name: str) -> tuple[_Stream, str]:
    if stream.read(1):
        stream.seek(0)
        return stream, name
    stream.close()
    raise InputError("input.unreadable", f"{name}: empty, 0 bytes.")


def _open(stream: _Stream, name: str) -> Image.Image:
    """The header of a picture, nothing decoded.

    Pillow's own `Image.open` warns and refuses at a size of its own, which is one number for the whole
    process; here the size is checked by the caller, so the formats are asked directly.
    """
    prefix = stream.read(16)
    for kind, module in _FORMATS.items():
        try:
            import_module(f"PIL.{module}")
        except ImportError:
            continue  # an older Pillow without this format
        factory, accepts = Image.OPEN.get(kind, (None, None))
        if factory is None or (accepts is not None and accepts(prefix) is not True):
            continue
        stream.seek(0)
        try:
            return factory(stream, name)
        except (SyntaxError, IndexError, TypeError, KeyError, struct.error):
            continue
        except Image.DecompressionBombError as error:
            raise _too_large(name, str(error)) from error
        except Exception as error:  # a hostile file may raise anything: it is no picture
            raise _unreadable(name, error) from error
    raise InputError(
        "input.unreadable",
        f"{name}: not a picture of a known format.",
        "Known: PNG, JPEG, WebP, TIFF, BMP, GIF, PPM, JPEG 2000, AVIF.",
    )


def decoded(source: object, max_pixels: int) -> tuple[Image.Image, str]:
    """A picture file, or its bytes, in its own mode, and its name for messages. Raises InputError."""
    data, name = _stream(source, False)
    with data:
        image = _open(data, name)
        _check_size(image.size, name, max_pixels)
        _load(image, name)
    return image, name


def _rgb(image: Image.Image, name: str, max_pixels: int) -> UInt8[ndarray, "height width 3"]:
    """A Pillow image as upright RGB."""
    _check_size(image.size, name, max_pixels)
    if getattr(image, "is_animated", False) and image.format != "MPO":
        _log.info("%s: an animation, only its first frame is used", name)
    _load(image, name)
    if "A" in image.getbands() or "transparency" in image.info:
        _log.info("%s: alpha dropped", name)
    try:
        image = ImageOps.exif_transpose(image)
    except Exception as error:  # a broken tag must not lose the picture
        _log.info("%s: rotation tag unreadable, picture taken as it is (%s)", name, error)
    try:
        return np.ascontiguousarray(_channels(image))
    except Exception as error:  # an exotic mode
        raise _unreadable(name, error) from error


def _load(image: Image.Image, name: str) -> None:
    """Decode, or say that the file is broken."""
    try:
        image.load()
    except Image.DecompressionBombError as error:
        raise _too_large(name, str(error)) from error
    except MemoryError as error:
        raise _too_large(name, f"{image.width}x{image.height} does not fit into memory") from error
    except Exception as error:  # a hostile file may raise anything: it is no picture
        raise _unreadable(name, error) from error


def _channels(image: Image.Image) -> UInt8[ndarray, "height width 3"]:
    """RGB values of an image of any mode."""
    if image.mode in ("I", "F") or image.mode.startswith("I;"):
        return repeated(eight_bits(np.asarray(image)))
    if image.mode in ("P", "PA", "La", "RGBa"):
        image = image.convert("RGBA")  # alpha of a palette may be bytes, which only this understands
    return np.array(image if image.mode == "RGB" else image.convert("RGB"))


def _check_size(size: tuple[int, int], name: str, max_pixels: int) -> None:
    width, height = size
    if width <= 0 or height <= 0:
        raise InputError("input.unreadable", f"{name}: has no pixels ({width}x{height}).")
    if width * height > max_pixels:
        raise _too_large(name, f"claims {width}x{height} pixels, at most {max_pixels:,} are accepted")


def _too_large(name: str, why: str) -> InputError:
    return InputError("input.too_large", f"{name}: {why}.", "Scale it down or cut it into pieces.")


def _unreadable(name: str, error: Exception) -> InputError:
    reason = str(error).splitlines()[0].rstrip(".") if str(error) else type(error).__name__
    return InputError("input.unreadable", f"{name}: truncated or broken ({reason}).")


def _encoded(image: Image.Image, path: Path, kind: str, **options: Any) -> bytes:  # Pillow's own options
    """The bytes of the file."""
    stream = io.BytesIO()
    try:
        image.save(stream, kind, **options)
    except (OSError, ValueError) as error:
        raise FormatError(
            "format.loss",
            f"{path.name}: {kind} cannot hold {image.width}x{image.height} pixels ({error}).",
            "Write a .png file.",
        ) from error
    return stream.getvalue()


def counting_order(path: Path) -> tuple[str, list[tuple[int, str]]]:
    """A key to sort files by: of a folder, names in which runs of digits count as numbers."""
    parts = re.split(r"(\d+)", path.name)
    return str(path.parent), [(int(part), "") if part.isdigit() else (-1, part) for part in parts]
