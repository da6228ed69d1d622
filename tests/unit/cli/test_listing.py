"""`flask scheduler list`."""

from __future__ import annotations

import csv
import io
import json

import pytest
from flask import Flask

from scheduler_app.cli.facts import JOB_FACTS
from scheduler_app.client import Client, make_options
from tests.unit.cli.conftest import MakeApp, Run, commands_of
from tests.unit.cli.shop import break_down, put

FORMATS = ["table", "json", "jsonl", "csv", "ids"]


def test_the_newest_job_comes_first_with_its_state_task_queue_and_attempt(client: Client, flask_scheduler: Run) -> None:
    older = put(client, options=make_options(queue="mail", attempts=5))
    newer = put(client, "x", function=break_down)
    heading, first, second = flask_scheduler("list", "--utc").stdout.splitlines()
    assert heading.split() == ["ID", "STATE", "TASK", "QUEUE", "RUN", "AT", "ATTEMPT"]
    time = f"{newer.run_at:%Y-%m-%d %H:%M:%S}".split()
    assert first.split() == [newer.id, "scheduled", newer.task, "default", *time, "0/1"]
    assert second.split()[0] == older.id
    assert second.split()[3] == "mail"
    assert second.split()[-1] == "0/5"


def test_times_are_in_the_apps_zone_unless_another_one_is_asked_for(make_app: MakeApp) -> None:
    app = make_app(SCHEDULER_TIMEZONE="Asia/Kolkata")
    put(app.extensions["scheduler"].client)
    run = commands_of(app)

    def offset(*words: str) -> str:
        return str(json.loads(run("list", "--format", "jsonl", *words).stdout)["run_at"][26:])

    assert offset() == "+05:30"
    assert offset("--utc") == "Z"
    assert offset("--tz", "Asia/Kathmandu") == "+05:45"


def test_a_misspelt_zone_is_told_the_nearest(flask_scheduler: Run) -> None:
    done = flask_scheduler("list", "--tz", "Europe/Olso")
    assert done.exit_code == 2
    sentence = "Invalid value for '--tz': there is no time zone 'Europe/Olso'. Did you mean 'Europe/Oslo'?"
    assert sentence in done.stderr


@pytest.mark.parametrize("shape", FORMATS)
def test_every_format_writes_data_to_stdout_and_the_next_page_to_stderr(
    client: Client, flask_scheduler: Run, shape: str
) -> None:
    jobs = [put(client, number) for number in range(3)]
    done = flask_scheduler("list", "--limit", "2", "--format", shape)
    assert done.exit_code == 0
    assert jobs[2].id in done.stdout
    assert jobs[1].id in done.stdout
    assert jobs[0].id not in done.stdout
    kept = "" if shape == "table" else f" --format={shape}"
    next_page = f"flask scheduler list --limit=2{kept} --cursor={jobs[1].id}"
    assert done.stderr == f"There are more: {next_page}\n"


def test_the_next_page_holds_the_rest_with_the_same_filters(client: Client, flask_scheduler: Run) -> None:
    mail = make_options(queue="mail")
    jobs = [put(client, number, options=mail) for number in range(3)]
    put(client)
    first = flask_scheduler("list", "--queue", "mail", "--state", "scheduled", "--limit", "2", "--format", "ids")
    command = first.stderr.removeprefix("There are more: ").split()
    second = flask_scheduler(*command[2:])
    assert first.stdout.split() + second.stdout.split() == [job.id for job in reversed(jobs)]
    assert second.stderr == ""


def test_all_goes_through_every_page(make_app: MakeApp) -> None:
    app = make_app(SCHEDULER_MAX_PAGE=2)
    client: Client = app.extensions["scheduler"].client
    jobs = [put(client, number) for number in range(7)]
    run = commands_of(app)
    assert run("list", "--all", "--format", "ids").stdout.split() == [job.id for job in reversed(jobs)]
    assert len(run("list", "--limit", "5", "--format", "ids").stdout.split()) == 5
    assert run("list", "--limit", "7", "--format", "ids").stderr == ""


def test_filters_narrow_by_state_queue_and_task(client: Client, flask_scheduler: Run) -> None:
    plain = put(client)
    mail = put(client, options=make_options(queue="mail"))
    broken = put(client, "x", function=break_down)
    client.cancel(plain.id)

    def ids(*words: str) -> set[str]:
        return set(flask_scheduler("list", "--format", "ids", *words).stdout.split())

    assert ids("--state", "cancelled") == {plain.id}
    assert ids("--state", "cancelled", "--state", "scheduled") == {plain.id, mail.id, broken.id}
    assert ids("--state", "SCHEDULED", "--queue", "mail") == {mail.id}
    assert ids("--task", broken.task) == {broken.id}


def test_a_misspelt_state_is_told_the_nearest(flask_scheduler: Run) -> None:
    done = flask_scheduler("list", "--state", "schedul")
    assert done.exit_code == 2
    assert (
        "there is no state 'schedul'. Did you mean 'scheduled'? The states are scheduled, paused, claimed, running,"
        " succeeded, failed, cancelled, missed, quarantined." in done.stderr
    )


def test_a_cursor_that_was_not_given_is_refused(flask_scheduler: Run) -> None:
    done = flask_scheduler("list", "--cursor", "page2")
    assert done.exit_code == 2
    assert "The cursor cannot be used: it was cut, changed, made for another filter or order" in done.stderr


def test_nothing_to_list_is_said_on_stderr(flask_scheduler: Run) -> None:
    assert flask_scheduler("list").stderr == "There are no jobs yet.\n"
    assert flask_scheduler("list", "--queue", "mail").stderr == "No job matches.\n"
    assert flask_scheduler("list").stdout == ""
    assert json.loads(flask_scheduler("list", "--format", "json").stdout) == []


def test_json_jsonl_and_csv_tell_the_same(client: Client, flask_scheduler: Run) -> None:
    put(client, options=make_options(tags=["a", "b"], key="k"))
    put(client)
    listed = json.loads(flask_scheduler("list", "--format", "json").stdout)
    lines = [json.loads(line) for line in flask_scheduler("list", "--format", "jsonl").stdout.splitlines()]
    rows = list(csv.DictReader(io.StringIO(flask_scheduler("list", "--format", "csv").stdout)))
    assert listed == lines
    assert [list(facts) for facts in listed] == [list(JOB_FACTS)] * 2
    assert [list(row) for row in rows] == [list(JOB_FACTS)] * 2
    assert [(row["id"], row["run_at"]) for row in rows] == [(facts["id"], facts["run_at"]) for facts in listed]
    assert listed[1]["tags"] == json.loads(rows[1]["tags"]) == ["a", "b"]
    assert rows[0]["key"] == ""


def test_a_piped_table_has_no_colours_and_cuts_nothing(app: Flask, client: Client, flask_scheduler: Run) -> None:
    job = client.cancel(put(client).id)
    shown = flask_scheduler("list", env={"COLUMNS": "40"}).stdout
    assert "\x1b" not in shown
    assert job.task in shown
    assert "0/1" in shown
