"""RetryPolicy: how long a job waits after an error, and when it stops."""

from __future__ import annotations

import math
from datetime import timedelta
from typing import Any

import pytest

from scheduler_app.errors import RetryPolicyError
from scheduler_app.retry import RetryPolicy, decode_policy, encode_policy, kinds_of


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


# -- which errors ----------------------------------------------------------------------------------------------------


class Refused(ConnectionError):
    """An error of the app's own."""


@pytest.mark.parametrize(
    ("policy", "error", "repeats"),
    [
        (RetryPolicy(attempts=2), ValueError(), True),
        (RetryPolicy(attempts=2, retry_on=[ValueError]), ValueError(), True),
        (RetryPolicy(attempts=2, retry_on=[ValueError]), UnicodeError(), True),
        (RetryPolicy(attempts=2, retry_on=[ValueError]), KeyError(), False),
        (RetryPolicy(attempts=2, retry_on=OSError), Refused(), True),
        (RetryPolicy(attempts=2, retry_on=["builtins:OSError"]), Refused(), True),
        (RetryPolicy(attempts=2, retry_on=f"{__name__}:Refused"), Refused(), True),
        (RetryPolicy(attempts=2, retry_on=["shop.errors:Refused"]), Refused(), False),
        (RetryPolicy(attempts=2, give_up_on=[ValueError]), ValueError(), False),
        (RetryPolicy(attempts=2, give_up_on=[ValueError]), KeyError(), True),
        (RetryPolicy(attempts=2, retry_on=[OSError], give_up_on=[ConnectionError]), Refused(), False),
        (RetryPolicy(attempts=2, retry_on=[OSError], give_up_on=[ConnectionError]), OSError(), True),
        (RetryPolicy(attempts=2), SystemExit(), True),
    ],
    ids=range(13),
)
def test_a_policy_may_say_after_which_errors(policy: RetryPolicy, error: BaseException, repeats: bool) -> None:
    assert (policy.delay(1, kinds_of(error), random=middle) is not None) is repeats


def test_an_error_is_of_the_kinds_that_it_is_derived_from() -> None:
    assert kinds_of(Refused()) == (
        f"{__name__}:Refused", "builtins:ConnectionError", "builtins:OSError", "builtins:Exception",
        "builtins:BaseException",
    )  # fmt: skip


@pytest.mark.parametrize("given", [[int], [5], ["ValueError"], ["a b:c"], ["x:"], 5, [None]], ids=str)
def test_what_is_no_exception_is_refused(given: Any) -> None:
    for name in ("retry_on", "give_up_on"):
        with pytest.raises(RetryPolicyError) as caught:
            RetryPolicy(**{name: given})
        assert f"RetryPolicy({name}=" in str(caught.value)
        assert "must be exception classes, or names such as 'requests.exceptions:Timeout'." in str(caught.value)


# -- as it is stored -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "policy",
    [
        RetryPolicy(attempts=3),
        RetryPolicy(attempts=3, backoff=1, factor=1.5, max_delay=7, jitter=0),
        RetryPolicy(attempts=3, retry_on=[OSError, "shop.errors:Refused"], give_up_on=[ConnectionError]),
    ],
    ids=range(3),
)
def test_a_policy_is_read_back_as_it_was(policy: RetryPolicy) -> None:
    assert decode_policy(encode_policy(policy), 3) == policy


def test_a_policy_that_is_as_by_default_takes_no_room() -> None:
    assert encode_policy(RetryPolicy(attempts=9)) is None
    assert encode_policy(RetryPolicy(backoff=1)) == '{"backoff":1}'


@pytest.mark.parametrize("text", ["", "[]", "{", '{"backoff":-1}', '{"attempts":7}', '{"x":1}', '{"retry_on":[5]}'])
def test_a_damaged_policy_is_told(text: str) -> None:
    with pytest.raises(RetryPolicyError):
        decode_policy(text, 1)
