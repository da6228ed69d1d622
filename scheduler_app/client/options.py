"""The options of one call, apart from the function's own arguments: what `using(...)` takes."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields
from typing import Any

from ..errors import OptionError, did_you_mean
from ..jobs import Priority
from ..retry import RetryPolicy, encode_policy
from ..store import OnConflict, check_session
from ..tasks import Task
from ..tasks.limits import ALLOWED, limit_of

LONGEST_NAME = 191
MOST_TAGS = 20


@dataclass(frozen=True, slots=True)
class Options:
    """Checked options; None means the task's own default, or the app's."""

    queue: str | None = None
    priority: int | None = None
    key: str | None = None
    on_conflict: OnConflict = OnConflict.EXISTING
    attempts: int | None = None
    retry: RetryPolicy | None = None
    tags: tuple[str, ...] = ()
    session: Any = None
    """The caller's session or connection, whose transaction the call is stored in; False: in one of its own."""
    even_on_error: bool = False
    timeout: float | None = None
    """How long one attempt may run, in seconds."""
    max_lateness: float | None = None
    """How long after its time the job may still start, in seconds."""


NONE = Options()


def runs_of(task: Task, options: Options) -> tuple[int, str | None]:
    """Return how often a call is run in all, and its retry policy as stored: what is said with the call goes first."""
    retry = options.retry or task.retry
    if options.attempts is not None:
        attempts = options.attempts
    elif options.retry is not None or task.attempts is None:
        attempts = 1 if retry is None else retry.attempts
    else:
        attempts = task.attempts
    return attempts, None if retry is None else encode_policy(retry)


def make_options(**given: Any) -> Options:
    """Check options as a person wrote them. Raises `OptionError` for the first that cannot be used."""
    known = {field.name for field in fields(Options)}
    for name in given:
        if name not in known:
            raise OptionError(name, f"there is no such option.{did_you_mean(name, known)}")
    checked: dict[str, Any] = {name: _CHECKS[name](value) for name, value in given.items() if value is not None}
    if "on_conflict" in checked and "key" not in checked:
        raise OptionError("on_conflict", "it says what to do about a key, so it needs key=... beside it.")
    return Options(**checked)


def name_of(option: str, value: Any, verb: str = "using") -> str:
    """Return a name as it is stored: of a queue, a key, a tag. Raises `OptionError`."""
    if not isinstance(value, str) or not value:
        raise OptionError(option, f"it must be a non-empty string, not {value!r}.", verb)
    if len(value) > LONGEST_NAME:
        raise OptionError(option, f"it has {len(value)} characters; {LONGEST_NAME} is the most.", verb)
    if not value.isprintable():
        raise OptionError(option, f"{value!r} has a character that cannot be printed.", verb)
    return str(value)


def priority_of(value: Any) -> int:
    """Return a priority as it is stored. Raises `OptionError`."""
    names = {p.name.lower(): int(p) for p in Priority}
    if isinstance(value, str) and value in names:
        return names[value]
    if isinstance(value, int) and not isinstance(value, bool) and value in names.values():
        return int(value)
    hint = did_you_mean(value, names) if isinstance(value, str) else ""
    raise OptionError("priority", f"it must be one of 'urgent', 'high', 'normal', 'low', not {value!r}.{hint}")


def _on_conflict(value: Any) -> OnConflict:
    names = [one.value for one in OnConflict]
    if value not in names:
        hint = did_you_mean(value, names) if isinstance(value, str) else ""
        raise OptionError("on_conflict", f"it must be one of {', '.join(map(repr, names))}, not {value!r}.{hint}")
    return OnConflict(value)


def _attempts(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= 1_000_000:
        raise OptionError("attempts", f"it must be a whole number of 1 or more: runs in all, not {value!r}.")
    return value


def _retry(value: Any) -> RetryPolicy:
    if not isinstance(value, RetryPolicy):
        raise OptionError("retry", f"it must be a RetryPolicy, such as RetryPolicy(attempts=5), not {value!r}.")
    return value


def tags_of(value: Any) -> tuple[str, ...]:
    """Return tags as they are stored, each once. Raises `OptionError`."""
    if isinstance(value, str) or not isinstance(value, Iterable):
        raise OptionError("tags", f"it must be a list of strings, not {value!r}.")
    tags = tuple(name_of("tags", tag) for tag in value)
    if len(tags) > MOST_TAGS:
        raise OptionError("tags", f"there are {len(tags)}; {MOST_TAGS} is the most.")
    return tuple(dict.fromkeys(tags))


def _even_on_error(value: Any) -> bool:
    if not isinstance(value, bool):
        raise OptionError("even_on_error", f"it must be True or False, not {value!r}.")
    return value


def _limit(option: str, value: Any) -> float:
    seconds = limit_of(value)
    if seconds is None:
        raise OptionError(option, f"it must be {ALLOWED}, not {value!r}.")
    return seconds


_CHECKS: dict[str, Callable[[Any], Any]] = {
    "queue": lambda value: name_of("queue", value),
    "priority": priority_of,
    "key": lambda value: name_of("key", value),
    "on_conflict": _on_conflict,
    "attempts": _attempts,
    "retry": _retry,
    "tags": tags_of,
    "session": check_session,
    "even_on_error": _even_on_error,
    "timeout": lambda value: _limit("timeout", value),
    "max_lateness": lambda value: _limit("max_lateness", value),
}
