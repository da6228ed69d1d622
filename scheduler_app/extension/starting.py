"""Starting by itself where it should, and only there."""

from __future__ import annotations

import logging
import os
import sys
import threading
import weakref
from threading import Lock
from types import FrameType
from typing import Any

from flask import Flask, request, request_started

from ..clock import monotonic
from ..errors import SchedulerError
from ..serving import Serving, Watch, comes_from_server, forked_by_gunicorn, is_copy_of_server, look
from . import ending
from .parts import Parts

GRACE_SECONDS = 1.0
"""How long a process of role `embedded` has, after its imports, to show that it is a reloader's or arbiter's parent."""

RETRY_SECONDS = 1.0
"""How long it rests, at least, after a start that failed."""

_log = logging.getLogger("scheduler_app")
_ALL: weakref.WeakSet[Starting] = weakref.WeakSet()


class Starting:
    """Decides when the loop of one app starts in this process."""

    def __init__(self, app: Flask, parts: Parts) -> None:
        self._app = weakref.ref(app)
        self._parts = parts
        self._lock = Lock()
        self._watch: Watch | None = None
        self._forked = False
        self._ended = threading.Event()
        self._retry_at = float("-inf")
        self._told_admin = False
        self._told_failure = ""
        _ALL.add(self)

    def arrange(self) -> None:
        """Look out for a server in this process (`auto`), or for the end of its imports too (`embedded`)."""
        if self._parts.settings.role == "client":
            return
        ending.look_after(self)
        self._watch_for_server()
        app = self._app()
        if app is not None:
            request_started.connect(self._on_request, app)
        if self._parts.settings.role == "embedded":
            threading.Thread(target=self._start_after_imports, name="scheduler-embedded", daemon=True).start()

    def _watch_for_server(self) -> None:
        self._watch = Watch(self._serve)
        self._watch.start()

    def start(self) -> None:
        """Start the loop in this process, unless it runs. Raises a `SchedulerError` where it has no signing key."""
        with self._lock:
            try:
                if not self._parts.running:
                    self._parts.aps.start()
            except Exception as error:
                self._parts.start_failure = error
                raise
            self._parts.start_failure = None

    # -- by itself -----------------------------------------------------------------------------------

    def _serve(self) -> bool:
        """In a process that serves requests: say once where the admin is, and start. Answers as `_try_to_start`."""
        with self._lock:
            is_first, self._told_admin = not self._told_admin, True
        if is_first and not self._is_test():
            self._parts.tell_admin()
        return self._try_to_start()

    def _try_to_start(self) -> bool:
        """Start, and raise nothing: what fails is told in one sentence. Answer whether nothing is left to try.

        Called again and again, it tries once in `RETRY_SECONDS`.
        """
        if self._parts.running or self._ended.is_set() or self._is_test():
            return True
        if monotonic() < self._retry_at:
            return False
        self._retry_at = monotonic() + RETRY_SECONDS
        try:
            self.start()
        except Exception as error:  # whatever it was: views go on, and the next try may do better
            self._tell_failure(error)
            return False
        return True

    def _tell_failure(self, error: Exception) -> None:
        """Log a failure, each different one once."""
        said = str(error) if isinstance(error, SchedulerError) else f"{type(error).__name__}: {error}"
        if said != self._told_failure:
            self._told_failure = said
            _log.error("scheduler cannot start in this process, and runs no job here until it can: %s", said)

    def _is_test(self) -> bool:
        app = self._app()
        return app is None or app.testing or (self._parts.settings.role == "auto" and _is_test_run())

    def _on_request(self, _app: Flask, **_: Any) -> None:
        """Under an unknown server: start at the first request that came through one, or at a later one."""
        is_copy = is_copy_of_server() or self._forked
        if is_copy or (comes_from_server(request.environ) and self._serve()):
            request_started.disconnect(self._on_request, self._app())

    def _start_after_imports(self) -> None:
        while _is_importing():
            self._ended.wait(0.05)
        self._ended.wait(GRACE_SECONDS)
        if look() is Serving.PARENT or os.environ.get("FLASK_RUN_FROM_CLI") == "true":
            return
        while not self._try_to_start():
            self._ended.wait(RETRY_SECONDS)

    # -- forks and the end ---------------------------------------------------------------------------

    def after_fork(self) -> None:
        """In a child: a gunicorn worker looks out for its server; any other child never starts by itself."""
        self._parts.forget_parent()
        self._lock = Lock()
        self._retry_at = float("-inf")
        self._told_admin = False
        if not forked_by_gunicorn():
            self._forked = True
        elif self._parts.settings.role != "client":
            self._watch_for_server()

    @property
    def running(self) -> bool:
        """Whether a loop runs here."""
        return self._parts.running

    def stop(self, *, drain: bool, hint: str = "") -> None:
        """End the loop because the process ends: wait for what runs (`drain`), give back the rest."""
        self._ended.set()
        if self._watch is not None:
            self._watch.stop()
        self._parts.nudge.flush()
        if self._parts.running:
            if drain:
                self._parts.tell_drain(hint)
            self._parts.aps.shutdown(wait=drain, exiting=True)


def _is_test_run() -> bool:
    """Whether pytest runs in this very process: an app may import it, and a test may start an app's process.

    What it sets in the environment, children inherit; before pytest 8.2 that was the second variable only.
    """
    is_set = any(name in os.environ for name in ("PYTEST_VERSION", "PYTEST_CURRENT_TEST"))
    return is_set and "pytest" in sys.modules


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
