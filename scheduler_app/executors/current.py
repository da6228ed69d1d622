"""`current_job`: what user code may ask of the job that it runs in."""

from __future__ import annotations

from contextvars import ContextVar
from datetime import datetime

from ..errors import JobCancelledError, NoCurrentJobError
from ..store import Claim

_claim: ContextVar[Claim] = ContextVar("scheduler_current_claim")


class CurrentJob:
    """The job that runs in this thread. Every attribute raises `NoCurrentJobError` outside of one."""

    @property
    def id(self) -> str:
        """The job's id."""
        return self._held().id

    @property
    def attempt(self) -> int:
        """Which attempt this is, counted from 1; a crash does not count."""
        return self._held().attempt + 1

    @property
    def fence(self) -> int:
        """A number that only grows from claim to claim of this job.

        Hand it to outside systems that can refuse a lower one: then a run that outlived its lease
        cannot overwrite what its replacement did.
        """
        return self._held().fence

    @property
    def run_at(self) -> datetime:
        """When the job was due (UTC)."""
        return self._held().run_at

    @property
    def cancelled(self) -> bool:
        """Whether someone asked for this job to stop; seen within the poll interval."""
        return self._held().cancelled

    def raise_if_cancelled(self) -> None:
        """End the function here if someone asked for it: the job becomes `cancelled`."""
        if self._held().cancelled:
            raise JobCancelledError(self._held().id)

    def __bool__(self) -> bool:
        return _claim.get(None) is not None

    def __repr__(self) -> str:
        claim = _claim.get(None)
        return "<current_job: none>" if claim is None else f"<current_job {claim.id} ({claim.task})>"

    @staticmethod
    def _held() -> Claim:
        claim = _claim.get(None)
        if claim is None:
            raise NoCurrentJobError()
        return claim


current_job = CurrentJob()
"""The job that the calling function runs in; false outside of one."""


def enter(claim: Claim) -> None:
    """Make `claim` the current job of the calling context."""
    _claim.set(claim)
