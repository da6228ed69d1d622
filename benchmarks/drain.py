"""How fast due jobs are run: N no-op jobs that are all due, 10 threads, one process.

Timed is, for each side, from the call that starts processing to the moment when the last job has run and its end
is committed, as seen over another connection:

- *ours*: from `scheduler.start()` of a scheduler that is new in its process (its jobs were stored by `schedule_many`)
  until every row is `succeeded`. The worker's registration and the loop's first peek are inside.
- *peer*: from `start()` of a stock `BackgroundScheduler` with `SQLAlchemyJobStore` and `misfire_grace_time=None`, until
  every job has run and its row is gone. (It deletes a row before the job has run, so a killed process loses the job;
  ours does not.)
- *bare*: from the first statement of `bare.Loop` until every row is `succeeded`: no start-up at all, no signature, no
  app context.

All call the same function, which appends its argument to a list; every argument must come exactly once. Each side runs
some jobs to their end before, in the same process.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from typing import Any

from benchmarks import bare as bare_limit
from benchmarks import ours as our_side
from benchmarks import peer as peer_side
from benchmarks import work
from benchmarks.bench import Bench, Report
from benchmarks.figures import at_least, medians, paired_ratio
from benchmarks.ours import wait_until
from benchmarks.process import Port

WARM_UP = 500
LEAST_TO_PEER = {"sqlite": 15.0, "postgresql": 8.0}
LEAST_TO_BARE = 0.6


def measure(bench: Bench) -> Report:
    """Drain the same jobs by each side in turn."""
    sides = bench.sides("ours", "peer", "bare")
    samples = bench.take_turns("drain", sides, jobs=bench.jobs, threads=bench.threads)
    ratios = {f"ours/{side}": paired_ratio(samples["ours"], samples[side], "jobs_per_s") for side in sides[1:]}
    goals = [at_least("ours/bare", ratios["ours/bare"], LEAST_TO_BARE)]
    if bench.peer:
        goals.append(at_least("ours/peer", ratios["ours/peer"], LEAST_TO_PEER[bench.store]))
    return Report({side: medians(samples[side]) for side in sides}, ratios, goals)


def ours(port: Port, url: str, jobs: int, threads: int) -> dict[str, Any]:
    """Drain through this package."""
    our_side.warm_up(url, threads, WARM_UP)
    app, scheduler = our_side.make_app(url, threads)
    our_side.load(app, work.noop, jobs)
    rows = our_side.Rows(url)
    figures = _timed(jobs, scheduler.start, lambda: rows.unfinished() == 0)
    assert rows.succeeded() == jobs + WARM_UP
    scheduler.shutdown()
    return figures


def peer(port: Port, url: str, jobs: int, threads: int) -> dict[str, Any]:
    """Drain through stock APScheduler."""
    rows = _drain_peer(url, 50, threads)[1]
    figures, rows = _drain_peer(url, jobs, threads)
    assert rows.left() == 0
    return figures


def _drain_peer(url: str, jobs: int, threads: int) -> tuple[dict[str, Any], peer_side.Rows]:
    peer_side.load(url, work.noop, jobs)
    rows = peer_side.Rows(url)
    scheduler = peer_side.make_scheduler(url, threads)
    figures = _timed(jobs, scheduler.start, lambda: rows.left() == 0)
    scheduler.shutdown()
    return figures, rows


def bare(port: Port, url: str, jobs: int, threads: int) -> dict[str, Any]:
    """Drain by SQLAlchemy Core alone."""
    bare_limit.migrate(url)
    tables = bare_limit.Tables(url)
    bare_limit.load(tables, WARM_UP)
    bare_limit.Loop(tables, work.noop, threads).drain()
    work.ran.clear()
    bare_limit.load(tables, jobs)
    rows = our_side.Rows(url)
    loop = bare_limit.Loop(tables, work.noop, threads)
    figures = _timed(jobs, loop.start, lambda: rows.unfinished() == 0)
    assert rows.succeeded() == jobs + WARM_UP
    loop.stop()
    return figures


def _timed(jobs: int, start: Callable[[], object], is_stored: Callable[[], bool]) -> dict[str, Any]:
    gc.collect()
    began, cpu = time.perf_counter(), time.process_time()
    start()
    wait_until(lambda: bool(work.ran), every=0.0005)
    first = time.perf_counter() - began
    wait_until(lambda: len(work.ran) >= jobs and is_stored())
    took, cpu = time.perf_counter() - began, time.process_time() - cpu
    assert sorted(work.ran) == list(range(jobs)), "a job did not run exactly once"
    work.ran.clear()
    return {"jobs_per_s": jobs / took, "seconds": took, "first_after_s": first, "cpu_us_per_job": cpu / jobs * 1e6}
