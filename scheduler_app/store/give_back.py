"""Returning held jobs to `scheduled`: a retry, a release, or a rescue after a worker's death.

Whatever returns takes its key back; if a newer job holds it by now, this one is cancelled instead.
A job whose cancellation was requested is cancelled rather than returned.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Text, bindparam, case, func, literal_column, null, select, update
from sqlalchemy.exc import IntegrityError

from ..conflict import yielded_to
from ..jobs import JobState, Outcome
from .dialect import Dialect
from .tables import jobs
from .types import Instant, bumped


@dataclass(frozen=True, slots=True)
class GiveBack:
    """A held job on its way back to `scheduled`, and the fence under which it was held."""

    job_id: str
    fence: int
    key: str | None
    attempt: int
    crashes: int
    run_at: datetime | None = None
    outcome: Outcome | None = None
    error: str | None = None
    bumps_fence: bool = True

    def row(self, now: datetime) -> dict[str, Any]:
        """Return the statement's parameters."""
        return {
            "job_id": self.job_id,
            "fence": self.fence,
            "bump": int(self.bumps_fence),
            "new_attempt": self.attempt,
            "new_crashes": self.crashes,
            "new_run_at": self.run_at,
            "new_outcome": None if self.outcome is None else self.outcome.value,
            "new_error": self.error,
            "now": now,
        }


_wanted = jobs.c.cancel_requested_at.is_(None)
_short = jobs.c.state.type

_RETURN = (
    update(jobs)
    .where(
        jobs.c.id == bindparam("job_id"),
        jobs.c.claim_seq == bindparam("fence"),
        literal_column("state IN ('claimed', 'running')"),
    )
    .values(
        state=case((_wanted, JobState.SCHEDULED.value), else_=JobState.CANCELLED.value),
        live_key=case((_wanted, jobs.c.key), else_=null()),
        outcome=case((_wanted, bindparam("new_outcome", type_=_short)), else_=Outcome.CANCELLED.value),
        finished_at=case((_wanted, null()), else_=bindparam("now", type_=Instant)),
        run_at=func.coalesce(bindparam("new_run_at", type_=Instant), jobs.c.run_at),
        attempt=bindparam("new_attempt"),
        crashes=bindparam("new_crashes"),
        error=bindparam("new_error", type_=Text),
        claim_seq=jobs.c.claim_seq + bindparam("bump"),
        worker_id=None,
        started_at=None,
        version=bumped(jobs.c.version),
    )
)

_YIELD = (
    update(jobs)
    .where(jobs.c.id == bindparam("job_id"), jobs.c.claim_seq == bindparam("fence"))
    .values(
        state=JobState.CANCELLED.value,
        outcome=Outcome.CANCELLED.value,
        finished_at=bindparam("now", type_=Instant),
        error=bindparam("why", type_=Text),
        attempt=bindparam("new_attempt"),
        crashes=bindparam("new_crashes"),
        claim_seq=jobs.c.claim_seq + bindparam("bump"),
        worker_id=None,
        version=bumped(jobs.c.version),
    )
)


_HOLDER = select(jobs.c.id).where(jobs.c.live_key == bindparam("taken_key"))


def give_back_if_held(connection: Connection, back: Sequence[GiveBack], now: datetime) -> int:
    """Return jobs to `scheduled`, each only if its claim still holds; answer how many changed."""
    plain = [b.row(now) for b in back if b.key is None]
    changed = connection.execute(_RETURN, plain).rowcount if plain else 0
    return changed + sum(_give_back_keyed(connection, b, now) for b in back if b.key is not None)


def cancelled_instead(connection: Connection, dialect: Dialect, ids: Sequence[str]) -> dict[str, str | None]:
    """Return, by id and with the reason, those of the jobs that were cancelled where they were to run again.

    They were asked to stop, or have yielded to a newer job of their key.
    """
    cancelled = select(jobs.c.id, jobs.c.error).where(dialect.among(jobs.c.id, "ids"), jobs.c.state == _CANCELLED)
    return {row.id: row.error for row in connection.execute(cancelled, {"ids": dialect.pack(ids)})}


_CANCELLED = JobState.CANCELLED.value


def _give_back_keyed(connection: Connection, back: GiveBack, now: datetime) -> int:
    row = back.row(now)
    try:
        with connection.begin_nested():
            return connection.execute(_RETURN, row).rowcount
    except IntegrityError:
        newer = connection.execute(_HOLDER, {"taken_key": back.key}).scalar()
        yielding = {name: row[name] for name in ("job_id", "fence", "now", "bump", "new_attempt", "new_crashes")}
        return connection.execute(_YIELD, yielding | {"why": yielded_to(newer)}).rowcount
