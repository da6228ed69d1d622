"""Real processes: started on a free port in a session of their own, waited for with a deadline, and all killed."""

from __future__ import annotations

import os
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import httpx

ROOT = Path(__file__).parents[2]
PATIENCE_SECONDS = 30.0
"""Far more than anything waited for takes, on a machine that is busy with other work."""
LOOK_SECONDS = 0.02
NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""For a client that speaks plain HTTP: reading all certificate authorities takes longer than a request."""

T = TypeVar("T")


def until(look: Callable[[], T], what: str, seconds: float = PATIENCE_SECONDS) -> T:
    """Look again and again until what is seen is true, and return it; fail with `what` after so many seconds."""
    deadline = time.monotonic() + seconds
    while not (seen := look()):
        assert time.monotonic() < deadline, f"Waited {seconds:g} s in vain: {what}; the last look saw {seen!r}."
        time.sleep(LOOK_SECONDS)
    return seen


def free_port() -> int:
    """Return a port of 127.0.0.1 that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@dataclass
class Process:
    """A process under test, the leader of its own session."""

    popen: subprocess.Popen[bytes]
    log: Path
    port: int

    @property
    def pid(self) -> int:
        return self.popen.pid

    def said(self) -> str:
        """Return everything that it and its children have written."""
        return self.log.read_text(errors="replace")

    def children(self) -> set[int]:
        """Return the pids of its children that live."""
        tasks = Path(f"/proc/{self.pid}/task").glob("*/children")
        return {int(pid) for task in tasks for pid in _read(task).split()}

    def get(self, path: str) -> httpx.Response:
        """Send a GET."""
        return self._ask("GET", path)

    def post(self, path: str, **query: object) -> httpx.Response:
        """Send a POST with a query and no body."""
        return self._ask("POST", path, **query)

    def status(self, path: str, **query: object) -> int:
        """Send a GET and return the status of its answer, whatever that is."""
        return self._send("GET", path, **query).status_code

    def _ask(self, method: str, path: str, **query: object) -> httpx.Response:
        answer = self._send(method, path, **query)
        assert answer.is_success, f"{method} {path}: {answer.status_code}\n{answer.text}\n{self.said()}"
        return answer

    def _send(self, method: str, path: str, **query: object) -> httpx.Response:
        # No connection is kept: gunicorn's processes are to take turns, and sync workers close anyway.
        return httpx.request(
            method,
            f"http://127.0.0.1:{self.port}{path}",
            params={name: str(value) for name, value in query.items()},
            headers={"Connection": "close"},
            timeout=PATIENCE_SECONDS,
            trust_env=False,
            verify=NO_TLS,
        )

    def wait_until_it_answers(self) -> None:
        """Return once it answers a request; fail if it ends before, or does not in time."""

        def answers() -> bool:
            assert self.popen.poll() is None, f"It ended with {self.popen.returncode}:\n{self.said()}"
            with socket.socket() as probe:
                return probe.connect_ex(("127.0.0.1", self.port)) == 0

        until(answers, f"a server on port {self.port}")

    def send(self, number: int) -> None:
        """Send a signal to it, and not to its children."""
        os.kill(self.pid, number)

    def wait(self, seconds: float = PATIENCE_SECONDS) -> int:
        """Wait for its end and return its exit code, negative for a signal as in `subprocess`."""
        try:
            return self.popen.wait(seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"It did not end within {seconds:g} s:\n{self.said()}") from None

    def kill(self) -> None:
        """Kill it and all of its session with SIGKILL, and wait for it."""
        # The leader's id stands for the group for as long as any member lives, also after its own end.
        try:
            os.killpg(self.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.popen.wait()


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:  # a thread or a process that ended meanwhile
        return ""


def environment(folder: Path, **extra: str) -> dict[str, str]:
    """Return this environment for a process in `folder`, which imports this checkout and what lies there."""
    paths = [str(ROOT), str(folder)]
    return os.environ | {"PYTHONPATH": os.pathsep.join(paths), "PYTHONUNBUFFERED": "1"} | extra


@contextmanager
def running(
    *command: str, folder: Path, env: Mapping[str, str], stdin: str = "", name: str = "process"
) -> Iterator[Process]:
    """Run ``python COMMAND`` in `folder`, with `PORT` in the command replaced by a free port; kill it at the end."""
    port = free_port()
    log = folder / f"{name}-{port}.log"
    arguments = [part.replace("PORT", str(port)) for part in command]
    source = folder / f"{name}-{port}.stdin"
    source.write_text(stdin)
    with log.open("wb") as out, source.open("rb") as given:
        popen = subprocess.Popen(
            [sys.executable, *arguments],
            cwd=folder, env=dict(env), stdin=given, stdout=out, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
    process = Process(popen, log, port)
    try:
        yield process
    finally:
        process.kill()
