"""The audit's words: who made a change, from where, and what was before it and is after."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

Facts = Mapping[str, Any]
"""What is shown of a thing, by name: plain JSON values, with secrets masked."""

LONGEST_NAME = 191
"""Characters of a name, of whoever acts and of what is acted on, that are kept."""

LONGEST_VALUE = 2000
"""Characters of a fact's JSON, or of one value of a source, that are kept; of a longer one its length is told."""

LONGEST_FILTER = 65_536
"""The same, of what says which of many were meant: as long as a request may be."""


@dataclass(frozen=True, slots=True)
class Actor:
    """Who asks: a name for the records, and a role: "viewer", "operator" or "admin"."""

    name: str
    role: str


@dataclass(frozen=True, slots=True)
class Acting:
    """Who acts, and from where: the door, and there what is known of the caller."""

    actor: Actor
    source: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Entry:
    """One change that was made at a door: a row of the audit."""

    id: str
    """In the order of making, as a job's id is."""
    at: datetime
    actor: str
    role: str
    source: Mapping[str, str]
    action: str
    """What was done, to what kind of thing: "job.cancel", "queue.pause"."""
    target: str | None
    """Which: a job's id, or the name of a queue or of a schedule; None where many were meant."""
    before: Facts | None = None
    """What was, of the fields that changed; None for what was not there."""
    after: Facts | None = None
    """What is then; None for what is not there any more. Of many: the filter, and how many there were."""


def differences(before: Facts | None, after: Facts | None) -> tuple[Facts | None, Facts | None]:
    """Return of two looks at a thing, each None where it was not there, only what differs between them."""
    if before is None or after is None:
        return _told(before), _told(after)
    names = [name for name in {**before, **after} if before.get(name) != after.get(name)]
    return {name: bounded(before.get(name)) for name in names}, {name: bounded(after.get(name)) for name in names}


def _told(facts: Facts | None) -> Facts | None:
    """Return what there is to tell of a thing that came, or is gone."""
    return None if facts is None else {name: bounded(value) for name, value in facts.items() if value not in (None, [])}


def bounded(value: Any, longest: int = LONGEST_VALUE) -> Any:
    """Return a value, or where its JSON is longer, how long that is."""
    length = len(json.dumps(value))
    return value if length <= longest else f"({length:,} characters)"


def entry_of(
    acting: Acting,
    entry_id: str,
    at: datetime,
    action: str,
    target: str | None,
    before: Facts | None,
    after: Facts | None,
) -> Entry:
    """Return the entry of a change, with names that the audit can hold."""
    source = {name: named(text, LONGEST_VALUE) for name, text in acting.source.items()}
    who, role = named(acting.actor.name), named(acting.actor.role, 16)
    return Entry(entry_id, at, who, role, source, action, None if target is None else named(target), before, after)


def named(text: str, longest: int = LONGEST_NAME) -> str:
    """Return a text without what some database could not hold, cut to a length."""
    clean = str(text).encode("utf-8", "backslashreplace").decode().replace("\x00", "\\x00")
    return clean if len(clean) <= longest else f"{clean[: longest - 1]}…"
