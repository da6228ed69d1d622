"""Flask-APScheduler on top, under real servers and over HTTP: its jobs, its API, and its `start` wherever that is."""

from __future__ import annotations

import json
from collections import Counter
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.acceptance.processes import NO_TLS, PATIENCE_SECONDS, Process, until
from tests.acceptance.sites import FLASK, SERVICE, WORKERS, Site, make_site

ON_TOP = """
from flask_apscheduler import APScheduler
from flask_apscheduler.auth import HTTPBasicAuth
from scheduler_app import current_job
import plain
import work


def tick(label):
    work.write_down("ticked", f"{label} at {current_job.run_at.isoformat()}" if current_job else f"{label} by hand")


def create_app():
    app = plain.create_app()
    with app.app_context():
        top = APScheduler(scheduler=plain.scheduler.aps)
        if app.config["HAS_AUTH"]:
            top.auth = HTTPBasicAuth()
            top.authenticate(lambda given: (given["username"], given["password"]) == ("ada", "secret"))
        top.init_app(app)
        top.start()
        import tasks
    return app
"""
TASKS = """
import service
from flask import current_app


@current_app.apscheduler.task("interval", id="decorated", seconds=current_app.config["SECONDS"], args=["decorated"])
def decorated(label):
    service.tick(label)
"""
GUNICORN = ("-m", "gunicorn", "-w", "2", "-b", "127.0.0.1:PORT", "service:create_app()")
OFTEN, SELDOM = 0.5, 3600


def site_with_it_on_top(folder: Path, url: str, *, seconds: float, auth: bool = True, **settings: str) -> Site:
    """Make a site with Flask-APScheduler, one job of its configuration and one of its decorator."""
    job = {"id": "configured", "func": "service:tick", "args": ["configured"], "trigger": "interval"}
    site = make_site(
        folder, url,
        HAS_AUTH=json.dumps(auth), SECONDS=str(seconds), SCHEDULER_API_ENABLED="true", SCHEDULER_API_PREFIX="/aps",
        SCHEDULER_JOBS=json.dumps([job | {"seconds": seconds}]), **settings,
    )  # fmt: skip
    for name, text in {"plain.py": SERVICE, "service.py": ON_TOP, "tasks.py": TASKS}.items():
        (folder / name).write_text(text)
    return site


def ask(process: Process, method: str, path: str, wanted: int, **body: Any) -> Any:
    """Ask the API as one who may, each time by a connection of its own; return what it says."""
    answer = httpx.request(
        method, f"http://127.0.0.1:{process.port}/aps{path}", json=body or None, auth=("ada", "secret"),
        headers={"Connection": "close"}, timeout=PATIENCE_SECONDS, trust_env=False, verify=NO_TLS,
    )  # fmt: skip
    assert answer.status_code == wanted, f"{method} {path}: {answer.status_code}\n{answer.text}\n{process.said()}"
    return answer.json() if answer.headers.get("Content-Type") == "application/json" else None


def ticks(site: Site) -> Counter[str]:
    """Return how often each job ran, and check that it did so once per fire time."""
    per_time = site.labels("ticked")
    assert set(per_time.values()) <= {1}, per_time
    return Counter(label.partition(" at ")[0] for label in per_time)


def gaps(site: Site, label: str) -> list[float]:
    """Return the seconds between the fire times of one job."""
    told = [line.label.partition(" at ") for line in site.lines("ticked")]
    times = sorted(datetime.fromisoformat(at) for name, _, at in told if name == label and at)
    return [(later - sooner).total_seconds() for sooner, later in pairwise(times)]


def wait_for_ticks(site: Site, more: int, *labels: str) -> None:
    """Wait until each of these jobs ran so many times more."""
    before = ticks(site)
    until(lambda: all(ticks(site)[label] >= before[label] + more for label in labels), f"{more} more of {labels}")


@pytest.mark.parametrize(("preload", "database"), [(False, "sqlite"), (True, "postgresql")])
def test_each_job_exists_once_and_runs_once_per_fire_time_whichever_of_two_processes_is_asked(
    preload: bool, database: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    site = site_with_it_on_top(tmp_path, request.getfixturevalue(f"{database}_url"), seconds=OFTEN)
    with site.run(*GUNICORN, *(["--preload"] if preload else [])) as process:
        process.wait_until_it_answers()
        until(lambda: site.pids_that_registered() == process.children(), "both processes are workers, and no other")
        assert ask(process, "GET", "", 200)["running"] is True
        new = {"id": "added", "func": "service:tick", "args": ["added"], "trigger": "interval", "seconds": OFTEN}
        assert ask(process, "POST", "/jobs", 200, **new)["id"] == "added"
        for _ in range(6):
            assert {job["id"] for job in ask(process, "GET", "/jobs", 200)} == {"configured", "decorated", "added"}
            ask(process, "POST", "/jobs", 409, **new)
        refused = ask(process, "POST", "/jobs", 500, id="evil", func="os:abort", trigger="date")
        assert "The built-in 'abort' cannot be scheduled" in refused["error_message"]
        wait_for_ticks(site, 3, "configured", "decorated", "added")

        assert min(gaps(site, "added")) >= OFTEN

        assert ask(process, "POST", "/jobs/added/pause", 200)["next_run_time"] is None
        wait_for_ticks(site, 1, "configured")  # by now, what had fired before the pause has run
        paused = ticks(site)["added"]
        wait_for_ticks(site, 2, "configured")
        assert ticks(site)["added"] == paused
        assert ask(process, "POST", "/jobs/added/resume", 200)["next_run_time"] is not None
        wait_for_ticks(site, 1, "added")

        changed = ask(process, "PATCH", "/jobs/added", 200, trigger="interval", hours=1, name="Changed")
        assert (changed["hours"], changed["name"]) == (1, "Changed")
        assert datetime.fromisoformat(changed["next_run_time"]) > datetime.now(UTC) + timedelta(minutes=59)
        ask(process, "POST", "/jobs/added/run", 200)
        assert site.labels("ticked")["added by hand"] == 1
        ask(process, "DELETE", "/jobs/added", 204)
        for path in ("/jobs/added/pause", "/jobs/added/run"):
            ask(process, "POST", path, 404)
        ask(process, "GET", "/jobs/added", 404)
        assert [row.name for row in site.rows("SELECT name FROM scheduler_schedules ORDER BY name")] == [
            "configured", "decorated",
        ]  # fmt: skip
    assert {line.pid for line in site.lines("ticked")} <= site.pids_that_registered()
    assert "left out" not in process.said()


@pytest.mark.parametrize("server", ["app.run debug", "gunicorn sync preload"])
def test_its_start_starts_nothing_in_a_parent_and_its_api_answers_nobody_without_authentication(
    server: str, tmp_path: Path, sqlite_url: str
) -> None:
    site = site_with_it_on_top(tmp_path, sqlite_url, seconds=OFTEN, auth=False)
    with site.serve(server) as process:
        wait_for_ticks(site, 3, "configured", "decorated")
        count = WORKERS if server.startswith("gunicorn") else 1
        until(lambda: len(site.pids_that_registered()) == count, "every process that serves is a worker")
        assert site.pids_that_registered() == process.children()
        ask(process, "GET", "/jobs", 404)
        ask(process, "POST", "/jobs", 404, id="evil", func="service:tick", args=["evil"])
        assert "The API of Flask-APScheduler answers nobody (404)" in process.said()
    assert {line.pid for line in site.lines("ticked")} <= site.pids_that_registered()
    assert ticks(site)["evil"] == 0


SHELL = """
import work
top = app.apscheduler
print("IDS", sorted(job.id for job in top.get_jobs()), top.running)
top.add_job("by a shell", "work:mark", args=["by a shell"], trigger="date")
work.observe("shell")
"""
SCRIPT = "import work; from service import create_app; app = create_app(); work.observe('script')"


def test_its_start_starts_nothing_in_a_shell_or_a_script_and_a_dedicated_worker_knows_its_jobs(
    tmp_path: Path, sqlite_url: str
) -> None:
    site = site_with_it_on_top(tmp_path, sqlite_url, seconds=SELDOM)
    (tmp_path / "script.py").write_text(SCRIPT)
    with site.run(*FLASK, "scheduler", "run", "--once", name="worker") as worker:
        assert worker.wait() == 0, worker.said()
    with site.run(*FLASK, "shell", stdin=SHELL, name="shell") as shell, site.run("script.py") as script:
        assert (shell.wait(), script.wait()) == (0, 0), shell.said() + script.said()
        assert "IDS ['configured', 'decorated'] True" in shell.said()
    assert site.labels("observed").keys() == {"shell", "script"}
    assert site.pids_that_registered() == {worker.pid}
    with site.run(*FLASK, "scheduler", "run", "--until-empty", name="worker") as second:
        assert second.wait() == 0, second.said()
    assert [(line.label, line.pid) for line in site.lines("ran")] == [("by a shell", second.pid)]


def test_a_client_answers_by_its_api_and_never_claims(tmp_path: Path, postgresql_url: str) -> None:
    site = site_with_it_on_top(tmp_path, postgresql_url, seconds=SELDOM, SCHEDULER_ROLE="client")
    with site.run(*GUNICORN) as process:
        process.wait_until_it_answers()
        for name in ("one", "two"):
            ask(process, "POST", "/jobs", 200, id=name, func="work:mark", args=[name], trigger="date")
        ask(process, "DELETE", "/jobs/two", 204)
        ask(process, "POST", "/start", 400)  # it is started, as far as it may be
        assert [job["id"] for job in ask(process, "GET", "/jobs", 200)] == ["one"]
        assert site.pids_that_registered() == set()
        with site.run(*FLASK, "scheduler", "run", "--until-empty", name="worker") as worker:
            assert worker.wait() == 0, worker.said()
        assert [(line.label, line.pid) for line in site.lines("ran")] == [("one", worker.pid)]
        assert [job["id"] for job in ask(process, "GET", "/jobs", 200)] == ["configured", "decorated"]
        assert site.pids_that_registered() == {worker.pid}


def test_its_shutdown_and_start_end_and_begin_the_loop_of_the_process_that_is_asked(
    tmp_path: Path, sqlite_url: str
) -> None:
    site = site_with_it_on_top(tmp_path, sqlite_url, seconds=OFTEN)
    with site.serve("flask run") as process:
        wait_for_ticks(site, 1, "configured")
        ask(process, "POST", "/shutdown", 204)
        assert site.workers() == 0
        assert ask(process, "GET", "", 200)["running"] is False
        ask(process, "POST", "/shutdown", 400)
        ask(process, "POST", "/start", 204)
        wait_for_ticks(site, 2, "configured", "decorated")
        ask(process, "POST", "/start", 400)
        assert site.workers() == 1


ONE_FILE = """
import sys
from flask import Flask
from flask_apscheduler import APScheduler
from scheduler_app import Scheduler
import work

work.write_down("imported", __name__)


def tick():
    work.mark("x")


app = Flask(__name__)
app.config.from_prefixed_env()
app.config["SCHEDULER_JOBS"] = [{"id": "x", "func": "one_file:tick", "trigger": "interval", "seconds": 0.5}]
top = APScheduler(scheduler=Scheduler(app).aps, app=app)
top.start()
top.add_job("y", "one_file:tick", trigger="interval", hours=1, replace_existing=True)

if __name__ == "__main__":
    app.run(port=int(sys.argv[1]))
"""


def test_a_path_into_the_main_file_does_not_import_it_again(tmp_path: Path, sqlite_url: str) -> None:
    site = make_site(tmp_path, sqlite_url)
    (tmp_path / "one_file.py").write_text(ONE_FILE)
    for _ in range(2):  # the first finds no job in the store, the second does
        before = site.labels("ran")["x"]
        with site.run("one_file.py", "PORT") as process:
            until(lambda before=before: site.labels("ran")["x"] >= before + 2, process.said())  # type: ignore[misc]
            assert "left out" not in process.said()
            assert site.workers() == 1
    assert site.labels("imported") == {"__main__": 2}


def test_no_loop_starts_by_itself_on_a_host_that_it_is_told_to_leave_alone(tmp_path: Path, sqlite_url: str) -> None:
    site = site_with_it_on_top(tmp_path, sqlite_url, seconds=OFTEN, SCHEDULER_ALLOWED_HOSTS='["elsewhere"]')
    with site.serve("flask run") as process:
        until(lambda: "SCHEDULER_ALLOWED_HOSTS does not name this host" in process.said(), process.said())
        assert process.get("/pid").text == str(process.pid)
        assert site.pids_that_registered() == set()
