"""Calendar intervals: APScheduler's dates, and this package's rule where clocks change."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from apscheduler.triggers.calendarinterval import CalendarIntervalTrigger

from scheduler_app.schedules import all_due, first_fire_time, latest_due, preview
from scheduler_app.schedules.wall_clock import TICK

BERLIN = ZoneInfo("Europe/Berlin")


def calendar(zone: Any = UTC, **facts: Any) -> CalendarIntervalTrigger:
    return CalendarIntervalTrigger(**({"start_date": date(2024, 1, 31), "hour": 9} | facts), timezone=zone)


def walk(trigger: CalendarIntervalTrigger, start: datetime, count: int) -> list[datetime]:
    fires: list[datetime] = []
    at = first_fire_time(trigger, start)
    while at is not None and len(fires) < count:
        fires.append(at)
        at = first_fire_time(trigger, at + TICK)
    return fires


@pytest.mark.parametrize(
    "facts",
    [
        {"days": 1},
        {"days": 3},
        {"weeks": 2},
        {"months": 1},
        {"months": 7},
        {"years": 1, "start_date": date(2024, 2, 29)},
        {"months": 1, "days": 2},
        {"years": 1, "months": 1, "weeks": 1, "days": 1, "start_date": date(2024, 3, 15)},
    ],
    ids=str,
)
def test_its_dates_are_those_that_apscheduler_counts_from_its_start(facts: dict[str, Any]) -> None:
    trigger = calendar(**facts)
    expected: list[datetime] = []
    previous = None
    for _ in range(40):
        previous = trigger.get_next_fire_time(previous, datetime(2024, 1, 1, tzinfo=UTC))
        assert previous is not None
        expected.append(previous)
    assert walk(trigger, datetime(2024, 1, 1, tzinfo=UTC), 40) == expected
    for one, following in pairwise(expected):
        fire = latest_due(trigger, expected[0], one + (following - one) / 2)
        assert (fire.fire_time, fire.following) == (one, following)


def test_it_ends_after_its_last_date() -> None:
    trigger = calendar(days=1, end_date=date(2024, 2, 2), jitter=60)
    start = datetime(2024, 1, 1, tzinfo=UTC)
    fires = all_due(trigger, datetime(2024, 1, 31, 9, tzinfo=UTC), start + timedelta(days=400))
    assert [f"{fire.fire_time:%m-%d %H:%M}" for fire in fires] == ["01-31 09:00", "02-01 09:00", "02-02 09:00"]
    assert fires[-1].following is None


def test_a_day_that_never_comes_again_ends_it() -> None:
    assert first_fire_time(calendar(years=9000), datetime(2025, 1, 1, tzinfo=UTC)) is None
    late = datetime(9999, 12, 31, 12, tzinfo=UTC)
    assert first_fire_time(calendar(days=1), late) is None


@pytest.mark.parametrize(
    ("day", "expected"),
    [
        (date(2026, 3, 28), [
            ("2026-03-28T02:30:00+01:00", None, None),
            ("2026-03-29T03:00:00+02:00", "gap", "02:30 does not come: clocks go forward to 03:00"),
            ("2026-03-30T02:30:00+02:00", None, None),
        ]),
        (date(2026, 10, 24), [
            ("2026-10-24T02:30:00+02:00", None, None),
            ("2026-10-25T02:30:00+02:00", "fold", "02:30 comes twice, because clocks go back; it fires the first time"
             " only"),
            ("2026-10-26T02:30:00+01:00", None, None),
        ]),
    ],
)  # fmt: skip
def test_where_clocks_change_each_date_fires_once(
    day: date, expected: list[tuple[str, str | None, str | None]]
) -> None:
    trigger = calendar(BERLIN, days=1, hour=2, minute=30, start_date=day)
    start = datetime.combine(day, datetime.min.time(), tzinfo=BERLIN)
    planned = preview(trigger, None, start, 3)
    assert [(one.fire_time.isoformat(), one.change, one.note) for one in planned] == expected
