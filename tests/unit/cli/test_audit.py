"""The audit at the terminal: every command that changes something leaves its row, and `audit` lists them."""

from __future__ import annotations

import json
import os
import pwd
import socket
from collections.abc import Callable, Iterator

import click
from flask import Flask

from scheduler_app.cli import scheduler_commands
from scheduler_app.client import Client, declaration_of, make_options
from tests.old_jobs import note, stock
from tests.unit.cli.conftest import Run
from tests.unit.cli.shop import sell
from tests.unit.test_docs import commands

READS = {
    "audit", "list", "show", "status", "why", "queues", "tasks", "workers", "config", "doctor", "check",
    "openapi",
    "schedules list", "schedules show", "schedules preview",
    "run",  # it runs code of the app's own
    "db upgrade", "db downgrade", "db current", "db history", "db stamp", "db check",  # the tables, not what is in them
}  # fmt: skip
"""The commands that leave no row."""


def _job(client: Client) -> str:
    return client.schedule_after(60, sell, (), {}).id


def _paused(client: Client) -> str:
    return client.pause(_job(client)).id


def _cancelled(client: Client) -> str:
    return client.cancel(_job(client)).id


def _quarantined(client: Client) -> str:
    job_id = _job(client)
    with client.store.begin() as connection:
        connection.exec_driver_sql("UPDATE scheduler_jobs SET state = 'quarantined' WHERE id = ?", (job_id,))
    return job_id


def _nightly(client: Client) -> str:
    return "nightly"


def _old_table(client: Client) -> str:
    """Make a table of APScheduler's, and in it a job of the same name."""
    with stock(client.store.url, "old_table") as scheduler:
        scheduler.add_job(note, "interval", hours=1, id="old_table")
    return "old_table"


WRITES: dict[str, tuple[Callable[[Client], str], tuple[str, ...], str]] = {
    "adopt": (_old_table, ("--yes",), "schedule.adopt"),
    "cancel": (_job, (), "job.cancel"),
    "pause": (_job, (), "job.pause"),
    "resume": (_paused, (), "job.resume"),
    "release": (_quarantined, (), "job.release"),
    "reschedule": (_job, ("--in", "10m"), "job.reschedule"),
    "run-now": (_job, (), "job.run-now"),
    "retry": (_cancelled, (), "job.retry"),
    "prune": (_cancelled, ("--older-than", "0.001s", "--yes"), "jobs.prune"),
    "schedules pause": (_nightly, (), "schedule.pause"),
    "schedules resume": (_nightly, (), "schedule.resume"),
    "schedules run-now": (_nightly, (), "schedule.run-now"),
    "schedules remove": (_nightly, ("--yes",), "schedule.remove"),
}
"""For each command that changes something: what it is called for, and the action of its row."""


def leaves(command: click.Command, path: str) -> Iterator[str]:
    groups = {name.rpartition(" ")[0] for name in commands(command, path)}
    yield from (name.removeprefix(f"{path} ") for name in commands(command, path) if name not in groups)


def every_command() -> Iterator[tuple[str, click.Command]]:
    """Yield each command, by its words."""
    for path in leaves(scheduler_commands, "x"):
        command: click.Command = scheduler_commands
        for word in path.split():
            assert isinstance(command, click.Group)
            found = command.get_command(click.Context(command), word)
            assert found is not None
            command = found
        yield path, command


def test_every_command_that_writes_is_tried_below() -> None:
    assert set(leaves(scheduler_commands, "x")) - READS == {*WRITES, "add", "adopt"}  # which are tried apart


def test_every_write_leaves_one_row_of_who_from_where_and_what(
    app: Flask, client: Client, flask_scheduler: Run
) -> None:
    user = pwd.getpwuid(os.getuid()).pw_name
    app.extensions["scheduler"].recurring.upsert(
        declaration_of(sell, {}, cron="0 4 * * *", timezone=None, name="nightly")
    )
    for command, (target_of, options, action) in WRITES.items():
        target = target_of(client)
        before = client.audit()
        words = (*command.split(), *options, *(() if command == "prune" else (target,)))
        done = flask_scheduler(*words, env={"USER": "mallory", "LOGNAME": "mallory"})
        assert done.exit_code == 0, (command, done.output)
        (row, *others) = client.audit()
        assert others == before, command
        assert (row.actor, row.role, row.action) == (user, "admin", action)
        assert row.target == (None if command == "prune" else target)
        assert row.source == {"door": "cli", "user": user, "host": socket.gethostname()}
        assert row.before != row.after


def test_a_call_that_is_added_leaves_a_row_with_its_arguments(client: Client, flask_scheduler: Run) -> None:
    job_id = flask_scheduler("add", "tests.unit.cli.shop:sell", "--in", "1h", "--format", "ids").stdout.strip()
    (row,) = client.audit()
    assert (row.action, row.target, row.before) == ("job.add", job_id, None)
    assert row.after is not None
    assert (row.after["task"], row.after["state"]) == (client.get(job_id).task, "scheduled")


def test_many_and_queues_leave_a_row_and_the_reading_commands_none(client: Client, flask_scheduler: Run) -> None:
    client.schedule_many([(60, sell)] * 3, make_options(tags=["t"]))
    assert flask_scheduler("cancel", "--tag", "t", "--yes").exit_code == 0
    assert flask_scheduler("pause", "--queue", "mail", "--reason", "rest").exit_code == 0
    assert flask_scheduler("resume", "--queue", "mail").exit_code == 0
    for words in (
        ("list",),
        ("status",),
        ("queues",),
        ("audit",),
        ("run", "--once"),
        ("cancel", "--tag", "t", "--yes"),
    ):
        assert flask_scheduler(*words).exit_code == 0, words
    assert [(row.action, row.target) for row in client.audit()] == [
        ("queue.resume", "mail"),
        ("queue.pause", "mail"),
        ("jobs.cancel", None),
    ]
    meant = "state=scheduled,paused,claimed,running,quarantined tag=t"
    assert client.audit()[-1].after == {"filter": {"jobs": meant}, "done": 3, "asked": 0, "conflicts": 0}


def test_it_lists_the_newest_first_and_says_how_to_go_on(client: Client, flask_scheduler: Run) -> None:
    assert flask_scheduler("audit").stderr == "Nothing was changed at the doors yet.\n"
    made = [_job(client) for _ in range(3)]
    for job_id in made:
        flask_scheduler("cancel", job_id)
    shown = [json.loads(line) for line in flask_scheduler("audit", "--format", "jsonl").stdout.splitlines()]
    assert [row["target"] for row in shown] == made[::-1]
    assert shown[0]["after"]["state"] == "cancelled"
    first = flask_scheduler("audit", "--limit", "2", "--format", "ids")
    assert first.stdout.split() == [row["id"] for row in shown[:2]]
    following = first.stderr.removeprefix("There are more: flask scheduler ").split()
    assert flask_scheduler(*following).stdout.split() == [shown[2]["id"]]
    assert flask_scheduler("audit", "--target", made[0], "--format", "ids").stdout.split() == [shown[2]["id"]]
    assert flask_scheduler("audit", "--actor", "nobody").stderr == "No change matches.\n"
    table = flask_scheduler("audit").stdout.splitlines()
    assert table[0].split() == ["AT", "ACTOR", "FROM", "ACTION", "TARGET", "CHANGE"]
    assert 'state "scheduled" -> "cancelled"' in table[1]
    assert f"cli {shown[0]['actor']}@{socket.gethostname()}" in table[1]
