"""PostgreSQL: SKIP LOCKED, arrays, LISTEN and NOTIFY, its own clock."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from sqlalchemy import (
    ARRAY,
    JSON,
    ColumnClause,
    ColumnElement,
    Connection,
    Engine,
    FromClause,
    String,
    Table,
    Text,
    any_,
    bindparam,
    cast,
    create_engine,
    event,
    func,
    literal_column,
    not_,
    text,
)
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.engine import URL, ExceptionContext
from sqlalchemy.exc import DBAPIError, TimeoutError
from sqlalchemy.sql.dml import Insert

from ..errors.store import DriverMissingError
from .dialect import Dialect, Watcher, driver_code

CHANNEL = "scheduler_jobs"
_FIRST_DAY: ColumnElement[Any] = literal_column("timestamptz '0001-01-02 00:00:00+00'")
_LAST_DAY: ColumnElement[Any] = literal_column("timestamptz '9999-12-30 00:00:00+00'")
_UPGRADE_LOCK = 0x5C4ED
_RETRY = {"40001", "40P01", "55P03"}
_OUTAGE_CLASSES = ("08", "53", "57", "58", "25006")
_PREPARED_ELSEWHERE = {"26000", "42P05"}
"""A prepared statement "does not exist" or "already exists": another backend answers than the one that prepared it."""


_ALIVE = {
    "application_name": "scheduler-app",
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 15_000,
}
"""Notice within about 25 seconds that the other end of a connection is gone."""


class PostgreSQL(Dialect):
    """PostgreSQL 12 or later, through psycopg 3."""

    name = "postgresql"
    sql_name = "postgresql"
    local_time = False
    notifies = True
    one_writer = False

    def __init__(self, *, connect_timeout: float = 5.0, journal: str = "") -> None:
        super().__init__(connect_timeout=connect_timeout, journal=journal)
        self._prepares = True

    def make_engine(self, url: URL) -> Engine:
        try:
            engine = create_engine(
                url.set(drivername="postgresql+psycopg"),
                connect_args={**_ALIVE, "connect_timeout": max(2, round(self.connect_timeout))},
                pool_size=2,
                max_overflow=20,
                pool_timeout=self.connect_timeout,
                pool_use_lifo=True,
            )
        except ImportError as error:
            raise DriverMissingError("PostgreSQL", "psycopg", str(error), "postgres") from error
        event.listen(engine, "connect", self._set_up)
        event.listen(engine, "handle_error", self._on_error)
        return engine

    def _set_up(self, raw: Any, _record: object) -> None:
        """Have no statement prepared behind a transaction pooler, whose next backend may know another by its name."""
        if not self._prepares or is_pooled(raw):
            raw.prepare_threshold = None

    def _on_error(self, context: ExceptionContext) -> None:
        """Where a pooler was seen only by its mix of prepared statements: use no connection again that has prepared,
        and prepare no more. The transaction is then tried again as after a lost connection."""
        if driver_code(context.original_exception) in _PREPARED_ELSEWHERE:
            self._prepares = False
            context.is_disconnect = True

    def check_place(self, url: URL) -> None:
        """Any server will do."""

    def read_time(self, connection: Connection) -> datetime:
        return connection.execute(text("SELECT clock_timestamp()")).scalar_one()  # type: ignore[no-any-return]

    def is_transient(self, error: BaseException) -> bool:
        return driver_code(error) in _RETRY or (isinstance(error, DBAPIError) and error.connection_invalidated)

    def is_outage(self, error: BaseException) -> bool:
        if isinstance(error, TimeoutError):
            return True
        if not isinstance(error, DBAPIError):
            return False
        code = driver_code(error)
        connecting = not code and type(error.orig).__name__ in {
            "OperationalError",
            "ConnectionTimeout",
            "InterfaceError",
        }
        return connecting or code.startswith(_OUTAGE_CLASSES) or error.connection_invalidated

    def is_undecided(self, error: BaseException) -> bool:
        answered = driver_code(error) in _PREPARED_ELSEWHERE  # by a server, which then commits nothing
        return isinstance(error, DBAPIError) and error.connection_invalidated and not answered

    def insert(self, table: Table) -> Insert:
        return insert(table).on_conflict_do_nothing()

    def among(self, column: ColumnElement[Any], name: str) -> ColumnElement[bool]:
        return column == any_(bindparam(name, type_=ARRAY(String)))

    def pack(self, values: Sequence[str]) -> list[str]:
        return list(values)

    def rows(self, name: str, columns: Sequence[ColumnClause[Any]]) -> FromClause:
        listed = func.json_to_recordset(cast(bindparam(name, type_=String), JSON))
        return listed.table_valued(*columns, name="v").render_derived(with_types=True)

    def pack_rows(self, columns: Sequence[ColumnClause[Any]], rows: Sequence[Sequence[Any]]) -> str:
        names = [column.name for column in columns]
        return json.dumps([dict(zip(names, row, strict=True)) for row in rows])

    def instant(self, value: datetime | None) -> str | None:
        return None if value is None else value.isoformat()

    def unreadable(self, column: ColumnElement[Any]) -> ColumnElement[bool]:
        return not_(column.between(_FIRST_DAY, _LAST_DAY))

    def shown(self, column: ColumnElement[Any]) -> ColumnElement[str]:
        return cast(column, Text)

    def before_claim(self, connection: Connection) -> None:
        """Have the claim walk its index in order.

        With statistics from before a burst the planner expects few due rows, and would gather and sort all of them
        for each claim (100,000 due: 110 ms instead of 1 ms).
        """
        connection.exec_driver_sql("SET LOCAL enable_bitmapscan = off")

    @contextmanager
    def upgrading(self, connection: Connection) -> Iterator[None]:
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _UPGRADE_LOCK})
        yield  # held until the transaction ends

    def watch(self, engine: Engine) -> Watcher:
        return _Listener(engine)

    def notify(self, connection: Connection) -> None:
        connection.execute(text(f"NOTIFY {CHANNEL}"))

    def after_write(self, engine: Engine) -> None:
        """Nothing: the server checkpoints by itself."""


def is_pooled(raw: Any) -> bool:
    """Whether a pooler stands between: another backend runs our statements than the one that the handshake named.

    A pooler makes up the process id of its handshake (it needs one to route cancel requests by); a proxy that passes
    the handshake on keeps it, and gives one client one backend.
    """
    raw.autocommit = True
    try:
        return bool(raw.execute("SELECT pg_backend_pid()").fetchone()[0] != raw.info.backend_pid)
    finally:
        raw.autocommit = False


class _Listener(Watcher):
    """LISTEN on a connection of its own, in autocommit, outside the pool.

    Behind a pooler, where no notification would come, it only waits: polling finds what is due.
    """

    def __init__(self, engine: Engine) -> None:
        pooled = engine.raw_connection()
        raw: Any = pooled.driver_connection
        pooled.detach()
        try:
            pooled_away = is_pooled(raw)
            raw.autocommit = True
            if not pooled_away:
                raw.execute(f"LISTEN {CHANNEL}")
        except BaseException:
            raw.close()
            raise
        self._raw = raw

    def wait(self, seconds: float) -> bool:
        return any(True for _ in self._raw.notifies(timeout=seconds, stop_after=1))

    def close(self) -> None:
        self._raw.close()
