"""Going through the jobs that a filter means, in the order of a list, look by look."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from sqlalchemy import Connection, func, select

from ..filters import JobFilter, Sort
from ..jobs import Job
from .dialect import Dialect
from .filtering import Position, leaves_open, look
from .find import Told, jobs_of, told_of

FIRST_LOOK = 200
LARGEST_LOOK = 2_000
"""How many rows one statement walks over, where not each of them is meant."""

_IN_MEMORY = 200
"""How many jobs are read at a time."""

Decide = Callable[[Told], bool]


class Seen(NamedTuple):
    """A row that was walked over; whether its job is meant, and then that job, where it was asked for and is there."""

    position: Position
    is_meant: bool
    job: Job | None = None


@dataclass(frozen=True)
class Walk:
    """A way through the rows that the indexed part of a filter gives, in the order of the list.

    `decide` has the last word about those that may be meant; None: they are. `first` is how many rows are likely to be
    taken. Whoever walks stops when it has seen enough.
    """

    connection: Connection
    dialect: Dialect
    wanted: JobFilter
    sort: Sort = Sort.NEWEST
    after: Position | None = None
    first: int = LARGEST_LOOK
    decide: Decide | None = None

    def rows(self) -> Iterator[Seen]:
        """Yield each row."""
        for rows in self._parts():
            yield from rows

    def jobs(self) -> Iterator[Seen]:
        """Yield each row, with its job."""
        for rows in self._parts():
            found = jobs_of(self.connection, self.dialect, [row.position.job_id for row in rows if row.is_meant])
            yield from (row._replace(job=found.get(row.position.job_id)) for row in rows)

    def count(self, most: int) -> tuple[int, int]:
        """Return how many of the first rows, up to so many, are meant, and how many rows there were."""
        if self.decide is not None:
            rows = [row.is_meant for row, _ in zip(self.rows(), range(most), strict=False)]
            return sum(rows), len(rows)
        looked = look(self.dialect, self.wanted, self.sort, self.after, most).subquery()
        counted = select(func.coalesce(func.sum(looked.c.may_be), 0), func.count()).select_from(looked)
        matched, rows_seen = self.connection.execute(counted).one()
        return int(matched), rows_seen

    def _parts(self) -> Iterator[Sequence[Seen]]:
        for rows in self._looks():
            for begin in range(0, len(rows), _IN_MEMORY):
                yield self._decided(rows[begin : begin + _IN_MEMORY])

    def _decided(self, rows: Sequence[Any]) -> Sequence[Seen]:
        if self.decide is None:
            return [Seen(Position(row.id, row.at), bool(row.may_be)) for row in rows]
        told = told_of(self.connection, self.dialect, [row.id for row in rows if row.may_be])
        meant = {one.id for one in told if self.decide(one)}
        return [Seen(Position(row.id, row.at), row.id in meant) for row in rows]

    def _looks(self) -> Iterator[Sequence[Any]]:
        size = max(self.first, FIRST_LOOK) if leaves_open(self.wanted, self.sort) else self.first
        after = self.after
        while True:
            rows = self.connection.execute(look(self.dialect, self.wanted, self.sort, after, size)).all()
            yield rows
            if len(rows) < size:
                return
            after, size = Position(rows[-1].id, rows[-1].at), LARGEST_LOOK
