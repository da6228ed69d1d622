"""`flask scheduler doctor`: what is wrong, what may become so, and what to do about it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click
from flask import current_app

from ...client import current_scheduler
from ..exits import Exit
from ..group import scheduler_commands
from ..options import format_option
from ..output import echo, note, write_list
from ..words import padded, plural, printable
from . import database, process, work
from .facts import Facts
from .finding import Finding, Level, Rule
from .gather import gather

RULES: tuple[Rule, ...] = (*database.RULES, *process.RULES, *work.RULES)
"""Every rule, in the order in which they are told."""

_COLOURS = {Level.OK: "green", Level.WARNING: "yellow", Level.ERROR: "red"}


@scheduler_commands.command("doctor", short_help="Examine the set-up, and say what to do.")
@click.option("--strict", is_flag=True, help="Exit with 1 also when there is only a warning.")
@format_option("table", "json", "jsonl")
@click.pass_context
def examine_all(ctx: click.Context, strict: bool, shape: str) -> None:
    """Examine the database, this process as its settings make it, and the work that waits; change nothing.

    One line for each: ok, warning or error, with what to do. Exits with 1 when there is an error.

    \b
    flask scheduler doctor --strict --format json
    """
    found = examined(gather(current_app._get_current_object(), current_scheduler()))  # type: ignore[attr-defined]
    if shape == "table":
        _write(found)
    else:
        write_list(found, shape, (), _facts, ("check", "level", "text", "remedy"))
    counts = {level: sum(one.level is level for one in found) for level in Level}
    note(f"{plural(counts[Level.ERROR], 'error')}, {plural(counts[Level.WARNING], 'warning')}.")
    bad = counts[Level.ERROR] or (strict and counts[Level.WARNING])
    ctx.exit(Exit.ERROR if bad else Exit.OK)


def examined(facts: Facts) -> list[Finding]:
    """Return what every rule says of the facts."""
    return [finding for rule in RULES for finding in rule(facts)]


def _write(found: Sequence[Finding]) -> None:
    width = max(len(one.check) for one in found)
    for one in found:
        level = click.style(padded(one.level, len(Level.WARNING)), fg=_COLOURS[one.level])
        told = f"{one.text} {one.remedy}".rstrip()
        echo(f"{level}  {padded(one.check, width)}  {printable(told)}")


def _facts(one: Finding) -> dict[str, Any]:
    return {"check": one.check, "level": one.level.value, "text": one.text, "remedy": one.remedy or None}
