"""One secret is put in through every way in, and looked for at every door. The doors are a table."""

from __future__ import annotations

import base64
import functools
import io
import json
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from flask import Flask
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from scheduler_app import Actor, JobHandle, Scheduler, Secret, audited, current_job, signals, task
from scheduler_app.client import Client, Shown, make_options
from scheduler_app.errors import ArgumentsError, SecretExportError, TaskOptionError
from scheduler_app.extension import Parts
from scheduler_app.jobs import Job
from scheduler_app.payload import MASK, scrubber
from scheduler_app.tasks import Task
from scheduler_app.tasks.registry import DECLARED
from scheduler_app.testing.assertions import Wanted
from scheduler_app.testing.calls import all_calls
from scheduler_app.testing.wording import report
from tests.unit.admin.conftest import API, TOKENS
from tests.unit.cli.conftest import commands_of

if TYPE_CHECKING:
    from decimal import Decimal  # stands in an annotation, and is not there when that is read

CORE = "kQ7zMark"
MARKER = f'{CORE}"er/5 é'
SPELLED = (CORE, CORE.encode().hex(), base64.b64encode(CORE.encode()).decode()[:10])
"""How it would be seen, whatever is done to its quotes, its space and its accent."""


def is_seen(shown: str) -> bool:
    return any(spelled in shown for spelled in SPELLED)


# -- the ways in ---------------------------------------------------------------------------------------


def by_annotation(user: int, token: Secret[str], amount: Decimal | None = None) -> Secret[str]:
    current_job.progress(1, 2, f"sends {token}")
    if user:
        raise ValueError(f"refused {token!r} at https://host/?t={token}")
    return token


def by_name(user: int, *, token: str) -> str:
    return by_annotation(user, token)


def as_part(user: int, options: dict[str, Secret[str]] | None) -> str:
    assert options is not None
    return by_annotation(user, options["token"])


def as_bytes(user: int, token: Secret[bytes]) -> str:
    return by_annotation(user, token.decode())


def noted(function: Any) -> Any:
    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    return wrapper


@noted
def in_a_wrapper(user: int, token: Secret[str]) -> str:
    return by_annotation(user, token)


HELD = make_options(key="k", on_conflict="debounce")
Way = tuple[Any, tuple[str, ...], tuple[Any, ...], dict[str, Any]]
WAYS: dict[str, Way] = {
    "annotated, by position": (by_annotation, (), (MARKER,), {}),
    "annotated, by name": (by_annotation, (), (), {"token": MARKER}),
    "redact=": (by_name, ("token", "return"), (), {"token": MARKER}),
    "in a container": (as_part, ("return",), ({"token": MARKER},), {}),
    "bytes": (as_bytes, ("return",), (MARKER.encode(),), {}),
    "under a decorator": (in_a_wrapper, ("return",), (MARKER,), {}),
}


class House:
    """An app with one job that failed and one that succeeded, each given the secret, and all that was told of them."""

    def __init__(self, app: Flask, parts: Parts, way: Way) -> None:
        self.app, self.parts, self.way = app, parts, way
        function, redact, self.args, self.kwargs = way
        self.task = task(redact=redact, name="mail.welcome")(function)
        self.events: list[str] = []
        self.client: Client = app.extensions["scheduler"].client
        parts.aps.start()
        parts.aps.add_listener(lambda event: self.events.append(str(vars(event))))
        self.bad, self.good = (
            parts.client.schedule_after(0, self.task, (user, *self.args), self.kwargs) for user in (1, 0)
        )
        for _ in range(5):
            parts.aps.crank()

    def cli(self, *words: str) -> str:
        result = commands_of(self.app)(*words)
        assert result.exit_code == 0, result.output
        return result.output

    def web(self, path: str) -> str:
        headers = {"Authorization": f"Bearer {TOKENS['admin']}"}
        response = self.app.test_client().get(f"{API}{path}", headers=headers)
        assert response.status_code == 200
        return response.get_data(as_text=True)

    def handle(self, job: JobHandle) -> str:
        """Return what whoever waits for a job sees: the answer of its view, and what stands at the address in it."""
        with self.app.test_request_context():
            given = job.accepted(allow_cancel=True)
        answer = self.app.test_client().get(given.headers["Location"])
        assert answer.status_code == 200
        return f"{given.headers} {given.get_data(as_text=True)} {answer.headers} {answer.get_data(as_text=True)}"

    def audited(self) -> str:
        """Return what is told of changes that show all of a job: one that came, took another call, and had failed."""
        call = (self.task, (1, *self.args), self.kwargs)
        failed = self.parts.client.schedule_after(0, *call)
        for _ in range(5):
            self.parts.aps.crank()
        with audited(Actor("ann", "admin"), door="a test"):
            held = self.client.schedule_after(99, *call, make_options(key="k"))
            self.client.schedule_after(99, self.task, (0, *self.args), self.kwargs, HELD)
            self.client.retry(failed.id)
        for job in (held, failed):
            self.client.cancel(job.id)
        told = self.web("/audit") + self.cli("audit", "--format", "json") + self.cli("audit")
        assert told.count("refused '***'") >= 2, "the error of the one that failed was changed by its retry"
        return told + self.rows("SELECT * FROM scheduler_audit")

    def rows(self, statement: str) -> str:
        return str(self.client.store.read(lambda connection: connection.execute(text(statement)).all()))

    def waiting(self) -> Job:
        return self.client.schedule_after(99, self.task, (1, *self.args), self.kwargs).job

    def wrong_call(self) -> str:
        if self.way[0] is in_a_wrapper:
            return "its wrapper takes whatever it is given"
        with pytest.raises(ArgumentsError) as caught:
            self.client.schedule_after(1, self.task, (1, *self.args, *self.args), {**self.kwargs, "more": MARKER})
        return str(caught.value)

    def refused_insert(self, session: Any = None) -> str:
        """Return what is said when the database refuses the row."""
        with pytest.raises(SQLAlchemyError) as caught, self.client.store.engine.begin() as connection:
            connection.exec_driver_sql("INSERT INTO scheduler_jobs (id, payload) VALUES (?, ?)", ("1", MARKER))
        return str(caught.value)

    def printed(self) -> str:
        self.waiting()
        out = io.StringIO()
        self.parts.aps.print_jobs(out=out)
        return out.getvalue() + repr(self.parts.aps.get_jobs())

    def exported(self) -> str:
        self.waiting()
        out = io.StringIO()
        with pytest.raises(SecretExportError) as caught:
            self.parts.aps.export_jobs(out)
        return out.getvalue() + str(caught.value)

    def said_by_a_failed_assertion(self) -> str:
        self.waiting()
        known = self.task.scheduler_task
        wanted = Wanted(known.name, known, (1, *self.args), self.kwargs, known=known)
        return report(f"{wanted} was not scheduled", all_calls(self.client), self.client.store.clock.now())


DOORS: dict[str, Callable[[House], str]] = {
    "REST, a list": lambda house: house.web("/jobs"),
    "REST, the job that failed": lambda house: house.web(f"/jobs/{house.bad.id}"),
    "REST, the job that succeeded": lambda house: house.web(f"/jobs/{house.good.id}"),
    "flask scheduler list": lambda house: house.cli("list"),
    "flask scheduler list --format json": lambda house: house.cli("list", "--format", "json"),
    "flask scheduler show": lambda house: house.cli("show", house.bad.id) + house.cli("show", house.good.id),
    "flask scheduler show --format json": lambda house: (
        house.cli("show", house.bad.id, "--format", "json") + house.cli("show", house.good.id, "--format", "json")
    ),
    "flask scheduler why": lambda house: house.cli("why", house.bad.id),
    "flask scheduler status": lambda house: house.cli("status"),
    "a job's row, but for its arguments": lambda house: house.rows(
        "SELECT error, progress, tags, origin FROM scheduler_jobs"
    ),
    "the rows of its attempts": lambda house: house.rows("SELECT error, traceback FROM scheduler_attempts"),
    "the audit: REST, flask scheduler audit, its rows": House.audited,
    "REST, its attempts": lambda house: house.web(f"/jobs/{house.bad.id}/attempts"),
    "REST, why it stands so": lambda house: house.web(f"/jobs/{house.bad.id}/explain"),
    "REST, all else": lambda house: "".join(map(house.web, ("/tasks", "/workers", "/stats", "/queues", "/schedules"))),
    "flask scheduler tasks and workers": lambda house: house.cli("tasks") + house.cli("workers"),
    "REST, the address of the job that failed": lambda house: house.handle(house.bad),
    "REST, the address of the job that succeeded": lambda house: house.handle(house.good),
    "the address of one that waits": lambda house: house.handle(
        house.client.schedule_after(99, house.task, (1, *house.args), house.kwargs)
    ),
    "repr of handles": lambda house: repr([house.bad, house.good.refresh()]),
    "repr of jobs": lambda house: repr([house.client.get(house.bad.id), house.client.list(), house.waiting()]),
    "explain()": lambda house: str(house.bad.explain()) + repr(house.bad.explain()),
    "an error about arguments": House.wrong_call,
    "an error of the database": House.refused_insert,
    "APScheduler's events": lambda house: str(house.events),
    "print_jobs and repr": House.printed,
    "export_jobs": House.exported,
    "a failed assertion of a test": House.said_by_a_failed_assertion,
}


@pytest.fixture
def make_house(tmp_path: Path) -> Iterator[Callable[[Way], House]]:
    declared = dict(DECLARED)
    DECLARED.clear()
    app = Flask("shop")
    app.config.from_mapping(
        SECRET_KEY="0123456789abcdef",
        SCHEDULER_DATABASE_URL=f"sqlite:///{tmp_path / 'jobs.sqlite3'}",
        SCHEDULER_ROLE="client",
        SCHEDULER_ADMIN_TOKENS={token: role for role, token in TOKENS.items()},
    )
    Scheduler(app)
    own: Parts = app.extensions["scheduler"]
    parts = own.cranked(own.settings)
    yield lambda way: House(app, parts, way)
    parts.aps.shutdown(wait=False)
    parts.store.close()
    own.store.close()
    DECLARED.clear()
    DECLARED.update(declared)


@pytest.mark.parametrize("way", WAYS)
def test_a_secret_is_seen_at_no_door(
    make_house: Callable[[Way], House], way: str, caplog: pytest.LogCaptureFixture
) -> None:
    told: list[str] = []
    receivers = [
        one.connect(lambda _sender, **facts: told.append(repr(facts)), weak=False)
        for one in vars(signals).values()
        if isinstance(one, signals.NamedSignal)
    ]
    with caplog.at_level(logging.DEBUG):
        house = make_house(WAYS[way])
        seen = {door for door, look in DOORS.items() if is_seen(look(house))}
    for one, receiver in zip(
        [one for one in vars(signals).values() if isinstance(one, signals.NamedSignal)], receivers, strict=True
    ):
        one.disconnect(receiver)
    assert seen == set()
    assert house.good.refresh().job.error is None
    assert not is_seen(str(told))
    assert "'job_id'" in str(told)
    assert not is_seen(caplog.text)
    assert "refused '***' at" in caplog.text
    assert is_seen(house.rows("SELECT payload FROM scheduler_jobs")), "the function gets it, so it must be stored"


def test_the_other_arguments_are_shown(make_house: Callable[[Way], House]) -> None:
    house = make_house(WAYS["annotated, by position"])
    shown = json.loads(house.web(f"/jobs/{house.bad.id}"))
    assert (shown["args"], shown["result"]) == ([1, MASK], None)
    assert shown["error"] == f"ValueError: refused '{MASK}' at https://host/?t={MASK}"
    assert json.loads(house.web(f"/jobs/{house.good.id}"))["result"] == MASK
    assert "(1, '***')" in house.cli("show", house.bad.id)


def test_a_process_that_does_not_know_the_task_masks_what_the_row_names(make_house: Callable[[Way], House]) -> None:
    house = make_house(WAYS["redact="])
    DECLARED.clear()
    seen = {door for door, look in DOORS.items() if door.startswith(("REST", "flask")) and is_seen(look(house))}
    assert seen == set()


def test_what_cannot_be_read_is_hidden_unless_its_task_is_known_to_have_no_secrets(
    make_house: Callable[[Way], House],
) -> None:
    house = make_house(WAYS["redact="])
    torn = house.waiting()
    statement = text("UPDATE scheduler_jobs SET payload = :torn WHERE id = :id")
    cut = torn.payload[:-1]
    house.client.store.write(lambda connection: connection.execute(statement, {"torn": cut, "id": torn.id}))
    assert not is_seen(house.cli("show", torn.id))
    DECLARED.clear()
    assert not is_seen(house.cli("show", torn.id))
    assert not is_seen(house.cli("show", torn.id, "--format", "json"))
    known = house.client.calls.registry
    known.register(lambda_free, name="mail.welcome")
    assert not Shown("mail.welcome", cut, known).hides_all


def lambda_free(user: int) -> None: ...


def test_what_is_marked_later_is_masked_in_what_was_stored_before(make_house: Callable[[Way], House]) -> None:
    house = make_house(WAYS["redact="])
    DECLARED.clear()
    plain = house.client.schedule_after(99, lambda_free, (5,), {})
    assert "(5)" in house.cli("show", plain.id)
    task(redact=("user",), name=plain.job.task)(lambda_free)
    assert "('***')" in house.cli("show", plain.id)


# -- which arguments -------------------------------------------------------------------------------------

if TYPE_CHECKING:
    from scheduler_app import Secret as Hidden  # noqa: F401


def of_every_kind(a: int, b: Secret[str], *rest: Secret[str], c: Secret[int] | None = None, **others: int) -> None: ...


def with_open_options(a: int, **options: Secret[str]) -> None: ...


@pytest.mark.parametrize(
    ("function", "redact", "args", "kwargs", "places"),
    [
        (of_every_kind, (), (1, "b", "r", "s"), {"c": 3, "d": 4}, (1, 2, 3, "c")),
        (of_every_kind, ("d",), (1,), {"b": "x", "d": 4}, ("b", "d")),
        (with_open_options, (), (1,), {"x": "y"}, ("x",)),
        (with_open_options, (), (), {"a": 1, "x": "y"}, ("x",)),
        (lambda_free, (), (1,), {}, ()),
        (in_a_wrapper, (), (1, "t"), {}, (0, 1)),
        (in_a_wrapper, (), (), {"user": 1, "token": "t"}, ("token",)),
        (by_annotation, (), (1, "t"), {}, (1, "return")),
    ],
)
def test_where_the_secrets_of_a_call_are(function: Any, redact: Any, args: Any, kwargs: Any, places: Any) -> None:
    assert Task("t", function, redact=redact).secret_places(args, kwargs) == places


def test_a_name_that_is_no_argument_is_refused_where_it_is_declared() -> None:
    with pytest.raises(
        TaskOptionError, match=r"redact names 'usr', which is none of its arguments. Did you mean 'user'"
    ):
        task(redact=("usr",))(lambda_free)
    with pytest.raises(TaskOptionError, match="redact is not a tuple of names"):
        task(redact="user")(lambda_free)


@pytest.mark.parametrize(
    ("value", "said", "shown"),
    [
        ("hunter2", "no hunter2 here", "no *** here"),
        ("abc", "abc is too short to look for", "abc is too short to look for"),
        (123456, "pin 123456", "pin ***"),
        (b"\x00\x01key", "b'\\x00\\x01key' or AAFrZXk= or 00016b6579", "b'***' or *** or ***"),
        ("a b&c/d", "https://h/?q=a+b%26c%2Fd and a%20b%26c/d", "https://h/?q=*** and ***"),
        ("-----BEGIN KEY\nMIIBOgIBAAJBAK\n-----END", "line MIIBOgIBAAJBAK of it", "line *** of it"),
        ({"user": ["hunter2"]}, "hunter2 of user", "*** of user"),
        ("", "nothing", "nothing"),
        (None, "None", "None"),
        (True, "True", "True"),
    ],
)
def test_a_value_is_found_in_a_text_however_it_is_spelled(value: Any, said: str, shown: str) -> None:
    assert scrubber((value,), {}, {0})(said) == shown
