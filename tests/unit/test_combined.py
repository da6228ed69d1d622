"""Several triggers together: the union and the intersection of what each does by its own rules, and found as fast."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta, tzinfo
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from apscheduler.triggers.base import BaseTrigger
from apscheduler.triggers.calendarinterval import CalendarIntervalTrigger
from apscheduler.triggers.combining import AndTrigger, OrTrigger
from apscheduler.triggers.cron import CronTrigger
from apscheduler.triggers.date import DateTrigger
from apscheduler.triggers.interval import IntervalTrigger

from scheduler_app.errors import NeverMeetError, TriggerError
from scheduler_app.schedules import Fire, all_due, first_fire_time, latest_due
from scheduler_app.schedules.combined import MOST_STEPS
from tests.unit.clock_changes import MINUTE, fires_of_every_hour, fires_of_hours, watched

OSLO, NEW_YORK, LORD_HOWE = ZoneInfo("Europe/Oslo"), ZoneInfo("America/New_York"), ZoneInfo("Australia/Lord_Howe")
TICK, HOUR, DAY = timedelta(microseconds=1), timedelta(hours=1), timedelta(days=1)
START = datetime(2026, 6, 1, tzinfo=UTC)  # a Monday


def cron(zone: tzinfo = UTC, **fields: Any) -> CronTrigger:
    return CronTrigger(**fields, timezone=zone)


def every(start: datetime = START, **interval: Any) -> IntervalTrigger:
    return IntervalTrigger(**interval, start_date=start, timezone=UTC)


def fires(trigger: BaseTrigger, start: datetime, count: int) -> list[datetime]:
    """Ask for one fire time after the other; a repeated or earlier one fails."""
    found = [first_fire_time(trigger, start)]
    while found[-1] is not None and len(found) < count:
        found.append(first_fire_time(trigger, found[-1] + TICK))
    times = [at for at in found if at is not None]
    assert all(one < other for one, other in pairwise(times))
    return times


FORTNIGHT = CalendarIntervalTrigger(weeks=2, hour=9, minute=30, start_date=date(2026, 6, 3), timezone=UTC)
OFFICE = cron(hour="9-16", minute="*/10", day_of_week="mon-fri")


@pytest.mark.parametrize(
    "trigger",
    [
        OrTrigger([cron(hour=4), cron(day_of_week="tue", hour="*/5", minute=30)]),
        OrTrigger([every(hours=7), cron(hour=4, minute=1), FORTNIGHT]),
        OrTrigger([cron(hour=4), cron(hour="4,5"), cron(year=2020)]),
        OrTrigger([cron(hour=4, year=2026, month=6, day="1-3"), DateTrigger(START + 40 * DAY)]),
        AndTrigger([cron(day=13), cron(day_of_week="fri")]),
        AndTrigger([every(days=1, start=START + 4 * HOUR), cron(hour=4, day_of_week="sat,sun")]),
        AndTrigger([every(minutes=25), every(minutes=35), cron(hour="*", minute="*/5")]),
        AndTrigger([cron(month=2, day=29), cron(day_of_week="mon")]),
        AndTrigger([cron(hour=4), cron(hour=4, end_date=START + 3 * DAY)]),
        AndTrigger([cron(minute="*/10"), OrTrigger([every(minutes=25), AndTrigger([OFFICE, cron(minute=40)])])]),
        OrTrigger([AndTrigger([OFFICE, cron(minute=20)]), cron(hour=0)]),
    ],
    ids=str,
)
def test_they_fire_when_apscheduler_says_where_no_clock_changes(trigger: BaseTrigger) -> None:
    expected, now = [], START + 5 * MINUTE
    while len(expected) < 12 and (found := trigger.get_next_fire_time(None, now)) is not None and found >= now:
        expected.append(found)
        now = found + TICK
    assert fires(trigger, START + 5 * MINUTE, len(expected) + 1)[: len(expected)] == expected


# -- changes of clocks -----------------------------------------------------------------------------

Part = tuple[dict[str, Any], Callable[[datetime], bool]]
NIGHT: Part = ({"hour": 2, "minute": 30}, lambda t: (t.hour, t.minute) == (2, 30))
MORNINGS: Part = ({"hour": "0-3", "minute": "*/15"}, lambda t: t.hour <= 3 and t.minute % 15 == 0)
HALVES: Part = ({"minute": "0,30"}, lambda t: t.minute in (0, 30))
SUNDAYS: Part = (
    {"day_of_week": "sun", "minute": "*/10", "hour": "*"},
    lambda t: t.weekday() == 6 and t.minute % 10 == 0,
)
COMBINED: list[tuple[type[AndTrigger] | type[OrTrigger], list[Part]]] = [
    (OrTrigger, [NIGHT, HALVES]),
    (OrTrigger, [NIGHT, MORNINGS, SUNDAYS]),
    (AndTrigger, [MORNINGS, HALVES]),
    (AndTrigger, [NIGHT, SUNDAYS]),
    (AndTrigger, [MORNINGS, HALVES, SUNDAYS]),
]


@pytest.mark.parametrize(
    ("zone", "first_day"),
    [
        (OSLO, "2026-03-28"),
        (OSLO, "2026-10-24"),
        (NEW_YORK, "2026-03-07"),
        (NEW_YORK, "2026-10-31"),
        (LORD_HOWE, "2026-04-04"),
        (LORD_HOWE, "2026-10-03"),
    ],
)
def test_walking_and_catching_up_agree_with_going_through_every_minute(zone: tzinfo, first_day: str) -> None:
    start = datetime.fromisoformat(first_day).replace(tzinfo=zone).astimezone(UTC)
    until = start + 2 * DAY + 12 * HOUR
    readings = watched(zone, start - DAY, until)
    dice = random.Random(f"{zone}{first_day}")
    for kind, parts in COMBINED:
        trigger = kind([cron(zone, **fields) for fields, _ in parts])
        each = [
            set((fires_of_hours if names_hours(fields) else fires_of_every_hour)(readings, is_at))
            for fields, is_at in parts
        ]
        whole = set.union(*each) if kind is OrTrigger else set.intersection(*each)
        expected = sorted(at for at in whole if start <= at <= until)
        assert [at for at in fires(trigger, start, len(expected) + 1) if at <= until] == expected
        for _ in range(6):
            since = dice.choice(expected)
            now = since + (until - since) * dice.random()
            due = [at for at in expected if since <= at <= now]
            assert latest_due(trigger, since, now).fire_time == due[-1]
            assert [fire.fire_time for fire in all_due(trigger, since, now, limit=4)] == due[-4:]


def names_hours(fields: dict[str, Any]) -> bool:
    return fields.get("hour", "*") != "*"


# -- catching up -----------------------------------------------------------------------------------


def test_after_a_downtime_the_latest_is_due_and_the_first_after_it_follows() -> None:
    both = [every(hours=5), cron(hour="*/4")]
    late = START + 3 * DAY
    assert latest_due(OrTrigger(both), START, late) == Fire(late, late + 3 * HOUR, skipped=True)
    assert latest_due(AndTrigger(both), START, late) == Fire(START + 60 * HOUR, START + 80 * HOUR, skipped=True)
    assert latest_due(AndTrigger(both), START, START + HOUR) == Fire(START, START + 20 * HOUR, skipped=False)
    assert [fire.fire_time for fire in all_due(AndTrigger(both), START, late)] == [
        START + n * 20 * HOUR for n in range(4)
    ]
    newest = all_due(OrTrigger(both), START, late, limit=3)
    assert [(fire.fire_time - START) / HOUR for fire in newest] == [68, 70, 72]
    assert newest[0].skipped


def test_a_calendar_interval_meets_a_cron_on_its_days() -> None:
    """APScheduler itself looks for ever here, for it asks the calendar's from its start."""
    found = fires(AndTrigger([FORTNIGHT, OFFICE]), START, 3)
    assert found == [datetime(2026, month, day, 9, 30, tzinfo=UTC) for month, day in ((6, 3), (6, 17), (7, 1))]


def test_an_interval_stays_on_its_own_grid_whatever_else_fires_and_whoever_chose_a_time() -> None:
    trigger = OrTrigger([every(hours=10), cron(hour=4)])
    assert fires(trigger, START, 5) == [START + n * HOUR for n in (0, 4, 10, 20, 28)]
    chosen = START + HOUR / 2
    assert latest_due(trigger, chosen, chosen) == Fire(chosen, START + 4 * HOUR, skipped=False)


def test_a_date_is_a_set_of_one_instant_which_does_not_fire_when_it_has_passed() -> None:
    trigger = OrTrigger([DateTrigger(START + HOUR), cron(hour=4, end_date=START + DAY)])
    assert fires(trigger, START, 9) == [START + HOUR, START + 4 * HOUR]
    assert first_fire_time(trigger, START + 2 * HOUR) == START + 4 * HOUR
    assert latest_due(trigger, START, START + 2 * HOUR).fire_time == START + HOUR
    assert first_fire_time(OrTrigger([DateTrigger(START)]), START + TICK) is None
    assert fires(AndTrigger([DateTrigger(START + 4 * HOUR), cron(hour=4)]), START, 9) == [START + 4 * HOUR]
    assert first_fire_time(AndTrigger([DateTrigger(START + HOUR), cron(hour=4)]), START) is None


def test_the_ends_of_its_triggers_end_it() -> None:
    short, long = cron(hour=4, end_date=START + DAY), cron(hour="4,5", end_date=START + 2 * DAY)
    assert fires(OrTrigger([short, long]), START, 9) == [START + n * HOUR for n in (4, 5, 28, 29)]
    assert fires(AndTrigger([short, long]), START, 9) == [START + 4 * HOUR]
    assert latest_due(AndTrigger([short, long]), START + 4 * HOUR, START + 9 * DAY).following is None


def test_intervals_of_parts_of_a_second_are_found_to_the_microsecond() -> None:
    parts = [every(seconds=0.3), every(seconds=0.7), every(seconds=0.2, start=START + timedelta(seconds=0.1))]
    dice = random.Random(1)
    for _ in range(20):
        now = START + timedelta(microseconds=dice.randrange(1, 30_000_000))
        passed = (now - START) // TICK
        either = max(passed // 300_000 * 300_000, passed // 700_000 * 700_000)
        assert latest_due(OrTrigger(parts[:2]), START, now).fire_time == START + either * TICK
        both = passed // 2_100_000 * 2_100_000
        assert latest_due(AndTrigger(parts[:2]), START, now).fire_time == START + both * TICK
        odd = (passed // 2_100_000 - 1) // 2 * 2 + 1  # the third fires with each second of those
        assert latest_due(AndTrigger(parts), START, now).fire_time == START + max(0, odd) * 2_100_000 * TICK


# -- what it costs ---------------------------------------------------------------------------------


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Return a list that gets longer with each question to APScheduler's cron fields."""
    found: list[Any] = []
    ask = CronTrigger.get_next_fire_time

    def counted(self: CronTrigger, *facts: Any) -> Any:
        found.append(facts)
        return ask(self, *facts)

    monkeypatch.setattr(CronTrigger, "get_next_fire_time", counted)
    return found


@pytest.mark.parametrize("downtime", [DAY, 10 * 365 * DAY], ids=["a day", "ten years"])
def test_catching_up_costs_no_more_for_a_longer_downtime(downtime: timedelta, asked: list[Any]) -> None:
    for trigger, most in (
        (OrTrigger([cron(minute="*"), cron(hour=4)]), 40),
        (AndTrigger([cron(minute="*"), cron(OSLO, hour="9-16", minute="*/5")]), 60),
        (AndTrigger([cron(day=13), cron(day_of_week="fri")]), 150),
    ):
        asked.clear()
        latest_due(trigger, START, START + downtime)
        assert len(asked) <= most, trigger


def test_one_that_fires_seldom_or_no_more_is_not_asked_anew_for_each_fire_time(asked: list[Any]) -> None:
    for seldom in (cron(month=12), cron(hour=4, year=2020)):
        asked.clear()
        every_minute = all_due(OrTrigger([every(minutes=1), seldom]), START, START + DAY)
        assert len(every_minute) == 100
        assert len(asked) <= 20


def test_one_of_a_day_that_no_calendar_has_is_refused_and_one_whose_years_have_passed_is_not() -> None:
    trigger = OrTrigger([cron(hour=4), AndTrigger([cron(month=2, day=30)])])
    with pytest.raises(TriggerError) as refused:
        first_fire_time(trigger, START.replace(year=9990))
    assert str(refused.value) == (
        "The trigger CronTrigger, number 1 of an AndTrigger, cannot be stored: cron[month='2', day='30'] never fires,"
        " for there is no such day. Leave it out."
    )
    assert first_fire_time(OrTrigger([cron(hour=4), cron(hour=3, year=2020)]), START) == START + 4 * HOUR


EVEN, ODD = cron(second="*/2"), cron(second="1-59/2")


@pytest.mark.parametrize(
    "trigger",
    [
        AndTrigger([EVEN, ODD]),
        AndTrigger([AndTrigger([cron(second="*/2"), cron(second="*/4")]), OrTrigger([AndTrigger([ODD, ODD]), ODD])]),
        OrTrigger([cron(hour=4), AndTrigger([every(seconds=3601), every(seconds=7, start=START + TICK)])]),
    ],
    ids=["two", "nested", "within an or"],
)
def test_triggers_that_never_meet_are_told_after_a_bounded_search(trigger: BaseTrigger, asked: list[Any]) -> None:
    with pytest.raises(NeverMeetError) as told:
        first_fire_time(trigger, START)
    assert str(told.value) == (
        "The trigger AndTrigger cannot fire: from 2026-06-01T00:00:00+00:00 on, no instant at which all its triggers"
        " fire was found in 1,000 steps. Say with one CronTrigger what is meant, or give an IntervalTrigger in it a"
        " start_date at which the others fire, too."
    )
    assert isinstance(told.value, TriggerError)
    assert len(asked) <= 2 * MOST_STEPS


def test_a_search_that_ends_before_now_does_not_go_on_after_it() -> None:
    once = DateTrigger(START + HOUR)
    trigger = AndTrigger([OrTrigger([once, EVEN]), OrTrigger([once, ODD])])
    assert first_fire_time(trigger, START + HOUR - 9 * timedelta(seconds=1)) == START + HOUR
    with pytest.raises(NeverMeetError):
        latest_due(trigger, START + HOUR, START + HOUR)


def test_one_of_no_triggers_never_fires() -> None:
    for kind in (AndTrigger, OrTrigger):
        assert first_fire_time(kind([]), START) is None
        assert latest_due(kind([]), START, START + DAY) == Fire(START, None, skipped=False)


# -- jitter ----------------------------------------------------------------------------------------


def test_its_own_jitter_delays_what_it_says_up_to_the_end_of_its_triggers() -> None:
    ending = cron(hour="*", end_date=START + HOUR + 20 * MINUTE)
    for trigger, latest in (
        (OrTrigger([cron(hour="*"), ending], jitter=1800), 90),
        (OrTrigger([ending], jitter=1800), 80),
        (AndTrigger([cron(hour="*"), ending], jitter=1800), 80),
    ):
        assert first_fire_time(trigger, START + MINUTE, random=lambda: 0.0) == START + HOUR
        assert first_fire_time(trigger, START + MINUTE, random=lambda: 1.0) == START + latest * MINUTE
    fire = latest_due(OrTrigger([cron(hour="*")], jitter=1800), START + 90 * MINUTE, START + 91 * MINUTE)
    assert fire.fire_time == START + 90 * MINUTE
    assert fire.following is not None
    assert START + 2 * HOUR <= fire.following <= START + 2.5 * HOUR
