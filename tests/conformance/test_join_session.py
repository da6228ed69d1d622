"""`SCHEDULER_JOIN_SESSION`: calls of the app's code join Flask-SQLAlchemy's session where they name no other."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from flask import Flask
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy.orm import Session

from scheduler_app import Scheduler, schedule_after, schedule_at, schedule_many, schedule_now, task, using
from scheduler_app.client import Client
from scheduler_app.errors import JoinError
from tests.conformance.callers import make_engine
from tests.conformance.test_join import stored, wait_until_finished

scheduler = Scheduler()


def remind(user_id: int) -> None:
    """A function that may be deferred."""


@task(name="join-session.welcome")
def welcome(user_id: int) -> None:
    """A task that may be deferred."""


def remind_and_go_on(commits: bool) -> None:
    """Defer another call, in the session of the job's own app context."""
    schedule_after(3600, remind, 1)
    if commits:
        database().session.commit()


def database() -> Any:
    from flask import current_app

    return current_app.extensions["sqlalchemy"]


@pytest.fixture
def app(make_app: Callable[..., Flask], migrated_url: str) -> Iterator[Flask]:
    app = make_app(scheduler, SQLALCHEMY_DATABASE_URI=migrated_url, SCHEDULER_JOIN_SESSION=True)
    SQLAlchemy(app)
    yield app
    with app.app_context():
        database().session.remove()
        database().engine.dispose()


@pytest.fixture
def client(app: Flask) -> Client:
    client: Client = app.extensions["scheduler"].client
    return client


def test_each_verb_joins_the_session(app: Flask, client: Client) -> None:
    with app.app_context():
        for ending in (database().session.rollback, database().session.commit):
            jobs = [
                schedule_after(60, remind, 1),
                schedule_at(client.store.clock.now(), remind, 1),
                schedule_now(remind, 1),
                *schedule_many([(60, remind, (1,))]),
                using(key=f"order:{ending.__name__}").schedule_after(60, remind, 1),
                welcome.schedule_after(60, 1),
                scheduler.schedule_after(60, remind, 1),
            ]
            assert stored(client) == set()
            ending()
    assert stored(client) == {job.id for job in jobs}


def test_what_no_request_commits_ends_with_it(app: Flask, client: Client) -> None:
    @app.get("/forget")
    def forget() -> str:
        return schedule_after(60, remind, 1).id

    @app.get("/keep")
    def keep() -> str:
        job = schedule_after(60, remind, 1)
        database().session.commit()
        return job.id

    http = app.test_client()
    assert http.get("/forget").status_code == 200
    assert stored(client) == set()
    kept = http.get("/keep").text
    assert stored(client) == {kept}


def test_a_call_that_names_another_session_or_none_is_taken_at_its_word(
    app: Flask, client: Client, migrated_url: str
) -> None:
    engine = make_engine(migrated_url)
    with app.app_context():
        by_itself = using(session=False).schedule_after(60, remind, 1)
        assert stored(client) == {by_itself.id}
        with Session(engine) as session:
            elsewhere = using(session=session).schedule_after(60, remind, 1)
            session.commit()
    engine.dispose()
    assert stored(client) == {by_itself.id, elsewhere.id}


def test_a_door_joins_nothing(app: Flask, client: Client) -> None:
    with app.app_context():
        job = client.schedule_after(60, remind, (1,), {})
    assert stored(client) == {job.id}


def test_outside_of_an_app_context_there_is_no_session(app: Flask, client: Client, make_app: Any) -> None:
    alone = Scheduler()
    other = make_app(alone, SCHEDULER_JOIN_SESSION=True)
    job = alone.schedule_after(60, remind, 1)
    assert stored(other.extensions["scheduler"].client) == {job.id}


def test_an_app_without_flask_sqlalchemy_is_told(make_app: Callable[..., Flask]) -> None:
    with make_app(SCHEDULER_JOIN_SESSION=True).app_context(), pytest.raises(JoinError) as refused:
        schedule_after(60, remind, 1)
    assert str(refused.value) == (
        "using(session=...): SCHEDULER_JOIN_SESSION is on, and this app has no Flask-SQLAlchemy whose session could be"
        " joined. Take the setting away, or name a session or session=False in the call."
    )


@pytest.mark.parametrize("commits", [False, True])
def test_a_running_job_joins_the_session_of_its_own_context(commits: bool, app: Flask, client: Client) -> None:
    with app.app_context():
        scheduler.start()
        job = using(session=False).schedule_now(remind_and_go_on, commits)
        wait_until_finished(job)
    assert len(stored(client) - {job.id}) == int(commits)
