"""What is asserted of what was scheduled, and what a failure shows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from unittest.mock import ANY

import pytest
from flask import Flask

from scheduler_app import schedule_after, schedule_now, using
from scheduler_app.errors import ArgumentsError, AssertionUseError, NotSchedulableError
from scheduler_app.testing import SchedulerClock
from scheduler_app.testing.wording import span
from tests.unit.testing import shop
from tests.unit.testing.shop import Seen, create_app, scheduler

HERE = "tests.unit.testing.shop"


@pytest.fixture
def clock(app: Flask, scheduler_clock: SchedulerClock, seen: Seen) -> Iterator[SchedulerClock]:
    """The clock at noon, in an app context."""
    with scheduler_clock.freeze("2026-03-01 12:00"), app.app_context():
        yield scheduler_clock


def failure(assertion: Callable[[], Any]) -> str:
    with pytest.raises(AssertionError) as raised:
        assertion()
    return str(raised.value).replace(f"{HERE}:", "")


# -- what passes ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "wanted",
    [
        {},
        {"args": ("ada", "Hello")},
        {"args": ["ada"], "kwargs": {"subject": "Hello"}},
        {"kwargs": {"subject": "Hello", "address": "ada"}},
        {"args": (ANY, "Hello")},
        {"within": 30},
        {"within": timedelta(minutes=5)},
        {"delay": 30},
        {"delay": timedelta(seconds=30), "within": 30, "times": 1, "args": ("ada", "Hello")},
    ],
)
def test_a_call_is_recognised_however_its_arguments_were_passed(clock: SchedulerClock, wanted: dict[str, Any]) -> None:
    handle = schedule_after(30, shop.send_mail, "ada", subject="Hello")
    schedule_after(60, shop.remind, 1)
    assert clock.assert_scheduled(shop.send_mail, **wanted).id == handle.id


def test_a_default_is_an_argument_like_any_other(clock: SchedulerClock) -> None:
    schedule_now(shop.send_mail, "ada")
    clock.assert_scheduled(shop.send_mail, args=("ada", "Welcome"))
    clock.assert_not_scheduled(shop.send_mail, args=("ada", "Hello"))


def test_a_task_is_meant_by_its_function_and_by_its_name(clock: SchedulerClock) -> None:
    handle = shop.welcome.using(key="w:1").schedule_after(5, 1)
    assert clock.assert_scheduled(shop.welcome, args=(1,)).job.key == "w:1"
    assert clock.assert_scheduled("mail.greeting", args=(1,)).id == handle.id


def test_of_several_calls_the_one_that_is_due_first_is_returned(clock: SchedulerClock) -> None:
    schedule_after(60, shop.remind, 1)
    first = schedule_after(30, shop.remind, 1)
    assert clock.assert_scheduled(shop.remind, times=2).id == first.id


def test_within_is_counted_from_now_and_delay_from_the_call(clock: SchedulerClock) -> None:
    schedule_after(3600, shop.remind, 1)
    clock.advance(minutes=59)
    clock.assert_scheduled(shop.remind, within=60, delay=3600)


def test_what_was_cancelled_or_has_run_is_not_scheduled(clock: SchedulerClock) -> None:
    schedule_now(shop.send_mail, "ada")
    schedule_after(3, shop.remind, 1).cancel()
    clock.run_due()
    clock.assert_not_scheduled(shop.send_mail)
    clock.assert_not_scheduled(shop.remind)
    clock.assert_nothing_scheduled()


# -- what a failure shows ------------------------------------------------------------------------------


def test_a_failure_shows_what_waits_instead_and_why_it_is_not_what_was_looked_for(clock: SchedulerClock) -> None:
    schedule_after(30, shop.send_mail, "ada", subject="Hello")
    schedule_after(90, shop.send_mail, "ada")
    schedule_after(timedelta(days=1), shop.remind, 1)
    assert failure(lambda: clock.assert_scheduled(shop.send_mail, args=("ada",), within=3)) == (
        "send_mail('ada') was not scheduled within 3 s.\n"
        "It is 2026-03-01 12:00:00 UTC, and this waits:\n"
        "  in 30 s        send_mail('ada', subject='Hello')  (other arguments)\n"
        "  in 1 min 30 s  send_mail('ada')  (later than 3 s)\n"
        "  in 1 d         remind(1)"
    )


def test_a_failure_shows_what_became_of_the_rest(clock: SchedulerClock) -> None:
    schedule_now(shop.send_mail, "ada")
    schedule_now(shop.fail, "no\nbox")
    using(attempts=3).schedule_now(shop.flaky, 3)
    clock.run_due(raise_errors=False)
    clock.assert_scheduled(shop.flaky).reschedule(after=5)
    assert failure(lambda: clock.assert_scheduled(shop.remind)) == (
        "remind(...) was not scheduled.\n"
        "It is 2026-03-01 12:00:00 UTC, and this waits:\n"
        "  in 5 s  flaky(3)  (attempt 2 of 3, after ConnectionError: the mail server is away)\n"
        "This no longer waits:\n"
        "  failed     fail('no\\nbox')  (ValueError: no box)\n"
        "  succeeded  send_mail('ada')"
    )


def test_a_failure_says_that_nothing_was_scheduled(clock: SchedulerClock) -> None:
    assert failure(lambda: clock.assert_scheduled(shop.remind, args=(1,))) == (
        "remind(1) was not scheduled.\nNothing was scheduled."
    )


@pytest.mark.parametrize(
    ("made", "wanted", "headline"),
    [
        (2, {"times": 1}, "remind(...) was scheduled twice, not once."),
        (1, {"times": 3, "args": (1,)}, "remind(1) was scheduled once, not 3 times."),
        (3, {"times": 2, "within": 90}, "remind(...) was scheduled 3 times within 1 min 30 s, not twice."),
        (1, {"delay": 0.5}, "remind(...) was not scheduled after 0.5 s."),
        (1, {"delay": 5, "within": 9}, "remind(...) was not scheduled within 9 s after 5 s."),
    ],
)
def test_the_headline_says_how_often_and_when(
    clock: SchedulerClock, made: int, wanted: dict[str, Any], headline: str
) -> None:
    for _ in range(made):
        schedule_after(60, shop.remind, 1)
    assert failure(lambda: clock.assert_scheduled(shop.remind, **wanted)).splitlines()[0] == headline


def test_a_wrong_delay_is_shown(clock: SchedulerClock) -> None:
    schedule_after(60, shop.remind, 1)
    assert "in 1 min  remind(1)  (after 1 min, not 1 h)" in failure(
        lambda: clock.assert_scheduled(shop.remind, delay=3600)
    )


def test_what_should_not_be_scheduled_is_shown(clock: SchedulerClock) -> None:
    schedule_now(shop.remind, 1)
    schedule_after(60, shop.send_mail, "ada")
    waits = "It is 2026-03-01 12:00:00 UTC, and this waits:\n  due now   remind(1)\n  in 1 min  send_mail('ada')"
    assert failure(lambda: clock.assert_not_scheduled(shop.remind)) == (
        f"remind(...) was scheduled once, and should not be.\n{waits}"
    )
    assert failure(clock.assert_nothing_scheduled) == f"2 jobs were scheduled, and none should be.\n{waits}"


def test_a_misspelled_task_gets_a_hint(clock: SchedulerClock) -> None:
    shop.welcome.schedule_now(1)
    assert failure(lambda: clock.assert_scheduled("mail.greetin")).startswith(
        "mail.greetin(...) was not scheduled. Did you mean 'mail.greeting'?\n"
    )


def test_a_long_list_and_a_long_argument_are_cut(clock: SchedulerClock) -> None:
    for _ in range(25):
        schedule_now(shop.send_mail, "a" * 500)
    lines = failure(lambda: clock.assert_scheduled(shop.remind)).splitlines()
    assert len(lines) == 23
    assert max(map(len, lines)) < 200
    assert lines[-1] == "  ... and 5 more"


def test_a_job_that_was_scheduled_before_the_clock_began_is_hinted_at(tmp_path: Any) -> None:
    app = create_app(SCHEDULER_DATABASE_URL=f"sqlite:///{tmp_path / 'own.sqlite3'}")
    with app.app_context():
        schedule_now(shop.remind, 1)
        with SchedulerClock(app) as clock:
            said = failure(lambda: clock.assert_scheduled(shop.remind))
        scheduler.client.store.close()
    assert said.splitlines()[-1] == (
        f"Before this clock began, remind was scheduled in sqlite:///{tmp_path}/own.sqlite3: have the fixtures that"
        " schedule ask for scheduler_clock first."
    )


def test_an_eager_app_is_hinted_at(seen: Seen) -> None:
    app = create_app(SCHEDULER_EAGER=True)
    with SchedulerClock(app) as clock, app.app_context():
        schedule_now(shop.send_mail, "ada")
        said = failure(lambda: clock.assert_scheduled(shop.send_mail))
    assert said.splitlines()[-1] == "SCHEDULER_EAGER is on, so that nothing waits: each call runs at once."


# -- what cannot be asserted ---------------------------------------------------------------------------


def test_what_nobody_could_schedule_is_no_passing_test(clock: SchedulerClock) -> None:
    with pytest.raises(NotSchedulableError):
        clock.assert_not_scheduled(lambda: None)
    with pytest.raises(ArgumentsError):
        clock.assert_not_scheduled(shop.remind, args=(1, 2))


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        ({"times": 0}, "times=0): how often is a number from 1; assert_not_scheduled() says never."),
        ({"times": True}, "times=True): how often"),
        ({"args": "ada"}, "args='ada'): the arguments are a tuple or list, such as (1,)."),
        ({"kwargs": [1]}, "kwargs=[1]): the arguments by name are a dict."),
        ({"within": "3 s"}, "within='3 s'): a time is a number of seconds, or a timedelta."),
    ],
)
def test_an_assertion_that_means_nothing_is_refused(clock: SchedulerClock, wanted: dict[str, Any], said: str) -> None:
    schedule_now(shop.send_mail, "ada")
    with pytest.raises(AssertionUseError) as raised:
        clock.assert_scheduled(shop.send_mail, **wanted)
    assert said in str(raised.value)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "0 s"),
        (0.25, "0.25 s"),
        (2.96, "3 s"),
        (59.98, "1 min"),
        (90, "1 min 30 s"),
        (86_399.99, "1 d"),
        (90_061.5, "1 d 1 h 1 min 1.5 s"),
        (timedelta(days=400).total_seconds(), "400 d"),
    ],
)
def test_a_span_of_time_in_words(seconds: float, words: str) -> None:
    assert span(seconds) == words


def test_the_time_that_is_shown_is_the_clocks(clock: SchedulerClock) -> None:
    schedule_after(60, shop.remind, 1)
    clock.advance(seconds=30)
    assert "It is 2026-03-01 12:00:30 UTC, and this waits:\n  in 30 s" in failure(
        lambda: clock.assert_scheduled(shop.send_mail)
    )
    assert clock.now == datetime(2026, 3, 1, 12, 0, 30, tzinfo=UTC)
