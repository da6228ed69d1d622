"""What this process holds in memory: claims in flight, and ends that are not written yet."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

from ..clock import monotonic
from ..outcomes import Result
from ..store import Claim

WINDOW_SECONDS = 0.05
"""How far back the pace of an executor is looked at."""


@dataclass(slots=True, eq=False)
class Finished:
    """One attempt's end, as an executor reported it."""

    alias: str
    claim: Claim
    result: Result


class Flight:
    """Claims from their commit until the commit of their end, and the ends between report and commit.

    A claim leaves only after a known commit of its end, so that a failed or unknown commit loses
    nothing. Executors add from their threads (`land`); all else is the loop's thread.
    """

    def __init__(self) -> None:
        self.claims: dict[str, Claim] = {}
        self._landed: deque[Finished] = deque()
        self._unwritten: list[Finished] = []
        self._pace: dict[str, deque[tuple[float, int]]] = {}

    def take_off(self, claims: Iterable[Claim]) -> None:
        """Remember claims whose commit is known."""
        self.claims.update((claim.id, claim) for claim in claims)

    def land(self, alias: str, claim: Claim, result: Result) -> None:
        """Remember an end. Safe from any thread."""
        self._landed.append(Finished(alias, claim, result))

    def unwritten(self) -> list[Finished]:
        """Return every end that is not known to be written, those of an earlier failed turn first."""
        fresh = [self._landed.popleft() for _ in range(len(self._landed))]
        for finished in fresh:
            if finished.result.refusal is None:  # what was given back unrun says nothing of how fast work is done
                self._note_pace(finished.alias)
        self._unwritten += fresh
        return list(self._unwritten)

    def has_unwritten(self) -> bool:
        """Whether some end waits to be written."""
        return bool(self._landed or self._unwritten)

    def has_airborne(self) -> bool:
        """Whether some claim has not ended yet, wherever it is."""
        ended = {finished.claim for finished in [*self._landed.copy(), *self._unwritten]}
        return any(claim not in ended for claim in list(self.claims.values()))

    def written(self, ends: Iterable[Finished]) -> None:
        """Forget ends whose commit is known, and their claims."""
        done = {id(finished) for finished in ends}
        self._unwritten = [f for f in self._unwritten if id(f) not in done]
        for finished in ends:
            if self.claims.get(finished.claim.id) is finished.claim:
                del self.claims[finished.claim.id]

    def crashed_before(self) -> bool:
        """Whether a job that was in flight at an earlier worker's death is in flight here and has not ended."""
        ended = {finished.claim for finished in self._unwritten}
        return any(claim.crashes and claim not in ended for claim in list(self.claims.values()))

    def pace(self, alias: str) -> int:
        """Return how many jobs an executor finished in the last 50 ms."""
        recent = self._pace.get(alias)
        if not recent:
            return 0
        oldest = monotonic() - WINDOW_SECONDS
        while recent and recent[0][0] < oldest:
            recent.popleft()
        return sum(count for _, count in recent)

    def _note_pace(self, alias: str) -> None:
        recent = self._pace.setdefault(alias, deque())
        now = monotonic()
        if recent and now - recent[-1][0] < WINDOW_SECONDS / 10:
            recent[-1] = (recent[-1][0], recent[-1][1] + 1)
        else:
            recent.append((now, 1))
