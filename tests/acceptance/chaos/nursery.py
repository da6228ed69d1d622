"""Brings up processes under test fast: one process imports everything once and then forks, with no thread of its own.

It alone signals its children, while they cannot have been reaped: so no signal ever reaches a stranger, and each kill
stands in the history before it is done.
"""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tests.acceptance.processes import ROOT, until

from .journal import Journal
from .worker import Options, run

LOOK_SECONDS = 0.01


class Nursery:
    """The test's side: asks for processes and signals, and knows who is alive."""

    def __init__(self, popen: subprocess.Popen[bytes]) -> None:
        self._popen = popen
        self.alive: dict[int, Options] = {}

    def spawn(self, options: Options) -> int:
        """Bring up a process; return its pid."""
        pid: int = self._ask(verb="spawn", options=asdict(options))["pid"]
        self.alive[pid] = options
        return pid

    def signal(self, pid: int, number: int, point: str = "outside") -> None:
        """Send a signal to a process, unless it is dead already; a kill is written down first, with its place."""
        self._ask(verb="signal", pid=pid, number=int(number), point=point)

    def kill(self, pid: int) -> None:
        """Kill a process and wait until it is dead."""
        self.signal(pid, signal.SIGKILL)
        self.await_death(pid)

    def bury(self) -> list[tuple[int, Options]]:
        """Return the processes that have died since the last call."""
        dead: list[int] = self._ask(verb="dead")["dead"]
        return [(pid, self.alive.pop(pid)) for pid in dead]

    def await_death(self, pid: int, seconds: float = 30.0) -> None:
        """Wait until a process is dead, but no longer than so many seconds."""
        until(lambda: self._is_buried(pid), f"process {pid} dies", seconds)

    def _is_buried(self, pid: int) -> bool:
        self.bury()
        return pid not in self.alive

    def _ask(self, **request: Any) -> dict[str, Any]:
        assert self._popen.stdin is not None
        assert self._popen.stdout is not None
        self._popen.stdin.write(json.dumps(request).encode() + b"\n")
        self._popen.stdin.flush()
        answer: dict[str, Any] = json.loads(self._popen.stdout.readline())
        return answer


@contextmanager
def nursery(folder: Path) -> Iterator[Nursery]:
    """Yield a nursery whose processes write to `folder`; all of them are killed in the end."""
    command = [sys.executable, "-m", "tests.acceptance.chaos.nursery", str(folder)]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as popen:
        try:
            yield Nursery(popen)
        finally:
            assert popen.stdin is not None
            popen.stdin.close()
            popen.wait(timeout=30)


# -- the nursery's own process -----------------------------------------------------------------------


class _Children:
    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._journal = Journal(folder, f"nursery-{os.getpid()}")
        self._alive: set[int] = set()
        self._dead: list[int] = []

    def answer(self, request: dict[str, Any]) -> dict[str, Any] | Options:
        """Do what is asked, and answer; in a new child, return what it is to be instead."""
        verb = request["verb"]
        if verb == "spawn":
            return self._spawn(Options(**request["options"]))
        if verb == "signal":
            self._signal(request["pid"], request["number"], request["point"])
            return {}
        self.reap()
        dead, self._dead = self._dead, []
        return {"dead": dead}

    def _spawn(self, options: Options) -> dict[str, Any] | Options:
        pid = os.fork()
        if pid == 0:
            return options
        self._alive.add(pid)
        return {"pid": pid}

    def _signal(self, pid: int, number: int, point: str) -> None:
        self.reap()
        if pid in self._alive:
            if number == signal.SIGKILL:
                self._journal.write("kill", victim=pid, point=point)
            os.kill(pid, number)

    def reap(self) -> None:
        """Note who has died."""
        for pid in tuple(self._alive):
            done, status = os.waitpid(pid, os.WNOHANG)
            if done:
                self._alive.discard(pid)
                self._dead.append(pid)
                self._journal.write("died", victim=pid, status=status)

    def kill_all(self) -> None:
        """Kill and reap everyone, as if at once: none may live on for a moment and take over what another held."""
        for number in (signal.SIGSTOP, signal.SIGKILL):
            for pid in self._alive:
                os.kill(pid, number)
        for pid in self._alive:
            os.waitpid(pid, 0)


def _serve(folder: Path) -> Options | None:
    """Answer requests until there are no more. Returns what to be in a child, and None in the parent."""
    children = _Children(folder)
    pending = b""
    while True:
        if select.select([0], [], [], LOOK_SECONDS)[0]:
            read = os.read(0, 1 << 16)
            if not read:
                children.kill_all()
                return None
            *requests, pending = (pending + read).split(b"\n")
            for request in requests:
                answer = children.answer(json.loads(request))
                if isinstance(answer, Options):
                    return answer
                os.write(1, json.dumps(answer).encode() + b"\n")
        children.reap()


def _turn_away(folder: Path) -> None:
    """In a child: leave the nursery's pipes alone, and say everything into a file."""
    nothing = os.open(os.devnull, os.O_RDONLY)
    log = os.open(folder / f"{os.getpid()}.log", os.O_CREAT | os.O_APPEND | os.O_WRONLY, 0o644)
    os.dup2(nothing, 0)
    os.dup2(log, 1)
    os.dup2(log, 2)


if __name__ == "__main__":
    _folder = Path(sys.argv[1])
    _options = _serve(_folder)
    if _options is not None:
        _turn_away(_folder)
        run(_options)
