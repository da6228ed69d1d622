"""The smallest app: five lines and a sibling module, no setting at all; and its jobs outlive it."""

from __future__ import annotations

import stat
from pathlib import Path

from tests.acceptance.processes import Process, environment, free_port, running, until

APP = """\
from flask import Flask
from scheduler_app import Scheduler, schedule_after
import letters
app = Flask(__name__)
Scheduler(app)
app.get("/", endpoint="hello")(lambda: "hello")
app.post("/<int:seconds>/<name>")(lambda seconds, name: str(schedule_after(seconds, letters.send, name).state))
if __name__ == "__main__": app.run(port=PORT)
"""
LETTERS = """
import os
from pathlib import Path

def send(name):
    with Path(__file__).with_name("sent").open("a") as sent:
        sent.write(f"{name} {os.getpid()}\\n")
"""
FLASK_RUN = ("-m", "flask", "run", "--port", "PORT")
SCHEDULER_RUN = ("-m", "flask", "scheduler", "run")


def sent(folder: Path) -> list[str]:
    path = folder / "sent"
    return path.read_text().splitlines() if path.exists() else []


def schedule(process: Process, seconds: int, name: str) -> None:
    process.wait_until_it_answers()
    assert process.post(f"/{seconds}/{name}").text == "scheduled"


def write_app(folder: Path, port: int = 5000, name: str = "app.py") -> dict[str, str]:
    (folder / name).write_text(APP.replace("PORT", str(port)))
    (folder / "letters.py").write_text(LETTERS)
    return environment(folder)


def test_a_job_of_the_smallest_app_outlives_kill_9_and_runs_once_under_another_server(tmp_path: Path) -> None:
    port = free_port()
    env = write_app(tmp_path, port)
    with running("app.py", folder=tmp_path, env=env) as first:
        first.port = port
        schedule(first, 0, "soon")
        until(lambda: sent(tmp_path) == [f"soon {first.pid}"], "the job that was due at once")
        schedule(first, 2, "late")
        first.kill()
    assert sent(tmp_path) == [f"soon {first.pid}"]
    with running(*FLASK_RUN, folder=tmp_path, env=env) as second:
        until(lambda: len(sent(tmp_path)) > 1, "the job that outlived its process")
        schedule(second, 0, "last")
        until(lambda: len(sent(tmp_path)) > 2, "a job of the second process")
    assert sent(tmp_path) == [f"soon {first.pid}", f"late {second.pid}", f"last {second.pid}"]


def test_the_smallest_app_signs_with_a_key_file_that_only_its_owner_reads(tmp_path: Path) -> None:
    env = write_app(tmp_path)
    with running(*FLASK_RUN, folder=tmp_path, env=env) as process:
        schedule(process, 0, "soon")
        until(lambda: sent(tmp_path), "the job")
    keys = list((tmp_path / "instance").glob("*.key"))
    assert [stat.S_IMODE(key.stat().st_mode) for key in keys] == [0o600]
    assert len(keys[0].read_text()) == 64


def test_where_no_key_file_can_be_made_views_serve_and_jobs_run_as_soon_as_it_can(tmp_path: Path) -> None:
    env = write_app(tmp_path)
    (tmp_path / "instance").touch()  # a file where its folder should be: it stops root too, unlike a mode
    with running(*FLASK_RUN, folder=tmp_path, env=env) as process:
        process.wait_until_it_answers()
        assert process.get("/").text == "hello"
        assert process.status("/scheduler/readyz") == 503
        assert process.status("/scheduler/livez") == 200
        until(lambda: "scheduler cannot start in this process" in process.said(), "the reason in the log")
        assert "set SECRET_KEY or SCHEDULER_SIGNING_KEY" in process.said()
        assert "Traceback" not in process.said()
        with running(*SCHEDULER_RUN, folder=tmp_path, env=env, name="worker") as worker:
            assert worker.wait() == 69, worker.said()
        (tmp_path / "instance").unlink()
        schedule(process, 0, "soon")
        until(lambda: sent(tmp_path) == [f"soon {process.pid}"], f"the job\n{process.said()}")
        assert process.status("/scheduler/readyz") == 200
        assert process.said().count("scheduler cannot start") == 1


def test_the_smallest_app_is_started_by_several_processes_at_once(tmp_path: Path) -> None:
    env = write_app(tmp_path)
    gunicorn = ("-m", "gunicorn", "-w", "4", "-b", "127.0.0.1:PORT", "app:app")
    with running(*gunicorn, folder=tmp_path, env=env) as process:
        for number in range(8):
            schedule(process, 0, f"letter{number}")
        until(lambda: len(sent(tmp_path)) >= 8, f"eight letters\n{process.said()}")
        assert "failed" not in process.said()
        pids = {int(line.split()[1]) for line in sent(tmp_path)}
        assert pids <= process.children()
    assert sorted(line.split()[0] for line in sent(tmp_path)) == [f"letter{number}" for number in range(8)]
    assert len(list((tmp_path / "instance").glob("*.key*"))) == 1


# -- one database, however it is started -----------------------------------------------------------


def serve_in_turn(folder: Path, ways: list[tuple[Path, tuple[str, ...]]], port: int, env: dict[str, str]) -> list[str]:
    """Start the app in each way (a current folder, a command), schedule a job; return what databases there are then."""
    for current, command in ways:
        with running(*command, folder=current, env=env) as process:
            process.port = process.port if "flask" in command else port
            schedule(process, 3600, "later")
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*.sqlite3"))


def test_a_file_finds_the_same_database_from_any_folder_and_under_flask_run(tmp_path: Path) -> None:
    place, port = tmp_path / "sub" / "x", free_port()
    place.mkdir(parents=True)
    env = write_app(place, port)
    ways = [(tmp_path, ("sub/x/app.py",)), (place, FLASK_RUN), (place, ("app.py",))]
    assert serve_in_turn(tmp_path, ways, port, env) == ["sub/x/instance/app-scheduler.sqlite3"]


def test_a_module_of_a_package_finds_the_same_database_as_a_program_and_under_flask_run(tmp_path: Path) -> None:
    (tmp_path / "pkg").mkdir()
    (tmp_path / "pkg" / "__init__.py").touch()
    port = free_port()
    env = write_app(tmp_path / "pkg", port, "web.py") | environment(tmp_path / "pkg")
    env["PYTHONPATH"] += f":{tmp_path}"
    ways = [
        (tmp_path, ("-m", "pkg.web")),
        (tmp_path, ("-m", "flask", "--app", "pkg.web", "run", "--port", "PORT")),
    ]
    assert serve_in_turn(tmp_path, ways, port, env) == ["instance/pkg.web-scheduler.sqlite3"]


def test_an_instance_folder_that_the_app_chose_is_kept(tmp_path: Path) -> None:
    place, port = tmp_path / "sub", free_port()
    place.mkdir()
    env = write_app(place, port)
    text = (place / "app.py").read_text().replace("(__name__)", f"(__name__, instance_path={str(tmp_path / 'own')!r})")
    (place / "app.py").write_text(text)
    ways = [(tmp_path, ("sub/app.py",)), (place, FLASK_RUN)]
    assert serve_in_turn(tmp_path, ways, port, env) == ["own/app-scheduler.sqlite3"]
