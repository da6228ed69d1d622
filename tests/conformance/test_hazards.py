"""What stock APScheduler does to deferred work is seen on it, and not seen here: each scene is played on both.

The scenes are named and described in `hazards.py`. Jobs are given `misfire_grace_time=None` wherever another hazard is
looked at, so that none hides behind the stock default of one second.
"""

from __future__ import annotations

import importlib
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from apscheduler.events import EVENT_JOB_EXECUTED, EVENT_JOB_MISSED, EVENT_JOB_SUBMITTED
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.util import undefined

from tests.conformance import sides
from tests.conformance.hazards import HAZARDS, Hazard
from tests.conformance.sides import (
    TO_BE_KILLED,
    Durable,
    Side,
    Stock,
    append_line_and_hang,
    hold,
    note,
    opened,
    ran,
    until,
)

ROOT = Path(__file__).parents[2]
MOMENT = 2.0
"""Seconds that something is given which should not come; much longer than it takes where it does come."""


@pytest.fixture(autouse=True)
def _fresh() -> Iterator[None]:
    ran.clear()
    opened.clear()
    yield
    opened.set()


@pytest.fixture
def stock(tmp_path: Path) -> Iterator[Side]:
    yield from ending(Stock(tmp_path, f"sqlite:///{tmp_path / 'stock.sqlite3'}"))


@pytest.fixture
def durable(tmp_path: Path, migrated_sqlite: str) -> Iterator[Side]:
    yield from ending(Durable(tmp_path, migrated_sqlite))


def ending(side: Side) -> Iterator[Side]:
    yield side
    opened.set()
    side.close()


@pytest.mark.parametrize("hazard", HAZARDS, ids=lambda hazard: hazard.name)
@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")  # that a thread dies is the point
def test_stock_apscheduler_shows_the_hazard(hazard: Hazard, stock: Side) -> None:
    assert SCENES[hazard.name](stock) == hazard.stock.outcome


@pytest.mark.parametrize("hazard", HAZARDS, ids=lambda hazard: hazard.name)
def test_the_hazard_is_not_here(hazard: Hazard, durable: Side) -> None:
    assert SCENES[hazard.name](durable) == hazard.here.outcome


def add(scheduler: BackgroundScheduler, function: Callable[..., None], name: str, **options: Any) -> None:
    """Add a one-shot job that is due now and may be late."""
    scheduler.add_job(function, "date", args=[name], **{"id": name, "misfire_grace_time": None} | options)


def hear(scheduler: BackgroundScheduler, codes: int) -> threading.Event:
    """Return an event that is set when the scheduler sends one of these."""
    heard = threading.Event()
    scheduler.add_listener(lambda _event: heard.set(), codes)
    return heard


def store(side: Side, function: Callable[..., None], name: str, **options: Any) -> None:
    """Store a due job as a process does that ends before it runs."""
    scheduler = side.make(executors=("default", "mails"))
    side.start(scheduler, paused=True)
    add(scheduler, function, name, **options)
    scheduler.shutdown()


# -- the scenes ------------------------------------------------------------------------------------


def killed_while_it_runs(side: Side) -> str:
    log = side.folder / "starts"
    store(side, append_line_and_hang, str(log), id="x")
    name = next(name for name, kind in sides.SIDES.items() if isinstance(side, kind))
    code = f"from tests.conformance import sides; sides.run_until_killed({name!r}, {str(side.folder)!r}, {side.url!r})"
    command = [sys.executable, "-c", code, TO_BE_KILLED]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "submitted\n"
            until(lambda: log.exists() and log.read_text())
        finally:
            process.kill()
    side.start(side.make())
    until(lambda: side.unfinished() == 0)
    return "runs again" if log.read_text().count("started") == 2 else "lost"


def the_pool_refuses(side: Side) -> str:
    scheduler = side.make()
    side.start(scheduler)
    scheduler._executors["default"].shutdown()
    add(scheduler, note, "x")
    until(lambda: side.unfinished() == 0)
    return "runs" if ran else "lost"


def late_by_five_seconds(side: Side) -> str:
    store(side, note, "x", run_date=datetime.now(UTC) - timedelta(seconds=5), misfire_grace_time=undefined)
    scheduler = side.make()
    missed, executed = hear(scheduler, EVENT_JOB_MISSED), hear(scheduler, EVENT_JOB_EXECUTED)
    side.start(scheduler)
    until(lambda: side.unfinished() == 0 and (missed.is_set() or executed.is_set()))
    return "runs" if ran else "missed"


def an_old_process_lists(side: Side) -> str:
    module = side.folder / "newer_code.py"
    module.write_text("from tests.conformance.sides import note\n\ndef call(name):\n    note(name)\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(side.folder)
        store(side, importlib.import_module("newer_code").call, "x")
        del sys.modules["newer_code"]
        patch.setattr(sys, "path", [path for path in sys.path if path != str(side.folder)])
        old = side.make()
        side.start(old, paused=True)
        assert old.get_jobs() == []
        old.shutdown()
        if not side.unfinished():
            return "deleted"
        patch.syspath_prepend(side.folder)
        side.start(side.make())
        until(lambda: side.unfinished() == 0)
        del sys.modules["newer_code"]
    return "runs" if ran else "lost"


def an_executor_is_missing(side: Side) -> str:
    store(side, note, "mail", executor="mails")
    store(side, note, "other")
    scheduler = side.make()
    submitted = hear(scheduler, EVENT_JOB_SUBMITTED)  # sent when all that was due has been seen
    side.start(scheduler)
    assert submitted.wait(20)
    until(lambda: ran == ["other"])
    if not side.unfinished():
        return "deleted"
    side.start(side.make(executors=("mails",)))
    until(lambda: side.unfinished() == 0)
    return "runs" if ran == ["other", "mail"] else "lost"


def the_database_is_busy(side: Side) -> str:
    scheduler = side.make(busy_seconds=0.1)
    side.start(scheduler, paused=True)
    add(scheduler, note, "x")
    with side.write_lock():
        scheduler.resume()
        scheduler._thread.join(MOMENT)
    if not scheduler._thread.is_alive():
        return "thread dead"
    add(scheduler, note, "y")
    until(lambda: side.unfinished() == 0)
    return "runs" if sorted(ran) == ["x", "y"] else "lost"


def two_schedulers(side: Side) -> str:
    store(side, note, "x")
    both = [side.make(), side.make()]
    for scheduler in both:
        side.start(scheduler, paused=True)
    with side.write_lock():  # as long as somebody writes, neither can remove the job, or claim it
        for scheduler in both:
            scheduler.resume()
        twice = meets(lambda: len(ran) == 2)
    until(lambda: side.unfinished() == 0)
    for scheduler in both:
        scheduler.shutdown()
    return "run once" if len(ran) == 1 and not twice else "run twice"


def meets(holds: Callable[[], bool]) -> bool:
    """Whether it holds within a moment."""
    try:
        until(holds, MOMENT)
    except AssertionError:
        return False
    return True


def a_crowd_is_due(side: Side) -> str:
    scheduler = side.make(workers=1)
    side.start(scheduler, paused=True)
    for number in range(100):
        add(scheduler, hold, f"{number}")
    submitted = hear(scheduler, EVENT_JOB_SUBMITTED)
    scheduler.resume()
    assert submitted.wait(30)
    until(lambda: len(ran) == 1)
    untaken = side.untaken()
    opened.set()
    until(lambda: len(ran) == 100 and side.unfinished() == 0)
    return {0: "all taken", 99: "rest waits"}.get(untaken, f"{untaken} wait")


def added_by_another_process(side: Side) -> str:
    scheduler, other = side.make(), side.make()
    slept = hear(scheduler, EVENT_JOB_SUBMITTED)
    add(scheduler, note, "first")
    side.start(scheduler)
    assert slept.wait(20)
    until(lambda: ran == ["first"])
    side.start(other, paused=True)
    add(other, note, "x")
    by_itself = meets(lambda: ran == ["first", "x"])
    scheduler.wakeup()
    until(lambda: ran == ["first", "x"])
    return "runs" if by_itself else "sleeps on"


def a_row_is_forged(side: Side) -> str:
    log = side.folder / "forged"
    store(side, note, "x")
    side.forge(log)
    side.start(side.make())
    until(lambda: log.exists() or side.was_set_aside())
    return "code ran" if log.exists() else "refused"


def asked_while_draining(side: Side) -> str:
    scheduler = side.make()
    side.start(scheduler)
    add(scheduler, hold, "x")
    until(lambda: ran == ["x"])
    draining = threading.Thread(target=scheduler.shutdown)
    draining.start()
    until(lambda: side.is_draining(scheduler))
    asking = threading.Thread(target=scheduler.get_jobs)
    asking.start()
    asking.join(MOMENT)
    outcome = "blocked" if asking.is_alive() else "answered"
    opened.set()
    for thread in (asking, draining):
        thread.join(20)
    return outcome


SCENES: dict[str, Callable[[Side], str]] = {
    scene.__name__: scene
    for scene in (
        killed_while_it_runs,
        the_pool_refuses,
        late_by_five_seconds,
        an_old_process_lists,
        an_executor_is_missing,
        the_database_is_busy,
        two_schedulers,
        a_crowd_is_due,
        added_by_another_process,
        a_row_is_forged,
        asked_while_draining,
    )
}
