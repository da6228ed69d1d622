"""How many database connections one process holds: an app with a running scheduler, idle after some jobs.

On PostgreSQL the server is asked (`pg_stat_activity`, by database). On SQLite the process's open files are counted: its
write-ahead logs, of which each connection has one (SQLite may keep the database file itself open for longer than its
connection), or else the database file. The most of several looks over some seconds counts, heartbeats included.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any

from sqlalchemy import create_engine, make_url, text

from benchmarks import ours as our_side
from benchmarks import peer as peer_side
from benchmarks import work
from benchmarks.bench import Bench, Report
from benchmarks.figures import at_most, medians
from benchmarks.process import Port

MOST = 3
LOOKS = 40
EVERY = 0.15


def measure(bench: Bench) -> Report:
    """Count by each side in turn."""
    sides = bench.sides("ours", "peer")
    samples = bench.take_turns("connections", sides, jobs=bench.jobs)
    found = {side: medians(samples[side]) for side in sides}
    most = max(sample["most"] for sample in samples["ours"])
    return Report(found, {}, [at_most("connections", most, MOST)])


def ours(port: Port, url: str, jobs: int) -> dict[str, Any]:
    """Run some jobs, then count."""
    app, scheduler = our_side.make_app(url)
    scheduler.start()
    our_side.load(app, work.noop, jobs)
    our_side.wait_until(lambda: len(work.ran) >= jobs, seconds=60)
    figures = _count(url)
    scheduler.shutdown()
    return figures


def peer(port: Port, url: str, jobs: int) -> dict[str, Any]:
    """Run some jobs by stock APScheduler, then count."""
    peer_side.load(url, work.noop, jobs)
    scheduler = peer_side.make_scheduler(url)
    scheduler.start()
    our_side.wait_until(lambda: len(work.ran) >= jobs, seconds=60)
    figures = _count(url)
    scheduler.shutdown()
    return figures


def _count(url: str) -> dict[str, Any]:
    look = _open_files(url) if make_url(url).get_backend_name() == "sqlite" else _activity(url)
    seen = []
    for _ in range(LOOKS):
        time.sleep(EVERY)
        seen.append(look())
    return {"most": max(seen), "least": min(seen)}


def _activity(url: str) -> Callable[[], int]:
    connection = create_engine(url, isolation_level="AUTOCOMMIT").connect()
    others = text("SELECT count(*) FROM pg_stat_activity WHERE datname = :name AND pid <> pg_backend_pid()")
    name = make_url(url).database
    return lambda: connection.execute(others, {"name": name}).scalar_one()


def _open_files(url: str) -> Callable[[], int]:
    file = os.path.realpath(str(make_url(url).database))
    folder = "/proc/self/fd"

    def look() -> int:
        open_files = [os.path.realpath(os.path.join(folder, number)) for number in os.listdir(folder)]
        return open_files.count(f"{file}-wal") or open_files.count(file)

    return look
