"""APScheduler's own surface: `add_job` and the rest, listeners, starting, stopping, and a thread that nothing ends."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from apscheduler.events import (
    EVENT_JOB_ADDED,
    EVENT_JOB_ERROR,
    EVENT_JOB_EXECUTED,
    EVENT_JOB_MODIFIED,
    EVENT_JOB_REMOVED,
    EVENT_JOB_SUBMITTED,
    JobEvent,
)
from apscheduler.executors.pool import ThreadPoolExecutor as StockThreads
from apscheduler.jobstores.base import ConflictingIdError, JobLookupError
from apscheduler.schedulers import SchedulerNotRunningError
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.cron import CronTrigger
from apscheduler.triggers.date import DateTrigger
from apscheduler.triggers.interval import IntervalTrigger
from flask import Flask
from sqlalchemy import text

from scheduler_app import Scheduler, schedule_after, schedule_now, signals, task
from scheduler_app.client import Client
from scheduler_app.client.liveness import ALL_PAUSED
from scheduler_app.errors import ForeignPartError
from scheduler_app.executors.threads import ThreadExecutor
from scheduler_app.extension import Parts
from scheduler_app.jobs import Job, JobState
from scheduler_app.loop import DurableScheduler, wakeups
from scheduler_app.schedules import encode_trigger
from scheduler_app.store import Store
from tests.conformance.cranked import lost_reply

DAY = timedelta(days=1)

ran: list[Any] = []
opened = threading.Event()


@pytest.fixture(autouse=True)
def _fresh() -> Iterator[None]:
    ran.clear()
    opened.clear()
    yield
    opened.set()


def note(*what: Any, **more: Any) -> Any:
    ran.append((*what, *more.values()))
    return what[0] if what else None


def hold(name: str) -> str:
    ran.append(name)
    assert opened.wait(30)
    return name


def fail() -> None:
    raise ZeroDivisionError("broken")


@pytest.fixture
def app(make_app: Callable[..., Flask]) -> Iterator[Flask]:
    app = make_app()
    with app.app_context():
        yield app


def parts_of(app: Flask) -> Parts:
    found = app.extensions["scheduler"]
    assert isinstance(found, Parts)
    return found


@pytest.fixture
def aps(app: Flask) -> DurableScheduler:
    return parts_of(app).aps


@pytest.fixture
def client(app: Flask) -> Client:
    return parts_of(app).client


def until(holds: Callable[[], Any], seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.005)


def settled(client: Client, job_id: str) -> Job:
    until(lambda: client.get(job_id).finished)
    return client.get(job_id)


# -- add_job and its kin -----------------------------------------------------------------------------------


def test_it_is_a_background_scheduler(aps: DurableScheduler) -> None:
    assert isinstance(aps, BackgroundScheduler)
    assert not aps.running


@pytest.mark.parametrize(
    ("trigger", "options"),
    [
        ("date", {"run_date": datetime.now(UTC) + DAY}),
        ("interval", {"hours": 3}),
        ("cron", {"hour": 4, "minute": "*/10"}),
        (DateTrigger(datetime.now(UTC) + DAY), {}),
        (IntervalTrigger(minutes=7), {}),
        (CronTrigger.from_crontab("5 4 * * 1"), {}),
    ],
)
def test_a_job_comes_back_as_it_was_added(trigger: Any, options: dict[str, Any], aps: DurableScheduler) -> None:
    aps.start()
    added = aps.add_job(
        note, trigger, args=[1, "two"], kwargs={"at": datetime(2026, 1, 1, tzinfo=UTC)}, id="x", name="The X",
        misfire_grace_time=60, coalesce=False, max_instances=3, **options,
    )  # fmt: skip
    found = aps.get_job("x")
    assert found is not None
    for name in ("id", "name", "args", "kwargs", "misfire_grace_time", "coalesce", "max_instances", "next_run_time"):
        assert getattr(found, name) == getattr(added, name), name
    assert found.func is note
    assert encode_trigger(found.trigger) == encode_trigger(added.trigger)
    assert found.next_run_time is not None


def test_a_date_job_runs_once_and_is_gone(aps: DurableScheduler) -> None:
    aps.start()
    aps.add_job(note, "date", args=["now"], id="once")
    until(lambda: ran == [("now",)])
    until(lambda: aps.get_job("once") is None)


def test_an_interval_job_runs_again_and_again(aps: DurableScheduler) -> None:
    aps.start()
    aps.add_job(note, "interval", seconds=1, args=["tick"], next_run_time=datetime.now(UTC))
    until(lambda: len(ran) >= 2)


def test_jobs_added_before_the_start_are_tentative_and_stored_by_it(aps: DurableScheduler, client: Client) -> None:
    aps.add_job(note, "interval", hours=1, id="early")
    assert [job.id for job in aps.get_jobs()] == ["early"]
    assert [one.name for one in client.schedules()] == []
    aps.start()
    until(lambda: [one.name for one in client.schedules()] == ["early"])
    assert [job.id for job in aps.get_jobs()] == ["early"]


def test_a_second_job_of_an_id_is_refused_unless_it_replaces(aps: DurableScheduler) -> None:
    aps.start()
    aps.add_job(note, "interval", hours=1, id="x")
    with pytest.raises(ConflictingIdError) as caught:
        aps.add_job(note, "interval", hours=2, id="x")
    assert str(caught.value) == "'Job identifier (x) conflicts with an existing job'"
    aps.add_job(note, "interval", hours=2, id="x", replace_existing=True)
    [found] = aps.get_jobs()
    assert found.trigger.interval == timedelta(hours=2)


def test_a_tentative_job_that_conflicts_is_told_and_left_out_and_stops_nothing(
    aps: DurableScheduler, client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    aps.start()
    aps.add_job(note, "interval", hours=1, id="x")
    aps.shutdown()
    aps.add_job(note, "interval", hours=2, id="x")
    aps.add_job(note, "interval", hours=3, id="y")
    aps.start()
    until(lambda: {one.name for one in client.schedules()} == {"x", "y"})
    handle = schedule_now(note, "still running")
    assert settled(client, handle.id).state is JobState.SUCCEEDED
    assert "the job 'x' cannot be stored and is left out" in caplog.text


def test_a_declared_schedule_that_cannot_be_stored_is_told_and_stops_nothing(
    make_app: Callable[..., Flask], caplog: pytest.LogCaptureFixture
) -> None:
    scheduler = Scheduler()
    scheduler.every(hours=1, name="bad", queue="nowhere")(note)
    scheduler.every(hours=1, name="good")(note)
    app = make_app(scheduler, SCHEDULER_QUEUES=["mails"])
    with app.app_context():
        scheduler.start()
        handle = scheduler.schedule_now(note, "still running")
        assert settled(scheduler.client, handle.id).state is JobState.SUCCEEDED
        assert [one.name for one in scheduler.client.schedules()] == ["good"]
    assert "cannot be stored and is left out: There is no queue 'nowhere'" in caplog.text


def test_a_job_is_paused_resumed_modified_rescheduled_and_removed(aps: DurableScheduler) -> None:
    aps.start()
    aps.add_job(note, "interval", hours=1, id="x")
    aps.pause_job("x")
    assert found(aps, "x").next_run_time is None
    aps.resume_job("x")
    assert found(aps, "x").next_run_time is not None
    aps.modify_job("x", args=["changed"], name="Changed")
    assert (found(aps, "x").args, found(aps, "x").name) == (("changed",), "Changed")
    aps.reschedule_job("x", trigger="cron", hour=5)
    assert str(found(aps, "x").trigger) == "cron[hour='5']"
    aps.remove_job("x")
    assert aps.get_job("x") is None
    for verb in (aps.remove_job, aps.pause_job, aps.resume_job):
        with pytest.raises(JobLookupError):
            verb("x")


def found(aps: DurableScheduler, job_id: str) -> Any:
    job = aps.get_job(job_id)
    assert job is not None
    return job


def test_a_job_that_was_given_another_time_runs_then(aps: DurableScheduler) -> None:
    aps.start()
    aps.add_job(note, "interval", hours=1, id="x", args=["sooner"])
    aps.modify_job("x", next_run_time=datetime.now(UTC))
    until(lambda: ran == [("sooner",)])


def test_all_jobs_are_removed_at_once(aps: DurableScheduler) -> None:
    aps.start()
    for hours in (1, 2, 3):
        aps.add_job(note, "interval", hours=hours)
    aps.remove_all_jobs()
    assert aps.get_jobs() == []


def test_a_paused_worker_says_so_and_a_waiting_job_is_explained_by_it(aps: DurableScheduler, client: Client) -> None:
    def state() -> list[str]:
        return [row.state for row in client.workers()]

    aps.start()
    until(lambda: state() == ["running"])
    aps.pause()
    until(lambda: state() == ["paused"])
    handle = schedule_now(note, 1)
    assert "Live workers that serve its queue: 0." in client.explain(handle.id).facts
    assert client.explain(handle.id).remedy == ALL_PAUSED
    aps.resume()
    until(lambda: state() == ["running"])
    assert settled(client, handle.id).state is JobState.SUCCEEDED


def test_a_job_that_stood_in_the_way_of_a_paused_scheduler_runs_when_it_resumes(
    aps: DurableScheduler, client: Client
) -> None:
    aps.start(paused=True)
    handle = schedule_now(note, "later")
    until(lambda: aps.turned_at > 0)
    assert client.get(handle.id).state is JobState.SCHEDULED
    aps.resume()
    assert settled(client, handle.id).state is JobState.SUCCEEDED


def test_what_cannot_be_kept_is_refused_in_words(aps: DurableScheduler) -> None:
    aps.start()
    with pytest.raises(TypeError, match="cannot be scheduled"):
        aps.add_job(lambda: None, "interval", hours=1)
    with pytest.raises(TypeError, match="cannot be stored"):
        aps.add_job(note, "interval", hours=1, args=[object()])
    assert aps.get_jobs() == []


def test_a_configuration_by_someone_else_keeps_our_store_and_executors(aps: DurableScheduler, client: Client) -> None:
    aps.configure(jobstores={"default": {"type": "memory"}}, job_defaults={"coalesce": False})
    aps.start()
    job = aps.add_job(note, "interval", hours=1, id="x")
    assert (job.coalesce, job.misfire_grace_time) == (False, None)
    assert [one.name for one in client.schedules()] == ["x"]


# -- declared schedules under APScheduler's verbs -------------------------------------------------------------


@task(priority="urgent", attempts=4)
def hourly() -> None:
    note("hourly")


def declaring(make_app: Callable[..., Flask]) -> tuple[Scheduler, Flask]:
    scheduler = Scheduler()
    scheduler.every(hours=1, name="hourly", tags=["t"])(hourly)
    return scheduler, make_app(scheduler)


def test_a_declared_schedule_that_was_paused_stays_paused_and_itself_over_a_restart(
    make_app: Callable[..., Flask],
) -> None:
    scheduler, app = declaring(make_app)
    with app.app_context():
        scheduler.start()
        until(scheduler.client.schedules)
        [before] = scheduler.client.schedules()
        scheduler.aps.pause_job("hourly")
        scheduler.shutdown()
    again, app = declaring(make_app)
    with app.app_context():
        again.start()
        until(again.aps.is_idle)
        [after] = again.client.schedules()
    assert after.next_run_time is None
    kept = ("uid", "declared", "tags", "priority", "max_attempts", "signature", "created_at")
    assert [getattr(after, name) for name in kept] == [getattr(before, name) for name in kept]


def test_a_forged_schedule_is_not_signed_anew_by_a_pause_and_a_resume(
    aps: DurableScheduler, app: Flask, caplog: pytest.LogCaptureFixture
) -> None:
    aps.start()
    aps.add_job(note, "interval", hours=1, id="x", args=["mine"])
    forged = 'UPDATE scheduler_schedules SET payload = \'{"a":["theirs"],"k":{}}\''
    parts_of(app).store.write(lambda connection: connection.execute(text(forged)))
    with pytest.raises(JobLookupError):
        aps.pause_job("x")
    assert "Schedule 'x' cannot be shown here and is left alone: its signature is forged" in caplog.text


# -- listeners -----------------------------------------------------------------------------------------------


def test_listeners_hear_of_a_job_in_order_after_the_commit_by_its_id(aps: DurableScheduler, client: Client) -> None:
    heard: list[tuple[str, Any]] = []
    names = {EVENT_JOB_ADDED: "added", EVENT_JOB_SUBMITTED: "submitted", EVENT_JOB_EXECUTED: "executed",
             EVENT_JOB_REMOVED: "removed", EVENT_JOB_ERROR: "error"}  # fmt: skip

    def listen(event: JobEvent) -> None:
        stored = [job.state for job in client.list()]
        heard.append((f"{names[event.code]} {event.job_id}", stored))

    aps.start()
    aps.add_listener(listen, sum(names))
    aps.add_job(note, "date", args=["hi"], id="x")
    until(lambda: len(heard) >= 4)
    assert {what for what, _stored in heard} == {"added x", "removed x", "submitted x", "executed x"}
    order = [what for what, _stored in heard]
    assert order.index("submitted x") < order.index("executed x")
    assert dict(heard)["executed x"] == [JobState.SUCCEEDED]


def test_listeners_get_the_return_value_and_the_error(aps: DurableScheduler) -> None:
    heard: dict[str, Any] = {}
    aps.add_listener(lambda event: heard.setdefault(event.job_id, event), EVENT_JOB_EXECUTED | EVENT_JOB_ERROR)
    aps.start()
    aps.add_job(note, "date", args=[42], id="good")
    aps.add_job(fail, "date", id="bad")
    handle = schedule_now(note, "a call")
    until(lambda: len(heard) == 3)
    assert (heard["good"].retval, heard["good"].exception) == (42, None)
    assert isinstance(heard["bad"].exception, ZeroDivisionError)
    assert "ZeroDivisionError: broken" in heard["bad"].traceback
    assert heard[handle.id].retval == "a call"
    assert heard[handle.id].scheduled_run_time == handle.run_at


def test_a_listener_or_a_receiver_that_raises_stops_nothing(aps: DurableScheduler, client: Client) -> None:
    def rude(*_: Any, **__: Any) -> None:
        raise RuntimeError("rude")

    aps.start()
    aps.add_listener(rude)
    told = [signals.job_scheduled, signals.job_started, signals.job_settled, signals.scheduler_started]
    for signal in told:
        signal.connect(rude)
    try:
        for _ in range(3):
            assert settled(client, schedule_now(note, "on").id).state is JobState.SUCCEEDED
    finally:
        for signal in told:
            signal.disconnect(rude)
    heard: list[Any] = []
    aps.add_listener(heard.append, EVENT_JOB_EXECUTED)
    schedule_now(note, "on")
    until(lambda: heard)


def test_a_listener_hears_of_a_change(aps: DurableScheduler) -> None:
    heard: list[str] = []
    aps.add_listener(lambda event: heard.append(event.job_id), EVENT_JOB_MODIFIED)
    aps.start()
    aps.add_job(note, "interval", hours=1, id="x")
    aps.pause_job("x")
    until(lambda: heard == ["x"])


# -- starting --------------------------------------------------------------------------------------------------


class Gate:
    """A TCP port that can be closed and opened, before a PostgreSQL server."""

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._open = False
        self._pairs: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            if not self._open:
                near.close()
                continue
            far = socket.create_connection(self._target)
            self._pairs += [near, far]
            for one, other in ((near, far), (far, near)):
                threading.Thread(target=self._carry, args=(one, other), daemon=True).start()

    @staticmethod
    def _carry(one: socket.socket, other: socket.socket) -> None:
        try:
            while data := one.recv(65536):
                other.sendall(data)
        except OSError:
            pass
        for side in (one, other):
            try:
                side.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
        one.close()

    def open(self) -> None:
        self._open = True

    def close(self) -> None:
        """Refuse new connections and cut the standing ones."""
        self._open = False
        for side in self._pairs:
            try:
                side.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
        self._pairs.clear()

    def end(self) -> None:
        self.close()
        self._listener.close()


@pytest.fixture
def away(migrated_url: str, tmp_path: Path) -> Iterator[tuple[str, Callable[[], None], Callable[[], None]]]:
    """The URL of a database that is away, and what brings it back and takes it away."""
    if migrated_url.startswith("sqlite"):
        file = Path(migrated_url.removeprefix("sqlite:///"))
        folder = tmp_path / "mount"
        url = f"sqlite:///{folder / 'scheduler.sqlite3'}"
        (tmp_path / "data").mkdir()
        file.rename(tmp_path / "data" / "scheduler.sqlite3")
        folder.write_text("not mounted")  # where a folder should be: nothing can be opened below it

        def back() -> None:
            folder.unlink()
            folder.symlink_to(tmp_path / "data")

        def take_away() -> None:
            folder.unlink()
            folder.write_text("not mounted")

        yield url, back, take_away
    else:
        from sqlalchemy import make_url

        target = make_url(migrated_url)
        gate = Gate(target.host or "127.0.0.1", target.port or 5432)
        url = target.set(host="127.0.0.1", port=gate.port).render_as_string(hide_password=False)
        yield url, gate.open, gate.close
        gate.end()


def test_it_starts_while_the_database_is_away_and_recovers_when_it_is_back(
    away: tuple[str, Callable[[], None], Callable[[], None]], make_app: Callable[..., Flask], migrated_url: str
) -> None:
    url, back, _take_away = away
    app = make_app(SCHEDULER_DATABASE_URL=url, SCHEDULER_CONNECT_TIMEOUT_SECONDS=1)
    parts = parts_of(app)
    failures: list[object] = []
    with signals.scheduler_failed.connected_to(lambda _sender, **facts: failures.append(facts["error"])):
        parts.aps.add_job(note, "date", args=["tentative"])
        parts.aps.start()
        until(lambda: failures)
    assert parts.aps.running
    assert not parts.health().ready
    back()
    with app.app_context():
        until(lambda: ran == [("tentative",)])
        until(lambda: parts.health().ready)
        assert settled(parts.client, schedule_now(note, "and on").id).state is JobState.SUCCEEDED


def test_an_outage_in_between_loses_nothing_and_ends_no_thread(
    away: tuple[str, Callable[[], None], Callable[[], None]], make_app: Callable[..., Flask]
) -> None:
    url, back, take_away = away
    if url.startswith("sqlite"):
        pytest.skip("an open SQLite file cannot be taken away")
    back()
    app = make_app(SCHEDULER_DATABASE_URL=url, SCHEDULER_CONNECT_TIMEOUT_SECONDS=1)
    parts = parts_of(app)
    with app.app_context():
        parts.aps.start()
        handle = schedule_now(hold, "held")
        until(lambda: ran == ["held"])
        failures: list[object] = []
        with signals.scheduler_failed.connected_to(lambda _sender, **facts: failures.append(facts["error"])):
            take_away()
            opened.set()
            until(lambda: failures)
        back()
        assert settled(parts.client, handle.id).state is JobState.SUCCEEDED
        assert ran == ["held"]
        assert settled(parts.client, schedule_now(note, "on").id).state is JobState.SUCCEEDED


def test_starting_twice_is_refused_by_apscheduler_and_harmless_by_ours(app: Flask, aps: DurableScheduler) -> None:
    aps.start()
    parts_of(app).start()
    assert aps.running


def test_a_stop_interrupts_the_wait_for_other_processes(aps: DurableScheduler, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wakeups, "LISTEN_SECONDS", 60.0)  # longer than a stop waits for the thread
    aps.start()
    listening = aps._listening._thread
    assert listening is not None
    aps.shutdown(wait=True)
    assert not listening.is_alive()


# -- a thread that nothing ends -------------------------------------------------------------------------------


def test_an_error_of_a_turn_is_told_and_the_next_turn_goes_on(
    aps: DurableScheduler, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    aps.start()
    until(aps.is_idle)
    told: list[object] = []
    with signals.scheduler_failed.connected_to(lambda _sender, **facts: told.append(facts["error"])):
        error = RuntimeError("a bug of ours")
        real = aps._turn.turn
        monkeypatch.setattr(aps._turn, "turn", raising_once(error, real))
        aps.wakeup()
        until(lambda: error in told)
    assert settled(client, schedule_now(note, "on").id).state is JobState.SUCCEEDED


def raising_once(error: BaseException, real: Callable[[], Any]) -> Callable[[], Any]:
    left = [error]

    def turn() -> Any:
        if left:
            raise left.pop()
        return real()

    return turn


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_dead_loop_thread_is_started_again_and_loses_nothing(
    aps: DurableScheduler, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    aps.start()
    until(aps.is_idle)
    first = aps._thread
    assert first is not None
    restarts: list[object] = []
    with signals.loop_restarted.connected_to(lambda sender: restarts.append(sender)):
        monkeypatch.setattr(aps._turn, "turn", raising_once(SystemExit(), aps._turn.turn))
        handle = schedule_now(note, "after the death")
        until(lambda: restarts)
    assert not first.is_alive()
    assert settled(client, handle.id).state is JobState.SUCCEEDED
    assert aps.is_healthy()


def test_a_worker_whose_row_was_removed_registers_anew_and_holds_on_to_nothing(
    aps: DurableScheduler, app: Flask, client: Client
) -> None:
    aps.start()
    handle = schedule_now(hold, "held")
    until(lambda: ran == ["held"])
    old = aps.worker.id
    parts_of(app).store.write(lambda c: c.execute(text("DELETE FROM scheduler_workers")))
    until(lambda: aps.worker.id != old and [row.id for row in client.workers()] == [aps.worker.id])
    until(lambda: client.get(handle.id).crashes == 1)
    opened.set()
    until(aps.is_idle)
    assert settled(client, handle.id).state is JobState.SUCCEEDED


# -- stopping --------------------------------------------------------------------------------------------------


def test_shutdown_waits_for_what_runs_and_returns_the_rest(make_app: Callable[..., Flask], migrated_url: str) -> None:
    app = make_app(SCHEDULER_EXECUTORS={"default": {"type": "threads", "max_workers": 2}})
    parts = parts_of(app)
    with app.app_context():
        parts.aps.start()
        until(parts.aps.is_idle)
        handles = [schedule_now(hold, str(index)) for index in range(5)]
        until(lambda: len(ran) == 2)
        stopper = threading.Thread(target=parts.aps.shutdown)
        stopper.start()
        until(lambda: parts.aps._turn.draining)
        time.sleep(0.1)
        assert stopper.is_alive()
        opened.set()
        stopper.join(20)
        assert not parts.aps.running
        jobs = [parts.client.get(handle.id) for handle in handles]
    assert sorted(job.state.value for job in jobs) == ["scheduled"] * 3 + ["succeeded"] * 2
    assert all((job.attempt, job.crashes, job.worker_id) == (0, 0, None) for job in jobs if not job.finished)
    assert parts.client.workers() == []
    assert len(ran) == 2


def test_shutdown_gives_up_waiting_after_the_drain_time_and_what_runs_is_settled_when_it_ends(
    make_app: Callable[..., Flask],
) -> None:
    app = make_app(SCHEDULER_DRAIN_SECONDS=0.1)
    parts = parts_of(app)
    with app.app_context():
        parts.aps.start()
        handle = schedule_now(hold, "long")
        until(lambda: ran == ["long"])
        parts.aps.shutdown()
        assert parts.client.get(handle.id).state is JobState.RUNNING
        opened.set()
        assert settled(parts.client, handle.id).state is JobState.SUCCEEDED
        until(lambda: not parts.aps.running)


def test_shutdown_of_an_exiting_process_gives_back_what_still_runs_unspent(make_app: Callable[..., Flask]) -> None:
    app = make_app(SCHEDULER_DRAIN_SECONDS=0.1)
    parts = parts_of(app)
    with app.app_context():
        parts.aps.start()
        handle = schedule_now(hold, "long")
        until(lambda: ran == ["long"])
        assert parts.aps.shutdown(exiting=True) == 1
        job = parts.client.get(handle.id)
    assert (job.state, job.attempt, job.crashes, job.claim_seq) == (JobState.SCHEDULED, 0, 0, 2)


def test_shutdown_without_waiting_loses_nothing(aps: DurableScheduler, client: Client) -> None:
    aps.start()
    handles = [schedule_now(note, index) for index in range(30)]
    aps.shutdown(wait=False)
    until(lambda: not aps.running)
    states = {client.get(handle.id).state for handle in handles}
    assert states <= {JobState.SUCCEEDED, JobState.SCHEDULED}
    assert len(ran) == sum(client.get(handle.id).state is JobState.SUCCEEDED for handle in handles)


def test_a_second_shutdown_is_refused_as_apscheduler_does(aps: DurableScheduler) -> None:
    aps.start()
    aps.shutdown()
    with pytest.raises(SchedulerNotRunningError):
        aps.shutdown()


def test_it_runs_again_after_a_shutdown(aps: DurableScheduler, client: Client) -> None:
    for round_ in range(3):
        aps.start()
        assert settled(client, schedule_now(note, round_).id).state is JobState.SUCCEEDED
        aps.shutdown()
    assert ran == [(0,), (1,), (2,)]


# -- the main job ------------------------------------------------------------------------------------------------


def test_a_call_deferred_in_an_app_context_runs_at_its_time_and_not_before(
    aps: DurableScheduler, client: Client
) -> None:
    aps.start()
    handle = schedule_after(0.3, note, "hello", to="Ada")
    done = settled(client, handle.id)
    assert (ran, done.state) == ([("hello", "Ada")], JobState.SUCCEEDED)
    assert done.started_at is not None
    assert timedelta(0) <= done.started_at - handle.run_at < timedelta(seconds=2)


def test_a_forged_row_is_put_aside_and_its_neighbours_finish(aps: DurableScheduler, app: Flask, client: Client) -> None:
    handles = [schedule_after(0, note, index) for index in range(100)]
    bad = handles[50].id
    forge = 'UPDATE scheduler_jobs SET payload = \'{"a":["theirs"],"k":{}}\' WHERE id = :id'
    parts_of(app).store.write(lambda connection: connection.execute(text(forge), {"id": bad}))
    aps.start()
    until(lambda: len(ran) == 99)
    until(lambda: client.get(bad).state is JobState.QUARANTINED)
    assert client.get(bad).error == "its signature is forged: the row was changed by other means"
    assert ("theirs",) not in ran


def test_jobs_far_beyond_the_slots_all_run_once(make_app: Callable[..., Flask]) -> None:
    app = make_app(SCHEDULER_EXECUTORS={"default": {"type": "threads", "max_workers": 3}})
    parts = parts_of(app)
    with app.app_context():
        parts.aps.start()
        parts.client.schedule_many([(0, note, (index,)) for index in range(1500)])
        until(lambda: parts.client.stats()["succeeded"] == 1500, 40)
    assert sorted(ran) == [(index,) for index in range(1500)]


def test_slow_jobs_that_were_claimed_ahead_and_given_back_run_once_too(make_app: Callable[..., Flask]) -> None:
    app = make_app(
        SCHEDULER_EXECUTORS={"default": {"type": "threads", "max_workers": 2}}, SCHEDULER_NOT_STARTED_SECONDS=0.02
    )
    parts = parts_of(app)
    with app.app_context():
        parts.aps.start()
        parts.client.schedule_many([(0, note, (index,)) for index in range(300)])
        parts.client.schedule_many([(0, nap, (0.03,)) for _ in range(30)])
        until(lambda: parts.client.stats()["succeeded"] == 330, 40)
    assert len(ran) == 330


def nap(seconds: float) -> None:
    time.sleep(seconds)
    ran.append("nap")


def test_a_running_job_hears_that_it_was_asked_to_stop(aps: DurableScheduler, client: Client) -> None:
    aps.start()
    handle = schedule_now(stop_when_asked)
    until(lambda: ran == ["started"])
    assert handle.cancel() is JobState.RUNNING
    assert settled(client, handle.id).state is JobState.CANCELLED


def stop_when_asked() -> None:
    from scheduler_app import current_job

    ran.append("started")
    while True:
        current_job.raise_if_cancelled()
        time.sleep(0.01)


def test_the_store_of_the_loop_is_the_store_of_the_client(aps: DurableScheduler, client: Client) -> None:
    assert isinstance(client.store, Store)
    aps.start()
    [store] = aps._jobstores.values()
    assert store.store is client.store


# -- replies that are lost -----------------------------------------------------------------------------------


def test_a_job_whose_reply_is_lost_is_added_and_removed_all_the_same(app: Flask, aps: DurableScheduler) -> None:
    store = parts_of(app).store
    aps.start(paused=True)
    until(lambda: aps._ready)
    with lost_reply(store):
        aps.add_job(note, "interval", days=1, id="kept")
    assert [job.id for job in aps.get_jobs()] == ["kept"]
    with pytest.raises(ConflictingIdError):
        aps.add_job(note, "interval", days=1, id="kept")
    with lost_reply(store):
        aps.remove_job("kept")
    assert aps.get_jobs() == []
    with pytest.raises(JobLookupError):
        aps.remove_job("kept")


def test_the_boot_line_says_what_is_to_be_known_of_the_database(
    app: Flask, aps: DurableScheduler, caplog: pytest.LogCaptureFixture
) -> None:
    dialect = parts_of(app).store.dialect
    dialect.note = "it is a test's"
    with caplog.at_level("INFO", logger="scheduler_app"):
        aps.start()
        until(lambda: [line for line in caplog.messages if "scheduler started" in line])
    [line] = [line for line in caplog.messages if "scheduler started" in line]
    why = "this process runs jobs: scheduler.start() was called in it"
    assert line.endswith(f" admin=/scheduler executors=default:10; {why}; it is a test's")


# -- parts that are not ours -----------------------------------------------------------------------------------


@pytest.mark.parametrize("started", [False, True])
def test_stock_executors_and_job_stores_are_refused_in_words_and_harm_nothing(
    started: bool, aps: DurableScheduler, client: Client
) -> None:
    if started:
        aps.start()
    with pytest.raises(ForeignPartError) as of_executor:
        aps.add_executor(StockThreads(1), "pool")
    assert str(of_executor.value) == (
        "The executor 'pool' cannot be added: 'ThreadPoolExecutor' could lose or repeat jobs."
        " Set SCHEDULER_EXECUTORS instead."
    )
    with pytest.raises(ForeignPartError) as of_store:
        aps.add_jobstore("memory", "other")
    assert str(of_store.value) == (
        "The job store 'other' cannot be added: 'memory' could lose or repeat jobs."
        " Its one job store is set by SCHEDULER_DATABASE_URL."
    )
    if not started:
        aps.start()
    assert settled(client, schedule_now(note, "still").id).state is JobState.SUCCEEDED


def test_an_executor_of_ours_may_be_added_while_it_runs(aps: DurableScheduler, client: Client) -> None:
    aps.start()
    aps.add_executor(ThreadExecutor(1), "more")
    until(lambda: aps._ready)
    assert settled(client, schedule_now(note, "still").id).state is JobState.SUCCEEDED


def test_jobs_added_before_a_start_that_never_reached_the_database_wait_for_the_next(
    aps: DurableScheduler, monkeypatch: pytest.MonkeyPatch
) -> None:
    aps.add_job(note, "interval", days=1, id="patient")
    with monkeypatch.context() as patch:
        patch.setattr(DurableScheduler, "_get_ready", lambda _self: (_ for _ in ()).throw(OSError("away")))
        aps.start()
        aps.shutdown(wait=False)
    aps.start()
    until(lambda: [job.id for job in aps.get_jobs()] == ["patient"])
