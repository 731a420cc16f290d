from __future__ import annotations

import base64
import hashlib
from pathlib import Path

import pytest

from segma.checkpoints.origin import (
    Origin,
    file_hashes,
    origin_path,
    read_origin,
    stated_hash,
    stated_origin,
    stated_size,
    verify,
    write_origin,
)
from segma.errors import ModelError

BYTES = b"weights" * 1000
SHA256 = hashlib.sha256(BYTES)
MD5 = hashlib.md5(BYTES)


def b64(digest: bytes) -> str:
    return base64.b64encode(digest).decode()


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"repr-digest": f"sha-256=:{b64(SHA256.digest())}:"}, ("sha256", SHA256.hexdigest())),
        (
            {"digest": f"MD5={b64(MD5.digest())},SHA-256={b64(SHA256.digest())}"},
            ("sha256", SHA256.hexdigest()),
        ),
        ({"x-amz-checksum-sha256": b64(SHA256.digest())}, ("sha256", SHA256.hexdigest())),
        ({"x-goog-hash": f"crc32c=AAAAAA==, md5={b64(MD5.digest())}"}, ("md5", MD5.hexdigest())),
        ({"content-md5": b64(MD5.digest())}, ("md5", MD5.hexdigest())),
        ({"x-linked-etag": f'"{SHA256.hexdigest()}"'}, ("sha256", SHA256.hexdigest())),
        ({"server": "AmazonS3", "etag": f'"{MD5.hexdigest()}"'}, ("md5", MD5.hexdigest())),
        ({"x-amz-request-id": "1", "etag": f'"{MD5.hexdigest()}"'}, ("md5", MD5.hexdigest())),
    ],
)
def test_hash_is_read_from_the_header_that_states_it(
    headers: dict[str, str], expected: tuple[str, str]
) -> None:
    assert stated_hash(headers, []) == expected


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"etag": f'"{MD5.hexdigest()}"'},  # not S3: nobody says that it is an MD5
        {"server": "AmazonS3", "etag": f'"{MD5.hexdigest()}-12"'},  # uploaded in parts
        {"server": "AmazonS3", "etag": f'W/"{MD5.hexdigest()}"'},
        {
            "server": "AmazonS3",
            "etag": f'"{MD5.hexdigest()}"',
            "x-amz-server-side-encryption": "aws:kms",
        },
        {"x-amz-checksum-sha256": f"{b64(SHA256.digest())}-3"},  # a checksum of checksums
        {"content-md5": "no base64"},
        {"content-md5": b64(b"short")},
        {"digest": "sha-256"},
        {"x-linked-etag": '"0123456789012345678901234567890123456789"'},  # a git SHA-1
    ],
)
def test_no_hash_is_made_out_of_what_states_none(headers: dict[str, str]) -> None:
    assert stated_hash(headers, []) == ("", "")


def test_the_hub_states_size_and_hash_on_its_redirect() -> None:
    redirect = {"x-linked-size": "7000", "x-linked-etag": SHA256.hexdigest(), "content-length": "12"}
    final = {"content-length": "7000", "etag": '"cdn"', "last-modified": "Mon, 01 Jan 2024 00:00:00 GMT"}
    origin = stated_origin("https://hub/x.pth", final, [redirect])
    assert (origin.size, origin.hash_kind, origin.hash) == (7000, "sha256", SHA256.hexdigest())
    assert origin.etag == '"cdn"'
    assert origin.sha256 == ""


def test_size_is_unknown_when_nothing_states_it() -> None:
    assert stated_size({"content-length": "many"}, [{}]) is None


@pytest.mark.parametrize(
    ("etag", "modified", "validator"),
    [('"a"', "Mon", '"a"'), ('W/"a"', "Mon", "Mon"), ("", "", ""), ('W/"a"', "", "")],
)
def test_only_a_strong_tag_or_a_date_may_continue_a_download(
    etag: str, modified: str, validator: str
) -> None:
    origin = Origin(url="u", size=1, etag=etag, last_modified=modified, hash_kind="", hash="")
    assert origin.validator() == validator


def record(file: Path, sha256: str) -> Origin:
    return Origin(
        url="https://x/w.pth",
        size=len(BYTES),
        etag="",
        last_modified="",
        hash_kind="",
        hash="",
        sha256=sha256,
    )


def test_record_is_written_and_read(tmp_path: Path) -> None:
    file = tmp_path / "w.pth"
    origin = record(file, SHA256.hexdigest())
    write_origin(file, origin)
    assert read_origin(file) == origin
    assert [path.name for path in tmp_path.iterdir()] == ["w.pth.origin.json"]


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"url": 3}', "\udcff", '{"url":"u","size":"12","etag":"","last_modified":""}']
)
def test_a_record_that_makes_no_sense_counts_as_none(tmp_path: Path, text: str) -> None:
    file = tmp_path / "w.pth"
    origin_path(file).write_bytes(text.encode("utf-8", "surrogateescape"))
    assert read_origin(file) is None


def test_verify_reads_the_bytes_again(tmp_path: Path) -> None:
    file = tmp_path / "w.pth"
    file.write_bytes(BYTES)
    assert verify(file) is None
    write_origin(file, record(file, SHA256.hexdigest()))
    assert verify(file) == record(file, SHA256.hexdigest())
    file.write_bytes(BYTES[:-1] + b"!")
    with pytest.raises(ModelError, match="has changed since it was fetched") as caught:
        verify(file)
    assert caught.value.code == "model.corrupt"


def test_file_hashes_go_over_the_file_once_for_all_kinds(tmp_path: Path) -> None:
    file = tmp_path / "w.pth"
    file.write_bytes(BYTES)
    assert file_hashes(file, {"sha256", "md5"}) == {"sha256": SHA256.hexdigest(), "md5": MD5.hexdigest()}
