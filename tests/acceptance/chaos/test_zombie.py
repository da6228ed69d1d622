"""A process that is stopped past its lease, and goes on when another one runs its job: nothing that it writes counts.

Time budget: 15 s per database, and as much again for the proof that the harness would notice.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from scheduler_app import Scheduler
from scheduler_app.jobs import Attempt, Job, JobState, Outcome
from scheduler_app.store import Store, find

from ..processes import until
from . import jobs, judge
from .journal import Line, of_kind, read
from .nursery import Nursery, nursery
from .worker import Options, make_app

LEASE_SECONDS = 3.0
SETTINGS = {"SCHEDULER_LEASE_SECONDS": LEASE_SECONDS, "SCHEDULER_HEARTBEAT_SECONDS": 0.5, "SCHEDULER_POLL_SECONDS": 0.2}


@dataclass
class Seen:
    """What became of the job, of which the first process is the zombie and the second its replacement."""

    zombie: int
    second: int
    while_second_ran: Job
    """The job after the zombie has written, while the second process still ran it."""
    after: Job
    attempts: list[Attempt]
    lines: list[Line]

    @property
    def rows_of_zombie(self) -> list[int]:
        """How many rows each of the zombie's ends changed."""
        return [line["rows"] for line in self.lines if line["kind"] == "ends written" and line["pid"] == self.zombie]


@contextmanager
def _client(url: str, folder: Path) -> Iterator[tuple[Scheduler, Store]]:
    app, scheduler = make_app(Options(str(folder), url, "producer", SETTINGS))
    store = app.extensions["scheduler"].store
    store.auto_upgrade = True
    try:
        yield scheduler, store
    finally:
        store.close()


def _resurrect(url: str, folder: Path, *, fenced: bool) -> Seen:
    with _client(url, folder) as (scheduler, store), nursery(folder) as hatchery:
        job_id = scheduler.schedule_now(jobs.hold, "held").id
        zombie = hatchery.spawn(Options(str(folder), url, "worker", SETTINGS, fenced=fenced))
        _await_starts(folder, 1)
        hatchery.signal(zombie, signal.SIGSTOP)
        second = hatchery.spawn(Options(str(folder), url, "worker", SETTINGS))
        _await_starts(folder, 2)
        _let_go_on(hatchery, folder, zombie)
        return _watch_the_end(store, folder, job_id, zombie, second)


def _await_starts(folder: Path, number: int) -> None:
    until(lambda: len(of_kind(folder, "start")) == number, f"the job starts for time {number}", 5 * LEASE_SECONDS)


def _let_go_on(hatchery: Nursery, folder: Path, zombie: int) -> None:
    """Continue the zombie, and let its function return, while the other one still runs."""
    jobs.go_on(folder, zombie).touch()
    hatchery.signal(zombie, signal.SIGCONT)
    until(lambda: [line for line in of_kind(folder, "ends written") if line["pid"] == zombie], "the zombie writes")


def _watch_the_end(store: Store, folder: Path, job_id: str, zombie: int, second: int) -> Seen:
    until(lambda: of_kind(folder, "superseded") or of_kind(folder, "settled"), "the zombie's end is told")
    meanwhile = _job(store, job_id)
    jobs.go_on(folder, second).touch()
    until(lambda: [line for line in of_kind(folder, "ends written") if line["pid"] == second], "the second one writes")
    until(lambda: _job(store, job_id).finished, "the job finishes")
    attempts = store.read(lambda connection: find.attempts_of(connection, job_id))
    return Seen(zombie, second, meanwhile, _job(store, job_id), list(attempts), of_kind(folder, "ends written"))


def _job(store: Store, job_id: str) -> Job:
    found = store.read(lambda connection: find.job(connection, job_id))
    assert found is not None
    return found


def _violations(seen: Seen) -> list[str]:
    broken = []
    if any(seen.rows_of_zombie):
        broken.append(f"the zombie's end changed {seen.rows_of_zombie} rows")
    if seen.while_second_ran.state is not JobState.RUNNING:
        broken.append(f"the job was {seen.while_second_ran.state} while its second run went on")
    if int(seen.after.result) != seen.second:
        broken.append(f"the result is process {seen.after.result}'s, not that of the second run, in {seen.second}")
    return broken


@pytest.mark.chaos
@pytest.mark.timeout(90)
def test_what_a_process_writes_that_outlived_its_lease_changes_nothing(store_url: str, tmp_path: Path) -> None:
    seen = _resurrect(store_url, tmp_path, fenced=True)
    assert _violations(seen) == []
    assert seen.rows_of_zombie == [0]
    assert seen.after.state is JobState.SUCCEEDED
    assert _told(seen.attempts) == [(1, Outcome.ABANDONED, True), (seen.after.claim_seq, Outcome.SUCCESS, False)]


def _told(attempts: list[Attempt]) -> list[tuple[int, Any, bool]]:
    return sorted((each.claim_seq, each.outcome, each.superseded is not None) for each in attempts)


@pytest.mark.chaos
@pytest.mark.timeout(90)
def test_without_the_fence_the_same_harness_sees_the_zombie_win(store_url: str, tmp_path: Path) -> None:
    assert len(_violations(_resurrect(store_url, tmp_path, fenced=False))) == 3


@pytest.mark.chaos
@pytest.mark.timeout(90)
def test_a_claim_that_is_committed_after_its_lease_is_not_run(postgresql_url: str, tmp_path: Path) -> None:
    """On PostgreSQL only: in SQLite nobody else can write until such a process goes on or is dead."""
    store_url = postgresql_url
    with _client(store_url, tmp_path) as (scheduler, store), nursery(tmp_path) as hatchery:
        job_id = scheduler.schedule_now(jobs.work, "claimed late", 0.5).id
        late = hatchery.spawn(Options(str(tmp_path), store_url, "worker", SETTINGS, stop_at="claim-before-commit"))
        until(lambda: of_kind(tmp_path, "stopping"), "the process stops in the middle of a claim")
        hatchery.spawn(Options(str(tmp_path), store_url, "worker", SETTINGS))
        until(lambda: len(of_kind(tmp_path, "up")) == 2, "another process is up")
        until(lambda: time.monotonic() > of_kind(tmp_path, "up")[-1]["at"] + LEASE_SECONDS + 1, "the lease is over")
        hatchery.signal(late, signal.SIGCONT)
        until(lambda: _job(store, job_id).finished, "the job finishes")
        assert _job(store, job_id).state is JobState.SUCCEEDED
    history = judge.gather(read(tmp_path))
    assert judge.violations(history) == []
    assert len(history.runs[job_id]) == 1
