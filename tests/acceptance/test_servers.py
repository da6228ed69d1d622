"""Under each server, with no hooks: a job runs exactly once, in a process that serves and in no other."""

from __future__ import annotations

import signal
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.acceptance.processes import Process, until
from tests.acceptance.sites import FLASK, PARENTS, SERVERS, Site, make_site

OVERDUE = [f"overdue {i}" for i in range(6)]
POSTGRESQL = ["gunicorn sync", "gunicorn gthread preload", "flask run --debug"]


def pids_that_serve(server: str, process: Process, site: Site) -> set[int]:
    """Wait until each process that serves is a worker, and return their pids."""
    count = 3 if server.startswith("gunicorn") else 1
    until(lambda: len(site.pids_that_registered()) >= count, f"{count} processes serve and are workers")
    return process.children() if server in PARENTS else {process.pid}


@pytest.mark.parametrize(
    ("server", "database"),
    [(server, "sqlite") for server in SERVERS] + [(server, "postgresql") for server in POSTGRESQL],
)
def test_overdue_jobs_run_without_a_request_and_each_job_once_in_a_process_that_serves(
    server: str, database: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    site = make_site(tmp_path, request.getfixturevalue(f"{database}_url"))
    site.schedule_here(OVERDUE)
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
        ("flask run", "postgresql"),
        ("gunicorn gthread preload", "postgresql"),
    ],
)
def test_a_forked_child_of_a_process_that_serves_schedules_but_claims_nothing(
    server: str, database: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    site = make_site(tmp_path, request.getfixturevalue(f"{database}_url"))
    with site.serve(server) as process:
        # Not sooner: a fork while another thread imports a module leaves that module locked in the child.
        serving = pids_that_serve(server, process, site)
        children = {int(process.post(way).text) for way in ("/fork", "/multiprocessing")}
        until(lambda: site.labels("ran")["by a child"] >= 2, f"what the children scheduled runs\n{process.said()}")
        assert {line.pid for line in site.lines("observed")} == children
        assert {line.pid for line in site.lines("ran")} <= serving
        assert site.pids_that_registered() == serving
        site.wait_for_jobs({("succeeded", 0, 0): 2})


@pytest.mark.parametrize(("why", "database"), [("max-requests", "sqlite"), ("SIGHUP", "postgresql")])
def test_gunicorn_may_replace_its_processes_at_any_time(
    why: str, database: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    site = make_site(tmp_path, request.getfixturevalue(f"{database}_url"))
    options = ["--max-requests", "3"] if why == "max-requests" else []
    labels = [f"by HTTP {i}" for i in range(24)]
    with site.run(*SERVERS["gunicorn gthread"], *options) as process:
        before = pids_that_serve("gunicorn gthread", process, site)
        for i, label in enumerate(labels):
            process.post("/schedule", after=0.02 * (i % 3), function="mark", label=label)
            if why == "SIGHUP" and i == len(labels) // 2:
                process.send(signal.SIGHUP)
        site.wait_for("ran", *labels)
        until(lambda: not before & process.children(), f"other processes than at first\n{process.said()}")
        site.wait_for_jobs({("succeeded", 0, 0): len(labels)})
    assert set(site.labels("ran").values()) == {1}


SHELL = """
import work
from scheduler_app import schedule_after
job = scheduler.schedule_after(60, work.mark, "by the shell")
print("It is", scheduler.client.get(job.id).state)
work.observe("shell")
"""
SCRIPT = """
import work
from service import create_app
app = create_app()
assert app.test_client().post("/schedule?after=0&function=mark&label=by+a+script").status_code == 200
work.observe("script")
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
