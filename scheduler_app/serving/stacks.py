"""Reading the stacks of this process's threads: a known server, the parent of servers, or nothing of the kind."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping
from enum import StrEnum
from types import CodeType, FrameType
from typing import NamedTuple

from . import uwsgi


class Serving(StrEnum):
    """What the threads of a process are doing."""

    SERVER = "server"
    """A known server's loop runs here: start."""
    PARENT = "parent"
    """It forks or restarts the processes that serve: never start."""
    NOTHING = "nothing"
    """Neither yet: a script, a shell, a server that is still booting or that is not known. Look again."""


class Sight(NamedTuple):
    """What was seen, and of whom: the server's name, "" where nothing was seen."""

    serving: Serving
    server: str = ""


NOTHING = Sight(Serving.NOTHING)

_MARKS: dict[str, tuple[tuple[str, Sight], ...]] = {
    "serve_forever": (("/werkzeug/serving.py", Sight(Serving.SERVER, "Werkzeug")),),
    "restart_with_reloader": (("/werkzeug/_reloader.py", Sight(Serving.PARENT, "Werkzeug")),),
    "run": (
        ("/waitress/server.py", Sight(Serving.SERVER, "waitress")),
        ("/gunicorn/workers/", Sight(Serving.SERVER, "gunicorn")),
        ("/gunicorn/arbiter.py", Sight(Serving.PARENT, "gunicorn")),
    ),
    # Of both sides of the fork: the arbiter goes on in `run` soon, the worker boots and then enters its own.
    "spawn_worker": (("/gunicorn/arbiter.py", NOTHING),),
    "init_process": (("/gunicorn/workers/base.py", NOTHING),),
}
"""Function name -> where it is defined and what its being on a stack says. The innermost one decides."""


def look(frames: Mapping[int, FrameType] | None = None) -> Sight:
    """Tell what this process is now, from the stacks of all its threads (or from `frames`, by thread id).

    A parent stays a parent whatever its other threads serve. Takes some ten microseconds, keeps no frame alive,
    and ignores what was on the stack when a fork that is not a server's own copied it.
    """
    if frames is not None:
        return _judge(map(_read_stack, frames.values()))
    if uwsgi.is_serving():
        return Sight(Serving.SERVER, "uWSGI")
    stacks = sys._current_frames()
    sight = _judge(map(_read_stack, (*stacks.values(), _stack_of_main_greenlet())))
    del stacks  # It holds this very frame: a cycle that would keep every thread's locals until the next collection.
    return sight


def _judge(sights: Iterable[Sight | None]) -> Sight:
    seen = {sight.serving: sight for sight in sights if sight is not None}
    return seen.get(Serving.PARENT) or seen.get(Serving.NOTHING) or seen.get(Serving.SERVER) or NOTHING


def _stack_of_main_greenlet() -> FrameType | None:
    """Return where this thread's first greenlet waits, if the caller runs in another one.

    Where threads are greenlets (gevent), a server's loop waits in that one and is on no thread's stack meanwhile.
    """
    greenlet = sys.modules.get("greenlet")
    if greenlet is None:
        return None
    main = greenlet.getcurrent()
    while main.parent is not None:
        main = main.parent
    frame: FrameType | None = main.gr_frame
    return frame


def _read_stack(frame: FrameType | None) -> Sight | None:
    """Answer what the innermost telling frame of one thread says, or None when no frame tells anything."""
    called, marks = "", _MARKS
    while frame is not None:
        name = frame.f_code.co_name
        if name in marks:
            sight = _read_frame(frame.f_code, called)
            if sight is not None and id(frame) not in _copied:
                return sight
        called, frame = name, frame.f_back
    return None


def _read_frame(code: CodeType, called: str) -> Sight | None:
    path = slashed(code)
    sight = next((sight for place, sight in _MARKS.get(code.co_name, ()) if place in path), None)
    # A worker class from elsewhere: gunicorn's own base calls its `run`, wherever that is defined.
    if sight is not None and (code.co_name, called) == ("init_process", "run"):
        return Sight(Serving.SERVER, "gunicorn")
    return sight


def slashed(code: CodeType) -> str:
    """Return the file that a function was defined in, with slashes on Windows too."""
    return code.co_filename.replace("\\", "/")


# -- copies ----------------------------------------------------------------------------------------

_copied: set[int] = set()
"""Ids of the telling frames that a fork copied into this process. A frame on a stack keeps its id, and these
stay on it in any child that does not unwind through its parent's server."""


def note_copies(frame: FrameType | None) -> None:
    """From here on, ignore what tells on this stack and below it: a fork copied it."""
    _copied.update(id(one) for one in _stack(frame) if _read_frame(one.f_code, "") is not None)


def _stack(frame: FrameType | None) -> Iterator[FrameType]:
    while frame is not None:
        yield frame
        frame = frame.f_back
