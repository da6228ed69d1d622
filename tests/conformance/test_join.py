"""A call in the caller's transaction: there if and only if that is committed, and told of not before."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Barrier
from typing import Any
from uuid import uuid4

import pytest
from flask import Flask
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import Engine, create_engine, make_url, text
from sqlalchemy.exc import IntegrityError, InvalidRequestError, PendingRollbackError
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import Session, sessionmaker

from scheduler_app import Scheduler, schedule_after, signals, task, using
from scheduler_app.client import Client
from scheduler_app.errors import (
    DuplicateKeyError,
    ForeignSessionError,
    JobNotFoundError,
    JoinError,
    OptionError,
)
from scheduler_app.jobs import JobState
from tests.conformance.callers import CALLERS, NOTES, Caller, make_engine, note


def remind(user_id: int) -> None:
    """A function that may be deferred."""


@task(name="join.welcome")
def welcome(user_id: int) -> None:
    """A task that may be deferred."""


class Told:
    """What was told of: the ids of `job_scheduled`, and how often the loop was woken."""

    def __init__(self, client: Client) -> None:
        self.ids: list[str] = []
        self.wakes: list[float] = []
        client._on_due = self.wakes.append
        self._receiver = lambda _sender, *, job_id, **_facts: self.ids.append(job_id)
        signals.job_scheduled.connect(self._receiver)


@pytest.fixture
def app(make_app: Callable[..., Flask], migrated_url: str) -> Iterator[Flask]:
    app = make_app(SQLALCHEMY_DATABASE_URI=migrated_url)
    SQLAlchemy(app)
    with app.app_context():
        yield app
        for engine in app.extensions["sqlalchemy"].engines.values():
            app.extensions["sqlalchemy"].session.remove()
            engine.dispose()


@pytest.fixture
def client(app: Flask) -> Client:
    client: Client = app.extensions["scheduler"].client
    return client


@pytest.fixture
def told(client: Client) -> Told:
    return Told(client)


@pytest.fixture
def engine(migrated_url: str) -> Iterator[Engine]:
    """An engine of the app's own on the scheduler's database, with a table beside the scheduler's."""
    engine = make_engine(migrated_url)
    with engine.begin() as connection:
        connection.execute(text("DROP TABLE IF EXISTS notes"))
        connection.execute(text(NOTES))
    yield engine
    engine.dispose()


@pytest.fixture(params=list(CALLERS))
def caller(request: pytest.FixtureRequest, app: Flask, engine: Engine) -> Iterator[Caller]:
    with CALLERS[request.param](app, engine) as caller:
        yield caller


@pytest.fixture
def session(engine: Engine) -> Iterator[Session]:
    with Session(engine) as session:
        yield session


def stored(client: Client) -> set[str]:
    return {job.id for job in client.list(limit=200)}


def notes(engine: Engine) -> set[str]:
    with engine.connect() as connection:
        return set(connection.execute(text("SELECT id FROM notes")).scalars())


# -- commit and rollback -------------------------------------------------------------------------------


def test_a_commit_keeps_the_job_and_tells_of_it_only_then(caller: Caller, client: Client, told: Told) -> None:
    job = using(session=caller).schedule_after(60, remind, 1)
    assert (job.state, job.created, told.ids, told.wakes) == (JobState.SCHEDULED, True, [], [])
    assert stored(client) == set()
    caller.commit()
    assert stored(client) == {job.id} == set(told.ids)
    [seconds] = told.wakes
    assert 0 < seconds < 60
    assert job.refresh().job.run_at == job.run_at


def test_a_rollback_takes_the_job_along_and_nothing_is_told(
    caller: Caller, client: Client, told: Told, engine: Engine
) -> None:
    job = using(session=caller).schedule_after(60, remind, 1)
    note(caller, job.id)
    caller.rollback()
    note(caller, "another transaction")
    caller.commit()
    assert (stored(client), told.ids, told.wakes) == (set(), [], [])
    assert notes(engine) == {"another transaction"}
    with pytest.raises(JobNotFoundError):
        job.refresh()


def test_a_transaction_that_nobody_ends_is_rolled_back(app: Flask, client: Client, told: Told, engine: Engine) -> None:
    for open_caller in CALLERS.values():
        with open_caller(app, engine) as caller:
            using(session=caller).schedule_after(60, remind, 1)
    assert (stored(client), told.ids) == (set(), [])


def test_each_verb_stores_in_the_callers_transaction(session: Session, client: Client, told: Told) -> None:
    verbs = using(session=session, tags=["of a session"])
    jobs = [
        verbs.schedule_now(remind, 1),
        verbs.schedule_at(datetime.now(UTC) + timedelta(hours=1), remind, 1),
        *verbs.schedule_many([(5, remind, (1,)), (6, remind, (), {"user_id": 2})]),
        welcome.using(session=session).schedule_after(5, 1),
    ]
    assert stored(client) == set()
    session.rollback()
    assert stored(client) == set()
    again = [*verbs.schedule_many([(5, remind, (1,)), (6, remind, (2,))]), verbs.schedule_now(remind, 3)]
    session.commit()
    assert stored(client) == {job.id for job in again} == set(told.ids)
    assert not stored(client) & {job.id for job in jobs}


def test_what_is_refused_leaves_the_transaction_as_it_was(session: Session, client: Client, engine: Engine) -> None:
    note(session, "before")
    with pytest.raises(TypeError):
        using(session=session).schedule_after(60, remind, object())
    note(session, "after")
    session.commit()
    assert (stored(client), notes(engine)) == (set(), {"before", "after"})


def test_one_connection_carries_one_transaction_after_the_other(client: Client, told: Told, engine: Engine) -> None:
    kept = []
    with engine.connect() as connection:
        for number in range(6):
            job = using(session=connection).schedule_after(60, remind, number)
            if number % 2:
                connection.commit()
                kept.append(job.id)
            else:
                connection.rollback()
    assert stored(client) == set(kept)
    assert told.ids == kept


def test_a_connection_of_a_block_that_begins_by_itself_carries_it(client: Client, told: Told, engine: Engine) -> None:
    with engine.begin() as connection:
        job = using(session=connection).schedule_after(60, remind, 1)
    assert stored(client) == {job.id} == set(told.ids)
    with pytest.raises(IntegrityError), engine.begin() as connection:  # noqa: PT012 - the error is to leave the block
        using(session=connection).schedule_after(60, remind, 1)
        connection.execute(text("INSERT INTO notes (id) VALUES ('twice'), ('twice')"))
    assert stored(client) == {job.id}


# -- savepoints ------------------------------------------------------------------------------------------


def test_a_savepoint_that_is_rolled_back_takes_its_jobs_along(
    caller: Caller, client: Client, told: Told, engine: Engine
) -> None:
    note(caller, "begun")  # pysqlite begins a transaction at a write, and not at a savepoint
    before = using(session=caller).schedule_after(60, remind, 1)
    outer = caller.begin_nested()
    within = using(session=caller).schedule_after(60, remind, 2)
    inner = caller.begin_nested()
    using(session=caller).schedule_after(60, remind, 3)
    inner.rollback()
    innermost = caller.begin_nested()
    using(session=caller).schedule_many([(60, remind, (4,)), (60, remind, (5,))])
    innermost.rollback()
    again = caller.begin_nested()
    deep = using(session=caller).schedule_after(60, remind, 6)
    again.commit()
    outer.commit()
    lost = caller.begin_nested()
    released = caller.begin_nested()
    using(session=caller).schedule_after(60, remind, 7)
    released.commit()
    lost.rollback()
    assert (stored(client), told.ids, told.wakes) == (set(), [], [])
    caller.commit()
    assert stored(client) == {before.id, within.id, deep.id} == set(told.ids)
    assert len(told.ids) == len(told.wakes) == 3


def test_a_release_is_no_commit(session: Session, client: Client, told: Told) -> None:
    note(session, "begun")
    with session.begin_nested():
        using(session=session).schedule_after(60, remind, 1)
    assert (stored(client), told.ids, told.wakes) == (set(), [], [])
    session.rollback()
    assert (stored(client), told.ids, told.wakes) == (set(), [], [])


def test_a_session_inside_an_outer_transaction_is_told_of_when_that_is_committed(
    client: Client, told: Told, engine: Engine
) -> None:
    """As in suites that roll back each test: the session's own commit only releases a savepoint."""
    with engine.connect() as outer:
        note(outer, "begun")
        with Session(outer, join_transaction_mode="create_savepoint") as session:
            kept = using(session=session).schedule_after(60, remind, 1)
            session.commit()
            using(session=session).schedule_after(60, remind, 2)
            session.rollback()
        assert (stored(client), told.ids, told.wakes) == (set(), [], [])
        outer.commit()
    assert stored(client) == {kept.id} == set(told.ids)


def test_an_error_of_the_app_in_a_savepoint_costs_only_that(
    session: Session, client: Client, engine: Engine, told: Told
) -> None:
    note(session, "taken")
    kept = using(session=session).schedule_after(60, remind, 1)
    nested = session.begin_nested()
    using(session=session).schedule_after(60, remind, 2)
    with pytest.raises(IntegrityError):
        note(session, "taken")
    nested.rollback()
    session.commit()
    assert stored(client) == {kept.id} == set(told.ids)


# -- keys ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("on_conflict", ["existing", "debounce", "throttle"])
def test_a_key_works_in_the_callers_transaction(
    on_conflict: str, session: Session, client: Client, told: Told, engine: Engine
) -> None:
    standing = using(key="order:42").schedule_after(60, remind, 1)
    told.ids.clear()
    job = using(session=session, key="order:42", on_conflict=on_conflict).schedule_after(90, remind, 2)
    again = using(session=session, key="order:42", on_conflict=on_conflict).schedule_after(95, remind, 3)
    assert (job.id, job.created) == (again.id, again.created) == (standing.id, False)
    note(session, "goes on")
    session.commit()
    found = client.get(standing.id)
    assert (found.payload, found.run_at) == {
        "existing": (standing.job.payload, standing.run_at),
        "debounce": (again.job.payload, again.run_at),
        "throttle": (again.job.payload, standing.run_at),
    }[on_conflict]
    assert (stored(client), told.ids, notes(engine)) == ({standing.id}, [], {"goes on"})


def test_a_rollback_takes_back_what_a_key_changed(session: Session, client: Client) -> None:
    standing = using(key="order:42").schedule_after(60, remind, 1)
    using(session=session, key="order:42", on_conflict="debounce").schedule_after(90, remind, 2)
    session.rollback()
    found = client.get(standing.id)
    assert (found.payload, found.run_at) == (standing.job.payload, standing.run_at)


def test_a_key_that_only_the_callers_transaction_holds_is_seen_there(
    session: Session, client: Client, told: Told
) -> None:
    first = using(session=session, key="order:42").schedule_after(60, remind, 1)
    second = using(session=session, key="order:42", on_conflict="debounce").schedule_after(90, remind, 2)
    assert (first.created, second.created, second.id) == (True, False, first.id)
    session.commit()
    assert client.get(first.id).run_at == second.run_at
    assert told.ids == [first.id]


def test_a_key_that_is_refused_leaves_the_transaction_as_it_was(caller: Caller, client: Client, engine: Engine) -> None:
    standing = using(key="order:42").schedule_after(60, remind, 1)
    with pytest.raises(DuplicateKeyError):
        using(session=caller, key="order:42", on_conflict="raise").schedule_after(60, remind, 2)
    other = using(session=caller, key="order:43", on_conflict="raise").schedule_after(60, remind, 2)
    note(caller, "goes on")
    caller.commit()
    assert (stored(client), notes(engine)) == ({standing.id, other.id}, {"goes on"})


RACERS = 8


@pytest.mark.parametrize("is_standing", [False, True])
@pytest.mark.parametrize(
    ("migrated_url", "isolation"),
    [("postgresql", "READ COMMITTED"), ("mariadb", "READ COMMITTED"), ("mariadb", "REPEATABLE READ")],
    indirect=["migrated_url"],
)
def test_of_racing_transactions_with_one_key_one_gets_it_and_none_fails(
    isolation: str, is_standing: bool, app: Flask, client: Client, engine: Engine
) -> None:
    engine.update_execution_options(isolation_level=isolation)
    standing = using(key="order:42").schedule_after(60, remind, 0) if is_standing else None
    barrier = Barrier(RACERS)

    def race(index: int) -> tuple[str, bool]:
        with app.app_context(), Session(engine) as session:
            session.execute(text("SELECT count(*) FROM notes"))  # what it sees from here on may be fixed
            barrier.wait()
            on_conflict = "debounce" if index % 2 else "existing"
            job = using(session=session, key="order:42", on_conflict=on_conflict).schedule_after(60, remind, index)
            note(session, str(index))
            session.commit()
            return job.id, job.created

    with ThreadPoolExecutor(RACERS) as pool:
        answers = list(pool.map(race, range(RACERS)))
    assert sum(created for _id, created in answers) == (0 if is_standing else 1)
    assert stored(client) == {job_id for job_id, _created in answers}
    assert standing is None or stored(client) == {standing.id}
    assert notes(engine) == {str(index) for index in range(RACERS)}


@pytest.mark.parametrize("migrated_url", ["postgresql", "mariadb"], indirect=True)
@pytest.mark.parametrize("on_conflict", ["existing", "debounce"])
@pytest.mark.parametrize("is_standing", [False, True])
def test_an_open_transaction_with_a_key_keeps_nobody_else_from_scheduling(
    is_standing: bool, on_conflict: str, session: Session, client: Client
) -> None:
    client.store.patience = 0.5
    order = f"order:{uuid4()}"  # what was deleted a moment ago may stand in InnoDB's indexes still, and be locked
    using(key=f"{order}:2").schedule_after(60, remind, 1)
    session.execute(text("SELECT count(*) FROM notes"))
    key = f"{order}:{2 if is_standing else 3}"
    using(session=session, key=key, on_conflict=on_conflict).schedule_after(60, remind, 2)
    assert schedule_after(60, remind, 3).created
    assert using(key=f"{order}:1").schedule_after(60, remind, 4).created
    assert using(key=f"{order}:4").schedule_after(60, remind, 5).created
    session.commit()


# -- what has no transaction that could carry a job --------------------------------------------------------


@pytest.mark.parametrize("migrated_url", ["postgresql", "mariadb"], indirect=True)
def test_a_two_phase_session_is_refused_in_words(engine: Engine, client: Client) -> None:
    words = (
        "using(session=...): the transaction is a two-phase one, which anybody may commit once it is prepared, unheard"
        " here. Use a session without twophase=True, or schedule after the commit."
    )
    with Session(engine, twophase=True) as session, pytest.raises(JoinError) as refused:
        using(session=session).schedule_after(60, remind, 1)
    assert str(refused.value) == words
    with engine.connect() as connection, connection.begin_twophase(), pytest.raises(JoinError) as refused:
        using(session=connection).schedule_after(60, remind, 1)
    assert str(refused.value) == words
    assert stored(client) == set()


def test_autocommit_is_refused_in_words(engine: Engine, client: Client) -> None:
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        for caller in (connection, Session(connection)):
            with pytest.raises(JoinError) as refused:
                using(session=caller).schedule_after(60, remind, 1)
    assert str(refused.value) == (
        "using(session=...): it is in AUTOCOMMIT, where each statement is a transaction of its own. Use a connection"
        " without isolation_level='AUTOCOMMIT', or schedule without session=."
    )
    assert stored(client) == set()


def test_what_is_no_session_is_refused_in_words(app: Flask, engine: Engine) -> None:
    db = app.extensions["sqlalchemy"]
    for given, words in (
        (engine, "Engine is in no transaction. Pass db.session, a Session, or a Connection made by it."),
        (sessionmaker(engine), "sessionmaker is in no transaction. Pass db.session, a Session, or a Connection made"),
        (db, "this is the Flask-SQLAlchemy extension itself. Pass its session, db.session."),
        ("db.session", "str is no session of SQLAlchemy. Pass db.session, a Session, or a Connection."),
        (True, "bool is no session of SQLAlchemy."),
        (AsyncSession(), "AsyncSession is asynchronous, and scheduling is not. Inside 'await session.run_sync(...)'"),
    ):
        with pytest.raises(OptionError) as refused:
            using(session=given)
        assert str(refused.value).startswith(f"using(session=...): {words}")


@pytest.mark.parametrize("migrated_url", ["postgresql"], indirect=True)
def test_an_asynchronous_session_is_joined_by_the_one_inside_it(migrated_url: str, client: Client, told: Told) -> None:
    async def play() -> list[Any]:
        engine = create_async_engine(migrated_url)
        async with AsyncSession(engine) as session, engine.connect() as connection:
            for caller in (session, connection):
                await caller.run_sync(lambda inside: using(session=inside, key="k").schedule_after(60, remind, 1))
                await caller.rollback()
            jobs = []
            for caller in (session, connection):
                jobs += [await caller.run_sync(lambda inside: using(session=inside).schedule_after(60, remind, 1))]
                await caller.commit()
        await engine.dispose()
        return jobs

    jobs = asyncio.run(play())
    assert stored(client) == {job.id for job in jobs} == set(told.ids)


def test_a_recurring_schedule_joins_no_session(app: Flask, session: Session) -> None:
    with pytest.raises(OptionError) as refused:
        Scheduler().schedule_cron("0 4 * * *", remind, 1, session=session)
    assert str(refused.value) == (
        "The schedule's session=...: it is stored in a transaction of its own; only calls can join one."
    )


def test_a_session_that_has_failed_raises_as_it_does_everywhere_and_stores_nothing(
    app: Flask, client: Client, engine: Engine
) -> None:
    db = app.extensions["sqlalchemy"]

    class Note(db.Model):  # type: ignore[name-defined, misc]
        __tablename__ = "notes"
        id = db.Column(db.String(64), primary_key=True)

    db.session.add_all([Note(id="twice")])
    db.session.commit()
    db.session.add(Note(id="twice"))
    with pytest.raises(IntegrityError), db.session.no_autoflush:
        db.session.flush()
    with pytest.raises(PendingRollbackError):
        using(session=db.session).schedule_after(60, remind, 1)
    db.session.rollback()
    job = using(session=db.session).schedule_after(60, remind, 1)
    db.session.commit()
    assert stored(client) == {job.id}


def test_a_session_that_begins_only_when_told_to_is_not_begun(engine: Engine, client: Client) -> None:
    with Session(engine, autobegin=False) as session:
        with pytest.raises(InvalidRequestError, match="Autobegin is disabled"):
            using(session=session).schedule_after(60, remind, 1)
        with session.begin():
            job = using(session=session).schedule_after(60, remind, 1)
    assert stored(client) == {job.id}


def test_a_session_without_an_engine_for_other_tables_is_refused_in_words(engine: Engine, app: Flask) -> None:
    with Session() as session, pytest.raises(JoinError) as refused:
        using(session=session).schedule_after(60, remind, 1)
    assert str(refused.value) == (
        "using(session=...): the session has no engine for tables that are not its own. Pass the connection that goes"
        " to the scheduler's database: session.connection(bind_arguments=...)."
    )
    with Session() as session:
        job = using(session=session.connection(bind_arguments={"bind": engine})).schedule_after(60, remind, 1)
        session.commit()
    assert job.refresh().created


# -- another database --------------------------------------------------------------------------------------


def foreign(theirs: Any, client: Client) -> str:
    shown = make_url(theirs).render_as_string(hide_password=True)
    return (
        f"using(session=...): it is connected to {shown}, and the scheduler's tables are in {client.store.url}."
        " Let both be one database (SCHEDULER_DATABASE_URL); or pass the connection that goes there, such as"
        " db.session.connection(bind_arguments={'bind': db.engines[...]}); or schedule without session= after the"
        " commit."
    )


@pytest.fixture
def other_url(request: pytest.FixtureRequest, migrated_url: str, tmp_path: Path) -> str:
    """The URL of another database of the same server, or another file."""
    kind = make_url(migrated_url).get_backend_name()
    if kind == "sqlite":
        return f"sqlite:///{tmp_path / 'other.sqlite3'}"
    url: str = request.getfixturevalue(f"{kind}_url")
    return url


def test_another_database_is_refused_in_words(other_url: str, client: Client, tmp_path: Path) -> None:
    for url in (other_url, f"sqlite:///{tmp_path / 'a-file.sqlite3'}", "sqlite://"):
        engine = make_engine(url)
        with Session(engine) as session:
            for _ in range(2):
                with pytest.raises(ForeignSessionError) as refused:
                    using(session=session).schedule_after(60, remind, 1)
            session.commit()
        engine.dispose()
        assert str(refused.value) == foreign(url, client)
    assert stored(client) == set()


def test_a_bind_of_flask_sqlalchemys_is_joined_by_its_connection_only(
    make_app: Callable[..., Flask], migrated_url: str, other_url: str
) -> None:
    app = make_app(SQLALCHEMY_DATABASE_URI=other_url, SQLALCHEMY_BINDS={"jobs": migrated_url})
    db = SQLAlchemy(app)
    client: Client = app.extensions["scheduler"].client
    with app.app_context():
        with pytest.raises(ForeignSessionError) as refused:
            using(session=db.session).schedule_after(60, remind, 1)
        assert str(refused.value) == foreign(other_url, client)
        connection = db.session.connection(bind_arguments={"bind": db.engines["jobs"]})
        using(session=connection).schedule_after(60, remind, 1)
        db.session.rollback()
        connection = db.session.connection(bind_arguments={"bind": db.engines["jobs"]})
        job = using(session=connection).schedule_after(60, remind, 1)
        db.session.commit()
        assert stored(client) == {job.id}
        for engine in db.engines.values():
            engine.dispose()


def other_names_of(url: str, folder: Path) -> list[Any]:
    """Return other ways to write the URL of the same database."""
    if url.startswith("sqlite"):
        path = Path(make_url(url).database or "")
        (folder / "link.sqlite3").symlink_to(path)
        (folder / "hard.sqlite3").hardlink_to(path)
        return [
            f"sqlite:///{folder}/./{path.name}",
            f"sqlite:///{folder}/link.sqlite3",
            f"sqlite:///{folder}/hard.sqlite3",
        ]
    return [make_url(url).set(host="localhost")]


def test_the_same_database_is_known_by_whatever_name(migrated_url: str, client: Client, tmp_path: Path) -> None:
    for number, url in enumerate(other_names_of(migrated_url, tmp_path)):
        engine = create_engine(url)
        with Session(engine) as session:
            job = using(session=session).schedule_after(60, remind, number)
            session.commit()
        engine.dispose()
        assert job.id in stored(client)


@pytest.mark.parametrize("migrated_url", ["postgresql"], indirect=True)
def test_tables_of_the_same_name_in_another_schema_are_refused(migrated_url: str, client: Client) -> None:
    url = make_url(migrated_url).update_query_dict({"options": "-csearch_path=elsewhere"})
    elsewhere = create_engine(url)
    with elsewhere.connect() as connection:
        connection.execute(text("CREATE SCHEMA elsewhere"))
        with pytest.raises(ForeignSessionError, match="search_path%3Delsewhere, where it does not see our tables, and"):
            using(session=connection).schedule_after(60, remind, 1)
        connection.execute(text("CREATE TABLE scheduler_jobs AS SELECT * FROM public.scheduler_jobs"))
        with pytest.raises(ForeignSessionError):
            using(session=connection).schedule_after(60, remind, 1)
        connection.rollback()
    elsewhere.dispose()
    assert stored(client) == set()


@pytest.mark.parametrize("key", [None, "order:42"])
def test_a_caller_that_looks_for_tables_in_another_schema_finds_ours(
    key: str | None, migrated_url: str, client: Client
) -> None:
    engine = create_engine(migrated_url, execution_options={"schema_translate_map": {None: "a_tenant"}})
    for _ in range(2):
        with Session(engine) as session:
            nested = session.connection().begin_nested()
            job = using(session=session, key=key, on_conflict="debounce" if key else None).schedule_after(60, remind, 1)
            nested.commit()
            session.commit()
        assert job.id in stored(client)
    engine.dispose()


# -- what is told ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("migrated_url", ["postgresql"], indirect=True)
@pytest.mark.parametrize("nests", [False, True])
def test_a_commit_that_the_database_turns_into_a_rollback_is_not_told_of(
    nests: bool, engine: Engine, client: Client, told: Told
) -> None:
    with engine.connect() as connection:
        using(session=connection).schedule_after(60, remind, 1)
        if nests:
            nested = connection.begin_nested()
            using(session=connection).schedule_after(60, remind, 2)
            nested.commit()
        with pytest.raises(Exception, match="no_such_table"):
            connection.execute(text("SELECT * FROM no_such_table"))
        connection.commit()
    assert (stored(client), told.ids, told.wakes) == (set(), [], [])


def test_a_commit_that_fails_is_not_told_of(session: Session, client: Client, told: Told) -> None:
    using(session=session).schedule_after(60, remind, 1)
    dialect = session.connection().engine.dialect
    commit = dialect.do_commit

    def fail(_connection: object) -> None:
        assert dialect.dbapi is not None
        raise dialect.dbapi.OperationalError("the disk is full")

    dialect.do_commit = fail  # type: ignore[method-assign]
    with pytest.raises(Exception, match="the disk is full"):
        session.commit()
    dialect.do_commit = commit  # type: ignore[method-assign]
    session.rollback()
    note(session, "another transaction")
    session.commit()
    assert (stored(client), told.ids, told.wakes) == (set(), [], [])


def test_an_error_in_the_telling_does_not_reach_the_caller(
    session: Session, client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(_seconds: float) -> None:
        raise RuntimeError("nobody listens")

    client._on_due = fail
    job = using(session=session).schedule_after(60, remind, 1)
    session.commit()
    assert stored(client) == {job.id}
    assert "could not be told of" in caplog.text


def test_a_loop_of_this_process_runs_it_right_after_the_commit(
    make_app: Callable[..., Flask], migrated_url: str
) -> None:
    scheduler = Scheduler()
    app = make_app(scheduler, SCHEDULER_POLL_SECONDS=30, SCHEDULER_HEARTBEAT_SECONDS=10)
    engine = make_engine(migrated_url)
    with app.app_context():
        scheduler.start()
        with Session(engine) as session:
            job = using(session=session).schedule_now(remind, 1)
            session.commit()
        wait_until_finished(job)
    engine.dispose()


def wait_until_finished(job: Any) -> None:
    import time

    deadline = time.monotonic() + 10  # long before the next poll
    while not job.refresh().job.finished:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert job.state is JobState.SUCCEEDED
