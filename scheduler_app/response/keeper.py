"""The keeper: the one thread of an app that writes what open and closed responses mean for the jobs that wait."""

from __future__ import annotations

import atexit
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from threading import Event, Lock, RLock, Thread, current_thread
from typing import NamedTuple, Protocol
from weakref import WeakSet, ref

from .. import signals
from ..client import Client
from ..clock import monotonic
from ..store import Connection, Store, change
from ..store.response import Move, extend_if_scheduled, release_if_scheduled
from .storing import Row, in_steps

LINGER_SECONDS = 60.0
"""How long the thread waits for further work before it ends."""

STOP_SECONDS = 1.0
"""How long an end waits at most, when all is written, for the thread to be gone."""

RETRY_SECONDS = 1.0
"""How long it rests after a write that failed, although the store itself tried for a while."""


class Open(Protocol):
    """A response that is open."""

    until: float
    """When the first fallback of its jobs comes, on the monotonic clock."""
    is_spent: bool
    """Whether only its close is missing."""

    def rows(self) -> Sequence[Row]:
        """Return the stored jobs that wait for its end."""
        ...


class _Ended(NamedTuple):
    """The jobs that a response no longer holds, since when on the monotonic clock, and whether it dropped them."""

    rows: Sequence[Row]
    at: float
    dropped: bool = False


class Keeper:
    """Puts off the fallback of what open responses hold, and releases what closed ones held. Never claims.

    Its thread runs in whatever role the process has, starts when it is first needed, and writes in batches: while one
    transaction commits, further responses close. A response that nobody holds any more is forgotten, and its jobs are
    left to their fallback.
    """

    def __init__(
        self,
        client: Callable[[], Client],
        on_due: Callable[[float], None],
        *,
        delay_seconds: float,
        fallback_seconds: float,
        most_calls: int,
    ) -> None:
        self.client, self._on_due = client, on_due
        self._delay_seconds = delay_seconds
        self.fallback_seconds = fallback_seconds
        self.most_calls = most_calls
        """How many calls may wait for one response."""
        self.era = 0
        """In which process this is: one more after each fork."""
        self.on_collecting: Callable[[bool], None] = lambda _begins: None
        """Called, under the lock, when the first response has calls to store, and when none has any more."""
        self._ends_well = False
        self._forget()

    @property
    def _store(self) -> Store:
        return self.client().store

    def _forget(self) -> None:
        self.lock = RLock()
        """For what responses and the keeper share; held for microseconds, never during a write. Taken again where the
        collector ends a forgotten body in the middle of that, and the body's last act is to defer a call."""
        self._collecting = 0
        self._open: WeakSet[Open] = WeakSet()
        self._ended: list[_Ended] = []
        self._wake = Event()
        self._writing = Lock()
        self._thread: Thread | None = None

    def forget_parent(self) -> None:
        """In a forked child: the parent's responses are the parent's to close, and its thread is not here."""
        self.era += 1
        self._forget()

    # -- from the thread that serves a request ---------------------------------------------------------

    def count_collecting(self, begins: bool) -> None:
        """Hear, under the lock, that a response has calls to store from now on, or has none any more."""
        self._collecting += 1 if begins else -1
        if self._collecting == (1 if begins else 0):
            self.on_collecting(begins)

    def watch(self, response: Open) -> None:
        """Put off the fallback of a response's jobs for as long as it is open. Under the lock."""
        response.until = min(response.until, monotonic() + self.fallback_seconds)
        self._open.add(response)
        self._start_thread()

    def release(self, rows: Sequence[Row]) -> None:
        """Let jobs start a moment from now. Takes microseconds."""
        self._end(_Ended(rows, monotonic()))

    def drop(self, rows: Sequence[Row]) -> None:
        """Cancel jobs that were stored for a response and go with it."""
        self._end(_Ended(rows, monotonic(), dropped=True))

    def _end(self, ended: _Ended) -> None:
        with self.lock:
            self._ended.append(ended)
            self._start_thread()
        self._wake.set()

    def _start_thread(self) -> None:
        if self._thread is not None:
            return
        thread = Thread(target=self._main, name="scheduler-keeper", daemon=True)
        try:
            thread.start()
        except RuntimeError as error:  # no thread can be had now; the jobs are stored, and have their fallback
            signals.scheduler_failed.send(self, error=error, retry_seconds=self.fallback_seconds)
            return
        self._thread = thread
        if not self._ends_well:  # registered so late that it comes before the drain of the loop
            self._ends_well = True
            atexit.register(_stop, ref(self))

    # -- the thread ------------------------------------------------------------------------------------

    def _main(self) -> None:
        used_at = monotonic()
        while not self._may_end(used_at):
            if self._wake.wait(self.fallback_seconds / 4):
                used_at = monotonic()
            self._wake.clear()
            if not self.flush():
                Event().wait(RETRY_SECONDS)
                self._wake.set()

    def _may_end(self, used_at: float) -> bool:
        with self.lock:
            if self._thread is not current_thread():
                return True  # it was stopped
            is_needed = self._ended or any(response.rows() for response in self._open)
            if is_needed or monotonic() - used_at < LINGER_SECONDS:
                return False
            self._thread = None
            return True

    def stop(self) -> None:
        """Write what is to be written and end the thread; what comes after that starts another."""
        with self.lock:
            thread, self._thread = self._thread, None
        self.flush()
        self._wake.set()
        if thread is not None:
            thread.join(timeout=STOP_SECONDS)

    def flush(self) -> bool:
        """Write, in the calling thread, all that is to be written now; whether that worked.

        Releases and drops of responses that ended, and fallbacks that come soon. What fails is told, and kept: if the
        database stays away, the fallback comes.
        """
        try:
            with self._writing:
                self._write_ended()
                self._extend()
        except Exception as error:  # whatever it was, the thread must live
            signals.scheduler_failed.send(self, error=error, retry_seconds=RETRY_SECONDS)
            return False
        return True

    def _write_ended(self) -> None:
        with self.lock:
            ended = list(self._ended)
        if not ended:
            return
        now = self._store.clock.now()
        moves: list[Move] = []
        for one in ended:
            due = now + timedelta(seconds=self._delay_seconds - (monotonic() - one.at))
            moves += [] if one.dropped else _moves(one.rows, due)
        dropped = [row.id for one in ended if one.dropped for row in one.rows]

        def write(connection: Connection) -> None:
            release_if_scheduled(connection, self._store.dialect, moves)
            for job_id in dropped:
                change.cancel_if_waiting(connection, job_id, now)

        self._store.write(write)
        with self.lock:
            del self._ended[: len(ended)]
        if moves:
            first = min(move.run_at for move in moves)
            self._on_due(max(0.0, (first - self._store.clock.now()).total_seconds()))

    def _extend(self) -> None:
        begun = monotonic()
        soon = begun + 0.6 * self.fallback_seconds
        with self.lock:
            near = [one for one in self._open if one.until < soon and not one.is_spent]
            found = [(one, list(one.rows())) for one in near if one.rows()]
        if not found:
            return
        until = self._store.clock.now() + timedelta(seconds=self.fallback_seconds)
        moves = [move for _, rows in found for move in _moves(rows, until)]
        self._store.write(lambda connection: extend_if_scheduled(connection, self._store.dialect, moves))
        for response, _ in found:
            response.until = begun + self.fallback_seconds


def _moves(rows: Sequence[Row], first: datetime) -> list[Move]:
    return [Move(row.id, row.version, at) for row, at in zip(rows, in_steps(first), strict=False)]


def _stop(keeper: ref[Keeper]) -> None:
    """Release, before this process ends, what was closed in its last moment, and write nothing after that."""
    found = keeper()
    if found is not None:
        found.stop()
