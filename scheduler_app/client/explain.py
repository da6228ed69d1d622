"""Why has it not run yet? Decided purely, from a job's row and the workers' rows."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from ..jobs import Job, JobState
from ..store.workers import WorkerRow
from .liveness import SILENT, state_of

NOBODY = "No worker is alive: start the app, or 'flask scheduler run'."


@dataclass(frozen=True, slots=True)
class Explanation:
    """What is known about a job, as sentences; and the remedy, where one is needed."""

    job: Job
    facts: tuple[str, ...]
    remedy: str | None = None

    def __str__(self) -> str:
        return "\n".join([*self.facts, *([self.remedy] if self.remedy else [])])


def explain(job: Job, workers: Sequence[WorkerRow], now: datetime, lease_seconds: float) -> Explanation:
    """Say where the job is, when it is due, and who could run it; a worker that is silent for its lease cannot."""
    live = [row for row in workers if state_of(row, now, lease_seconds) != SILENT]
    if job.state is JobState.SCHEDULED:
        return _waiting(job, live, now)
    if job.state is JobState.QUARANTINED:
        return Explanation(
            job,
            (f"It is put aside (quarantined): {job.error}.",),
            "Deploy code that knows it, and a worker takes it out; or cancel it.",
        )
    if job.finished:
        ended = f" at {job.finished_at:%Y-%m-%d %H:%M:%S} UTC" if job.finished_at else ""
        why = f": {job.error}" if job.error else ""
        return Explanation(job, (f"It has finished: {job.state.value}{ended}{why}.",))
    if job.state is JobState.PAUSED:
        return Explanation(job, ("It is paused.",), "Resume it.")
    return _held(job, workers, live, now)


def _held(job: Job, workers: Sequence[WorkerRow], live: Sequence[WorkerRow], now: datetime) -> Explanation:
    holder = next((row for row in workers if row.id == job.worker_id), None)
    facts = [f"It is {job.state.value} on {_place(holder, live, now)}."]
    if job.cancel_requested_at is not None:
        facts.append("It was asked to stop.")
    return Explanation(job, tuple(facts), None if live else NOBODY)


def _place(holder: WorkerRow | None, live: Sequence[WorkerRow], now: datetime) -> str:
    """Say where a held job is, and that it will be rescued where its worker is no longer alive."""
    if holder is None:
        return "a worker that is gone; it will be rescued"
    place = f"{holder.host}, pid {holder.pid}"
    if holder in live:
        return place
    return f"{place}, which has been silent for {(now - holder.seen_at).total_seconds():.0f} s; it will be rescued"


def _waiting(job: Job, live: Sequence[WorkerRow], now: datetime) -> Explanation:
    ahead = (job.run_at - now).total_seconds()
    when = f"{job.run_at:%Y-%m-%d %H:%M:%S.%f} UTC"
    due = f"It is due at {when}, in {ahead:.1f} s." if ahead > 0 else f"It was due at {when}, {-ahead:.1f} s ago."
    facts = [f"It waits in queue {job.queue!r}. {due}"]
    if job.attempt:
        facts.append(f"{job.attempt} of {job.max_attempts} attempts have ended in an error; the last: {job.error}.")
    if job.crashes:
        facts.append(f"It was in flight when a worker died, {job.crashes} times so far.")
    serving = [row for row in live if _serves(row, job.queue)]
    facts.append(f"Live workers that serve its queue: {len(serving)}.")
    if not live:
        return Explanation(job, tuple(facts), NOBODY)
    if not serving:
        remedy = f"No live worker serves queue {job.queue!r}: start one with 'flask scheduler run --queue {job.queue}'."
        return Explanation(job, tuple(facts), remedy)
    if ahead > 0:
        return Explanation(job, tuple(facts))
    if not any(job.task in json.loads(row.tasks or "[]") for row in serving):
        facts.append(f"None of them has run task {job.task!r} yet; one that cannot import it leaves it to others.")
    return Explanation(job, tuple(facts), "It starts as soon as one of them has a free slot.")


def _serves(row: WorkerRow, queue: str) -> bool:
    return row.state == "running" and (row.queues is None or queue in json.loads(row.queues))
