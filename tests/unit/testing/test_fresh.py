"""A test's own store: made in milliseconds, used again without compiling anew, and nobody else's."""

from __future__ import annotations

import statistics
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import insert

from scheduler_app.errors import AfterTestError
from scheduler_app.store import fresh
from scheduler_app.store.fresh import FreshStore, rows_by_table
from scheduler_app.store.tables import metadata, queues

MOST_SECONDS = 0.03
"""Some twenty times what it takes on an idle machine."""


def file_of(store: FreshStore) -> Path:
    return Path(store.url.removeprefix("sqlite:///"))


def add_queue(store: FreshStore, name: str) -> None:
    row = {"name": name, "created_at": datetime(2026, 3, 1, tzinfo=UTC)}
    store.write(lambda connection: connection.execute(insert(queues), row))


def test_a_fresh_store_takes_milliseconds() -> None:
    FreshStore().discard()  # the first one migrates
    took = []
    for _ in range(25):
        began = time.perf_counter()
        store = FreshStore()
        assert store.read(rows_by_table) == {}
        store.discard()
        took.append(time.perf_counter() - began)
    assert statistics.median(took) < MOST_SECONDS, took


def test_stores_at_one_time_have_files_of_their_own_and_leave_none() -> None:
    stores = [FreshStore() for _ in range(3)]
    for store, count in zip(stores, (1, 2, 3), strict=True):
        for number in range(count):
            add_queue(store, str(number))
    assert [store.read(rows_by_table) for store in stores] == [{"scheduler_queues": n} for n in (1, 2, 3)]
    files = {file_of(store) for store in stores}
    assert len(files) == 3
    for store in stores:
        store.discard()
    assert not any(file.parent.exists() for file in files)


def test_an_engine_is_used_again_with_what_it_has_compiled() -> None:
    first = FreshStore()
    engine, compiled = first.engine, first.dialect
    first.discard()
    second = FreshStore()
    assert (second.engine, second.dialect) == (engine, compiled)
    second.discard()


def test_nothing_is_synced_and_nobody_is_elected_to_checkpoint() -> None:
    store = FreshStore()
    pragmas = ("synchronous", "journal_mode")
    assert store.read(lambda c: [c.exec_driver_sql(f"PRAGMA {p}").scalar() for p in pragmas]) == [0, "memory"]
    assert not store.dialect.elects  # type: ignore[attr-defined]
    store.discard()


def test_a_discarded_store_is_refused_even_while_its_engine_serves_another() -> None:
    old = FreshStore()
    old.discard()
    new = FreshStore()
    for use in (lambda: old.read(rows_by_table), lambda: old.write(fresh.empty), old.probe, lambda: old.engine):
        with pytest.raises(AfterTestError):
            use()
    assert new.read(rows_by_table) == {}
    new.discard()


def test_every_table_is_counted_and_emptied() -> None:
    store = FreshStore()
    add_queue(store, "mail")
    assert store.read(rows_by_table) == {"scheduler_queues": 1}
    store.write(fresh.empty)
    assert store.read(rows_by_table) == {}
    assert set(metadata.tables) > {"scheduler_jobs", "scheduler_schedules", "scheduler_workers"}
    store.discard()
