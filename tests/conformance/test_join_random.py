"""Random transactions of an app, each with calls and with rows of the app's own, written at the same points.

What a job's row must be was decided by the database itself: the app writes its row beside each call, in the same
transaction and savepoint, so that the two sets are the same in the end, whatever was committed. On SQLite with the
driver's own transactions, too, where the release of a savepoint that is the first statement commits.

`SCHEDULER_TEST_TRANSACTIONS=10000` has as many as that on each database.
"""

from __future__ import annotations

import os
import random
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from flask import Flask
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import DBAPIError

from scheduler_app import signals, using
from scheduler_app.errors import DuplicateKeyError
from tests.conformance.callers import CALLERS, NOTES, Caller, begin_with, make_engine, note

TRANSACTIONS = int(os.environ.get("SCHEDULER_TEST_TRANSACTIONS", "240"))
THREADS = 4
KEYS = [f"order:{number}" for number in range(6)]


def remind(user_id: int) -> None:
    """A function that may be deferred."""


class Player:
    """Plays transactions in one thread; notes what came of each."""

    def __init__(self, caller: Caller, chance: random.Random, counts: Counter[str]) -> None:
        self._caller, self._chance, self._counts = caller, chance, counts
        self._depth = 0

    def play(self) -> None:
        """Do something in one transaction, and end it in some way."""
        self._depth = 0
        try:
            for _ in range(self._chance.randint(1, 5)):
                self._step()
            self._end()
        except DBAPIError as error:  # a deadlock, which no rule of the app's own can exclude, costs the whole of it
            self._counts[type(error).__name__] += 1
            self._give_up()

    def _give_up(self) -> None:
        """Roll back; without the savepoints, of which MariaDB has none left after a deadlock."""
        if not isinstance(self._caller, Connection):
            self._caller.connection().invalidate()
        self._caller.rollback()

    def _step(self) -> None:
        step = self._chance.choice([self._call, self._call, self._call, self._keyed, self._many, self._savepoint])
        step()

    def _end(self) -> None:
        ending = self._chance.choices(["commit", "rollback", "close"], [6, 3, 1])[0]
        self._counts[ending] += 1
        getattr(self._caller, ending)()

    def _call(self) -> None:
        self._note(using(session=self._caller).schedule_after(3600, remind, 1).id)

    def _many(self) -> None:
        for job in using(session=self._caller).schedule_many([(3600, remind, (1,))] * self._chance.randint(1, 4)):
            self._note(job.id)

    def _keyed(self) -> None:
        on_conflict = self._chance.choice(["existing", "debounce", "throttle", "raise"])
        key = self._chance.choice([*KEYS, f"once:{self._chance.randrange(10**9)}"])
        verbs = using(session=self._caller, key=key, on_conflict=on_conflict)
        try:
            job = verbs.schedule_after(3600, remind, 1)
        except DuplicateKeyError:
            self._counts["refused"] += 1
            return
        self._counts["created" if job.created else "met"] += 1
        if job.created:
            self._note(job.id)

    def _note(self, job_id: str) -> None:
        note(self._caller, job_id)

    def _savepoint(self) -> None:
        if self._depth == 3:
            return
        self._depth += 1
        nested = self._caller.begin_nested()
        for _ in range(self._chance.randint(0, 3)):
            self._step()
        kept = self._chance.random() < 0.6
        self._counts["released" if kept else "taken back"] += 1
        nested.commit() if kept else nested.rollback()
        self._depth -= 1


@pytest.fixture
def app(make_app: Callable[..., Flask], migrated_url: str) -> Flask:
    app = make_app(
        SQLALCHEMY_DATABASE_URI=migrated_url, SQLALCHEMY_ENGINE_OPTIONS={"connect_args": patience_for(migrated_url)}
    )
    SQLAlchemy(app)
    return app


def patience_for(url: str) -> dict[str, Any]:
    return {"timeout": 60} if url.startswith("sqlite") else {}


@pytest.fixture
def engines(app: Flask, migrated_url: str, begins: str) -> Iterator[list[Engine]]:
    """The engine of the app's Flask-SQLAlchemy, and one more of the app's."""
    with app.app_context():
        engines = [app.extensions["sqlalchemy"].engine, make_engine(migrated_url, **patience_for(migrated_url))]
    if begins:
        for engine in engines:
            begin_with(engine, begins)
    with engines[0].begin() as connection:
        connection.execute(text("DROP TABLE IF EXISTS notes"))
        connection.execute(text(NOTES))
    yield engines
    for engine in engines:
        engine.dispose()


@pytest.mark.timeout(60 + TRANSACTIONS)
@pytest.mark.parametrize(
    ("migrated_url", "begins"),
    [("sqlite", ""), ("sqlite", "BEGIN IMMEDIATE"), ("postgresql", ""), ("mariadb", "")],
    indirect=["migrated_url"],
)
def test_no_job_is_a_phantom_and_none_is_missing(begins: str, app: Flask, engines: list[Engine]) -> None:
    seed, counts, told = random.randrange(2**32), Counter[str](), set[str]()
    is_legacy = engines[0].dialect.name == "sqlite" and not begins
    listener = lambda _sender, *, job_id, **_facts: told.add(job_id)  # noqa: E731 - to be held by its name
    signals.job_scheduled.connect(listener)

    def play(thread: int) -> None:
        chance = random.Random(f"{seed} {thread}")
        for _ in range(TRANSACTIONS // THREADS):
            kind = chance.choice(list(CALLERS))
            with app.app_context(), CALLERS[kind](app, engines[1]) as caller:
                Player(caller, chance, counts).play()

    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(play, range(THREADS)))
    print(f"seed {seed}: {TRANSACTIONS} transactions, {dict(sorted(counts.items()))}")
    with engines[1].connect() as connection:
        jobs = set(connection.execute(text("SELECT id FROM scheduler_jobs")).scalars())
        notes = set(connection.execute(text("SELECT id FROM notes")).scalars())
        states = Counter(connection.execute(text("SELECT state FROM scheduler_jobs")).scalars())
    print(f"{len(jobs)} jobs stored, {len(told)} told of")
    assert (jobs - notes, notes - jobs) == (set(), set()), "phantoms, and jobs that are missing"
    assert told <= jobs if is_legacy else told == jobs
    assert states == {"scheduled": len(jobs)}
    assert min(counts[ending] for ending in ("commit", "rollback", "close", "taken back", "met", "refused")) > 0
