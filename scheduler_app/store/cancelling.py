"""Cancelling many jobs: all that have not ended whose key begins alike, or that bear a tag.

They are found by plain reads, and then cancelled by their ids, some in each transaction. By a prefix only the index of
keys is read, and what is in flight; tags have no index, so that by a tag every job that waits is read.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, and_, literal_column, select, union_all, update

from ..asking import RULES, Verb
from ..jobs import HELD, JobState
from .change import cancelled_at
from .dialect import Dialect
from .tables import is_in, jobs

_LAST = "\U0010ffff"
"""Sorts behind whatever may follow in a key, which holds printable characters only."""

_FETCHED_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class Matching:
    """Which jobs: those whose key begins with `prefix`, or that bear `tag`. One of the two is given."""

    prefix: str | None = None
    tag: str | None = None

    def conditions(self) -> Iterator[ColumnElement[bool]]:
        """Return the conditions under which a job is looked at, each with an index of its own."""
        if self.prefix is not None:
            yield begins(jobs.c.live_key, self.prefix)
            for is_there in (_HELD, _QUARANTINED):  # their keys are free
                yield and_(is_there, begins(jobs.c.key, self.prefix))
        else:
            for is_there in (*_WAITING, _HELD):
                yield and_(is_there, jobs.c.tags.contains(json.dumps(self.tag), autoescape=True))

    def is_met(self, tags: str | None) -> bool:
        """Whether a job that was looked at is one of them: a tag's text may stand inside another tag."""
        return self.tag is None or self.tag in json.loads(tags or "[]")


def begins(key: ColumnElement[Any], prefix: str) -> ColumnElement[bool]:
    """Return whether a name begins so, as a range of the index: no character of it means anything else."""
    return and_(key >= prefix, key <= prefix + _LAST)


_HELD: ColumnElement[bool] = literal_column(f"state IN ({', '.join(repr(state.value) for state in HELD)})")
_QUARANTINED = is_in(JobState.QUARANTINED.value)
_WAITING = tuple(is_in(state.value) for state in RULES[Verb.CANCEL].sources)
_NOT_ASKED = jobs.c.cancel_requested_at.is_(None)


def to_cancel(connection: Connection, matching: Matching, limit: int) -> list[str]:
    """Return the ids of up to `limit` jobs that match and can still be stopped, but for those that were asked already.

    One statement looks at all states, so that no job slips from one to another meanwhile.
    """
    looks = [select(jobs.c.id, jobs.c.tags).where(condition, _NOT_ASKED) for condition in matching.conditions()]
    with connection.execute(union_all(*looks).execution_options(yield_per=_FETCHED_AT_ONCE)) as rows:
        return list(islice((row.id for row in rows if matching.is_met(row.tags)), limit))


class Stopped(NamedTuple):
    """The ids of jobs that will not start, and of those that were asked to stop."""

    cancelled: Sequence[str]
    asked: Sequence[str]


def cancel_if_live(connection: Connection, dialect: Dialect, ids: Sequence[str], now: datetime) -> Stopped:
    """Cancel those of the jobs that have not started, and ask those to stop that are held by a worker."""
    among = dialect.among(jobs.c.id, "ids")
    locking = select(jobs.c.id, jobs.c.state).where(among, _NOT_ASKED).order_by(jobs.c.id).with_for_update()
    rows = connection.execute(locking, {"ids": dialect.pack(ids)}).all()
    waiting = [row.id for row in rows if row.state in RULES[Verb.CANCEL].sources]
    held = [row.id for row in rows if row.state in RULES[Verb.CANCEL].asked]
    if waiting:
        connection.execute(cancelled_at(now).where(among), {"ids": dialect.pack(waiting)})
    if held:
        asking = update(jobs).where(among).values(cancel_requested_at=now, version=jobs.c.version + 1)
        connection.execute(asking, {"ids": dialect.pack(held)})
    return Stopped(waiting, held)
