"""The rules on the work: who is alive, who runs jobs, what nobody serves, and what nobody knows."""

from __future__ import annotations

from collections.abc import Iterator

from ...client import QueueStatus
from ...client.liveness import ALL_PAUSED, SILENT, state_of, what_helps
from ...client.queueing import COUNT_CAP
from ...errors import sentence
from ...store.workers import WorkerRow, listed
from ..instants import span
from ..words import plural
from .facts import Facts, Work
from .finding import Finding, Level

LATE_SECONDS = 60.0
"""From how late on a job that somebody serves is told."""


def workers(facts: Facts) -> Iterator[Finding]:
    """Judge whether those that have a row are alive."""
    if facts.work is None:
        return
    for row in facts.work.workers:
        if state_of(row, facts.work.now, facts.work.lease_seconds) == SILENT:
            text = f"The worker {row.id} on {row.host}, pid {row.pid}, has been silent for {_ago(facts.work, row)}."
            remedy = "If it is dead, the next worker that starts takes its jobs back; if it hangs, end it."
            yield Finding("workers", Level.WARNING, text, remedy)
    if live := facts.work.live:
        hosts = plural(len({row.host for row in live}), "host")
        yield Finding("workers", Level.OK, f"{plural(len(live), 'worker')} alive on {hosts}.")


def roles(facts: Facts) -> Iterator[Finding]:
    """Judge whether anybody runs jobs at all."""
    if facts.work is None or facts.work.running:
        return
    start = "Start 'flask scheduler run'" if facts.role == "client" else "Start the app, or 'flask scheduler run'"
    text = "No worker is alive."
    if what_helps(facts.work.workers, facts.work.now, facts.work.lease_seconds) == ALL_PAUSED:
        text, start = "No worker takes jobs.", ALL_PAUSED.rstrip(".")
    elif facts.role == "client":
        text = f"{text} SCHEDULER_ROLE is 'client', so the processes that serve requests run no jobs."
    due = any(status.oldest is not None for status in facts.work.queues)
    if due:
        yield Finding("roles", Level.ERROR, f"{text} Jobs are due, and nobody runs them.", f"{start}.")
    else:
        yield Finding("roles", Level.WARNING, text, f"{start}.")


def queues(facts: Facts) -> Iterator[Finding]:
    """Judge whether somebody serves each queue in which something waits, and in time."""
    if facts.work is None or not facts.work.running:
        return
    waiting = [status for status in facts.work.queues if status.waiting]
    told = [finding for status in waiting for finding in _queue(facts.work, status)]
    yield from told or [Finding("queues", Level.OK, "Every queue in which something waits is served.")]


def _queue(work: Work, status: QueueStatus) -> Iterator[Finding]:
    name, late = status.queue.name, _late(work, status)
    jobs = f"{status.waiting:,}+ jobs" if status.waiting >= COUNT_CAP else plural(status.waiting, "job")
    if status.paused:
        if status.queue.paused_until is None and late:
            text = f"The queue {name!r} is paused until somebody resumes it; {jobs} wait in it."
            yield Finding("queues", Level.WARNING, text, f"Resume it with 'flask scheduler resume --queue {name}'.")
    elif not any(_serves(row, name) for row in work.running):
        level = Level.ERROR if late else Level.WARNING
        remedy = f"Start one with 'flask scheduler run --queue {name}'."
        yield Finding("queues", level, f"No live worker serves the queue {name!r}; {jobs} wait in it.", remedy)
    elif late > LATE_SECONDS:
        text = f"A job of the queue {name!r} has been due for {span(late)}."
        yield Finding("queues", Level.WARNING, text, "Ask 'flask scheduler why ID' of it, or run more workers.")


def tasks(facts: Facts) -> Iterator[Finding]:
    """Judge whether somebody knows what waits."""
    if facts.work is None:
        return
    for one in facts.work.unknown_tasks:
        asked = " A worker has met it, and asks for it." if one.is_asked_for else ""
        level = Level.ERROR if one.due <= facts.work.now or one.is_asked_for else Level.WARNING
        text = f"Jobs of the task {one.name!r} wait, and nobody is known to have it: {sentence(one.why)}{asked}"
        yield Finding("tasks", level, text, "Deploy code that has it, by this name or an alias, or cancel them.")
    if not facts.work.unknown_tasks:
        yield Finding("tasks", Level.OK, "The tasks of the jobs that wait are known.")


def quarantine(facts: Facts) -> Iterator[Finding]:
    """Judge whether jobs are put aside."""
    if facts.work is None or not facts.work.quarantined:
        return
    count = facts.work.quarantined
    jobs = f"{count:,}+ jobs are" if count >= COUNT_CAP else f"{plural(count, 'job')} {'is' if count == 1 else 'are'}"
    remedy = "See why with 'flask scheduler list --state quarantined', mend that, then 'flask scheduler release'."
    yield Finding("quarantine", Level.WARNING, f"{jobs} put aside.", remedy)


def _late(work: Work, status: QueueStatus) -> float:
    return 0.0 if status.oldest is None else (work.now - status.oldest).total_seconds()


def _serves(row: WorkerRow, queue: str) -> bool:
    return row.queues is None or queue in listed(row.queues)


def _ago(work: Work, row: WorkerRow) -> str:
    return span((work.now - row.seen_at).total_seconds())


RULES = (workers, roles, queues, tasks, quarantine)
