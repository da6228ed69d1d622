"""What a downgrade would take away, and asking whether that is meant."""

from __future__ import annotations

import sys

import click

from ..store import Store, schema
from ..store.schema import Holdings, Migration
from .exits import Exit, Failed
from .output import note
from .words import plural

_COUNT_CAP = 10_000


def losses(store: Store, target: str, undone: list[Migration]) -> str:
    """Return what a downgrade would take away, in sentences."""
    if target != "base":
        steps = "\n".join(f"  - {step.revision}: {step.title}" for step in undone)
        return f"This undoes in {store.url}, with all that stands in what they added:\n{steps}"
    held = schema.holdings(store.engine, _COUNT_CAP)
    lost = f"{_many(held.jobs, 'job')} ({held.unfinished:,} not finished) and {_many(held.schedules, 'schedule')}"
    return f"This removes all tables of the scheduler from {store.url}, and in them {lost}.{_workers(held)}"


def _many(count: int, noun: str) -> str:
    return f"{_COUNT_CAP:,} or more {noun}s" if count >= _COUNT_CAP else plural(count, noun)


def _workers(held: Holdings) -> str:
    return f" {plural(held.workers, 'worker')} still registered: stop them first." if held.workers else ""


def confirm(lost: str, yes: bool) -> None:
    """Tell what will be lost and ask, unless `yes`. Raises where the answer is no, or nobody can be asked."""
    note(lost)
    if yes:
        return
    if not sys.stdin.isatty():
        raise click.UsageError("Nobody can be asked, because stdin is no terminal. Repeat with --yes if it is meant.")
    if not click.confirm("Go on?", err=True):
        raise Failed("Nothing was changed.", Exit.ERROR)
