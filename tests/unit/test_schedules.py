"""The Schedule word: what a declaration is, and when it has changed."""

from __future__ import annotations

import math
from dataclasses import FrozenInstanceError
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from apscheduler.triggers.base import BaseTrigger
from apscheduler.triggers.combining import AndTrigger, OrTrigger
from apscheduler.triggers.cron import CronTrigger
from apscheduler.triggers.date import DateTrigger

from scheduler_app.errors import IntervalError, TriggerError
from scheduler_app.schedules import (
    Schedule,
    cron_trigger,
    decode_trigger,
    definition,
    encode_trigger,
    every_trigger,
    first_fire_time,
    latest_due,
)

OSLO = ZoneInfo("Europe/Oslo")
START = datetime(2026, 6, 1, tzinfo=UTC)


def test_a_schedule_is_a_snapshot_that_cannot_be_changed() -> None:
    schedule = Schedule(
        uid="u", name="nightly", title="nightly", task="app:nightly", payload="{}", trigger="{}", signature="v1:k:m",
        queue="default", priority=2, next_run_time=None, generation=0, misfire_grace_time=None, coalesce=True,
        max_instances=1,
    )  # fmt: skip
    assert (schedule.max_attempts, schedule.declared, schedule.tags, schedule.error) == (1, False, (), None)
    with pytest.raises(FrozenInstanceError):
        schedule.generation = 1  # type: ignore[misc]


# -- every -----------------------------------------------------------------------------------------


def test_every_adds_its_parts_and_fires_from_its_start() -> None:
    trigger = every_trigger(weeks=1, days=1, hours=1, minutes=1, seconds=1.5, start=START, timezone=OSLO)
    assert trigger.interval == timedelta(days=8, hours=1, minutes=1, seconds=1.5)
    assert first_fire_time(trigger, START) == START
    assert latest_due(trigger, START, START).following == START + trigger.interval


def test_one_second_is_the_shortest_interval() -> None:
    assert every_trigger(seconds=1, start=START, timezone=UTC).interval == timedelta(seconds=1)


GIVE = " Give weeks, days, hours, minutes or seconds that together are 1 second or more, such as every(minutes=5)."


@pytest.mark.parametrize(
    ("parts", "reason"),
    [
        ({}, "it is 0 seconds."),
        ({"minutes": 0}, "it is 0 seconds."),
        ({"minutes": -5}, "it is -300 seconds."),
        ({"hours": 1, "minutes": -60}, "it is 0 seconds."),
        ({"seconds": 0.5}, "it is 0.5 seconds."),
        ({"seconds": math.nan}, "seconds=nan is not a finite number."),
        ({"days": math.inf}, "days=inf is not a finite number."),
        ({"minutes": "5"}, "minutes='5' is not a finite number."),
        ({"minutes": True}, "minutes=True is not a finite number."),
        ({"weeks": 10**9}, "it is too long."),
    ],
)
def test_an_interval_that_cannot_be_used_is_refused(parts: dict[str, Any], reason: str) -> None:
    with pytest.raises(IntervalError) as refused:
        every_trigger(**parts, start=START, timezone=UTC)
    assert str(refused.value) == f"The interval cannot be used: {reason}{GIVE}"


def test_an_interval_whose_start_has_no_zone_is_refused() -> None:
    with pytest.raises(IntervalError) as refused:
        every_trigger(minutes=5, start=datetime(2026, 6, 1), timezone=UTC)
    assert str(refused.value) == f"The interval cannot be used: its start 2026-06-01T00:00:00 has no time zone.{GIVE}"


@pytest.mark.parametrize(
    "trigger",
    [
        every_trigger(minutes=5, start=START, timezone=OSLO),
        cron_trigger("5 4 * * 0", OSLO),
        cron_trigger("@daily", UTC),
    ],
    ids=str,
)
def test_what_every_and_cron_make_can_be_stored(trigger: BaseTrigger) -> None:
    back = decode_trigger(encode_trigger(trigger))
    assert encode_trigger(back) == encode_trigger(trigger)
    assert first_fire_time(back, START + timedelta(hours=7)) == first_fire_time(trigger, START + timedelta(hours=7))


# -- has it changed? -------------------------------------------------------------------------------


def declared(**changed: Any) -> str:
    facts = {
        "task": "app:nightly",
        "payload": '{"args":[]}',
        "trigger": cron_trigger("0 4 * * *", OSLO),
        "queue": "default",
        "priority": 2,
        "options": {"coalesce": True, "max_instances": 1, "tags": ["a", "b"]},
    }
    return definition(**{**facts, **changed})


def test_the_same_declaration_has_the_same_fingerprint_in_every_process() -> None:
    assert declared() == declared(
        trigger=CronTrigger(hour=4, minute=0, timezone=OSLO),
        options={"tags": ["a", "b"], "max_instances": 1, "coalesce": True},
    )
    assert declared() == "e77a25337821d3cdeec403d1fa5f98fa7c7ff2a63184d35b25a60c9a0f45ab56"


@pytest.mark.parametrize(
    "changed",
    [
        {"task": "app:weekly"},
        {"payload": '{"args":[1]}'},
        {"trigger": cron_trigger("1 4 * * *", OSLO)},
        {"trigger": cron_trigger("0 4 * * *", UTC)},
        {"queue": "mail"},
        {"priority": 1},
        {"options": {"coalesce": False, "max_instances": 1, "tags": ["a", "b"]}},
        {"options": {"coalesce": True, "max_instances": 1, "tags": ["b", "a"]}},
        {"options": {}},
    ],
    ids=str,
)
def test_any_change_of_a_declaration_changes_its_fingerprint(changed: dict[str, Any]) -> None:
    assert declared(**changed) != declared()


def test_the_moment_an_interval_was_declared_is_no_part_of_it_but_its_length_is() -> None:
    one = every_trigger(minutes=5, start=START, timezone=UTC)
    later = every_trigger(minutes=5, start=START + timedelta(hours=1), timezone=UTC)
    longer = every_trigger(minutes=6, start=START, timezone=UTC)
    assert declared(trigger=one) == declared(trigger=later)
    assert declared(trigger=one) != declared(trigger=longer)


def test_the_date_of_a_date_trigger_is_part_of_it() -> None:
    later = DateTrigger(START + timedelta(seconds=1))
    assert declared(trigger=DateTrigger(START)) != declared(trigger=later)


def test_a_trigger_that_cannot_be_stored_has_no_fingerprint() -> None:
    with pytest.raises(TriggerError):
        declared(trigger=OrTrigger([]))


def test_the_order_and_the_lengths_of_what_is_combined_are_part_of_it_and_the_moments_of_declaring_are_not() -> None:
    def either(minutes: float, start: datetime) -> OrTrigger:
        return OrTrigger([every_trigger(minutes=minutes, start=start, timezone=UTC), cron_trigger("@daily", UTC)])

    one = declared(trigger=either(5, START))
    assert one == declared(trigger=either(5, START + timedelta(hours=1)))
    assert one != declared(trigger=either(6, START))
    assert one != declared(trigger=OrTrigger(either(5, START).triggers[::-1]))
    assert one != declared(trigger=AndTrigger(either(5, START).triggers))
