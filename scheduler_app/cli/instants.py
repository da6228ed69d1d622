"""Showing instants and spans: in the zone that was asked for, else in the app's."""

from __future__ import annotations

from datetime import datetime, tzinfo

from ..client import current_scheduler


def zone_or_app(asked: tzinfo | None) -> tzinfo:
    """Return the zone to show times in: what was asked for, else SCHEDULER_TIMEZONE."""
    return asked or current_scheduler().settings.timezone


def iso(instant: datetime | None, zone: tzinfo) -> str | None:
    """Return an instant for programs: RFC 3339 with microseconds and its offset from UTC."""
    if instant is None:
        return None
    return instant.astimezone(zone).isoformat(timespec="microseconds").replace("+00:00", "Z")


def plain(instant: datetime, zone: tzinfo) -> str:
    """Return an instant for people, to the second: ``2026-11-22 07:21:03``."""
    return f"{instant.astimezone(zone):%Y-%m-%d %H:%M:%S}"


def short(instant: datetime, zone: tzinfo) -> str:
    """Return an instant for people where there is little room: ``22 Nov 07:21:03``."""
    return f"{instant.astimezone(zone):%d %b %H:%M:%S}"


def exact(instant: datetime, zone: tzinfo) -> str:
    """Return an instant for people, to the millisecond, with its zone: ``2026-11-22 07:21:03.120 CET``."""
    local = instant.astimezone(zone)
    return f"{local:%Y-%m-%d %H:%M:%S}.{local.microsecond // 1000:03d} {local:%Z}"


def span(seconds: float) -> str:
    """Return a length of time in its two largest units: ``12 ms``, ``2 min 5 s``, ``3 d 4 h``."""
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = int(seconds)
    for size, unit, smaller, smaller_unit in ((86_400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s")):
        if whole >= size:
            rest = whole % size // smaller
            return f"{whole // size} {unit}" + (f" {rest} {smaller_unit}" if rest else "")
    return f"{whole} s"


def relative(instant: datetime, now: datetime) -> str:
    """Return how far an instant is from now: ``in 2 min 5 s``, ``3.0 s ago``."""
    seconds = (instant - now).total_seconds()
    return f"in {span(seconds)}" if seconds >= 0 else f"{span(-seconds)} ago"
