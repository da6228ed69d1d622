"""A queue's limit across processes that are killed in the middle: judged by the jobs' own marks, and by the rows."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TypeVar

from sqlalchemy import text

from scheduler_app.store import Store
from tests.acceptance.processes import Process, environment, running, until

T = TypeVar("T")

LIMIT = 3
PROCESSES = 4
JOBS = 60
APP = f"""
import os
import time

from flask import Flask
from scheduler_app import Scheduler, current_job, using
from scheduler_app import RetryPolicy

app = Flask(__name__)
app.config.update(
    SECRET_KEY="the secret of the queue's limit",
    SCHEDULER_DATABASE_URL=os.environ["DATABASE"],
    SCHEDULER_AUTO_UPGRADE=True,
    SCHEDULER_ROLE="client",
    SCHEDULER_POLL_SECONDS=0.1,
    SCHEDULER_HEARTBEAT_SECONDS=0.3,
    SCHEDULER_LEASE_SECONDS=10,
    SCHEDULER_MAX_CRASHES=50,
    SCHEDULER_QUEUES={{"mail": {{"concurrency": {LIMIT}}}}},
)
Scheduler(app)
journal = os.open("journal", os.O_WRONLY | os.O_APPEND | os.O_CREAT)


def mark(what):
    os.write(journal, f"{{what}} {{os.getpid()}} {{current_job.id}}\\n".encode())


def send(number):
    mark("begin")
    time.sleep(0.05)
    mark("end")
    if number % 3 == 0 and current_job.attempt == 1:
        raise OSError("the relay hangs up")


@app.cli.command("fill")
def fill():
    for number in range({JOBS}):
        using(queue="mail", retry=RetryPolicy(attempts=3, backoff=0)).schedule_now(send, number)
"""
FLASK = ("-m", "flask", "--app", "limited:app")


def test_a_limit_holds_while_processes_are_killed_in_the_middle_of_its_jobs(tmp_path: Path, store_url: str) -> None:
    (tmp_path / "limited.py").write_text(APP)
    env = environment(tmp_path, DATABASE=store_url)
    store = Store(store_url, auto_upgrade=True)
    journal = tmp_path / "journal"
    most = 0

    def looking(done: Callable[[], T]) -> Callable[[], T]:
        """Look at the rows, too, each time."""

        def look() -> T:
            nonlocal most
            most = max(most, held(store))
            return done()

        return look

    with ExitStack() as stack:
        workers = [
            stack.enter_context(running(*FLASK, "scheduler", "run", folder=tmp_path, env=env, name=f"worker{number}"))
            for number in range(PROCESSES)
        ]
        until(lambda: _count(store, "scheduler_workers", "state = 'running'") == PROCESSES, "all workers")
        with running(*FLASK, "fill", folder=tmp_path, env=env, name="fill") as filling:
            assert filling.wait() == 0, filling.said()
        for ends in (JOBS // 4, JOBS // 2):
            until(looking(lambda ends=ends: count(journal, "end") >= ends), f"{ends} ends")  # type: ignore[misc]
            kill_marked(journal, until(looking(lambda: in_the_middle(journal, workers)), "a job that runs"))
        until(looking(lambda: left(store) == 0), "the end of all jobs", seconds=60)
    crashed = _count(store, "scheduler_jobs", "crashes > 0")
    store.close()
    assert (most, max(at_once(journal))) == (LIMIT, LIMIT)
    assert crashed >= 1


def held(store: Store) -> int:
    return _count(store, "scheduler_jobs", "state IN ('claimed', 'running')")


def left(store: Store) -> int:
    return _count(store, "scheduler_jobs", "state <> 'succeeded'")


def _count(store: Store, table: str, which: str) -> int:
    counted = text(f"SELECT count(*) FROM {table} WHERE {which}")
    found: int = store.read(lambda connection: connection.execute(counted).scalar_one())
    return found


def lines(journal: Path) -> list[list[str]]:
    return [line.split() for line in journal.read_text().splitlines()] if journal.exists() else []


def count(journal: Path, what: str) -> int:
    return sum(line[0] == what for line in lines(journal))


def in_the_middle(journal: Path, workers: Sequence[Process]) -> Process | None:
    """Return a process that lives and, by its last mark, runs a job."""
    last = {pid: what for what, pid, *_ in lines(journal)}
    return next((one for one in workers if last.get(str(one.pid)) == "begin"), None)


def kill_marked(journal: Path, worker: Process | None) -> None:
    """Kill a process; the journal says so first, for what it ran does not run from then on."""
    assert worker is not None
    with journal.open("a") as out:
        out.write(f"killed {worker.pid}\n")
    worker.send(signal.SIGKILL)


def at_once(journal: Path) -> Iterator[int]:
    """Yield, at each mark, how many jobs were in the middle of their function, in processes that lived."""
    active: set[tuple[str, str]] = set()
    dead: set[str] = set()
    for what, pid, *job in lines(journal):
        if what == "killed":
            dead.add(pid)
            active = {one for one in active if one[0] != pid}
        elif what == "begin" and pid not in dead:
            active.add((pid, *job))  # type: ignore[arg-type]
        else:
            active.discard((pid, *job))  # type: ignore[arg-type]
        yield len(active)
