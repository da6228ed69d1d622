"""What pruning costs a claim: 1,000,000 finished jobs are deleted by another process while claims go on.

A claim here is as in `claim`, but timed from before its transaction begins, so that what it waits for a lock counts.
The pruner is the package's own, as it runs by itself: adaptive batches, and four times as long a rest between them.
`alone` are claims in the same database before the pruner starts, `beside it` those until it has ended.
"""

from __future__ import annotations

import itertools
import time
from threading import Event
from typing import Any

from sqlalchemy import select

from benchmarks import claim
from benchmarks.bench import Bench, Report, note, shown
from benchmarks.figures import at_most, percentile, rounded
from benchmarks.process import Port, Process, run
from scheduler_app.jobs import JobState
from scheduler_app.loop.pruner import Pruner
from scheduler_app.loop.worker import Worker
from scheduler_app.store import Store, tables

FINISHED = 1_000_000
LOOK_EVERY = 500
"""After so many claims it is looked, untimed, whether there is still something to prune."""
PAUSE = 0.005
"""Seconds between two claims: a loop that is busy, and not one that does nothing else."""
MOST_RATIO = 2.0


def measure(bench: Bench) -> Report:
    """Load a database, claim from it alone, then beside the pruner."""
    with bench.databases.fresh() as url:
        others = round(FINISHED * bench.scale)
        note(f"load: {shown(run('claim', 'load', url=url, others=others))}")
        with Process("prune", "pruner", url=url) as pruning:
            pruning.wait_ready()
            alone = run("prune", "claims", url=url, count=bench.jobs)
            pruning.go()
            beside = run("prune", "claims", url=url, count=bench.jobs, until_pruned=True)
            pruned = pruning.result()
    found = {"alone": alone, "beside it": beside, "pruner": pruned}
    for name, sample in found.items():
        note(f"{name}: {shown(sample)}")
    ratios = {figure: beside[f"{figure}_us"] / alone[f"{figure}_us"] for figure in ("p50", "p99")}
    sides = {name: {figure: rounded(value) for figure, value in sample.items()} for name, sample in found.items()}
    return Report(sides, ratios, [at_most("claim p99, beside the pruner/alone", ratios["p99"], MOST_RATIO)])


def pruner(port: Port, url: str) -> dict[str, Any]:
    """Delete everything that has ended, as slowly as the package does, and tell how fast that was."""
    store = Store(url)
    store.ensure_ready()
    worker = Worker(30.0, executors={}, key_ids=(), queues=None)
    pruning = Pruner(store, worker, dict.fromkeys((JobState.SUCCEEDED,), 0.0), 60.0)
    port.ready()
    began = time.perf_counter()
    count = pruning.run(Event().wait)
    seconds = time.perf_counter() - began
    return {"pruned": count, "seconds": seconds, "rows_per_s": count / seconds}


def claims(port: Port, url: str, count: int, until_pruned: bool = False) -> dict[str, Any]:
    """Claim, rolled back, many times; or for as long as finished jobs are left, and at least that often."""
    store = Store(url)
    store.ensure_ready()
    took = []
    for number in itertools.count(-20):
        is_enough = number >= count and (not until_pruned or (number % LOOK_EVERY == 0 and _is_pruned(store)))
        if is_enough:
            break
        began = time.perf_counter()
        while not _claim(store):
            pass
        if number >= 0:
            took.append((time.perf_counter() - began) * 1e6)
        time.sleep(PAUSE)
    return {"claims": len(took), "p50_us": percentile(took, 0.5), "p99_us": percentile(took, 0.99)}


def _claim(store: Store) -> bool:
    """Claim once; False where the file was locked for longer than the driver waits, and it is to be tried again."""
    try:
        with store.engine.connect() as connection:
            transaction = connection.begin()
            claim._claim(store, connection)
            transaction.rollback()
    except Store.errors as error:
        if not store.dialect.is_transient(error):
            raise
        return False
    return True


def _is_pruned(store: Store) -> bool:
    some = select(tables.jobs.c.id).where(tables.jobs.c.finished_at.is_not(None)).limit(1)
    return store.read(lambda connection: connection.execute(some).first()) is None
