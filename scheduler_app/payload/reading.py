"""Read stored arguments and results back; whatever is malformed is one error and nothing else."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Any, NamedTuple

from scheduler_app.errors import MalformedPayloadError, ResultError, UnknownValueError
from scheduler_app.payload.tags import CONTAINERS, DEEPEST, READERS, TAG, Allowed, is_unicode, read_enum


class Call(NamedTuple):
    """What a stored payload says: the arguments of the function, and the context carried with them."""

    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    context: dict[str, Any]
    secret: tuple[int | str, ...] = ()
    """The places of arguments that nobody may see, as `encode_call` got them."""


def decode_call(text: str, *, allowed: Allowed) -> Call:
    """Return the arguments that `encode_call` wrote. Raises `MalformedPayloadError` and nothing else.

    That is `UnknownValueError` where a value is well written, and of a type or Enum that is not known here.
    """
    parts = _load(text)
    if type(parts) is not dict or not _is_call(parts):
        raise MalformedPayloadError("they are not an object of arguments, keyword arguments and context")
    args, kwargs, context = parts["a"], parts["k"], parts.get("c", {})
    if _needs_a_walk(text):
        reader = _Reader(allowed)
        args = reader.items(args, DEEPEST)
        kwargs, context = reader.table(kwargs, DEEPEST), reader.table(context, DEEPEST)
    return Call(tuple(args), kwargs, context, tuple(parts.get("s", ())))


def decode_result(text: str, *, allowed: Allowed) -> Any:
    """Return the value that `encode_result` wrote. Raises `ResultError` and nothing else."""
    try:
        value = _load(text)
        return _Reader(allowed).read(value, DEEPEST) if _needs_a_walk(text) else value
    except MalformedPayloadError as error:
        raise ResultError("read", f"{error.reason}.") from None


def _is_call(parts: dict[str, Any]) -> bool:
    return (
        type(parts.get("a")) is list
        and type(parts.get("k")) is dict
        and (len(parts) == 2 or _is_rest({name: part for name, part in parts.items() if name not in ("a", "k")}))
    )


def _is_rest(parts: dict[str, Any]) -> bool:
    context, secret = parts.pop("c", {}), parts.pop("s", [])
    return not parts and type(context) is dict and type(secret) is list and all(type(s) in (int, str) for s in secret)


# -- JSON ------------------------------------------------------------------------------------------------------------


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text[:40]} is not a finite number")
    return value


_from_json = json.JSONDecoder(parse_constant=_finite, parse_float=_finite).decode


def _load(text: str) -> Any:
    if type(text) is not str:
        raise MalformedPayloadError("they are not text")
    try:
        return _from_json(text)
    except (ValueError, RecursionError) as error:
        raise MalformedPayloadError(f"they are not JSON ({error})") from None


def _needs_a_walk(text: str) -> bool:
    """Return whether the text may hold tags, surrogates or too many levels; most hold none and are done."""
    return (
        '"$"' in text
        or "\\u0024" in text
        or "\\ud" in text
        or "\\uD" in text
        or not text.isascii()
        or text.count("[") + text.count("{") > DEEPEST
    )


# -- tags ------------------------------------------------------------------------------------------------------------


class _Reader:
    """Turns plain JSON back into values."""

    def __init__(self, allowed: Allowed) -> None:
        self.allowed = allowed

    def read(self, value: Any, depth: int) -> Any:
        kind = type(value)
        if kind is str:
            return _text(value)
        if kind is list:
            return self.items(value, depth - 1)
        if kind is dict:
            return self.tagged(value, depth - 1) if TAG in value else self.table(value, depth - 1)
        return value

    def items(self, items: list[Any], depth: int) -> list[Any]:
        _check_depth(depth)
        return [self.read(item, depth) for item in items]

    def table(self, table: dict[str, Any], depth: int) -> dict[str, Any]:
        _check_depth(depth)
        return {_text(key): self.read(item, depth) for key, item in table.items()}

    def tagged(self, value: dict[str, Any], depth: int) -> Any:
        tag, stored = value[TAG], value.get("v")
        if len(value) != 2 or "v" not in value or type(tag) is not str:
            raise MalformedPayloadError("an object with the key '$' is not a tag and its value")
        try:
            return self.value(tag, stored, depth)
        except MalformedPayloadError:
            raise
        except (Exception, SystemExit) as error:  # whatever a constructor or an imported module raises
            reason = f"{type(error).__name__}: {error}"[:200]
            kind = UnknownValueError if tag == "enum" else MalformedPayloadError
            raise kind(f"the value of a {tag!r} is not valid ({reason})") from None

    def value(self, tag: str, stored: Any, depth: int) -> Any:
        if tag in READERS:
            return READERS[tag](stored)
        if tag in _MAKERS:
            return _MAKERS[tag](self.items(_of(list, stored), depth))
        if tag == "dict":
            return self.table(_of(dict, stored), depth)
        if tag == "enum":
            return read_enum(_of(list, stored), self.allowed)
        raise UnknownValueError(f"the tag {tag[:40]!r} is unknown")


_MAKERS: dict[str, Callable[[list[Any]], Any]] = {tag: kind for kind, tag in CONTAINERS.items()}


def _of(kind: type, stored: Any) -> Any:
    if type(stored) is not kind:
        raise TypeError(f"not a {kind.__name__}")
    return stored


def _text(text: str) -> str:
    if not text.isascii() and not is_unicode(text):
        raise MalformedPayloadError("a text holds a lone surrogate")
    return text


def _check_depth(depth: int) -> None:
    if depth < 0:
        raise MalformedPayloadError(f"they are nested more than {DEEPEST} levels deep")
