"""The functions that the tests' jobs call."""

from __future__ import annotations

from enum import Enum
from typing import Any

from scheduler_app import schedule_now
from scheduler_app.client import Client
from scheduler_app.client.options import NONE, Options
from scheduler_app.jobs import Job


class Size(Enum):
    SMALL = 1


def sell(*things: Any, **how: Any) -> list[Any]:
    return [*things]


def break_down(what: str) -> None:
    raise ValueError(what)


def sell_again(times: int) -> None:
    """Schedule itself, now, so many times."""
    if times:
        schedule_now(sell_again, times - 1)


def put(
    client: Client, *args: Any, after: float = 3600, function: Any = sell, options: Options = NONE, **kw: Any
) -> Job:
    """Schedule a call, and return its job."""
    return client.schedule_after(after, function, args, kw, options).job
