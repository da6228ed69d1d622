"""Making jobs over HTTP: by registered task, every problem told by its place, and once however often it is asked."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

from flask import Flask
from flask.testing import FlaskClient

from scheduler_app.client import Client
from scheduler_app.jobs import JobState, new_id
from tests.unit.admin.calls import tidy
from tests.unit.admin.conftest import API, TOKENS, MakeApp, by, let_run

JOBS = f"{API}/jobs"
CALL = {"task": "mail.welcome", "kwargs": {"user_id": 42}}


def test_a_job_is_made_as_was_asked(web: FlaskClient, jobs: Client) -> None:
    asked = {
        "task": "mail.hello", "args": [42, "bo"], "kwargs": {"at": "2030-03-01T04:00:00+01:00", "token": "hunter2"},
        "run_at": "2030-03-01T05:00:00Z", "queue": "mail", "priority": "high", "tags": ["order:42"], "key": "order:42",
        "on_conflict": "debounce", "attempts": 5, "timeout": 30, "max_lateness": 60.5,
    }  # fmt: skip
    answer = web.post(JOBS, json=asked)
    made: dict[str, Any] = answer.get_json()
    assert (answer.status_code, answer.headers["Location"]) == (201, f"{JOBS}/{made['id']}")
    assert web.get(answer.headers["Location"]).get_json() == made
    assert answer.headers["ETag"] == '"0"'
    said = {
        name: made[name] for name in ("queue", "priority", "tags", "key", "timeout", "max_lateness", "max_attempts")
    }
    assert said == {
        "queue": "mail", "priority": "high", "tags": ["order:42"], "key": "order:42", "timeout": 30.0,
        "max_lateness": 60.5, "max_attempts": 5,
    }  # fmt: skip
    assert (made["task"], made["args"], made["run_at"]) == ("mail.welcome", [42, "bo"], "2030-03-01T05:00:00.000000Z")
    assert made["kwargs"] == {"at": {"$": "datetime", "v": "2030-03-01T03:00:00+00:00"}, "token": "***"}
    assert made["origin"] == {"door": "rest"}
    [job] = jobs.list()
    assert "hunter2" in job.payload


def test_a_job_is_due_now_or_so_long_from_now(web: FlaskClient, jobs: Client) -> None:
    for delay in ({}, {"delay_s": 0}, {"delay_s": 90.5}):
        made = web.post(JOBS, json=CALL | delay).get_json()
        job = jobs.get(made["id"])
        assert job.run_at - job.created_at == timedelta(seconds=delay.get("delay_s", 0))
        assert job.max_attempts == 3


REFUSED: list[tuple[dict[str, Any], dict[str, str]]] = [
    ({}, {"/task": "It is missing."}),
    ({"task": 3, "arg": []}, {
        "/task": "It must be a string, not a whole number.", "/arg": "There is no field 'arg'. Did you mean 'args'?",
    }),
    ({"task": "mail.welcome", "args": [], "delay_s": -1, "priority": "hgih"}, {
        "/delay_s": "It must be 0 or more.",
        "/priority": "It must be one of 'urgent', 'high', 'normal', 'low'. Did you mean 'high'?",
        "/kwargs/user_id": "It is missing.",
    }),
    ({"task": "mail.welcome", "args": ["42"], "kwargs": {"nme": "x", "at": "soon"}}, {
        "/args/0": "It must be a whole number, not a string.",
        "/kwargs/nme": "There is no argument of this name. Did you mean 'name'?",
        "/kwargs/at": "It must be an instant with its offset, such as '2026-03-01T03:00:00Z'.",
    }),
    (CALL | {"args": "x"}, {"/args": "It must be an array, not a string."}),
    (CALL | {"delay_s": 1, "run_at": "2030-03-01T05:00:00Z"}, {"/run_at": "It takes delay_s or run_at, not both."}),
    (CALL | {"on_conflict": "raise"}, {"/on_conflict": "It needs key beside it."}),
    (CALL | {"run_at": "2030-03-01T05:00:00"}, {
        "/run_at": "It must be an instant with its offset, such as '2026-03-01T03:00:00Z'.",
    }),
    (CALL | {"id": "mine"}, {"/id": "It does not have the form ^[0-9a-f]{8}-"}),
    (CALL | {"queue": "a\nb", "tags": ["x", ""], "attempts": 1.5}, {
        "/queue": "It must be one line of printable characters.", "/tags/1": "It must not be empty.",
        "/attempts": "It must be a whole number, not a number.",
    }),
    (CALL | {"delay_s": 1e10}, {"/delay_s": "Cannot schedule more than"}),
    (CALL | {"run_at": "9999-12-31T23:59:59Z"}, {"/run_at": "Cannot schedule more than"}),
    (CALL | {"kwargs": {"user_id": 10**700}}, {"/kwargs/user_id": "kwargs['user_id'] is an integer of more than 640"}),
    (CALL | {"kwargs": {"user_id": 1, "name": "\ud800"}}, {"/kwargs/name": "kwargs['name'] holds a lone surrogate"}),
]  # fmt: skip


def test_what_cannot_be_is_told_by_its_place_all_at_once_and_nothing_is_stored(web: FlaskClient, jobs: Client) -> None:
    for asked, expected in REFUSED:
        answer = web.post(JOBS, data=json.dumps(asked))
        assert (answer.status_code, answer.mimetype) == (422, "application/problem+json"), asked
        told = {error["pointer"]: error["detail"] for error in answer.get_json()["errors"]}
        assert told.keys() == expected.keys(), asked
        assert all(told[place].startswith(words) for place, words in expected.items()), told
    assert jobs.list() == []


def test_only_registered_tasks_are_called_whatever_the_app_could_import(web: FlaskClient, jobs: Client) -> None:
    jobs.schedule_after(60, tidy, (), {})
    for name, words in {
        "mail.welcom": "no task is registered under this name. Did you mean 'mail.welcome'?",
        "tests.unit.admin.calls:tidy": "no task is registered under this name.",
        "os:system": "no task is registered under this name.",
    }.items():
        answer = web.post(JOBS, json={"task": name})
        assert answer.status_code == 404
        assert answer.get_json()["detail"] == f"The task {name!r} is not known here: {words}"
    assert len(jobs.list()) == 1


def test_the_same_asked_again_under_an_id_is_the_same_job_and_another_call_a_conflict(
    web: FlaskClient, jobs: Client
) -> None:
    job_id = new_id(datetime.now(UTC))
    asked = CALL | {"id": job_id, "delay_s": 60, "tags": ["a"]}
    assert web.post(JOBS, json=asked).status_code == 201
    let_run(jobs, job_id)
    again = web.post(JOBS, json=asked)
    assert (again.status_code, again.get_json()["state"]) == (200, "running")
    assert again.headers["Location"] == f"{JOBS}/{job_id}"
    for other in (
        {"kwargs": {"user_id": 43}},
        {"delay_s": 61},
        {"tags": ["a", "b"]},
        {"task": "mail.hello", "key": "k"},
    ):
        answer = web.post(JOBS, json=asked | other)
        assert (answer.status_code, answer.get_json()["job"]["id"]) == (409, job_id)
    assert web.post(JOBS, json=asked | {"task": "mail.hello"}).status_code == 200
    assert len(jobs.list()) == 1


def test_a_key_that_is_taken_answers_the_job_that_has_it(web: FlaskClient, jobs: Client) -> None:
    first = web.post(JOBS, json=CALL | {"key": "k", "delay_s": 60}).get_json()["id"]
    for rule, status in (("existing", 200), ("throttle", 200), ("raise", 409)):
        answer = web.post(JOBS, json=CALL | {"key": "k", "on_conflict": rule})
        assert answer.status_code == status
        assert (answer.get_json().get("job") or answer.get_json())["id"] == first
    assert [job.state for job in jobs.list()] == [JobState.SCHEDULED]


def test_bodies_are_bounded_and_queues_must_be_known_where_they_are_configured(make_app: MakeApp) -> None:
    tokens = {token: role for role, token in TOKENS.items()}
    app: Flask = make_app(SCHEDULER_ADMIN_TOKENS=tokens, SCHEDULER_QUEUES=["mail"], SCHEDULER_MAX_PAYLOAD_BYTES=1000)
    web = by(app, "admin")
    answer = web.post(JOBS, json=CALL | {"queue": "mial", "delay_s": -1})
    told = {error["pointer"]: error["detail"] for error in answer.get_json()["errors"]}
    assert "Did you mean 'mail'?" in told["/queue"]
    assert told.keys() == {"/queue", "/delay_s"}
    large = web.post(JOBS, json={"task": "mail.welcome", "args": [1, "x" * 2000]})
    assert (large.status_code, "SCHEDULER_MAX_PAYLOAD_BYTES" in large.get_json()["detail"]) == (413, True)
    assert web.post(JOBS, data=b" " * 70_000).status_code == 413
    for body, status in ((b"[]", 400), (b"{", 400), (b"", 422)):
        assert web.post(JOBS, data=body).status_code == status
    assert web.post(f"{JOBS}?task=x", json=CALL).get_json()["errors"][0]["parameter"] == "task"


def test_a_time_that_has_passed_means_now_so_that_nothing_is_late_by_it(web: FlaskClient, jobs: Client) -> None:
    before = jobs.store.clock.now()
    asked = CALL | {"id": new_id(before), "run_at": "2000-01-01T00:00:00Z", "max_lateness": 60}
    made = web.post(JOBS, json=asked)
    assert made.status_code == 201
    assert jobs.get(made.get_json()["id"]).run_at >= before
    assert web.post(JOBS, json=asked).status_code == 200  # the same call, although now is another now
