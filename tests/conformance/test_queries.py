"""Plans: what the loop asks reads the rows that it needs and no others, however many there are."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from functools import partial
from itertools import islice
from typing import Any

import pytest
from sqlalchemy import event, insert, text

from scheduler_app.audit import Entry
from scheduler_app.filters import Sort, parse_filter
from scheduler_app.jobs import JobState, new_id
from scheduler_app.store import (
    Store,
    audit,
    cancelling,
    claim,
    find,
    pending,
    prune,
    queues,
    schedules,
    tables,
    workers,
)
from scheduler_app.store.cancelling import Matching
from scheduler_app.store.claim import Unserved
from scheduler_app.store.filtering import Position
from scheduler_app.store.walking import Walk
from tests.conformance.cranked import ManualClock, Process, forge, job, put

FUTURE = 8000
FINISHED = 8000
DUE = 40
QUEUES = ("default", "mails", "reports")
SMALL = {"ALL ROWS of scheduler_workers", "ALL ROWS by scheduler_jobs_held"}
"""Held jobs have an index of their own: all of it is what is in flight."""

OF_QUEUES = {
    "ALL ROWS of scheduler_queues", "INDEX scheduler_queues_pkey", "INDEX sqlite_autoindex_scheduler_queues_1",
    "INDEX scheduler_jobs_held", "ALL ROWS by scheduler_jobs_held",
}  # fmt: skip
"""How a peek reads the queues' rows, and, of one that is limited, what is in flight."""

UNKNOWN = Unserved(tasks={"other:thing"}, keys={"v1:00000000"})


@pytest.fixture
def full(store: Store, clock: ManualClock) -> Store:
    """A store with many future and finished jobs, and a few due ones, over three queues and four priorities."""
    if store.dialect.name == "mysql":
        pytest.skip("of MySQL and MariaDB correctness is promised, and no plan")
    fill(store, clock.now(), "scheduled", "future", FUTURE, seconds=3600)
    fill(store, clock.now(), "succeeded", "done", FINISHED, seconds=-3600)
    put(store, *(job(clock, after=-1, queue=QUEUES[i % 3], priority=i % 4) for i in range(DUE)))
    analyse(store)
    return store


def analyse(store: Store) -> None:
    """Have the database count what there is."""
    with store.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        statement = "VACUUM ANALYZE scheduler_jobs" if store.dialect.name == "postgresql" else "ANALYZE"
        connection.exec_driver_sql(statement)


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


READ = ("SELECT", "WITH", "UPDATE")


@contextmanager
def explained(store: Store, *kinds: str) -> Iterator[list[Any]]:
    """Collect the plan of each statement that is executed, as the database would run it."""
    plans: list[Any] = []
    prefix = "EXPLAIN (ANALYZE, FORMAT JSON) " if store.dialect.name == "postgresql" else "EXPLAIN QUERY PLAN "

    def explain(connection: Any, cursor: Any, statement: str, parameters: Any, context: Any, executemany: bool) -> None:
        if statement.startswith("EXPLAIN") or not statement.lstrip().startswith(kinds or READ):
            return
        asking = connection.connection.cursor()
        how = prefix.replace("ANALYZE, ", "") if statement.startswith("DELETE") else prefix  # which would delete
        asking.execute(how + statement, parameters)
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
    only = {f"INDEX ONLY {name}" for name in names} | OF_QUEUES
    only |= {"INDEX scheduler_schedules_next"}  # the row of the first one tells whether it waits for its own jobs
    only |= {"INDEX ONLY scheduler_jobs_live_fire", "INDEX scheduler_jobs_fire"}  # which are counted only then
    if full.dialect.name == "sqlite":  # older ones look at the one row that a step ends at, to see its state
        assert set(accesses(full, plan)) <= only | {f"INDEX {name}" for name in names}
    else:
        assert set(accesses(full, plan)) <= only
        assert rows_read(plan) <= 4 + 12 * 3, json.dumps(plan, indent=1)


def test_of_a_limited_queue_a_peek_and_a_claim_read_what_is_in_flight_and_nothing_more(
    full: Store, clock: ManualClock
) -> None:
    process = Process(full, clock, slots=5)
    assert len(process.claim()) == 5
    full.write(lambda c: queues.limit(c, full.dialect, {"mails": 7}, clock.now()))
    with explained(full) as plans, full.begin() as connection:
        ranges = claim.peek_ranges(connection, full.dialect, clock.now())
        [locked] = queues.lock_free(connection, full.dialect, ["mails"])
        held = queues.held_in(connection, full.dialect, ["mails"])
    assert (locked.concurrency, {r.limit for r in ranges}) == (7, {None, 7})
    assert {r.held for r in ranges} == {0, held["mails"]}
    if full.dialect.name == "postgresql":
        assert rows_read(plans[0]) <= 4 + 12 * 3 + 5 + 1, json.dumps(plans[0], indent=1)
        assert rows_read(plans[2]) <= 5, json.dumps(plans[2], indent=1)
    else:
        assert "ALL ROWS" not in {access for plan in plans for access in accesses(full, plan)}


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


def test_a_page_of_what_waits_reads_nothing_that_has_finished(full: Store) -> None:
    page = partial(pending.page_of_scheduled, dialect=full.dialect, queue="default", priority=0, limit=50)
    with explained(full) as plans, full.reading() as connection:
        first = page(connection, after=None)
        second = page(connection, after=first[-1])
        pending.page_of_paused(connection, None, 50)
        pending.tasks_of_first(connection, "default", 0, 50)
    assert len({one.id for one in (*first, *second)}) == 100
    by_index = {f"{how} scheduler_jobs_{name}" for how in ("INDEX", "BITMAP") for name in ("due", "rare")}
    assert {access for plan in plans for access in accesses(full, plan)} <= by_index
    if full.dialect.name == "postgresql":
        assert max(rows_read(plan) for plan in plans) <= 50 + 2, json.dumps(plans, indent=1)


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


def test_pruning_goes_by_id_and_never_through_all_that_have_ended(store: Store, clock: ManualClock) -> None:
    """Without statistics on SQLite, which has them only where somebody asked for them."""
    if store.dialect.name == "mysql":
        pytest.skip("of MySQL and MariaDB correctness is promised, and no plan")
    fill(store, clock.now(), "succeeded", "00-done", FINISHED, seconds=-3600)
    forge(store, "UPDATE scheduler_jobs SET finished_at = run_at")
    if store.dialect.name == "postgresql":
        analyse(store)
    with explained(store, "SELECT", "DELETE") as plans, store.begin() as connection:
        pruned = prune.prune_some(connection, store.dialect, {JobState.SUCCEEDED: 0.0}, clock.now(), "", 20)
        prune.delete_if_finished(connection, store.dialect, ["00-done-500"])
    assert pruned.count > 0
    used = {access for plan in plans for access in accesses(store, plan) if "scheduler_jobs" in access}
    assert {access.split()[-1] for access in used} <= {"scheduler_jobs_pkey", "sqlite_autoindex_scheduler_jobs_1"}


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


# -- what a person asks ------------------------------------------------------------------------------------


def to_cancel(store: Store, matching: Matching) -> tuple[list[str], list[Any]]:
    """Look for jobs to cancel; return their ids, and the plans."""
    with explained(store) as plans, store.reading() as connection:
        return cancelling.to_cancel(connection, matching, 1000), plans


def test_jobs_are_looked_for_by_the_prefix_of_their_keys_in_the_index_of_keys(full: Store, clock: ManualClock) -> None:
    put(full, *(job(clock, after=60, key=f"order:{i}") for i in range(5)), job(clock, after=60, key="other"))
    found, plans = to_cancel(full, Matching(prefix="order:"))
    assert len(found) == 5
    used = [access for plan in plans for access in accesses(full, plan)]
    assert used[0] == "INDEX scheduler_jobs_live_key"
    assert not any(access.startswith("ALL ROWS") for access in used if access not in SMALL), used
    if full.dialect.name == "postgresql":
        assert sum(map(rows_read, plans)) == 5


def test_jobs_are_looked_for_by_a_tag_among_those_that_wait_and_not_in_history(full: Store, clock: ManualClock) -> None:
    put(full, *(job(clock, after=60, tags=("t",)) for _ in range(5)))
    found, plans = to_cancel(full, Matching(tag="t"))
    assert len(found) == 5
    scheduled, *others = [access for plan in plans for access in accesses(full, plan)]
    if full.dialect.name == "sqlite":  # PostgreSQL may well read the table where most of it waits
        assert scheduled in {f"ALL ROWS by scheduler_jobs_{name}" for name in ("due", "next", "waiting")}
    assert others[:2] == ["INDEX scheduler_jobs_rare"] * 2


def test_a_job_is_looked_for_by_its_key_in_an_index(full: Store, clock: ManualClock) -> None:
    new = job(clock, after=60, key="k")
    put(full, new)
    with explained(full) as plans, full.reading() as connection:
        assert find.job_by_key(connection, "k")
        assert find.job_by_key(connection, "another") is None
    used = [access for plan in plans for access in accesses(full, plan)]
    assert used[:2] == ["INDEX scheduler_jobs_live_key"] * 2
    assert not any(access.startswith("ALL ROWS") for access in used if access not in SMALL), used


# -- lists ---------------------------------------------------------------------------------------------------

BY_INDEX = {
    ("", "newest"): "PRIMARY",
    ("", "oldest"): "PRIMARY",
    ("created<2026-03-01", "newest"): "PRIMARY",
    ("state=succeeded", "newest"): "PRIMARY",
    ("task=nothing:* args.x=1 q=nothing", "newest"): "PRIMARY",
    ("state=scheduled", "newest"): "waiting",
    ("state=scheduled queue=mails", "oldest"): "waiting",
    ("state=failed", "newest"): "rare",
    ("state=failed,missed,quarantined", "newest"): "rare rare rare",
    ("state=scheduled,failed", "oldest"): "waiting rare",
    ("state=running", "newest"): "held",
    ("state=running,claimed,paused", "newest"): "rare held",
    ("key=order:1", "newest"): "key",
    ("", "run_at"): "next",
    ("run_at<2026-03-02 queue=mails", "run_at"): "next",
    ("", "finished"): "ended ended ended ended",
    ("state=failed", "finished"): "ended",
    ("finished>=2026-02-01", "finished"): "ended ended ended ended",
}
"""The indexes by which each list is read, in its own order."""


def test_each_list_walks_an_index_in_its_own_order_and_no_further_than_a_page(full: Store, clock: ManualClock) -> None:
    forge(full, "UPDATE scheduler_jobs SET finished_at = run_at WHERE state = 'succeeded'")
    forge(full, "UPDATE scheduler_jobs SET state = 'failed' WHERE id LIKE 'done-1%'")
    analyse(full)
    process = Process(full, clock, slots=3)
    process.claim()
    used, read, sorts = {}, {}, []
    for said, sort in BY_INDEX:
        wanted, order = parse_filter(said), Sort(sort)
        for after in (None, Position("future-5", clock.now())):
            with explained(full) as plans, full.reading() as connection:
                rows = list(islice(Walk(connection, full.dialect, wanted, order, after, 20).rows(), 20))
            assert len({row.position for row in rows}) == len(rows)
            [plan] = plans[:1]
            found = [
                access.split("scheduler_jobs_")[-1] for access in accesses(full, plan) if "schedules" not in access
            ]
            used[said, sort] = " ".join("PRIMARY" if "pkey" in name or name == "1" else name for name in found)
            if full.dialect.name == "postgresql":
                read[said, sort] = rows_read(plan)
            elif "held" not in used[said, sort] and " " not in used[said, sort]:
                sorts += [(said, sort) for line in plan if "TEMP B-TREE" in line]
    if full.dialect.name == "postgresql":  # of states that no job is in, it takes either index
        used = {
            asked: names.replace("ended ended rare rare", "ended ended ended ended") for asked, names in used.items()
        }
    assert used == BY_INDEX
    assert sorts == []
    assert all(count <= 500 * 4 for count in read.values()), read
    assert all(read[said, sort] <= 20 for said, sort in read if " " not in BY_INDEX[said, sort] and "=" not in said), (
        read
    )


def test_states_are_counted_in_indexes(full: Store) -> None:
    forge(full, "UPDATE scheduler_jobs SET finished_at = run_at WHERE state = 'succeeded'")
    with explained(full) as plans, full.reading() as connection:
        counts = {state: find.count_of(connection, state, 10_000) for state in JobState}
    assert (counts[JobState.SCHEDULED], counts[JobState.SUCCEEDED]) == (FUTURE + DUE, FINISHED)
    used = [access for plan in plans for access in accesses(full, plan)]
    if full.dialect.name == "sqlite":  # PostgreSQL reads the table for the half of it
        assert [one for one in used if one.endswith("ALL ROWS") or "autoindex" in one] == [], used


def test_the_audit_is_read_and_pruned_by_index_whatever_is_asked_of_it(store: Store, clock: ManualClock) -> None:
    if store.dialect.name == "mysql":
        pytest.skip("of MySQL and MariaDB correctness is promised, and no plan")
    instants = [clock.advance(1) for _ in range(6000)]
    made = [
        Entry(new_id(at), at, f"actor {n % 50}", "admin", {}, f"verb {n % 40}", f"job {n % 900}")
        for n, at in enumerate(instants)
    ]
    store.write(lambda connection: connection.execute(insert(tables.audit), [audit._row(entry) for entry in made]))
    with store.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql(
            "VACUUM ANALYZE scheduler_audit" if store.dialect.name == "postgresql" else "ANALYZE"
        )
    asked = [{}, {"actor": "actor 7"}, {"action": "verb 7"}, {"target": "job 7"}, {"target": "nobody"}]
    with explained(store) as plans, store.begin() as connection:
        for wanted in asked:
            for before in (None, made[3000].id):
                audit.page(connection, **wanted, before=before, limit=3)
        assert audit.prune_some(connection, store.dialect, 5990, clock.now(), 20) == 9
    used = [access for plan in plans for access in accesses(store, plan)]
    assert [access for access in used if not access.startswith(("INDEX", "BITMAP"))] == OF_ALL[store.dialect.name], used
    if store.dialect.name == "postgresql":  # what is common it may as well meet by going through the newest
        assert [rows for rows in map(rows_read, plans) if rows > 200] == []


OF_ALL = {"sqlite": ["ALL ROWS by sqlite_autoindex_scheduler_audit_1"], "postgresql": []}
"""How the newest of all are read, of which SQLite says that it goes through their index; it ends at the page's end."""
