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

from flask import Flask, has_request_context, request, request_started

from ..clock import monotonic
from ..errors import NoThreadsError, SchedulerError
from ..serving import (
    Serving,
    Watch,
    catch_up,
    comes_from_server,
    forked_by_server,
    in_child,
    is_copy_of_server,
    is_handed_jobs,
    look,
    uwsgi,
)
from . import boot, ending
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
        self._told = False
        self._told_failure = ""
        self._is_client = False
        _ALL.add(self)

    def arrange(self) -> None:
        """Look out for a server in this process, and with role `embedded` for the end of its imports too."""
        if is_handed_jobs():
            return
        role = self._parts.settings.role
        if role == "client" or uwsgi.is_here():  # whose signals are its own
            ending.stop_at_exit(self)
        else:
            ending.look_after(self)
        app = self._app()
        if app is not None:
            request_started.connect(self._on_request, app)
        uwsgi.after_fork(_arrive)
        if uwsgi.is_before_fork():
            return  # `_arrive` goes on, in the process that will serve
        if not self._is_test():  # nothing starts by itself there, and an app for each test would mean a thread for each
            self._watch_for_server()
        if role == "embedded":
            threading.Thread(target=self._start_after_imports, name="scheduler-embedded", daemon=True).start()

    def _watch_for_server(self) -> None:
        self._watch = Watch(lambda server: self._serve(boot.serves(server)))
        self._watch.start()

    def start(self, because: str = boot.BY_HAND, *, serving: bool = False) -> None:
        """Start the loop in this process, unless it runs; `because` and `serving` are said of it in the log.

        Raises a `SchedulerError` where it has no signing key, and `NoThreadsError` where threads are none.
        """
        with self._lock:
            try:
                if not self._parts.running:
                    self._parts.boot.because, self._parts.boot.serving = because, serving
                    self._parts.aps.run_loop()
            except Exception as error:
                self._parts.start_failure = error
                raise
            self._parts.start_failure = None

    # -- by itself -----------------------------------------------------------------------------------

    def _serve(self, because: str) -> bool:
        """In a process that serves requests: say once where the admin is, and start. Answers as `_try_to_start`."""
        if self._is_test() or self._ended.is_set():
            return True
        with self._lock:
            is_first, self._told = not self._told, True
        if is_first:
            self._parts.tell_admin()
        if self._parts.settings.role != "client":
            return self._try_to_start(because, serving=True)
        self._be_client(boot.CLIENT)
        return True

    def _be_client(self, because: str, *, warning: bool = False) -> None:
        """Run no job in this process, and say so once."""
        with self._lock:
            is_first, self._is_client = not self._is_client, True
        if is_first:
            self._parts.boot.tell_client(because, warning=warning)

    def _try_to_start(self, because: str, *, serving: bool = False) -> bool:
        """Start, and raise nothing: what fails is told in one sentence. Answer whether nothing is left to try.

        Called again and again, it tries once in `RETRY_SECONDS`.
        """
        if self._parts.running or self._is_client or self._ended.is_set() or self._is_test():
            return True
        if not self._parts.on_top.allows_host():
            return True
        if monotonic() < self._retry_at:
            return False
        self._retry_at = monotonic() + RETRY_SECONDS
        try:
            self.start(because, serving=serving)
        except NoThreadsError as error:
            self._do_without(error)
        except Exception as error:  # whatever it was: views go on, and the next try may do better
            self._tell_failure(error)
            return False
        return True

    def start_if_serving(self) -> None:
        """Start where it is known by now that requests are served; elsewhere the watch or a request may do so later."""
        if self._parts.settings.role == "client" or self._forked or is_copy_of_server():
            return
        if look().serving is Serving.SERVER or (has_request_context() and comes_from_server(request.environ)):
            self._retry_at = float("-inf")
            self._try_to_start(boot.BY_HAND, serving=True)

    def _do_without(self, error: NoThreadsError) -> None:
        """Be a client, unless a loop was demanded; no later try would do better."""
        if self._parts.settings.role == "embedded":
            self._tell_failure(error)
        else:
            self._parts.start_failure = None
            self._be_client(str(error), warning=True)

    def _tell_failure(self, error: Exception) -> None:
        """Log a failure, each different one once."""
        said = str(error) if isinstance(error, SchedulerError) else f"{type(error).__name__}: {error}"
        if said != self._told_failure:
            self._told_failure = said
            _log.error("scheduler cannot start in this process, and runs no job here until it can: %s", said)

    def _is_test(self) -> bool:
        app = self._app()
        return app is None or app.testing or (self._parts.settings.role != "embedded" and _is_test_run())

    def _on_request(self, _app: Flask, **_: Any) -> None:
        """Under an unknown server: start at the first request that came through one, or at a later one."""
        catch_up()
        is_copy = is_copy_of_server() or self._forked
        if is_copy or (comes_from_server(request.environ) and self._serve(boot.BY_REQUEST)):
            request_started.disconnect(self._on_request)  # whole: of one app only, it would cost each request a look

    def _start_after_imports(self) -> None:
        while _is_importing():
            self._ended.wait(0.05)
        self._ended.wait(GRACE_SECONDS)
        if look().serving is Serving.PARENT or os.environ.get("FLASK_RUN_FROM_CLI") == "true":
            return
        while not self._try_to_start(boot.EMBEDDED):
            self._ended.wait(RETRY_SECONDS)

    # -- forks and the end ---------------------------------------------------------------------------

    def after_fork(self) -> None:
        """In a child: a server's own worker looks out for its server; any other child never starts by itself."""
        self._parts.forget_parent()
        self._lock = Lock()
        self._watch = None
        self._retry_at = float("-inf")
        self._told, self._told_failure, self._is_client = False, "", False
        self._forked = not forked_by_server()
        if not self._forked:
            self._watch_for_server()

    def arrive(self) -> None:
        """In a worker of uWSGI's, forked with or without Python's hooks, or not at all: look out for its app."""
        if uwsgi.is_worker():
            self._forked = False
            if self._watch is None:
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


in_child(_after_fork)


def _arrive() -> None:
    """Called by uWSGI in each process of its, where no hook of Python's own is."""
    catch_up()
    for starting in tuple(_ALL):
        starting.arrive()
