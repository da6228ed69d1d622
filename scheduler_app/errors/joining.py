"""A call cannot be stored in the caller's transaction, or must not be stored beside it."""

from __future__ import annotations

from .base import SchedulerError
from .store import StoreError


class JoinError(SchedulerError, ValueError):
    """What was given to `using(session=...)` has no transaction that could carry a job; nothing was stored."""

    def __init__(self, problem: str, remedy: str) -> None:
        super().__init__(f"using(session=...): {problem}. {remedy}")


class ForeignSessionError(JoinError):
    """The session is connected to another database than the scheduler's, so that one commit could not cover both."""

    def __init__(self, theirs: str, ours: str) -> None:
        super().__init__(
            f"it is connected to {theirs}, and the scheduler's tables are in {ours}",
            "Let both be one database (SCHEDULER_DATABASE_URL); or pass the connection that goes there, such as"
            " db.session.connection(bind_arguments={'bind': db.engines[...]}); or schedule without session= after"
            " the commit.",
        )


class OwnLockError(StoreError):
    """A transaction of this very thread has the SQLite file locked that is to be written, for as long as it waits."""

    def __init__(self, url: str) -> None:
        self.url = url
        super().__init__(
            f"The scheduler's database {url} is locked by a transaction that this thread has open in the same file, so"
            " waiting would not help. Nothing was stored. Commit that transaction or roll it back first; or, if this"
            " call schedules, schedule inside it, with using(session=db.session)."
        )
