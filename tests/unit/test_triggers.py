"""A trigger as text: the same behaviour back, one text for one behaviour, nothing executed."""

from __future__ import annotations

import importlib.resources
import json
from datetime import UTC, date, datetime, timedelta, timezone, tzinfo
from zoneinfo import ZoneInfo

import pytest
from apscheduler.triggers.base import BaseTrigger
from apscheduler.triggers.calendarinterval import CalendarIntervalTrigger
from apscheduler.triggers.combining import AndTrigger, OrTrigger
from apscheduler.triggers.cron import CronTrigger
from apscheduler.triggers.date import DateTrigger
from apscheduler.triggers.interval import IntervalTrigger

from scheduler_app.errors import MalformedTriggerError, TriggerError
from scheduler_app.schedules import decode_trigger, encode_trigger

OSLO = ZoneInfo("Europe/Oslo")
START = datetime(2026, 6, 1, 12, 30, 0, 123456, tzinfo=UTC)

TRIGGERS: list[tuple[BaseTrigger, str]] = [
    (
        DateTrigger(datetime(2026, 6, 1, 12, 30, tzinfo=OSLO)),
        '{"at":"2026-06-01T10:30:00+00:00","kind":"date","timezone":"Europe/Oslo"}',
    ),
    (
        IntervalTrigger(minutes=5, start_date=START, timezone=UTC),
        '{"kind":"interval","seconds":300,"start":"2026-06-01T12:30:00.123456+00:00","timezone":"UTC"}',
    ),
    (
        IntervalTrigger(seconds=0.1, start_date=START, end_date=START, timezone=OSLO, jitter=3),
        '{"end":"2026-06-01T12:30:00.123456+00:00","jitter":3,"kind":"interval","seconds":0.1,'
        '"start":"2026-06-01T12:30:00.123456+00:00","timezone":"Europe/Oslo"}',
    ),
    (
        CronTrigger(hour=4, timezone=timezone(timedelta(hours=-3, minutes=-30))),
        '{"fields":{"hour":"4"},"kind":"cron","timezone":"-03:30"}',
    ),
    (
        CronTrigger(day_of_week="mon-fri", hour="8-17/3", minute="*/10", timezone=OSLO, start_date=START, jitter=1.5),
        '{"fields":{"day_of_week":"mon-fri","hour":"8-17/3","minute":"*/10"},"jitter":1.5,"kind":"cron",'
        '"start":"2026-06-01T12:30:00.123456+00:00","timezone":"Europe/Oslo"}',
    ),
    (
        CronTrigger(
            year="2026-2030", month="jan,jul", week="*/2", day="1st mon,last", hour=1, minute=2, second=3, timezone=OSLO
        ),
        '{"fields":{"day":"1st mon,last","hour":"1","minute":"2","month":"jan,jul","second":"3","week":"*/2",'
        '"year":"2026-2030"},"kind":"cron","timezone":"Europe/Oslo"}',
    ),
    (CronTrigger(timezone=OSLO), '{"fields":{"second":"*"},"kind":"cron","timezone":"Europe/Oslo"}'),
    (CronTrigger(year="*", timezone=OSLO), '{"fields":{"year":"*"},"kind":"cron","timezone":"Europe/Oslo"}'),
    (
        CalendarIntervalTrigger(weeks=2, hour=9, minute=30, start_date=date(2026, 6, 1), timezone=OSLO),
        '{"at":"09:30:00","kind":"calendar","start":"2026-06-01","timezone":"Europe/Oslo","weeks":2}',
    ),
    (
        CalendarIntervalTrigger(
            years=1, months=2, days=3, start_date=date(2026, 6, 1), end_date=date(2040, 1, 1), timezone=UTC, jitter=5
        ),
        '{"at":"00:00:00","days":3,"end":"2040-01-01","jitter":5,"kind":"calendar","months":2,"start":"2026-06-01",'
        '"timezone":"UTC","years":1}',
    ),
    (CronTrigger(month=5, day="*", timezone=UTC), '{"fields":{"day":"*","month":"5"},"kind":"cron","timezone":"UTC"}'),
    (
        OrTrigger([CronTrigger(hour=4, timezone=OSLO), DateTrigger(START)], jitter=5),
        '{"jitter":5,"kind":"or","of":[{"fields":{"hour":"4"},"kind":"cron","timezone":"Europe/Oslo"},'
        '{"at":"2026-06-01T12:30:00.123456+00:00","kind":"date","timezone":"UTC"}]}',
    ),
    (
        OrTrigger([
            CalendarIntervalTrigger(weeks=2, start_date=date(2026, 6, 1), timezone=UTC),
            AndTrigger([
                CronTrigger(minute="*/10", timezone=UTC),
                OrTrigger([IntervalTrigger(minutes=20, start_date=datetime(2026, 6, 1, tzinfo=UTC), timezone=UTC)]),
            ]),
        ]),
        '{"kind":"or","of":[{"at":"00:00:00","kind":"calendar","start":"2026-06-01","timezone":"UTC","weeks":2},'
        '{"kind":"and","of":[{"fields":{"minute":"*/10"},"kind":"cron","timezone":"UTC"},{"kind":"or","of":['
        '{"kind":"interval","seconds":1200,"start":"2026-06-01T00:00:00+00:00","timezone":"UTC"}]}]}]}',
    ),
]  # fmt: skip


@pytest.mark.parametrize(("trigger", "text"), TRIGGERS, ids=lambda value: str(value)[:40])
def test_a_trigger_is_written_as_plain_json_and_read_back_to_the_same_text(trigger: BaseTrigger, text: str) -> None:
    assert encode_trigger(trigger) == text
    assert type(decode_trigger(text)) is type(trigger)
    assert encode_trigger(decode_trigger(text)) == text


def state(trigger: BaseTrigger) -> dict[str, object]:
    """Return all that APScheduler would pickle, with the fields of a cron trigger as their compiled expressions."""
    found = {**trigger.__getstate__(), "str": None}
    if "triggers" in found:
        found["triggers"] = [(type(child).__name__, state(child)) for child in trigger.triggers]  # type: ignore[attr-defined]
    if "fields" in found:
        found["fields"] = [(field.name, str(field), repr(field.expressions)) for field in found["fields"]]
    return found


@pytest.mark.parametrize("trigger", [trigger for trigger, _ in TRIGGERS], ids=str)
def test_a_trigger_that_was_read_back_has_the_whole_state_of_the_one_written(trigger: BaseTrigger) -> None:
    assert state(decode_trigger(encode_trigger(trigger))) == state(trigger)


@pytest.mark.parametrize(
    "trigger",
    [trigger for trigger, _ in TRIGGERS if not getattr(trigger, "jitter", None) and type(trigger) is not DateTrigger],
    ids=str,
)
def test_a_trigger_that_was_read_back_fires_at_the_same_instants(trigger: BaseTrigger) -> None:
    back, now = decode_trigger(encode_trigger(trigger)), START
    for _ in range(50):
        expected = trigger.get_next_fire_time(None, now)
        assert back.get_next_fire_time(None, now) == expected
        if expected is None:
            break
        assert expected.utcoffset() == back.get_next_fire_time(None, now).utcoffset()
        now = expected + timedelta(microseconds=1)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (CronTrigger(hour=4, timezone=UTC), CronTrigger(hour="4", minute="00", second=0, timezone=ZoneInfo("UTC"))),
        (CronTrigger(hour=4, timezone=OSLO), CronTrigger(year="*", month="*", day="*", hour=4, timezone=OSLO)),
        (CronTrigger(day_of_week="MON", timezone=OSLO), CronTrigger(day_of_week="mon", timezone=OSLO, jitter=0)),
        (
            IntervalTrigger(minutes=1, start_date=START, timezone=OSLO),
            IntervalTrigger(seconds=60, start_date=START.astimezone(OSLO), timezone=OSLO, jitter=0),
        ),
        (DateTrigger(START), DateTrigger(START.astimezone(timezone(timedelta(0), "zero")))),
        (
            OrTrigger([CronTrigger(hour=4, timezone=UTC)], jitter=0),
            OrTrigger((CronTrigger(hour="4", minute=0, timezone=UTC, jitter=0),)),
        ),
    ],
)
def test_triggers_that_behave_alike_have_one_text(one: BaseTrigger, other: BaseTrigger) -> None:
    assert encode_trigger(one) == encode_trigger(other)


class NamedZone(tzinfo):
    """A zone as pytz makes them: with its IANA name as `zone`."""

    zone = "Europe/Oslo"

    def utcoffset(self, at: datetime | None) -> timedelta:
        return timedelta(hours=1)

    def dst(self, at: datetime | None) -> timedelta:
        return timedelta(0)

    def tzname(self, at: datetime | None) -> str:
        return "CET"


class NamelessZone(NamedZone):
    """A zone that tells nothing but its offsets."""

    zone = property()  # type: ignore[assignment]

    def __repr__(self) -> str:
        return "NamelessZone()"


def test_a_pytz_zone_is_stored_by_its_iana_name() -> None:
    trigger = DateTrigger(datetime(2026, 1, 1, tzinfo=NamedZone()))
    assert json.loads(encode_trigger(trigger))["timezone"] == "Europe/Oslo"


class Hourly(CronTrigger):
    """A person's own trigger: what it does is in its code, which is not stored."""


class Either(OrTrigger):
    """A person's own combination."""


INTERVAL = IntervalTrigger(seconds=60, start_date=START, timezone=UTC)
UNSUPPORTED = (
    "only APScheduler's own DateTrigger, IntervalTrigger, CalendarIntervalTrigger and CronTrigger, and its AndTrigger"
    " and OrTrigger of these, can be kept as data. Use one of them."
)
OF_NONE = "it combines no triggers. Give it a list of some: {}([CronTrigger(hour=4), ...])."
OWN_JITTER = "it has a jitter of its own, and only that of the whole combination counts."
NO_NAME = "it has neither an IANA name nor a fixed offset. Use ZoneInfo('Europe/Oslo')."


@pytest.mark.parametrize(
    ("trigger", "sentence"),
    [
        (Either([INTERVAL]), f"The trigger Either cannot be stored: {UNSUPPORTED}"),
        (AndTrigger([]), f"The trigger AndTrigger cannot be stored: {OF_NONE.format('AndTrigger')}"),
        (OrTrigger({}), f"The trigger OrTrigger cannot be stored: {OF_NONE.format('OrTrigger')}"),
        (OrTrigger([INTERVAL] * 21), "The trigger OrTrigger cannot be stored: it combines more than 20 triggers."),
        (
            AndTrigger([OrTrigger([INTERVAL] * 7)] * 3),
            "The trigger AndTrigger cannot be stored: it combines more than 20 triggers.",
        ),
        (
            OrTrigger([AndTrigger([OrTrigger([AndTrigger([INTERVAL])])])]),
            "The trigger AndTrigger, number 1 of an OrTrigger, number 1 of an AndTrigger, number 1 of an OrTrigger,"
            " cannot be stored: more than 3 combinations are within each other.",
        ),
        (
            OrTrigger([INTERVAL, Hourly(minute=0, timezone=OSLO)]),
            f"The trigger Hourly, number 2 of an OrTrigger, cannot be stored: {UNSUPPORTED}",
        ),
        (AndTrigger(["cron"]), f"The trigger str, number 1 of an AndTrigger, cannot be stored: {UNSUPPORTED}"),
        (
            AndTrigger([CronTrigger(hour=4, timezone=NamelessZone())]),
            f"The trigger in the time zone NamelessZone(), number 1 of an AndTrigger, cannot be stored: {NO_NAME}",
        ),
        (
            AndTrigger([INTERVAL, OrTrigger([CronTrigger(hour=4, timezone=UTC, jitter=7)])]),
            f"The trigger CronTrigger, number 1 of an OrTrigger, number 2 of an AndTrigger, cannot be stored:"
            f" {OWN_JITTER} Give the outermost one jitter=7.",
        ),
        (
            AndTrigger([OrTrigger([INTERVAL], jitter=7)]),
            f"The trigger OrTrigger, number 1 of an AndTrigger, cannot be stored: {OWN_JITTER} Give the outermost one"
            " jitter=7.",
        ),
        (
            AndTrigger([INTERVAL], jitter=-7),
            "The trigger AndTrigger cannot be stored: its jitter is -7, but must be a number of seconds from 0"
            " to 31622400.",
        ),
        (
            CalendarIntervalTrigger(months=-1, days=40, start_date=date(2026, 6, 1), timezone=OSLO),
            "The trigger CalendarIntervalTrigger cannot be stored: its months is -1, but must be a whole number from 0"
            " to 100000.",
        ),
        (Hourly(minute=0, timezone=OSLO), f"The trigger Hourly cannot be stored: {UNSUPPORTED}"),
        ("cron", f"The trigger str cannot be stored: {UNSUPPORTED}"),
        (
            IntervalTrigger(seconds=-5, start_date=START, timezone=UTC),
            "The trigger IntervalTrigger cannot be stored: its interval is -5 seconds, but must be more than 0.",
        ),
        (
            CronTrigger(hour=4, timezone=OSLO, jitter=-1),
            "The trigger CronTrigger cannot be stored: its jitter is -1,"
            " but must be a number of seconds from 0 to 31622400.",
        ),
        (
            CronTrigger(hour=4, minute=",".join(["1"] * 6000), timezone=OSLO),
            "The trigger CronTrigger cannot be stored: it is longer than 10000 characters.",
        ),
        (
            CronTrigger(hour=4, timezone=NamelessZone()),
            f"The trigger in the time zone NamelessZone() cannot be stored: {NO_NAME}",
        ),
        (
            CronTrigger(hour=4, timezone=timezone(timedelta(microseconds=1))),
            "The trigger in the time zone datetime.timezone(datetime.timedelta(microseconds=1)) cannot be stored:"
            " its offset has parts of a second.",
        ),
    ],
    ids=lambda value: str(value)[:30],
)
def test_a_trigger_that_could_not_be_read_back_is_refused(trigger: BaseTrigger, sentence: str) -> None:
    with pytest.raises(TriggerError) as refused:
        encode_trigger(trigger)
    assert str(refused.value) == sentence


def test_a_zone_whose_name_no_other_machine_knows_is_refused() -> None:
    with importlib.resources.files("tzdata").joinpath("zoneinfo/Europe/Oslo").open("rb") as file:
        local = ZoneInfo.from_file(file, key="My/Own")
    with pytest.raises(TriggerError, match="it has neither an IANA name nor a fixed offset"):
        encode_trigger(CronTrigger(hour=4, timezone=local))


CALENDAR = '{"at":"09:30:00","kind":"calendar","start":"2026-06-01","timezone":"Europe/Oslo","weeks":2}'
CRON = '{"fields":{"hour":"4"},"kind":"cron","timezone":"UTC"}'


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "it is not JSON"),
        ("{", "it is not JSON"),
        ("[" * 9000, "it is not JSON"),
        ("cos\nsystem\n(S'true'\ntR.", "it is not JSON"),
        ("[]", "it is not a JSON object"),
        ("{}", "its kind is none of date, interval, cron, calendar, and, or"),
        ('{"kind":["cron"]}', "its kind is none of date, interval, cron, calendar, and, or"),
        ('{"kind":"os:system"}', "its kind is none of date, interval, cron, calendar, and, or"),
        ('{"kind":"cron","timezone":"UTC"}', "its fields are not an object of texts"),
        ('{"kind":"cron","fields":{},"timezone":"UTC"}', "its fields are not an object of texts"),
        ('{"kind":"cron","fields":{"hour":4},"timezone":"UTC"}', "its fields are not an object of texts"),
        ('{"kind":"cron","fields":{"jitter":"4"},"timezone":"UTC"}', "it has an unknown field 'jitter'"),
        (
            '{"kind":"cron","fields":{"hour":"25"},"timezone":"UTC"}',
            "Error validating expression '25': the last value (25) is higher than the maximum value (23)",
        ),
        (CRON.replace('"UTC"', "null"), "its timezone is not a text"),
        (CRON.replace("UTC", "Mars/Olympus"), "its time zone 'Mars/Olympus' is not known on this machine"),
        (CRON.replace("UTC", "../../etc/passwd"), "its time zone '../../etc/passwd' is not known on this machine"),
        (CRON.replace("UTC", "Europe"), "its time zone 'Europe' is not known on this machine"),
        (CRON.replace("UTC", ""), "its time zone '' is not known on this machine"),
        (CRON.replace("}", ',"run":"os:system"}', 1), "it has an unknown field 'run'"),
        (CRON[:-1] + ',"func":"os:system"}', "it has an unknown part 'func'"),
        (CRON[:-1] + ',"jitter":true}', "its jitter is not a number from 0.000001 to 3.16224e+07"),
        (CRON[:-1] + ',"start":"yesterday"}', "its start is not an ISO 8601 time"),
        (CRON[:-1] + ',"end":7}', "its end is not an ISO 8601 time"),
        (CRON[:-1] + ',"end":"2026-06-01T00:00:00"}', "its end has no UTC offset"),
        ('{"kind":"interval","seconds":5,"timezone":"UTC"}', "its start is missing"),
        ('{"kind":"interval","seconds":0}', "its seconds is not a number from 0.000001 to 8.64e+13"),
        ('{"kind":"interval","seconds":NaN}', "its seconds is not a number from 0.000001 to 8.64e+13"),
        ('{"kind":"interval","seconds":1e400}', "its seconds is not a number from 0.000001 to 8.64e+13"),
        ('{"kind":"date","timezone":"UTC"}', "its at is not an ISO 8601 time"),
        (CALENDAR.replace("09:30:00", "9.30"), "its at is not in the form of ISO 8601"),
        (CALENDAR.replace("09:30:00", "09:30:00+01:00"), "its at is not a time of the day in whole seconds"),
        (CALENDAR.replace('"start":"2026-06-01",', ""), "its start is missing"),
        (CALENDAR.replace("2026-06-01", "June"), "its start is not in the form of ISO 8601"),
        (CALENDAR.replace('"weeks":2', '"weeks":-2'), "its weeks is not a whole number from 0 to 100000"),
        (CALENDAR.replace(',"weeks":2', ""), "interval must be at least 1 day long"),
        ('{"kind":"or"}', "it combines no list of triggers"),
        ('{"kind":"and","of":[]}', "it combines no list of triggers"),
        ('{"kind":"or","of":{"kind":"cron"}}', "it combines no list of triggers"),
        ('{"kind":"or","of":["cron"]}', "what it combines is no JSON object"),
        (f'{{"kind":"or","of":[{CRON}],"func":"os:system"}}', "it has an unknown part 'func'"),
        (f'{{"kind":"or","of":[{CRON[:-1]},"func":"os:system"}}]}}', "it has an unknown part 'func'"),
        (f'{{"kind":"or","of":[{CRON}],"jitter":0}}', "its jitter is not a number from 0.000001 to 3.16224e+07"),
        (
            f'{{"kind":"and","of":[{CRON[:-1]},"jitter":7}}]}}',
            "a trigger in it: it has a jitter of its own, and only that of the whole combination counts",
        ),
        (f'{{"kind":"or","of":[{",".join([CRON] * 21)}]}}', "it combines more than 20 triggers"),
        ('{"kind":"or","of":[' * 4 + CRON + "]}" * 4, "more than 3 combinations are within each other"),
        ('{"kind":"or","of":[' * 99 + CRON + "]}" * 99, "more than 3 combinations are within each other"),
        ('{"kind":"date","timezone":"+99:00","at":"2026-06-01T00:00:00Z"}', None),
        ('{"kind":"date","timezone":"-05:00","at":"0001-01-01T00:00:00Z"}', "date value out of range"),
    ],
    ids=lambda value: str(value)[:50],
)
def test_a_stored_text_that_is_malformed_is_refused_in_words(text: str, reason: str | None) -> None:
    with pytest.raises(MalformedTriggerError) as refused:
        decode_trigger(text)
    shown = text if len(text) <= 80 else text[:79] + "…"
    head, tail = f"The stored trigger {shown!r} cannot be read: ", " Declare the schedule again, or remove it."
    if reason is not None:
        assert str(refused.value) == f"{head}{reason}.{tail}"
    assert str(refused.value).startswith(head)


def test_a_stored_text_without_end_is_refused_before_it_is_read() -> None:
    with pytest.raises(MalformedTriggerError, match="it is not text of at most 10000 characters"):
        decode_trigger(CRON + " " * 10_000)
    with pytest.raises(MalformedTriggerError, match="it is not text of at most 10000 characters"):
        decode_trigger(None)  # type: ignore[arg-type]
