"""Cron where clocks change, in five zones over ten years, against a watcher of the wall clock."""

from __future__ import annotations

from datetime import datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from apscheduler.triggers.cron import CronTrigger

from scheduler_app.schedules import cron_trigger, decode_trigger, encode_trigger, first_fire_time
from scheduler_app.schedules.fire_times import latest_due
from scheduler_app.schedules.wall_clock import TICK, WallClock
from tests.unit.clock_changes import Matches, changes, fires_of_every_hour, fires_of_hours, watched

ZONES = ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Africa/Casablanca", "America/St_Johns"]
YEARS = (2021, 2030)
AROUND = timedelta(hours=13)

OF_HOURS: list[tuple[str, Matches]] = [
    ("30 2 * * *", lambda t: (t.hour, t.minute) == (2, 30)),
    ("0 2 * * *", lambda t: (t.hour, t.minute) == (2, 0)),
    ("30 1 * * *", lambda t: (t.hour, t.minute) == (1, 30)),
    ("15 0 * * *", lambda t: (t.hour, t.minute) == (0, 15)),
    ("*/20 0-3 * * *", lambda t: t.hour <= 3 and t.minute % 20 == 0),
    ("*/10 2,3 * * 0", lambda t: t.hour in (2, 3) and t.minute % 10 == 0 and t.weekday() == 6),
    ("45 1,2 * * 7", lambda t: t.hour in (1, 2) and t.minute == 45 and t.weekday() == 6),
    ("30 2 1-7 3,10,11 *", lambda t: (t.hour, t.minute) == (2, 30) and t.day <= 7 and t.month in (3, 10, 11)),
]
OF_EVERY_HOUR: list[tuple[str, Matches]] = [
    ("*/20 * * * *", lambda t: t.minute % 20 == 0),
    ("0 * * * *", lambda t: t.minute == 0),
    ("15,50 * * * *", lambda t: t.minute in (15, 50)),
    ("30 * * * 0", lambda t: t.minute == 30 and t.weekday() == 6),
]


def asked(trigger: CronTrigger, start: datetime, until: datetime) -> list[datetime]:
    fires: list[datetime] = []
    at = first_fire_time(trigger, start)
    while at is not None and at <= until:
        fires.append(at)
        at = first_fire_time(trigger, at + TICK)
    return fires


@pytest.mark.parametrize("zone", ZONES)
def test_each_zone_has_its_changes_in_the_ten_years(zone: str) -> None:
    found = changes(ZoneInfo(zone), *YEARS)
    assert 20 <= len(found) <= 21
    assert changes(ZoneInfo("UTC"), *YEARS) == ()


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize(("line", "matches"), OF_HOURS)
def test_hours_that_are_named_come_once_a_day_at_the_end_of_a_gap_and_first_in_a_fold(
    zone: str, line: str, matches: Matches
) -> None:
    trigger = cron_trigger(line, ZoneInfo(zone))
    for change in changes(ZoneInfo(zone), *YEARS):
        start, until = change - AROUND, change + AROUND
        expected = list(fires_of_hours(watched(ZoneInfo(zone), start, until), matches))
        assert asked(trigger, start, until) == expected, f"{zone} {change}"
        _catching_up_agrees(trigger, expected, until)


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize(("line", "matches"), OF_EVERY_HOUR)
def test_minutes_of_every_hour_come_whenever_the_clock_shows_them(zone: str, line: str, matches: Matches) -> None:
    trigger = cron_trigger(line, ZoneInfo(zone))
    for change in changes(ZoneInfo(zone), *YEARS):
        start, until = change - AROUND, change + AROUND
        expected = list(fires_of_every_hour(watched(ZoneInfo(zone), start, until), matches))
        assert asked(trigger, start, until) == expected, f"{zone} {change}"
        _catching_up_agrees(trigger, expected, until)


def _catching_up_agrees(trigger: CronTrigger, expected: list[datetime], until: datetime) -> None:
    """After any downtime the latest one is found, and what follows it; and each is found when it is asked for."""
    for one in expected[:: max(1, len(expected) // 6)]:
        assert first_fire_time(trigger, one) == one
    for one, following in list(pairwise(expected))[:: max(1, len(expected) // 6)]:
        middle = one + (following - one) / 2
        fire = latest_due(trigger, expected[0], middle)
        assert (fire.fire_time, fire.following) == (one, following)


@pytest.mark.parametrize(
    ("zone", "line", "day", "expected"),
    [
        # a gap: 02:00 to 03:00 does not come
        ("Europe/Berlin", "30 2 * * *", "2026-03-29", ["03:00+02:00"]),
        ("Europe/Berlin", "0,20,40 2 * * *", "2026-03-29", ["03:00+02:00"]),
        ("Europe/Berlin", "0 2,3 * * *", "2026-03-29", ["03:00+02:00"]),
        ("Europe/Berlin", "0 * * * 0", "2026-03-29", [f"{h:02}:00+0{1 + (h > 2)}:00" for h in range(24) if h != 2]),
        ("America/New_York", "30 2 * * *", "2026-03-08", ["03:00-04:00"]),
        # a fold: 02:00 to 03:00 comes twice
        ("Europe/Berlin", "30 2 * * *", "2026-10-25", ["02:30+02:00"]),
        ("America/New_York", "30 1 * * *", "2026-11-01", ["01:30-04:00"]),
        ("Europe/Berlin", "0,30 * 25 10 *", "2026-10-25", [
            *(f"{h:02}:{m:02}+02:00" for h in range(3) for m in (0, 30)),
            *(f"{h:02}:{m:02}+01:00" for h in range(2, 24) for m in (0, 30)),
        ]),
        # half an hour
        ("Australia/Lord_Howe", "15 2 * * *", "2026-10-04", ["02:30+11:00"]),
        ("Australia/Lord_Howe", "45 1 * * *", "2026-04-05", ["01:45+11:00"]),
        # no midnight, two midnights, no day at all
        ("America/Sao_Paulo", "0 0 * * *", "2018-11-04", ["01:00-02:00"]),
        ("America/Sao_Paulo", "30 23 * * *", "2018-02-17", ["23:30-02:00"]),
        ("Pacific/Apia", "0 12 30 12 *", "2011-12-31", ["00:00+14:00"]),
    ],
)  # fmt: skip
def test_a_day_of_a_change_in_its_own_words(zone: str, line: str, day: str, expected: list[str]) -> None:
    start = datetime.fromisoformat(day).replace(tzinfo=ZoneInfo(zone))
    until = (start + timedelta(hours=26)).replace(hour=0, minute=0)
    if until.date() == start.date():
        until += timedelta(days=1)
    found = asked(cron_trigger(line, ZoneInfo(zone)), start, until - TICK)
    local = [at.astimezone(ZoneInfo(zone)) for at in found]
    assert [f"{at:%H:%M}{at.isoformat()[-6:]}" for at in local if at.date() == start.date()] == expected


def test_a_fire_time_in_the_second_occurrence_has_parts_of_a_second_left_behind() -> None:
    zone = ZoneInfo("Europe/Berlin")
    clock = WallClock(CronTrigger(hour=2, minute="*", second="*", timezone=zone))
    second = datetime(2026, 10, 25, 2, 10, 0, 5, tzinfo=zone, fold=1)
    found = clock.at_or_after(second)
    assert found is not None
    assert found.astimezone(zone).isoformat() == "2026-10-26T02:00:00+01:00"


@pytest.mark.parametrize(
    ("fields", "fires"),
    [
        ({"hour": 2, "minute": 30}, ["2026-10-25T02:30:00+02:00", "2026-10-26T02:30:00+01:00"]),
        ({"day_of_week": "sun", "hour": "*/2", "minute": 30}, [
            *(f"2026-10-25T{hour:02}:30:00+0{1 + (hour < 3)}:00" for hour in range(0, 24, 2)),
        ]),
        ({"hour": "0-23", "minute": 30}, [
            "2026-10-25T00:30:00+02:00", "2026-10-25T01:30:00+02:00", "2026-10-25T02:30:00+02:00",
            "2026-10-25T02:30:00+01:00", "2026-10-25T03:30:00+01:00",
        ]),
        ({"minute": 30, "day": 25}, [
            "2026-10-25T00:30:00+02:00", "2026-10-25T01:30:00+02:00", "2026-10-25T02:30:00+02:00",
            "2026-10-25T02:30:00+01:00",
        ]),
    ],
    ids=str,
)  # fmt: skip
def test_apschedulers_own_cron_triggers_fire_by_the_same_rule(fields: dict[str, object], fires: list[str]) -> None:
    zone = ZoneInfo("Europe/Berlin")
    start = datetime(2026, 10, 25, tzinfo=zone)
    stored = decode_trigger(encode_trigger(CronTrigger(**fields, timezone=zone)))
    assert isinstance(stored, CronTrigger)
    found = asked(stored, start, start + timedelta(days=3))
    assert [at.astimezone(zone).isoformat() for at in found][: len(fires)] == fires
