"""What a server states about a file, and the record of it that is kept beside the file.

The record of `weights.pth` is `weights.pth.origin.json`. Nothing in it is invented: size and hash are the
server's own words (or missing), and `sha256` is computed here from the bytes on the disk once they are
complete.
"""

from __future__ import annotations

import base64
import binascii
import dataclasses
import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from segma.errors import ModelError

_DIGEST_BYTES = {"sha256": 32, "sha512": 64, "md5": 16}
"""Kinds of hash that are checked, best first, with their length."""

_HASH_CHUNK_BYTES = 1 << 20


@dataclass(frozen=True, kw_only=True, slots=True)
class Origin:
    """Where a file comes from and what its server stated; empty text or None where nothing was stated."""

    url: str
    """The address that was asked for (before redirects)."""
    size: int | None
    """Bytes of the whole file."""
    etag: str
    """The entity tag of the server that sent the bytes, with its quotes."""
    last_modified: str
    hash_kind: str
    """sha256, sha512 or md5."""
    hash: str
    """Hexadecimal, lower case."""
    sha256: str = ""
    """Computed here; empty while the download is not complete."""
    date: str = ""
    """When the file was complete, ISO 8601."""

    def validator(self) -> str:
        """The text for an If-Range header, or "" when the server gave nothing that may be used for it."""
        strong = self.etag if self.etag.startswith('"') else ""
        return strong or self.last_modified


def origin_path(file: Path) -> Path:
    """The place of the record that belongs to a file."""
    return file.with_name(file.name + ".origin.json")


def read_origin(file: Path) -> Origin | None:
    """The record beside a file; None when there is none or it cannot be understood."""
    try:
        found: object = json.loads(origin_path(file).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    if not isinstance(found, dict):
        return None
    values = cast("dict[str, object]", found)  # the keys of a JSON object are texts
    size = values.pop("size", None)
    texts = {key: text for key, text in values.items() if isinstance(text, str)}
    complete = set(texts) == {field.name for field in dataclasses.fields(Origin)} - {"size"}
    if not complete or not isinstance(size, int | None) or texts["hash_kind"] not in ("", *_DIGEST_BYTES):
        return None
    return Origin(size=size, **texts)


def write_origin(file: Path, origin: Origin) -> None:
    """Put the record beside the file, in one step, so that no half record is ever seen."""
    path = origin_path(file)
    draft = path.with_name(path.name + ".new")
    draft.write_text(json.dumps(dataclasses.asdict(origin), indent=1) + "\n", encoding="utf-8")
    draft.replace(path)


def verify(file: Path) -> Origin | None:
    """The record of a fetched file after its bytes were read again and found unchanged; None without one.

    Raises ModelError model.corrupt when the sha256 is no longer that of the day of the download.
    """
    origin = read_origin(file)
    if origin is None or not origin.sha256:
        return None
    found = file_hashes(file, {"sha256"})["sha256"]
    if found != origin.sha256:
        raise ModelError(
            "model.corrupt",
            f"{file} has changed since it was fetched: sha256 {found[:12]} instead of {origin.sha256[:12]}.",
            "Delete it and fetch it again.",
        )
    return origin


def stated_origin(url: str, final: Mapping[str, str], hops: Sequence[Mapping[str, str]]) -> Origin:
    """What the headers of a complete answer (status 200) and of the redirects before it state.

    The header names are looked up in lower case or without regard to case, as httpx does.
    """
    kind, value = stated_hash(final, hops)
    return Origin(
        url=url,
        size=stated_size(final, hops),
        etag=final.get("etag", "").strip(),
        last_modified=final.get("last-modified", "").strip(),
        hash_kind=kind,
        hash=value,
    )


def stated_size(final: Mapping[str, str], hops: Sequence[Mapping[str, str]]) -> int | None:
    """The number of bytes; the hub's X-Linked-Size goes before Content-Length."""
    stated = [headers.get("x-linked-size", "") for headers in (*hops, final)]
    for text in (*stated, final.get("content-length", "")):
        if text.strip().isdecimal():
            return int(text)
    return None


def stated_hash(final: Mapping[str, str], hops: Sequence[Mapping[str, str]]) -> tuple[str, str]:
    """The best hash that a server states, as (kind, hexadecimal), or two empty texts.

    Read are X-Linked-ETag of the Hugging Face hub (a sha256, also on the redirect), Repr-Digest, Digest,
    x-amz-checksum-sha256, x-goog-hash and Content-MD5. An ETag counts as an MD5 only when S3 sent it for an
    object that was uploaded in one part and is not encrypted with a key of its owner; elsewhere its meaning
    is unknown.
    """
    found: dict[str, str] = {}
    for headers in (*hops, final):
        linked = headers.get("x-linked-etag", "").strip().strip('"').lower()
        if re.fullmatch(r"[0-9a-f]{64}", linked):
            found["sha256"] = linked
    for name in ("repr-digest", "digest", "x-goog-hash"):
        for kind, value in _digests(final.get(name, "")):
            found.setdefault(kind, value)
    for name, kind in (("x-amz-checksum-sha256", "sha256"), ("content-md5", "md5")):
        if value := _from_base64(kind, final.get(name, "")):
            found.setdefault(kind, value)
    if value := _md5_of_s3(final):
        found.setdefault("md5", value)
    return next(((kind, found[kind]) for kind in _DIGEST_BYTES if kind in found), ("", ""))


def file_hashes(file: Path, kinds: Iterable[str]) -> dict[str, str]:
    """Hashes of a file by kind, hexadecimal, in one pass over it."""
    engines = {kind: hashlib.new(kind, usedforsecurity=False) for kind in kinds}
    with file.open("rb") as handle:
        while chunk := handle.read(_HASH_CHUNK_BYTES):
            for engine in engines.values():
                engine.update(chunk)
    return {kind: engine.hexdigest() for kind, engine in engines.items()}


def _digests(header: str) -> Iterable[tuple[str, str]]:
    """Pairs out of `SHA-256=<base64>,MD5=<base64>` and out of its later form `sha-256=:<base64>:`."""
    for entry in header.split(","):
        name, _, text = entry.partition("=")
        kind = name.strip().lower().replace("-", "")
        if value := _from_base64(kind, text.strip().strip(":")):
            yield kind, value


def _from_base64(kind: str, text: str) -> str:
    try:
        raw = base64.b64decode(text.strip(), validate=True)
    except (binascii.Error, ValueError):
        return ""
    return raw.hex() if len(raw) == _DIGEST_BYTES.get(kind) else ""


def _md5_of_s3(headers: Mapping[str, str]) -> str:
    from_s3 = "x-amz-request-id" in headers or headers.get("server", "").lower() == "amazons3"
    own_key = "kms" in headers.get("x-amz-server-side-encryption", "").lower()
    own_key = own_key or "x-amz-server-side-encryption-customer-algorithm" in headers
    match = re.fullmatch(r'"([0-9a-fA-F]{32})"', headers.get("etag", "").strip())
    return match[1].lower() if from_s3 and not own_key and match else ""
