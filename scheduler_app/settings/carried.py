"""The setting that names what travels with a job: `SCHEDULER_CARRY`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

from scheduler_app.errors import did_you_mean
from scheduler_app.settings import readers
from scheduler_app.settings.readers import Refused

KNOWN: Final = ("request_id", "user_id", "locale", "trace_parent")
"""What is known without saying how it is taken."""

_TAKEN: Final = ("get", "pop", "setdefault")
"""Names that `flask.g` has itself."""

_REFERENCE: Final = re.compile(r"\w+(\.\w+)*:\w+(\.\w+)*")


def carry(raw: Any) -> Mapping[str, tuple[Any, Any]]:
    """Read a list of names, a text with commas, or `{name: how}`; answer `{name: (what takes it, what sets it)}`.

    How a value is taken is True for a known name, a function, or one by its path ("myapp.context:tenant"); or
    `{"capture": ..., "restore": ...}`, where `restore` gives the context manager that sets it around the function.
    """
    names = readers.strings(raw)
    found = readers.parsed(raw) if names is None else {name: True for name in names if name}
    if not isinstance(found, Mapping):
        raise Refused(
            "must be a list of names, such as ['request_id', 'locale'], or a mapping of names to functions, not"
            f" {readers.shown(raw)}."
        )
    problems: list[str] = []
    read = {name: _carrier(name, how, problems) for name, how in found.items()}
    if problems:
        raise Refused(*problems)
    return MappingProxyType(read)


def _carrier(name: Any, how: Any, problems: list[str]) -> tuple[Any, Any]:
    if not isinstance(name, str) or not name.isidentifier() or name.startswith("_") or name in _TAKEN:
        problems.append(f"names {name!r}, which cannot be an attribute of flask.g.")
        return None, None
    if how is None or how is True:
        if name not in KNOWN:
            hint = did_you_mean(name, KNOWN)
            problems.append(
                f"names {name!r}, which is none of {', '.join(map(repr, KNOWN))}.{hint} Say how it is taken:"
                f" {{{name!r}: 'myapp.context:{name}'}}."
            )
        return None, None
    parts = how if isinstance(how, Mapping) else {"capture": how}
    unknown = [part for part in parts if part not in ("capture", "restore")]
    if unknown or "capture" not in parts:
        problems.append(f"must give {name!r} a function, or {{'capture': ..., 'restore': ...}}.")
    for part, function in parts.items():
        if part not in unknown and not _is_function(function):
            problems.append(
                f"gives {name!r} a {part!r} that must be a function or its path, such as 'myapp.context:{name}', not"
                f" {readers.shown(function)}."
            )
    return parts.get("capture"), parts.get("restore")


def _is_function(value: Any) -> bool:
    return bool(_REFERENCE.fullmatch(value)) if isinstance(value, str) else callable(value)
