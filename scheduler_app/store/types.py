"""The column types that must mean the same on every database."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import DateTime, String
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeDecorator, TypeEngine

IDENTIFIER_LENGTH = 191
"""The longest identifier: what an InnoDB index over utf8mb4 can hold, as in APScheduler's own table."""


def text_of(value: datetime) -> str:
    """Return an instant as text whose order is the order of time: ``YYYY-MM-DD HH:MM:SS.ffffff`` in UTC."""
    if value.tzinfo is not UTC:
        value = value.astimezone(UTC)
    return value.isoformat(" ", "microseconds")[:26]


class Instant(TypeDecorator[datetime]):
    """A UTC instant with microseconds, readable in SQL; aware going in, aware (UTC) coming out.

    PostgreSQL keeps a ``timestamptz``; SQLite keeps ``YYYY-MM-DD HH:MM:SS.ffffff``, whose order as
    text is its order in time.
    """

    impl = DateTime(timezone=True)
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        if dialect.name == "sqlite":
            return dialect.type_descriptor(String(26))
        return dialect.type_descriptor(DateTime(timezone=True))

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> Any:
        if value is None or dialect.name != "sqlite":
            return value
        return text_of(value)

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if isinstance(value, str):
            return datetime.fromisoformat(value).replace(tzinfo=UTC)
        return value if value.tzinfo is UTC else value.astimezone(UTC)  # type: ignore[no-any-return]


def identifier(length: int = IDENTIFIER_LENGTH) -> String:
    """Return the type of an identifier: text that compares byte for byte."""
    return String(length).with_variant(String(length, collation="C"), "postgresql")
