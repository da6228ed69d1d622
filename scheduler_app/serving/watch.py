"""Looking out for the moment from which this process serves."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from itertools import chain, repeat

from .stacks import Serving, look

SOON_SECONDS = 0.05
"""Between two looks during the first ten seconds, in which nearly every server begins to serve."""
LATER_SECONDS = 1.0
"""Between two looks after that, for as long as the process is neither a server nor a parent."""
_SOON_LOOKS = 200


class Watch:
    """Call `on_server`, with the server's name, as soon as this process serves, until it answers True; give up for
    good when it is a parent.

    One daemon thread that looks every 50 ms for ten seconds and then every second; it never keeps the process alive.
    A fork does not carry it over: the owner makes a new one in a child that may serve (`forked_by_server`), and
    leaves the old one alone there. `on_server` runs in the watch's thread, outside any app context; what it raises
    goes to `threading.excepthook`.
    """

    def __init__(self, on_server: Callable[[str], bool]) -> None:
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
        seen, server = look()
        return self._on_server(server) if seen is Serving.SERVER else seen is Serving.PARENT


def _pauses() -> Iterator[float]:
    return chain(repeat(SOON_SECONDS, _SOON_LOOKS), repeat(LATER_SECONDS))
