"""Databases for tests: each a new SQLite file with the migrated tables and nothing in them, made in a millisecond.

The tables are migrated once in a process; every further file is a copy. An engine is used again for a later test's
file, because a new one would compile every statement anew.
"""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Lock
from typing import Any

from sqlalchemy import Connection, Engine, delete, event, func, make_url, select

from ..errors import AfterTestError
from ..settings.database_url import anchored
from .sqlite import UNSYNCED, SQLite
from .store import Store
from .tables import metadata

NAME = "scheduler.sqlite3"


class _Bench:
    """An engine whose connections open whichever file lies on it now. One store at a time."""

    def __init__(self) -> None:
        self.dialect = SQLite(journal=UNSYNCED)
        self.engine: Engine = self.dialect.make_engine(make_url(f"sqlite:///{NAME}"))
        self.file = ""
        event.listen(self.engine, "do_connect", self._open)

    def _open(self, _dialect: object, _record: object, args: list[Any], _options: object) -> None:
        args[0] = self.file


class FreshStore(Store):
    """A store on a new, empty file of its own. Opens it at once; `discard` removes it, and later use is refused."""

    def __init__(self) -> None:
        self._folder = TemporaryDirectory(prefix="scheduler-app-test-")
        path = Path(self._folder.name) / NAME
        path.write_bytes(_migrated())
        super().__init__(anchored(f"sqlite:///{NAME}", self._folder.name), journal=UNSYNCED)
        self._bench = _take_bench()
        self._bench.file = str(path)
        self.dialect, self._engine = self._bench.dialect, self._bench.engine
        self._ready = True
        self._over = False

    @property
    def engine(self) -> Engine:
        """The engine, for as long as the test goes on. Raises `AfterTestError`."""
        if self._over:
            raise AfterTestError()
        return super().engine

    def ensure_ready(self, *, writing: bool = True) -> None:
        """Check that the test whose store this is goes on. Raises `AfterTestError`."""
        if self._over:
            raise AfterTestError()
        super().ensure_ready(writing=writing)

    def discard(self) -> None:
        """Remove the file. Whoever uses this store from now on gets `AfterTestError`, and no other test's jobs."""
        self._over = True
        self.close()
        self._engine = None
        _benches.append(self._bench)
        self._folder.cleanup()


_benches: list[_Bench] = []
"""The engines that no store uses now."""


def _take_bench() -> _Bench:
    try:
        return _benches.pop()
    except IndexError:
        return _Bench()


class _Template:
    """The bytes of a file with the migrated tables; made once in a process."""

    lock = Lock()
    made: bytes | None = None


def _migrated() -> bytes:
    with _Template.lock:
        if _Template.made is None:
            with TemporaryDirectory(prefix="scheduler-app-test-") as folder:
                store = Store(anchored(f"sqlite:///{NAME}", folder), auto_upgrade=True, journal="delete")
                store.ensure_ready()
                store.close()
                _Template.made = (Path(folder) / NAME).read_bytes()
        return _Template.made


# -- an app's own database, used for tests -----------------------------------------------------------


def rows_by_table(connection: Connection) -> dict[str, int]:
    """Return how many rows each of the scheduler's tables holds, of those that hold any."""
    counts = {
        name: connection.execute(select(func.count()).select_from(table)).scalar_one()
        for name, table in metadata.tables.items()
    }
    return {name: count for name, count in counts.items() if count}


def empty(connection: Connection) -> None:
    """Delete every row of the scheduler's tables."""
    for table in metadata.tables.values():
        connection.execute(delete(table))
