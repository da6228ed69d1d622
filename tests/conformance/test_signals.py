"""Each transition of a job is told by its signal, after its commit; and no receiver and no hook touches a job."""

from __future__ import annotations

import logging
from asyncio import CancelledError
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from threading import Event
from typing import Any

import pytest
from blinker import signal as blinkers_own
from flask import Flask, current_app, has_app_context

from scheduler_app import GiveUp, JobHandle, Scheduler, current_job, signals, task
from scheduler_app.errors import JobFailedError
from scheduler_app.extension import Parts
from scheduler_app.jobs import TRANSITIONS, JobState
from scheduler_app.loop import cranked
from scheduler_app.loop.unserved import UnservedJobs
from scheduler_app.store import Store
from scheduler_app.store.claim import KEY_PREFIX
from scheduler_app.tasks import ModuleRule, TaskRegistry
from scheduler_app.tasks.registry import DECLARED
from tests.conformance.cranked import ManualClock, fetch, forge, forget_moves, job_of

HANDED_OFF = {("scheduled", "claimed", "claim"), ("claimed", "running", "runner")}
"""Transitions that nothing of this version makes."""

ended: list[tuple[Any, ...]] = []


def work(n: int) -> int:
    return n


def fail(error: str) -> None:
    raise ValueError(error)


def stop_if_asked() -> None:
    current_job.raise_if_cancelled()


# -- the table -----------------------------------------------------------------------------------------


class Life:
    """Takes jobs through their lives in two processes, and notes which moves were made and which signals were sent."""

    def __init__(self, make_parts: Callable[[], Parts]) -> None:
        self.make_parts = make_parts
        self.here, self.there = make_parts(), make_parts()
        self.client, self.store = self.here.client, self.here.store
        self.told: dict[tuple[str | None, str, str], set[str]] = {}

    @contextmanager
    def by(self, who: str) -> Iterator[None]:
        """Note which moves are made in the block, each with the signals that told of its job."""
        heard: list[tuple[str, str]] = []
        forget_moves(self.store)
        with heard_by(lambda name, facts: heard.append((facts.get("job_id", ""), name))):
            yield
        for row in fetch(self.store, "SELECT job_id, source, target FROM moves"):
            names = {name for job_id, name in heard if job_id == row.job_id}
            self.told.setdefault((row.source, row.target, who), names).intersection_update(names)

    def crank(self, who: str, parts: Parts | None = None) -> None:
        with self.by(who):
            (parts or self.here).aps.crank()

    def waits(self, function: Any = work, *args: Any, after: float = 999, **facts: Any) -> JobHandle:
        job = self.client.schedule_after(after, function, args or ((1,) if function is work else ()), {})
        for name, value in facts.items():
            forge(self.store, f"UPDATE scheduler_jobs SET {name} = :value WHERE id = :id", value=value, id=job.id)
        return job

    def held(self, function: Any = work, *args: Any, state: str = "running", **facts: Any) -> tuple[Parts, JobHandle]:
        """Return a process and a job that it holds and has not begun."""
        parts, job = self.make_parts(), self.waits(function, *args, after=0, **facts)
        parts.aps.turn()
        forge(self.store, "UPDATE scheduler_jobs SET state = :state WHERE id = :id", state=state, id=job.id)
        return parts, job

    # -- the parts -------------------------------------------------------------------------------------

    def ask(self) -> None:
        with self.by("client"):
            job = self.waits()
            self.client.pause(job.id)
        with self.by("client"):
            self.client.resume(job.id)
        with self.by("client"):
            self.client.cancel(job.id)
        for state in ("cancelled", "failed", "missed"):
            with self.by("client"):
                self.client.retry(self.waits(state=state).id)
        with self.by("client"):
            self.client.release(self.waits(state="quarantined").id)
        for state in ("paused", "quarantined"):
            with self.by("client"):
                self.client.cancel(self.waits(state=state).id)

    def fire(self) -> None:
        self.here.aps.add_job(work, "interval", hours=1, args=[1], id="s")
        forge(self.store, "UPDATE scheduler_schedules SET next_run_time = :now", now=self._now())
        with self.by("fire"):
            self.here.aps.turn()
        self.finish()

    def _now(self) -> Any:
        return self.store.dialect.instant(self.store.clock.now())

    def claim(self) -> None:
        self.waits(after=0)
        with self.by("claim"):
            self.here.aps.turn()
        self.finish()
        late = self.waits(after=0, max_lateness=0.5)
        self.store.clock.advance(2)  # type: ignore[attr-defined]
        self.crank("claim")
        assert job_of(self.store, late.id).state is JobState.MISSED

    def finish(self) -> None:
        for _ in range(4):
            self.here.aps.crank()

    def settle(self) -> None:
        for function, args in ((work, (1,)), (fail, ("no",)), (stop_if_asked, ())):
            parts, job = self.held(function, *args)
            with cancelled_at_start(self.client, job.id) if function is stop_if_asked else nullcontext():
                parts.aps._executors["default"].run_waiting()
            with self.by("settle"):
                parts.aps.turn()
        parts, job = self.held(fail, "no", max_attempts=2)
        parts.aps._executors["default"].run_waiting()
        with self.by("settle"):
            parts.aps.turn()
        self.client.cancel(job.id)
        for state in ("running", "claimed"):
            parts, job = self.held(state=state)
            parts.aps._flight.claims[job.id].signature = "forged"
            parts.aps._executors["default"].run_waiting()
            with self.by("runner"):
                parts.aps.turn()

    def release(self) -> None:
        for state in ("running", "claimed"):
            for asked in (False, True):
                parts, job = self.held(state=state)
                if asked:
                    self.client.cancel(job.id)
                with self.by("release"):
                    parts.aps.shutdown()
                if not asked:
                    self.client.cancel(job.id)
        parts, job = self.held(at_most_once=True)
        [claim] = parts.aps._executors["default"].take_back()
        parts.aps._executors["default"]._running.append(claim)
        with self.by("release"):
            parts.aps.shutdown(exiting=True)

    def die(self) -> None:
        for state in ("running", "claimed"):
            for fate in ("again", "once", "stop"):
                parts, job = self.held(state=state, at_most_once=fate == "once")
                if fate == "stop":
                    self.client.cancel(job.id)
                forge(self.store, "DELETE FROM scheduler_workers WHERE id = :id", id=parts.aps.worker.id)
                with self.by("rescue"):
                    self.there.aps._heartbeat._rescuer.sweep(self.there.aps.worker.id)
                if fate == "again":
                    self.client.cancel(job.id)

    def serve_again(self) -> None:
        job = self.waits(after=0, task="tests.nowhere:gone")
        prefix = fetch(self.store, "SELECT signature FROM scheduler_jobs WHERE id = :id", id=job.id)[0][0][:KEY_PREFIX]
        registry = TaskRegistry(ModuleRule(("tests",)))
        unserved = UnservedJobs(self.store, registry, frozenset({prefix}), 900.0)
        unserved._tasks["tests.nowhere:gone"] = None
        clock: Any = self.store.clock
        unserved.look_after(clock.now())
        with self.by("claim"):
            unserved.look_after(clock.advance(901))
        registry.register(work, name="tests.nowhere:gone")
        with self.by("claim"):
            unserved.look_after(clock.now())
        self.client.cancel(job.id)


@contextmanager
def cancelled_at_start(client: Any, job_id: str) -> Iterator[None]:
    """Ask a job to stop as soon as it has started: one that is asked before that does not start."""
    asked: list[Any] = []
    with signals.job_started.connected_to(lambda _sender, **_facts: asked or asked.append(client.cancel(job_id))):
        yield
    assert asked


@contextmanager
def heard_by(hear: Callable[[str, dict[str, Any]], None]) -> Iterator[None]:
    """Hear every signal there is, by its name in `signals`."""
    connected = []
    for name, one in vars(signals).items():
        if isinstance(one, signals.NamedSignal):
            receiver = _receiver(name, hear)
            one.connect(receiver)
            connected.append((one, receiver))
    try:
        yield
    finally:
        for one, receiver in connected:
            one.disconnect(receiver)


def _receiver(name: str, hear: Callable[[str, dict[str, Any]], None]) -> Callable[..., None]:
    return lambda _sender, **facts: hear(name, facts)


@pytest.fixture
def make_parts(
    make_app: Callable[..., Flask],
    make_store: Callable[[], Store],
    store: Store,
    clock: ManualClock,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Callable[[], Parts]]:
    """Make one more process of an app, whose loop is cranked by hand."""
    monkeypatch.setattr(cranked, "lasting", clock.monotonic)
    made: list[Parts] = []

    def make() -> Parts:
        own: Parts = make_app(SCHEDULER_DRAIN_SECONDS=0).extensions["scheduler"]
        parts = own.cranked(own.settings, make_store())
        parts.aps.start()
        made.append(parts)
        return parts

    yield make
    for parts in made:
        if parts.running:
            forge(store, "DELETE FROM scheduler_jobs")
            parts.aps.shutdown(wait=False)


def test_every_transition_is_told_by_its_signal(make_parts: Callable[[], Parts]) -> None:
    life = Life(make_parts)
    for part in (life.ask, life.fire, life.claim, life.settle, life.release, life.die, life.serve_again):
        part()
    known = {(move.source and move.source.value, move.target.value, move.who): move.signal for move in TRANSITIONS}
    silent = {move: known[move] for move, told in life.told.items() if move in known and known[move] not in told}
    assert silent == {}
    assert known.keys() - life.told.keys() == HANDED_OFF


def test_the_signals_of_the_table_exist_and_stand_in_a_namespace_of_their_own() -> None:
    for move in TRANSITIONS:
        assert isinstance(getattr(signals, move.signal), signals.NamedSignal), move
        assert blinkers_own(move.signal.replace("_", "-")) is not getattr(signals, move.signal)


# -- receivers -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("error", [ValueError("a receiver's own"), SystemExit(3), CancelledError()])
def test_a_receiver_that_raises_is_logged_and_touches_nothing(
    make_parts: Callable[[], Parts], caplog: pytest.LogCaptureFixture, error: BaseException
) -> None:
    def raise_it(_name: str, _facts: Any) -> None:
        raise error

    parts = make_parts()
    with heard_by(raise_it), caplog.at_level(logging.ERROR, "scheduler_app"):
        good = parts.client.schedule_after(0, work, (1,), {})
        bad = parts.client.schedule_after(0, fail, ("no",), {})
        for _ in range(4):
            parts.aps.crank()
    assert (good.refresh().state, bad.refresh().state) == (JobState.SUCCEEDED, JobState.FAILED)
    assert "ValueError: no" in str(bad.job.error)
    assert "receiver of 'job-started' failed; the scheduler goes on" in caplog.text


# -- hooks ---------------------------------------------------------------------------------------------


@pytest.fixture
def hooked(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Make a function a task with hooks that note what they are told; it is forgotten afterwards."""
    declared = dict(DECLARED)
    ended.clear()

    def succeeded(job: JobHandle, result: Any) -> None:
        ended.append(("success", job.id, job.state, result, has_app_context() and current_app.name))

    def failed(job: JobHandle, error: BaseException) -> None:
        ended.append(("failure", job.id, job.state, str(error), has_app_context() and current_app.name))

    def make(function: Any, **options: Any) -> Any:
        return task(**({"on_success": succeeded, "on_failure": failed} | options))(function)

    yield make
    DECLARED.clear()
    DECLARED.update(declared)


def crank(parts: Parts, turns: int = 6) -> None:
    for _ in range(turns):
        parts.aps.crank()


def test_a_success_calls_its_hook_once_with_what_was_returned(make_parts: Callable[[], Parts], hooked: Any) -> None:
    parts = make_parts()
    job = parts.client.schedule_after(0, hooked(work), (7,), {})
    crank(parts)
    assert ended == [("success", job.id, JobState.SUCCEEDED, 7, "tests")]


def test_a_failure_calls_its_hook_once_after_the_last_attempt(
    make_parts: Callable[[], Parts], hooked: Any, clock: ManualClock
) -> None:
    parts = make_parts()
    job = parts.client.schedule_after(0, hooked(fail, attempts=3), ("no",), {})
    crank(parts)
    assert (job.refresh().state, ended) == (JobState.SCHEDULED, [])
    for _ in range(3):
        clock.advance(3600)
        crank(parts)
    assert ended == [("failure", job.id, JobState.FAILED, "no", "tests")]


def give_up() -> None:
    raise GiveUp("never again")


def test_who_gives_up_has_failed(make_parts: Callable[[], Parts], hooked: Any) -> None:
    parts = make_parts()
    parts.client.schedule_after(0, hooked(give_up, attempts=3), (), {})
    crank(parts)
    assert [(kind, said) for kind, _, _, said, _ in ended] == [("failure", "never again")]


def test_a_job_that_was_asked_to_stop_and_raised_is_cancelled_and_calls_no_hook(
    make_parts: Callable[[], Parts], hooked: Any
) -> None:
    parts = make_parts()
    job = parts.client.schedule_after(0, hooked(fail), ("no",), {})
    with cancelled_at_start(parts.client, job.id):
        crank(parts)
    assert (job.refresh().state, ended) == (JobState.CANCELLED, [])
    assert "ValueError: no" in str(job.job.error)


def test_a_job_that_is_cancelled_while_it_waits_for_its_slot_never_starts(
    make_parts: Callable[[], Parts], hooked: Any
) -> None:
    parts = make_parts()
    job = parts.client.schedule_after(0, hooked(work, delivery="at_most_once"), (1,), {})
    told: list[str] = []
    parts.aps.turn()
    assert job.cancel() is JobState.RUNNING  # for a claim may start at any moment
    with heard_by(lambda name, facts: told.append(name) if facts.get("job_id") == job.id else None):
        crank(parts)
    assert (job.refresh().state, job.job.error) == (JobState.CANCELLED, "it was asked to stop before it had started")
    assert (told, ended) == (["job_released"], [])


def test_a_job_that_a_death_ends_calls_its_hook_in_the_process_that_finds_it(
    make_parts: Callable[[], Parts], hooked: Any, store: Store
) -> None:
    dead, alive = make_parts(), make_parts()
    job = dead.client.schedule_after(0, hooked(work, delivery="at_most_once"), (1,), {})
    dead.aps.turn()
    forge(store, "DELETE FROM scheduler_workers WHERE id = :id", id=dead.aps.worker.id)
    alive.aps._heartbeat._rescuer.sweep(alive.aps.worker.id)
    [(kind, job_id, state, said, app)] = ended
    assert (kind, job_id, state, app) == ("failure", job.id, JobState.FAILED, "tests")
    assert said == str(JobFailedError(job.id, "failed", "its worker died, and its task runs at most once"))


def test_an_end_that_came_too_late_calls_no_hook(make_parts: Callable[[], Parts], hooked: Any, store: Store) -> None:
    slow = make_parts()
    job = slow.client.schedule_after(0, hooked(work), (1,), {})
    slow.aps.turn()
    forge(store, "UPDATE scheduler_jobs SET claim_seq = claim_seq + 1 WHERE id = :id", id=job.id)
    slow.aps._executors["default"].run_waiting()
    slow.aps.turn()
    assert ended == []


@pytest.mark.parametrize("error", [ValueError("the hook's own"), SystemExit(3), CancelledError()])
def test_an_error_in_a_hook_is_logged_with_its_task_and_touches_no_job(
    make_parts: Callable[[], Parts], hooked: Any, caplog: pytest.LogCaptureFixture, error: BaseException
) -> None:
    def breaks(_job: JobHandle, _result: Any) -> None:
        raise error

    parts = make_parts()
    job = parts.client.schedule_after(0, hooked(work, name="shop.work", on_success=breaks), (7,), {})
    with caplog.at_level(logging.ERROR, "scheduler_app.jobs"):
        crank(parts)
    assert (job.refresh().state, job.job.result) == (JobState.SUCCEEDED, "7")
    assert f"hook failed id={job.id} task=shop.work hook=on_success; the job stays as it is" in caplog.text
    assert "in breaks" in caplog.text


async def later(_job: JobHandle, result: Any) -> None:
    ended.append(("async", result))


def test_a_hook_may_be_a_coroutine_function_and_may_retry_its_job(make_parts: Callable[[], Parts], hooked: Any) -> None:
    parts = make_parts()
    parts.client.schedule_after(0, hooked(work, on_success=later), (7,), {})
    crank(parts)
    assert ended == [("async", 7)]

    def once_more(job: JobHandle, _error: BaseException) -> None:
        if not ended[1:]:
            ended.append(("retried", job.retry().state))

    job = parts.client.schedule_after(0, hooked(fail, on_failure=once_more), ("no",), {})
    crank(parts)
    assert (ended[1:], job.refresh().state) == ([("retried", JobState.SCHEDULED)], JobState.FAILED)


def test_in_production_hooks_are_called_on_a_thread_of_their_own_before_a_clean_end(
    make_app: Callable[..., Flask], hooked: Any
) -> None:
    scheduler = Scheduler()
    app = make_app(scheduler)
    with app.app_context():
        job = scheduler.schedule_now(hooked(work), 7)
        scheduler.start()
        job.result(timeout=20)
        scheduler.shutdown()
    assert ended == [("success", job.id, JobState.SUCCEEDED, 7, "tests")]


@pytest.mark.filterwarnings("error::pytest.PytestUnhandledThreadExceptionWarning")
@pytest.mark.parametrize("error", [KeyboardInterrupt, CancelledError])
def test_whatever_hooks_and_receivers_raise_the_threads_that_call_them_live(
    make_app: Callable[..., Flask], hooked: Any, error: type[BaseException]
) -> None:
    raised: list[str] = []
    told = Event()

    def breaks(job: JobHandle, _result: Any) -> None:
        raised.append(job.id)
        raise error

    def hear(_sender: Any, *, job_id: str, **_: Any) -> None:
        if job_id == good.id:
            told.set()
        raise error

    scheduler = Scheduler()
    app = make_app(scheduler)
    with app.app_context(), signals.job_settled.connected_to(hear):
        bad = scheduler.schedule_after(3600, hooked(work, name="shop.bad", on_success=breaks), 1)
        good = scheduler.schedule_after(3600, hooked(stop_if_asked, name="shop.good"))
        scheduler.start()
        for job in (bad, good):  # one after the other: the second end finds the threads as the first one left them
            job.run_now()
            job.result(timeout=20)
        assert told.wait(20)
        scheduler.shutdown()
    assert (raised, [one[:2] for one in ended]) == ([bad.id], [("success", good.id)])


def test_what_is_the_processs_own_is_raised_in_the_main_thread() -> None:
    def interrupt(_sender: Any) -> None:
        raise KeyboardInterrupt

    with signals.loop_restarted.connected_to(interrupt), pytest.raises(KeyboardInterrupt):
        signals.loop_restarted.send(None)
