"""Under each server, with no hooks: a job runs exactly once, in a process that serves and in no other."""

from __future__ import annotations

import re
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.acceptance.processes import ROOT, Process, until
from tests.acceptance.sites import FLASK, SERVERS, SERVICE, WORKERS, Site, make_site
from tests.acceptance.starts import Runs, Since, servers, start_of

OVERDUE = [f"overdue {i}" for i in range(6)]
NEW_PROCESSES = ["gunicorn gthread preload", "uWSGI master"]
"""Where processes that `multiprocessing` starts anew are tried too: they know nothing of whoever started them."""
POSTGRESQL = ["gunicorn gthread preload", "uWSGI master"]
"""Where processes come about by a fork of one that has the app, on a database whose connections do not bear it."""


def pids_that_serve(server: str, process: Process, site: Site) -> set[int]:
    """Wait until each process that is to run jobs is a worker, and return their pids."""
    runs = start_of(server).runs
    count = WORKERS if runs is Runs.WORKERS else 1
    until(lambda: len(site.pids_that_registered()) >= count, f"{count} workers\n{process.said()}")
    return {process.pid} if runs is Runs.ITSELF else process.children()


@pytest.mark.parametrize(
    ("server", "database"),
    [(server, "sqlite") for server in servers(Runs.ITSELF, Runs.CHILD, Runs.WORKERS) if server in SERVERS]
    + [(server, "postgresql") for server in POSTGRESQL],
)
def test_overdue_jobs_run_without_a_request_and_each_job_once_in_a_process_that_serves(
    server: str, database: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    site = make_site(tmp_path, request.getfixturevalue(f"{database}_url"))
    site.schedule_here(OVERDUE)
    assert start_of(server).since is Since.BOOT
    with site.run(*SERVERS[server]) as process:
        site.wait_for("ran", *OVERDUE)
        process.wait_until_it_answers()
        fresh = [f"by HTTP {i}" for i in range(12)]
        for i, label in enumerate(fresh):
            process.post("/schedule", after=0.05 * (i % 4), function="mark", label=label)
        ran = site.wait_for("ran", *fresh)
        site.wait_for_jobs({("succeeded", 0, 0): len(OVERDUE + fresh)})

        serving = pids_that_serve(server, process, site)
        assert site.pids_that_registered() == serving
        assert int(process.get("/pid").text) in serving
        assert {line.pid for line in ran} <= serving
    assert set(site.labels("ran").values()) == {1}
    assert site.labels("ran").keys() == {*OVERDUE, *fresh}


@pytest.mark.parametrize(
    ("server", "database"),
    [
        ("gunicorn sync", "sqlite"),
        ("waitress-serve", "sqlite"),
        ("uWSGI master", "sqlite"),
        ("flask run", "postgresql"),
        ("gunicorn gthread preload", "postgresql"),
        ("uWSGI master lazy-apps", "postgresql"),
    ],
)
def test_a_forked_child_of_a_process_that_serves_schedules_but_claims_nothing(
    server: str, database: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    site = make_site(tmp_path, request.getfixturevalue(f"{database}_url"))
    with site.serve(server) as process:
        # Not sooner: a fork while another thread imports a module leaves that module locked in the child.
        serving = pids_that_serve(server, process, site)
        ways = ("fork", "spawn", "forkserver") if server in NEW_PROCESSES else ("fork",)
        children = {int(process.post("/fork").text)}
        children |= {int(process.post("/multiprocessing", way=way).text) for way in ways}
        until(lambda: site.labels("ran")["by a child"] >= len(children), f"what they scheduled\n{process.said()}")
        assert {line.pid for line in site.lines("observed")} == children
        assert {line.pid for line in site.lines("ran")} <= serving
        assert site.pids_that_registered() == serving
        site.wait_for_jobs({("succeeded", 0, 0): len(children)})


SHELL = """
import work
from scheduler_app import schedule_after
job = scheduler.schedule_after(60, work.mark, "by the shell")
print("It is", scheduler.client.get(job.id).state)
work.observe("shell")
"""
SCRIPT = """
import threading, work
from service import create_app
app = create_app()
assert app.test_client().post("/schedule?after=0&function=mark&label=by+a+script").status_code == 200
work.observe("script")
assert "APScheduler" not in [thread.name for thread in threading.enumerate()]
"""
TESTS = """
import pytest, work
from service import create_app

@pytest.mark.parametrize("testing", [True, False])
def test_it(testing):
    app = create_app()
    app.testing = testing
    assert app.test_client().post("/schedule?after=0&function=mark&label=by+a+test").status_code == 200
    work.observe(f"test {testing}")
"""


def test_shells_commands_scripts_and_tests_schedule_but_claim_nothing(tmp_path: Path, sqlite_url: str) -> None:
    site = make_site(tmp_path, sqlite_url)
    site.schedule_here(OVERDUE)
    (tmp_path / "script.py").write_text(SCRIPT)
    (tmp_path / "test_it.py").write_text(TESTS)
    with ExitStack() as stack:
        shell = stack.enter_context(site.run(*FLASK, "shell", stdin=SHELL, name="shell"))
        others = [
            stack.enter_context(site.run(*command))
            for command in (
                [*FLASK, "routes"],
                [*FLASK, "observe"],
                ["script.py"],
                ["-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:randomly", "test_it.py"],
            )
        ]
        for process in (shell, *others):
            assert process.wait() == 0, process.said()
        assert "It is scheduled" in shell.said()
    assert site.labels("observed").keys() == {"shell", "command", "script", "test True", "test False"}
    assert site.lines("ran") == []
    assert site.pids_that_registered() == set()
    site.wait_for_jobs({("scheduled", 0, 0): len(OVERDUE) + 4})


def test_without_a_signing_key_views_serve_and_nothing_else_does(tmp_path: Path, postgresql_url: str) -> None:
    site = make_site(tmp_path, postgresql_url, SECRET_KEY="")
    with site.serve("flask run") as process:
        until(lambda: "Set SECRET_KEY or SCHEDULER_SIGNING_KEY" in process.said(), "the reason in the log")
        assert process.get("/pid").text == str(process.pid)
        assert process.status("/scheduler/readyz") == 503
        assert "Traceback" not in process.said()
        assert process.status("/plan", after=0, function="mark", label="never") == 500
        assert "NoSigningKeyError: Stored calls must be signed" in process.said()
    with site.run(*FLASK, "scheduler", "run") as worker:
        assert worker.wait() == 1
        assert worker.said().startswith("Error: Stored calls must be signed, and there is no key")
    site.wait_for_jobs({})


BY_ASGI = """
import sys, time, work
from io import BytesIO
from tempfile import SpooledTemporaryFile
from asgiref.wsgi import WsgiToAsgiInstance
from service import create_app

scope = {"type": "http", "method": "GET", "path": "/pid", "query_string": b"", "http_version": "1.1", "headers": []}
app = create_app()
assert app.test_client().get("/pid").status_code == 200
work.observe("before a request")
adapter = WsgiToAsgiInstance(app)
adapter.scope = scope
list(app(adapter.build_environ(scope, SpooledTemporaryFile()), lambda *_: None))
while not work.Path("open-script").exists():
    time.sleep(0.02)
"""


def test_a_server_that_nobody_knows_and_that_names_itself_nowhere_starts_with_its_first_request(
    tmp_path: Path, sqlite_url: str
) -> None:
    site = make_site(tmp_path, sqlite_url)
    site.schedule_here(OVERDUE)
    (tmp_path / "by_asgi.py").write_text(BY_ASGI)
    with site.run("by_asgi.py") as process:
        site.wait_for("observed", "before a request")
        assert site.lines("ran") == []
        site.wait_for("ran", *OVERDUE)
        site.open("script")
        assert process.wait() == 0, process.said()


def test_an_app_that_imports_pytest_runs_its_jobs_all_the_same(
    tmp_path: Path, sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("PYTEST_VERSION", "PYTEST_CURRENT_TEST"):  # which the process would inherit from this test
        monkeypatch.delenv(name)
    site = make_site(tmp_path, sqlite_url)
    site.schedule_here(OVERDUE)
    (tmp_path / "service.py").write_text(f"import pytest\n{SERVICE}")
    with site.serve("waitress-serve"):
        site.wait_for("ran", *OVERDUE)


CLOSED = "scheduler admin is closed; set SCHEDULER_ADMIN_TOKEN to open /scheduler/api/v1/jobs"


def test_a_process_that_serves_says_once_how_to_open_the_admin_and_a_command_never(
    tmp_path: Path, sqlite_url: str
) -> None:
    site = make_site(tmp_path, sqlite_url)
    with site.serve("flask run") as process, site.run(*FLASK, "scheduler", "status", name="status") as command:
        until(lambda: CLOSED in process.said(), f"the line\n{process.said()}")
        process.get("/pid")
        assert process.said().count("scheduler admin") == 1
        assert process.status("/scheduler/api/v1/jobs") == 404
        assert command.wait() == 0
        assert "scheduler admin" not in command.said()


def test_in_debug_a_process_that_serves_says_where_the_admin_is_with_its_token(tmp_path: Path, sqlite_url: str) -> None:
    site = make_site(tmp_path, sqlite_url)
    with site.serve("flask run --debug --no-reload") as process:
        told = until(lambda: re.findall(r"scheduler admin is at (\S+)\?token=(\S+) ", process.said()), process.said())
        assert len(told) == 1
        assert process.status(told[0][0], token=told[0][1]) == 200
        assert process.status("/scheduler/api/v1/jobs") in (401, 404)


def test_with_a_configured_token_there_is_nothing_to_say(tmp_path: Path, sqlite_url: str) -> None:
    site = make_site(tmp_path, sqlite_url, SCHEDULER_ADMIN_TOKEN="a-token")
    with site.serve("flask run") as process:
        until(lambda: site.workers() == 1, "a worker")
        assert "scheduler admin" not in process.said()


def test_the_log_can_be_seen_as_the_operations_page_says(tmp_path: Path, sqlite_url: str) -> None:
    page = (ROOT / "docs" / "operations.md").read_text()
    lines = next(block for block in re.findall(r"```python\n(.*?)```", page, re.DOTALL) if "import logging" in block)
    site = make_site(tmp_path, sqlite_url)
    site.schedule_here(["logged"])
    (tmp_path / "service.py").write_text(f"{lines}\n{SERVICE}")
    with site.serve("waitress-serve") as process:
        site.wait_for("ran", "logged")
        for told in ("INFO scheduler_app: scheduler started worker=", "INFO scheduler_app.jobs: job succeeded id="):
            until(lambda told=told: told in process.said(), f"{told}\n{process.said()}")
