"""Lanes: claims that wait for a thread, one lane for each queue, from which they are taken in turn."""

from __future__ import annotations

from collections import deque
from threading import Lock

from ..store import Claim


class Lanes:
    """Where claims wait, so that those of a flooded queue keep no other queue's waiting. Safe from any thread.

    Of one queue they are taken in the order in which they were put.
    """

    def __init__(self) -> None:
        self._lanes: dict[str, deque[Claim]] = {}
        self._turns: deque[deque[Claim]] = deque()
        self._turning = Lock()

    def put(self, claim: Claim) -> None:
        """Add a claim to the end of its queue's lane."""
        with self._turning:
            lane = self._lanes.get(claim.queue)
            if lane is None:
                lane = self._lanes[claim.queue] = deque()
                self._turns.append(lane)
            lane.append(claim)

    def take(self) -> Claim:
        """Take the first claim of the lane whose turn it is; a lane that is empty then ends. One must be there."""
        with self._turning:
            lane = self._turns.popleft()
            claim = lane.popleft()
            if lane:
                self._turns.append(lane)
            else:
                del self._lanes[claim.queue]
            return claim
