"""Official weights by name: from the cache, or fetched from the public place where their authors put them.

A name is a row of `models.catalog`, an http(s) address, or `hf:owner/repository[/file]` for the Hugging Face
hub. Files from an address lie directly in the cache folder, files from the hub in the hub's own cache.
Either may be put there by hand; `<cache>/owner--repository/` is the place for files of the hub. What is
there is used without asking any server, so everything works offline once it was fetched.
"""

from __future__ import annotations

import importlib.resources
import os
import sys
from collections.abc import Mapping
from pathlib import Path

from segma.checkpoints.download import DownloadConfig, Note, Progress, download

__all__ = ["DownloadConfig", "cache_folder", "download", "fetch", "is_offline"]

_HUB_PREFIX = "hf:"


def fetch(
    name: str,
    *,
    cache: Path | None = None,
    offline: bool | None = None,
    on_progress: Progress | None = None,
    on_note: Note | None = None,
    environment: Mapping[str, str] | None = None,
    config: DownloadConfig | None = None,
) -> Path:
    """The weights of a model as a path: a file, or a folder when the hub holds them in shards.

    `cache` defaults to `cache_folder()`, `offline` to `is_offline()`, `environment` to that of the process.
    `config` is for files from an address; the hub's own library has its own patience. The licence is told to
    `on_note` and the log before a first download. Raises ModelError model.unknown, model.download (the text
    says what to put where) or model.corrupt, StoreError disk.full or disk.unwritable.
    """
    environment = os.environ if environment is None else environment
    cache = cache_folder(environment) if cache is None else cache
    offline = is_offline(environment) if offline is None else offline
    if name.startswith(_HUB_PREFIX):
        from segma.checkpoints.hub_repo import HubRepo, fetch_from_hub  # huggingface_hub is slow to import

        source = HubRepo.parse(name.removeprefix(_HUB_PREFIX))
        return fetch_from_hub(
            source,
            cache=cache,
            offline=offline,
            on_progress=on_progress,
            on_note=on_note,
            environment=environment,
            notice=_hub_notice(source.repo),
        )
    found = (name, "") if "://" in name else _catalog_source(name)
    if isinstance(found, Path):
        return found
    url, notice = found
    return download(
        url, cache, on_progress=on_progress, on_note=on_note, offline=offline, notice=notice, config=config
    )


def cache_folder(environment: Mapping[str, str] | None = None, *, platform: str = sys.platform) -> Path:
    """Where weights are kept: $SEGMA_CACHE, or what is usual on the platform. It may not exist yet."""
    environment = os.environ if environment is None else environment
    if chosen := environment.get("SEGMA_CACHE"):
        return Path(chosen).expanduser().absolute()
    home = Path(environment.get("HOME") or Path.home())
    if platform == "win32":
        local = environment.get("LOCALAPPDATA")
        return (Path(local) if local else Path.home() / "AppData" / "Local") / "segma"
    if platform == "darwin":
        return home / "Library" / "Caches" / "segma"
    return Path(environment.get("XDG_CACHE_HOME") or home / ".cache") / "segma"


def is_offline(environment: Mapping[str, str] | None = None) -> bool:
    """Whether SEGMA_OFFLINE or HF_HUB_OFFLINE forbids the network (1, true, yes or on)."""
    environment = os.environ if environment is None else environment
    values = (environment.get(key, "").strip().lower() for key in ("SEGMA_OFFLINE", "HF_HUB_OFFLINE"))
    return any(value in ("1", "true", "yes", "on") for value in values)


def _catalog_source(name: str) -> Path | tuple[str, str]:
    """The file of a model that came with a package, or an address and the note on the licence."""
    from segma.models.catalog import EmbeddedFile, OfficialFile, lookup

    entry = lookup(name)
    match entry.weights:
        case OfficialFile(url=url):
            return url, f"{entry.name}: weights under {entry.licence}, from {url}"
        case EmbeddedFile(package=package, file_name=file_name):
            return Path(str(importlib.resources.files(package).joinpath(file_name)))


def _hub_notice(repo: str) -> str:
    """The note on the licence of a repository that the catalog names, or ""."""
    from segma.models.catalog import OfficialFile, all_models

    for entry in all_models().values():
        if isinstance(entry.weights, OfficialFile) and entry.weights.hub_repo == repo:
            return f"{entry.name}: weights under {entry.licence}, from hf:{repo}"
    return ""
