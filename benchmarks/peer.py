"""The peer's side: stock APScheduler with its SQLAlchemy job store, set up as its documentation does."""

from __future__ import annotations

import logging
import pickle
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.jobstores.sqlalchemy import SQLAlchemyJobStore
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.date import DateTrigger
from apscheduler.util import datetime_to_utc_timestamp, obj_to_ref
from sqlalchemy import Table, create_engine, func, insert, select


def make_scheduler(url: str, threads: int = 10) -> BackgroundScheduler:
    """Return a stock scheduler that drops no late job."""
    logging.basicConfig(level=logging.WARNING)
    return BackgroundScheduler(
        jobstores={"default": SQLAlchemyJobStore(url=url)},
        executors={"default": ThreadPoolExecutor(threads)},
        job_defaults={"misfire_grace_time": None},
        timezone=UTC,
    )


def load(url: str, function: Callable[..., Any], jobs: int) -> None:
    """Store so many calls that are due now: the very rows that `add_job` writes, in one transaction."""
    engine = create_engine(url)
    table: Table = SQLAlchemyJobStore(engine=engine).jobs_t
    table.create(engine, checkfirst=True)
    now = datetime.now(UTC)
    with engine.begin() as connection:
        connection.execute(insert(table), [_row(function, i, now) for i in range(jobs)])
    engine.dispose()


def _row(function: Callable[..., Any], number: int, now: datetime) -> dict[str, Any]:
    identifier = uuid4().hex
    state = {
        "version": 1,
        "id": identifier,
        "func": obj_to_ref(function),
        "trigger": DateTrigger(now),
        "executor": "default",
        "args": (number,),
        "kwargs": {},
        "name": function.__name__,
        "misfire_grace_time": None,
        "coalesce": True,
        "max_instances": 1,
        "next_run_time": now,
    }
    pickled = pickle.dumps(state, pickle.HIGHEST_PROTOCOL)
    return {"id": identifier, "next_run_time": datetime_to_utc_timestamp(now), "job_state": pickled}


class Rows:
    """Counts the rows that are left, over a connection of its own."""

    def __init__(self, url: str) -> None:
        engine = create_engine(url, isolation_level="AUTOCOMMIT")
        self._count = select(func.count()).select_from(SQLAlchemyJobStore(engine=engine).jobs_t)
        self._connection = engine.connect()

    def left(self) -> int:
        """Return how many rows there are."""
        return self._connection.execute(self._count).scalar_one()
