"""`JobHandle`: one job as the code that scheduled it holds it."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Protocol

from flask import Response

from ..jobs import Job, JobState
from ..progress import Progress, decode_progress
from ..store import NewJob
from .explain import Explanation
from .times import Delay


class _Verbs(Protocol):
    """What a handle asks of the client."""

    def get(self, job_id: str) -> Job: ...
    def cancel(self, job_id: str) -> Job: ...
    def reschedule(
        self, job_id: str, *, after: Delay | None = None, at: datetime | None = None, by: Delay | None = None
    ) -> Job: ...
    def run_now(self, job_id: str) -> Job: ...
    def pause(self, job_id: str) -> Job: ...
    def resume(self, job_id: str) -> Job: ...
    def retry(self, job_id: str) -> Job: ...
    def release(self, job_id: str) -> Job: ...
    def wait(self, job_id: str, seconds: float) -> Job: ...
    def result_of(self, job: Job) -> Any: ...
    def explain(self, job_id: str) -> Explanation: ...
    def accepted(self, job: Job, *, allow_cancel: bool, expires: Delay) -> Response: ...


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

    def reschedule(
        self, *, after: Delay | None = None, at: datetime | None = None, by: Delay | None = None
    ) -> JobHandle:
        """Give a job that has not started another time: so long from now, at an instant, or `by` so much later.

        Raises `JobConflictError` when it has started.
        """
        self._seen = self._client.reschedule(self.id, after=after, at=at, by=by)
        return self

    def run_now(self) -> JobHandle:
        """Make it due, also if it was paused. Raises `JobConflictError` when it has started."""
        self._seen = self._client.run_now(self.id)
        return self

    def pause(self) -> JobHandle:
        """Keep it from starting until it is resumed. Raises `JobConflictError` when it has started."""
        self._seen = self._client.pause(self.id)
        return self

    def resume(self) -> JobHandle:
        """Have it run at its time again; if that has passed, at once. Raises `JobConflictError` when it has started."""
        self._seen = self._client.resume(self.id)
        return self

    def result(self, timeout: float = 0.0) -> Any:
        """Return what the function returned, waiting up to `timeout` seconds for its end.

        Raises `JobFailedError` when it ended without a result, `ResultTimeoutError` when it has not ended, and
        `ResultError` when what it returned could not be kept.
        """
        self._seen = self._client.wait(self.id, timeout)
        return self._client.result_of(self._seen)

    @property
    def progress(self) -> Progress | None:
        """How far the job said that it was, when it was last looked at."""
        return decode_progress(self.job.progress)

    def retry(self) -> JobHandle:
        """Put it back in line if it failed, was cancelled or missed. Raises `JobConflictError` when it did not."""
        self._seen = self._client.retry(self.id)
        return self

    def release(self) -> JobHandle:
        """Take it out of quarantine, now that it is mended. Raises `JobConflictError` when it is not there."""
        self._seen = self._client.release(self.id)
        return self

    def accepted(self, allow_cancel: bool = False, expires: Delay = timedelta(hours=1)) -> Response:
        """Return what a view may answer: 202 with the address, in `Location`, where its caller may look after the job.

        Whoever has the address may read the job's state, progress and result, and nothing else of it, until it
        `expires`; with `allow_cancel` also cancel it. No other right is needed, and none is given. Raises
        `HandleError` for a time that cannot be.
        """
        return self._client.accepted(self.job, allow_cancel=allow_cancel, expires=expires)

    def explain(self) -> Explanation:
        """Say why it has not run yet, and what to do about it."""
        return self._client.explain(self.id)

    def __repr__(self) -> str:
        return f"<Job {self.id} {self._seen.task} {self.state} at {self.run_at.isoformat()}>"
