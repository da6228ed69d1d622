"""Whether a thread of Python's is a thread here: it runs while another one computes, and between requests."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from ..errors import NoThreadsError
from ..errors.store import GreenSocketsError
from . import uwsgi

_GREENLETS: dict[str, tuple[str, Callable[[Any], bool], Callable[[Any], bool]]] = {
    "gevent": (
        "gevent.monkey",
        lambda module: bool(module.is_module_patched("threading")),
        lambda module: bool(module.is_module_patched("socket")),
    ),
    "eventlet": (
        "eventlet.patcher",
        lambda module: bool(module.is_monkey_patched("thread")),
        lambda module: bool(module.is_monkey_patched("socket")),
    ),
}
"""Who may have made greenlets of threads -> where that is known, and how to ask for threads and for sockets."""


def refuse_without_threads() -> None:
    """Raise `NoThreadsError`, which says why and what to do, where jobs cannot run in threads of this process."""
    if uwsgi.lacks_threads():
        raise NoThreadsError("uWSGI")
    for name, (where, are_threads, _) in _GREENLETS.items():
        module = sys.modules.get(where)
        if module is not None and are_threads(module):
            raise NoThreadsError(name)
    gevent = sys.modules.get("gevent.monkey")
    if gevent is not None and gevent.is_module_patched("queue"):
        raise NoThreadsError("gevent's queue")


def refuse_green_sockets(driver: str) -> None:
    """Raise `GreenSocketsError` where threads are real and Python's sockets are not.

    Such a socket answers only the thread that made it. A driver in Python that hands a connection from one thread to
    another, as every pool does, then raises "Cannot switch to a different thread", or waits for ever.
    """
    for name, (where, are_threads, are_sockets) in _GREENLETS.items():
        module = sys.modules.get(where)
        if module is not None and are_sockets(module) and not are_threads(module):
            raise GreenSocketsError(name, driver)
