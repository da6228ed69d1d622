"""The arguments of a call as a person types them: words by position, and NAME=VALUE."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any

import click


def typed_call(words: Sequence[str]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Return the positional and the keyword arguments that these words mean.

    ``NAME=VALUE`` is a keyword argument where NAME could be one of Python's, every other word a positional one. A
    value is what it says as JSON (``5``, ``true``, ``null``, ``"5"``, ``[1, 2]``), and a text where it is none.
    Raises `click.UsageError` for a name that is given twice.
    """
    args: list[Any] = []
    kwargs: dict[str, Any] = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals or not name.isidentifier():
            args.append(typed_value(word))
        elif name in kwargs:
            raise click.UsageError(f"{name}=... is given twice.")
        else:
            kwargs[name] = typed_value(value)
    return tuple(args), kwargs


def typed_value(text: str) -> Any:
    """Return the value that a word says as JSON; where it is none, the word itself."""
    try:
        return json.loads(text, parse_constant=_refuse, parse_float=_finite)
    except (ValueError, RecursionError):
        return text


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        _refuse(text)
    return number


def _refuse(text: str) -> None:
    raise ValueError(f"{text} is no number of JSON")
