"""What a client asks of the response that a call is made in."""

from __future__ import annotations

from typing import Protocol

from ..store import NewJob
from .handle import JobHandle
from .options import Options


class Holds(Protocol):
    """A response that is not closed yet."""

    def hold(self, new: NewJob, options: Options) -> JobHandle:
        """Have a call wait for the end of this response; return its job."""
        ...

    @property
    def fallback_seconds(self) -> float:
        """After how long a job that waits runs all the same, should nobody close this response."""
        ...

    def adopt(self, job_id: str, version: int) -> None:
        """Have a job wait that another transaction has stored, with the fallback as its time, under this version."""
        ...
