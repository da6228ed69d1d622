"""The one connection of all processes that checkpoints a SQLite WAL file.

On SQLite versions where connections that write and checkpoint at once can lose a committed write,
every connection has automatic checkpoints off, and the process that holds a lock file checkpoints,
while one of its connections holds the file's write lock, so that nobody writes meanwhile. Where another
holds that lock, nothing is done until the WAL has grown some more.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import Any

from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

LONG_BYTES = 4 * 1024 * 1024
"""The WAL's length that calls for a checkpoint: about SQLite's own 1,000 pages."""

GRACE_BYTES = 256 * 1024
"""By how much the WAL may grow before a checkpoint that others kept from finishing is tried again."""


class Checkpointer:
    """Checkpoints when the WAL is long and this process holds the election's lock file."""

    def __init__(self, path: Path) -> None:
        self._wal = f"{path}-wal"
        self._ballot = f"{path}-checkpointer"
        self._turn = Lock()
        self._held: int | None = None
        self._limit = LONG_BYTES

    def checkpoint_if_long(self, engine: Engine) -> None:
        """Empty the WAL into the database if it is long, unless another thread or process is the one to do it.

        Never raises for the disk's sake: what was written is committed already, whatever becomes of this.
        """
        if not self._is_long() or not self._turn.acquire(blocking=False):
            return
        try:
            if self._is_elected():
                self._checkpoint(engine)
        except (SQLAlchemyError, sqlite3.Error, OSError):
            pass  # the disk is full, say: the WAL stays as it is until a later write, which says so if it fails itself
        finally:
            self._turn.release()

    def forget_parent(self) -> None:
        """In a forked child: let go of the election, which the parent holds, and which would outlive it here."""
        self._turn = Lock()
        if self._held is not None:
            os.close(self._held)
            self._held = None

    def _is_long(self) -> bool:
        try:
            return os.stat(self._wal).st_size > self._limit
        except FileNotFoundError:
            return False

    def _is_elected(self) -> bool:
        """Hold the lock file from the first success until this process ends (a forked child votes anew)."""
        import fcntl

        if self._held is not None:
            return True
        file = os.open(self._ballot, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(file)
            return False
        self._held = file
        return True

    def _checkpoint(self, engine: Engine) -> None:
        """Copy the WAL into the database, whereupon the next writer whom no reader hinders writes it from its start.

        The file keeps its length (cutting it would make every commit after that pay for its growth), so
        the next checkpoint is due when it outgrows that length.
        """
        is_whole = False
        try:
            with _raw(engine) as lock, _raw(engine) as worker:
                is_whole = _copy_while_nobody_writes(lock, worker)
        finally:
            length = os.stat(self._wal).st_size
            self._limit = max(LONG_BYTES, length + (0 if is_whole else GRACE_BYTES))


def _copy_while_nobody_writes(lock: sqlite3.Connection, worker: sqlite3.Connection) -> bool:
    """Copy as much of the WAL as readers allow, and answer whether that was all.

    The lock is held by a connection of its own: `wal_checkpoint(RESTART)`, which takes it by itself, goes on
    without it where it cannot have it in time, beside the writer. Raises sqlite3.OperationalError where it is held.
    """
    lock.execute("BEGIN IMMEDIATE")
    try:
        busy, length, copied = worker.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
    finally:
        lock.execute("ROLLBACK")
    return not busy and bool(copied == length)


@contextmanager
def _raw(engine: Engine) -> Iterator[sqlite3.Connection]:
    """Lend the driver's own connection out of the pool: it is in no transaction."""
    pooled = engine.raw_connection()
    raw: Any = pooled.driver_connection
    try:
        yield raw
    finally:
        pooled.close()
