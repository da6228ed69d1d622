"""What a database must answer for; one small file per database holds the answers.

The verbs of the store are written once. Where databases differ, the verb asks the `Dialect`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnClause, ColumnElement, Connection, Engine, FromClause, Select, Table, func
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError
from sqlalchemy.sql.dml import Insert

from .gate import Closes
from .place import Place


class Watcher(ABC):
    """Tells that another process wrote. Used by one thread."""

    @abstractmethod
    def wait(self, seconds: float) -> bool:
        """Wait at most `seconds`; True as soon as another process may have scheduled something."""

    @abstractmethod
    def interrupt(self) -> None:
        """Have `wait` return at once, now and from here on. Called by another thread, also beside `close`."""

    @abstractmethod
    def close(self) -> None:
        """Give the connection back."""


PLAIN: dict[str, Any] = {"schema_translate_map": None}
"""A caller's connection may be set to look for tables in another schema; ours are where they are."""

_COUNTING = {**PLAIN, "preserve_rowcount": True}
"""Without it some drivers answer -1 for the rows of an INSERT."""


class Dialect(ABC):
    """The differences of one database. Stateless but for what its connections need."""

    def __init__(self, *, connect_timeout: float, journal: str) -> None:
        self.connect_timeout = connect_timeout
        self.journal = journal

    name: str
    sql_name: str
    """SQLAlchemy's name of it, by which migrations are written as text."""
    local_time: bool
    """Whether the database's time is this host's own."""
    one_writer: bool
    """Whether one transaction at a time may write, so that this process's threads had better queue for it in order."""
    materialized = "MATERIALIZED"
    """The word that has a common table expression computed once; "" where there is none."""
    notifies: bool
    """Whether other processes must be told of a write, because they cannot see it by themselves."""
    note: str = ""
    """What whoever runs this process should know of the database, for the boot line; complete once it was connected
    to. "" where there is nothing to say."""

    gate: AbstractContextManager[object] = nullcontext()
    """What every use of a connection of ours goes through."""

    def close_before_forks(self, store: Closes) -> None:  # noqa: B027 - most databases leave it to `forget_parent`
        """Have a store closed before each fork, where nothing of it may be carried over."""

    def forget_parent(self) -> None:  # noqa: B027 - most dialects hold nothing
        """In a forked child: let go of what is the parent's."""

    @abstractmethod
    def make_engine(self, url: URL) -> Engine:
        """Make the engine of the store's own, connecting nowhere yet."""

    @abstractmethod
    def check_place(self, url: URL) -> None:
        """Raise if the database stands where it cannot be trusted."""

    def place(self, url: URL) -> Place | None:
        """Return where the database's file stands; None where it has none of its own. Opens nothing."""
        return None

    def journal_of(self, connection: Connection) -> str:
        """Return the mode of the file's journal; "" where there is none to choose."""
        return ""

    @abstractmethod
    def read_time(self, connection: Connection) -> datetime:
        """Return the database's time, aware."""

    def open_transactions(self, connection: Connection, seconds: float) -> Sequence[tuple[float, str]]:
        """Return, of other connections' transactions in this database that began so long ago, their age in seconds and
        whose they are, the eldest first. None are seen where the database has no such list."""
        return ()

    @abstractmethod
    def is_transient(self, error: BaseException) -> bool:
        """Whether the whole transaction may succeed if simply tried again soon."""

    @abstractmethod
    def is_outage(self, error: BaseException) -> bool:
        """Whether the database or its disk is to blame, rather than a row."""

    @abstractmethod
    def is_undecided(self, error: BaseException) -> bool:
        """Whether a commit that failed with this outage may have happened nevertheless."""

    @abstractmethod
    def insert(self, table: Table) -> Insert:
        """Return an INSERT that leaves a row standing in its way alone (ON CONFLICT DO NOTHING)."""

    def insert_if_absent(self, connection: Connection, table: Table, row: Mapping[str, Any]) -> bool:
        """Insert a row unless one stands in its way; whether it was inserted."""
        inserted = connection.execute(self.insert(table), dict(row), execution_options=_COUNTING)
        return inserted.rowcount == 1

    looks_for_key_first = False
    """Whether who holds a key is looked for first, and then locked by its primary key: any lock that is found by the
    key itself may cover the place in that index where all jobs without a key are inserted."""

    def refuse_to_wait_for_oneself(self, url: URL) -> None:  # noqa: B027 - most databases have nothing to look at
        """Raise `OwnLockError` where this thread itself keeps the next write from ever beginning."""

    @abstractmethod
    def place_of(self, connection: Connection) -> tuple[Any, Any]:
        """Return which server answers, and where in it our tables are, as the server says itself.

        The second is None where they are not to be seen.
        """

    def own_place(self, engine: Engine) -> tuple[Any, Any]:
        """Return the same of the store's own engine."""
        with engine.connect() as connection:
            return self.place_of(connection)

    def is_autocommit(self, connection: Connection) -> bool:
        """Whether each statement commits by itself, so that there is no transaction to be part of."""
        raw: Any = connection.connection.dbapi_connection
        return bool(connection.dialect.detect_autocommit_setting(raw))

    def is_open_in(self, connection: Connection) -> bool:
        """Whether another connection's write may have to wait for this one's transaction, as it has begun by now."""
        return False

    def will_commit(self, connection: Connection) -> bool:
        """Whether a COMMIT now keeps what the transaction did. False where the database would roll it back."""
        return True

    def lock_due(
        self, connection: Connection, due: Select[Any], parameters: Mapping[str, Any], limit: int
    ) -> Sequence[Any]:
        """Lock up to `limit` rows of a SELECT of due jobs that no other process has locked, and return them."""
        return connection.execute(due.with_for_update(skip_locked=True), dict(parameters)).all()

    @abstractmethod
    def among(self, column: ColumnElement[Any], name: str) -> ColumnElement[bool]:
        """Return ``column IN (:name)`` with the whole list as one parameter; see `pack`."""

    @abstractmethod
    def pack(self, values: Sequence[str]) -> Any:
        """Return `values` as the one parameter that `among` takes."""

    def contains(self, column: ColumnElement[Any], text: str) -> ColumnElement[bool]:
        """Return whether a text stands in a column, ASCII letters in any case; none of its characters is a wildcard.

        Some databases find other letters in any case, too.
        """
        return func.instr(func.lower(column), func.lower(text)) > 0

    @abstractmethod
    def rows(self, name: str, columns: Sequence[ColumnClause[Any]]) -> FromClause:
        """Return a list of rows, handed over as the one parameter `name`, to join with; see `pack_rows`.

        One statement for a whole batch: no round trip per row, and one release of the interpreter's lock.
        """

    @abstractmethod
    def pack_rows(self, columns: Sequence[ColumnClause[Any]], rows: Sequence[Sequence[Any]]) -> str:
        """Return rows as the one parameter that `rows` takes; an instant is handed over as `instant` gives it."""

    @abstractmethod
    def instant(self, value: datetime | None) -> str | None:
        """Return an instant as it stands in packed rows."""

    @abstractmethod
    def unreadable(self, column: ColumnElement[Any]) -> ColumnElement[bool]:
        """Return whether an instant is one that Python cannot read: text that is none, or beyond its years."""

    @abstractmethod
    def shown(self, column: ColumnElement[Any]) -> ColumnElement[str]:
        """Return what stands in a column as text that can be read, whatever it is."""

    @abstractmethod
    def before_claim(self, connection: Connection) -> None:
        """Do what a transaction needs that is going to claim."""

    @abstractmethod
    def upgrading(self, connection: Connection) -> AbstractContextManager[None]:
        """Let one process at a time into the block, in which the tables are changed."""

    @abstractmethod
    def watch(self, engine: Engine) -> Watcher:
        """Open what tells this process of another's writes."""

    @abstractmethod
    def notify(self, connection: Connection) -> None:
        """Tell other processes that something is due soon. A hint: polling finds it anyway."""

    @abstractmethod
    def after_write(self, engine: Engine) -> None:
        """Do what is due after a committed write (SQLite: the elected checkpoint)."""


def driver_code(error: BaseException) -> str:
    """Return the driver's own code or text for an error that SQLAlchemy wrapped, else an empty string."""
    original = error.orig if isinstance(error, DBAPIError) else error
    return str(getattr(original, "sqlstate", None) or getattr(original, "sqlite_errorname", None) or "")
