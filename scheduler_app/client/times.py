"""From what a person says of time to an instant: seconds, timedeltas, datetimes."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any

from ..errors import DelayError, NaiveDatetimeError, TooFarError

Delay = float | int | timedelta
EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)


def seconds_of(delay: Any, most: float) -> float:
    """Return a delay in seconds. Raises `DelayError` and `TooFarError`."""
    if isinstance(delay, timedelta):
        seconds = delay.total_seconds()
    elif isinstance(delay, int | float) and not isinstance(delay, bool):
        seconds = _number(delay)
    else:
        raise DelayError(delay, f"it is a {type(delay).__name__}, not a number")
    if seconds < 0:
        raise DelayError(delay, "it is negative")
    if seconds > most:
        raise TooFarError(most)
    return seconds


def shift_of(shift: Any) -> timedelta:
    """Return by how much a time is moved, later or, where it is negative, earlier. Raises `DelayError`."""
    if isinstance(shift, timedelta):
        return shift
    if not isinstance(shift, int | float) or isinstance(shift, bool):
        raise DelayError(shift, f"it is a {type(shift).__name__}, not a number")
    try:
        return timedelta(seconds=_number(shift))
    except OverflowError:
        raise DelayError(shift, "it is too large") from None


def moved(instant: datetime, shift: timedelta, now: datetime, most: float) -> datetime:
    """Return an instant so much later or earlier. Raises `TooFarError`."""
    try:
        return instant_of(instant + shift, None, now, most)
    except OverflowError:
        if shift > timedelta(0):
            raise TooFarError(most) from None
        return EARLIEST


def _number(delay: float) -> float:
    try:
        seconds = float(delay)
    except OverflowError:
        seconds = math.inf
    if math.isnan(seconds):
        raise DelayError(delay, "it is not a number")
    if math.isinf(seconds):
        raise DelayError(delay, "it is not finite")
    return seconds


def instant_of(value: Any, zone: tzinfo | None, now: datetime, most: float) -> datetime:
    """Return a datetime in UTC; a naive one is taken to be in `zone`.

    Raises `NaiveDatetimeError` where there is no zone, `TooFarError`, and `DelayError` for what is
    no datetime.
    """
    if not isinstance(value, datetime):
        raise DelayError(value, f"it is a {type(value).__name__}, not a datetime")
    if value.tzinfo is None:
        if zone is None:
            raise NaiveDatetimeError(value)
        value = value.replace(tzinfo=zone)
    try:
        instant: datetime = value.astimezone(UTC)
    except OverflowError:
        raise TooFarError(most) from None
    if (instant - now).total_seconds() > most:
        raise TooFarError(most)
    return max(instant, EARLIEST)
