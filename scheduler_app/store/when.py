"""Changing when a job that has not started runs: at another time, now, or not until a person says so.

Each verb has its guard in its name and answers whether it happened. What a job is otherwise, its key and its attempts,
stays.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ColumnElement, Connection, and_, bindparam, case, update

from ..asking import RULES, Verb
from ..jobs import JobState
from .tables import jobs
from .types import Instant, bumped

_IS_JOB = jobs.c.id == bindparam("job_id")
_CHANGE = update(jobs).where(_IS_JOB).values(version=bumped(jobs.c.version))
_NOW = bindparam("now", type_=Instant)


def _in_source(verb: Verb) -> ColumnElement[bool]:
    return jobs.c.state.in_([state.value for state in RULES[verb].sources])


_RESCHEDULE = _CHANGE.where(_in_source(Verb.RESCHEDULE)).values(run_at=bindparam("new_run_at", type_=Instant))


def reschedule_if_waiting(connection: Connection, job_id: str, run_at: datetime) -> bool:
    """Give a job that has not started another time."""
    return bool(connection.execute(_RESCHEDULE, {"job_id": job_id, "new_run_at": run_at}).rowcount)


_MOVE = _RESCHEDULE.where(jobs.c.version == bindparam("seen_version"))


def reschedule_if_unchanged(connection: Connection, job_id: str, version: int, run_at: datetime) -> bool:
    """Give a job another time that has not started, and has not changed since it was seen with this version."""
    return bool(connection.execute(_MOVE, {"job_id": job_id, "seen_version": version, "new_run_at": run_at}).rowcount)


_is_ahead = and_(jobs.c.max_lateness.is_(None), jobs.c.run_at < _NOW)
_RUN_NOW = _CHANGE.where(_in_source(Verb.RUN_NOW)).values(
    state=JobState.SCHEDULED.value, run_at=case((_is_ahead, jobs.c.run_at), else_=_NOW)
)


def run_now_if_waiting(connection: Connection, job_id: str, now: datetime) -> bool:
    """Make a job due that has not started, a paused one, too.

    One that was due keeps its place in the line, but where its lateness would have it missed.
    """
    return bool(connection.execute(_RUN_NOW, {"job_id": job_id, "now": now}).rowcount)


_PAUSE = _CHANGE.where(_in_source(Verb.PAUSE)).values(state=JobState.PAUSED.value)


def pause_if_scheduled(connection: Connection, job_id: str) -> bool:
    """Have a scheduled job wait for a person. It keeps its time and its key."""
    return bool(connection.execute(_PAUSE, {"job_id": job_id}).rowcount)


_RESUME = _CHANGE.where(_in_source(Verb.RESUME)).values(state=JobState.SCHEDULED.value)


def resume_if_paused(connection: Connection, job_id: str) -> bool:
    """Have a paused job run at its time again; if that has passed, at once."""
    return bool(connection.execute(_RESUME, {"job_id": job_id}).rowcount)
