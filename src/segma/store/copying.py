"""A project under another name: its database as it stands, its cache, and the media that lie in it."""

from __future__ import annotations

import shutil
from pathlib import Path

from segma.errors import InputError
from segma.media.files import explained_errors, make_folder
from segma.store.project import DATABASE, FOLDERS, Project
from segma.store.upkeep import backup


def copy_project(project: Project, folder: Path, *, overwrite: bool = False) -> Path:
    """Copy a project, also while it is open, and give back the folder.

    Raises InputError `input.exists` where there is something else, StoreError.
    """
    if folder.resolve() == project.folder.resolve():
        return folder
    if folder.is_file() or (folder.is_dir() and any(folder.iterdir()) and not overwrite):
        raise InputError(
            "input.exists",
            f"{folder.name} exists in {folder.parent.resolve()}.",
            "Use --overwrite to replace it.",
        )
    make_folder(folder)
    with explained_errors(folder):
        for part in FOLDERS:
            if (project.folder / part).is_dir():
                shutil.copytree(project.folder / part, folder / part, dirs_exist_ok=True)
    backup(project, folder / DATABASE, overwrite=overwrite)
    return folder
