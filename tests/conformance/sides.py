"""Two schedulers with one surface: stock APScheduler on its SQLAlchemy store, and ours, on a SQLite file each."""

from __future__ import annotations

import pickle
import sqlite3
import sys
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from apscheduler.events import EVENT_JOB_SUBMITTED
from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.jobstores.sqlalchemy import SQLAlchemyJobStore
from apscheduler.schedulers.background import BackgroundScheduler
from flask import Flask

from scheduler_app import Scheduler
from scheduler_app.extension import Parts

TO_BE_KILLED = "to be killed"
"""The argument that marks the process whose jobs hang."""

ran: list[str] = []
opened = threading.Event()


def note(name: str) -> None:
    ran.append(name)


def hold(name: str) -> None:
    ran.append(name)
    assert opened.wait(30)


def append_line(path: str) -> None:
    with Path(path).open("a") as file:
        file.write("started\n")


def append_line_and_hang(path: str) -> None:
    """Say that it started and never end, in the process that will be killed; only say so in a later one."""
    append_line(path)
    if TO_BE_KILLED in sys.argv:
        threading.Event().wait()


def until(holds: Callable[[], Any], seconds: float = 20.0) -> None:
    """Return once it holds; fail after so many seconds."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.005)


class Side(ABC):
    """One of the two: makes schedulers on one file, each as another process would, and counts what is stored."""

    def __init__(self, folder: Path, url: str) -> None:
        self.folder, self.url = folder, url

    @abstractmethod
    def make(
        self, executors: Sequence[str] = ("default",), workers: int = 10, busy_seconds: float = 5.0
    ) -> BackgroundScheduler:
        """Return one more scheduler, with these executors of so many threads each.

        The stock one gives up a locked file after `busy_seconds`, by default sqlite3's own; ours tries again anyway.
        """

    @abstractmethod
    def start(self, scheduler: BackgroundScheduler, *, paused: bool = False) -> None:
        """Start it, and return when it has begun to look for jobs."""

    @abstractmethod
    def unfinished(self) -> int:
        """Count the jobs that the database knows and that have not ended."""

    @abstractmethod
    def untaken(self) -> int:
        """Count the jobs that another process could still take."""

    @abstractmethod
    def is_draining(self, scheduler: BackgroundScheduler) -> bool:
        """Whether a shutdown has begun to wait for jobs that run."""

    @abstractmethod
    def forge(self, path: Path) -> None:
        """Change every stored job, with SQL alone, into one that calls `append_line(path)`."""

    @abstractmethod
    def was_set_aside(self) -> bool:
        """Whether a job is kept, with the reason why it will not run."""

    @abstractmethod
    def close(self) -> None:
        """Stop every scheduler."""

    def sql(self, statement: str, *values: Any) -> Any:
        """Do one statement on the file, as any program could; return the first column of its first row."""
        with closing(sqlite3.connect(self.url.removeprefix("sqlite:///"))) as connection, connection:
            found = connection.execute(statement, values).fetchone()
        return found and found[0]

    @contextmanager
    def write_lock(self) -> Iterator[None]:
        """Hold the file's write lock, as a program does that writes for long."""
        with closing(sqlite3.connect(self.url.removeprefix("sqlite:///"), isolation_level=None)) as connection:
            connection.execute("BEGIN IMMEDIATE")
            yield
            connection.execute("ROLLBACK")


class Stock(Side):
    """APScheduler as it comes: `BackgroundScheduler`, `SQLAlchemyJobStore`, `ThreadPoolExecutor`."""

    def __init__(self, folder: Path, url: str) -> None:
        super().__init__(folder, url)
        self._made: list[BackgroundScheduler] = []

    def make(
        self, executors: Sequence[str] = ("default",), workers: int = 10, busy_seconds: float = 5.0
    ) -> BackgroundScheduler:
        store = SQLAlchemyJobStore(self.url, engine_options={"connect_args": {"timeout": busy_seconds}})
        pools = {alias: ThreadPoolExecutor(workers) for alias in executors}
        self._made.append(BackgroundScheduler(jobstores={"default": store}, executors=pools, timezone="UTC"))
        return self._made[-1]

    def start(self, scheduler: BackgroundScheduler, *, paused: bool = False) -> None:
        scheduler.start(paused=paused)

    def unfinished(self) -> int:
        count: int = self.sql("SELECT count(*) FROM apscheduler_jobs")
        return count

    untaken = unfinished

    def is_draining(self, scheduler: BackgroundScheduler) -> bool:
        return bool(scheduler._executors["default"]._pool._shutdown)

    def forge(self, path: Path) -> None:
        self.sql("UPDATE apscheduler_jobs SET job_state = ?", pickle.dumps(_Forged(path)))

    def was_set_aside(self) -> bool:
        return False

    def close(self) -> None:
        for scheduler in self._made:
            if scheduler.running:
                scheduler.shutdown()


class _Forged:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[[str], None], tuple[str]]:
        return append_line, (str(self.path),)


class Durable(Side):
    """Ours: `scheduler.aps` of a Flask app."""

    def __init__(self, folder: Path, url: str) -> None:
        super().__init__(folder, url)
        self._made: dict[BackgroundScheduler, Parts] = {}

    def make(
        self, executors: Sequence[str] = ("default",), workers: int = 10, busy_seconds: float = 5.0
    ) -> BackgroundScheduler:
        app = Flask("tests")
        app.config |= {
            "SECRET_KEY": "the secret of the conformance tests",
            "SCHEDULER_DATABASE_URL": self.url,
            "SCHEDULER_AUTO_UPGRADE": True,
            "SCHEDULER_ROLE": "client",
            "SCHEDULER_POLL_SECONDS": 0.1,
            "SCHEDULER_HEARTBEAT_SECONDS": 0.2,
            "SCHEDULER_TASK_MODULES": ["tests", "newer_code"],
            "SCHEDULER_EXECUTORS": {alias: {"type": "threads", "max_workers": workers} for alias in executors},
        }
        Scheduler(app)
        parts: Parts = app.extensions["scheduler"]
        parts.narrow(executors, None, None)
        self._made[parts.aps] = parts
        return parts.aps

    def start(self, scheduler: BackgroundScheduler, *, paused: bool = False) -> None:
        scheduler.start(paused=paused)
        until(lambda: scheduler.turned_at > 0)

    def unfinished(self) -> int:
        return self._schedules() + self._jobs("state NOT IN ('succeeded', 'failed', 'cancelled', 'missed')")

    def untaken(self) -> int:
        return self._schedules() + self._jobs("state = 'scheduled'")

    def _schedules(self) -> int:
        count: int = self.sql("SELECT count(*) FROM scheduler_schedules")
        return count

    def _jobs(self, condition: str) -> int:
        count: int = self.sql(f"SELECT count(*) FROM scheduler_jobs WHERE {condition}")
        return count

    def is_draining(self, scheduler: BackgroundScheduler) -> bool:
        return bool(scheduler._turn.draining)

    def forge(self, path: Path) -> None:
        call = f'{{"a":["{path}"],"k":{{}}}}'
        self.sql("UPDATE scheduler_schedules SET payload = ?, task = ?", call, f"{append_line.__module__}:append_line")

    def was_set_aside(self) -> bool:
        return bool(self.sql("SELECT count(*) FROM scheduler_schedules WHERE error IS NOT NULL"))

    def close(self) -> None:
        for scheduler, parts in self._made.items():
            if scheduler.running:
                scheduler.shutdown()
            parts.store.close()


SIDES: dict[str, type[Side]] = {"stock": Stock, "here": Durable}


def run_until_killed(name: str, folder: str, url: str) -> None:
    """Run the jobs of a database in this process for ever; say so on stdout once one was submitted."""
    side = SIDES[name](Path(folder), url)
    scheduler = side.make()
    scheduler.add_listener(lambda _event: print("submitted", flush=True), EVENT_JOB_SUBMITTED)
    side.start(scheduler)
    threading.Event().wait()
