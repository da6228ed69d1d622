"""`flask scheduler status`."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

from flask import Flask

from scheduler_app.cli import status
from scheduler_app.client import Client
from scheduler_app.store import workers
from tests.unit.cli.conftest import MakeApp, Run, commands_of
from tests.unit.cli.shop import put


def register(client: Client, seconds_ago: float = 2, **changes: Any) -> None:
    """Add a worker whose heart has last beaten so long ago."""
    now = client.store.clock.now()
    row = {
        "id": "w1", "host": "alpha", "pid": 42, "boot_id": None, "pid_namespace": None, "pid_started": None, "beat": 3,
        "state": "running", "queues": None, "executors": '{"default": 10}', "tasks": "[]", "key_ids": "[]",
        "started_at": now, "seen_at": now - timedelta(seconds=seconds_ago), "package_version": "0.1",
    } | changes  # fmt: skip
    client.store.write(lambda connection: workers.register_if_absent(connection, client.store.dialect, row))


def told(run: Run) -> dict[str, Any]:
    facts: dict[str, Any] = json.loads(run("status", "--format", "json").stdout)
    return facts


def test_store_revision_counts_and_workers_are_shown(client: Client, flask_scheduler: Run) -> None:
    register(client, queues='["mail", "slow"]')
    client.cancel(put(client).id)
    put(client)
    done = flask_scheduler("status")
    lines = [line.split() for line in done.stdout.splitlines()]
    assert ["store", client.store.url] in lines
    assert ["schema", "1_0"] in lines
    assert ["due", "nothing", "is", "due"] in lines
    assert ["scheduled", "1"] in lines
    assert ["cancelled", "1"] in lines
    assert ["WORKER", "HOST", "PID", "STATE", "BEAT", "QUEUES", "EXECUTORS", "VERSION"] in lines
    worker = lines[-1]
    assert worker[:4] == ["w1", "alpha", "42", "running"]
    assert worker[5:] == ["s", "ago", "mail,", "slow", "default=10", "0.1"]
    assert (done.exit_code, done.stderr) == (0, "")


def test_programs_get_the_same_facts(client: Client, flask_scheduler: Run) -> None:
    register(client)
    put(client, after=0)
    facts = told(flask_scheduler)
    assert facts["jobs"]["scheduled"] == 1
    assert 0 <= facts["oldest_due_seconds"] < 5
    worker = facts["workers"][0]
    assert 2 <= worker.pop("beat_seconds_ago") < 7
    assert worker == {
        "id": "w1", "host": "alpha", "pid": 42, "state": "running", "queues": None, "executors": {"default": 10},
        "version": "0.1",
    }  # fmt: skip


def test_a_worker_that_has_not_renewed_its_lease_is_silent(client: Client, flask_scheduler: Run) -> None:
    register(client, seconds_ago=31)
    assert told(flask_scheduler)["workers"][0]["state"] == "silent"
    assert flask_scheduler("status").stderr.startswith("No worker is alive.")
    why = flask_scheduler("why", put(client, after=0).id)
    assert why.stdout.endswith("What to do: No worker is alive: start the app, or 'flask scheduler run'.\n")


def test_that_nobody_runs_what_is_due_is_said_with_the_remedy(client: Client, flask_scheduler: Run) -> None:
    put(client)
    assert flask_scheduler("status").stderr == "No worker is alive. Start the app, or 'flask scheduler run'.\n"
    put(client, after=0)
    assert flask_scheduler("status").stderr == (
        "No worker is alive. Jobs are due, and nobody runs them. Start the app, or 'flask scheduler run'.\n"
    )


def test_a_lag_beyond_the_limit_ends_with_1(client: Client, flask_scheduler: Run) -> None:
    register(client)
    assert flask_scheduler("status", "--max-lag", "0").exit_code == 0
    put(client, after=0)
    assert flask_scheduler("status", "--max-lag", "60").exit_code == 0
    late = flask_scheduler("status", "--max-lag", "0")
    assert late.exit_code == 1
    assert late.stderr.startswith("Late: the oldest due job has waited ")
    assert late.stderr.endswith(", longer than 0 ms.\n")


def test_a_count_that_reached_its_cap_says_so() -> None:
    assert status._counted(10_000) == "10,000+"
    assert status._counted(9_999) == "9,999"


def test_a_database_that_does_not_answer_ends_with_69_and_no_password(make_app: MakeApp) -> None:
    app: Flask = make_app(SCHEDULER_DATABASE_URL="postgresql://me:hush@127.0.0.1:1/jobs")
    done = commands_of(app)("status")
    assert done.exit_code == 69
    assert done.stdout == ""
    assert done.stderr.startswith("Error: The scheduler's database postgresql://me:***@127.0.0.1:1/jobs cannot be used")
    assert done.stderr.endswith(". Check that it runs and accepts connections, then try again.\n")
    assert "Nothing was stored" not in done.stderr
    assert "hush" not in done.output
    listed, cancelled = commands_of(app)("list").stderr, commands_of(app)("cancel", "an-id").stderr
    for told in (listed, cancelled):
        assert told.endswith("then try again. 'flask scheduler status' tells when it answers.\n")
    assert ("Nothing was stored" in listed, "Nothing was stored" in cancelled) == (False, True)
