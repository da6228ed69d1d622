"""Taking or giving back what a worker holds: all at once; where a row is at fault, each by itself.

The row at fault is put aside with its reason, and keeps no neighbour. Errors that are the database's are raised.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from .. import signals
from ..errors import StoreError
from ..store import Connection, Store, change, reason
from ..store.workers import Rescued

T = TypeVar("T")
Act = Callable[[str | None], list[Rescued]]
"""Takes or gives back all jobs, or the one of that id."""


@dataclass
class Freed:
    """What became of jobs that were held."""

    jobs: list[Rescued] = field(default_factory=list)
    aside: list[tuple[str, str]] = field(default_factory=list)
    """The ids of those that were put aside, and why."""


class Freeing:
    """Frees what is held within a transaction; `store` is where that is."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def is_outage(self, error: Exception) -> bool:
        """Whether an error is the database's and no row's fault: the same work may succeed later."""
        return isinstance(error, StoreError) or self._store.may_pass(error)

    def write(self, work: Callable[[Connection, bool], T]) -> T:
        """Run `work` in one transaction; where a row is at fault, in another one, told to go row by row."""
        try:
            return self._store.write(lambda connection: work(connection, False))
        except Exception as error:  # whatever a damaged row may raise
            if self.is_outage(error):
                raise
            signals.scheduler_failed.send(self, error=error, retry_seconds=0.0)
            return self._store.write(lambda connection: work(connection, True))

    def free(self, connection: Connection, held: Sequence[tuple[str, int]], act: Act, apart: bool) -> Freed:
        """Do `act` for all that is held, given as ids and fences; `apart`: with each by itself."""
        if not apart:
            return Freed(act(None))
        freed = Freed()
        for job_id, fence in held:
            self._free_one(connection, job_id, fence, act, freed)
        return freed

    def _free_one(self, connection: Connection, job_id: str, fence: int, act: Act, freed: Freed) -> None:
        try:
            with connection.begin_nested():
                freed.jobs += act(job_id)
        except Exception as error:  # whatever a damaged row may raise
            if self.is_outage(error):
                raise
            why = f"its worker could not let go of it: {reason(error)}"
            if change.quarantine_if_held(connection, job_id, fence, why):
                freed.aside.append((job_id, why))

    def tell(self, freed: Freed) -> None:
        """Tell of what was put aside, after the commit."""
        for job_id, why in freed.aside:
            signals.job_quarantined.send(self, job_id=job_id, reason=why)
