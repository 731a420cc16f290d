"""One file from a web address into a folder: checked, resumed, and fetched once.

Invariants
- `<file>` is only ever a complete file: bytes are gathered in `<file>.part`, held to what the server stated,
  and then renamed in one step.
- `<file>.origin.json` (see `origin`) is written before the first byte, so a part without a matching record
  is never continued; its `sha256` is filled in when the file is complete.
- Only the holder of the lock `<file>.lock` touches the part and the record.

The hex digits in names such as `sam_vit_b_01ec64.pth` are, by a habit of torch hub, the beginning of the
sha256 of the file. No server states that, so it is not enforced.
"""

from __future__ import annotations

import dataclasses
import logging
import os
import re
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import httpx

from segma.checkpoints.disk import check_room, disk_errors
from segma.checkpoints.origin import (
    Origin,
    file_hashes,
    origin_path,
    read_origin,
    stated_origin,
    write_origin,
)
from segma.errors import ModelError
from segma.locking import file_lock

_log = logging.getLogger(__name__)

Progress = Callable[[int, int | None], object]
"""Called with the bytes that are there and the bytes in all (None when not known); it may raise to stop."""

Note = Callable[[str], object]
"""Called with a sentence that the user should see."""

_TRY_LATER = frozenset({408, 425, 429, 500, 502, 503, 504})
_NOT_REACHED = (httpx.ConnectError, httpx.ConnectTimeout, httpx.ProxyError, httpx.UnsupportedProtocol)


def _utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, kw_only=True, slots=True)
class DownloadConfig:
    """How patient a download is."""

    connect_seconds: float = 10.0
    """Longest wait for a connection."""
    read_seconds: float = 30.0
    """Longest silence of a server that is connected."""
    attempts: int = 4
    """Tries in a row that brought no new byte, after which the download is given up."""
    backoff_seconds: float = 0.5
    """Pause after the first failed try; it doubles with every further one."""
    lock_poll_seconds: float = 0.2
    """How often to look whether another process has finished the same file."""
    max_redirects: int = 5
    transport: httpx.BaseTransport | None = None
    """Replaces the network connection (a proxy of your own, a test); None is httpx's own."""
    sleep: Callable[[float], object] = time.sleep
    now: Callable[[], datetime] = _utc_now


@dataclass(frozen=True, kw_only=True, slots=True)
class _Job:
    url: str
    target: Path
    config: DownloadConfig
    on_progress: Progress | None
    on_note: Note | None

    @property
    def part(self) -> Path:
        return self.target.with_name(self.target.name + ".part")

    def progress(self, done: int, total: int | None) -> None:
        if self.on_progress is not None:
            self.on_progress(done, total)

    def note(self, text: str) -> None:
        _log.info("%s", text)
        if self.on_note is not None:
            self.on_note(text)


class _TryAgainError(Exception):
    """A failure of this moment; the text says which."""


def download(
    url: str,
    folder: Path,
    *,
    on_progress: Progress | None = None,
    on_note: Note | None = None,
    offline: bool = False,
    notice: str = "",
    config: DownloadConfig | None = None,
) -> Path:
    """The path of the file at `url` inside `folder`, fetched unless it is there already.

    A file that is there is taken without any request. One that was put there by hand has no record: it is
    taken as it is, with a note that its hash is unchecked. `notice` (a licence, say) is reported before the
    first byte is asked for. Raises ModelError model.download when the file cannot be fetched (the text says
    what to put where), model.corrupt when it is not what the server states, StoreError disk.full or
    disk.unwritable.
    """
    target = folder / file_name(url)
    job = _Job(
        url=url, target=target, config=config or DownloadConfig(), on_progress=on_progress, on_note=on_note
    )
    if _is_there(job, offline=offline):
        return target
    if offline:
        raise _not_fetched(job, "offline mode is on")
    with disk_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    with _only_one(job):
        if not _is_there(job, offline=False):
            if notice:
                job.note(notice)
            _accept(job, _receive(job))
    return target


def file_name(url: str) -> str:
    """The name under which a download is kept: the last part of the address, if that is a plain name."""
    try:
        address = httpx.URL(url)
    except (httpx.InvalidURL, TypeError, ValueError) as error:
        raise ModelError("model.download", f'"{url}" is not a web address.') from error
    if address.scheme not in ("http", "https") or not address.host:
        raise ModelError("model.download", f'"{url}" is not an http or https address.')
    # `path` is decoded, so an encoded separator shows up here as one
    name = str(address.path).rsplit("/", 1)[-1]
    encoded = address.raw_path.split(b"?")[0].rsplit(b"/", 1)[-1].lower()
    if b"%2f" in encoded or not re.fullmatch(r"\w[\w .+=()-]{0,199}", name) or name.endswith((".", " ")):
        raise ModelError("model.download", f'"{url}" does not end in a usable file name.')
    return name


def _is_there(job: _Job, *, offline: bool) -> bool:
    """Whether the complete file is in place; a wrong one is an error when offline, else fetched again."""
    size, origin = _size(job.target), read_origin(job.target)
    if not job.target.is_file():
        return False
    trouble = ""
    if size == 0:
        trouble = f"{job.target} is empty."
    elif origin and origin.url != job.url:
        trouble = f"{job.target} came from {origin.url}, not from {job.url}."
    elif origin and origin.size not in (None, size):
        trouble = f"{job.target} has {size} bytes, its server states {origin.size}."
    if trouble and offline:
        raise ModelError("model.corrupt", trouble, f"Replace it with {job.url} or go online.")
    if trouble:
        _log.info("%s It will be fetched again.", trouble)
    elif not origin or not origin.sha256:
        _log.info("%s was not fetched by segma: its hash is unchecked.", job.target)
    return not trouble


@contextmanager
def _only_one(job: _Job) -> Generator[None]:
    """Hold the lock of the file; while another process works on it, report its progress."""
    waiting = False

    def wait() -> None:
        nonlocal waiting
        if not waiting:
            job.note(f"Another process is fetching {job.target.name}; waiting for it.")
        waiting = True
        job.progress(_size(job.part), None)
        job.config.sleep(job.config.lock_poll_seconds)

    path = job.target.with_name(job.target.name + ".lock")
    with disk_errors(path.parent):
        path.touch()
    with file_lock(path, wait=wait):
        yield


def _receive(job: _Job) -> Origin:
    """Fill the part, in as many tries as it takes, and give what the server stated about the file."""
    config = job.config
    patience = httpx.Timeout(config.read_seconds, connect=config.connect_seconds)
    furthest, failures, first = _size(job.part), 0, True
    with httpx.Client(
        timeout=patience, transport=config.transport, headers={"User-Agent": "segma"}
    ) as client:
        while True:
            try:
                return _attempt(job, client)
            except _NOT_REACHED as error:
                if first:  # without a network there is nothing to wait for
                    raise _not_fetched(job, _reason(error, job.url)) from error
                trouble: Exception = error
            except (httpx.TransportError, _TryAgainError) as error:
                trouble = error
            first = False
            reached = _size(job.part)
            failures = 1 if reached > furthest else failures + 1
            furthest = max(furthest, reached)
            if failures >= config.attempts:
                raise _not_fetched(job, _reason(trouble, job.url)) from trouble
            _log.info("%s: %s; trying again", job.url, _reason(trouble, job.url))
            config.sleep(config.backoff_seconds * 2 ** (failures - 1))


def _attempt(job: _Job, client: httpx.Client) -> Origin:
    """One request for what is missing. Raises _TryAgainError or httpx.TransportError to be called again."""
    known = _continuable(job)
    start = _size(job.part) if known else 0
    if known and known.size == start:
        return known
    headers = {"Accept-Encoding": "identity"}
    if known:
        headers |= {"Range": f"bytes={start}-", "If-Range": known.validator()}
    with _open(job, client, headers) as (response, hops):
        if known and response.status_code in (206, 416):
            _check_continues(job, known, response, start)
            origin = known
        else:
            _check_status(job, response)
            origin, start = stated_origin(job.url, response.headers, hops), 0
        check_room(job.target.parent, origin.size, start)
        with disk_errors(job.target.parent):
            write_origin(job.target, origin)
        _save(job, response, start, origin.size)
    if response.status_code == 206 and _size(job.part) < (origin.size or 0):
        raise _TryAgainError("the server sent less than was asked for")
    return origin


def _continuable(job: _Job) -> Origin | None:
    """The record of a part that may be continued; a part that may not is removed."""
    size, origin = _size(job.part), read_origin(job.target)
    if origin and origin.url == job.url and origin.size and 0 < size <= origin.size:
        complete = size == origin.size
        if complete or origin.validator():
            return origin
    with disk_errors(job.target.parent):
        job.part.unlink(missing_ok=True)
    return None


@contextmanager
def _open(
    job: _Job, client: httpx.Client, headers: dict[str, str]
) -> Generator[tuple[httpx.Response, list[Mapping[str, str]]]]:
    """The answer after redirects, its body unread, and the headers of the redirects."""
    request = client.build_request("GET", job.url, headers=headers)
    hops: list[Mapping[str, str]] = []
    while True:
        response = client.send(request, stream=True, follow_redirects=False)
        try:
            following = response.next_request
            if following is None:
                yield response, hops
                return
        finally:
            response.close()
        if request.url.scheme == "https" and following.url.scheme != "https":
            raise _not_fetched(job, f"the server redirects to {following.url}, which is not encrypted")
        hops.append(response.headers)
        if len(hops) > job.config.max_redirects:
            raise _not_fetched(job, f"the server redirects more than {job.config.max_redirects} times")
        request = following


def _check_status(job: _Job, response: httpx.Response) -> None:
    status = f"the server answered {response.status_code} {response.reason_phrase}".rstrip()
    if response.status_code in _TRY_LATER:
        raise _TryAgainError(status)
    if response.status_code != 200:
        raise _not_fetched(job, status)
    if response.headers.get("content-type", "").startswith("text/html"):
        raise _not_fetched(job, "the server sent a web page instead of the file")
    if response.headers.get("content-encoding", "identity") != "identity":
        raise _not_fetched(job, "the server sent the file in a packed form that was not asked for")


def _check_continues(job: _Job, known: Origin, response: httpx.Response, start: int) -> None:
    """Refuse a partial answer that is about another file or does not begin where the part ends."""
    etag = response.headers.get("etag", "").strip()
    stated = response.headers.get("content-range", "")
    match = re.fullmatch(r"bytes (?:(\d+)-\d+|\*)/(\d+)", stated.strip())
    if etag in ("", known.etag) and match and int(match[2]) != known.size:
        raise _corrupt(job, f"the server first stated {known.size} bytes, then {match[2]}")
    begin = match[1] if match and etag in ("", known.etag) else None
    if response.status_code == 416 or begin is None or int(begin) != start:
        with disk_errors(job.target.parent):
            job.part.unlink(missing_ok=True)
        raise _TryAgainError("the file changed on the server")


def _save(job: _Job, response: httpx.Response, start: int, total: int | None) -> None:
    """Write the body behind the first `start` bytes of the part."""
    done = start
    with disk_errors(job.target.parent):
        handle = job.part.open("ab" if start else "wb", buffering=0)
    # unbuffered, so that a full disk is met in write() and not again on closing
    with handle:
        job.progress(done, total)
        for chunk in response.iter_raw():
            with disk_errors(job.target.parent):
                written = 0
                while written < len(chunk):
                    written += handle.write(chunk[written:])
            done += len(chunk)
            job.progress(done, total)
            if total is not None and done > total:
                break  # _accept refuses it; an endless body must not fill the disk
        with disk_errors(job.target.parent):
            os.fsync(handle.fileno())


def _accept(job: _Job, origin: Origin) -> None:
    """Hold the part to what was stated, and make it the file."""
    size = _size(job.part)
    if origin.size is not None and size != origin.size:
        raise _corrupt(job, f"it has {size} bytes, the server states {origin.size}")
    if size == 0:
        raise _corrupt(job, "the server sent an empty file")
    with disk_errors(job.target.parent):
        found = file_hashes(job.part, {"sha256", origin.hash_kind or "sha256"})
    if origin.hash and found[origin.hash_kind] != origin.hash:
        kind, value = origin.hash_kind, found[origin.hash_kind]
        raise _corrupt(job, f"its {kind} is {value}, the server states {origin.hash}")
    date = job.config.now().isoformat(timespec="seconds")
    with disk_errors(job.target.parent):
        write_origin(job.target, dataclasses.replace(origin, size=size, sha256=found["sha256"], date=date))
        job.part.replace(job.target)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _corrupt(job: _Job, what: str) -> ModelError:
    """The error for bytes that are not what was stated; the part is removed on the way."""
    with disk_errors(job.target.parent):
        job.part.unlink(missing_ok=True)
        if not job.target.exists():
            origin_path(job.target).unlink(missing_ok=True)
    return ModelError(
        "model.corrupt",
        f"{job.url} did not arrive as stated: {what}. It was deleted.",
        "Try again; if it stays so, the server or a proxy on the way is at fault.",
    )


def _not_fetched(job: _Job, reason: str) -> ModelError:
    """One sentence that says what to download and where to put it."""
    return ModelError(
        "model.download",
        f"{job.target.name} could not be fetched ({reason}): download {job.url} and put it at {job.target}",
    )


def _reason(error: Exception, url: str) -> str:
    host = httpx.URL(url).host
    match error:
        case httpx.ConnectTimeout() | httpx.ConnectError() | httpx.ProxyError():
            return f"no connection to {host}"
        case httpx.TimeoutException():
            return f"{host} did not answer in time"
        case httpx.NetworkError() | httpx.ProtocolError():
            return f"the connection to {host} broke off"
        case _:
            return str(error) or type(error).__name__
