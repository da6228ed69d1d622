"""An app of each test's own, and `flask scheduler` on it."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from click.testing import CliRunner, Result
from flask import Flask
from flask.cli import ScriptInfo

from scheduler_app import Scheduler
from scheduler_app.cli import scheduler_commands
from scheduler_app.client import Client

MakeApp = Callable[..., Flask]
Run = Callable[..., Result]


@pytest.fixture
def make_app(sqlite_url: str) -> Iterator[MakeApp]:
    """Makes apps that run jobs only where `flask scheduler run` says so."""
    made: list[Flask] = []

    def make(**config: Any) -> Flask:
        app = Flask("shop")
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
    return make_app()


@pytest.fixture
def client(app: Flask) -> Client:
    found: Client = app.extensions["scheduler"].client
    return found


@pytest.fixture
def flask_scheduler(app: Flask) -> Run:
    """Runs `flask scheduler` with words, on the test's app."""
    return commands_of(app)


@pytest.fixture
def _signals_as_before() -> Iterator[None]:
    """Take out the handlers that a worker puts in."""
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def commands_of(app: Flask) -> Run:
    def run(*words: str, stdin: str | bytes = "", env: dict[str, str] | None = None) -> Result:
        info = ScriptInfo(create_app=lambda: app, set_debug_flag=False)
        return CliRunner().invoke(scheduler_commands, list(words), obj=info, input=stdin, env=env, prog_name="flask")

    return run
