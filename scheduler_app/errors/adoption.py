"""The jobs of another scheduler cannot be adopted."""

from __future__ import annotations

from .base import SchedulerError
from .store import StoreError


class ForeignDatabaseError(StoreError):
    """The database of another scheduler cannot be read."""

    def __init__(self, url: str, reason: str) -> None:
        self.url = url
        super().__init__(
            f"The database {url} cannot be read: {reason}. Check its address, that it runs, and that it lets you in."
        )


class JobTableNotFoundError(SchedulerError, LookupError):
    """There is no table of this name in the database that was asked."""

    def __init__(self, table: str, url: str) -> None:
        self.table, self.url = table, url
        super().__init__(
            f"There is no table {table!r} in {url}. Say with --url in which database the old scheduler stored its jobs."
        )


class ForeignTableError(SchedulerError, ValueError):
    """A table is none that APScheduler's SQLAlchemyJobStore made."""

    def __init__(self, table: str, url: str, missing: str) -> None:
        super().__init__(
            f"The table {table!r} in {url} is no job table of APScheduler's SQLAlchemyJobStore: it has no column"
            f" {missing!r}. Name the table that the old scheduler was given, by default 'apscheduler_jobs'."
        )


class UnpicklingError(SchedulerError, RuntimeError):
    """The process that was to read pickles came to no good end. Nothing was adopted."""

    def __init__(self, why: str, job_id: str | None = None) -> None:
        self.job_id = job_id
        where = "" if job_id is None else f" It was at the job {job_id!r}: put that row elsewhere, and try again."
        super().__init__(f"Nothing was adopted, because the process that reads the pickles {why}.{where}")


class TakenError(SchedulerError):
    """What is to be adopted has the name of something else that is here. Nothing was changed."""

    def __init__(self, name: str, kind: str, what: str = "") -> None:
        self.name = name
        told = f", {what}" if what else ""
        super().__init__(f"There is a {kind} {name!r} already{told}. Remove one of the two, and adopt again.")
