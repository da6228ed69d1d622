"""What the shapes of `answers` look like, filled in: for the documents."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

JOB_ID: Final = "01981f3c-5a70-7000-8000-1f0e2d3c4b5a"
_WORKER_ID: Final = "01981f3b-0d20-7000-8000-5a4b3c2d1e0f"
_JOB: Final = f"/scheduler/api/v1/jobs/{JOB_ID}"

EXAMPLES: Mapping[str, Mapping[str, Any]] = {
    "Job": {
        "id": JOB_ID, "task": "mail.welcome", "args": [], "kwargs": {"user_id": 42}, "queue": "mail",
        "priority": "normal", "state": "scheduled", "run_at": "2030-03-01T03:00:00Z", "key": "order:42:remind",
        "attempt": 0, "max_attempts": 3, "crashes": 0, "created_at": "2030-03-01T02:00:00Z", "started_at": None,
        "finished_at": None, "cancel_requested_at": None, "outcome": None, "result": None, "error": None,
        "progress": None, "tags": ["order:42"], "schedule": None, "origin": {"door": "rest"}, "context": None,
        "at_most_once": False, "timeout": None, "max_lateness": None, "version": 0, "notes": [],
        "allowed_actions": ["cancel", "reschedule", "run-now", "pause", "change"], "links": {"self": _JOB},
    },
    "Attempt": {
        "attempt": 1, "claim_seq": 1, "outcome": "error", "worker_id": _WORKER_ID,
        "started_at": "2030-03-01T03:00:00.004Z", "finished_at": "2030-03-01T03:00:30.010Z",
        "error": "TimeoutError: the relay did not answer",
        "traceback": "Traceback (most recent call last): ...", "superseded": None,
    },
    "Explanation": {
        "id": JOB_ID, "state": "scheduled",
        "facts": ["It waits in queue 'mail'. It was due at 2030-03-01 03:00:00.000000 UTC, 12.0 s ago.",
                  "Live workers that serve its queue: 0."],
        "remedy": "No worker is alive: start the app, or 'flask scheduler run'.",
    },
    "Bulk": {
        "action": "retry", "dry_run": False, "matched": 12, "done": 11, "asked": 0, "conflicts": 1, "missing": 0,
        "complete": True,
    },
    "Schedule": {
        "name": "nightly", "task": "reports.nightly", "args": [], "kwargs": {},
        "trigger": {"type": "cron", "cron": "0 4 * * *", "timezone": "Europe/Berlin"},
        "next_run_time": "2030-03-02T03:00:00Z", "last_fire_time": "2030-03-01T03:00:00Z",
        "created_at": "2030-01-01T00:00:00Z", "paused": False, "queue": "default", "priority": "normal",
        "max_attempts": 1, "at_most_once": False, "catch_up": "latest", "overlap": "skip", "max_instances": 1,
        "tags": [], "declared": True, "orphaned_at": None, "error": None, "notes": [],
        "links": {"self": "/scheduler/api/v1/schedules/nightly"},
    },
    "FireTime": {
        "at": "2030-03-31T01:00:00Z", "local": "2030-03-31T03:00:00+02:00", "change": "gap",
        "note": "02:30 does not exist on that day: it fires at the end of the gap",
    },
    "Task": {
        "name": "mail.welcome", "aliases": ["mail.hello"], "description": "Welcome a user.", "queue": "mail",
        "priority": "normal", "attempts": 3, "delivery": "at_least_once", "timeout": 30, "max_lateness": None,
        "arguments": {"type": "object", "properties": {"kwargs": {"properties": {"user_id": {"type": "integer"}}}}},
        "links": {"self": "/scheduler/api/v1/tasks/mail.welcome"},
    },
    "Queue": {
        "name": "mail", "waiting": 42, "running": 3, "oldest_due": "2030-03-01T03:00:00Z", "concurrency": 5,
        "concurrency_per_process": None, "paused": True, "paused_at": "2030-03-01T02:59:00Z",
        "paused_until": "2030-03-01T03:09:00Z", "pause_reason": "the relay is down",
    },
    "Worker": {
        "id": _WORKER_ID, "host": "web-1", "pid": 4711, "state": "running", "started_at": "2030-03-01T01:00:00Z",
        "seen_at": "2030-03-01T03:00:02Z", "queues": None, "executors": {"default": 10}, "version": "0.1.0",
    },
    "Stats": {"jobs": {"scheduled": 42, "succeeded": 10_000}, "counted_to": 10_000, "capped": ["succeeded"]},
    "AuditEntry": {
        "id": "01981f3d-7c10-7000-8000-0a1b2c3d4e5f", "at": "2030-03-01T02:30:00Z",
        "actor": {"name": "ada", "role": "operator"}, "source": {"door": "rest", "address": "192.0.2.7"},
        "action": "job.pause", "target": JOB_ID, "before": {"state": "scheduled"}, "after": {"state": "paused"},
    },
    "Handle": {
        "state": "running", "progress": {"done": 2, "total": 10, "message": "half of the first fifth"}, "result": None,
        "error": None,
    },
    "Health": {"status": "ok"},
    "Problem": {
        "type": "about:blank", "title": "Not Found", "status": 404,
        "detail": f"No job has the id '{JOB_ID}'. 'flask scheduler list' shows what there is.", "instance": _JOB,
    },
    "Invalid": {
        "type": "about:blank", "title": "Unprocessable Entity", "status": 422,
        "detail": "/kwargs/user_id: It must be a whole number, not a string.", "instance": "/scheduler/api/v1/jobs",
        "errors": [{"pointer": "/kwargs/user_id", "detail": "It must be a whole number, not a string."}],
    },
}  # fmt: skip
"""By the names of `answers.SHAPES`."""

PLACES: Mapping[str, str] = {"job_id": JOB_ID, "name": "nightly"}
"""What the placeholders of addresses look like."""
