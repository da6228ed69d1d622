"""Doing one thing to some jobs in one transaction, each guarded as by its own verb; and what came of it, in numbers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from .. import signals
from ..asking import Answer, Verb, answer
from ..errors import DuplicateKeyError, TooFarError
from ..jobs import FINISHED, HELD, JobState
from ..store import Connection, cancelling, find, prune
from .changing import Changing
from .timing import Change


@dataclass(frozen=True, slots=True)
class Bulk:
    """What came of acting on many jobs, in numbers."""

    matched: int = 0
    """How many were meant: of ids, those that are there."""
    done: int = 0
    """How many are now as was asked, those included that were so already."""
    asked: int = 0
    """How many run, and were asked to stop."""
    conflicts: int = 0
    """How many could not be changed: their state had moved on, or a newer job holds their key."""
    missing: int = 0
    """How many ids are those of no job."""
    complete: bool = True
    """Whether that is all; otherwise there are more."""

    def __add__(self, other: Bulk) -> Bulk:
        return Bulk(
            self.matched + other.matched,
            self.done + other.done,
            self.asked + other.asked,
            self.conflicts + other.conflicts,
            self.missing + other.missing,
            self.complete and other.complete,
        )


class Do:
    """Does one thing to some jobs in one transaction; harmless to repeat."""

    def __init__(self, client: Changing) -> None:
        self.client = client

    def once(self, ids: Sequence[str], connection: Connection) -> tuple[Bulk, Callable[[], None]]:
        """Do it; return the tally, and what tells of it once it is committed."""
        raise NotImplementedError

    def conflicts(self, states: dict[str, str]) -> int:
        """Return how many jobs in these states could not be changed."""
        raise NotImplementedError


class Delete(Do):
    def once(self, ids: Sequence[str], connection: Connection) -> tuple[Bulk, Callable[[], None]]:
        dialect = self.client.store.dialect
        there = find.states_of(connection, dialect, ids)
        prune.delete_if_finished(connection, dialect, ids)
        left = find.states_of(connection, dialect, ids)
        gone = [job_id for job_id in there if job_id not in left]
        return Bulk(done=len(gone), conflicts=len(left)), partial(self._tell, gone)

    def _tell(self, gone: Sequence[str]) -> None:
        for job_id in gone:
            signals.job_deleted.send(self.client, job_id=job_id)

    def conflicts(self, states: dict[str, str]) -> int:
        return sum(state not in FINISHED for state in states.values())


class _Asked(Do):
    def __init__(self, client: Changing, verb: Verb) -> None:
        super().__init__(client)
        self.verb = verb

    def conflicts(self, states: dict[str, str]) -> int:
        return sum(answer(self.verb, JobState(state)) is Answer.NO for state in states.values())

    def tally(self, connection: Connection, rest: Sequence[str], done: int, asked: int = 0) -> Bulk:
        """Count those, too, that were not changed: what a job allows in the state it has is no conflict."""
        states = find.states_of(connection, self.client.store.dialect, rest) if rest else {}
        no = sum(answer(self.verb, JobState(state)) in (Answer.NO, Answer.YES) for state in states.values())
        already = len(states) - no
        stopping = sum(state in HELD for state in states.values()) if self.verb is Verb.CANCEL else 0
        return Bulk(done=done + already - stopping, asked=asked + stopping, conflicts=no + len(rest) - len(states))


class Cancel(_Asked):
    def __init__(self, client: Changing) -> None:
        super().__init__(client, Verb.CANCEL)

    def once(self, ids: Sequence[str], connection: Connection) -> tuple[Bulk, Callable[[], None]]:
        store = self.client.store
        stopped = cancelling.cancel_if_live(connection, store.dialect, ids, store.clock.now())
        rest = [job_id for job_id in ids if job_id not in {*stopped.cancelled, *stopped.asked}]
        tally = self.tally(connection, rest, len(stopped.cancelled), len(stopped.asked))
        return tally, lambda: self.client._tell_of(stopped)


class Each(_Asked):
    """Changes one job after another, as its own verb does."""

    def __init__(self, client: Changing, verb: Verb, change: Callable[[], Change]) -> None:
        super().__init__(client, verb)
        self._change = change
        self._made: tuple[Sequence[str], Change] = ((), change())

    def once(self, ids: Sequence[str], connection: Connection) -> tuple[Bulk, Callable[[], None]]:
        if self._made[0] is not ids:  # another batch, and not the same one once more
            self._made = ids, self._change()
        done = [job_id for job_id in ids if self._is_changed(connection, job_id)]
        tally = self.tally(connection, [job_id for job_id in ids if job_id not in {*done}], len(done))
        return tally, lambda: self._tell(done)

    def _is_changed(self, connection: Connection, job_id: str) -> bool:
        try:
            return self._made[1](connection, job_id)
        except (DuplicateKeyError, TooFarError):
            return False

    def _tell(self, done: Sequence[str]) -> None:
        client = self.client
        signal, has_time = _SIGNALS[self.verb]
        changed = client.store.read(lambda connection: find.jobs_of(connection, client.store.dialect, done))
        waiting = [job.run_at for job in changed.values() if job.state is JobState.SCHEDULED]
        if waiting:
            client._wake_for(min(waiting))
        for job_id in done:
            if not has_time:
                signal.send(client, job_id=job_id)
            elif job_id in changed:
                signal.send(client, job_id=job_id, run_at=changed[job_id].run_at)


_SIGNALS: dict[Verb, tuple[Any, bool]] = {
    Verb.RESCHEDULE: (signals.job_rescheduled, True),
    Verb.RUN_NOW: (signals.job_rescheduled, True),
    Verb.PAUSE: (signals.job_paused, False),
    Verb.RESUME: (signals.job_resumed, True),
    Verb.RETRY: (signals.job_retried, False),
    Verb.RELEASE: (signals.job_mended, False),
}
"""What tells of each verb, and whether it tells of the job's time."""
