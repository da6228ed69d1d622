"""The main function of a child: it makes the app once, runs the jobs that are handed to it, and tells how each ended.

It opens no connection to the database for that, and runs no loop. It dies with its parent, whatever it is doing.
"""

from __future__ import annotations

import ctypes
import importlib
import logging
import os
import signal
import sys
from dataclasses import replace
from multiprocessing.connection import Connection
from queue import SimpleQueue
from threading import Lock, Thread
from typing import Any, Protocol, cast

from flask import Flask
from flask.cli import ScriptInfo

from ..clock import Clock, host_now
from ..errors import AppInChildError, UnknownTaskError
from ..jobs import Outcome
from ..outcomes import Result
from ..serving import be_handed_jobs
from ..store import Claim
from .forwarding import ForwardingHandler
from .memory import limited
from .runner import Runner, one_line
from .wire import Birth, Message, ended_of, facts_of, pack, unpack

_PR_SET_PDEATHSIG = 1
_OUT_OF_MEMORY = "builtins:MemoryError"


class MakesRunner(Protocol):
    """What an app's scheduler is to a child."""

    def make_runner(self) -> Runner:
        """Return what runs claims in this process."""
        ...


class Link:
    """The child's end of the socket. Safe from any thread."""

    def __init__(self, fd: int) -> None:
        self._connection, self._pid = Connection(fd), os.getpid()
        self._sending = Lock()
        self._orders: SimpleQueue[Message | None] = SimpleQueue()

    def receive(self) -> Any:
        """Return the next message of the parent."""
        return unpack(self._connection.recv_bytes())

    def listen(self) -> None:
        """From here on receive in a thread of its own, which ends this process when the parent has gone."""
        Thread(target=self._listen, name="scheduler-link", daemon=True).start()

    def _listen(self) -> None:
        try:
            while True:
                self._orders.put(self.receive())
        except (EOFError, OSError):
            os._exit(1)

    def next_order(self) -> Message | None:
        """Wait for an order; None when this process is to end."""
        return self._orders.get()

    def send(self, data: bytes) -> bool:
        """Tell the parent something; False in a process that a job forked, of which the parent knows nothing."""
        if os.getpid() != self._pid:
            return False
        with self._sending:
            self._connection.send_bytes(data)
        return True


class HandedClaim(Claim):
    """A claim in the child: what it says of its progress goes to the parent, whose loop stores it."""

    __slots__ = ("link",)
    link: Link

    def tell_progress(self, progress: str) -> None:
        super().tell_progress(progress)
        self.link.send(pack({"kind": "progress", "progress": progress}))


def main(fd: int) -> None:
    """Be a child, until the parent says that it is over, or has gone."""
    link = Link(fd)
    birth = Birth(**link.receive())
    _die_with(birth.parent)
    _leave_signals_to_parent()
    link.listen()
    be_handed_jobs()
    _forward_logs(link, birth.log_level)
    os.environ["FLASK_RUN_FROM_CLI"] = "true"  # as `flask --app`: an `app.run()` that nothing guards serves nobody
    try:
        runner = _make_runner(birth.app)
    except BaseException as error:  # an app's factory may raise anything; the parent tells it, and tries again
        link.send(pack({"kind": "failed", "error": one_line(error)}))
        return
    link.send(pack({"kind": "ready"}))
    while (order := link.next_order()) is not None:
        _carry_out(order, runner, link, birth.memory_mb)


def _die_with(parent: int) -> None:
    """Have the kernel kill this process when the parent dies, where it can; else the end of the socket tells."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:
            os._exit(1)


def _leave_signals_to_parent() -> None:
    """Let Ctrl-C and SIGTERM pass: the parent drains, and says when it is over.

    By a handler, and not by SIG_IGN, which processes that a job starts would inherit.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda _number, _frame: None)


def _forward_logs(link: Link, level: int) -> None:
    root = logging.getLogger()
    root.addHandler(ForwardingHandler(link.send))
    root.setLevel(level)
    for stream in (sys.stdout, sys.stderr):
        if stream is not None and hasattr(stream, "reconfigure"):
            stream.reconfigure(line_buffering=True)  # what a job printed is there, should this process be killed


def _make_runner(path: str) -> Runner:
    """Make the app as `flask --app` would, and its runner. Raises whatever the app raises, and `AppInChildError`."""
    app: Flask = ScriptInfo(app_import_path=path, set_debug_flag=False).load_app()
    found = app.extensions.get("scheduler")
    if not hasattr(found, "make_runner"):
        raise AppInChildError(path, app.name)
    runner = cast(MakesRunner, found).make_runner()
    return replace(runner, clock=Clock(host_now, local=True), tells_start=False)


def _carry_out(order: Message, runner: Runner, link: Link, memory_mb: int | None) -> None:
    claim = HandedClaim(**facts_of(order))
    claim.link = link
    _know_task(runner, claim, order["module"])
    link.send(pack({"kind": "started"}))
    try:
        with limited(memory_mb):
            result = runner.run(claim)
    except MemoryError as error:  # not even enough was left to say so
        now = host_now()
        result = Result(now, now, Outcome.ERROR, error=one_line(error), kinds=(_OUT_OF_MEMORY,))
    is_spent = _OUT_OF_MEMORY in result.kinds
    if is_spent and memory_mb is not None:
        result.error = f"{result.error} (its executor lets a job take {memory_mb} MB)"
    link.send(ended_of(result, is_spent=is_spent))


def _know_task(runner: Runner, claim: Claim, module: str | None) -> None:
    """Import what registered the task in the parent, where the app's factory has not done so here."""
    try:
        runner.registry.resolve(claim.task)
    except UnknownTaskError:
        if module is not None:
            _import(module)


def _import(module: str) -> None:
    try:
        importlib.import_module(module)
    except Exception:  # an app's module may raise anything; the runner says that the task is unknown here
        logging.getLogger("scheduler_app").exception("importing %r failed", module)
