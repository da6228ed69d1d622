"""What is unknown here is not unknown everywhere: leave it to others, put it aside only when nobody can serve it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from .. import signals
from ..errors import ArgumentsError, MalformedPayloadError, UnknownTaskError
from ..outcomes import Refusal, Result
from ..payload import decode_call
from ..store import Claim, Connection, Store, change, workers
from ..store.claim import KEY_PREFIX, Unserved
from ..tasks import TaskRegistry

BATCH = 500
MOST_UNFIT = 1000
"""How many single jobs are left to others by their ids; what exceeds them is put aside at once."""
Since = dict[str, datetime | None]
"""What was met, and when it was first looked after, which is also when the others could first see it asked for."""


class UnservedJobs:
    """Remembers which tasks, signing keys and jobs this process cannot serve, and asks again at each beat.

    A job is put aside when it was due for `patience_seconds` and, besides, all others had `answer_seconds` to say
    that they know its task: a worker lists a task that another one asks for if it can import it, whether it has run
    one or not. Nobody can ask for what takes some arguments: there the others have the whole patience, once more.
    """

    def __init__(
        self,
        store: Store,
        registry: TaskRegistry,
        key_prefixes: frozenset[str],
        patience_seconds: float,
        answer_seconds: float = 60.0,
    ) -> None:
        self._store, self._registry = store, registry
        self._key_prefixes = key_prefixes
        self._patience = timedelta(seconds=patience_seconds)
        self._answer = min(timedelta(seconds=answer_seconds), self._patience)
        self._tasks: Since = {}
        self._keys: Since = {}
        self._unfit: Since = {}
        """By the ids of the jobs."""
        self._looked_through = ""
        """The last job put aside that was looked at: each beat looks at the next page, after the last at the first."""

    def note(self, claim: Claim, refusal: Refusal) -> None:
        """Remember that a job could not be run here: because of its signing key, its task, or its arguments."""
        prefix = claim.signature[:KEY_PREFIX]
        if refusal is Refusal.UNFIT:
            self._unfit.setdefault(claim.id, None)
        elif prefix in self._key_prefixes:
            self._tasks.setdefault(claim.task, None)
        else:
            self._keys.setdefault(prefix, None)

    def judged(self, claim: Claim, result: Result) -> Result:
        """Return how an attempt ended; a job that would be one too many to leave to others by its id is put aside."""
        if result.refusal is not Refusal.UNFIT or len(self._unfit) < MOST_UNFIT or claim.id in self._unfit:
            return result
        return replace(result, refusal=Refusal.MALFORMED, error=f"{change.UNFIT}{result.error}")

    def forget(self) -> None:
        """Forget what is not known here, so that the next claim tries it again."""
        for noted in (self._tasks, self._keys, self._unfit):
            noted.clear()

    def current(self) -> Unserved:
        """Return what claims should leave to other processes."""
        return Unserved(frozenset(self._tasks), frozenset(self._keys), frozenset(self._unfit))

    def learn_what_others_ask(self) -> None:
        """Look for the tasks that other workers met and do not know: what is found here is listed from then on."""
        for task in workers.asked_by(self._workers()):
            self._knows(task)

    def _workers(self) -> list[workers.WorkerRow]:
        return self._store.read(lambda connection: workers.all_for_sure(connection, self._store.dialect))

    def look_after(self, now: datetime) -> None:
        """Forget what is known by now, put aside what nobody served for too long, and take out what is mended."""
        for task in list(self._tasks):  # the loop's thread adds meanwhile, here and below
            if self._knows(task):
                self._tasks.pop(task, None)
        for noted in (self._tasks, self._keys, self._unfit):
            noted.update({name: now for name, since in list(noted.items()) if since is None})
        self._put_aside(now)
        self._put_aside_unfit(now)
        self._take_out()

    def _knows(self, task: str) -> bool:
        try:
            self._registry.resolve(task)
        except UnknownTaskError:
            return False
        return True

    def _fits(self, task: str, payload: str) -> bool:
        try:
            call = decode_call(payload, allowed=self._registry.rule.allows)
            self._registry.resolve(task).bind(call.args, call.kwargs)
        except (UnknownTaskError, MalformedPayloadError, ArgumentsError):
            return False
        return True

    # -- putting aside -----------------------------------------------------------------------------

    def _put_aside(self, now: datetime) -> None:
        if not self._tasks and not self._keys:
            return
        rows = self._workers()
        known_keys = {f"v1:{key}" for key in workers.keys_of(rows)}
        before = now - self._patience
        for task in _asked_long(self._tasks, workers.served_by(rows), now - self._answer):
            find = partial(change.overdue_of_task, task=task, before=before, limit=BATCH)
            self._quarantine(find, change.UNSERVED + task)
        for key in _asked_long(self._keys, known_keys, now - self._answer):
            find = partial(change.overdue_of_key, prefix=key, before=before, limit=BATCH)
            self._quarantine(find, change.UNKNOWN_KEY + key)

    def _quarantine(self, find: Callable[[Connection], list[str]], reason: str) -> None:
        def put_aside(connection: Connection) -> list[tuple[str, str]]:
            return _put_all_aside(connection, dict.fromkeys(find(connection), reason))

        if self._store.read(find):
            self._tell(self._store.write(put_aside))

    def _put_aside_unfit(self, now: datetime) -> None:
        """Put aside jobs whose arguments nobody took for the whole patience."""
        before = now - self._patience
        late = list(_asked_long(self._unfit, (), before))
        if not late:
            return

        def put_aside(connection: Connection) -> list[tuple[str, str]]:
            found = change.overdue_of_ids(connection, late, before)
            return _put_all_aside(connection, {job_id: f"{change.UNFIT}{why}" for job_id, why in found.items()})

        self._tell(self._store.write(put_aside))
        for job_id in late:  # whatever became of it: taken, moved or put aside
            self._unfit.pop(job_id, None)

    def _tell(self, aside: list[tuple[str, str]]) -> None:
        for job_id, reason in aside:
            signals.job_quarantined.send(self, job_id=job_id, reason=reason)

    # -- taking out --------------------------------------------------------------------------------

    def _take_out(self) -> None:
        rows = self._store.read(lambda connection: change.unserved_jobs(connection, self._looked_through, BATCH))
        self._looked_through = rows[-1].id if len(rows) == BATCH else ""
        known = {task for task in {row.task for row in rows} if self._knows(task)}
        mended = [row.id for row in rows if row.task in known and self._is_mended(row)]
        if mended:
            out = self._store.write(lambda c: [one for one in mended if change.release_if_free(c, one)])
            for job_id in out:
                signals.job_mended.send(self, job_id=job_id)

    def _is_mended(self, row: Any) -> bool:
        if row.signature[:KEY_PREFIX] not in self._key_prefixes:
            return False
        return not row.error.startswith(change.UNFIT) or self._fits(row.task, row.payload)


def _asked_long(noted: Since, served: Collection[str], before: datetime) -> Iterator[str]:
    """Yield what was noted at `before` or earlier and is not served by anyone."""
    yield from sorted(name for name, since in list(noted.items()) if since and since <= before and name not in served)


def _put_all_aside(connection: Connection, reasons: Mapping[str, str]) -> list[tuple[str, str]]:
    return [(i, why) for i, why in reasons.items() if change.quarantine_if_scheduled(connection, i, why)]
