"""What a caller has seen of a job: a verb that meets another version of it changes nothing, and says so."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from ..errors import JobChangedError
from ..store import Connection, find


@dataclass(slots=True)
class _Expected:
    versions: Collection[int]
    tried: int | None = None
    """The version that an earlier try of the change met."""


_expected: ContextVar[_Expected | None] = ContextVar("scheduler_expected_versions", default=None)


@contextmanager
def expecting(versions: Collection[int] | None) -> Iterator[None]:
    """Have the one verb in this block act only on a job of these versions: else it raises `JobChangedError`."""
    token = _expected.set(None if versions is None else _Expected(versions))
    try:
        yield
    finally:
        _expected.reset(token)


def is_done_already(connection: Connection, job_id: str) -> bool:
    """Lock a job of which some version is expected, and compare.

    True where what is asked was done by an earlier try, whose reply was lost. Raises `JobChangedError`.
    """
    expected = _expected.get()
    seen = None if expected is None else find.job(connection, job_id, lock=True)
    if expected is None or seen is None:
        return False
    if seen.version in expected.versions:
        expected.tried = seen.version
        return False
    if expected.tried is not None and seen.version == expected.tried + 1:
        return True
    raise JobChangedError(job_id, seen.version)
