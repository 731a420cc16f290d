"""All tables of a project."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.schema import SchemaItem

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make all tables, parents before children."""
    for make in _TABLES:
        make()


def downgrade() -> None:
    """Drop them all."""
    for make in reversed(_TABLES):
        op.drop_table(make.__name__.removeprefix("_"))


def _create(name: str, *columns: SchemaItem) -> None:
    """A table with an id and the times of its making and last change."""
    op.create_table(
        name,
        sa.Column("id", sa.String(36), nullable=False),
        sa.Column("created", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated", sa.DateTime(timezone=True), nullable=False),
        *columns,
        sa.PrimaryKeyConstraint("id", name=f"pk_{name}"),
    )


def _double(name: str, *, nullable: bool = False) -> sa.Column[float]:
    return sa.Column(name, sa.Double, nullable=nullable)


def _link(
    table: str, column: str, target: str, *, keep: bool = False, nullable: bool = False
) -> tuple[sa.Column[str], sa.ForeignKeyConstraint]:
    return (
        sa.Column(column, sa.String(36), nullable=nullable),
        sa.ForeignKeyConstraint(
            [column],
            [f"{target}.id"],
            name=f"fk_{table}_{column}",
            ondelete="SET NULL" if keep else "CASCADE",
        ),
    )


def _model() -> None:
    _create(
        "model",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("file_hash", sa.String(), nullable=False),
        sa.Column("licence", sa.String(), nullable=True),
        *_link("model", "parent", "model", keep=True, nullable=True),
        sa.UniqueConstraint("name", name="uq_model_name"),
    )


def _project() -> None:
    _create(
        "project",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("settings", sa.JSON(), nullable=False),
        sa.Column("schema_version", sa.String(), nullable=False),
        sa.UniqueConstraint("name", name="uq_project_name"),
    )


def _user() -> None:
    _create(
        "user",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("password_hash", sa.String(), nullable=True),
        sa.Column("settings", sa.JSON(), nullable=False),
        sa.UniqueConstraint("name", name="uq_user_name"),
    )


def _asset() -> None:
    _create(
        "asset",
        *_link("asset", "project", "project"),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("path", sa.String(), nullable=False),
        sa.Column("near", sa.String(), nullable=True),
        sa.Column("sha256", sa.String(64), nullable=True),
        sa.Column("num_bytes", sa.BigInteger(), nullable=True),
        sa.Column("modified", sa.BigInteger(), nullable=True),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("width", sa.Integer(), nullable=False),
        sa.Column("height", sa.Integer(), nullable=False),
        sa.Column("frames", sa.Integer(), nullable=True),
        sa.Column("fps_num", sa.Integer(), nullable=True),
        sa.Column("fps_den", sa.Integer(), nullable=True),
        _double("duration", nullable=True),
        sa.Column("rotation", sa.Integer(), nullable=False),
        sa.Column("split", sa.String(), nullable=True),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("perceptual_hash", sa.String(), nullable=True),
        sa.Column("licence", sa.String(), nullable=True),
        sa.Column("consent", sa.String(), nullable=True),
        sa.Column("attributes", sa.JSON(), nullable=False),
    )
    op.create_index("ix_asset_perceptual_hash", "asset", ["perceptual_hash"])
    op.create_index("ix_asset_project", "asset", ["project"])
    op.create_index("ix_asset_sha256", "asset", ["sha256"])


def _label() -> None:
    _create(
        "label",
        *_link("label", "project", "project"),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("colour", sa.String(), nullable=True),
        *_link("label", "parent", "label", keep=True, nullable=True),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.UniqueConstraint("project", "name", name="uq_label_project_name"),
    )


def _member() -> None:
    _create(
        "member",
        *_link("member", "project", "project"),
        *_link("member", "user", "user"),
        sa.Column("role", sa.String(), nullable=False),
        sa.UniqueConstraint("project", "user", name="uq_member_project_user"),
    )
    op.create_index("ix_member_user", "member", ["user"])


def _metric() -> None:
    _create(
        "metric",
        *_link("metric", "model", "model", nullable=True),
        sa.Column("name", sa.String(), nullable=False),
        _double("value"),
        sa.Column("data_hash", sa.String(), nullable=False),
        sa.Column("num_samples", sa.Integer(), nullable=False),
    )
    op.create_index("ix_metric_model", "metric", ["model"])


def _release() -> None:
    _create(
        "release",
        *_link("release", "project", "project"),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("tracks", sa.JSON(), nullable=False),
        sa.Column("hash", sa.String(), nullable=False),
        sa.UniqueConstraint("project", "name", name="uq_release_project_name"),
    )


def _token() -> None:
    _create(
        "token",
        *_link("token", "user", "user"),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("token_hash", sa.String(), nullable=False),
        sa.Column("scopes", sa.JSON(), nullable=False),
        sa.Column("expiry", sa.DateTime(timezone=True), nullable=True),
        sa.UniqueConstraint("token_hash", name="uq_token_token_hash"),
    )
    op.create_index("ix_token_user", "token", ["user"])


def _attribute() -> None:
    _create(
        "attribute",
        *_link("attribute", "project", "project"),
        *_link("attribute", "label", "label", nullable=True),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("type", sa.String(), nullable=False),
        sa.Column("choices", sa.JSON(), nullable=False),
        sa.Column("per_frame", sa.Boolean(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
    )
    op.create_index("ix_attribute_project", "attribute", ["project"])


def _frame_time() -> None:
    op.create_table(
        "frame_time",
        *_link("frame_time", "asset", "asset"),
        sa.Column("frame", sa.Integer(), nullable=False),
        _double("pts"),
        sa.PrimaryKeyConstraint("asset", "frame", name="pk_frame_time"),
    )


def _job() -> None:
    _create(
        "job",
        *_link("job", "asset", "asset", nullable=True),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("args", sa.JSON(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        _double("progress", nullable=True),
        sa.Column("checkpoint", sa.JSON(), nullable=False),
        sa.Column("error", sa.String(), nullable=True),
        sa.Column("writer", sa.String(), nullable=True),
        sa.Column("pid", sa.Integer(), nullable=True),
        sa.Column("host", sa.String(), nullable=True),
    )
    op.create_index("ix_job_asset_state", "job", ["asset", "state"])


def _object() -> None:
    _create(
        "object",
        *_link("object", "asset", "asset"),
        sa.Column("number", sa.Integer(), nullable=False),
        *_link("object", "label", "label", keep=True, nullable=True),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("colour", sa.String(), nullable=True),
        sa.Column("attributes", sa.JSON(), nullable=False),
        *_link("object", "same_as", "object", keep=True, nullable=True),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("hidden_at", sa.DateTime(timezone=True), nullable=True),
        sa.UniqueConstraint("asset", "number", name="uq_object_asset_number"),
    )


def _shot() -> None:
    _create(
        "shot",
        *_link("shot", "asset", "asset"),
        sa.Column("first", sa.Integer(), nullable=False),
        sa.Column("last", sa.Integer(), nullable=False),
        sa.Column("source", sa.String(), nullable=False),
        _double("score", nullable=True),
        sa.UniqueConstraint("asset", "first", name="uq_shot_asset_first"),
    )


def _presence() -> None:
    _create(
        "presence",
        *_link("presence", "object", "object"),
        sa.Column("first", sa.Integer(), nullable=False),
        sa.Column("last", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("source", sa.String(), nullable=False),
        _double("score", nullable=True),
        sa.Column("undone_at", sa.DateTime(timezone=True), nullable=True),
    )
    op.create_index("ix_presence_object_first", "presence", ["object", "first"])


def _prompt() -> None:
    _create(
        "prompt",
        *_link("prompt", "object", "object"),
        sa.Column("frame", sa.Integer(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("data", sa.JSON(), nullable=False),
        *_link("prompt", "person", "user", keep=True, nullable=True),
        sa.Column("undone_at", sa.DateTime(timezone=True), nullable=True),
    )
    op.create_index("ix_prompt_object_frame", "prompt", ["object", "frame"])


def _task() -> None:
    _create(
        "task",
        *_link("task", "asset", "asset"),
        *_link("task", "object", "object", nullable=True),
        sa.Column("kind", sa.String(), nullable=False),
        *_link("task", "assignee", "user", keep=True, nullable=True),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("priority", sa.Integer(), nullable=False),
        sa.Column("due", sa.DateTime(timezone=True), nullable=True),
    )
    op.create_index("ix_task_asset", "task", ["asset"])
    op.create_index("ix_task_assignee_state", "task", ["assignee", "state"])
    op.create_index("ix_task_object", "task", ["object"])


def _track() -> None:
    _create(
        "track",
        *_link("track", "object", "object"),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("model", sa.String(), nullable=False),
        sa.Column("model_hash", sa.String(), nullable=False),
        sa.Column("settings_hash", sa.String(), nullable=False),
        *_link("track", "parent", "track", nullable=True),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("is_current", sa.Boolean(), nullable=False),
        *_link("track", "run", "job", keep=True, nullable=True),
        sa.UniqueConstraint("object", "number", name="uq_track_object_number"),
    )
    op.create_index("ix_track_parent", "track", ["parent"])
    op.create_index("ix_track_run", "track", ["run"])
    op.create_index(
        "uq_track_current",
        "track",
        ["object"],
        unique=True,
        sqlite_where=sa.text("is_current"),
        postgresql_where=sa.text("is_current"),
    )


def _event() -> None:
    _create(
        "event",
        *_link("event", "asset", "asset", nullable=True),
        sa.Column("number", sa.Integer(), nullable=False),
        *_link("event", "person", "user", keep=True, nullable=True),
        *_link("event", "task", "task", keep=True, nullable=True),
        *_link("event", "object", "object", keep=True, nullable=True),
        sa.Column("frame", sa.Integer(), nullable=True),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("payload", sa.JSON(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("active_ms", sa.Integer(), nullable=False),
        sa.UniqueConstraint("asset", "number", name="uq_event_asset_number"),
    )


def _mask() -> None:
    op.create_table(
        "mask",
        *_link("mask", "track", "track"),
        sa.Column("frame", sa.Integer(), nullable=False),
        sa.Column("top", sa.Integer(), nullable=False),
        sa.Column("left", sa.Integer(), nullable=False),
        sa.Column("rows", sa.Integer(), nullable=False),
        sa.Column("columns", sa.Integer(), nullable=False),
        sa.Column("area", sa.Integer(), nullable=False),
        _double("predicted_iou", nullable=True),
        _double("stability_score", nullable=True),
        _double("object_score", nullable=True),
        sa.Column("source", sa.String(), nullable=False),
        sa.Column("is_anchor", sa.Boolean(), nullable=False),
        sa.Column("rle", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("track", "frame", name="pk_mask"),
    )


def _verdict() -> None:
    _create(
        "verdict",
        *_link("verdict", "track", "track"),
        *_link("verdict", "person", "user", keep=True, nullable=True),
        sa.Column("verdict", sa.String(), nullable=False),
        sa.Column("reasons", sa.JSON(), nullable=False),
        sa.Column("notes", sa.JSON(), nullable=False),
    )
    op.create_index("ix_verdict_track", "verdict", ["track"])


_TABLES = (
    _model,
    _project,
    _user,
    _asset,
    _label,
    _member,
    _metric,
    _release,
    _token,
    _attribute,
    _frame_time,
    _job,
    _object,
    _shot,
    _presence,
    _prompt,
    _task,
    _track,
    _event,
    _mask,
    _verdict,
)
