"""Errors under the prefix, and only there, are problem documents; every answer carries the security headers."""

from __future__ import annotations

from typing import NoReturn

import pytest
from flask import Flask, got_request_exception
from flask.testing import FlaskClient

from tests.unit.admin.conftest import API, MakeApp, by

HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


@pytest.mark.parametrize(
    ("method", "path", "role", "status"),
    [
        ("GET", f"{API}/jobs", "viewer", 200),
        ("GET", "/scheduler/livez", None, 200),
        ("GET", "/scheduler/readyz", None, 200),
        ("GET", f"{API}/jobs?cursor=x", "viewer", 400),
        ("GET", f"{API}/jobs", None, 401),
        ("POST", f"{API}/jobs/x/cancel", "viewer", 403),
        ("GET", f"{API}/jobs/x", "viewer", 404),
        ("GET", "/scheduler", "viewer", 404),
        ("GET", "/scheduler/", "viewer", 404),
        ("GET", "/scheduler/a/b//c", "viewer", 404),
        ("POST", "/scheduler/nothing", "admin", 404),
        ("DELETE", f"{API}/jobs", "admin", 405),
        ("GET", f"{API}/jobs?sort=x", "viewer", 422),
    ],
)
def test_every_answer_has_security_headers_and_every_error_is_a_problem(
    app: Flask, method: str, path: str, role: str | None, status: int
) -> None:
    answer = by(app, role).open(path, method=method)
    assert answer.status_code == status
    assert {name: answer.headers.get(name) for name in HEADERS} == HEADERS
    if status == 200:
        assert answer.mimetype == "application/json"
        return
    body = answer.get_json()
    assert answer.mimetype == "application/problem+json"
    assert (body["type"], body["status"], body["instance"]) == ("about:blank", status, path.partition("?")[0])
    assert body["title"]
    assert body["detail"]


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("DELETE", f"{API}/jobs", {"GET", "HEAD", "POST", "OPTIONS"}),
        ("PROPFIND", f"{API}/jobs/x", {"GET", "HEAD", "PATCH", "DELETE", "OPTIONS"}),
        ("GET", f"{API}/jobs/x/cancel", {"POST", "OPTIONS"}),
        ("POST", "/scheduler/livez", {"GET", "HEAD", "OPTIONS"}),
    ],
)
def test_a_wrong_method_is_told_the_right_ones(web: FlaskClient, method: str, path: str, allow: set[str]) -> None:
    answer = web.open(path, method=method)
    assert answer.status_code == 405
    assert answer.allow is not None
    assert set(answer.allow) == allow


def test_the_host_apps_own_handlers_do_not_answer_here_nor_ours_there(app: Flask) -> None:
    for code in (400, 401, 403, 404, 405, 422, 500):
        app.register_error_handler(code, lambda error: ("the host's", 418))
    app.register_error_handler(Exception, lambda error: ("the host's", 418))
    app.extensions["scheduler"].authorize = None
    viewer = by(app, "viewer")
    for path, status in ((f"{API}/jobs/x", 404), (f"{API}/jobs?cursor=x", 400), (f"{API}/jobs?x=y", 422)):
        assert viewer.get(path).status_code == status
    assert viewer.delete(f"{API}/jobs").status_code == 405
    assert by(app, None).get(f"{API}/jobs").status_code == 401
    assert viewer.get("/elsewhere").get_data(as_text=True) == "the host's"


def test_the_host_apps_errors_are_left_as_flask_makes_them(app: Flask) -> None:
    answer = app.test_client().get("/elsewhere")
    assert (answer.status_code, answer.mimetype) == (404, "text/html")
    assert "Content-Security-Policy" not in answer.headers


@pytest.mark.parametrize("debug", [True, False])
def test_an_unexpected_error_is_a_500_without_details_and_is_told_to_the_host_app(
    make_app: MakeApp, debug: bool, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(request: object) -> NoReturn:
        raise ZeroDivisionError("hunter2")

    app, told = make_app(DEBUG=debug, PROPAGATE_EXCEPTIONS=True), []
    app.extensions["scheduler"].authorize = broken

    def tell(sender: Flask, exception: BaseException) -> None:
        told.append((sender, type(exception)))

    with got_request_exception.connected_to(tell):
        answer = app.test_client().get(f"{API}/jobs")
    assert answer.get_json() == {
        "type": "about:blank",
        "title": "Internal Server Error",
        "status": 500,
        "detail": "Something went wrong here; the app's log says what.",
        "instance": f"{API}/jobs",
    }
    assert told == [(app, ZeroDivisionError)]
    assert caplog.records[-1].getMessage() == f"Exception on {API}/jobs [GET]"


@pytest.mark.parametrize(
    "config",
    [
        {"SCHEDULER_AUTO_UPGRADE": False},
        {"SCHEDULER_DATABASE_URL": "postgresql://ann:hunter2@127.0.0.1:1/payroll"},
    ],
)
def test_a_database_that_cannot_be_used_is_503_without_secrets(
    make_app: MakeApp, config: dict[str, object], caplog: pytest.LogCaptureFixture
) -> None:
    web = make_app(SCHEDULER_ADMIN_TOKEN="rule", **config).test_client()
    make = {"task": "mail.welcome", "args": [1]}
    for method, path, body in (
        ("GET", "jobs", None), ("GET", "jobs/x", None), ("POST", "jobs/x/cancel", None), ("POST", "jobs", make),
        ("GET", "schedules", None), ("GET", "workers", None), ("GET", "stats", None),
    ):  # fmt: skip
        answer = web.open(f"{API}/{path}", method=method, headers={"Authorization": "Bearer rule"}, json=body)
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
        assert answer.get_json()["detail"] == (
            "The scheduler's database cannot be used now. Try again later; the app's log says why."
        )
        assert "payroll" not in answer.get_data(as_text=True)
    assert "hunter2" not in caplog.text
    assert f"path='{API}/jobs'" in caplog.text
