"""uWSGI's own ways: its hook after a fork, which the app may want too, and its children that do not serve."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.acceptance.processes import Process, until
from tests.acceptance.sites import UWSGI, make_site
from tests.locks import LOCKS, pids_with_locks_on

OVERDUE = ["overdue 1", "overdue 2", "overdue 3"]
MASTER = (*UWSGI, "--master", "--processes", "2")

HOOKS = {
    "decorated": "from uwsgidecorators import postfork\npostfork(lambda: work.write_down('hook', 'own'))",
    "plain": "import uwsgi\nuwsgi.post_fork_hook = lambda: work.write_down('hook', 'own')",
}
MAKE = "app = create_app()"
SCHEDULES = """
import work
from service import create_app, schedule_now
app = create_app()
with app.app_context():
    schedule_now(work.mark, "by the master")  # over a connection that its children must leave to it
"""


def workers_of(process: Process) -> set[int]:
    """Return the pids of uWSGI's workers, as it names them itself."""
    return {int(pid) for pid in re.findall(r"spawned uWSGI worker \d+ \(pid: (\d+)", process.said())}


@pytest.mark.parametrize("hook", HOOKS)
@pytest.mark.parametrize("is_first", [True, False], ids=["before the scheduler", "after the scheduler"])
def test_the_apps_own_hook_after_a_fork_and_ours_are_both_called_in_each_worker(
    hook: str, is_first: bool, tmp_path: Path, sqlite_url: str
) -> None:
    site = make_site(tmp_path, sqlite_url)
    site.schedule_here(OVERDUE)
    parts = [HOOKS[hook], MAKE] if is_first else [MAKE, HOOKS[hook]]
    (tmp_path / "hooked.py").write_text("\n".join(["import work", "from service import create_app", *parts]))
    with site.run(*(part.replace("service:create_app()", "hooked:app") for part in MASTER)) as process:
        site.wait_for("ran", *OVERDUE)
        until(lambda: len(site.pids_that_registered()) == 2, f"two workers\n{process.said()}")
        hooked = [line.pid for line in site.lines("hook")]
        assert sorted(hooked) == sorted(site.pids_that_registered()) == sorted(workers_of(process))


@pytest.mark.parametrize("options", [(), ("--py-call-osafterfork",)], ids=["without Python's hooks", "with them"])
def test_masters_mules_and_spoolers_run_no_job(options: tuple[str, ...], tmp_path: Path, store_url: str) -> None:
    site = make_site(tmp_path, store_url)
    (tmp_path / "spool").mkdir()
    (tmp_path / "schedules.py").write_text(SCHEDULES)
    site.schedule_here(OVERDUE)
    command = (part.replace("service:create_app()", "schedules:app") for part in MASTER)
    with site.run(*command, "--mule", "--spooler", "spool", *options) as process:
        site.wait_for("ran", *OVERDUE, "by the master")
        until(lambda: len(site.pids_that_registered()) == 2, f"two workers\n{process.said()}")
        process.wait_until_it_answers()
        process.post("/schedule", after=1.5, function="mark", label="later")
        site.wait_for("ran", "later")
        assert site.pids_that_registered() == workers_of(process)
        assert len(process.children()) == 4
        assert "failed" not in process.said()
        site.wait_for_jobs({("succeeded", 0, 0): len(OVERDUE) + 2})


@pytest.mark.skipif(not LOCKS.exists(), reason="the system does not show its locks")
def test_each_worker_has_sqlites_locks_for_itself_though_its_master_had_the_file_open(
    tmp_path: Path, sqlite_url: str
) -> None:
    site = make_site(tmp_path, sqlite_url)
    (tmp_path / "schedules.py").write_text(SCHEDULES)
    with site.run(*(part.replace("service:create_app()", "schedules:app") for part in MASTER)) as process:
        site.wait_for("ran", "by the master")
        until(lambda: len(site.pids_that_registered()) == 2, f"two workers\n{process.said()}")
        file = Path(sqlite_url.removeprefix("sqlite:///"))
        until(lambda: workers_of(process) == pids_with_locks_on(file), "every worker's own locks, and nobody else's")
