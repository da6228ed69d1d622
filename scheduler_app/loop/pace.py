"""The times that govern a loop."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ..jobs import JobState


@dataclass(frozen=True, slots=True)
class Pace:
    """How often, how long and how many: times in seconds, crashes that a job may survive, limits of this process."""

    poll_seconds: float = 1.0
    heartbeat_seconds: float = 5.0
    lease_seconds: float = 30.0
    drain_seconds: float = 25.0
    not_started_seconds: float = 0.25
    unserved_seconds: float = 900.0
    prune_seconds: float = 60.0
    max_crashes: int = 3
    retention: Mapping[JobState, float | None] = field(default_factory=dict)
    audit_seconds: float | None = None
    """For how long the audit keeps a row; None: for good."""
    limits: Mapping[str, int] = field(default_factory=dict)
    """How many jobs of a queue may run at once in this process; of one that is not named, as many as have a slot."""
