"""Trackers and their projects: begun anew, or opened again."""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from segma.errors import InputError, StoreError
from segma.media.image import list_images
from segma.media.source import FolderSource, FrameSource, open_source
from segma.media.video import VideoFile
from segma.models.interfaces import WithMemory
from segma.runtime import Runtime
from segma.store.assets import Asset, AssetKind
from segma.store.project import DATABASE, Project
from segma.store.tracks import AssetTracks
from segma.tasks.track import VideoSession
from segma.tasks.track_config import TrackConfig
from segma.tracker import Tracker

# Setting of a project: the frames of its folder by file name, where they are not all pictures in it.
_FRAMES = "frames"


@dataclass(frozen=True, kw_only=True, slots=True)
class MadeBy:
    """The network, where it runs, and what a project is told of it.

    `name` is the catalog's or the file's, `origin` what to load it by again, `weights_hash` its sha256.
    """

    network: WithMemory
    runtime: Runtime
    name: str
    origin: str
    weights_hash: str


def open_project(source: object) -> Project | None:
    """The project that a source names, open for writing; None for anything else. Raises StoreError."""
    if not isinstance(source, str | Path):
        return None
    folder = Path(source)
    if not folder.is_dir() or not ((folder / DATABASE).is_file() or folder.suffix == ".segma"):
        return None
    return Project.open(folder)


def tracker_of(
    source: object,  # a project folder, or whatever media.source.open_source takes
    made_by: Callable[[str | None], MadeBy],
    config: TrackConfig,
    *,
    project: str | Path | None,
    allow_network: bool,
    overwrite: bool,
) -> Tracker:
    """A tracker of a project that was begun, else of a video; `made_by` is told the model that it names.

    Raises InputError, StoreError, and what `made_by` raises.
    """
    begun = open_project(source)
    if begun is None:
        made = made_by(None)
        frames = open_source(source, allow_network=allow_network)
        return new_tracker(frames, made, config, project=project, overwrite=overwrite)
    try:
        return resume_tracker(begun, made_by(begun.settings.get("model")), config)
    except BaseException:
        begun.close()
        raise


def new_tracker(
    source: FrameSource,
    made_by: MadeBy,
    config: TrackConfig,
    *,
    project: str | Path | None,
    overwrite: bool,
) -> Tracker:
    """A tracker of a video that nobody tracked yet, in a new project folder or a temporary one."""
    temporary = None
    if project is None:
        temporary = tempfile.TemporaryDirectory(prefix="segma-", ignore_cleanup_errors=True)
        folder = Path(temporary.name) / "track.segma"
    else:
        folder = Path(project)
        _make_way(folder, overwrite=overwrite)
    kept = Project.create(folder)
    try:
        kept.set_setting("model", made_by.origin)
        kept.set_setting("track", asdict(config))
        if isinstance(source, FolderSource) and list(source.paths) != list_images(source.paths[0].parent):
            kept.set_setting(_FRAMES, [path.name for path in source.paths])
        asset = _add_asset(kept, source)
        return Tracker(_session(kept, asset, source, made_by, config), kept, asset, temporary)
    except BaseException:
        kept.close()
        if temporary is not None:
            temporary.cleanup()
        raise


def resume_tracker(project: Project, made_by: MadeBy, config: TrackConfig) -> Tracker:
    """A tracker of the one video of a project. Raises InputError where it has none, or several."""
    asset, source = the_video(project)
    if config == TrackConfig():
        config = _stored_config(project.settings.get("track"))
    return Tracker(_session(project, asset, source, made_by, config), project, asset)


def the_video(project: Project) -> tuple[Asset, FrameSource]:
    """The one video of a project, opened. Raises InputError where it has none, or several, or it is gone."""
    found = [asset for asset in project.assets() if asset.kind in ("video", "frames")]
    if len(found) != 1:
        raise InputError("input.value", f"{project.name} has {len(found)} videos, expected one.")
    place, chosen = found[0].locate(), project.settings.get(_FRAMES)
    return found[0], open_source(place if chosen is None else [place / name for name in chosen])


def _session(
    project: Project,
    asset: Asset,
    source: FrameSource,
    made_by: MadeBy,
    config: TrackConfig,
) -> VideoSession:
    settings = hashlib.sha256(json.dumps(asdict(config), sort_keys=True).encode()).hexdigest()
    keeper = AssetTracks(
        project, asset, model=made_by.name, model_hash=made_by.weights_hash, settings_hash=settings
    )
    shots = project.shots(asset)
    return VideoSession(
        made_by.network,
        source,
        config,
        runtime=made_by.runtime,
        keeper=keeper,
        cuts=tuple(first for first, _ in shots[1:]),
        identity=f"{made_by.name} {made_by.weights_hash}",
    )


def _add_asset(project: Project, source: FrameSource) -> Asset:
    kind: AssetKind = "stream"
    path: str | Path = source.name
    times = None
    rotation = 0
    if isinstance(source, VideoFile) and source.path is not None:
        kind, path, rotation = "video", source.path, source.rotation
        times = source.times().tolist() if source.is_variable_rate else None
    elif isinstance(source, FolderSource):
        kind, path = "frames", source.paths[0].parent
    return project.add_asset(
        path,
        kind=kind,
        size=source.size,
        num_frames=source.num_frames,
        fps=source.fps,
        times=times,
        rotation=rotation,
    )


def _stored_config(values: Mapping[str, Any] | None) -> TrackConfig:  # JSON
    """The config that a project was made with; fields that this version does not know are left out."""
    known = {
        name: value for name, value in (values or {}).items() if name in TrackConfig.__dataclass_fields__
    }
    return TrackConfig(**known)


def _make_way(folder: Path, *, overwrite: bool) -> None:
    """Raise InputError where something is in the way, or delete the project that is to be replaced."""
    if not folder.exists():
        return
    is_ours = (folder / DATABASE).is_file()
    if not overwrite or not is_ours:
        hint = "Use --overwrite to replace it." if is_ours else "Give the project another name."
        raise InputError("input.exists", f"{folder.name} exists in {folder.parent.resolve()}.", hint)
    with Project.open(folder):  # nobody else may be writing to it
        pass
    try:
        shutil.rmtree(folder)
    except OSError as error:
        raise StoreError("disk.unwritable", f"{folder}: cannot be replaced ({error.strerror}).") from error
