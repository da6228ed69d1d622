"""Jobs in processes of real servers: killed children and parents, timeouts, cancels, drains; no loop in a child."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from scheduler_app import JobHandle, JobState, Scheduler
from tests.acceptance.processes import until
from tests.acceptance.sites import ALONE, FLASK, SECRET, WORK, Site, make_site

WORKER = (*FLASK, "scheduler", "run")
PROCESSES = '{"default": {"type": "processes", "max_workers": 2, "memory_mb": 100, "max_jobs_per_process": 3}}'
FAST = {"SCHEDULER_POLL_SECONDS": "0.1", "SCHEDULER_HEARTBEAT_SECONDS": "0.2"}

HEAVY = """

def stop_if_asked(label):
    write_down("began", label)
    while True:
        time.sleep(0.01)


def eat(label):
    bytearray(500_000_000)
"""

EAGER_STARTER = """
from service import create_app as make

def create_app():
    app = make()
    with app.app_context():
        from service import scheduler
        scheduler.start()
    return app
"""


def make(folder: Path, url: str, **settings: str) -> Site:
    site = make_site(folder, url, SCHEDULER_EXECUTORS=PROCESSES, **FAST, **settings)
    (folder / "work.py").write_text(WORK + HEAVY)
    (folder / "starter.py").write_text(EAGER_STARTER)
    return site


@contextmanager
def client(site: Site) -> Iterator[tuple[Scheduler, Any]]:
    """A scheduler in this process, which stores and asks and runs nothing; and the site's module of jobs."""
    sys.path.insert(0, str(site.folder))
    app = Flask("service")
    app.config.update(SECRET_KEY=SECRET, SCHEDULER_DATABASE_URL=site.url)
    scheduler = Scheduler(app)
    try:
        import work

        with app.app_context():
            yield scheduler, work
    finally:
        app.extensions["scheduler"].store.close()
        sys.path.remove(str(site.folder))
        sys.modules.pop("work", None)


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in ("Z", "X")
    except (FileNotFoundError, ProcessLookupError):
        return False


def wait_for(job: JobHandle, *states: JobState) -> JobHandle:
    until(lambda: job.refresh().state in states, f"{states}")
    return job


def pid_of(site: Site, what: str, label: str) -> int:
    return [line.pid for line in site.wait_for(what, label) if line.label == label][-1]


def test_a_worker_runs_kills_replaces_and_drains(tmp_path: Path, store_url: str) -> None:
    site = make(tmp_path, store_url)
    with site.run(*WORKER) as process, client(site) as (scheduler, work):
        killed = scheduler.schedule_now(work.hold, "killed")
        child = pid_of(site, "began", "killed")
        assert child in process.children()
        os.kill(child, signal.SIGKILL)

        slow = scheduler.using(timeout=0.5).schedule_now(work.stop_if_asked, "slow")
        assert wait_for(slow, JobState.FAILED).job.outcome == "timeout"
        assert slow.job.error == "JobTimeoutError: ran longer than its timeout of 0.5 s and was killed"
        assert not is_alive(pid_of(site, "began", "slow"))

        unwanted = scheduler.schedule_now(work.stop_if_asked, "unwanted")
        pid = pid_of(site, "began", "unwanted")
        assert unwanted.cancel() is JobState.RUNNING
        assert wait_for(unwanted, JobState.CANCELLED).job.attempt == 0
        assert not is_alive(pid)

        greedy = scheduler.schedule_now(work.eat, "greedy")
        assert str(wait_for(greedy, JobState.FAILED).job.error).startswith("MemoryError (its executor lets a job take")

        marked = [scheduler.schedule_now(work.mark, str(number)) for number in range(8)]
        for job in marked:
            wait_for(job, JobState.SUCCEEDED)
        pids = [line.pid for line in site.lines("ran")]
        assert max(pids.count(pid) for pid in pids) <= 3
        assert set(pids).isdisjoint({process.pid, os.getpid()})

        until(lambda: len(site.lines("began")) >= 4, "the killed job's second run")  # it began again, in another child
        process.send(signal.SIGTERM)
        until(lambda: "waiting up to" in process.said(), "the drain")
        site.open("killed")
        assert process.wait() == 0
        assert (killed.refresh().state, killed.job.crashes) == (JobState.SUCCEEDED, 1)
        children = {line.pid for line in site.lines()}
        until(lambda: not any(is_alive(pid) for pid in children), "the end of its children")
        assert site.pids_that_registered() == {process.pid}


def test_children_die_with_a_parent_that_is_killed_and_their_jobs_run_again_elsewhere(
    tmp_path: Path, store_url: str
) -> None:
    site = make(tmp_path, store_url)
    with client(site) as (scheduler, work):
        job = scheduler.schedule_now(work.hold, "a")
        with site.run(*WORKER, name="first") as first:
            child = pid_of(site, "began", "a")
            os.kill(first.pid, signal.SIGKILL)
            until(lambda: not is_alive(child), "the end of the child")
        with site.run(*WORKER, name="second"):
            site.open("a")
            wait_for(job, JobState.SUCCEEDED)
        assert job.job.crashes == 1
        assert site.labels("began") == {"a": 2}


def test_what_still_runs_after_the_drain_time_is_killed_and_given_back_unspent(tmp_path: Path, sqlite_url: str) -> None:
    site = make(tmp_path, sqlite_url, SCHEDULER_DRAIN_SECONDS="0.2")
    with client(site) as (scheduler, work), site.run(*WORKER) as process:
        scheduler.schedule_now(work.hold, "a")
        child = pid_of(site, "began", "a")
        process.send(signal.SIGTERM)
        assert process.wait() == 0, process.said()
        until(lambda: not is_alive(child), "the end of the child")
    assert site.jobs() == {("scheduled", 0, 0): 1}
    assert site.workers() == 0


@pytest.mark.parametrize("factory", ["service:create_app()", "starter:create_app()"])
def test_under_gunicorn_jobs_run_in_children_that_never_claim(factory: str, tmp_path: Path, sqlite_url: str) -> None:
    site = make(tmp_path, sqlite_url, SCHEDULER_APP=factory)
    command = [factory if part.startswith("service:") else part for part in ALONE["gunicorn gthread"]]
    with site.run(*command) as process:
        process.wait_until_it_answers()
        process.post("/schedule", after=0, function="mark", label="a")
        process.post("/schedule", after=0, function="mark", label="b")
        pids = {line.pid for line in site.wait_for("ran", "a", "b")}
        served_by = {int(process.get("/pid").text)}
        assert pids.isdisjoint(served_by | {process.pid})
        assert site.pids_that_registered() == served_by
        children = pids | served_by
        process.send(signal.SIGTERM)
        assert process.wait() == 0, process.said()
    until(lambda: not any(is_alive(pid) for pid in children), "the end of all")
    assert site.jobs() == {("succeeded", 0, 0): 2}


def test_a_site_whose_app_nothing_names_serves_and_says_what_to_set(tmp_path: Path, sqlite_url: str) -> None:
    site = make(tmp_path, sqlite_url)
    with site.serve("app.run") as process:
        process.get("/pid")
        until(lambda: "Set SCHEDULER_APP (or FLASK_APP) to what 'flask --app' takes" in process.said(), "the sentence")
        assert process.status("/scheduler/readyz") == 503
