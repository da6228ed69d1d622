"""The options of one call, apart from the function's own arguments: what `using(...)` takes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import Any

from ..errors import OptionError, did_you_mean
from ..jobs import Priority
from ..store import OnConflict

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
    tags: tuple[str, ...] = ()


NONE = Options()


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


def _name(option: str, value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise OptionError(option, f"it must be a non-empty string, not {value!r}.")
    if len(value) > LONGEST_NAME:
        raise OptionError(option, f"it has {len(value)} characters; {LONGEST_NAME} is the most.")
    if not value.isprintable():
        raise OptionError(option, f"{value!r} has a character that cannot be printed.")
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


def _tags(value: Any) -> tuple[str, ...]:
    if isinstance(value, str) or not isinstance(value, Iterable):
        raise OptionError("tags", f"it must be a list of strings, not {value!r}.")
    tags = tuple(_name("tags", tag) for tag in value)
    if len(tags) > MOST_TAGS:
        raise OptionError("tags", f"there are {len(tags)}; {MOST_TAGS} is the most.")
    return tuple(dict.fromkeys(tags))


_CHECKS = {
    "queue": lambda value: _name("queue", value),
    "priority": priority_of,
    "key": lambda value: _name("key", value),
    "on_conflict": _on_conflict,
    "attempts": _attempts,
    "tags": _tags,
}
