"""The tables of a project, for SQLite and PostgreSQL alike.

Rules: masks are never changed in place (a new version of a track holds only the frames that it changes);
`event` and `verdict` are appended to, never changed; a hidden object stays until `upkeep.collect`. A change
here needs a revision in `migrations/versions`, and `REVISION` names the newest.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Index, LargeBinary, String, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from segma.store.columns import Id, Json, Large, Row, Table, link

REVISION = "0001"


class ProjectRow(Row, Table):
    """The project itself; a folder has one, a PostgreSQL database may have many."""

    __tablename__ = "project"
    name: Mapped[str] = mapped_column(unique=True)
    kind: Mapped[str]
    settings: Mapped[Json]
    schema_version: Mapped[str]


class UserRow(Row, Table):
    """A person who may log in; `password_hash` is argon2id."""

    __tablename__ = "user"
    name: Mapped[str] = mapped_column(unique=True)
    password_hash: Mapped[str | None]
    settings: Mapped[Json]


class MemberRow(Row, Table):
    """What a person may do in a project: admin, manager, annotator, reviewer or viewer."""

    __tablename__ = "member"
    __table_args__ = (UniqueConstraint("project", "user"),)
    project: Mapped[Id] = link("project")
    user: Mapped[Id] = link("user", index=True)
    role: Mapped[str]


class TokenRow(Row, Table):
    """A token of a program; only its hash is kept."""

    __tablename__ = "token"
    user: Mapped[Id] = link("user", index=True)
    name: Mapped[str]
    token_hash: Mapped[str] = mapped_column(unique=True)
    scopes: Mapped[list[Any]]
    expiry: Mapped[datetime | None]


class LabelRow(Row, Table):
    """A class of things."""

    __tablename__ = "label"
    __table_args__ = (UniqueConstraint("project", "name"),)
    project: Mapped[Id] = link("project")
    name: Mapped[str]
    colour: Mapped[str | None]
    parent: Mapped[Id | None] = link("label", keep=True)
    position: Mapped[int]


class AttributeRow(Row, Table):
    """Something to say of objects (of one label, or all): bool, number, choice or text."""

    __tablename__ = "attribute"
    project: Mapped[Id] = link("project", index=True)
    label: Mapped[Id | None] = link("label")
    name: Mapped[str]
    type: Mapped[str]
    choices: Mapped[list[Any]]
    per_frame: Mapped[bool]
    position: Mapped[int]


class AssetRow(Row, Table):
    """An image or a video: where it is, and what is known of it.

    `path` is absolute (or an address), `near` the way from the project's folder, so that both may move
    together. `modified` is the file's time in nanoseconds.
    """

    __tablename__ = "asset"
    project: Mapped[Id] = link("project", index=True)
    name: Mapped[str]
    path: Mapped[str]
    near: Mapped[str | None]
    sha256: Mapped[str | None] = mapped_column(String(64), index=True)
    num_bytes: Mapped[Large | None]
    modified: Mapped[Large | None]
    kind: Mapped[str]
    width: Mapped[int]
    height: Mapped[int]
    frames: Mapped[int | None]
    fps_num: Mapped[int | None]
    fps_den: Mapped[int | None]
    duration: Mapped[float | None]
    rotation: Mapped[int]
    split: Mapped[str | None]
    state: Mapped[str]
    perceptual_hash: Mapped[str | None] = mapped_column(index=True)
    licence: Mapped[str | None]
    consent: Mapped[str | None]
    attributes: Mapped[Json]


class FrameTimeRow(Table):
    """Seconds of a frame from the first one, for a variable frame rate only."""

    __tablename__ = "frame_time"
    asset: Mapped[Id] = link("asset", key=True)
    frame: Mapped[int] = mapped_column(primary_key=True)
    pts: Mapped[float]


class ShotRow(Row, Table):
    """Frames `first` to `last` without a cut; `source` is auto or person."""

    __tablename__ = "shot"
    __table_args__ = (UniqueConstraint("asset", "first"),)
    asset: Mapped[Id] = link("asset")
    first: Mapped[int]
    last: Mapped[int]
    source: Mapped[str]
    score: Mapped[float | None]


class ObjectRow(Row, Table):
    """One thing in one asset, `number` counting from 1; `state` is active, hidden or collected."""

    __tablename__ = "object"
    __table_args__ = (UniqueConstraint("asset", "number"),)
    asset: Mapped[Id] = link("asset")
    number: Mapped[int]
    label: Mapped[Id | None] = link("label", keep=True)
    name: Mapped[str]
    colour: Mapped[str | None]
    attributes: Mapped[Json]
    same_as: Mapped[Id | None] = link("object", keep=True)
    state: Mapped[str]
    hidden_at: Mapped[datetime | None]


class PromptRow(Row, Table):
    """What was said of an object on a frame; rows with `undone_at` do not count.

    `kind` is point, box, mask, scribble, text or choice; `position` is its place among those of the frame.
    """

    __tablename__ = "prompt"
    __table_args__ = (Index("ix_prompt_object_frame", "object", "frame"),)
    object: Mapped[Id] = link("object")
    frame: Mapped[int]
    position: Mapped[int]
    kind: Mapped[str]
    data: Mapped[Json]
    person: Mapped[Id | None] = link("user", keep=True)
    undone_at: Mapped[datetime | None]


class TrackRow(Row, Table):
    """A version of an object's masks; frames that it does not hold are those of its parent.

    A child has a higher number than its parent. An object has at most one current version.
    """

    __tablename__ = "track"
    __table_args__ = (
        UniqueConstraint("object", "number"),
        Index(
            "uq_track_current",
            "object",
            unique=True,
            sqlite_where=text("is_current"),
            postgresql_where=text("is_current"),
        ),
    )
    object: Mapped[Id] = link("object")
    number: Mapped[int]
    model: Mapped[str]
    model_hash: Mapped[str]
    settings_hash: Mapped[str]
    parent: Mapped[Id | None] = link("track", index=True)
    reason: Mapped[str]
    is_current: Mapped[bool]
    run: Mapped[Id | None] = link("job", index=True, keep=True)


class MaskRow(Table):
    """A frame of a version. Its run is that of the track, its size that of the asset.

    `rle` are COCO's compressed counts of the box `top`, `left`, `rows`, `columns`, down the columns. A score
    that is no number is NULL.
    """

    __tablename__ = "mask"
    track: Mapped[Id] = link("track", key=True)
    frame: Mapped[int] = mapped_column(primary_key=True)
    top: Mapped[int]
    left: Mapped[int]
    rows: Mapped[int]
    columns: Mapped[int]
    area: Mapped[int]
    predicted_iou: Mapped[float | None]
    stability_score: Mapped[float | None]
    object_score: Mapped[float | None]
    source: Mapped[str]
    is_anchor: Mapped[bool]
    rle: Mapped[bytes] = mapped_column(LargeBinary)


class PresenceRow(Row, Table):
    """Frames `first` to `last` of an object: unknown, candidate, present or absent; who said so."""

    __tablename__ = "presence"
    __table_args__ = (Index("ix_presence_object_first", "object", "first"),)
    object: Mapped[Id] = link("object")
    first: Mapped[int]
    last: Mapped[int]
    state: Mapped[str]
    source: Mapped[str]
    score: Mapped[float | None]
    undone_at: Mapped[datetime | None]


class TaskRow(Row, Table):
    """A piece of work for a person: pick, annotate, verify or gold."""

    __tablename__ = "task"
    __table_args__ = (Index("ix_task_assignee_state", "assignee", "state"),)
    asset: Mapped[Id] = link("asset", index=True)
    object: Mapped[Id | None] = link("object", index=True)
    kind: Mapped[str]
    assignee: Mapped[Id | None] = link("user", keep=True)
    state: Mapped[str]
    priority: Mapped[int]
    due: Mapped[datetime | None]


class VerdictRow(Row, Table):
    """What a reviewer says of a version: satisfactory, unsatisfactory or rejected. Never changed."""

    __tablename__ = "verdict"
    track: Mapped[Id] = link("track", index=True)
    person: Mapped[Id | None] = link("user", keep=True)
    verdict: Mapped[str]
    reasons: Mapped[list[Any]]
    notes: Mapped[Json]


class EventRow(Row, Table):
    """What happened, by asset in the order of `number`. Never changed."""

    __tablename__ = "event"
    __table_args__ = (UniqueConstraint("asset", "number"),)
    asset: Mapped[Id | None] = link("asset")
    number: Mapped[int]
    person: Mapped[Id | None] = link("user", keep=True)
    task: Mapped[Id | None] = link("task", keep=True)
    object: Mapped[Id | None] = link("object", keep=True)
    frame: Mapped[int | None]
    kind: Mapped[str]
    payload: Mapped[Json]
    at: Mapped[datetime]
    active_ms: Mapped[int]


class JobRow(Row, Table):
    """Work that takes a while: queued, running, done, failed or cancelled.

    `writer` names the open project that runs it, `pid` and `host` its process; `checkpoint` is how far its
    results are kept.
    """

    __tablename__ = "job"
    __table_args__ = (Index("ix_job_asset_state", "asset", "state"),)
    asset: Mapped[Id | None] = link("asset")
    kind: Mapped[str]
    args: Mapped[Json]
    state: Mapped[str]
    progress: Mapped[float | None]
    checkpoint: Mapped[Json]
    error: Mapped[str | None]
    writer: Mapped[str | None]
    pid: Mapped[int | None]
    host: Mapped[str | None]


class ModelRow(Row, Table):
    """Weights that were used or trained here."""

    __tablename__ = "model"
    name: Mapped[str] = mapped_column(unique=True)
    file_hash: Mapped[str]
    licence: Mapped[str | None]
    parent: Mapped[Id | None] = link("model", keep=True)


class MetricRow(Row, Table):
    """A number that was measured: of which model, on which data, with how many samples."""

    __tablename__ = "metric"
    model: Mapped[Id | None] = link("model", index=True)
    name: Mapped[str]
    value: Mapped[float]
    data_hash: Mapped[str]
    num_samples: Mapped[int]


class ReleaseRow(Row, Table):
    """A frozen list of versions of tracks, with its own hash, so that it can be exported again."""

    __tablename__ = "release"
    project: Mapped[Id] = link("project")
    name: Mapped[str]
    tracks: Mapped[list[Any]]
    hash: Mapped[str]
    __table_args__ = (UniqueConstraint("project", "name"),)
