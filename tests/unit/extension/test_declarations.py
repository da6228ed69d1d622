"""What a declared schedule is refused for where it stands, and what is told of the rest when they are stored."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from apscheduler.triggers.cron import CronTrigger
from apscheduler.triggers.date import DateTrigger
from flask import Flask, g

from scheduler_app import Scheduler, task
from scheduler_app.client import Declaration
from scheduler_app.errors import (
    ArgumentsError,
    DeclarationsError,
    NotSchedulableError,
    OptionError,
    ScheduleNameError,
    SchedulerError,
    TimezoneError,
    TriggerError,
)


def report(day: str = "today") -> None:
    """Needs no argument."""


def greet(name: str) -> None:
    """Needs one."""


@task(name="declared.greet")
def greet_as_task(name: str) -> None:
    """Needs one."""


START = datetime(2026, 3, 1, tzinfo=UTC)
ZONE = "There is no time zone 'Europe/Olso'. Use a name of the IANA database, such as 'Europe/Oslo' or 'UTC'."


@pytest.mark.parametrize(
    ("declare", "error", "sentence"),
    [
        (lambda s: s.cron("0 4 * * *", timezone="Europe/Olso"), TimezoneError, ZONE),
        (lambda s: s.cron("0 4 * * *", timezone=3), TimezoneError, ZONE.replace("'Europe/Olso'", "3")),
        (lambda s: s.cron("0 4 * * *", name=""), ScheduleNameError, "must be a non-empty string"),
        (lambda s: s.every(hours=1, name="x" * 192), ScheduleNameError, "has 192 characters; 191 is the most"),
        (lambda s: s.cron("0 4 * * *")(lambda: None), NotSchedulableError, "it is a lambda"),
        (lambda s: s.every(hours=1)("report"), NotSchedulableError, "it is not a function"),
        (lambda s: s.every(hours=1)(g), NotSchedulableError, "it belongs to one request"),
        (lambda s: s.cron("@daily", key="k"), OptionError, "jobs are unique by the schedule and the fire time already"),
        (lambda s: s.every(hours=1, overlap="wait"), OptionError, "it must be one of 'skip', 'allow', 'queue'"),
        (lambda s: s.every(hours=1, timezone="Europe/Olso"), TimezoneError, ZONE),
        (lambda s: s.on(DateTrigger(START)), TriggerError, "a date comes once"),
        (lambda s: s.on(CronTrigger(hour=1), end=START), OptionError, "the CronTrigger says that itself"),
        (lambda s: s.every(hours=1)(greet), ArgumentsError, "missing a required argument: 'name'"),
        (lambda s: s.every(hours=1)(greet_as_task), ArgumentsError, "The task 'declared.greet' cannot be called"),
    ],
)
def test_what_can_be_checked_is_refused_where_it_is_declared(
    declare: Callable[[Scheduler], Any], error: type[SchedulerError], sentence: str
) -> None:
    scheduler = Scheduler()
    with pytest.raises(error) as raised:
        declare(scheduler)
    assert sentence in str(raised.value)
    assert scheduler._declarations == []


def test_a_function_that_is_sound_is_declared_and_stays_what_it_is() -> None:
    scheduler = Scheduler()
    assert scheduler.cron("0 4 * * *", timezone="Europe/Oslo")(report) is report
    assert len(scheduler._declarations) == 1


def reconcile(sqlite_url: str, *declarations: Declaration) -> None:
    app = Flask("shop")
    app.config.from_mapping(SECRET_KEY="a key", SCHEDULER_DATABASE_URL=sqlite_url, SCHEDULER_ROLE="client")
    app.config["SCHEDULER_QUEUES"] = ["mail"]
    Scheduler(app)
    parts = app.extensions["scheduler"]
    try:
        parts.recurring.reconcile(declarations)
    finally:
        assert [s.name for s in parts.client.schedules()] == [d.name for d in declarations if d.name == "sound"]
        parts.store.close()


SOUND = Declaration(report, every={"hours": 1}, name="sound")
UNSOUND = [
    Declaration(report, every={"hours": 1}, timezone="Europe/Olso", name="a"),
    Declaration(greet, every={"hours": 1}, name="b"),
]


def test_of_several_that_cannot_be_stored_each_is_told_and_the_others_are_stored(sqlite_url: str) -> None:
    with pytest.raises(DeclarationsError) as raised:
        reconcile(sqlite_url, UNSOUND[0], SOUND, UNSOUND[1])
    head, first, second = str(raised.value).splitlines()
    assert head == "2 of the schedules that the code declares cannot be stored:"
    assert first == f"  - {ZONE}"
    assert second.startswith("  - The task ")


def test_one_that_cannot_be_stored_is_told_as_it_is(sqlite_url: str) -> None:
    with pytest.raises(TimezoneError):
        reconcile(sqlite_url, UNSOUND[0], SOUND)


def test_the_same_is_said_at_run_time_and_a_key_is_refused_there_too(sqlite_url: str) -> None:
    app = Flask("shop")
    app.config.from_mapping(SECRET_KEY="a key", SCHEDULER_DATABASE_URL=sqlite_url, SCHEDULER_ROLE="client")
    scheduler = Scheduler(app)
    try:
        verbs: dict[str, Callable[..., str]] = {
            "cron": lambda **given: scheduler.schedule_cron("@daily", report, "today", name="cron", **given),
            "every": lambda **given: scheduler.schedule_every(report, hours=1, name="every", **given),
            "on": lambda **given: scheduler.schedule_on(CronTrigger(hour=1), report, name="on", **given),
        }
        for name, verb in verbs.items():
            with pytest.raises(OptionError, match="unique by the schedule and the fire time"):
                verb(key="k")
            assert verb(overlap="queue", catch_up="none", queue="reports", tags=["t"]) == name
        found = scheduler.client.schedules()
        assert {one.name for one in found} == verbs.keys()
        assert {(one.overlap, one.catch_up, one.queue, one.tags) for one in found} == {
            ("queue", "none", "reports", ("t",))
        }
        [first, second] = scheduler.preview("every", 2)
        assert (second.fire_time - first.fire_time).total_seconds() == 3600
    finally:
        app.extensions["scheduler"].store.close()
