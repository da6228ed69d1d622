"""What this process is: one that serves requests, the parent of such ones, or neither.

A scheduler starts by itself only in a process that serves. No server is imported or asked: each runs
a known function for as long as it serves, and that function is on the stack of one of the threads.
Those functions were read in gunicorn 27, waitress 3.0 and werkzeug 3.1.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from enum import StrEnum
from io import BytesIO
from itertools import chain, repeat
from types import CodeType, FrameType
from typing import Any

SOON_SECONDS = 0.05
"""Between two looks during the first ten seconds, in which nearly every server begins to serve."""
LATER_SECONDS = 1.0
"""Between two looks after that, for as long as the process is neither a server nor a parent."""
_SOON_LOOKS = 200

_PACKAGE = os.path.dirname(__file__) + os.sep


class Serving(StrEnum):
    """What the threads of a process are doing."""

    SERVER = "server"
    """A known server's loop runs here: start."""
    PARENT = "parent"
    """It forks or restarts the processes that serve: never start."""
    NOTHING = "nothing"
    """Neither yet: a script, a shell, a server that is still booting or that is not known. Look again."""


_MARKS: dict[str, tuple[tuple[str, Serving], ...]] = {
    "serve_forever": (("/werkzeug/serving.py", Serving.SERVER),),
    "restart_with_reloader": (("/werkzeug/_reloader.py", Serving.PARENT),),
    "run": (
        ("/waitress/server.py", Serving.SERVER),
        ("/gunicorn/workers/", Serving.SERVER),
        ("/gunicorn/arbiter.py", Serving.PARENT),
    ),
    # Of both sides of the fork: the arbiter goes on in `run` soon, the worker boots and then enters its own.
    "spawn_worker": (("/gunicorn/arbiter.py", Serving.NOTHING),),
    "init_process": (("/gunicorn/workers/base.py", Serving.NOTHING),),
}
"""Function name -> where it is defined and what its being on a stack says. The innermost one decides."""


def look(frames: Mapping[int, FrameType] | None = None) -> Serving:
    """Tell what this process is now, from the stacks of all its threads (or from `frames`, by thread id).

    A parent stays a parent whatever its other threads serve. Takes some ten microseconds, keeps no frame alive,
    and ignores what was on the stack when a fork that is not a server's own copied it.
    """
    stacks = sys._current_frames() if frames is None else frames
    verdicts = set(map(_read_stack, stacks.values()))
    del stacks  # It holds this very frame: a cycle that would keep every thread's locals until the next collection.
    if Serving.PARENT in verdicts:
        return Serving.PARENT
    if Serving.NOTHING in verdicts:
        return Serving.NOTHING
    return Serving.SERVER if Serving.SERVER in verdicts else Serving.NOTHING


def _read_stack(frame: FrameType | None) -> Serving | None:
    """Answer what the innermost telling frame of one thread says, or None when no frame tells anything."""
    called, marks = "", _MARKS
    while frame is not None:
        name = frame.f_code.co_name
        if name in marks:
            verdict = _read_frame(frame.f_code, called)
            if verdict is not None and id(frame) not in _copied:
                return verdict
        called, frame = name, frame.f_back
    return None


def _read_frame(code: CodeType, called: str) -> Serving | None:
    path = _slashed(code)
    verdict = next((verdict for place, verdict in _MARKS.get(code.co_name, ()) if place in path), None)
    # A worker class from elsewhere: gunicorn's own base calls its `run`, wherever that is defined.
    if verdict is not None and (code.co_name, called) == ("init_process", "run"):
        return Serving.SERVER
    return verdict


def _slashed(code: CodeType) -> str:
    return code.co_filename.replace("\\", "/")


# -- forks -----------------------------------------------------------------------------------------


class _Fork:
    """What the last fork that made this process, if any, copied into it."""

    was_serving = False
    of_server = False


_copied: set[int] = set()
"""Ids of the telling frames that a fork copied into this process. A frame on a stack keeps its id, and these
stay on it in any child that does not unwind through its parent's server."""


def forked_by_gunicorn() -> bool:
    """Tell, inside an `os.register_at_fork(after_in_child=...)` hook, whether this process is a gunicorn worker.

    False for the fork of an app, of `multiprocessing`, or of gunicorn for anything but a worker.
    """
    frame = sys._getframe(1).f_back
    while frame is not None and frame.f_code.co_filename.startswith(_PACKAGE):
        frame = frame.f_back
    return frame is not None and _is_spawn(frame.f_code)


def _is_spawn(code: CodeType) -> bool:
    return code.co_name == "spawn_worker" and _slashed(code).endswith("/gunicorn/arbiter.py")


def is_copy_of_server() -> bool:
    """Tell whether this process was forked out of a serving one, by something else than its server's arbiter.

    True in a view's `os.fork` or `multiprocessing` child, and in each request's child under
    `app.run(processes=...)`: short-lived copies, which must not start even if they answer a request.
    """
    return _Fork.of_server


def _note_what_forks() -> None:
    _Fork.was_serving = look() is Serving.SERVER


def _note_what_was_copied() -> None:
    if forked_by_gunicorn():
        _Fork.of_server = False
        return
    _Fork.of_server = _Fork.of_server or _Fork.was_serving
    frame = sys._getframe().f_back  # None when a server forks from C, as uWSGI does.
    while frame is not None:
        if _read_frame(frame.f_code, "") is not None:
            _copied.add(id(frame))
        frame = frame.f_back


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_note_what_forks, after_in_child=_note_what_was_copied)


# -- requests --------------------------------------------------------------------------------------


def comes_from_server(environ: Mapping[str, Any]) -> bool:
    """Tell, in its thread, whether a WSGI request came through a server, known or not, rather than a test client.

    Servers need not name themselves (PEP 3333 asks for no `SERVER_SOFTWARE`, and uvicorn's adapters set none), so
    werkzeug's and Flask's test client is recognized instead: by its function on the stack, or, where an environ of its
    making is handled without it (`app.test_request_context`), by what that holds and lacks.
    """
    return not _is_made_up(environ) and not _is_in_test_client(sys._getframe(1))


def _is_made_up(environ: Mapping[str, Any]) -> bool:
    """Whether werkzeug's `EnvironBuilder` made it: its whole body in memory, and nobody at either end of the line."""
    names_someone = any(name in environ for name in ("REMOTE_ADDR", "SERVER_SOFTWARE", "uwsgi.version"))
    return isinstance(environ.get("wsgi.input"), BytesIO) and not names_someone


def _is_in_test_client(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_code.co_name == "run_wsgi_app" and _slashed(frame.f_code).endswith("/werkzeug/test.py"):
            return True
        frame = frame.f_back
    return False


# -- watching --------------------------------------------------------------------------------------


class Watch:
    """Call `on_server` as soon as this process serves, until it answers True; give up for good when it is a parent.

    One daemon thread that looks every 50 ms for ten seconds and then every second; it never keeps the process alive.
    A fork does not carry it over: the owner makes a new one in a child that may serve (`forked_by_gunicorn`), and
    leaves the old one alone there. `on_server` runs in the watch's thread, outside any app context; what it raises
    goes to `threading.excepthook`.
    """

    def __init__(self, on_server: Callable[[], bool]) -> None:
        self._on_server = on_server
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin to look. A second call changes nothing."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._watch, name="scheduler-watch", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """End looking, at once and for good; an `on_server` that has already begun is not waited for."""
        self._stopped.set()

    def _watch(self) -> None:
        for pause_seconds in _pauses():
            if self._stopped.is_set() or self._decides():
                return
            self._stopped.wait(pause_seconds)

    def _decides(self) -> bool:
        """Look once, act on what is seen, and answer whether there is nothing left to wait for."""
        seen = look()
        return self._on_server() if seen is Serving.SERVER else seen is Serving.PARENT


def _pauses() -> Iterator[float]:
    return chain(repeat(SOON_SECONDS, _SOON_LOOKS), repeat(LATER_SECONDS))
