"""What travels with a call: SCHEDULER_CARRY, where it was scheduled, addresses of the app, and sessions that end."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any

import pytest
from flask import Flask, g, url_for
from flask_babel import Babel, get_locale
from flask_login import LoginManager, UserMixin, login_user
from flask_sqlalchemy import SQLAlchemy
from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags
from sqlalchemy import text

from scheduler_app import RetryPolicy, Scheduler, current_job, schedule_after, schedule_many, schedule_now, using
from scheduler_app.client import Client
from scheduler_app.errors import CarryError, PayloadTypeError
from scheduler_app.extension import Parts
from scheduler_app.jobs import Job, JobState
from scheduler_app.origin import read_origin
from tests.conformance.sides import until

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
tenant: ContextVar[str | None] = ContextVar("tenant", default=None)
seen: list[Any] = []
db = SQLAlchemy()


@pytest.fixture(autouse=True)
def _fresh() -> None:
    seen.clear()


def look() -> None:
    """Note what travelled, in each of the places where it is."""
    names = ("request_id", "user_id", "locale", "trace_parent", "tenant")
    seen.append({name: g.get(name) for name in names if g.get(name) is not None})
    assert dict(current_job.context) == seen[-1]


def look_and_defer() -> None:
    look()
    schedule_now(look)


def note_locale() -> None:
    seen.append(str(get_locale()))


def note_trace() -> None:
    seen.append(f"{trace.get_current_span().get_span_context().trace_id:032x}")


def note_tenant() -> None:
    seen.append(tenant.get())


def note_address() -> None:
    seen.append(url_for("welcome", name="Ada", _external=True))


def current_tenant() -> str | None:
    return tenant.get()


@contextmanager
def as_tenant(name: str) -> Iterator[None]:
    token = tenant.set(name)
    try:
        yield
    finally:
        tenant.reset(token)


def unlucky() -> None:
    raise KeyError("no tenant")


def an_object() -> object:
    return object()


@pytest.fixture
def make_client(make_app: Callable[..., Flask]) -> Callable[..., tuple[Flask, Client]]:
    def make(scheduler: Scheduler | None = None, **config: Any) -> tuple[Flask, Client]:
        app = make_app(scheduler, **config)
        parts: Parts = app.extensions["scheduler"]
        return app, parts.client

    return make


def run(app: Flask, view: Callable[[], Any], **headers: str) -> None:
    """Have a request call `view`, then run what it deferred to its end."""
    parts: Parts = app.extensions["scheduler"]
    with app.test_request_context("/", headers=headers):
        view()
    parts.aps.start()
    until(lambda: not left(parts.client))


def left(client: Client) -> list[Job]:
    return client.list(states=[JobState.SCHEDULED, JobState.RUNNING])


# -- what travels ------------------------------------------------------------------------------------------------


def test_nothing_travels_unless_it_is_named(make_client: Callable[..., tuple[Flask, Client]]) -> None:
    app, client = make_client()
    run(app, lambda: schedule_now(look), **{"X-Request-ID": "r-1", "traceparent": TRACE})
    assert seen == [{}]
    assert client.list()[0].payload == '{"a":[],"k":{}}'


def test_the_headers_of_a_request_travel_and_are_shown_on_the_job(
    make_client: Callable[..., tuple[Flask, Client]],
) -> None:
    app, client = make_client(SCHEDULER_CARRY="request_id, trace_parent, locale, user_id")
    run(app, lambda: schedule_now(look), **{"X-Request-ID": "r-1", "traceparent": TRACE})
    assert seen == [{"request_id": "r-1", "trace_parent": TRACE}]
    assert f'"c":{{"request_id":"r-1","trace_parent":"{TRACE}"}}' in client.list()[0].payload


@pytest.mark.parametrize(
    "header", ["", "nonsense", TRACE.replace("0af7651916cd43dd8448eb211c80319c", "0" * 32), TRACE + "x"]
)
def test_a_trace_parent_that_is_none_does_not_travel(
    header: str, make_client: Callable[..., tuple[Flask, Client]]
) -> None:
    app, _client = make_client(SCHEDULER_CARRY=["trace_parent"])
    run(app, lambda: schedule_now(look), traceparent=header)
    assert seen == [{}]


def test_what_the_app_put_into_g_travels(make_client: Callable[..., tuple[Flask, Client]]) -> None:
    app, _client = make_client(SCHEDULER_CARRY=["request_id", "user_id", "locale"])

    def view() -> None:
        g.request_id, g.user_id, g.locale = "mine", 42, "nb"
        schedule_now(look)

    run(app, view, **{"X-Request-ID": "the proxy's"})
    assert seen == [{"request_id": "mine", "user_id": 42, "locale": "nb"}]


def test_it_goes_on_to_what_a_job_defers(make_client: Callable[..., tuple[Flask, Client]]) -> None:
    app, _client = make_client(SCHEDULER_CARRY=["request_id"])
    run(app, lambda: schedule_now(look_and_defer), **{"X-Request-ID": "r-1"})
    assert seen == [{"request_id": "r-1"}] * 2


def test_it_travels_with_every_verb_and_the_newest_call_of_a_key(
    make_client: Callable[..., tuple[Flask, Client]],
) -> None:
    app, _client = make_client(SCHEDULER_CARRY=["request_id"])

    def view() -> None:
        schedule_many([(0, look), (0, look)])
        using(key="k").schedule_after(0.1, look)
        g.request_id = "newer"
        using(key="k", on_conflict="debounce").schedule_after(0.1, look)

    run(app, view, **{"X-Request-ID": "r-1"})
    assert seen == [{"request_id": "r-1"}] * 2 + [{"request_id": "newer"}]


def test_who_is_logged_in_travels(make_client: Callable[..., tuple[Flask, Client]]) -> None:
    app, _client = make_client(SCHEDULER_CARRY=["user_id"])
    LoginManager(app).user_loader(lambda user_id: None)

    class User(UserMixin):
        id = "ada"

    def view() -> None:
        schedule_now(look)
        login_user(User())
        schedule_now(look)

    run(app, view)
    assert sorted(seen, key=len) == [{}, {"user_id": "ada"}]


def test_the_language_is_the_requests(make_client: Callable[..., tuple[Flask, Client]]) -> None:
    app, _client = make_client(SCHEDULER_CARRY=["locale"])
    Babel(app, locale_selector=lambda: g.get("chosen"))

    def view() -> None:
        g.chosen = "nb_NO"
        schedule_now(note_locale)

    run(app, view)
    assert seen == ["nb_NO"]


def test_the_trace_goes_on(make_client: Callable[..., tuple[Flask, Client]]) -> None:
    app, _client = make_client(SCHEDULER_CARRY=["trace_parent"])

    def view() -> None:
        span = NonRecordingSpan(SpanContext(0xABC, 0xDEF, is_remote=False, trace_flags=TraceFlags(1)))
        token = otel_context.attach(trace.set_span_in_context(span))
        schedule_now(note_trace)
        otel_context.detach(token)

    run(app, view)
    assert seen == [f"{0xABC:032x}"]


HERE = __name__


@pytest.mark.parametrize(
    "how",
    [
        {"capture": current_tenant, "restore": as_tenant},
        {"capture": f"{HERE}:current_tenant", "restore": f"{HERE}:as_tenant"},
    ],
    ids=["functions", "paths"],
)
def test_what_the_app_names_itself_travels_and_is_set_around_the_function(
    how: Any, make_client: Callable[..., tuple[Flask, Client]]
) -> None:
    app, _client = make_client(SCHEDULER_CARRY={"tenant": how, "request_id": True})

    def view() -> None:
        with as_tenant("acme"):
            schedule_now(note_tenant)
            schedule_now(look)
        schedule_now(note_tenant)

    run(app, view)
    assert sorted(seen, key=str) == [None, "acme", {"tenant": "acme"}]
    assert tenant.get() is None


def test_a_function_alone_takes_a_value(make_client: Callable[..., tuple[Flask, Client]]) -> None:
    app, _client = make_client(SCHEDULER_CARRY={"tenant": lambda: datetime(2030, 1, 1, tzinfo=UTC)})
    run(app, lambda: schedule_now(look))
    assert seen == [{"tenant": datetime(2030, 1, 1, tzinfo=UTC)}]


@pytest.mark.parametrize(
    ("how", "error", "words"),
    [
        (unlucky, CarryError, "SCHEDULER_CARRY names 'tenant', which could not be carried: KeyError: 'no tenant'."),
        ("nowhere.at_all:x", CarryError, "'nowhere.at_all:x' leads to nothing"),
        (f"{HERE}:nothing", CarryError, f"'{HERE}:nothing' leads to nothing"),
        (an_object, PayloadTypeError, r"context\['tenant'\] is of type 'object', which cannot be stored"),
    ],
    ids=["raises", "no module", "no function", "no JSON"],
)
def test_what_cannot_travel_is_told_where_it_is_scheduled_and_nothing_is_stored(
    how: Any, error: type[Exception], words: str, make_client: Callable[..., tuple[Flask, Client]]
) -> None:
    app, client = make_client(SCHEDULER_CARRY={"tenant": how})
    with app.test_request_context("/"), pytest.raises(error, match=words):
        schedule_now(look)
    assert client.list() == []


def test_what_travels_is_signed(make_client: Callable[..., tuple[Flask, Client]]) -> None:
    app, client = make_client(SCHEDULER_CARRY={"tenant": lambda: "acme"})
    with app.app_context():
        handle = schedule_now(note_tenant)
    forged = text("UPDATE scheduler_jobs SET payload = replace(payload, 'acme', 'rival')")
    client.store.write(lambda connection: connection.execute(forged))
    app.extensions["scheduler"].aps.start()
    until(lambda: client.get(handle.id).state is JobState.QUARANTINED)
    assert seen == []


def test_a_pause_by_apscheduler_takes_nothing_of_it_away(make_client: Callable[..., tuple[Flask, Client]]) -> None:
    app, client = make_client(SCHEDULER_CARRY={"tenant": lambda: "acme"})
    aps = app.extensions["scheduler"].aps
    with app.app_context():
        handle = schedule_after(3600, look)
        aps.start()
        aps.pause_job(handle.id)
        aps.modify_job(handle.id, next_run_time=datetime.now(UTC))
        until(lambda: client.get(handle.id).state is JobState.SUCCEEDED)
    assert seen == [{"tenant": "acme"}]


# -- where it was scheduled ----------------------------------------------------------------------------------


def test_the_line_that_scheduled_a_job_is_kept_with_it(make_client: Callable[..., tuple[Flask, Client]]) -> None:
    app, client = make_client()
    with app.app_context():
        line = inspect.currentframe().f_lineno  # type: ignore[union-attr]
        handles = [
            schedule_after(60, look),
            using(tags=["t"]).schedule_now(look),
            schedule_many([(60, look)])[0],
        ]
        found = [read_origin(client.get(handle.id).origin) for handle in handles]
    assert found == [{"at": f"tests/conformance/test_context.py:{line + offset}"} for offset in (2, 3, 4)]


def test_what_a_schedule_emits_names_it(make_client: Callable[..., tuple[Flask, Client]]) -> None:
    app, client = make_client()
    aps = app.extensions["scheduler"].aps
    aps.start()
    with app.app_context():
        aps.add_job(look, "date", id="the name")
        until(lambda: seen)
    assert read_origin(client.list()[0].origin) == {"schedule": "the name"}


def test_the_origin_in_a_damaged_row_is_none() -> None:
    assert [read_origin(damaged) for damaged in (None, "", "{", "[]", '{"at": 1}')] == [{}] * 5


# -- addresses, sessions ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("config", "address"),
    [
        ({"SERVER_NAME": "shop.example"}, "http://shop.example/welcome/Ada"),
        ({"SCHEDULER_BASE_URL": "https://shop.example/store/"}, "https://shop.example/store/welcome/Ada"),
        ({"SCHEDULER_BASE_URL": "https://shop.example:8443"}, "https://shop.example:8443/welcome/Ada"),
        (
            {"SCHEDULER_BASE_URL": "https://jobs.example", "SERVER_NAME": "shop.example"},
            "http://shop.example/welcome/Ada",
        ),
    ],
    ids=["server name", "base url", "port", "both"],
)
def test_addresses_are_made_outside_of_requests_by_configuration(
    config: dict[str, str], address: str, make_client: Callable[..., tuple[Flask, Client]]
) -> None:
    app, client = make_client(**config)
    app.add_url_rule("/welcome/<name>", "welcome", lambda name: name)
    with app.app_context():
        handle = schedule_now(note_address)
        app.extensions["scheduler"].aps.start()
        until(lambda: client.get(handle.id).finished)
    assert seen == [address]


class Row(db.Model):  # type: ignore[name-defined, misc]
    __tablename__ = "rows_of_the_app"
    id = db.Column(db.Integer, primary_key=True)


sessions: list[Any] = []


def leave_a_session_open() -> None:
    """Leave a failed transaction behind at the first attempt, and find a new session at the second."""
    session = db.session()
    sessions.append(session)
    assert not session.new
    assert not session.in_transaction()
    session.add(Row(id=1))
    session.flush()
    if current_job.attempt == 1:
        raise ValueError("in the middle of a transaction")
    session.commit()


def test_a_session_ends_with_each_attempt(make_client: Callable[..., tuple[Flask, Client]], tmp_path: Any) -> None:
    sessions.clear()
    app, client = make_client()
    app.config["SQLALCHEMY_DATABASE_URI"] = f"sqlite:///{tmp_path / 'app.sqlite3'}"
    app.config["SQLALCHEMY_ENGINE_OPTIONS"] = {"pool_size": 1, "max_overflow": 0, "pool_timeout": 5}
    db.init_app(app)
    with app.app_context():
        db.create_all()
        handle = using(retry=RetryPolicy(attempts=2, backoff=0)).schedule_now(leave_a_session_open)
        app.extensions["scheduler"].aps.start()
        until(lambda: client.get(handle.id).finished)
        assert client.get(handle.id).state is JobState.SUCCEEDED
        assert db.session.query(Row).count() == 1
    first, second = sessions
    assert first is not second
