"""The database is away for longer than a lease: nobody could beat, so nobody is dead, and nothing runs a second time.

Time budget: 30 s.
"""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from scheduler_app.store import Store

from ..processes import until
from . import jobs, judge
from .journal import Journal, of_kind, read
from .nursery import nursery
from .proxy import proxy_to
from .worker import Options, make_app

WORKERS = 3
LEASE_SECONDS = 3.0
AWAY_SECONDS = 2 * LEASE_SECONDS
SETTINGS = {
    "SCHEDULER_HEARTBEAT_SECONDS": 0.5,
    "SCHEDULER_LEASE_SECONDS": LEASE_SECONDS,
    "SCHEDULER_POLL_SECONDS": 0.1,
    "SCHEDULER_CONNECT_TIMEOUT_SECONDS": 2,
    "SCHEDULER_EXECUTORS": {"default": {"type": "threads", "max_workers": 1}},
}


@pytest.mark.chaos
@pytest.mark.timeout(90)
def test_an_outage_longer_than_the_lease_makes_no_living_worker_take_another_for_dead(
    postgresql_url: str, tmp_path: Path
) -> None:
    app, scheduler = make_app(Options(str(tmp_path), postgresql_url, "producer", SETTINGS))
    store: Store = app.extensions["scheduler"].store
    store.auto_upgrade = True
    journal = Journal(tmp_path, "test")
    with proxy_to(postgresql_url) as (proxy, through), nursery(tmp_path) as hatchery:
        for number in range(WORKERS):
            made = scheduler.schedule_after(0, jobs.work, f"across {number}", AWAY_SECONDS + LEASE_SECONDS)
            journal.write("acknowledged", seq=f"across {number}", job=made.id, run_at=made.run_at.timestamp())
        for _ in range(WORKERS):
            hatchery.spawn(Options(str(tmp_path), through, "worker", SETTINGS))
        until(lambda: len(of_kind(tmp_path, "start")) == WORKERS, "each worker runs a job")
        proxy.go_away()
        left = time.monotonic()
        until(lambda: time.monotonic() > left + AWAY_SECONDS, "the outage lasts longer than a lease")
        proxy.come_back()
        until(lambda: len(of_kind(tmp_path, "settled")) >= WORKERS, "each job's end is stored")
        store.close()
    history = judge.gather(read(tmp_path))
    assert of_kind(tmp_path, "rescued") == []
    assert of_kind(tmp_path, "superseded") == []
    assert history.repeated == []
    assert judge.losses(history) == []
    assert judge.violations(history) == []
