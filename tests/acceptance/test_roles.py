"""Roles, starting and stopping by hand, and what the reloader does to jobs."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.acceptance.processes import Process, until
from tests.acceptance.sites import ALONE, FLASK, SERVERS, WORKERS, Site, make_site
from tests.acceptance.starts import OWN_RELOAD, RELOAD, End, ended_by

OVERDUE = ["overdue 1", "overdue 2"]
LIVE_ON = """
import sys, time
import work
from service import create_app
app = create_app()
while not work.Path("open-script").exists():
    time.sleep(0.02)
"""


def test_an_embedded_script_runs_jobs_and_gives_its_row_back_at_its_end(tmp_path: Path, sqlite_url: str) -> None:
    site = make_site(tmp_path, sqlite_url, SCHEDULER_ROLE="embedded")
    site.schedule_here(OVERDUE)
    (tmp_path / "script.py").write_text(LIVE_ON)
    with site.run("script.py") as process:
        ran = site.wait_for("ran", *OVERDUE)
        assert {line.pid for line in ran} == site.pids_that_registered() == {process.pid}
        site.open("script")
        assert process.wait() == 0, process.said()
    site.wait_for_jobs({("succeeded", 0, 0): 2})
    assert site.workers() == 0


@pytest.mark.parametrize("server", ["gunicorn sync preload", "flask run --debug", "app.run debug"])
def test_an_embedded_scheduler_does_not_start_in_a_parent(server: str, tmp_path: Path, sqlite_url: str) -> None:
    site = make_site(tmp_path, sqlite_url, SCHEDULER_ROLE="embedded")
    with site.serve(server) as process:
        count = WORKERS if server.startswith("gunicorn") else 1
        until(lambda: len(site.pids_that_registered()) == count, "every process that serves is a worker")
        # Longer than the grace that a process of this role has to show that it is a parent.
        process.post("/schedule", after=1.5, function="mark", label="later")
        site.wait_for("ran", "later")
        assert site.pids_that_registered() == process.children()


def test_an_embedded_scheduler_does_not_start_in_a_shell_or_a_command(tmp_path: Path, sqlite_url: str) -> None:
    site = make_site(tmp_path, sqlite_url, SCHEDULER_ROLE="embedded")
    site.schedule_here(OVERDUE)
    with (
        site.run(*FLASK, "shell", stdin="import work; work.observe('shell')\n") as shell,
        site.run(*FLASK, "observe") as command,
    ):
        assert (shell.wait(), command.wait()) == (0, 0), shell.said() + command.said()
    assert site.labels("observed").keys() == {"shell", "command"}
    assert site.pids_that_registered() == set()


@pytest.mark.parametrize("server", ["gunicorn gthread", "flask run"])
def test_a_client_schedules_and_never_claims_and_another_process_runs_its_jobs(
    server: str, tmp_path: Path, sqlite_url: str
) -> None:
    clients = make_site(tmp_path, sqlite_url, SCHEDULER_ROLE="client")
    with clients.serve(server) as process:
        process.post("/schedule", after=0, function="mark", label="by a client")
        (tmp_path / "window.py").write_text("import work; work.observe('window')")
        with clients.run("window.py") as window:
            assert window.wait() == 0
        assert clients.lines("ran") == []
        assert clients.pids_that_registered() == set()
        with clients.run(*FLASK, "scheduler", "run", "--until-empty") as worker:
            assert worker.wait() == 0, worker.said()
        assert [line.pid for line in clients.lines("ran")] == [worker.pid]


BY_HAND = """
import os, threading
import work
from flask import Flask
from scheduler_app import Scheduler, schedule_now

app = Flask("service")
app.config.from_prefixed_env()
scheduler = Scheduler(app)

def run(label):
    done = threading.Event()
    scheduler.aps.add_listener(lambda event: done.set())
    with app.app_context():
        schedule_now(work.mark, label)
    assert done.wait(20), label

def threads():
    return sorted(thread.name for thread in threading.enumerate() if thread.name == "APScheduler")

scheduler.shutdown()
for label in ("first", "second"):
    scheduler.start()
    scheduler.start()
    assert threads() == ["APScheduler"], threads()
    run(label)
    scheduler.shutdown()
    scheduler.shutdown()
    assert threads() == [], threads()
"""


def test_start_and_shutdown_may_be_called_twice_and_again(tmp_path: Path, store_url: str) -> None:
    site = make_site(tmp_path, store_url)
    (tmp_path / "by_hand.py").write_text(BY_HAND)
    with site.run("by_hand.py") as process:
        assert process.wait() == 0, process.said()
    assert site.labels("ran") == {"first": 1, "second": 1}
    assert site.workers() == 0
    assert len(site.rows("SELECT pid FROM seen_workers")) == 2


# -- the reloader ------------------------------------------------------------------------------------


def start_reloadable(site: Site, process: Process) -> int:
    """Start a job that holds; return the pid of the process that serves."""
    process.wait_until_it_answers()
    process.post("/schedule", after=0, function="hold", label="long")
    return site.wait_for("began", "long")[0].pid


def touch(path: Path) -> None:
    """Make a file look changed, whatever the clock's grain."""
    changed = path.stat().st_mtime + 10
    os.utime(path, (changed, changed))


def wait_for_reload(process: Process, old: int) -> None:
    until(lambda: process.children() and old not in process.children(), f"a reload\n{process.said()}")
    process.wait_until_it_answers()
    until(lambda: int(process.get("/pid").text) != old, "the new process")


@pytest.mark.parametrize("server", ended_by(RELOAD, End.DRAINS))
def test_a_job_that_ends_within_the_drain_time_runs_to_its_end_before_a_reload(
    server: str, tmp_path: Path, sqlite_url: str
) -> None:
    site = make_site(tmp_path, sqlite_url)
    with site.run(*SERVERS[server]) as process:
        old = start_reloadable(site, process)
        touch(tmp_path / "work.py")
        site.wait_for("ending", "long")
        site.open("long")
        wait_for_reload(process, old)
        assert [(line.what, line.pid) for line in site.lines()] == [("began", old), ("ending", old), ("ended", old)]
        site.wait_for_jobs({("succeeded", 0, 0): 1})


def test_a_job_that_does_not_end_within_the_drain_time_runs_again_after_a_reload(
    tmp_path: Path, store_url: str
) -> None:
    site = make_site(tmp_path, store_url, SCHEDULER_DRAIN_SECONDS="0.5")
    with site.run(*SERVERS["flask run --debug"]) as process:
        old = start_reloadable(site, process)
        touch(tmp_path / "service.py")
        until(lambda: site.labels("began")["long"] == 2, f"the second run\n{process.said()}")
        assert {line.attempt for line in site.lines("began")} == {1}
        site.wait_for_jobs({("running", 0, 0): 1})
        site.open("long")
        ended = site.wait_for("ended", "long")
        assert [line.pid for line in ended] == list(process.children()) != [old]
        site.wait_for_jobs({("succeeded", 0, 0): 1})
    assert site.rows("SELECT * FROM scheduler_attempts WHERE outcome <> 'success'") == []


@pytest.mark.parametrize("server", ["gunicorn sync", "gunicorn gthread"])
def test_gunicorn_that_reloads_by_itself_lets_running_jobs_end(server: str, tmp_path: Path, sqlite_url: str) -> None:
    assert server in ended_by(OWN_RELOAD, End.DRAINS)
    site = make_site(tmp_path, sqlite_url)
    with site.run(*ALONE[server], "--reload") as process:
        old = start_reloadable(site, process)
        touch(tmp_path / "work.py")
        site.wait_for("ending", "long")
        site.open("long")
        wait_for_reload(process, old)
        assert [(line.what, line.pid) for line in site.lines()] == [("began", old), ("ending", old), ("ended", old)]
        site.wait_for_jobs({("succeeded", 0, 0): 1})
    assert site.rows("SELECT * FROM scheduler_attempts") == []
