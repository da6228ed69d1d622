"""`flask scheduler tasks`, `workers`, `config` and `openapi`: what this app is, and who runs its jobs."""

from __future__ import annotations

import json
from typing import Any

from flask import Flask

from scheduler_app import RetryPolicy, Secret
from scheduler_app.client import Client, Declaration
from scheduler_app.settings import KEYS
from tests.unit.cli.conftest import MakeApp, Run, commands_of
from tests.unit.cli.test_status import register


def welcome(user: int, token: Secret[str] = "hush", *, lang: str = "nb") -> None:
    """Nothing."""


def told(run: Run, command: str) -> Any:
    return json.loads(run(command, "--format", "json").stdout)


def test_tasks_tell_how_they_are_called_and_which_schedules_use_them(app: Flask, flask_scheduler: Run) -> None:
    parts = app.extensions["scheduler"]
    parts.registry.register(
        welcome, name="mail.salute", queue="mail", aliases=("mail.hail",), retry=RetryPolicy(attempts=5)
    )
    parts.recurring.upsert(Declaration(welcome, args=(1,), every={"hours": 1}, name="hourly"))
    [mine] = [one for one in told(flask_scheduler, "tasks") if one["name"] == "mail.salute"]
    assert mine == {
        "name": "mail.salute", "aliases": ["mail.hail"], "signature": "(user, token=..., *, lang=...)",
        "queue": "mail", "priority": None, "attempts": 5, "delivery": "at_least_once", "timeout": None,
        "schedules": ["hourly"],
    }  # fmt: skip
    table = flask_scheduler("tasks")
    assert table.stdout.splitlines()[0].split() == ["TASK", "CALL", "QUEUE", "ATTEMPTS", "SCHEDULES", "ALIASES"]
    assert "hush" not in table.output
    assert flask_scheduler("tasks", "--format", "ids").stdout.splitlines().count("mail.salute") == 1


def test_workers_tell_where_they_are_and_whether_they_live(client: Client, flask_scheduler: Run) -> None:
    none = flask_scheduler("workers")
    assert (none.exit_code, none.stdout) == (0, "")
    assert none.stderr == "No worker is alive. Start the app, or 'flask scheduler run'.\n"
    register(client, queues='["mail"]')
    register(client, id="w2", seconds_ago=31)
    assert [one["state"] for one in told(flask_scheduler, "workers")] == ["running", "silent"]
    lines = [line.split() for line in flask_scheduler("workers").stdout.splitlines()]
    assert lines[0] == ["WORKER", "HOST", "PID", "STATE", "BEAT", "QUEUES", "EXECUTORS", "VERSION"]
    assert lines[1][:4] == ["w1", "alpha", "42", "running"]
    assert lines[1][-3:] == ["mail", "default=10", "0.1"]
    assert flask_scheduler("workers", "--format", "ids").stdout == "w1\nw2\n"


def test_config_shows_every_setting_whence_it_comes_and_no_secret(make_app: MakeApp) -> None:
    app = make_app(
        SCHEDULER_DATABASE_URL="postgresql://me:hush1@127.0.0.1:1/jobs", SCHEDULER_SIGNING_KEY=["hush2", "hush3"],
        SCHEDULER_ADMIN_TOKEN="hush4", SCHEDULER_ADMIN_TOKENS={"hush5": "viewer"}, SCHEDULER_QUEUES={"mail": {}},
        SCHEDULER_CARRY={"tenant": test_workers_tell_where_they_are_and_whether_they_live}, SCHEDULER_POLL_SECONDS="2",
    )  # fmt: skip
    shown = {one["name"]: (one["value"], one["whence"]) for one in told(commands_of(app), "config")}
    assert list(shown) == [key.name for key in KEYS]
    expected = {
        "SCHEDULER_DATABASE_URL": ("postgresql://me:***@127.0.0.1:1/jobs", "app.config"),
        "SCHEDULER_SIGNING_KEY": (["***", "***"], "app.config"),
        "SCHEDULER_ADMIN_TOKEN": ("***", "app.config"),
        "SCHEDULER_ADMIN_TOKENS": ([{"token": "***", "role": "viewer"}], "app.config"),
        "SCHEDULER_POLL_SECONDS": (2.0, "app.config"),
        "SCHEDULER_TIMEZONE": ("UTC", "default"),
        "SCHEDULER_EXECUTORS": ({"default": {"type": "threads", "max_workers": 10}}, "default"),
    }
    assert {name: shown[name] for name in expected} == expected
    for shape in ("table", "json", "csv"):
        assert "hush" not in commands_of(app)("config", "--format", shape).output
    derived = {one["name"]: one for one in told(commands_of(make_app()), "config")}
    assert derived["SCHEDULER_SIGNING_KEY"] == {
        "name": "SCHEDULER_SIGNING_KEY", "value": ["***"], "whence": "SECRET_KEY",
    }  # fmt: skip


def test_openapi_prints_what_the_api_answers_without_a_database(make_app: MakeApp) -> None:
    app = make_app(SCHEDULER_DATABASE_URL="postgresql://me@127.0.0.1:1/jobs", SCHEDULER_ADMIN_TOKEN="t" * 20)
    done = commands_of(app)("openapi")
    assert (done.exit_code, done.stderr) == (0, "")
    answer = app.test_client().get("/scheduler/api/v1/openapi.json", headers={"Authorization": f"Bearer {'t' * 20}"})
    assert json.loads(done.stdout) == answer.get_json()
