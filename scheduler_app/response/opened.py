"""`OpenResponse`: the response of one request, from the call of the app to its close, and the jobs that wait for it."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from enum import Enum

from ..client import Client, JobHandle, Options
from ..errors import AfterResponseError
from ..store import NewJob, OnConflict
from .keeper import Keeper
from .keyed import standing_job
from .storing import Deferred, Row, Stored, store_calls
from .unstored import Unstored

_log = logging.getLogger("scheduler_app")


class Phase(Enum):
    """How far a response has come."""

    COLLECTING = 0
    """The view runs: calls are collected. An error in it begins this anew, for the response that the error makes."""
    STORED = 1
    """The response is made, and what was collected is stored: a further call is stored at once."""
    CLOSED = 2
    """The server closed it, or nobody will: a further call means now."""


COLLECTING, STORED, CLOSED = Phase  # by name they are found ten times as fast, and each request asks


class OpenResponse:
    """What waits for one response. Safe from any thread: a view may hand its context to others.

    Most requests defer nothing, so what those do takes no lock: whoever changes the phase looks at the calls and rows
    afterwards, and whoever adds one looks at the phase afterwards, so that one of the two sees it.
    """

    until = float("inf")
    """When the first fallback comes, on the monotonic clock."""
    is_spent = False
    """Whether its body was handed over whole, so that only its close is missing: no fallback is put off then."""
    _phase = COLLECTING
    _calls: list[Deferred] | tuple[()] = ()
    _is_heard = False
    """Whether Flask's end of the view is heard on its behalf."""
    _rows: Sequence[Row] = ()

    def __init__(self, keeper: Keeper) -> None:
        self._keeper, self._era = keeper, keeper.era

    @property
    def _client(self) -> Client:
        return self._keeper.client()

    def is_kept_by(self, keeper: Keeper) -> bool:
        """Whether it is of this keeper's app, and of this process: in a child forked meanwhile it is nobody's."""
        return self._keeper is keeper and self._era == keeper.era

    # -- the jobs --------------------------------------------------------------------------------------

    def hold(self, new: NewJob, options: Options) -> JobHandle:
        """Have a call wait for the end of this response; return its job.

        It is collected while the view runs, and stored at once after that.
        """
        call = Deferred(new, options.on_conflict, options.even_on_error)
        if self._phase is not COLLECTING:
            return self._store_at_once(call)
        standing = None if new.key is None else standing_job(self._client, self.collected(), call, self._handle)
        if standing is not None and call.on_conflict is OnConflict.EXISTING:
            return standing
        if not self._collect(call):  # another thread's doing
            return self._store_at_once(call)
        return standing or self._handle(new)

    def _handle(self, new: NewJob) -> JobHandle:
        return JobHandle(Unstored(self, self._client), new)

    def _collect(self, call: Deferred) -> bool:
        with self._keeper.lock:
            calls = self._calls or []
            self._check_room(calls)
            calls.append(call)
            self._have(calls)
            if self._phase is COLLECTING:
                return True
            calls.pop()
            self._have(calls)
            return False

    def _have(self, calls: list[Deferred] | tuple[()]) -> None:
        """Have these to store, under the lock. Flask's end of the view is heard only while there are some."""
        self._calls = calls
        if self._is_heard is not bool(calls) and self._era == self._keeper.era:
            self._is_heard = bool(calls)
            self._keeper.count_collecting(self._is_heard)

    def _check_room(self, taken: Sequence[object]) -> None:
        if len(taken) >= self._keeper.most_calls:
            raise AfterResponseError(self._keeper.most_calls)

    def _store_at_once(self, call: Deferred) -> JobHandle:
        self._check_room(self._rows)
        stored = self._store([call])[0]
        if stored.created:
            return JobHandle(self._client, call.new)
        return JobHandle(self._client, self._client.get(stored.id), created=False)

    def has_collected(self) -> bool:
        """Whether there is anything to store; asked of every request, so without a lock."""
        return bool(self._calls)

    def collected(self) -> list[Deferred]:
        """Return the calls that are not stored yet."""
        with self._keeper.lock:
            return list(self._calls)

    def withdraw(self, job_id: str) -> bool:
        """Forget a call that is not stored yet; whether it was one."""
        with self._keeper.lock:
            before = self._calls
            self._have([call for call in before if call.new.id != job_id])
            return len(self._calls) < len(before)

    @property
    def fallback_seconds(self) -> float:
        """After how long a job that waits runs all the same, should nobody close this response."""
        return self._keeper.fallback_seconds

    def adopt(self, job_id: str, version: int) -> None:
        """Have a job wait that another transaction has stored, with the fallback as its time, under this version.

        No error in the view drops it: its transaction has decided.
        """
        self._wait_for([Row(job_id, version)])

    def rows(self) -> Sequence[Row]:
        """Return the stored jobs that wait."""
        return self._rows

    # -- as the request goes on ------------------------------------------------------------------------

    def store_collected(self) -> None:
        """Store what was collected, in one transaction. Raises as `Client.schedule_after`, with nothing stored."""
        if self._phase is COLLECTING:
            self._phase = STORED
        if not self._calls:
            return
        with self._keeper.lock:
            calls = self._calls
            self._have(())
        if calls:
            self._store(calls)

    def _store(self, calls: Sequence[Deferred]) -> list[Stored]:
        stored = store_calls(self._client, calls, self._keeper.fallback_seconds)
        rows = [one.row for one in stored if one.row is not None]
        self._wait_for(list({row.id: row for row in reversed(rows)}.values())[::-1])  # a job that met its key is one
        return stored

    def _wait_for(self, rows: Sequence[Row]) -> None:
        with self._keeper.lock:
            self._rows = [*self._rows, *rows]
            self._keeper.watch(self)
        if self._phase is CLOSED:  # a thread of the view's own outlived it
            self.end()

    def drop(self) -> None:
        """Forget what was deferred, because the view ended in an error; what is meant to run even then stays."""
        with self._keeper.lock:
            self._have([call for call in self._calls if call.even_on_error])
            dropped = [row for row in self._rows if row.drops]
            self._rows = [row for row in self._rows if not row.drops]
            if self._phase is STORED:
                self._phase = COLLECTING
        if dropped:
            self._keeper.drop(dropped)

    def end(self) -> None:
        """Release what waits: the server has closed the response. Takes microseconds, and writes nothing itself."""
        self._phase = CLOSED
        if self._rows:
            rows = self._take_rows()
            if rows and self.is_kept_by(self._keeper):
                self._keeper.release(rows)

    def break_off(self) -> None:
        """Give up: the app raised, so nothing of it is closed here. What waits all the same is left to its fallback."""
        self.drop()
        try:
            self.store_collected()
        except Exception:  # the error that is on its way out matters more
            _log.exception("calls that were to run even after an error cannot be stored, and are lost")
        self._phase = CLOSED
        self._take_rows()

    def _take_rows(self) -> Sequence[Row]:
        with self._keeper.lock:
            rows, self._rows = self._rows, ()
        return rows
