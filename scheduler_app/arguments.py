"""One argument of a stored call, found by its path and compared with what a person typed."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

TAG = "$"
"""Under this name stands the type of a value that JSON has none for, beside "v": `payload.tags` writes it."""

_MISSING = object()


@dataclass(frozen=True, slots=True)
class Argument:
    """What an argument is: a keyword's name or a position, further names and positions inside it, and its value."""

    path: tuple[str, ...]
    text: str

    @property
    def value(self) -> Any:
        """The value: JSON where the text is JSON, else the text. So 1 is the number, and "1", in quotes, the text."""
        try:
            return json.loads(self.text, parse_constant=_refuse, parse_float=_finite)
        except (ValueError, RecursionError):
            return self.text

    def is_in(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> bool:
        """Whether a call, as it is stored, has this argument with this value."""
        first, *rest = self.path
        found = _part(args, first) if _is_position(first) else kwargs.get(first, _MISSING)
        for name in rest:
            found = _part(_bare(found), name)
        return found is not _MISSING and (
            _is_same(found, self.value) or (_is_tagged(found) and found["v"] == self.text)
        )


def _refuse(constant: str) -> Any:
    raise ValueError(f"{constant} is no JSON")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError("not a finite number")
    return number


def _is_position(name: str) -> bool:
    return name.isascii() and name.isdecimal()


def _part(whole: Any, name: str) -> Any:
    if isinstance(whole, list | tuple):
        return whole[int(name)] if _is_position(name) and int(name) < len(whole) else _MISSING
    return whole.get(name, _MISSING) if isinstance(whole, Mapping) else _MISSING


def _bare(stored: Any) -> Any:
    """Return what stands under a tag, such as the digits of a Decimal; of any other value, the value."""
    return stored["v"] if _is_tagged(stored) else stored


def _is_tagged(stored: Any) -> bool:
    return isinstance(stored, Mapping) and stored.keys() == {TAG, "v"}


def _is_same(stored: Any, wanted: Any) -> bool:
    """Whether two values of JSON are one: 1 is 1.0, but neither is true or "1"."""
    stored = _bare(stored)
    if isinstance(stored, bool) or isinstance(wanted, bool):
        return stored is wanted
    if isinstance(stored, list) and isinstance(wanted, list):
        return len(stored) == len(wanted) and all(map(_is_same, stored, wanted))
    if isinstance(stored, Mapping) and isinstance(wanted, Mapping):
        return stored.keys() == wanted.keys() and all(_is_same(stored[name], wanted[name]) for name in stored)
    return (type(stored) is type(wanted) and stored == wanted) or (_are_numbers(stored, wanted) and stored == wanted)


def _are_numbers(*values: Any) -> bool:
    return all(isinstance(value, int | float) for value in values)
