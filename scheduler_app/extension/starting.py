"""Starting by itself where it should, and only there; and ending well however the process ends."""

from __future__ import annotations

import atexit
import os
import signal
import sys
import threading
import weakref
from threading import Lock
from types import FrameType
from typing import Any

from flask import Flask, request, request_started

from ..serving import Serving, Watch, forked_by_gunicorn, is_copy_of_server, is_first_request_of_server, look
from .parts import Parts

GRACE_SECONDS = 1.0
"""How long a process of role `embedded` has, after its imports, to show that it is a reloader's or arbiter's parent."""

_ALL: weakref.WeakSet[Starting] = weakref.WeakSet()


class Starting:
    """Decides when the loop of one app starts in this process."""

    def __init__(self, app: Flask, parts: Parts) -> None:
        self._app = weakref.ref(app)
        self._parts = parts
        self._lock = Lock()
        self._watch: Watch | None = None
        self._forked = False
        _ALL.add(self)

    def arrange(self) -> None:
        """Look out for a server in this process (`auto`), or for the end of its imports too (`embedded`)."""
        if self._parts.settings.role == "client":
            return
        _handle_sigterm()
        self._watch_for_server()
        app = self._app()
        if app is not None:
            request_started.connect(self._on_request, app)
        if self._parts.settings.role == "embedded":
            threading.Thread(target=self._start_after_imports, name="scheduler-embedded", daemon=True).start()

    def _watch_for_server(self) -> None:
        self._watch = Watch(self._start_unless_testing)
        self._watch.start()

    def start(self) -> None:
        """Start the loop in this process, unless it runs."""
        with self._lock:
            if not self._parts.running:
                self._parts.tell_admin()
                self._parts.aps.start()

    def _start_unless_testing(self) -> None:
        if not self._is_test():
            self.start()

    def _is_test(self) -> bool:
        app = self._app()
        return app is None or app.testing or (self._parts.settings.role == "auto" and "pytest" in sys.modules)

    def _on_request(self, _app: Flask, **_: Any) -> None:
        """Under an unknown server: start at the first request that came through one."""
        request_started.disconnect(self._on_request, self._app())
        if not is_copy_of_server() and not self._forked and is_first_request_of_server(request.environ):
            self._start_unless_testing()

    def _start_after_imports(self) -> None:
        pause = threading.Event()
        while _is_importing():
            pause.wait(0.05)
        pause.wait(GRACE_SECONDS)
        if look() is not Serving.PARENT and os.environ.get("FLASK_RUN_FROM_CLI") != "true":
            self._start_unless_testing()

    def after_fork(self) -> None:
        """In a child: a gunicorn worker looks out for its server; any other child never starts by itself."""
        self._parts.forget_parent()
        self._lock = Lock()
        if not forked_by_gunicorn():
            self._forked = True
        elif self._parts.settings.role != "client":
            self._watch_for_server()

    def stop(self) -> None:
        """End the loop because the process ends: wait for what runs, give back the rest."""
        if self._watch is not None:
            self._watch.stop()
        self._parts.nudge.flush()
        if self._parts.running:
            self._parts.aps.shutdown(wait=True, exiting=True)


def _is_importing() -> bool:
    frames = list(sys._current_frames().values())
    return any(_imports(frame) for frame in frames)


def _imports(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_code.co_filename == "<frozen importlib._bootstrap>":
            return True
        frame = frame.f_back
    return False


def _after_fork() -> None:
    for starting in tuple(_ALL):
        starting.after_fork()


os.register_at_fork(after_in_child=_after_fork)


@atexit.register
def _stop_all() -> None:
    for starting in tuple(_ALL):
        starting.stop()


# -- SIGTERM where nobody else handles it ----------------------------------------------------------


_ending = False


def _handle_sigterm() -> None:
    """End in an orderly way on SIGTERM under servers that leave it to the system (waitress, flask run)."""
    if threading.current_thread() is not threading.main_thread():
        return
    if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        signal.signal(signal.SIGTERM, _on_sigterm)


def _on_sigterm(number: int, _frame: FrameType | None) -> None:
    """First: leave through the ordinary exit, which drains. Again, or where no loop runs: at once."""
    global _ending
    running = any(starting._parts.running for starting in tuple(_ALL))
    if _ending or not running:
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
        return
    _ending = True
    raise SystemExit(128 + number)
