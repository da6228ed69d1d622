"""Every command in a real terminal, and, where it differs, in a pipe: what stands there, and how it ends."""

from __future__ import annotations

import importlib
import json
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from scheduler_app.cli import scheduler_commands
from scheduler_app.client import Client, Declaration
from tests.unit.cli.terminal import ROOT, Terminal

SHOP = """
    from time import sleep

    from flask import Flask
    from scheduler_app import Scheduler, current_job, task

    app = Flask("shop")
    app.config["SECRET_KEY"] = "0123456789abcdef"
    app.config["SCHEDULER_ROLE"] = "client"
    app.config["SCHEDULER_DATABASE_URL"] = "sqlite:///{folder}/jobs.sqlite3"
    app.config["SCHEDULER_POLL_SECONDS"] = 0.05
    Scheduler(app)

    @task(name="shop.sell")
    def sell(n):
        current_job.progress(n, 10, "sold")
        while n < 0:
            current_job.raise_if_cancelled()
            sleep(0.01)
        if n == 0:
            raise ValueError("nothing to sell")
        return {{"sold": n}}
"""


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Client]:
    """The client of an app that stands in a file, with a job and a schedule."""
    (tmp_path / "shop.py").write_text(textwrap.dedent(SHOP.format(folder=tmp_path)))
    monkeypatch.syspath_prepend(tmp_path)
    module = importlib.import_module("shop")
    parts = module.app.extensions["scheduler"]
    client: Client = parts.client
    client.schedule_after(3600, module.sell, (1,), {})
    parts.recurring.upsert(Declaration(module.sell, args=(1,), every={"hours": 1}, name="hourly"))
    yield client
    client.store.close()
    del sys.modules["shop"]


def test_every_command_in_a_terminal(shop: Client, tmp_path: Path) -> None:
    job = shop.list()[0].id
    cases: list[tuple[str, int, str]] = [
        ("add shop.sell 2 --in 1h", 0, "It is due at "),
        ("add shop.sel 2", 3, "Did you mean 'shop.sell'?"),
        ("add shop.sell", 2, "missing a required argument: 'n'"),
        ("adopt no_such_table --yes", 3, "no_such_table"),
        ("audit --limit 1", 0, "job.add"),
        ("check", 0, "Checked 2 waiting jobs and 1 schedule: all of them could run here."),
        ("audit --action job.add", 0, "job.add"),
        ("adopt no_such_table", 3, "no_such_table"),
        ("openapi", 0, '"openapi": "3.1.0"'),
        ("config", 0, "SCHEDULER_ROLE                             client"),
        ("doctor", 0, "warning  roles"),
        ("doctor --strict", 1, "0 errors, "),
        ("list", 0, "TASK"),
        ("show {job}", 0, "arguments     (1)"),
        ("why {job}", 0, "No worker is alive"),
        ("status", 0, "nothing is due"),
        ("status --watch --max-lag 1", 2, "choose one"),
        ("tasks", 0, "shop.sell"),
        ("queues", 0, "default"),
        ("workers", 0, "No worker is alive."),
        ("schedules list", 0, "hourly"),
        ("schedules show hourly", 0, "fires"),
        ("schedules preview hourly --count 2", 0, "FIRE TIME"),
        ("schedules pause hourly", 0, "hourly paused"),
        ("schedules resume hourly", 0, "hourly fires next"),
        ("pause {job}", 0, "paused"),
        ("resume {job}", 0, job),
        ("reschedule {job} --in 2h", 0, "due at"),
        ("run-now {job}", 0, "due at"),
        ("run --once --http 127.0.0.1:0", 0, "Answering /livez and /readyz at http://127.0.0.1:"),
        ("retry {job}", 4, "'succeeded'"),
        ("release {job}", 4, "'succeeded'"),
        ("cancel {job}", 4, "'succeeded'"),
        ("schedules run-now hourly", 0, "-7"),
        ("schedules remove hourly --yes", 0, "hourly removed"),
        ("prune --older-than 1d --yes", 0, "0 deleted"),
        ("db check", 0, "as they should be, at revision 1_0."),
        ("db current", 0, "1_0"),
        ("db history", 0, "1_0"),
        ("no-such-command", 2, "No such command"),
    ]  # fmt: skip
    terminal = Terminal(tmp_path, [typed.format(job=job).split() for typed, *_ in cases])
    ended = terminal.close()
    wrong = [
        (typed, code, shown)
        for (typed, shown, code), (_, expected, words) in zip(ended, cases, strict=True)
        if code != expected or words not in shown
    ]
    assert wrong == []
    tried = {typed.split()[0] for typed, *_ in cases}
    assert set(scheduler_commands.list_commands(click.Context(scheduler_commands))) - tried == set()
    assert "\x1b[32mok" in terminal.shown


@pytest.mark.parametrize("rich", [True, False], ids=["rich", "plain"])
def test_progress_is_drawn_and_ctrl_c_ends_what_goes_on(shop: Client, tmp_path: Path, rich: bool) -> None:
    if not rich:
        (tmp_path / "rich.py").write_text("raise ImportError('rich is not installed')\n")
    terminal = Terminal(
        tmp_path,
        [
            ["!start"],
            ["add", "shop.sell", "7", "--wait"],
            ["add", "shop.sell", "0", "--wait"],
            ["add", "--wait", "shop.sell", "--", "-1"],
            ["status", "--watch", "--every", "0.05"],
            ["cancel", "--tag", "none", "--yes"],
            ["!stop"],
        ],
    )
    terminal.read_until("-1 of 10: sold")
    running = shop.list(limit=1)[0]
    terminal.press("\x03")
    terminal.read_until("[ended with 130]")
    terminal.read_until("running")
    terminal.read_until("running")
    shop.cancel(running.id)
    terminal.read_until("\x1b[90m1\x1b[0m")  # how many were cancelled, in that state's colour
    terminal.press("\x03")
    well, ill, left, watched, _ = terminal.close()
    assert json.loads(well[1][well[1].index("{") : well[1].index("}") + 1]) == {"sold": 7}
    assert (well[2], "It succeeded." in well[1]) == (0, True)
    assert (ill[2], "It failed: ValueError: nothing to sell." in ill[1]) == (1, True)
    assert (left[2], "The job goes on; see how far it is with" in left[1]) == (130, True)
    assert (watched[2], "Interrupted." in watched[1]) == (130, True)


def test_in_a_pipe_each_look_is_a_line_and_data_is_apart_from_notes(shop: Client, tmp_path: Path) -> None:
    watching = subprocess.Popen(
        [sys.executable, "-m", "flask", "--app", "shop", "scheduler", "status", "--watch", "--every", "0.05",
         "--format", "json"],
        cwd=tmp_path, env={"PYTHONPATH": str(ROOT)}, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    assert watching.stdout is not None
    looks = [json.loads(watching.stdout.readline()) for _ in range(2)]
    watching.send_signal(signal.SIGINT)
    _, notes = watching.communicate(timeout=30)
    assert [look["jobs"]["scheduled"] for look in looks] == [1, 1]
    assert (watching.returncode, notes) == (130, "Interrupted.\n")
