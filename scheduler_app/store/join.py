"""The caller's transaction: which connection it is on, and whether it is one that can carry our rows."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from sqlalchemy import Connection, Engine, Pool, TwoPhaseTransaction
from sqlalchemy.engine import URL
from sqlalchemy.exc import StatementError, UnboundExecutionError

from ..errors import ForeignSessionError, JoinError, OptionError
from .dialect import Dialect
from .tables import jobs
from .types import MYSQL

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

_INSTEAD = "Pass db.session, a Session, or a Connection"


def check_session(given: Any) -> Any:
    """Return what was given as a session if it may be one, or False, which asks for none. Raises `OptionError`."""
    if given is False or isinstance(given, Connection) or _is(given, "Session", "scoped_session"):
        return given
    raise OptionError("session", _refusal(given))


def _refusal(given: Any) -> str:
    kind = type(given)
    if any(base.__module__.startswith("sqlalchemy.ext.asyncio") for base in kind.__mro__):
        return (
            f"{kind.__name__} is asynchronous, and scheduling is not. Inside 'await session.run_sync(...)' pass the"
            " session (or the connection) that the function there is given."
        )
    if isinstance(given, Engine) or _is(given, "sessionmaker"):
        return f"{kind.__name__} is in no transaction. {_INSTEAD} made by it."
    if hasattr(given, "session") and hasattr(given, "engines"):
        return "this is the Flask-SQLAlchemy extension itself. Pass its session, db.session."
    return f"{kind.__name__} is no session of SQLAlchemy. {_INSTEAD}."


def _is(given: Any, *names: str) -> bool:
    """Ask for SQLAlchemy's ORM without importing it: whoever has a session has it imported."""
    orm = sys.modules.get("sqlalchemy.orm")
    return any(isinstance(given, getattr(orm, name, ())) for name in names)


@contextmanager
def hiding_parameters() -> Iterator[None]:
    """Have an error of SQLAlchemy's say nothing of a statement's parameters: arguments are among them."""
    try:
        yield
    except StatementError as error:
        error.hide_parameters = True
        raise


class Joining:
    """Finds the connection of the caller's transaction for one store, and makes sure of its database once per pool."""

    def __init__(self, dialect: Dialect, url: URL) -> None:
        self._dialect, self._url = dialect, url
        self._known: WeakSet[Pool] = WeakSet()

    def connection_of(self, given: Any) -> Connection:
        """Return the connection on which a session's transaction is, begun if need be.

        Raises `JoinError` where that is no transaction or none that can be followed to its end; and what SQLAlchemy
        raises, as it is, for a session that has failed or may not begin.
        """
        session = given() if _is(given, "scoped_session") else given
        connection: Connection = session if isinstance(session, Connection) else _of_session(session)
        if not connection.in_transaction():
            connection.begin()  # as its first statement would
        if isinstance(connection.get_transaction(), TwoPhaseTransaction):
            raise _two_phase()
        return connection

    def make_sure(self, connection: Connection, engine: Engine) -> None:
        """Raise `ForeignSessionError` unless the connection leads to our tables, and `JoinError` if it autocommits."""
        if self._dialect.is_autocommit(connection):
            raise JoinError(
                "it is in AUTOCOMMIT, where each statement is a transaction of its own",
                "Use a connection without isolation_level='AUTOCOMMIT', or schedule without session=.",
            )
        pool = connection.engine.pool
        if pool not in self._known:
            if not self.leads_to_ours(connection, engine):
                raise ForeignSessionError(self._shown(connection), self._url.render_as_string(hide_password=True))
            self._known.add(pool)

    def leads_to_ours(self, connection: Connection, engine: Engine) -> bool:
        """Compare what both servers say, and let one address stand for one server: behind it may be several."""
        name = connection.dialect.name
        if ("mysql" if name in MYSQL else name) != self._dialect.name:
            return False
        server, place = self._dialect.place_of(connection)
        our_server, our_place = self._dialect.own_place(engine)
        return place is not None and place == our_place and (server == our_server or self._is_our_address(connection))

    def _shown(self, connection: Connection) -> str:
        where = connection.engine.url.render_as_string(hide_password=True)
        return f"{where}, where it does not see our tables" if self._is_our_address(connection) else where

    def _is_our_address(self, connection: Connection) -> bool:
        theirs = connection.engine.url
        return (theirs.host, theirs.port, theirs.database) == (self._url.host, self._url.port, self._url.database)


def _of_session(session: Session) -> Connection:
    if session.twophase:
        raise _two_phase()
    try:
        return session.connection(bind_arguments={"clause": jobs})
    except UnboundExecutionError as error:
        raise JoinError(
            "the session has no engine for tables that are not its own",
            "Pass the connection that goes to the scheduler's database: session.connection(bind_arguments=...).",
        ) from error


def _two_phase() -> JoinError:
    return JoinError(
        "the transaction is a two-phase one, which anybody may commit once it is prepared, unheard here",
        "Use a session without twophase=True, or schedule after the commit.",
    )
