"""What the process that unpickles tells of each job: `Found`, or `Unreadable`. JSON, and checked where it arrives."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any

from scheduler_app.payload.tags import is_unicode
from scheduler_app.schedules import decode_trigger

MOST = 2_147_483_647
"""What the database's integers hold."""

LONGEST_NAME = 191
"""Characters of an id, a name, a reference or an alias."""


@dataclass(frozen=True, slots=True)
class Found:
    """One job of APScheduler's, as plain data; `next_run_time` is UTC."""

    id: str
    name: str
    func: str
    """How its function is found: "module:function"."""
    payload: str = field(repr=False)
    """Its arguments, as `encode_call` writes them."""
    trigger: str
    """Its trigger, as `encode_trigger` writes it."""
    next_run_time: datetime | None
    """None while it is paused."""
    executor: str
    misfire_grace_time: int | None
    coalesce: bool
    max_instances: int


@dataclass(frozen=True, slots=True)
class Unreadable:
    """One job that cannot be carried over, and why; what else could be read of it."""

    id: str
    reason: str
    func: str | None = None
    trigger: str | None = None
    next_run_time: datetime | None = None


def line_of(one: Found | Unreadable) -> bytes:
    """Return a job as one line of JSON."""
    facts = asdict(one)
    if one.next_run_time is not None:
        facts["next_run_time"] = one.next_run_time.isoformat()
    return json.dumps(facts).encode() + b"\n"


def job_of(line: bytes) -> Found | Unreadable:
    """Return the job of `line_of`. Raises `ValueError` for anything else: whoever wrote it may have been taken over."""
    facts: Any = json.loads(line)
    if not isinstance(facts, dict):
        raise ValueError("it is no JSON object")
    facts["next_run_time"] = _instant(facts.get("next_run_time"))
    kind = Unreadable if "reason" in facts else Found
    try:
        one = kind(**facts)
    except TypeError as error:
        raise ValueError(str(error)) from None
    _check(facts, kind)
    return one


def _instant(text: Any) -> datetime | None:
    if text is None:
        return None
    at = datetime.fromisoformat(text) if isinstance(text, str) else None
    if at is None or at.tzinfo is None:
        raise ValueError("its next_run_time is no instant")
    return at.astimezone(UTC)


_NEEDED: Mapping[type, Mapping[str, type]] = {
    Found: {"id": str, "name": str, "func": str, "payload": str, "trigger": str, "executor": str, "coalesce": bool},
    Unreadable: {"id": str, "reason": str},
}


def _check(facts: Mapping[str, Any], kind: type) -> None:
    wrong = [name for name, wanted in _NEEDED[kind].items() if type(facts[name]) is not wanted]
    wrong += [name for name in ("func", "trigger") if not isinstance(facts.get(name), str | None)]
    if kind is Found:
        wrong += [] if is_count(facts["max_instances"]) else ["max_instances"]
        grace = facts["misfire_grace_time"]
        wrong += [] if grace is None or is_count(grace) else ["misfire_grace_time"]
        decode_trigger(facts["trigger"])
    if wrong:
        raise ValueError(f"its {wrong[0]} is not what it should be")


def is_name(value: Any) -> bool:
    """Whether this is a text that can be stored as a name."""
    return type(value) is str and 0 < len(value) <= LONGEST_NAME and is_unicode(value)


def is_count(value: Any) -> bool:
    """Whether this is a whole number of 1 or more that a database holds."""
    return type(value) is int and 1 <= value <= MOST
