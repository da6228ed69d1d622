"""Lengths of time as people type them: ``10m``, ``1h30m``, ``45`` (seconds)."""

from __future__ import annotations

import re
from typing import Any

import click

UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_PART = re.compile(r"(\d+(?:\.\d+)?)([smhdw])", re.ASCII)
_WHOLE = re.compile(rf"(?:{_PART.pattern})+|\d+(?:\.\d+)?", re.ASCII)


class Span(click.ParamType):  # type: ignore[type-arg] # older releases of click have none
    """A length of time, in seconds."""

    name = "span"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return the seconds; 0 is no length."""
        text = str(value).strip().lower()
        seconds = 0.0
        if _WHOLE.fullmatch(text):
            parts = _PART.findall(text)
            seconds = sum(float(number) * UNITS[unit] for number, unit in parts) if parts else float(text)
        if not seconds:
            self.fail(f"{value!r} is not a length of time such as 45 (seconds), 10m, 1h30m or 2d.", param, ctx)
        return seconds
