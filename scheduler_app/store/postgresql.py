"""PostgreSQL: SKIP LOCKED, arrays, LISTEN and NOTIFY, its own clock."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from selectors import EVENT_READ, DefaultSelector
from socket import socketpair
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
    collate,
    create_engine,
    event,
    func,
    literal,
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


_PLACE = (
    "SELECT pg_postmaster_start_time(), (SELECT oid FROM pg_database WHERE datname = current_database()),"
    " to_regclass('scheduler_jobs')::oid"
)
_OPEN = """
    SELECT extract(epoch FROM clock_timestamp() - xact_start)::float,
      'pid ' || pid || coalesce(' of ' || nullif(application_name, ''), '') || ', ' || coalesce(state, 'unknown')
    FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'
      AND xact_start < clock_timestamp() - make_interval(secs => :seconds)
    ORDER BY xact_start LIMIT 20
"""
_PSYCOPG2_IN_ERROR = 3
"""`TRANSACTION_STATUS_INERROR`, where the app itself uses the older driver."""

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
                isolation_level="READ COMMITTED",  # whatever the server's default: a count under a lock must be of now
                pool_size=2,
                max_overflow=20,
                pool_timeout=self.connect_timeout,
                pool_use_lifo=True,
                hide_parameters=True,  # they hold arguments, of which some are secrets
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

    def place_of(self, connection: Connection) -> tuple[Any, Any]:
        server, database, table = connection.exec_driver_sql(_PLACE).one()
        return server, None if table is None else (database, table)

    def open_transactions(self, connection: Connection, seconds: float) -> Sequence[tuple[float, str]]:
        return [(row[0], row[1]) for row in connection.execute(text(_OPEN), {"seconds": seconds})]

    def will_commit(self, connection: Connection) -> bool:
        """Whether no statement has failed: PostgreSQL answers the COMMIT of such a transaction with ROLLBACK."""
        raw: Any = connection.connection.driver_connection
        status = getattr(getattr(raw, "info", None), "transaction_status", None)
        return getattr(status, "name", status) not in ("INERROR", _PSYCOPG2_IN_ERROR)

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

    def contains(self, column: ColumnElement[Any], text: str) -> ColumnElement[bool]:
        return func.strpos(func.lower(collate(column, "C")), func.lower(collate(literal(text), "C"))) > 0

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
        self._interrupted, self._interrupting = socketpair()
        self._ready = DefaultSelector()
        self._ready.register(raw.fileno(), EVENT_READ)
        self._ready.register(self._interrupted, EVENT_READ)

    def wait(self, seconds: float) -> bool:
        ready = [key.fd for key, _ in self._ready.select(seconds)]
        return self._raw.fileno() in ready and any(True for _ in self._raw.notifies(timeout=0))

    def interrupt(self) -> None:
        with suppress(OSError):  # it was closed meanwhile
            self._interrupting.send(b"!")

    def close(self) -> None:
        self._ready.close()
        self._interrupting.close()
        self._interrupted.close()
        self._raw.close()
