"""Executors: each claim is reported once or taken back, never both; and the runner's one way of calling user code."""

from __future__ import annotations

import contextvars
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta, tzinfo
from enum import Enum
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest
from apscheduler.events import EVENT_JOB_ERROR, EVENT_JOB_EXECUTED, JobExecutionEvent
from apscheduler.schedulers.background import BackgroundScheduler
from flask import Flask, current_app, g

from scheduler_app import Secret, current_job, signals
from scheduler_app.clock import Clock
from scheduler_app.errors import NoCurrentJobError
from scheduler_app.executors import InlineExecutor, Runner, ThreadExecutor
from scheduler_app.jobs import Outcome
from scheduler_app.outcomes import Refusal, Result
from scheduler_app.payload import Signer, encode_call
from scheduler_app.store import Claim
from scheduler_app.tasks import ModuleRule, TaskRegistry
from tests.conformance.benches import NOW, Bench, Processes, Threads, claim
from tests.conformance.cranked import SIGNER

SLOTS = 4
SECRET = "hunter2-and-more"


class Reports:
    """What an executor reported, and a way to wait for it."""

    def __init__(self) -> None:
        self.all: list[tuple[str, Claim, Result]] = []
        self._changed = threading.Condition()

    def __call__(self, alias: str, claim: Claim, result: Result) -> None:
        with self._changed:
            self.all.append((alias, claim, result))
            self._changed.notify_all()

    def wait_for(self, count: int) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.all) >= count, timeout=20), f"{len(self.all)} of {count}"


# -- the contract, for every executor ------------------------------------------------------------------

BENCHES: dict[str, type[Bench]] = {"threads": Threads, "processes": Processes}


@pytest.fixture(params=BENCHES, scope="module")
def kind(request: pytest.FixtureRequest) -> type[Bench]:
    return BENCHES[request.param]


@pytest.fixture(scope="module")
def shared_bench(kind: type[Bench], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """An executor whose slots are free: a process takes a second to be made, so the tests share them."""
    made = kind(SLOTS, tmp_path_factory.mktemp("bench"))
    yield made
    made.close()


@pytest.fixture
def bench(shared_bench: Bench) -> Iterator[Bench]:
    shared_bench.shut()
    until(lambda: shared_bench.executor.free_slots() == SLOTS)
    yield shared_bench
    shared_bench.open()
    until(lambda: shared_bench.executor.free_slots() == SLOTS)


@pytest.fixture
def reports() -> Reports:
    return Reports()


def succeed(_claim: Claim) -> Result:
    return Result(NOW, NOW, Outcome.SUCCESS)


def fill(bench: Bench) -> list[Claim]:
    """Occupy every slot; return the claims once they run."""
    held = [bench.claim(number) for number in range(SLOTS)]
    bench.executor.submit(held)
    until(lambda: len(bench.executor.running()) == SLOTS and not bench.executor.waiting())
    return held


def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.001)


def test_every_submitted_claim_is_reported_exactly_once(bench: Bench, reports: Reports) -> None:
    bench.succeed(reports)
    claims = [bench.claim(number) for number in range(2000)]
    for start in range(0, 2000, 100):
        bench.executor.submit(claims[start : start + 100])
    reports.wait_for(2000)
    assert Counter(one.id for _alias, one, _result in reports.all) == Counter(one.id for one in claims)
    assert {alias for alias, _one, _result in reports.all} == {"default"}
    assert {result.outcome for _alias, _one, result in reports.all} == {Outcome.SUCCESS}


def test_under_racing_each_claim_is_either_reported_or_taken_back_and_never_both(
    bench: Bench, reports: Reports
) -> None:
    bench.succeed(reports)
    submitted, taken = 0, []
    for _ in range(300):
        batch = [bench.claim(submitted + i) for i in range(20)]
        submitted += 20
        bench.executor.submit(batch)
        if random.random() < 0.7:
            taken += bench.executor.take_back()
    taken += bench.executor.take_back()
    reports.wait_for(submitted - len(taken))
    reported = [one.id for _alias, one, _result in reports.all]
    assert len(reported) + len(taken) == submitted
    assert len({*reported, *(one.id for one in taken)}) == submitted
    assert (bench.executor.waiting(), bench.executor.running()) == (0, [])


def test_a_job_that_was_taken_back_and_claimed_again_runs(bench: Bench, reports: Reports) -> None:
    bench.hold(reports)
    fill(bench)
    again = [bench.claim(100 + i) for i in range(10)]
    bench.executor.submit(again)
    assert bench.executor.take_back() == again
    renewed = [bench.claim(100 + i, fence=3) for i in range(10)]
    bench.executor.submit(renewed)
    bench.open()
    reports.wait_for(SLOTS + 10)
    ids = {one.id for one in renewed}
    assert [one.fence for _alias, one, _result in reports.all if one.id in ids] == [3] * 10
    executor = bench.executor
    until(lambda: (executor.waiting(), executor.running(), executor.free_slots()) == (0, [], SLOTS))


def test_slots_and_waiting_are_told_as_they_are(bench: Bench, reports: Reports) -> None:
    bench.hold(reports)
    executor = bench.executor
    assert (executor.free_slots(), executor.waiting(), executor.running()) == (SLOTS, 0, [])
    held = fill(bench)
    executor.submit([bench.claim(100 + i) for i in range(3)])
    assert (executor.free_slots(), executor.waiting()) == (0, 3)
    assert {one.id for one in executor.running()} == {one.id for one in held}
    bench.open()
    reports.wait_for(SLOTS + 3)
    until(lambda: executor.free_slots() == SLOTS)


def test_only_claims_older_than_an_instant_are_taken_back_if_one_is_given(bench: Bench, reports: Reports) -> None:
    bench.hold(reports)
    fill(bench)
    old, young = bench.claim(100, claimed_at=10.0), bench.claim(101, claimed_at=20.0)
    bench.executor.submit([old, young])
    assert bench.executor.take_back(15.0) == [old]
    assert bench.executor.waiting() == 1
    assert bench.executor.take_back() == [young]


def test_submitting_does_not_block_and_runs_nothing_in_the_callers_place(bench: Bench, reports: Reports) -> None:
    bench.hold(reports)
    begun = time.monotonic()
    bench.executor.submit([bench.claim(number) for number in range(100)])
    assert time.monotonic() - begun < 1.0
    bench.open()
    reports.wait_for(100)
    places = {bench.place_of(result) for _alias, _one, result in reports.all}
    assert bench.here() not in places
    assert len(places) <= SLOTS


@pytest.fixture
def one_slot(kind: type[Bench], tmp_path: Path) -> Iterator[Bench]:
    made = kind(1, tmp_path)
    yield made
    made.close()


def test_claims_start_in_the_order_in_which_they_were_submitted(one_slot: Bench, reports: Reports) -> None:
    one_slot.hold(reports)
    one_slot.executor.submit([one_slot.claim(number) for number in range(50)])
    one_slot.open()
    reports.wait_for(50)
    assert [one.id for _alias, one, _result in reports.all] == [f"job-{number}" for number in range(50)]


def test_an_executor_runs_again_after_a_shutdown(one_slot: Bench, reports: Reports) -> None:
    one_slot.succeed(reports)
    for round_ in range(3):
        one_slot.executor.submit([one_slot.claim(100 * round_ + i) for i in range(20)])
        reports.wait_for(20 * (round_ + 1))
        one_slot.executor.shutdown(wait=round_ % 2 == 0)


# -- what a runner never does --------------------------------------------------------------------------------


class EscapeError(BaseException):
    """No `Exception`, as what ends a thread is not."""


@pytest.mark.filterwarnings("error::pytest.PytestUnhandledThreadExceptionWarning")
def test_whatever_escapes_from_the_runner_is_an_error_of_its_job_and_costs_no_thread(
    one_slot: Bench, reports: Reports
) -> None:
    def escape(*_facts: Any) -> Any:
        raise EscapeError(SECRET)

    one_slot.hold(reports)
    executor = one_slot.executor
    if isinstance(executor, ThreadExecutor):
        executor.bind(escape, reports)
    else:
        executor.bind(escape, reports, SimpleNamespace(admit=raise_key_error, now=lambda: NOW))  # type: ignore[arg-type]
    executor.submit([one_slot.claim(number) for number in range(3)])
    reports.wait_for(3)
    assert [one.id for _alias, one, _result in reports.all] == ["job-0", "job-1", "job-2"]
    assert {result.outcome for _alias, _one, result in reports.all} == {Outcome.ERROR}
    assert SECRET not in str([(result.error, result.traceback) for _alias, _one, result in reports.all])
    until(lambda: (executor.waiting(), executor.running(), executor.free_slots()) == (0, [], 1))


def raise_key_error(_claim: Claim) -> Any:
    raise KeyError(SECRET)


def test_a_report_that_raises_costs_no_thread(reports: Reports) -> None:
    def report(alias: str, one: Claim, result: Result) -> None:
        reports(alias, one, result)
        raise EscapeError

    executor = ThreadExecutor(1)
    executor.start(BackgroundScheduler(timezone=UTC), "default")
    executor.bind(succeed, report)
    executor.submit([claim(number=number) for number in range(3)])
    reports.wait_for(3)
    executor.shutdown()


# -- the same of the inline executor, which runs nothing until it is told to ---------------------------------


@pytest.fixture
def inline() -> InlineExecutor:
    made = InlineExecutor()
    made.start(BackgroundScheduler(timezone=UTC), "default")
    return made


def test_the_inline_executor_runs_what_was_submitted_in_order_and_reports_each_once(
    inline: InlineExecutor, reports: Reports
) -> None:
    threads = []
    inline.bind(lambda one: threads.append(threading.get_ident()) or succeed(one), reports)
    claims = [claim(number=number) for number in range(3)]
    inline.submit(claims)
    assert (reports.all, inline.waiting(), inline.free_slots()) == ([], 3, 0)
    inline.run_waiting()
    inline.run_waiting()
    assert [one for _alias, one, _result in reports.all] == claims
    assert (inline.waiting(), inline.running(), inline.free_slots()) == (0, [], 1)
    assert set(threads) == {threading.get_ident()}


def test_the_inline_executor_never_runs_what_it_handed_back(inline: InlineExecutor, reports: Reports) -> None:
    first, second, third = [claim(number=number) for number in range(3)]
    first.claimed_at, second.claimed_at, third.claimed_at = 1.0, 2.0, 3.0

    taken: list[Claim] = []

    def run(one: Claim) -> Result:
        assert inline.running() == [one]
        taken.extend(inline.take_back(2.5))
        return succeed(one)

    inline.bind(run, reports)
    inline.submit([first, second, third])
    inline.run_waiting()
    assert ([one for _alias, one, _result in reports.all], taken) == ([first, third], [second])


# -- stock jobs under a stock scheduler ------------------------------------------------------------------


def add_up(one: int, other: int) -> int:
    return one + other


def break_down() -> None:
    raise ZeroDivisionError("broken")


def test_a_stock_scheduler_runs_stock_jobs_on_it() -> None:
    scheduler = BackgroundScheduler(executors={"default": ThreadExecutor(2)}, timezone=UTC)
    events: list[JobExecutionEvent] = []
    scheduler.add_listener(events.append, EVENT_JOB_EXECUTED | EVENT_JOB_ERROR)
    scheduler.add_job(add_up, args=(2, 3), id="good")
    scheduler.add_job(break_down, id="bad")
    scheduler.add_job(add_up, "interval", seconds=3600, args=(1, 1), id="later")
    scheduler.start()
    until(lambda: len(events) == 2)
    scheduler.shutdown()
    by_id = {event.job_id: event for event in events}
    assert by_id["good"].retval == 5
    assert isinstance(by_id["bad"].exception, ZeroDivisionError)


# -- the runner --------------------------------------------------------------------------------------------

marks: list[Any] = []
secret_of_this_module = contextvars.ContextVar("secret_of_this_module", default="nothing")


def greet(name: str, *, loud: bool = False) -> str:
    return f"hello {name}{'!' if loud else ''}"


async def greet_later(name: str) -> str:
    return f"hello {name} from {current_app.name}"


def see_the_app() -> list[Any]:
    g.mark = "seen"
    return [current_app.name, current_job.id, current_job.attempt, current_job.fence]


def leak() -> str:
    before = secret_of_this_module.get()
    secret_of_this_module.set("leaked")
    return before


def exit_hard() -> None:
    raise SystemExit(3)


def interrupt() -> None:
    raise KeyboardInterrupt


def fail_with_locals(password: str = "") -> None:
    raise ValueError("no such\nbox")


class RudeError(Exception):
    def __str__(self) -> str:
        raise RuntimeError("even this fails")


def fail_rudely() -> None:
    raise RudeError


def fail_unspeakably() -> None:
    raise ValueError("\ud800 and \x00")


def return_what_cannot_be_kept() -> object:
    return object()


class Restless(tzinfo):
    """Adds to a dict whenever it is asked, as another thread might just then."""

    grows: ClassVar[dict[str, Any]] = {}

    def utcoffset(self, _when: datetime | None) -> timedelta:
        self.grows[str(len(self.grows))] = None
        return timedelta(0)


class Lost(tzinfo):
    def utcoffset(self, _when: datetime | None) -> timedelta:
        raise NotImplementedError(SECRET)


def return_what_changes_meanwhile() -> dict[str, Any]:
    Restless.grows.clear()
    Restless.grows["at"] = datetime(2026, 3, 1, tzinfo=Restless())
    return Restless.grows


def return_what_cannot_be_read(password: Secret[str] = "") -> datetime:
    return datetime(2026, 3, 1, tzinfo=Lost())


class Mute(Enum):
    """Its members can be stored as arguments, and not be written in a text."""

    ONE = 1

    def __str__(self) -> str:
        raise RuntimeError(SECRET)


def take_a_secret(token: Secret[Any]) -> None:
    marks.append("it ran")


def stop_if_asked() -> None:
    current_job.raise_if_cancelled()


@pytest.fixture
def app() -> Flask:
    app = Flask("tests")
    app.teardown_appcontext(lambda error: marks.append((g.pop("mark", None), error)))
    marks.clear()
    return app


@pytest.fixture
def runner(app: Flask) -> Runner:
    registry = TaskRegistry(ModuleRule(("tests",)))
    return Runner(app, registry, SIGNER, Clock(lambda: datetime.now(UTC), local=True), lambda: True, 1000, 2000)


def call(function: Callable[..., Any], *args: Any, signer: Signer = SIGNER, **changed: Any) -> Claim:
    """Return a signed claim for a function of this module."""
    kwargs = changed.pop("kwargs", {})
    payload = encode_call(args, kwargs, max_bytes=10_000, allowed=lambda module: module.startswith("tests"))
    task = f"{__name__}:{function.__name__}"
    signed = signer.sign("job-0", task, "default", payload)
    return claim(task, payload=payload, **({"signature": signed} | changed))


def test_a_function_runs_with_its_arguments_and_its_return_value_is_kept(runner: Runner) -> None:
    result = runner.run(call(greet, "Ada", kwargs={"loud": True}))
    assert (result.outcome, result.value, result.returned) == (Outcome.SUCCESS, '"hello Ada!"', "hello Ada!")


def test_an_async_function_runs_to_its_end_in_the_app_context(runner: Runner) -> None:
    assert runner.run(call(greet_later, "Ada")).returned == "hello Ada from tests"


def test_each_job_has_an_app_context_of_its_own_that_is_torn_down_after_it(runner: Runner) -> None:
    assert runner.run(call(see_the_app, fence=7, attempt=1)).returned == ["tests", "job-0", 2, 7]
    assert runner.run(call(greet, "Ada")).outcome is Outcome.SUCCESS
    assert marks == [("seen", None), (None, None)]
    assert not current_app


def test_the_context_is_torn_down_after_an_error_too_and_hears_of_it(runner: Runner) -> None:
    runner.run(call(fail_with_locals))
    [(_mark, error)] = marks
    assert isinstance(error, ValueError)


def test_context_variables_do_not_leak_from_job_to_job(runner: Runner) -> None:
    secret_of_this_module.set("the caller's")
    assert [runner.run(call(leak)).returned for _ in range(2)] == ["nothing", "nothing"]
    assert secret_of_this_module.get() == "the caller's"
    assert not current_job


def test_outside_of_a_job_current_job_says_how_to_test_for_it() -> None:
    with pytest.raises(NoCurrentJobError) as caught:
        _ = current_job.id
    assert str(caught.value) == (
        "No job runs here. 'current_job' works inside a function that the scheduler runs;"
        " test it first with 'if current_job:' where both are possible."
    )


@pytest.mark.parametrize(
    ("function", "error"),
    [
        (exit_hard, "SystemExit: 3"),
        (interrupt, "KeyboardInterrupt"),
        (fail_with_locals, "ValueError: no such box"),
        (fail_rudely, "RudeError: <its message raised RuntimeError>"),
        (fail_unspeakably, "ValueError: \\ud800 and \\x00"),
    ],
)
def test_whatever_user_code_raises_is_an_error_of_its_job(
    function: Callable[[], None], error: str, runner: Runner
) -> None:
    result = runner.run(call(function))
    assert (result.outcome, result.error) == (Outcome.ERROR, error)
    (f"{result.error}{result.traceback}").encode()
    assert "\x00" not in str(result.traceback)


def test_a_traceback_shows_user_code_only_and_no_locals(runner: Runner) -> None:
    text = str(runner.run(call(fail_with_locals, "hunter2")).traceback)
    assert "in fail_with_locals" in text
    assert "runner.py" not in text
    assert text.endswith("ValueError: no such\nbox\n")
    assert "hunter2" not in text


def test_a_long_error_is_cut_in_the_middle(runner: Runner) -> None:
    result = runner.run(call(fail_at_length))
    assert len(str(result.error)) <= 500
    assert len(str(result.traceback)) <= 2000
    assert "\n... cut ...\n" in str(result.traceback)


def fail_at_length() -> None:
    raise ValueError("x" * 5000)


def test_a_result_that_cannot_be_kept_is_a_success_that_says_so(runner: Runner) -> None:
    result = runner.run(call(return_what_cannot_be_kept))
    assert (result.outcome, result.value) == (Outcome.SUCCESS, None)
    assert str(result.error).startswith("result not kept: The result of the function cannot be stored: ")


@pytest.mark.parametrize(
    ("function", "why"),
    [
        (return_what_changes_meanwhile, "RuntimeError: dictionary changed size during iteration"),
        (return_what_cannot_be_read, "NotImplementedError: ***"),
    ],
)
def test_a_result_that_changes_or_raises_while_it_is_written_is_a_success_that_says_so(
    function: Callable[..., Any], why: str, runner: Runner
) -> None:
    given = (SECRET,) if function is return_what_cannot_be_read else ()
    result = runner.run(call(function, *given))
    assert (result.outcome, result.value) == (Outcome.SUCCESS, None)
    assert result.error == f"result not kept: {why}"


def test_a_secret_argument_that_cannot_be_looked_for_is_an_error_that_shows_no_word_of_it(runner: Runner) -> None:
    result = runner.run(call(take_a_secret, Mute.ONE))
    assert (result.outcome, result.refusal, result.masked, marks) == (Outcome.ERROR, None, True, [])
    assert str(result.error).startswith("RuntimeError was raised around its function")
    assert SECRET not in f"{result.error}{result.traceback}"


def test_a_job_that_sees_that_it_was_cancelled_ends_cancelled(runner: Runner) -> None:
    assert runner.run(call(stop_if_asked)).outcome is Outcome.SUCCESS
    asked = call(stop_if_asked)
    with signals.job_started.connected_to(lambda *_a, **_facts: setattr(asked, "cancelled", True)):
        assert runner.run(asked).outcome is Outcome.CANCELLED


def test_a_job_that_was_cancelled_while_it_waited_for_its_slot_does_not_start(runner: Runner) -> None:
    asked = call(take_a_secret, "x", cancelled=True)
    result, admitted = runner.run(asked), runner.admit(asked).refused
    assert admitted is not None
    for refused in (result, admitted):
        assert (refused.refusal, refused.error) == (
            Refusal.NOT_STARTED,
            "it was asked to stop before it had started",
        )
    assert marks == []


@pytest.mark.parametrize("column", ["payload", "task", "queue", "id"])
def test_a_row_that_was_changed_by_other_means_is_refused_and_not_run(column: str, runner: Runner) -> None:
    changed = {"payload": '{"a":["Eve"],"k":{}}', "task": f"{__name__}:exit_hard", "queue": "q", "id": "job-1"}
    forged = call(greet, "Ada")
    setattr(forged, column, changed[column])
    result = runner.run(forged)
    assert (result.outcome, result.refusal) == (None, Refusal.MALFORMED)
    assert result.error == "its signature is forged: the row was changed by other means"
    assert marks == []


def test_a_payload_that_cannot_be_read_is_refused_and_not_run(runner: Runner) -> None:
    damaged = call(greet)
    damaged.payload = "{"
    damaged.signature = SIGNER.sign(damaged.id, damaged.task, damaged.queue, damaged.payload)
    result = runner.run(damaged)
    assert result.refusal is Refusal.MALFORMED
    assert str(result.error).startswith("The stored arguments cannot be read: ")


def test_an_unknown_task_and_an_unknown_key_are_left_to_others(runner: Runner) -> None:
    unknown = claim("tests.nowhere:gone")
    unknown.signature = SIGNER.sign(unknown.id, unknown.task, unknown.queue, unknown.payload)
    assert runner.run(unknown).refusal is Refusal.UNSERVED
    foreign = runner.run(call(greet, "Ada", signer=Signer([b"the key of another deployment"])))
    assert (foreign.refusal, foreign.error) == (
        Refusal.UNSERVED,
        "signed with a key that this process does not have",
    )


def test_a_stored_name_of_a_module_that_is_not_allowed_never_runs(runner: Runner) -> None:
    evil = claim("os:getcwd")
    evil.signature = SIGNER.sign(evil.id, evil.task, evil.queue, evil.payload)
    assert runner.run(evil).refusal is Refusal.UNSERVED


def test_without_a_lease_that_holds_no_user_code_starts(app: Flask) -> None:
    registry = TaskRegistry(ModuleRule(("tests",)))
    lame = Runner(app, registry, SIGNER, Clock(lambda: datetime.now(UTC), local=True), lambda: False, 1000, 2000)
    result = lame.run(call(greet, "Ada"))
    assert (result.refusal, result.error) == (Refusal.NOT_STARTED, "its worker could not renew its lease")


def test_a_result_says_when_it_began_and_ended(runner: Runner) -> None:
    result = runner.run(call(greet, "Ada"))
    assert timedelta(0) <= result.finished_at - result.started_at < timedelta(seconds=5)
