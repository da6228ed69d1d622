"""SIGTERM: what runs may end within the drain time, what waits is given back unspent, and the worker's row goes."""

from __future__ import annotations

import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from tests.acceptance.processes import Process, until
from tests.acceptance.sites import ALONE, FLASK, SERVICE, Site, make_site
from tests.acceptance.starts import AMID_A_REQUEST, SIGINT, SIGTERM, TO_PARENT, End, ended_by

WORKER = (*FLASK, "scheduler", "run")
ENDINGS = {
    "flask scheduler run": 0,
    "flask run": 143,
    "flask run --debug --no-reload": 143,
    "app.run": 143,
    "app.run debug without reloader": 143,
    "uWSGI": 30,
}
"""What each exits with after SIGTERM, if not with 0: 128 + 15 where the system's own answer to the signal was ours to
give; and uWSGI without a master as it likes."""

ONE_SLOT = '{"default": {"max_workers": 1}}'
QUICK_SECONDS = 5.0
"""For an end that waits for no job: the time of an interpreter to go, on a busy machine."""


def command(server: str) -> tuple[str, ...]:
    """Return the server's command, with one process that serves, so that one slot is all there is."""
    if server == "flask scheduler run":
        return WORKER
    return ALONE[server]


def begin(site: Site) -> None:
    """Let one job run, and two wait for its slot."""
    site.schedule_here(["running"], "hold")
    site.wait_for("began", "running")
    site.schedule_here(["waiting 1", "waiting 2"])


def terminate(site: Site, process: Process) -> None:
    """Send SIGTERM, and return once the process has begun to end."""
    process.send(signal.SIGTERM)
    site.wait_for("ending", "running")


@pytest.mark.parametrize("server", ended_by(SIGTERM, End.DRAINS))
def test_sigterm_lets_running_jobs_end_and_leaves_waiting_ones(server: str, tmp_path: Path, sqlite_url: str) -> None:
    site = make_site(tmp_path, sqlite_url, SCHEDULER_EXECUTORS=ONE_SLOT)
    with site.run(*command(server)) as process:
        begin(site)
        terminate(site, process)
        site.open("running")
        assert process.wait() == ENDINGS.get(server, 0), process.said()
    assert site.labels("ended") == {"running": 1}
    assert site.lines("ran") == []
    site.wait_for_jobs({("succeeded", 0, 0): 1, ("scheduled", 0, 0): 2})
    assert site.workers() == 0


@pytest.mark.parametrize(
    ("server", "database"),
    [
        (server, "sqlite")
        for server in ("flask scheduler run", "flask run", "waitress-serve", "gunicorn sync", "uWSGI master")
    ]
    + [(server, "postgresql") for server in ("flask scheduler run", "gunicorn gthread preload")],
)
def test_what_still_runs_after_the_drain_time_is_given_back_unspent_and_runs_again_elsewhere(
    server: str, database: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    url = request.getfixturevalue(f"{database}_url")
    site = make_site(tmp_path, url, SCHEDULER_EXECUTORS=ONE_SLOT, SCHEDULER_DRAIN_SECONDS="0.5")
    with site.run(*command(server)) as process:
        begin(site)
        sent = time.monotonic()
        terminate(site, process)
        assert process.wait() == ENDINGS.get(server, 0), process.said()
        assert 0.5 <= time.monotonic() - sent < 0.5 + QUICK_SECONDS
    assert site.lines("ended") == []
    site.wait_for_jobs({("scheduled", 0, 0): 3})
    assert site.workers() == 0

    site.open("running")
    with site.run(*WORKER, "--until-empty") as other:
        assert other.wait() == 0, other.said()
    assert {(line.label, line.pid, line.attempt) for line in site.lines("ended") + site.lines("ran")} == {
        (label, other.pid, 1) for label in ("running", "waiting 1", "waiting 2")
    }
    site.wait_for_jobs({("succeeded", 0, 0): 3})


@pytest.mark.parametrize("server", ["flask scheduler run", "flask run", "waitress.serve"])
def test_a_second_sigterm_ends_the_process_at_once_and_its_job_is_rescued(
    server: str, tmp_path: Path, sqlite_url: str
) -> None:
    site = make_site(tmp_path, sqlite_url, SCHEDULER_EXECUTORS=ONE_SLOT)
    with site.run(*command(server)) as process:
        begin(site)
        terminate(site, process)
        process.send(signal.SIGTERM)
        assert process.wait(QUICK_SECONDS) == -signal.SIGTERM, process.said()
    assert site.workers() == 1
    site.open("running")
    with site.run(*WORKER, "--until-empty") as other:
        until(lambda: site.labels("ended")["running"] == 1, f"the rescue\n{other.said()}")
        assert other.wait() == 0, other.said()
    site.wait_for_jobs({("succeeded", 0, 1): 1, ("succeeded", 0, 0): 2})


@pytest.mark.parametrize("server", ["flask scheduler run", "gunicorn gthread preload"])
def test_an_idle_process_ends_at_once(server: str, tmp_path: Path, store_url: str) -> None:
    site = make_site(tmp_path, store_url)
    with site.run(*command(server)) as process:
        until(lambda: site.workers() == 1, f"a worker\n{process.said()}")
        process.send(signal.SIGTERM)
        assert process.wait(QUICK_SECONDS) == ENDINGS.get(server, 0), process.said()
    assert site.workers() == 0


def test_a_process_without_a_loop_ends_by_sigterm_as_it_would_without_us(tmp_path: Path, sqlite_url: str) -> None:
    site = make_site(tmp_path, sqlite_url)
    (tmp_path / "idle.py").write_text(
        "import time, work; from service import create_app; create_app(); work.mark('up'); time.sleep(600)"
    )
    with site.run("idle.py") as process:
        site.wait_for("ran", "up")
        process.send(signal.SIGTERM)
        assert process.wait(QUICK_SECONDS) == -signal.SIGTERM


@pytest.mark.parametrize("server", ended_by(SIGINT, End.DRAINS))
def test_ctrl_c_lets_running_jobs_end(server: str, tmp_path: Path, sqlite_url: str) -> None:
    site = make_site(tmp_path, sqlite_url)
    site.schedule_here(["running"], "hold")
    with site.run(*command(server)) as process:
        site.wait_for("began", "running")
        process.send(signal.SIGINT)
        site.wait_for("ending", "running")
        site.open("running")
        process.wait()
        assert "Traceback" not in process.said()
    site.wait_for_jobs({("succeeded", 0, 0): 1})
    assert site.workers() == 0


@pytest.mark.parametrize("server", ["flask scheduler run", "flask run", "waitress-serve"])
def test_ctrl_c_says_what_it_waits_for_and_a_second_one_ends_at_once_without_a_traceback(
    server: str, tmp_path: Path, sqlite_url: str
) -> None:
    site = make_site(tmp_path, sqlite_url)
    site.schedule_here(["running"], "hold")
    with site.run(*command(server)) as process:
        site.wait_for("began", "running")
        process.send(signal.SIGINT)
        told = "waiting up to 25 s for 1 job; Ctrl-C again ends at once"
        until(lambda: told in process.said(), f"what it waits for\n{process.said()}")
        process.send(signal.SIGINT)
        assert process.wait(QUICK_SECONDS) == -signal.SIGINT, process.said()
        assert process.said().count(told) == 1
        assert "Traceback" not in process.said()


@pytest.mark.parametrize("server", ended_by(SIGINT, End.GIVES_BACK))
def test_ctrl_c_under_the_reloader_gives_back_at_once_since_its_parent_will_not_wait(
    server: str, tmp_path: Path, sqlite_url: str
) -> None:
    site = make_site(tmp_path, sqlite_url)
    site.schedule_here(["running"], "hold")
    with site.run(*command(server)) as process:
        child = site.wait_for("began", "running")[0].pid
        os.kill(child, signal.SIGINT)  # not its parent, whose patience of 0.25 s a busy machine may outlast
        assert process.wait(QUICK_SECONDS) == 0, process.said()
        assert "waiting" not in process.said()
    site.wait_for_jobs({("scheduled", 0, 0): 1})
    assert site.workers() == 0


@pytest.mark.parametrize("server", ended_by(TO_PARENT, End.DIES))
def test_sigterm_to_the_reloader_counts_as_a_crash(server: str, tmp_path: Path, sqlite_url: str) -> None:
    site = make_site(tmp_path, sqlite_url)
    site.schedule_here(["running"], "hold")
    with site.run(*command(server)) as process:
        child = site.wait_for("began", "running")[0].pid
        assert child != process.pid
        process.send(signal.SIGTERM)
        process.wait()
        assert_that_it_crashed(site)


SLOW = (
    SERVICE
    + """

def slow_app():
    app = create_app()

    @app.get("/slow")
    def slow():
        work.hold("request")
        return "done"

    return app
"""
)


@pytest.mark.parametrize("server", ended_by(AMID_A_REQUEST, End.DIES))
def test_sigterm_amid_a_request_of_uwsgis_counts_as_a_crash(server: str, tmp_path: Path, sqlite_url: str) -> None:
    site = make_site(tmp_path, sqlite_url)
    (tmp_path / "service.py").write_text(SLOW)
    site.schedule_here(["running"], "hold")
    with (
        site.run(*(part.replace("create_app", "slow_app") for part in command(server))) as process,
        ThreadPoolExecutor(1) as client,
    ):
        site.wait_for("began", "running")
        request = client.submit(process.get, "/slow")
        site.wait_for("began", "request")
        process.send(signal.SIGTERM)
        process.wait()
        with pytest.raises(httpx.TransportError):  # the request is lost as well: that is uWSGI's way to be told to end
            request.result()
        assert_that_it_crashed(site)


def assert_that_it_crashed(site: Site) -> None:
    """Its end was not drained: another process finds its worker's row and job, and runs the job again."""
    assert site.workers() == 1
    site.wait_for_jobs({("running", 0, 0): 1})
    site.open("running")
    with site.run(*WORKER) as other:  # without --until-empty, which does not wait for a rescue
        until(lambda: site.labels("ended")["running"] == 1, f"the rescue\n{other.said()}")
        site.wait_for_jobs({("succeeded", 0, 1): 1})


SCRIPT = """
import work
from service import create_app, scheduler
app = create_app()
if app.config["SCHEDULER_ROLE"] == "auto":
    scheduler.start()
while not work.Path("began").exists():
    work.time.sleep(0.02)
"""


@pytest.mark.parametrize("role", ["embedded", "auto"], ids=["embedded", "scheduler.start()"])
def test_a_script_that_ends_lets_its_running_jobs_end(role: str, tmp_path: Path, sqlite_url: str) -> None:
    site = make_site(tmp_path, sqlite_url, SCHEDULER_ROLE=role)
    (tmp_path / "script.py").write_text(SCRIPT)
    site.schedule_here(["running"], "hold")
    with site.run("script.py") as process:
        site.wait_for("began", "running")
        (tmp_path / "began").touch()
        site.wait_for("ending", "running")
        site.open("running")
        assert process.wait() == 0, process.said()
    site.wait_for_jobs({("succeeded", 0, 0): 1})
    assert site.workers() == 0
