"""How the raw value of one setting is read: Python's own, or the text that the environment holds.

A reader takes any value and gives the clean one, or raises `Refused` with what is wrong, in words that the name of the
setting begins ("SCHEDULER_MAX_PAGE" + " must be ..."). The value of a secret is never part of those words.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping
from datetime import timedelta, tzinfo
from types import MappingProxyType
from typing import Any, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from scheduler_app.errors import did_you_mean

Reader = Callable[[Any], Any]

ADMIN_ROLES: Final = ("viewer", "operator", "admin")
MOST_SECONDS: Final = 1000 * 365 * 86_400


class Refused(ValueError):
    """A raw value cannot be used; each of `problems` completes the sentence that the setting's name begins."""

    def __init__(self, *problems: str) -> None:
        self.problems = problems
        super().__init__(*problems)


def shown(raw: Any) -> str:
    """Give the repr of a value that is no secret, cut to 60 characters."""
    text = repr(raw)
    return text if len(text) <= 60 else text[:57] + "..."


def parsed(raw: Any) -> Any:
    """Give the list or mapping that a text spells in JSON, and anything else as it is."""
    if not isinstance(raw, str) or raw.lstrip()[:1] not in ("{", "["):
        return raw
    try:
        return json.loads(raw)
    except ValueError as error:
        raise Refused(f"begins like JSON and is not: {error}.") from None


# -- numbers and words -----------------------------------------------------------------------------


def _number(raw: Any) -> float:
    """Give the number that `raw` is or spells, or NaN."""
    if isinstance(raw, bool) or not isinstance(raw, int | float | str):
        return math.nan
    try:
        return float(raw)
    except (ValueError, OverflowError):
        return math.nan


def seconds(*, least: float) -> Reader:
    """Read a number of seconds, or a timedelta, from `least` to a thousand years."""

    def read(raw: Any) -> float:
        number = raw.total_seconds() if isinstance(raw, timedelta) else _number(raw)
        if not least <= number <= MOST_SECONDS:  # False for NaN too.
            raise Refused(f"must be a number of seconds from {least:g} to {MOST_SECONDS}, not {shown(raw)}.")
        return number

    return read


def count(of: str, *, least: int = 1, most: int = 2**31 - 1) -> Reader:
    """Read a whole number `of` something, from `least` to `most`; 5.0 and '5' are 5."""

    def read(raw: Any) -> int:
        number = _number(raw)
        if not least <= number <= most or number != int(number):
            raise Refused(f"must be a whole number of {of} from {least} to {most}, not {shown(raw)}.")
        return int(number)

    return read


def switch(raw: Any) -> bool:
    """Read true or false, also as yes/no, on/off and 1/0."""
    word = str(raw).strip().lower()
    if word in ("true", "yes", "on", "1", "1.0"):
        return True
    if word in ("false", "no", "off", "0", "0.0"):
        return False
    raise Refused(f"must be true or false, not {shown(raw)}.")


def one_of(*words: str) -> Reader:
    """Read one of `words`, in any case."""

    def read(raw: Any) -> str:
        word = str(raw).strip().lower()
        if word not in words:
            allowed = ", ".join(map(repr, words[:-1])) + f" or {words[-1]!r}"
            raise Refused(f"must be {allowed}, not {shown(raw)}.{did_you_mean(word, words)}")
        return word

    return read


def strings(raw: Any) -> tuple[str, ...] | None:
    """Give a list of texts, or one text with commas, as a tuple without blanks; None for anything else."""
    found = parsed(raw)
    items = found.split(",") if isinstance(found, str) else found
    if not isinstance(items, list | tuple | set | frozenset) or not all(isinstance(item, str) for item in items):
        return None
    return tuple(item.strip() for item in items)


def modules(raw: Any) -> tuple[str, ...]:
    """Read a list of names of modules or packages, or one text with commas."""
    names = strings(raw)
    if names is None:
        raise Refused(f"must be a list of module names, such as ['myapp.tasks'], not {shown(raw)}.")
    bad = [name for name in names if not all(part.isidentifier() for part in name.split("."))]
    if bad:
        raise Refused(*(f"lists {name!r}, which is not a module name such as 'myapp.tasks'." for name in bad))
    return names


def zone(raw: Any) -> ZoneInfo:
    """Read a time zone by its IANA name, or any tzinfo that has one."""
    if isinstance(raw, ZoneInfo):
        return raw
    name = str(raw).strip() if isinstance(raw, str | tzinfo) else ""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        hint = did_you_mean(name, available_timezones())
        raise Refused(f"must be the name of a time zone, such as 'Europe/Oslo', not {shown(raw)}.{hint}") from None


def prefix(raw: Any) -> str:
    """Read the first part of a URL's path, such as `/scheduler`; a slash at its end is dropped."""
    path = str(raw).strip()
    if not re.fullmatch(r"(/[\w.~-]+)+/?", path, re.ASCII):
        raise Refused(f"must be a path that starts with '/', such as '/scheduler', not {shown(raw)}.")
    return path.rstrip("/")


def app_path(raw: Any) -> str:
    """Read what `flask --app` takes: a module or a file, perhaps with a name or a call after a colon."""
    if not isinstance(raw, str):
        raise Refused(f"must be text such as 'shop:create_app', not a value of type {type(raw).__name__}.")
    return raw.strip()


def base_url(raw: Any) -> str:
    """Read the address under which an app is reached: scheme, host and perhaps a path."""
    address = str(raw).strip()
    if not re.fullmatch(r"https?://[^\s/?#@]+(/[^\s?#]*)?", address):
        raise Refused(f"must be an address such as 'https://shop.example/', not {shown(raw)}.")
    return address


# -- secrets ---------------------------------------------------------------------------------------


def secret(raw: Any) -> str:
    """Read a text or bytes; also an int, which an all-digits text has become on its way through JSON, unharmed."""
    if isinstance(raw, bool) or not isinstance(raw, str | bytes | int) or raw in ("", b""):
        raise Refused("must be a text that is not empty. Quote it where the environment reads it as something else.")
    if not isinstance(raw, bytes):
        return str(raw)
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw.decode("latin-1")  # Any bytes, each kept apart from all others.


def secrets(raw: Any) -> tuple[str, ...]:
    """Read one secret, or a list of them."""
    try:
        found = parsed(raw)
    except Refused:
        found = raw  # A secret may begin with a bracket.
    return tuple(map(secret, found)) if isinstance(found, list | tuple) and found else (secret(found),)


def token(raw: Any) -> str:
    """Read a bearer token: printable ASCII without spaces."""
    word = secret(raw)
    if not re.fullmatch(r"[!-~]+", word):
        raise Refused("must consist of printable ASCII characters without spaces, as a bearer token does.")
    return word


def tokens(raw: Any) -> Mapping[str, str]:
    """Read a mapping of bearer token to admin role."""
    found = parsed(raw)
    if not isinstance(found, Mapping):
        raise Refused("must be a mapping of token to role, such as {'<token>': 'viewer'}.")
    roles = {token(name): str(role).strip().lower() for name, role in found.items()}
    unknown = sorted(set(roles.values()) - set(ADMIN_ROLES))
    if unknown:  # Not shown: in a mapping that is the wrong way round these are the tokens.
        hint = did_you_mean(unknown[0], ADMIN_ROLES)
        raise Refused(f"must give each token the role 'viewer', 'operator' or 'admin'.{hint}")
    return MappingProxyType(roles)
