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
    select,
    text,
)
from sqlalchemy.dialects.mysql import insert
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError, TimeoutError
from sqlalchemy.sql.dml import Insert

from ..errors.store import DriverMissingError
from ..serving import refuse_green_sockets
from .dialect import PLAIN, Dialect, Watcher
from .tables import jobs
from .types import Instant

UPGRADE_LOCK = "scheduler-app: upgrade"
UPGRADE_SECONDS = 60
IDLE_SECONDS = 3600
"""After so long a pooled connection is made anew: servers close idle ones after 8 hours by default."""

OVERSCAN = 4
"""How many due jobs are looked at for each that is to be claimed: those that others hold are passed over."""

_BEGAN = "CONVERT_TZ(trx_started, 'SYSTEM', '+00:00')"
_OPEN = f"""
    SELECT TIMESTAMPDIFF(SECOND, {_BEGAN}, UTC_TIMESTAMP()) + 0.0,
      CONCAT('connection ', p.id, ' of ', p.user, ', ', LOWER(p.command))
    FROM information_schema.innodb_trx JOIN information_schema.processlist AS p ON p.id = trx_mysql_thread_id
    WHERE p.db = DATABASE() AND p.id <> CONNECTION_ID() AND {_BEGAN} < UTC_TIMESTAMP() - INTERVAL :seconds SECOND
    ORDER BY trx_started LIMIT 20
"""  # noqa: S608 - nothing of it comes from outside
_PLACE = "SELECT @@hostname, @@port, @@datadir, database()"

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
                hide_parameters=True,  # they hold arguments, of which some are secrets
            )
        except ImportError as error:
            raise DriverMissingError("MySQL or MariaDB", "PyMySQL", str(error), "mysql") from error
        event.listen(engine, "do_connect", _refuse_to_hang)
        event.listen(engine, "connect", _set_up)
        return engine

    def check_place(self, url: URL) -> None:
        """Any server will do."""

    def read_time(self, connection: Connection) -> datetime:
        now: datetime = connection.execute(text("SELECT UTC_TIMESTAMP(6)")).scalar_one()
        return now.replace(tzinfo=UTC)

    def place_of(self, connection: Connection) -> tuple[Any, Any]:
        host, port, folder, database = connection.exec_driver_sql(_PLACE).one()
        return (host, port, folder), database

    def open_transactions(self, connection: Connection, seconds: float) -> Sequence[tuple[float, str]]:
        return [(float(row[0]), str(row[1])) for row in connection.execute(text(_OPEN), {"seconds": seconds})]

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

    looks_for_key_first = True

    def insert_if_absent(self, connection: Connection, table: Table, row: Mapping[str, Any]) -> bool:
        """Insert a row unless one stands in its way; whether it is there now.

        By an INSERT that would change the standing row into itself, and so locks it for good. One that is refused
        locks it by half, and two callers that each wait for the other's half end in a deadlock, which in the caller's
        own transaction nobody could try again.
        """
        key = next(iter(table.primary_key.columns))
        connection.execute(self.insert(table), dict(row), execution_options=PLAIN)
        mine = select(key).where(key == row[key.name])
        return connection.execute(mine, execution_options=PLAIN).scalar() is not None

    def lock_due(
        self, connection: Connection, due: Select[Any], parameters: Mapping[str, Any], limit: int
    ) -> Sequence[Any]:
        """Look first, without a lock, and then lock by primary key what is due still and held by nobody.

        A locking scan of the index of due jobs would lock rows that others insert and claim beside it, and deadlock.
        """
        wanted = {**parameters, "limit": limit * OVERSCAN}
        ids = [row[0] for row in connection.execute(due.with_only_columns(jobs.c.id), wanted)]
        locked: list[Any] = []
        while ids and len(locked) < limit:
            longest_due, ids = ids[: limit - len(locked)], ids[limit - len(locked) :]
            locked += self._lock_by_key(connection, due, parameters, longest_due)
        return sorted(locked, key=lambda row: row.run_at)

    def _lock_by_key(
        self, connection: Connection, due: Select[Any], parameters: Mapping[str, Any], ids: Sequence[str]
    ) -> Sequence[Any]:
        """Lock those of these jobs that are due still and that nobody holds."""
        by_key = due.where(jobs.c.id.in_(ids)).order_by(None).order_by(jobs.c.id).with_for_update(skip_locked=True)
        by_key = by_key.with_hint(jobs, "FORCE INDEX (PRIMARY)")  # another way would lock what it sorts, beyond LIMIT
        return connection.execute(by_key, {**parameters, "limit": len(ids)}).all()

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


def _code(error: BaseException) -> int:
    original = error.orig if isinstance(error, DBAPIError) else error
    arguments = getattr(original, "args", ())
    return arguments[0] if arguments and isinstance(arguments[0], int) else 0


def _refuse_to_hang(*_: object) -> None:
    """Raise `GreenSocketsError` rather than connect by a socket that only this thread may use."""
    refuse_green_sockets("PyMySQL")


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
        self._interrupted = Event()

    def wait(self, seconds: float) -> bool:
        self._interrupted.wait(seconds)
        return False

    def interrupt(self) -> None:
        self._interrupted.set()

    def close(self) -> None:
        """Nothing was opened."""
