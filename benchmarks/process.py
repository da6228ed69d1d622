"""Sides run in processes of their own: `Process` starts one here, `serve` is the other end of it.

A side is a function of one module, `side(port, url, **options) -> figures`. Where it needs to be told
something in between, it calls `port.ready()`, which answers once the parent says `go()`.
"""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

ROOT = Path(__file__).resolve().parent.parent
Side = Callable[..., dict[str, Any]]
END_SECONDS = 60


class Port:
    """A side's way to its parent."""

    def __init__(self, out: IO[str], into: IO[str]) -> None:
        self._out, self._into = out, into

    def ready(self, **facts: Any) -> None:
        """Tell the parent that all is set up, and wait for its word to go on."""
        self.say({"ready": facts})
        if not self._into.readline():
            raise SystemExit("the parent is gone")

    def say(self, message: dict[str, Any]) -> None:
        """Send one message."""
        self._out.write(json.dumps(message) + "\n")
        self._out.flush()


def serve(arguments: list[str]) -> None:
    """Run the side that the arguments name (module, function, options as JSON), and send what it measured."""
    module, function, options = arguments
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever else is printed here must not get between the messages
    side: Side = getattr(importlib.import_module(f"benchmarks.{module}"), function)
    port = Port(out, sys.stdin)
    port.say({"result": side(port, **json.loads(options))})


class Process:
    """One side, running in a process of its own."""

    def __init__(self, module: str, function: str, **options: Any) -> None:
        command = [sys.executable, "-m", "benchmarks.process", module, function, json.dumps(options)]
        self.name = f"{module}.{function}"
        self._child = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def wait_ready(self) -> dict[str, Any]:
        """Wait until the side is set up; return the facts that it tells."""
        facts: dict[str, Any] = self._message()["ready"]
        return facts

    def go(self) -> None:
        """Have a side that is ready go on."""
        assert self._child.stdin is not None
        self._child.stdin.write("go\n")
        self._child.stdin.flush()

    def result(self) -> dict[str, Any]:
        """Wait for the end of the side and return what it measured."""
        message = self._message()
        if "ready" in message:
            self.go()
            return self.result()
        result: dict[str, Any] = message["result"]
        return result

    def end(self) -> None:
        """Let the process end, or kill it when it does not within a minute."""
        assert self._child.stdin is not None
        assert self._child.stdout is not None
        self._child.stdin.close()
        try:
            self._child.wait(timeout=END_SECONDS)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait()
        self._child.stdout.close()

    def _message(self) -> dict[str, Any]:
        assert self._child.stdout is not None
        line = self._child.stdout.readline()
        if not line:
            code = self._child.wait()
            raise RuntimeError(f"{self.name} ended with {code} before it said what it measured; see above.")
        message: dict[str, Any] = json.loads(line)
        return message

    def __enter__(self) -> Process:
        return self

    def __exit__(self, failed: object, *_: object) -> None:
        if failed:
            self._child.kill()
        self.end()


def run(module: str, function: str, **options: Any) -> dict[str, Any]:
    """Run a side in a process of its own and return what it measured."""
    with Process(module, function, **options) as process:
        return process.result()


if __name__ == "__main__":
    serve(sys.argv[1:])
