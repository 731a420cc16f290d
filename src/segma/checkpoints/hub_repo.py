"""Weights out of a repository of the Hugging Face hub, through huggingface_hub and its cache.

huggingface_hub holds a file to its size; here it is held to the sha256 as well, where the hub states one.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from huggingface_hub import (
    HfFileMetadata,
    constants,
    errors,
    get_hf_file_metadata,  # pyright: ignore[reportUnknownVariableType]: one of its arguments is a bare dict
    hf_hub_download,  # pyright: ignore[reportUnknownVariableType]: likewise
    try_to_load_from_cache,
)
from tqdm.auto import tqdm

from segma.checkpoints.disk import check_room, disk_errors
from segma.checkpoints.download import Note, Progress
from segma.checkpoints.origin import file_hashes
from segma.errors import ModelError, SegmaError

_log = logging.getLogger(__name__)

_CANDIDATES = (
    "model.safetensors",
    "model.safetensors.index.json",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
)
"""Names under which repositories keep the weights, best first; an index names shards."""

_NETWORK_ERRORS: tuple[type[Exception], ...] = (
    errors.HfHubHTTPError.__bases__[0],
    getattr(errors, "XetDownloadError", RuntimeError),
    RuntimeError,
)
"""The error of huggingface_hub's HTTP library, which is not always the same one, and those of hf_xet."""

_DEFAULT_ENDPOINT = "https://huggingface.co"


@dataclass(frozen=True, kw_only=True, slots=True)
class HubRepo:
    """A repository, and a file of it; "" stands for the weights, under whichever usual name."""

    repo: str
    file: str = ""

    @classmethod
    def parse(cls, text: str) -> HubRepo:
        """Read "owner/repository" or "owner/repository/path/of/file"."""
        parts = text.split("/")
        if len(parts) < 2 or not all(_is_plain(part) for part in parts):
            raise ModelError(
                "model.unknown", f'"hf:{text}" is not hf:owner/repository or hf:owner/repository/file.'
            )
        return cls(repo="/".join(parts[:2]), file="/".join(parts[2:]))


@dataclass(frozen=True, kw_only=True, slots=True)
class _Job:
    repo: str
    by_hand: Path
    """Where a user may put the files of the repository."""
    hub_cache: Path | None
    endpoint: str
    offline: bool
    on_progress: Progress | None

    def url(self, file: str) -> str:
        return f"{self.endpoint}/{self.repo}/resolve/main/{quote(file)}"


def fetch_from_hub(
    source: HubRepo,
    *,
    cache: Path,
    offline: bool,
    environment: Mapping[str, str],
    on_progress: Progress | None = None,
    on_note: Note | None = None,
    notice: str = "",
) -> Path:
    """The file, or the folder that holds all shards. Of `environment` HF_ENDPOINT and HF_HUB_CACHE are read.

    `notice` tells the licence before a first download; without it a note says where the licence stands.

    Looks into `<cache>/owner--repository/` first, then into the cache of the hub, then asks the hub. Raises
    ModelError model.download or model.corrupt, StoreError disk.full or disk.unwritable.
    """
    hub_cache = environment.get("HF_HUB_CACHE")
    job = _Job(
        repo=source.repo,
        by_hand=cache / source.repo.replace("/", "--"),
        hub_cache=Path(hub_cache) if hub_cache else None,
        endpoint=environment.get("HF_ENDPOINT", "").rstrip("/") or _DEFAULT_ENDPOINT,
        offline=offline,
        on_progress=on_progress,
    )
    wanted = (source.file,) if source.file else _CANDIDATES
    for file in wanted:
        if (local := _local(job, file)) is not None:
            return _with_shards(job, local)
    if offline:
        raise _not_fetched(job, wanted[0], "offline mode is on")
    for file in wanted:
        if (stated := _ask(job, file)) is not None:
            text = notice or f"hf:{source.repo}: its licence stands on {job.endpoint}/{source.repo}"
            _log.info("%s", text)
            if on_note is not None:
                on_note(text)
            return _with_shards(job, _download(job, file, stated))
    raise _not_fetched(job, wanted[0], f"the hub has no {' or '.join(wanted)} in {job.repo}")


def _is_plain(part: str) -> bool:
    return re.fullmatch(r"\w[\w .+=()-]*", part) is not None and not part.endswith((".", " "))


def _local(job: _Job, file: str) -> Path | None:
    """The file where it lies already, put there by hand or by huggingface_hub."""
    placed = job.by_hand / file
    if placed.is_file() and placed.stat().st_size:
        _log.info("%s was not fetched by segma: its hash is unchecked.", placed)
        return placed
    found = try_to_load_from_cache(job.repo, file, cache_dir=job.hub_cache)
    return Path(found) if isinstance(found, str) else None


def _with_shards(job: _Job, file: Path) -> Path:
    """The file itself; for an index of shards its folder, after every shard has been brought there."""
    if not file.name.endswith(".index.json"):
        return file
    for shard in _shards(file):
        if _local(job, shard) is None:
            stated = None if job.offline else _ask(job, shard)
            if stated is None:
                raise _not_fetched(job, shard, "offline mode is on" if job.offline else "the hub lacks it")
            _download(job, shard, stated)
    return file.parent


def _shards(index: Path) -> list[str]:
    """Names of the files that an index of shards lists, refused when one of them is no plain name."""
    try:
        shards = json.loads(index.read_text(encoding="utf-8"))["weight_map"]
        names = sorted({str(name) for name in shards.values()})
    except (OSError, ValueError, KeyError, AttributeError, TypeError) as error:
        raise ModelError("model.unreadable", f"{index} is not an index of shards.") from error
    if odd := next((name for name in names if not _is_plain(name)), None):
        raise ModelError("model.unreadable", f'{index} names a shard "{odd}", which is no plain file name.')
    return names


def _ask(job: _Job, file: str) -> HfFileMetadata | None:
    """What the hub states about a file; None when the repository has no such file."""
    try:
        return get_hf_file_metadata(job.url(file), endpoint=job.endpoint)
    except errors.EntryNotFoundError:
        return None
    except errors.OfflineModeIsEnabled as error:
        raise _not_fetched(job, file, "offline mode is on") from error
    except errors.GatedRepoError as error:
        reason = f"accept the terms on {job.endpoint}/{job.repo} and log in with hf auth login"
        raise _not_fetched(job, file, reason) from error
    except errors.RepositoryNotFoundError as error:
        raise _not_fetched(job, file, f"the hub knows no public repository {job.repo}") from error
    except errors.HfHubHTTPError as error:
        raise _not_fetched(job, file, f"the hub answered {error.response.status_code}") from error
    except _NETWORK_ERRORS as error:
        raise _not_fetched(job, file, f"no connection to {job.endpoint}") from error


def _download(job: _Job, file: str, stated: HfFileMetadata) -> Path:
    folder = job.hub_cache or Path(constants.HF_HUB_CACHE)
    with disk_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    check_room(folder, stated.size, 0)
    try:
        path = Path(
            hf_hub_download(
                job.repo, file, cache_dir=folder, endpoint=job.endpoint, tqdm_class=_progress_class(job)
            )
        )
    except SegmaError:
        raise
    except (errors.HfHubHTTPError, errors.LocalEntryNotFoundError) as error:
        raise _not_fetched(job, file, "the hub stopped answering") from error
    except OSError as error:
        if error.errno is None:  # how huggingface_hub says that the size is wrong
            raise _corrupt(job, file, "its size is wrong") from error
        with disk_errors(folder):
            raise
    except _NETWORK_ERRORS as error:
        raise _not_fetched(job, file, f"the connection to {job.endpoint} broke off") from error
    _check(job, file, path, stated)
    return path


def _check(job: _Job, file: str, path: Path, stated: HfFileMetadata) -> None:
    """Hold a file in the cache of the hub to what was stated, and remove it when it fails."""
    size, etag = path.stat().st_size, stated.etag or ""
    what = ""
    if stated.size is not None and size != stated.size:
        what = f"it has {size} bytes, the hub states {stated.size}"
    # files kept outside git have their sha256 as ETag; the others a SHA-1 over more than the bytes
    elif re.fullmatch(r"[0-9a-f]{64}", etag):
        found = file_hashes(path, {"sha256"})["sha256"]
        what = "" if found == etag else f"its sha256 is {found}, the hub states {etag}"
    if what:
        blob = path.resolve()
        path.unlink(missing_ok=True)
        blob.unlink(missing_ok=True)
        raise _corrupt(job, file, what)


def _progress_class(job: _Job) -> type[tqdm]:  # pyright: ignore[reportUnknownParameterType, reportMissingTypeArgument]: as below
    """A progress bar that draws nothing and hands the numbers on."""

    class Bar(tqdm):  # pyright: ignore[reportMissingTypeArgument]: at run time it takes no type
        def __init__(self, *_: object, total: int | None = None, initial: int = 0, **__: object) -> None:
            super().__init__(total=total, initial=initial, disable=True)  # pyright: ignore[reportUnknownMemberType]: tqdm leaves its keywords untyped
            self.bytes_done, self.bytes_in_all = initial, total

        def update(self, n: float | int | None = 1) -> None:
            self.bytes_done += int(n or 0)
            if job.on_progress is not None:
                job.on_progress(self.bytes_done, self.bytes_in_all)

        def update_transfer(self, n: float | int) -> None:
            """With this method hf_xet uses one bar, not a second one for what goes over the wire."""

    return Bar


def _corrupt(job: _Job, file: str, what: str) -> ModelError:
    return ModelError(
        "model.corrupt",
        f"{job.url(file)} did not arrive as stated: {what}. It was deleted.",
        "Try again; if it stays so, the server or a proxy on the way is at fault.",
    )


def _not_fetched(job: _Job, file: str, reason: str) -> ModelError:
    """One sentence that says what to download and where to put it."""
    return ModelError(
        "model.download",
        f"{file} could not be fetched ({reason}): "
        f"download {job.url(file)} and put it at {job.by_hand / file}",
    )
