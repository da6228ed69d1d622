"""`flask scheduler run`."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import timedelta

import pytest
import sqlalchemy as sa
from flask import Flask

from scheduler_app.client import Client, Declaration, make_options
from scheduler_app.jobs import Job, JobState
from scheduler_app.loop.worker import this_process
from scheduler_app.payload import Signer, derive_key
from scheduler_app.store.types import Instant
from tests.unit.cli.conftest import MakeApp, Run, commands_of
from tests.unit.cli.shop import put, sell, sell_again
from tests.unit.cli.test_status import register

pytestmark = pytest.mark.usefixtures("_signals_as_before")


def change(client: Client, job: Job, values: str) -> None:
    """Write into a job's row, as another process might have."""
    statement = sa.text(f"UPDATE scheduler_jobs SET {values} WHERE id = :id").bindparams(id=job.id)
    client.store.write(lambda connection: connection.execute(statement))


ENDS = {"--once": "ends when what is due now has run", "--until-empty": "ends when nothing is due"}
BOTH = pytest.mark.parametrize("until", ENDS)


@BOTH
def test_what_is_due_is_run_and_the_beginning_and_the_end_are_told(
    client: Client, flask_scheduler: Run, until: str
) -> None:
    due, later = put(client, after=0), put(client)
    done = flask_scheduler("run", until)
    assert (done.exit_code, done.stdout) == (0, "")
    beginning, end = done.stderr.splitlines()
    url = client.store.url
    assert beginning == f"Running jobs of every queue from {url} on default=10; {ENDS[until]}."
    assert end == "Stopped; nothing had to be given back."
    assert client.get(due.id).state is JobState.SUCCEEDED
    assert client.get(later.id).state is JobState.SCHEDULED


def test_once_ends_though_a_job_schedules_itself_again_and_again(client: Client, flask_scheduler: Run) -> None:
    first = put(client, 1_000_000, after=0, function=sell_again)
    assert flask_scheduler("run", "--once").exit_code == 0
    assert client.get(first.id).state is JobState.SUCCEEDED
    assert client.stats()["scheduled"] == 1


def test_until_empty_goes_on_for_as_long_as_a_job_schedules_itself(client: Client, flask_scheduler: Run) -> None:
    put(client, 30, after=0, function=sell_again)
    assert flask_scheduler("run", "--until-empty").exit_code == 0
    assert (client.stats()["succeeded"], client.stats()["scheduled"]) == (31, 0)


@BOTH
def test_what_others_run_or_what_only_others_can_run_is_not_waited_for(
    make_app: MakeApp, until: str, store_url: str
) -> None:
    app = make_app(SCHEDULER_DATABASE_URL=store_url, SCHEDULER_AUTO_UPGRADE=True)
    client: Client = app.extensions["scheduler"].client
    unknown, held, due = put(client, after=0), put(client, after=0), put(client, after=0)
    elsewhere = Signer([derive_key("the key of another deployment")])
    signature = elsewhere.sign(unknown.id, unknown.task, unknown.queue, unknown.payload)
    change(client, unknown, f"signature = '{signature}'")
    change(client, held, "state = 'running', worker_id = 'w1', claim_seq = 1")
    register(client)
    done = commands_of(app)("run", until)
    assert done.exit_code == 0, done.stderr
    states = [client.get(job.id).state for job in (unknown, held, due)]
    assert states == [JobState.SCHEDULED, JobState.RUNNING, JobState.SUCCEEDED]


@pytest.mark.parametrize("count", range(3))
def test_what_a_dead_process_of_this_host_held_is_run_before_it_ends(
    client: Client, flask_scheduler: Run, count: int
) -> None:
    job = put(client, after=0)
    with subprocess.Popen([sys.executable, "-c", ""]) as gone:
        pass
    here = this_process()
    change(client, job, "state = 'running', worker_id = 'w1', claim_seq = 1, started_at = created_at")
    place = {"boot_id": here.boot_id, "pid_namespace": here.pid_namespace, "pid": gone.pid, "pid_started": 1}
    register(client, **place)
    assert flask_scheduler("run", "--until-empty").exit_code == 0
    assert (client.get(job.id).state, client.get(job.id).crashes) == (JobState.SUCCEEDED, 1)


@BOTH
def test_a_schedule_that_is_due_fires_and_its_job_runs(make_app: MakeApp, until: str) -> None:
    app = make_app()
    app.extensions["scheduler"].recurring.upsert(Declaration(sell, every={"hours": 1}, name="hourly"))
    client: Client = app.extensions["scheduler"].client
    past = client.store.clock.now() - timedelta(seconds=1)
    moved = sa.text("UPDATE scheduler_schedules SET next_run_time = :past").bindparams(
        sa.bindparam("past", past, Instant)
    )
    client.store.write(lambda connection: connection.execute(moved))
    assert commands_of(app)("run", until).exit_code == 0
    assert client.stats()["succeeded"] == 1


def test_without_a_key_nothing_is_said_to_run(make_app: MakeApp, postgresql_url: str) -> None:
    app = make_app(SCHEDULER_DATABASE_URL=postgresql_url, SCHEDULER_AUTO_UPGRADE=True, SECRET_KEY=None)
    done = commands_of(app)("run", "--once")
    assert done.exit_code == 1
    assert done.stderr.startswith("Error: Stored calls must be signed, and there is no key to sign them with.")


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
