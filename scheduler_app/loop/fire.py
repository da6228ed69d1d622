"""Firing schedules: one job per fire time, whichever process wins."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from ..client.emit import emitted_job
from ..client.recurring import DISTRUSTED, UNKNOWN_KEY, signed_parts
from ..payload import Signer, Verdict
from ..schedules import Decision, Policy, Schedule, decide, decode_trigger, policy_of
from ..store import Connection, Store, add, schedules, workers
from ..store.claim import KEY_PREFIX

BATCH = 100
"""How many due schedules one turn moves on."""


@dataclass(frozen=True, slots=True)
class Fired:
    """What became of one due schedule: the fire times that emitted a job, those passed over, or why it was paused."""

    schedule: Schedule
    emitted: tuple[tuple[datetime, str], ...] = ()
    skipped: tuple[datetime, ...] = ()
    """Those that overlap an earlier job."""
    missed: tuple[tuple[datetime, str], ...] = ()
    """Those that nobody fired in time, with the reason why they are not made up for."""
    paused: str | None = None
    ended: bool = False


class Firing:
    """Advances due schedules and inserts their jobs."""

    def __init__(self, store: Store, signer: Signer, patience_seconds: float = 900.0) -> None:
        self._store = store
        self._signer = signer
        keys = frozenset(f"v1:{key}" for key in signer.key_ids)
        self._firer = schedules.Firer(keys, timedelta(seconds=patience_seconds))

    def fire_due(self, connection: Connection, now: datetime, limit: int = BATCH) -> list[Fired]:
        """Fire every due schedule that no other process is firing now; tell what became of each."""
        locked = schedules.lock_due(connection, self._firer, now, limit)
        while self._learns_of_others(connection, locked):
            locked = schedules.lock_due(connection, self._firer, now, limit)
        return self._fire_all(connection, locked, now)

    def fire_if_due(self, connection: Connection, uid: str, now: datetime) -> list[Fired]:
        """Fire one schedule, if it is still due and no other process is firing it; tell what became of it."""
        locked = schedules.lock_if_due(connection, self._firer, uid, now)
        return [] if self._learns_of_others(connection, locked) else self._fire_all(connection, locked, now)

    def firer(self, connection: Connection) -> schedules.Firer:
        """Return whose schedules are fired here: those of a key that a worker knew are left to it while it lives."""
        if self._firer.served:
            served = frozenset(self._firer.served) & _keys_of_live(connection)
            self._firer = self._firer._replace(served=served)
        return self._firer

    def _learns_of_others(self, connection: Connection, locked: Sequence[Schedule]) -> bool:
        """Ask the live workers for the keys that are unknown here; True where one knows one, to which it is left."""
        verdicts = [(one.signature[:KEY_PREFIX], self._verdict(one)) for one in locked]
        unknown = {prefix for prefix, verdict in verdicts if verdict is Verdict.UNKNOWN_KEY}
        served = unknown & _keys_of_live(connection) if unknown else set()
        self._firer = self._firer._replace(served=frozenset(self._firer.served) | served)
        return bool(served)

    def _verdict(self, schedule: Schedule) -> Verdict:
        return self._signer.verify(schedule.signature, *signed_parts(schedule))

    def _fire_all(self, connection: Connection, locked: Sequence[Schedule], now: datetime) -> list[Fired]:
        fired = [self._fire(connection, schedule, now) for schedule in locked]
        return [one for one in fired if one is not None]

    def _fire(self, connection: Connection, schedule: Schedule, now: datetime) -> Fired | None:
        """Fire one schedule; None, having changed nothing, when it waits for its own jobs to end."""
        reason = self._distrust(schedule)
        if reason is not None:
            return self._pause(connection, schedule, reason)
        unfinished = schedules.live_jobs_of(connection, schedule.uid)
        last_end = schedules.last_end_of(connection, schedule.uid) if schedule.overlap else None
        policy = policy_of(schedule)
        try:
            decided = _decided(schedule, policy, now, unfinished, last_end)
        except Exception as error:  # a trigger that raises must not stop the others: paused, with the reason
            return self._pause(connection, schedule, f"its trigger raised {type(error).__name__}: {error}")
        if not decided.changes:
            return None
        emitted = tuple((at, self._emit(connection, schedule, at, now)) for at in decided.emitted)
        ended = not self._move_on(connection, schedule, decided)
        return Fired(schedule, emitted, decided.overlapped, decided.missed, ended=ended)

    def _distrust(self, schedule: Schedule) -> str | None:
        verdict = self._verdict(schedule)
        if verdict is Verdict.UNKNOWN_KEY:  # the live workers were asked
            return UNKNOWN_KEY
        return None if verdict is Verdict.VALID else f"{DISTRUSTED}{verdict.value}"

    @staticmethod
    def _pause(connection: Connection, schedule: Schedule, reason: str) -> Fired:
        schedules.pause_with_error(connection, schedule.uid, reason)
        return Fired(schedule, paused=reason)

    def _emit(self, connection: Connection, schedule: Schedule, fire_time: datetime, now: datetime) -> str:
        job = emitted_job(self._signer, schedule, fire_time, now)
        add.insert_jobs(connection, self._store.dialect, [job])
        return job.id

    @staticmethod
    def _move_on(connection: Connection, schedule: Schedule, decided: Decision) -> bool:
        """Give the schedule its next fire time; an exhausted one ends. False when it ended."""
        if decided.following is None:
            schedules.end(connection, schedule.uid)
            return False
        passed = [*decided.emitted, *decided.overlapped, *(at for at, _reason in decided.missed)]
        schedules.advance_if_unchanged(connection, schedule, max(passed), decided.following)
        return True


def _keys_of_live(connection: Connection) -> set[str]:
    return {f"v1:{key}" for key in workers.keys_of(workers.all_workers(connection))}


def _decided(schedule: Schedule, policy: Policy, now: datetime, unfinished: int, last_end: datetime | None) -> Decision:
    if schedule.next_run_time is None:
        raise ValueError("a paused schedule cannot be due")
    trigger = decode_trigger(schedule.trigger)
    return decide(trigger, policy, schedule.next_run_time, now, unfinished=unfinished, last_end=last_end)
