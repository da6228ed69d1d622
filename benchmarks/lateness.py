"""How late jobs start: 100 a second for some seconds, on an otherwise idle scheduler of 10 threads.

Lateness is the wall clock read by the job's function as its first act, less the job's `run_at`. All processes are on
one host, so their wall clocks agree. A negative one would be an early start.

- *same process*: each job is scheduled 0.2 to 1.0 s ahead (at random) in the process whose scheduler runs it. Its
  lateness counts from the instant it was scheduled for.
- *other process*: `schedule_now` in a process that only schedules (role `client`); another one runs the jobs. Its
  lateness counts from the call, so the insert, its commit and sync are inside.
- *peer*: stock APScheduler, same process, date jobs 0.2 to 1.0 s ahead. (From another process it would not see them.)
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from benchmarks import ours as our_side
from benchmarks import peer as peer_side
from benchmarks import work
from benchmarks.bench import Bench, Report, note, shown
from benchmarks.figures import Sample, at_most, medians, percentile
from benchmarks.process import Port, Process
from scheduler_app import schedule_after, schedule_now

PER_SECOND = 100
AHEAD = (0.2, 1.0)
MOST_SAME_MS = 20.0
MOST_OTHER_MS = 80.0

Schedule = Callable[[int, float], float]
"""Schedules the job of a number so many seconds ahead; returns the instant (epoch) it is due."""


def measure(bench: Bench) -> Report:
    """Measure the same process, the other process and the peer in turn."""
    count = round(PER_SECOND * bench.seconds)
    rounds: dict[str, list[Sample]] = {}
    for _ in range(bench.rounds):
        rounds.setdefault("same process", []).append(_alone(bench, "ours", count))
        rounds.setdefault("other process", []).append(_from_another(bench, count))
        if bench.peer:
            rounds.setdefault("peer", []).append(_alone(bench, "peer", count))
    found = {name: medians(samples) for name, samples in rounds.items()}
    goals = [
        at_most("same process, p99 ms", found["same process"]["p99_ms"], MOST_SAME_MS),
        at_most("other process, p99 ms", found["other process"]["p99_ms"], MOST_OTHER_MS),
        at_most("early starts", sum(s["early"] for name in rounds if name != "peer" for s in rounds[name]), 0),
    ]
    ratios = {}
    if bench.peer:
        ratios["peer/ours p99"] = found["peer"]["p99_ms"] / found["same process"]["p99_ms"]
    return Report(found, ratios, goals)


def _alone(bench: Bench, side: str, count: int) -> Sample:
    with bench.databases.fresh() as url, Process("lateness", side, url=url, count=count) as process:
        return _lateness(side, process.result())


def _from_another(bench: Bench, count: int) -> Sample:
    with bench.databases.fresh() as url, Process("lateness", "worker", url=url, count=count) as worker:
        worker.wait_ready()
        with Process("lateness", "client", url=url, count=count) as client:
            due = client.result()
        worker.go()
        return _lateness("other process", worker.result() | due)


def _lateness(side: str, told: dict[str, Any]) -> Sample:
    due = {int(number): instant for number, instant in told["due"].items()}
    started = dict(told["started"])
    assert len(told["started"]) == len(due) == len(started), "a job did not run exactly once"
    late = [1000 * (started[number] - instant) for number, instant in due.items()]
    sample: Sample = {
        "p50_ms": percentile(late, 0.5),
        "p99_ms": percentile(late, 0.99),
        "max_ms": max(late),
        "min_ms": min(late),
        "early": sum(one < 0 for one in late),
        "jobs": len(late),
    }
    note(f"{side}: {shown(sample)}")
    return sample


# -- sides -------------------------------------------------------------------------------------------


def ours(port: Port, url: str, count: int) -> dict[str, Any]:
    """Schedule and run in one process."""
    app, scheduler = our_side.make_app(url)
    scheduler.start()
    with app.app_context():
        schedule_now(work.note_time, -1)
        our_side.wait_until(lambda: bool(work.started))
        due = _schedule_steadily(count, lambda number, ahead: _ours_after(number, ahead))
    our_side.wait_until(lambda: len(work.started) > count, seconds=60)
    scheduler.shutdown()
    return _told(due)


def worker(port: Port, url: str, count: int) -> dict[str, Any]:
    """Run what another process schedules."""
    app, scheduler = our_side.make_app(url)
    scheduler.start()
    with app.app_context():
        schedule_now(work.note_time, -1)
    our_side.wait_until(lambda: bool(work.started))
    port.ready()
    our_side.wait_until(lambda: len(work.started) > count, seconds=60)
    scheduler.shutdown()
    return _told({})


def client(port: Port, url: str, count: int) -> dict[str, Any]:
    """Schedule what another process runs."""
    app, _scheduler = our_side.make_app(url, role="client")
    with app.app_context():
        due = _schedule_steadily(count, lambda number, ahead: _ours_now(number))
    return {"due": due}


def peer(port: Port, url: str, count: int) -> dict[str, Any]:
    """Schedule and run in one process, by stock APScheduler."""
    scheduler = peer_side.make_scheduler(url)
    scheduler.start()

    def add(number: int, ahead: float) -> float:
        when = datetime.now(UTC) + timedelta(seconds=ahead)
        scheduler.add_job(work.note_time, "date", run_date=when, args=[number])
        return when.timestamp()

    add(-1, 0.0)
    our_side.wait_until(lambda: bool(work.started))
    due = _schedule_steadily(count, add)
    our_side.wait_until(lambda: len(work.started) > count, seconds=60)
    scheduler.shutdown()
    return _told(due)


def _ours_after(number: int, ahead: float) -> float:
    return schedule_after(ahead, work.note_time, number).run_at.timestamp()


def _ours_now(number: int) -> float:
    return schedule_now(work.note_time, number).run_at.timestamp()


def _schedule_steadily(count: int, schedule: Schedule) -> dict[int, float]:
    """Schedule one job each hundredth of a second, whatever the one before took."""
    chance = random.Random(1)
    began = time.monotonic()
    due = {}
    for number in range(count):
        time.sleep(max(0.0, began + number / PER_SECOND - time.monotonic()))
        due[number] = schedule(number, chance.uniform(*AHEAD))
    return due


def _told(due: dict[int, float]) -> dict[str, Any]:
    told: dict[str, Any] = {"due": due, "started": [one for one in work.started if one[0] >= 0]}
    return told
