"""`flask scheduler run`: this process does nothing but run jobs, until a signal or the end of the work."""

from __future__ import annotations

import signal
import threading
from collections.abc import Mapping, Sequence
from types import FrameType
from typing import Any

from ..errors import OptionError, did_you_mean
from ..jobs import JobState
from ..store import claim, find
from .parts import Parts


def run_worker(
    parts: Parts,
    *,
    queues: Sequence[str] | None = None,
    executors: Mapping[str, int] | None = None,
    drain_seconds: float | None = None,
    until: str | None = None,
) -> int:
    """Run a loop in this process; return how many jobs it gave back. See `AppScheduler.run_worker`."""
    for alias in executors or {}:
        if alias not in parts.settings.executors:
            raise OptionError("executor", f"there is no {alias!r}.{did_you_mean(alias, parts.settings.executors)}")
    parts.narrow(queues, executors, drain_seconds)
    ended = threading.Event()
    _end_on_signals(ended)
    parts.aps.start()
    _wait(parts, ended, until)
    return parts.aps.shutdown(wait=True, exiting=True)


def _end_on_signals(ended: threading.Event) -> None:
    """First SIGTERM or SIGINT: drain. A second one: end at once, as if there were no handler."""

    def on_signal(number: int, _frame: FrameType | None) -> None:
        ended.set()
        signal.signal(number, signal.SIG_DFL)

    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, on_signal)
        signal.signal(signal.SIGINT, on_signal)


def _wait(parts: Parts, ended: threading.Event, until: str | None) -> None:
    while not ended.wait(0.05):
        if until is not None and _is_done(parts):
            return


def _is_done(parts: Parts) -> bool:
    """Whether the loop turned, nothing is due, and nothing runs."""
    loop = parts.aps
    if not loop.is_idle():
        return False

    def nothing_due(connection: Any) -> bool:
        now = parts.store.clock.now()
        served = [r for r in claim.peek_ranges(connection, now) if loop.serves(r.queue)]
        running = find.count_of(connection, JobState.RUNNING, 1)
        return not running and all(r.first > now for r in served)

    return parts.store.read(nothing_due)
