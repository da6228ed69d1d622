"""What one claim costs in a small table and in a large one: it should not depend on the future, nor on history.

A claim here is the package's own: peek at the ranges, lock up to 10 due jobs of each due range, take them; then it is
rolled back, so that each claim finds the same. Both databases hold the same 1,000 due jobs in 3 queues and 4
priorities. Beside them the small one has 4,500 future and 4,500 finished jobs, the large one 1,000,000 and 1,000,000
(times `--scale`). Claims of the two take turns in one process. `idle` is a peek when nothing is due, which is what a
waiting loop does. There is no peer here: stock APScheduler reads every due row, and keeps no history.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Connection, text

from benchmarks import bare as bare_limit
from benchmarks.bench import Bench, Report, note, shown
from benchmarks.figures import at_most, percentile, rounded
from benchmarks.process import Port, run
from scheduler_app.store import Store
from scheduler_app.store import claim as verbs
from scheduler_app.store.claim import Unserved

DUE = 1_000
SMALL = 4_500
LARGE = 1_000_000
AT_ONCE = 10
MOST_RATIO = 1.5


def measure(bench: Bench) -> Report:
    """Load both databases, then claim from them in turn."""
    large = round(LARGE * bench.scale)
    with bench.databases.fresh() as small_url, bench.databases.fresh() as large_url:
        for url, others in ((small_url, SMALL), (large_url, large)):
            note(f"load: {shown(run('claim', 'load', url=url, others=others))}")
        found = run("claim", "claims", small_url=small_url, large_url=large_url, count=bench.jobs)
    for name, sample in found.items():
        note(f"{name}: {shown(sample)}")
    ratios = {
        f"{what} {figure}": found[f"large {what}"][f"{figure}_us"] / found[f"small {what}"][f"{figure}_us"]
        for what in ("claim", "idle")
        for figure in ("p50", "p99")
    }
    sides = {name: {figure: rounded(value) for figure, value in sample.items()} for name, sample in found.items()}
    return Report(sides, ratios, [at_most("claim p50, large/small", ratios["claim p50"], MOST_RATIO)])


# -- loading -----------------------------------------------------------------------------------------


def load(port: Port, url: str, others: int) -> dict[str, Any]:
    """Fill a database: due, future and finished jobs in one shuffled stream, as years of use would leave them."""
    bare_limit.migrate(url)
    tables = bare_limit.Tables(url)
    began = time.perf_counter()
    rows = _rows(tables, others)
    with tables.engine.begin() as connection:
        raw = connection.connection.driver_connection
        insert_sqlite(raw, rows, COLUMNS) if tables.is_sqlite else copy_postgresql(raw, rows, COLUMNS)
    with tables.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("ANALYZE" if tables.is_sqlite else "VACUUM (FREEZE, ANALYZE) scheduler_jobs"))
    return {"rows": DUE + 2 * others, "seconds": time.perf_counter() - began}


COLUMNS = (
    "id", "task", "payload", "signature", "queue", "priority", "state", "run_at", "created_at", "started_at",
    "finished_at", "outcome", "claim_seq", "worker_id",
)  # fmt: skip


def _rows(tables: bare_limit.Tables, others: int) -> Iterator[tuple[Any, ...]]:
    chance = random.Random(7)
    kinds = ["due"] * DUE + ["future"] * others + ["finished"] * others
    chance.shuffle(kinds)
    now = datetime.now(UTC)
    instant: Callable[[datetime], Any] = _as_text if tables.is_sqlite else lambda one: one
    for number, kind in enumerate(kinds):
        queue, priority = ("default", "mail", "reports")[number % 3], (2, 2, 2, 1, 3, 2, 0)[number % 7]
        age = timedelta(seconds=chance.uniform(1, 86_400))
        ended = kind == "finished"
        run_at = now + age if kind == "future" else now - age
        yield (
            f"0190{number:032x}",
            "benchmarks.work:noop",
            f'{{"a":[{number}],"k":{{}}}}',
            "v1:01234567:0123456789012345678901234567890123456789012",
            queue,
            priority,
            "succeeded" if ended else "scheduled",
            instant(run_at),
            instant(now - age),
            instant(run_at) if ended else None,
            instant(run_at) if ended else None,
            "success" if ended else None,
            int(ended),
            "a worker" if ended else None,
        )


def _as_text(one: datetime) -> str:
    return one.replace(tzinfo=None).isoformat(" ", "microseconds")


def insert_sqlite(raw: Any, rows: Iterator[tuple[Any, ...]], columns: Sequence[str]) -> None:
    """Insert rows into the table of jobs."""
    marks = ", ".join("?" * len(columns))
    raw.executemany(f"INSERT INTO scheduler_jobs ({', '.join(columns)}) VALUES ({marks})", rows)


def copy_postgresql(raw: Any, rows: Iterator[tuple[Any, ...]], columns: Sequence[str]) -> None:
    """Copy rows into the table of jobs."""
    with raw.cursor() as cursor, cursor.copy(f"COPY scheduler_jobs ({', '.join(columns)}) FROM STDIN") as copy:
        for row in rows:
            copy.write_row(row)


# -- claiming ----------------------------------------------------------------------------------------


def claims(port: Port, small_url: str, large_url: str, count: int) -> dict[str, Any]:
    """Claim from both databases in turn, many times."""
    stores = {"small": Store(small_url), "large": Store(large_url)}
    whats = {"claim": _claim, "idle": _idle}
    took: dict[str, list[float]] = {f"{size} {what}": [] for what in whats for size in stores}
    for number in range(-20, count):
        for what, do in whats.items():
            for size, store in stores.items():
                seconds = _rolled_back(store, do)
                if number >= 0:
                    took[f"{size} {what}"].append(seconds * 1e6)
    return {
        name: {"p50_us": percentile(values, 0.5), "p99_us": percentile(values, 0.99)} for name, values in took.items()
    }


def _rolled_back(store: Store, do: Callable[[Store, Connection], int]) -> float:
    store.ensure_ready()
    with store.engine.connect() as connection:
        transaction = connection.begin()
        began = time.perf_counter()
        found = do(store, connection)
        took = time.perf_counter() - began
        transaction.rollback()
    assert found, "nothing was found to claim"
    return took


def _claim(store: Store, connection: Connection) -> int:
    now, nobody = store.clock.now(), Unserved()
    ranges = [one for one in verbs.peek_ranges(connection, store.dialect, now) if one.first <= now]
    locked = [
        c for one in ranges for c in verbs.lock_due(connection, store.dialect, one, now, AT_ONCE, nobody, crashed=False)
    ]
    verbs.take(connection, store.dialect, locked, "a worker", now)
    return len(locked)


def _idle(store: Store, connection: Connection) -> int:
    return len(verbs.peek_ranges(connection, store.dialect, store.clock.now() - timedelta(days=2)))
