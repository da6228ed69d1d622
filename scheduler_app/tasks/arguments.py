"""Arguments that come as JSON: their shape, from a task's signature; and reading them by it, every problem at once."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from scheduler_app.errors import did_you_mean
from scheduler_app.shapes import Problems, Shape, published, read, step
from scheduler_app.tasks.annotations import or_null, shape_of
from scheduler_app.tasks.task import Task

_LONGEST_DEFAULT = 100


@dataclass(frozen=True)
class Parameter:
    """One parameter of a task, as JSON may say it."""

    name: str
    kind: Any
    shape: Shape
    is_needed: bool


def arguments_schema(task: Task) -> dict[str, Any]:
    """Return the JSON Schema of a call's `args` and `kwargs`: by name where the function takes names.

    A secret is `writeOnly`. Where the function tells no signature, or takes anything, so does the schema. An argument
    with a name may stand in `args`, too, at its place.
    """
    found = parameters(task)
    if found is None:
        return {"type": "object", "properties": {"args": {"type": "array"}, "kwargs": {"type": "object"}}}
    parts = {"args": _positional(found), "kwargs": _by_name(found)}
    needed = [name for name, part in parts.items() if part.get("required") or part.get("minItems")]
    required = {"required": needed} if needed else {}
    whole = {"type": "object", "properties": parts, **required, "additionalProperties": False}
    schema: dict[str, Any] = published(whole)
    return schema


def read_arguments(
    task: Task, args: Sequence[Any], kwargs: Mapping[str, Any], problems: Problems
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Return JSON's arguments as the function takes them. What does not fit is added to `problems`, by its place."""
    found = parameters(task)
    if found is None:
        return tuple(args), dict(kwargs)
    by_place = _by_place(found)
    _check_missing(found, by_place, len(args), kwargs, problems)
    rest = next((one for one in found if one.kind is one.kind.VAR_POSITIONAL), None)
    made = []
    for index, value in enumerate(args):
        taker = by_place[index] if index < len(by_place) else rest
        if taker is None:
            problems[step("/args", index)] = f"It takes no more than {len(by_place)} arguments by place."
        else:
            made.append(read(taker.shape, value, problems, step("/args", index)))
    return tuple(made), dict(_named(found, by_place[: len(args)], kwargs, problems))


def _named(
    found: Sequence[Parameter], placed: Sequence[Parameter], kwargs: Mapping[str, Any], problems: Problems
) -> Iterator[tuple[str, Any]]:
    names = {one.name: one for one in found if one.kind in (one.kind.POSITIONAL_OR_KEYWORD, one.kind.KEYWORD_ONLY)}
    others = next((one for one in found if one.kind is one.kind.VAR_KEYWORD), None)
    for name, value in kwargs.items():
        at, taker = step("/kwargs", name), names.get(name, others)
        if taker is None:
            problems[at] = f"There is no argument of this name.{did_you_mean(name, names)}"
        elif taker in placed:
            problems[at] = f"It is given twice: it stands in args, too, at place {placed.index(taker)}."
        else:
            yield name, read(taker.shape, value, problems, at)


def _check_missing(
    found: Sequence[Parameter],
    by_place: Sequence[Parameter],
    count: int,
    kwargs: Mapping[str, Any],
    problems: Problems,
) -> None:
    for one in found:
        placed = one in by_place[:count] or (one.name in kwargs and one.kind is not one.kind.POSITIONAL_ONLY)
        if one.is_needed and not placed:
            nameless = one.kind is one.kind.POSITIONAL_ONLY
            problems[step("/args", by_place.index(one)) if nameless else step("/kwargs", one.name)] = "It is missing."


# -- from the signature ----------------------------------------------------------------------------


def parameters(task: Task) -> list[Parameter] | None:
    """Return the parameters of what will be called; None where it tells no signature."""
    try:
        signature = inspect.signature(task.function, follow_wrapped=False)
    except (TypeError, ValueError):  # some functions written in C tell no signature
        return None
    scope = getattr(getattr(task.function, "__func__", task.function), "__globals__", {})
    return [_parameter(task, one, scope) for one in signature.parameters.values()]


def _parameter(task: Task, found: inspect.Parameter, scope: Mapping[str, Any]) -> Parameter:
    shape = {} if found.annotation is found.empty else dict(shape_of(found.annotation, scope))
    is_open = found.kind in (found.VAR_POSITIONAL, found.VAR_KEYWORD)
    is_secret = bool(task.secret_places((), {found.name: None}))
    if found.default is None and shape:
        shape = dict(or_null(shape))
    if not is_secret and found.default is not found.empty and _is_plain(found.default):
        shape["default"] = found.default
    if is_secret:
        shape["writeOnly"] = True
    return Parameter(found.name, found.kind, shape, found.default is found.empty and not is_open)


def _by_place(found: Sequence[Parameter]) -> list[Parameter]:
    return [one for one in found if one.kind in (one.kind.POSITIONAL_ONLY, one.kind.POSITIONAL_OR_KEYWORD)]


def _may_stand_in_args(one: Parameter, found: Sequence[Parameter]) -> bool:
    """Whether an argument with a name has to stand in `args` where more follow it there."""
    return one.kind is one.kind.POSITIONAL_OR_KEYWORD and any(o.kind is o.kind.VAR_POSITIONAL for o in found)


def _is_plain(value: Any) -> bool:
    """Whether a default may be shown: plain, and short."""
    if isinstance(value, float):
        return value - value == 0  # neither infinite nor no number
    return value is None or type(value) in (bool, int) or (type(value) is str and len(value) <= _LONGEST_DEFAULT)


# -- the schema ------------------------------------------------------------------------------------


def _positional(found: Sequence[Parameter]) -> dict[str, Any]:
    by_place = _by_place(found)
    first = {"prefixItems": [{"title": one.name, **one.shape} for one in by_place]} if by_place else {}
    rest = [one.shape for one in found if one.kind is one.kind.VAR_POSITIONAL]
    least = sum(one.is_needed for one in by_place if one.kind is one.kind.POSITIONAL_ONLY)
    bounds = ({"minItems": least} if least else {}) | ({} if rest else {"maxItems": len(by_place)})
    return {"type": "array", **first, **({"items": rest[0]} if rest else {}), **bounds}


def _by_name(found: Sequence[Parameter]) -> dict[str, Any]:
    named = [one for one in found if one.kind in (one.kind.POSITIONAL_OR_KEYWORD, one.kind.KEYWORD_ONLY)]
    others = [one.shape for one in found if one.kind is one.kind.VAR_KEYWORD]
    always = [one for one in named if not _may_stand_in_args(one, found)]
    needed = [one.name for one in always if one.is_needed]
    required = {"required": needed} if needed else {}
    more = (others[0] or True) if others else False
    properties = {one.name: one.shape for one in named}
    return {"type": "object", "properties": properties, **required, "additionalProperties": more}
