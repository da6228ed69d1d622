"""Looking through all that waits in pages, and at the database itself, on every kind of database."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest
from sqlalchemy import text

from scheduler_app.store import Store, examine, pending, schema
from scheduler_app.store.pending import Pending
from tests.conformance.cranked import ManualClock, forge, job, put


def walked(store: Store, page: Callable[..., list[Pending]]) -> list[str]:
    """Return the ids of all pages, of two each."""
    found = store.read(partial(page, after=None, limit=2))
    ids = [one.id for one in found]
    while found:
        found = store.read(partial(page, after=found[-1], limit=2))
        ids += [one.id for one in found]
    return ids


def test_pages_hold_each_waiting_job_once_also_of_one_instant(store: Store, clock: ManualClock) -> None:
    waiting = [job(clock, after=after) for after in (5, 0, 5, 5, 9, 0, 5)]
    paused = [job(clock, after=1) for _ in range(3)]
    put(store, *waiting, *paused, job(clock, queue="mail"), job(clock, priority=1))
    for one in paused:
        forge(store, "UPDATE scheduler_jobs SET state = 'paused' WHERE id = :id", id=one.id)
    page = partial(pending.page_of_scheduled, dialect=store.dialect, queue="default", priority=waiting[0].priority)
    assert walked(store, page) == [one.id for one in sorted(waiting, key=lambda one: (one.run_at, one.id))]
    assert walked(store, pending.page_of_paused) == sorted(one.id for one in paused)
    first = store.read(partial(pending.tasks_of_first, queue="default", priority=waiting[0].priority, limit=2))
    assert first == {waiting[0].task: min(one.run_at for one in waiting)}


def test_a_look_sees_revision_clock_and_who_has_long_been_in_a_transaction(
    make_store: Callable[[], Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    store, other = make_store(), make_store()
    monkeypatch.setattr(examine, "LONG_SECONDS", -1.0)
    with other.engine.begin() as connection:
        connection.execute(text("UPDATE scheduler_queues SET version = version"))
        connection.execute(text("DELETE FROM scheduler_audit WHERE id = 'none'"))
        look = examine.look(store)
    assert (look.revision, look.differences, look.unseen) == (schema.HEAD, [], None)
    assert abs(look.skew_seconds) < 5
    assert bool(look.journal) is (store.dialect.name == "sqlite")
    assert bool(look.transactions) is (store.dialect.name != "sqlite")
    assert all(-5 < age < 60 for age, _ in look.transactions)
