"""The types beyond JSON that a payload may carry, each with how it is written and how it is read."""

from __future__ import annotations

import base64
import datetime as dt
import importlib
import importlib.util
import os
import re
import sys
from collections.abc import Callable
from decimal import Decimal
from enum import Enum, Flag
from types import ModuleType
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

Allowed = Callable[[str], bool]
"""Whether the Enums of a module may be named in a payload; `ModuleRule.allows` is one."""

TAG = "$"
DEEPEST = 100
"""Levels of nesting that can be read back whatever the caller's stack; a larger `max_depth` counts as this."""

_ISO = re.compile(r"([^\[]+)(?:\[([^\]=]+)\])?(\[fold=1\])?")


def is_unicode(text: str) -> bool:
    """Return whether `text` holds no lone surrogates, which no database and no other program could read."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _unfrozen(kind: type[Any]) -> type[Any]:
    """Return the real class, even if `freezegun` stood in for it when this module was imported."""
    return next(base for base in kind.__mro__ if base.__module__ == "datetime")


_DATETIME, _DATE = _unfrozen(dt.datetime), _unfrozen(dt.date)


# -- instants: ISO 8601, with the zone's name as in RFC 9557, "2026-03-01T04:00:00+01:00[Europe/Oslo]" ---------------


def _zone_key(value: Any) -> str | None:
    zone = value.tzinfo
    return zone.key if type(zone) is ZoneInfo else None


def zone_is_lost(value: Any) -> bool:
    """Return whether a datetime or time has a time zone that its ISO text would not show."""
    return value.tzinfo is not None and value.utcoffset() is None and _zone_key(value) is None


def _write_instant(value: Any) -> str:
    zone = _zone_key(value)
    suffix = (f"[{zone}]" if zone else "") + ("[fold=1]" if value.fold else "")
    return f"{value.isoformat()}{suffix}"


def _read_instant(kind: Any, text: str) -> Any:
    match = _ISO.fullmatch(text)
    if match is None:
        raise ValueError("not an ISO 8601 text")
    stored = kind.fromisoformat(match[1])
    zone = ZoneInfo(match[2]) if match[2] else stored.tzinfo
    value = stored.replace(tzinfo=zone, fold=1 if match[3] else 0)
    if kind is _DATETIME and value.utcoffset() != stored.utcoffset():
        return stored.astimezone(zone)  # the zone's rules differ from the writer's: the instant is what was meant
    return value


def _read_datetime(text: str) -> Any:
    return _read_instant(_DATETIME, text)


def _read_time(text: str) -> Any:
    return _read_instant(dt.time, text)


# -- plain values ----------------------------------------------------------------------------------------------------


def _write_timedelta(value: dt.timedelta) -> list[int]:
    return [value.days, value.seconds, value.microseconds]


def _read_timedelta(parts: list[int]) -> dt.timedelta:
    days, seconds, microseconds = parts
    if {type(part) for part in parts} != {int}:
        raise TypeError("not three integers")
    return dt.timedelta(days, seconds, microseconds)


def _read_decimal(text: str) -> Decimal:
    value = Decimal(text)
    if type(text) is not str or not value.is_finite():
        raise ValueError("not a finite number")
    return value


def _write_bytes(value: bytes) -> str:
    return base64.b64encode(value).decode()


def _read_bytes(text: str) -> bytes:
    return base64.b64decode(text, validate=True)


WRITERS: dict[type, tuple[str, Callable[[Any], Any]]] = {
    _DATETIME: ("datetime", _write_instant),
    _DATE: ("date", _DATE.isoformat),
    dt.time: ("time", _write_instant),
    dt.timedelta: ("timedelta", _write_timedelta),
    UUID: ("uuid", str),
    Decimal: ("decimal", str),
    bytes: ("bytes", _write_bytes),
}
READERS: dict[str, Callable[[Any], Any]] = {
    "datetime": _read_datetime,
    "date": _DATE.fromisoformat,
    "time": _read_time,
    "timedelta": _read_timedelta,
    "uuid": UUID,
    "decimal": _read_decimal,
    "bytes": _read_bytes,
}
CONTAINERS: dict[type, str] = {tuple: "tuple", set: "set", frozenset: "frozenset"}
FAKES: dict[str, type] = {"FakeDatetime": _DATETIME, "FakeDate": _DATE}
"""What `freezegun.api` puts in the place of datetime and date; a test's values are stored as the real ones."""


# -- members of an Enum: ["module:Qualified.Name", member's name, or a Flag's integer] -------------------------------


def write_enum(value: Any) -> list[Any] | None:
    """Return what is stored for an Enum's member, or None when its name would not lead back to it."""
    kind = value.__class__
    if find_enum(sys.modules.get(kind.__module__), kind.__qualname__) != kind:
        return None
    name = f"{kind.__module__}:{kind.__qualname__}"
    if kind.__members__.get(value._name_) is value:
        return [name, value._name_]
    return [name, value._value_] if issubclass(kind, Flag) else None


def read_enum(stored: list[Any], allowed: Allowed) -> Any:
    """Return the member that is named. Raises ValueError, and imports nothing, unless its module is allowed."""
    name, member = stored
    module, _, qualname = name.partition(":")
    if not allowed(module):
        raise ValueError(f"the module {module[:80]!r} is not an allowed one")
    kind = find_enum(_import(module), qualname)
    if kind is None:
        raise ValueError(f"{name[:160]!r} is not an Enum")
    if type(member) is int and issubclass(kind, Flag):
        return kind(member)
    return kind.__members__[member]


def find_enum(module: ModuleType | None, qualname: str) -> type[Enum] | None:
    """Return the Enum at this name of a module, looking into classes only and running no code on the way."""
    found: Any = module
    for part in qualname.split("."):
        if found is None or (found is not module and not _is_class(found)):
            return None
        found = vars(found).get(part)
    return found if _is_class(found) and issubclass(found, Enum) else None


def _is_class(value: Any) -> bool:
    return issubclass(type(value), type)  # isinstance() would make a LocalProxy resolve itself


def _import(name: str) -> ModuleType:
    """Return the module; the running program's main file is not run a second time under its importable name."""
    main = sys.modules.get("__main__")
    if name not in sys.modules and main is not None:
        spec = importlib.util.find_spec(name)
        file = getattr(main, "__file__", None)
        if spec and spec.origin and file and os.path.realpath(spec.origin) == os.path.realpath(file):
            return main
    return importlib.import_module(name)
