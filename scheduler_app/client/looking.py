"""Looking: a job, its attempts and its result; lists, counts and workers."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Any

from flask import Response

from ..audit import Entry
from ..jobs import Attempt, Job, JobState
from ..payload import decode_result
from ..store import audit, find, workers
from ..store.workers import WorkerRow
from .accepted import accepted
from .explain import Explanation, explain
from .listing import Listing
from .queueing import COUNT_CAP, Queueing, QueueStatus
from .shown import shown_job
from .times import Delay
from .waiting import looks, result_of, wait

Entries = list[Entry]


class Looking(Listing, Queueing):
    """The verbs that change nothing."""

    def attempts(self, job_id: str) -> Sequence[Attempt]:
        """Return a job's recorded attempts: every one but a first-try success."""
        return self.store.read(lambda connection: find.attempts_of(connection, job_id))

    def wait(self, job_id: str, seconds: float) -> Job:
        """Return a job once it has ended. Raises `ResultTimeoutError` when it has not within so many seconds."""
        return wait(lambda: self.get(job_id), job_id, seconds)

    def follow(self, job_id: str, seconds: float = math.inf) -> Iterator[Job]:
        """Yield a job, look after look, the last time when it has ended. Raises as `wait`."""
        return looks(lambda: self.get(job_id), seconds)

    def result_of(self, job: Job) -> Any:
        """Return what an ended job's function returned. Raises `JobFailedError` and `ResultError`."""
        return result_of(job, lambda text: decode_result(text, allowed=self.calls.registry.rule.allows))

    def explain(self, job_id: str) -> Explanation:
        """Say why a job has not run yet: its state, when it is due, and who could run it."""
        job = shown_job(self.get(job_id), self.calls.registry)
        return explain(
            job, self.workers(), self.store.clock.now(), self._limits.lease_seconds, self._standing(job.queue)
        )

    def accepted(self, job: Job, *, allow_cancel: bool = False, expires: Delay = timedelta(hours=1)) -> Response:
        """Return a view's answer with the address where its caller may look after a job; see `JobHandle.accepted`."""
        return accepted(job, self.calls.signer, self.store.clock.now(), allow_cancel=allow_cancel, expires=expires)

    def _standing(self, name: str) -> QueueStatus | None:
        """Return what is known of a queue; None where nothing is."""
        return self.store.read(lambda connection: self._look_at(connection, name))

    def stats(self) -> dict[str, int]:
        """Return how many jobs are in each state, each counted no further than `COUNT_CAP`."""
        return self.store.read(
            lambda connection: {state.value: find.count_of(connection, state, COUNT_CAP) for state in JobState}
        )

    def audit(
        self,
        *,
        actor: str | None = None,
        action: str | None = None,
        target: str | None = None,
        before: str | None = None,
        limit: int = 50,
    ) -> Entries:
        """Return up to `limit` of the changes that were made at the doors, the newest first.

        All of one actor, action ("job.cancel") or target (a job's id, or the name of a queue or schedule); the next
        page is `before` the last one's id.
        """
        wanted = {"actor": actor, "action": action, "target": target, "before": before}
        most = max(1, min(limit, self._limits.max_page))
        return self.store.read(lambda connection: audit.page(connection, **wanted, limit=most))

    def workers(self) -> Sequence[WorkerRow]:
        """Return the workers that have a row: live ones, and dead ones that nobody swept yet."""
        return self.store.read(workers.all_workers)
