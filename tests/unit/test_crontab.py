"""A crontab line means what crontab(5) says, and what it cannot mean here is refused in a sentence."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from scheduler_app.errors import CronError, SchedulerError
from scheduler_app.schedules.crontab import NICKNAMES, cron_trigger
from scheduler_app.schedules.fire_times import first_fire_time

OSLO = ZoneInfo("Europe/Oslo")
MONDAY = datetime(2026, 6, 1, tzinfo=UTC)


def next_fires(expression: str, count: int, start: datetime = MONDAY) -> list[datetime]:
    trigger, fires = cron_trigger(expression, UTC), []
    for _ in range(count):
        found = first_fire_time(trigger, start)
        assert found is not None
        fires.append(found)
        start = found + timedelta(microseconds=1)
    return fires


def weekdays_of(field: str) -> str:
    fires = next_fires(f"0 0 * * {field}", 7)
    names = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
    week = [at for at in fires if at < MONDAY + timedelta(days=7)]
    return " ".join(names[at.weekday()] for at in week)


@pytest.mark.parametrize(
    ("field", "days"),
    [
        ("0", "sun"),
        ("7", "sun"),
        ("1", "mon"),
        ("6", "sat"),
        ("0,7", "sun"),
        ("1-5", "mon tue wed thu fri"),
        ("5-7", "fri sat sun"),
        ("0-2", "mon tue sun"),
        ("0-6", "mon tue wed thu fri sat sun"),
        ("0-7", "mon tue wed thu fri sat sun"),
        ("1-7", "mon tue wed thu fri sat sun"),
        ("6-0", "sat sun"),
        ("7-2", "mon tue sun"),
        ("7-0", "sun"),
        ("5-1", "mon fri sat sun"),
        ("*", "mon tue wed thu fri sat sun"),
        ("*/2", "tue thu sat sun"),
        ("*/3", "wed sat sun"),
        ("*/7", "sun"),
        ("1-5/2", "mon wed fri"),
        ("5-7/2", "fri sun"),
        ("5-1/2", "fri sun"),
        ("1,3,5", "mon wed fri"),
        ("sun", "sun"),
        ("SAT", "sat"),
        ("mon-fri", "mon tue wed thu fri"),
        ("fri-mon", "mon fri sat sun"),
        ("sat-sun", "sat sun"),
        ("sun-tue", "mon tue sun"),
        ("mon-fri/2", "mon wed fri"),
        ("mon,3,6-7", "mon wed sat sun"),
    ],
)
def test_weekdays_are_counted_from_sunday_as_in_a_crontab(field: str, days: str) -> None:
    assert weekdays_of(field) == days


@pytest.mark.parametrize(
    ("expression", "fires"),
    [
        ("0 4 * * *", ["2026-06-01 04:00", "2026-06-02 04:00"]),
        ("*/20 * * * *", ["2026-06-01 00:00", "2026-06-01 00:20", "2026-06-01 00:40", "2026-06-01 01:00"]),
        ("*/60 * * * *", ["2026-06-01 00:00", "2026-06-01 01:00"]),
        ("5,50-55/5 3 * * *", ["2026-06-01 03:05", "2026-06-01 03:50", "2026-06-01 03:55", "2026-06-02 03:05"]),
        ("10-30/15 0 * * *", ["2026-06-01 00:10", "2026-06-01 00:25", "2026-06-02 00:10"]),
        ("0 22-23,0-1 * * *", ["2026-06-01 00:00", "2026-06-01 01:00", "2026-06-01 22:00"]),
        ("0 0 31 * *", ["2026-07-31 00:00", "2026-08-31 00:00", "2026-10-31 00:00"]),
        ("0 0 29 2 *", ["2028-02-29 00:00", "2032-02-29 00:00"]),
        ("0 0 1 jan-mar *", ["2027-01-01 00:00", "2027-02-01 00:00", "2027-03-01 00:00", "2028-01-01 00:00"]),
        ("0 0 1 */6 *", ["2026-07-01 00:00", "2027-01-01 00:00"]),
        ("\t05  04 * *  *\n", ["2026-06-01 04:05", "2026-06-02 04:05"]),
        ("@hourly", ["2026-06-01 00:00", "2026-06-01 01:00"]),
        ("@daily", ["2026-06-01 00:00", "2026-06-02 00:00"]),
        ("@Midnight", ["2026-06-01 00:00", "2026-06-02 00:00"]),
        ("@weekly", ["2026-06-07 00:00", "2026-06-14 00:00"]),
        ("@monthly", ["2026-06-01 00:00", "2026-07-01 00:00"]),
        ("@yearly", ["2027-01-01 00:00", "2028-01-01 00:00"]),
        ("@annually", ["2027-01-01 00:00", "2028-01-01 00:00"]),
    ],
)
def test_a_line_fires_when_a_crontab_would(expression: str, fires: list[str]) -> None:
    assert [f"{at:%Y-%m-%d %H:%M}" for at in next_fires(expression, len(fires))] == fires


def test_every_nickname_is_a_line_of_its_own() -> None:
    for nickname, line in NICKNAMES.items():
        assert next_fires(nickname, 3) == next_fires(line, 3)


def test_the_time_zone_of_the_line_is_the_one_given() -> None:
    assert first_fire_time(cron_trigger("0 4 * * *", OSLO), MONDAY) == datetime(2026, 6, 1, 2, tzinfo=UTC)


@pytest.mark.parametrize("expression", ["0 0 13 * *", "0 0 * * 5", "0 0 */1 * 5", "0 0 13 * */1"])
def test_one_restricted_day_field_is_no_conflict(expression: str) -> None:
    [found] = next_fires(expression, 1)
    assert found.date() in (date(2026, 6, 13), date(2026, 6, 5))


PREFIX = "The cron line {!r} cannot be used: "
WEEKDAY_ALLOWED = "*, 0-7 or sun-sat, ranges, steps such as */2, and lists of them."
MINUTE_ALLOWED = "*, 0-59, ranges, steps such as */2, and lists of them."


@pytest.mark.parametrize(
    ("expression", "reason"),
    [
        ("60 * * * *", f"its minute field has '60', but takes {MINUTE_ALLOWED}"),
        ("-1 * * * *", f"its minute field has '-1', but takes {MINUTE_ALLOWED}"),
        ("1,,2 * * * *", f"its minute field has '', but takes {MINUTE_ALLOWED}"),
        ("*-5 * * * *", f"its minute field has '*-5', but takes {MINUTE_ALLOWED}"),
        ("1.5 * * * *", f"its minute field has '1.5', but takes {MINUTE_ALLOWED}"),
        ("٣ * * * *", f"its minute field has '٣', but takes {MINUTE_ALLOWED}"),
        ("0 24 * * *", "its hour field has '24', but takes *, 0-23, ranges, steps such as */2, and lists of them."),
        (
            "0 0 0 * *",
            "its day-of-month field has '0', but takes *, 1-31, ranges, steps such as */2, and lists of them.",
        ),
        (
            "0 0 last * *",
            "its day-of-month field has 'last', but takes *, 1-31, ranges, steps such as */2, and lists of them.",
        ),
        (
            "0 0 1 13 *",
            "its month field has '13', but takes *, 1-12 or jan-dec, ranges, steps such as */2, and lists of them.",
        ),
        (
            "0 0 1 mon *",
            "its month field has 'mon', but takes *, 1-12 or jan-dec, ranges, steps such as */2, and lists of them.",
        ),
        (
            "0 0 * * 8",
            "its weekday field has '8', but takes *, 0-7 or sun-sat, ranges, steps such as */2, and lists of them.",
        ),
        (
            "0 0 * * friday",
            f"its weekday field has 'friday', but takes {WEEKDAY_ALLOWED}",
        ),
        (
            "0 0 * * 5#2",
            "its weekday field has '5#2', but takes *, 0-7 or sun-sat, ranges, steps such as */2, and lists of them.",
        ),
        ("*/0 * * * *", "its minute field has the step '*/0', but steps there are 1 to 60."),
        ("*/90 * * * *", "its minute field has the step '*/90', but steps there are 1 to 60."),
        ("0 */25 * * *", "its hour field has the step '*/25', but steps there are 1 to 24."),
        ("0 0 * * */8", "its weekday field has the step '*/8', but steps there are 1 to 7."),
        ("5/15 * * * *", "its minute field has a step without a range, '5/15'. Write '5-59/15'."),
        ("0 22-2 * * *", "its hour range '22-2' runs backwards. Write '22-23,0-2'."),
        ("0 0 1 nov-feb *", "its month range 'nov-feb' runs backwards. Write '11-12,1-2'."),
        ("0 4 * *", "it has 4 fields, and needs five: minute, hour, day-of-month, month and weekday."),
        ("0 0 4 * * *", "it has 6 fields, and needs five: minute, hour, day-of-month, month and weekday."),
        ("daily", "it has 1 field, and needs five: minute, hour, day-of-month, month and weekday."),
        ("", "it has 0 fields, and needs five: minute, hour, day-of-month, month and weekday."),
        (
            "@reboot",
            "the only nicknames are @hourly, @daily, @midnight, @weekly, @monthly, @yearly, @annually.",
        ),
        (
            "0 4 13 * fri",
            "it restricts both day-of-month and weekday, and a crontab runs when either matches."
            " Write it as two schedules: '0 4 13 * *' and '0 4 * * fri'.",
        ),
        (
            "0 4 1-31 * 1",
            "it restricts both day-of-month and weekday, and a crontab runs when either matches."
            " Write it as two schedules: '0 4 1-31 * *' and '0 4 * * 1'.",
        ),
        (
            "0 4 */2 * 1",
            "it restricts both day-of-month and weekday, and a crontab runs when either matches."
            " Write it as two schedules: '0 4 */2 * *' and '0 4 * * 1'.",
        ),
        ("0 0 30 2 *", "it never fires: no month it names has a day 30."),
        ("0 0 31 4,6,9,11 *", "it never fires: no month it names has a day 31."),
        (None, "it is not text. Write five fields, such as '0 4 * * *'."),
    ],
)
def test_a_line_that_cannot_be_used_is_refused_with_the_field_and_what_it_takes(expression: str, reason: str) -> None:
    with pytest.raises(CronError) as refused:
        cron_trigger(expression, UTC)
    assert str(refused.value) == PREFIX.format(expression) + reason
    assert isinstance(refused.value, ValueError | SchedulerError)
