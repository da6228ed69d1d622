"""What a fork made of this process: a server's own child, a copy of a process that serves, or any other child.

Whatever must be left to the parent, or made anew, in a child registers here rather than with `os.register_at_fork`: a
server that forks from C, as uWSGI does, runs none of Python's own hooks, and `catch_up` makes up for it.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from types import CodeType, FrameType

from . import uwsgi
from .stacks import Serving, look, note_copies, slashed

_PACKAGE = os.path.dirname(os.path.dirname(__file__)) + os.sep


class _Fork:
    """What the last fork that made this process, if any, copied into it."""

    pid = os.getpid()
    """The process in which the hooks have run, or that has imported this module."""
    was_unseen = False
    """Whether Python's own hooks did not run."""
    was_serving = False
    of_server = False


_hooks: list[Callable[[], None]] = []
_around: list[tuple[Callable[[], None], Callable[[], None]]] = []


def in_child(hook: Callable[[], None]) -> None:
    """Have `hook` called in each process that is forked from this one, in the order of registration."""
    _hooks.append(hook)


def around_forks(before: Callable[[], None], after: Callable[[], None]) -> None:
    """Have `before` called before each fork that Python makes, and `after` after it in this process, by its thread."""
    _around.append((before, after))


def catch_up() -> None:
    """In a process that was forked past Python's own hooks: run them now. Harmless anywhere else."""
    if os.getpid() != _Fork.pid:
        _run_hooks(was_unseen=True)


def forked_by_server() -> bool:
    """Tell, inside an `in_child` hook, whether a server made this process to serve: a worker of gunicorn or uWSGI.

    Also of any server that forks past Python's hooks, for nobody else does. False for the fork of an app, of
    `multiprocessing`, or of such a server for anything but a worker.
    """
    if uwsgi.is_here():
        return uwsgi.is_worker()
    return _Fork.was_unseen or _is_arbiters(sys._getframe(1).f_back)


def _is_arbiters(frame: FrameType | None) -> bool:
    """Whether what forked, below our own functions on this stack, is gunicorn's arbiter as it makes a worker."""
    while frame is not None and frame.f_code.co_filename.startswith(_PACKAGE):
        frame = frame.f_back
    return frame is not None and _is_spawn(frame.f_code)


def _is_spawn(code: CodeType) -> bool:
    return code.co_name == "spawn_worker" and slashed(code).endswith("/gunicorn/arbiter.py")


def is_copy_of_server() -> bool:
    """Tell whether this process was forked out of a serving one, by something else than its server's arbiter.

    True in a view's `os.fork` or `multiprocessing` child, and in each request's child under
    `app.run(processes=...)`: short-lived copies, which must not start even if they answer a request.
    """
    return _Fork.of_server


def _before_fork() -> None:
    for before, _ in _around:
        before()
    _Fork.was_serving = look().serving is Serving.SERVER


def _after_fork_in_parent() -> None:
    for _, after in _around:
        after()


def _after_fork() -> None:
    _run_hooks(was_unseen=False)


def _run_hooks(*, was_unseen: bool) -> None:
    _Fork.pid, _Fork.was_unseen = os.getpid(), was_unseen
    _note_what_was_copied(sys._getframe().f_back)
    for hook in tuple(_hooks):
        hook()


def _note_what_was_copied(frame: FrameType | None) -> None:
    if forked_by_server():
        _Fork.of_server = False
        return
    _Fork.of_server = _Fork.of_server or _Fork.was_serving
    note_copies(frame)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork_in_parent, after_in_child=_after_fork)
