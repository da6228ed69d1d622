"""The elected checkpoint of a SQLite file: nobody writes meanwhile, or it is not done."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import Connection, text

import scheduler_app.store.sqlite
from scheduler_app.store import Store, checkpoint
from scheduler_app.store.checkpoint import Checkpointer


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "jobs.sqlite3"


@pytest.fixture
def store(path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    """A store whose WAL holds a table that the file does not have yet; checkpoints are the test's to ask for."""
    monkeypatch.setattr(scheduler_app.store.sqlite, "may_lose_writes", lambda: True)
    store = Store(f"sqlite:///{path}", auto_upgrade=True)
    store.write(lambda connection: connection.execute(text("CREATE TABLE notes (words TEXT)")))
    yield store
    store.close()


@pytest.fixture
def checkpointer(store: Store, path: Path, monkeypatch: pytest.MonkeyPatch) -> Checkpointer:
    """A checkpointer to which every WAL is long."""
    monkeypatch.setattr(checkpoint, "LONG_BYTES", 0)
    checkpointer = Checkpointer(path)
    checkpointer._limit = 0
    return checkpointer


def opened(path: Path) -> closing[sqlite3.Connection]:
    return closing(sqlite3.connect(path, timeout=0, isolation_level=None, check_same_thread=False))


def wal_bytes(path: Path) -> int:
    return Path(f"{path}-wal").stat().st_size


def note(connection: Connection) -> None:
    connection.execute(text("INSERT INTO notes VALUES ('x')"))


def test_beside_a_writer_nothing_is_copied_until_the_wal_has_grown(
    store: Store, checkpointer: Checkpointer, path: Path
) -> None:
    before = path.read_bytes()
    with opened(path) as other:
        other.execute("BEGIN IMMEDIATE")
        checkpointer.checkpoint_if_long(store.engine)
        other.execute("ROLLBACK")
    assert path.read_bytes() == before
    assert checkpointer._limit == wal_bytes(path) + checkpoint.GRACE_BYTES
    checkpointer._limit = 0
    checkpointer.checkpoint_if_long(store.engine)
    assert path.read_bytes() != before


def test_nobody_can_write_while_the_wal_is_copied(store: Store, path: Path) -> None:
    met: list[str] = []
    with opened(path) as lock, opened(path) as worker, opened(path) as other:

        def authorize(action: int, what: str | None, *_: str | None) -> int:
            if action == sqlite3.SQLITE_PRAGMA and what == "wal_checkpoint":
                with pytest.raises(sqlite3.OperationalError) as refused:
                    other.execute("BEGIN IMMEDIATE")
                met.append(str(refused.value))
            return sqlite3.SQLITE_OK

        worker.execute("PRAGMA journal_mode").fetchone()
        worker.set_authorizer(authorize)
        assert checkpoint._copy_while_nobody_writes(lock, worker)
        other.execute("BEGIN IMMEDIATE")
        other.execute("ROLLBACK")
    assert met == ["database is locked"]


def test_what_was_copied_is_written_over_and_the_file_grows_no_more(
    store: Store, checkpointer: Checkpointer, path: Path
) -> None:
    checkpointer.checkpoint_if_long(store.engine)
    length = wal_bytes(path)
    assert checkpointer._limit == length
    for _ in range(3):
        store.write(note)
    assert wal_bytes(path) == length


def test_a_reader_of_an_older_state_puts_the_next_try_off(store: Store, checkpointer: Checkpointer, path: Path) -> None:
    with opened(path) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM notes").fetchone()
        store.write(note)
        checkpointer.checkpoint_if_long(store.engine)
        assert checkpointer._limit == wal_bytes(path) + checkpoint.GRACE_BYTES


def test_a_long_wal_is_copied_after_a_write(store: Store, path: Path) -> None:
    found = store.dialect
    assert isinstance(found, scheduler_app.store.sqlite.SQLite)
    assert found._checkpointer is not None
    before = path.read_bytes()
    store.write(note)
    assert path.read_bytes() == before
    found._checkpointer._limit = 0
    store.write(note)
    assert path.read_bytes() != before
