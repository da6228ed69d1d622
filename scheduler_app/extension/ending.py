"""Ending well however the process ends: a drain at its exit, and signals that lead to that exit."""

from __future__ import annotations

import atexit
import os
import signal
import threading
import weakref
from types import FrameType
from typing import Protocol

from .. import signals


class Ends(Protocol):
    """What must be ended before its process is."""

    @property
    def running(self) -> bool:
        """Whether there is anything to end."""
        ...

    def stop(self, *, drain: bool, hint: str = "") -> None:
        """End: wait for what runs (`drain`), saying with `hint` how to be quicker, and give back the rest."""
        ...


class _End:
    """How this process is ending."""

    has_sigterm = False
    is_pressed = False
    """Whether who sent the signal kills this process in a moment."""


_ALL: weakref.WeakSet[Ends] = weakref.WeakSet()


def stop_at_exit(one: Ends) -> None:
    """End it at this process's exit."""
    _ALL.add(one)


def look_after(one: Ends) -> None:
    """End it at this process's exit; and have SIGTERM lead to that exit where nobody else handles it."""
    stop_at_exit(one)
    if threading.current_thread() is not threading.main_thread():
        return
    if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:  # as waitress and `flask run` leave it
        signal.signal(signal.SIGTERM, _on_sigterm)
    if _is_child_of_reloader() and _ctrl_c_interrupts():
        signal.signal(signal.SIGINT, _on_sigint_under_reloader)


@atexit.register
def _stop_all() -> None:
    """End all; where the reloader is about to kill this process, without waiting for what runs."""
    hint = "; Ctrl-C again ends at once" if _ctrl_c_interrupts() else ""
    try:
        for one in tuple(_ALL):
            _stop(one, hint)
    except KeyboardInterrupt:
        _die_by(signal.SIGINT)


def _stop(one: Ends, hint: str) -> None:
    try:
        one.stop(drain=not _End.is_pressed, hint=hint)
    except Exception as error:  # whatever one app's end raised, the others are to drain as well
        signals.scheduler_failed.send(one, error=error, retry_seconds=0.0)


def _die_by(number: int) -> None:
    """End at once, as if nobody handled the signal."""
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)


def _on_sigterm(number: int, _frame: FrameType | None) -> None:
    """First: leave through the ordinary exit, which drains. Again, or where no loop runs: at once."""
    running = any(one.running for one in tuple(_ALL))
    if _End.has_sigterm or not running:
        _die_by(number)
        return
    _End.has_sigterm = True
    raise SystemExit(128 + number)


# -- Ctrl-C ----------------------------------------------------------------------------------------


def _ctrl_c_interrupts() -> bool:
    return signal.getsignal(signal.SIGINT) in (signal.default_int_handler, _on_sigint_under_reloader)


def _is_child_of_reloader() -> bool:
    return os.environ.get("WERKZEUG_RUN_MAIN") == "true"


def _on_sigint_under_reloader(number: int, frame: FrameType | None) -> None:
    """Interrupt as ever, but leave no time to what runs: werkzeug's parent kills this child 0.25 s after a Ctrl-C."""
    _End.is_pressed = True
    signal.default_int_handler(number, frame)
