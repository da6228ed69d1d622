"""The pickle of one APScheduler job, turned into facts: all that is wrong with it is told at once, in words."""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from apscheduler.triggers.base import BaseTrigger

from scheduler_app.adoption.facts import LONGEST_NAME, MOST, Found, Unreadable, is_count, is_name
from scheduler_app.adoption.unpickler import NamesTooMuchError, Unpickler
from scheduler_app.errors import SchedulerError
from scheduler_app.payload import encode_call
from scheduler_app.payload.tags import is_unicode
from scheduler_app.schedules import encode_trigger

SAME_SECONDS = 0.01
"""By how much a job's time in its pickle may differ from that in its row's column, which is a rounded number."""

_FACTS = (
    "id", "func", "trigger", "executor", "args", "kwargs", "name", "misfire_grace_time", "coalesce", "max_instances",
    "next_run_time",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Rules:
    """What may be read, and how much of it."""

    allows: Callable[[str], bool]
    """Of which modules an enum may be."""
    max_payload_bytes: int
    main: str | None = None
    """By which name the module is imported now that was the main file of the program that wrote the pickles."""


def read_pickle(job_id: str, at: Any, pickled: bytes, rules: Rules) -> Found | Unreadable:
    """Return what a row holds: its id, its time as it stands in its column, and its pickle. Raises nothing."""
    try:
        state = _Renaming(io.BytesIO(pickled), rules).load()
    except (Exception, SystemExit) as error:  # bytes that are no pickle, or an enum's module, may raise anything
        return Unreadable(job_id, _why_unreadable(error))
    if not isinstance(state, dict) or any(name not in state for name in _FACTS):
        return Unreadable(job_id, "Its pickle holds no job of APScheduler 3.")
    return _Job(job_id, at, state, rules).read()


class _Renaming(Unpickler):
    """Finds what was in the old program's main file where that is now."""

    def __init__(self, file: io.BytesIO, rules: Rules) -> None:
        super().__init__(file, rules.allows)
        self._main = rules.main

    def find_class(self, module: str, name: str) -> Any:
        return super().find_class(self._main if module == "__main__" and self._main else module, name)


class _Job:
    """The unpickled state of one job, of which no part is believed to be what it should be."""

    def __init__(self, job_id: str, at: Any, state: Mapping[str, Any], rules: Rules) -> None:
        self._id, self._at, self._state, self._rules = job_id, at, state, rules
        self._problems: list[str] = []

    def read(self) -> Found | Unreadable:
        state = self._state
        func, trigger, payload = self._part(self._func), self._part(self._trigger), self._part(self._payload)
        at = self._part(self._next_run_time)
        self._problems += _wrong_facts(self._id, state)
        if self._problems or func is None or trigger is None or payload is None:
            return Unreadable(self._id, " ".join(self._problems), func, trigger, at)
        name, executor, grace = state["name"], state["executor"], state["misfire_grace_time"]
        instances = state["max_instances"]
        return Found(
            self._id, name[:LONGEST_NAME], func, payload, trigger, at, executor, grace, state["coalesce"], instances
        )

    def _part(self, read: Callable[[], Any]) -> Any:
        """Return one part; None, having noted what is wrong with it, where it cannot be carried."""
        try:
            return read()
        except Exception as error:  # an object that was put together by a pickle may raise anything when it is used
            self._problems.append(_why(error))
            return None

    def _func(self) -> str:
        func = self._state["func"]
        if not is_name(func):
            raise ValueError("its function is not named by a text that can be stored")
        main = self._rules.main
        return f"{main}{func.removeprefix('__main__')}" if main and func.startswith("__main__:") else str(func)

    def _trigger(self) -> str:
        trigger = self._state["trigger"]
        if not isinstance(trigger, BaseTrigger):
            raise ValueError("its trigger is none of APScheduler's own")
        return encode_trigger(trigger)

    def _payload(self) -> str:
        args, kwargs = self._state["args"], self._state["kwargs"]
        if type(args) not in (list, tuple) or type(kwargs) is not dict:
            raise ValueError("its arguments are no list and mapping")
        most, allows = self._rules.max_payload_bytes, self._rules.allows
        return encode_call(tuple(args), kwargs, max_bytes=most, allowed=allows)

    def _next_run_time(self) -> datetime | None:
        """Return the time in the column, by which APScheduler goes, or that of the pickle, which is not rounded."""
        if self._at is None:
            return None
        if type(self._at) not in (int, float) or not math.isfinite(self._at):
            raise ValueError("its next_run_time is no number")
        column = datetime.fromtimestamp(self._at, UTC)
        pickled = self._state["next_run_time"]
        if isinstance(pickled, datetime) and pickled.tzinfo is not None:
            exact = pickled.astimezone(UTC)
            if abs((exact - column).total_seconds()) < SAME_SECONDS:
                return exact
        return column


def _wrong_facts(job_id: str, state: Mapping[str, Any]) -> Iterator[str]:
    if state.get("version", 1) != 1:
        yield "It was stored in a version that is not known here: APScheduler 3 has 1."
    if state["id"] != job_id:
        yield "Its pickle is that of another job."
    if type(state["name"]) is not str or not is_unicode(state["name"]):
        yield "Its name is no text."
    if not is_name(state["executor"]):
        yield "Its executor is not named by a text that can be stored."
    if state["misfire_grace_time"] is not None and not is_count(state["misfire_grace_time"]):
        yield f"Its misfire_grace_time is no whole number of seconds from 1 to {MOST}."
    if type(state["coalesce"]) is not bool:
        yield "Its coalesce is neither True nor False."
    if not is_count(state["max_instances"]):
        yield f"Its max_instances is no whole number from 1 to {MOST}."


def _why_unreadable(error: BaseException) -> str:
    """Say why a pickle cannot be read; of a value that does not fit, which may be secret, only that it does not."""
    if isinstance(error, NamesTooMuchError):
        return _sentence(str(error))
    said = "" if isinstance(error, ValueError) else f": {error}"
    return _sentence(f"its pickle cannot be read: {type(error).__name__}{said}")


def _why(error: Exception) -> str:
    """Say what is wrong with a part of a job."""
    if isinstance(error, SchedulerError):
        return str(error)
    return _sentence(str(error) if isinstance(error, ValueError) else f"it cannot be used: {type(error).__name__}")


def _sentence(said: str) -> str:
    line = " ".join(said.split())[:300]
    return f"{line[:1].upper()}{line[1:].rstrip('.: ')}."
