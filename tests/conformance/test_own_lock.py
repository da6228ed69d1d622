"""A plain call beside a transaction of its own thread that has the same SQLite file locked; and what is none."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import Engine, make_url, text
from sqlalchemy.orm import Session

from scheduler_app import schedule_after, schedule_many, using
from scheduler_app.client import Client
from scheduler_app.errors import OwnLockError, StoreUnavailableError
from scheduler_app.jobs import JobState
from scheduler_app.store import schema
from scheduler_app.store.own_lock import DOUBT_SECONDS
from tests.conformance.callers import CALLERS, NOTES, Caller, make_engine, note

AT_ONCE_SECONDS = 0.2
"""Less than SQLite itself waits for a lock, on a machine that is busy with other work."""


def remind(user_id: int) -> None:
    """A function that may be deferred."""


@pytest.fixture
def migrated_url(migrated_sqlite: str) -> str:
    """The one kind of database that these tests are about."""
    return migrated_sqlite


@pytest.fixture(params=["delete", "wal"])
def journal(request: pytest.FixtureRequest, migrated_sqlite: str) -> str:
    """The journal mode of the test's file."""
    with sqlite3.connect(make_url(migrated_sqlite).database or "") as connection:
        connection.execute(f"PRAGMA journal_mode={request.param}")
        connection.execute(NOTES)
    connection.close()
    mode: str = request.param
    return mode


@pytest.fixture
def app(make_app: Callable[..., Flask], migrated_sqlite: str, journal: str) -> Iterator[Flask]:
    app = make_app(
        SCHEDULER_DATABASE_URL=migrated_sqlite,
        SQLALCHEMY_DATABASE_URI=migrated_sqlite,
        SCHEDULER_SQLITE_JOURNAL=journal,
    )
    SQLAlchemy(app)
    with app.app_context():
        yield app
        app.extensions["sqlalchemy"].session.remove()
        app.extensions["sqlalchemy"].engine.dispose()


@pytest.fixture
def client(app: Flask) -> Client:
    client: Client = app.extensions["scheduler"].client
    return client


@pytest.fixture
def make_own_engine(app: Flask, migrated_sqlite: str) -> Iterator[Callable[[str], Engine]]:
    made: list[Engine] = []

    def make(begins: str = "") -> Engine:
        made.append(make_engine(migrated_sqlite, begins=begins))
        return made[-1]

    yield make
    for engine in made:
        engine.dispose()


@pytest.fixture(params=list(CALLERS))
def caller(request: pytest.FixtureRequest, app: Flask, make_own_engine: Callable[..., Engine]) -> Iterator[Caller]:
    with CALLERS[request.param](app, make_own_engine()) as caller:
        yield caller


def words(client: Client) -> str:
    return (
        f"The scheduler's database {client.store.url} is locked by a transaction that this thread has open in the same"
        " file, so waiting would not help. Nothing was stored. Commit that transaction or roll it back first; or, if"
        " this call schedules, schedule inside it, with using(session=db.session)."
    )


# -- the thread's own lock -------------------------------------------------------------------------------


def test_a_plain_call_raises_at_once_and_names_the_remedy(caller: Caller, client: Client) -> None:
    standing = schedule_after(60, remind, 1)
    note(caller, "locked")
    for call in (
        lambda: schedule_after(60, remind, 2),
        lambda: schedule_many([(60, remind, (2,))]),
        lambda: using(key="k").schedule_after(60, remind, 2),
        standing.cancel,
        lambda: standing.reschedule(after=90),
    ):
        began = time.monotonic()
        with pytest.raises(OwnLockError) as refused:
            call()
        assert time.monotonic() - began < AT_ONCE_SECONDS
        assert str(refused.value) == words(client)
    inside = using(session=caller).schedule_after(60, remind, 2)
    caller.commit()
    after = schedule_after(60, remind, 3)
    assert {job.id for job in client.list()} == {standing.id, inside.id, after.id}
    assert standing.cancel() is JobState.CANCELLED


def test_what_only_reads_goes_on(caller: Caller, client: Client) -> None:
    job = schedule_after(60, remind, 1)
    note(caller, "locked")
    assert client.get(job.id).id == job.id
    assert client.stats()["scheduled"] == 1


@pytest.mark.parametrize("begins", ["BEGIN", "BEGIN IMMEDIATE"])
def test_a_lock_that_changed_no_row_is_known_after_a_moment(
    begins: str, make_own_engine: Callable[[str], Engine], client: Client
) -> None:
    with Session(make_own_engine(begins)) as session:
        session.execute(text("UPDATE notes SET id = 'x' WHERE id = 'nobody'"))
        began = time.monotonic()
        with pytest.raises(OwnLockError):
            schedule_after(60, remind, 1)
        assert DOUBT_SECONDS <= time.monotonic() - began < DOUBT_SECONDS + 1
    assert schedule_after(60, remind, 1).created


def test_a_file_that_is_attached_is_the_same_file(
    make_own_engine: Callable[[str], Engine], client: Client, tmp_path: Path, migrated_sqlite: str
) -> None:
    engine = make_engine(f"sqlite:///{tmp_path / 'other.sqlite3'}")
    with engine.connect() as connection:
        connection.exec_driver_sql("ATTACH DATABASE ? AS jobs", (make_url(migrated_sqlite).database,))
        connection.exec_driver_sql("INSERT INTO jobs.notes (id) VALUES ('locked')")
        with pytest.raises(OwnLockError):
            schedule_after(60, remind, 1)
    engine.dispose()


def test_rows_that_the_app_has_made_into_something_else_do_not_matter(
    make_own_engine: Callable[[str], Engine], client: Client
) -> None:
    with make_own_engine("").connect() as connection:
        raw: Any = connection.connection.driver_connection
        raw.row_factory = lambda cursor, row: dict(zip([d[0] for d in cursor.description], row, strict=True))
        connection.execute(text("INSERT INTO notes (id) VALUES ('locked')"))
        with pytest.raises(OwnLockError):
            schedule_after(60, remind, 1)
        raw.row_factory = None


# -- what is no lock of the thread's own -------------------------------------------------------------------


def test_the_lock_of_another_thread_is_waited_for(
    app: Flask, make_own_engine: Callable[[str], Engine], client: Client
) -> None:
    locked, end = threading.Event(), threading.Event()

    def hold() -> None:
        with Session(make_own_engine("")) as session:
            note(session, "locked")
            locked.set()
            assert end.wait(30)
            session.commit()

    with ThreadPoolExecutor(1) as pool:
        holding = pool.submit(hold)
        assert locked.wait(30)
        timer = threading.Timer(0.6, end.set)
        timer.start()
        began = time.monotonic()
        job = schedule_after(60, remind, 1)
        assert time.monotonic() - began > 0.4
        holding.result()
    assert client.get(job.id).id == job.id


def test_the_lock_of_another_thread_is_waited_for_beside_a_reading_transaction_too(
    make_own_engine: Callable[[str], Engine], client: Client, journal: str
) -> None:
    """In a rollback journal's file the reader itself is in the way, and is told so."""
    locked, end = threading.Event(), threading.Event()

    def hold() -> None:
        with Session(make_own_engine("")) as session:
            note(session, "locked")
            locked.set()
            assert end.wait(30)
            session.rollback()

    with ThreadPoolExecutor(1) as pool, Session(make_own_engine("BEGIN")) as reading:
        reading.execute(text("SELECT count(*) FROM notes")).scalar_one()
        holding = pool.submit(hold)
        assert locked.wait(30)
        timer = threading.Timer(0.4, end.set)
        timer.start()
        if journal == "wal":
            assert schedule_after(60, remind, 1).created
        else:
            with pytest.raises(OwnLockError):
                schedule_after(60, remind, 1)
        holding.result()


def test_a_lock_of_another_process_is_unavailable_and_not_ones_own(client: Client, migrated_sqlite: str) -> None:
    client.store.patience = 0.5
    schedule_after(60, remind, 1)
    with sqlite3.connect(make_url(migrated_sqlite).database or "", isolation_level=None) as other:
        other.execute("BEGIN IMMEDIATE")  # by no pool of SQLAlchemy's, as in another process
        with pytest.raises(StoreUnavailableError):
            schedule_after(60, remind, 1)
        other.execute("ROLLBACK")
    other.close()


def test_a_transaction_on_another_file_is_in_nobodys_way(client: Client, tmp_path: Path) -> None:
    engine = make_engine(f"sqlite:///{tmp_path / 'other.sqlite3'}")
    with engine.connect() as connection:
        connection.execute(text(NOTES))
        note(connection, "locked")
        assert schedule_after(60, remind, 1).created
    engine.dispose()


def test_a_connection_that_was_given_back_is_forgotten(
    make_own_engine: Callable[[str], Engine], client: Client
) -> None:
    engine = make_own_engine("")
    for ending in ("close", "invalidate", "detach"):
        connection = engine.connect()
        note(connection, ending)
        getattr(connection, ending)()
        connection.close()
        assert schedule_after(60, remind, 1).created, ending


# -- the first use of a file ---------------------------------------------------------------------------------


@pytest.fixture
def empty(make_app: Callable[..., Flask], tmp_path: Path) -> Iterator[Flask]:
    """An app whose Flask-SQLAlchemy has a new file, of which the scheduler is to make use."""
    app = make_app(SCHEDULER_DATABASE_URL=None, SQLALCHEMY_DATABASE_URI=f"sqlite:///{tmp_path / 'empty.sqlite3'}")
    db = SQLAlchemy(app)
    with app.app_context():
        with db.engine.begin() as connection:
            connection.execute(text(NOTES))
        yield app
        db.session.remove()
        db.engine.dispose()


def test_the_tables_are_made_in_the_callers_transaction_where_that_has_the_lock(empty: Flask) -> None:
    session = empty.extensions["sqlalchemy"].session
    client: Client = empty.extensions["scheduler"].client
    for ending in (session.rollback, session.commit, session.rollback, session.commit):
        note(session, f"{time.monotonic_ns()}")
        job = using(session=session).schedule_after(60, remind, 1)
        again = using(session=session).schedule_after(60, remind, 1)
        ending()
    assert {found.id for found in client.list()} >= {job.id, again.id}
    assert len(client.list()) == 4
    assert schema.differences(client.store.engine) == []


def test_a_plain_call_does_not_wait_for_the_tables_either(empty: Flask) -> None:
    session = empty.extensions["sqlalchemy"].session
    note(session, "locked")
    began = time.monotonic()
    with pytest.raises(OwnLockError):
        schedule_after(60, remind, 1)
    assert time.monotonic() - began < AT_ONCE_SECONDS


def test_a_verb_that_reads_does_not_wait_for_the_tables_either(empty: Flask) -> None:
    session = empty.extensions["sqlalchemy"].session
    client: Client = empty.extensions["scheduler"].client
    note(session, "locked")
    job = using(session=session).schedule_after(60, remind, 1)
    for look in (job.refresh, client.stats):
        began = time.monotonic()
        with pytest.raises(OwnLockError):
            look()
        assert time.monotonic() - began < AT_ONCE_SECONDS
    session.commit()
    assert client.get(job.id).id == job.id
