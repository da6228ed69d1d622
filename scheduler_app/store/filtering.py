"""From a filter to SQL: a look walks an index in the order of the list, and no further than asked.

It tells of each row that it walks over whether it may be one of those meant. Names, states and times are exact; tags,
arguments and texts are compared by the database as text only, so that no payload, however damaged, can break a look,
and whoever asked decides about what is left.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import (
    ColumnElement,
    Select,
    and_,
    bindparam,
    case,
    desc,
    func,
    literal_column,
    or_,
    select,
    true,
    tuple_,
    union_all,
)

from ..arguments import Argument
from ..filters import JobFilter, Pattern, Sort, Span
from ..jobs import FINISHED, HELD, JobState, first_id_of
from .cancelling import begins
from .dialect import Dialect
from .tables import is_in, jobs, schedules
from .types import Instant

_MILLISECOND = timedelta(milliseconds=1)
_EXACT = 10**15
"""Below it a whole number is written with all of its digits, as a float, too."""


class Position(NamedTuple):
    """Where in a list a job stands: the list goes on after it, whether it is there still or not."""

    job_id: str
    at: datetime | None = None
    """The instant that the list is in the order of; None where it is the order of ids."""


def leaves_open(wanted: JobFilter, sort: Sort) -> bool:
    """Whether the index gives rows that are not meant."""
    given = {"ids", "states", "created"} if sort in _BY_ID else {"states", "run_at", "finished"}
    if sort in _BY_ID and not _has_states(wanted):
        given.discard("states")
    return any(getattr(wanted, name) and name not in given for name in JobFilter.__dataclass_fields__)


# -- one look ----------------------------------------------------------------------------------------


def look(dialect: Dialect, wanted: JobFilter, sort: Sort, after: Position | None, limit: int) -> Select[Any]:
    """Return the SELECT of up to `limit` rows: id, at (as `Position` has it), and may_be, 1 or 0."""
    may_be = case((and_(true(), *_conditions(wanted, dialect)), 1), else_=0).label("may_be")
    columns = (jobs.c.id, _at(sort).label("at"), may_be)
    looks = []
    for source in _sources(wanted, sort):
        job_id = _id_in(source)
        bounds = [*_bounds(wanted, sort, job_id), *_behind(sort, job_id, after)]
        looks.append(select(*columns).where(source, *bounds).order_by(*_order(sort, job_id)).limit(limit))
    return _together(looks, sort).limit(limit)


def _together(looks: Sequence[Select[Any]], sort: Sort) -> Select[Any]:
    if len(looks) == 1:
        return looks[0]
    parts = [look.subquery() for look in looks]
    together = union_all(*(select(part) for part in parts)).subquery()
    turned = desc if sort in _DOWN else (lambda column: column)
    order = (together.c.id,) if sort in _BY_ID else (together.c.at, together.c.id)
    return select(together).order_by(*map(turned, order))


_BY_ID = (Sort.NEWEST, Sort.OLDEST)
_DOWN = (Sort.NEWEST, Sort.FINISHED)
_ATS: dict[Sort, Any] = {Sort.RUN_AT: jobs.c.run_at, Sort.FINISHED: jobs.c.finished_at}
_NO_TIME: ColumnElement[Any] = literal_column("NULL", Instant)


def _at(sort: Sort) -> Any:
    return _ATS.get(sort, _NO_TIME)


def _id_in(source: ColumnElement[bool]) -> ColumnElement[Any]:
    """Return the id, such that it leads no database astray: what is in flight has a small index in another order, and
    in that of ids it would be looked for in all of history."""
    return jobs.c.id + "" if source is _IN_FLIGHT else jobs.c.id


def _order(sort: Sort, job_id: ColumnElement[Any]) -> Sequence[ColumnElement[Any]]:
    columns = (job_id,) if sort in _BY_ID else (_at(sort), job_id)
    return [column.desc() for column in columns] if sort in _DOWN else columns


def _behind(sort: Sort, job_id: ColumnElement[Any], after: Position | None) -> Iterator[ColumnElement[bool]]:
    """Yield whether a row stands behind a position of the list."""
    if after is None:
        return
    place = bindparam(None, after.job_id, type_=jobs.c.id.type)
    if sort in _BY_ID:
        yield job_id < place if sort in _DOWN else job_id > place
    else:
        here, there = tuple_(_at(sort), job_id), tuple_(bindparam(None, after.at, type_=Instant), place)
        yield here < there if sort in _DOWN else here > there


# -- what an index gives -----------------------------------------------------------------------------

_IN_FLIGHT: ColumnElement[bool] = literal_column(f"state IN ({', '.join(repr(state.value) for state in HELD)})")
_HAS_ENDED: ColumnElement[bool] = literal_column("finished_at IS NOT NULL")
_HAS_KEY: ColumnElement[bool] = jobs.c.key.is_not(None)
_LISTED_BY_ID = frozenset(JobState) - {JobState.SUCCEEDED}
"""The states whose jobs have an index in the order of ids. Nearly all rows of a table are succeeded, so their own order
is that of the table."""


def _has_states(wanted: JobFilter) -> bool:
    return bool(wanted.states) and _LISTED_BY_ID.issuperset(wanted.states)


def _sources(wanted: JobFilter, sort: Sort) -> list[ColumnElement[bool]]:
    """Return the conditions that each have an index in the order of the list; together they give all that is meant."""
    if sort is Sort.RUN_AT:
        return [is_in(JobState.SCHEDULED.value)]
    if sort is Sort.FINISHED:
        return [and_(_HAS_ENDED, is_in(state.value)) for state in wanted.states or FINISHED]
    if wanted.ids:
        return [jobs.c.id.in_(wanted.ids)]
    if wanted.key is not None and not wanted.key.is_prefix:
        return [and_(_HAS_KEY, jobs.c.key == wanted.key.text)]
    if _has_states(wanted):
        in_flight = [_IN_FLIGHT] if set(HELD) & {*wanted.states} else []
        return [*(is_in(state.value) for state in wanted.states if state not in HELD), *in_flight]
    return [true()]


def _bounds(wanted: JobFilter, sort: Sort, job_id: ColumnElement[Any]) -> Iterator[ColumnElement[bool]]:
    """Return the conditions that make the way along the index shorter: ids are in the order in which jobs were made."""
    if sort is Sort.RUN_AT:
        yield from _within(jobs.c.run_at, wanted.run_at)
    elif sort is Sort.FINISHED:
        yield from _within(jobs.c.finished_at, wanted.finished)
    else:
        if wanted.created.since is not None:
            yield job_id >= first_id_of(wanted.created.since)
        ends = [span.until for span in (wanted.created, wanted.started, wanted.finished) if span.until is not None]
        if ends:  # a job is made before it starts and ends
            yield job_id < first_id_of(min(ends) + _MILLISECOND)


# -- which of the rows may be meant --------------------------------------------------------------------


def _conditions(wanted: JobFilter, dialect: Dialect) -> Iterator[ColumnElement[bool]]:
    yield from _exact(wanted)
    yield from (dialect.contains(jobs.c.tags, json.dumps(tag)) for tag in wanted.tags)
    for argument in wanted.arguments:
        yield from (dialect.contains(jobs.c.payload, text) for text in _marks_of(argument))
    yield from (dialect.contains(jobs.c.error, text) for text in wanted.errors)
    for text in wanted.texts:
        named = [dialect.contains(column, text) for column in _SEARCHED]
        yield or_(*named, dialect.contains(jobs.c.tags, json.dumps(text)[1:-1]))


_SEARCHED = (jobs.c.id, jobs.c.task, jobs.c.queue, func.coalesce(jobs.c.key, ""), func.coalesce(jobs.c.error, ""))


def _exact(wanted: JobFilter) -> Iterator[ColumnElement[bool]]:
    if wanted.ids:
        yield jobs.c.id.in_(wanted.ids)
    if wanted.states:
        yield jobs.c.state.in_([state.value for state in wanted.states])
    if wanted.task is not None:
        yield _is_like(jobs.c.task, wanted.task)
    if wanted.queue is not None:
        yield jobs.c.queue == wanted.queue
    if wanted.key is not None:
        yield _is_like(jobs.c.key, wanted.key)
    if wanted.schedule is not None:
        named = select(schedules.c.uid).where(schedules.c.name == wanted.schedule)
        yield or_(jobs.c.schedule_uid == wanted.schedule, jobs.c.schedule_uid.in_(named))
    if wanted.priorities:
        yield jobs.c.priority.in_(wanted.priorities)
    yield from _within(jobs.c.created_at, wanted.created)
    yield from _within(jobs.c.run_at, wanted.run_at)
    yield from _within(jobs.c.started_at, wanted.started)
    yield from _within(jobs.c.finished_at, wanted.finished)


def _is_like(column: ColumnElement[Any], pattern: Pattern) -> ColumnElement[bool]:
    return begins(column, pattern.text) if pattern.is_prefix else column == pattern.text


def _within(column: ColumnElement[Any], span: Span) -> Iterator[ColumnElement[bool]]:
    if span.since is not None:
        yield column >= bindparam(None, span.since, type_=Instant)
    if span.until is not None:
        yield column < bindparam(None, span.until, type_=Instant)


def _marks_of(argument: Argument) -> Iterator[str]:
    """Return texts that stand in every payload, as this package writes them, of a call with this argument."""
    name, value = argument.path[0], argument.value
    if not (name.isascii() and name.isdecimal()):
        yield json.dumps(name)
    if isinstance(value, str):
        yield json.dumps(value)[1:-1]
    elif value is None or (isinstance(value, bool | int) and abs(value) < _EXACT):
        yield json.dumps(value)
