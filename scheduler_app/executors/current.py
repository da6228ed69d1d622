"""`current_job`: what user code may ask of the job that it runs in."""

from __future__ import annotations

from collections.abc import Mapping
from contextvars import ContextVar
from datetime import datetime
from types import MappingProxyType
from typing import Any

from ..clock import monotonic
from ..errors import JobCancelledError, JobTimeoutError, NoCurrentJobError
from ..payload import Scrub, as_it_is
from ..progress import encode_progress
from ..store import Claim

_claim: ContextVar[Claim] = ContextVar("scheduler_current_claim")
_scrub: ContextVar[Scrub] = ContextVar("scheduler_current_scrub", default=as_it_is)
_context: ContextVar[Mapping[str, Any]] = ContextVar("scheduler_current_context")


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
    def context(self) -> Mapping[str, Any]:
        """What travelled with the call, by its name in SCHEDULER_CARRY; it is `g.<name>`, too."""
        self._held()
        return _context.get()

    def progress(self, done: float, total: float | None = None, message: str | None = None) -> None:
        """Say how far this job is. It costs nothing: the loop stores the newest at each poll, and with the end.

        Raises `ProgressError` for what is no finite number; a message of more than 500 characters is cut.
        """
        said = None if message is None else _scrub.get()(str(message))
        self._held().tell_progress(encode_progress(done, total, said))

    @property
    def cancelled(self) -> bool:
        """Whether this job is to stop: someone asked for it (seen within the poll interval), or its timeout is over."""
        return self._held().cancelled or self.timed_out

    @property
    def timed_out(self) -> bool:
        """Whether its timeout is over. In threads nothing stops the function but itself; see `raise_if_cancelled`."""
        claim = self._held()
        if monotonic() < claim.deadline:
            return False
        claim.saw_timeout = True
        return True

    def raise_if_cancelled(self) -> None:
        """End the function here if it is to stop: the job becomes `cancelled`, or its attempt ends as a timeout."""
        claim = self._held()
        if claim.cancelled:
            raise JobCancelledError(claim.id)
        if self.timed_out:
            raise JobTimeoutError(f"stopped at its timeout of {claim.timeout:g} s")

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


def enter(claim: Claim, context: Mapping[str, Any], scrub: Scrub = as_it_is) -> None:
    """Make `claim` the current job of the calling context, with what travelled with its call, and hides its secrets."""
    _scrub.set(scrub)
    _claim.set(claim)
    _context.set(MappingProxyType(context))
