"""Flask-APScheduler on top of `scheduler.aps`: what is refused, closed and told, and what its calls do."""

from __future__ import annotations

import inspect
import logging
import sys
import time
from base64 import b64encode
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import click
import flask_apscheduler
import flask_apscheduler.api
import pytest
from apscheduler.schedulers import SchedulerAlreadyRunningError, SchedulerNotRunningError
from flask import Flask
from flask.cli import ScriptInfo, with_appcontext
from flask.testing import FlaskClient
from flask_apscheduler import APScheduler
from flask_apscheduler.auth import HTTPBasicAuth

from scheduler_app import Scheduler, Secret
from scheduler_app.errors import ConfigurationError, ForeignPartError
from scheduler_app.executors import ProcessExecutor
from scheduler_app.extension.parts import Parts

OPEN = (
    "The API of Flask-APScheduler answers nobody (404) while it asks for no authentication: whoever reached it could"
    " run the app's functions. Set SCHEDULER_AUTH = HTTPBasicAuth() and say who may enter with"
    " @apscheduler.authenticate, or set SCHEDULER_API_ENABLED = False."
)
ADDRESSES = ("", "/pause", "/resume", "/start", "/shutdown", "/jobs", "/jobs/x", "/jobs/x/pause", "/jobs/x/run")

ran: list[str] = []


def work(what: str = "work") -> None:
    ran.append(what)


Put = Callable[..., tuple[APScheduler, Flask]]


@pytest.fixture
def put(tmp_path: Path) -> Iterator[Put]:
    """Make an app with a scheduler, and Flask-APScheduler on top of it."""
    made: list[Parts] = []

    def make(prepare: Callable[[APScheduler], None] = lambda _: None, **config: Any) -> tuple[APScheduler, Flask]:
        app = Flask("shop", instance_path=str(tmp_path))
        app.config |= {
            "SECRET_KEY": "secret",
            "SCHEDULER_TASK_MODULES": ["tests"],
            "SCHEDULER_DATABASE_URL": f"sqlite:///{tmp_path / 'jobs.sqlite3'}",
        } | config
        scheduler = Scheduler(app)
        made.append(app.extensions["scheduler"])
        top = APScheduler(scheduler=scheduler.aps)
        prepare(top)
        top.init_app(app)
        return top, app

    yield make
    for parts in made:
        if parts.running:
            parts.aps.shutdown()
        parts.store.close()


@pytest.fixture(autouse=True)
def _fresh() -> None:
    ran.clear()


def told(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [r.getMessage() for r in caplog.records if r.name == "scheduler_app" and r.levelno >= logging.WARNING]


# -- what we use of it -------------------------------------------------------------------------------------


def test_it_is_as_this_package_relies_on_it() -> None:
    lines = inspect.getsource(APScheduler.init_app)
    assert lines.index("self.app.apscheduler = self") < lines.index("self._load_config()")
    assert lines.index("self._load_config()") < lines.index("self._load_jobs()") < lines.index("self._load_api()")
    lines = inspect.getsource(APScheduler._load_config)
    configured = lines.index("self._scheduler.configure(**options)")
    for name in ("AUTH", "VIEWS_ENABLED", "API_ENABLED", "API_PREFIX", "ENDPOINT_PREFIX", "ALLOWED_HOSTS"):
        assert configured < lines.index(f'config.get("SCHEDULER_{name}"')
    assert "self._scheduler.start(paused=paused)" in inspect.getsource(APScheduler.start)
    assert "if not self.auth:" in inspect.getsource(APScheduler._apply_auth)
    fresh = APScheduler()
    assert (fresh.auth, fresh.api_enabled, fresh.api_prefix) == (None, False, "/scheduler")
    assert (fresh.endpoint_prefix, fresh.allowed_hosts) == ("scheduler.", ["*"])


# -- its API -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("config", "shown"),
    [
        ({}, "/scheduler"),
        ({"SCHEDULER_API_PREFIX": "/scheduler/"}, "/scheduler/"),
        ({"SCHEDULER_API_PREFIX": "/scheduler/stock"}, "/scheduler/stock"),
        ({"SCHEDULER_API_PREFIX": "/admin", "SCHEDULER_ADMIN_URL_PREFIX": "/admin"}, "/admin"),
    ],
)
def test_its_addresses_on_top_of_ours_are_refused_naming_the_setting(
    config: dict[str, str], shown: str, put: Put
) -> None:
    with pytest.raises(ConfigurationError) as refused:
        put(SCHEDULER_API_ENABLED=True, **config)
    ours = config.get("SCHEDULER_ADMIN_URL_PREFIX", "/scheduler")
    assert refused.value.problems == (
        f"The API of Flask-APScheduler would begin at {shown!r}, where this scheduler's admin is ({ours!r})."
        " Set SCHEDULER_API_PREFIX to a place of its own, such as '/apscheduler'.",
    )


def test_addresses_beside_ours_and_addresses_that_are_not_wanted_are_no_matter(put: Put) -> None:
    put(SCHEDULER_API_ENABLED=True, SCHEDULER_API_PREFIX="/scheduler-api")
    put(SCHEDULER_API_ENABLED=False)
    put()


def test_its_endpoints_are_others_than_ours_and_refused_if_they_are_told_to_be_the_same(put: Put) -> None:
    _, app = put(SCHEDULER_API_ENABLED=True, SCHEDULER_API_PREFIX="/aps")
    assert "apscheduler.get_jobs" in app.view_functions
    _, app = put(SCHEDULER_API_ENABLED=True, SCHEDULER_API_PREFIX="/aps", SCHEDULER_ENDPOINT_PREFIX="mine.")
    assert "mine.get_jobs" in app.view_functions
    with pytest.raises(ConfigurationError) as refused:
        put(SCHEDULER_API_ENABLED=True, SCHEDULER_API_PREFIX="/aps", SCHEDULER_ENDPOINT_PREFIX="scheduler.")
    assert refused.value.problems == (
        "SCHEDULER_ENDPOINT_PREFIX begins with 'scheduler.', as this scheduler's own endpoints do."
        " Leave it out, or set it to 'apscheduler.'.",
    )


def answers(client: FlaskClient, **headers: str) -> set[int]:
    asked = [client.open(f"/aps{address}", method=m, headers=headers) for address in ADDRESSES for m in ("GET", "POST")]
    return {answer.status_code for answer in asked if answer.status_code != 405}


@pytest.mark.parametrize("key", ["SCHEDULER_API_ENABLED", "SCHEDULER_VIEWS_ENABLED"])
def test_an_api_without_authentication_answers_nobody_and_is_told(
    key: str, put: Put, caplog: pytest.LogCaptureFixture
) -> None:
    top, app = put(SCHEDULER_API_PREFIX="/aps", **{key: True})
    top.add_job("x", work, trigger="interval", hours=1)
    assert told(caplog) == [OPEN]
    assert answers(app.test_client()) == {404}
    assert ran == []
    top.auth = HTTPBasicAuth()
    assert answers(app.test_client()) == {401}


def test_an_api_with_authentication_answers_those_whom_it_lets_in(put: Put, caplog: pytest.LogCaptureFixture) -> None:
    def prepare(top: APScheduler) -> None:
        top.auth, top.api_enabled, top.api_prefix = HTTPBasicAuth(), True, "/aps"  # in the place of settings

    top, app = put(prepare)
    top.authenticate(lambda given: given["username"] == "ada")
    top.add_job("x", work, trigger="interval", hours=1)
    ada = {"Authorization": "Basic " + b64encode(b"ada:").decode()}
    client = app.test_client()
    assert client.get("/aps/jobs/x", headers=ada).json["func"] == f"{__name__}:work"  # type: ignore[index]
    assert client.post("/aps/jobs/x/run", headers=ada).status_code == 200
    assert client.get("/aps/jobs/x").status_code == 401
    assert client.get("/scheduler/api/v1/jobs").status_code == 404  # ours is closed by its own rules
    assert client.get("/scheduler/livez").status_code == 200
    assert (ran, told(caplog)) == (["work"], [])


def sends(user: int, token: Secret[str]) -> None:
    ran.append(f"{user} {token}")


def test_its_api_shows_no_argument_that_nobody_may_see(put: Put) -> None:
    def prepare(top: APScheduler) -> None:
        top.auth, top.api_enabled, top.api_prefix = HTTPBasicAuth(), True, "/aps"

    top, app = put(prepare)
    top.authenticate(lambda _given: True)
    client, headers = app.test_client(), {"Authorization": "Basic " + b64encode(b"ada:").decode()}
    top.add_job("x", sends, trigger="interval", hours=1, args=[1], kwargs={"token": "hunter2"})
    asked = {"id": "y", "func": f"{__name__}:sends", "args": [1, "hunter2"], "trigger": "interval", "hours": 1}
    answers = [
        client.get("/aps/jobs/x", headers=headers),
        client.post("/aps/jobs", headers=headers, json=asked),
        client.post("/aps/jobs/x/pause", headers=headers),
        client.get("/aps/jobs", headers=headers),
    ]
    assert {answer.status_code for answer in answers} == {200}
    assert not [answer.text for answer in answers if "hunter2" in answer.text]
    assert (answers[0].json["args"], answers[0].json["kwargs"]) == ([1], {"token": "***"})  # type: ignore[index]
    assert answers[1].json["args"] == [1, "***"]  # type: ignore[index]
    assert top.scheduler.shown_call("no.where:gone", [1], {"a": 2}) == (["***"], {"a": "***"})


def test_an_app_without_its_api_is_asked_nothing_at_a_request(put: Put) -> None:
    _, app = put()
    assert app.before_request_funcs.get(None) is None


# -- its configuration ---------------------------------------------------------------------------------------


def test_its_keys_are_read_by_it_and_its_job_stores_are_not(put: Put, caplog: pytest.LogCaptureFixture) -> None:
    top, _ = put(
        SCHEDULER_JOBSTORES={"default": {"type": "memory"}},
        SCHEDULER_JOB_DEFAULTS={"coalesce": False, "max_instances": 3},
        SCHEDULER_TIMEZONE="Europe/Oslo",
        SCHEDULER_EXECUTORS={"default": {"type": "threadpool", "max_workers": 4}, "slow": {"type": "threadpool"}},
    )
    aps = top.scheduler
    assert (str(aps.timezone), aps._job_defaults) == (
        "Europe/Oslo", {"coalesce": False, "max_instances": 3, "misfire_grace_time": None},
    )  # fmt: skip
    assert {alias: executor.max_workers for alias, executor in aps._executors.items()} == {"default": 4, "slow": 10}
    [line] = told(caplog)
    assert line.startswith("SCHEDULER_JOBSTORES is ignored: jobs are kept in sqlite:///")


def test_the_time_zone_stays_ours_when_it_is_told_none(put: Put) -> None:
    top, _ = put()
    assert str(top.scheduler.timezone) == "UTC"


def test_a_job_store_beside_ours_is_refused(put: Put) -> None:
    with pytest.raises(ForeignPartError) as store:
        put(SCHEDULER_JOBSTORES={"other": {"type": "redis"}})
    assert str(store.value) == (
        "The job store 'other' cannot be added: 'redis' could lose or repeat jobs."
        " Its one job store is set by SCHEDULER_DATABASE_URL."
    )


def test_a_pool_of_processes_means_ours(put: Put) -> None:
    top, _ = put(SCHEDULER_APP="shop", SCHEDULER_EXECUTORS={"default": {"type": "processpool", "max_workers": 2}})
    [executor] = top.scheduler._executors.values()
    assert isinstance(executor, ProcessExecutor)
    assert (executor.max_workers, executor.birth().app) == (2, "shop")


def test_executors_that_are_configured_in_apschedulers_own_way_mean_ours(put: Put) -> None:
    _, app = put(SCHEDULER_EXECUTORS={"default": {"max_workers": 4}})
    parts: Parts = app.extensions["scheduler"]
    parts.aps.configure({"apscheduler.executors.slow.type": "threadpool", "apscheduler.executors.slow.max_workers": 2})
    assert parts.aps.worker.executors == {"default": 4, "slow": 2}
    assert parts.executor_of("slow") == "slow"
    with pytest.raises(ConfigurationError) as refused:
        parts.aps.configure(executors={"slow": {"type": "processpol"}, "fast": {"max_workers": 0}})
    assert len(refused.value.problems) == 2
    assert parts.aps.worker.executors == {"default": 4, "slow": 2}


@pytest.mark.parametrize("is_here", [True, False])
def test_its_keys_are_worth_a_notice_only_where_it_is_not(
    is_here: bool, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not is_here:
        monkeypatch.delitem(sys.modules, "flask_apscheduler")
    app = Flask("shop", instance_path=str(tmp_path))
    app.config["SCHEDULER_JOB_DEFAULTS"] = {}
    Scheduler(app)
    assert len(told(caplog)) == (not is_here)


def seconds_between(put: Put, hours: int, *, declared: bool) -> float:
    """Start once more on the same database with a job "x", and return how often the one that stands runs."""
    job = {"id": "x", "func": work, "trigger": "interval", "hours": hours}
    top, app = put(SCHEDULER_JOBS=[job] if declared else [])
    if not declared:
        top.add_job(**job)
    parts: Parts = app.extensions["scheduler"]
    parts.start()
    deadline = time.monotonic() + 20
    while not parts.aps.is_idle():
        assert time.monotonic() < deadline
        time.sleep(0.005)
    [found] = top.get_jobs()
    parts.aps.shutdown()
    return float(found.trigger.interval.total_seconds())


def test_a_job_of_the_configuration_is_as_that_says_and_another_that_stands_stays_as_it_is(
    put: Put, caplog: pytest.LogCaptureFixture
) -> None:
    assert seconds_between(put, 1, declared=True) == 3600
    assert seconds_between(put, 2, declared=True) == 2 * 3600
    assert "left out" not in caplog.text
    assert seconds_between(put, 3, declared=False) == 2 * 3600
    assert "the job 'x' cannot be stored and is left out" in caplog.text


# -- its start ---------------------------------------------------------------------------------------------


def test_its_start_opens_the_scheduler_to_requests_and_runs_nothing_where_nobody_serves(put: Put) -> None:
    top, app = put()
    top.start()
    assert not top.running
    top.add_job("x", work, trigger="date")
    app.test_client().get("/")
    assert top.running
    assert top.get_jobs() == []  # it waits for a loop
    top.add_job("y", work, trigger="date")
    assert [job.id for job in top.get_jobs()] == ["y"]
    assert not app.extensions["scheduler"].running
    assert app.extensions["scheduler"].health().ready
    top.shutdown()
    app.test_client().get("/")
    assert not top.running
    with pytest.raises(SchedulerNotRunningError):
        top.shutdown()


def test_commands_find_it_open_and_what_makes_the_app_for_them_does_not(put: Put) -> None:
    def make() -> Flask:
        top, app = put()
        top.start()
        with app.app_context():
            top.add_job("early", work, trigger="interval", hours=1)
            assert not top.running
        return app

    @click.command()
    @with_appcontext
    def command() -> None:
        assert click.get_current_context().obj.load_app().apscheduler.running

    command.main([], standalone_mode=False, obj=ScriptInfo(create_app=make))


@pytest.mark.parametrize("paused", [True, False])
def test_a_pause_and_its_end_before_the_loop_runs_are_kept_for_it(paused: bool, put: Put) -> None:
    top, app = put()
    top.start(paused=not paused)
    (top.pause if paused else top.resume)()
    parts: Parts = app.extensions["scheduler"]
    parts.start()
    assert parts.running
    assert parts.aps.state == (2 if paused else 1)


@pytest.mark.parametrize("paused", [True, False])
def test_a_start_that_comes_after_the_loop_s_own_is_a_wish_that_came_true(paused: bool, put: Put) -> None:
    top, app = put()
    parts: Parts = app.extensions["scheduler"]
    parts.start()
    top.start(paused=paused)
    assert parts.aps.state == (2 if paused else 1)
    with pytest.raises(SchedulerAlreadyRunningError):
        top.start()


def test_a_start_that_was_taken_back_is_none(put: Put) -> None:
    top, app = put()
    top.start()
    top.shutdown()
    app.test_client().get("/")
    assert not top.running


def test_a_scheduler_without_it_starts_where_it_is_told_to(tmp_path: Path) -> None:
    app = Flask("shop", instance_path=str(tmp_path))
    parts: Parts = Scheduler(app)._parts()
    parts.aps.start()
    assert parts.running
    parts.aps.shutdown()
    parts.store.close()


def test_it_is_told_from_a_namesake(tmp_path: Path) -> None:
    app = Flask("shop", instance_path=str(tmp_path))
    app.apscheduler = SimpleNamespace(scheduler=object())  # type: ignore[attr-defined]
    Scheduler(app).aps.configure()
    assert app.extensions["scheduler"].aps.governor is None


def test_every_view_of_its_api_is_known_by_its_module(put: Put) -> None:
    _, app = put(SCHEDULER_API_ENABLED=True, SCHEDULER_API_PREFIX="/aps")
    views = [view for name, view in app.view_functions.items() if name.startswith("apscheduler.")]
    assert len(views) == 13
    assert {view.__module__ for view in views} == {flask_apscheduler.api.__name__}
