"""What an executor and its child say to each other: JSON objects over a socket of their own, never a pickled one.

The parent says first how to be born, then one order per job, then `END`. The child answers "ready" or "failed"; of
each order "started", any number of "progress" and in the end "ended"; and at any time "log".
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

from ..errors import ElsewhereError
from ..jobs import Outcome
from ..outcomes import Refusal, Result
from ..store import Claim
from ..wishes import GiveUp, Retry, Snooze, Wish

END = b"null"
"""Told to a child that is to leave through its ordinary exit."""

Message = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Birth:
    """What a child must know before it makes the app."""

    app: str
    """What makes the app, as `flask --app` takes it."""
    memory_mb: int | None = None
    log_level: int = 30
    """The parent's own least level: what it would not show is not sent."""
    parent: int = 0


def pack(message: Any) -> bytes:
    """Return a message as bytes."""
    return json.dumps(message, separators=(",", ":")).encode()


def unpack(data: bytes) -> Any:
    """Return the message of `pack`."""
    return json.loads(data)


# -- orders ------------------------------------------------------------------------------------------

_INSTANTS = ("run_at", "fire_time")
_KEPT_HERE = ("claimed_at", "deadline", "saw_timeout", "cancelled", "progress")


def order_of(claim: Claim, module: str | None) -> bytes:
    """Return a claim as an order, with the module that registers its task, should the child's app not import it."""
    facts = {name: value for name, value in asdict(claim).items() if name not in _KEPT_HERE}
    for name in _INSTANTS:
        facts[name] = None if facts[name] is None else facts[name].isoformat()
    return pack({"claim": facts, "module": module})


def facts_of(order: Message) -> dict[str, Any]:
    """Return the claim's facts in an order, as `Claim` takes them."""
    facts = dict(order["claim"])
    for name in _INSTANTS:
        facts[name] = None if facts[name] is None else datetime.fromisoformat(facts[name])
    return facts


# -- ends --------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Ended:
    """How an attempt ended, as its child tells it: a `Result` without its times, and without what is no data."""

    outcome: str | None = None
    refusal: str | None = None
    value: str | None = None
    error: str | None = None
    traceback: str | None = None
    kinds: tuple[str, ...] = field(default=())
    wish: str | None = None
    wish_seconds: float | None = None
    masked: bool = False
    is_spent: bool = False
    """Whether the child is better replaced: its memory was used up."""


def ended_of(result: Result, *, is_spent: bool = False) -> bytes:
    """Return a result as the child tells it."""
    wish = result.wish
    ended = Ended(
        outcome=None if result.outcome is None else result.outcome.value,
        refusal=None if result.refusal is None else result.refusal.value,
        value=result.value,
        error=result.error,
        traceback=result.traceback,
        kinds=result.kinds,
        wish=None if wish is None else type(wish).__name__,
        wish_seconds=None if wish is None else wish.seconds,
        masked=result.masked,
        is_spent=is_spent,
    )
    return pack({"kind": "ended"} | asdict(ended))


def result_of(message: Message, began: datetime, ended: datetime) -> Result:
    """Return the result that a child told, with the parent's times and with what stands for its exception."""
    outcome = None if message["outcome"] is None else Outcome(message["outcome"])
    has_raised = outcome in (Outcome.ERROR, Outcome.TIMEOUT)
    return Result(
        began,
        ended,
        outcome,
        refusal=None if message["refusal"] is None else Refusal(message["refusal"]),
        value=message["value"],
        error=message["error"],
        traceback=message["traceback"],
        exception=ElsewhereError(str(message["error"])) if has_raised else None,
        kinds=tuple(message["kinds"]),
        wish=_wish(message["wish"], message["wish_seconds"]),
        masked=message["masked"],
    )


def _wish(name: str | None, seconds: float | None) -> Wish | None:
    if name == "Snooze" and seconds is not None:
        return Snooze(seconds)
    if name == "Retry":
        return Retry(after=seconds)
    return None if name is None else GiveUp()
