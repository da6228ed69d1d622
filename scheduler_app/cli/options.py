"""The options that several commands share, and how their values are read."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar
from uuid import UUID
from zoneinfo import ZoneInfo, available_timezones

import click
from click.shell_completion import CompletionItem

from ..errors import did_you_mean
from ..jobs import JobState

F = TypeVar("F", bound=Callable[..., Any])


class State(click.ParamType):  # type: ignore[type-arg] # older releases of click have none
    """One of the states of a job."""

    name = "state"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> JobState:
        """Return the state. A misspelt one is told the nearest."""
        try:
            return JobState(str(value).lower())
        except ValueError:
            hint = did_you_mean(str(value).lower(), [state.value for state in JobState])
            self.fail(f"there is no state {value!r}.{hint} The states are {', '.join(JobState)}.", param, ctx)

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """Return the states that begin so."""
        return [CompletionItem(state.value) for state in JobState if state.startswith(incomplete)]


class Zone(click.ParamType):  # type: ignore[type-arg] # older releases of click have none
    """A time zone of the IANA database."""

    name = "zone"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> ZoneInfo:
        """Return the zone. A misspelt one is told the nearest."""
        if isinstance(value, ZoneInfo):
            return value
        known = available_timezones()
        if value not in known:
            self.fail(f"there is no time zone {value!r}.{did_you_mean(str(value), known)}", param, ctx)
        return ZoneInfo(value)

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """Return the zones that begin so."""
        return [CompletionItem(name) for name in sorted(available_timezones()) if name.startswith(incomplete)]


class Cursor(click.ParamType):  # type: ignore[type-arg] # older releases of click have none
    """Where a page begins: after the row of this id, which need not be there any more."""

    name = "id"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the id as it is stored."""
        try:
            return str(UUID(str(value)))
        except ValueError:
            self.fail(f"{value!r} is not the id of a change. Pass the last id that the page before showed.", param, ctx)


class Slots(click.ParamType):  # type: ignore[type-arg] # older releases of click have none
    """An executor's alias and its size: ``ALIAS=N``."""

    name = "alias=n"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, int]:
        """Return the alias and the size."""
        if isinstance(value, tuple):
            return value
        alias, _, size = str(value).partition("=")
        if not alias or not size.isascii() or not size.isdecimal() or not 1 <= int(size) <= 1000:
            self.fail(f"{value!r} is not ALIAS=N with an N from 1 to 1000, such as 'default=20'.", param, ctx)
        return alias, int(size)


def format_option(*formats: str) -> Callable[[F], F]:
    """Return the option ``--format``; the first of `formats` is its default."""
    return click.option(
        "--format",
        "shape",
        type=click.Choice(formats),
        default=formats[0],
        show_default=True,
        help="How the answer is written. All but 'table' are made for programs and stay as they are.",
    )


def zone_options(function: F) -> F:
    """Add ``--utc`` and ``--tz``, which the command gets as `zone` (None: the app's)."""
    utc = click.option("--utc", "zone", flag_value=ZoneInfo("UTC"), type=Zone(), help="Show times in UTC.")
    tz = click.option(
        "--tz", "zone", type=Zone(), metavar="ZONE", help="Show times in this zone.  [default: SCHEDULER_TIMEZONE]"
    )
    return utc(tz(function))
