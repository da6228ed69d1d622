"""How late one queue's jobs start while another queue is flooded, over how late they start while it is calm.

The flood is 100,000 jobs (`--jobs`) that are all due before the scheduler starts, each of which keeps a thread for 2 ms
(a fast call of another service). Beside them 20 jobs a second are scheduled in a second queue, 0.2 to 1.0 s ahead, and
their lateness is measured as by `lateness`; those that were due after the flood was over are left out. Both queues
share 10 threads and have no limits: the defaults. `calm` is the same without the flood.

- *peer*: stock APScheduler, the flood on its default executor and the others on one of their own, each with 10 threads,
  for it has no queues. It passes all that is due to the executors before it looks again, so it gets a fiftieth of the
  flood: with all of it, it would not end within ten minutes.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from apscheduler.executors.pool import ThreadPoolExecutor

from benchmarks import ours as our_side
from benchmarks import peer as peer_side
from benchmarks import work
from benchmarks.bench import Bench, Report, note, shown
from benchmarks.figures import Sample, at_most, medians, paired_ratio, percentile
from benchmarks.process import run
from scheduler_app import schedule_many, using

PER_SECOND = 20
AHEAD = (0.2, 1.0)
MOST_P99_MS = 100.0
PEER_SHARE = 50
WAIT_SECONDS = 900


def measure(bench: Bench) -> Report:
    """Measure calm and flooded in turn, each in a process and on a database of its own."""
    sides = ["calm", "flooded"] + (["peer_calm", "peer_flooded"] if bench.peer else [])
    count = round(PER_SECOND * bench.seconds)
    rounds: dict[str, list[Sample]] = {side: [] for side in sides}
    for _ in range(bench.rounds):
        for side in sides:
            with bench.databases.fresh() as url:
                told = run("flood", side, url=url, flood=_flood_of(side, bench.jobs), count=count)
            rounds[side].append(_lateness(side, told))
    found = {side: medians(samples) for side, samples in rounds.items()}
    ratios = {f"flooded/calm {f}": paired_ratio(rounds["flooded"], rounds["calm"], f"{f}_ms") for f in ("p50", "p99")}
    if bench.peer:
        beside = paired_ratio(rounds["peer_flooded"], rounds["flooded"], "p99_ms")
        ratios["peer/ours p99, flooded"] = beside
    return Report(found, ratios, [at_most("flooded, p99 ms", found["flooded"]["p99_ms"], MOST_P99_MS)])


def _flood_of(side: str, jobs: int) -> int:
    return {"flooded": jobs, "peer_flooded": jobs // PEER_SHARE}.get(side, 0)


def _lateness(side: str, told: dict[str, Any]) -> Sample:
    started = dict(told["started"])
    assert len(told["started"]) == len(started) == len(told["due"]), "a job did not run exactly once"
    over = told["flood_over"] or float("inf")
    due = {int(number): instant for number, instant in told["due"].items() if instant <= over}
    assert due, "the flood was over before anything was measured: give it more --jobs"
    late = [1000 * (started[number] - instant) for number, instant in due.items()]
    sample: Sample = {
        "p50_ms": percentile(late, 0.5),
        "p99_ms": percentile(late, 0.99),
        "max_ms": max(late),
        "jobs": len(late),
    }
    note(f"{side}: {shown(sample)}")
    return sample


# -- sides -------------------------------------------------------------------------------------------


def calm(port: object, url: str, flood: int, count: int) -> dict[str, Any]:
    """Schedule and run in one process, beside a flood of so many jobs."""
    app, scheduler = our_side.make_app(url)
    with app.app_context():
        for begin in range(0, flood, our_side.BATCH):
            size = min(flood, begin + our_side.BATCH) - begin
            using(queue="flood").schedule_many([(0, work.keep_a_thread, (i,)) for i in range(begin, begin + size)])
        scheduler.start()
        schedule_many([(0, work.noop, (0,))])
        _wait_for(lambda: bool(work.ran))
        quiet = using(queue="quiet")
        due = _steadily(count, lambda number, ahead: _after(quiet, number, ahead))
    return _told(due, flood, count, scheduler.shutdown)


flooded = calm


def peer_calm(port: object, url: str, flood: int, count: int) -> dict[str, Any]:
    """Schedule and run in one process, by stock APScheduler."""
    scheduler = peer_side.make_scheduler(url)
    scheduler.add_executor(ThreadPoolExecutor(10), "quiet")
    if flood:
        peer_side.load(url, work.keep_a_thread, flood)
    scheduler.start()

    def add(number: int, ahead: float) -> float:
        when = datetime.now(UTC) + timedelta(seconds=ahead)
        scheduler.add_job(work.note_time, "date", run_date=when, args=[number], executor="quiet")
        return when.timestamp()

    _wait_for(lambda: bool(work.ran) or not flood)
    due = _steadily(count, add)
    return _told(due, flood, count, scheduler.shutdown)


peer_flooded = peer_calm


def _after(quiet: Any, number: int, ahead: float) -> float:
    due: float = quiet.schedule_after(ahead, work.note_time, number).run_at.timestamp()
    return due


def _steadily(count: int, schedule: Callable[[int, float], float]) -> dict[int, float]:
    """Schedule one job each twentieth of a second, unless the one before took longer."""
    chance = random.Random(1)
    began = time.monotonic()
    due = {}
    for number in range(count):
        time.sleep(max(0.0, began + number / PER_SECOND - time.monotonic()))
        due[number] = schedule(number, chance.uniform(*AHEAD))
    return due


def _told(due: dict[int, float], flood: int, count: int, shutdown: Callable[[], Any]) -> dict[str, Any]:
    """Wait for the end of what is measured, and tell; whatever is left of the flood is thrown away."""
    _wait_for(lambda: len(work.started) >= count)
    over = work.last_kept if flood and work.kept >= flood else None
    shutdown()
    return {"due": due, "started": list(work.started), "flood_over": over}


def _wait_for(done: Callable[[], bool]) -> None:
    our_side.wait_until(done, seconds=WAIT_SECONDS)
