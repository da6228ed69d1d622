"""What scheduling one call costs: `schedule_after(60, noop, i)`, each committed and synced when it returns.

- *ours*: in an app context, in a process whose scheduler runs (as in a web process).
- *peer*: `add_job(noop, "date", run_date=..., args=[i])` on a running stock scheduler.
- *bare*: a SQLAlchemy Core insert of the same row with commit, on a connection from a pool, with the same durability.

`calls_per_s` is by the wall clock and is mostly the disk's. `cpu_us` is the calling thread's own CPU time per call,
user and system, by `time.thread_time`. `added_cpu_us` is ours less bare: in one more process, client and bare insert
take turns in small blocks on two databases, so that both meet the same weather; the median block of each counts.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from benchmarks import bare as bare_limit
from benchmarks import ours as our_side
from benchmarks import peer as peer_side
from benchmarks import work
from benchmarks.bench import Bench, Report, note, shown
from benchmarks.figures import at_most, medians, paired_ratio
from benchmarks.process import Port, run
from scheduler_app import schedule_after

DELAY = 60
WARM_UP = 50
BLOCK = 20
MOST_ADDED_US = 100.0


def measure(bench: Bench) -> Report:
    """Schedule the same calls by each side in turn, then compare the CPU of ours and bare side by side."""
    sides = bench.sides("ours", "peer", "bare")
    samples = bench.take_turns("schedule", sides, jobs=bench.jobs)
    added = [_added(bench) for _ in range(bench.rounds)]
    ratios = {f"ours/{side}": paired_ratio(samples["ours"], samples[side], "calls_per_s") for side in sides[1:]}
    found = {side: medians(samples[side]) for side in sides} | {"in turns": medians(added)}
    return Report(found, ratios, [at_most("added_cpu_us", found["in turns"]["added_cpu_us"], MOST_ADDED_US)])


def _added(bench: Bench) -> dict[str, Any]:
    with bench.databases.fresh() as url, bench.databases.fresh() as bare_url:
        sample = run("schedule", "added", url=url, bare_url=bare_url, jobs=bench.jobs)
    note(f"in turns: {shown(sample)}")
    return sample


def ours(port: Port, url: str, jobs: int) -> dict[str, Any]:
    """Schedule through this package."""
    app, scheduler = our_side.make_app(url)
    scheduler.start()
    with app.app_context():
        figures = _timed(jobs, lambda number: schedule_after(DELAY, work.noop, number))
    scheduler.shutdown()
    return figures


def peer(port: Port, url: str, jobs: int) -> dict[str, Any]:
    """Schedule through stock APScheduler."""
    scheduler = peer_side.make_scheduler(url)
    scheduler.start()

    def add(number: int) -> None:
        scheduler.add_job(work.noop, "date", run_date=datetime.now(UTC) + timedelta(seconds=DELAY), args=[number])

    figures = _timed(jobs, add)
    scheduler.shutdown()
    return figures


def bare(port: Port, url: str, jobs: int) -> dict[str, Any]:
    """Insert by SQLAlchemy Core alone."""
    bare_limit.migrate(url)
    tables = bare_limit.Tables(url)
    return _timed(jobs, lambda number: bare_limit.insert_one(tables, number, DELAY))


def added(port: Port, url: str, bare_url: str, jobs: int) -> dict[str, Any]:
    """Take turns with client and bare insert, and compare their CPU."""
    app, _scheduler = our_side.make_app(url, role="client")
    bare_limit.migrate(bare_url)
    tables = bare_limit.Tables(bare_url)
    calls: dict[str, Callable[[int], object]] = {
        "ours": lambda number: schedule_after(DELAY, work.noop, number),
        "bare": lambda number: bare_limit.insert_one(tables, number, DELAY),
    }
    with app.app_context():
        cpu: dict[str, list[float]] = {name: [] for name in calls}
        for block in range(-2, max(1, jobs // BLOCK)):
            for name, call in calls.items():
                used = _cpu_of(call)
                if block >= 0:
                    cpu[name].append(used / BLOCK * 1e6)
    figures = {f"{name}_cpu_us": statistics.median(used) for name, used in cpu.items()}
    return figures | {"added_cpu_us": figures["ours_cpu_us"] - figures["bare_cpu_us"]}


def _cpu_of(call: Callable[[int], object]) -> float:
    before = time.thread_time()
    for number in range(BLOCK):
        call(number)
    return time.thread_time() - before


def _timed(jobs: int, call: Callable[[int], object]) -> dict[str, Any]:
    for number in range(WARM_UP):
        call(number)
    wall, cpu = time.perf_counter(), time.thread_time()
    for number in range(jobs):
        call(number)
    cpu, wall = time.thread_time() - cpu, time.perf_counter() - wall
    return {"calls_per_s": jobs / wall, "cpu_us": cpu / jobs * 1e6, "wall_us": wall / jobs * 1e6}
