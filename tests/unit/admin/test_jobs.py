"""Listing, showing and cancelling jobs over HTTP."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from flask import Flask
from flask.testing import FlaskClient

from scheduler_app.client import Client, make_options
from scheduler_app.jobs import FINISHED, JobState
from tests.unit.admin.calls import remind, tidy
from tests.unit.admin.conftest import API, MakeApp, let_run, rewrite

JOBS = f"{API}/jobs"
MOMENT = datetime(2030, 3, 1, 4, 0, 0, 250, tzinfo=UTC)


def ids(web: FlaskClient, query: str = "") -> list[str]:
    return [job["id"] for job in web.get(f"{JOBS}{query}").get_json()["data"]]


def errors(web: FlaskClient, query: str) -> list[dict[str, str]]:
    answer = web.get(f"{JOBS}?{query}")
    assert answer.status_code == 422
    found: list[dict[str, str]] = answer.get_json()["errors"]
    return found


# -- one job -----------------------------------------------------------------------------------------


def test_a_job_is_shown_whole(web: FlaskClient, jobs: Client) -> None:
    options = make_options(queue="mail", priority="high", key="order:42", attempts=5, tags=["a", "b"])
    job = jobs.schedule_at(MOMENT, remind, (1, Decimal("2.50")), {"at": MOMENT}, options)
    shown = web.get(f"{JOBS}/{job.id}").get_json()
    created = datetime.fromisoformat(shown.pop("created_at"))
    assert shown.pop("origin")["at"].startswith("tests/unit/admin/test_jobs.py:")
    assert abs((created - jobs.get(job.id).created_at).total_seconds()) == 0
    assert shown == {
        "id": job.id,
        "task": "tests.unit.admin.calls:remind",
        "args": [1, {"$": "decimal", "v": "2.50"}],
        "kwargs": {"at": {"$": "datetime", "v": "2030-03-01T04:00:00.000250+00:00"}},
        "queue": "mail",
        "priority": "high",
        "state": "scheduled",
        "run_at": "2030-03-01T04:00:00.000250Z",
        "key": "order:42",
        "attempt": 0,
        "max_attempts": 5,
        "crashes": 0,
        "started_at": None,
        "finished_at": None,
        "cancel_requested_at": None,
        "outcome": None,
        "result": None,
        "error": None,
        "progress": None,
        "tags": ["a", "b"],
        "schedule": None,
        "context": {},
        "at_most_once": False,
        "timeout": None,
        "max_lateness": None,
        "version": 0,
        "notes": [],
        "allowed_actions": ["cancel", "reschedule", "run-now", "pause", "change"],
        "links": {
            **dict.fromkeys(("self", "reschedule", "change"), f"{JOBS}/{job.id}"),
            **{name: f"{JOBS}/{job.id}/{name}" for name in ("attempts", "explain", "cancel", "run-now", "pause")},
        },
    }


def test_an_instant_on_the_second_still_has_its_microseconds(web: FlaskClient, jobs: Client) -> None:
    job = jobs.schedule_at(MOMENT.replace(microsecond=0), tidy, (), {})
    assert web.get(f"{JOBS}/{job.id}").get_json()["run_at"] == "2030-03-01T04:00:00.000000Z"


def test_a_result_is_shown_and_a_finished_job_may_be_deleted(web: FlaskClient, jobs: Client) -> None:
    job = jobs.schedule_after(60, tidy, (), {})
    rewrite(jobs, job.id, state="succeeded", outcome="success", result='{"sent":[1,2]}')
    shown = web.get(f"{JOBS}/{job.id}").get_json()
    assert (shown["result"], shown["outcome"]) == ({"sent": [1, 2]}, "success")
    assert shown["allowed_actions"] == ["delete"]
    assert shown["links"].keys() == {"self", "attempts", "explain", "delete"}


@pytest.mark.parametrize(
    "stored",
    [
        "",
        "not JSON",
        "[]",
        "null",
        "{}",
        '{"a":[]}',
        '{"a":{},"k":{}}',
        '{"a":[NaN],"k":{}}',
        '{"a":[1e999],"k":{}}',
        '{"a":[' + "[" * 5000 + "]" * 5000 + '],"k":{}}',
        '{"a":[' + "[" * 150 + "]" * 150 + '],"k":{}}',
        '{"a":[' + "9" * 5000 + '],"k":{}}',
    ],
)
def test_arguments_that_cannot_be_read_are_null_with_a_note_and_delay_no_neighbour(
    web: FlaskClient, jobs: Client, stored: str
) -> None:
    good, bad = (jobs.schedule_after(60, remind, (1,), {}) for _ in range(2))
    rewrite(jobs, bad.id, payload=stored)
    shown = web.get(JOBS).get_json()["data"]
    assert [job["id"] for job in shown] == [bad.id, good.id]
    assert (shown[0]["args"], shown[0]["kwargs"]) == (None, None)
    assert shown[0]["notes"] == ["The stored arguments cannot be read, so args, kwargs and context are null."]
    assert (shown[1]["args"], shown[1]["notes"]) == ([1], [])


def test_a_result_that_cannot_be_read_is_null_with_a_note(web: FlaskClient, jobs: Client) -> None:
    job = jobs.schedule_after(60, tidy, (), {})
    rewrite(jobs, job.id, state="succeeded", result="not JSON")
    shown = web.get(f"{JOBS}/{job.id}").get_json()
    assert (shown["result"], shown["notes"]) == (None, ["The stored result cannot be read, so result is null."])


def test_stored_names_are_shown_and_never_imported(web: FlaskClient, jobs: Client) -> None:
    job = jobs.schedule_after(60, remind, (), {})
    named = {"$": "enum", "v": ["tests.unit.admin.absent:Colour", "RED"]}
    rewrite(jobs, job.id, payload=json.dumps({"a": [named], "k": {}}))
    assert web.get(f"{JOBS}/{job.id}").get_json()["args"] == [named]


@pytest.mark.parametrize(
    "job_id", ["x", "0195f3a0-0000-7000-8000-000000000000", "a%00b", "%27%20OR%201=1", "%F0%9F%90%9D"]
)
def test_a_job_that_is_not_there_is_not_found(web: FlaskClient, job_id: str) -> None:
    for answer in (web.get(f"{JOBS}/{job_id}"), web.post(f"{JOBS}/{job_id}/cancel")):
        assert answer.status_code == 404


def test_an_id_that_postgresql_cannot_even_be_asked_for_is_not_found(make_app: MakeApp, postgresql_url: str) -> None:
    app = make_app(SCHEDULER_DATABASE_URL=postgresql_url, SCHEDULER_AUTO_UPGRADE=True, SCHEDULER_ADMIN_TOKEN="rule")
    web = app.test_client()
    web.environ_base["HTTP_AUTHORIZATION"] = "Bearer rule"
    job = app.extensions["scheduler"].client.schedule_after(60, tidy, (), {})
    assert ids(web) == [job.id]
    assert web.get(f"{JOBS}/a%00b").status_code == 404


def test_a_job_that_is_not_there_is_told_by_its_id(web: FlaskClient) -> None:
    assert web.get(f"{JOBS}/x").get_json()["detail"] == (
        "No job has the id 'x'. 'flask scheduler list' shows what there is."
    )


def test_a_job_that_did_not_change_is_not_sent_again(web: FlaskClient, jobs: Client) -> None:
    job = jobs.schedule_after(60, tidy, (), {})
    etag = web.get(f"{JOBS}/{job.id}").headers["ETag"]
    assert etag == '"0"'
    again = web.get(f"{JOBS}/{job.id}", headers={"If-None-Match": etag})
    assert (again.status_code, again.get_data(), again.headers["ETag"]) == (304, b"", etag)
    assert again.headers["Cache-Control"] == "no-store"
    jobs.reschedule(job.id, after=90)
    changed = web.get(f"{JOBS}/{job.id}", headers={"If-None-Match": etag})
    assert (changed.status_code, changed.headers["ETag"]) == (200, '"1"')


# -- the list ----------------------------------------------------------------------------------------


def test_no_jobs_are_an_empty_list(web: FlaskClient) -> None:
    answer = web.get(JOBS)
    assert answer.get_json() == {"data": [], "has_more": False, "next_cursor": None, "searched": 0, "complete": True}
    assert "Link" not in answer.headers


def test_jobs_are_listed_the_newest_first_as_they_are_shown_alone(web: FlaskClient, jobs: Client) -> None:
    made = [jobs.schedule_after(60, tidy, (), {}).id for _ in range(3)]
    data = web.get(JOBS).get_json()["data"]
    assert [job["id"] for job in data] == made[::-1]
    assert data[0] == web.get(f"{JOBS}/{made[2]}").get_json()


@pytest.mark.parametrize("count", [0, 1, 3, 4, 6])
def test_every_job_is_on_exactly_one_page(web: FlaskClient, jobs: Client, count: int) -> None:
    made = [job.id for job in jobs.schedule_many([(60, tidy)] * count)]
    found, address, pages = [], f"{JOBS}?limit=3", 0
    while address:
        answer = web.get(address)
        body, link = answer.get_json(), answer.headers.get("Link", "")
        found += [job["id"] for job in body["data"]]
        assert body["has_more"] == (body["next_cursor"] is not None) == bool(link)
        address = link.removeprefix("<").removesuffix('>; rel="next"')
        pages += 1
    assert sorted(found) == sorted(made)
    assert pages == max(1, -(-count // 3))


def test_a_job_made_meanwhile_shifts_no_page(web: FlaskClient, jobs: Client) -> None:
    made = [jobs.schedule_after(60, tidy, (), {}).id for _ in range(4)]
    first = web.get(f"{JOBS}?limit=2").get_json()
    jobs.schedule_after(60, tidy, (), {})
    assert ids(web, f"?limit=2&cursor={first['next_cursor']}") == made[1::-1]


def test_the_next_page_has_the_same_filters_and_no_token(web: FlaskClient, jobs: Client) -> None:
    jobs.schedule_many([(60, tidy)] * 3)
    query = "?limit=1&state=scheduled,paused&state=failed&queue=default&task=tests.unit.admin.calls:tidy"
    link = web.get(f"{JOBS}{query}").headers["Link"]
    address = urlsplit(link.removeprefix("<").removesuffix('>; rel="next"'))
    asked = parse_qs(address.query)
    assert address.path == JOBS
    assert asked.pop("cursor")
    assert asked == {
        "limit": ["1"],
        "state": ["scheduled,paused", "failed"],
        "queue": ["default"],
        "task": ["tests.unit.admin.calls:tidy"],
    }


def test_a_page_holds_50_jobs_unless_asked_or_200_at_most(web: FlaskClient, jobs: Client) -> None:
    jobs.schedule_many([(60, tidy)] * 201)
    assert len(ids(web)) == 50
    body = web.get(f"{JOBS}?limit=200").get_json()
    assert (len(body["data"]), body["has_more"]) == (200, True)
    assert len(ids(web, f"?limit=200&cursor={body['next_cursor']}")) == 1


def test_a_page_is_never_larger_than_the_setting(make_app: MakeApp) -> None:
    app = make_app(SCHEDULER_MAX_PAGE=2, SCHEDULER_ADMIN_TOKEN="rule")
    web = app.test_client()
    web.environ_base["HTTP_AUTHORIZATION"] = "Bearer rule"
    app.extensions["scheduler"].client.schedule_many([(60, tidy)] * 3)
    assert len(ids(web)) == 2
    assert errors(web, "limit=3")[0]["detail"] == "The parameter 'limit' must be a whole number from 1 to 2, not '3'."


def test_jobs_are_filtered_by_state_queue_and_task(web: FlaskClient, jobs: Client) -> None:
    mail = jobs.schedule_after(60, tidy, (), {}, make_options(queue="mail")).id
    other = jobs.schedule_after(60, remind, (), {}).id
    done = jobs.schedule_after(60, tidy, (), {}).id
    rewrite(jobs, done, state="failed")
    assert ids(web, "?state=scheduled") == [other, mail]
    assert ids(web, "?state=failed") == [done]
    assert ids(web, "?state=failed,scheduled") == ids(web, "?state=failed&state=scheduled") == [done, other, mail]
    assert ids(web, "?queue=mail") == [mail]
    assert ids(web, "?task=tests.unit.admin.calls:tidy") == [done, mail]
    assert ids(web, "?task=tests.unit.admin.calls:tidy&state=scheduled") == [mail]
    assert ids(web, "?queue=elsewhere") == []


def test_a_list_that_did_not_change_is_not_sent_again(web: FlaskClient, jobs: Client) -> None:
    job = jobs.schedule_after(60, tidy, (), {})
    etag = web.get(JOBS).headers["ETag"]
    assert etag.startswith('W/"')
    assert web.get(JOBS, headers={"If-None-Match": etag}).status_code == 304
    jobs.reschedule(job.id, after=90)
    assert web.get(JOBS, headers={"If-None-Match": etag}).status_code == 200


@pytest.mark.parametrize(
    ("query", "name", "detail"),
    [
        ("sate=failed", "sate", "There is no filter 'sate'. Did you mean 'state'?"),
        ("token=x", "token", "There is no filter 'token'."),
        ("_external=1", "_external", "There is no filter '_external'."),
        ("limit=0", "limit", "The parameter 'limit' must be a whole number from 1 to 200, not '0'."),
        ("limit=201", "limit", "The parameter 'limit' must be a whole number from 1 to 200, not '201'."),
        ("limit=-1", "limit", "The parameter 'limit' must be a whole number from 1 to 200, not '-1'."),
        ("limit=1_0", "limit", "The parameter 'limit' must be a whole number from 1 to 200, not '1_0'."),
        ("limit=1&limit=2", "limit", "The parameter 'limit' is given more than once."),
        ("queue=", "queue", "The filter 'queue' is empty; leave it out, or give it a value."),
        ("queue=a%00b", "queue", "The filter 'queue' must be at most 191 printable characters."),
        ("task=" + "x" * 192, "task", "The filter 'task' must be at most 191 printable characters."),
        (
            "state=faild",
            "state",
            "The filter 'state' must be of scheduled, paused, claimed, running, succeeded, failed, cancelled,"
            " missed, quarantined, not 'faild'. Did you mean 'failed'?",
        ),
        ("cursor=", "cursor", "The parameter 'cursor' is empty; leave it out, or give it a value."),
    ],
)
def test_a_parameter_that_cannot_be_used_is_named(web: FlaskClient, query: str, name: str, detail: str) -> None:
    assert errors(web, query) == [{"parameter": name, "detail": detail}]


def test_all_parameters_that_cannot_be_used_are_named_at_once(web: FlaskClient) -> None:
    assert [error["parameter"] for error in errors(web, "limit=x&state=x&colour=red")] == ["limit", "state", "colour"]


@pytest.mark.parametrize("cursor", ["x", "0195f3a0-0000-7000-8000-000000000000", "%00", "%F0%9F%90%9D"])
def test_a_malformed_cursor_is_a_bad_request(web: FlaskClient, cursor: str) -> None:
    answer = web.get(f"{JOBS}?cursor={cursor}")
    assert answer.status_code == 400
    assert answer.get_json()["detail"] == (
        "The cursor cannot be used: it was cut, changed, made for another filter or order, or made before the signing"
        " key changed. Ask again without a cursor, and follow the next one from there."
    )


# -- cancel ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", ["scheduled", "paused", "quarantined"])
def test_a_waiting_job_is_cancelled(web: FlaskClient, jobs: Client, state: str) -> None:
    job = jobs.schedule_after(60, tidy, (), {})
    rewrite(jobs, job.id, state=state)
    answer = web.post(f"{JOBS}/{job.id}/cancel")
    assert (answer.status_code, answer.get_json()["state"]) == (200, "cancelled")
    assert jobs.get(job.id).state is JobState.CANCELLED
    assert answer.headers["ETag"] == web.get(f"{JOBS}/{job.id}").headers["ETag"]
    assert "Location" not in answer.headers


@pytest.mark.parametrize("state", ["running", "claimed"])
def test_a_job_that_runs_is_asked_to_stop(web: FlaskClient, jobs: Client, state: str) -> None:
    job = jobs.schedule_after(60, tidy, (), {})
    let_run(jobs, job.id)
    rewrite(jobs, job.id, state=state)
    answer = web.post(f"{JOBS}/{job.id}/cancel")
    assert (answer.status_code, answer.headers["Location"]) == (202, f"{JOBS}/{job.id}")
    assert answer.get_json()["state"] == state
    assert answer.get_json()["cancel_requested_at"].endswith("Z")
    assert jobs.get(job.id).cancel_requested_at is not None


def test_cancelling_twice_is_no_error(web: FlaskClient, jobs: Client) -> None:
    job = jobs.schedule_after(60, tidy, (), {})
    assert [web.post(f"{JOBS}/{job.id}/cancel").status_code for _ in range(2)] == [200, 200]


@pytest.mark.parametrize("state", [state for state in FINISHED if state is not JobState.CANCELLED])
def test_a_job_that_finished_otherwise_is_a_conflict(web: FlaskClient, jobs: Client, state: JobState) -> None:
    job = jobs.schedule_after(60, tidy, (), {})
    rewrite(jobs, job.id, state=state.value)
    answer = web.post(f"{JOBS}/{job.id}/cancel")
    assert answer.status_code == 409
    body: dict[str, Any] = answer.get_json()
    allows = ["delete"] if state is JobState.SUCCEEDED else ["retry", "delete"]
    assert (body["state"], body["allowed_actions"]) == (state.value, allows)
    rest = f"It allows: {', '.join(allows)}."
    assert body["detail"] == f"Job {job.id} is {state.value!r}, so it cannot be asked to stop. {rest}"
    assert jobs.get(job.id).state is state


def test_a_job_that_ended_while_it_was_being_asked_is_a_conflict(
    web: FlaskClient, jobs: Client, app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = jobs.schedule_after(60, tidy, (), {})
    let_run(jobs, job.id)
    ask = jobs.store.write

    def ask_and_finish(work: Any) -> Any:
        asked = ask(work)
        rewrite(jobs, job.id, state="succeeded")
        return asked

    monkeypatch.setattr(jobs.store, "write", ask_and_finish)
    answer = web.post(f"{JOBS}/{job.id}/cancel")
    assert (answer.status_code, answer.get_json()["state"]) == (409, "succeeded")


def test_reading_cancels_nothing(web: FlaskClient, jobs: Client) -> None:
    job = jobs.schedule_after(60, tidy, (), {})
    assert web.get(f"{JOBS}/{job.id}/cancel").status_code == 405
    assert jobs.get(job.id).state is JobState.SCHEDULED


@pytest.mark.parametrize(
    ("body", "status", "detail"),
    [
        (b'{"reason":', 400, "The body is not JSON. Leave it empty: this takes no fields."),
        (b"\xff", 400, "The body is not JSON. Leave it empty: this takes no fields."),
        (b"[" * 60_000, 400, "The body is not JSON. Leave it empty: this takes no fields."),
        (b'{"x": NaN}', 400, "The body is not JSON. Leave it empty: this takes no fields."),
        (b'{"x": 1e999}', 400, "The body is not JSON. Leave it empty: this takes no fields."),
        (b"[]", 400, "The body is not a JSON object. Leave it empty: this takes no fields."),
        (b'{"reason":"x"}', 422, "/reason: There is no field 'reason'; leave the body empty."),
        (b" " * 65_537, 413, "The body has more than 65536 bytes."),
    ],
)
def test_a_cancel_with_a_body_that_it_does_not_take_is_refused_and_cancels_nothing(
    web: FlaskClient, jobs: Client, body: bytes, status: int, detail: str
) -> None:
    job = jobs.schedule_after(60, tidy, (), {})
    answer = web.post(f"{JOBS}/{job.id}/cancel", data=body, content_type="application/json")
    assert (answer.status_code, answer.get_json()["detail"]) == (status, detail)
    assert jobs.get(job.id).state is JobState.SCHEDULED


@pytest.mark.parametrize("body", [b"", b" ", b"{}"])
def test_a_cancel_with_an_empty_body_is_taken(web: FlaskClient, jobs: Client, body: bytes) -> None:
    job = jobs.schedule_after(60, tidy, (), {})
    assert web.post(f"{JOBS}/{job.id}/cancel", data=body).status_code == 200


@pytest.mark.parametrize("path", ["", "/cancel"])
def test_a_job_takes_no_parameters(web: FlaskClient, jobs: Client, path: str) -> None:
    job = jobs.schedule_after(60, tidy, (), {})
    answer = web.open(f"{JOBS}/{job.id}{path}?force=1", method="POST" if path else "GET")
    assert answer.status_code == 422
    assert answer.get_json()["errors"] == [{"parameter": "force", "detail": "There is no parameter 'force'."}]
    assert jobs.get(job.id).state is JobState.SCHEDULED
