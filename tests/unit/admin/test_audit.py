"""The audit at the REST door: every action that changes something leaves its row, and administrators read them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flask import Flask, current_app

from scheduler_app.admin.blueprint import ROUTES
from scheduler_app.admin.nowhere import nothing_here
from scheduler_app.client import Client, Declaration, make_options
from scheduler_app.jobs import new_id
from tests.unit.admin.calls import tidy
from tests.unit.admin.conftest import API, by, rewrite

ADMIN = ("admin token 3", "admin")
OWNER = ("holder of the job's address", "owner")
Request = tuple[str, str, Any, str, str, tuple[str, str]]
"""Method, address, body, and what the row says: action, target and actor."""


def cancel(jobs: Client) -> Request:
    job = jobs.schedule_after(60, tidy, (), {})
    return "POST", f"{API}/jobs/{job.id}/cancel", None, "job.cancel", job.id, ADMIN


def pause_queue(jobs: Client) -> Request:
    return "POST", f"{API}/queues/mail/pause", {"reason": "the relay is down"}, "queue.pause", "mail", ADMIN


def resume_queue(jobs: Client) -> Request:
    jobs.pause_queue("mail")
    return "POST", f"{API}/queues/mail/resume", None, "queue.resume", "mail", ADMIN


def cancel_handle(jobs: Client) -> Request:
    job = jobs.schedule_after(60, tidy, (), {})
    with current_app.test_request_context():
        return "DELETE", job.accepted(allow_cancel=True).headers["Location"], None, "job.cancel", job.id, OWNER


def create(jobs: Client) -> Request:
    job_id = new_id(jobs.store.clock.now())
    return "POST", f"{API}/jobs", {"id": job_id, "task": "mail.welcome", "args": [1]}, "job.add", job_id, ADMIN


def change(jobs: Client) -> Request:
    job = jobs.schedule_after(60, tidy, (), {})
    return "PATCH", f"{API}/jobs/{job.id}", {"priority": "low", "tags": ["x"]}, "job.change", job.id, ADMIN


def delete(jobs: Client) -> Request:
    job = jobs.schedule_after(60, tidy, (), {})
    rewrite(jobs, job.id, state="failed")
    return "DELETE", f"{API}/jobs/{job.id}", None, "job.delete", job.id, ADMIN


def bulk(jobs: Client) -> Request:
    job = jobs.schedule_after(60, tidy, (), {})
    return "POST", f"{API}/jobs/bulk", {"action": "pause", "filter": f"id={job.id}"}, "jobs.pause", None, ADMIN


def asked(verb: str, state: str) -> Callable[[Client], Request]:
    def request(jobs: Client) -> Request:
        job = jobs.schedule_after(60, tidy, (), {})
        rewrite(jobs, job.id, state=state)
        return "POST", f"{API}/jobs/{job.id}/{verb}", None, f"job.{verb}", job.id, ADMIN

    return request


def of_schedule(method: str, action: str, body: Any = None) -> Callable[[Client], Request]:
    def request(jobs: Client) -> Request:
        name = f"to {action}"
        current_app.extensions["scheduler"].recurring.upsert(Declaration(tidy, every={"hours": 1}, name=name))
        if action == "resume":
            jobs.pause_schedule(name)
        path = f"{API}/schedules/{name}" + (f"/{action}" if method == "POST" else "")
        return method, path, body, f"schedule.{action}", name, ADMIN

    return request


WRITES: dict[str, Callable[[Client], Request]] = {
    "cancel_job": cancel,
    "pause_queue": pause_queue,
    "resume_queue": resume_queue,
    "cancel_handle": cancel_handle,
    "create_job": create,
    "change_job": change,
    "bulk_jobs": bulk,
    "delete_job": delete,
    "run_now_job": asked("run-now", "paused"),
    "retry_job": asked("retry", "failed"),
    "pause_job": asked("pause", "scheduled"),
    "resume_job": asked("resume", "paused"),
    "release_job": asked("release", "quarantined"),
    "change_schedule": of_schedule("PATCH", "move", {"next_run_time": "2030-03-01T05:00:00Z"}),
    "delete_schedule": of_schedule("DELETE", "remove"),
    "pause_schedule": of_schedule("POST", "pause"),
    "resume_schedule": of_schedule("POST", "resume"),
    "run_now_schedule": of_schedule("POST", "run-now"),
}
"""For each action that changes something: a request that does."""


def test_every_action_that_writes_is_tried_below() -> None:
    writing = {
        action.__name__ for _, methods, action in ROUTES if action is not nothing_here and {*methods} - {"GET", "HEAD"}
    }
    assert writing == set(WRITES)


def test_every_write_leaves_one_row_of_who_from_where_and_what(app: Flask, jobs: Client) -> None:
    for request_of in WRITES.values():
        jobs.schedule_after(60, tidy, (), {}, make_options(queue="mail"))
        with app.app_context():
            method, path, body, action, target, actor = request_of(jobs)
        before = jobs.audit()
        answer = by(app, "admin").open(path, method=method, json=body, headers={"X-Request-ID": "r-1"})
        assert answer.status_code < 300, (path, answer.get_json())
        (row, *others) = jobs.audit()
        assert others == before, path
        assert (row.actor, row.role, row.action, row.target) == (*actor, action, target)
        assert row.source == {"door": "rest", "address": "127.0.0.1", "request_id": "r-1"}
        assert row.before != row.after


def test_what_is_refused_leaves_none(app: Flask, jobs: Client) -> None:
    job = jobs.schedule_after(60, tidy, (), {})
    for role, path, status in (
        (None, f"/jobs/{job.id}/cancel", 401),
        ("viewer", f"/jobs/{job.id}/cancel", 403),
        ("operator", f"/jobs/{job.id}/cancel?x=y", 422),
        ("operator", "/jobs/nobody/cancel", 404),
        ("operator", "/queues/default/resume", 200),
    ):
        assert by(app, role).post(f"{API}{path}").status_code == status
    assert jobs.audit() == []


def test_the_apps_own_views_leave_none_though_an_administrator_was_asked_before(app: Flask, jobs: Client) -> None:
    app.add_url_rule("/view", view_func=lambda: jobs.cancel(jobs.schedule_after(60, tidy, (), {}).id).id)
    job = jobs.schedule_after(60, tidy, (), {})
    web = by(app, "operator")
    assert web.post(f"{API}/jobs/{job.id}/cancel").status_code == 200
    assert web.get("/view").status_code == 200
    assert [row.target for row in jobs.audit()] == [job.id]


def test_administrators_read_it_page_by_page(app: Flask, jobs: Client) -> None:
    made = [jobs.schedule_after(60, tidy, (), {}).id for _ in range(5)]
    for role, job_id in zip(("operator", "admin", "operator", "operator", "operator"), made, strict=True):
        by(app, role).post(f"{API}/jobs/{job_id}/cancel")
    web = by(app, "admin")
    address, seen = f"{API}/audit?actor=operator%20token%202&action=job.cancel&limit=3", []
    while address:
        asked, answer = address, web.get(address)
        page = answer.get_json()
        seen += [row["target"] for row in page["data"]]
        address = answer.headers.get("Link", "").partition("<")[2].partition(">")[0]
        assert (page["next_cursor"] is not None, page["has_more"]) == (bool(address), bool(address))
        assert web.get(asked, headers={"If-None-Match": answer.headers["ETag"]}).status_code == 304
    assert seen == [made[4], made[3], made[2], made[0]]
    (row,) = web.get(f"{API}/audit?target={made[1]}").get_json()["data"]
    assert row["actor"] == {"name": "admin token 3", "role": "admin"}
    assert row["source"] == {"door": "rest", "address": "127.0.0.1"}
    assert (row["action"], row["before"]["state"], row["after"]["state"]) == ("job.cancel", "scheduled", "cancelled")
    assert row["at"].endswith("Z")


def test_only_administrators_do_and_only_by_what_there_is(app: Flask, jobs: Client) -> None:
    jobs.schedule_many([(60, tidy)] * 2)
    of_jobs = by(app, "admin").get(f"{API}/jobs?limit=1").get_json()["next_cursor"]
    for role, query, status in (
        ("viewer", "", 403),
        ("operator", "", 403),
        ("admin", "?cursor=x", 400),
        ("admin", f"?cursor={of_jobs}", 400),
        ("admin", "?limit=0", 422),
        ("admin", "?state=failed", 422),
        ("admin", "?actor=" + "x" * 192, 422),
        ("admin", "?target=%00", 422),
    ):
        assert by(app, role).get(f"{API}/audit{query}").status_code == status, query


def test_the_address_is_the_one_that_the_app_trusts(app: Flask, jobs: Client) -> None:
    job = jobs.schedule_after(60, tidy, (), {})
    by(app, "admin").post(f"{API}/jobs/{job.id}/cancel", headers={"X-Forwarded-For": "198.51.100.1"})
    assert jobs.audit()[0].source["address"] == "127.0.0.1", "a header that nobody vouched for is not believed"
