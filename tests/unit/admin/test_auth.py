"""Who gets in: nobody, unless the app said who."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask, Request, abort
from werkzeug.routing import Rule

from scheduler_app import Actor
from scheduler_app.admin import RULES
from scheduler_app.admin.auth import OPEN
from scheduler_app.settings.readers import ADMIN_ROLES as ROLES
from tests.unit.admin.calls import tidy
from tests.unit.admin.conftest import API, TOKENS, MakeApp, by

JOBS = f"{API}/jobs"


def routes(app: Flask) -> Iterator[tuple[Rule, str]]:
    """Yield each route of the admin with each of its methods."""
    for rule in app.url_map.iter_rules():
        if rule.endpoint.startswith("scheduler."):
            yield from ((rule, method) for method in sorted(rule.methods or ()))


def address(rule: Rule) -> str:
    return re.sub(r"<[^>]+>", "some-thing", rule.rule)


def authorized_by(app: Flask, answer: Any) -> Flask:
    app.extensions["scheduler"].authorize = answer if callable(answer) else lambda request: answer
    return app


# -- the rules ---------------------------------------------------------------------------------------


def test_every_route_of_the_admin_has_a_row_in_the_rules_and_every_row_a_route(app: Flask) -> None:
    assert {rule.endpoint.removeprefix("scheduler.") for rule, _ in routes(app)} == set(RULES)


@pytest.mark.parametrize("role", [None, *ROLES])
def test_every_route_answers_exactly_the_roles_that_its_row_names(app: Flask, role: str | None) -> None:
    wrong, map_ = [], app.url_map.bind("localhost")
    for rule, method in routes(app):
        endpoint, _ = map_.match(address(rule), method)  # where several routes share an address, one answers OPTIONS
        needed = RULES[endpoint.removeprefix("scheduler.")]
        if needed == OPEN:
            refusal = None
        elif role is None:
            refusal = 401
        else:
            refusal = 403 if ROLES.index(role) < ROLES.index(needed) else None
        status = by(app, role).open(address(rule), method=method).status_code
        if (status if status in (401, 403) else None) != refusal:
            wrong.append((rule.rule, method, status))
    assert wrong == []


def test_a_planted_route_without_a_row_answers_nobody(app: Flask) -> None:
    app.add_url_rule("/scheduler/planted", "scheduler.planted", lambda: "open")
    assert by(app, None).get("/scheduler/planted").status_code == 401
    answer = by(app, "admin").get("/scheduler/planted")
    assert answer.status_code == 403
    assert answer.get_json()["detail"] == "No role may do this."


def test_a_role_that_is_too_low_is_told_which_it_takes(app: Flask) -> None:
    answer = by(app, "viewer").post(f"{JOBS}/x/cancel")
    assert answer.status_code == 403
    assert answer.get_json()["detail"] == "The role 'viewer' may not do this; it takes the role 'operator'."


# -- closed by default -------------------------------------------------------------------------------


def test_without_configured_authentication_every_route_but_the_health_checks_is_not_found(make_app: MakeApp) -> None:
    app = make_app()
    for rule, method in routes(app):
        if RULES[rule.endpoint.removeprefix("scheduler.")] == OPEN:
            continue
        for headers in ({}, {"Authorization": f"Bearer {TOKENS['admin']}"}, {"Authorization": "Bearer "}):
            answer = app.test_client().open(address(rule), method=method, headers=headers)
            assert (answer.status_code, answer.mimetype) == (404, "application/problem+json")


def test_a_closed_admin_looks_the_same_where_a_job_is_and_where_nothing_is(make_app: MakeApp) -> None:
    web = make_app().test_client()
    job, nothing = web.get(JOBS).get_json(), web.get("/scheduler/nothing").get_json()
    assert {**job, "instance": ""} == {**nothing, "instance": ""}


# -- tokens ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "header",
    [
        None,
        "Bearer",
        "Bearer ",
        "Bearer wrong",
        f"Bearer {TOKENS['admin']}x",
        f"Bearer {TOKENS['admin'][:-1]}",
        f"Basic {TOKENS['admin']}",
        TOKENS["admin"],
        "Bearer \xff",
    ],
)
def test_no_token_or_a_wrong_one_is_unauthorized(app: Flask, header: str | None) -> None:
    answer = app.test_client().get(JOBS, headers={"Authorization": header} if header else {})
    assert answer.status_code == 401
    assert answer.headers.getlist("WWW-Authenticate") == ['Bearer realm="scheduler"']
    assert answer.get_json()["detail"] == (
        "This needs authentication that is known here, such as the header 'Authorization: Bearer <token>'."
    )


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
def test_the_scheme_of_the_header_is_read_in_any_case(app: Flask, scheme: str) -> None:
    answer = app.test_client().get(JOBS, headers={"Authorization": f"{scheme} {TOKENS['viewer']}"})
    assert answer.status_code == 200


def test_a_token_with_equal_signs_and_commas_works(make_app: MakeApp) -> None:
    app = make_app(SCHEDULER_ADMIN_TOKEN="a=b,c==")
    assert app.test_client().get(JOBS, headers={"Authorization": "Bearer a=b,c=="}).status_code == 200


def test_the_single_admin_token_is_an_administrators(make_app: MakeApp) -> None:
    app = make_app(SCHEDULER_ADMIN_TOKEN="only-0123456789")
    answer = app.test_client().post(f"{JOBS}/x/cancel", headers={"Authorization": "Bearer only-0123456789"})
    assert answer.status_code == 404
    assert answer.get_json()["detail"].startswith("No job has the id 'x'.")


def test_a_configured_token_in_the_address_opens_nothing(app: Flask) -> None:
    assert app.test_client().get(f"{JOBS}?token={TOKENS['admin']}").status_code == 401


def test_tokens_are_compared_in_constant_time_and_all_of_them(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[tuple[bytes, bytes]] = []

    def compare(one: bytes, other: bytes) -> bool:
        compared.append((one, other))
        return one == other

    monkeypatch.setattr("scheduler_app.admin.auth.hmac.compare_digest", compare)
    assert by(app, "viewer").get(JOBS).status_code == 200
    assert len(compared) >= len(TOKENS)
    assert all(len(one) == len(other) == 32 for one, other in compared)


# -- the token of debug ------------------------------------------------------------------------------


@pytest.fixture
def debug_app(make_app: MakeApp, monkeypatch: pytest.MonkeyPatch) -> Flask:
    """An app in debug without configured authentication, whose made token is "made-token"."""
    monkeypatch.setenv("SCHEDULER_DEBUG_TOKEN", "made-token")
    return make_app(DEBUG=True)


def test_in_debug_the_printed_address_opens(debug_app: Flask) -> None:
    assert debug_app.test_client().get(f"{JOBS}?token=made-token").status_code == 200
    assert debug_app.test_client().get(f"{JOBS}?token=made-token&limit=1").status_code == 200


def test_in_debug_the_token_works_as_a_bearer_token_too(debug_app: Flask) -> None:
    answer = debug_app.test_client().post(f"{JOBS}/x/cancel", headers={"Authorization": "Bearer made-token"})
    assert answer.get_json()["detail"].startswith("No job has the id 'x'.")


def test_in_debug_the_token_in_an_address_changes_nothing(debug_app: Flask) -> None:
    assert debug_app.test_client().post(f"{JOBS}/x/cancel?token=made-token").status_code == 401


@pytest.mark.parametrize("query", ["", "?token=", "?token=wrong", "?token=made-toke", "?token=%ff"])
def test_in_debug_no_token_or_a_wrong_one_is_unauthorized(debug_app: Flask, query: str) -> None:
    assert debug_app.test_client().get(f"{JOBS}{query}").status_code == 401


def test_the_token_is_not_handed_on_in_the_address_of_the_next_page(debug_app: Flask) -> None:
    debug_app.extensions["scheduler"].client.schedule_many([(60, tidy)] * 2)
    answer = debug_app.test_client().get(f"{JOBS}?token=made-token&limit=1")
    assert "cursor=" in answer.headers["Link"]
    assert "made-token" not in f"{answer.headers} {answer.get_data(as_text=True)}"


def test_no_cookie_is_set(debug_app: Flask) -> None:
    assert "Set-Cookie" not in debug_app.test_client().get(f"{JOBS}?token=made-token").headers


# -- the app's own function --------------------------------------------------------------------------


@pytest.mark.parametrize("role", ROLES)
def test_the_app_may_decide_by_itself(make_app: MakeApp, role: str) -> None:
    app = authorized_by(make_app(), Actor("ann", role))
    assert app.test_client().get(JOBS).status_code == 200
    cancelled = app.test_client().post(f"{JOBS}/x/cancel").status_code
    assert cancelled == (403 if role == "viewer" else 404)


def test_the_app_is_asked_at_each_request_and_sees_it(make_app: MakeApp) -> None:
    def by_header(request: Request) -> Actor | None:
        return Actor("ann", "viewer") if request.headers.get("X-Key") == "open" else None

    web = authorized_by(make_app(), by_header).test_client()
    assert web.get(JOBS, headers={"X-Key": "open"}).status_code == 200
    assert web.get(JOBS).status_code == 401
    assert web.get(JOBS, headers={"X-Key": "open"}).status_code == 200


def test_where_the_app_decides_tokens_open_nothing(app: Flask) -> None:
    authorized_by(app, lambda request: None)
    assert by(app, "admin").get(JOBS).status_code == 401


def test_the_app_may_decide_in_an_async_function(make_app: MakeApp) -> None:
    async def later(request: Request) -> Actor | None:
        return Actor("ann", "viewer")

    assert authorized_by(make_app(), later).test_client().get(JOBS).status_code == 200


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        (True, "returned a value of type 'bool', so"),
        ("admin", "returned a value of type 'str', so"),
        (("ann", "admin"), "returned a value of type 'tuple', so"),
        (False, "returned a value of type 'bool', so"),
        (Actor("ann", "root"), "returned an Actor with the role 'root', so"),
        (Actor("ann", None), "returned an Actor with the role 'None', so"),  # type: ignore[arg-type]
    ],
)
def test_garbage_from_the_apps_function_opens_nothing_and_is_told_in_the_log(
    make_app: MakeApp, answer: Any, sentence: str, caplog: pytest.LogCaptureFixture
) -> None:
    app = authorized_by(make_app(), lambda request: answer)
    refused = app.test_client().get(JOBS)
    assert (refused.status_code, refused.mimetype) == (500, "application/problem+json")
    assert caplog.records[-1].exc_info is not None
    assert str(caplog.records[-1].exc_info[1]) == (
        f"The function given to @scheduler.authorize {sentence} the request was refused."
        " Return Actor(name, role) with the role 'viewer', 'operator' or 'admin', or None."
    )


@pytest.mark.parametrize("testing", [True, False])
def test_a_function_of_the_app_that_raises_opens_nothing(make_app: MakeApp, testing: bool) -> None:
    def broken(request: Request) -> Actor | None:
        raise LookupError("the password is hunter2")

    answer = authorized_by(make_app(TESTING=testing), broken).test_client().get(JOBS)
    assert (answer.status_code, answer.mimetype) == (500, "application/problem+json")
    assert "hunter2" not in answer.get_data(as_text=True)


def test_a_function_of_the_app_may_abort(make_app: MakeApp) -> None:
    app = authorized_by(make_app(), lambda request: abort(403, "Not on Sundays."))
    answer = app.test_client().get(JOBS)
    assert (answer.status_code, answer.get_json()["detail"]) == (403, "Not on Sundays.")
    answer = authorized_by(app, lambda request: abort(401)).test_client().get(JOBS)
    assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (401, 'Bearer realm="scheduler"')


# -- other sites -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("headers", "cookie", "lets_in"),
    [
        ({"Sec-Fetch-Site": "same-origin"}, True, True),
        ({"Sec-Fetch-Site": "same-site"}, True, False),
        ({"Sec-Fetch-Site": "cross-site"}, True, False),
        ({"Sec-Fetch-Site": "cross-site", "Origin": "http://localhost"}, True, False),
        ({"Sec-Fetch-Site": "cross-site"}, False, False),
        ({"Origin": "http://localhost"}, True, True),
        ({"Origin": "https://localhost"}, True, True),
        ({"Origin": "http://localhost.evil.example"}, True, False),
        ({"Origin": "null"}, True, False),
        ({"Origin": "http://["}, True, False),
        ({}, True, False),
        ({}, False, True),
        ({"Sec-Fetch-Site": "cross-site", "Authorization": "Bearer app-token"}, True, True),
    ],
)
def test_a_write_with_a_cookie_must_come_from_the_sites_own_pages(
    make_app: MakeApp, headers: dict[str, str], cookie: bool, lets_in: bool
) -> None:
    web = authorized_by(make_app(), Actor("ann", "operator")).test_client()
    if cookie:
        web.set_cookie("session", "ann")
    answer = web.post(f"{JOBS}/x/cancel", headers=headers)
    assert answer.status_code == (404 if lets_in else 403)
    if not lets_in:
        assert answer.get_json()["detail"] == (
            "A browser may do this only from this site's own pages, and this request does not show that."
        )


def test_no_write_at_all_is_made_for_another_site(make_app: MakeApp) -> None:
    app = authorized_by(make_app(), Actor("ann", "admin"))
    web = app.test_client()
    web.set_cookie("session", "ann")
    writes = [(rule, method) for rule, method in routes(app) if method not in ("GET", "HEAD", "OPTIONS")]
    answers = {
        (rule.rule, method): web.open(
            address(rule), method=method, headers={"Sec-Fetch-Site": "cross-site"}
        ).status_code
        for rule, method in writes
    }
    assert len(writes) > 12
    assert set(answers.values()) == {403}


def test_reading_with_a_cookie_needs_no_such_proof(make_app: MakeApp) -> None:
    web = authorized_by(make_app(), Actor("ann", "viewer")).test_client()
    web.set_cookie("session", "ann")
    assert web.get(JOBS).status_code == 200


def test_who_cancelled_what_is_logged(make_app: MakeApp, caplog: pytest.LogCaptureFixture) -> None:
    app = authorized_by(make_app(), Actor("ann\nforged", "operator"))
    job = app.extensions["scheduler"].client.schedule_after(60, tidy, (), {})
    with caplog.at_level(logging.INFO, logger="scheduler_app.admin"):
        app.test_client().post(f"{JOBS}/{job.id}/cancel")
    assert [record.getMessage() for record in caplog.records if record.name == "scheduler_app.admin"] == [
        f"admin asked to cancel job={job.id} state=cancelled actor='ann\\nforged' role=operator"
    ]
