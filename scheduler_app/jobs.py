"""Job, Attempt and their states: the words for one deferred call through its whole life."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import IntEnum, StrEnum
from os import urandom
from typing import Any, NamedTuple


class JobState(StrEnum):
    """Where a job is."""

    SCHEDULED = "scheduled"
    """Waits for its `run_at`. The client or a schedule puts it here; a claim takes it out."""

    PAUSED = "paused"
    """Waits for a person. The client moves it in and out."""

    CLAIMED = "claimed"
    """Handed off to an engine elsewhere, not started yet. The loop's claim moves it in, the far side out."""

    RUNNING = "running"
    """A worker holds it and runs it. A claim moves it in; settle, release or rescue moves it out."""

    SUCCEEDED = "succeeded"
    """The function returned. Final."""

    FAILED = "failed"
    """The function raised, or killed its process too often. Final, unless a person says retry."""

    CANCELLED = "cancelled"
    """It will not start (again). Final, unless a person says retry."""

    MISSED = "missed"
    """It was due for longer than its `max_lateness`. Final, unless a person says retry."""

    QUARANTINED = "quarantined"
    """It cannot run as it is. A mend (a person, or a worker that knows its task) takes it out."""


LIVE = (JobState.SCHEDULED, JobState.PAUSED, JobState.CLAIMED, JobState.RUNNING)
FINISHED = (JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED, JobState.MISSED)
HELD = (JobState.CLAIMED, JobState.RUNNING)
"""The states in which one worker holds the job."""


class Outcome(StrEnum):
    """How an attempt ended."""

    SUCCESS = "success"
    ERROR = "error"
    TIMEOUT = "timeout"
    ABANDONED = "abandoned"
    MISSED = "missed"
    CANCELLED = "cancelled"


class Priority(IntEnum):
    """Which of the due jobs of a process start first."""

    URGENT = 0
    HIGH = 1
    NORMAL = 2
    LOW = 3


class Move(NamedTuple):
    """One permitted change of state: from (None: the job is made), to, who makes it, when, and what signal tells it."""

    source: JobState | None
    target: JobState
    who: str
    when: str
    signal: str


_S = JobState

TRANSITIONS: tuple[Move, ...] = (
    Move(None, _S.SCHEDULED, "client", "scheduled", "job_scheduled"),
    Move(None, _S.SCHEDULED, "fire", "a schedule's fire time came", "schedule_fired"),
    Move(_S.SCHEDULED, _S.RUNNING, "claim", "due, on threads or processes", "job_claimed"),
    Move(_S.SCHEDULED, _S.CLAIMED, "claim", "due, handed off to celery or rq", "job_claimed"),
    Move(_S.CLAIMED, _S.RUNNING, "runner", "the far side starts it, with the current fence", "job_started"),
    Move(_S.RUNNING, _S.SUCCEEDED, "settle", "the function returned", "job_settled"),
    Move(_S.RUNNING, _S.FAILED, "settle", "the function raised, and no attempt is left", "job_settled"),
    Move(_S.RUNNING, _S.CANCELLED, "settle", "stopped because it was asked to", "job_settled"),
    Move(_S.RUNNING, _S.SCHEDULED, "settle", "retry or snooze, with a later run_at", "job_settled"),
    Move(_S.RUNNING, _S.SCHEDULED, "release", "drained, refused, or not started in time", "job_released"),
    Move(_S.CLAIMED, _S.SCHEDULED, "release", "drained, refused, or the hand-off lease is over", "job_released"),
    Move(_S.RUNNING, _S.FAILED, "release", "drained in the middle of an at-most-once task", "job_released"),
    Move(_S.RUNNING, _S.SCHEDULED, "rescue", "its worker died: crashes + 1", "job_rescued"),
    Move(_S.RUNNING, _S.FAILED, "rescue", "too many crashes, or an at-most-once task", "job_rescued"),
    Move(_S.SCHEDULED, _S.CANCELLED, "client", "cancelled before it started", "job_cancelled"),
    Move(_S.PAUSED, _S.CANCELLED, "client", "cancelled before it started", "job_cancelled"),
    Move(_S.QUARANTINED, _S.CANCELLED, "client", "cancelled instead of mended", "job_cancelled"),
    Move(_S.CLAIMED, _S.CANCELLED, "release", "a cancel was requested", "job_released"),
    Move(_S.RUNNING, _S.CANCELLED, "release", "a cancel was requested", "job_released"),
    Move(_S.RUNNING, _S.CANCELLED, "rescue", "a cancel was requested", "job_rescued"),
    Move(_S.CLAIMED, _S.CANCELLED, "rescue", "a cancel was requested", "job_rescued"),
    Move(_S.CLAIMED, _S.SCHEDULED, "rescue", "its worker died: crashes + 1", "job_rescued"),
    Move(_S.CLAIMED, _S.FAILED, "rescue", "too many crashes, or an at-most-once task", "job_rescued"),
    Move(_S.SCHEDULED, _S.MISSED, "claim", "later than its max_lateness", "job_missed"),
    Move(_S.SCHEDULED, _S.PAUSED, "client", "paused", "job_paused"),
    Move(_S.PAUSED, _S.SCHEDULED, "client", "resumed", "job_resumed"),
    Move(_S.SCHEDULED, _S.QUARANTINED, "claim", "malformed or forged, or nobody could serve it", "job_quarantined"),
    Move(_S.CLAIMED, _S.QUARANTINED, "runner", "malformed or forged", "job_quarantined"),
    Move(_S.RUNNING, _S.QUARANTINED, "runner", "malformed or forged", "job_quarantined"),
    Move(_S.QUARANTINED, _S.SCHEDULED, "client", "released by a person", "job_mended"),
    Move(_S.QUARANTINED, _S.SCHEDULED, "claim", "a worker knows its task or key again", "job_mended"),
    Move(_S.FAILED, _S.SCHEDULED, "client", "retried by a person", "job_retried"),
    Move(_S.CANCELLED, _S.SCHEDULED, "client", "retried by a person", "job_retried"),
    Move(_S.MISSED, _S.SCHEDULED, "client", "retried by a person", "job_retried"),
)
"""The life of a job as data; the chart in the README is drawn from it, and a test holds them equal."""


@dataclass(frozen=True, slots=True)
class Job:
    """One deferred call: what, when, and how it ended. A snapshot of its row; instants are UTC.

    Its repr shows no argument and no result: some are secrets.
    """

    id: str
    task: str
    payload: str = field(repr=False)
    queue: str
    priority: int
    state: JobState
    run_at: datetime
    key: str | None
    attempt: int
    max_attempts: int
    crashes: int
    claim_seq: int
    worker_id: str | None
    created_at: datetime
    cancel_requested_at: datetime | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    outcome: Outcome | None = None
    result: Any = field(default=None, repr=False)
    error: str | None = None
    progress: str | None = None
    tags: tuple[str, ...] = ()
    origin: str | None = None
    """Where it came from, as `origin` writes it."""
    schedule_uid: str | None = None
    fire_time: datetime | None = None
    at_most_once: bool = False
    timeout: float | None = None
    """How long one attempt may run, in seconds; None: as long as its task says."""
    max_lateness: float | None = None
    """How long after `run_at` it may still start, in seconds; None: however late."""
    version: int = 0

    @property
    def finished(self) -> bool:
        """Whether the job is at rest for good (a person's retry aside)."""
        return self.state in FINISHED


@dataclass(frozen=True, slots=True)
class Attempt:
    """One execution of a job that was not a first-try success."""

    job_id: str
    claim_seq: int
    attempt: int
    outcome: Outcome
    worker_id: str | None
    started_at: datetime | None
    finished_at: datetime
    error: str | None = None
    traceback: str | None = None
    superseded: str | None = field(default=None)


def first_id_of(instant: datetime) -> str:
    """Return the least id that a job made at this instant could have: all of earlier ones are less."""
    millis = max(0, int(instant.timestamp() * 1000))
    text = f"{millis:012x}"
    return f"{text[:8]}-{text[8:12]}-7000-8000-000000000000"


def new_id(now: datetime) -> str:
    """Return a fresh job id: a UUIDv7 whose order is the order of creation.

    The layout is RFC 9562's: 48 bits of Unix milliseconds, 12 bits of the fraction below them
    (its method 3, so that ids made within one millisecond still sort), 62 random bits.
    """
    micros = int(now.timestamp() * 1_000_000)
    millis, rest = divmod(micros, 1000)
    fraction = rest * 4096 // 1000
    high = (millis << 16) | (0x7 << 12) | fraction
    low = (0b10 << 62) | (int.from_bytes(urandom(8), "big") >> 2)
    text = f"{high:016x}{low:016x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
