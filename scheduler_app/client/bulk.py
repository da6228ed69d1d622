"""Acting on many jobs at once: on all that a filter means, or on those of a list of ids."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial

from ..asking import RULES, Verb
from ..errors import CountError, FilterError, did_you_mean
from ..filters import JobFilter
from ..jobs import JobState
from ..store import Connection, change, find, when
from ..store.filtering import Position
from .auditing import Tally
from .changing import Changing
from .listing import Listing, wanted_by
from .many import Bulk, Cancel, Delete, Do, Each
from .queueing import COUNT_CAP
from .times import Delay, shift_of
from .timing import Change

ACTIONS = tuple(verb.value for verb in Verb if verb is not Verb.CHANGE)
"""What can be done to many jobs."""

AT_ONCE = 100
"""How many jobs one transaction changes."""


class Bulking(Changing, Listing):
    """The verb that acts on many jobs."""

    def bulk(
        self,
        action: str,
        filter: JobFilter | str | None = None,
        *,
        ids: Sequence[str] | None = None,
        expect: int | None = None,
        dry_run: bool = False,
        at_most: int | None = None,
        after: Delay | None = None,
        at: datetime | None = None,
        by: Delay | None = None,
    ) -> Bulk:
        """Do to all jobs that a filter means, or to those of these ids, what the verb of that name does to one.

        `action` is one of `ACTIONS`; "reschedule" takes `after`, `at` or `by`, and "delete" removes what has ended. Of
        a filter those jobs are meant whose state allows it, as they are when they are come to, the newest first. In
        small transactions, each job guarded as by its own verb: what is done stays done if it is interrupted, and
        beginning again does no harm.

        Under `expect`, `CountError` is raised, with nothing changed, unless exactly so many are meant. `dry_run` only
        counts, to 10,000 and looking at 10,000 rows. `at_most` stops after so many. Raises `FilterError`, also for a
        filter that says nothing, and as `reschedule`.
        """
        if (filter is None) == (ids is None):
            raise TypeError("bulk() takes either a filter or ids=...")
        action = str(action)
        do = self._doer(action, after, at, by)
        if ids is not None:
            note = self._notes.of_many(f"jobs.{action}", {"ids": len(ids)})
            return self._bulk_of_ids([*dict.fromkeys(ids)], do, expect, dry_run, note)
        wanted = _allowed(action, wanted_by(filter))
        if expect is not None or dry_run:
            counted = self._counted(wanted, expect)
            if dry_run:
                return counted
        note = self._notes.of_many(f"jobs.{action}", {"jobs": str(wanted)})
        if expect is None:
            return self._bulk_of(wanted, do, at_most, note)
        most = expect if at_most is None else min(at_most, expect)  # what has come since is not meant
        return replace(self._bulk_of(wanted, do, most, note), complete=most == expect)

    # -- how many --------------------------------------------------------------------------------------

    def _counted(self, wanted: JobFilter, expect: int | None) -> Bulk:
        if expect is None:
            matched, complete = self.count(wanted, COUNT_CAP)
            return Bulk(matched, complete=complete)
        matched = self.store.read(lambda connection: self._count_past(connection, wanted, expect))
        if matched != expect:
            raise CountError(matched, matched < expect, expect)
        return Bulk(matched)

    def _count_past(self, connection: Connection, wanted: JobFilter, expect: int) -> int:
        """Return how many are meant, through all of them, but no further than one more than expected."""
        matched = 0
        for seen in self._walk(connection, wanted).rows():
            matched += seen.is_meant
            if matched > expect:
                break
        return matched

    # -- going through them ------------------------------------------------------------------------------

    def _bulk_of(self, wanted: JobFilter, do: Do, at_most: int | None, note: Tally) -> Bulk:
        total = Bulk()
        position: Position | None = None
        while True:
            room = AT_ONCE if at_most is None else min(AT_ONCE, at_most - total.matched)
            if not room:
                return replace(total, complete=False)
            ids, position = self.store.read(partial(self._some, wanted, position, room))
            total += self._do_some(ids, do, note)
            if position is None:
                return total

    def _some(
        self, wanted: JobFilter, after: Position | None, most: int, connection: Connection
    ) -> tuple[Sequence[str], Position | None]:
        """Return the ids of up to so many jobs that are meant, and where to go on; None at the end."""
        ids: list[str] = []
        for seen in self._walk(connection, wanted, after=after, first=most).rows():
            if seen.is_meant:
                ids.append(seen.position.job_id)
            if len(ids) == most:
                return ids, seen.position
        return ids, None

    def _bulk_of_ids(self, ids: Sequence[str], do: Do, expect: int | None, dry_run: bool, note: Tally) -> Bulk:
        if expect is not None and len(ids) != expect:
            raise CountError(len(ids), True, expect)
        total = Bulk()
        for begin in range(0, len(ids), AT_ONCE):
            some = ids[begin : begin + AT_ONCE]
            states = self.store.read(partial(self._states_of, some))
            there = [job_id for job_id in some if job_id in states]
            total += Bulk(missing=len(some) - len(there))
            total += Bulk(len(there), conflicts=do.conflicts(states)) if dry_run else self._do_some(there, do, note)
        return total

    def _states_of(self, ids: Sequence[str], connection: Connection) -> dict[str, str]:
        return find.states_of(connection, self.store.dialect, ids)

    def _do_some(self, ids: Sequence[str], do: Do, note: Tally) -> Bulk:
        if not ids:
            return Bulk()
        tally, tell = self.store.write(note.beside(partial(do.once, sorted(ids)), _counts))
        tell()
        return replace(tally, matched=len(ids))

    # -- what is done ------------------------------------------------------------------------------------

    def _doer(self, action: str, after: Delay | None, at: datetime | None, by: Delay | None) -> Do:
        """Return what does it. Raises `FilterError` for an action that there is not, and as `reschedule`."""
        moves = sum(given is not None for given in (after, at, by))
        if action not in ACTIONS:
            hint = did_you_mean(action, ACTIONS)
            raise FilterError({"action": f"The action must be of {', '.join(ACTIONS)}, not {action[:60]!r}.{hint}"})
        if moves != (action == Verb.RESCHEDULE):
            raise TypeError("bulk() takes one of after=..., at=... and by=... with 'reschedule', and with nothing else")
        if action == Verb.DELETE:
            return Delete(self)
        if action == Verb.CANCEL:
            return Cancel(self)
        return Each(self, Verb(action), self._change_of(Verb(action), after, at, by))

    def _change_of(
        self, verb: Verb, after: Delay | None, at: datetime | None, by: Delay | None
    ) -> Callable[[], Change]:
        now = self.store.clock.now()
        if verb is Verb.RESCHEDULE:
            if by is not None:
                shift = shift_of(by)
                return lambda: self._moving(shift)
            setting = self._setting(after, at)
            return lambda: setting
        changes: dict[Verb, Change] = {
            Verb.RUN_NOW: lambda connection, job_id: when.run_now_if_waiting(connection, job_id, now),
            Verb.PAUSE: when.pause_if_scheduled,
            Verb.RESUME: when.resume_if_paused,
            Verb.RETRY: lambda connection, job_id: change.retry_if_finished(connection, job_id, now),
            Verb.RELEASE: change.release_if_quarantined,
        }
        return lambda: changes[verb]


def _allowed(action: str, wanted: JobFilter) -> JobFilter:
    """Return a filter narrowed to the states that allow an action. Raises `FilterError` where none is left."""
    if not wanted:
        raise FilterError({"filter": "The filter says nothing, so it would mean every job. Say at least state=..."})
    states = (*RULES[Verb(action)].sources, *RULES[Verb(action)].asked)
    left = tuple(state for state in JobState if state in states and state in (wanted.states or states))
    if not left:
        said = f"Only a job that is {' or '.join(states)} allows {action!r}"
        raise FilterError({"state": f"{said}, so none with state={','.join(wanted.states)} does."})
    return replace(wanted, states=left)


def _counts(answered: tuple[Bulk, Callable[[], None]]) -> dict[str, int]:
    tally, _ = answered
    return {"done": tally.done, "asked": tally.asked, "conflicts": tally.conflicts}
