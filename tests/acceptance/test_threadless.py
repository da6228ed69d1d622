"""Where a thread of Python's is none, no job runs, and that is said: gevent's greenlets, and uWSGI without threads."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.acceptance.processes import Process, until
from tests.acceptance.sites import FLASK, WORKERS, make_site
from tests.acceptance.starts import Runs, Since, servers, start_of

OVERDUE = ["overdue 1", "overdue 2"]
WHY = {
    "gunicorn": "gevent has made this process's threads into greenlets",
    "uWSGI": "uWSGI was started without threads",
}
WORKER = (*FLASK, "scheduler", "run", "--until-empty")


def told_by(process: Process, words: str) -> list[str]:
    """Return the lines in which these words were said."""
    return [line for line in process.said().splitlines() if words in line]


@pytest.mark.parametrize("server", servers(Runs.NOBODY))
def test_a_server_without_threads_stores_jobs_runs_none_and_says_so_once_in_each_process(
    server: str, tmp_path: Path, sqlite_url: str
) -> None:
    assert start_of(server).since is Since.NEVER
    site = make_site(tmp_path, sqlite_url)
    site.schedule_here(OVERDUE)
    why = WHY[server.split()[0]]
    with site.serve(server) as process:
        if server != "gunicorn gevent preload":  # whose watch began before gevent, and sees nothing of its greenlets
            until(lambda: len(told_by(process, why)) == WORKERS, f"the reason, at boot\n{process.said()}")
        for number in range(6):
            process.post("/schedule", after=0, function="mark", label=f"by HTTP {number}")
        (tmp_path / "window.py").write_text("import work; work.observe('window')")
        with site.run("window.py") as window:
            assert window.wait() == 0
        assert site.lines("ran") == []
        assert site.pids_that_registered() == set()
        assert process.status("/scheduler/readyz") == 200
        told = told_by(process, why)
        pids = [int(line.partition(" pid=")[2].split()[0]) for line in told]
        assert 0 < len(pids) == len(set(pids) & process.children()), process.said()
        assert all("this process stores jobs and runs none" in line for line in told)
        assert all("'flask scheduler run' beside it" in line for line in told)
        with site.run(*WORKER) as worker:
            assert worker.wait() == 0, worker.said()
        assert {line.pid for line in site.lines("ran")} == {worker.pid}
    site.wait_for_jobs({("succeeded", 0, 0): len(OVERDUE) + 6})


def test_a_loop_that_was_demanded_where_threads_are_greenlets_makes_the_process_unready(
    tmp_path: Path, sqlite_url: str
) -> None:
    site = make_site(tmp_path, sqlite_url, SCHEDULER_ROLE="embedded")
    site.schedule_here(OVERDUE)
    with site.serve("gunicorn gevent") as process:
        cannot = "scheduler cannot start in this process, and runs no job here until it can: gevent has made"
        until(lambda: len(told_by(process, cannot)) == WORKERS, f"the reason\n{process.said()}")
        assert process.status("/scheduler/readyz") == 503
        assert process.get("/pid").is_success
        assert len(told_by(process, "gevent has made")) == WORKERS
    assert site.pids_that_registered() == set()


PATCHED = """
from gevent import monkey
monkey.patch_all({options})
from service import create_app
"""
PATCHED_SERVER = ("-m", "waitress", "--listen=127.0.0.1:PORT", "--call", "patched:create_app")


def test_a_command_refuses_to_run_jobs_in_greenlets_and_says_why(tmp_path: Path, sqlite_url: str) -> None:
    site = make_site(tmp_path, sqlite_url)
    site.schedule_here(OVERDUE)
    (tmp_path / "patched.py").write_text(PATCHED.format(options=""))
    with site.run("-m", "flask", "--app", "patched", "scheduler", "run") as process:
        assert process.wait() == 1
        assert "Error: gevent has made this process's threads into greenlets" in process.said()
        assert "Traceback" not in process.said()
    site.wait_for_jobs({("scheduled", 0, 0): len(OVERDUE)})


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_where_gevent_leaves_threads_alone_jobs_run(
    database: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    site = make_site(tmp_path, request.getfixturevalue(f"{database}_url"))
    (tmp_path / "patched.py").write_text(PATCHED.format(options="thread=False, queue=False"))
    site.schedule_here(OVERDUE)
    with site.run(*PATCHED_SERVER) as process:
        process.wait_until_it_answers()
        for number in range(20):
            process.post("/schedule", after=0, function="mark", label=f"by HTTP {number}")
        site.wait_for("ran", *OVERDUE, *(f"by HTTP {number}" for number in range(20)))
    assert "Traceback" not in process.said()


def test_where_gevent_replaces_queues_alone_a_process_stores_jobs_and_runs_none(
    tmp_path: Path, sqlite_url: str
) -> None:
    site = make_site(tmp_path, sqlite_url)
    (tmp_path / "patched.py").write_text(PATCHED.format(options="thread=False"))
    with site.run(*PATCHED_SERVER) as process:
        process.wait_until_it_answers()
        process.post("/schedule", after=0, function="mark", label="by HTTP")
        until(lambda: told_by(process, "gevent has replaced this process's queues and not its threads"), "the reason")
        with site.run(*WORKER) as worker:
            assert worker.wait() == 0, worker.said()
    assert "Traceback" not in process.said()
    assert {line.pid for line in site.lines("ran")} == {worker.pid}


def test_where_gevent_replaces_sockets_and_not_threads_mysql_is_refused_before_a_connection_hangs(
    tmp_path: Path, mariadb_url: str
) -> None:
    site = make_site(tmp_path, mariadb_url)
    (tmp_path / "patched.py").write_text(PATCHED.format(options="thread=False, queue=False"))
    site.schedule_here(OVERDUE)
    why = "gevent has replaced this process's sockets and not its threads, so a connection of PyMySQL would hang"
    with site.run(*PATCHED_SERVER) as process:
        process.wait_until_it_answers()
        assert process.get("/pid").is_success
        until(lambda: told_by(process, why), "the reason")
        assert process.status("/scheduler/readyz") == 503
    assert "Traceback" not in process.said()
    with site.run("-m", "flask", "--app", "patched", "scheduler", "status") as command:
        assert command.wait() == 69
        assert why in command.said()
        assert "Traceback" not in command.said()
    with site.run(*WORKER) as worker:
        assert worker.wait() == 0, worker.said()
    site.wait_for("ran", *OVERDUE)
