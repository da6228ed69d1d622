"""What this process holds in memory: claims in flight, and ends that are not written yet."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ..clock import monotonic
from ..outcomes import Refusal, Result
from ..store import Claim

WINDOW_SECONDS = 0.05
"""How long the jobs that are claimed ahead should last."""


IDLE_SECONDS = 0.5
"""After so long without an end, what an executor did before says nothing of what it will do."""


@dataclass(frozen=True, slots=True)
class _Pace:
    per_second: float
    until: float


@dataclass(slots=True, eq=False)
class Finished:
    """One attempt's end, as an executor reported it."""

    alias: str
    claim: Claim
    result: Result
    at: float
    """When it was reported, on the monotonic clock."""


class Flight:
    """Claims from their commit until the commit of their end, and the ends between report and commit.

    A claim leaves only after a known commit of its end, so that a failed or unknown commit loses
    nothing. Executors add from their threads (`land`); all else is the loop's thread.
    """

    def __init__(self) -> None:
        self.claims: dict[str, Claim] = {}
        self._landed: deque[Finished] = deque()
        self._unwritten: list[Finished] = []
        self._pace: dict[str, _Pace] = {}

    def take_off(self, claims: Iterable[Claim]) -> None:
        """Remember claims whose commit is known."""
        self.claims.update((claim.id, claim) for claim in claims)

    def land(self, alias: str, claim: Claim, result: Result) -> None:
        """Remember an end. Safe from any thread."""
        self._landed.append(Finished(alias, claim, result, monotonic()))

    def unwritten(self) -> list[Finished]:
        """Return every end that is not known to be written, those of an earlier failed turn first."""
        fresh = [self._landed.popleft() for _ in range(len(self._landed))]
        self._note_pace(fresh)
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

    def begun(self) -> set[str]:
        """Return the ids of the jobs here that may have begun: all whose claim was not handed back unrun.

        An executor cannot tell that: one that has ended is not among those that run, and may not be reported yet.
        """
        ends = [*self._landed.copy(), *self._unwritten]
        unrun = {finished.claim for finished in ends if finished.result.refusal is not None}
        return {claim.id for claim in list(self.claims.values()) if claim not in unrun}

    def crashed_before(self) -> bool:
        """Whether a job that was in flight at an earlier worker's death is in flight here and has not ended."""
        ended = {finished.claim for finished in self._unwritten}
        return any(claim.crashes and claim not in ended for claim in list(self.claims.values()))

    def held(self) -> Counter[str]:
        """Return how many claims of each queue are in flight here and have not ended."""
        ended = {finished.claim for finished in self._unwritten}
        return Counter(claim.queue for claim in list(self.claims.values()) if claim not in ended)

    def pace(self, alias: str) -> int:
        """Return how many jobs an executor finishes in 50 ms, as fast as it went just now; 0 after it was idle."""
        pace = self._pace.get(alias)
        if pace is None or monotonic() - pace.until > IDLE_SECONDS:
            return 0
        return round(pace.per_second * WINDOW_SECONDS)

    def stall(self, alias: str) -> None:
        """Forget an executor's pace: what was claimed ahead for it did not start in time."""
        self._pace.pop(alias, None)

    def _note_pace(self, fresh: Sequence[Finished]) -> None:
        """Measure over the time in which there was work: from the claim, or from the end of the batch before."""
        ran: dict[str, list[Finished]] = {}
        for finished in fresh:
            if finished.result.refusal is None:  # what was given back unrun says nothing of how fast work is done
                ran.setdefault(finished.alias, []).append(finished)
        for alias, batch in ran.items():
            before = self._pace.get(alias)
            since = max(min(f.claim.claimed_at for f in batch), before.until if before else 0.0)
            until = max(f.at for f in batch)
            self._pace[alias] = _Pace(len(batch) / max(until - since, 0.0005), until)
        for finished in fresh:
            if finished.result.refusal is Refusal.NOT_STARTED:  # it got no slot in time: the pace is not kept up
                self._pace.pop(finished.alias, None)
