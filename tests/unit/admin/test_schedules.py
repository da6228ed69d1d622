"""Recurring schedules, tasks, workers and counts over HTTP."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from scheduler_app.client import Client, Declaration
from scheduler_app.errors import ScheduleNotFoundError
from scheduler_app.jobs import JobState
from tests.unit.admin.calls import tidy, welcome
from tests.unit.admin.conftest import API

SCHEDULES = f"{API}/schedules"


@pytest.fixture
def nightly(app: Flask) -> str:
    """A schedule with a slash in its name and a secret among its arguments."""
    recurring = app.extensions["scheduler"].recurring
    name: str = recurring.upsert(
        Declaration(welcome, args=(1,), kwargs={"token": "hunter2"}, cron="0 4 * * *", name="a/nightly", timezone="UTC")
    )
    return name


def test_a_schedule_is_listed_and_shown_without_its_secrets(web: FlaskClient, nightly: str) -> None:
    [listed] = web.get(SCHEDULES).get_json()["data"]
    answer = web.get(f"{SCHEDULES}/{nightly}")
    shown: dict[str, Any] = answer.get_json()
    assert shown == listed
    assert (shown["name"], shown["task"], shown["args"]) == ("a/nightly", "mail.welcome", [1])
    assert (shown["kwargs"], shown["paused"], shown["trigger"]["kind"]) == ({"token": "***"}, False, "cron")
    assert shown["next_run_time"].endswith("T04:00:00.000000Z")
    assert web.get(shown["links"]["self"], headers={"If-None-Match": answer.headers["ETag"]}).status_code == 304


def test_a_schedule_is_paused_resumed_moved_run_and_removed(web: FlaskClient, jobs: Client, nightly: str) -> None:
    address = f"{SCHEDULES}/{nightly}"
    assert web.post(f"{address}/pause").get_json()["paused"] is True
    moved = web.patch(address, json={"next_run_time": "2030-03-01T05:00:00Z"})
    assert (moved.status_code, moved.get_json()["detail"]) == (
        409, "The schedule 'a/nightly' cannot fire, because it is paused. Resume it first.",
    )  # fmt: skip
    assert web.post(f"{address}/resume").get_json()["paused"] is False
    moved = web.patch(address, json={"next_run_time": "2030-03-01T05:00:00+01:00"})
    assert (moved.status_code, moved.get_json()["next_run_time"]) == (200, "2030-03-01T04:00:00.000000Z")
    run = web.post(f"{address}/run-now")
    assert (run.status_code, run.headers["Location"]) == (202, f"{API}/jobs/{run.get_json()['id']}")
    assert run.get_json()["origin"] == {"schedule": "a/nightly"}
    assert web.delete(address).status_code == 204
    with pytest.raises(ScheduleNotFoundError):
        jobs.schedule("a/nightly")
    assert [job.state for job in jobs.list()] == [JobState.SCHEDULED]


def test_the_next_fire_times_are_shown(web: FlaskClient, nightly: str) -> None:
    planned = web.get(f"{SCHEDULES}/{nightly}/preview?count=3").get_json()["data"]
    instants = [datetime.fromisoformat(one["at"]) for one in planned]
    assert [later - earlier for earlier, later in pairwise(instants)] == [timedelta(days=1)] * 2
    assert planned[0]["local"].endswith("T04:00:00+00:00")
    assert len(web.get(f"{SCHEDULES}/{nightly}/preview").get_json()["data"]) == 10
    for query in ("count=0", "count=1001", "count=x", "limit=1"):
        answer = web.get(f"{SCHEDULES}/{nightly}/preview?{query}")
        assert (answer.status_code, answer.get_json()["errors"][0]["parameter"]) == (422, query.partition("=")[0])


def test_what_cannot_be_said_of_a_schedule_is_told_by_its_place(web: FlaskClient, nightly: str) -> None:
    cases: list[tuple[dict[str, Any], str]] = [
        ({}, "/next_run_time"),
        ({"next_run_time": "soon"}, "/next_run_time"),
        ({"next_run_time": None}, "/next_run_time"),
        ({"next_run_time": "9999-12-31T23:59:59Z"}, "/next_run_time"),
        ({"next_run_time": "2030-03-01T05:00:00Z", "paused": True}, "/paused"),
    ]
    for asked, pointer in cases:
        answer = web.patch(f"{SCHEDULES}/{nightly}", json=asked)
        assert (answer.status_code, [one["pointer"] for one in answer.get_json()["errors"]]) == (422, [pointer])
    for name in ("nothing", "%00", "x" * 300):
        posts = [("POST", f"/{verb}") for verb in ("pause", "resume", "run-now")]
        for method, more in [("GET", ""), ("DELETE", ""), ("GET", "/preview"), *posts]:
            assert web.open(f"{SCHEDULES}/{name}{more}", method=method).status_code == 404
        assert web.patch(f"{SCHEDULES}/{name}", json={"next_run_time": "2030-03-01T05:00:00Z"}).status_code == 404


def test_registered_tasks_are_shown_with_their_arguments_and_met_ones_are_not(web: FlaskClient, jobs: Client) -> None:
    jobs.schedule_after(60, tidy, (), {})
    listed = {task["name"]: task for task in web.get(f"{API}/tasks").get_json()["data"]}
    assert "tests.unit.admin.calls:tidy" not in listed
    shown = web.get(f"{API}/tasks/mail.hello").get_json()
    assert shown == listed["mail.welcome"]
    assert (shown["description"], shown["attempts"], shown["queue"]) == ("Welcome a user.", 3, "default")
    named = shown["arguments"]["properties"]["kwargs"]
    assert named["required"] == ["user_id"]
    assert named["properties"]["pin"] == {"type": "string", "writeOnly": True}
    assert "Did you mean 'mail.welcome'?" in web.get(f"{API}/tasks/mail.welcom").get_json()["detail"]
    assert web.get(f"{API}/tasks/tests.unit.admin.calls:tidy").status_code == 404


def test_workers_are_shown_as_their_rows_tell(web: FlaskClient, jobs: Client) -> None:
    jobs.list()  # and the tables are there
    seen = (datetime.now(UTC) - timedelta(hours=1)).strftime("%Y-%m-%d %H:%M:%S.000000")
    with jobs.store.begin() as connection:
        connection.exec_driver_sql(
            "INSERT INTO scheduler_workers (id, host, pid, beat, state, queues, executors, started_at, seen_at) VALUES"
            f""" ('w1', 'box', 7, 1, 'running', '["mail"]', '{{"default": 10}}', '{seen}', '{seen}')"""
        )
    [worker] = web.get(f"{API}/workers").get_json()["data"]
    told = {name: worker[name] for name in ("id", "host", "pid", "state", "queues", "executors")}
    assert told == {
        "id": "w1", "host": "box", "pid": 7, "state": "silent", "queues": ["mail"], "executors": {"default": 10},
    }  # fmt: skip


def test_counts_are_capped_and_say_so(web: FlaskClient, jobs: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    jobs.schedule_many([(60, tidy)] * 3)
    assert web.get(f"{API}/stats").get_json()["capped"] == []
    monkeypatch.setattr("scheduler_app.client.looking.COUNT_CAP", 2)
    monkeypatch.setattr("scheduler_app.admin.looking.COUNT_CAP", 2)
    stats = web.get(f"{API}/stats").get_json()
    assert (stats["jobs"]["scheduled"], stats["counted_to"], stats["capped"]) == (2, 2, ["scheduled"])
