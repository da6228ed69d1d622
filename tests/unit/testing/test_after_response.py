"""What waits for a response runs once the test has that, and goes with a view that raises, as in production."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest
from flask import Flask, stream_with_context
from flask.testing import FlaskClient

from scheduler_app import Scheduler, after_response
from scheduler_app.testing import SchedulerClock
from tests.unit.testing import shop
from tests.unit.testing.shop import Seen


@pytest.fixture
def app() -> Flask:
    app = Flask("after")
    app.testing = True
    Scheduler(app)

    @app.get("/plain")
    def plain() -> str:
        after_response(shop.send_mail, "first")
        after_response(shop.send_mail, "second")
        return "ok"

    @app.get("/stream")
    def stream() -> Iterator[str]:
        def body() -> Iterator[str]:
            after_response(shop.send_mail, "streamed")
            yield "some"

        return stream_with_context(body())

    @app.get("/raise")
    def raise_() -> str:
        after_response(shop.send_mail, "never")
        raise LookupError("the view fails")

    return app


def test_it_waits_until_the_test_has_its_response_and_then_runs_in_order(
    client: FlaskClient, scheduler_clock: SchedulerClock, seen: Seen
) -> None:
    with scheduler_clock.freeze("2026-03-01 12:00"):
        response = client.get("/plain")
        assert seen.mails == []
        scheduler_clock.assert_scheduled(shop.send_mail, args=("first",), within=0, times=1)
        scheduler_clock.run_due()
    assert response.text == "ok"
    assert [address for address, _ in seen.mails] == ["first", "second"]


def test_a_streamed_response_and_one_that_was_closed_are_responses_too(
    client: FlaskClient, scheduler_clock: SchedulerClock, seen: Seen
) -> None:
    assert client.get("/stream").text == "some"
    with client.get("/plain"):
        pass
    scheduler_clock.run_due()
    assert len(seen.mails) == 3


def test_a_response_that_the_test_does_not_keep_is_ended_all_the_same(
    client: FlaskClient, scheduler_clock: SchedulerClock, seen: Seen
) -> None:
    client.get("/plain")
    gc.collect()
    scheduler_clock.run_due()
    assert len(seen.mails) == 2


def test_it_goes_with_a_view_that_raises(client: FlaskClient, scheduler_clock: SchedulerClock, seen: Seen) -> None:
    with pytest.raises(LookupError):
        client.get("/raise")
    scheduler_clock.assert_nothing_scheduled()
    client.application.testing = False
    client.application.config["PROPAGATE_EXCEPTIONS"] = False
    assert client.get("/raise").status_code == 500
    scheduler_clock.drain()
    assert seen.mails == []


def test_the_app_serves_as_before_when_the_test_is_over(app: Flask) -> None:
    before = app.wsgi_app
    with SchedulerClock(app):
        assert app.wsgi_app is not before
    assert app.wsgi_app == before
