"""Annotations of a task's parameters as shapes: what JSON says for each, and what Python makes of that."""

from __future__ import annotations

import datetime as dt
import types
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from decimal import Decimal, InvalidOperation
from enum import Enum
from typing import Any, ForwardRef, Literal, NewType, Union, get_args, get_origin, is_typeddict
from uuid import UUID

from scheduler_app.shapes import INSTANT, READ, Shape

_DEEPEST = 6
_SCALARS = (str, int, float, bool, type(None))


def shape_of(noted: Any, scope: Mapping[str, Any], depth: int = _DEEPEST) -> Shape:
    """Return the shape of an annotation; {}, which takes anything, for one that JSON has no word for."""
    if depth < 0:
        return {}
    noted = _bare(_named(noted, scope), scope)
    simple = _SIMPLE.get(noted) if isinstance(noted, type) else None
    if simple is not None:
        return simple
    if isinstance(noted, type) and issubclass(noted, Enum):
        return _of_enum(noted)
    if noted is None or is_typeddict(noted):
        return {"type": "null" if noted is None else "object"}
    origin, parts = get_origin(noted), get_args(noted)
    if origin in (Union, types.UnionType):
        return _any_of([shape_of(part, scope, depth - 1) for part in parts])
    if origin is Literal:
        return {"enum": list(parts)} if all(isinstance(part, _SCALARS) for part in parts) else {}
    return _of_container(origin or noted, parts, lambda part: shape_of(part, scope, depth - 1))


def or_null(shape: Shape) -> Shape:
    """Return a shape that takes null, too."""
    return _any_of([shape, {"type": "null"}])


def _named(noted: Any, scope: Mapping[str, Any]) -> Any:
    """Return what an annotation that is written as text stands for; Any where it leads nowhere."""
    text = noted.__forward_arg__ if isinstance(noted, ForwardRef) else noted
    if not isinstance(text, str):
        return noted
    try:
        return eval(text, dict(scope))  # noqa: S307 - the app's own code, as Python itself would evaluate it
    except Exception:  # a name that is imported for type checkers only, say
        return Any


def _bare(noted: Any, scope: Mapping[str, Any]) -> Any:
    """Return what `Annotated`, a `NewType` or an alias stands for."""
    for _ in range(_DEEPEST):
        if hasattr(noted, "__metadata__"):
            noted = noted.__origin__
        elif isinstance(noted, NewType):
            noted = noted.__supertype__
        elif type(noted).__name__ == "TypeAliasType":
            noted = noted.__value__
        else:
            break
        noted = _named(noted, scope)
    return noted


def _any_of(shapes: Sequence[Shape]) -> Shape:
    flat = [part for shape in shapes for part in shape.get("anyOf", [shape])]
    distinct = [shape for index, shape in enumerate(flat) if shape not in flat[:index]]
    if any(not shape for shape in distinct):
        return {}
    return distinct[0] if len(distinct) == 1 else {"anyOf": distinct}


def _of_enum(kind: type[Enum]) -> Shape:
    values = [member.value for member in kind]
    if not values or not all(isinstance(value, _SCALARS) for value in values):
        return {}
    return {"enum": values, READ: kind}


def _of_container(kind: Any, parts: tuple[Any, ...], shaped: Callable[[Any], Shape]) -> Shape:
    if not isinstance(kind, type):
        return {}
    if issubclass(kind, tuple):
        return _of_tuple(parts, shaped)
    items = {"items": shaped(parts[0])} if parts and shaped(parts[0]) else {}
    if issubclass(kind, AbstractSet):
        made = frozenset if kind is frozenset else set
        return {"type": "array", **items, "uniqueItems": True, READ: lambda value: _hashed(made, value)}
    if issubclass(kind, Mapping):
        values = {"additionalProperties": shaped(parts[1])} if len(parts) == 2 and shaped(parts[1]) else {}
        return {"type": "object", **values}
    if kind in (list, Sequence, Collection, Iterable):
        return {"type": "array", **items}
    return {}


def _of_tuple(parts: tuple[Any, ...], shaped: Callable[[Any], Shape]) -> Shape:
    if len(parts) == 2 and parts[1] is Ellipsis:
        return {"type": "array", "items": shaped(parts[0]), READ: tuple}
    if not parts:
        return {"type": "array", READ: tuple}
    each = [shaped(part) for part in parts]
    return {"type": "array", "prefixItems": each, "minItems": len(each), "maxItems": len(each), READ: tuple}


# -- what is text in JSON --------------------------------------------------------------------------


def _reads(make: Callable[[str], Any], words: str) -> Callable[[str], Any]:
    def made(text: str) -> Any:
        try:
            return make(text)
        except (ValueError, InvalidOperation):
            raise ValueError(f"must be {words}.") from None

    return made


def _hashed(make: Callable[[Any], Any], items: list[Any]) -> Any:
    try:
        return make(items)
    except TypeError:
        raise ValueError("must have no arrays or objects in it, for it becomes a set.") from None


def _seconds(seconds: float) -> dt.timedelta:
    try:
        return dt.timedelta(seconds=seconds)
    except OverflowError:
        raise ValueError("is too many seconds.") from None


_SIMPLE: Mapping[type, Shape] = {
    str: {"type": "string"},
    bool: {"type": "boolean"},
    int: {"type": "integer"},
    float: {"type": "number"},
    type(None): {"type": "null"},
    dt.datetime: INSTANT,
    dt.date: {"type": "string", "format": "date", READ: _reads(dt.date.fromisoformat, "a date such as '2026-03-01'")},
    dt.time: {"type": "string", "format": "time", READ: _reads(dt.time.fromisoformat, "a time such as '03:00:00'")},
    dt.timedelta: {"type": "number", "description": "Seconds.", READ: _seconds},
    UUID: {"type": "string", "format": "uuid", READ: _reads(UUID, "a UUID")},
    Decimal: {"type": "string", "format": "decimal", READ: _reads(Decimal, "a decimal number such as '12.50'")},
}
"""Annotations that have one shape; `datetime` takes only what tells its offset."""
