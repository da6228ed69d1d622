"""Listing and counting: a page of what a filter means, and how many there are, at a bounded cost."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import NamedTuple

from ..errors import CursorError, FilterError, did_you_mean
from ..filters import JobFilter, Pattern, Sort, check_sort, parse_filter
from ..jobs import Job, JobState
from ..store import Connection
from ..store.filtering import Position
from ..store.find import Told
from ..store.walking import LARGEST_LOOK, Decide, Walk
from ..tasks import TaskRegistry
from .cursor import read_cursor, write_cursor
from .queueing import COUNT_CAP
from .reach import Reach
from .shown import Shown

SEARCHED_AT_MOST = 10_000
"""How many rows one page, or one count, looks at: conditions without an index of their own stop there."""


Jobs = list[Job]


class Page(list[Job]):
    """One page of a list of jobs."""

    def __init__(self, jobs: Sequence[Job], after: str | None, searched: int, complete: bool) -> None:
        super().__init__(jobs)
        self.after = after
        """The cursor of what follows; None at the end of the list."""
        self.searched = searched
        """How many rows were looked at for it."""
        self.complete = complete
        """Whether the page is as full as it can be. Otherwise the search stopped early, and goes on at `after`."""


class Count(NamedTuple):
    """How many jobs a filter means."""

    matched: int
    complete: bool
    """Whether all were counted; otherwise there are at least so many."""


class Listing(Reach):
    """The verbs that look for jobs by a filter."""

    def list(
        self,
        filter: JobFilter | str | None = None,
        *,
        sort: Sort | str = Sort.NEWEST,
        after: str | None = None,
        limit: int = 50,
        states: Collection[JobState] = (),
        queue: str | None = None,
        task: str | None = None,
        before: str | None = None,
    ) -> Page:
        """Return up to `limit` jobs that a filter means, the newest first unless `sort` says otherwise.

        `filter` is as in "state=failed task=mail.* created>=2026-01-01"; `states`, `queue` and `task` narrow it. The
        next page is `after` the cursor of this one, `Page.after`; or, in the order of making, `before` the last one's
        id. Jobs of one instant have a fixed order, so no page repeats or leaves out what stays in the list. A page
        that would take more than 10,000 rows to fill is returned as it is then, and is not `complete`. Raises
        `FilterError` and `CursorError`.
        """
        wanted, order = _narrowed(filter, states, queue, task), sort_of(sort)
        check_sort(wanted, order)
        if before is not None and order not in (Sort.NEWEST, Sort.OLDEST):
            raise CursorError()
        position = None if before is None else Position(before)
        if after is not None:
            position = read_cursor(self.calls.signer(), wanted, order, after)
        limit = max(1, min(limit, self._limits.max_page))
        jobs, last, searched, complete = self.store.read(
            lambda connection: self._page(connection, wanted, order, position, limit)
        )
        cursor = None if last is None else write_cursor(self.calls.signer(), wanted, order, last)
        return Page(jobs, cursor, searched, complete)

    def count(self, filter: JobFilter | str, cap: int = COUNT_CAP) -> Count:
        """Return how many jobs a filter means, counted no further than `cap`, looking at 10,000 rows at most."""
        wanted = wanted_by(filter)
        return self.store.read(lambda connection: self._count(connection, wanted, cap))

    def _page(
        self, connection: Connection, wanted: JobFilter, sort: Sort, after: Position | None, limit: int
    ) -> tuple[Jobs, Position | None, int, bool]:
        found: Jobs = []
        last, searched = after, 0
        for seen in self._walk(connection, wanted, sort, after, limit + 1).jobs():
            if searched == SEARCHED_AT_MOST:
                return found, last, searched, False
            if seen.job is not None:
                if len(found) == limit:
                    return found, last, searched, True
                found.append(seen.job)
            last, searched = seen.position, searched + 1
        return found, None, searched, True

    def _count(self, connection: Connection, wanted: JobFilter, cap: int) -> Count:
        matched, rows = self._walk(connection, wanted).count(SEARCHED_AT_MOST + 1)
        return Count(min(matched, cap), rows <= SEARCHED_AT_MOST and matched <= cap)

    def _walk(
        self, connection: Connection, wanted: JobFilter, sort: Sort = Sort.NEWEST, after: Position | None = None,
        first: int = LARGEST_LOOK,
    ) -> Walk:  # fmt: skip
        decide = meant_by(wanted, self.calls.registry)
        return Walk(connection, self.store.dialect, wanted, sort, after, first, decide)


def wanted_by(said: JobFilter | str | None) -> JobFilter:
    """Return the filter that is said. Raises `FilterError`."""
    return said if isinstance(said, JobFilter) else parse_filter(said or "")


def sort_of(said: str) -> Sort:
    """Return the order that is said. Raises `FilterError`."""
    names = [sort.value for sort in Sort]
    if said not in names:
        hint = did_you_mean(str(said), names)
        raise FilterError({"sort": f"The order must be of {', '.join(names)}, not {str(said)[:60]!r}.{hint}"})
    return Sort(said)


def meant_by(wanted: JobFilter, registry: TaskRegistry) -> Decide | None:
    """Return what decides of a job that a look found whether it is meant; None where the look has decided.

    By what may be shown of it: no value finds a secret, nor does what an error tells of one.
    """
    if not (wanted.tags or wanted.arguments or wanted.errors or wanted.texts):
        return None
    errors, texts = [*map(_folded, wanted.errors)], [*map(_folded, wanted.texts)]

    def is_meant(job: Told) -> bool:
        if not set(wanted.tags) <= set(job.tags):
            return False
        shown = Shown(job.task, job.payload, registry)
        return shown.has_arguments(wanted.arguments) and (not (errors or texts) or tells(job, shown))

    def tells(job: Told, shown: Shown) -> bool:
        error = _folded(shown.text(job.error) or "")
        named = [*map(_folded, (job.id, job.task, job.queue, job.key or "", *job.tags)), error]
        return all(text in error for text in errors) and all(any(text in name for name in named) for text in texts)

    return is_meant


_FOLDS = {ord(letter): letter.lower() for letter in "ABCDEFGHIJKLMNOPQRSTUVWXYZ"}


def _folded(text: str) -> str:
    """Return a text in lower case as every database writes it: letters beyond ASCII stay as they are."""
    return text.translate(_FOLDS)


def _narrowed(
    said: JobFilter | str | None, states: Collection[JobState], queue: str | None, task: str | None
) -> JobFilter:
    wanted = wanted_by(said)
    if states:
        chosen = {*map(JobState, states)}
        wanted = replace(wanted, states=tuple(state for state in JobState if state in chosen))
    if queue is not None:
        wanted = replace(wanted, queue=queue)
    return wanted if task is None else replace(wanted, task=Pattern(task))
