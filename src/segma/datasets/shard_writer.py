"""Samples of any data set written as WebDataset shards, which `datasets.webdataset` reads back.

Pictures keep their bytes, masks become COCO's run lengths. Only what training looks at is kept: masks, names,
attributes, sentences of clips, source and what is loose.
"""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from segma.datasets.shard_labels import OWN_FIELDS
from segma.errors import InputError
from segma.formats.document import json_text
from segma.media.files import explained_errors
from segma.samples import ImageSample, ObjectSample, PictureFile, VideoSample

Member = tuple[str, bytes]
"""A name in a shard, and what stands there."""

# How files begin; whoever reads a picture looks at its bytes, so the suffix only has to be one of a picture.
_SUFFIXES: Mapping[bytes, str] = MappingProxyType(
    {b"\xff\xd8": ".jpg", b"RIFF": ".webp", b"BM": ".bmp", b"GIF8": ".gif", b"II*": ".tif", b"MM": ".tif"}
)


@dataclass(slots=True)
class ShardWriter:
    """One shard that grows sample by sample; `size` is how large the file is by now, or more."""

    path: Path
    size: int = 2 * tarfile.RECORDSIZE
    _archive: tarfile.TarFile = field(init=False)

    def __post_init__(self) -> None:
        with explained_errors(self.path):
            self._archive = tarfile.TarFile(self.path, "w", format=tarfile.USTAR_FORMAT)

    def add(self, members: list[Member]) -> None:
        """Write the members of a sample. Raises StoreError."""
        with explained_errors(self.path):
            for name, data in members:
                entry = tarfile.TarInfo(name)
                entry.size = len(data)
                self._archive.addfile(entry, io.BytesIO(data))
        self.size += room_of(members)

    def close(self) -> None:
        """Write the end of the shard. Raises StoreError."""
        with explained_errors(self.path):
            self._archive.close()


def room_of(members: list[Member]) -> int:
    """How many bytes members take in a shard."""
    block = tarfile.BLOCKSIZE
    return sum(block + -(-len(data) // block) * block for _, data in members)


def members_of(sample: ImageSample | VideoSample, key: str) -> list[Member]:
    """What a shard holds of a sample, under a key without dots.

    Raises InputError where a picture cannot be read, or where none is known; and for a clip without two
    frames on which all of its objects are labelled: on a labelled frame, an object without a mask would count
    as gone.
    """
    if isinstance(sample, ImageSample):
        if sample.picture is None:
            raise InputError("input.unreadable", f"{sample.file_name}: no picture is known.")
        return image_members(sample, key, picture_bytes(sample.picture))
    if len(sample.pictures) != sample.num_frames:
        raise InputError("input.unreadable", f"{sample.name}: not every frame has a picture.")
    frames = [picture_bytes(picture) for picture in sample.pictures]
    named = [(f"{key}.{number:03d}{suffix_of(data)}", data) for number, data in enumerate(frames)]
    return [*named, (f"{key}.json", json_text(_video_row(sample, key)).encode())]


def image_members(sample: ImageSample, key: str, data: bytes) -> list[Member]:
    """The same for an image whose encoded bytes are at hand."""
    row = json_text(_image_row(sample, key)).encode()
    return [(f"{key}{suffix_of(data)}", data), (f"{key}.json", row)]


def picture_bytes(picture: PictureFile) -> bytes:
    """The encoded bytes of a picture. Raises InputError."""
    try:
        with picture.path.open("rb") as stream:
            stream.seek(picture.offset)
            return stream.read(-1 if picture.size is None else picture.size)
    except OSError as error:
        raise InputError("input.unreadable", f"{picture.path.name}: cannot be read ({error}).") from error


def suffix_of(data: bytes) -> str:
    """The suffix of a picture, by how its bytes begin; ".png" for all that is not known."""
    return next((suffix for begin, suffix in _SUFFIXES.items() if data.startswith(begin)), ".png")


def _image_row(sample: ImageSample, key: str) -> dict[str, Any]:  # JSON
    places = {each.object_id: number for number, each in enumerate(sample.objects)}
    return {
        "source": sample.source,
        "ident": key,
        "width": sample.size[1],
        "height": sample.size[0],
        "loose": sample.loose or None,
        "objects": [_object_row(each, places) for each in sample.objects],
    }


def _object_row(each: ObjectSample, places: Mapping[int, int]) -> dict[str, Any]:  # JSON
    """An object's entry; the reader numbers objects by their places, and so does `part_of`."""
    said = {name: value for name, value in each.attributes.items() if name not in OWN_FIELDS}
    if "part_of" in said:
        whole = places.get(said["part_of"]) if isinstance(said["part_of"], int) else None
        said = {name: value for name, value in said.items() if name != "part_of"}
        said |= {} if whole is None else {"part_of": whole}
    return {"name": each.label, **said, "segmentation": each.mask.to_coco()}


def _video_row(sample: VideoSample, key: str) -> dict[str, Any]:  # JSON
    labelled = set(_labelled(sample))
    if len(labelled) < 2:
        raise InputError("input.value", f"{sample.name}: not all objects are labelled on two frames.")
    masks = [
        {
            str(each.object_id): each.masklet.masks[frame].to_coco()
            for each in sample.objects
            if each.masklet.masks[frame].crop_size[0]
        }
        if frame in labelled
        else None
        for frame in range(sample.num_frames)
    ]
    return {
        "source": sample.source,
        "ident": key,
        "width": sample.size[1],
        "height": sample.size[0],
        "fps": sample.fps,
        "loose": sample.loose or None,
        "names": {str(each.object_id): each.label for each in sample.objects},
        "sentences": [{"obj": list(each.object_ids), "text": each.text} for each in sample.sentences],
        "masks": masks,
    }


def _labelled(sample: VideoSample) -> Iterator[int]:
    """The frames on which every object is labelled, be it as not to be seen."""
    for frame in range(sample.num_frames):
        if sample.objects and all(frame in each.masklet.masks for each in sample.objects):
            yield frame
