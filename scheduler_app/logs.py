"""The wording of every log line: receivers of signals, and nothing else.

Each line is an event and its facts as ``key=value``; where something is given up, the line says what happens
next. Loggers: ``scheduler_app`` for the machinery, ``scheduler_app.jobs`` for jobs.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from blinker import NamedSignal

from . import signals
from .jobs import JobState
from .store import Settlement

machine = logging.getLogger("scheduler_app")
jobs = logging.getLogger("scheduler_app.jobs")


def connect() -> None:
    """Have every signal logged. Harmless to repeat."""
    for signal, receiver in _RECEIVERS.items():
        signal.connect(receiver, weak=False)


def _started(_: Any, *, worker_id: str, store: str, executors: dict[str, int], note: str) -> None:
    sizes = ",".join(f"{alias}:{size}" for alias, size in executors.items())
    known = f"; {note}" if note else ""
    machine.info("scheduler started worker=%s store=%s executors=%s%s", worker_id, store, sizes, known)


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


def _turn_settled(_: Any, *, settlements: list[Settlement]) -> None:
    """A success at INFO, a failure at ERROR with its traceback, a retry at WARNING with when it comes."""
    successes = jobs.isEnabledFor(logging.INFO)
    for settlement in settlements:
        if successes or settlement.result.error is not None:
            _settled(settlement)


def _settled(settlement: Settlement) -> None:
    claim, result, transition = settlement.claim, settlement.result, settlement.transition
    if transition.released or transition.state is JobState.QUARANTINED:
        return
    head = f"id={claim.id} task={claim.task} attempt={claim.attempt + 1}/{claim.max_attempts}"
    ran = (result.finished_at - result.started_at).total_seconds()
    timing = f"seconds={ran:.3f} late={(result.started_at - claim.run_at).total_seconds():.3f}"
    if transition.state is JobState.SUCCEEDED and result.error is None:
        jobs.info("job succeeded %s %s", head, timing)
    elif transition.state is JobState.SUCCEEDED:
        jobs.warning("job succeeded %s %s; %s", head, timing, result.error)
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


def _job_rescued(
    _: Any, *, job_id: str, task: str, state: JobState, crashes: int, worker_id: str, error: str | None
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


def _schedule_fired(_: Any, *, name: str, job_id: str, fire_time: Any) -> None:
    jobs.debug("schedule fired name=%r job=%s fire_time=%s", name, job_id, fire_time.isoformat())


def _schedule_skipped(_: Any, *, name: str, fire_time: Any, reason: str) -> None:
    jobs.warning("schedule skipped name=%r fire_time=%s: %s", name, fire_time.isoformat(), reason)


def _schedule_paused(_: Any, *, name: str, reason: str) -> None:
    jobs.error("schedule paused name=%r: %s; it fires again once it is mended and resumed", name, reason)


_RECEIVERS: dict[NamedSignal, Callable[..., None]] = {
    signals.scheduler_started: _started,
    signals.scheduler_stopped: _stopped,
    signals.scheduler_failed: _failed,
    signals.loop_restarted: _restarted,
    signals.clock_stepped: _clock_stepped,
    signals.worker_died: _worker_died,
    signals.turn_settled: _turn_settled,
    signals.job_superseded: _job_superseded,
    signals.job_cancelled: _job_cancelled,
    signals.job_rescued: _job_rescued,
    signals.job_quarantined: _job_quarantined,
    signals.job_missed: _job_missed,
    signals.schedule_fired: _schedule_fired,
    signals.schedule_skipped: _schedule_skipped,
    signals.schedule_paused: _schedule_paused,
}
