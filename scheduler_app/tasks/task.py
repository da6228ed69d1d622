"""Task: a function that may be deferred, with its default policy."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from enum import StrEnum
from functools import lru_cache
from typing import Any

from scheduler_app.errors import ArgumentsError, TaskOptionError, did_you_mean
from scheduler_app.jobs import Priority
from scheduler_app.retry import RetryPolicy
from scheduler_app.tasks.limits import ALLOWED, limit_of
from scheduler_app.tasks.secret import has_secrets, parameters, places, unknown_names


class Delivery(StrEnum):
    """What becomes of a job whose process dies while it runs."""

    AT_LEAST_ONCE = "at_least_once"
    """It runs again."""

    AT_MOST_ONCE = "at_most_once"
    """It fails, with that reason."""


@dataclass(frozen=True, slots=True)
class Task:
    """A function that may be deferred.

    `attempts` counts all runs, the first included; None leaves it to `retry`, and without that it is 1.
    """

    name: str
    function: Callable[..., Any]
    queue: str | None = None
    priority: int | None = None
    attempts: int | None = None
    retry: RetryPolicy | None = None
    delivery: Delivery = Delivery.AT_LEAST_ONCE
    aliases: tuple[str, ...] = ()
    redact: tuple[str, ...] = ()
    """The names of arguments that are shown nowhere, beside those that are annotated with `Secret`."""
    on_success: Callable[..., Any] | None = None
    """Called with the job and what the function returned, once it has succeeded and that is stored."""
    on_failure: Callable[..., Any] | None = None
    """Called with the job and the error, once it has failed for good and that is stored; not before a retry."""
    timeout: float | None = None
    """How long one attempt may run, in seconds; None: as long as it takes."""
    max_lateness: float | None = None
    """How long after its time it may still start, in seconds; None: however late."""

    @property
    def is_async(self) -> bool:
        """Whether calling it gives a coroutine, which must be run to its end."""
        return _is_async(self.function)

    @property
    def sketch(self) -> str:
        """How it is called: its parameters without annotations, and "..." for a default, which may be secret."""
        signature = _signature(self.function)
        return "(...)" if signature is None else _sketch(signature)

    @property
    def has_secrets(self) -> bool:
        """Whether some call of it may have an argument or a result that nobody may see."""
        return has_secrets(self.function, self.redact)

    def secret_places(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> tuple[int | str, ...]:
        """Return where, among these arguments, those are that nobody may see: positions and names."""
        return places(self.function, self.redact, args, kwargs)

    def bind(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
        """Check that the function can be called so. Raises `ArgumentsError`, which shows no argument's value.

        What is checked is what will be called: a decorator that takes anything accepts anything.
        """
        least, most = _arity(self.function)
        if not kwargs and least <= len(args) <= most:
            return  # the common call, told apart without building what a full check builds
        signature = _signature(self.function)
        if signature is None:
            return
        try:
            signature.bind(*args, **kwargs)
        except TypeError as error:
            raise ArgumentsError(self.name, f"{error}; it takes {_sketch(signature)}") from None


@lru_cache(maxsize=4096)
def _is_async(function: Callable[..., Any]) -> bool:
    return inspect.iscoroutinefunction(function)


@lru_cache(maxsize=4096)
def _arity(function: Callable[..., Any]) -> tuple[int, int]:
    """Return how many positional arguments a function takes at least and at most; (1, 0) where that is not the rule."""
    signature = _signature(function)
    if signature is None:
        return 1, 0
    parameters = signature.parameters.values()
    if any(p.kind is p.KEYWORD_ONLY and p.default is p.empty for p in parameters):
        return 1, 0
    positional = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    open_ended = any(p.kind is p.VAR_POSITIONAL for p in parameters)
    least = sum(p.default is p.empty for p in positional)
    return least, sys.maxsize if open_ended else len(positional)


@lru_cache(maxsize=4096)
def _signature(function: Callable[..., Any]) -> inspect.Signature | None:
    try:
        return inspect.signature(function, follow_wrapped=False)
    except (TypeError, ValueError):  # some functions written in C tell no signature
        return None


def _sketch(signature: inspect.Signature) -> str:
    """Return the signature without annotations, and with "..." for defaults, whose repr may be long or secret."""
    empty = inspect.Parameter.empty
    shown = [
        p.replace(annotation=empty, default=p.default if p.default is empty else ...)
        for p in signature.parameters.values()
    ]
    return str(inspect.Signature(shown)).replace("=Ellipsis", "=...")


# -- options ---------------------------------------------------------------------------------------------------------

_OPTIONS = tuple(field.name for field in fields(Task) if field.name not in ("name", "function"))


def make_task(name: str, function: Callable[..., Any], options: Mapping[str, Any]) -> Task:
    """Return the Task, its options checked. Raises `TaskOptionError` for one that is unknown or cannot be used."""
    for option in options:
        if option not in _OPTIONS:
            raise TaskOptionError(name, f"there is no option {option!r}.{did_you_mean(option, _OPTIONS)}")
    checked = {option: _CHECKS[option](name, value) for option, value in options.items()}
    for unknown in unknown_names(function, checked.get("redact", ())):
        near = did_you_mean(unknown, parameters(function))
        raise TaskOptionError(name, f"redact names {unknown!r}, which is none of its arguments.{near}")
    return Task(name, function, **checked)


def check_name(name: Any) -> str:
    """Return the name of a task. Raises `TaskOptionError` unless it is text of 1 to 191 characters."""
    if not isinstance(name, str) or not name.strip() or len(name) > 191:
        raise TaskOptionError(str(name)[:191], "a name is text of 1 to 191 characters.")
    return name


def _queue(task: str, value: Any) -> str | None:
    if value is not None and (not isinstance(value, str) or not value):
        raise TaskOptionError(task, f"queue={value!r} is not a queue's name.")
    return value


def _priority(task: str, value: Any) -> int | None:
    if value is None:
        return None
    named = Priority.__members__.get(value.upper()) if isinstance(value, str) else None
    if named is None and value in tuple(Priority) and not isinstance(value, bool | float):
        named = Priority(value)
    if named is None:
        raise TaskOptionError(task, f"priority={value!r} is none of 'urgent', 'high', 'normal', 'low'.")
    return int(named)


def _attempts(task: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise TaskOptionError(task, f"attempts={value!r} is not a whole number from 1 up; it counts the first run too.")
    return value


def _retry(task: str, value: Any) -> RetryPolicy:
    if not isinstance(value, RetryPolicy):
        raise TaskOptionError(task, f"retry={value!r} is not a RetryPolicy, such as RetryPolicy(attempts=5).")
    return value


def _names(task: str, value: Any) -> tuple[str, ...]:
    if not isinstance(value, tuple | list) or not all(isinstance(name, str) and name for name in value):
        raise TaskOptionError(task, f"{value!r} is not a tuple of names, such as ('mail.hello',).")
    return tuple(value)


def _redact(task: str, value: Any) -> tuple[str, ...]:
    if not isinstance(value, tuple | list) or not all(isinstance(name, str) and name for name in value):
        raise TaskOptionError(task, "redact is not a tuple of names of arguments, such as ('token',).")
    return tuple(value)


def _hook(task: str, name: str, second: str, value: Any) -> Callable[..., Any] | None:
    problem = f"{name} cannot be called with the job and the {second}; write it as def {name}(job, {second})."
    if value is None:
        return None
    if not callable(value):
        raise TaskOptionError(task, problem)
    signature = _signature(value)
    try:
        if signature is not None:
            signature.bind(None, None)
    except TypeError:
        raise TaskOptionError(task, problem) from None
    checked: Callable[..., Any] = value
    return checked


def _delivery(task: str, value: Any) -> Delivery:
    try:
        return Delivery(value)
    except ValueError:
        reason = f"delivery={value!r} is neither 'at_least_once' nor 'at_most_once'."
        raise TaskOptionError(task, reason) from None


def _limit(option: str) -> Callable[[str, Any], float]:
    def check(task: str, value: Any) -> float:
        seconds = limit_of(value)
        if seconds is None:
            raise TaskOptionError(task, f"{option}={value!r} is not {ALLOWED}.")
        return seconds

    return check


_CHECKS: dict[str, Callable[[str, Any], Any]] = {
    "queue": _queue,
    "priority": _priority,
    "attempts": _attempts,
    "retry": _retry,
    "delivery": _delivery,
    "aliases": _names,
    "redact": _redact,
    "on_success": lambda task, value: _hook(task, "on_success", "result", value),
    "on_failure": lambda task, value: _hook(task, "on_failure", "error", value),
    "timeout": _limit("timeout"),
    "max_lateness": _limit("max_lateness"),
}
