"""Cancelling: one job by its id or key, and all of a key's prefix or of a tag."""

from __future__ import annotations

from functools import partial
from typing import NamedTuple, overload

from .. import signals
from ..asking import Verb
from ..jobs import Job, JobState
from ..store import Connection, cancelling, change
from ..store.cancelling import Matching, Stopped
from .options import name_of
from .reach import Reach

FOUND_AT_ONCE = 10_000
"""How many ids of matching jobs are in memory at a time."""

CANCELLED_AT_ONCE = 500
"""How many jobs one transaction cancels."""


class Cancelled(NamedTuple):
    """What came of cancelling many jobs."""

    cancelled: int
    """How many will not start."""
    asked: int
    """How many run, and were asked to stop. What was asked before is not counted again."""


class Cancelling(Reach):
    """The verb that keeps jobs from starting, and asks those to stop that have."""

    @overload
    def cancel(self, job_id: str) -> Job: ...
    @overload
    def cancel(self, *, key: str) -> Job: ...
    @overload
    def cancel(self, *, prefix: str) -> Cancelled: ...
    @overload
    def cancel(self, *, tag: str) -> Cancelled: ...
    def cancel(
        self,
        job_id: str | None = None,
        *,
        key: str | None = None,
        prefix: str | None = None,
        tag: str | None = None,
    ) -> Job | Cancelled:
        """Cancel a job by its id or key, and return it as it is then; or all that have not ended whose key begins
        with `prefix`, or that bear `tag`, and return how many.

        In state `cancelled` a job will not start. In state `running` it was asked to stop, and sees that by
        `current_job.cancelled`, in whichever process it runs, within the poll interval; neither a retry nor a rescue
        revives it. Cancelling twice is no error. Raises `JobConflictError` when the job has finished otherwise, and
        `JobNotFoundError`.

        Of many, those are meant that are there when this is called. They are cancelled in small transactions: what
        is cancelled stays so if it is interrupted. By a prefix only what matches is read; by a tag, all that waits.
        """
        if sum(given is not None for given in (job_id, key, prefix, tag)) != 1:
            raise TypeError("cancel() takes one of: a job's id, key=..., prefix=... and tag=...")
        if prefix is not None or tag is not None:
            return self._cancel_all(_matching(prefix, tag))
        job, changed = self._ask(Verb.CANCEL, job_id, key, self._cancel_one)
        if changed:
            signals.job_cancelled.send(self, job_id=job.id, state=job.state)
        return job

    def _cancel_one(self, connection: Connection, job_id: str) -> bool:
        now = self.store.clock.now()
        return change.cancel_if_waiting(connection, job_id, now) or change.request_cancel_if_held(
            connection, job_id, now
        )

    def count_to_cancel(self, *, prefix: str | None = None, tag: str | None = None) -> int:
        """Return how many jobs `cancel` of this prefix or tag would now stop, counted no further than 10,000."""
        if (prefix is None) == (tag is None):
            raise TypeError("count_to_cancel() takes either prefix=... or tag=...")
        return len(self._to_cancel(_matching(prefix, tag)))

    def _cancel_all(self, matching: Matching) -> Cancelled:
        cancelled = asked = 0
        meant = {"prefix": matching.prefix, "tag": matching.tag}
        note = self._notes.of_many("jobs.cancel", {name: text for name, text in meant.items() if text is not None})
        is_more = True
        while is_more:
            ids = self._to_cancel(matching)
            is_more = len(ids) == FOUND_AT_ONCE
            for first in range(0, len(ids), CANCELLED_AT_ONCE):
                work = partial(self._cancel_some, ids[first : first + CANCELLED_AT_ONCE])
                stopped = self.store.write(note.beside(work, _counts))
                cancelled, asked = cancelled + len(stopped.cancelled), asked + len(stopped.asked)
                self._tell_of(stopped)
        return Cancelled(cancelled, asked)

    def _to_cancel(self, matching: Matching) -> list[str]:
        return self.store.read(lambda connection: cancelling.to_cancel(connection, matching, FOUND_AT_ONCE))

    def _cancel_some(self, ids: list[str], connection: Connection) -> Stopped:
        return cancelling.cancel_if_live(connection, self.store.dialect, ids, self.store.clock.now())

    def _tell_of(self, stopped: Stopped) -> None:
        for ids, state in ((stopped.cancelled, JobState.CANCELLED), (stopped.asked, JobState.RUNNING)):
            for job_id in ids:
                signals.job_cancelled.send(self, job_id=job_id, state=state)


def _counts(stopped: Stopped) -> dict[str, int]:
    return {"cancelled": len(stopped.cancelled), "asked": len(stopped.asked)}


def _matching(prefix: str | None, tag: str | None) -> Matching:
    """Return which jobs are meant. Raises `OptionError` for what no key could begin with, and no tag could be."""
    return Matching(
        prefix=None if prefix is None else name_of("prefix", prefix, "cancel"),
        tag=None if tag is None else name_of("tag", tag, "cancel"),
    )
