"""The functions that the jobs of every side call: the same ones, so that none does less than another."""

from __future__ import annotations

import time

ran: list[int] = []
"""The number of each job that ran in this process, in order."""
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
