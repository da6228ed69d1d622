"""`make run` on a fresh checkout: what is wrong is said at once, in a sentence, before anything is made."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NEEDED = ("Makefile", "pyproject.toml", "requirements-run.lock")
MAKE = shutil.which("make") or ""
pytestmark = pytest.mark.skipif(not MAKE, reason="make is not installed")

NO_VENV = f"""#!/bin/sh
case "$*" in *"-m venv"*) echo "An environment would be made."; exit 9;; esac
exec '{sys.executable}' "$@"
"""
"""A Python that makes no environment."""

OLDER = f"""#!/bin/sh
code=$2; shift 2
exec '{sys.executable}' -c 'import sys; code = sys.argv.pop(1); sys.version_info = (3, 9, 2); exec(code)' "$code" "$@"
"""
"""A Python that takes itself for 3.9.2."""

FLASK = '#!/bin/sh\necho "flask is process $$: $*"\n'

Make = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout without any environment."""
    for name in NEEDED:
        shutil.copy(ROOT / name, tmp_path)
    executable(tmp_path / "python3", NO_VENV)
    return tmp_path


@pytest.fixture
def make(checkout: Path) -> Make:
    """Run make there, by the checkout's own Python."""
    env = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS", "P"))}
    env["PATH"] = os.environ["PATH"]

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        command = [MAKE, "--no-print-directory", *words]
        if not any(word.startswith("PYTHON=") for word in words):
            command.append(f"PYTHON={checkout / 'python3'}")
        return subprocess.run(command, cwd=checkout, env=env, capture_output=True, text=True, timeout=50, check=False)

    return run


@pytest.fixture
def taken() -> Iterator[int]:
    """A port on which another program listens."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


def executable(path: Path, script: str) -> None:
    path.write_text(script)
    path.chmod(0o755)


def make_whole(checkout: Path) -> None:
    """Make what looks like a whole environment, with a `flask` that only tells its process id and its words."""
    (checkout / ".venv/bin").mkdir(parents=True)
    executable(checkout / ".venv/bin/python", f"#!/bin/sh\nexec '{sys.executable}' \"$@\"\n")
    executable(checkout / ".venv/bin/flask", FLASK)
    (checkout / ".venv/.stamp").write_text(f"{checkout.resolve()}\n")


def refused(done: subprocess.CompletedProcess[str], checkout: Path) -> str:
    """Return the first line of what was said, of a make that failed and has made nothing."""
    assert done.returncode == 2
    assert done.stdout == ""
    assert {path.name for path in checkout.iterdir()} == {*NEEDED, "python3"}
    first, *rest = done.stderr.splitlines()
    assert all(line.startswith("make: ***") for line in rest)
    return first


def test_a_taken_port_is_said_before_an_environment_is_made(make: Make, checkout: Path, taken: int) -> None:
    said = refused(make("run", f"PORT={taken}"), checkout)
    assert said == f"Port {taken} is taken; choose another: make run PORT={taken % 65535 + 1}"


@pytest.mark.parametrize("port", ["abc", "0", "65536", "-1", "", "5000.5"])
def test_what_is_no_port_is_said_before_an_environment_is_made(make: Make, checkout: Path, port: str) -> None:
    assert refused(make("run", f"PORT={port}"), checkout) == f"PORT must be a number from 1 to 65535, not {port!r}."


def test_the_port_is_asked_for_first_by_many_hands_too(make: Make, checkout: Path) -> None:
    assert refused(make("-j4", "run", "PORT=abc"), checkout) == "PORT must be a number from 1 to 65535, not 'abc'."


def test_an_older_python_gets_one_sentence(make: Make, checkout: Path) -> None:
    executable(checkout / "python3", OLDER)
    assert refused(make("run"), checkout) == (
        f"scheduler-app needs Python 3.11 or newer, but '{checkout / 'python3'}' is 3.9.2; name another:"
        " make run PYTHON=python3.12"
    )


def test_a_python_that_is_not_there_gets_one_sentence(make: Make, checkout: Path) -> None:
    said = refused(make("run", "PYTHON=no-such-python"), checkout)
    assert said == "There is no 'no-such-python' here; scheduler-app needs Python 3.11 or newer."


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def test_on_a_free_port_the_environment_is_made_next(make: Make) -> None:
    done = make("run", f"PORT={free_port()}")
    assert done.returncode == 2
    assert done.stdout.splitlines() == [
        "Making .venv from requirements-run.lock (once; a minute or so) ...",
        "An environment would be made.",
    ]


@pytest.mark.parametrize("stamp", [None, "", "/elsewhere\n"], ids=["interrupted", "half written", "moved"])
def test_an_environment_that_is_not_whole_is_made_anew(make: Make, checkout: Path, stamp: str | None) -> None:
    make_whole(checkout)
    assert "-m venv .venv" not in make("-n", "run").stdout
    (checkout / ".venv/.stamp").unlink()
    if stamp is not None:
        (checkout / ".venv/.stamp").write_text(stamp)
    shown = make("-n", "run").stdout
    assert f"rm -rf .venv && {checkout / 'python3'} -m venv .venv && " in shown
    assert shown.index("-m venv .venv") < shown.index("exec .venv/bin/flask")


def test_an_environment_whose_python_is_gone_is_made_anew(make: Make, checkout: Path) -> None:
    make_whole(checkout)
    (checkout / ".venv/bin/python").unlink()
    assert "rm -rf .venv && " in make("-n", "run").stdout


def test_the_server_takes_the_place_of_the_process_whose_id_is_printed(make: Make, checkout: Path) -> None:
    make_whole(checkout)
    port = free_port()
    done = make("run", f"PORT={port}", "PYTHON=no-such-python")  # needed no more
    serving, flask = done.stdout.splitlines()
    number = serving.removeprefix(f"Serving http://127.0.0.1:{port} as process ").removesuffix("; Ctrl-C stops it.")
    assert number.isdecimal()
    assert flask == (
        f"flask is process {number}: --app scheduler_app --no-debug run --no-reload --host 127.0.0.1 --port {port}"
    )
