"""A job and its attempts as programs read them: plain JSON values under the names of the glossary."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, dataclass
from datetime import tzinfo
from functools import cached_property
from typing import Any

from ..client import Shown
from ..errors import MalformedPayloadError, ResultError
from ..jobs import Attempt, Job, Priority
from ..origin import read_origin
from ..payload import MASK, decode_call, decode_result
from ..progress import decode_progress
from ..tasks import TaskRegistry
from .instants import iso

JOB_FACTS = (
    "id", "state", "task", "queue", "priority", "run_at", "attempt", "max_attempts", "crashes", "outcome", "error",
    "key", "tags", "worker_id", "claim_seq", "cancel_requested_at", "created_at", "started_at", "finished_at",
    "schedule", "fire_time", "at_most_once", "timeout", "max_lateness", "origin", "progress",
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
    progress = decode_progress(job.progress)
    facts["progress"] = None if progress is None else asdict(progress)
    facts["origin"] = read_origin(job.origin)
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
    """What a job carries: its arguments, and in the end its result; secrets are masked. Nothing is imported."""

    job: Job
    registry: TaskRegistry

    def call(self) -> str:
        """Return the arguments as they would be typed; where they cannot be read, as they are stored."""
        try:
            call = decode_call(self.job.payload, allowed=self._imported)
        except MalformedPayloadError:
            return self._stored_text()
        args, kwargs = self._shown.arguments(call.args, call.kwargs)
        typed = [*map(repr, args), *(f"{name}={value!r}" for name, value in kwargs.items())]
        return f"({', '.join(typed)})"

    def stored_call(self) -> dict[str, Any]:
        """Return the arguments as the JSON that is stored, values of other types under the key ``$``."""
        try:
            stored = _plain(self.job.payload)
            args, kwargs = self._shown.arguments(stored["a"], stored["k"])
            return {"args": args, "kwargs": kwargs, "context": stored.get("c", {})}
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            return {"args": None, "kwargs": None, "context": None, "payload": self._stored_text()}

    @cached_property
    def _shown(self) -> Shown:
        return Shown(self.job.task, self.job.payload, self.registry)

    def _stored_text(self) -> str:
        """Return the payload as it is stored, unless there is a secret in it, or may be."""
        return MASK if self._shown.has_secrets else self.job.payload

    def context(self) -> str | None:
        """Return what travelled with the call; None where nothing did, or it cannot be read."""
        try:
            context = decode_call(self.job.payload, allowed=self._imported).context
        except MalformedPayloadError:
            return None
        return ", ".join(f"{name}={value!r}" for name, value in context.items()) or None

    def result(self) -> str | None:
        """Return what the function returned; None where nothing is stored."""
        stored = self._shown.result(self.job.result)
        if stored is None:
            return None
        try:
            return repr(decode_result(stored, allowed=self._imported))
        except ResultError:
            return stored

    def stored_result(self) -> Any:
        """Return the result as the JSON that is stored."""
        try:
            stored = self._shown.result(self.job.result)
            return None if stored is None else _plain(stored)
        except (ValueError, TypeError, RecursionError):
            return self._shown.result(self.job.result)

    def _imported(self, module: str) -> bool:
        return module in sys.modules and self.registry.rule.allows(module)


def _plain(text: str) -> Any:
    """Return stored JSON as it is. Raises ValueError for the numbers that JSON has not, though Python reads them."""
    return json.loads(text, parse_constant=_refuse)


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no number of JSON")
