"""What an attempt's end means for its job: decided here, purely; written by the store."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from .jobs import JobState, Outcome
from .retry import RetryPolicy
from .wishes import GiveUp, Retry, Snooze, Wish


class Refusal(StrEnum):
    """Why the runner did not call user code."""

    MALFORMED = "malformed"
    """The row is damaged or forged: nobody can run it."""

    UNSERVED = "unserved"
    """This process does not know the task or the signing key; another one may."""

    UNFIT = "unfit"
    """Its arguments do not fit the task as it is here; another version of the app may take them."""

    NOT_STARTED = "not started"
    """It did not start in time, or its worker must not start work now."""


NOT_KEPT = "result not kept: "
"""How the error of a job begins that has succeeded, and whose result could not be stored."""


@dataclass(slots=True, eq=False)
class Result:
    """How one attempt ended, as the runner saw it. `outcome` or `refusal` is set; neither where it was put off."""

    started_at: datetime
    finished_at: datetime
    outcome: Outcome | None = None
    refusal: Refusal | None = None
    value: str | None = field(default=None, repr=False)
    """What the function returned, encoded; None for nothing."""
    error: str | None = None
    traceback: str | None = None
    exception: BaseException | None = field(default=None, repr=False)
    kinds: tuple[str, ...] = ()
    """The names of the exception's class and of its base classes."""
    wish: Wish | None = None
    """What the function raised to say how its job goes on."""
    returned: Any = field(default=None, repr=False)
    """What the function returned, for listeners in this process."""
    masked: bool = False
    """Whether it said or returned a secret: that stands in `exception` or `returned` still, and in no text."""


@dataclass(slots=True, eq=False)
class Transition:
    """What becomes of the job: its next state and the columns that go with it."""

    state: JobState
    attempt: int
    outcome: Outcome | None = None
    run_at: datetime | None = None
    """When it runs again; None leaves `run_at` as it is."""
    error: str | None = None
    released: bool = False
    """Whether the claim is given back as if it had never been."""


def decide(attempt: int, result: Result, policy: RetryPolicy, now: datetime, random: Callable[[], float]) -> Transition:
    """Return what becomes of a job whose attempt ended with `result`.

    `attempt` counts the attempts that ended in error before this one. Only an error or a timeout
    spends an attempt.
    """
    if result.refusal is not None:
        return _refused(attempt, result)
    if result.outcome is Outcome.SUCCESS:
        return Transition(JobState.SUCCEEDED, attempt, Outcome.SUCCESS)
    if result.outcome is Outcome.CANCELLED:
        return Transition(JobState.CANCELLED, attempt, Outcome.CANCELLED, error=result.error)
    if isinstance(result.wish, Snooze):
        return Transition(JobState.SCHEDULED, attempt, run_at=now + timedelta(seconds=result.wish.seconds))
    delay = _delay(attempt + 1, result, policy, random)
    if delay is None:
        return Transition(JobState.FAILED, attempt + 1, result.outcome, error=result.error)
    return Transition(JobState.SCHEDULED, attempt + 1, result.outcome, now + delay, error=result.error)


def _delay(attempt: int, result: Result, policy: RetryPolicy, random: Callable[[], float]) -> timedelta | None:
    """Return how long to wait after an error, or None to stop. A task's own wish goes before the policy."""
    if isinstance(result.wish, GiveUp) or attempt >= policy.attempts:
        return None
    if isinstance(result.wish, Retry):
        wished = result.wish.seconds
        return policy.wait(attempt, random=random) if wished is None else timedelta(seconds=wished)
    return policy.delay(attempt, result.kinds, random=random)


def _refused(attempt: int, result: Result) -> Transition:
    if result.refusal is Refusal.MALFORMED:
        return Transition(JobState.QUARANTINED, attempt, error=result.error)
    return Transition(JobState.SCHEDULED, attempt, error=result.error, released=True)


def decide_rescue(
    crashes: int, *, at_most_once: bool, cancel_requested: bool, max_crashes: int, who: str = "worker"
) -> Transition:
    """Return what becomes of a job whose worker died, or `who` else ran it; `crashes` counts this death.

    A crash is not a failure: it spends no attempt.
    """
    if cancel_requested:
        return Transition(JobState.CANCELLED, 0, Outcome.CANCELLED, error=f"cancelled; its {who} died meanwhile")
    if at_most_once:
        return Transition(
            JobState.FAILED, 0, Outcome.ABANDONED, error=f"its {who} died, and its task runs at most once"
        )
    if crashes >= max_crashes:
        return Transition(JobState.FAILED, 0, Outcome.ABANDONED, error=f"its {who} died {crashes} times while it ran")
    return Transition(JobState.SCHEDULED, 0, Outcome.ABANDONED)


def decide_stop(*, cancel_requested: bool) -> Transition:
    """Return what becomes of a started at-most-once job whose worker must stop: it may not start a second time."""
    if cancel_requested:
        return Transition(JobState.CANCELLED, 0, Outcome.CANCELLED, error="cancelled; its worker stopped meanwhile")
    error = "its worker stopped before it had ended, and its task runs at most once"
    return Transition(JobState.FAILED, 0, Outcome.ABANDONED, error=error)


def why_missed(run_at: datetime, max_lateness: float | None, now: datetime) -> str | None:
    """Return why a due job may not start any more, or None where it may: at most `max_lateness` seconds late."""
    if max_lateness is None:
        return None
    late = (now - run_at).total_seconds()
    return (
        f"not started: {late:.3f} s late, and its max_lateness is {max_lateness:g} s" if late > max_lateness else None
    )


def how_overran(seconds: float, timeout: float) -> str:
    """Return what is said of an attempt that ended by itself after its timeout, where nothing could stop it."""
    return f"ran {seconds:.3g} s, longer than its timeout of {timeout:g} s"


def is_unserved_for_good(due_since: datetime, now: datetime, patience: timedelta, *, served: bool) -> bool:
    """Whether a job that is unknown here has waited long enough, with no live worker to serve it."""
    return not served and now - due_since >= patience
