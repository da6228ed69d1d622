"""What the handle of a job asks while the job's request is handled, and the job has no row yet."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any, Protocol
from weakref import ref

from flask import Response

from ..asking import RULES, Verb
from ..client import Client, Explanation
from ..client.times import Delay
from ..client.waiting import wait
from ..errors import JobConflictError
from ..jobs import Job, JobState, Outcome
from .storing import Deferred

HELD = "It is held until its response has been sent."


class Collects(Protocol):
    """A response that may hold calls which are not stored yet."""

    def collected(self) -> list[Deferred]:
        """Return them."""
        ...

    def withdraw(self, job_id: str) -> bool:
        """Forget one of them; whether it was one."""
        ...


class Unstored:
    """The verbs of one job: on the call while it is only collected, on the stored job from then on.

    Keeps no response alive: one that nobody closes must be forgotten with its request.
    """

    def __init__(self, response: Collects, client: Client) -> None:
        self._response, self._client = ref(response), client

    def get(self, job_id: str) -> Job:
        """Return the job as it is, or as it will be stored. Raises `JobNotFoundError` when it was dropped."""
        return self._collected(job_id) or self._client.get(job_id)

    def cancel(self, job_id: str) -> Job:
        """Cancel it; one that is not stored yet never will be."""
        job, response = self._collected(job_id), self._response()
        if job is not None and response is not None and response.withdraw(job_id):
            return replace(job, state=JobState.CANCELLED, outcome=Outcome.CANCELLED)
        return self._client.cancel(job_id)

    def reschedule(
        self, job_id: str, *, after: Delay | None = None, at: datetime | None = None, by: Delay | None = None
    ) -> Job:
        """Give it another time, once it is stored. Raises `JobConflictError` before."""
        self._refuse_collected(job_id, Verb.RESCHEDULE)
        return self._client.reschedule(job_id, after=after, at=at, by=by)

    def run_now(self, job_id: str) -> Job:
        """Make it due, once it is stored. Raises `JobConflictError` before."""
        self._refuse_collected(job_id, Verb.RUN_NOW)
        return self._client.run_now(job_id)

    def pause(self, job_id: str) -> Job:
        """Keep it from starting, once it is stored. Raises `JobConflictError` before."""
        self._refuse_collected(job_id, Verb.PAUSE)
        return self._client.pause(job_id)

    def resume(self, job_id: str) -> Job:
        """Have it run at its time again, once it is stored. Raises `JobConflictError` before."""
        self._refuse_collected(job_id, Verb.RESUME)
        return self._client.resume(job_id)

    def retry(self, job_id: str) -> Job:
        """Put it back in line, once it is stored and has ended badly. Raises `JobConflictError` before."""
        if self._collected(job_id):
            raise JobConflictError(job_id, "held", "run again before it has run", ("cancel",))
        return self._client.retry(job_id)

    def release(self, job_id: str) -> Job:
        """Take it out of quarantine, once it is stored. Raises `JobConflictError` before."""
        self._refuse_collected(job_id, Verb.RELEASE)
        return self._client.release(job_id)

    def _refuse_collected(self, job_id: str, verb: Verb) -> None:
        if self._collected(job_id):
            asked = f"{RULES[verb].words} before its response is made"
            raise JobConflictError(job_id, "held", asked, (Verb.CANCEL.value,))

    def wait(self, job_id: str, seconds: float) -> Job:
        """Return it once it has ended. Raises `ResultTimeoutError`: while its request goes on, it does not run."""
        return wait(lambda: self.get(job_id), job_id, seconds)

    def result_of(self, job: Job) -> Any:
        """Return what an ended job's function returned. Raises `JobFailedError` and `ResultError`."""
        return self._client.result_of(job)

    def explain(self, job_id: str) -> Explanation:
        """Say why it has not run yet."""
        job = self._collected(job_id)
        return Explanation(job, (HELD,)) if job is not None else self._client.explain(job_id)

    def accepted(self, job: Job, *, allow_cancel: bool, expires: Delay) -> Response:
        """Return a view's answer with the job's address, at which it is found once it is stored."""
        return self._client.accepted(job, allow_cancel=allow_cancel, expires=expires)

    def _collected(self, job_id: str) -> Job | None:
        response = self._response()
        calls = [] if response is None else response.collected()
        return next((call.new.as_job() for call in calls if call.new.id == job_id), None)
