"""The OpenAPI document: valid, of every route; and what it says holds for whatever a fuzzer makes of it."""

from __future__ import annotations

import logging
import re
from datetime import datetime, timedelta
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from hypothesis import HealthCheck, Phase, assume, given, settings
from hypothesis import strategies as st
from openapi_spec_validator import validate
from schemathesis import GenerationMode, openapi

from scheduler_app.admin.answers import SHAPES
from scheduler_app.admin.blueprint import ROUTES
from scheduler_app.admin.bodies import BODIES, EXAMPLES
from scheduler_app.admin.examples import EXAMPLES as SHOWN
from scheduler_app.admin.operations import FILTERS as FILTERS_TOLD
from scheduler_app.admin.operations import OPERATIONS
from scheduler_app.client import Client, Declaration
from scheduler_app.client.accepted import Pass, write_token
from scheduler_app.filters import NAMES, TIMES
from scheduler_app.settings.readers import MOST_SECONDS
from scheduler_app.shapes import Problems, read
from tests.unit.admin.calls import tidy
from tests.unit.admin.conftest import API, TOKENS, MakeApp


@pytest.fixture
def said(web: FlaskClient) -> dict[str, Any]:
    """The document."""
    found: dict[str, Any] = web.get(f"{API}/openapi.json").get_json()
    return found


def test_the_document_is_valid_and_tells_every_route(said: dict[str, Any], app: Flask) -> None:
    validate(said)
    told = {(path, method) for path, methods in said["paths"].items() for method in methods}
    routes = {
        (re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", address), methods[0].lower())
        for address, methods, _ in ROUTES
        if len(methods) == 1
    }
    assert told == routes
    assert said["servers"] == [{"url": "/scheduler"}]
    assert said == app.extensions["scheduler"].openapi()


def test_the_tables_name_actions_that_there_are_and_their_examples_are_taken() -> None:
    actions = {action.__name__ for _, _, action in ROUTES}
    assert BODIES.keys() <= actions
    assert OPERATIONS.keys() <= actions
    assert EXAMPLES.keys() == BODIES.keys()
    for action, example in EXAMPLES.items():
        problems: Problems = {}
        read(BODIES[action], example, problems)
        assert problems == {}, action


def test_each_answer_has_an_example_that_is_one() -> None:
    assert SHOWN.keys() == SHAPES.keys()
    for name, example in SHOWN.items():
        problems: Problems = {}
        read(SHAPES[name], example, problems)
        assert problems == {}, name
        assert example.keys() <= SHAPES[name]["properties"].keys() | {"errors", *SHAPES["Problem"]["properties"]}, name


def test_a_job_has_the_fields_that_are_told(web: FlaskClient, jobs: Client, said: dict[str, Any]) -> None:
    jobs.schedule_after(60, tidy, (), {})
    [job] = web.get(f"{API}/jobs").get_json()["data"]
    assert job.keys() == set(said["components"]["schemas"]["Job"]["properties"])


# -- whatever is asked ------------------------------------------------------------------------------

CASES = 3
"""How many requests each operation gets of those that fit the document, and of those that do not."""
PRINTED = st.text(st.characters(codec="utf-8", exclude_categories=("C", "Z")), min_size=1, max_size=40)
INSTANTS = st.datetimes(datetime(2040, 1, 1), datetime(2090, 1, 1)).map(lambda moment: f"{moment.isoformat()}Z")
FILTERS = st.sampled_from(["priority=urgent,low", "task=mail.* created>=2026-01-01", "args.user=1 'q=a b'", "error~x"])
LISTS = [name for name, shape in FILTERS_TOLD.items() if shape.get("items", {}).get("type") == "string"]
"""In an address whatever is said of these is a list of texts: a number is a text, and one text a list of one."""
BEARER = {"Authorization": f"Bearer {TOKENS['admin']}"}
PLACES = {"schedules": "nightly", "tasks": "mail.welcome", "queues": "default"}


@pytest.mark.timeout(180)  # on a machine that has much else to do
def test_whatever_is_asked_is_answered_as_the_document_says(
    make_app: MakeApp, caplog: pytest.LogCaptureFixture
) -> None:
    app = make_app(SCHEDULER_ADMIN_TOKENS={TOKENS["admin"]: "admin"}, SCHEDULER_MAX_DELAY_SECONDS=MOST_SECONDS)
    scheduler = app.extensions["scheduler"]
    job_id = scheduler.client.schedule_after(60, tidy, (), {}).id
    scheduler.recurring.upsert(Declaration(tidy, cron="0 4 * * *", name="nightly", timezone="UTC"))
    ends = scheduler.client.store.clock.now() + timedelta(hours=1)
    token = write_token(scheduler.client.calls.signer(), Pass(job_id, ends, True))
    openapi.format("printable", PRINTED)
    openapi.format("date-time", INSTANTS)
    openapi.format("job-filter", FILTERS)
    caplog.set_level(logging.CRITICAL)
    schema = openapi.from_wsgi(f"{API}/openapi.json", app, headers=BEARER)
    operations = [found.ok() for found in schema.get_all_operations()]
    for operation in sorted(operations, key=lambda one: one.method == "delete"):
        names = [name for part, name in PLACES.items() if f"/{part}/" in operation.path]
        places = {"job_id": job_id, "name": names[0] if names else "", "token": token}
        known = {name: place for name, place in places.items() if f"{{{name}}}" in operation.path}
        ask(operation.as_strategy(GenerationMode.POSITIVE, path_parameters=known or None), fits=True)
        if operation.body or operation.query:
            ask(operation.as_strategy(GenerationMode.NEGATIVE), fits=False)


def ask(strategy: Any, *, fits: bool) -> None:
    """Make requests, and hold each answer against every check that there is."""

    @given(strategy)
    @settings(
        max_examples=CASES, deadline=None, derandomize=True, database=None, phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    def check(case: Any) -> None:
        if case.query:
            case.query.pop("cursor", None)  # one that no answer gave is refused, as any text that nobody signed
        if fits and case.query:
            take_out_what_contradicts(case.query)
        if not fits:
            assume(not any(name in (case.query or {}) for name in LISTS))
        if "If-Match" in (case.headers or {}):
            case.headers["If-Match"] = "*"  # another one is rightly refused: it names no version
        case.call_and_validate(headers=BEARER)

    check()


def take_out_what_contradicts(query: dict[str, Any]) -> None:
    """Leave of two conditions that together no shape can say the one: a state that the order has not, an end before."""
    if query.get("sort") in ("run_at", "finished"):
        query.pop("state", None)
    for time in TIMES:
        if f"{time}_after" in query:
            query.pop(f"{time}_before", None)


def test_every_filter_is_told(said: dict[str, Any]) -> None:
    told = {one["name"].rstrip("~") for one in said["paths"]["/api/v1/jobs"]["get"]["parameters"]}
    assert {*NAMES} - told == {*TIMES, "args."}  # an exact time, and names that are the arguments' own
    assert "args." in said["paths"]["/api/v1/jobs"]["get"]["description"]
