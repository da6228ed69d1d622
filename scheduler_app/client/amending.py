"""Amending: what a job that has not started is otherwise, and deleting one that has ended."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from .. import signals
from ..asking import RULES, Answer, Verb, allowed, answer
from ..errors import JobChangedError, JobConflictError
from ..jobs import Job, JobState
from ..store import Connection, change, find
from ..store.prune import delete_if_finished
from .expecting import is_done_already
from .options import priority_of, tags_of
from .reach import LOOKS, Reach, removing
from .times import Delay, seconds_of


class Amending(Reach):
    """The verbs that change a job's row otherwise than its state."""

    def change(
        self,
        job_id: str,
        *,
        after: Delay | None = None,
        at: datetime | None = None,
        priority: str | int | None = None,
        tags: Iterable[str] | None = None,
        versions: Collection[int] | None = None,
    ) -> Job:
        """Give a job that has not started another time, priority or tags, all at once; return it as it is then.

        With `versions` only if its version is one of these: else `JobChangedError`, and nothing changes. Raises
        `JobConflictError` for one that has started, `JobNotFoundError`, `OptionError`, and what `reschedule` raises.
        """
        if after is not None and at is not None:
            raise TypeError("change() takes after=... or at=..., not both")
        columns = self._columns(after, at, priority, tags)
        if not columns:
            raise TypeError("change() takes at least one of: after=..., at=..., priority=... and tags=...")
        job, _ = self._ask(Verb.CHANGE, job_id, None, _changing(columns, versions))
        self._tell_of_change(job, columns)
        return job

    def _columns(
        self, after: Delay | None, at: datetime | None, priority: str | int | None, tags: Iterable[str] | None
    ) -> dict[str, Any]:
        now, columns = self.store.clock.now(), dict[str, Any]()
        if at is not None:
            columns["run_at"] = self._due(at, now)
        if after is not None:
            columns["run_at"] = now + timedelta(seconds=seconds_of(after, self._limits.max_delay_seconds))
        if priority is not None:
            columns["priority"] = priority_of(priority)
        if tags is not None:
            columns["tags"] = tags_of(tags)
        return columns

    def _tell_of_change(self, job: Job, columns: Mapping[str, Any]) -> None:
        others = sorted({*columns} - {"run_at"})
        if others:
            signals.job_changed.send(self, job_id=job.id, changed=others)
        if "run_at" in columns:
            signals.job_rescheduled.send(self, job_id=job.id, run_at=job.run_at)
        if job.state is JobState.SCHEDULED:
            self._wake_for(job.run_at)

    def delete(self, job_id: str) -> None:
        """Delete a job that has ended, with its attempts, before its retention is over.

        Raises `JobConflictError` for one that has not ended, and `JobNotFoundError`.
        """
        work = self._notes.of_job(
            "job.delete", job_id, removing(partial(self._delete, job_id), lambda c: find.job(c, job_id) is None)
        )
        for _ in range(LOOKS):
            if self.store.write(work):
                signals.job_deleted.send(self, job_id=job_id)
                return
            job = self.get(job_id)
            if answer(Verb.DELETE, job.state) is Answer.NO:
                break
        raise JobConflictError(job.id, job.state.value, RULES[Verb.DELETE].words, allowed(job.state))

    def _delete(self, job_id: str, connection: Connection) -> bool:
        is_done_already(connection, job_id)
        return bool(delete_if_finished(connection, self.store.dialect, [job_id]))


def _changing(columns: Mapping[str, Any], versions: Collection[int] | None) -> Callable[[Connection, str], bool]:
    """Return what changes a job, of these versions only where any are said. Tried again, it knows its own change."""
    tried: set[int] = set()

    def amend(connection: Connection, job_id: str) -> bool:
        seen = None if versions is None else find.job(connection, job_id, lock=True)
        if versions is not None and seen is not None:
            if seen.version - 1 in tried and all(getattr(seen, name) == value for name, value in columns.items()):
                return True  # an earlier try was committed, and its reply was lost
            if seen.version not in versions:
                raise JobChangedError(job_id, seen.version)
            tried.add(seen.version)
        return change.change_if_waiting(connection, job_id, columns)

    return amend
