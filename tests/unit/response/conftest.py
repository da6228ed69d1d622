"""An app with a SQLite file, whose jobs wait in the store: no loop runs here."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from scheduler_app import Scheduler
from tests.unit.response import work

MakeApp = Callable[..., Flask]


@pytest.fixture
def make_app(tmp_path: Path) -> Iterator[MakeApp]:
    """Make apps, each with a store of its own."""
    made: list[Flask] = []

    def make(name: str = "shop", scheduler: Scheduler | None = None, **config: Any) -> Flask:
        app = Flask(name, static_folder=None)
        app.config.update(
            SECRET_KEY="a secret of the tests",
            SCHEDULER_DATABASE_URL=f"sqlite:///{tmp_path / name}.sqlite3",
            SCHEDULER_ROLE="client",
            SCHEDULER_TASK_MODULES=["tests"],
            **config,
        )
        (scheduler or Scheduler()).init_app(app)
        work.add_views(app)
        made.append(app)
        return app

    yield make
    for app in made:
        app.extensions["scheduler"].keeper.stop()
        app.extensions["scheduler"].store.close()


@pytest.fixture
def app(make_app: MakeApp) -> Flask:
    return make_app()
