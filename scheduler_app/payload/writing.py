"""Write arguments and results as JSON, or refuse them with the path of the offending value."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal
from enum import Enum
from typing import Any, NoReturn

from scheduler_app.errors import (
    PayloadError,
    PayloadTooDeepError,
    PayloadTooLargeError,
    PayloadTypeError,
    PayloadValueError,
    ResultError,
)
from scheduler_app.payload.hints import hint_for
from scheduler_app.payload.tags import (
    CONTAINERS,
    DEEPEST,
    FAKES,
    TAG,
    WRITERS,
    Allowed,
    is_unicode,
    write_enum,
    zone_is_lost,
)

Path = tuple[Any, ...]
"""Where a value is: the name of the root, then the index or key at each level."""

_ELEMENT = object()  # the place of a value in a set
_LARGEST_INT = 10**640 - 1  # with more digits, another process's PYTHONINTMAXSTRDIGITS may forbid reading it
_to_json = json.JSONEncoder(allow_nan=False, check_circular=False, separators=(",", ":")).encode


def encode_call(
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    context: dict[str, Any] | None = None,
    *,
    secret: Sequence[int | str] = (),
    max_bytes: int,
    max_depth: int = 32,
    allowed: Allowed,
) -> str:
    """Return the arguments as compact ASCII JSON, with the places of those that nobody may see.

    Raises `PayloadTypeError` or `PayloadValueError` with the path of the offending value,
    `PayloadTooLargeError` beyond `max_bytes`, `PayloadTooDeepError` beyond `max_depth` nested containers.
    """
    depth = min(max_depth, DEEPEST)
    parts: dict[str, Any] = {"a": args, "k": kwargs}
    if context is not None:
        parts["c"] = context
    if not _is_plain_call(args, kwargs, context, depth, max_bytes):
        packer = _Packer(max_bytes, depth, allowed)
        parts = {"a": packer.items(args, depth, ("args",)), "k": packer.table(kwargs, depth, ("kwargs",))}
        if context is not None:
            parts["c"] = packer.table(context, depth, ("context",))
    if secret:
        parts["s"] = list(secret)
    return _within(max_bytes, _to_json(parts))


def encode_result(value: Any, *, max_bytes: int, max_depth: int = 32, allowed: Allowed) -> str:
    """Return what a function returned as compact ASCII JSON. Raises `ResultError`."""
    depth = min(max_depth, DEEPEST)
    try:
        if _room_left(value, depth, max_bytes) < 0:
            value = _Packer(max_bytes, depth, allowed, give="return").pack(value, depth, ("result",))
        return _within(max_bytes, _to_json(value))
    except PayloadTooLargeError as error:
        taken = "more bytes as JSON than" if error.size is None else f"{error.size} bytes as JSON, more than"
        reason = f"it takes {taken} the {max_bytes} that SCHEDULER_MAX_RESULT_BYTES allows."
        reason += " Store the data elsewhere and return its key, or raise the setting."
    except PayloadTooDeepError as error:
        reason = f"it is nested more than {error.limit} levels deep, or contains itself. Return a flatter value."
    except PayloadError as error:
        reason = str(error)
    raise ResultError("stored", reason)


def _within(limit: int, text: str) -> str:
    if len(text) > limit:
        raise PayloadTooLargeError(len(text), limit)
    return text


# -- the fast path: most arguments are plain JSON, and are looked at once, with nothing built ------------------------


def _is_plain_call(
    args: tuple[Any, ...], kwargs: dict[str, Any], context: dict[str, Any] | None, depth: int, room: int
) -> bool:
    room = _room_after_items(args, depth, room)
    if room >= 0 and kwargs:
        room = _room_after_table(kwargs, depth, room)
    if room >= 0 and context:
        room = _room_after_table(context, depth, room)
    return room >= 0


def _room_left(value: Any, depth: int, room: int) -> int:
    """Return `room` less a lower bound of the value's size; below 0 unless it is plain, shallow and small enough."""
    kind = type(value)
    if kind is str:
        return room - len(value) if value.isascii() or is_unicode(value) else -1
    if kind is int:
        return room - 1 if -_LARGEST_INT <= value <= _LARGEST_INT else -1
    if kind is list:
        return _room_after_items(value, depth - 1, room - 2)
    if kind is dict:
        return _room_after_table(value, depth - 1, room - 2)
    if value is None or kind is bool or (kind is float and math.isfinite(value)):
        return room - 1
    return -1


def _room_after_items(items: Iterable[Any], depth: int, room: int) -> int:
    if depth < 0:
        return -1
    for item in items:
        room = _room_left(item, depth, room)
        if room < 0:
            return -1
    return room


def _room_after_table(table: dict[Any, Any], depth: int, room: int) -> int:
    if depth < 0 or TAG in table:
        return -1
    for key, item in table.items():
        if type(key) is not str or not (key.isascii() or is_unicode(key)):
            return -1
        room = _room_left(item, depth, room - len(key))
        if room < 0:
            return -1
    return room


# -- the thorough path: tags, and refusals with their paths ----------------------------------------------------------


class _Packer:
    """Turns values into plain JSON ones; counts a lower bound of the size, so that shared values cannot explode."""

    def __init__(self, limit: int, max_depth: int, allowed: Allowed, give: str = "pass") -> None:
        self.limit, self.max_depth, self.allowed, self.give = limit, max_depth, allowed, give
        self.room = limit

    def spend(self, size: int) -> None:
        self.room -= size
        if self.room < 0:
            raise PayloadTooLargeError(None, self.limit)

    def pack(self, value: Any, depth: int, path: Path) -> Any:
        kind = type(value)
        if kind.__module__ == "freezegun.api":
            kind = FAKES.get(kind.__name__, kind)
        self.spend(1)
        check = _CHECKS.get(kind)
        if check is not None:
            check(self, value, path)
        if kind in _PLAIN:
            return value
        if kind in WRITERS:
            tag, write = WRITERS[kind]
            return {TAG: tag, "v": write(value)}
        return self.container(value, kind, depth, path)

    def container(self, value: Any, kind: type, depth: int, path: Path) -> Any:
        if kind in CONTAINERS:
            return {TAG: CONTAINERS[kind], "v": self.items(value, depth - 1, path, of_set=kind is not tuple)}
        if kind is list:
            return self.items(value, depth - 1, path)
        if kind is dict:
            packed = self.table(value, depth - 1, path)
            return {TAG: "dict", "v": packed} if TAG in value else packed
        return self.member(value, kind, path)

    def items(self, items: Iterable[Any], depth: int, path: Path, of_set: bool = False) -> list[Any]:
        self.descend(depth, path)
        return [self.pack(item, depth, (*path, _ELEMENT if of_set else index)) for index, item in enumerate(items)]

    def table(self, table: dict[Any, Any], depth: int, path: Path) -> dict[str, Any]:
        self.descend(depth, path)
        for key in table:
            if type(key) is not str:
                raise PayloadTypeError(f"A key of {show(path)}", type(key), f"{self.give} a dict with str keys")
            _check_text(self, key, path, "has a key that")
        return {key: self.pack(item, depth, (*path, key)) for key, item in table.items()}

    def descend(self, depth: int, path: Path) -> None:
        if depth < 0:
            raise PayloadTooDeepError(show(path[:2]), self.max_depth)

    def member(self, value: Any, kind: type, path: Path) -> Any:
        if not issubclass(kind, Enum):
            raise PayloadTypeError(show(path), kind, hint_for(value, self.give))
        if kind.__module__ == "__main__":
            hint = "its class is in the program's main file, which other processes import under another name;"
            hint += f" move it to a module of its own, or {self.give} its value"
        elif not self.allowed(kind.__module__):
            hint = f"its module is not one of the app's, nor in SCHEDULER_TASK_MODULES; {self.give} its value"
        elif (stored := write_enum(value)) is not None:
            return {TAG: "enum", "v": stored}
        else:
            hint = f"it cannot be found by its name in {kind.__module__!r}; {self.give} its value"
        raise PayloadTypeError(show(path), kind, hint)

    def refuse(self, path: Path, problem: str, hint: str) -> NoReturn:
        raise PayloadValueError(show(path), problem, f"{self.give} {hint}")


def _check_text(packer: _Packer, text: str, path: Path, has: str = "") -> None:
    packer.spend(len(text))
    if not text.isascii() and not is_unicode(text):
        problem = f"{has} holds a lone surrogate".strip()
        packer.refuse(path, problem, "it as bytes (a file's name by os.fsencode)")


def _check_int(packer: _Packer, value: int, path: Path) -> None:
    if not -_LARGEST_INT <= value <= _LARGEST_INT:
        packer.refuse(path, "is an integer of more than 640 digits", "it as text, e.g. hex(...)")


def _check_finite(packer: _Packer, value: float | Decimal, path: Path) -> None:
    if not (value.is_finite() if isinstance(value, Decimal) else math.isfinite(value)):
        packer.refuse(path, f"is {value}", "a finite number or None")


def _check_zone(packer: _Packer, value: Any, path: Path) -> None:
    if zone_is_lost(value):
        packer.refuse(path, "has a time zone without a fixed offset or name", "it with a zoneinfo.ZoneInfo")


def _check_bytes(packer: _Packer, value: bytes, path: Path) -> None:
    packer.spend(len(value))


_PLAIN = {str, int, float, bool, type(None)}
_CHECKS: dict[type, Callable[[_Packer, Any, Path], None]] = {
    str: _check_text,
    int: _check_int,
    float: _check_finite,
    Decimal: _check_finite,
    bytes: _check_bytes,
    **{kind: _check_zone for kind, (tag, _) in WRITERS.items() if tag in ("datetime", "time")},
}


def show(path: Path) -> str:
    """Return a path as a person would write it: `args[1]['user']`; `{...}` is an element of a set."""
    steps = ["{...}" if step is _ELEMENT else f"[{_short(repr(step))}]" for step in path[1:]]
    return "".join([path[0], *steps])


def _short(text: str) -> str:
    return text if len(text) <= 60 else f"{text[:57]}..."
