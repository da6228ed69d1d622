"""Reading a filter: from one text, from the words of a terminal, from the parameters of an address."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Sequence
from typing import Any

from ..errors import FilterError, did_you_mean
from .conditions import FIELD_OF, READERS, Said, argument, shown, split
from .job_filter import JobFilter

LONGEST_VALUE = 500
MOST_WORDS = 50

NAMES = (*READERS, *FIELD_OF, "args.")
"""The names of all filters; after "args." comes that of an argument."""


def parse_filter(text: str) -> JobFilter:
    """Return the filter that a text says, its words apart as a shell takes them apart. Raises `FilterError`."""
    try:
        return filter_of_words(shlex.split(text))
    except ValueError as error:
        if isinstance(error, FilterError):
            raise
        said = "The filter has a quotation mark that does not close, or a backslash at its end."
        raise FilterError({"filter": said}) from None


def filter_of_words(words: Iterable[str], known: Sequence[str] = ()) -> JobFilter:
    """Return the filter that these words say. Raises `FilterError` with every problem at once.

    `known` are further names for "did you mean".
    """
    said: dict[str, list[Said]] = {}
    problems: dict[str, str] = {}
    for number, word in enumerate(words):
        if number == MOST_WORDS:
            problems["q"] = f"The filter has more than {MOST_WORDS} words."
            break
        one = split(word)
        said.setdefault(FIELD_OF.get(one.name, one.name), []).append(one)
    found: dict[str, Any] = {}
    for name, listed in said.items():
        try:
            _read(name, listed, found)
        except _UnknownError:
            hint = did_you_mean(name, [*NAMES, *known])
            problems[name] = f"There is no filter {shown(name)}.{hint}"
        except ValueError as problem:
            problems[listed[-1].name] = f"The filter {shown(listed[-1].name)} {problem}"
    if problems:
        raise FilterError(problems)
    return JobFilter(**found)


def filter_of_parameters(pairs: Iterable[tuple[str, str]], known: Sequence[str] = ()) -> JobFilter:
    """Return the filter that the parameters of an address say: ``created>=2026-01-01`` is one named ``created>``."""
    return filter_of_words((_joined(name, value) for name, value in pairs), known)


class _UnknownError(Exception):
    """There is no filter of this name."""


def _joined(name: str, value: str) -> str:
    has_sign = re.search("[<>~]", name) is not None
    return name if has_sign and not value and name[-1] not in "<>~" else f"{name}={value}"


def _read(name: str, listed: Sequence[Said], found: dict[str, Any]) -> None:
    """Read all that is said of one thing. Raises ValueError with the words that follow the filter's name."""
    for one in listed:
        if len(one.value) > LONGEST_VALUE:
            raise ValueError(f"must be at most {LONGEST_VALUE} characters.")
    if name.startswith("args."):
        found["arguments"] = (*found.get("arguments", ()), *(argument(one) for one in listed))
    elif name in READERS:
        into, read = READERS[name]
        found[into] = read(listed)
    else:
        raise _UnknownError
