"""The address of one job: what a view gives by `job.accepted()`, and what its holder may see and do there."""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from flask import Flask, Response, request
from flask.testing import FlaskClient

from scheduler_app import Actor, after_response, schedule_after
from scheduler_app.client import Client
from scheduler_app.client.accepted import MOST_SECONDS, PURPOSE, Pass, read_token, retry_after, write_token
from scheduler_app.errors import HandleError
from scheduler_app.jobs import JobState
from scheduler_app.payload import Signer
from tests.unit.admin.calls import remind, tidy
from tests.unit.admin.conftest import MakeApp, by, let_run, rewrite

SIGNER, OTHER = Signer([b"0123456789abcdef"]), Signer([b"fedcba9876543210"])
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
GIVEN = Pass("0195f3a0-0000-7000-8000-000000000000", NOW + timedelta(hours=1), may_cancel=False)


@pytest.fixture
def open_app(make_app: MakeApp) -> Flask:
    """An app that says of nobody that they may use the admin, with a view that gives jobs to do."""
    app = make_app()

    @app.post("/reports")
    def report() -> Response:
        allow, seconds = request.args.get("allow") == "yes", float(request.args.get("seconds", 3600))
        return schedule_after(90, remind, 1, "a secret of the view").accepted(allow_cancel=allow, expires=seconds)

    @app.post("/later")
    def later() -> Response:
        return after_response(tidy).accepted()

    return app


@pytest.fixture
def jobs(open_app: Flask) -> Client:
    client: Client = open_app.extensions["scheduler"].client
    return client


@pytest.fixture
def web(open_app: Flask) -> FlaskClient:
    return by(open_app, None)


def given(web: FlaskClient, query: str = "") -> str:
    """Let the view make a job, and return its address."""
    return str(web.post(f"/reports{query}").headers["Location"])


def token_of(address: str) -> str:
    return address.rpartition("/")[2]


def id_of(jobs: Client, address: str) -> str:
    read = read_token(jobs.calls.signer(), token_of(address))
    assert read is not None
    return read.job_id


# -- what the view answers ---------------------------------------------------------------------------


def test_a_view_answers_with_the_address_of_its_job(web: FlaskClient, jobs: Client) -> None:
    answer = web.post("/reports?seconds=60")
    body = answer.get_json()
    (job,) = jobs.list()
    assert (answer.status_code, answer.headers["Retry-After"], answer.headers["Cache-Control"]) == (
        202,
        "60",
        "no-store",
    )
    assert answer.headers["Location"] == body.pop("href")
    assert answer.headers["Location"].startswith("/scheduler/handle/")
    ends = datetime.fromisoformat(body.pop("expires_at"))
    assert 59 < (ends - job.created_at).total_seconds() <= 62
    assert body == {"state": "scheduled", "may_cancel": False}


def test_the_address_is_that_below_which_the_app_is_mounted(make_app: MakeApp) -> None:
    app = make_app(SCHEDULER_ADMIN_URL_PREFIX="/ops/deferred")
    with app.test_request_context("/", "http://localhost/shop"):
        answer = app.extensions["scheduler"].client.schedule_after(60, tidy, (), {}).accepted()
    assert answer.headers["Location"].startswith("/shop/ops/deferred/handle/")
    assert by(app, None).get(answer.headers["Location"].removeprefix("/shop")).status_code == 200


def test_a_call_after_the_response_has_one_too(web: FlaskClient, jobs: Client) -> None:
    with web.post("/later") as answer:
        address = answer.headers["Location"]
    assert web.get(address).get_json()["state"] == "scheduled"
    assert id_of(jobs, address) == jobs.list()[0].id


@pytest.mark.parametrize("expires", [0, -1, timedelta(0), MOST_SECONDS + 1, float("nan"), float("inf"), "1h", None])
def test_an_end_that_cannot_be_is_refused(open_app: Flask, jobs: Client, expires: Any) -> None:
    job = jobs.schedule_after(60, tidy, (), {})
    with (
        open_app.test_request_context(),
        pytest.raises(HandleError, match=r"more than 0 and at most 31,536,000 \(a year"),
    ):
        job.accepted(expires=expires)


@pytest.mark.parametrize(
    ("state", "ahead", "seconds"),
    [("scheduled", 5.2, 6), ("scheduled", 900, 60), ("scheduled", -5, 1), ("running", -900, 1), ("claimed", 30, 1),
     ("paused", 1, 60), ("quarantined", -5, 60)],
)  # fmt: skip
def test_one_may_look_again_when_it_is_due_and_within_a_minute(
    jobs: Client, state: str, ahead: float, seconds: int
) -> None:
    job = jobs.schedule_after(60, tidy, (), {})
    rewrite(jobs, job.id, state=state)
    seen = jobs.get(job.id)
    assert retry_after(seen, seen.run_at - timedelta(seconds=ahead)) == seconds


# -- what its holder sees ----------------------------------------------------------------------------

PROGRESS = {"done": 1, "total": 4, "message": None, "share": 0.25}
ENDS: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({"progress": '{"done":1,"total":4}'}, {"state": "scheduled"}),
    ({"state": "running", "error": "ValueError: the last attempt's"}, {"state": "running"}),
    (
        {"state": "succeeded", "outcome": "success", "result": '{"pages":3}'},
        {"state": "succeeded", "result": {"pages": 3}},
    ),
    ({"state": "succeeded", "outcome": "success", "result": "{torn"}, {"state": "succeeded"}),
    (
        {"state": "failed", "outcome": "error", "error": "shop.errors.NoStock: 7 of sku 12"},
        {"state": "failed", "error": "shop.errors.NoStock"},
    ),
    (
        {"state": "failed", "outcome": "error", "error": "KeyError (ran 3 s, longer than its timeout of 1 s)"},
        {"state": "failed", "error": "KeyError"},
    ),
    ({"state": "failed", "outcome": "error", "error": "KeyError"}, {"state": "failed", "error": "KeyError"}),
    ({"state": "failed", "outcome": "error", "error": "the secret of it: x"}, {"state": "failed", "error": "error"}),
    (
        {"state": "failed", "outcome": "timeout", "error": "JobTimeoutError: of 3 s"},
        {"state": "failed", "error": "timeout"},
    ),
    (
        {"state": "failed", "outcome": "abandoned", "error": "its worker died"},
        {"state": "failed", "error": "abandoned"},
    ),
    ({"state": "failed", "outcome": None, "error": None}, {"state": "failed", "error": "error"}),
    (
        {"state": "missed", "outcome": "missed", "error": "not started: 9 s late"},
        {"state": "missed", "error": "missed"},
    ),
    ({"state": "cancelled", "outcome": "cancelled", "error": "asked to stop"}, {"state": "cancelled"}),
    ({"state": "quarantined", "error": "its signature is forged"}, {"state": "quarantined"}),
]


def test_its_holder_sees_state_progress_result_and_the_kind_of_error_and_no_more(
    web: FlaskClient, jobs: Client
) -> None:
    address = given(web)
    for columns, seen in ENDS:
        rewrite(jobs, id_of(jobs, address), **columns)
        answer = web.get(address)
        assert answer.get_json() == {"progress": PROGRESS, "result": None, "error": None} | seen
        is_over = seen["state"] in ("succeeded", "failed", "missed", "cancelled")
        assert ("Retry-After" in answer.headers) is not is_over, seen
        assert web.head(address).headers["ETag"] == answer.headers["ETag"]


def test_what_has_not_changed_is_not_sent_again(web: FlaskClient, jobs: Client) -> None:
    address = given(web)
    first = web.get(address)
    again = web.get(address, headers={"If-None-Match": first.headers["ETag"]})
    assert (again.status_code, again.get_data(), again.headers["Retry-After"]) == (304, b"", "60")
    let_run(jobs, id_of(jobs, address))
    changed = web.get(address, headers={"If-None-Match": first.headers["ETag"]})
    assert (changed.status_code, changed.get_json()["state"]) == (200, "running")


def test_neither_other_rights_nor_the_lack_of_them_matter(app: Flask, make_app: MakeApp) -> None:
    job = app.extensions["scheduler"].client.schedule_after(60, tidy, (), {})
    with app.test_request_context():
        address = job.accepted().headers["Location"]
    closed = make_app()
    refusing = make_app()
    refusing.extensions["scheduler"].authorize = lambda request: None
    for door in (by(app, None), by(app, "viewer"), by(closed, None), by(refusing, None)):
        assert door.get(address).status_code == 200
    assert by(closed, None).get("/scheduler/api/v1/jobs").status_code == 404


def test_a_job_that_is_gone_or_not_there_yet_is_not_found(web: FlaskClient, jobs: Client) -> None:
    address = given(web, "?allow=yes")
    with jobs.store.begin() as connection:
        connection.exec_driver_sql("DELETE FROM scheduler_jobs")
    for answer in (web.get(address), web.delete(address)):
        assert answer.status_code == 404
        assert (
            answer.get_json()["detail"] == "The job of this address is not there: it is not stored yet, or was removed."
        )


def test_an_end_that_has_passed_is_gone(open_app: Flask, jobs: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    web = by(open_app, None)
    address = given(web, "?seconds=60&allow=yes")
    now = jobs.store.clock.now()
    for ahead, status in ((0, 200), (58, 200), (62, 410)):
        monkeypatch.setattr(jobs.store.clock, "now", lambda ahead=ahead: now + timedelta(seconds=ahead))
        assert web.get(address).status_code == status, ahead
    assert web.delete(address).status_code == 410
    assert web.get(address[:-1]).status_code == 404, "a forged one is not told that it has ended"


# -- cancelling --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("method", "end"), [("DELETE", ""), ("POST", "/cancel")])
def test_its_holder_cancels_where_the_view_allowed_it(web: FlaskClient, jobs: Client, method: str, end: str) -> None:
    waiting, running, over = (given(web, "?allow=yes") for _ in range(3))
    let_run(jobs, id_of(jobs, running))
    rewrite(jobs, id_of(jobs, over), state="succeeded")
    answer = web.open(waiting + end, method=method)
    assert (answer.status_code, answer.get_json()["state"]) == (200, "cancelled")
    assert web.open(waiting + end, method=method).status_code == 200
    answer = web.open(running + end, method=method)
    assert (answer.status_code, answer.get_json()["state"], answer.headers["Location"]) == (202, "running", running)
    assert jobs.get(id_of(jobs, running)).cancel_requested_at is not None
    answer = web.open(over + end, method=method)
    assert (answer.status_code, answer.mimetype) == (409, "application/problem+json")
    assert (answer.get_json()["state"], answer.get_json()["detail"]) == (
        "succeeded", "The job has ended, so it cannot be cancelled.",
    )  # fmt: skip
    looked_at = given(web)
    answer = web.open(looked_at + end, method=method)
    assert answer.status_code == 403
    assert answer.get_json()["detail"] == "At this address the job may be looked at, and not cancelled."
    assert jobs.get(id_of(jobs, looked_at)).state is JobState.SCHEDULED


@pytest.mark.parametrize(
    ("headers", "lets_in"),
    [
        ({}, True),
        ({"Sec-Fetch-Site": "same-origin"}, True),
        ({"Sec-Fetch-Site": "same-site"}, False),
        ({"Sec-Fetch-Site": "cross-site"}, False),
        ({"Sec-Fetch-Site": "cross-site", "Origin": "http://localhost"}, False),
        ({"Sec-Fetch-Site": "cross-site", "Authorization": "Bearer x"}, False),
        ({"Origin": "http://localhost"}, True),
        ({"Origin": "https://evil.example"}, False),
        ({"Origin": "null"}, False),
        ({"Origin": "http://["}, False),
    ],
)
def test_another_site_may_not_even_with_the_address(
    web: FlaskClient, jobs: Client, headers: dict[str, str], lets_in: bool
) -> None:
    web.set_cookie("session", "ann")
    address = given(web, "?allow=yes")
    assert web.delete(address, headers=headers).status_code == (200 if lets_in else 403)
    assert web.get(address, headers=headers).status_code == 200
    assert "Access-Control-Allow-Origin" not in web.get(address, headers=headers).headers


# -- tokens ------------------------------------------------------------------------------------------


def spelled(text: str) -> str:
    return urlsafe_b64encode(text.encode()).decode().rstrip("=")


def text_of(token: str) -> str:
    return urlsafe_b64decode(token + "=" * (-len(token) % 4)).decode()


def signed(*parts: str, said: str) -> str:
    return spelled(f"{SIGNER.sign(*parts)} {said}")


def test_a_token_says_what_was_given() -> None:
    for may_cancel in (True, False):
        for job_id in (GIVEN.job_id, "with a blank", "é\n"):
            pass_ = Pass(job_id, GIVEN.expires_at, may_cancel)
            assert read_token(SIGNER, write_token(SIGNER, pass_)) == pass_


TOKEN = write_token(SIGNER, GIVEN)
SAID = text_of(TOKEN).partition(" ")[2]
ENDS_AT, FLAG, JOB_ID = SAID.split(" ")
SIGNATURE = text_of(TOKEN).partition(" ")[0]
FORGED = {
    "nothing": "",
    "a word": "x",
    "no ASCII": "é",
    "half a surrogate": "\udcff",
    "blanks": " " + TOKEN,
    "padding": TOKEN + "=",
    "what base64 ignores": TOKEN + "!",
    "a line's end": TOKEN + "\n",
    "cut": TOKEN[:-1],
    "made longer": TOKEN + "A",
    "a later end": spelled(f"{SIGNATURE} {int(ENDS_AT) + 3600} {FLAG} {JOB_ID}"),
    "may cancel": spelled(f"{SIGNATURE} {ENDS_AT} 1 {JOB_ID}"),
    "another job": spelled(f"{SIGNATURE} {ENDS_AT} {FLAG} {JOB_ID[:-1]}1"),
    "parts that slid": spelled(f"{SIGNATURE} {ENDS_AT} {FLAG}{JOB_ID}"),
    "no signature": spelled(f" {SAID}"),
    "the signature of nothing": spelled(f"v1:{SIGNATURE[3:11]}:{'0' * 64} {SAID}"),
    "another key under this one's name": spelled(f"{SIGNATURE[:12]}{OTHER.sign(PURPOSE, SAID)[12:]} {SAID}"),
    "another key": write_token(OTHER, GIVEN),
    "the signature of a row": signed(JOB_ID, "task", "default", "{}", said=SAID),
    "a row that is named so": signed(PURPOSE, SAID, "default", "{}", said=SAID),
    "the signature of a cursor": signed("cursor of jobs", SAID, said=SAID),
    "a signature without its purpose": signed(SAID, said=SAID),
    "parts of its own": signed(PURPOSE, ENDS_AT, FLAG, JOB_ID, said=SAID),
}


def test_no_other_text_is_a_token() -> None:
    assert read_token(SIGNER, TOKEN) == GIVEN
    assert [name for name, token in FORGED.items() if read_token(SIGNER, token) is not None] == []
    changed = [
        TOKEN[:i] + other + TOKEN[i + 1 :] for i in range(len(TOKEN)) for other in "AQgw09-_" if other != TOKEN[i]
    ]
    assert [token for token in changed if read_token(SIGNER, token) is not None] == []


def test_a_token_outlives_a_change_of_keys_that_keeps_the_old_one() -> None:
    assert read_token(Signer([b"fedcba9876543210", b"0123456789abcdef"]), TOKEN) == GIVEN


def test_a_forged_one_is_answered_as_what_is_not_there_and_nothing_is_asked_of_the_database(make_app: MakeApp) -> None:
    app = make_app(SCHEDULER_DATABASE_URL="postgresql://ann:hunter2@127.0.0.1:1/payroll")
    web = by(app, None)
    nothing = web.get("/scheduler/nothing").get_json()
    for name, token in FORGED.items():
        if "\udcff" in token or "\n" in token:
            continue  # no address can hold it
        for method in ("GET", "DELETE"):
            answer = web.open(f"/scheduler/handle/{token}", method=method)
            assert answer.status_code == 404, name
            assert {**answer.get_json(), "instance": ""} == {**nothing, "instance": ""}


def test_the_log_keeps_no_token(make_app: MakeApp, caplog: pytest.LogCaptureFixture) -> None:
    app = make_app(SCHEDULER_DATABASE_URL="postgresql://ann:hunter2@127.0.0.1:1/payroll")
    client = app.extensions["scheduler"].client
    client.store.clock.now = lambda: NOW
    token = write_token(client.calls.signer(), GIVEN)
    answer = by(app, None).get(f"/scheduler/handle/{token}")
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
    assert "path='/scheduler/handle/<token>'" in caplog.text
    assert token not in caplog.text


def test_it_takes_no_parameters_and_no_body(web: FlaskClient) -> None:
    address = given(web, "?allow=yes")
    assert web.get(f"{address}?verbose=1").status_code == 422
    assert web.delete(address, data=json.dumps({"reason": "x"})).status_code == 422


def test_an_administrators_rights_are_not_those_of_the_address(web: FlaskClient, open_app: Flask) -> None:
    open_app.extensions["scheduler"].authorize = lambda request: Actor("ann", "admin")
    assert web.delete(given(web)).status_code == 403
