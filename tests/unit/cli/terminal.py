"""A real terminal: `flask scheduler` in a process behind a pseudo-terminal, as in a person's own."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import subprocess
import sys
import termios
import time
from fcntl import ioctl
from pathlib import Path
from struct import pack

ROOT = Path(__file__).parents[3]
SECONDS = 30.0
LINES = 50

_DRIVER = """
import fcntl, json, os, signal, sys, termios

fcntl.ioctl(0, termios.TIOCSCTTY, 0)  # Ctrl-C comes from the terminal that is controlled
from flask.cli import ScriptInfo
from shop import app
from scheduler_app.cli import scheduler_commands

for words in json.loads(sys.argv[1]):
    if words[0] == "!start":
        app.extensions["scheduler"].start()
        continue
    if words[0] == "!set":
        os.environ[words[1]] = words[2]
        continue
    if words[0] == "!stop":
        app.extensions["scheduler"].aps.shutdown()
        continue
    signal.signal(signal.SIGINT, signal.default_int_handler)
    print("$", *words, flush=True)
    try:
        scheduler_commands.main(words, prog_name="flask scheduler", obj=ScriptInfo(create_app=lambda: app))
    except SystemExit as end:
        print(f"[ended with {end.code or 0}]", flush=True)
"""
_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


class Terminal:
    """One process that runs commands one after the other in a terminal; starting it takes a second.

    Beside commands: "!start" and "!stop" of the app's loop, and "!set" of a variable of the environment.
    """

    def __init__(self, folder: Path, commands: list[list[str]], columns: int = 140) -> None:
        self._ours, theirs = pty.openpty()
        ioctl(theirs, termios.TIOCSWINSZ, pack("HHHH", LINES, columns, 0, 0))
        self._process = subprocess.Popen(
            [sys.executable, "-c", _DRIVER, json.dumps(commands)],
            stdin=theirs, stdout=theirs, stderr=theirs, cwd=folder, start_new_session=True,
            env={**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{folder}", "TERM": "xterm-256color"},
        )  # fmt: skip
        os.close(theirs)
        self._told = 0
        self.shown = ""
        """All that has come so far, with what steers the terminal."""

    def read_until(self, words: str) -> str:
        """Return what has come since what the last call returned, up to some words. Fails where they do not come."""
        begin, deadline = self._told, time.monotonic() + SECONDS
        while (found := self.shown.find(words, begin)) < 0:
            assert time.monotonic() < deadline, f"{words!r} did not come: {self.shown[begin:]}"
            if not self._read():
                raise AssertionError(f"it ended before {words!r} came: {self.shown[begin:]}")
        self._told = found + len(words)
        return self.shown[begin : self._told]

    def press(self, keys: str) -> None:
        """Type something."""
        os.write(self._ours, keys.encode())

    def close(self) -> list[tuple[str, str, int]]:
        """Return, of each command once all have ended: what was typed, what stood there (plainly), and its code."""
        while self._read():
            pass
        self._process.wait(SECONDS)
        os.close(self._ours)
        plain = _ESCAPES.sub("", self.shown.replace("\r\n", "\n"))
        found = re.findall(r"^\$ (.*)\n((?:.*\n)*?).*\[ended with (\d+)\]$", plain, re.MULTILINE)
        return [(typed, shown, int(code)) for typed, shown, code in found]

    def _read(self) -> bool:
        if not select.select([self._ours], [], [], SECONDS)[0]:
            self._process.kill()
            raise AssertionError(f"nothing came any more: {self.shown}")
        try:
            self.shown += os.read(self._ours, 4096).decode(errors="replace")
        except OSError:  # so Linux tells that the other side is closed
            return False
        return True
