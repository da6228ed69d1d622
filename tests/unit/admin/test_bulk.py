"""Doing one thing to many jobs over HTTP, and listing them by filters."""

from __future__ import annotations

from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from scheduler_app.client import Client, listing, make_options
from scheduler_app.jobs import JobState
from tests.unit.admin.calls import remind, tidy
from tests.unit.admin.conftest import API, by, rewrite

BULK = f"{API}/jobs/bulk"
NOTHING = {"done": 0, "asked": 0, "conflicts": 0, "missing": 0, "complete": True}


def ask(web: FlaskClient, **body: Any) -> tuple[int, dict[str, Any]]:
    answer = web.post(BULK, json=body)
    return answer.status_code, answer.get_json()


def test_what_a_filter_means_is_counted_and_then_changed(web: FlaskClient, jobs: Client) -> None:
    mail = [jobs.schedule_after(60, tidy, (), {}, make_options(queue="mail")).id for _ in range(3)]
    other = jobs.schedule_after(60, remind, (), {}).id
    said = {"action": "pause", "filter": "queue=mail task=tests.*"}
    assert ask(web, **said, dry_run=True) == (200, {**NOTHING, "action": "pause", "dry_run": True, "matched": 3})
    status, refused = ask(web, **said, expected_count=2)
    assert (status, refused["matched"], refused["expected_count"], refused["complete"]) == (409, 3, 2, False)
    assert jobs.get(mail[0]).state is JobState.SCHEDULED
    done = {**NOTHING, "action": "pause", "dry_run": False, "matched": 3, "done": 3}
    assert ask(web, **said, expected_count=3) == (200, done)
    assert [jobs.get(job_id).state for job_id in (*mail, other)] == [JobState.PAUSED] * 3 + [JobState.SCHEDULED]
    gone = ask(web, action="cancel", ids=[mail[0], other, "nobody"])
    assert gone == (200, {**NOTHING, "action": "cancel", "dry_run": False, "matched": 2, "done": 2, "missing": 1})
    at = "2030-01-01T00:00:00Z"
    assert ask(web, action="reschedule", ids=mail, run_at=at)[1] == {
        **NOTHING, "action": "reschedule", "dry_run": False, "matched": 3, "done": 2, "conflicts": 1,
    }  # fmt: skip
    assert jobs.get(mail[1]).run_at.year == 2030


def test_one_request_changes_so_many_and_says_that_there_are_more(
    web: FlaskClient, jobs: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("scheduler_app.admin.bulk.MOST_AT_ONCE", 2)
    jobs.schedule_many([(60, tidy)] * 3)
    told = [ask(web, action="cancel", filter="state=scheduled")[1] for _ in range(3)]
    assert [(one["done"], one["complete"]) for one in told] == [(2, False), (1, True), (0, True)]


PROBLEMS: list[tuple[dict[str, Any], set[str]]] = [
    ({}, {"action", "filter"}),
    ({"action": "cancle", "filter": "state=failed"}, {"action"}),
    ({"action": "retry", "filter": "state=faild"}, {"filter"}),
    ({"action": "retry", "filter": ""}, {"filter"}),
    ({"action": "retry", "filter": "state=succeeded"}, {"filter"}),
    ({"action": "retry", "filter": {"state": "failed"}}, {"filter"}),
    ({"action": "retry", "filter": "q=x", "ids": ["a"]}, {"ids"}),
    ({"action": "retry", "ids": []}, {"ids"}),
    ({"action": "retry", "ids": [1]}, {"ids/0"}),
    ({"action": "retry", "ids": ["a"], "dry_run": 1, "expected_count": -1}, {"dry_run", "expected_count"}),
    ({"action": "retry", "ids": ["a"], "by_s": 1}, {"by_s"}),
    ({"action": "reschedule", "ids": ["a"]}, {"run_at"}),
    ({"action": "reschedule", "ids": ["a"], "run_at": "noon"}, {"run_at"}),
    ({"action": "reschedule", "ids": ["a"], "delay_s": -1}, {"delay_s"}),
    ({"action": "reschedule", "ids": ["a"], "delay_s": 1e30}, {"delay_s"}),
    ({"action": "cancel", "ids": ["a"], "force": True}, {"force"}),
]


def test_every_field_that_cannot_be_used_is_named(web: FlaskClient) -> None:
    for body, names in PROBLEMS:
        status, told = ask(web, **body)
        assert (status, {error["pointer"] for error in told["errors"]}) == (422, {f"/{name}" for name in names}), body


def test_an_administrator_acts_in_bulk_and_others_do_not(app: Flask) -> None:
    for role, status in (("viewer", 403), ("operator", 403), ("admin", 200), (None, 401)):
        assert by(app, role).post(BULK, json={"action": "cancel", "ids": ["a"]}).status_code == status


def test_a_list_is_filtered_and_ordered_by_its_address(
    web: FlaskClient, jobs: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = jobs.schedule_after(90, remind, (), {"user": 1}, make_options(tags=["a b"])).id
    second = jobs.schedule_after(60, remind, (), {"user": 2}).id
    done = jobs.schedule_after(60, tidy, (), {}).id
    rewrite(jobs, done, state="failed", finished_at="2099-01-02 00:00:00.000000", error="Timeout")

    def ids(query: str) -> list[str]:
        return [job["id"] for job in web.get(f"{API}/jobs?{query}").get_json()["data"]]

    found = {
        "args.user=1": [first], "tag=a+b": [first], "task=tests.*&state=scheduled": [second, first],
        "sort=run_at": [second, first], "sort=finished": [done], "sort=oldest": [first, second, done],
        "error~timeout": [done], "error~=timeout": [done], "finished>=2099-01-02": [done], "finished>2099-01-02": [],
        "finished_before=2099-01-02": [], "created>=2020-01-01T00:00:00+01:00&q=tidy": [done],
    }  # fmt: skip
    assert {query: ids(query) for query in found} == found
    refused = web.get(f"{API}/jobs?sort=run_at&state=failed&limt=1").get_json()["errors"]
    assert refused == [{"parameter": "limt", "detail": "There is no filter 'limt'. Did you mean 'limit'?"}]
    assert web.get(f"{API}/jobs?sort=run_at&state=failed").get_json()["errors"][0]["parameter"] == "sort"
    link = web.get(f"{API}/jobs?sort=oldest&limit=1&created>=2020-01-01&error~=x&q=t").headers.get("Link")
    assert link is None
    page = web.get(f"{API}/jobs?sort=oldest&limit=1&created>=2020-01-01&q=t")
    following = web.get(page.headers["Link"].removeprefix("<").removesuffix('>; rel="next"')).get_json()
    assert [job["id"] for job in following["data"]] == [second]
    assert web.get(f"{API}/jobs?cursor={page.get_json()['next_cursor']}").status_code == 400
    monkeypatch.setattr(listing, "SEARCHED_AT_MOST", 2)
    stopped = web.get(f"{API}/jobs?queue=nowhere").get_json()
    assert (stopped["data"], stopped["searched"], stopped["complete"], stopped["has_more"]) == ([], 2, False, True)
