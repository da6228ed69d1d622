"""An old app of APScheduler's: its functions, and what it has stored, good and bad, by stock APScheduler itself.

No more is imported here than an app would: the process that unpickles imports this module for its enum.
"""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import Enum
from typing import Any
from zoneinfo import ZoneInfo

from apscheduler.jobstores.sqlalchemy import SQLAlchemyJobStore
from apscheduler.schedulers.base import BaseScheduler
from apscheduler.triggers.calendarinterval import CalendarIntervalTrigger
from apscheduler.triggers.combining import AndTrigger, OrTrigger
from apscheduler.triggers.cron import CronTrigger
from apscheduler.triggers.date import DateTrigger
from apscheduler.triggers.interval import IntervalTrigger
from sqlalchemy import create_engine, text

from scheduler_app import Secret

TABLE = "apscheduler_jobs"
OSLO = ZoneInfo("Europe/Oslo")
SOON = datetime(2030, 6, 1, 12, 30, 0, 250_000, tzinfo=OSLO)
HOUR = timedelta(hours=1)
WEEKDAYS = CronTrigger.from_crontab("5 4 * * 1-5", timezone="Europe/Oslo")


class Own(CronTrigger):
    """A trigger that is none of APScheduler's own."""


class Colour(Enum):
    RED = 1


class Mailer:
    """What no job should have been given."""

    def send(self, *_what: Any) -> None:
        """Send something."""


mailer = Mailer()


def note(*_args: Any, **_kwargs: Any) -> None:
    """Take anything."""


def pair(left: int, right: int) -> int:
    """Take two."""
    return left + right


def log_in(_user: str, _token: Secret[str]) -> None:
    """Take what nobody may see."""


class Evil:
    """Unpickled without care, it makes a file."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[str]]:
        return os.system, (f"touch '{self.path}'",)


class Standing(BaseScheduler):
    """A stock scheduler without its thread, which at a shutdown would still take what is due, and connect anew."""

    def wakeup(self) -> None:
        """Look for due jobs: never."""

    def shutdown(self, wait: bool = True) -> None:
        """Close the store."""
        super().shutdown(wait)


@contextmanager
def stock(url: str, table: str = TABLE) -> Iterator[BaseScheduler]:
    """Yield a stock scheduler that stores there, and runs nothing."""
    scheduler = Standing(jobstores={"default": SQLAlchemyJobStore(url, tablename=table)}, timezone="Europe/Oslo")
    scheduler.start(paused=True)
    try:
        yield scheduler
    finally:
        scheduler.shutdown()


def add_good(scheduler: BaseScheduler) -> None:
    """Store what can be carried over."""
    scheduler.add_job(note, WEEKDAYS, id="cron", name="Each night", args=[Colour.RED, {1, 2}, (SOON, Decimal("1.5"))])
    scheduler.add_job(note, "interval", minutes=7, jitter=5, id="interval", kwargs={"a": [b"x", None]},
                      misfire_grace_time=30, coalesce=False, max_instances=3)  # fmt: skip
    monthly = CalendarIntervalTrigger(months=1, hour=3, start_date=date(2030, 1, 1), timezone="Europe/Oslo")
    scheduler.add_job(note, monthly, id="calendar")
    scheduler.add_job(note, AndTrigger([WEEKDAYS, OrTrigger([WEEKDAYS, DateTrigger(SOON)])], jitter=9), id="and")
    scheduler.add_job(note, "date", run_date=SOON, id="date", args=["once"], misfire_grace_time=60)
    scheduler.add_job(f"{__name__}:mailer.send", "date", run_date=SOON, id="path", args=["someone"])
    scheduler.add_job(note, "date", run_date=SOON, id="d\u00e9j\u00e0 42", executor="cpu")
    scheduler.add_job(note, "date", run_date=SOON, id="late", misfire_grace_time=None)
    scheduler.add_job(note, "date", run_date=SOON, id="missed", misfire_grace_time=1)
    scheduler.add_job(note, "interval", hours=2, id="due")
    scheduler.add_job(note, "interval", hours=1, id="paused", next_run_time=None)
    scheduler.add_job(note, "date", run_date=SOON, id="paused date")
    scheduler.pause_job("paused date")


DUE = ["due", "late", "missed"]
"""Those that have been due for a while once `let_be_due` was called."""

GOOD = [*DUE, "and", "calendar", "cron", "date", "d\u00e9j\u00e0 42", "interval", "path", "paused", "paused date"]


def let_be_due(url: str, ids: Sequence[str], at: datetime) -> None:
    """Have jobs be due since then, as if the stock scheduler had stood still."""
    engine = create_engine(url)
    statement = text(f"UPDATE {TABLE} SET next_run_time = :at WHERE id = :id")
    with engine.begin() as connection:
        connection.execute(statement, [{"at": at.timestamp(), "id": job_id} for job_id in ids])
    engine.dispose()


def add_bad(scheduler: BaseScheduler) -> None:
    """Store what stock APScheduler takes, and cannot be carried over."""
    either = OrTrigger([IntervalTrigger(hours=1), IntervalTrigger(hours=2, jitter=9)])
    scheduler.add_job(note, either, id="or", args=[float("inf")])
    scheduler.add_job(note, OrTrigger([WEEKDAYS, Own(hour=4)]), id="own")
    scheduler.add_job(mailer.send, "interval", hours=1, id="method")
    scheduler.add_job(note, "interval", hours=1, id="object", args=[mailer])
    scheduler.add_job(note, "interval", hours=1, id="large", args=["\u00e9" * 20_000])
    scheduler.add_job(note, "interval", hours=1, id="nan", args=[float("nan")])
    scheduler.add_job(print, "interval", hours=1, id="foreign")


def state(**changed: Any) -> bytes:
    """Return the pickle of one job, with parts changed."""
    at = SOON.astimezone(UTC)
    facts = {
        "version": 1, "id": "one", "func": f"{__name__}:note", "trigger": DateTrigger(at), "executor": "default",
        "args": (), "kwargs": {}, "name": "note", "misfire_grace_time": 1, "coalesce": True, "max_instances": 1,
        "next_run_time": at,
    }  # fmt: skip
    return pickle.dumps(facts | changed)


def raw_rows(evil: str) -> dict[str, bytes]:
    """Return rows that no scheduler would write, by their ids."""
    return {
        "evil": pickle.dumps(Evil(evil)),
        "evil argument": state(id="evil argument", args=(Evil(evil),)),
        "garbage": b"nonsense",
        "no job": pickle.dumps({"id": "no job"}),
        "gone": state(id="gone", func="tests.old_jobs:nowhere"),
        "main": state(id="main", func="__main__:note"),
        "fewer": state(id="fewer", func=f"{__name__}:pair", args=(1,)),
    }


REFUSED = {
    "evil": "It holds a posix.system, which is not read from a pickle.",
    "evil argument": "It holds a posix.system, which is not read from a pickle.",
    "fewer": "missing a required argument: 'right'",
    "foreign": "The task 'builtins:print' is not known here",
    "garbage": "Its pickle cannot be read: UnpicklingError: invalid load key, 'n'.",
    "gone": "has no 'nowhere'",
    "large": "than the 65536 that SCHEDULER_MAX_PAYLOAD_BYTES allows",
    "main": "Say with --main as what this app imports it.",
    "nan": "args[0] is nan",
    "method": "It holds a tests.old_jobs.Mailer, which is not read from a pickle. Pass its id as the argument instead",
    "no job": "Its pickle holds no job of APScheduler 3",
    "object": "It holds a tests.old_jobs.Mailer",
    "or": "The trigger IntervalTrigger, number 2 of an OrTrigger, cannot be stored",
    "own": "The trigger tests.old_jobs:Own is none of APScheduler's own.",
}
"""What is said of each that is refused."""
