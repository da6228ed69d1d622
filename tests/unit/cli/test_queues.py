"""`flask scheduler queues`, `pause` and `resume`."""

from __future__ import annotations

import json
from typing import Any

import click
import pytest

from scheduler_app.cli.spans import Span
from scheduler_app.client import Client, make_options
from tests.unit.cli.conftest import MakeApp, Run, commands_of
from tests.unit.cli.shop import put
from tests.unit.cli.test_status import register, told


def listed(run: Run) -> dict[str, dict[str, Any]]:
    return {facts["name"]: facts for facts in json.loads(run("queues", "--format", "json").stdout)}


def test_every_queue_is_listed_with_what_waits_and_what_it_may(make_app: MakeApp) -> None:
    app = make_app(SCHEDULER_QUEUES={"mail": {"concurrency": 5, "concurrency_per_process": 2}})
    client, run = app.extensions["scheduler"].client, commands_of(app)
    client.limit_queues()
    put(client, after=0, options=make_options(queue="mail"))
    done = run("queues")
    assert [line.split() for line in done.stdout.splitlines()] == [
        ["QUEUE", "WAITING", "OLDEST", "DUE", "RUNNING", "AT", "ONCE", "PAUSED"],
        ["default", "0", "-", "0", "-", "-"],
        ["mail", "1", *done.stdout.splitlines()[2].split()[2:4], "0", "5,", "2", "per", "process", "-"],
    ]
    mail = listed(run)["mail"]
    assert 0 <= mail.pop("oldest_due_seconds") < 5
    assert mail == {
        "name": "mail", "waiting": 1, "running": 0, "concurrency": 5, "concurrency_per_process": 2, "paused": False,
        "paused_at": None, "paused_until": None, "pause_reason": None,
    }  # fmt: skip
    assert run("queues", "--format", "ids").stdout.split() == ["default", "mail"]


def test_a_pause_is_said_by_the_queues_by_the_status_and_by_why(client: Client, flask_scheduler: Run) -> None:
    register(client)
    job = put(client, after=0, options=make_options(queue="mail"))
    done = flask_scheduler("pause", "--queue", "mail", "--for", "10m", "--reason", "the relay is down")
    assert (done.exit_code, done.stderr) == (0, "1 job waiting, 0 running, which go on.\n")
    assert done.stdout.startswith("mail paused until ")
    assert done.stdout.endswith(": the relay is down\n")
    mail = listed(flask_scheduler)["mail"]
    assert (mail["paused"], mail["pause_reason"], mail["waiting"]) == (True, "the relay is down", 1)
    assert told(flask_scheduler)["queues"][0]["pause_reason"] == "the relay is down"
    assert "the relay is down" in flask_scheduler("status").stdout
    why = flask_scheduler("why", job.id).stdout
    assert "UTC: the relay is down.\nWhat to do: Resume it with 'flask scheduler resume --queue mail'.\n" in why


def test_a_queue_is_paused_until_it_is_resumed_where_no_end_is_said(client: Client, flask_scheduler: Run) -> None:
    assert flask_scheduler("pause", "--queue", "mail").stdout == "mail paused until resumed\n"
    done = flask_scheduler("resume", "--queue", "mail")
    assert (done.stdout, done.exit_code) == ("mail resumed\n", 0)
    assert listed(flask_scheduler)["mail"]["paused"] is False
    assert told(flask_scheduler)["queues"] == []


def test_a_queue_that_is_not_there_ends_with_3_and_a_bad_pause_with_2(make_app: MakeApp) -> None:
    run = commands_of(make_app(SCHEDULER_QUEUES=["mail"]))
    missing = run("pause", "--queue", "mial")
    assert missing.exit_code == 3
    assert "There is no queue 'mial'. Did you mean 'mail'?" in missing.stderr
    assert run("resume", "--queue", "mial").exit_code == 3
    assert run("pause", "--queue", "mail", "--for", "soon").exit_code == 2
    assert run("pause", "--queue", "mail", "--for", "9999w").exit_code == 2
    assert run("pause", "--queue", "mail", "--reason", "").exit_code == 2
    assert run("pause").exit_code == 2


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("45", 45), ("10m", 600), ("1h30m", 5400), ("2D", 172_800), ("1w", 604_800), ("0.5s", 0.5), (" 3s ", 3)],
)
def test_a_span_is_read_in_its_units(text: str, seconds: float) -> None:
    assert Span().convert(text, None, None) == seconds


@pytest.mark.parametrize(
    "text", ["", "0", "0m", "10x", "m", "-5", "1h 30m", "nan", "ten", "1e3", "99999999999w", "9" * 400]
)
def test_what_is_no_span_is_refused(text: str) -> None:
    with pytest.raises(click.BadParameter, match=r"is not a length of time such as|is longer than 100 years"):
        Span().convert(text, None, None)
