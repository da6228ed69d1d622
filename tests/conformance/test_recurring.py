"""What a person says of schedules: catch-up, overlap, start and end, pause, change in place, orphans; by the client."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from threading import Barrier, Thread
from typing import Any

import pytest
from apscheduler.events import EVENT_JOB_MISSED
from apscheduler.triggers.base import BaseTrigger
from apscheduler.triggers.calendarinterval import CalendarIntervalTrigger
from apscheduler.triggers.combining import AndTrigger, OrTrigger
from apscheduler.triggers.cron import CronTrigger
from apscheduler.triggers.date import DateTrigger
from apscheduler.triggers.interval import IntervalTrigger

from scheduler_app import logs, task
from scheduler_app.client import Calls, Client, Limits, Recurring, declaration_of
from scheduler_app.client.recurring import signed_parts
from scheduler_app.errors import (
    CronError,
    IntervalError,
    NaiveDatetimeError,
    NeverFiresError,
    NeverMeetError,
    OptionError,
    ScheduleConflictError,
    ScheduleNameError,
    ScheduleNotFoundError,
    SchedulerError,
    TimezoneError,
    TriggerError,
)
from scheduler_app.jobs import JobState
from scheduler_app.loop import DurableJobStore
from scheduler_app.loop.events import Announcer
from scheduler_app.schedules import Schedule, decode_trigger, encode_trigger
from scheduler_app.store import Store, schedules
from scheduler_app.tasks import ModuleRule, TaskRegistry
from tests.conformance.cranked import (
    SIGNER,
    START,
    ManualClock,
    Process,
    fetch,
    forge,
    job_of,
    jobs_of,
    schedule_named,
)

MINUTE = timedelta(minutes=1)


@task
def report(kind: str = "daily") -> None:
    raise AssertionError("nothing runs here")


def calls() -> Calls:
    return Calls(TaskRegistry(ModuleRule(("tests",))), lambda: SIGNER, None, 65_536)


@pytest.fixture
def client(store: Store) -> Client:
    return Client(store, calls(), Limits(1e9, 100, 100, 30.0), lambda _seconds: None)


@pytest.fixture
def say(store: Store, clock: ManualClock) -> Callable[..., str]:
    """Store a schedule as `schedule_every`, `schedule_cron` or `schedule_on` does."""
    recurring = Recurring(store, calls(), UTC)

    def upsert(name: str = "s", declared: bool = False, args: tuple[Any, ...] = (), **given: Any) -> str:
        when = {key: given.pop(key) for key in ("cron", "every", "on", "timezone") if key in given}
        when = when or {"every": {"minutes": 1}}
        return recurring.upsert(declaration_of(report, given, name=name, args=args, **when), declared=declared)

    return upsert


def standing(store: Store, name: str = "s") -> Schedule:
    found = schedule_named(store, name)
    assert found is not None
    return found


def minutes(*times: datetime | None) -> list[float]:
    return [(at - START) / MINUTE for at in times if at is not None]


def fired(store: Store, name: str = "s") -> list[float]:
    """Return the fire times of a schedule's jobs in minutes after START."""
    return minutes(*(job.fire_time for job in jobs_of(store, standing(store, name))))


def run_all(process: Process) -> list[float]:
    """Run what is due until nothing is; return how many ran at once, each time."""
    at_once = []
    for _ in range(300):
        process.turn()
        running = process.executor.running()
        if not running:
            if process.loop._flight.has_unwritten() or process.turn().fired or process.executor.running():
                continue
            return at_once
        at_once.append(len(running))
        for claim in running:
            process.end(claim)
    raise AssertionError("it never ends")


# -- catch-up ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "expected", "at_once"),
    [
        ({}, [10], 1),
        ({"catch_up": "latest"}, [10], 1),
        ({"catch_up": "none"}, [], 0),
        ({"catch_up": "all"}, [*range(1, 11)], 1),
        ({"catch_up": "all", "overlap": "queue"}, [*range(1, 11)], 1),
        ({"catch_up": "all", "overlap": "allow"}, [*range(1, 11)], 10),
    ],
    ids=str,
)
def test_after_a_downtime_of_ten_fire_times(
    options: dict[str, str],
    expected: list[float],
    at_once: int,
    store: Store,
    clock: ManualClock,
    process: Process,
    say: Callable[..., str],
) -> None:
    say(**options)
    clock.advance(10 * 60 + 31)
    ran = run_all(process)
    assert fired(store) == expected
    assert max(ran, default=0) == at_once
    assert minutes(standing(store).next_run_time) == [11]
    clock.advance(29)
    process.turn()
    assert fired(store) == [*expected, 11]


def test_all_makes_up_for_the_newest_hundred_and_tells_of_the_others(
    store: Store, clock: ManualClock, process: Process, say: Callable[..., str]
) -> None:
    say(catch_up="all", overlap="allow")
    clock.advance(150 * 60 + 31)
    [told] = process.turn().fired
    assert fired(store) == list(range(51, 151))
    [(first, reason)] = told.missed
    assert minutes(first) == [1]
    assert reason.startswith("more than 100 were missed")


def test_what_is_passed_over_is_in_the_log_and_told_to_apschedulers_listeners(
    store: Store, clock: ManualClock, process: Process, say: Callable[..., str], caplog: pytest.LogCaptureFixture
) -> None:
    logs.connect()
    events: list[Any] = []
    announcer = Announcer(events.append, lambda: True, lambda _ids: {})
    announcer.at_once = True
    say("all", catch_up="all", overlap="allow")
    say("none", catch_up="none")
    clock.advance(150 * 60 + 31)
    with caplog.at_level("WARNING", "scheduler_app"):
        announcer.tell(process.turn())
    lines = sorted(record.getMessage() for record in caplog.records)
    assert lines == [
        "schedule skipped name='all' fire_time=2026-03-01T12:01:00+00:00: more than 100 were missed, so that it and all"
        " others before 2026-03-01T12:51:00+00:00 emit no job",
        "schedule skipped name='none' fire_time=2026-03-01T14:30:00+00:00: nobody fired it in time, and its catch-up is"
        " 'none'",
    ]
    missed = [(event.job_id, event.scheduled_run_time) for event in events if event.code == EVENT_JOB_MISSED]
    assert sorted(missed) == [("all", START + MINUTE), ("none", START + 150 * MINUTE)]


def test_none_tells_of_what_it_passes_over(
    store: Store, clock: ManualClock, process: Process, say: Callable[..., str]
) -> None:
    say(catch_up="none")
    clock.advance(10 * 60 + 31)
    [told] = process.turn().fired
    assert (told.emitted, told.skipped) == ((), ())
    assert told.missed == ((START + 10 * MINUTE, "nobody fired it in time, and its catch-up is 'none'"),)


# -- overlap -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("overlap", "during", "afterwards"),
    [("skip", [1], [1]), ("allow", [1, 2, 3], [1, 2, 3]), ("queue", [1], [1, 2, 3])],
)
def test_fire_times_that_come_while_an_earlier_job_runs_anywhere(
    overlap: str,
    during: list[float],
    afterwards: list[float],
    store: Store,
    clock: ManualClock,
    make_process: Callable[..., Process],
    say: Callable[..., str],
) -> None:
    say(overlap=overlap)
    one, other = make_process(), make_process()
    clock.advance(60)
    one.turn()
    first = one.claim_one()
    for _ in range(2):
        clock.advance(60)
        other.turn()
    assert fired(store) == during
    one.finish(first)
    for _ in range(5):
        other.turn()
        for claim in other.executor.running():
            other.finish(claim)
    assert fired(store) == afterwards
    clock.advance(60)
    one.turn()
    assert fired(store) == [*afterwards, 4]


def test_a_job_that_only_waits_counts_as_unfinished_too(
    store: Store, clock: ManualClock, make_process: Callable[..., Process], say: Callable[..., str]
) -> None:
    say()
    nowhere = make_process(queues=())
    for _ in range(3):
        clock.advance(60)
        nowhere.turn()
    assert fired(store) == [1]


def test_a_schedule_that_waits_for_its_own_job_keeps_no_other_back(
    store: Store, clock: ManualClock, make_process: Callable[..., Process], say: Callable[..., str]
) -> None:
    say("waits", overlap="queue")
    say("other", every={"minutes": 5})
    process = make_process(queues=())
    clock.advance(60)
    process.turn()
    clock.advance(239.5)
    process.turn()
    assert process.turn().fired == []
    assert process.wait == 0.5
    clock.advance(0.5)
    process.turn()
    assert (fired(store, "waits"), fired(store, "other")) == ([1], [5])


def test_what_waits_in_line_is_not_forgotten_when_the_job_before_it_is_cancelled(
    store: Store, clock: ManualClock, make_process: Callable[..., Process], say: Callable[..., str], client: Client
) -> None:
    say(overlap="queue")
    process = make_process(queues=())
    clock.advance(60)
    process.turn()
    clock.advance(150)
    process.turn()
    [first] = jobs_of(store, standing(store))
    client.cancel(first.id)
    process.turn()
    assert fired(store) == [1, 2]


def test_apschedulers_own_words_take_the_place_of_ours_and_others_keep_them(
    store: Store, say: Callable[..., str]
) -> None:
    say(catch_up="none", overlap="queue")
    registry = TaskRegistry(ModuleRule(("tests",)))
    jobstore = DurableJobStore.over(store, SIGNER, registry, max_payload_bytes=10_000, check_queue=lambda _queue: None)
    jobstore.start(None, "default")
    for words, rules in [
        ({"misfire_grace_time": 60}, ("none", "queue", True, 1)),
        ({"coalesce": False}, (None, "queue", False, 1)),
        ({"max_instances": 4}, (None, None, False, 4)),
    ]:
        aps_job = jobstore.lookup_job("s")
        assert aps_job is not None
        for name, value in words.items():
            setattr(aps_job, name, value)
        jobstore.update_job(aps_job)
        found = standing(store)
        assert (found.catch_up, found.overlap, found.coalesce, found.max_instances) == rules


# -- one job per fire time, whichever process wins -------------------------------------------------------


def test_many_loops_with_many_schedules_emit_each_fire_time_once(
    store: Store, clock: ManualClock, make_process: Callable[..., Process], say: Callable[..., str]
) -> None:
    overlaps, catch_ups = ("allow", "queue", "skip"), ("latest", "all", "none")
    names = [f"s{n}" for n in range(36)]
    for n, name in enumerate(names):
        say(name, overlap=overlaps[n % 3], catch_up=catch_ups[n // 3 % 3], every={"minutes": 1 + n % 2})
    processes = [make_process(queues=()) for _ in range(4)]
    for _ in range(4):
        clock.advance(60)
        barrier = Barrier(len(processes))
        threads = [Thread(target=turns, args=(process, barrier)) for process in processes]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
    for n, name in enumerate(names):
        expected = [2, 4] if n % 2 else [1, 2, 3, 4]
        assert fired(store, name) == (expected if overlaps[n % 3] == "allow" else expected[:1]), name
    total = fetch(store, "SELECT count(*) FROM scheduler_jobs")[0][0]
    different = fetch(
        store, "SELECT count(*) FROM (SELECT DISTINCT schedule_uid, generation, fire_time FROM scheduler_jobs) AS d"
    )[0][0]
    assert total == different


def turns(process: Process, barrier: Barrier) -> None:
    barrier.wait()
    for _ in range(3):
        while True:
            try:
                process.turn()
                break
            except Exception as error:
                assert process.store.may_pass(error), error  # noqa: PT017 - the error decides whether to go on


# -- start, end, jitter, triggers ------------------------------------------------------------------------


def test_it_fires_from_its_start_to_its_end_and_is_gone(
    store: Store, clock: ManualClock, process: Process, say: Callable[..., str]
) -> None:
    say(start=START + 5 * MINUTE, end=START + 7 * MINUTE, overlap="allow")
    assert minutes(standing(store).next_run_time) == [5]
    uid = standing(store).uid
    for _ in range(9):
        clock.advance(60)
        process.turn()
        process.turn()
    assert schedule_named(store, "s") is None
    rows = fetch(store, "SELECT id FROM scheduler_jobs WHERE schedule_uid = :uid ORDER BY fire_time", uid=uid)
    assert minutes(*(job_of(store, row.id).fire_time for row in rows)) == [5, 6, 7]


def test_a_start_and_an_end_without_a_zone_are_in_the_schedules_own(store: Store, say: Callable[..., str]) -> None:
    naive = {"start": datetime(2026, 7, 1), "end": datetime(2026, 7, 2)}
    say(cron="0 8 * * *", timezone="Europe/Oslo", **naive)
    trigger = decode_trigger(standing(store).trigger)
    assert trigger.start_date.isoformat() == "2026-07-01T00:00:00+02:00"
    assert trigger.end_date.isoformat() == "2026-07-02T00:00:00+02:00"
    assert standing(store).next_run_time == datetime(2026, 7, 1, 6, tzinfo=UTC)
    unsaid = Recurring(store, calls(), UTC, configured=False)
    with pytest.raises(NaiveDatetimeError):
        unsaid.upsert(declaration_of(report, {"start": datetime(2026, 7, 1)}, name="n", cron="@daily"))


def test_jitter_delays_and_never_hurries(
    store: Store, clock: ManualClock, process: Process, say: Callable[..., str]
) -> None:
    say(jitter=30, overlap="allow")
    for minute in range(1, 6):
        [at] = minutes(standing(store).next_run_time)
        assert minute <= at <= minute + 0.5
        clock.advance((START + at * MINUTE - clock.now()).total_seconds() + 0.001)
        process.turn()
    assert len(fired(store)) == 5


@pytest.mark.parametrize(
    ("trigger", "expected"),
    [
        (CronTrigger(minute="*/2", timezone=UTC), [0, 2, 4]),
        (IntervalTrigger(minutes=3, start_date=START + MINUTE, timezone=UTC), [1, 4]),
        (DateTrigger(START + 3 * MINUTE), [3]),
        (CalendarIntervalTrigger(days=1, hour=12, minute=4, start_date=START.date(), timezone=UTC), [4]),
    ],
    ids=str,
)
def test_apschedulers_own_triggers(
    trigger: BaseTrigger,
    expected: list[float],
    store: Store,
    clock: ManualClock,
    process: Process,
    say: Callable[..., str],
) -> None:
    say(on=trigger, overlap="allow")
    uid = standing(store).uid
    for _ in range(5):
        clock.advance(60)
        process.turn()
    rows = fetch(store, "SELECT id FROM scheduler_jobs WHERE schedule_uid = :uid ORDER BY fire_time", uid=uid)
    assert minutes(*(job_of(store, row.id).fire_time for row in rows)) == expected


def test_each_kind_of_trigger_is_stored_read_back_previewed_and_fires_once(
    store: Store, clock: ManualClock, process: Process, client: Client, say: Callable[..., str]
) -> None:
    night, minutely = CronTrigger(hour=12, minute=2, timezone=UTC), CronTrigger(minute="*", timezone=UTC)
    each = {
        "date": DateTrigger(START + 2 * MINUTE),
        "interval": IntervalTrigger(hours=1, start_date=START + 2 * MINUTE, timezone=UTC),
        "cron": night,
        "calendar": CalendarIntervalTrigger(weeks=2, hour=12, minute=2, start_date=START.date(), timezone=UTC),
        "or": OrTrigger([night, AndTrigger([minutely, DateTrigger(START + 2 * MINUTE)]), DateTrigger(START - MINUTE)]),
        "and": AndTrigger([night, OrTrigger([minutely, IntervalTrigger(hours=1, start_date=START, timezone=UTC)])]),
    }
    for name, trigger in each.items():
        say(name, on=trigger)
        assert encode_trigger(decode_trigger(standing(store, name).trigger)) == encode_trigger(trigger)
        previewed = [one.fire_time - START for one in client.preview(name, 2)]
        assert previewed[0] == 2 * MINUTE
        assert name == "date" or previewed[1] >= timedelta(hours=1)
    clock.advance(119)
    assert process.turn().fired == []
    for _ in range(3):
        clock.advance(60)
        process.turn()
    rows = fetch(store, "SELECT id FROM scheduler_jobs")
    assert [job_of(store, row.id).fire_time for row in rows] == [START + 2 * MINUTE] * len(each)


def test_triggers_that_never_meet_are_refused_or_pause_the_schedule_when_it_comes_to_that(
    store: Store, clock: ManualClock, process: Process, say: Callable[..., str]
) -> None:
    even, odd = CronTrigger(second="*/2", timezone=UTC), CronTrigger(second="1-59/2", timezone=UTC)
    with pytest.raises(NeverMeetError, match="no instant at which all its triggers fire was found"):
        say(on=AndTrigger([even, odd]))
    assert store.read(schedules.every) == []
    once = DateTrigger(START + MINUTE)
    say(on=AndTrigger([OrTrigger([even, once]), OrTrigger([odd, once])]))
    assert minutes(standing(store).next_run_time) == [1]
    clock.advance(60)
    (fired_one,) = process.turn().fired
    assert fired_one.paused is not None
    assert standing(store).next_run_time is None
    assert "its trigger raised NeverMeetError: The trigger AndTrigger cannot fire" in (standing(store).error or "")


def test_an_interval_trigger_that_was_made_anew_is_the_same_one(
    store: Store, clock: ManualClock, say: Callable[..., str]
) -> None:
    say(on=IntervalTrigger(hours=1, timezone=UTC))
    before = standing(store)
    say(on=IntervalTrigger(hours=1, timezone=UTC))
    assert standing(store) == before
    say(on=IntervalTrigger(hours=1, start_date=START + timedelta(hours=5), timezone=UTC))
    assert standing(store).next_run_time == START + timedelta(hours=5)
    for _ in range(2):
        say("either", on=OrTrigger([IntervalTrigger(hours=1, timezone=UTC), CronTrigger(hour=4, timezone=UTC)]))
        clock.advance(1)
    assert standing(store, "either").created_at == START
    assert standing(store, "either").generation == 0
    say("fortnight", on=CalendarIntervalTrigger(weeks=2, timezone=UTC))
    before = standing(store, "fortnight")
    say("fortnight", on=CalendarIntervalTrigger(weeks=2, timezone=UTC))
    assert standing(store, "fortnight") == before


# -- what is refused -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "error", "words"),
    [
        ({"key": "k"}, OptionError, "The schedule's key=...: its jobs are unique by the schedule and the fire time"),
        ({"catch_up": "latests"}, OptionError, "'latest', 'all', 'none', not 'latests'. Did you mean 'latest'?"),
        ({"catch_up": True}, OptionError, "The schedule's catch_up=...: it must be one of"),
        ({"overlap": "wait"}, OptionError, "'skip', 'allow', 'queue', not 'wait'."),
        ({"catchup": "all"}, OptionError, "there is no such option. Did you mean 'catch_up'?"),
        ({"jitter": -1}, OptionError, "it must be seconds from 0 to"),
        ({"jitter": float("nan")}, OptionError, "it must be seconds from 0 to"),
        ({"start": "tomorrow"}, OptionError, "it must be a datetime, not 'tomorrow'"),
        ({"start": START + MINUTE, "end": START}, OptionError, "is before its start"),
        ({"end": START}, NeverFiresError, "The schedule 's' would never fire"),
        ({"cron": "0 0 30 2 *"}, CronError, "it never fires"),
        ({"cron": "@daily", "timezone": "Europe/Olso"}, TimezoneError, "no time zone"),
        ({"every": {"minutes": 0}}, IntervalError, "it is 0 seconds"),
        ({"name": ""}, ScheduleNameError, "non-empty"),
        ({"on": "cron"}, TriggerError, "it is no trigger of APScheduler"),
        ({"on": AndTrigger([])}, TriggerError, "AndTrigger cannot be stored: it combines no triggers"),
        ({"on": CronTrigger(hour=1, timezone=UTC), "jitter": 3}, OptionError, "the CronTrigger says that itself"),
        ({"on": CronTrigger(hour=1, timezone=UTC), "timezone": "UTC"}, OptionError, "says that itself"),
        ({"session": "of the app"}, OptionError, ""),
        ({"even_on_error": True}, OptionError, "only after_response takes this"),
    ],
    ids=str,
)
def test_what_cannot_be_is_refused_in_words_and_nothing_is_stored(
    said: dict[str, Any], error: type[SchedulerError], words: str, store: Store, say: Callable[..., str]
) -> None:
    with pytest.raises(error) as refused:
        say(**said)
    assert words in str(refused.value)
    assert store.read(schedules.every) == []


# -- change in place, pause, remove ----------------------------------------------------------------------


def test_its_jobs_are_missed_when_they_are_later_than_it_allows(
    store: Store, clock: ManualClock, process: Process, say: Callable[..., str]
) -> None:
    say(max_lateness=20.5)
    clock.advance(60 + 25)
    process.turn()
    assert [job.state for job in jobs_of(store, standing(store))] == ["scheduled"]
    process.turn()
    assert [job.state for job in jobs_of(store, standing(store))] == ["missed"]
    say(max_lateness=None)
    assert standing(store).misfire_grace_time is None


@pytest.mark.parametrize(
    "changed",
    [
        {"catch_up": "all"},
        {"catch_up": "none"},
        {"overlap": "allow"},
        {"overlap": "queue"},
        {"jitter": 5},
        {"end": START + timedelta(days=9)},
        {"start": START + timedelta(days=9)},
    ],
    ids=str,
)
def test_a_change_is_made_in_place_and_a_word_that_is_said_again_changes_nothing(
    changed: dict[str, Any], store: Store, clock: ManualClock, say: Callable[..., str]
) -> None:
    say()
    before = standing(store)
    clock.advance(10)
    say(**changed)
    after = standing(store)
    assert (after.uid, after.created_at) == (before.uid, before.created_at)
    assert after != before
    assert SIGNER.verify(after.signature, *signed_parts(after)) == "valid"
    clock.advance(10)
    say(**changed)
    assert standing(store) == after


def test_a_paused_schedule_that_is_changed_stays_paused(
    store: Store, clock: ManualClock, client: Client, say: Callable[..., str]
) -> None:
    say()
    client.pause_schedule("s")
    say(every={"minutes": 2})
    assert standing(store).next_run_time is None
    clock.advance(600)
    assert client.resume_schedule("s").next_run_time == START + 10 * MINUTE


def test_what_a_pause_passed_over_is_not_made_up_for(
    store: Store, clock: ManualClock, process: Process, client: Client, say: Callable[..., str]
) -> None:
    say(catch_up="all", overlap="allow")
    assert client.pause_schedule("s").next_run_time is None
    assert client.pause_schedule("s").next_run_time is None
    clock.advance(600.5)
    process.turn()
    generation = standing(store).generation
    resumed = client.resume_schedule("s")
    assert (minutes(resumed.next_run_time), resumed.generation) == ([11], generation + 1)
    assert client.resume_schedule("s") == resumed
    clock.advance(60)
    process.turn()
    assert fired(store) == [11]


def test_a_schedule_that_is_broken_is_resumed_only_when_it_is_mended(
    store: Store, clock: ManualClock, process: Process, client: Client, say: Callable[..., str]
) -> None:
    say()
    forge(store, "UPDATE scheduler_schedules SET payload = '{}'")
    clock.advance(60)
    process.turn()
    [remark] = client.remarks(client.schedule("s"))
    assert remark == "It is paused, because its signature is forged."
    for verb in (client.resume_schedule, client.run_schedule_now):
        with pytest.raises(ScheduleConflictError):
            verb("s")
    say(every={"minutes": 2})
    assert client.schedule("s").error is None
    assert client.schedule("s").next_run_time is not None


def test_run_now_emits_one_job_more_and_leaves_the_next_fire_time(
    store: Store, clock: ManualClock, process: Process, client: Client, say: Callable[..., str]
) -> None:
    say(args=("weekly",), tags=["t"])
    clock.advance(20)
    emitted = client.run_schedule_now("s")
    assert (emitted.fire_time, emitted.run_at, emitted.tags) == (clock.now(), clock.now(), ("t",))
    assert minutes(standing(store).next_run_time) == [1]
    assert process.claim_one().id == emitted.id
    clock.advance(40)
    process.turn()
    assert len(jobs_of(store, standing(store))) == 1
    client.pause_schedule("s")
    assert client.run_schedule_now("s").state is JobState.SCHEDULED


def test_removing_leaves_its_jobs(
    store: Store, clock: ManualClock, process: Process, client: Client, say: Callable[..., str]
) -> None:
    say()
    emitted = client.run_schedule_now("s")
    client.remove_schedule("s")
    assert process.claim_one().id == emitted.id
    verbs: list[Callable[[str], object]] = [
        client.remove_schedule, client.pause_schedule, client.resume_schedule, client.run_schedule_now,
        client.schedule, client.preview,
    ]  # fmt: skip
    for verb in verbs:
        with pytest.raises(ScheduleNotFoundError, match="There is no schedule 's'"):
            verb("s")


def test_the_preview_begins_with_what_is_stored(
    store: Store, clock: ManualClock, client: Client, say: Callable[..., str]
) -> None:
    say(cron="30 2 * * *", timezone="Europe/Berlin")
    clock.advance(26 * 86_400)
    assert [f"{one.fire_time:%m-%d %H:%M} {one.change}" for one in client.preview("s", 4)][1:] == [
        "03-28 02:30 None",
        "03-29 03:00 gap",
        "03-30 02:30 None",
    ]
    for count in (0, 1001):
        with pytest.raises(ValueError, match="from 1 to 1,000"):
            client.preview("s", count)


# -- orphans ---------------------------------------------------------------------------------------------


def test_an_orphan_is_told_in_a_sentence_and_fires_until_a_person_removes_it(
    store: Store, clock: ManualClock, process: Process, client: Client
) -> None:
    recurring = Recurring(store, calls(), UTC)
    kept, dropped = (declaration_of(report, {}, every={"minutes": 1}, name=name) for name in ("kept", "dropped"))
    recurring.reconcile([kept, dropped])
    assert [client.remarks(one) for one in client.schedules()] == [(), ()]
    recurring.reconcile([kept])
    remarks = {one.name: client.remarks(one) for one in client.schedules()}
    since = "It is orphaned: since 2026-03-01 12:00:00 UTC the code does not declare it any more."
    assert remarks == {"kept": (), "dropped": (f"{since} It fires until it is removed.",)}
    clock.advance(60)
    process.turn()
    assert fired(store, "dropped") == [1]
    recurring.reconcile([kept])
    assert client.schedule("dropped").orphaned_at == START
    client.remove_schedule("dropped")
    assert [one.name for one in client.schedules()] == ["kept"]


def test_a_schedule_whose_task_no_process_knows_is_told_of(
    store: Store, client: Client, say: Callable[..., str]
) -> None:
    say()
    forge(store, "UPDATE scheduler_schedules SET task = 'shop:gone'")
    assert client.remarks(client.schedule("s")) == (
        "No known process has its task, 'shop:gone': its jobs would wait, and then be put aside.",
    )


def test_a_schedule_that_waits_for_its_own_job_is_told_of(
    store: Store, clock: ManualClock, make_process: Callable[..., Process], client: Client, say: Callable[..., str]
) -> None:
    say(overlap="queue")
    process = make_process(queues=())
    clock.advance(60)
    process.turn()
    clock.advance(90)
    assert client.remarks(client.schedule("s")) == ("It is due, and waits for an earlier job of its own to end.",)


def test_a_declared_schedule_whose_end_has_passed_is_left_out_and_keeps_no_other_back(
    store: Store, clock: ManualClock, process: Process
) -> None:
    recurring = Recurring(store, calls(), UTC)
    ending = declaration_of(report, {"end": START + MINUTE}, every={"minutes": 1}, name="ending")
    lasting = declaration_of(report, {}, every={"minutes": 1}, name="lasting")
    recurring.reconcile([ending, lasting])
    assert {one.name for one in store.read(schedules.every)} == {"ending", "lasting"}
    clock.advance(61)
    process.turn()
    recurring.reconcile([ending, lasting])
    assert [one.name for one in store.read(schedules.every)] == ["lasting"]
    shortened = declaration_of(report, {"end": START}, every={"minutes": 1}, name="lasting")
    recurring.reconcile([shortened])
    assert standing(store, "lasting").orphaned_at == clock.now()
