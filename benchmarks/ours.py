"""This package's side: an app as its users make it, and what several measurements do with one."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any

from flask import Flask
from sqlalchemy import create_engine, text

from benchmarks import work
from scheduler_app import Scheduler, schedule_many

BATCH = 10_000


def make_app(url: str, threads: int = 10, role: str = "auto") -> tuple[Flask, Scheduler]:
    """Return an app with a scheduler that has not started, whose schema is there."""
    logging.basicConfig(level=logging.WARNING)
    app = Flask("benchmarks")
    app.config.update(
        SECRET_KEY="a key that only measures",
        SCHEDULER_DATABASE_URL=url,
        SCHEDULER_AUTO_UPGRADE=True,
        SCHEDULER_ROLE=role,
        SCHEDULER_EXECUTORS={"default": {"type": "threads", "max_workers": threads}},
    )
    scheduler = Scheduler(app)
    app.extensions["scheduler"].store.ensure_ready()
    return app, scheduler


def load(app: Flask, function: Callable[..., Any], jobs: int) -> None:
    """Store so many calls of a function that are due now, through the package's own client."""
    with app.app_context():
        for begin in range(0, jobs, BATCH):
            schedule_many([(0, function, (i,)) for i in range(begin, min(jobs, begin + BATCH))])


class Rows:
    """Looks at the jobs' rows from outside, over a connection that shares nothing with the package."""

    def __init__(self, url: str) -> None:
        self._connection = create_engine(url, isolation_level="AUTOCOMMIT").connect()

    def unfinished(self) -> int:
        """Return how many jobs have not succeeded."""
        return self._count("state <> 'succeeded'")

    def succeeded(self) -> int:
        """Return how many jobs have succeeded."""
        return self._count("state = 'succeeded'")

    def live(self) -> bool:
        """Tell whether some job waits or runs; read from small indexes, however many have finished."""
        waiting = "SELECT 1 FROM scheduler_jobs WHERE state = 'scheduled' LIMIT 1"
        held = "SELECT 1 FROM scheduler_jobs WHERE state IN ('claimed', 'running') LIMIT 1"
        return any(self._connection.execute(text(one)).scalar() for one in (waiting, held))

    def _count(self, which: str) -> int:
        count: int = self._connection.execute(text(f"SELECT count(*) FROM scheduler_jobs WHERE {which}")).scalar_one()
        return count


def wait_until(done: Callable[[], bool], seconds: float = 600, every: float = 0.002) -> None:
    """Wait until something holds. Raises `TimeoutError`."""
    deadline = time.monotonic() + seconds
    while not done():
        if time.monotonic() > deadline:
            raise TimeoutError(f"not done within {seconds:g} s")
        time.sleep(every)


def warm_up(url: str, threads: int, jobs: int = 500) -> None:
    """Run some jobs to their end, so that nothing is imported or prepared for the first time later."""
    app, scheduler = make_app(url, threads)
    load(app, work.noop, jobs)
    rows = Rows(url)
    scheduler.start()
    wait_until(lambda: len(work.ran) >= jobs and not rows.unfinished())
    scheduler.shutdown()
    work.ran.clear()
