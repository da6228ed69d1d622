"""`flask scheduler schedules`: the recurring ones, when they fire next, and what a person says to them by name."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, tzinfo
from typing import Any

import click

from ..client import Client, current_client
from ..errors import MalformedTriggerError
from ..schedules import Planned, Schedule, decode_trigger, policy_of
from . import completion
from .acting import act_on_schedules, words_of
from .group import Commands, scheduler_commands
from .instants import exact, iso, plain, relative, short, zone_or_app
from .losses import confirm
from .options import format_option, zone_options
from .output import note, write_facts, write_json, write_list
from .table import Column
from .words import plural, printable

SCHEDULE_FACTS = (
    "name", "next_run_time", "task", "trigger", "queue", "catch_up", "overlap", "max_instances", "declared",
    "orphaned_at", "last_fire_time", "tags", "error", "remarks",
)  # fmt: skip
"""The names of what `schedule_facts` returns, in order."""


names_argument = click.argument(
    "names", metavar="NAME...", nargs=-1, required=True, shell_complete=completion.schedules
)
"""Which schedules a command acts on; "-" stands for the names on the lines of stdin."""


@scheduler_commands.group("schedules", cls=Commands, short_help="List, preview, pause and remove recurring schedules.")
def schedule_commands() -> None:
    """Recurring schedules: what the code declares or stored, and what was added through APScheduler.

    \b
    flask scheduler schedules list
    flask scheduler schedules preview nightly --count 5
    flask scheduler schedules pause nightly
    flask scheduler schedules list --format ids | flask scheduler schedules remove - --yes

    What acts takes several names, and "-" for those on the lines of stdin.
    """


@schedule_commands.command("list", short_help="List the schedules, the next to fire first.")
@format_option("table", "json", "jsonl", "csv", "ids")
@zone_options
def list_schedules(shape: str, zone: tzinfo | None) -> None:
    """List the schedules, the next to fire first and the paused ones last, with what should be known of each."""
    client, zone = current_client(), zone_or_app(zone)
    found = client.schedules()
    write_list(found, shape, _columns(zone), lambda one: schedule_facts(client, one, zone), SCHEDULE_FACTS)
    if not found:
        note("There are no schedules yet.")
    if shape == "table":
        for one in found:
            for remark in client.remarks(one):
                note(f"{one.name}: {remark}")


@schedule_commands.command("show", short_help="Show everything about a schedule.")
@click.argument("name", shell_complete=completion.schedules)
@format_option("table", "json")
@zone_options
def show_schedule(name: str, shape: str, zone: tzinfo | None) -> None:
    """Show everything about a schedule."""
    client, zone = current_client(), zone_or_app(zone)
    found = client.schedule(name)
    if shape == "json":
        write_json(schedule_facts(client, found, zone))
    else:
        write_facts(_facts(client, found, zone))


@schedule_commands.command("preview", short_help="Show the next fire times of a schedule.")
@click.argument("name", shell_complete=completion.schedules)
@click.option("--count", type=click.IntRange(1, 1000), default=10, show_default=True, help="How many.")
@format_option("table", "json", "jsonl", "csv")
@zone_options
def preview_schedule(name: str, count: int, shape: str, zone: tzinfo | None) -> None:
    """Show the next fire times of a schedule, and what a change of clocks does to each: in its own time zone, or ZONE.

    Of a paused schedule: those that would come if it were resumed now. Jitter is not in them.
    """
    planned = current_client().preview(name, count)
    if zone is not None:
        planned = [replace(one, fire_time=one.fire_time.astimezone(zone)) for one in planned]
    columns = [
        Column("fire time", lambda one: f"{one.fire_time:%a %Y-%m-%d %H:%M:%S} {one.fire_time:%Z}"),
        Column("change", lambda one: one.change or ""),
        Column("note", lambda one: one.note or ""),
    ]
    write_list(planned, shape, columns, _planned_facts, ("fire_time", "utc", "change", "note"))
    if not planned:
        note("It never fires again.")


@schedule_commands.command("pause", short_help="Have schedules fire no more until they are resumed.")
@names_argument
@click.pass_context
def pause_schedules(ctx: click.Context, names: Sequence[str]) -> None:
    """Have schedules fire no more until they are resumed. What waits or runs of their jobs goes on."""

    def pause(name: str) -> str:
        current_client().pause_schedule(name)
        return f"{printable(name)} paused"

    act_on_schedules(ctx, names, pause, "paused")


@schedule_commands.command("resume", short_help="Have paused schedules fire again.")
@names_argument
@zone_options
@click.pass_context
def resume_schedules(ctx: click.Context, names: Sequence[str], zone: tzinfo | None) -> None:
    """Have paused schedules fire again, from now on; what they passed over meanwhile is not made up for."""

    def resume(name: str) -> str:
        at, shown = current_client().resume_schedule(name).next_run_time, printable(name)
        return f"{shown} fires next at {exact(at, zone_or_app(zone))}" if at else f"{shown} is paused again"

    act_on_schedules(ctx, names, resume, "resumed")


@schedule_commands.command("run-now", short_help="Emit one job of each schedule, now.")
@names_argument
@click.pass_context
def run_schedules_now(ctx: click.Context, names: Sequence[str]) -> None:
    """Emit one job of each schedule, due now, whatever runs and also while it is paused; print the job's id."""
    act_on_schedules(ctx, names, lambda name: current_client().run_schedule_now(name).id, "run")


@schedule_commands.command("remove", short_help="Remove schedules.")
@names_argument
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.pass_context
def remove_schedules(ctx: click.Context, names: Sequence[str], yes: bool) -> None:
    """Remove schedules. Their jobs stay, and those that wait run. What the code declares comes back at a start.

    Their names are shown first, and you are asked.
    """

    def remove(name: str) -> str:
        current_client().remove_schedule(name)
        return f"{printable(name)} removed"

    meant = [*words_of(names)]
    if meant:
        confirm(f"This removes {plural(len(meant), 'schedule')}: {printable(', '.join(meant))}.", yes)
    act_on_schedules(ctx, meant, remove, "removed")


# -- what is shown of one --------------------------------------------------------------------------


def schedule_facts(client: Client, one: Schedule, zone: tzinfo) -> dict[str, Any]:
    """Return what programs get of a schedule."""
    catch_up, overlap = _rules(one)
    facts = {name: getattr(one, name, None) for name in SCHEDULE_FACTS}
    for name in ("next_run_time", "orphaned_at", "last_fire_time"):
        facts[name] = iso(facts[name], zone)
    facts |= {"catch_up": catch_up, "overlap": overlap, "tags": list(one.tags), "remarks": list(client.remarks(one))}
    return facts | {"trigger": stored_trigger(one.trigger)}


def _facts(client: Client, one: Schedule, zone: tzinfo) -> Iterator[tuple[str, str]]:
    now = client.store.clock.now()
    catch_up, overlap = _rules(one)
    yield "name", one.name
    yield "task", one.task
    yield "fires", trigger_text(one.trigger)
    for label, instant in (("next", one.next_run_time), ("last", one.last_fire_time)):
        yield label, f"{exact(instant, zone)} ({relative(instant, now)})" if instant else "never"
    yield "catch-up", catch_up
    yield "overlap", overlap if overlap != "skip" or one.max_instances == 1 else f"skip beyond {one.max_instances}"
    yield "queue", one.queue
    yield "declared", "by the code" if one.declared else "no: stored by a call"
    if one.tags:
        yield "tags", ", ".join(one.tags)
    for remark in client.remarks(one):
        yield "note", remark


def _planned_facts(one: Planned) -> dict[str, Any]:
    local = one.fire_time.tzinfo
    assert local is not None
    return {
        "fire_time": iso(one.fire_time, local),
        "utc": iso(one.fire_time, UTC),
        "change": one.change,
        "note": one.note,
    }


def _columns(zone: tzinfo) -> list[Column]:
    return [
        Column("name", lambda one: one.name, least=12),
        Column("state", _state),
        Column("next", lambda one: _next(one, zone), brief=lambda one: _next(one, zone, brief=True)),
        Column("fires", lambda one: trigger_text(one.trigger), least=12, leave_out=1),
        Column("task", lambda one: one.task, least=12, keep_end=True, leave_out=2),
        Column("queue", lambda one: one.queue, least=7, leave_out=3),
    ]


def _state(one: Schedule) -> str:
    if one.error is not None:
        return "broken"
    if one.next_run_time is None:
        return "paused"
    return "orphaned" if one.orphaned_at is not None else "active"


def _next(one: Schedule, zone: tzinfo, *, brief: bool = False) -> str:
    if one.next_run_time is None:
        return "-"
    return short(one.next_run_time, zone) if brief else plain(one.next_run_time, zone)


def _rules(one: Schedule) -> tuple[str, str]:
    try:
        policy = policy_of(one)
    except ValueError:
        return str(one.catch_up), str(one.overlap)
    return policy.catch_up.value, policy.overlap.value


def trigger_text(stored: str) -> str:
    """Return a trigger as APScheduler writes it; one that cannot be read as it is stored."""
    try:
        return str(decode_trigger(stored))
    except MalformedTriggerError:
        return stored


def stored_trigger(trigger: str) -> Any:
    """Return a trigger for programs: as JSON, or as it stands where it is none."""
    try:
        return json.loads(trigger)
    except ValueError:
        return trigger
