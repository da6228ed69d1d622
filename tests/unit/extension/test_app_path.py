"""What makes the app in another process: the setting, else the environment, else `flask --app`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import click
import pytest
from flask import Flask
from flask.cli import ScriptInfo

from scheduler_app import Scheduler
from scheduler_app.errors import NoAppPathError
from scheduler_app.extension.app_path import path_of_app
from scheduler_app.extension.parts import Parts


@pytest.mark.parametrize(
    ("configured", "environment", "option", "path"),
    [
        ("a:create", {"SCHEDULER_APP": "b", "FLASK_APP": "c"}, "d", "a:create"),
        (None, {"SCHEDULER_APP": "b", "FLASK_APP": "c"}, "d", "b"),
        (None, {"FLASK_APP": "c:create('x')"}, "d", "c:create('x')"),
        (None, {}, "d", "d"),
        (None, {}, None, None),
    ],
)
def test_the_nearest_word_counts(
    configured: str | None,
    environment: Mapping[str, str],
    option: str | None,
    path: str | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("SCHEDULER_APP", "FLASK_APP"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with click.Context(click.Command("run"), obj=ScriptInfo(app_import_path=option)):
        assert path_of_app(configured) == path


def test_without_any_a_loop_that_has_an_executor_of_processes_is_refused_and_one_without_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("SCHEDULER_APP", "FLASK_APP"):
        monkeypatch.delenv(name, raising=False)
    app = Flask("shop", instance_path=str(tmp_path))
    app.config["SECRET_KEY"] = "secret"
    app.config["SCHEDULER_EXECUTORS"] = {"cpu": {"type": "processes", "max_workers": 1}}
    app.testing = True
    Scheduler(app)
    parts: Parts = app.extensions["scheduler"]
    with pytest.raises(NoAppPathError, match="Set SCHEDULER_APP \\(or FLASK_APP\\) to what 'flask --app' takes"):
        parts.start()
    assert not parts.running
    assert not parts.health().ready
