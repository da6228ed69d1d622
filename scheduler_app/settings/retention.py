"""The setting that says how long finished jobs are kept: `SCHEDULER_RETENTION_SECONDS`."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

from scheduler_app.errors import did_you_mean
from scheduler_app.settings import readers
from scheduler_app.settings.readers import Refused

DAY: Final = 86_400.0
KEPT: Final[Mapping[str, float]] = MappingProxyType(
    {"succeeded": DAY, "failed": 14 * DAY, "cancelled": 14 * DAY, "missed": 14 * DAY}
)
"""By default."""

_seconds = readers.seconds(least=0)


def retention(raw: Any) -> Mapping[str, float | None]:
    """Read seconds (a number, or a timedelta) for all states, or a mapping; what it leaves out stays as it is."""
    found = readers.parsed(raw)
    if not isinstance(found, Mapping):
        return MappingProxyType(dict.fromkeys(KEPT, _seconds(found)))
    problems: list[str] = []
    kept: dict[str, float | None] = dict(KEPT)
    for state, value in found.items():
        if state not in KEPT:
            problems.append(f"names {state!r}, which is no state that a job ends in.{did_you_mean(str(state), KEPT)}")
            continue
        try:
            kept[state] = None if value is None else _seconds(value)
        except Refused as refused:
            problems += [f"gives {state!r} a time that {problem}" for problem in refused.problems]
    if problems:
        raise Refused(*problems)
    return MappingProxyType(kept)
