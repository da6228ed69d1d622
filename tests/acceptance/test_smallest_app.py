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


def sent(folder: Path) -> list[str]:
    path = folder / "sent"
    return path.read_text().splitlines() if path.exists() else []


def schedule(process: Process, seconds: int, name: str) -> None:
    process.wait_until_it_answers()
    assert process.post(f"/{seconds}/{name}").text == "scheduled"


def write_app(folder: Path, port: int = 5000) -> dict[str, str]:
    (folder / "app.py").write_text(APP.replace("PORT", str(port)))
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
