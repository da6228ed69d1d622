"""`flask scheduler run`."""

from __future__ import annotations

import json

import pytest
from flask import Flask

from scheduler_app.client import Client, make_options
from scheduler_app.jobs import JobState
from tests.unit.cli.conftest import MakeApp, Run, commands_of
from tests.unit.cli.shop import put

pytestmark = pytest.mark.usefixtures("_signals_as_before")


@pytest.mark.parametrize("until", ["--once", "--until-empty"])
def test_what_is_due_is_run_and_the_beginning_and_the_end_are_told(
    client: Client, flask_scheduler: Run, until: str
) -> None:
    due, later = put(client, after=0), put(client)
    done = flask_scheduler("run", until)
    assert (done.exit_code, done.stdout) == (0, "")
    beginning, end = done.stderr.splitlines()
    url = client.store.url
    assert beginning == f"Running jobs of every queue from {url} on default=10; ends when nothing is due."
    assert end == "Stopped; nothing had to be given back."
    assert client.get(due.id).state is JobState.SUCCEEDED
    assert client.get(later.id).state is JobState.SCHEDULED


def test_only_the_named_queues_are_served_on_executors_of_the_named_size(client: Client, flask_scheduler: Run) -> None:
    mail, other = put(client, after=0, options=make_options(queue="mail")), put(client, after=0)
    done = flask_scheduler("run", "--until-empty", "--queue", "mail", "--executor", "default=2")
    assert done.stderr.startswith(f"Running jobs of queue mail from {client.store.url} on default=2;")
    assert client.get(mail.id).state is JobState.SUCCEEDED
    assert client.get(other.id).state is JobState.SCHEDULED


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--once", "--until-empty"], "--once and --until-empty exclude each other."),
        (["--queue", "mial"], "There is no queue 'mial'; SCHEDULER_QUEUES has 'default', 'mail'. Did you mean 'mail'?"),
        (
            ["--executor", "defualt=2"],
            "There is no executor 'defualt'; SCHEDULER_EXECUTORS has 'default'. Did you mean 'default'?",
        ),
        (["--executor", "default"], "'default' is not ALIAS=N with an N from 1 to 1000, such as 'default=20'."),
        (["--executor", "default=0"], "'default=0' is not ALIAS=N with an N from 1 to 1000, such as 'default=20'."),
        (["--executor", "default=²"], "'default=²' is not ALIAS=N with an N from 1 to 1000, such as 'default=20'."),
        (["--drain-timeout", "-1"], "-1.0 is not in the range x>=0."),
    ],
)
def test_wrong_usage_is_told_before_anything_starts(make_app: MakeApp, words: list[str], sentence: str) -> None:
    done = commands_of(make_app(SCHEDULER_QUEUES=["mail"]))("run", "--once", *words)
    assert done.exit_code == 2
    assert done.stderr.endswith(f"{sentence}\n")
    assert "Running jobs" not in done.stderr


def test_missing_tables_end_with_69_and_the_remedy(make_app: MakeApp) -> None:
    app: Flask = make_app(SCHEDULER_AUTO_UPGRADE=False)
    done = commands_of(app)("run")
    assert done.exit_code == 69
    url = app.extensions["scheduler"].client.store.url
    assert done.stderr == (
        f"Error: The scheduler's tables are missing from {url}. Create them with 'flask scheduler db upgrade',"
        " or set SCHEDULER_AUTO_UPGRADE=True.\n"
    )


def test_afterwards_no_worker_is_left(flask_scheduler: Run) -> None:
    flask_scheduler("run", "--once")
    assert json.loads(flask_scheduler("status", "--format", "json").stdout)["workers"] == []
