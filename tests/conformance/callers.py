"""Transactions of an app's own, of every kind in which a call can be stored, beside a table of the app's."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from flask import Flask
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.orm import Session, scoped_session, sessionmaker

Caller = Any
"""What is given to `using(session=...)`: it commits, rolls back and makes savepoints by itself."""

NOTES = "CREATE TABLE notes (id VARCHAR(64) PRIMARY KEY)"


def note(caller: Caller, note_id: str) -> None:
    """Write a row of the app's own in the caller's transaction."""
    caller.execute(text("INSERT INTO notes (id) VALUES (:id)"), {"id": note_id})


@contextmanager
def _session(app: Flask, engine: Engine) -> Iterator[Session]:
    with Session(engine) as session:
        yield session


@contextmanager
def _scoped(app: Flask, engine: Engine) -> Iterator[scoped_session[Session]]:
    scoped = scoped_session(sessionmaker(engine))
    yield scoped
    scoped.remove()


@contextmanager
def _connection(app: Flask, engine: Engine) -> Iterator[Connection]:
    with engine.connect() as connection:
        yield connection


@contextmanager
def _flask_sqlalchemy(app: Flask, engine: Engine) -> Iterator[Any]:
    db: SQLAlchemy = app.extensions["sqlalchemy"]
    with app.app_context():
        yield db.session


CALLERS: Mapping[str, Callable[[Flask, Engine], Any]] = {
    "Session": _session,
    "scoped_session": _scoped,
    "Connection": _connection,
    "db.session": _flask_sqlalchemy,
}


def make_engine(url: str, *, begins: str = "", **options: Any) -> Engine:
    """Make an engine of the app's own; `begins` as in `begin_with`."""
    engine = create_engine(url, connect_args=options)
    if begins:
        begin_with(engine, begins)
    return engine


def begin_with(engine: Engine, begins: str) -> None:
    """Have transactions on SQLite begin by this statement: SQLAlchemy's recipe for savepoints that are no commits."""

    @event.listens_for(engine, "connect")
    def _no_begin_of_the_drivers_own(raw: Any, _record: object) -> None:
        raw.isolation_level = None

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        connection.exec_driver_sql(begins)
