"""The gate through which every use of SQLite goes, so that a fork finds none under way and no connection open.

SQLite keeps in the process's own memory which of its locks are held, and a fork copies these notes to a child that
holds none of the locks: what it opens is "locked" for ever there, or worse, is not locked at all
(https://sqlite.org/howtocorrupt.html, "Carrying an open database connection across a fork"). A note goes with the last
connection to its file, and nothing else takes it away. So before a fork the gate is shut, until everybody who was
inside has left, and every connection is closed; afterwards it is opened in parent and child, and each connects anew.
"""

from __future__ import annotations

from threading import Condition, get_ident
from typing import Protocol
from weakref import WeakSet

from ..clock import monotonic
from ..errors import ForkedError
from ..serving import around_forks, in_child, uwsgi

PATIENCE_SECONDS = 5.0
"""How long a fork waits until nobody is inside: far longer than any transaction takes."""


class Closes(Protocol):
    """What has connections open when nobody is inside, and connects anew when it needs to."""

    def close(self) -> None:
        """Close them."""


class Gate:
    """A lock that everybody may have at once, again in the same thread, but nobody while a fork is made.

    After a fork that could not wait for the last one to leave, entering raises `ForkedError` in the child.
    """

    def __init__(self, patience: float = PATIENCE_SECONDS) -> None:
        self._patience = patience
        self._moved = Condition()
        self._inside: dict[int, int] = {}
        """How often each thread that is inside has entered."""
        self._forks = 0
        """How many forks are being made now: the gate is shut for all of them."""
        self._is_quiet = False
        """Whether nobody has been inside since it was shut; who only knocks may be noted as inside for a moment."""
        self._is_spoilt = False
        self._closing: WeakSet[Closes] = WeakSet()

    def __enter__(self) -> None:
        if self._is_spoilt:
            raise ForkedError()
        me = get_ident()
        depth = self._inside.get(me, 0)
        self._inside[me] = depth + 1  # first, and looked around second: `shut` does it the other way round
        if self._forks and not depth:
            self._wait_outside(me)

    def __exit__(self, *_: object) -> None:
        me = get_ident()
        if (depth := self._inside[me]) > 1:
            self._inside[me] = depth - 1
            return
        del self._inside[me]
        if self._forks:
            with self._moved:
                self._moved.notify_all()
        if uwsgi.is_before_fork():  # it forks from C, and would call nobody before
            self.shut()
            self.open()

    def _wait_outside(self, me: int) -> None:
        with self._moved:
            while self._forks:
                self._inside.pop(me, None)
                self._moved.notify_all()
                self._moved.wait()
            self._inside[me] = 1

    def close_before_forks(self, this: Closes) -> None:
        """Have its connections closed before each fork, for as long as it lives."""
        with self._moved:
            self._closing.add(this)

    # -- around a fork -----------------------------------------------------------------------------

    def shut(self) -> None:
        """Let nobody in, wait until nobody is inside, and close all connections. By the thread that forks, before."""
        deadline = monotonic() + self._patience
        with self._moved:
            self._forks += 1
            while self._inside and get_ident() not in self._inside and monotonic() < deadline:
                self._moved.wait(deadline - monotonic())
            self._is_quiet = self._is_quiet or not self._inside
            for this in tuple(self._closing) if self._is_quiet else ():
                this.close()

    def open(self) -> None:
        """Let everybody in again. By the same thread, after the fork."""
        with self._moved:
            self._forks -= 1
            self._is_quiet = self._is_quiet and self._forks > 0
            self._moved.notify_all()

    def renew(self) -> None:
        """In the child of a fork: nobody else is inside. Whoever was at the fork has left its notes here."""
        was_quiet = self._is_quiet if self._forks else not self._inside
        self._is_spoilt = self._is_spoilt or not was_quiet
        me = get_ident()
        self._moved, self._forks, self._is_quiet = Condition(), 0, False
        self._inside = {me: self._inside[me]} if me in self._inside else {}


GATE = Gate()
"""The one of this process: the library's own locks and notes are the process's, too, whichever file they are for."""

around_forks(GATE.shut, GATE.open)
in_child(GATE.renew)
