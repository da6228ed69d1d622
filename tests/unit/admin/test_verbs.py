"""What is asked of one job over HTTP: each verb in each state, change, delete, attempts, and why."""

from __future__ import annotations

from typing import Any

from flask import Flask
from flask.testing import FlaskClient

from scheduler_app.asking import Answer, Verb, allowed, answer
from scheduler_app.client import Client
from scheduler_app.jobs import JobState
from tests.unit.admin.calls import remind, tidy, welcome
from tests.unit.admin.conftest import API, let_run, rewrite

JOBS = f"{API}/jobs"
POSTS = (Verb.CANCEL, Verb.RUN_NOW, Verb.RETRY, Verb.PAUSE, Verb.RESUME, Verb.RELEASE)
LATER = (Verb.RUN_NOW, Verb.RETRY)


def in_state(jobs: Client, state: JobState) -> str:
    job = jobs.schedule_after(60, tidy, (), {})
    rewrite(jobs, job.id, state=state.value)
    return job.id


def ask(web: FlaskClient, verb: Verb, job_id: str, headers: dict[str, str] | None = None) -> Any:
    if verb in POSTS:
        return web.post(f"{JOBS}/{job_id}/{verb.value}", headers=headers)
    if verb is Verb.DELETE:
        return web.delete(f"{JOBS}/{job_id}", headers=headers)
    change: dict[str, Any] = {"delay_s": 5} if verb is Verb.RESCHEDULE else {"priority": "low", "tags": ["x"]}
    return web.patch(f"{JOBS}/{job_id}", json=change, headers=headers)


def status_of(verb: Verb, state: JobState) -> int:
    if verb is Verb.DELETE and answer(Verb.CANCEL, state) is Answer.YES:
        return 200
    comes = answer(verb, state)
    if comes is Answer.NO:
        return 409
    if comes is Answer.ASKED or verb in LATER:
        return 202
    return 204 if verb is Verb.DELETE else 200


def test_each_verb_answers_in_each_state_what_the_rules_say_and_what_is_allowed_then(
    web: FlaskClient, jobs: Client
) -> None:
    wrong = []
    for state in JobState:
        shown = web.get(f"{JOBS}/{in_state(jobs, state)}").get_json()
        assert shown["allowed_actions"] == list(allowed(state))
        assert shown["links"].keys() == {"self", "attempts", "explain", *allowed(state)}
        for verb in Verb:
            job_id = in_state(jobs, state)
            link = web.get(f"{JOBS}/{job_id}").get_json()["links"].get(verb.value)
            found = ask(web, verb, job_id)
            if found.status_code != status_of(verb, state):
                wrong.append((verb, state, found.status_code))
            if found.status_code == 409:
                body = found.get_json()
                assert (body["state"], body["allowed_actions"]) == (state.value, list(allowed(state)))
                assert link is None
            if found.status_code == 202:
                assert found.headers["Location"] == f"{JOBS}/{job_id}"
            if found.status_code in (200, 202):
                assert found.get_json() == web.get(f"{JOBS}/{job_id}").get_json()
    assert wrong == []


def test_what_is_not_there_is_404_for_every_verb(web: FlaskClient) -> None:
    for job_id in ("nothing", "%00", "%F0%9F%90%9D", "x" * 300):
        for verb in Verb:
            assert ask(web, verb, job_id).status_code == 404
        for more in ("attempts", "explain"):
            assert web.get(f"{JOBS}/{job_id}/{more}").status_code == 404


def test_a_change_with_if_match_is_made_of_what_was_seen_only(web: FlaskClient, jobs: Client) -> None:
    job_id = in_state(jobs, JobState.SCHEDULED)
    seen = web.get(f"{JOBS}/{job_id}").headers["ETag"]
    changed = web.patch(f"{JOBS}/{job_id}", json={"tags": ["a"]}, headers={"If-Match": seen})
    assert (changed.status_code, changed.get_json()["tags"]) == (200, ["a"])
    for stale in (seen, '"x"', f"W/{changed.headers['ETag']}", f'{seen}, "99"', ",", ""):
        answer = web.patch(f"{JOBS}/{job_id}", json={"tags": ["b"]}, headers={"If-Match": stale})
        assert (answer.status_code, answer.mimetype) == (412, "application/problem+json")
    for fresh in (f'"x", {changed.headers["ETag"]}', "*"):
        answer = web.patch(f"{JOBS}/{job_id}", json={"run_at": "2030-03-01T05:00:00Z"}, headers={"If-Match": fresh})
        assert (answer.status_code, answer.get_json()["run_at"]) == (200, "2030-03-01T05:00:00.000000Z")
        changed = answer
    assert jobs.get(job_id).tags == ("a",)


def test_every_verb_with_if_match_is_done_to_what_was_seen_only(web: FlaskClient, jobs: Client) -> None:
    for verb in Verb:
        state = next(one for one in JobState if answer(verb, one) is Answer.YES)
        job_id = in_state(jobs, state)
        before = jobs.get(job_id)
        refused = ask(web, verb, job_id, {"If-Match": '"99"'})
        assert (refused.status_code, refused.mimetype) == (412, "application/problem+json"), verb
        assert jobs.get(job_id) == before, verb
        done = ask(web, verb, job_id, {"If-Match": f'"{before.version}"'})
        assert done.status_code in (200, 202, 204), (verb, done.get_json())


def test_if_match_is_refused_where_it_would_not_be_heeded(web: FlaskClient) -> None:
    for method, address in (
        ("POST", f"{API}/queues/mail/pause"),
        ("POST", f"{API}/queues/mail/resume"),
        ("DELETE", f"{API}/schedules/nightly"),
        ("POST", f"{API}/schedules/nightly/pause"),
    ):
        answered = web.open(address, method=method, headers={"If-Match": '"1"'})
        assert (answered.status_code, "If-Match is heeded for jobs only" in answered.get_json()["detail"]) == (
            400,
            True,
        )


def test_a_change_that_cannot_be_is_told_by_its_place_and_changes_nothing(web: FlaskClient, jobs: Client) -> None:
    job_id = in_state(jobs, JobState.SCHEDULED)
    before = jobs.get(job_id)
    cases: list[tuple[dict[str, Any], list[str]]] = [
        ({}, [""]),
        ({"state": "failed", "priority": 1}, ["/state", "/priority"]),
        ({"delay_s": 1, "run_at": "2030-03-01T05:00:00Z"}, ["/run_at"]),
        ({"tags": "a", "run_at": "soon"}, ["/tags", "/run_at"]),
        ({"run_at": "9999-12-31T23:59:59Z"}, ["/run_at"]),
        ({"tags": ["x"] * 21}, ["/tags"]),
    ]
    for asked, places in cases:
        answer = web.patch(f"{JOBS}/{job_id}", json=asked)
        assert answer.status_code == 422
        assert sorted(error["pointer"] for error in answer.get_json()["errors"]) == sorted(places)
    assert jobs.get(job_id) == before


def test_attempts_and_the_explanation_are_shown_without_secrets(web: FlaskClient, app: Flask, jobs: Client) -> None:
    job = jobs.schedule_after(60, welcome, (1,), {"token": "hunter2", "pin": "98765"})
    assert web.get(f"{JOBS}/{job.id}/explain").get_json()["state"] == "scheduled"
    rewrite(jobs, job.id, state="failed", error="hunter2 is wrong")
    with jobs.store.begin() as connection:
        connection.exec_driver_sql(
            "INSERT INTO scheduler_attempts (job_id, claim_seq, attempt, outcome, finished_at, error, traceback)"
            f" VALUES ('{job.id}', 1, 1, 'error', '2026-03-01 03:00:00.000000', 'hunter2', 'x 98765')"
        )
    answer = web.get(f"{JOBS}/{job.id}/attempts")
    [attempt] = answer.get_json()["data"]
    assert (attempt["outcome"], attempt["finished_at"]) == ("error", "2026-03-01T03:00:00.000000Z")
    assert (attempt["error"], attempt["traceback"]) == ("***", "x ***")
    why = web.get(f"{JOBS}/{job.id}/explain").get_json()
    assert "hunter2" not in str(why)
    assert why["facts"]
    again = web.get(f"{JOBS}/{job.id}/attempts", headers={"If-None-Match": answer.headers["ETag"]})
    assert again.status_code == 304


def test_a_retry_or_release_yields_to_a_newer_job_of_the_key(web: FlaskClient, jobs: Client) -> None:
    old, new = (jobs.schedule_after(60, remind, (n,), {}) for n in (1, 2))
    rewrite(jobs, new.id, key="k", live_key="k")
    for state, verb in (("failed", "retry"), ("quarantined", "release")):
        rewrite(jobs, old.id, key="k", state=state)
        answer = web.post(f"{JOBS}/{old.id}/{verb}")
        assert (answer.status_code, answer.get_json()["job"]["id"]) == (409, new.id)


def test_a_job_that_starts_as_it_is_deleted_is_asked_to_stop(web: FlaskClient, jobs: Client, monkeypatch: Any) -> None:
    job = jobs.schedule_after(60, tidy, (), {})
    get = jobs.get

    def get_and_start(*args: Any, **kwargs: Any) -> Any:
        found = get(*args, **kwargs)
        if found.state is JobState.SCHEDULED:
            let_run(jobs, job.id)
        return found

    monkeypatch.setattr(jobs, "get", get_and_start)
    assert web.delete(f"{JOBS}/{job.id}").status_code == 202
    assert get(job.id).cancel_requested_at is not None
