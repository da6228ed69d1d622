"""Rescue: who is dead, what becomes of what it held, and that its late writes change nothing."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Barrier, Thread

import pytest

from scheduler_app import signals
from scheduler_app.jobs import JobState, Outcome
from scheduler_app.loop import worker as worker_module
from scheduler_app.loop.heartbeat import Heartbeat
from scheduler_app.loop.unserved import UnservedJobs
from scheduler_app.store import Store, change, workers
from scheduler_app.tasks import ModuleRule, TaskRegistry
from tests.conformance.cranked import (
    ManualClock,
    Process,
    attempts_of,
    fetch,
    forge,
    job,
    job_of,
    put,
    state_of,
)

LEASE = 30.0


@pytest.fixture
def dead(make_process: Callable[..., Process]) -> Process:
    """A process that will not beat again."""
    return make_process()


@pytest.fixture
def observer(make_process: Callable[..., Process]) -> Process:
    return make_process()


@pytest.fixture
def child() -> Iterator[subprocess.Popen[bytes]]:
    """Another process of this host that lives until it is killed."""
    process = subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE)
    yield process
    process.kill()
    process.wait()
    assert process.stdin is not None
    process.stdin.close()


def die_of_the_lease(observer: Process) -> int:
    """Let the lease of all other workers run out, as this observer sees it."""
    return observer.watch(LEASE)


def live_in(process: Process, child: subprocess.Popen[bytes], **changed: object) -> None:
    """Have the worker's row say that it lives in that child process."""
    process.register(pid=child.pid, pid_started=started(child.pid), **changed)


def started(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])


# -- who is dead ---------------------------------------------------------------------------------------


def test_a_worker_is_dead_when_its_beat_stood_still_for_a_whole_lease(
    store: Store, clock: ManualClock, dead: Process, observer: Process
) -> None:
    new = job(clock)
    put(store, new)
    dead.claim_one()
    assert observer.watch(LEASE - 0.001) == 0
    clock.advance(0.001)
    assert observer.sweep() == 1
    found = job_of(store, new.id)
    assert (found.state, found.crashes, found.attempt, found.claim_seq) == (JobState.SCHEDULED, 1, 0, 2)
    assert [row.id for row in store.read(workers.all_workers)] == [observer.worker.id]


def test_a_worker_that_beats_is_alive_whatever_the_clocks_in_its_row_say(
    store: Store, clock: ManualClock, dead: Process, observer: Process
) -> None:
    put(store, job(clock))
    dead.claim_one()
    for _ in range(4):
        assert observer.watch(LEASE - 1) == 0
        dead.beat()
        forge(store, "UPDATE scheduler_workers SET seen_at = started_at")
    assert observer.sweep() == 0


def test_a_lease_begins_when_the_observer_first_sees_the_worker(
    store: Store, clock: ManualClock, dead: Process, observer: Process
) -> None:
    put(store, job(clock))
    dead.claim_one()
    clock.advance(10 * LEASE)
    assert observer.sweep() == 0
    assert observer.watch(LEASE) == 1


def test_an_observer_that_could_not_look_for_a_while_watches_anew(
    store: Store, clock: ManualClock, dead: Process, observer: Process
) -> None:
    put(store, job(clock))
    dead.claim_one()
    assert observer.watch(LEASE / 2) == 0
    clock.advance(3 * LEASE)  # the database was away: nobody could write a beat, or see one
    assert observer.watch(LEASE - 1) == 0
    dead.beat()
    assert observer.watch(LEASE - 1) == 0
    assert observer.watch(LEASE) == 1


def test_a_worker_of_this_host_is_dead_as_soon_as_its_process_is_gone(
    store: Store, clock: ManualClock, dead: Process, observer: Process, child: subprocess.Popen[bytes]
) -> None:
    live_in(dead, child)
    put(store, job(clock))
    dead.claim_one()
    assert observer.sweep() == 0
    child.kill()
    child.wait()
    assert observer.sweep() == 1


def test_a_zombie_process_is_dead(
    store: Store, clock: ManualClock, dead: Process, observer: Process, child: subprocess.Popen[bytes]
) -> None:
    live_in(dead, child)
    put(store, job(clock))
    dead.claim_one()
    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)  # it has ended, and stays unreaped
    assert observer.sweep() == 1


def test_a_pid_that_was_given_to_another_process_is_dead(
    store: Store, clock: ManualClock, dead: Process, observer: Process, child: subprocess.Popen[bytes]
) -> None:
    dead.register(pid=child.pid, pid_started=started(child.pid) - 1)
    put(store, job(clock))
    dead.claim_one()
    assert observer.sweep() == 1


@pytest.mark.parametrize("elsewhere", [{"boot_id": "another boot"}, {"pid_namespace": "pid:[1]"}])
def test_a_pid_of_another_boot_or_container_says_nothing(
    elsewhere: dict[str, str],
    store: Store,
    clock: ManualClock,
    dead: Process,
    observer: Process,
    child: subprocess.Popen[bytes],
) -> None:
    live_in(dead, child, **elsewhere)
    child.kill()
    child.wait()
    put(store, job(clock))
    dead.claim_one()
    assert observer.sweep() == 0
    assert observer.watch(LEASE) == 1


def test_a_process_that_one_may_not_look_at_is_alive(
    store: Store, clock: ManualClock, dead: Process, observer: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    def hidden(_pid: int) -> None:
        """What /proc says of other users' processes where it is mounted with hidepid=2."""

    def not_permitted(_pid: int, _signal: int) -> None:
        raise PermissionError

    put(store, job(clock))
    dead.claim_one()
    monkeypatch.setattr(worker_module, "_stat", hidden)
    monkeypatch.setattr(os, "kill", not_permitted)
    assert observer.sweep() == 0


def test_jobs_of_a_worker_that_has_no_row_are_taken_back(
    store: Store, clock: ManualClock, dead: Process, observer: Process
) -> None:
    new = job(clock)
    put(store, new)
    dead.claim_one()
    forge(store, "DELETE FROM scheduler_workers WHERE id = :id", id=dead.worker.id)
    assert observer.sweep() == 1
    assert job_of(store, new.id).crashes == 1


# -- what becomes of its jobs ------------------------------------------------------------------------------


def test_each_death_counts_a_crash_and_the_third_fails_the_job(
    store: Store, clock: ManualClock, make_process: Callable[..., Process], observer: Process
) -> None:
    new = job(clock, max_attempts=9)
    put(store, new)
    for crashes, state in ((1, JobState.SCHEDULED), (2, JobState.SCHEDULED), (3, JobState.FAILED)):
        make_process().claim_one()
        assert die_of_the_lease(observer) == 1
        found = job_of(store, new.id)
        assert (found.state, found.crashes, found.attempt) == (state, crashes, 0)
    assert (found.error, found.outcome) == ("its worker died 3 times while it ran", Outcome.ABANDONED)
    assert attempts_of(store, new.id) == [(1, "abandoned", None)] * 3
    assert observer.claim() == []


def test_an_abandoned_attempt_says_which_worker_died(
    store: Store, clock: ManualClock, dead: Process, observer: Process
) -> None:
    put(store, job(clock))
    dead.claim_one()
    die_of_the_lease(observer)
    [row] = fetch(store, "SELECT worker_id, error FROM scheduler_attempts")
    assert row.worker_id == dead.worker.id
    assert row.error == f"worker {dead.worker.id} died or did not renew its lease"


def test_an_at_most_once_job_fails_with_the_reason(
    store: Store, clock: ManualClock, dead: Process, observer: Process
) -> None:
    new = job(clock, at_most_once=True, max_attempts=9)
    put(store, new)
    dead.claim_one()
    die_of_the_lease(observer)
    found = job_of(store, new.id)
    assert (found.state, found.error) == (JobState.FAILED, "its worker died, and its task runs at most once")
    assert observer.claim() == []


def test_a_job_that_was_asked_to_stop_is_cancelled_and_not_revived(
    store: Store, clock: ManualClock, dead: Process, observer: Process
) -> None:
    new = job(clock)
    put(store, new)
    dead.claim_one()
    store.write(lambda connection: change.request_cancel_if_held(connection, new.id, clock.now()))
    die_of_the_lease(observer)
    found = job_of(store, new.id)
    assert (found.state, found.error) == (JobState.CANCELLED, "cancelled; its worker died meanwhile")
    assert observer.claim() == []


def test_jobs_that_were_not_the_dead_workers_are_left_alone(
    store: Store, clock: ManualClock, dead: Process, observer: Process, make_process: Callable[..., Process]
) -> None:
    dead.executor.slots = 1
    alive = make_process(slots=1)
    put(store, *(job(clock) for _ in range(3)))
    dead.claim_one()
    theirs = alive.claim_one()
    observer.watch(LEASE - 1)
    alive.beat()
    assert observer.watch(1) == 1
    assert state_of(store, theirs.id) is JobState.RUNNING


def test_two_observers_take_each_job_back_once(
    store: Store, clock: ManualClock, dead: Process, make_process: Callable[..., Process]
) -> None:
    put(store, *(job(clock, key=f"k{i}") for i in range(10)))
    assert len(dead.claim()) == 10
    observers = [make_process() for _ in range(4)]
    for one in observers:
        one.store.patience = 50.0
        one.sweep()
    for _ in range(5):
        clock.advance(LEASE / 6)
        assert [one.sweep() for one in observers] == [0, 0, 0, 0]
    clock.advance(LEASE / 6)
    for one in observers:
        one.beat()
    counts, barrier = [], Barrier(len(observers))

    def race(one: Process) -> None:
        barrier.wait()
        counts.append(one.sweep())

    threads = [Thread(target=race, args=(one,)) for one in observers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(counts) == [0, 0, 0, 10]
    assert fetch(store, "SELECT DISTINCT crashes, claim_seq FROM scheduler_jobs") == [(1, 2)]
    assert fetch(store, "SELECT count(*) FROM scheduler_attempts")[0][0] == 10


def test_a_worker_that_beat_since_it_was_looked_at_is_not_removed(store: Store, dead: Process) -> None:
    dead.beat()
    assert not store.write(lambda connection: workers.remove_if_unchanged(connection, dead.worker.id, 0))
    assert store.write(lambda connection: workers.remove_if_unchanged(connection, dead.worker.id, 1))


# -- a worker that was declared dead and lives on ------------------------------------------------------------


def heart_of(process: Process, on_reborn: Callable[[], None]) -> Heartbeat:
    registry = TaskRegistry(ModuleRule(("tests",)))
    return Heartbeat(
        process.store, process.worker, registry, process.rescuer,
        UnservedJobs(process.store, registry, frozenset(), 900.0), seconds=5.0,
        on_beat=lambda: None, on_reborn=on_reborn, on_rescued=lambda: None, watch=lambda: None,
        is_draining=lambda: False,
    )  # fmt: skip


def test_a_worker_that_was_declared_dead_gets_a_new_id_and_its_late_ends_change_nothing(
    store: Store, clock: ManualClock, dead: Process, observer: Process
) -> None:
    new = job(clock)
    put(store, new)
    stale = dead.claim_one()
    old_id = dead.worker.id
    die_of_the_lease(observer)
    fresh = observer.claim_one()
    reborn: list[str] = []
    heart_of(dead, lambda: reborn.append(dead.worker.id)).beat()
    assert reborn == [dead.worker.id]
    assert old_id not in reborn
    assert {row.id for row in store.read(workers.all_workers)} == {observer.worker.id, dead.worker.id}
    before = job_of(store, new.id)
    assert [s.claim for s in dead.finish(stale).superseded] == [stale]
    assert job_of(store, new.id) == before
    observer.finish(fresh)
    assert job_of(store, new.id).state is JobState.SUCCEEDED
    assert dead.flight.claims == {}


def test_a_worker_that_was_declared_dead_starts_no_work_until_it_has_registered_anew(
    store: Store, clock: ManualClock, dead: Process, observer: Process
) -> None:
    die_of_the_lease(observer)
    put(store, job(clock))
    assert dead.loop.turn()[1].claimed == []
    heart_of(dead, lambda: None).beat()
    assert len(dead.loop.turn()[1].claimed) == 1


def test_a_rescue_tells_of_the_death_and_of_each_job(
    store: Store, clock: ManualClock, dead: Process, observer: Process
) -> None:
    new = job(clock)
    put(store, new)
    dead.claim_one()
    told: list[dict[str, object]] = []
    with (
        signals.worker_died.connected_to(lambda _sender, **facts: told.append(facts)),
        signals.job_rescued.connected_to(lambda _sender, **facts: told.append(facts)),
    ):
        die_of_the_lease(observer)
    died, rescued = told
    assert (died["worker_id"], died["jobs"], died["reason"]) == (dead.worker.id, 1, "no heartbeat for 30 s")
    assert (rescued["job_id"], rescued["crashes"], rescued["state"]) == (new.id, 1, JobState.SCHEDULED)
