"""What stands in the place of a secret: in arguments by their places, in texts by their values."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import quote, quote_plus

from scheduler_app.payload.tags import TAG

MASK = "***"
SHORTEST = 4
"""How many characters a value has at least that is looked for in texts: a shorter one would be found by chance."""
SHORTEST_LINE = 8
"""The same, of one line of a value of several lines."""

Scrub = Callable[[str], str]


def as_it_is(text: str) -> str:
    """Return the text: what scrubs where nothing is secret."""
    return text


def masked(
    args: Sequence[Any], kwargs: Mapping[str, Any], places: Collection[int | str]
) -> tuple[list[Any], dict[str, Any]]:
    """Return arguments with those at these places replaced."""
    return (
        [MASK if index in places else value for index, value in enumerate(args)],
        {name: MASK if name in places else value for name, value in kwargs.items()},
    )


def scrubber(args: Sequence[Any], kwargs: Mapping[str, Any], places: Collection[int | str]) -> Scrub:
    """Return what replaces, in a text, the values of the arguments at these places, however they are spelled there.

    As they are, as `repr` or JSON or a URL spells them, and as base64 and hexadecimal digits of bytes; with values in
    containers, one by one. Not what a function made of them: half of one, or its hash.
    """
    if not places:
        return as_it_is
    values = [value for index, value in enumerate(args) if index in places]
    values += [value for name, value in kwargs.items() if name in places]
    forms = {form for value in values for leaf in _leaves(value) for form in _spellings(leaf)}
    if not forms:
        return as_it_is
    found = re.compile("|".join(map(re.escape, sorted(forms, key=len, reverse=True))))
    return lambda text: found.sub(MASK, text)


def _leaves(value: Any) -> Iterator[Any]:
    """Yield the plain values in a value; of one that was read as plain JSON, not the names of its tags."""
    if isinstance(value, Mapping):
        for name, part in value.items():
            if name != TAG:
                yield from _leaves(part)
        if value.get(TAG) == "bytes":
            yield from _bytes_of(value.get("v"))
    elif isinstance(value, list | tuple | set | frozenset):
        for part in value:
            yield from _leaves(part)
    elif value is not None and not isinstance(value, bool):
        yield value


def _bytes_of(text: Any) -> Iterator[bytes]:
    try:
        yield base64.b64decode(text)
    except (ValueError, TypeError):
        return


def _spellings(leaf: Any) -> Iterator[str]:
    for text in _texts(leaf):
        yield from _forms(text, SHORTEST)
        lines = text.splitlines()
        for line in lines if len(lines) > 1 else ():
            yield from _forms(line, SHORTEST_LINE)


def _forms(text: str, shortest: int) -> Iterator[str]:
    if len(text.strip()) >= shortest:
        yield from (text, repr(text)[1:-1], json.dumps(text)[1:-1], " ".join(text.split()))
        if text.isascii() or not any("\ud800" <= char <= "\udfff" for char in text):
            yield from (quote(text), quote(text, safe=""), quote_plus(text))


def _texts(leaf: Any) -> list[str]:
    if not isinstance(leaf, bytes):
        return [str(leaf)]
    texts = [repr(leaf)[2:-1], leaf.hex(), base64.b64encode(leaf).decode()]
    try:
        return [*texts, leaf.decode()]
    except UnicodeDecodeError:
        return texts
