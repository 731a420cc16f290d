"""A project as it stands, opened without a network: what it holds, and what can be exported."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from segma.cli.track_options import Manner
from segma.errors import InputError

if TYPE_CHECKING:
    from segma.models.interfaces import WithMemory
    from segma.tracker import Tracker


def is_project(source: str) -> bool:
    """Whether a source is a project folder, or named like one."""
    path = Path(source)
    return path.suffix == ".segma" or (path / "project.db").is_file()


def view(folder: str, *, write: bool = False) -> Tracker:
    """The one video of a project. It cannot be tracked: there is no network behind it.

    Raises InputError where it has no video, or several; StoreError.
    """
    from segma.store.project import Project
    from segma.store.tracks import AssetTracks
    from segma.tasks.track import VideoSession
    from segma.tracker import Tracker
    from segma.tracker_projects import the_video

    if not Path(folder).is_dir():
        where = f"Looked in {Path(folder).parent.resolve()}."
        raise InputError("input.not_found", f"{Path(folder).name}: no such project.", where)
    project = Project.open(folder, write=write)
    try:
        asset, source = the_video(project)
        session = VideoSession(
            _no_network(),
            source,
            Manner().config(project.settings.get("track")),
            keeper=AssetTracks(project, asset),
            cuts=tuple(first for first, _ in project.shots(asset)[1:]),
        )
        return Tracker(session, project, asset, looked_for_cuts=True)
    except BaseException:
        project.close()
        raise


def _no_network() -> WithMemory:
    """Stands where a network would be: a session reads without one."""
    from segma.models.interfaces import WithMemory

    class NoNetwork(WithMemory):
        """Nothing is computed with it."""

    return NoNetwork()  # pyright: ignore[reportAbstractUsage]  it only has the type of one
