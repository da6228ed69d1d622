"""The functions that the jobs of every side call: the same ones, so that none does less than another."""

from __future__ import annotations

import time
from threading import Lock

ran: list[int] = []
"""The number of each job that ran in this process, in order."""
_counting = Lock()
started: list[tuple[int, float]] = []
"""Of each job that ran: its number, and the wall clock when its function began."""


def noop(number: int) -> None:
    """Do nothing but tell that it ran."""
    ran.append(number)


def nothing(number: int) -> None:
    """Do nothing at all, and remember nothing: for measuring memory."""


def note_time(number: int) -> None:
    """Read the wall clock, then tell what it said."""
    started.append((number, time.time()))


kept = 0
last_kept = 0.0


def keep_a_thread(number: int) -> None:
    """Keep a thread for 2 ms, as a fast call of another service does."""
    global kept, last_kept
    ran.append(number)
    time.sleep(0.002)
    with _counting:
        kept += 1
        last_kept = time.time()


BURN_SECONDS = 0.01
NAP_SECONDS = 0.05


def burn(number: int) -> None:
    """Compute in Python, which holds the interpreter's lock, for a hundredth of a second of this thread's CPU time."""
    end = time.thread_time() + BURN_SECONDS
    while time.thread_time() < end:
        pass


def nap(number: int) -> None:
    """Wait as for another service, for a twentieth of a second."""
    time.sleep(NAP_SECONDS)
