"""What a due schedule does: which fire times emit a job, which are passed over and why, and which wait. Pure.

*Catch-up* says what becomes of fire times that nobody fired in time; *overlap* what becomes of one that comes while an
earlier job of the schedule is unfinished. APScheduler's words say the same: `coalesce=True` is catch-up `latest`,
`coalesce=False` is `all`; `max_instances=1` is overlap `skip`, and a larger number lets so many overlap.
"""

from __future__ import annotations

import random as _random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from apscheduler.triggers.base import BaseTrigger

from scheduler_app.schedules.fire_times import Fire, all_due, latest_due
from scheduler_app.schedules.schedule import Schedule

UNLIMITED = 2_147_483_647
"""The `max_instances` of a schedule whose jobs may overlap: what the database's integers hold."""

MOST_CAUGHT_UP = 100
"""How many fire times are made up for after a downtime, or wait in line: the newest."""

ON_TIME = timedelta(seconds=30)
"""How late a fire time may be seen and still count as on time: a sibling takes over from a dead process within that."""


class CatchUp(StrEnum):
    """What becomes of fire times that nobody fired in time."""

    LATEST = "latest"
    """The latest one emits a job; the others do not."""
    ALL = "all"
    """Each emits a job, the oldest first, as far as overlap lets them; of more than `MOST_CAUGHT_UP` the newest."""
    NONE = "none"
    """None of them emits a job."""


class Overlap(StrEnum):
    """What becomes of a fire time that comes while an earlier job of the schedule is unfinished."""

    SKIP = "skip"
    """It emits no job, and that is told."""
    ALLOW = "allow"
    """It emits its job at once."""
    QUEUE = "queue"
    """It waits: its job is emitted when the earlier one has ended."""


@dataclass(frozen=True, slots=True)
class Policy:
    """The rules of one schedule."""

    catch_up: CatchUp = CatchUp.LATEST
    overlap: Overlap = Overlap.SKIP
    max_instances: int = 1
    on_time: timedelta = ON_TIME


@dataclass(frozen=True, slots=True)
class Decision:
    """What one look at a due schedule decides."""

    emitted: tuple[datetime, ...] = ()
    overlapped: tuple[datetime, ...] = ()
    """Fire times passed over because too many earlier jobs are unfinished."""
    missed: tuple[tuple[datetime, str], ...] = ()
    """Fire times passed over because nobody fired them in time, each with a reason. One stands for several."""
    following: datetime | None = None
    """The next fire time; None when the trigger is exhausted."""
    waits: bool = False
    """Whether `following` has come already, and waits for an earlier job to end."""

    @property
    def changes(self) -> bool:
        """Whether it says anything but "wait"."""
        return bool(self.emitted or self.overlapped or self.missed) or not self.waits


def policy_of(schedule: Schedule) -> Policy:
    """Return the rules of a schedule. Raises `ValueError` for words that it should not have."""
    catch_up = CatchUp(schedule.catch_up or (CatchUp.LATEST if schedule.coalesce else CatchUp.ALL))
    overlap = Overlap.ALLOW if schedule.max_instances >= UNLIMITED else Overlap.SKIP
    grace = schedule.misfire_grace_time
    on_time = ON_TIME if grace is None or catch_up is not CatchUp.NONE else timedelta(seconds=grace)
    return Policy(catch_up, Overlap(schedule.overlap or overlap), schedule.max_instances, on_time)


def decide(
    trigger: BaseTrigger,
    policy: Policy,
    next_run_time: datetime,
    now: datetime,
    *,
    unfinished: int,
    last_end: datetime | None = None,
    random: Callable[[], float] = _random.random,
) -> Decision:
    """Decide about a schedule that is due at `next_run_time`, at `now`.

    `unfinished` is how many of its jobs have not ended; `last_end` when the latest of those that have did, which only
    overlap `queue` asks for: fire times up to then waited for it, and were not missed.
    """
    fires, missed = _candidates(trigger, policy, next_run_time, now, last_end, random)
    room = len(fires) if policy.overlap is Overlap.ALLOW else max(0, policy.max_instances - unfinished)
    emitted, rest = fires[:room], fires[room:]
    if rest and _waits(rest[0], policy, now):
        return Decision(_times(emitted), (), missed, rest[0].fire_time, waits=True)
    following = fires[-1].following if fires else latest_due(trigger, next_run_time, now, random=random).following
    return Decision(_times(emitted), _times(rest), missed, following)


def _candidates(
    trigger: BaseTrigger,
    policy: Policy,
    next_run_time: datetime,
    now: datetime,
    last_end: datetime | None,
    random: Callable[[], float],
) -> tuple[Sequence[Fire], tuple[tuple[datetime, str], ...]]:
    """Return the due fire times that may emit a job, and those that were missed."""
    waited = policy.overlap is Overlap.QUEUE and last_end is not None and next_run_time <= last_end
    if waited or policy.catch_up is CatchUp.ALL:
        fires = all_due(trigger, next_run_time, now, MOST_CAUGHT_UP, random=random)
        return fires, _over_the_bound(next_run_time, fires[0])
    latest = latest_due(trigger, next_run_time, now, random=random)
    if policy.catch_up is CatchUp.NONE and now - latest.fire_time > policy.on_time:
        return (), ((latest.fire_time, "nobody fired it in time, and its catch-up is 'none'"),)
    return (latest,), ()


def _over_the_bound(since: datetime, first: Fire) -> tuple[tuple[datetime, str], ...]:
    if not first.skipped:
        return ()
    until = first.fire_time.isoformat()
    return ((since, f"more than {MOST_CAUGHT_UP} were missed, so that it and all others before {until} emit no job"),)


def _waits(fire: Fire, policy: Policy, now: datetime) -> bool:
    """Whether a fire time for which there is no room waits for one, and is not passed over."""
    late = now - fire.fire_time > policy.on_time
    return policy.overlap is Overlap.QUEUE or (policy.catch_up is CatchUp.ALL and late)


def _times(fires: Sequence[Fire]) -> tuple[datetime, ...]:
    return tuple(fire.fire_time for fire in fires)
