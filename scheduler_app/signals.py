"""What happens inside the scheduler, told to whoever listens (logs, metrics, traces, your own code).

Observation only: no receiver can change what is stored. Each signal's sender is the scheduler's
`Client` or loop of one app; the keyword arguments are the facts named beside it.
"""

from __future__ import annotations

import logging
from asyncio import CancelledError
from threading import current_thread, main_thread
from typing import Any

from blinker import NamedSignal, Namespace


def is_of_the_process(error: BaseException) -> bool:
    """Whether an error that a receiver or a hook raised is the process's to hear, and not only to be logged.

    That is Ctrl-C, or what ends a test, in the main thread. Elsewhere nothing is, as it would only end a thread of this
    package; nor is a `SystemExit` anywhere, or the `CancelledError` of an event loop that only the receiver ran.
    """
    if isinstance(error, (Exception, SystemExit, CancelledError)):
        return False
    return current_thread() is main_thread()


class _Telling(NamedSignal):
    """A signal whose receivers cannot stop what they are told of: an error of theirs is logged, and that is all."""

    def send(self, sender: Any = None, /, **facts: Any) -> list[tuple[Any, Any]]:
        answers = []
        for receiver in self.receivers_for(sender):
            try:
                answers.append((receiver, receiver(sender, **facts)))
            except BaseException as error:  # a receiver is the app's own code, and may raise anything
                if is_of_the_process(error):
                    raise
                logging.getLogger("scheduler_app").exception("receiver of %r failed; the scheduler goes on", self.name)
        return answers


class _Signals(Namespace):
    def signal(self, name: str, doc: str | None = None) -> NamedSignal:
        return self.setdefault(name, _Telling(name, doc))


_signals = _Signals()

scheduler_started = _signals.signal("scheduler-started")
"""A loop began in this process: `worker_id`, `store`, `executors`, and `note`: what is to be known of the database.
Of an app's: `app`, `role`, `admin` (its URL prefix), `because` (why jobs run here), `serving` (whether requests do)."""

client_started = _signals.signal("client-started")
"""A process began to serve requests that stores jobs and runs none: `app`, `role`, `store`, `admin`, `because` (why),
`serving`, and `warning`: whether it was to be expected."""

scheduler_stopped = _signals.signal("scheduler-stopped")
"""A loop ended in this process: `worker_id`, `returned` (jobs given back unrun)."""

scheduler_failed = _signals.signal("scheduler-failed")
"""A turn of the loop failed and will be tried again: `error`, `retry_seconds`."""

loop_restarted = _signals.signal("loop-restarted")
"""The watchdog found the loop's thread dead and started another: no arguments."""

job_scheduled = _signals.signal("job-scheduled")
"""A job was stored (in a caller's transaction: that was committed with it): `job_id`, `task`, `run_at`, `queue`."""

job_claimed = _signals.signal("job-claimed")
"""A worker took a due job: `job_id`, `task`, `queue`, `worker_id`."""

job_started = _signals.signal("job-started")
"""The runner is about to call user code: `job_id`, `task`, `attempt`, `queue`."""

turn_settled = _signals.signal("turn-settled")
"""A turn of the loop stored a batch of ends: `settlements`. For whoever wants thousands a second in one call."""

job_settled = _signals.signal("job-settled")
"""An attempt's end was stored: `job_id`, `task`, `queue`, `state`, `outcome`, `attempt`, `max_attempts`, `error`,
`traceback`, `run_at` (of the next attempt, if there is one), `seconds` (how long it ran), `late` (how long after its
time it started)."""

job_released = _signals.signal("job-released")
"""A worker let go of a job that it held and did not end: it stops, could not start it in time, or does not know it.
`job_id`, `task`, `state` (scheduled; cancelled where that was asked for; failed where an at-most-once task had begun),
`reason`."""

job_superseded = _signals.signal("job-superseded")
"""A stale claim tried to write and changed nothing: `job_id`, `fence`."""

job_cancelled = _signals.signal("job-cancelled")
"""A waiting job was cancelled, or a running one was asked to stop: `job_id`, `state`."""

job_rescheduled = _signals.signal("job-rescheduled")
"""A job that has not started was given another time, or made due now: `job_id`, `run_at`."""

job_changed = _signals.signal("job-changed")
"""A job that has not started was given another priority or other tags: `job_id`, `changed` (the names of these)."""

job_deleted = _signals.signal("job-deleted")
"""A person deleted a job that had ended: `job_id`."""

job_paused = _signals.signal("job-paused")
"""A waiting job was paused: `job_id`."""

job_resumed = _signals.signal("job-resumed")
"""A paused job waits for its time again: `job_id`, `run_at`."""

job_retried = _signals.signal("job-retried")
"""A person put a job back in line that had failed, or was cancelled or missed: `job_id`."""

job_rescued = _signals.signal("job-rescued")
"""A dead worker's job was taken back, or (`worker_id` None) that of a child of this process's executor that died:
`job_id`, `task`, `state`, `crashes`, `worker_id`, `error`."""

job_quarantined = _signals.signal("job-quarantined")
"""A job that cannot run was put aside: `job_id`, `reason`."""

job_mended = _signals.signal("job-mended")
"""A job that was put aside waits for its time again: `job_id`."""

job_missed = _signals.signal("job-missed")
"""A job was not started because it was later than it allows: `job_id`, `task`, `late` and `max_lateness` (seconds)."""

hook_failed = _signals.signal("hook-failed")
"""A task's `on_success` or `on_failure` raised, which changes nothing: `job_id`, `task`, `hook`, `traceback`."""


job_overran = _signals.signal("job-overran")
"""A job runs longer than its timeout in a thread, which nothing stops from outside: `job_id`, `task`, `timeout`."""

jobs_pruned = _signals.signal("jobs-pruned")
"""Finished jobs were deleted because their retention is over: `count`."""

schedule_fired = _signals.signal("schedule-fired")
"""A schedule emitted a job: `name`, `job_id`, `fire_time`."""

schedule_skipped = _signals.signal("schedule-skipped")
"""A fire time was passed over: `name`, `fire_time`, `reason`."""

schedule_paused = _signals.signal("schedule-paused")
"""A schedule was paused because it cannot fire: `name`, `reason`."""

queue_paused = _signals.signal("queue-paused")
"""A queue was paused, or its pause got another reason and end: `queue`, `reason`, `until` (None: until resumed)."""

queue_resumed = _signals.signal("queue-resumed")
"""A queue was resumed by a person (one whose pause just ends is not told): `queue`."""

queue_unattended = _signals.signal("queue-unattended")
"""A job was stored in a queue that no live worker serves; told once a minute, by each process that stores: `queue`."""

worker_died = _signals.signal("worker-died")
"""Another worker was found dead: `worker_id`, `host`, `pid`, `reason`, `jobs` (how many it held)."""

child_died = _signals.signal("child-died")
"""A process of an executor died that nobody had killed: `executor`, `pid`, `reason`, `job_id` (of its job, or None)."""

child_failed = _signals.signal("child-failed")
"""A process of an executor could not make the app: `executor`, `reason`, `seconds` (it took), `retry_seconds`."""

clock_stepped = _signals.signal("clock-stepped")
"""The host's clock jumped against the monotonic clock: `seconds`."""
