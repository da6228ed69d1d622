"""Changing: what a person or a program does to a job that is there."""

from __future__ import annotations

import math
from collections.abc import Collection
from datetime import datetime
from functools import partial

from .. import signals
from ..asking import Verb
from ..jobs import FINISHED, Job, JobState
from ..store import Connection, Retention, change, find
from ..store.prune import Pruned, prune_some
from .cancelling import Cancelling
from .times import Delay, seconds_of
from .timing import Change, Timing

PRUNED_AT_ONCE = 1000
"""How many jobs one transaction of `prune` looks at."""


class Changing(Cancelling, Timing):
    """The verbs that change jobs. Each is guarded by the job's state, and says so when it came too late."""

    def retry(self, job_id: str) -> Job:
        """Put a job that failed, was cancelled or missed back in line, due now, with all of its attempts.

        It stays the same job: its recorded attempts stay with it. Raises `JobConflictError` in any other state,
        `DuplicateKeyError` when a newer job holds its key, and `JobNotFoundError`.
        """
        job, _ = self._ask(Verb.RETRY, job_id, None, _retrying(self.store.clock.now()))
        self._on_due(0)
        signals.job_retried.send(self, job_id=job_id)
        return job

    def release(self, job_id: str | None = None, *, key: str | None = None) -> Job:
        """Take a quarantined job out, because what was wrong with it is mended: it is scheduled at its time again.

        If that has passed, it is due at once; if nothing is mended, a worker puts it aside again, with the reason. One
        that is scheduled already stays as it is. Raises `JobConflictError` in any other state, `DuplicateKeyError` when
        a newer job holds its key, and `JobNotFoundError`.
        """
        job, changed = self._ask(Verb.RELEASE, job_id, key, change.release_if_quarantined)
        if changed:
            self._wake_for(job.run_at)
            signals.job_mended.send(self, job_id=job.id)
        return job

    def prune(self, older_than: Delay, states: Collection[JobState] = FINISHED) -> int:
        """Delete jobs that finished so long ago, with their attempts; return how many.

        `states` narrows it, say to the succeeded ones. In small transactions: what it has deleted stays deleted if it
        is interrupted. The scheduler does so by itself, as SCHEDULER_RETENTION_SECONDS says.
        """
        kept = seconds_of(older_than, math.inf)
        retention = {JobState(state): kept for state in states}
        if not retention.keys() <= {*FINISHED}:
            raise ValueError(f"only jobs that have ended can be deleted: {', '.join(FINISHED)}.")
        note = self._notes.of_many("jobs.prune", {"older_than": kept, "states": sorted(retention)})
        after: str | None = ""
        total = 0
        while after is not None:
            work = partial(self._prune_some, retention, after)
            pruned = self.store.write(note.beside(work, lambda some: {"deleted": some.count}))
            total, after = total + pruned.count, pruned.after
        return total

    def _prune_some(self, retention: Retention, after: str, connection: Connection) -> Pruned:
        now = self.store.clock.now()
        return prune_some(connection, self.store.dialect, retention, now, after, PRUNED_AT_ONCE)


def _retrying(now: datetime) -> Change:
    """Return what puts a job back in line. Tried again, it does not retry what has begun, or ended, since."""
    tried: set[int] = set()

    def retry(connection: Connection, job_id: str) -> bool:
        seen = find.job(connection, job_id, lock=True)
        if seen is None:
            return False
        if tried and seen.version not in tried:
            return True  # an earlier try was committed, and its reply was lost
        changed = change.retry_if_finished(connection, job_id, now)
        if changed:
            tried.add(seen.version)
        return changed

    return retry
