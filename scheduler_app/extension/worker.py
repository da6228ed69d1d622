"""`flask scheduler run`: this process does nothing but run jobs, until a signal or the end of the work."""

from __future__ import annotations

import math
import signal
import threading
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from types import FrameType

from ..errors import OptionError, did_you_mean
from ..store import waiting
from .boot import RUN_COMMAND
from .parts import Parts

LOOK = timedelta(seconds=0.1)
"""How long a look at the database may take; one that took longer is not believed."""

HINT = "; Ctrl-C again ends at once"


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
    is_done = _end_of_work(parts, until)
    _end_on_signals(ended)
    parts.boot.because = RUN_COMMAND
    parts.aps.run_loop(paused=False)
    try:
        while not ended.wait(0.05) and not is_done():
            pass
    finally:  # also where the database cannot be asked any more
        parts.tell_drain(HINT)
        returned = parts.aps.shutdown(wait=True, exiting=True)
    return returned


def _end_on_signals(ended: threading.Event) -> None:
    """First SIGTERM or SIGINT: drain. A second one: end at once, as if there were no handler."""

    def on_signal(_number: int, _frame: FrameType | None) -> None:
        ended.set()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_DFL)

    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, on_signal)
        signal.signal(signal.SIGINT, on_signal)


def _end_of_work(parts: Parts, until: str | None) -> Callable[[], bool]:
    """Return what tells whether the work is done: never (None), that of this instant ("once"), all that is due."""
    if until is None:
        return lambda: False
    if until == "empty":
        return lambda: _is_empty(parts)
    beginning = parts.store.clock.now()
    return lambda: _is_done(parts, beginning)


def _is_empty(parts: Parts) -> bool:
    """Whether nothing is due. As of an instant after the look, so that what came while it looked is not passed over."""
    by = parts.store.clock.now() + LOOK
    return _is_done(parts, by) and parts.store.clock.now() <= by


def _is_done(parts: Parts, due: datetime) -> bool:
    """Whether nothing that was due then is left to this worker.

    Nothing is known before the loop has turned, so that what was due has fired, and has swept, so that what a dead
    process of this host held is back in line.
    """
    loop = parts.aps
    if math.isinf(loop.turned_at) or not loop.has_swept:
        return False
    return not parts.store.read(
        lambda connection: waiting.is_anything_left(connection, due, loop.worker.id, loop.serves, loop.unserved)
    )
