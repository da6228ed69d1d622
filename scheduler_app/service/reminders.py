"""The demo's one task, and what a person may ask of it."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

from flask import current_app

from .. import JobHandle, current_job, task
from ..admin.json_shapes import instant
from ..client import current_client
from ..errors import JobNotFoundError, MalformedPayloadError, ReminderError
from ..jobs import HELD, Job, JobState
from ..payload import decode_call
from .messages import Message, MessageFile

TASK = "demo.remind"
LONGEST_TEXT = 500
MOST_SECONDS = 365 * 86_400
MOST_SHOWN = 50
_PENDING = (JobState.SCHEDULED, JobState.PAUSED, JobState.QUARANTINED, *HELD)


@task(name=TASK)
def remind(text: str) -> None:
    """Print a message and keep it. Run again after a kill, it prints again and keeps it once."""
    arrived = current_client().store.clock.reckon()
    message = Message(
        text=text,
        job_id=current_job.id,
        run_at=str(instant(current_job.run_at)),
        arrived_at=str(instant(arrived)),
        lateness_ms=round((arrived - current_job.run_at).total_seconds() * 1000, 1),
        attempt=current_job.attempt,
    )
    is_new = messages().add_if_absent(message)
    _print(f"[{arrived:%H:%M:%S}] {text}{'' if is_new else ' (again: the first run was killed)'}")


def _print(text: str) -> None:
    """Write one line to standard output, at once; what could move a terminal's cursor is spelled out."""
    shown = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
    encoding = sys.stdout.encoding or "utf-8"
    sys.stdout.write(shown.encode(encoding, "backslashreplace").decode(encoding) + "\n")
    sys.stdout.flush()


def messages() -> MessageFile:
    """Return the current app's messages."""
    return MessageFile(Path(current_app.instance_path))


# -- asking ----------------------------------------------------------------------------------------


class Wish(NamedTuple):
    """What a person asked for, checked."""

    text: str
    seconds: float

    @classmethod
    def read(cls, fields: Mapping[str, Any]) -> Wish:
        """Read the fields of a form or of a JSON object. Raises `ReminderError` with a sentence for that person."""
        return cls(_text(fields.get("message")), _seconds(fields.get("seconds")))

    def schedule(self) -> JobHandle:
        """Store it; it is safe when this returns. Raises `SchedulerError`."""
        return remind.schedule_after(self.seconds, self.text)


def _text(given: Any) -> str:
    if given is None or (isinstance(given, str) and not given.strip()):
        raise ReminderError("A message is missing. Say what to be reminded of, such as message=hello.")
    if not isinstance(given, str):
        raise ReminderError(f"The message must be text, not {given!r:.40}.")
    text = given.strip()
    if len(text) > LONGEST_TEXT:
        raise ReminderError(f"The message has {len(text):,} characters; {LONGEST_TEXT} is the most.")
    if any("\ud800" <= character <= "\udfff" for character in text):
        raise ReminderError("The message holds half of a character, a lone surrogate. Send the whole.")
    return text


def _seconds(given: Any) -> float:
    if given is None or given == "":
        raise ReminderError("The seconds are missing. Say how long to wait, such as seconds=3.")
    seconds = _number(given)
    if not 0 <= seconds <= MOST_SECONDS:  # false for NaN too
        raise ReminderError(f"The seconds must be a number from 0 to {MOST_SECONDS:,}, a year, not {given!r:.40}.")
    return seconds


def _number(given: Any) -> float:
    try:
        return math.nan if isinstance(given, bool) else float(given)
    except (TypeError, ValueError, OverflowError):
        return math.nan


# -- what waits ------------------------------------------------------------------------------------


class Pending(NamedTuple):
    """A reminder that has not come yet."""

    id: str
    text: str
    state: JobState
    run_at: datetime

    @classmethod
    def of(cls, job: Job) -> Pending:
        """Return a job of this task as the page shows it."""
        return cls(job.id, _message_of(job), job.state, job.run_at)

    def as_json(self) -> dict[str, Any]:
        """Return it for a program."""
        return {
            "id": self.id,
            "state": self.state.value,
            "task": TASK,
            "message": self.text,
            "run_at": instant(self.run_at),
        }


def _message_of(job: Job) -> str:
    try:
        return str(decode_call(job.payload, allowed=lambda _module: False).args[0])
    except (MalformedPayloadError, IndexError):  # a row that was changed by hand hides no other
        return "(unreadable)"


def pending() -> list[Pending]:
    """Return the reminders that have not come, the next one first; of many, those asked for last."""
    jobs = current_client().list(states=_PENDING, task=TASK, limit=MOST_SHOWN)
    return sorted(map(Pending.of, jobs), key=lambda one: one.run_at)


def take_back(job_id: str) -> Pending:
    """Cancel a reminder. Raises `JobNotFoundError` for what is none, and `JobConflictError` if it has come."""
    client = current_client()
    if not job_id.isprintable():  # no id is so, and PostgreSQL cannot even be asked for a NUL
        raise JobNotFoundError(job_id)
    if client.get(job_id).task != TASK:
        raise JobNotFoundError(job_id)
    return Pending.of(client.cancel(job_id))
