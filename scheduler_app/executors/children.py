"""A child as its parent holds it: made anew with an interpreter of its own, asked, listened to, killed."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict
from enum import Enum
from multiprocessing.connection import Connection
from threading import Lock
from time import sleep
from typing import NamedTuple

from ..clock import monotonic
from ..store import Claim
from .forwarding import log_here
from .wire import END, Birth, Message, order_of, pack, unpack

_CODE = (
    "import json, sys; fd = int(sys.argv[1]); sys.path[:] = json.loads(sys.argv[2]); sys.argv[1:] = [];"
    " from scheduler_app.executors.child import main; main(fd)"
)
EXIT_SECONDS = 5.0
"""How long a child that was told to leave has for its ordinary exit."""

LOOK_SECONDS = 1.0
"""How often it is looked whether a child that runs a job is there still."""

MOST_RECORDS = 1000
"""How many log records of an idle child are taken at a time."""


class How(Enum):
    """How a child got on with an order."""

    ENDED = "it told how the attempt ended"
    NOT_STARTED = "it had gone before it could start"
    UNWANTED = "its claim was asked to stop before it was handed over"
    TIMED_OUT = "its time was over, and it was killed"
    DIED = "it died, or was killed, before the attempt had ended"


class Answer(NamedTuple):
    """A child's answer to an order; `message` is what it told of the end."""

    how: How
    message: Message | None = None


class Child:
    """One process that runs one job at a time. One thread asks it; any thread may kill it.

    It is no `multiprocessing` process: that would run the file again by which this program was started. Nor is it
    forked: locks that another thread holds now would stay held in it. It leads a process group of its own, so that a
    Ctrl-C at the terminal leaves it to its parent, and that a kill takes along what its job has started.
    """

    def __init__(self, birth: Birth) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            self._connection = Connection(ours.detach())
            self._popen = subprocess.Popen(  # noqa: S603 - this interpreter, and this package's own code
                [_python(), "-c", _CODE, str(theirs.fileno()), json.dumps(sys.path)],
                stdin=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                process_group=0,
            )
        self._guard = Lock()
        self._claim: Claim | None = None
        self._is_closed = False
        self._is_at_end = False
        self.count = 0
        """How many jobs it has run."""
        self.is_spent = False
        """Whether it asked to be replaced."""
        self.is_accounted_for = False
        """Whether its end was meant, or told already."""
        self._send(pack(asdict(birth)))

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._popen.pid

    def is_alive(self) -> bool:
        """Whether it has not ended. One that has stays a zombie meanwhile, so that its process group keeps its id."""
        if self._popen.returncode is not None:
            return False
        try:
            return os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None
        except (AttributeError, ChildProcessError):  # there is no waitid here, or the host lets nobody wait
            return self._popen.poll() is None

    def why_it_ended(self) -> str:
        """Say how it ended, waiting for that for a moment: its socket ends a little before it does."""
        deadline = monotonic() + EXIT_SECONDS
        while self.is_alive():
            if monotonic() >= deadline:
                return "it closed its connection"
            sleep(0.002)
        self._kill_group()  # what its job has started must not go on beside the job's next run
        code = self._popen.wait()
        return f"exit code {code}" if code >= 0 else f"killed by {signal.Signals(-code).name}"

    # -- asking ------------------------------------------------------------------------------------

    def wait_until_ready(self, seconds: float) -> str | None:
        """Wait until it has made the app; return None, or what hindered it."""
        deadline = monotonic() + seconds
        while True:
            message = self._receive(deadline)
            if message is None:
                return f"its process ended: {self.why_it_ended()}" if monotonic() < deadline else "it took too long"
            if message["kind"] == "ready":
                return None
            if message["kind"] == "failed":
                return str(message["error"])

    def run(self, claim: Claim, module: str | None, on_started: Callable[[], None]) -> Answer:
        """Have it run a claim; return how that went. Kills it when the claim's timeout is over."""
        with self._guard:
            if self._is_closed:
                return Answer(How.NOT_STARTED)
            if claim.cancelled:  # from here on, who asks for that has it killed
                return Answer(How.UNWANTED)
            self._claim = claim
        try:
            return self._run(claim, module, on_started)
        finally:
            with self._guard:
                self._claim = None
            self.count += 1

    def _run(self, claim: Claim, module: str | None, on_started: Callable[[], None]) -> Answer:
        self._send(order_of(claim, module))
        has_started, deadline = False, float("inf")
        while True:
            message = self._receive(deadline)
            if message is not None and message["kind"] == "ended":
                self.is_spent = message["is_spent"]
                return Answer(How.ENDED, message)
            if monotonic() >= deadline and self.is_alive():
                self.kill()
                return Answer(How.TIMED_OUT)
            if message is None:
                return Answer(How.DIED if has_started else How.NOT_STARTED)
            if message["kind"] == "started":
                has_started = True
                deadline = monotonic() + claim.timeout if claim.timeout is not None else deadline
                on_started()
            elif message["kind"] == "progress":
                claim.tell_progress(message["progress"])

    def listen(self) -> None:
        """Take what it has to say while it has no order: log records, if anything."""
        for _ in range(MOST_RECORDS):
            if self._take(0.0) is None:
                return

    def _send(self, data: bytes) -> None:
        with suppress(OSError):  # it has gone: the next `receive` finds that
            self._connection.send_bytes(data)

    def _receive(self, deadline: float) -> Message | None:
        """Return its next message that is no log record; None when it has gone, or the deadline has come.

        Its end is also looked for, and not only that of its socket, which something that a job started may hold.
        """
        while True:
            was_alive = self.is_alive()
            message = self._take(min(LOOK_SECONDS, max(0.0, deadline - monotonic())))
            if message is not None and message["kind"] != "log":
                return message
            if monotonic() >= deadline or self._is_at_end or (message is None and not was_alive):
                return None

    def _take(self, wait: float) -> Message | None:
        """Return its next message, having dealt with a log record; None when there is none within some seconds."""
        try:
            if not self._connection.poll(wait):
                return None
            message: Message = unpack(self._connection.recv_bytes())
        except (EOFError, OSError):
            self._is_at_end = True
            return None
        if message["kind"] == "log":
            log_here(message)
        return message

    # -- ending ------------------------------------------------------------------------------------

    def kill_if_it_runs(self, claim: Claim) -> None:
        """Kill it if it runs this claim now; one that runs another by then is left alone."""
        with self._guard:
            if self._claim is claim:
                self.kill()

    def close(self) -> None:
        """Have it take no more claims, and kill it if it runs one now."""
        with self._guard:
            self._is_closed = True
            if self._claim is not None:
                self.kill()

    def kill(self) -> None:
        """Kill it, and what its job has started in its process group."""
        if self.is_alive():
            self.is_accounted_for = True
            self._kill_group()

    def _kill_group(self) -> None:
        if self._popen.returncode is None:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, signal.SIGKILL)

    def end(self) -> None:
        """Have it leave through its ordinary exit, and kill it if that takes too long."""
        self.is_accounted_for = True
        self._send(END)
        deadline = monotonic() + EXIT_SECONDS
        while self.is_alive() and monotonic() < deadline:
            sleep(0.002)
        self.kill()
        self.forget()

    def forget(self) -> None:
        """Let go of a child that has ended, or is about to."""
        self._popen.wait()
        self._connection.close()


def _python() -> str:
    """Return the interpreter: where a server embeds it, as uWSGI does, `sys.executable` is that server."""
    name = os.path.basename(sys.executable or "")
    if name.startswith(("python", "pypy")):
        return sys.executable
    return os.path.join(sys.exec_prefix, "bin", "python3")
