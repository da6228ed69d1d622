"""A job that kills its process each time fails after three crashes, and takes none of its neighbours with it.

Time budget: 25 s per database.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from scheduler_app.filters import JobFilter
from scheduler_app.jobs import LIVE, Job, JobState
from scheduler_app.store import Store, find
from scheduler_app.store.walking import Walk

from . import jobs, judge
from .journal import of_kind, read
from .nursery import Nursery, nursery
from .worker import Options, make_app

NEIGHBOURS = 1000
CRASHES = 3
WORKERS = 2
SETTINGS = {"SCHEDULER_HEARTBEAT_SECONDS": 0.5, "SCHEDULER_MAX_BATCH": NEIGHBOURS}
PATIENCE_SECONDS = 60.0


@pytest.mark.chaos
@pytest.mark.timeout(120)
def test_a_job_that_kills_its_process_fails_alone(store_url: str, tmp_path: Path) -> None:
    app, scheduler = make_app(Options(str(tmp_path), store_url, "producer", SETTINGS))
    store: Store = app.extensions["scheduler"].store
    store.auto_upgrade = True
    half = [(0, jobs.work, (f"neighbour {number}",)) for number in range(NEIGHBOURS // 2)]
    first = scheduler.schedule_many(half)
    poison = scheduler.schedule_now(jobs.die, "poison").id
    neighbours = [made.id for made in (*first, *scheduler.schedule_many(half))]
    with nursery(tmp_path) as hatchery:
        _keep_up_until(lambda: _is_over(store), hatchery, tmp_path, store_url)
    states = Counter(_job(store, each).state for each in neighbours)
    ended = _job(store, poison)
    store.close()
    history = judge.gather(read(tmp_path))
    print(
        f"\n{store_url.partition(':')[0]}: the poison ran {len(history.runs[poison])} times, {NEIGHBOURS} neighbours"
        f" ended; {len(history.repeated) - 1} of them ran again, {_rescued(tmp_path, neighbours)} were in flight"
    )
    assert len(history.runs[poison]) == CRASHES
    assert (ended.state, ended.crashes) == (JobState.FAILED, CRASHES)
    assert ended.error == "its worker died 3 times while it ran"
    assert states == {JobState.SUCCEEDED: NEIGHBOURS}
    assert all(any(run.ended for run in history.runs[each]) for each in neighbours)
    assert judge.violations(history) == []


def _keep_up_until(over: Callable[[], bool], hatchery: Nursery, folder: Path, url: str) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not over():
        assert time.monotonic() < deadline, f"The jobs were not over within {PATIENCE_SECONDS:g} s."
        hatchery.bury()
        for _ in range(WORKERS - len(hatchery.alive)):
            hatchery.spawn(Options(str(folder), url, "worker", SETTINGS))
        time.sleep(0.05)


def _is_over(store: Store) -> bool:
    """Whether no job is live; asked in one statement, so that none can slip from one state to another in between."""
    return store.read(lambda c: next(Walk(c, store.dialect, JobFilter(states=LIVE), first=1).rows(), None)) is None


def _job(store: Store, job_id: str) -> Job:
    found = store.read(lambda connection: find.job(connection, job_id))
    assert found is not None
    return found


def _rescued(folder: Path, neighbours: list[str]) -> int:
    return len({line["job"] for line in of_kind(folder, "rescued")} & set(neighbours))
