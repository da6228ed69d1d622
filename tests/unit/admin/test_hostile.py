"""What an attacker would say, in every field, parameter and address of the API: it is text, or it is refused."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from flask.testing import FlaskClient

from scheduler_app.admin.bodies import BODIES, FILTER
from scheduler_app.admin.operations import OPERATIONS
from scheduler_app.client import Client
from scheduler_app.shapes import PRINTABLE, Shape, step
from tests.unit.admin.calls import tidy
from tests.unit.admin.conftest import API

JOBS = f"{API}/jobs"
CALL = {"task": "mail.welcome", "kwargs": {"user_id": 42}}

HOSTILE: list[str] = [
    "' OR '1'='1", "'; DROP TABLE scheduler_jobs; --", '" OR ""="', "1) UNION SELECT 1--", "\\'; --", "%' --", "`id`",
    "$(id)", "; id", "| id", "&& id", "../../etc/passwd", "..\\..\\x", "file:///etc/passwd", "%00", "%2e%2e%2f",
    "{{7*7}}", "${7*7}", "<%= 7*7 %>", "#{7*7}", "{0.__class__}", "%s%n%x", "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>", "javascript:alert(1)", "<!--#exec cmd=id-->", "]]>", "=cmd|'/C x'!A0", "@SUM(1)",
    "<!DOCTYPE x [<!ENTITY y SYSTEM 'file:///x'>]>", "*)(uid=*))(|(uid=*", '{"$gt": ""}', "__proto__", "constructor",
    "os:system", "builtins:eval", "__import__('os')", "c__builtin__ eval", "!!python/object:os.system",
    "Ω≈ç√∫\U0001f41d", "\u202e\ufeff", "a\r\nX-Evil: 1", "\x1b[31m", "\x00",
]  # fmt: skip
"""What an attacker would put into a field: of SQL, shells, paths, templates, pages, mails, and pickles."""


def test_a_hostile_text_is_a_text_in_every_field_and_address(web: FlaskClient, jobs: Client) -> None:
    for text in HOSTILE:
        named = {"queue": text, "key": text, "tags": [text]} if text.isprintable() else {}
        asked = CALL | {"delay_s": 60, "kwargs": {"user_id": 1, "name": text}} | named
        answer = web.post(JOBS, json=asked)
        assert (answer.status_code, answer.get_json()["kwargs"]["name"]) == (201, text)
        assert web.get(answer.headers["Location"]).get_json() | named == answer.get_json()
        wrong = ("id", "run_at", "priority", "on_conflict", *(() if named else ("queue", "key")))
        told = web.post(JOBS, json=CALL | dict.fromkeys(wrong, text) | {text: text}).get_json()
        assert {error["pointer"] for error in told["errors"]} == {*(f"/{name}" for name in wrong), step("", text)}
        assert web.post(JOBS, json={"task": text}).status_code == (404 if named else 422)
        for place in ("jobs", "schedules", "tasks"):
            assert web.get(f"{API}/{place}/{quote(text, safe='')}").status_code in (404, 308), (text, place)
    assert len(jobs.list(limit=200)) == len(HOSTILE)


def test_a_hostile_text_is_refused_by_name_in_each_field_of_each_body_that_takes_no_text(
    web: FlaskClient, jobs: Client
) -> None:
    held = jobs.schedule_after(60, tidy, (), {}).id
    addresses = {
        "create_job": ("POST", JOBS),
        "bulk_jobs": ("POST", f"{JOBS}/bulk"),
        "change_job": ("PATCH", f"{JOBS}/{held}"),
        "change_schedule": ("PATCH", f"{API}/schedules/nightly"),
        "pause_queue": ("POST", f"{API}/queues/default/pause"),
    }
    assert addresses.keys() == BODIES.keys()
    before = web.get(f"{JOBS}/{held}").get_json()
    for action, (method, address) in addresses.items():
        fields = BODIES[action]["properties"]
        strict = {f"/{name}" for name, shape in fields.items() if not _may_be_any_line(shape)}
        for text in HOSTILE:
            answer = web.open(address, method=method, json=dict.fromkeys(fields, text))
            told = {error["pointer"] for error in answer.get_json()["errors"]}
            assert (answer.status_code, answer.mimetype) == (422, "application/problem+json"), (action, text)
            assert strict <= told, (action, text)
    assert web.get(f"{JOBS}/{held}").get_json() == before
    assert not web.get(f"{API}/queues").get_json()["data"][0]["paused"]


def _may_be_any_line(shape: Shape) -> bool:
    return shape.get("format") in (PRINTABLE, FILTER) or ("type" not in shape and "enum" not in shape)


@pytest.mark.parametrize("action", [name for name, known in OPERATIONS.items() if known.query])
def test_a_hostile_text_finds_nothing_or_is_refused_by_name_in_each_parameter(
    action: str, web: FlaskClient, jobs: Client
) -> None:
    jobs.schedule_after(60, tidy, (), {})
    addresses = {"list_jobs": JOBS, "list_audit": f"{API}/audit", "preview_schedule": f"{API}/schedules/x/preview"}
    for text in HOSTILE:
        for name in OPERATIONS[action].query:
            answer = web.get(addresses[action], query_string={name: text})
            said = answer.get_json()
            if answer.status_code == 200:
                assert said["data"] == [], (name, text)
            else:
                assert (answer.status_code, answer.mimetype) in REFUSALS, (name, text)
                assert name.rstrip("~") in str(said), (name, text)


REFUSALS = [(status, "application/problem+json") for status in (400, 422)]
