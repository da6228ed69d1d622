"""The database under the scheduler: connections, transactions, time, and what to do when it does not answer."""

from __future__ import annotations

import random
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from threading import Lock
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine, RootTransaction, event, make_url
from sqlalchemy.exc import DBAPIError, SQLAlchemyError, TimeoutError
from sqlalchemy.pool import ConnectionPoolEntry

from ..clock import Clock, monotonic
from ..errors import StoreError, StoreUnavailableError
from ..serving import in_child
from . import schema
from .dialect import Dialect
from .join import Joining
from .place import Place
from .sqlite import READ_ONLY, SQLite

T = TypeVar("T")

_STORES: weakref.WeakSet[Store] = weakref.WeakSet()


class Store:
    """The tables of one scheduler, and the only truth. Safe to use from any thread, and after a fork.

    Opens no connection until it is used. `auto_upgrade` lets the first use create or upgrade the
    tables; otherwise a missing or unusable schema raises with the remedy.
    """

    def __init__(
        self,
        url: str,
        *,
        auto_upgrade: bool = False,
        journal: str = "wal",
        connect_timeout: float = 5.0,
        patience: float = 10.0,
    ) -> None:
        self._url = make_url(url)
        self.url = self._url.render_as_string(hide_password=True)
        """The database's address, without its password."""
        self.dialect = _dialect_of(self._url.get_backend_name())(connect_timeout=connect_timeout, journal=journal)
        self.clock = Clock(self._read_time, local=self.dialect.local_time)
        self.auto_upgrade = auto_upgrade
        self.patience = patience
        """For how many seconds a client's write is tried again while the database is busy or away."""
        self._engine: Engine | None = None
        self._joining = Joining(self.dialect, self._url)
        self._ready = False
        self._made_in: RootTransaction | None = None
        """The caller's transaction in which the tables were made, so that only another one shows that they stay."""
        self._opening = Lock()
        self._writer = Lock()
        _STORES.add(self)
        self.dialect.close_before_forks(self)

    errors = (SQLAlchemyError, OSError)
    """What a statement may raise when the database fails."""

    # -- connections -------------------------------------------------------------------------------

    @property
    def engine(self) -> Engine:
        """The store's own engine (never the app's, whose pragmas and pool it leaves alone)."""
        if self._engine is None:
            with self._opening:
                if self._engine is None:
                    self.dialect.check_place(self._url)
                    self._engine = self.dialect.make_engine(self._url)
        return self._engine

    @property
    def is_open(self) -> bool:
        """Whether it was used, since it was made or forked."""
        return self._engine is not None

    @contextmanager
    def begin(self) -> Iterator[Connection]:
        """Open one write transaction: committed at the end of the block, rolled back on an error.

        This process's writers go one by one, where the database would let them jostle for its one lock.
        """
        self.ensure_ready()
        with self.dialect.gate:
            queued = self.dialect.one_writer and self._writer.acquire(timeout=self.patience)
            try:
                with self.engine.connect() as connection, connection.begin():
                    yield connection
                self.dialect.after_write(self.engine)
            finally:
                if queued:
                    self._writer.release()

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Open one read-only transaction: it takes no lock that a writer waits for."""
        self.ensure_ready(writing=False)
        with self._reading() as connection:
            yield connection

    @contextmanager
    def _reading(self) -> Iterator[Connection]:
        with self.dialect.gate, self.engine.connect().execution_options(**{READ_ONLY: True}) as connection:
            yield connection
            connection.commit()  # not rolled back: psycopg forgets its prepared statements at every ROLLBACK

    def write(self, work: Callable[[Connection], T]) -> T:
        """Run `work` in one write transaction and return its answer once it is committed.

        The whole transaction is tried again, with jitter, while the database is busy, deadlocked or
        away, for `patience` seconds; `work` must therefore be harmless to repeat, also after a
        commit whose reply was lost. Raises `StoreUnavailableError` in the end, which says so when it
        cannot be known whether something was stored; and `OwnLockError`, at once, where this thread would wait for
        itself.
        """
        self.dialect.refuse_to_wait_for_oneself(self._url)
        committing = False

        def noting(connection: Connection) -> T:
            nonlocal committing
            committing = False
            answer = work(connection)
            committing = True
            return answer

        return self._try(lambda: self._once(self.begin, noting), lambda: committing)

    def join(self, session: object) -> Connection:
        """Return the connection of a caller's transaction, sure that it is one on this store's own database.

        Work on it is stored if and when the caller commits, is never tried again, and raises what SQLAlchemy raises.
        Raises `JoinError` and `ForeignSessionError`.
        """
        connection = self._joining.connection_of(session)
        if not self.dialect.one_writer:
            self.ensure_ready()
        self._joining.make_sure(connection, self.engine)
        if self.dialect.one_writer:
            self._ensure_ready_beside(connection)
        return connection

    def place(self) -> Place | None:
        """Return where the database's file stands; None where it has none of its own. Opens nothing."""
        return self.dialect.place(self._url)

    def is_in_reach_of(self, engine: Engine) -> bool:
        """Whether an engine of the app's leads to this store's own tables."""
        with engine.connect() as connection:
            return self._joining.leads_to_ours(connection, self.engine)

    def read(self, work: Callable[[Connection], T]) -> T:
        """Run `work` in one read-only transaction and return its answer. Errors as for `write`.

        `OwnLockError` only where the tables would have to be made first, beside a transaction of this thread's own.
        """
        return self._try(lambda: self._once(self.reading, work), writing=False)

    def read_unchecked(self, work: Callable[[Connection], T]) -> T:
        """The same in whatever database this is: our tables need not be there, and are not made."""
        return self._try(lambda: self._once(self._reading, work), writing=False)

    @staticmethod
    def _once(opener: Callable[[], Any], work: Callable[[Connection], T]) -> T:
        with opener() as connection:
            return work(connection)

    def _try(
        self, once: Callable[[], T], is_committing: Callable[[], bool] = lambda: False, *, writing: bool = True
    ) -> T:
        deadline = monotonic() + self.patience
        pause = 0.005
        undecided = False
        while True:
            try:
                return once()
            except (SQLAlchemyError, OSError) as error:
                if not self.may_pass(error):
                    raise
                open_end = is_committing() and self.dialect.is_undecided(error)  # the next try will tell
                undecided = undecided or open_end
                if (self._is_final(error) and not open_end) or monotonic() + pause > deadline:
                    raise StoreUnavailableError(
                        self.url, reason(error), undecided=undecided, writing=writing
                    ) from error
            time.sleep(pause * random.uniform(0.5, 1.5))
            pause = min(pause * 2, 0.25)

    def may_pass(self, error: BaseException) -> bool:
        """Whether the database, not a row, is to blame, so that the same work may succeed later."""
        return self.dialect.is_transient(error) or self.dialect.is_outage(error)

    def _is_final(self, error: BaseException) -> bool:
        """Whether trying again within this call is of no use: nobody listens there, or no room in the pool."""
        if isinstance(error, DBAPIError) and error.connection_invalidated:
            return error.statement is None  # it ended before anything was said on it
        return isinstance(error, TimeoutError) or (
            isinstance(error, DBAPIError) and not self.dialect.is_transient(error)
        )

    # -- schema and time ---------------------------------------------------------------------------

    def ensure_ready(self, *, writing: bool = True) -> None:
        """Check once that the tables are there and usable, creating them if that is allowed.

        `writing` says whether something is to be stored next. Raises `SchemaMissingError`, `SchemaOlderError` or
        `SchemaNewerError`, each naming the remedy, and `StoreUnavailableError` when the database does not answer.
        """
        if self._ready:
            return
        try:
            # Tried again while busy: a sibling that boots at the same time may be making the tables.
            self._try(self._ensure, writing=writing)
        except StoreError:
            raise
        except (SQLAlchemyError, OSError) as error:
            if isinstance(error, OSError) or self.may_pass(error):
                raise StoreUnavailableError(self.url, reason(error), writing=writing) from error
            raise
        self._ready = True

    def _ensure(self) -> None:
        with self.dialect.gate:
            schema.ensure(
                self.engine, self.dialect, self.url, upgrade=self.auto_upgrade,
                before=lambda: self.dialect.refuse_to_wait_for_oneself(self._url),
            )  # fmt: skip

    def _ensure_ready_beside(self, connection: Connection) -> None:
        """The same where the caller may have the one write lock: what is to be done is done in its transaction."""
        if self._ready or not self.dialect.is_open_in(connection):
            self.ensure_ready()
        elif schema.ensure_within(connection, self.url, upgrade=self.auto_upgrade):
            self._made_in = connection.get_transaction()
        else:
            self._ready = connection.get_transaction() is not self._made_in

    def probe(self) -> None:
        """Raise, at once rather than after `patience`, unless the database answers and its tables can be used."""
        try:
            with self.reading() as connection:
                schema.check(schema.revision(connection), self.url)
        except (SQLAlchemyError, OSError) as error:
            raise StoreUnavailableError(self.url, reason(error), writing=False) from error

    def recheck(self) -> None:
        """Look at the schema again at the next use (after a migration or an outage)."""
        self._ready = False

    def _read_time(self) -> datetime:
        if self.dialect.local_time:
            return self.dialect.read_time(None)  # type: ignore[arg-type]
        return self._try(lambda: self._once(self._connect, self.dialect.read_time))

    @contextmanager
    def _connect(self) -> Iterator[Connection]:
        with self.engine.connect() as connection:
            yield connection

    def notify(self) -> None:
        """Tell other processes that something is due soon, where they need telling."""
        if self.dialect.notifies:
            with self.engine.begin() as connection:
                self.dialect.notify(connection)

    # -- the end -----------------------------------------------------------------------------------

    def close(self) -> None:
        """Close the pooled connections, and each that a thread is using as soon as that gives it back.

        The store may be used again; it then connects anew.
        """
        if self._engine is not None:
            old = self._engine.pool
            self._engine.dispose()
            event.listen(old, "checkin", _close_returned)
            old.dispose()  # what came back before it was listened for

    def _forget_parent(self) -> None:
        """In a forked child: leave the parent's connections to the parent, and start afresh."""
        if self._engine is not None:
            _INHERITED.append(self._engine)
            self._engine = None
        self.dialect.forget_parent()
        self._opening = Lock()
        self._writer = Lock()
        self.clock.forget()


def _close_returned(raw: object, record: ConnectionPoolEntry) -> None:
    """Close what comes back to a pool that nobody uses any more: it would stay open until that is collected."""
    if raw is not None:
        record.invalidate()


_INHERITED: list[object] = []
"""Engines that a fork copied here: kept, never used, so that nothing closes the parent's connections, or waits for a
lock that was held at the fork."""


def _after_fork() -> None:
    for store in tuple(_STORES):
        store._forget_parent()


in_child(_after_fork)


def reason(error: BaseException) -> str:
    """Return the driver's own first line about an error, without the statement."""
    original = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
    lines = str(original).strip().splitlines()
    return lines[0].strip().rstrip(".") if lines else type(original).__name__


def _dialect_of(backend: str) -> type[Dialect]:
    """Return the dialect of a URL's database. Only what is used is imported: each costs a start some time."""
    if backend == "sqlite":
        return SQLite
    if backend == "postgresql":
        from .postgresql import PostgreSQL

        return PostgreSQL
    from . import mysql

    return {"mysql": mysql.MySQL, "mariadb": mysql.MariaDB}[backend]
