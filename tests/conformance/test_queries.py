"""Plans: what the loop asks reads the rows that it needs and no others, however many there are."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import pytest
from sqlalchemy import event, text

from scheduler_app.store import Store, claim, schedules, workers
from scheduler_app.store.claim import Unserved
from tests.conformance.cranked import ManualClock, Process, forge, job, put

FUTURE = 8000
FINISHED = 8000
DUE = 40
QUEUES = ("default", "mails", "reports")
SMALL = {"ALL ROWS of scheduler_workers", "ALL ROWS by scheduler_jobs_held"}
"""Held jobs have an index of their own: all of it is what is in flight."""

UNKNOWN = Unserved(tasks={"other:thing"}, keys={"v1:00000000"})


@pytest.fixture
def full(store: Store, clock: ManualClock) -> Store:
    """A store with many future and finished jobs, and a few due ones, over three queues and four priorities."""
    if store.dialect.name == "mysql":
        pytest.skip("of MySQL and MariaDB correctness is promised, and no plan")
    fill(store, clock.now(), "scheduled", "future", FUTURE, seconds=3600)
    fill(store, clock.now(), "succeeded", "done", FINISHED, seconds=-3600)
    put(store, *(job(clock, after=-1, queue=QUEUES[i % 3], priority=i % 4) for i in range(DUE)))
    with store.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        analyse = "VACUUM ANALYZE scheduler_jobs" if store.dialect.name == "postgresql" else "ANALYZE"
        connection.exec_driver_sql(analyse)
    return store


def fill(store: Store, now: datetime, state: str, prefix: str, count: int, seconds: float) -> None:
    """Store many jobs by one statement."""
    numbers = (
        "SELECT generate_series(1, :count) AS n"
        if store.dialect.name == "postgresql"
        else "WITH RECURSIVE up(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM up WHERE n < :count) SELECT n FROM up"
    )
    instant = (
        "CAST(:now AS timestamptz) + make_interval(secs => :seconds + n)"
        if store.dialect.name == "postgresql"
        else "strftime('%Y-%m-%d %H:%M:%S.000000', :now, (:seconds + n) || ' seconds')"
    )
    statement = f"""
        INSERT INTO scheduler_jobs (id, task, payload, signature, queue, priority, state, run_at, created_at)
        SELECT '{prefix}-' || n, 'shop:ship', '{{}}', 'v1:11111111:x',
          CASE n % 3 WHEN 0 THEN 'default' WHEN 1 THEN 'mails' ELSE 'reports' END, n % 4, '{state}',
          {instant}, {instant}
        FROM ({numbers}) AS numbers"""
    at: object = now if store.dialect.name == "postgresql" else now.strftime("%Y-%m-%d %H:%M:%S")
    forge(store, statement, count=count, now=at, seconds=seconds)


# -- plans ---------------------------------------------------------------------------------------------


@contextmanager
def explained(store: Store) -> Iterator[list[Any]]:
    """Collect the plan of each statement that is executed, as the database would run it."""
    plans: list[Any] = []
    prefix = "EXPLAIN (ANALYZE, FORMAT JSON) " if store.dialect.name == "postgresql" else "EXPLAIN QUERY PLAN "

    def explain(connection: Any, cursor: Any, statement: str, parameters: Any, context: Any, executemany: bool) -> None:
        if statement.startswith("EXPLAIN") or not statement.lstrip().startswith(("SELECT", "WITH", "UPDATE")):
            return
        asking = connection.connection.cursor()
        asking.execute(prefix + statement, parameters)
        found = asking.fetchall()
        asking.close()
        plans.append(found[0][0][0]["Plan"] if store.dialect.name == "postgresql" else [row[3] for row in found])

    event.listen(store.engine, "before_cursor_execute", explain)
    try:
        yield plans
    finally:
        event.remove(store.engine, "before_cursor_execute", explain)


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for part in plan.get("Plans", ()):
        yield from nodes(part)


def accesses(store: Store, plan: Any) -> list[str]:
    """Return how each table of a plan is read: "INDEX name", "INDEX ONLY name" or "ALL ROWS"."""
    if store.dialect.name == "sqlite":
        return [_sqlite_access(line) for line in plan if "scheduler_" in line]
    kinds = {"Index Only Scan": "INDEX ONLY {}", "Index Scan": "INDEX {}", "Bitmap Index Scan": "BITMAP {}"}
    return [
        kinds.get(node["Node Type"], "ALL ROWS of {1}").format(node.get("Index Name"), node.get("Relation Name"))
        for node in nodes(plan)
        if node["Node Type"] in (*kinds, "Seq Scan")
    ]


def _sqlite_access(line: str) -> str:
    for words, answer in (("USING COVERING INDEX ", "INDEX ONLY {}"), ("USING INDEX ", "INDEX {}")):
        if words in line:
            how = "ALL ROWS by {}" if line.startswith("SCAN") else answer
            return how.format(line.split(words)[1].split(" ")[0])
    return "ALL ROWS"


def rows_read(plan: dict[str, Any]) -> int:
    """Return how many rows PostgreSQL took from tables and indexes, those that it threw away included."""
    scans = [node for node in nodes(plan) if "Scan" in node["Node Type"] and "Relation Name" in node]
    return sum((node["Actual Rows"] + node.get("Rows Removed by Filter", 0)) * node["Actual Loops"] for node in scans)


# -- the loop's questions ----------------------------------------------------------------------------------


def test_a_peek_takes_steps_in_indexes_only(full: Store, clock: ManualClock) -> None:
    with explained(full) as plans, full.reading() as connection:
        ranges = claim.peek_ranges(connection, full.dialect, clock.now())
    assert {(r.queue, r.priority) for r in ranges} == {(q, p) for q in QUEUES for p in range(4)}
    assert all(r.first < clock.now() < (r.following or r.first) for r in ranges)
    [plan] = plans
    names = {"scheduler_jobs_due", "scheduler_jobs_due_crashed", "scheduler_schedules_next"}
    only = {f"INDEX ONLY {name}" for name in names}
    if full.dialect.name == "sqlite":  # older ones look at the one row that a step ends at, to see its state
        assert set(accesses(full, plan)) <= only | {f"INDEX {name}" for name in names}
    else:
        assert set(accesses(full, plan)) <= only
        assert rows_read(plan) <= 4 + 12 * 3, json.dumps(plan, indent=1)


@pytest.mark.parametrize("unserved", [Unserved(), UNKNOWN])
def test_a_claim_reads_no_row_that_is_not_due(unserved: Unserved, full: Store, clock: ManualClock) -> None:
    claimed = 0
    with explained(full) as plans, full.begin() as connection:
        full.dialect.before_claim(connection)
        for due in [r for r in claim.peek_ranges(connection, full.dialect, clock.now()) if r.first <= clock.now()]:
            plans.clear()
            found = claim.lock_due(connection, full.dialect, due, clock.now(), 500, unserved, crashed=False)
            claimed += len(found)
            assert accesses(full, plans[0]) == ["INDEX scheduler_jobs_due"]
            if full.dialect.name == "postgresql":
                assert rows_read(plans[0]) == len(found)
            else:
                [line] = [line for line in plans[0] if "scheduler_jobs" in line]
                assert line.endswith("(queue=? AND priority=? AND run_at<?)")
                assert not any("TEMP B-TREE" in line for line in plans[0])
    assert claimed == DUE


def test_statistics_from_before_a_burst_do_not_make_a_claim_read_all_of_it(full: Store, clock: ManualClock) -> None:
    if full.dialect.name == "sqlite":
        pytest.skip("SQLite tells no counts, and has one way only")
    fill(full, clock.now(), "scheduled", "burst", 12_000, seconds=-20_000)
    with full.begin() as connection:
        due = claim.peek_ranges(connection, full.dialect, clock.now())[0]
    with explained(full) as plans, full.begin() as connection:
        full.dialect.before_claim(connection)
        assert len(claim.lock_due(connection, full.dialect, due, clock.now(), 500, Unserved(), crashed=False)) == 500
    assert rows_read(plans[0]) == 500


def test_with_nothing_due_a_claim_of_every_range_reads_no_row_at_all(full: Store, clock: ManualClock) -> None:
    with full.begin() as connection:
        ranges = claim.peek_ranges(connection, full.dialect, clock.now())
    full.write(lambda c: c.execute(text("DELETE FROM scheduler_jobs WHERE state = 'scheduled' AND id NOT LIKE 'f%'")))
    with explained(full) as plans, full.begin() as connection:
        for due in ranges:
            assert claim.lock_due(connection, full.dialect, due, clock.now(), 500, Unserved(), crashed=False) == []
    if full.dialect.name == "postgresql":
        assert sum(map(rows_read, plans)) <= DUE  # what was just deleted may still stand in the index


def test_a_claim_of_a_job_that_outlived_a_worker_uses_the_index_of_those(full: Store, clock: ManualClock) -> None:
    full.write(lambda c: c.execute(text("UPDATE scheduler_jobs SET crashes = 1 WHERE id LIKE 'future-1__0'")))
    with full.begin() as connection:
        ranges = claim.peek_ranges(connection, full.dialect, clock.now())
    with explained(full) as plans, full.begin() as connection:
        claim.lock_due(connection, full.dialect, ranges[0], clock.now(), 1, Unserved(), crashed=True)
    assert accesses(full, plans[0]) == ["INDEX scheduler_jobs_due_crashed"]


def test_taking_writing_and_looking_after_jobs_goes_by_id_or_by_worker(
    full: Store, clock: ManualClock, make_process: Callable[..., Process]
) -> None:
    process = Process(full, clock)
    with explained(full) as plans:
        claims = process.claim()
        plans.clear()
        for one in claims:
            process.end(one)
        process.loop.paused = True
        process.turn()
        with full.reading() as connection:
            workers.held_by(connection, process.worker.id)
            workers.orphan_holders(connection)
    used = {access for plan in plans for access in accesses(full, plan)}
    assert {access for access in used if access.startswith("ALL ROWS")} <= SMALL, used


def test_the_next_fire_time_is_one_step_in_an_index(full: Store) -> None:
    with explained(full) as plans, full.reading() as connection:
        schedules.next_fire_time(connection)
    if full.dialect.name == "sqlite":
        assert accesses(full, plans[0]) == ["INDEX ONLY scheduler_schedules_next"]


def test_a_range_with_one_due_job_and_thousands_of_future_ones_reads_one_row(full: Store, clock: ManualClock) -> None:
    if full.dialect.name == "sqlite":
        pytest.skip("SQLite tells no counts; its plan was seen above")
    new = job(clock, queue="mails", priority=3, after=-5)
    full.write(lambda c: c.execute(text("DELETE FROM scheduler_jobs WHERE state = 'scheduled' AND id NOT LIKE 'f%'")))
    put(full, new)
    [due] = [
        r
        for r in full.read(lambda c: claim.peek_ranges(c, full.dialect, clock.now()))
        if (r.queue, r.priority) == ("mails", 3)
    ]
    with explained(full) as plans, full.begin() as connection:
        found = claim.lock_due(connection, full.dialect, due, clock.now(), 500, Unserved(), crashed=False)
    assert [one.id for one in found] == [new.id]
    assert rows_read(plans[0]) == 1
