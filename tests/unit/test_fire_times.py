"""Fire times: one fixed, strictly increasing set of instants, found at once however long nobody looked."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from apscheduler.triggers.base import BaseTrigger
from apscheduler.triggers.cron import CronTrigger
from apscheduler.triggers.date import DateTrigger
from apscheduler.triggers.interval import IntervalTrigger

from scheduler_app.errors import TriggerError
from scheduler_app.schedules.fire_times import Fire, all_due, first_fire_time, latest_due
from tests.unit.clock_changes import fires_of_every_hour, fires_of_hours, watched

OSLO, NEW_YORK = ZoneInfo("Europe/Oslo"), ZoneInfo("America/New_York")
TICK = timedelta(microseconds=1)
START = datetime(2026, 6, 1, tzinfo=UTC)


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def walk(trigger: BaseTrigger, start: datetime, until: datetime) -> list[datetime]:
    """Ask for one fire time after the other; a repeated or earlier one fails."""
    fires: list[datetime] = []
    found = first_fire_time(trigger, start)
    while found is not None and found <= until:
        assert not fires or found > fires[-1]
        assert found.tzinfo is UTC
        fires.append(found)
        found = first_fire_time(trigger, found + TICK)
    return fires


def every(seconds: float, **options: object) -> IntervalTrigger:
    return IntervalTrigger(seconds=seconds, start_date=START, timezone=UTC, **options)


# -- the first -------------------------------------------------------------------------------------


def test_an_interval_fires_first_at_its_start_or_at_the_next_step_of_its_grid() -> None:
    trigger = every(300)
    assert first_fire_time(trigger, START - timedelta(days=1)) == START
    assert first_fire_time(trigger, START) == START
    assert first_fire_time(trigger, START + TICK) == START + timedelta(seconds=300)
    assert first_fire_time(trigger, START + timedelta(seconds=900)) == START + timedelta(seconds=900)


def test_an_interval_of_a_third_of_a_second_does_not_drift() -> None:
    trigger = every(1 / 3)
    assert first_fire_time(trigger, START + 1_000_000 * timedelta(microseconds=333333)) == (
        START + 1_000_000 * timedelta(microseconds=333333)
    )


def test_a_date_fires_once_even_when_it_is_past() -> None:
    trigger = DateTrigger(datetime(2026, 6, 1, 2, tzinfo=OSLO))
    assert first_fire_time(trigger, START + timedelta(days=9)) == START
    assert first_fire_time(trigger, START - timedelta(days=9)) == START


def test_start_and_end_are_inclusive_and_an_exhausted_trigger_has_no_fire_time() -> None:
    cron = CronTrigger(hour=4, timezone=UTC, start_date=utc("2026-06-02 04:00"), end_date=utc("2026-06-04 04:00"))
    assert walk(cron, START, START + timedelta(days=30)) == [utc(f"2026-06-0{day} 04:00") for day in (2, 3, 4)]
    assert first_fire_time(cron, utc("2026-06-04 04:00:00.000001")) is None
    interval = every(60, end_date=START + timedelta(seconds=120))
    assert walk(interval, START, START + timedelta(days=1)) == [START + n * timedelta(seconds=60) for n in range(3)]


def test_a_trigger_that_never_fires_says_so() -> None:
    assert first_fire_time(CronTrigger(year=2020, timezone=UTC), START) is None
    assert first_fire_time(CronTrigger(month=2, day=30, timezone=OSLO), START) is None


def test_the_end_of_the_calendar_ends_a_schedule_without_an_error() -> None:
    late = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)
    assert latest_due(every(60), late, late) == Fire(late, None, skipped=False)
    assert latest_due(CronTrigger(minute="*", timezone=OSLO), START, late - timedelta(days=2)).following is not None
    assert first_fire_time(CronTrigger(month=1, timezone=NEW_YORK), late - timedelta(days=9)) is None


class Own(CronTrigger):
    """A person's own trigger."""


def test_a_trigger_of_another_kind_is_refused() -> None:
    for ask in (first_fire_time, lambda trigger, now: latest_due(trigger, now, now)):
        with pytest.raises(TriggerError):
            ask(Own(hour=4, timezone=UTC), START)


# -- catching up -----------------------------------------------------------------------------------


def test_after_downtime_only_the_latest_missed_fire_time_is_due() -> None:
    fire = latest_due(every(300), START, START + timedelta(minutes=61))
    assert fire == Fire(START + timedelta(minutes=60), START + timedelta(minutes=65), skipped=True)
    cron = CronTrigger(hour=4, timezone=UTC)
    assert latest_due(cron, utc("2026-06-01 04:00"), utc("2026-06-03 04:00")) == Fire(
        utc("2026-06-03 04:00"), utc("2026-06-04 04:00"), skipped=True
    )


def test_a_fire_time_that_comes_as_it_is_looked_for_is_the_latest() -> None:
    second = timedelta(seconds=1)
    for trigger in (every(1), CronTrigger(second="*", timezone=OSLO)):
        fire = latest_due(trigger, START, START + 5 * second)
        assert fire == Fire(START + 5 * second, START + 6 * second, skipped=True)


def test_a_fire_time_that_is_not_late_skips_nothing() -> None:
    cron = CronTrigger(hour=4, timezone=UTC)
    on_time = Fire(utc("2026-06-01 04:00"), utc("2026-06-02 04:00"), skipped=False)
    assert latest_due(cron, utc("2026-06-01 04:00"), utc("2026-06-01 04:00")) == on_time
    assert latest_due(cron, utc("2026-06-01 04:00"), utc("2026-06-02 03:59")) == on_time
    assert latest_due(every(60), START, START + timedelta(seconds=59)).skipped is False


def test_what_is_not_due_yet_is_an_error_in_words() -> None:
    with pytest.raises(ValueError) as refused:
        latest_due(every(60), START + timedelta(seconds=1), START)
    assert str(refused.value) == (
        "Nothing is due at 2026-06-01T00:00:00+00:00: the next fire time is 2026-06-01T00:00:01+00:00."
    )


def test_a_time_that_a_person_chose_is_a_fire_time_and_an_interval_goes_on_from_it() -> None:
    chosen = START + timedelta(seconds=100)
    assert latest_due(every(300), chosen, chosen).following == START + timedelta(seconds=400)
    cron = CronTrigger(hour=4, timezone=UTC)
    assert latest_due(cron, chosen, chosen) == Fire(chosen, utc("2026-06-01 04:00"), skipped=False)


def test_the_last_fire_time_before_the_end_is_found_and_nothing_follows() -> None:
    end = START + timedelta(minutes=10)
    now = START + timedelta(days=400)
    assert latest_due(every(240, end_date=end), START, now) == Fire(START + timedelta(minutes=8), None, skipped=True)
    cron = CronTrigger(minute="*/4", timezone=UTC, end_date=end)
    assert latest_due(cron, START, now) == Fire(START + timedelta(minutes=8), None, skipped=True)
    assert latest_due(CronTrigger(year=2026, month=7, timezone=UTC), utc("2026-07-01"), now) == Fire(
        utc("2026-07-01"), None, skipped=False
    )


def test_a_date_is_due_once_at_the_time_that_is_set() -> None:
    moved = START + timedelta(hours=1)
    assert latest_due(DateTrigger(START), moved, moved + timedelta(days=1)) == Fire(moved, None, skipped=False)


@pytest.mark.parametrize(
    ("trigger", "downtime"),
    [
        (every(1), timedelta(days=30)),
        (every(0.001), timedelta(days=3650)),
        (CronTrigger(minute="*", timezone=OSLO), timedelta(days=365)),
        (CronTrigger(second="*", timezone=NEW_YORK), timedelta(days=3650)),
        (CronTrigger(month=2, day=29, timezone=OSLO), timedelta(days=3650)),
        (CronTrigger(day="last sun", month=10, hour=2, minute=30, timezone=OSLO), timedelta(days=3650)),
    ],
)
def test_catching_up_asks_the_trigger_a_few_dozen_times_however_long_nobody_looked(
    trigger: BaseTrigger, downtime: timedelta, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []
    next_fire_time = type(trigger).get_next_fire_time

    def counted(self: BaseTrigger, *facts: Any) -> Any:
        asked.append(facts)
        return next_fire_time(self, *facts)

    monkeypatch.setattr(type(trigger), "get_next_fire_time", counted)
    latest_due(trigger, START, START + downtime)
    assert len(asked) <= 64


def test_without_coalescing_every_missed_fire_time_is_due_and_each_names_the_next() -> None:
    minute = timedelta(minutes=1)
    for trigger in (every(60), CronTrigger(minute="*", timezone=OSLO)):
        fires = all_due(trigger, START, START + timedelta(seconds=150))
        assert fires == tuple(Fire(START + n * minute, START + (n + 1) * minute, skipped=False) for n in range(3))


@pytest.mark.parametrize("trigger", [every(60), CronTrigger(minute="*", timezone=OSLO)], ids=["interval", "cron"])
def test_without_coalescing_the_newest_are_due_and_what_is_over_the_limit_is_skipped(trigger: BaseTrigger) -> None:
    fires = all_due(trigger, START, START + timedelta(days=400), limit=3)
    last = 400 * 1440
    assert [(fire.fire_time - START) // timedelta(minutes=1) for fire in fires] == [last - 2, last - 1, last]
    assert [fire.skipped for fire in fires] == [True, False, False]
    assert fires[1].following == fires[2].fire_time
    assert fires[2].following == START + timedelta(minutes=last + 1)
    assert len(all_due(trigger, START, START + timedelta(days=1))) == 100


def test_the_newest_of_a_bursty_cron_are_found() -> None:
    burst = CronTrigger(month=1, day=1, hour=0, minute="*", timezone=UTC)
    fires = all_due(burst, utc("2020-01-01"), utc("2026-06-01"), limit=100)
    before = [utc("2025-01-01") + timedelta(minutes=n) for n in range(20, 60)]
    latest = [utc("2026-01-01") + timedelta(minutes=n) for n in range(60)]
    assert [fire.fire_time for fire in fires] == before + latest


def test_exactly_the_limit_skips_nothing() -> None:
    fires = all_due(every(60), START, START + timedelta(minutes=3), limit=4)
    assert [fire.skipped for fire in fires] == [False] * 4
    assert all_due(every(60), START, START + timedelta(minutes=3), limit=1) == (
        Fire(START + timedelta(minutes=3), START + timedelta(minutes=4), skipped=True),
    )
    assert len(all_due(DateTrigger(START), START, START)) == 1


def test_a_time_that_a_person_chose_is_one_of_all_that_are_due() -> None:
    chosen = START + timedelta(seconds=90)
    fires = all_due(CronTrigger(minute="*", timezone=UTC), chosen, START + timedelta(minutes=3))
    assert [(fire.fire_time - START).total_seconds() for fire in fires] == [90, 120, 180]


# -- jitter ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    "trigger", [every(60, jitter=200), CronTrigger(minute="*", jitter=200, timezone=OSLO)], ids=["interval", "cron"]
)
def test_jitter_never_repeats_a_fire_time_nor_goes_back(trigger: BaseTrigger, seed: int) -> None:
    dice = random.Random(seed)
    at, now, seen = first_fire_time(trigger, START, random=dice.random), START, set()
    for _ in range(200):
        assert at is not None
        now = max(now, at) + timedelta(seconds=dice.choice([0, 0.01, 30, 500]))
        fire = latest_due(trigger, at, now, random=dice.random)
        assert fire.following is not None
        assert at <= fire.fire_time <= now < fire.following
        assert fire.fire_time not in seen
        seen.add(fire.fire_time)
        at = fire.following


def test_jitter_delays_up_to_its_seconds_and_does_not_add_up() -> None:
    trigger = every(60, jitter=30)
    assert first_fire_time(trigger, START, random=lambda: 0.0) == START
    late = first_fire_time(trigger, START, random=lambda: 1.0)
    assert late == START + timedelta(seconds=30)
    for turn in range(1, 50):
        late = latest_due(trigger, late, late, random=lambda: 1.0).following
        assert late == START + timedelta(seconds=60 * turn + 30)


def test_jitter_does_not_carry_a_fire_time_past_the_end() -> None:
    end = START + timedelta(seconds=70)
    assert latest_due(every(60, jitter=30, end_date=end), START, START, random=lambda: 1.0).following == end


# -- changes of clocks -----------------------------------------------------------------------------


def test_cron_each_minute_fires_each_minute_that_passes_over_both_changes() -> None:
    for change in ("2026-03-29 01:00", "2026-10-25 01:00"):
        start = utc(change) - timedelta(hours=2)
        expected = [start + timedelta(minutes=n) for n in range(241)]
        assert walk(CronTrigger(minute="*", timezone=OSLO), start, start + timedelta(hours=4)) == expected


def test_a_month_with_a_jump_does_not_swallow_the_first_day_of_the_next() -> None:
    trigger = CronTrigger(day=1, hour=0, minute=30, timezone=OSLO)
    assert first_fire_time(trigger, utc("2026-03-02")) == utc("2026-03-31 22:30")


def test_intervals_are_time_that_passes() -> None:
    start = datetime(2026, 3, 28, 12, tzinfo=OSLO)
    daily = IntervalTrigger(days=1, start_date=start, timezone=OSLO)
    assert walk(daily, start, start + timedelta(days=2)) == [utc("2026-03-28 11:00"), utc("2026-03-29 11:00")]


ZONES = [
    (OSLO, "2026-03-28"),
    (OSLO, "2026-10-24"),
    (NEW_YORK, "2026-03-07"),
    (NEW_YORK, "2026-10-31"),
    (ZoneInfo("Australia/Lord_Howe"), "2026-04-04"),  # half an hour back
    (ZoneInfo("Australia/Lord_Howe"), "2026-10-03"),  # half an hour forward
    (ZoneInfo("America/Sao_Paulo"), "2018-11-03"),  # no midnight
    (ZoneInfo("America/Sao_Paulo"), "2018-02-17"),  # two midnights
    (ZoneInfo("Pacific/Apia"), "2011-12-29"),  # no 30th of December
    (timezone(timedelta(hours=5, minutes=45)), "2026-03-28"),
]
PATTERNS: list[tuple[dict[str, object], Callable[[datetime], bool]]] = [
    ({"hour": 2, "minute": 30}, lambda t: (t.hour, t.minute) == (2, 30)),
    ({"hour": "0-3", "minute": "*/20"}, lambda t: t.hour <= 3 and t.minute % 20 == 0),
    ({"minute": "15,45"}, lambda t: t.minute in (15, 45)),
    ({"hour": "*/2"}, lambda t: t.hour % 2 == 0 and t.minute == 0),
    (
        {"day_of_week": "sun,fri", "hour": 1, "minute": "*/7"},
        lambda t: t.weekday() in (6, 4) and t.hour == 1 and t.minute % 7 == 0,
    ),
    ({"day": "last", "hour": 0}, lambda t: (t + timedelta(days=1)).day == 1 and (t.hour, t.minute) == (0, 0)),
]


def watched_fires(
    zone: tzinfo, first_day: str, fields: dict[str, object], matches: Callable[[datetime], bool]
) -> list[datetime]:
    """Watch the clock for five days."""
    first = datetime.fromisoformat(first_day).replace(tzinfo=UTC) - timedelta(days=1)
    readings = watched(zone, first, first + timedelta(days=5))
    return list((fires_of_hours if "hour" in fields else fires_of_every_hour)(readings, matches))


@pytest.mark.parametrize(("zone", "first_day"), ZONES)
@pytest.mark.parametrize(("fields", "matches"), PATTERNS)
def test_walking_and_catching_up_agree_with_going_through_every_minute(
    zone: timezone | ZoneInfo, first_day: str, fields: dict[str, object], matches: Callable[[datetime], bool]
) -> None:
    trigger = CronTrigger(**fields, timezone=zone)
    start = datetime.fromisoformat(first_day).replace(tzinfo=zone).astimezone(UTC)
    until = start + timedelta(days=2, hours=12)
    expected = [at for at in watched_fires(zone, first_day, fields, matches) if start <= at <= until]
    assert walk(trigger, start, until) == expected
    dice = random.Random(f"{zone}{fields}")
    for _ in range(15 if expected else 0):
        since = dice.choice(expected)
        now = since + (until - since) * dice.random()
        fire = latest_due(trigger, since, now)
        assert fire.fire_time == max(at for at in expected if at <= now)
        later = [at for at in expected if at > now]
        assert not later or fire.following == later[0]
