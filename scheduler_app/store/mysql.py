"""MySQL and MariaDB: READ COMMITTED, claims in two steps by primary key, JSON_TABLE, polling."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from threading import Event
from typing import Any

from sqlalchemy import (
    ColumnClause,
    ColumnElement,
    Connection,
    DateTime,
    Engine,
    FromClause,
    Select,
    String,
    Table,
    Text,
    bindparam,
    cast,
    create_engine,
    event,
    or_,
    text,
)
from sqlalchemy.dialects.mysql import insert
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError, IntegrityError, TimeoutError
from sqlalchemy.sql.dml import Insert

from ..errors.store import DriverMissingError
from .dialect import Dialect, Watcher
from .tables import jobs
from .types import Instant

UPGRADE_LOCK = "scheduler-app: upgrade"
UPGRADE_SECONDS = 60
IDLE_SECONDS = 3600
"""After so long a pooled connection is made anew: servers close idle ones after 8 hours by default."""

OVERSCAN = 4
"""How many due jobs are looked at for each that is to be claimed: those that others hold are passed over."""

_RETRY = {1213, 1205, 1020}
"""Deadlock, lock wait timeout, and a row that changed under a snapshot."""

_OUTAGES = {
    1021,  # disk full
    1040,  # too many connections
    1053,  # the server is shutting down
    1114,  # the table is full
    1152,
    1158,
    1159,
    1160,
    1161,  # the network
    1203,  # too many connections of this user
    1290,
    1792,
    1836,  # read only
    1927,  # the connection was killed
    2002,
    2003,
    2006,
    2013,
    2014,
    2055,  # no connection, or none any more
    3024,  # a statement was cut off
}


class MySQL(Dialect):
    """MySQL 8.0 or MariaDB 10.6, or later, through PyMySQL. Sessions are READ COMMITTED, strict and in UTC."""

    name = "mysql"
    sql_name = "mysql"
    local_time = False
    materialized = ""
    notifies = False
    one_writer = False

    def make_engine(self, url: URL) -> Engine:
        try:
            engine = create_engine(
                url.set(drivername=f"{self.sql_name}+pymysql"),
                connect_args={"connect_timeout": max(2, round(self.connect_timeout)), "charset": "utf8mb4"},
                isolation_level="READ COMMITTED",
                pool_size=2,
                max_overflow=20,
                pool_timeout=self.connect_timeout,
                pool_recycle=IDLE_SECONDS,
                pool_use_lifo=True,
            )
        except ImportError as error:
            raise DriverMissingError("MySQL or MariaDB", "PyMySQL", str(error), "mysql") from error
        event.listen(engine, "connect", _set_up)
        return engine

    def check_place(self, url: URL) -> None:
        """Any server will do."""

    def read_time(self, connection: Connection) -> datetime:
        now: datetime = connection.execute(text("SELECT UTC_TIMESTAMP(6)")).scalar_one()
        return now.replace(tzinfo=UTC)

    def is_transient(self, error: BaseException) -> bool:
        return _code(error) in _RETRY or (isinstance(error, DBAPIError) and error.connection_invalidated)

    def is_outage(self, error: BaseException) -> bool:
        lost = isinstance(error, DBAPIError) and error.connection_invalidated
        return lost or isinstance(error, TimeoutError) or _code(error) in _OUTAGES

    def is_undecided(self, error: BaseException) -> bool:
        return isinstance(error, DBAPIError) and error.connection_invalidated

    def insert(self, table: Table) -> Insert:
        key = next(iter(table.primary_key.columns))
        return insert(table).on_duplicate_key_update({key.name: key})

    def insert_if_absent(self, connection: Connection, table: Table, row: Mapping[str, Any]) -> bool:
        try:
            with connection.begin_nested():
                connection.execute(table.insert(), dict(row))
        except IntegrityError as error:
            if _code(error) != DUPLICATE:
                raise
            return False
        return True

    def lock_due(
        self, connection: Connection, due: Select[Any], parameters: Mapping[str, Any], limit: int
    ) -> Sequence[Any]:
        """Look first, without a lock, and then lock by primary key what is due still and held by nobody.

        A locking scan of the index of due jobs would lock rows that others insert and claim beside it, and deadlock.
        """
        wanted = {**parameters, "limit": limit * OVERSCAN}
        ids = [row[0] for row in connection.execute(due.with_only_columns(jobs.c.id), wanted)]
        if not ids:
            return []
        by_key = due.where(jobs.c.id.in_(ids)).order_by(None).order_by(jobs.c.id).with_for_update(skip_locked=True)
        by_key = by_key.with_hint(jobs, "FORCE INDEX (PRIMARY)")  # another way would lock what it sorts, beyond LIMIT
        return sorted(connection.execute(by_key, {**parameters, "limit": limit}), key=lambda row: row.run_at)

    def among(self, column: ColumnElement[Any], name: str) -> ColumnElement[bool]:
        return column.in_(bindparam(name, expanding=True))

    def pack(self, values: Sequence[str]) -> list[str]:
        return sorted(values)

    def rows(self, name: str, columns: Sequence[ColumnClause[Any]]) -> FromClause:
        listed = ", ".join(f"{c.name} {_json_type(c)} PATH '$[{place}]'" for place, c in enumerate(columns))
        names = ", ".join(c.name for c in columns)
        source = f"JSON_TABLE(:{name}, '$[*]' COLUMNS ({listed})) AS each_row"
        statement = f"SELECT {names} FROM {source}"  # noqa: S608 - names of columns in this code
        return text(statement).columns(*columns).subquery("v")

    def pack_rows(self, columns: Sequence[ColumnClause[Any]], rows: Sequence[Sequence[Any]]) -> str:
        return json.dumps(rows)

    def instant(self, value: datetime | None) -> str | None:
        return None if value is None else value.astimezone(UTC).replace(tzinfo=None).isoformat(" ", "microseconds")

    def unreadable(self, column: ColumnElement[Any]) -> ColumnElement[bool]:
        return or_(cast(column, String(30)) < "0001", cast(column, String(30)).like("%-00%"))

    def shown(self, column: ColumnElement[Any]) -> ColumnElement[str]:
        return cast(column, String(64))

    def before_claim(self, connection: Connection) -> None:
        """Nothing: see `lock_due`."""

    @contextmanager
    def upgrading(self, connection: Connection) -> Iterator[None]:
        """Hold a named lock: here each statement on a table commits by itself, so that no transaction would do."""
        got = connection.execute(text("SELECT GET_LOCK(:name, :s)"), {"name": UPGRADE_LOCK, "s": UPGRADE_SECONDS})
        if got.scalar() != 1:
            raise TimeoutError("another process has been upgrading the scheduler's tables for a minute")
        try:
            yield
        finally:
            connection.execute(text("SELECT RELEASE_LOCK(:name)"), {"name": UPGRADE_LOCK})

    def watch(self, engine: Engine) -> Watcher:
        return _Nobody()

    def notify(self, connection: Connection) -> None:
        """Nothing to send, and nobody who would hear it: other processes poll."""

    def after_write(self, engine: Engine) -> None:
        """Nothing: the server checkpoints by itself."""


class MariaDB(MySQL):
    """The same, for a URL that says that the server is MariaDB: so is the SQL that is written without asking it."""

    sql_name = "mariadb"


DUPLICATE = 1062
"""A unique index refuses a row."""


def _code(error: BaseException) -> int:
    original = error.orig if isinstance(error, DBAPIError) else error
    arguments = getattr(original, "args", ())
    return arguments[0] if arguments and isinstance(arguments[0], int) else 0


def _set_up(raw: Any, _record: object) -> None:
    """Have each session speak UTC and refuse what it cannot store as it is, whatever the server's own settings."""
    with raw.cursor() as cursor:
        cursor.execute("SET time_zone = '+00:00', sql_mode = 'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION'")


def _json_type(column: ColumnClause[Any]) -> str:
    if isinstance(column.type, Instant | DateTime):
        return "DATETIME(6)"
    if isinstance(column.type, Text):
        return "LONGTEXT"
    return "BIGINT"


class _Nobody(Watcher):
    """No word of other processes' writes: the loop's own poll finds them."""

    def __init__(self) -> None:
        self._never = Event()

    def wait(self, seconds: float) -> bool:
        self._never.wait(seconds)
        return False

    def close(self) -> None:
        """Nothing was opened."""
