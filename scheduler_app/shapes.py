"""Shapes: what JSON may say, as JSON Schema; and reading a value by one, with every problem told by its place.

One table of shapes checks what comes in, describes it to programs and documents it. Of JSON Schema (2020-12) it knows
what `_CHECKS` and `_check_together` name; what else stands in a shape is published, and for its reader to check. A
shape may say under `READ` what Python makes of a value; that is never published.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from .errors import did_you_mean

Shape = Mapping[str, Any]
Problems = dict[str, str]
"""What is wrong, by JSON pointers (RFC 6901)."""

READ = "x-read"
"""Beside this stands what reads a value that has the shape; it raises ValueError with the words that follow "It"."""

PRINTABLE = "printable"
"""The format of what a person reads in one line: no control characters, and no blanks but the space."""


def read(shape: Shape, value: Any, problems: Problems, at: str = "") -> Any:
    """Return a JSON value as Python takes it. Whatever is wrong with it is added to `problems`, which show no value."""
    if "anyOf" in shape:
        return _read_any(shape["anyOf"], value, problems, at)
    kind = shape.get("type")
    if kind is not None and not _KINDS[kind][1](value):
        problems[at] = f"It must be {_KINDS[kind][0]}, not {_kind_of(value)}."
        return value
    wrong = [said for name, check in _CHECKS.items() if name in shape and (said := check(shape[name], value))]
    if wrong:
        problems[at] = f"It {wrong[0]}"
        return value
    known = len(problems)
    value = _deeper(shape, value, problems, at)
    return value if len(problems) > known else _made(shape, value, problems, at)


def published(shape: Any) -> Any:
    """Return a shape as others may see it: plain JSON Schema."""
    if isinstance(shape, Mapping):
        return {name: published(part) for name, part in shape.items() if name != READ}
    return [published(part) for part in shape] if isinstance(shape, list | tuple) else shape


def step(pointer: str, name: str | int) -> str:
    """Return the pointer to what is below another by this name or position."""
    return f"{pointer}/{str(name).replace('~', '~0').replace('/', '~1')}"


def instant(text: str) -> datetime:
    """Return an RFC 3339 instant. Raises ValueError for another text, and for one that does not tell its offset."""
    try:
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is None:
            raise ValueError
        return moment.astimezone(UTC)
    except (ValueError, OverflowError):
        raise ValueError("must be an instant with its offset, such as '2026-03-01T03:00:00Z'.") from None


INSTANT: Shape = {"type": "string", "format": "date-time", READ: instant}


# -- kinds -----------------------------------------------------------------------------------------

_KINDS: Mapping[str, tuple[str, Callable[[Any], bool]]] = {
    "null": ("null", lambda value: value is None),
    "boolean": ("true or false", lambda value: isinstance(value, bool)),
    "integer": ("a whole number", lambda value: _is_number(value) and value == int(value)),
    "number": ("a number", lambda value: _is_number(value)),
    "string": ("a string", lambda value: isinstance(value, str)),
    "array": ("an array", lambda value: isinstance(value, list)),
    "object": ("an object", lambda value: isinstance(value, dict)),
}


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _kind_of(value: Any) -> str:
    return next(words for words, fits in _KINDS.values() if fits(value))


def _read_any(shapes: Sequence[Shape], value: Any, problems: Problems, at: str) -> Any:
    """Read a value by the first shape that it has; else tell what is wrong by the one that comes nearest."""
    near: list[Problems] = []
    for shape in shapes:
        told: Problems = {}
        made = read(shape, value, told, at)
        if not told:
            return made
        if "type" not in shape or _KINDS[shape["type"]][1](value):
            near.append(told)
    if len(near) == 1:
        problems.update(near[0])
    else:
        kinds = [_KINDS[shape["type"]][0] for shape in shapes if "type" in shape]
        problems[at] = f"It must be {' or '.join(dict.fromkeys(kinds)) or 'of another kind'}, not {_kind_of(value)}."
    return value


# -- what a value is by itself: each answers the words that follow "It", or nothing ---------------------


def _pattern(pattern: str, value: Any) -> str | None:
    is_wrong = isinstance(value, str) and re.fullmatch(pattern, value) is None
    return f"does not have the form {pattern}." if is_wrong else None


def _enum(known: list[Any], value: Any) -> str | None:
    if any(type(one) is type(value) and one == value for one in known):
        return None
    hint = did_you_mean(value, [one for one in known if isinstance(one, str)]) if isinstance(value, str) else ""
    return f"must be one of {', '.join(map(repr, known))}.{hint}"


def _format(name: str, value: Any) -> str | None:
    is_wrong = name == PRINTABLE and isinstance(value, str) and not value.isprintable()
    return "must be one line of printable characters." if is_wrong else None


_CHECKS: Mapping[str, Callable[[Any, Any], str | None]] = {
    "enum": _enum,
    "minimum": lambda least, value: f"must be {least} or more." if _is_number(value) and value < least else None,
    "exclusiveMinimum": lambda low, value: f"must be more than {low}." if _is_number(value) and value <= low else None,
    "maximum": lambda most, value: f"must be {most} or less." if _is_number(value) and value > most else None,
    "minLength": lambda n, value: "must not be empty." if isinstance(value, str) and len(value) < n else None,
    "maxLength": lambda n, value: f"has {len(value)} characters; {n} is the most." if _is_over(str, n, value) else None,
    "minItems": lambda n, value: f"must have {n} or more." if isinstance(value, list) and len(value) < n else None,
    "maxItems": lambda n, value: f"has {len(value)}; {n} is the most." if _is_over(list, n, value) else None,
    "minProperties": lambda n, value: "says nothing." if isinstance(value, dict) and len(value) < n else None,
    "pattern": _pattern,
    "format": _format,
}


def _is_over(kind: type, most: int, value: Any) -> bool:
    return isinstance(value, kind) and len(value) > most  # type: ignore[arg-type]


# -- what is in it ---------------------------------------------------------------------------------


def _deeper(shape: Shape, value: Any, problems: Problems, at: str) -> Any:
    if isinstance(value, dict):
        _check_together(shape, value, problems, at)
        return _fields(shape, value, problems, at)
    if isinstance(value, list):
        first, rest = shape.get("prefixItems", ()), shape.get("items", {})
        shapes = [first[index] if index < len(first) else rest for index in range(len(value))]
        return [read(one, item, problems, step(at, i)) for i, (one, item) in enumerate(zip(shapes, value, strict=True))]
    return value


def _fields(shape: Shape, value: dict[str, Any], problems: Problems, at: str) -> dict[str, Any]:
    known, others = shape.get("properties", {}), shape.get("additionalProperties", True)
    made: dict[str, Any] = {}
    for name, part in value.items():
        if name in known:
            made[name] = read(known[name], part, problems, step(at, name))
        elif others is False:
            problems[step(at, name)] = f"There is no field {_short(name)}.{did_you_mean(name, known)}"
        else:
            made[name] = read({} if others is True else others, part, problems, step(at, name))
    for name in shape.get("required", ()):
        if name not in value:
            problems[step(at, name)] = "It is missing."
    return made


def _check_together(shape: Shape, value: dict[str, Any], problems: Problems, at: str) -> None:
    """Tell of fields that exclude each other, and of those that need another one."""
    never = shape.get("not", {}).get("required", ())
    if never and all(name in value for name in never):
        problems[step(at, never[-1])] = f"It takes {' or '.join(never)}, not both."
    for name, needed in shape.get("dependentRequired", {}).items():
        missing = [other for other in needed if name in value and other not in value]
        if missing:
            problems[step(at, name)] = f"It needs {', '.join(missing)} beside it."


def _short(text: str) -> str:
    return repr(text if len(text) <= 60 else f"{text[:57]}...")


# -- what Python makes of it -----------------------------------------------------------------------


def _made(shape: Shape, value: Any, problems: Problems, at: str) -> Any:
    if shape.get("type") == "integer":
        value = int(value)
    try:
        return shape[READ](value) if READ in shape else value
    except (ValueError, ArithmeticError) as wrong:
        problems[at] = f"It {wrong}"
        return value
