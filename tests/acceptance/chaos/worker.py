"""A process under test: an ordinary app with an ordinary `Scheduler`, and a hand of its own for faults.

Started by `nursery` (a fork of a process that has imported everything already) or by
``python -m tests.acceptance.chaos.worker OPTIONS``, with the options as JSON.
"""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import sys
import threading
import time
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

from flask import Flask
from sqlalchemy import Connection, event

from scheduler_app import Scheduler, faults, schedule_after, schedule_many, signals, using
from scheduler_app.errors import StoreUnavailableError
from scheduler_app.extension import Parts
from scheduler_app.jobs import FINISHED
from scheduler_app.loop import worker as loop_worker
from scheduler_app.store import Store
from scheduler_app.store.sqlite import READ_ONLY

from . import jobs, statements
from .journal import Journal

DELAYS = (0.0, 0.0, 0.0, 0.05, 0.2, 0.5, 1.0, 1.5)
DAZED_SECONDS = 2.0
"""How long the thread that was stopped at a point stays there, while the heartbeat goes on."""
LENGTHS = (0.0, 0.0, 0.0, 0.0, 0.0, 0.02, 0.1, 0.3)


@dataclass
class Options:
    """What one process is to do, and what is to happen to it."""

    folder: str
    url: str
    role: str = "worker"
    """"worker" runs jobs; "producer" schedules them."""
    settings: dict[str, Any] = field(default_factory=dict)
    die_at: str | None = None
    die_after: int = 1
    """Kill this process at the so-manieth passing of the point `die_at`."""
    stop_at: str | None = None
    """Stop this process (SIGSTOP) at the first passing of a point, and stay there for a while when it is continued."""
    calls: int | None = None
    """How many calls a producer makes; without end if None."""
    pause: float = 0.01
    """How long a producer waits between two calls."""
    ticks: bool = False
    """Whether the app declares a schedule that fires each second."""
    lossy: float = 0.0
    """The share of commits, on a database that no proxy stands before, that succeed and are reported as failed."""
    fenced: bool = True
    boot_id: str | None = None
    """Another host's boot id, if this process is to look like one of another host."""
    watch_health: bool = False


def run(options: Options) -> None:
    """Be that process. Returns when a producer has made its calls; a worker is ended by a signal."""
    journal = Journal(Path(options.folder), f"{options.role}-{os.getpid()}")
    jobs.write_to(journal)
    app, scheduler = make_app(options)
    parts: Parts = app.extensions["scheduler"]
    _listen(journal)
    _arrange_faults(options, journal, parts)
    if options.role == "producer":
        with app.app_context():
            produce(options, journal)
        return
    with app.app_context():
        scheduler.start()
    if options.watch_health:
        threading.Thread(target=_watch_health, args=(app, journal), daemon=True).start()
    while True:
        signal.pause()


def make_app(options: Options) -> tuple[Flask, Scheduler]:
    """Make the app, as anyone would."""
    app = Flask("chaos")
    role = "client" if options.role == "producer" else "auto"
    app.config.update(SECRET_KEY="chaos", SCHEDULER_DATABASE_URL=options.url, SCHEDULER_ROLE=role)
    app.config.update(options.settings)
    scheduler = Scheduler()
    if options.ticks:
        scheduler.every(seconds=1, name="tick")(jobs.tick)
    scheduler.init_app(app)
    return app, scheduler


# -- scheduling --------------------------------------------------------------------------------------


def produce(options: Options, journal: Journal) -> None:
    """Schedule all the time; write down each acknowledgement, and each refusal, as it comes."""
    numbers = range(options.calls) if options.calls is not None else count()
    for number in numbers:
        seq = f"{os.getpid()}-{number}"
        try:
            made = _schedule(seq)
        except StoreUnavailableError as error:
            journal.write("raised", seq=seq, error=str(error))
        else:
            for each in made:
                journal.write("acknowledged", seq=seq, job=each.id, run_at=each.run_at.timestamp())
        time.sleep(options.pause)


def _schedule(seq: str) -> list[Any]:
    delay, seconds = random.choice(DELAYS), random.choice(LENGTHS)
    way = random.random()
    if way < 0.8:
        return [schedule_after(delay, jobs.work, seq, seconds)]
    if way < 0.9:
        return [using(key=seq).schedule_after(delay, jobs.work, seq, seconds)]
    return list(schedule_many([(delay, jobs.work, (f"{seq}/{n}", seconds)) for n in range(3)]))


# -- what is written down besides --------------------------------------------------------------------


def _listen(journal: Journal) -> None:
    def on_settled(_sender: Any, **facts: Any) -> None:
        state = facts["state"]
        journal.write("settled", sync=False, job=facts["job_id"], state=state.value, finished=state in FINISHED)

    def on_superseded(_sender: Any, **facts: Any) -> None:
        journal.write("superseded", sync=False, job=facts["job_id"], fence=facts["fence"])

    def on_rescued(_sender: Any, **facts: Any) -> None:
        journal.write("rescued", sync=False, job=facts["job_id"], crashes=facts["crashes"])

    def on_started(_sender: Any, **_facts: Any) -> None:
        journal.write("up")

    def on_failed(_sender: Any, **facts: Any) -> None:
        journal.write("failed", sync=False, error=str(facts["error"])[:500])

    pairs = {
        signals.job_settled: on_settled,
        signals.job_superseded: on_superseded,
        signals.job_rescued: on_rescued,
        signals.scheduler_started: on_started,
        signals.scheduler_failed: on_failed,
    }
    for each, receiver in pairs.items():
        each.connect(receiver, weak=False)


def _watch_health(app: Flask, journal: Journal) -> None:
    last = None
    while True:
        status = app.test_client().get("/scheduler/readyz").status_code
        if status != last:
            journal.write("ready", status=status)
        last = status
        time.sleep(0.05)


# -- faults ------------------------------------------------------------------------------------------


def _arrange_faults(options: Options, journal: Journal, parts: Parts) -> None:
    if options.die_at is not None:
        faults.install(_killer(journal, options.die_at, options.die_after))
    if options.stop_at is not None:
        faults.install(_stopper(journal, options.stop_at))
    if options.boot_id is not None:
        _move_to_another_host(options.boot_id)
    if options.lossy:
        lose_replies(parts.store, journal, options.lossy)
    if not options.fenced:
        event.listen(parts.store.engine, "before_cursor_execute", _without_fence, retval=True)
    event.listen(parts.store.engine, "after_cursor_execute", _count_changes(journal))


def _killer(journal: Journal, point: str, after: int) -> Any:
    passed = count(1)

    def hook(reached: str) -> None:
        if reached == point and next(passed) >= after:
            journal.write("dying", point=point)
            os.kill(os.getpid(), signal.SIGKILL)
            time.sleep(60)

    return hook


def _stopper(journal: Journal, point: str) -> Any:
    passed = count(1)

    def hook(reached: str) -> None:
        if reached == point and next(passed) == 1:
            journal.write("stopping", point=point)
            os.kill(os.getpid(), signal.SIGSTOP)
            time.sleep(DAZED_SECONDS)

    return hook


def _move_to_another_host(boot_id: str) -> None:
    here = loop_worker.this_process

    def elsewhere() -> loop_worker.Process:
        process = here()
        return loop_worker.Process("elsewhere", process.pid, boot_id, process.pid_namespace, process.pid_started)

    loop_worker.this_process = elsewhere  # type: ignore[assignment,unused-ignore]


def _without_fence(_c: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> tuple[str, Any]:
    return statements.unfenced(statement), parameters


def _count_changes(journal: Journal) -> Any:
    """Write down how many job rows each end changed, so that a stale one can be seen to change none."""

    def after(_connection: Any, cursor: Any, statement: str, *_: Any) -> None:
        if statements.kind_of(statement) == "settle":
            journal.write("ends written", sync=False, rows=cursor.rowcount)

    return after


def lose_replies(store: Store, journal: Journal, share: float) -> None:
    """Have some commits fail after they have succeeded, as when the disk or a signal interrupts the reply."""
    engine = store.engine
    doing = threading.local()
    commit = engine.dialect.do_commit

    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        kind = statements.kind_of(statement)
        if kind is not None:
            doing.kinds = {*getattr(doing, "kinds", ()), kind}

    def tell_writes(connection: Connection) -> None:
        doing.writes = not connection.get_execution_options().get(READ_ONLY, False)

    def lossy_commit(connection: Any) -> None:
        commit(connection)
        kinds: set[str] = getattr(doing, "kinds", set())
        doing.kinds = set()
        if doing.writes and random.random() < share:
            journal.write("lost", sync=False, kinds=sorted(kinds))
            raise _lost_reply(connection)

    def _lost_reply(connection: Any) -> Exception:
        if store.dialect.name == "mysql":
            connection.driver_connection._force_close()
            driver: Any = engine.dialect.dbapi
            return driver.OperationalError(2013, "the reply was lost")  # type: ignore[no-any-return]
        error = sqlite3.OperationalError("the reply was lost")
        error.sqlite_errorname = random.choice(["SQLITE_BUSY", "SQLITE_IOERR_FSYNC"])
        return error

    event.listen(engine, "before_cursor_execute", note)
    event.listen(engine, "commit", tell_writes)
    engine.dialect.do_commit = lossy_commit  # type: ignore[method-assign,assignment]


if __name__ == "__main__":
    import json

    run(Options(**json.loads(sys.argv[1])))
