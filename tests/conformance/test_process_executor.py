"""What only the executor of processes does: it kills, limits, replaces; and its jobs' words reach this process."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from apscheduler.schedulers.background import BackgroundScheduler

from scheduler_app import GiveUp, Retry, Snooze, current_job, signals
from scheduler_app.errors import NoAppPathError, NoProcessesError
from scheduler_app.executors import ProcessExecutor
from scheduler_app.executors import processes as module
from scheduler_app.executors.children import Answer, Child
from scheduler_app.jobs import Outcome
from scheduler_app.outcomes import Refusal, Result
from scheduler_app.store import Claim
from tests.conformance.benches import Processes, here, here_once

MEMORY_MB = 64


class Ends:
    """How claims ended, by number."""

    def __init__(self) -> None:
        self._ends: dict[str, Result] = {}
        self._changed = threading.Condition()

    def __call__(self, _alias: str, claim: Claim, result: Result) -> None:
        with self._changed:
            assert claim.id not in self._ends
            self._ends[claim.id] = result
            self._changed.notify_all()

    def of(self, claim: Claim) -> Result:
        with self._changed:
            assert self._changed.wait_for(lambda: claim.id in self._ends, timeout=30), "it never ended"
            return self._ends[claim.id]

    def has(self, claim: Claim) -> bool:
        return claim.id in self._ends


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Processes]:
    made = Processes(1, tmp_path_factory.mktemp("bench"), memory_mb=MEMORY_MB)
    yield made
    made.close()


@pytest.fixture
def ends() -> Ends:
    return Ends()


@pytest.fixture
def bench(shared: Processes, ends: Ends) -> Processes:
    """One child, ready, whoever needed another one before."""
    shared.shut()
    shared.succeed(ends)
    until(lambda: shared.executor.free_slots() == 1)
    return shared


def until(holds: Callable[[], Any]) -> None:
    deadline = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.005)


_numbers = iter(range(1_000_000))


def run(bench: Processes, function: Callable[..., Any], *args: Any, **changed: Any) -> Claim:
    claim = bench.call(function, *args, number=next(_numbers), **changed)
    bench.executor.submit([claim])
    return claim


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in ("Z", "X")
    except (FileNotFoundError, ProcessLookupError):
        return False


# -- jobs ----------------------------------------------------------------------------------------------


def die_by(number: int) -> None:
    os.kill(os.getpid(), number)


def leave() -> None:
    os._exit(3)


def hang(path: str) -> None:
    """Say who hangs, and hang, with a program that hangs beside."""
    beside = subprocess.Popen(["sleep", "60"])
    Path(path).write_text(f"{os.getpid()} {beside.pid}")
    threading.Event().wait()


def eat(megabytes: int) -> int:
    return len(bytearray(megabytes * 1_000_000))


def hoard() -> None:
    kept = []
    while True:
        kept.append(bytearray(100_000))


def chatter() -> None:
    """Never be silent, so that whoever listens always has something to read."""
    while True:
        logging.getLogger("shop.chatter").warning("and")
        current_job.progress(1)


def leave_a_copy_behind(path: str) -> None:
    """Fork a process that logs, holds all that is open here and hangs, and die."""
    if os.fork() == 0:
        logging.getLogger("shop").warning("from a copy")
        Path(path).write_text(str(os.getpid()))
        threading.Event().wait()
    while not Path(path).exists():
        time.sleep(0.005)
    os._exit(3)


def raise_one(name: str) -> None:
    raise {"error": ValueError("no such box"), "exit": SystemExit(3), "retry": Retry(after=5), "snooze": Snooze(7),
           "give up": GiveUp("enough")}[name]  # fmt: skip


def tell_all(path: str) -> list[Any]:
    current_job.progress(1, 2, "half")
    logging.getLogger("shop").warning("from %s", "the child", extra={"order": 42})
    while not Path(path).exists():
        time.sleep(0.005)
    return [current_job.id, current_job.attempt, current_job.fence, current_job.cancelled]


# -- ends ------------------------------------------------------------------------------------------------


def test_a_function_runs_with_its_arguments_in_a_process_of_its_own(bench: Processes, ends: Ends) -> None:
    first, second = run(bench, here), run(bench, here)
    assert ends.of(first).value == ends.of(second).value != str(os.getpid())
    assert ends.of(first).outcome is Outcome.SUCCESS
    assert str(ends.of(first).returned) == ends.of(first).value


@pytest.mark.parametrize(
    ("name", "error", "kind"),
    [
        ("error", "ValueError: no such box", "builtins:ValueError"),
        ("exit", "SystemExit: 3", "builtins:SystemExit"),
        ("give up", "GiveUp: enough", "scheduler_app.wishes:GiveUp"),
    ],
)
def test_what_a_function_raises_is_told_with_its_traceback(
    name: str, error: str, kind: str, bench: Processes, ends: Ends
) -> None:
    result = ends.of(run(bench, raise_one, name))
    assert (result.outcome, result.error, result.kinds[0]) == (Outcome.ERROR, error, kind)
    assert "in raise_one" in str(result.traceback)
    assert "child.py" not in str(result.traceback)
    assert str(result.exception) == error


def test_what_a_function_wishes_is_told(bench: Processes, ends: Ends) -> None:
    wishes = [ends.of(run(bench, raise_one, name)).wish for name in ("retry", "snooze", "give up")]
    assert [(type(wish), wish and wish.seconds) for wish in wishes] == [(Retry, 5.0), (Snooze, 7.0), (GiveUp, None)]


@pytest.mark.parametrize(("function", "why"), [((die_by, 9), "killed by SIGKILL"), ((die_by, 11), "killed by SIGSEGV"),
                                               ((leave,), "exit code 3")])  # fmt: skip
def test_a_child_that_dies_abandons_its_job_and_is_replaced(
    function: tuple[Any, ...], why: str, bench: Processes, ends: Ends
) -> None:
    told: list[dict[str, Any]] = []

    def hear(_sender: Any, **facts: Any) -> None:
        told.append(facts)

    before = ends.of(run(bench, here)).value
    with signals.child_died.connected_to(hear):
        claim = run(bench, *function)
        result = ends.of(claim)
    assert (result.outcome, result.error) == (Outcome.ABANDONED, f"its process died: {why}")
    assert told == [{"executor": "default", "pid": int(before or 0), "reason": why, "job_id": claim.id}]
    assert ends.of(run(bench, here)).outcome is Outcome.SUCCESS


def test_a_child_that_dies_without_a_job_is_replaced_and_charges_none(bench: Processes, ends: Ends) -> None:
    pid = int(ends.of(run(bench, here)).value or 0)
    told: list[dict[str, Any]] = []

    def hear(_sender: Any, **facts: Any) -> None:
        told.append(facts)

    with signals.child_died.connected_to(hear):
        os.kill(pid, signal.SIGKILL)
        until(lambda: bench.executor.free_slots() == 0)
        until(lambda: bench.executor.free_slots() == 1)
    assert told == [{"executor": "default", "pid": pid, "reason": "killed by SIGKILL", "job_id": None}]
    assert ends.of(run(bench, here)).value not in (None, str(pid))


def test_a_function_that_runs_too_long_is_killed_with_all_that_it_started(
    bench: Processes, ends: Ends, tmp_path: Path
) -> None:
    result = ends.of(run(bench, hang, str(tmp_path / "pids"), timeout=0.5))
    assert result.outcome is Outcome.TIMEOUT
    assert result.error == "JobTimeoutError: ran longer than its timeout of 0.5 s and was killed"
    assert "builtins:TimeoutError" in result.kinds
    pids = [int(pid) for pid in (tmp_path / "pids").read_text().split()]
    until(lambda: not any(is_alive(pid) for pid in pids))


def test_a_function_that_is_never_silent_is_killed_all_the_same(bench: Processes, ends: Ends) -> None:
    logging.getLogger("shop.chatter").disabled = True
    assert ends.of(run(bench, chatter, timeout=0.3)).outcome is Outcome.TIMEOUT


def test_what_a_dead_child_leaves_behind_neither_hides_its_death_nor_outlives_it(
    bench: Processes, ends: Ends, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    result = ends.of(run(bench, leave_a_copy_behind, str(tmp_path / "pid")))
    assert (result.outcome, result.error) == (Outcome.ABANDONED, "its process died: exit code 3")
    pid = int((tmp_path / "pid").read_text())
    until(lambda: not is_alive(pid))
    assert "from a copy" not in caplog.messages


def test_a_timeout_counts_from_the_start_and_leaves_others_alone(bench: Processes, ends: Ends) -> None:
    bench.hold(ends)
    first = run(bench, here_once, str(bench.gate), timeout=20)
    until(lambda: bench.executor.running() == [first])
    second = run(bench, here, timeout=5)
    bench.open()
    assert [ends.of(claim).outcome for claim in (first, second)] == [Outcome.SUCCESS] * 2


def test_a_job_whose_cancellation_is_asked_for_is_killed(bench: Processes, ends: Ends, tmp_path: Path) -> None:
    claim = run(bench, hang, str(tmp_path / "pids"))
    until((tmp_path / "pids").exists)
    claim.cancelled = True
    bench.executor.cancel(claim)
    result = ends.of(claim)
    assert (result.outcome, result.error) == (
        Outcome.CANCELLED, f"Job {claim.id} was asked to stop, and its process was killed."
    )  # fmt: skip


def test_a_cancel_that_comes_before_a_child_is_handed_the_job_keeps_it_from_starting(
    bench: Processes, ends: Ends, monkeypatch: pytest.MonkeyPatch
) -> None:
    def asked_just_then(self: Child, claim: Claim, *facts: Any) -> Answer:
        claim.cancelled = True  # after it was checked, and before this child could be killed for it
        return run_here(self, claim, *facts)

    run_here = Child.run
    with monkeypatch.context() as patch:
        patch.setattr(Child, "run", asked_just_then)
        result = ends.of(run(bench, here))
    assert (result.refusal, result.error) == (Refusal.NOT_STARTED, "it was asked to stop before it had started")
    assert ends.of(run(bench, here)).outcome is Outcome.SUCCESS


def test_a_cancel_that_comes_late_kills_no_other_job(bench: Processes, ends: Ends) -> None:
    over = run(bench, here)
    ends.of(over)
    running = run(bench, here_once, str(bench.gate))
    until(lambda: bench.executor.running() == [running])
    bench.executor.cancel(over)
    bench.open()
    assert ends.of(running).outcome is Outcome.SUCCESS


# -- memory, replacement ---------------------------------------------------------------------------------


@pytest.mark.parametrize("function", [(eat, MEMORY_MB * 2), (hoard,)], ids=["at once", "little by little"])
def test_a_job_that_takes_too_much_memory_fails_in_words_and_its_child_is_replaced(
    function: tuple[Any, ...], bench: Processes, ends: Ends
) -> None:
    before = ends.of(run(bench, here)).value
    assert ends.of(run(bench, eat, MEMORY_MB // 2)).outcome is Outcome.SUCCESS
    result = ends.of(run(bench, *function))
    assert result.outcome is Outcome.ERROR
    assert result.error == f"MemoryError (its executor lets a job take {MEMORY_MB} MB)"
    assert "builtins:MemoryError" in result.kinds
    assert ends.of(run(bench, here)).value != before


def test_a_child_is_replaced_after_so_many_jobs(ends: Ends, tmp_path: Path) -> None:
    bench = Processes(1, tmp_path, max_jobs_per_process=2)
    bench.succeed(ends)
    pids = [ends.of(run(bench, here)).value for _ in range(5)]
    bench.close()
    assert pids[0] == pids[1] != pids[2] == pids[3] != pids[4]


# -- words -----------------------------------------------------------------------------------------------


def test_current_job_works_in_the_child_and_progress_and_logs_arrive_while_it_runs(
    bench: Processes, ends: Ends, caplog: pytest.LogCaptureFixture
) -> None:
    claim = run(bench, tell_all, str(bench.gate), attempt=1, fence=7)
    until(lambda: claim.progress is not None and "from the child" in caplog.messages)
    assert claim.progress == '{"done":1,"total":2,"message":"half"}'
    [record] = [record for record in caplog.records if record.name == "shop"]
    assert (record.levelname, record.funcName, record.order) == ("WARNING", "tell_all", 42)  # type: ignore[attr-defined]
    assert record.process != os.getpid()
    bench.open()
    assert ends.of(claim).value == f'["{claim.id}",2,7,false]'


def test_the_start_of_a_job_is_told_here_and_once(bench: Processes, ends: Ends) -> None:
    told: list[str] = []

    def hear(_sender: Any, *, job_id: str, **_facts: Any) -> None:
        told.append(job_id)

    with signals.job_started.connected_to(hear):
        claim = run(bench, here)
        ends.of(claim)
    assert told == [claim.id]


# -- what is refused here --------------------------------------------------------------------------------


def test_what_may_not_run_is_refused_before_a_child_hears_of_it(bench: Processes, ends: Ends) -> None:
    forged, unknown = bench.call(here, number=next(_numbers)), bench.call(here, number=next(_numbers))
    forged.payload = '{"a":[1],"k":{}}'
    unknown.task = "tests.nowhere:gone"
    unknown.signature = bench.sign(unknown)
    bench.executor.submit([forged, unknown])
    assert [ends.of(claim).refusal for claim in (forged, unknown)] == [Refusal.MALFORMED, Refusal.UNSERVED]


def test_without_something_that_makes_the_app_it_does_not_start() -> None:
    with pytest.raises(NoAppPathError) as caught:
        ProcessExecutor(2).start(BackgroundScheduler(), "cpu")
    assert str(caught.value) == (
        "The executor 'cpu' runs jobs in processes, each of which makes the app anew, and nothing says how."
        " Set SCHEDULER_APP (or FLASK_APP) to what 'flask --app' takes, such as 'shop:create_app'."
    )


def test_where_memory_cannot_be_limited_it_does_not_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CAN_LIMIT", False)
    with pytest.raises(NoProcessesError, match="which needs Linux; leave out 'memory_mb'"):
        ProcessExecutor(2, app="shop", memory_mb=5).start(BackgroundScheduler(), "cpu")


@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("tests.nowhere:create_app", "tests.nowhere"),
        ("tests.conformance.test_process_executor:make_without", "has no scheduler. Set SCHEDULER_APP to what makes"),
        ("tests.conformance.test_process_executor:leave_early", "its process ended: exit code 4"),
    ],
)
def test_a_child_that_cannot_make_the_app_is_told_and_takes_no_job(path: str, why: str) -> None:
    told: list[dict[str, Any]] = []

    def hear(_sender: Any, **facts: Any) -> None:
        told.append(facts)

    with signals.child_failed.connected_to(hear):
        executor = ProcessExecutor(1, app=path)
        executor.start(BackgroundScheduler(), "cpu")
        until(lambda: told)
        assert executor.free_slots() == 0
        executor.shutdown()
    assert (told[0]["executor"], told[0]["retry_seconds"]) == ("cpu", 1.0)
    assert why in told[0]["reason"]


def make_without() -> Any:
    from flask import Flask

    return Flask("other")


def leave_early() -> Any:
    os._exit(4)


def test_a_shutdown_without_waiting_kills_what_runs_and_leaves_it_among_what_had_started(
    ends: Ends, tmp_path: Path
) -> None:
    bench = Processes(1, tmp_path)
    bench.succeed(ends)
    claim = run(bench, hang, str(tmp_path / "pids"))
    until((tmp_path / "pids").exists)
    bench.executor.shutdown(wait=False)
    pids = [int(pid) for pid in (tmp_path / "pids").read_text().split()]
    until(lambda: not any(is_alive(pid) for pid in pids))
    assert (ends.has(claim), bench.executor.running()) == (False, [claim])
