"""Why has it not run yet? Decided purely, from a job's row and the workers' rows."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from ..errors import sentence
from ..jobs import Job, JobState
from ..queues import Queue
from ..store import change
from ..store.workers import WorkerRow, listed
from .liveness import ALL_PAUSED, NOBODY, PAUSED, SILENT, state_of
from .queueing import QueueStatus


@dataclass(frozen=True, slots=True)
class Explanation:
    """What is known about a job, as sentences; and the remedy, where one is needed."""

    job: Job
    facts: tuple[str, ...]
    remedy: str | None = None

    def __str__(self) -> str:
        return "\n".join([*self.facts, *([self.remedy] if self.remedy else [])])


def explain(
    job: Job, workers: Sequence[WorkerRow], now: datetime, lease_seconds: float, queue: QueueStatus | None = None
) -> Explanation:
    """Say where the job is, when it is due, and who could run it; a worker that is silent for its lease cannot.

    `queue` is what stands in the job's queue, where that is known.
    """
    live = [row for row in workers if state_of(row, now, lease_seconds) != SILENT]
    if job.state is JobState.SCHEDULED:
        return _after_refusal(_waiting(job, live, now, queue))
    if job.state is JobState.QUARANTINED:
        return Explanation(job, (sentence(f"It is put aside (quarantined): {job.error}"),), _mend_of(job.error or ""))
    if job.finished:
        ended = f" at {job.finished_at:%Y-%m-%d %H:%M:%S} UTC" if job.finished_at else ""
        why = f": {job.error}" if job.error else ""
        return Explanation(job, (sentence(f"It has finished: {job.state.value}{ended}{why}"),))
    if job.state is JobState.PAUSED:
        return Explanation(job, ("It is paused.",), "Resume it.")
    return _held(job, workers, live, now)


_MENDS = {
    change.UNSERVED: "Deploy code that has this task, by this name or an alias, and a worker takes it out by itself;",
    change.UNFIT: "Deploy code that takes these arguments, and a worker takes it out by itself;",
    change.UNKNOWN_KEY: "Give a worker its signing key again, as a fallback, and it takes it out by itself;",
}
"""What helps a job that was put aside, by how its reason begins."""


def _mend_of(reason: str) -> str:
    mend = next((mend for begins, mend in _MENDS.items() if reason.startswith(begins)), None)
    return f"{mend} or cancel it." if mend else "Nobody may run it as it stands: schedule the call anew, and cancel it."


def _after_refusal(found: Explanation) -> Explanation:
    """Add why a worker gave the job back unrun, and what helps: an attempt or a crash would tell another story."""
    job = found.job
    if job.error is None or job.attempt or job.crashes:
        return found
    fact = sentence(f"A worker gave it back unrun: {job.error}")
    helps = (
        "Deploy what it lacks to a worker that serves its queue, and that one runs it. Until then it is kept;"
        " when nobody could run it for a while, it is put aside, and taken out by the first worker that can."
    )
    return Explanation(job, (*found.facts, fact), helps)


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


def _waiting(job: Job, live: Sequence[WorkerRow], now: datetime, queue: QueueStatus | None) -> Explanation:
    ahead = (job.run_at - now).total_seconds()
    when = f"{job.run_at:%Y-%m-%d %H:%M:%S.%f} UTC"
    due = f"It is due at {when}, in {ahead:.1f} s." if ahead > 0 else f"It was due at {when}, {-ahead:.1f} s ago."
    facts = [f"It waits in queue {job.queue!r}. {due}"]
    if job.attempt:
        failed = f"{job.attempt} of {job.max_attempts} attempts have ended in an error"
        facts.append(sentence(f"{failed}; the last: {job.error}"))
    if job.crashes:
        facts.append(f"It was in flight when a worker died, {job.crashes} times so far.")
    serving = [row for row in live if row.state == "running" and _serves(row, job.queue)]
    facts.append(f"Live workers that serve its queue: {len(serving)}.")
    paused = sum(row.state == PAUSED and _serves(row, job.queue) for row in live)
    facts += [f"Paused by scheduler.aps.pause(), and so starting nothing: {paused} more."] if paused else []
    if queue is not None and queue.paused:
        facts.append(_paused(queue.queue))
        remedy = f"Resume it with 'flask scheduler resume --queue {shlex.quote(job.queue)}'."
        return Explanation(job, tuple(facts), remedy if live else f"{remedy} {NOBODY}")
    if not live:
        return Explanation(job, tuple(facts), NOBODY)
    if not serving:
        return Explanation(job, tuple(facts), ALL_PAUSED if paused else _unserved(job.queue))
    if ahead > 0:
        return Explanation(job, tuple(facts))
    if not any(job.task in listed(row.tasks) for row in serving):
        facts.append(f"None of them has run task {job.task!r} yet; one that cannot import it leaves it to others.")
    full = None if queue is None else _full(queue, serving)
    if full is not None:
        facts.append(full[0])
        return Explanation(job, tuple(facts), full[1])
    return Explanation(job, tuple(facts), "It starts as soon as one of them has a free slot.")


def _unserved(queue: str) -> str:
    return f"No live worker serves queue {queue!r}: start one with 'flask scheduler run --queue {queue}'."


def _paused(queue: Queue) -> str:
    since = f" since {queue.paused_at:%Y-%m-%d %H:%M:%S} UTC" if queue.paused_at else ""
    end = "someone resumes it" if queue.paused_until is None else f"{queue.paused_until:%Y-%m-%d %H:%M:%S} UTC"
    why = f": {queue.pause_reason}" if queue.pause_reason else ""
    return sentence(f"Its queue is paused{since}, until {end}{why}")


def _full(queue: QueueStatus, serving: Sequence[WorkerRow]) -> tuple[str, str] | None:
    """Return, of a queue of which no more jobs may run now, that this is so, and what would change it."""
    name, most, here = queue.queue.name, queue.queue.concurrency, queue.concurrency_per_process
    if queue.is_full:
        fact = f"Its queue is full: {queue.running} of its jobs are running, and {most} may at once in all processes."
        return fact, f"It starts when one of those ends; 'concurrency' of {name!r} in SCHEDULER_QUEUES allows more."
    held = queue.by_worker or {}
    if here is not None and all(held.get(row.id, 0) >= here for row in serving):
        fact = f"Its queue is full: {here} of its jobs may run at once in each process, and in each as many do."
        remedy = f"'concurrency_per_process' of {name!r} in SCHEDULER_QUEUES allows more; so do more processes."
        return fact, f"It starts when one of those ends; {remedy}"
    return None


def _serves(row: WorkerRow, queue: str) -> bool:
    return row.queues is None or queue in listed(row.queues)
