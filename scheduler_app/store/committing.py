"""Telling of what the caller's transaction stored: after its outermost commit, and only of what that commit kept.

SQLAlchemy tells of a commit before it is made, and of a session's before a transaction around it is committed. So the
one function by which a connection commits is wrapped, on this connection and for this transaction only; it is
underscored, and a test pins it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy import Connection, RootTransaction, select
from sqlalchemy.exc import SQLAlchemyError

from .dialect import PLAIN, Dialect
from .tables import jobs

Tell = Callable[[], None]
_HOOK = "_commit_impl"
_log = logging.getLogger("scheduler_app")


def after_commit(connection: Connection, dialect: Dialect, tell: Tell, job_id: str | None = None) -> None:
    """Call `tell` once what the transaction on `connection` holds now is committed; never, if it is rolled back.

    `job_id` is one of the rows that `tell` tells of: in a savepoint it is looked for before the commit, because the
    savepoint may have been rolled back since. Nothing that `tell` raises reaches the caller, whose commit is done.
    """
    hook = vars(connection).get(_HOOK)
    if not isinstance(hook, _Committing) or hook.transaction is not connection.get_transaction():
        if hook is not None:
            delattr(connection, _HOOK)  # of a transaction that was rolled back
        hook = _Committing(connection, dialect)
        setattr(connection, _HOOK, hook)
    hook.add(tell, job_id if connection.in_nested_transaction() else None)


class _Committing:
    """How a connection commits one transaction: as ever, and then it is told."""

    def __init__(self, connection: Connection, dialect: Dialect) -> None:
        self.transaction: RootTransaction | None = connection.get_transaction()
        self._connection = connection
        self._dialect = dialect
        self._commit: Callable[[], None] = getattr(connection, _HOOK)
        self._tells: list[tuple[Tell, str | None]] = []

    def add(self, tell: Tell, doubtful: str | None) -> None:
        """Have `tell` called, if the job of the id `doubtful` (None: no doubt) is there at the commit."""
        self._tells.append((tell, doubtful))

    def __call__(self) -> None:
        """Commit."""
        kept = self._kept() if self.transaction is self._connection.get_transaction() else []
        self._commit()
        vars(self._connection).pop(_HOOK, None)
        for tell in kept:
            try:
                tell()
            except Exception:
                _log.exception("what was committed could not be told of; it is stored, and polling finds it")

    def _kept(self) -> list[Tell]:
        doubtful = [job_id for _, job_id in self._tells if job_id is not None]
        try:
            if not self._dialect.will_commit(self._connection):
                return []
            there = self._there(doubtful) if doubtful else set()
        except SQLAlchemyError:
            return []  # the commit itself is about to say what is wrong
        return [tell for tell, job_id in self._tells if job_id is None or job_id in there]

    def _there(self, ids: Sequence[str]) -> set[str]:
        wanted = select(jobs.c.id).where(self._dialect.among(jobs.c.id, "ids"))
        packed: Any = {"ids": self._dialect.pack(ids)}
        return set(self._connection.execute(wanted, packed, execution_options=PLAIN).scalars())
