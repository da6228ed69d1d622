"""What an attempt's end means for its job, as a table."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from scheduler_app.errors import JobTimeoutError, WishError
from scheduler_app.jobs import JobState, Outcome
from scheduler_app.outcomes import Refusal, Result, Transition, decide, how_overran, why_missed
from scheduler_app.retry import RetryPolicy, kinds_of
from scheduler_app.wishes import GiveUp, Retry, Snooze

NOW = datetime(2030, 1, 1, tzinfo=UTC)
S = JobState


def result(outcome: Outcome | None = None, **facts: Any) -> Result:
    return Result(NOW, NOW, outcome, **facts)


def raised(error: Exception) -> Result:
    wish = error if isinstance(error, Retry | GiveUp) else None
    return result(Outcome.ERROR, error="why", exception=error, kinds=kinds_of(error), wish=wish)


def again(attempt: int, seconds: float) -> Transition:
    return Transition(S.SCHEDULED, attempt, Outcome.ERROR, NOW + timedelta(seconds=seconds), "why")


def over(attempt: int) -> Transition:
    return Transition(S.FAILED, attempt, Outcome.ERROR, error="why")


POLICY = RetryPolicy(attempts=3, backoff=10, retry_on=[OSError])


@pytest.mark.parametrize(
    ("attempt", "ended", "then"),
    [
        (0, result(Outcome.SUCCESS), Transition(S.SUCCEEDED, 0, Outcome.SUCCESS)),
        (2, result(Outcome.SUCCESS), Transition(S.SUCCEEDED, 2, Outcome.SUCCESS)),
        (0, raised(OSError()), again(1, 10)),
        (1, raised(ConnectionError()), again(2, 20)),
        (2, raised(OSError()), over(3)),
        (0, raised(ValueError()), over(1)),
        (0, raised(GiveUp()), over(1)),
        (0, raised(Retry()), again(1, 10)),
        (1, raised(Retry()), again(2, 20)),
        (2, raised(Retry()), over(3)),
        (0, raised(Retry(after=60)), again(1, 60)),
        (1, raised(Retry(after=timedelta(minutes=5))), again(2, 300)),
        (2, raised(Retry(after=60)), over(3)),
        (0, result(wish=Snooze(60)), Transition(S.SCHEDULED, 0, run_at=NOW + timedelta(seconds=60))),
        (2, result(wish=Snooze(0)), Transition(S.SCHEDULED, 2, run_at=NOW)),
        (1, result(Outcome.CANCELLED, error="stop"), Transition(S.CANCELLED, 1, Outcome.CANCELLED, error="stop")),
        (1, result(refusal=Refusal.MALFORMED, error="bad"), Transition(S.QUARANTINED, 1, error="bad")),
        (1, result(refusal=Refusal.UNSERVED, error="?"), Transition(S.SCHEDULED, 1, error="?", released=True)),
        (1, result(refusal=Refusal.NOT_STARTED), Transition(S.SCHEDULED, 1, released=True)),
    ],
    ids=range(19),
)
def test_an_end_is_decided(attempt: int, ended: Result, then: Transition) -> None:
    found = decide(attempt, ended, POLICY, NOW, lambda: 0.5)
    names = ("state", "attempt", "outcome", "run_at", "error", "released")
    assert [getattr(found, name) for name in names] == [getattr(then, name) for name in names]


@pytest.mark.parametrize(
    "delay", [-1, float("nan"), float("inf"), 1e12, "5", None, True, timedelta(seconds=-1)], ids=str
)
def test_a_wish_for_an_impossible_time_is_refused(delay: Any) -> None:
    with pytest.raises(WishError, match=r"Snooze\(seconds\) takes seconds from 0 to ten years, or a timedelta, not"):
        Snooze(delay)
    if delay is not None:
        with pytest.raises(WishError, match=r"Retry\(after=\.\.\.\) takes seconds"):
            Retry(after=delay)


@pytest.mark.parametrize(
    ("max_lateness", "late", "why"),
    [
        (None, 10_000_000.0, None),
        (300.0, -1.0, None),
        (300.0, 0.0, None),
        (300.0, 300.0, None),
        (300.0, 300.000001, "not started: 300.000 s late, and its max_lateness is 300 s"),
        (0.5, 86_400.0, "not started: 86400.000 s late, and its max_lateness is 0.5 s"),
    ],
)
def test_a_due_job_is_missed_when_it_is_later_than_it_allows(
    max_lateness: float | None, late: float, why: str | None
) -> None:
    assert why_missed(NOW, max_lateness, NOW + timedelta(seconds=late)) == why


def test_a_timeout_is_retried_as_its_policy_says() -> None:
    policy = RetryPolicy(attempts=2, backoff=10, jitter=0, retry_on=[TimeoutError])
    ended = result(Outcome.TIMEOUT, error="why", kinds=kinds_of(JobTimeoutError("why")))
    first, last = (decide(attempt, ended, policy, NOW, lambda: 0.5) for attempt in (0, 1))
    assert (first.state, first.attempt, first.outcome) == (S.SCHEDULED, 1, Outcome.TIMEOUT)
    assert (first.run_at, first.error) == (NOW + timedelta(seconds=10), "why")
    assert (last.state, last.attempt, last.outcome, last.error) == (S.FAILED, 2, Outcome.TIMEOUT, "why")


def test_what_is_said_of_an_attempt_that_nothing_could_stop() -> None:
    assert how_overran(12.3456, 10.0) == "ran 12.3 s, longer than its timeout of 10 s"
