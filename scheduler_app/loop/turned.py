"""What one turn of the loop saw and did."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from ..store import Claim, Range, Settlement
from .fire import Fired


@dataclass(slots=True)
class Turned:
    """What one turn did; told to listeners after its commit."""

    settled: list[Settlement] = field(default_factory=list)
    superseded: list[Settlement] = field(default_factory=list)
    fired: list[Fired] = field(default_factory=list)
    claimed: list[tuple[str, list[Claim]]] = field(default_factory=list)
    holder: str = ""
    """The worker id under which the jobs were claimed."""
    quarantined: list[tuple[str, str]] = field(default_factory=list)
    missed: list[tuple[Claim, datetime]] = field(default_factory=list)
    """Jobs that were later than they allow, and when that was seen."""

    @property
    def has_news(self) -> bool:
        """Whether there is anything to tell."""
        news = (self.settled, self.superseded, self.fired, self.claimed, self.quarantined, self.missed)
        return any(news)


@dataclass(slots=True)
class View:
    """What a peek saw."""

    now: datetime
    ranges: list[Range]
    next_fire: datetime | None
