"""The database under the scheduler cannot be used."""

from __future__ import annotations

from collections.abc import Iterable

from .base import SchedulerError, did_you_mean


class StoreError(SchedulerError):
    """The base of errors of the database under the scheduler."""


class StoreUnavailableError(StoreError):
    """The database did not answer, or refused the write.

    Nothing was stored, unless `undecided`: then the reply to a commit was lost, and no later try could tell.
    `writing` tells whether anything was to be stored at all.
    """

    def __init__(self, url: str, reason: str, *, undecided: bool = False, writing: bool = True) -> None:
        self.url = url
        self.undecided = undecided
        if undecided:
            ending = "Whether this was stored is not known. Check that it runs, then look before you try again."
        else:
            ending = "Check that it runs and accepts connections, then try again."
            ending = f"Nothing was stored. {ending}" if writing else ending
        super().__init__(f"The scheduler's database {url} cannot be used now: {reason}. {ending}")


class StoreRefusedError(StoreError):
    """The database answered, and refused a statement: a right or a table is missing, say."""

    def __init__(self, url: str, reason: str) -> None:
        self.url = url
        super().__init__(
            f"The scheduler's database {url} refused: {reason}. Look at its tables with 'flask scheduler db check'."
        )


class ForkedError(StoreError):
    """This process was forked in the middle of its parent's work on SQLite, and cannot use SQLite."""

    def __init__(self, path: str = "") -> None:
        where = f"in a transaction on the SQLite file {path}" if path else "at work on SQLite"
        first = "End that transaction before you fork (db.session.commit(), or close())" if path else "Fork again"
        super().__init__(
            f"This process was forked while its parent was {where}, and SQLite takes the parent's locks for its own"
            f" here. Nothing was stored. {first}, start it with multiprocessing's 'spawn' or"
            " 'forkserver', or set SCHEDULER_DATABASE_URL to PostgreSQL or MariaDB."
        )


class DriverMissingError(StoreError):
    """The library that speaks to the database cannot be imported."""

    def __init__(self, database: str, driver: str, reason: str, extra: str) -> None:
        super().__init__(
            f"{database} needs its driver {driver}, which cannot be imported ({reason})."
            f" Install it: pip install 'scheduler-app[{extra}]'"
        )


class GreenSocketsError(StoreError):
    """The database's driver would use sockets that only one thread may use, in a process with several."""

    def __init__(self, who: str, driver: str) -> None:
        super().__init__(
            f"{who} has replaced this process's sockets and not its threads, so a connection of {driver} would hang"
            f" as soon as a second thread used it. Have {who} replace both or neither; where it replaces both, jobs run"
            " in 'flask scheduler run' beside it."
        )


class UnknownRevisionError(StoreError, LookupError):
    """No migration of this package has this revision."""

    def __init__(self, revision: str, known: Iterable[str]) -> None:
        names = list(known)
        super().__init__(
            f"There is no revision {revision!r}.{did_you_mean(revision, names)}"
            " See what there is with 'flask scheduler db history'."
        )


class SchemaMissingError(StoreError):
    """The scheduler's tables are not in the database."""

    def __init__(self, url: str) -> None:
        super().__init__(
            f"The scheduler's tables are missing from {url}. Create them with 'flask scheduler db upgrade',"
            " or set SCHEDULER_AUTO_UPGRADE=True."
        )


class SchemaOlderError(StoreError):
    """The scheduler's tables are of an older version than this code."""

    def __init__(self, url: str, found: str, wanted: str) -> None:
        super().__init__(
            f"The scheduler's tables in {url} are at revision {found}, but this version needs {wanted}."
            " Bring them up to date with 'flask scheduler db upgrade', or set SCHEDULER_AUTO_UPGRADE=True."
        )


class SchemaNewerError(StoreError):
    """The scheduler's tables are of a newer, incompatible version."""

    def __init__(self, url: str, found: str, wanted: str) -> None:
        super().__init__(
            f"The scheduler's tables in {url} are at revision {found}, which is newer than this version"
            f" can use ({wanted}). Upgrade the scheduler-app package on this machine."
        )


class NetworkFileSystemError(StoreError):
    """A SQLite file stands on a network file system, where its locks cannot be trusted."""

    def __init__(self, path: str, kind: str) -> None:
        super().__init__(
            f"The SQLite file {path} is on a network file system ({kind}), where SQLite loses writes."
            " Put it on a local disk, or set SCHEDULER_DATABASE_URL to PostgreSQL."
        )
