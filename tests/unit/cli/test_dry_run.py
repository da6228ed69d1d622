"""`--dry-run`, of every command that has it: nothing is written."""

from __future__ import annotations

from typing import Any

import pytest

from scheduler_app.client import Client, make_options
from scheduler_app.store import Connection
from scheduler_app.store.tables import metadata
from tests.old_jobs import note, stock
from tests.unit.cli.conftest import MakeApp, Run, commands_of
from tests.unit.cli.shop import put
from tests.unit.cli.test_audit import every_command

STATES = ("scheduled", "paused", "cancelled", "quarantined")
TRIED: dict[str, list[tuple[str, ...]]] = {
    "adopt": [("old_table", "--yes")],
    "cancel": [("queue=mail",), ("--tag", "t"), ("--key-prefix", "k")],
    "pause": [("queue=mail",), ("--queue", "mail", "--for", "10m", "--reason", "rest")],
    "resume": [("queue=mail",), ("--queue", "rest")],
    "release": [("queue=mail",)],
    "reschedule": [("queue=mail", "--in", "10m")],
    "prune": [("--older-than", "0.001s")],
    "run-now": [("queue=mail",)],
    "retry": [("queue=mail",)],
}
"""For each command that has --dry-run: ways to call it that would change something."""


@pytest.fixture
def everything(client: Client) -> Client:
    """A client of a database in which each of the commands finds something to do."""
    for state in STATES:
        put(client, options=make_options(queue="mail", tags=["t"], key=f"k:{state}"))
    with client.store.begin() as connection:
        for job, state in zip(client.list(), STATES, strict=True):
            ended = ", finished_at = created_at, live_key = NULL" if state == "cancelled" else ""
            connection.exec_driver_sql(f"UPDATE scheduler_jobs SET state = '{state}'{ended} WHERE id = ?", (job.id,))
    client.pause_queue("rest")
    with stock(client.store.url, "old_table") as scheduler:
        scheduler.add_job(note, "interval", hours=1, id="old_job")
    return client


def written(client: Client) -> list[Any]:
    """Return all that stands in the tables."""

    def read(connection: Connection) -> list[Any]:
        return [[tuple(row) for row in connection.execute(table.select())] for table in metadata.sorted_tables]

    return client.store.read(read)


def test_no_command_writes_under_a_dry_run(everything: Client, flask_scheduler: Run) -> None:
    has_it = {path for path, command in every_command() if any("--dry-run" in one.opts for one in command.params)}
    assert has_it == set(TRIED)
    before = written(everything)
    for command, ways in TRIED.items():
        for words in ways:
            done = flask_scheduler(*command.split(), *words, "--dry-run")
            assert done.exit_code == 0, (command, words, done.output)
            assert "0 jobs would be" not in done.stderr, (command, words)
            assert written(everything) == before, (command, words)


def test_a_queue_is_not_counted_and_one_that_is_not_there_is_told_of(make_app: MakeApp) -> None:
    app = make_app(SCHEDULER_QUEUES=["mail"])
    client, run = app.extensions["scheduler"].client, commands_of(app)
    for verb in ("pause", "resume"):
        said = run(verb, "--queue", "mail", "--dry-run")
        assert (said.exit_code, said.stdout, said.stderr) == (0, "", f"Queue mail would be {verb}d.\n")
        refused = run(verb, "--queue", "mail", "--expect", "0")
        assert (refused.exit_code, "--expect counts the jobs of a filter" in refused.stderr) == (2, True)
        assert run(verb, "--queue", "mial", "--dry-run").exit_code == 3
    assert client.queue("mail").paused is False
    assert client.audit() == []
