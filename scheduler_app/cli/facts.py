"""A job and its attempts as programs read them: plain JSON values under the names of the glossary."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from datetime import tzinfo
from typing import Any

from ..errors import MalformedPayloadError, ResultError
from ..jobs import Attempt, Job, Priority
from ..payload import decode_call, decode_result
from ..tasks import TaskRegistry
from .instants import iso

JOB_FACTS = (
    "id", "state", "task", "queue", "priority", "run_at", "attempt", "max_attempts", "crashes", "outcome", "error",
    "key", "tags", "worker_id", "claim_seq", "cancel_requested_at", "created_at", "started_at", "finished_at",
    "schedule", "fire_time", "at_most_once",
)  # fmt: skip
"""The names of what `job_facts` returns, in order."""


def priority_name(job: Job) -> str:
    """Return a priority's name, or its number where it has none."""
    return Priority(job.priority).name.lower() if job.priority in list(Priority) else str(job.priority)


def job_facts(job: Job, zone: tzinfo) -> dict[str, Any]:
    """Return what a list tells of a job."""
    facts = {name: getattr(job, name, None) for name in JOB_FACTS} | {"schedule": job.schedule_uid}
    for name in ("run_at", "cancel_requested_at", "created_at", "started_at", "finished_at", "fire_time"):
        facts[name] = iso(facts[name], zone)
    facts |= {"state": job.state.value, "priority": priority_name(job), "tags": list(job.tags)}
    facts["outcome"] = None if job.outcome is None else job.outcome.value
    return facts


def attempt_facts(attempt: Attempt, zone: tzinfo) -> dict[str, Any]:
    """Return everything about an attempt."""
    return {
        "attempt": attempt.attempt,
        "claim_seq": attempt.claim_seq,
        "outcome": attempt.outcome.value,
        "worker_id": attempt.worker_id,
        "started_at": iso(attempt.started_at, zone),
        "finished_at": iso(attempt.finished_at, zone),
        "error": attempt.error,
        "traceback": attempt.traceback,
        "superseded": attempt.superseded,
    }


@dataclass(frozen=True)
class Carried:
    """What a job carries: its arguments, and in the end its result. Nothing is imported to read them."""

    job: Job
    registry: TaskRegistry

    def call(self) -> str:
        """Return the arguments as they would be typed; where they cannot be read, as they are stored."""
        try:
            call = decode_call(self.job.payload, allowed=self._imported)
        except MalformedPayloadError:
            return self.job.payload
        typed = [*map(repr, call.args), *(f"{name}={value!r}" for name, value in call.kwargs.items())]
        return f"({', '.join(typed)})"

    def stored_call(self) -> dict[str, Any]:
        """Return the arguments as the JSON that is stored, values of other types under the key ``$``."""
        try:
            stored = _plain(self.job.payload)
            return {"args": stored["a"], "kwargs": stored["k"]}
        except (ValueError, KeyError, TypeError, RecursionError):
            return {"args": None, "kwargs": None, "payload": self.job.payload}

    def result(self) -> str | None:
        """Return what the function returned; None where nothing is stored."""
        if self.job.result is None:
            return None
        try:
            return repr(decode_result(self.job.result, allowed=self._imported))
        except ResultError:
            return str(self.job.result)

    def stored_result(self) -> Any:
        """Return the result as the JSON that is stored."""
        try:
            return None if self.job.result is None else _plain(self.job.result)
        except (ValueError, TypeError, RecursionError):
            return self.job.result

    def _imported(self, module: str) -> bool:
        return module in sys.modules and self.registry.rule.allows(module)


def _plain(text: str) -> Any:
    """Return stored JSON as it is. Raises ValueError for the numbers that JSON has not, though Python reads them."""
    return json.loads(text, parse_constant=_refuse)


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no number of JSON")
