"""The times that govern a loop."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Pace:
    """How often and how long, in seconds; and how many crashes a job may survive."""

    poll_seconds: float = 1.0
    heartbeat_seconds: float = 5.0
    lease_seconds: float = 30.0
    drain_seconds: float = 25.0
    not_started_seconds: float = 0.25
    unserved_seconds: float = 900.0
    max_crashes: int = 3
