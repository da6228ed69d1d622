"""The next fire times, with gaps and folds marked."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo

import pytest
from apscheduler.triggers.base import BaseTrigger
from apscheduler.triggers.combining import AndTrigger, OrTrigger
from apscheduler.triggers.cron import CronTrigger
from apscheduler.triggers.date import DateTrigger
from apscheduler.triggers.interval import IntervalTrigger

from scheduler_app.errors import TriggerError
from scheduler_app.schedules import cron_trigger, first_fire_time, preview
from tests.unit.clock_changes import changes

BERLIN = ZoneInfo("Europe/Berlin")
TWICE = "02:30 comes twice, because clocks go back"


def shown(trigger: BaseTrigger, start: str, count: int, next_run_time: datetime | None = None) -> list[str]:
    zone: tzinfo = getattr(trigger, "timezone", UTC)
    now = datetime.fromisoformat(start).replace(tzinfo=zone)
    planned = preview(trigger, next_run_time, now, count)
    return [f"{one.fire_time:%m-%d %H:%M%z} {one.change or ''} {one.note or ''}".strip() for one in planned]


@pytest.mark.parametrize(
    ("line", "start", "expected"),
    [
        ("30 2 * * *", "2026-03-28", [
            "03-28 02:30+0100",
            "03-29 03:00+0200 gap 02:30 does not come: clocks go forward to 03:00",
            "03-30 02:30+0200",
        ]),
        ("0 2,3 * * *", "2026-03-29", [
            "03-29 03:00+0200 gap 02:00 does not come: clocks go forward to 03:00",
            "03-30 02:00+0200",
            "03-30 03:00+0200",
        ]),
        ("30 2 * * *", "2026-10-24", [
            "10-24 02:30+0200",
            f"10-25 02:30+0200 fold {TWICE}; it fires the first time only",
            "10-26 02:30+0100",
        ]),
        ("30 * * * *", "2026-10-25 01:00", [
            "10-25 01:30+0200",
            f"10-25 02:30+0200 fold {TWICE}; this is the first time, and it fires both times",
            f"10-25 02:30+0100 fold {TWICE}; this is the second time, and it fires both times",
            "10-25 03:30+0100",
        ]),
        ("30 * * * *", "2026-03-29 01:00", ["03-29 01:30+0100", "03-29 03:30+0200"]),
    ],
)  # fmt: skip
def test_what_a_change_of_clocks_does_is_marked(line: str, start: str, expected: list[str]) -> None:
    assert shown(cron_trigger(line, BERLIN), start, len(expected)) == expected


def test_intervals_go_by_the_time_that_passes_and_have_nothing_to_mark() -> None:
    start = datetime(2026, 10, 24, 12, tzinfo=BERLIN)
    daily = IntervalTrigger(days=1, start_date=start, timezone=BERLIN)
    assert shown(daily, "2026-10-24", 2) == ["10-24 12:00+0200", "10-25 11:00+0100"]


def test_the_stored_next_time_comes_first_even_if_a_person_chose_it_or_it_has_passed() -> None:
    hourly = CronTrigger(minute=0, timezone=UTC)
    chosen = datetime(2026, 6, 1, 10, 17, tzinfo=UTC)
    assert shown(hourly, "2026-06-01 10:05", 2, chosen) == ["06-01 10:17+0000", "06-01 11:00+0000"]
    assert shown(hourly, "2026-06-01 15:05", 2, chosen) == ["06-01 10:17+0000", "06-01 16:00+0000"]


def test_an_end_ends_it_and_jitter_is_left_out() -> None:
    end = datetime(2026, 6, 1, 2, tzinfo=UTC)
    hourly = CronTrigger(minute=0, timezone=UTC, end_date=end, jitter=600)
    assert shown(hourly, "2026-06-01", 9) == ["06-01 00:00+0000", "06-01 01:00+0000", "06-01 02:00+0000"]
    assert shown(DateTrigger(end), "2026-06-01", 9) == ["06-01 02:00+0000"]


class Own(CronTrigger):
    """A person's own trigger."""


def test_a_trigger_that_is_not_ours_to_fire_is_refused() -> None:
    for trigger in (Own(hour=4, timezone=UTC), OrTrigger([Own(hour=4, timezone=UTC)])):
        with pytest.raises(TriggerError):
            preview(trigger, None, datetime(2026, 6, 1, tzinfo=UTC), 1)


def in_berlin(line: str) -> CronTrigger:
    return cron_trigger(line, BERLIN)


@pytest.mark.parametrize(
    ("trigger", "start", "expected"),
    [
        (OrTrigger([in_berlin("30 2 * * *"), in_berlin("0 3 * * *"), in_berlin("5 3 * * *")]), "2026-03-29 01:00", [
            "03-29 03:00+0200 gap 02:30 does not come: clocks go forward to 03:00",
            "03-29 03:05+0200",
            "03-30 02:30+0200",
        ]),
        (AndTrigger([in_berlin("30 2 * * *"), in_berlin("* * * * sun")]), "2026-03-23", [
            "03-29 03:00+0200 gap 02:30 does not come: clocks go forward to 03:00",
            "04-05 02:30+0200",
        ]),
        (OrTrigger([AndTrigger([in_berlin("30 2 * * *"), in_berlin("* * * * mon")]), in_berlin("0 3 * * *")]),
         "2026-03-29 01:00", ["03-29 03:00+0200", "03-30 02:30+0200"]),
        (OrTrigger([in_berlin("30 2 * * *"), in_berlin("30 * * * *")]), "2026-10-25 02:00", [
            f"10-25 02:30+0200 fold {TWICE}; this is the first time, and it fires both times",
            f"10-25 02:30+0100 fold {TWICE}; this is the second time, and it fires both times",
            "10-25 03:30+0100",
        ]),
        (AndTrigger([in_berlin("*/10 * * * *"), in_berlin("30 2 * * *")]), "2026-10-25", [
            f"10-25 02:30+0200 fold {TWICE}; it fires the first time only",
            "10-26 02:30+0100",
        ]),
        (OrTrigger([IntervalTrigger(hours=24, start_date=datetime(2026, 10, 24, 0, 30, tzinfo=UTC), timezone=BERLIN),
                    in_berlin("0 4 * * *")]), "2026-10-25", ["10-25 02:30+0200", "10-25 04:00+0100"]),
        (OrTrigger([DateTrigger(datetime(2026, 3, 29, 9, tzinfo=BERLIN)), cron_trigger("0 8 * * *", UTC)], jitter=600),
         "2026-03-29", ["03-29 09:00+0200", "03-29 10:00+0200"]),
    ],
    ids=str,
)  # fmt: skip
def test_of_several_triggers_those_that_make_it_fire_mark_what_a_change_of_clocks_does(
    trigger: BaseTrigger, start: str, expected: list[str]
) -> None:
    """In the time zone of the first."""
    now = datetime.fromisoformat(start).replace(tzinfo=BERLIN)
    planned = preview(trigger, None, now, len(expected))
    assert [f"{one.fire_time:%m-%d %H:%M%z} {one.change or ''} {one.note or ''}".strip() for one in planned] == expected


@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Africa/Casablanca"])
def test_each_change_of_ten_years_marks_the_quarter_hour_before_it_and_no_other_day(zone: str) -> None:
    """At a quarter past the hour or half hour in which the clocks change, whichever way they go."""
    for change in changes(ZoneInfo(zone), 2021, 2030):
        before = change.astimezone(ZoneInfo(zone))
        at = next(change + timedelta(minutes=m) for m in range(1, 61) if _offset(change, m, zone) != before.utcoffset())
        forward = at.astimezone(ZoneInfo(zone)).utcoffset() > before.utcoffset()  # type: ignore[operator]
        last = (at - timedelta(minutes=15)).astimezone(ZoneInfo(zone))  # shown twice if clocks go back
        wall = last + timedelta(minutes=30) if forward else last
        trigger = cron_trigger(f"{wall.minute} {wall.hour} * * *", ZoneInfo(zone))
        start = at - timedelta(days=2)
        marks = [one.change for one in preview(trigger, first_fire_time(trigger, start), start, 5)]
        assert marks.count("gap" if forward else "fold") == 1, (zone, change, marks)
        assert marks.count(None) == 4


def _offset(change: datetime, minutes: int, zone: str) -> timedelta | None:
    return (change + timedelta(minutes=minutes)).astimezone(ZoneInfo(zone)).utcoffset()
