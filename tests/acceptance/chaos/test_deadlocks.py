"""Eight processes that claim and eight that schedule, on one database server: no deadlock is ever seen by anybody.

Time budget: 40 s per database; `make chaos` for minutes.
"""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from scheduler_app.filters import JobFilter
from scheduler_app.jobs import LIVE
from scheduler_app.store import Store
from scheduler_app.store.walking import Walk

from ..processes import until
from . import judge
from .journal import of_kind, read
from .nursery import nursery
from .worker import Options

CLAIMERS, PRODUCERS = 8, 8
SETTINGS = {
    "SCHEDULER_HEARTBEAT_SECONDS": 0.5,
    "SCHEDULER_POLL_SECONDS": 0.1,
    "SCHEDULER_EXECUTORS": {"default": {"type": "threads", "max_workers": 4}},
}


@pytest.fixture(params=["postgresql", "mariadb"])
def server_url(request: pytest.FixtureRequest) -> str:
    """The URL of a new, empty database of a server: SQLite has one writer at a time, and no deadlocks."""
    url: str = request.getfixturevalue(f"{request.param}_url")
    return url


@pytest.mark.chaos
@pytest.mark.timeout(120)
def test_eight_claimers_and_eight_producers_surface_no_deadlock(
    server_url: str, tmp_path: Path, chaos_seconds: float
) -> None:
    store = Store(server_url, auto_upgrade=True)
    store.ensure_ready()
    with nursery(tmp_path) as hatchery:
        for _ in range(CLAIMERS):
            hatchery.spawn(Options(str(tmp_path), server_url, "worker", SETTINGS, ticks=True))
        producers = [
            hatchery.spawn(Options(str(tmp_path), server_url, "producer", SETTINGS, pause=0.02))
            for _ in range(PRODUCERS)
        ]
        end = time.monotonic() + chaos_seconds
        until(lambda: time.monotonic() > end, "the soak lasts", 2 * chaos_seconds)
        for pid in producers:
            hatchery.kill(pid)
        until(lambda: _is_over(store), "every job comes to its end", 60 + chaos_seconds)
    store.close()
    history = judge.gather(read(tmp_path))
    print(f"\n{server_url.partition(':')[0]}: {len(history.acknowledged)} acknowledged, {len(history.runs)} run")
    assert [line["error"] for line in history.raised] == []
    assert [line["error"] for line in of_kind(tmp_path, "failed")] == []
    assert history.repeated == []
    assert judge.losses(history) == []
    assert judge.violations(history) == []


def _is_over(store: Store) -> bool:
    """Whether no job of the producers is live; a schedule goes on making others."""
    found = store.read(lambda c: list(Walk(c, store.dialect, JobFilter(states=LIVE), first=100).jobs()))
    return all(seen.job is None or seen.job.schedule_uid is not None for seen in found)
