"""Writing how attempts ended. Every write names the fence of its claim; a stale one changes 0 rows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import BigInteger, Connection, Integer, Text, Update, and_, bindparam, case, column, select, update

from ..jobs import HELD, JobState, Outcome
from ..outcomes import Result, Transition
from .claim import Claim
from .dialect import Dialect
from .give_back import GiveBack, cancelled_instead, give_back_if_held
from .tables import attempts, jobs
from .types import Instant


@dataclass(slots=True, eq=False)
class Settlement:
    """One attempt's end, decided and ready to be written."""

    claim: Claim
    result: Result
    transition: Transition

    @property
    def has_crashed(self) -> bool:
        """Whether the process in which it ran died."""
        return self.result.outcome is Outcome.ABANDONED

    @property
    def has_attempt_row(self) -> bool:
        """Whether this attempt has a row of its own: every one but a first-try success, and none given back."""
        if self.transition.released or self.result.outcome is None:
            return False
        if self.has_crashed:
            return True
        first_try = self.claim.attempt == 0 and self.claim.crashes == 0
        return not (first_try and self.result.outcome is Outcome.SUCCESS)


def settle_if_held(
    connection: Connection, dialect: Dialect, batch: Sequence[Settlement], worker_id: str, now: datetime
) -> list[Settlement]:
    """Write a batch of ends, each only if its claim still holds; return those that were superseded.

    A job that was asked to stop, or whose key a newer one holds by now, does not run again: its settlement then says
    that it was cancelled. Harmless to repeat: an end that was written already, by a try whose reply was lost, is
    neither written again nor counted as superseded.
    """
    returning = [s for s in batch if s.transition.state is JobState.SCHEDULED]
    closing = [s for s in batch if s.transition.state is not JobState.SCHEDULED]
    _count_crashes(connection, [s for s in closing if s.has_crashed])
    written = _close(connection, dialect, [_end(dialect, s) for s in closing])
    written += give_back_if_held(connection, [_given_back(s) for s in returning], now)
    stale = _superseded(connection, dialect, batch) if written < len(batch) else []
    _record_attempts(connection, dialect, [s for s in batch if s not in stale], worker_id)
    _record_superseded(connection, stale)
    _note_cancelled(connection, dialect, [s for s in batch if s not in stale])
    return stale


_MAY_BE_CANCELLED = (JobState.SCHEDULED, JobState.FAILED)


def _note_cancelled(connection: Connection, dialect: Dialect, batch: Sequence[Settlement]) -> None:
    in_doubt = [s for s in batch if s.transition.state in _MAY_BE_CANCELLED]
    if not in_doubt:
        return
    cancelled = cancelled_instead(connection, dialect, [s.claim.id for s in in_doubt])
    for one in in_doubt:
        if one.claim.id in cancelled:
            attempt, why = one.transition.attempt, cancelled[one.claim.id]
            one.transition = Transition(JobState.CANCELLED, attempt, Outcome.CANCELLED, error=why)


_ENDS = (
    column("id", Text),
    column("fence", BigInteger),
    column("state", Text),
    column("outcome", Text),
    column("attempt", Integer),
    column("started_at", Instant),
    column("finished_at", Instant),
    column("result", Text),
    column("error", Text),
)


@cache
def _closing(dialect: Dialect) -> Update:
    """Close a batch in one statement. A failed job whose cancellation was requested ends cancelled."""
    end = dialect.rows("ends", _ENDS).c
    stays_cancelled = and_(jobs.c.cancel_requested_at.is_not(None), end.state == JobState.FAILED.value)
    return (
        update(jobs)
        .where(
            jobs.c.id == end.id,
            jobs.c.claim_seq == end.fence,
            jobs.c.state.in_([state.value for state in HELD]),
        )
        .values(
            state=case((stays_cancelled, JobState.CANCELLED.value), else_=end.state),
            outcome=end.outcome,
            attempt=end.attempt,
            started_at=end.started_at,
            finished_at=end.finished_at,
            result=end.result,
            error=end.error,
            version=jobs.c.version + 1,
        )
    )


def _close(connection: Connection, dialect: Dialect, ends: Sequence[tuple[Any, ...]]) -> int:
    if not ends:
        return 0
    return connection.execute(_closing(dialect), {"ends": dialect.pack_rows(_ENDS, ends)}).rowcount


_CRASHED: Update = (
    update(jobs)
    .where(
        jobs.c.id == bindparam("crashed_id"),
        jobs.c.claim_seq == bindparam("fence"),
        jobs.c.state.in_([state.value for state in HELD]),
    )
    .values(crashes=jobs.c.crashes + 1)
)


def _count_crashes(connection: Connection, crashed: Sequence[Settlement]) -> None:
    """Count the last crash of jobs that are about to be closed, in the same transaction."""
    if crashed:
        connection.execute(_CRASHED, [{"crashed_id": s.claim.id, "fence": s.claim.fence} for s in crashed])


def _end(dialect: Dialect, settlement: Settlement) -> tuple[Any, ...]:
    """Return one end in the order of `_ENDS`."""
    claim, result, transition = settlement.claim, settlement.result, settlement.transition
    return (
        claim.id,
        claim.fence,
        transition.state,
        transition.outcome,
        transition.attempt,
        dialect.instant(result.started_at),
        dialect.instant(result.finished_at),
        result.value,
        transition.error if transition.error is not None else result.error,
    )


def _given_back(settlement: Settlement) -> GiveBack:
    claim, transition = settlement.claim, settlement.transition
    return GiveBack(
        job_id=claim.id,
        fence=claim.fence,
        key=claim.key,
        attempt=transition.attempt,
        crashes=claim.crashes + settlement.has_crashed,
        run_at=transition.run_at,
        outcome=transition.outcome,
        error=transition.error,
        bumps_fence=transition.released,
    )


def _superseded(connection: Connection, dialect: Dialect, batch: Sequence[Settlement]) -> list[Settlement]:
    """Tell a claim that was taken over (a higher fence, or no row) from one that was settled already."""
    statement = select(jobs.c.id, jobs.c.claim_seq).where(dialect.among(jobs.c.id, "ids"))
    fences = {row.id: row.claim_seq for row in connection.execute(statement, {"ids": _ids(dialect, batch)})}
    return [s for s in batch if not s.transition.released and fences.get(s.claim.id, s.claim.fence + 1) > s.claim.fence]


def _ids(dialect: Dialect, batch: Iterable[Settlement]) -> Any:
    return dialect.pack([s.claim.id for s in batch])


def _record_attempts(connection: Connection, dialect: Dialect, batch: Iterable[Settlement], worker_id: str) -> None:
    rows = [_attempt_row(s, worker_id) for s in batch if s.has_attempt_row]
    if rows:
        connection.execute(dialect.insert(attempts), rows)


def _attempt_row(settlement: Settlement, worker_id: str) -> dict[str, Any]:
    claim, result = settlement.claim, settlement.result
    assert result.outcome is not None
    return {
        "job_id": claim.id,
        "claim_seq": claim.fence,
        "attempt": claim.attempt + 1,
        "outcome": result.outcome.value,
        "worker_id": worker_id,
        "started_at": result.started_at,
        "finished_at": result.finished_at,
        "error": result.error,
        "traceback": result.traceback,
    }


_SUPERSEDE: Update = (
    update(attempts)
    .where(attempts.c.job_id == bindparam("stale_id"), attempts.c.claim_seq == bindparam("fence"))
    .values(superseded=bindparam("how", type_=Text))
)


def _record_superseded(connection: Connection, stale: Sequence[Settlement]) -> None:
    if stale:
        connection.execute(
            _SUPERSEDE,
            [
                {"stale_id": s.claim.id, "fence": s.claim.fence, "how": f"{s.result.outcome} at {s.result.finished_at}"}
                for s in stale
            ],
        )


_UNSTORABLE = "result could not be stored"


def unstorable(settlement: Settlement, reason: str) -> Settlement:
    """Return what is written instead of an end that the database refuses: failed, for that reason."""
    error = f"{_UNSTORABLE}: {reason}".encode("ascii", "backslashreplace").decode().replace("\x00", "\\x00")
    result = replace(
        settlement.result, outcome=Outcome.ERROR, refusal=None, value=None, error=error, traceback=None, exception=None
    )
    transition = Transition(JobState.FAILED, settlement.claim.attempt + 1, Outcome.ERROR, error=error)
    return Settlement(settlement.claim, result, transition)
