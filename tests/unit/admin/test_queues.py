"""Listing, pausing and resuming queues over HTTP."""

from __future__ import annotations

from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from scheduler_app.client import Client, make_options
from tests.unit.admin.calls import tidy
from tests.unit.admin.conftest import API, TOKENS, MakeApp, by

QUEUES = f"{API}/queues"


def test_every_queue_is_listed_with_what_waits_its_limits_and_its_pause(web: FlaskClient, jobs: Client) -> None:
    jobs.schedule_after(3600, tidy, (), {}, make_options(queue="mail"))
    jobs.pause_queue("mail", reason="the relay is down")
    answer = web.get(QUEUES).get_json()
    assert (answer["has_more"], answer["next_cursor"]) == (False, None)
    [default, mail] = answer["data"]
    assert default["name"] == "default"
    assert mail.pop("paused_at").endswith("Z")
    assert mail == {
        "name": "mail", "waiting": 1, "running": 0, "oldest_due": None, "concurrency": None,
        "concurrency_per_process": None, "paused": True, "paused_until": None, "pause_reason": "the relay is down",
    }  # fmt: skip


def test_an_operator_pauses_and_resumes_a_queue(app: Flask, jobs: Client) -> None:
    web = by(app, "operator")
    paused = web.post(f"{QUEUES}/a/b/pause", json={"reason": "the relay is down", "for_seconds": 600})
    assert (paused.status_code, paused.get_json()["paused"]) == (200, True)
    assert jobs.queue("a/b").queue.pause_reason == "the relay is down"
    until = web.post(f"{QUEUES}/a/b/pause", json={"until": "2035-03-01T03:00:00Z"}).get_json()
    assert (until["paused_until"], until["pause_reason"]) == ("2035-03-01T03:00:00.000000Z", None)
    assert web.post(f"{QUEUES}/a/b/resume").get_json()["paused"] is False
    assert web.post(f"{QUEUES}/a/b/pause").status_code == 200


@pytest.mark.parametrize(
    ("fields", "name"),
    [
        ({"until": "tomorrow"}, "until"),
        ({"until": 3}, "until"),
        ({"until": "2020-03-01T03:00:00Z"}, "until"),
        ({"until": "2035-03-01T03:00:00"}, "until"),
        ({"for_seconds": -1}, "for_seconds"),
        ({"for_seconds": "10m"}, "for_seconds"),
        ({"reason": 7}, "reason"),
        ({"seconds": 3}, "seconds"),
    ],
)
def test_a_pause_that_cannot_be_is_told_by_the_name_of_its_field(
    fields: dict[str, Any], name: str, web: FlaskClient, jobs: Client
) -> None:
    answer = web.post(f"{QUEUES}/mail/pause", json=fields)
    assert answer.status_code == 422
    assert [error["pointer"] for error in answer.get_json()["errors"]] == [f"/{name}"]
    assert not any(status.paused for status in jobs.queues())


def test_a_queue_that_is_not_there_is_404(make_app: MakeApp) -> None:
    app = make_app(SCHEDULER_ADMIN_TOKENS={token: role for role, token in TOKENS.items()}, SCHEDULER_QUEUES=["mail"])
    web = by(app, "admin")
    for action in ("pause", "resume"):
        answer = web.post(f"{QUEUES}/mial/{action}")
        assert (answer.status_code, answer.mimetype) == (404, "application/problem+json")
        assert "Did you mean 'mail'?" in answer.get_json()["detail"]
    assert web.post(f"{QUEUES}/a%00b/pause").status_code == 404
    assert web.post(f"{QUEUES}/mail/resume", data="x").status_code == 400
