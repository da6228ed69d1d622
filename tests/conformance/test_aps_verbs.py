"""APScheduler's verbs through `scheduler.aps`: replacing, waiting calls, exports, events in their order, processes."""

from __future__ import annotations

import base64
import io
import json
import pickle
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from enum import Enum
from pathlib import Path
from typing import Any

import pytest
from apscheduler import events
from apscheduler.jobstores.base import ConflictingIdError, JobLookupError
from apscheduler.jobstores.sqlalchemy import SQLAlchemyJobStore
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.combining import AndTrigger, OrTrigger
from apscheduler.triggers.cron import CronTrigger
from apscheduler.triggers.date import DateTrigger
from apscheduler.triggers.interval import IntervalTrigger
from flask import Flask

from scheduler_app import schedule_after, schedule_now
from scheduler_app.client import Client
from scheduler_app.errors import JobImportError, OnceOnlyError, UnknownExecutorError
from scheduler_app.extension import Parts
from scheduler_app.jobs import JobState
from scheduler_app.loop import DurableScheduler
from scheduler_app.schedules import encode_trigger
from tests.conformance.sides import until

ran: list[Any] = []
opened = threading.Event()
HOUR = timedelta(hours=1)
HERE = __name__


@pytest.fixture(autouse=True)
def _fresh() -> Iterator[None]:
    ran.clear()
    opened.clear()
    yield
    opened.set()


def note(*what: Any) -> None:
    ran.append(what)


def other(*what: Any) -> None:
    ran.append(("other", *what))


def hold(name: str) -> None:
    ran.append(name)
    assert opened.wait(30)


def fail() -> None:
    raise ZeroDivisionError("broken")


class Mailer:
    def send(self, to: str) -> None:
        ran.append(("sent", to))


class Colour(Enum):
    RED = 1


mailer = Mailer()


@pytest.fixture
def app(make_app: Callable[..., Flask]) -> Iterator[Flask]:
    app = make_app()
    with app.app_context():
        yield app


@pytest.fixture
def aps(app: Flask) -> DurableScheduler:
    return parts_of(app).aps


@pytest.fixture
def client(app: Flask) -> Client:
    return parts_of(app).client


def parts_of(app: Flask) -> Parts:
    parts: Parts = app.extensions["scheduler"]
    return parts


def in_an_hour() -> datetime:
    return datetime.now(UTC).replace(microsecond=0) + HOUR


def found(aps: DurableScheduler, job_id: str) -> Any:
    job = aps.get_job(job_id)
    assert job is not None
    return job


# -- replacing what stands ------------------------------------------------------------------------------------


def nightly(aps: DurableScheduler, **changes: Any) -> Any:
    """Add a job as an app does each time that it starts."""
    options = {"trigger": "interval", "hours": 3, "id": "x", "args": ["same"], "replace_existing": True} | changes
    return aps.add_job(options.pop("func", note), options.pop("trigger"), **options)


def test_a_job_that_is_added_again_unchanged_keeps_its_time(aps: DurableScheduler, client: Client) -> None:
    aps.start()
    first = nightly(aps)
    combined = nightly(aps, id="either", trigger=either())
    before = client.schedules()
    assert nightly(aps).next_run_time == first.next_run_time
    assert nightly(aps, id="either", trigger=either()).next_run_time == combined.next_run_time
    assert client.schedules() == before
    assert [type(one) for one in found(aps, "either").trigger.triggers] == [IntervalTrigger, CronTrigger]


def either() -> OrTrigger:
    """Return triggers as an app makes them anew each time that it starts: one counts from then."""
    return OrTrigger([IntervalTrigger(hours=3), CronTrigger(hour=4, timezone="Europe/Oslo")])


@pytest.mark.parametrize("trigger", [{"trigger": "cron", "hour": 4}, {"trigger": "date"}, {}], ids=str)
def test_a_job_that_is_added_again_unchanged_stays_paused(trigger: dict[str, Any], aps: DurableScheduler) -> None:
    options: dict[str, Any] = {"trigger": "interval", "hours": 3} if not trigger else dict(trigger)
    if options["trigger"] == "date":
        options["run_date"] = in_an_hour()
    aps.start()
    aps.add_job(note, id="x", replace_existing=True, **options)
    aps.pause_job("x")
    again = aps.add_job(note, id="x", replace_existing=True, **options)
    assert (again.next_run_time, found(aps, "x").next_run_time) == (None, None)


@pytest.mark.parametrize(
    "change",
    [
        {"args": ["another"]},
        {"hours": 2},
        {"start_date": datetime(2040, 1, 1, tzinfo=UTC)},
        {"name": "Another"},
        {"max_instances": 2},
        {"coalesce": False},
        {"misfire_grace_time": 9},
        {"func": other},
    ],
    ids=lambda change: next(iter(change)),
)
def test_a_job_that_is_added_again_otherwise_is_changed_and_runs(
    change: dict[str, Any], aps: DurableScheduler, client: Client
) -> None:
    aps.start()
    nightly(aps)
    aps.pause_job("x")
    nightly(aps, **change)
    [one] = client.schedules()
    assert one.next_run_time is not None


def test_a_time_that_is_given_counts_also_where_nothing_else_changed(aps: DurableScheduler) -> None:
    aps.start()
    nightly(aps)
    at = in_an_hour()
    nightly(aps, next_run_time=at)
    assert found(aps, "x").next_run_time == at
    nightly(aps, next_run_time=None)
    assert found(aps, "x").next_run_time is None


def test_many_processes_that_add_one_job_at_once_make_one(make_app: Callable[..., Flask]) -> None:
    apps = [make_app() for _ in range(4)]
    schedulers = [parts_of(app).aps for app in apps]
    for scheduler in schedulers:
        scheduler.start()
    barrier, errors = threading.Barrier(len(apps)), []

    def add(scheduler: DurableScheduler) -> None:
        barrier.wait()
        try:
            nightly(scheduler)
        except Exception as error:  # told below
            errors.append(error)

    threads = [threading.Thread(target=add, args=(scheduler,)) for scheduler in schedulers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert errors == []
    [one] = parts_of(apps[0]).client.schedules()
    assert {found(scheduler, "x").next_run_time for scheduler in schedulers} == {one.next_run_time}


def test_a_job_added_before_each_start_keeps_its_time_over_restarts(aps: DurableScheduler, client: Client) -> None:
    times = set()
    for _ in range(3):
        nightly(aps)
        aps.start()
        until(aps.is_idle)
        times.add(found(aps, "x").next_run_time)
        aps.shutdown()
    assert len(times) == 1


# -- before it is stored --------------------------------------------------------------------------------------


def test_a_job_added_before_the_start_can_be_seen_changed_and_removed_all_along(
    aps: DurableScheduler, client: Client
) -> None:
    for name in ("a", "b", "c"):
        aps.add_job(note, "interval", hours=1, id=name, args=[name])
    aps.remove_job("b")
    aps.modify_job("c", args=["changed"])
    aps.start()
    assert {job.id for job in aps.get_jobs()} == {"a", "c"}
    assert found(aps, "c").args in (["changed"], ("changed",))
    until(lambda: [one.name for one in client.schedules()] == ["a", "c"])
    assert tuple(found(aps, "c").args) == ("changed",)
    assert len(aps.get_jobs()) == 2


def test_what_is_added_after_the_start_meets_what_waits_to_be_stored_as_if_that_were(
    aps: DurableScheduler, client: Client
) -> None:
    aps.add_job(note, "interval", hours=1, id="a", args=["first"])
    aps.add_job(note, "interval", hours=1, id="b", args=["first"])
    with aps._jobstores_lock:  # nothing is stored meanwhile
        aps.start()
        with pytest.raises(ConflictingIdError):
            aps.add_job(note, "interval", hours=2, id="a", args=["second"])
        aps.add_job(note, "interval", hours=2, id="b", args=["second"], replace_existing=True)
        assert sorted(job.id for job in aps.get_jobs()) == ["a", "b"]
    until(lambda: [one.name for one in client.schedules()] == ["a", "b"])
    until(aps.is_idle)
    assert [tuple(found(aps, name).args) for name in "ab"] == [("first",), ("second",)]


def test_a_job_that_waits_to_replace_a_stored_one_is_listed_in_its_stead(aps: DurableScheduler) -> None:
    aps.start()
    aps.add_job(note, "interval", hours=1, id="a", args=["stored"])
    aps.shutdown()
    aps.add_job(note, "interval", hours=2, id="a", args=["new"], replace_existing=True)
    with aps._jobstores_lock:
        aps.start()
        assert [(job.id, tuple(job.args)) for job in aps.get_jobs()] == [("a", ("new",))]
    until(aps.is_idle)
    assert [(job.id, tuple(job.args)) for job in aps.get_jobs()] == [("a", ("new",))]


# -- waiting calls --------------------------------------------------------------------------------------------


def test_a_waiting_call_obeys_every_verb(aps: DurableScheduler, client: Client) -> None:
    aps.start()
    call = schedule_after(3600, note, 1)
    assert [job.id for job in aps.get_jobs()] == [call.id]
    aps.pause_job(call.id)
    assert client.get(call.id).state is JobState.PAUSED
    aps.resume_job(call.id)
    assert (client.get(call.id).state, client.get(call.id).run_at) == (JobState.SCHEDULED, call.run_at)
    aps.modify_job(call.id, args=[2])
    with pytest.raises(OnceOnlyError):
        aps.reschedule_job(call.id, trigger="interval", hours=1)
    found(aps, call.id).reschedule("date", run_date=datetime.now(UTC))
    until(lambda: ran == [(2,)])
    until(lambda: client.get(call.id).state is JobState.SUCCEEDED)
    with pytest.raises(JobLookupError):
        aps.remove_job(call.id)


def test_a_waiting_call_is_removed(aps: DurableScheduler, client: Client) -> None:
    aps.start()
    call = schedule_after(3600, note)
    found(aps, call.id).remove()
    assert client.get(call.id).state is JobState.CANCELLED


def test_all_are_removed_and_none_runs(aps: DurableScheduler, client: Client) -> None:
    aps.start(paused=True)
    until(lambda: aps.turned_at > 0)
    aps.add_job(note, "date", id="x")
    calls = [schedule_now(note), schedule_after(3600, note)]
    aps.remove_all_jobs()
    aps.resume()
    handle = schedule_now(note, "the one after")
    until(lambda: client.get(handle.id).finished)
    assert ran == [("the one after",)]
    assert {client.get(call.id).state for call in calls} == {JobState.CANCELLED}


def test_jobs_are_printed(aps: DurableScheduler, client: Client) -> None:
    out = io.StringIO()
    aps.add_job(note, "interval", hours=1, id="x", name="The X")
    aps.print_jobs(out=out)
    assert out.getvalue() == "Pending jobs:\n    The X (trigger: interval[1:00:00], pending)\n"
    aps.start()
    until(client.schedules)
    call = schedule_after(7200, note)
    aps.pause_job("x")
    out = io.StringIO()
    aps.print_jobs(out=out)
    when = f"{call.run_at:%Y-%m-%d %H:%M:%S} UTC"
    assert out.getvalue() == (
        f"Jobstore default:\n    {HERE}:note (trigger: date[{when}], next run at: {when})\n"
        "    The X (trigger: interval[1:00:00], paused)\n"
    )


# -- add_job's arguments ----------------------------------------------------------------------------------------


def test_a_path_as_text_runs_what_it_leads_to(aps: DurableScheduler) -> None:
    aps.start()
    aps.add_job(f"{HERE}:mailer.send", "date", args=["someone"], id="x")
    until(lambda: ran == [("sent", "someone")])


def test_an_executor_that_is_not_there_is_refused_in_words(make_app: Callable[..., Flask]) -> None:
    app = make_app(SCHEDULER_QUEUES=["default", "mails"])
    with app.app_context():
        aps = parts_of(app).aps
        aps.start()
        with pytest.raises(UnknownExecutorError) as caught:
            aps.add_job(note, "interval", hours=1, executor="mial")
        assert str(caught.value) == (
            "There is no executor 'mial'; SCHEDULER_EXECUTORS and SCHEDULER_QUEUES have 'default', 'mails'."
            " Did you mean 'mails'?"
        )
        aps.add_job(note, "interval", hours=1, executor="mails", id="x")
        with pytest.raises(UnknownExecutorError):
            aps.modify_job("x", executor="nowhere")
        assert [job.id for job in aps.get_jobs()] == ["x"]


def test_defaults_are_ours_or_as_configured(aps: DurableScheduler) -> None:
    aps.start()
    job = aps.add_job(note, "interval", hours=1)
    assert (job.misfire_grace_time, job.coalesce, job.max_instances) == (None, True, 1)


def test_the_decorator_adds_and_replaces(aps: DurableScheduler) -> None:
    aps.start()
    for _ in range(2):
        assert aps.scheduled_job("cron", id="x", hour=5)(note) is note
    assert [str(job.trigger) for job in aps.get_jobs()] == ["cron[hour='5']"]


# -- misfires, coalescing and instances, across processes ---------------------------------------------------


def test_a_fire_time_that_is_too_late_is_missed_and_told(aps: DurableScheduler, client: Client) -> None:
    heard: list[Any] = []
    aps.add_listener(heard.append, events.EVENT_JOB_MISSED)
    aps.start()
    at = datetime.now(UTC).replace(microsecond=0) - HOUR
    aps.add_job(note, "date", run_date=at, id="late", misfire_grace_time=60)
    aps.add_job(note, "date", run_date=at, id="however late", args=["runs"])
    until(lambda: heard and ran)
    assert [(one.job_id, one.scheduled_run_time) for one in heard] == [("late", at)]
    assert ran == [("runs",)]
    [missed] = client.list(states=[JobState.MISSED])
    assert str(missed.error).endswith(" s late, and its max_lateness is 60 s")


@pytest.mark.parametrize(("coalesce", "count"), [(True, 1), (False, 4)])
def test_fire_times_that_piled_up_run_once_or_each(coalesce: bool, count: int, aps: DurableScheduler) -> None:
    aps.start()
    start = datetime.now(UTC) - 3 * HOUR - timedelta(minutes=30)
    aps.add_job(
        note, IntervalTrigger(hours=1, start_date=start), id="x", next_run_time=start, coalesce=coalesce,
        max_instances=10,
    )  # fmt: skip
    until(lambda: len(ran) == count and aps.is_idle())
    assert found(aps, "x").next_run_time == start + 4 * HOUR


def test_one_instance_at_a_time_counts_over_processes(make_app: Callable[..., Flask]) -> None:
    skipped: list[Any] = []
    apps = [make_app(), make_app()]
    schedulers = [parts_of(app).aps for app in apps]
    for scheduler in schedulers:
        scheduler.add_listener(skipped.append, events.EVENT_JOB_MAX_INSTANCES)
        scheduler.start()
    schedulers[0].add_job(hold, "interval", seconds=1, args=["one"], id="x", next_run_time=datetime.now(UTC))
    until(lambda: len(skipped) >= 2)
    assert ran == ["one"]
    assert {event.job_id for event in skipped} == {"x"}
    opened.set()


def test_a_fire_time_is_one_run_whichever_process_wins_and_each_is_told_by_its_id(
    make_app: Callable[..., Flask],
) -> None:
    heard: list[Any] = []
    schedulers = [parts_of(make_app()).aps for _ in range(3)]
    for scheduler in schedulers:
        scheduler.add_listener(heard.append, events.EVENT_JOB_SUBMITTED | events.EVENT_JOB_EXECUTED)
        scheduler.start()
    names = [f"job {number}" for number in range(20)]
    for number, name in enumerate(names):
        schedulers[number % 3].add_job(note, "date", args=[name], id=name)
    until(lambda: len(heard) >= 40)
    assert sorted(ran) == sorted((name,) for name in names)
    assert sorted(event.job_id for event in heard) == sorted(2 * names)


# -- events -----------------------------------------------------------------------------------------------------

OLD_NAMES = ("EVENT_ALL", "EVENT_SCHEDULER_START")
NAMES = {getattr(events, name): name for name in vars(events) if name.startswith("EVENT_") and name not in OLD_NAMES}


def named(event: Any) -> str:
    return " ".join([NAMES[event.code].removeprefix("EVENT_"), *([event.job_id] if hasattr(event, "job_id") else [])])


def test_a_whole_life_is_told_in_order(aps: DurableScheduler, client: Client) -> None:
    heard: list[str] = []
    aps.add_listener(lambda event: heard.append(named(event)))
    aps.start()
    aps.pause()
    aps.resume()
    aps.add_job(note, "date", id="x")
    until(lambda: "JOB_EXECUTED x" in heard)
    aps.add_job(fail, "date", id="bad")
    until(lambda: "JOB_ERROR bad" in heard)
    aps.add_job(note, "interval", hours=1, id="y")
    aps.modify_job("y", args=[1])
    aps.remove_job("y")
    aps.remove_all_jobs()
    aps.shutdown()
    assert heard == [
        "SCHEDULER_STARTED", "SCHEDULER_PAUSED", "SCHEDULER_RESUMED",
        "JOB_ADDED x", "JOB_REMOVED x", "JOB_SUBMITTED x", "JOB_EXECUTED x",
        "JOB_ADDED bad", "JOB_REMOVED bad", "JOB_SUBMITTED bad", "JOB_ERROR bad",
        "JOB_ADDED y", "JOB_MODIFIED y", "JOB_REMOVED y", "ALL_JOBS_REMOVED", "SCHEDULER_SHUTDOWN",
    ]  # fmt: skip


def test_a_job_is_told_as_added_before_it_is_told_as_submitted(aps: DurableScheduler, client: Client) -> None:
    """Also where whoever adds it is slow to say so, and its turn is over by then."""
    heard: list[str] = []
    aps.add_listener(lambda event: heard.append(named(event)))
    aps.start()
    store = aps._jobstores["default"]
    add_job = store.add_job

    def slowly(job: Any) -> None:
        add_job(job)
        until(lambda: ran)

    store.add_job = slowly
    aps.add_job(note, "date", id="x")
    until(lambda: "JOB_EXECUTED x" in heard)
    assert next(what for what in heard if what.endswith(" x")) == "JOB_ADDED x"


def test_a_listener_may_add_jobs_and_look_at_them(aps: DurableScheduler) -> None:
    def follow(event: Any) -> None:
        if event.job_id == "first":
            aps.add_job(note, "date", args=[len(aps.get_jobs())], id="second")

    aps.add_listener(follow, events.EVENT_JOB_EXECUTED)
    aps.start()
    aps.add_job(note, "date", id="first")
    until(lambda: ran == [(), (0,)])


def test_the_end_is_told_last_after_the_ends_of_what_ran(aps: DurableScheduler) -> None:
    heard: list[str] = []
    aps.add_listener(lambda event: heard.append(named(event)))
    aps.start()
    for number in range(5):
        aps.add_job(hold, "date", args=[number], id=str(number))
    until(lambda: len(ran) == 5)
    ending = threading.Thread(target=aps.shutdown)
    ending.start()
    until(lambda: aps._turn.draining)
    opened.set()
    ending.join(30)
    assert sorted(heard[-6:-1]) == [f"JOB_EXECUTED {number}" for number in range(5)]
    assert heard[-1] == "SCHEDULER_SHUTDOWN"


# -- shutting down, starting again ------------------------------------------------------------------------------


def test_jobs_may_add_and_remove_jobs_while_it_shuts_down_and_nothing_is_lost(
    aps: DurableScheduler, app: Flask, client: Client
) -> None:
    aps.start()
    aps.add_job(note, "interval", hours=1, id="old")
    for number in range(5):
        schedule_now(hold_then_add, number)
    until(lambda: len(ran) == 5)
    ending = threading.Thread(target=aps.shutdown)
    ending.start()
    until(lambda: aps._turn.draining)
    opened.set()
    ending.join(30)
    assert not ending.is_alive()
    assert {one.name for one in client.schedules()} == {f"added {number}" for number in range(5)}
    assert len(client.list(states=[JobState.SUCCEEDED])) == 5
    assert len(client.list(states=[JobState.SCHEDULED])) == 5
    aps.start()
    until(lambda: sorted(one for one in ran if isinstance(one, tuple)) == [(number,) for number in range(5)])


def hold_then_add(number: int) -> None:
    from flask import current_app

    ran.append(number)
    assert opened.wait(30)
    aps = parts_of(current_app).aps
    aps.add_job(other, "interval", hours=1, id=f"added {number}")
    if number == 0:
        aps.remove_job("old")
    schedule_now(note, number)


def test_it_may_be_paused_and_resumed_and_started_again_many_times(aps: DurableScheduler, client: Client) -> None:
    for number in range(3):
        aps.start(paused=True)
        until(lambda: aps.turned_at > 0)
        aps.add_job(note, "date", args=[number], id=f"job {number}")
        aps.resume()
        until(lambda number=number: len(ran) == number + 1)  # type: ignore[misc]
        aps.pause()
        aps.shutdown()
    assert ran == [(0,), (1,), (2,)]
    assert aps.get_jobs() == []


# -- exports and imports ------------------------------------------------------------------------------------


def exported(aps: BackgroundScheduler) -> str:
    out = io.StringIO()
    aps.export_jobs(out)
    return out.getvalue()


def test_what_is_exported_is_imported(aps: DurableScheduler, client: Client, make_app: Callable[..., Flask]) -> None:
    aps.start()
    aps.add_job(note, "cron", hour=5, id="cron", args=[1, datetime(2030, 1, 1, tzinfo=UTC)], name="Each night")
    aps.add_job(note, "interval", minutes=7, id="interval", misfire_grace_time=5, coalesce=False, max_instances=2)
    aps.add_job(note, "date", run_date=in_an_hour(), id="date", timezone="Europe/Oslo")
    aps.add_job(f"{HERE}:mailer.send", "interval", hours=1, id="method", args=["someone"])
    aps.pause_job("interval")
    call = schedule_after(3600, note, "a call")
    before = facts_of(aps)
    text = exported(aps)
    aps.remove_all_jobs()
    aps.import_jobs(io.StringIO(text))
    assert facts_of(aps) == before
    assert {one.name for one in client.schedules()} == {"cron", "interval", "date", "method", call.id}


def facts_of(aps: DurableScheduler) -> list[Any]:
    names = ("id", "name", "func", "kwargs", "executor", "misfire_grace_time", "coalesce", "max_instances",
             "next_run_time")  # fmt: skip
    return [(*(getattr(job, name) for name in names), tuple(job.args), str(job.trigger)) for job in aps.get_jobs()]


@pytest.fixture
def stock(tmp_path: Path) -> Iterator[BackgroundScheduler]:
    scheduler = BackgroundScheduler(
        jobstores={"default": SQLAlchemyJobStore(f"sqlite:///{tmp_path / 'stock.sqlite3'}")}, timezone="Europe/Oslo"
    )
    scheduler.start(paused=True)
    yield scheduler
    scheduler.shutdown()


def test_the_jobs_of_a_stock_scheduler_are_imported_and_run(
    stock: BackgroundScheduler, aps: DurableScheduler, tmp_path: Path
) -> None:
    stock.add_job(note, CronTrigger.from_crontab("5 4 * * 1-5"), id="cron", args=[Colour.RED, {1, 2}], jitter=None)
    stock.add_job(note, "interval", minutes=7, id="interval", kwargs={})
    weekend = [
        CronTrigger(hour="8-17"),
        OrTrigger([CronTrigger(day_of_week="sat,sun", hour=9), DateTrigger(datetime(2040, 1, 1, 9, tzinfo=UTC))]),
    ]
    stock.add_job(note, AndTrigger(weekend, jitter=9), id="and")
    stock.add_job(note, "date", run_date=datetime.now(UTC), args=["due"], id="due", misfire_grace_time=600)
    path = tmp_path / "jobs.json"
    stock.export_jobs(path)
    stock.remove_job("due")
    theirs = {job.id: (job.next_run_time, encode_trigger(job.trigger), tuple(job.args)) for job in stock.get_jobs()}
    aps.start()
    aps.import_jobs(path)
    until(lambda: ran == [("due",)])
    until(lambda: aps.get_job("due") is None)
    assert {
        job.id: (job.next_run_time, encode_trigger(job.trigger), tuple(job.args)) for job in aps.get_jobs()
    } == theirs


def test_an_import_takes_all_or_none_and_lists_every_problem(
    stock: BackgroundScheduler, aps: DurableScheduler, client: Client
) -> None:
    stock.add_job(note, "interval", hours=1, id="good")
    stock.add_job(mailer.send, "interval", hours=1, id="method", args=["someone"])
    stock.add_job(note, "interval", hours=1, id="object", args=[mailer])
    stock.add_job(note, OrTrigger([IntervalTrigger(hours=1), IntervalTrigger(hours=2, jitter=9)]), id="or")
    stock.add_job(print, "interval", hours=1, id="foreign")
    stock.add_job(note, "interval", hours=1, id="executor", executor="default")
    aps.start()
    with pytest.raises(JobImportError) as caught:
        aps.import_jobs(io.StringIO(exported(stock)))
    problems = {problem.split("'")[1]: problem for problem in caught.value.problems}
    assert set(problems) == {"method", "object"}
    assert f"it holds a {HERE}.Mailer, which is not read from a pickle" in problems["object"]
    assert aps.get_jobs() == []
    for bad in ("method", "object"):
        stock.remove_job(bad)
    with pytest.raises(JobImportError) as caught:
        aps.import_jobs(io.StringIO(exported(stock)))
    problems = {problem.split("'")[1]: problem for problem in caught.value.problems}
    assert set(problems) == {"or", "foreign"}
    assert "The trigger IntervalTrigger, number 2 of an OrTrigger, cannot be stored: it has a jitter" in problems["or"]
    assert "The task 'builtins:print' is not known here" in problems["foreign"]
    assert aps.get_jobs() == []
    for bad in ("or", "foreign"):
        stock.remove_job(bad)
    text = exported(stock)
    aps.import_jobs(io.StringIO(text))
    assert {job.id for job in aps.get_jobs()} == {"good", "executor"}
    with pytest.raises(ConflictingIdError):
        aps.import_jobs(io.StringIO(text))


class _Evil:
    def __reduce__(self) -> Any:
        return ran.append, ("executed",)

    def __setstate__(self, state: Any) -> None:
        ran.append(("executed", state))


class _Named(CronTrigger):
    """Pickled within a combination, it is imported by its name."""

    def __setstate__(self, state: Any) -> None:
        ran.append(("executed", state))


def test_an_import_executes_nothing(aps: DurableScheduler) -> None:
    aps.start()
    aps.add_job(note, "interval", hours=1, id="x", args=["what it was"])
    text = exported(aps)
    aps.remove_job("x")
    evil = base64.b64encode(pickle.dumps(_Evil())).decode()
    system = base64.b64encode(b"cos\nsystem\n(S'touch executed'\ntR.").decode()
    getattr_ = base64.b64encode(pickle.dumps(Path("x").joinpath)).decode()
    combined = base64.b64encode(pickle.dumps(OrTrigger([_Named(hour=4)]))).decode()
    for pickled in (evil, system, getattr_, combined):
        document = json.loads(text)
        document["jobs"][0]["args"] = [{"__apscheduler_pickle__": pickled}]
        with pytest.raises(JobImportError, match=r"which is not read from a pickle|is none of APScheduler's own"):
            aps.import_jobs(io.StringIO(json.dumps(document)))
    for reference in ("subprocess:Popen", "apscheduler.triggers.cron:datetime", f"{HERE}:Mailer"):
        document = json.loads(text)
        document["jobs"][0]["trigger"]["__apscheduler_class__"] = reference
        with pytest.raises(JobImportError):
            aps.import_jobs(io.StringIO(json.dumps(document)))
    for reference in ("subprocess:Popen", f"{HERE}:_Evil", f"{HERE}:_Named", ""):
        document = json.loads(text)
        document["jobs"][0]["trigger"] = {
            "__apscheduler_class__": "apscheduler.triggers.combining:OrTrigger",
            "__apscheduler_state__": {"version": 1, "triggers": [[reference, {"version": 1}]], "jitter": None},
        }
        with pytest.raises(JobImportError, match="is none of APScheduler's own"):
            aps.import_jobs(io.StringIO(json.dumps(document)))
    assert (ran, aps.get_jobs(), Path("executed").exists()) == ([], [], False)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("nonsense", "the file is not JSON"),
        ("[]", "the file is not an export of APScheduler's jobs"),
        ('{"jobs": [], "version": 2}', "the export has version 2; 1 is known"),
        ('{"jobs": [1], "version": 1}', "job 1: it is not a JSON object"),
        ('{"jobs": [{"id": "x"}], "version": 1}', "job 'x': it has no 'func'"),
        ('{"jobs": [{"id": "x", "func": {"__apscheduler_pickle__": "?"}}], "version": 1}', "cannot be read"),
    ],
)
def test_what_is_no_export_is_refused_in_words(text: str, words: str, aps: DurableScheduler) -> None:
    aps.start()
    with pytest.raises(JobImportError, match=words):
        aps.import_jobs(io.StringIO(text))


def test_exports_and_imports_need_a_start(aps: DurableScheduler) -> None:
    with pytest.raises(RuntimeError, match="must have been started"):
        aps.import_jobs(io.StringIO("{}"))
