"""`JobHandle`: one job as the code that scheduled it holds it."""

from __future__ import annotations

from datetime import datetime
from typing import Protocol

from ..jobs import Job, JobState
from ..store import NewJob
from .explain import Explanation
from .times import Delay


class _Verbs(Protocol):
    """What a handle asks of the client."""

    def get(self, job_id: str) -> Job: ...
    def cancel(self, job_id: str) -> Job: ...
    def reschedule(self, job_id: str, *, after: Delay | None = None, at: datetime | None = None) -> Job: ...
    def explain(self, job_id: str) -> Explanation: ...


class JobHandle:
    """A job as it was when it was last looked at (`refresh()` looks again), and the verbs on it."""

    __slots__ = ("_client", "_seen", "created", "id")

    def __init__(self, client: _Verbs, seen: Job | NewJob, *, created: bool = True) -> None:
        self._client = client
        self._seen = seen
        self.id = seen.id
        """The job's id."""
        self.created = created
        """False when a job that held the key already was returned instead of a new one."""

    @property
    def state(self) -> JobState:
        """Where the job was when it was last looked at."""
        return self.job.state

    @property
    def run_at(self) -> datetime:
        """When it is due (UTC)."""
        return self._seen.run_at

    @property
    def job(self) -> Job:
        """Everything about it, as it was when it was last looked at."""
        if isinstance(self._seen, NewJob):  # made out only if someone asks: most callers drop the handle
            self._seen = self._seen.as_job()
        return self._seen

    def refresh(self) -> JobHandle:
        """Look again; return this handle. Raises `JobNotFoundError` when it was removed."""
        self._seen = self._client.get(self.id)
        return self

    def cancel(self) -> JobState:
        """Cancel it: `cancelled` means that it will not start; `running` that it was asked to stop.

        Raises `JobConflictError` when it has finished.
        """
        self._seen = self._client.cancel(self.id)
        return self._seen.state

    def reschedule(self, *, after: Delay | None = None, at: datetime | None = None) -> JobHandle:
        """Give a job that has not started another time. Raises `JobConflictError` when it has."""
        self._seen = self._client.reschedule(self.id, after=after, at=at)
        return self

    def explain(self) -> Explanation:
        """Say why it has not run yet, and what to do about it."""
        return self._client.explain(self.id)

    def __repr__(self) -> str:
        return f"<Job {self.id} {self._seen.task} {self.state} at {self.run_at.isoformat()}>"
