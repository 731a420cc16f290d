"""Kinds of columns that all tables share: ids, times in UTC, open JSON."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any

from sqlalchemy import JSON, BigInteger, Connection, DateTime, ForeignKey, MetaData, Select, String
from sqlalchemy.engine import Dialect
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.types import TypeDecorator

from segma.store.ids import new_id

Json = dict[str, Any]  # attributes are open: whatever JSON holds
Values = dict[str, Any]  # a row of any table, by column


class UtcTime(TypeDecorator[datetime]):
    """A time with its zone, always UTC; databases that know no zones hold it without one."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """The time as the database takes it. Raises ValueError for one without a zone."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a time without a zone")
        value = value.astimezone(UTC)
        return value.replace(tzinfo=None) if dialect.name == "sqlite" else value

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """The time as Python has it, in UTC."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def utc_now() -> datetime:
    """Now."""
    return datetime.now(UTC)


Id = Annotated[str, mapped_column(String(36))]
Large = Annotated[int, mapped_column(BigInteger)]


class Table(DeclarativeBase):
    """What every table derives from."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {Json: JSON, list[Any]: JSON, datetime: UtcTime}  # noqa: RUF012


class Row:
    """What every table but the two of frames has: an id, and when it was made and last changed."""

    id: Mapped[str] = mapped_column(String(36), primary_key=True, default=new_id, sort_order=-3)
    created: Mapped[datetime] = mapped_column(default=utc_now, sort_order=-2)
    updated: Mapped[datetime] = mapped_column(default=utc_now, onupdate=utc_now, sort_order=-1)


def link(target: str, *, index: bool = False, keep: bool = False, key: bool = False) -> Any:  # any Mapped
    """A column that names a row of another table, and goes with it; `key` makes it part of the primary key.

    `keep` leaves the row and empties the column instead.
    """
    action = "SET NULL" if keep else "CASCADE"
    return mapped_column(
        String(36), ForeignKey(f"{target}.id", ondelete=action), index=index, primary_key=key
    )


def fetch(connection: Connection, query: Select[Any], given: Values | None = None) -> list[Values]:
    """The rows that a query of any table finds; `given` fills its parameters."""
    found = connection.execute(query, given or {}).mappings()
    return [{str(name): value for name, value in row.items()} for row in found]
