"""`flask scheduler show` and `why`."""

from __future__ import annotations

import json
import re
from datetime import date
from decimal import Decimal

import pytest

from scheduler_app.client import Client, make_options
from scheduler_app.store import Connection
from scheduler_app.store.tables import jobs as jobs_table
from tests.unit.cli.conftest import Run
from tests.unit.cli.shop import Size, break_down, put


def facts_of(shown: str) -> dict[str, str]:
    """Return the names and values of the first block."""
    block = shown.split("\n\n")[0]
    return {line.split("  ")[0].strip(): line.split("  ", 1)[1].strip() for line in block.splitlines()}


def test_everything_about_a_waiting_job_is_shown_with_its_arguments_as_typed(
    client: Client, flask_scheduler: Run
) -> None:
    options = make_options(queue="mail", priority="high", key="k1", tags=["a", "b"], attempts=3)
    job = put(client, 42, date(2026, 1, 2), price=Decimal("1.50"), size=Size.SMALL, options=options)
    done = flask_scheduler("show", job.id, "--utc")
    facts = facts_of(done.stdout)
    assert facts["arguments"] == "(42, datetime.date(2026, 1, 2), price=Decimal('1.50'), size=<Size.SMALL: 1>)"
    assert facts["run at"].startswith(f"{job.run_at:%Y-%m-%d %H:%M:%S}.")
    assert re.search(r" UTC \(in 59 min \d+ s\)$|\(in 1 h\)$", facts["run at"])
    told = {name: facts[name] for name in ("id", "task", "state", "queue", "priority", "key", "tags", "attempts")}
    assert told == {
        "id": job.id,
        "task": job.task,
        "state": "scheduled",
        "queue": "mail",
        "priority": "high",
        "key": "k1",
        "tags": "a, b",
        "attempts": "0 of 3 ended in an error",
    }
    assert done.stderr == f"Why has it not ended yet? flask scheduler why {job.id}\n"


@pytest.mark.usefixtures("_signals_as_before")
def test_a_failed_job_is_shown_with_each_attempt_and_its_traceback(client: Client, flask_scheduler: Run) -> None:
    job = put(client, "no \x1b[31mstock", after=0, function=break_down)
    assert flask_scheduler("run", "--until-empty").exit_code == 0
    shown = flask_scheduler("show", job.id).stdout
    assert facts_of(shown)["error"] == "ValueError: no \\x1b[31mstock"
    assert facts_of(shown)["state"] == "failed"
    assert "\nattempt 1: error, " in shown
    assert "  | ValueError: no \\x1b[31mstock" in shown
    attempts = json.loads(flask_scheduler("show", job.id, "--format", "json").stdout)["attempts"]
    assert [(a["attempt"], a["outcome"]) for a in attempts] == [(1, "error")]
    assert "raise ValueError(what)" in attempts[0]["traceback"]


@pytest.mark.usefixtures("_signals_as_before")
def test_a_succeeded_job_is_shown_with_its_result(client: Client, flask_scheduler: Run) -> None:
    job = put(client, 1, date(2026, 1, 2), after=0)
    assert flask_scheduler("run", "--until-empty").exit_code == 0
    done = flask_scheduler("show", job.id)
    assert facts_of(done.stdout)["result"] == "[1, datetime.date(2026, 1, 2)]"
    assert re.fullmatch(r"\d+ ms|\d\.\d s", facts_of(done.stdout)["took"])
    assert done.stderr == ""
    facts = json.loads(flask_scheduler("show", job.id, "--format", "json").stdout)
    assert facts["result"] == [1, {"$": "date", "v": "2026-01-02"}]


def test_json_holds_the_arguments_as_they_are_stored(client: Client, flask_scheduler: Run) -> None:
    job = put(client, 42, day=date(2026, 1, 2))
    facts = json.loads(flask_scheduler("show", job.id, "--format", "json").stdout)
    assert facts["args"] == [42]
    assert facts["kwargs"] == {"day": {"$": "date", "v": "2026-01-02"}}
    assert facts["attempts"] == []


def test_arguments_that_cannot_be_read_are_shown_as_they_are_stored(client: Client, flask_scheduler: Run) -> None:
    job = put(client)

    def spoil(connection: Connection) -> None:
        connection.execute(jobs_table.update().values(payload='{"a": [NaN]'))

    client.store.write(spoil)
    assert facts_of(flask_scheduler("show", job.id).stdout)["arguments"] == '{"a": [NaN]'
    facts = json.loads(flask_scheduler("show", job.id, "--format", "json").stdout)
    assert (facts["args"], facts["kwargs"], facts["payload"]) == (None, None, '{"a": [NaN]')


def test_showing_arguments_imports_nothing(client: Client, flask_scheduler: Run) -> None:
    job = put(client)
    stored = '{"a": [{"$": "enum", "v": ["tests.servers_that_nobody_imported:Size", "SMALL"]}], "k": {}}'
    client.store.write(lambda connection: connection.execute(jobs_table.update().values(payload=stored)))
    assert facts_of(flask_scheduler("show", job.id).stdout)["arguments"] == stored


@pytest.mark.parametrize("command", ["show", "why"])
def test_an_unknown_id_ends_with_3_and_the_command_to_try(flask_scheduler: Run, command: str) -> None:
    done = flask_scheduler(command, "nope")
    assert done.exit_code == 3
    assert done.stdout == ""
    assert done.stderr == ("Error: No job has the id 'nope'. 'flask scheduler list' shows what there is.\n")


def test_why_tells_the_state_the_time_the_queue_the_workers_and_the_remedy(
    client: Client, flask_scheduler: Run
) -> None:
    job = put(client, options=make_options(queue="mail"))
    first, *facts, remedy = flask_scheduler("why", job.id, "--tz", "Asia/Tokyo").stdout.splitlines()
    assert re.fullmatch(rf"{job.id} \S+:sell: scheduled, run at \d{{4}}-\d\d-\d\d \S+ JST", first)
    assert facts[0].startswith("  It waits in queue 'mail'. It is due at ")
    assert facts[-1] == "  Live workers that serve its queue: 0."
    assert remedy == "What to do: No worker is alive: start the app, or 'flask scheduler run'."


def test_why_is_told_to_programs_too(client: Client, flask_scheduler: Run) -> None:
    job = client.cancel(put(client).id)
    told = json.loads(flask_scheduler("why", job.id, "--format", "json").stdout)
    assert (told["id"], told["state"], told["remedy"]) == (job.id, "cancelled", None)
    assert told["facts"][0].startswith("It has finished: cancelled at ")
