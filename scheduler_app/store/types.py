"""The column types that must mean the same on every database."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import ColumnElement, DateTime, String, Text, case
from sqlalchemy.engine import Dialect
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.types import TypeDecorator, TypeEngine

MYSQL = ("mysql", "mariadb")
"""SQLAlchemy's names of what is one dialect here."""

IDENTIFIER_LENGTH = 191
"""The longest identifier: what an InnoDB index over utf8mb4 can hold, as in APScheduler's own table."""


def text_of(value: datetime) -> str:
    """Return an instant as text whose order is the order of time: ``YYYY-MM-DD HH:MM:SS.ffffff`` in UTC."""
    if value.tzinfo is not UTC:
        value = value.astimezone(UTC)
    return value.isoformat(" ", "microseconds")[:26]


class Instant(TypeDecorator[datetime]):
    """A UTC instant with microseconds, readable in SQL; aware going in, aware (UTC) coming out.

    PostgreSQL keeps a ``timestamptz``; MySQL and MariaDB a ``datetime(6)`` in UTC; SQLite keeps
    ``YYYY-MM-DD HH:MM:SS.ffffff``, whose order as text is its order in time.
    """

    impl = DateTime(timezone=True)
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        if dialect.name == "sqlite":
            return dialect.type_descriptor(String(26))
        if dialect.name in MYSQL:
            from sqlalchemy.dialects.mysql import DATETIME  # late: it costs a process on SQLite a tenth of its start

            return dialect.type_descriptor(DATETIME(fsp=6))
        return dialect.type_descriptor(DateTime(timezone=True))

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> Any:
        if value is None or dialect.name == "postgresql":
            return value
        return text_of(value)

    def result_processor(self, dialect: Dialect, coltype: object) -> Callable[[Any], datetime | None]:
        """Read an instant by one plain function: a claim reads three in each of its hundreds of rows."""
        return _READERS.get(dialect.name, _as_utc)

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        return self.result_processor(dialect, None)(value)


class UnreadableInstantError(SQLAlchemyError, ValueError):
    """A hand in SQLite's file has put there what is no instant; other databases have errors of their own for that."""

    def __init__(self, value: object) -> None:
        shown = repr(value)
        shown = shown if len(shown) <= 60 else f"{shown[:57]}..."
        super().__init__(f"where an instant should be stands {shown}; a process that runs jobs puts that row aside")


def _from_text(value: str | None) -> datetime | None:
    try:
        return None if value is None else datetime.fromisoformat(value).replace(tzinfo=UTC)
    except (TypeError, ValueError):
        raise UnreadableInstantError(value) from None


def _in_utc(value: datetime | None) -> datetime | None:
    return value if value is None or value.tzinfo is UTC else value.astimezone(UTC)


def _as_utc(value: datetime | None) -> datetime | None:
    return None if value is None else value.replace(tzinfo=UTC)


_READERS: dict[str, Callable[[Any], datetime | None]] = {"sqlite": _from_text, "postgresql": _in_utc}


MOST_VERSIONS = 2_147_483_647


def bumped(version: ColumnElement[int]) -> ColumnElement[int]:
    """Return the next version of a row that may be damaged: one that can be counted no further begins anew."""
    return case((version < MOST_VERSIONS, version + 1), else_=0)


def identifier(length: int = IDENTIFIER_LENGTH) -> String:
    """Return the type of an identifier: text that compares byte for byte."""
    return String(length).with_variant(String(length, collation="C"), "postgresql").with_variant(_Exact(length), *MYSQL)


class _Exact(TypeDecorator[str]):
    """Text of MySQL or MariaDB that compares byte for byte, blanks at its end included."""

    impl = String
    cache_ok = True

    def __init__(self, length: int) -> None:
        super().__init__()
        self.length = length

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        from sqlalchemy.dialects.mysql import VARCHAR

        mariadb = dialect.name == "mariadb" or getattr(dialect, "is_mariadb", False)
        collation = "utf8mb4_nopad_bin" if mariadb else "utf8mb4_0900_bin"
        return dialect.type_descriptor(VARCHAR(self.length, charset="utf8mb4", collation=collation))


def long_text() -> Text:
    """Return the type of text without a bound of the database's own (MySQL's ``text`` ends at 64 KiB)."""
    return Text().with_variant(_Long(), *MYSQL)


class _Long(TypeDecorator[str]):
    """Text of MySQL or MariaDB of up to 4 GiB."""

    impl = Text
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        from sqlalchemy.dialects.mysql import LONGTEXT

        return dialect.type_descriptor(LONGTEXT(charset="utf8mb4", collation="utf8mb4_bin"))
