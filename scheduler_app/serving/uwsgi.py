"""uWSGI, which serves and forks from C: no function of its is on a stack, and no hook of Python's runs in its workers.

So it is asked through the module that it makes for the app, and calls us through its own `post_fork_hook`. Read in
uWSGI 2.0.26 and 2.0.30.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

HOOK = "post_fork_hook"


def _module() -> Any:
    """Return uWSGI's own module, or None where this process is not its."""
    module = sys.modules.get("uwsgi")
    return module if hasattr(module, "worker_id") else None


def is_here() -> bool:
    """Whether uWSGI runs this process: its master, a worker, or another child."""
    return _module() is not None


def is_before_fork() -> bool:
    """Whether an app is loaded here for workers that uWSGI has yet to make: a thread that began now would be lost in
    them, and might hold the interpreter's lock as they are made."""
    module = _module()
    return module is not None and module.worker_id() == 0


def is_worker() -> bool:
    """Whether this process is a worker of uWSGI: not its master, a mule, a spooler, or a child that a view forked."""
    module = _module()
    return module is not None and module.worker_id() > 0 and _made.pid == os.getpid()


def is_serving() -> bool:
    """Whether this process is a worker that has loaded its app."""
    module = _module()
    return is_worker() and bool(module.workers()[module.worker_id() - 1]["apps"])


class _Made:
    """Which process uWSGI has made: by whom it was called last, or by whom this module was imported (--lazy-apps).

    Its table of workers cannot tell: there a new worker may have no process yet as its hook is called.
    """

    pid = os.getpid()


_made = _Made()


def lacks_threads() -> bool:
    """Whether threads stand still in this process: up to 2.0.26, unless uWSGI was started with --enable-threads."""
    module = _module()
    return module is not None and not getattr(module, "has_threads", True)


# -- the hook --------------------------------------------------------------------------------------


class _Chained(ModuleType):
    """uWSGI's module, in which whoever sets the hook sets it beside ours: `uwsgidecorators` does at its import."""

    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(name, _Chain(value) if name == HOOK else value)


class _Chain:
    """Calls ours, then the hook that the app has set."""

    def __init__(self, theirs: Callable[[], object] | None) -> None:
        self.theirs = theirs

    def __call__(self) -> None:
        _made.pid = os.getpid()
        try:
            for ours in _ours:
                ours()
        finally:
            if self.theirs is not None:
                self.theirs()


_ours: list[Callable[[], None]] = []


def after_fork(hook: Callable[[], None]) -> None:
    """Have `hook` called in each process that uWSGI forks, and in the one that it does not fork, before it serves."""
    module = _module()
    if module is None:
        return
    if hook not in _ours:
        _ours.append(hook)
    if not isinstance(getattr(module, HOOK, None), _Chain):
        module.__class__ = _Chained
        setattr(module, HOOK, getattr(module, HOOK, None))
