"""The bare limit: what SQLAlchemy Core alone does on the same tables, columns, indexes, ranges, fence and batches.

Nothing of the package is used but its migrations: tables are reflected, statements written anew. One thread claims
(500 at once) and writes ends (in batches, each with its own times), and threads with one inbox call the function.
There is no signature, no app context, no client, no recovery.
"""

from __future__ import annotations

import json
import sqlite3
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from queue import SimpleQueue
from threading import Event, Thread
from typing import Any
from uuid import uuid4

from sqlalchemy import (
    ARRAY,
    ColumnElement,
    Engine,
    MetaData,
    String,
    and_,
    any_,
    bindparam,
    create_engine,
    event,
    literal_column,
    make_url,
    select,
    text,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite

CLAIM = 500
WORKER = "bare"

PEEK = """
    WITH RECURSIVE names(queue) AS (
      SELECT (SELECT min(queue) FROM scheduler_jobs WHERE state = 'scheduled')
      UNION ALL
      SELECT (SELECT min(queue) FROM scheduler_jobs WHERE state = 'scheduled' AND queue > names.queue)
      FROM names WHERE names.queue IS NOT NULL
    ), levels(priority) AS (SELECT 0 UNION ALL SELECT 1 UNION ALL SELECT 2 UNION ALL SELECT 3)
    SELECT names.queue, levels.priority,
      (SELECT min(run_at) FROM scheduler_jobs
       WHERE state = 'scheduled' AND queue = names.queue AND priority = levels.priority) AS first,
      (SELECT min(run_at) FROM scheduler_jobs
       WHERE state = 'scheduled' AND queue = names.queue AND priority = levels.priority AND run_at > :now) AS following,
      (SELECT min(run_at) FROM scheduler_jobs
       WHERE state = 'scheduled' AND crashes > 0 AND queue = names.queue AND priority = levels.priority) AS crashed
    FROM names CROSS JOIN levels WHERE names.queue IS NOT NULL
"""

CLAIMED = (
    "id", "task", "payload", "signature", "queue", "priority", "run_at", "attempt", "max_attempts", "crashes",
    "at_most_once", "claim_seq", "key", "schedule_uid", "fire_time", "max_lateness",
)  # fmt: skip


def migrate(url: str) -> None:
    """Make the tables, by the package's own migrations."""
    from scheduler_app.store import Store

    store = Store(url, auto_upgrade=True)
    store.ensure_ready()
    store.close()


def make_engine(url: str) -> Engine:
    """Return an engine with what the package's store sets: WAL, `synchronous=FULL`, `BEGIN IMMEDIATE`."""
    if make_url(url).get_backend_name() != "sqlite":
        return create_engine(url)
    engine = create_engine(url, connect_args={"check_same_thread": False})

    @event.listens_for(engine, "connect")
    def _set_up(raw: sqlite3.Connection, _record: object) -> None:
        raw.isolation_level = None
        raw.execute("PRAGMA journal_mode=wal")
        raw.execute("PRAGMA synchronous=FULL")

    @event.listens_for(engine, "begin")
    def _begin(connection: Any) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    return engine


class Tables:
    """The reflected jobs table, and the statements on it."""

    def __init__(self, url: str) -> None:
        self.engine = make_engine(url)
        self.is_sqlite = self.engine.dialect.name == "sqlite"
        metadata = MetaData()
        metadata.reflect(self.engine, only=["scheduler_jobs"])
        self.jobs = jobs = metadata.tables["scheduler_jobs"]
        self.insert = (sqlite if self.is_sqlite else postgresql).insert(jobs).on_conflict_do_nothing()
        self.peek = text(PEEK)
        self.due = (
            select(*(jobs.c[name] for name in CLAIMED))
            .where(
                literal_column("state = 'scheduled'"),
                jobs.c.queue == bindparam("queue"),
                jobs.c.priority == bindparam("priority"),
                jobs.c.run_at <= bindparam("now"),
                literal_column("crashes = 0"),
            )
            .order_by(jobs.c.run_at)
            .limit(bindparam("limit"))
            .with_for_update(skip_locked=True)
        )
        among: ColumnElement[bool]
        if self.is_sqlite:
            among = jobs.c.id.in_(text("SELECT value FROM json_each(:ids)").columns(jobs.c.id))
        else:
            among = jobs.c.id == any_(bindparam("ids", type_=ARRAY(String)))
        self.take = (
            update(jobs)
            .where(among)
            .values(
                state="running",
                worker_id=bindparam("worker"),
                claim_seq=jobs.c.claim_seq + 1,
                started_at=bindparam("now"),
                live_key=None,
                version=jobs.c.version + 1,
            )
        )
        self.close = (
            update(jobs)
            .where(
                and_(
                    jobs.c.id == bindparam("job_id"),
                    jobs.c.claim_seq == bindparam("fence"),
                    literal_column("state IN ('claimed', 'running')"),
                )
            )
            .values(
                state="succeeded",
                outcome="success",
                started_at=bindparam("began_at"),
                finished_at=bindparam("ended_at"),
                result=bindparam("new_result"),
                error=bindparam("new_error"),
                version=jobs.c.version + 1,
            )
        )

    def instant(self, seconds: float = 0.0) -> Any:
        """Return the instant so many seconds from now, as the column takes it."""
        now = datetime.now(UTC) + timedelta(seconds=seconds)
        return now.replace(tzinfo=None).isoformat(" ", "microseconds") if self.is_sqlite else now

    def ids(self, ids: list[str]) -> Any:
        """Return ids as the one parameter that `take` takes."""
        return json.dumps(ids) if self.is_sqlite else ids

    def row(self, number: int, seconds: float = 0.0) -> dict[str, Any]:
        """Return the row of one job: every column that the package writes."""
        return {
            "id": str(uuid4()),
            "task": "benchmarks.work:noop",
            "payload": f'{{"a":[{number}],"k":{{}}}}',
            "signature": "v1:01234567:0123456789012345678901234567890123456789012",
            "queue": "default",
            "priority": 2,
            "state": "scheduled",
            "run_at": self.instant(seconds),
            "created_at": self.instant(),
            "key": None,
            "live_key": None,
            "max_attempts": 1,
            "at_most_once": False,
            "tags": None,
            "origin": None,
            "max_lateness": None,
            "schedule_uid": None,
            "generation": None,
            "fire_time": None,
        }


def load(tables: Tables, jobs: int) -> None:
    """Store so many jobs that are due now."""
    with tables.engine.begin() as connection:
        connection.execute(tables.insert, [tables.row(i) for i in range(jobs)])


class Loop:
    """Settle, claim, commit, hand out; and again."""

    def __init__(self, tables: Tables, function: Callable[[int], None], threads: int) -> None:
        self._tables, self._function = tables, function
        self._inbox: SimpleQueue[Any] = SimpleQueue()
        self._done: deque[dict[str, Any]] = deque()
        self._event = Event()
        self._stopping = False
        self._open = 0
        self._threads = [Thread(target=self._work, daemon=True) for _ in range(threads)]
        self._main = Thread(target=self.drain, daemon=True)

    def start(self) -> None:
        """Drain on a thread of its own."""
        self._main.start()

    def stop(self) -> None:
        """Wait for the thread."""
        self._main.join()

    def drain(self) -> None:
        """Run everything that is due, to its stored end."""
        for thread in self._threads:
            thread.start()
        while self._turn() or self._open:
            if not self._done:
                self._event.wait()
            self._event.clear()
        for _ in self._threads:
            self._inbox.put(None)

    def _turn(self) -> int:
        """Write ends, claim up to 500, commit once; return how many were claimed."""
        tables = self._tables
        claimed: list[Any] = []
        ended = [self._done.popleft() for _ in range(len(self._done))]
        with tables.engine.begin() as connection:
            if ended:
                changed = connection.execute(tables.close, ended).rowcount
                assert changed == len(ended), "a fence did not hold"
            now = tables.instant()
            room = CLAIM - self._inbox.qsize()
            for queue, priority, first, _following, _crashed in connection.execute(tables.peek, {"now": now}).all():
                if first is not None and room > 0:
                    facts = {"queue": queue, "priority": priority, "now": now, "limit": room}
                    claimed += connection.execute(tables.due, facts).all()
            if claimed:
                ids = tables.ids([row.id for row in claimed])
                connection.execute(tables.take, {"ids": ids, "worker": WORKER, "now": now})
        self._open += len(claimed) - len(ended)
        for row in claimed:
            self._inbox.put(row)
        return len(claimed)

    def _work(self) -> None:
        instant = self._tables.instant
        while (row := self._inbox.get()) is not None:
            began = instant()
            self._function(*json.loads(row.payload)["a"])
            self._done.append(
                {
                    "job_id": row.id,
                    "fence": row.claim_seq + 1,
                    "began_at": began,
                    "ended_at": instant(),
                    "new_result": None,
                    "new_error": None,
                }
            )
            self._event.set()


def insert_one(tables: Tables, number: int, seconds: float) -> None:
    """Store one job, committed."""
    with tables.engine.begin() as connection:
        connection.execute(tables.insert, tables.row(number, seconds))
