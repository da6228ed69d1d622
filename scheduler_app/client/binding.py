"""Whether a stored call could run by the code as it is in this process: decided without running anything of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from ..errors import (
    ArgumentsError,
    MalformedPayloadError,
    MalformedTriggerError,
    NoAsyncError,
    UnknownTaskError,
    UnknownValueError,
)
from ..payload import Verdict, decode_call
from ..schedules import Schedule, decode_trigger
from ..store.pending import Pending
from ..tasks import Task
from .calls import Calls
from .recurring import signed_parts
from .shown import Shown


class Misfit(StrEnum):
    """Why a stored call could not run."""

    UNKNOWN_TASK = "unknown task"
    """No function of this name is here."""
    ARGUMENTS = "arguments"
    """The function is here, and does not take these arguments."""
    UNREADABLE = "unreadable"
    """The stored arguments are damaged."""
    SIGNATURE = "signature"
    """The row was changed by other means, or signed by nobody."""
    UNKNOWN_KEY = "unknown key"
    """The row is signed with a key that this process does not have."""
    TRIGGER = "trigger"
    """The schedule's trigger cannot be read."""


_VERDICTS = {
    Verdict.FORGED: (Misfit.SIGNATURE, "its signature is forged: the row was changed by other means"),
    Verdict.MALFORMED: (Misfit.SIGNATURE, "its signature is malformed: the row was changed by other means"),
    Verdict.UNKNOWN_KEY: (Misfit.UNKNOWN_KEY, "it is signed with a key that this process does not have"),
}

Found = tuple[Misfit, str]
"""What is wrong, and a sentence's end that says it."""


@dataclass(frozen=True, slots=True)
class Unbound:
    """Waiting jobs, or schedules, of one task that could not run for one reason; the first due of them stands here."""

    kind: str
    """"job" or "schedule"."""
    misfit: Misfit
    task: str
    count: int
    id: str
    """The id of the job, or the name of the schedule, that is due first."""
    due: datetime | None
    """When that is due; None where only paused schedules are meant."""
    why: str


class Binder:
    """Binds stored calls to the code. Each task is looked for once."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls
        self._signer = calls.signer()
        self._missing: dict[str, str] = {}

    def of_job(self, job: Pending) -> Found | None:
        """Return why a job could not run; None where it could."""
        return self._of_call(job.task, job.payload, job.signature, (job.id, job.task, job.queue, job.payload))

    def of_schedule(self, schedule: Schedule) -> Found | None:
        """Return why no job of a schedule could run; None where they could."""
        found = self._of_call(schedule.task, schedule.payload, schedule.signature, signed_parts(schedule))
        if found is not None:
            return found
        try:
            decode_trigger(schedule.trigger)
        except MalformedTriggerError as error:
            return Misfit.TRIGGER, str(error)
        return None

    def _of_call(self, task: str, payload: str, signature: str, parts: Sequence[str]) -> Found | None:
        verdict = self._signer.verify(signature, *parts)
        if verdict is not Verdict.VALID:
            return _VERDICTS[verdict]
        resolved = self._resolve(task)
        if isinstance(resolved, str):
            return Misfit.UNKNOWN_TASK, resolved
        return self._of_arguments(resolved, payload)

    def _resolve(self, name: str) -> Task | str:
        """Return a task, or why there is none; what was not found is not imported again."""
        if name in self._missing:
            return self._missing[name]
        try:
            return self._calls.runnable(self._calls.registry.resolve(name))
        except UnknownTaskError as error:
            self._missing[name] = error.reason
        except NoAsyncError as error:
            self._missing[name] = str(error)
        return self._missing[name]

    def _of_arguments(self, task: Task, payload: str) -> Found | None:
        try:
            call = decode_call(payload, allowed=self._calls.registry.rule.allows)
            task.bind(call.args, call.kwargs)
        except (ArgumentsError, UnknownValueError) as error:
            return Misfit.ARGUMENTS, self._without_secrets(task, payload, error.reason)
        except MalformedPayloadError as error:
            return Misfit.UNREADABLE, self._without_secrets(task, payload, error.reason)
        return None

    def _without_secrets(self, task: Task, payload: str, reason: str) -> str:
        return Shown(task.name, payload, self._calls.registry).text(reason) or reason
