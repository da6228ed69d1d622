"""Two calls of one key: what becomes of them is decided here, purely; written by the store.

A key is held by one job among all that have not started. Who holds it is decided by the database's unique index.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class OnConflict(StrEnum):
    """What happens when a job that has not started yet holds the key already."""

    EXISTING = "existing"
    """That job is returned; nothing changes."""

    DEBOUNCE = "debounce"
    """That job takes the new time and arguments."""

    THROTTLE = "throttle"
    """That job keeps its time and takes the new arguments."""

    RAISE = "raise"
    """`DuplicateKeyError`."""


@dataclass(frozen=True, slots=True)
class Meeting:
    """What the job that holds a key takes from a call that asks for that key."""

    takes_call: bool = False
    """Whether its function, arguments and options become the new ones, with all of their attempts."""
    takes_time: bool = False
    refuses: bool = False
    """Whether the call is an error."""


def meet(on_conflict: OnConflict) -> Meeting:
    """Return what becomes of a call whose key a job holds that has not started. No new job is made."""
    if on_conflict is OnConflict.RAISE:
        return Meeting(refuses=True)
    return Meeting(
        takes_call=on_conflict is not OnConflict.EXISTING,
        takes_time=on_conflict is OnConflict.DEBOUNCE,
    )


def yielded_to(newer: str | None) -> str:
    """Return the reason that a job keeps which was to run again and yielded to a newer one of its key."""
    which = "a newer job" if newer is None else f"the newer job {newer}"
    return f"not run again: {which} holds its key"
