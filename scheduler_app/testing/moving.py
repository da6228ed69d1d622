"""The time of a test: what the app's own code sees, frozen or not, and moved by hand."""

from __future__ import annotations

import sys
from datetime import datetime, timedelta
from typing import Any

from ..clock import Clock, shown_now
from ..errors import AdvanceError


class _Ahead:
    """How far the scheduler's time is ahead of the host's, where nothing is frozen; one for all apps of a process."""

    by = timedelta(0)
    clocks = 0


class MovingClock(Clock):
    """A store's clock that shows what `datetime.now(UTC)` shows to the app, and can be moved ahead.

    Under `freezegun` it stands and moves with the frozen time, and moving it moves that: for all code alike. Where
    nothing is frozen it goes on as the host's clock does, and is ahead of it by what it was moved: for the
    scheduler alone.
    """

    def __init__(self) -> None:
        super().__init__(self.now)

    def now(self) -> datetime:
        """Return the test's time (aware, UTC)."""
        return shown_now() if freezer() is not None else shown_now() + _Ahead.by

    def reckon(self) -> datetime:
        """Return the same: there is no database to ask."""
        return self.now()

    def synchronize(self) -> float:
        """Return 0: there is nothing to agree with."""
        return 0.0

    def move_to(self, instant: datetime) -> None:
        """Move ahead to an instant; one that has passed changes nothing. Raises `AdvanceError` where that fails."""
        step = instant - self.now()
        if step <= timedelta(0):
            return
        factory = freezer()
        if factory is None:
            _Ahead.by += step
        else:
            factory.move_to(factory() + step)
        if self.now() < instant:
            raise AdvanceError(f"{step} to {instant}", "the time did not follow, because something else holds it")

    def begin(self) -> None:
        """Note that one more clock is at work."""
        _Ahead.clocks += 1

    def end(self) -> None:
        """Note that it no longer is; the time is the host's again once none is."""
        _Ahead.clocks -= 1
        if not _Ahead.clocks:
            _Ahead.by = timedelta(0)


def freezer() -> Any:
    """Return what holds `freezegun`'s time now, or None where nothing is frozen. Imports nothing."""
    api = sys.modules.get("freezegun.api")
    factories = getattr(api, "freeze_factories", None)
    return factories[-1] if factories else None
