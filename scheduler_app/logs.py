"""The wording of every log line: receivers of signals, and nothing else.

Each line is an event and its facts as ``key=value``; where something is given up, the line says what happens
next. Loggers: ``scheduler_app`` for the machinery, ``scheduler_app.jobs`` for jobs.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from datetime import datetime
from typing import Any

from blinker import NamedSignal

from . import signals
from .jobs import JobState, Outcome
from .store import Settlement

machine = logging.getLogger("scheduler_app")
jobs = logging.getLogger("scheduler_app.jobs")


def connect() -> None:
    """Have every signal logged. Harmless to repeat."""
    for signal, receiver in _RECEIVERS.items():
        signal.connect(receiver, weak=False)


def _started(
    _: Any,
    *,
    worker_id: str,
    store: str,
    executors: dict[str, int],
    note: str,
    app: str = "",
    role: str = "",
    admin: str = "",
    because: str = "",
    serving: bool = False,
) -> None:
    """The line at the start of a process that runs jobs: who, in which role, on which store, and why."""
    sizes = ",".join(f"{alias}:{size}" for alias, size in executors.items())
    place = f"app={app} role={role} pid={os.getpid()} store={store} admin={admin}"
    machine.log(
        _level_of_start(serving),
        "scheduler started worker=%s %s executors=%s; this process runs jobs: %s%s",
        worker_id, place, sizes, because, f"; {note}" if note else "",
    )  # fmt: skip


def _client_started(
    _: Any, *, app: str, role: str, store: str, admin: str, because: str, serving: bool, warning: bool
) -> None:
    """The same line, of a process that serves and runs none."""
    machine.log(
        logging.WARNING if warning else _level_of_start(serving),
        "scheduler started app=%s role=%s pid=%d store=%s admin=%s; this process stores jobs and runs none: %s",
        app, role, os.getpid(), store, admin, because,
    )  # fmt: skip


def _level_of_start(serving: bool) -> int:
    """INFO; but where a server starts and no logging is set up, the lowest level that Python shows then."""
    return logging.WARNING if serving and not machine.hasHandlers() else logging.INFO


def _stopped(_: Any, *, worker_id: str, returned: int) -> None:
    machine.info("scheduler stopped worker=%s jobs_given_back=%d", worker_id, returned)


def _failed(_: Any, *, error: BaseException, retry_seconds: float) -> None:
    said = str(error).splitlines()
    machine.error(
        "scheduler turn failed error=%s: %s; nothing is lost, it tries again in %.2f s",
        type(error).__name__,
        said[0] if said else "",
        retry_seconds,
        exc_info=error if machine.isEnabledFor(logging.DEBUG) else None,
    )


def _restarted(_: Any) -> None:
    machine.critical("scheduler loop died; the watchdog started another")


def _clock_stepped(_: Any, *, seconds: float) -> None:
    machine.warning("clock stepped seconds=%+.1f; the scheduler follows it", seconds)


def _worker_died(_: Any, *, worker_id: str, host: str, pid: int, reason: str, jobs: int) -> None:
    machine.warning(
        "worker died worker=%s host=%s pid=%d reason=%r; its %d jobs are taken back", worker_id, host, pid, reason, jobs
    )


def _child_died(_: Any, *, executor: str, pid: int, reason: str, job_id: str | None) -> None:
    what = "it had no job" if job_id is None else f"its job {job_id} is taken back"
    machine.warning("child died executor=%s pid=%d reason=%r; %s, and another is made", executor, pid, reason, what)


def _child_failed(_: Any, *, executor: str, reason: str, seconds: float, retry_seconds: float) -> None:
    machine.error(
        "child failed executor=%s seconds=%.1f reason=%r; its jobs wait, and another is made in %g s",
        executor, seconds, reason, retry_seconds,
    )  # fmt: skip


def _turn_settled(_: Any, *, settlements: list[Settlement]) -> None:
    """A success at INFO, a failure at ERROR with its traceback, a retry at WARNING with when it comes."""
    successes = jobs.isEnabledFor(logging.INFO)
    for settlement in settlements:
        if successes or settlement.result.error is not None:
            _settled(settlement)


def _settled(settlement: Settlement) -> None:
    claim, result, transition = settlement.claim, settlement.result, settlement.transition
    if transition.released or transition.state is JobState.QUARANTINED or result.outcome is Outcome.ABANDONED:
        return
    head = f"id={claim.id} task={claim.task} attempt={claim.attempt + 1}/{claim.max_attempts}"
    ran = (result.finished_at - result.started_at).total_seconds()
    timing = f"seconds={ran:.3f} late={(result.started_at - claim.run_at).total_seconds():.3f}"
    if transition.state is JobState.SUCCEEDED and result.error is None:
        jobs.info("job succeeded %s %s", head, timing)
    elif transition.state is JobState.SUCCEEDED:
        jobs.warning("job succeeded %s %s; %s", head, timing, result.error)
    elif transition.state is JobState.SCHEDULED and transition.run_at is not None and result.outcome is None:
        jobs.info("job put off %s %s; it runs at %s", head, timing, transition.run_at.isoformat())
    elif transition.state is JobState.SCHEDULED and transition.run_at is not None:
        jobs.warning("job failed %s error=%r; it runs again at %s", head, result.error, transition.run_at.isoformat())
    elif transition.state is JobState.FAILED:
        kept = result.traceback or result.error
        jobs.error("job failed %s %s; it is kept and not run again\n%s", head, timing, kept)
    else:
        jobs.info("job %s %s %s", transition.state, head, timing)


def _job_superseded(_: Any, *, job_id: str, fence: int) -> None:
    jobs.warning("job superseded id=%s fence=%d; it was taken over meanwhile, this end changes nothing", job_id, fence)


def _job_cancelled(_: Any, *, job_id: str, state: JobState) -> None:
    what = "will not start" if state is JobState.CANCELLED else "was asked to stop"
    jobs.info("job cancel id=%s; it %s", job_id, what)


def _job_rescheduled(_: Any, *, job_id: str, run_at: datetime) -> None:
    jobs.info("job rescheduled id=%s run_at=%s", job_id, run_at.isoformat())


def _job_paused(_: Any, *, job_id: str) -> None:
    jobs.info("job paused id=%s; it waits until it is resumed", job_id)


def _job_resumed(_: Any, *, job_id: str, run_at: datetime) -> None:
    jobs.info("job resumed id=%s run_at=%s", job_id, run_at.isoformat())


def _job_retried(_: Any, *, job_id: str) -> None:
    jobs.info("job retried id=%s; it runs again, with all of its attempts", job_id)


def _job_rescued(
    _: Any, *, job_id: str, task: str, state: JobState, crashes: int, worker_id: str | None, error: str | None
) -> None:
    if state is JobState.SCHEDULED:
        jobs.warning("job rescued id=%s task=%s crashes=%d; it runs again", job_id, task, crashes)
    else:
        jobs.error("job %s id=%s task=%s crashes=%d: %s", state, job_id, task, crashes, error)


def _job_quarantined(_: Any, *, job_id: str, reason: str | None) -> None:
    jobs.error("job quarantined id=%s reason=%r; it is kept, and runs once mended", job_id, reason)


def _job_missed(_: Any, *, job_id: str, task: str, late: float, max_lateness: float) -> None:
    jobs.warning(
        "job missed id=%s task=%s late=%.3f max_lateness=%g; it is kept and not run", job_id, task, late, max_lateness
    )


def _job_mended(_: Any, *, job_id: str) -> None:
    jobs.info("job mended id=%s; it waits for its time again", job_id)


def _hook_failed(_: Any, *, job_id: str, task: str, hook: str, traceback: str) -> None:
    jobs.error("hook failed id=%s task=%s hook=%s; the job stays as it is\n%s", job_id, task, hook, traceback)


def _job_overran(_: Any, *, job_id: str, task: str, timeout: float) -> None:
    jobs.warning(
        "job overran id=%s task=%s timeout=%g; a thread cannot be killed: it keeps its slot until its function ends",
        job_id, task, timeout,
    )  # fmt: skip


def _jobs_pruned(_: Any, *, count: int) -> None:
    jobs.info("jobs pruned count=%d; their retention is over", count)


def _schedule_fired(_: Any, *, name: str, job_id: str, fire_time: Any) -> None:
    jobs.debug("schedule fired name=%r job=%s fire_time=%s", name, job_id, fire_time.isoformat())


def _schedule_skipped(_: Any, *, name: str, fire_time: Any, reason: str) -> None:
    jobs.warning("schedule skipped name=%r fire_time=%s: %s", name, fire_time.isoformat(), reason)


def _schedule_paused(_: Any, *, name: str, reason: str) -> None:
    jobs.error("schedule paused name=%r: %s; it fires again once it is mended and resumed", name, reason)


def _queue_paused(_: Any, *, queue: str, reason: str | None, until: Any) -> None:
    end = "until it is resumed" if until is None else f"until {until.isoformat()}"
    machine.warning("queue paused queue=%r reason=%r; its jobs are kept and wait %s", queue, reason, end)


def _queue_resumed(_: Any, *, queue: str) -> None:
    machine.info("queue resumed queue=%r; its jobs run again", queue)


def _queue_unattended(_: Any, *, queue: str) -> None:
    machine.warning(
        "no live worker serves queue=%r; its jobs are stored and wait: start the app, or 'flask scheduler run'", queue
    )


_RECEIVERS: dict[NamedSignal, Callable[..., None]] = {
    signals.scheduler_started: _started,
    signals.client_started: _client_started,
    signals.scheduler_stopped: _stopped,
    signals.scheduler_failed: _failed,
    signals.loop_restarted: _restarted,
    signals.clock_stepped: _clock_stepped,
    signals.worker_died: _worker_died,
    signals.child_died: _child_died,
    signals.child_failed: _child_failed,
    signals.turn_settled: _turn_settled,
    signals.job_superseded: _job_superseded,
    signals.job_cancelled: _job_cancelled,
    signals.job_rescheduled: _job_rescheduled,
    signals.job_paused: _job_paused,
    signals.job_resumed: _job_resumed,
    signals.job_retried: _job_retried,
    signals.job_rescued: _job_rescued,
    signals.job_quarantined: _job_quarantined,
    signals.job_mended: _job_mended,
    signals.job_missed: _job_missed,
    signals.hook_failed: _hook_failed,
    signals.job_overran: _job_overran,
    signals.jobs_pruned: _jobs_pruned,
    signals.schedule_fired: _schedule_fired,
    signals.schedule_skipped: _schedule_skipped,
    signals.schedule_paused: _schedule_paused,
    signals.queue_paused: _queue_paused,
    signals.queue_resumed: _queue_resumed,
    signals.queue_unattended: _queue_unattended,
}
