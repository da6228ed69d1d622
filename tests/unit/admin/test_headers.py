"""Every answer of the admin, whatever it says and to whomever, carries the headers that keep it where it belongs."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any, NoReturn

from flask import Flask
from werkzeug.test import TestResponse

from scheduler_app.client import Client
from scheduler_app.client.accepted import Pass, write_token
from tests.unit.admin.calls import tidy
from tests.unit.admin.conftest import API, by, rewrite

HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
NEVER = ("Set-Cookie", "Access-Control-Allow-Origin", "Access-Control-Allow-Credentials")


def faults_of(answer: TestResponse) -> list[str]:
    """Return which headers an answer lacks, and which it should not have."""
    wrong = [name for name, value in HEADERS.items() if answer.headers.getlist(name) != [value]]
    return wrong + [name for name in NEVER if name in answer.headers]


def test_every_route_answers_with_them_by_every_method_to_everybody(app: Flask) -> None:
    wrong = {}
    for rule in app.url_map.iter_rules():
        if not rule.endpoint.startswith("scheduler."):
            continue
        address = re.sub(r"<[^>]+>", "some-thing", rule.rule)
        for method in {*(rule.methods or ()), "PATCH", "PROPFIND"}:
            for role in (None, "viewer", "admin"):
                answer = by(app, role).open(address, method=method, headers={"Origin": "https://evil.example"})
                if faults := faults_of(answer):
                    wrong[method, rule.rule, role] = faults
    assert wrong == {}


class Asked:
    """An app with a job, and requests of it for each status that the admin answers."""

    def __init__(self, app: Flask, jobs: Client) -> None:
        self.app, self.jobs = app, jobs
        self.job = jobs.schedule_after(60, tidy, (), {})
        self.over = jobs.schedule_after(60, tidy, (), {})
        self.held = jobs.schedule_after(60, tidy, (), {})
        rewrite(jobs, self.over.id, state="succeeded")
        rewrite(jobs, self.held.id, state="running")

    def ask(self, path: str, method: str = "GET", role: str | None = "admin", **more: Any) -> TestResponse:
        return by(self.app, role).open(path, method=method, **more)

    def handle(self, job_id: str, hours: float = 1, may_cancel: bool = True) -> str:
        ends = self.jobs.store.clock.now() + timedelta(hours=hours)
        return f"/scheduler/handle/{write_token(self.jobs.calls.signer(), Pass(job_id, ends, may_cancel))}"

    def unchanged(self, path: str, role: str | None) -> TestResponse:
        tag = self.ask(path, role=role).headers["ETag"]
        return self.ask(path, role=role, headers={"If-None-Match": tag})

    def broken(self, error: Exception) -> TestResponse:
        def raises(request: object) -> NoReturn:
            raise error

        parts = self.app.extensions["scheduler"]
        parts.authorize = raises
        try:
            return self.ask(f"{API}/jobs")
        finally:
            parts.authorize = None

    def away(self, path: str) -> TestResponse:
        """Ask when the tables are gone."""
        with self.jobs.store.begin() as connection:
            connection.exec_driver_sql("DROP TABLE scheduler_alembic_version")
        self.jobs.store.recheck()
        self.jobs.store.auto_upgrade = False
        return self.ask(path)


ANSWERS: list[tuple[int, Callable[[Asked], TestResponse]]] = [
    (200, lambda it: it.ask("/scheduler/livez", role=None)),
    (200, lambda it: it.ask("/scheduler/readyz", role=None)),
    (200, lambda it: it.ask(f"{API}/jobs")),
    (200, lambda it: it.ask(f"{API}/audit")),
    (200, lambda it: it.ask(it.handle(it.job.id), role=None)),
    (200, lambda it: it.ask(it.handle(it.job.id), "HEAD", role=None)),
    (202, lambda it: it.ask(f"{API}/jobs/{it.held.id}/cancel", "POST")),
    (202, lambda it: it.ask(it.handle(it.held.id), "DELETE", role=None)),
    (304, lambda it: it.unchanged(f"{API}/jobs", "viewer")),
    (304, lambda it: it.unchanged(f"{API}/audit", "admin")),
    (304, lambda it: it.unchanged(it.handle(it.job.id), None)),
    (400, lambda it: it.ask(f"{API}/audit?cursor=x")),
    (400, lambda it: it.ask(f"{API}/jobs/{it.job.id}/cancel", "POST", data="{")),
    (401, lambda it: it.ask(f"{API}/jobs", role=None)),
    (403, lambda it: it.ask(f"{API}/audit", role="viewer")),
    (403, lambda it: it.ask(it.handle(it.job.id, may_cancel=False), "DELETE")),
    (403, lambda it: it.ask(it.handle(it.job.id), "DELETE", headers={"Sec-Fetch-Site": "cross-site"})),
    (404, lambda it: it.ask(f"{API}/jobs/nobody")),
    (404, lambda it: it.ask("/scheduler/handle/forged", role=None)),
    (404, lambda it: it.ask(it.handle("nobody"), role=None)),
    (405, lambda it: it.ask(it.handle(it.job.id), "PUT")),
    (409, lambda it: it.ask(f"{API}/jobs/{it.over.id}/cancel", "POST")),
    (409, lambda it: it.ask(it.handle(it.over.id), "DELETE", role=None)),
    (410, lambda it: it.ask(it.handle(it.job.id, hours=-1), role=None)),
    (413, lambda it: it.ask(f"{API}/queues/mail/pause", "POST", data=b" " * 65_537)),
    (422, lambda it: it.ask(f"{API}/audit?sort=x")),
    (422, lambda it: it.ask(f"{it.handle(it.job.id)}?x=y", role=None)),
    (500, lambda it: it.broken(ZeroDivisionError("hunter2"))),
    (503, lambda it: it.away(f"{API}/jobs")),
    (503, lambda it: it.ask(it.handle(it.job.id), role=None)),
    (503, lambda it: it.ask("/scheduler/readyz", role=None)),
]
"""Each status that the admin answers, and requests that get it; the last ones are asked while the tables are gone."""


def test_every_status_comes_with_them(app: Flask, jobs: Client) -> None:
    asked = Asked(app, jobs)
    for number, (status, ask) in enumerate(ANSWERS):
        answer = ask(asked)
        assert answer.status_code == status, (number, answer.get_data(as_text=True))
        assert faults_of(answer) == [], (number, status)
        if status >= 400 and answer.data and answer.request.path != "/scheduler/readyz":
            assert answer.mimetype == "application/problem+json", (number, status)


def test_the_answer_of_a_view_that_gives_an_address_is_kept_by_nobody(app: Flask, jobs: Client) -> None:
    with app.test_request_context():
        answer = jobs.schedule_after(60, tidy, (), {}).accepted()
    assert answer.headers["Cache-Control"] == "no-store"


def test_the_host_apps_own_answers_are_left_alone(app: Flask) -> None:
    app.add_url_rule("/view", view_func=lambda: "hello")
    assert not {*HEADERS} & {*app.test_client().get("/view").headers.keys()}
