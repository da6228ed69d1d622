"""What is unknown here is not unknown everywhere: leave it to others, put it aside only when nobody can serve it."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial

from .. import signals
from ..errors import UnknownTaskError
from ..store import Connection, Store, change, workers
from ..store.claim import KEY_PREFIX, Unserved
from ..tasks import TaskRegistry

BATCH = 500


class UnservedJobs:
    """Remembers which tasks and signing keys this process does not know, and asks again at each beat."""

    def __init__(
        self, store: Store, registry: TaskRegistry, key_prefixes: frozenset[str], patience_seconds: float
    ) -> None:
        self._store, self._registry = store, registry
        self._key_prefixes = key_prefixes
        self._patience = timedelta(seconds=patience_seconds)
        self._tasks: set[str] = set()
        self._keys: set[str] = set()
        self._looked_through = ""
        """The last job put aside that was looked at: each beat looks at the next page, after the last at the first."""

    def note(self, task: str, signature: str) -> None:
        """Remember that a job could not be run here, because of its signing key or its task."""
        prefix = signature[:KEY_PREFIX]
        if prefix in self._key_prefixes:
            self._tasks.add(task)
        else:
            self._keys.add(prefix)

    def current(self) -> Unserved:
        """Return what claims should leave to other processes."""
        return Unserved(frozenset(self._tasks), frozenset(self._keys))

    def look_after(self, now: datetime) -> None:
        """Forget what is known by now, put aside what nobody served for too long, and take out what is mended."""
        self._tasks = {task for task in self._tasks if not self._knows(task)}
        self._put_aside(now)
        self._take_out()

    def _knows(self, task: str) -> bool:
        try:
            self._registry.resolve(task)
        except UnknownTaskError:
            return False
        return True

    def _put_aside(self, now: datetime) -> None:
        if not self._tasks and not self._keys:
            return
        rows = self._store.read(workers.all_workers)
        served = {task for row in rows for task in json.loads(row.tasks or "[]")}
        known_keys = {f"v1:{key}" for row in rows for key in json.loads(row.key_ids or "[]")}
        before = now - self._patience
        for task in sorted(self._tasks - served):
            find = partial(change.overdue_of_task, task=task, before=before, limit=BATCH)
            self._quarantine(find, change.UNSERVED + task)
        for key in sorted(self._keys - known_keys):
            find = partial(change.overdue_of_key, prefix=key, before=before, limit=BATCH)
            self._quarantine(find, change.UNKNOWN_KEY + key)

    def _quarantine(self, find: Callable[[Connection], list[str]], reason: str) -> None:
        def put_aside(connection: Connection) -> list[str]:
            return [i for i in find(connection) if change.quarantine_if_scheduled(connection, i, reason)]

        if self._store.read(find):
            for job_id in self._store.write(put_aside):
                signals.job_quarantined.send(self, job_id=job_id, reason=reason)

    def _take_out(self) -> None:
        rows = self._store.read(lambda connection: change.unserved_jobs(connection, self._looked_through, BATCH))
        self._looked_through = rows[-1].id if len(rows) == BATCH else ""
        known = {task for task in {row.task for row in rows} if self._knows(task)}
        mended = [row.id for row in rows if row.task in known and row.signature[:KEY_PREFIX] in self._key_prefixes]
        if mended:
            self._store.write(lambda c: [change.release_if_quarantined(c, job_id) for job_id in mended])
