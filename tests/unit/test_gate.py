"""The gate around SQLite: shut while a fork is made, with nobody inside and nothing open."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread

import pytest
from sqlalchemy import create_engine

from scheduler_app.errors import ForkedError
from scheduler_app.serving import uwsgi
from scheduler_app.store import Store
from scheduler_app.store.gate import GATE, Gate
from tests.locks import LOCKS, pids_with_locks_on

PATIENCE_SECONDS = 10.0


class Opened:
    """Something with connections open, which counts how often they were closed."""

    times = 0

    def close(self) -> None:
        self.times += 1


@pytest.fixture
def gate() -> Gate:
    return Gate(patience=PATIENCE_SECONDS)


@contextmanager
def somebody_inside(gate: Gate) -> Iterator[Callable[[], None]]:
    """Have another thread stay inside until the block ends, or what the block is given is called."""
    is_in, may_go = Event(), Event()

    def stay() -> None:
        with gate:
            is_in.set()
            may_go.wait(PATIENCE_SECONDS)

    thread = Thread(target=stay)
    thread.start()
    assert is_in.wait(PATIENCE_SECONDS)
    try:
        yield may_go.set
    finally:
        may_go.set()
        thread.join()


def entering(gate: Gate) -> tuple[Thread, Event]:
    """Have a thread enter; return it, and what is set once it is inside."""
    is_in = Event()

    def enter() -> None:
        with gate:
            is_in.set()

    thread = Thread(target=enter)
    thread.start()
    return thread, is_in


def test_many_are_inside_at_once_and_each_as_often_as_it_likes(gate: Gate) -> None:
    with somebody_inside(gate), gate, gate:
        pass


def test_nobody_enters_while_it_is_shut_for_any_fork_and_all_do_once_it_is_open(gate: Gate) -> None:
    gate.shut()
    gate.shut()
    thread, is_in = entering(gate)
    gate.open()
    assert not is_in.wait(0.05)
    gate.open()
    thread.join(PATIENCE_SECONDS)
    assert is_in.is_set()


def test_a_fork_waits_for_the_last_one_inside_and_only_then_closes_what_is_open(gate: Gate) -> None:
    opened = Opened()
    gate.close_before_forks(opened)
    with somebody_inside(gate) as let_go:
        shutting = Thread(target=gate.shut)
        shutting.start()
        shutting.join(0.05)
        assert shutting.is_alive()
        assert opened.times == 0
        let_go()
        shutting.join(PATIENCE_SECONDS)
    assert opened.times == 1
    gate.open()
    gate.renew()
    with gate:
        pass


def test_whoever_is_inside_enters_again_though_it_is_shut(gate: Gate) -> None:
    done = Event()

    def enter_again(shut: Event) -> None:
        with gate:
            is_in.set()
            shut.wait(PATIENCE_SECONDS)
            with gate:
                done.set()

    is_in, shut = Event(), Event()
    thread = Thread(target=enter_again, args=(shut,))
    thread.start()
    assert is_in.wait(PATIENCE_SECONDS)
    forking = Thread(target=gate.shut)
    forking.start()
    shut.set()
    for each in (thread, forking):
        each.join(PATIENCE_SECONDS)
    assert done.is_set()


def test_after_a_fork_that_could_not_wait_nothing_was_closed_and_only_the_child_is_refused() -> None:
    gate, opened = Gate(patience=0), Opened()
    gate.close_before_forks(opened)
    with somebody_inside(gate):
        gate.shut()
        assert opened.times == 0
        gate.open()
        with gate:  # the parent
            pass

        def enter() -> str:
            gate.renew()
            with gate:
                return "entered"

        def enter_in_a_child_of_its_own() -> str:
            gate.renew()
            gate.shut()
            return told_by_a_child(enter)

        for child in (enter, enter_in_a_child_of_its_own):
            assert told_by_a_child(child) == f"ForkedError: {ForkedError()}"


def test_a_thread_that_forks_inside_does_not_wait_for_itself_and_leaves_in_the_child_too(gate: Gate) -> None:
    def leave() -> str:
        gate.renew()
        gate.__exit__()
        with gate:
            return "entered"

    with gate:
        gate.shut()
        assert told_by_a_child(leave).startswith("ForkedError")
        gate.open()


def test_before_uwsgi_forks_past_pythons_hooks_nothing_is_left_open(
    gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = Opened()
    gate.close_before_forks(opened)
    with gate:
        pass
    assert opened.times == 0
    monkeypatch.setattr(uwsgi, "is_before_fork", lambda: True)
    with gate, gate:
        pass
    assert opened.times == 1


def test_what_nobody_holds_any_more_is_not_closed(gate: Gate) -> None:
    opened = Opened()
    gate.close_before_forks(opened)
    del opened
    gate.shut()
    gate.open()


# -- real forks ----------------------------------------------------------------------------------------


def told_by_a_child(work: Callable[[], str]) -> str:
    """Return what `work` returns, or the error that it raises, in a forked child."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            said = work()
        except BaseException as error:
            said = f"{type(error).__name__}: {error}"
        os.write(writing, said.encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as told:
        said = told.read()
    os.waitpid(child, 0)
    return said


def write_in(store: Store) -> str:
    return str(store.write(lambda connection: connection.exec_driver_sql("SELECT 42").scalar_one()))


@pytest.fixture
def store(sqlite_url: str) -> Iterator[Store]:
    store = Store(sqlite_url, auto_upgrade=True, patience=1)
    store.ensure_ready()
    yield store
    store.close()


def test_a_child_writes_whatever_was_open_in_its_parent_and_so_does_the_parent(store: Store) -> None:
    watcher = store.dialect.watch(store.engine)
    assert write_in(store) == "42"
    assert told_by_a_child(lambda: write_in(store)) == "42"
    assert write_in(store) == "42"
    assert watcher.wait(0)  # it cannot know, and looks
    watcher.close()


@pytest.mark.skipif(not LOCKS.exists(), reason="the system does not show its locks")
def test_a_child_has_locks_of_its_own_on_a_file_that_its_parent_had_open(store: Store) -> None:
    file = Path(store.engine.url.database or "")

    def write_and_look() -> str:
        write_in(store)
        return str(os.getpid() in pids_with_locks_on(file))

    assert write_in(store) == "42"
    assert os.getpid() in pids_with_locks_on(file)
    assert told_by_a_child(write_and_look) == "True"


def test_a_child_of_a_fork_amid_a_transaction_is_refused_at_once_and_the_parent_goes_on(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(GATE, "_patience", 0)
    with store.begin() as connection:
        said = told_by_a_child(lambda: write_in(store))
        connection.exec_driver_sql("SELECT 42")
    assert said.startswith("ForkedError: This process was forked while its parent was at work on SQLite")
    assert write_in(store) == "42"


@pytest.mark.parametrize("statement", ["SELECT 42", "CREATE TABLE made (id)"])
def test_a_child_of_a_fork_amid_the_apps_own_transaction_on_the_file_is_told_to_end_that_first(
    store: Store, statement: str
) -> None:
    engine = create_engine(store.engine.url)
    with engine.connect() as connection:
        connection.exec_driver_sql("BEGIN")
        connection.exec_driver_sql(statement)
        said = told_by_a_child(lambda: write_in(store))
        assert said.startswith("ForkedError: This process was forked while its parent was in a transaction on the")
        assert "End that transaction before you fork" in said
        connection.rollback()
        assert told_by_a_child(lambda: write_in(store)) == "42"
    engine.dispose()
