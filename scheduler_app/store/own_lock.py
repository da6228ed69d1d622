"""Whether a thread would wait for itself: for a SQLite file that a transaction of its own keeps locked.

Which thread has which connection is told by SQLAlchemy's pools, of whichever engine: two short calls of ours for each
that is taken out and brought back. Whether it is in a transaction its driver knows, which is asked only before a write.
"""

from __future__ import annotations

import os
import sqlite3
import time
from contextlib import closing
from threading import get_ident
from typing import Any, NamedTuple

from sqlalchemy import URL, Pool, event

from ..clock import monotonic
from ..errors import ForkedError, OwnLockError
from ..serving import in_child
from .gate import GATE

DOUBT_SECONDS = 1.0
"""How long a lock must be held, with no commit by anybody, to count as this thread's own without other proof."""

LOOK_SECONDS = 0.01


class _Out(NamedTuple):
    """A connection that is out of its pool: who took it, and how many rows it had changed by then."""

    thread: int
    raw: sqlite3.Connection
    changes: int
    files: tuple[str, ...]

    @property
    def is_in_transaction(self) -> bool:
        try:
            return self.raw.in_transaction
        except sqlite3.ProgrammingError:  # closed behind its pool's back
            return False

    @property
    def has_changed(self) -> bool:
        return self.raw.isolation_level in ("IMMEDIATE", "EXCLUSIVE") or self.raw.total_changes != self.changes


_OUT: dict[int, _Out] = {}


_FILES = "scheduler_files"
"""Where a pool's record of a connection keeps which files it had open when it was taken out first."""


def _on_checkout(raw: Any, record: Any, _fairy: Any) -> None:
    if isinstance(raw, sqlite3.Connection):
        if _FILES not in record.info:
            record.info[_FILES] = _files_of(raw)
        _OUT[id(raw)] = _Out(get_ident(), raw, raw.total_changes, record.info[_FILES])


def _on_return(raw: Any, *_: Any) -> None:
    _OUT.pop(id(raw), None)


def watch_pools() -> None:
    """Know from now on which thread has which SQLite connection. Harmless to repeat."""
    if event.contains(Pool, "checkout", _on_checkout):
        return
    event.listen(Pool, "checkout", _on_checkout)
    for ending in ("checkin", "detach", "invalidate", "close"):
        event.listen(Pool, ending, _on_return)


_HELD_AT_FORK: set[object] = set()
"""Which files a transaction was on in the parent of this process, of whosever: SQLite takes its locks for ours."""


def _leave_to_parent() -> None:
    in_transaction = [out for out in _OUT.values() if out.is_in_transaction]
    _HELD_AT_FORK.update(identity_of(name) for out in in_transaction for name in out.files)
    _OUT.clear()


in_child(_leave_to_parent)


def refuse_parents_locks(path: str) -> None:
    """Raise `ForkedError` if a transaction was on this file as this process, or an ancestor of it, was forked."""
    if _HELD_AT_FORK and identity_of(path) in _HELD_AT_FORK:
        raise ForkedError(path)


def refuse_to_wait_for_oneself(url: URL) -> None:
    """Raise `OwnLockError` if a transaction of this thread keeps the file of this URL from being written.

    At once where that transaction has changed rows. Where it may have locked the file without (BEGIN IMMEDIATE, or a
    reader in a rollback journal's file), after a second in which nobody could write and nobody committed. Any other
    lock is left to be waited for.
    """
    if not _OUT:
        return
    me = get_ident()
    mine = [out for out in tuple(_OUT.values()) if out.thread == me and out.is_in_transaction]
    if mine and (mine := [out for out in mine if _is_open_at(out.raw, url.database or "")]):
        with GATE:
            _look(mine, url)


def _look(mine: list[_Out], url: URL) -> None:
    with closing(sqlite3.connect(url.database or "", timeout=0, isolation_level=None)) as probe:
        if _can_write(probe):
            return
        if any(out.has_changed for out in mine):
            raise OwnLockError(str(url))
        seen, deadline = _commits(probe), monotonic() + DOUBT_SECONDS
        while monotonic() < deadline:
            time.sleep(LOOK_SECONDS)
            if _can_write(probe) or _commits(probe) != seen:
                return
        raise OwnLockError(str(url))


def _is_open_at(raw: sqlite3.Connection, path: str) -> bool:
    """Whether a connection has the file open, as its own or attached."""
    return identity_of(path) in {identity_of(name) for name in _files_of(raw)}


def _files_of(raw: sqlite3.Connection) -> tuple[str, ...]:
    cursor = raw.cursor()
    cursor.row_factory = None  # whatever the app has its rows made into
    return tuple(name for _, _, name in cursor.execute("PRAGMA database_list"))


def identity_of(path: str) -> object:
    """Return what tells a file from every other, by whichever path; None for a database in memory."""
    try:
        found = os.stat(path)
    except OSError:
        return os.path.realpath(path) if path else None  # not there yet
    return found.st_dev, found.st_ino


def _can_write(probe: sqlite3.Connection) -> bool:
    """Whether nobody stands in a writer's way now: with a rollback journal no reader may, either."""
    try:
        probe.execute("BEGIN EXCLUSIVE")
    except sqlite3.OperationalError:
        return False
    probe.execute("ROLLBACK")
    return True


def _commits(probe: sqlite3.Connection) -> int | None:
    try:
        return int(probe.execute("PRAGMA data_version").fetchone()[0])
    except sqlite3.OperationalError:
        return None
