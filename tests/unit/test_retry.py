"""RetryPolicy: how long a job waits after an error, and when it stops."""

from __future__ import annotations

import math
from datetime import timedelta
from typing import Any

import pytest

from scheduler_app.errors import RetryPolicyError
from scheduler_app.retry import RetryPolicy


def least() -> float:
    return 0.0


def middle() -> float:
    return 0.5


def most() -> float:
    return 1.0


def waits(policy: RetryPolicy) -> list[float | None]:
    """Return the seconds after each of the first five errors, without jitter."""
    found = [policy.delay(attempt, random=middle) for attempt in range(1, 6)]
    return [delay and delay.total_seconds() for delay in found]


def test_by_default_a_job_runs_once() -> None:
    assert RetryPolicy().delay(1, random=middle) is None


@pytest.mark.parametrize(
    ("policy", "seconds"),
    [
        (RetryPolicy(attempts=2), [5, None, None, None, None]),
        (RetryPolicy(attempts=5), [5, 10, 20, 40, None]),
        (RetryPolicy(attempts=9, backoff=1, factor=3), [1, 3, 9, 27, 81]),
        (RetryPolicy(attempts=9, backoff=60, factor=1), [60, 60, 60, 60, 60]),
        (RetryPolicy(attempts=9, max_delay=12), [5, 10, 12, 12, 12]),
        (RetryPolicy(attempts=9, backoff=90, max_delay=12), [12, 12, 12, 12, 12]),
        (RetryPolicy(attempts=3, backoff=0.25, factor=1.5), [0.25, 0.375, None, None, None]),
    ],
)
def test_the_wait_grows_to_its_longest_until_the_runs_are_used_up(
    policy: RetryPolicy, seconds: list[float | None]
) -> None:
    assert waits(policy) == seconds


def test_attempts_counts_runs_in_all_the_first_included() -> None:
    policy = RetryPolicy(attempts=5)
    runs = 1
    while policy.delay(runs, random=middle) is not None:
        runs += 1
    assert runs == 5


@pytest.mark.parametrize(
    ("jitter", "random", "seconds"),
    [(0.2, least, 4), (0.2, middle, 5), (0.2, most, 6), (0, least, 5), (0, most, 5), (1, least, 0), (1, most, 10)],
)
def test_jitter_varies_the_wait_up_and_down(jitter: float, random: Any, seconds: float) -> None:
    assert RetryPolicy(attempts=2, jitter=jitter).delay(1, random=random) == timedelta(seconds=seconds)


def test_jitter_varies_the_longest_wait_too_so_that_jobs_do_not_return_together() -> None:
    policy = RetryPolicy(attempts=99, max_delay=100)
    assert policy.delay(50, random=least) == timedelta(seconds=80)
    assert policy.delay(50, random=most) == timedelta(seconds=120)


def test_a_zero_wait_stays_zero() -> None:
    policy = RetryPolicy(attempts=20_000, backoff=0)
    assert policy.delay(10_000, random=most) == timedelta(0)
    assert policy.delay(1, random=most) == timedelta(0)


@pytest.mark.parametrize("attempt", [1_000, 10_000, 10**9])
def test_a_very_late_attempt_waits_the_longest_and_does_not_overflow(attempt: int) -> None:
    assert RetryPolicy(attempts=10**10).delay(attempt, random=middle) == timedelta(hours=1)
    assert RetryPolicy(attempts=10**10, factor=1).delay(attempt, random=middle) == timedelta(seconds=5)


def test_the_kind_of_error_makes_no_difference() -> None:
    policy = RetryPolicy(attempts=2)
    assert policy.delay(1, ValueError("x"), random=middle) == policy.delay(1, random=middle)


@pytest.mark.parametrize("attempt", [0, -1])
def test_attempts_are_counted_from_one(attempt: int) -> None:
    with pytest.raises(ValueError) as refused:
        RetryPolicy(attempts=2).delay(attempt, random=middle)
    assert str(refused.value) == f"delay() counts attempts from 1, but was given {attempt}."


ATTEMPTS = "attempts must be a whole number of 1 or more: runs in all"
TEN_YEARS = "must be seconds from 0 to ten years"
FACTOR = "factor must be a finite number of 1 or more"
JITTER = "jitter must be a number from 0 to 1"


@pytest.mark.parametrize(
    ("name", "value", "wanted"),
    [
        ("attempts", 0, ATTEMPTS),
        ("attempts", -1, ATTEMPTS),
        ("attempts", 2.0, ATTEMPTS),
        ("attempts", True, ATTEMPTS),
        ("attempts", "5", ATTEMPTS),
        ("attempts", None, ATTEMPTS),
        ("backoff", -0.1, f"backoff {TEN_YEARS}"),
        ("backoff", math.nan, f"backoff {TEN_YEARS}"),
        ("backoff", math.inf, f"backoff {TEN_YEARS}"),
        ("backoff", timedelta(seconds=5), f"backoff {TEN_YEARS}"),
        ("factor", 0.5, FACTOR),
        ("factor", math.inf, FACTOR),
        ("factor", True, FACTOR),
        ("max_delay", -1, f"max_delay {TEN_YEARS}"),
        ("max_delay", 1e12, f"max_delay {TEN_YEARS}"),
        ("jitter", -0.1, JITTER),
        ("jitter", 1.1, JITTER),
        ("jitter", "a bit", JITTER),
    ],
)
def test_a_value_that_cannot_be_used_is_refused_when_the_policy_is_made(name: str, value: Any, wanted: str) -> None:
    with pytest.raises(RetryPolicyError) as refused:
        RetryPolicy(**{name: value})
    assert str(refused.value) == f"RetryPolicy({name}={value!r}) cannot be used: {wanted}."
    assert isinstance(refused.value, ValueError)
