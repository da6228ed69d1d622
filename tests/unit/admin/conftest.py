"""Apps with an admin, over a SQLite file of each test's own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import text

from scheduler_app import Scheduler
from scheduler_app.client import Client

TOKENS = {"viewer": "view-0123456789", "operator": "operate-0123456789", "admin": "rule-0123456789"}
API = "/scheduler/api/v1"

MakeApp = Callable[..., Flask]


@pytest.fixture
def make_app(sqlite_url: str) -> Iterator[MakeApp]:
    """Makes apps that schedule and never run anything."""
    made: list[Flask] = []

    def make(**config: Any) -> Flask:
        app = Flask("shop")
        app.debug = config.pop("DEBUG", False)
        defaults = {"SECRET_KEY": "0123456789abcdef", "SCHEDULER_DATABASE_URL": sqlite_url, "SCHEDULER_ROLE": "client"}
        app.config.from_mapping(defaults | config)
        Scheduler(app)
        made.append(app)
        return app

    yield make
    for app in made:
        app.extensions["scheduler"].client.store.close()


@pytest.fixture
def app(make_app: MakeApp) -> Flask:
    """An app with a token for each role."""
    return make_app(SCHEDULER_ADMIN_TOKENS={token: role for role, token in TOKENS.items()})


@pytest.fixture
def web(app: Flask) -> FlaskClient:
    """Requests by an administrator."""
    return by(app, "admin")


@pytest.fixture
def jobs(app: Flask) -> Client:
    """The client of the app's scheduler, to schedule with."""
    client: Client = app.extensions["scheduler"].client
    return client


def by(app: Flask, role: str | None) -> FlaskClient:
    """Requests by whoever has a role; None is nobody known."""
    client = app.test_client()
    if role is not None:
        client.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {TOKENS[role]}"
    return client


def rewrite(client: Client, job_id: str, **columns: Any) -> None:
    """Change a job's row behind everybody's back, as a worker elsewhere or a vandal would."""
    changes = ", ".join(f"{name} = :{name}" for name in columns)
    with client.store.begin() as connection:
        statement = text(f"UPDATE scheduler_jobs SET {changes}, version = version + 1 WHERE id = :job_id")
        assert connection.execute(statement, columns | {"job_id": job_id}).rowcount == 1


def let_run(client: Client, job_id: str) -> None:
    """Let a job be as it is while a worker elsewhere runs it."""
    started = "2026-03-01 03:00:00.000000"
    rewrite(client, job_id, state="running", worker_id="elsewhere", claim_seq=1, live_key=None, started_at=started)
