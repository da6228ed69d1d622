"""An app under test for each test, and what its jobs have seen."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from flask import Flask
from flask.testing import FlaskClient

from scheduler_app.testing import SchedulerClock
from tests.unit.testing import shop
from tests.unit.testing.shop import Seen, create_app


@pytest.fixture
def app() -> Flask:
    return create_app()


@pytest.fixture
def client(app: Flask, scheduler_clock: SchedulerClock) -> FlaskClient:
    return app.test_client()


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> Seen:
    made = Seen()
    monkeypatch.setattr(shop, "seen", made)
    return made


@pytest.fixture
def context(app: Flask, scheduler_clock: SchedulerClock) -> Iterator[None]:
    """An app context around the test, as many suites have one."""
    with app.app_context():
        yield
