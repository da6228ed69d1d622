"""Lengths of time as people type them: ``10m``, ``1h30m``, ``45`` (seconds)."""

from __future__ import annotations

import re
from typing import Any

import click

UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
MOST = 100 * 365.25 * UNITS["d"]
"""The longest span: what is added to or taken from now is still an instant, and can be waited for."""

_PART = re.compile(r"(\d+(?:\.\d+)?)([smhdw])", re.ASCII)
_WHOLE = re.compile(rf"(?:{_PART.pattern})+|\d+(?:\.\d+)?", re.ASCII)


class Seconds(click.FloatRange):
    """A number of seconds that can be waited for: neither NaN nor endless."""

    def __init__(self, least: float) -> None:
        super().__init__(least)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return the number. NaN, which compares with nothing, is in no range."""
        seconds = float(super().convert(value, param, ctx))
        if not seconds <= MOST:
            self.fail(f"{value!r} is not a number of seconds that can be waited for.", param, ctx)
        return seconds


class Span(click.ParamType):  # type: ignore[type-arg] # older releases of click have none
    """A length of time, in seconds."""

    name = "span"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return the seconds; 0 is no length, and more than `MOST` is none that is meant."""
        text = str(value).strip().lower()
        seconds = 0.0
        if _WHOLE.fullmatch(text):
            parts = _PART.findall(text)
            seconds = sum(float(number) * UNITS[unit] for number, unit in parts) if parts else float(text)
        if seconds > MOST:
            self.fail(f"{value!r} is longer than 100 years.", param, ctx)
        if not seconds:
            self.fail(f"{value!r} is not a length of time such as 45 (seconds), 10m, 1h30m or 2d.", param, ctx)
        return seconds
