"""`flask scheduler` in every app of an environment: found or not, with a scheduler or without, interrupted or piped."""

from __future__ import annotations

import importlib
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner
from flask import Flask
from flask.cli import ScriptInfo

from scheduler_app import Scheduler, cli
from scheduler_app.cli import Exit, scheduler_commands
from scheduler_app.cli.group import Commands
from scheduler_app.client import Client
from tests.unit.cli.conftest import Run, commands_of
from tests.unit.cli.terminal import Terminal

ROOT = Path(__file__).parents[3]
SHOP = """
    import sys

    from flask import Flask
    from scheduler_app import Scheduler

    app = Flask(__name__)
    app.config["SECRET_KEY"] = "0123456789abcdef"
    app.config["SCHEDULER_DATABASE_URL"] = "sqlite:///{folder}/jobs.sqlite3"
    Scheduler(app)

    def sell(n):
        sys.stdout.write(f"sold {{n}}\\n")
"""

Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def stock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Client]:
    """The client of an app that stands in a file, for which three jobs are due."""
    (tmp_path / "shop.py").write_text(textwrap.dedent(SHOP.format(folder=tmp_path)))
    monkeypatch.syspath_prepend(tmp_path)
    shop = importlib.import_module("shop")
    client: Client = shop.app.extensions["scheduler"].client
    client.schedule_many([(0, shop.sell, (n,)) for n in range(3)])
    yield client
    client.store.close()
    del sys.modules["shop"]


@pytest.fixture
def start(stock: Client, tmp_path: Path) -> Iterator[Start]:
    """Starts `flask --app shop ...` in a process of its own, as a person's shell does."""
    started: list[subprocess.Popen[str]] = []

    def start(*words: str, **streams: int) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "flask", "--app", "shop", *words]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | streams
        process: subprocess.Popen[str] = subprocess.Popen(  # type: ignore[call-overload]
            command, cwd=tmp_path, env=environment, text=True, **pipes
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def ended(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    """Return a process's code, output and errors, once it has ended by itself."""
    out, err = process.communicate(timeout=30)
    return process.returncode, out, err


# -- apps ------------------------------------------------------------------------------------------


def test_an_app_without_a_scheduler_is_told_how_to_get_one() -> None:
    done = commands_of(Flask("plain"))("list")
    assert done.exit_code == 1
    assert done.stderr == (
        "Error: The current Flask app has no scheduler."
        " Call 'Scheduler(app)' or 'scheduler.init_app(app)' when the app is made.\n"
    )


def test_without_an_app_flasks_own_sentence_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(scheduler_commands, ["list"], obj=ScriptInfo())
    assert done.exit_code == 2
    assert done.stderr.endswith("or a 'wsgi.py' or 'app.py' file in the current directory.\n")


def test_settings_that_cannot_be_used_are_listed_without_a_traceback() -> None:
    def create_app() -> Flask:
        app = Flask("shop")
        app.config["SCHEDULER_HEARTBIT_SECONDS"] = 5
        Scheduler(app)
        return app

    done = CliRunner().invoke(scheduler_commands, ["list"], obj=ScriptInfo(create_app=create_app))
    assert done.exit_code == 1
    assert done.stderr == (
        "Error: 1 problem in the scheduler's settings:\n"
        "  - SCHEDULER_HEARTBIT_SECONDS is not a setting. Did you mean 'SCHEDULER_HEARTBEAT_SECONDS'?\n"
    )


@pytest.mark.parametrize("words", [["--help"], ["list", "--help"], ["db", "--help"], ["db", "downgrade", "--help"]])
def test_help_needs_no_app(words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(scheduler_commands, words, obj=ScriptInfo())
    assert done.exit_code == 0
    assert done.stdout.startswith("Usage:")


def test_every_command_and_every_option_says_what_it_does() -> None:
    silent = []
    context = click.Context(scheduler_commands)
    for group in (scheduler_commands, scheduler_commands.get_command(context, "db")):
        assert isinstance(group, Commands)
        assert group.list_commands(context)
        for command in group.commands.values():
            silent += [] if command.help else [command.name]
            silent += [p.name for p in command.params if p.param_type_name == "option" and not getattr(p, "help", "")]
    assert silent == []


def test_the_help_names_every_exit_code() -> None:
    shown = " ".join(CliRunner().invoke(scheduler_commands, ["--help"]).stdout.split())
    assert [code for code in Exit if f" {code.value} " not in shown] == []


# -- endings ---------------------------------------------------------------------------------------


def test_ctrl_c_ends_with_130(flask_scheduler: Run, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted() -> dict[str, int]:
        raise KeyboardInterrupt

    monkeypatch.setattr(client, "stats", interrupted)
    done = flask_scheduler("status")
    assert (done.exit_code, done.stderr) == (130, "Interrupted.\n")


def test_a_fresh_process_runs_jobs_and_drains_at_sigterm(start: Start, stock: Client) -> None:
    worker = start("scheduler", "run")
    assert worker.stdout is not None
    assert sorted(worker.stdout.readline() for _ in range(3)) == ["sold 0\n", "sold 1\n", "sold 2\n"]
    worker.send_signal(signal.SIGTERM)
    code, _, err = ended(worker)
    assert code == 0
    assert err.splitlines()[-1] == "Stopped; nothing had to be given back."
    assert stock.stats()["succeeded"] == 3


def test_a_reader_that_has_gone_is_no_reason_for_a_traceback(start: Start) -> None:
    read, write = os.pipe()
    os.close(read)
    listing = start("scheduler", "list", stdout=write)
    os.close(write)
    assert ended(listing)[2] == ""


@pytest.mark.parametrize("words", ["status", "list --format ids", "db history", "doctor"])
def test_a_full_disk_behind_stdout_is_not_the_databases_fault(start: Start, words: str) -> None:
    with open("/dev/full", "w") as full:
        code, _, err = ended(start("scheduler", *words.split(), stdout=full.fileno()))
    assert (code, err) == (1, "Error: Cannot write to stdout: No space left on device.\n")


NO_TEXT = os.fsdecode(b"\xff")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("show", NO_TEXT), "'\\udcff' is no text: its bytes are not UTF-8."),
        (("cancel", NO_TEXT), "is no text"),
        (("schedules", "show", NO_TEXT), "is no text"),
        (("audit", "--actor", NO_TEXT), "is no text"),
        (("add", "mail.send", f"to={NO_TEXT}"), "is no text"),
        (("add", "tests.unit.cli.shop:sell", "--in", "36000d"), "Cannot schedule more than"),
        (("add", "tests.unit.cli.shop:sell", "--tag", ""), "it must be a non-empty string"),
        (("add", "tests.unit.cli.shop:sell", '"\\udcff"'), "cannot be stored"),
        (("prune", "--older-than", "99999999999w", "--yes"), "is longer than 100 years"),
        (("run", "--once", "--drain-timeout", "nan"), "'nan' is not a number of seconds"),
        (("run", "--once", "--drain-timeout", "1e99"), "'1e99' is not a number of seconds"),
        (("status", "--max-lag", "nan"), "'nan' is not a number of seconds"),
        (("status", "--watch", "--every", "inf"), "'inf' is not a number of seconds"),
    ],
)
def test_what_cannot_be_meant_is_wrong_usage(flask_scheduler: Run, words: tuple[str, ...], said: str) -> None:
    done = flask_scheduler(*words)
    assert (done.exit_code, done.stdout) == (2, "")
    assert said in done.stderr


def test_the_oldest_that_can_be_asked_for_is_pruned(flask_scheduler: Run) -> None:
    done = flask_scheduler("prune", "--older-than", "5217w", "--yes")
    assert (done.exit_code, done.stdout) == (0, "0 deleted\n")


def test_in_a_terminal_there_are_colours_unless_no_color_is_set_and_the_table_fits(
    stock: Client, tmp_path: Path
) -> None:
    stock.cancel(stock.list()[0].id)
    terminal = Terminal(tmp_path, [["list"], ["!set", "NO_COLOR", "1"], ["list"]], columns=80)
    coloured = terminal.read_until("[ended with 0]")
    assert "\x1b[90mcancelled\x1b[0m" in coloured
    assert "Left out, because the terminal is narrow: queue, attempt." in coloured
    plain = terminal.read_until("[ended with 0]")
    assert "cancelled" in plain
    assert "\x1b" not in plain
    terminal.close()


def test_downgrade_asks_in_a_terminal_and_takes_no_for_an_answer(stock: Client, tmp_path: Path) -> None:
    terminal = Terminal(tmp_path, [["db", "downgrade"], ["db", "downgrade"]])
    for answer in "ny":
        asked = terminal.read_until("Go on? [y/N]: ")
        assert "3 jobs (3 not finished)" in asked
        terminal.press(f"{answer}\n")
    (_, kept, code), (_, removed, again) = terminal.close()
    assert (code, "Error: Nothing was changed.\n" in kept) == (1, True)
    assert (again, "went from 1_0 to nothing." in removed) == (0, True)


def test_a_server_that_has_the_group_imports_none_of_the_commands_until_one_is_asked_for() -> None:
    script = (
        "import sys, click, flask, scheduler_app\n"
        "app = flask.Flask('a'); scheduler_app.Scheduler(app)\n"
        "asked = lambda: 'scheduler_app.cli.status' in sys.modules\n"
        "group = app.cli.commands['scheduler']\n"
        "print(asked(), group.get_command(click.Context(group), 'status').name, asked())"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "status", "True"]


def test_the_entry_point_names_the_group() -> None:
    assert cli.scheduler_commands is scheduler_commands
    assert scheduler_commands.name == "scheduler"
