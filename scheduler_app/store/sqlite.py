"""SQLite: one file, one writer at a time, WAL, `synchronous=FULL`, and checkpoints by one elected connection."""

from __future__ import annotations

import json
import os
import sqlite3
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from datetime import datetime
from pathlib import Path
from threading import Event
from typing import Any

from sqlalchemy import (
    ColumnClause,
    ColumnElement,
    Connection,
    Engine,
    FromClause,
    String,
    Table,
    Text,
    and_,
    bindparam,
    case,
    cast,
    create_engine,
    event,
    func,
    literal,
    literal_column,
    not_,
    or_,
    select,
)
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.engine import URL
from sqlalchemy.exc import OperationalError, TimeoutError
from sqlalchemy.sql.dml import Insert

from ..clock import host_now, monotonic
from ..errors import NetworkFileSystemError
from .checkpoint import Checkpointer
from .dialect import Dialect, Watcher, driver_code
from .gate import GATE, Closes
from .own_lock import identity_of, refuse_parents_locks, refuse_to_wait_for_oneself, watch_pools
from .place import Place
from .types import text_of

READ_ONLY = "scheduler_read_only"
"""The execution option of a connection that will not write: it takes no write lock."""

BUSY_SECONDS = 0.25
"""How long SQLite itself waits for the write lock; longer waits are ours, with jitter (SQLite's are unfair)."""

CACHE_KIB = 8192
"""The page cache of a connection: enough that a busy queue's pages are not read from the WAL again and again."""

SHARED = "shared"
"""The journal of a file that the app itself writes: as it is, WAL or not (a new file has a rollback journal)."""

UNSYNCED = "memory"
"""The journal of a test's file: in memory, and nothing is synced, because nothing needs to outlive the process."""

OLDEST = (3, 35)
"""The first version that has all that is used."""

_NETWORK = (
    *("9p", "afs", "beegfs", "ceph", "cifs", "glusterfs", "gpfs", "lustre", "nfs", "smb"),
    *("blobfuse", "davfs", "gcsfuse", "goofys", "gvfs", "juicefs", "mountpoint-s3", "rclone", "s3fs", "sshfs"),
)
"""How the types of network file systems begin, those in user space without their "fuse."."""

_OUTAGES = ("SQLITE_FULL", "SQLITE_IOERR", "SQLITE_READONLY", "SQLITE_CANTOPEN", "SQLITE_CORRUPT", "SQLITE_NOTADB")

_BUG = f"SQLite {sqlite3.sqlite_version} can lose writes when connections write and checkpoint at once"
_UNBOUND = (
    f"{_BUG}, and the app itself writes this file in WAL mode, which no election can bind: give the scheduler a file of"
    " its own (SCHEDULER_DATABASE_URL), or upgrade SQLite"
)


def may_lose_writes(version: tuple[int, ...] = sqlite3.sqlite_version_info) -> bool:
    """Whether this SQLite can lose a committed write when WAL connections write and checkpoint at once.

    Versions 3.7.0 to 3.51.2 can, but for the fixed 3.44.6 and 3.50.7 lines (https://sqlite.org/wal.html,
    "the WAL-reset bug").
    """
    if version[:2] == (3, 44):
        return version < (3, 44, 6)
    if version[:2] == (3, 50):
        return version < (3, 50, 7)
    return (3, 7, 0) <= version < (3, 51, 3)


class SQLite(Dialect):
    """A SQLite 3.35 or later file on a local disk."""

    name = "sqlite"
    sql_name = "sqlite"
    local_time = True
    notifies = False
    one_writer = True
    gate = GATE

    def __init__(self, *, connect_timeout: float = 5.0, journal: str = "wal") -> None:
        super().__init__(connect_timeout=connect_timeout, journal=journal)
        self.elects = self.journal not in ("delete", UNSYNCED) and may_lose_writes()
        if self.elects and self.journal == "wal":
            self.note = f"{_BUG}; one elected connection checkpoints"
        self._checkpointer: Checkpointer | None = None
        watch_pools()

    def make_engine(self, url: URL) -> Engine:
        engine = create_engine(
            url,
            connect_args={"timeout": BUSY_SECONDS, "check_same_thread": False},
            pool_size=2,
            max_overflow=20,
            pool_timeout=self.connect_timeout,
            pool_use_lifo=True,
            hide_parameters=True,  # they hold arguments, of which some are secrets
        )
        event.listen(engine, "connect", self._set_up)
        event.listen(engine, "begin", _begin)
        if self.elects:
            self._checkpointer = Checkpointer(Path(url.database or ""))
        return engine

    def _set_up(self, raw: sqlite3.Connection, _record: object) -> None:
        raw.isolation_level = None
        raw.execute(f"PRAGMA synchronous={'OFF' if self.journal == UNSYNCED else 'FULL'}")
        raw.execute(f"PRAGMA cache_size=-{CACHE_KIB}")
        mode = _set_journal(raw, self.journal)
        if self.elects:
            raw.execute("PRAGMA wal_autocheckpoint=0")
            if self.journal == SHARED and mode == "wal":
                self.note = _UNBOUND

    def close_before_forks(self, store: Closes) -> None:
        GATE.close_before_forks(store)

    def forget_parent(self) -> None:
        if self._checkpointer is not None:
            self._checkpointer.forget_parent()

    def check_place(self, url: URL) -> None:
        path = Path(url.database or "").resolve()
        kind = file_system(path)
        if is_network(kind):
            raise NetworkFileSystemError(str(path), kind)
        refuse_parents_locks(str(path))
        path.parent.mkdir(parents=True, exist_ok=True)

    def place(self, url: URL) -> Place:
        path = Path(url.database or "").resolve()
        kind = file_system(path)
        return Place(
            path=str(path),
            exists=path.exists(),
            file_system=kind,
            is_network=is_network(kind),
            version=sqlite3.sqlite_version,
            is_too_old=sqlite3.sqlite_version_info < OLDEST,
            may_lose_writes=may_lose_writes(),
            is_elected=self.elects and self.journal == "wal",
        )

    def journal_of(self, connection: Connection) -> str:
        return str(connection.exec_driver_sql("PRAGMA journal_mode").scalar_one())

    def read_time(self, connection: Connection) -> datetime:
        return host_now()

    def refuse_to_wait_for_oneself(self, url: URL) -> None:
        refuse_to_wait_for_oneself(url)

    def place_of(self, connection: Connection) -> tuple[Any, Any]:
        listed = connection.exec_driver_sql("PRAGMA database_list")
        return None, next(identity_of(path) for _, name, path in listed if name == "main")

    def own_place(self, engine: Engine) -> tuple[Any, Any]:
        return None, identity_of(engine.url.database or "")  # not asked: the caller may have the file locked

    def is_open_in(self, connection: Connection) -> bool:
        return _raw(connection).in_transaction

    def is_autocommit(self, connection: Connection) -> bool:
        """Whether the driver begins no transaction by itself, and nobody else has begun one."""
        raw = _raw(connection)
        by_itself = getattr(raw, "autocommit", -1)  # -1 is what Python 3.12 calls the way of all versions before it
        return not raw.in_transaction and (by_itself is True or (by_itself == -1 and raw.isolation_level is None))

    def is_transient(self, error: BaseException) -> bool:
        return driver_code(error).startswith(("SQLITE_BUSY", "SQLITE_LOCKED"))

    def is_outage(self, error: BaseException) -> bool:
        return isinstance(error, TimeoutError) or driver_code(error).startswith(_OUTAGES)

    def is_undecided(self, error: BaseException) -> bool:
        return driver_code(error).startswith("SQLITE_IOERR")

    def insert(self, table: Table) -> Insert:
        return insert(table).on_conflict_do_nothing()

    def among(self, column: ColumnElement[Any], name: str) -> ColumnElement[bool]:
        listed = func.json_each(bindparam(name, type_=String)).table_valued("value")
        return column.in_(select(listed.c.value))

    def pack(self, values: Sequence[str]) -> str:
        return json.dumps(values)

    def rows(self, name: str, columns: Sequence[ColumnClause[Any]]) -> FromClause:
        each = func.json_each(bindparam(name, type_=String)).table_valued("value", name="each")
        picked = (_at(each.c.value, place, c) for place, c in enumerate(columns))
        return select(*picked).subquery("v")

    def pack_rows(self, columns: Sequence[ColumnClause[Any]], rows: Sequence[Sequence[Any]]) -> str:
        return json.dumps(rows, ensure_ascii=False)  # an escaped lone surrogate would get past the driver

    def instant(self, value: datetime | None) -> str | None:
        return None if value is None else text_of(value)

    def unreadable(self, column: ColumnElement[Any]) -> ColumnElement[bool]:
        day, second, fraction = func.substr(column, 1, 10), func.substr(column, 1, 19), func.substr(column, 20)
        return or_(
            func.typeof(column) != "text",
            func.date(func.julianday(day)).is_distinct_from(day),
            func.strftime("%Y-%m-%d %H:%M:%S", second).is_distinct_from(second),
            not_(fraction.op("GLOB", is_comparison=True)("." + "[0-9]" * 6)),
            second < "0001",
        )

    def shown(self, column: ColumnElement[Any]) -> ColumnElement[str]:
        plain = and_(func.typeof(column) != "blob", not_(column.op("GLOB", is_comparison=True)(literal("*[^ -~]*"))))
        return case((plain, cast(column, Text)), else_=func.hex(column))

    def before_claim(self, connection: Connection) -> None:
        """Nothing: the claim's index is the only way that SQLite sees."""

    def upgrading(self, connection: Connection) -> AbstractContextManager[None]:
        """Nothing to add: a write transaction has the file's one write lock from its BEGIN IMMEDIATE."""
        return nullcontext()

    def watch(self, engine: Engine) -> Watcher:
        return _DataVersion(engine)

    def notify(self, connection: Connection) -> None:
        """Nothing to send: every commit moves `data_version`, which other processes watch."""

    def after_write(self, engine: Engine) -> None:
        if self._checkpointer is not None:
            self._checkpointer.checkpoint_if_long(engine)


def _at(value: ColumnElement[Any], place: int, column: ColumnClause[Any]) -> ColumnElement[Any]:
    """Return one field of a packed row; its path is literal, so that SQLite parses it once and not for each row."""
    path: ColumnElement[str] = literal_column(f"'$[{place}]'")
    return func.json_extract(value, path, type_=column.type).label(column.name)


def _begin(connection: Connection) -> None:
    """Begin at the driver: through SQLAlchemy's own execution it would cost as much as the write itself."""
    begin = "BEGIN" if connection.get_execution_options().get(READ_ONLY) else "BEGIN IMMEDIATE"
    try:
        _raw(connection).execute(begin)
    except sqlite3.OperationalError as error:
        raise OperationalError(begin, None, error) from error


def _raw(connection: Connection) -> sqlite3.Connection:
    raw: Any = connection.connection.driver_connection
    return raw  # type: ignore[no-any-return]


def _set_journal(raw: sqlite3.Connection, journal: str) -> str:
    """Switch the file's journal if it is another, and return its mode.

    A switch needs the file alone, so it may be busy for a moment; and for ever where another pool keeps a WAL file
    open, which is why a `SHARED` file is left as it is.
    """
    mode = str(raw.execute("PRAGMA journal_mode").fetchone()[0])
    if journal in (mode, SHARED):
        return mode
    deadline = monotonic() + 5.0
    while True:
        try:
            return str(raw.execute(f"PRAGMA journal_mode={journal}").fetchone()[0])
        except sqlite3.OperationalError as error:
            if not str(error.sqlite_errorname).startswith("SQLITE_BUSY") or monotonic() > deadline:
                raise
            time.sleep(0.02)


def is_network(kind: str) -> bool:
    """Whether a file system of this type is another machine's."""
    return kind.removeprefix("fuse.").startswith(_NETWORK)


def file_system(path: Path) -> str:
    """Return the type of the file system that holds `path`, as the kernel names it; "" where it cannot tell."""
    mounts = Path("/proc/self/mounts")
    if not mounts.exists():
        return ""
    best, kind = "", ""
    for line in mounts.read_text(errors="replace").splitlines():
        _device, mount, fs_type, *_ = line.split(" ")
        mount = mount.replace("\\040", " ")
        holds = mount == "/" or str(path) == mount or str(path).startswith(mount + os.sep)
        if holds and len(mount) >= len(best):
            best, kind = mount, fs_type
    return kind


class _DataVersion(Watcher):
    """`PRAGMA data_version` on a connection of its own: it moves when any other connection commits.

    What another connection shows cannot be compared with it, so after a fork of this process it counts as moved.
    """

    FAST, SLOW, IDLE_AFTER = 0.04, 0.25, 60.0

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._raw: sqlite3.Connection | None = None
        self._seen: int | None = self._read()
        self._changed_at = monotonic()
        self._interrupted = Event()
        GATE.close_before_forks(self)

    def _read(self) -> int:
        with GATE:
            if self._raw is None:
                self._raw = self._open()
            return int(self._raw.execute("PRAGMA data_version").fetchone()[0])

    def _open(self) -> sqlite3.Connection:
        pooled = self._engine.raw_connection()
        raw: Any = pooled.driver_connection
        pooled.detach()
        return raw  # type: ignore[no-any-return]

    def wait(self, seconds: float) -> bool:
        idle = monotonic() - self._changed_at > self.IDLE_AFTER
        self._interrupted.wait(min(seconds, self.SLOW if idle else self.FAST))
        now = self._read()
        if now == self._seen:
            return False
        self._seen, self._changed_at = now, monotonic()
        return True

    def interrupt(self) -> None:
        self._interrupted.set()

    def close(self) -> None:
        raw, self._raw, self._seen = self._raw, None, None
        if raw is not None:
            raw.close()
