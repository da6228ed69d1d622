"""The guides of those who come from APScheduler or Flask-APScheduler do as they say: block, command and message."""

from __future__ import annotations

import json
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import httpx
import pytest

from tests.acceptance.guides import Guide, code, words
from tests.acceptance.processes import NO_TLS, PATIENCE_SECONDS, Process, environment, running, until


def run(folder: Path, *command: str) -> Process:
    """Run one command to its end in the folder, and return the process."""
    with running(*command, folder=folder, env=environment(folder), name=command[-1].replace("/", "-")) as process:
        assert process.wait() == 0, process.said()
    return process


def said(process: Process, line: str) -> int:
    """Return how often a process wrote this line."""
    return process.said().splitlines().count(line)


def names(folder: Path) -> list[str]:
    """Return the names of the schedules in the guide's database."""
    with closing(sqlite3.connect(folder / "instance" / "jobs.sqlite3")) as database:
        return [name for (name,) in database.execute("SELECT name FROM scheduler_schedules ORDER BY name")]


REFUSALS = """
import json
from functools import partial

import jobs
from apscheduler.executors.pool import ProcessPoolExecutor
from apscheduler.triggers.combining import OrTrigger
from apscheduler.triggers.cron import CronTrigger
from apscheduler.triggers.interval import IntervalTrigger
from flask import Flask
from scheduler_app import Scheduler

app = Flask(__name__)
app.config.from_object("settings")
scheduler = Scheduler(app).aps


class Own(CronTrigger):
    pass


def refusal(line):
    try:
        exec(line)
    except Exception as error:
        return " ".join(str(error).split())
    return "it is not refused"


lines = json.load(open("refusals.json"))
before = {line: refusal(line) for line in lines if line.startswith("scheduler.configure")}
scheduler.start(paused=True)
print(json.dumps([before.get(line) or refusal(line) for line in lines]))
scheduler.shutdown()
"""

ON_TOP_REFUSALS = """
import json
import logging

from flask import Flask
from flask_apscheduler import APScheduler
from scheduler_app import Scheduler

told = []
logging.getLogger("scheduler_app").addHandler(logging.Handler())
logging.getLogger("scheduler_app").handlers[0].emit = lambda record: told.append(record.getMessage())


def refusal(line):
    told.clear()
    app = Flask(__name__)
    config = app.config
    exec(line)
    try:
        APScheduler(scheduler=Scheduler(app).aps).init_app(app)
    except Exception as error:
        return " ".join(str(error).split())
    return " ".join(told)


print(json.dumps([refusal(line) for line in json.load(open("refusals.json"))]))
"""


def test_from_apscheduler_as_it_stands(tmp_path: Path) -> None:
    guide = Guide.read("from-apscheduler.md")
    guide.write(tmp_path)
    flask = ("-m", "flask", "--app", "before", "run", "--port", "PORT")
    with running(*flask, folder=tmp_path, env=environment(tmp_path), name="before") as before:
        before.wait_until_it_answers()
        before.post("/orders/1")
        until(lambda: said(before, "reminded of order 1"), "a job of stock APScheduler")
        before.post("/orders/2")  # and the old app is stopped before it is due
    assert not said(before, "reminded of order 2")

    [dry, adopt, serve, export, bring_over] = guide.commands()
    assert (dry, adopt[0], serve[0]) == ([*adopt, "--dry-run"], "flask", "gunicorn")
    shown = run(tmp_path, "-m", *dry, "--yes").said()
    assert "Nothing was stored" in shown
    assert names(tmp_path) == []
    assert "3 adopted, 0 there already, 0 refused." in run(tmp_path, "-m", *adopt, "--yes").said()
    assert names(tmp_path) == ["nightly", "tidy"]

    with running(
        "-m", *serve, "-b", "127.0.0.1:PORT", folder=tmp_path, env=environment(tmp_path), name="after"
    ) as after:
        after.wait_until_it_answers()
        after.post("/orders/3")
        for order in (2, 3):
            until(lambda order=order: said(after, f"reminded of order {order}"), f"order {order}\n{after.said()}")
        assert names(tmp_path) == ["nightly", "tidy"]
        assert (said(after, "reminded of order 2"), said(after, "reminded of order 3")) == (1, 1)
        assert "left out" not in after.said()

    shutil.rmtree(tmp_path / "instance")
    assert (export[0], bring_over[0]) == ("python", "python")
    run(tmp_path, *export[1:])
    exported = json.loads((tmp_path / "exported.json").read_text())
    assert {job["id"] for job in exported["jobs"]} > {"nightly", "tidy"}
    assert "nightly" in run(tmp_path, *bring_over[1:]).said()
    assert len(names(tmp_path)) == 3


def test_from_flask_apscheduler_as_it_stands_with_it_and_later_without(tmp_path: Path) -> None:
    guide = Guide.read("from-flask-apscheduler.md")
    guide.write(tmp_path)
    [gunicorn] = guide.commands()
    flask = ["flask", "--app", "without", "run", "--port", "PORT"]
    for app, command in {"app": [*gunicorn, "-b", "127.0.0.1:PORT"], "without": flask}.items():
        with running("-m", *command, folder=tmp_path, env=environment(tmp_path), name=app) as process:
            process.wait_until_it_answers()
            process.post("/orders/7")
            until(lambda process=process: said(process, "tidied") >= 2, f"two fire times\n{process.said()}")
            until(lambda process=process: said(process, "reminded of order 7"), process.said())
            assert names(tmp_path) == ["nightly", "tidy"]
            if app == "app":
                check_its_api(process)
            assert "left out" not in process.said()
        assert said(process, "reminded of order 7") == 1


def test_from_flask_apscheduler_has_a_factory_that_works(tmp_path: Path) -> None:
    Guide.read("from-flask-apscheduler.md").write(tmp_path)
    flask = ("-m", "flask", "--app", "factory", "run", "--port", "PORT")
    with running(*flask, folder=tmp_path, env=environment(tmp_path), name="factory") as process:
        until(lambda: said(process, "tidied") >= 2, f"two fire times\n{process.said()}")
        assert names(tmp_path) == ["nightly", "tidy"]


def check_its_api(process: Process) -> None:
    """Ask the API as nobody, as one with a wrong password, and as one who may."""
    address = f"http://127.0.0.1:{process.port}/apscheduler/jobs"
    given = [None, ("ada", "a guess"), ("ada", "a password of hers")]
    answers = [
        httpx.get(address, auth=auth, timeout=PATIENCE_SECONDS, trust_env=False, verify=NO_TLS) for auth in given
    ]
    assert [answer.status_code for answer in answers] == [401, 401, 200]
    assert {"nightly", "tidy"} <= {job["id"] for job in answers[-1].json()}


def test_from_flask_apscheduler_begins_with_an_app_that_runs(tmp_path: Path) -> None:
    Guide.read("from-flask-apscheduler.md").write(tmp_path)
    flask = ("-m", "flask", "--app", "before", "run", "--port", "PORT")
    with running(*flask, folder=tmp_path, env=environment(tmp_path), name="before") as before:
        before.wait_until_it_answers()
        before.post("/orders/1")
        for line in ("tidied", "reminded of order 1"):
            until(lambda line=line: said(before, line), f"{line}\n{before.said()}")


@pytest.mark.parametrize(
    ("name", "after"),
    [("from-apscheduler.md", ["app.py", "settings.py"]), ("from-flask-apscheduler.md", ["app.py"])],
)
def test_a_guide_says_of_each_line_what_the_two_apps_have(name: str, after: list[str]) -> None:
    guide = Guide.read(name)
    files = guide.files()
    old = {line.strip() for line in files["before.py"].splitlines()}
    new = {line.strip() for file in after for line in files[file].splitlines()}
    table = guide.table("Line for line")
    assert {code(wrote) for wrote, _, _ in table} <= old | {""}
    assert {code(writes) for _, writes, _ in table} <= new | {""}


@pytest.mark.parametrize(
    ("name", "script"), [("from-apscheduler.md", REFUSALS), ("from-flask-apscheduler.md", ON_TOP_REFUSALS)]
)
def test_a_guide_says_of_each_refusal_what_is_said(name: str, script: str, tmp_path: Path) -> None:
    guide = Guide.read(name)
    guide.write(tmp_path)
    (tmp_path / "app.py").write_text(script)
    table = guide.table("What is refused")
    (tmp_path / "refusals.json").write_text(json.dumps([code(line) for line, _ in table]))
    heard = json.loads(run(tmp_path, "app.py").said().splitlines()[-1])
    assert heard == [words(sentence) for _, sentence in table]
