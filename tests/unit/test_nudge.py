"""Other processes are told of new work at most 20 times a second, and never forgotten."""

from __future__ import annotations

from threading import Event, Thread, Timer
from types import SimpleNamespace
from typing import Any

import pytest

from scheduler_app.extension import nudge as nudges
from scheduler_app.extension.nudge import Nudge

SECONDS = 10.0


class SlowStore:
    """Stands for a database whose NOTIFY takes as long as the test wants."""

    def __init__(self) -> None:
        self.dialect = SimpleNamespace(notifies=True)
        self.errors: tuple[Any, ...] = ()
        self.begun = [Event() for _ in range(3)]
        self.may_end = [Event() for _ in range(3)]
        self.count = 0

    def notify(self) -> None:
        index, self.count = self.count, self.count + 1
        self.begun[index].set()
        assert self.may_end[index].wait(SECONDS)


def test_work_that_is_stored_while_others_are_being_told_has_them_told_again() -> None:
    store = SlowStore()
    nudge = Nudge(store, 1.0, lambda: None)  # type: ignore[arg-type]
    store.may_end[0].set()
    nudge(0.0)  # at once
    nudge(0.0)  # put off
    assert store.begun[1].wait(SECONDS)
    third = Thread(target=nudge, args=(0.0,))
    third.start()  # stored after the second notification was sent, and while its thread still lives
    third.join(SECONDS)
    store.may_end[1].set()
    store.may_end[2].set()
    assert store.begun[2].wait(SECONDS), "nobody was told of the third"


def test_work_that_is_due_later_than_others_poll_tells_nobody() -> None:
    store = SlowStore()
    Nudge(store, 1.0, lambda: None)(1.5)  # type: ignore[arg-type]
    assert store.count == 0


def test_a_process_that_ends_sends_what_was_put_off() -> None:
    store = SlowStore()
    for event in store.may_end:
        event.set()
    nudge = Nudge(store, 1.0, lambda: None)  # type: ignore[arg-type]
    nudge(0.0)
    nudge(0.0)
    nudge.flush()
    assert store.count == 2
    nudge.flush()
    assert store.count == 2


def test_work_that_is_stored_when_no_thread_can_be_started_raises_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    class NoThread(Timer):
        def start(self) -> None:
            raise RuntimeError("can't start new thread")

    store = SlowStore()
    for event in store.may_end:
        event.set()
    nudge = Nudge(store, 1.0, lambda: None)  # type: ignore[arg-type]
    nudge(0.0)
    with monkeypatch.context() as patch:
        patch.setattr("scheduler_app.extension.nudge.Timer", NoThread)
        nudge(0.0)
    nudge(0.0)  # threads can be started again
    assert store.begun[1].wait(SECONDS), "nobody was told of it later"


def test_nothing_is_sent_any_more_once_it_is_flushed() -> None:
    store = SlowStore()
    nudge = Nudge(store, 1.0, lambda: None)  # type: ignore[arg-type]
    store.may_end[0].set()
    nudge(0.0)
    nudge(0.0)  # put off
    assert store.begun[1].wait(SECONDS)
    flushed = Event()

    def flush() -> None:
        nudge.flush()
        flushed.set()

    ending = Thread(target=flush)
    ending.start()
    assert not flushed.wait(0.05), "it waits for what is being sent"
    store.may_end[1].set()
    ending.join(SECONDS)
    assert flushed.is_set()
    assert nudge._sending == set()


def test_what_was_flushed_as_its_time_came_is_sent_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nudges, "APART_SECONDS", 60.0)
    store = SlowStore()
    for event in store.may_end:
        event.set()
    nudge = Nudge(store, 1.0, lambda: None)  # type: ignore[arg-type]
    nudge(0.0)
    nudge(0.0)
    late = nudge._later
    assert late is not None
    nudge.flush()
    late.function()  # its time had come, and it waited for the lock
    assert store.count == 2
