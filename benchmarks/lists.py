"""What lists, counts and previews cost in a small table and in a large one: neither history nor future may matter.

The large database holds 1,000,000 finished and 1,000,000 future jobs (times `--scale`), the small one 10,000 of each;
both some that failed. What is measured is the client's own verb, as REST and the command line call it, from the filter
as text to the jobs. Both databases take turns in one process.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import text

from benchmarks import bare as bare_limit
from benchmarks.bench import Bench, Report, note, shown
from benchmarks.claim import copy_postgresql, insert_sqlite
from benchmarks.figures import at_most, percentile, rounded
from benchmarks.process import Port, run
from scheduler_app.client import Calls, Client, Limits
from scheduler_app.jobs import new_id
from scheduler_app.payload import Signer
from scheduler_app.store import Store
from scheduler_app.tasks import ModuleRule, TaskRegistry

SMALL = 10_000
LARGE = 1_000_000
FAILED_OF = 500
"""One of so many finished jobs has failed."""
MOST_RATIO = 2.0
SLOWEST = 5
"""How many of the searches without an index are measured, for each hundred others."""

Verb = Callable[[Client], Any]


def _list(said: str, **options: Any) -> Verb:
    return lambda client: client.list(said, **options)


def _second_page(said: str, **options: Any) -> Verb:
    return lambda client: client.list(said, after=client.list(said, **options).after, **options)


INDEXED: dict[str, Verb] = {
    "newest": _list(""),
    "newest, page 2": _second_page(""),
    "oldest": _list("", sort="oldest"),
    "scheduled": _list("state=scheduled"),
    "succeeded": _list("state=succeeded"),
    "failed": _list("state=failed"),
    "failed, missed, running": _list("state=failed,missed,running"),
    "next": _list("", sort="run_at"),
    "next, page 2": _second_page("", sort="run_at"),
    "ended last": _list("", sort="finished"),
    "failed last": _list("state=failed", sort="finished"),
    "a key": _list("key=order:7"),
    "a queue": _list("queue=mail"),
    "a task": _list("task=benchmarks.*"),
    "created before": _list("created<2026-01-02"),
    "stats": lambda client: client.stats(),
    "queues": lambda client: client.queues(),
    "preview of scheduled": lambda client: client.bulk("cancel", "state=scheduled", dry_run=True),
    "preview of failed": lambda client: client.bulk("retry", "state=failed", dry_run=True),
}
UNBOUNDED = ("queues",)
"""What has no goal: it counts each queue to 10,000, and the small table's have fewer."""

SEARCHED: dict[str, Verb] = {
    "an argument, absent": _list("args.user=nobody"),
    "a position, absent": _list("args.0=-1"),
    "a text, absent": _list("q=nowhere"),
    "an error, absent": _list("error~nowhere"),
    "a tag, absent": _list("tag=nowhere"),
    "a queue, absent": _list("queue=nowhere"),
    "a prefix of keys, absent": _list("key=nowhere:*"),
    "preview by argument": lambda client: client.bulk("cancel", "args.user=nobody", dry_run=True),
}


def measure(bench: Bench) -> Report:
    """Load both databases, then ask both in turn."""
    with bench.databases.fresh() as small_url, bench.databases.fresh() as large_url:
        small, large = round(SMALL * min(1.0, bench.scale * 100)), round(LARGE * bench.scale)
        for url, others in ((small_url, small), (large_url, large)):
            note(f"load: {shown(run('lists', 'load', url=url, others=others))}")
        found = run("lists", "lists", small_url=small_url, large_url=large_url, count=bench.jobs)
    ratios = {what: sides["large p99_ms"] / sides["small p99_ms"] for what, sides in found.items()}
    sides = {what: {name: rounded(value) for name, value in sample.items()} for what, sample in found.items()}
    goals = [at_most(f"{what}: p99, large/small", ratios[what], MOST_RATIO) for what in found if what not in UNBOUNDED]
    return Report(sides, ratios, goals)


# -- loading -----------------------------------------------------------------------------------------

COLUMNS = (
    "id", "task", "payload", "signature", "queue", "priority", "state", "run_at", "created_at", "key", "live_key",
    "tags", "started_at", "finished_at", "outcome", "error", "claim_seq",
)  # fmt: skip


def load(port: Port, url: str, others: int) -> dict[str, Any]:
    """Fill a database with finished and future jobs, in one shuffled stream."""
    bare_limit.migrate(url)
    tables = bare_limit.Tables(url)
    began = time.perf_counter()
    rows = _rows(tables, others)
    with tables.engine.begin() as connection:
        raw = connection.connection.driver_connection
        insert = insert_sqlite if tables.is_sqlite else copy_postgresql
        insert(raw, rows, COLUMNS)
    with tables.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("ANALYZE" if tables.is_sqlite else "VACUUM (FREEZE, ANALYZE) scheduler_jobs"))
    return {"rows": 2 * others, "seconds": time.perf_counter() - began}


def _rows(tables: bare_limit.Tables, others: int) -> Iterator[tuple[Any, ...]]:
    chance = random.Random(7)
    kinds = ["scheduled"] * others + ["succeeded"] * others
    chance.shuffle(kinds)
    now = datetime.now(UTC)
    instant = _as_text if tables.is_sqlite else lambda one: one
    for number, kind in enumerate(kinds):
        created = now - timedelta(seconds=(2 * others - number) / 10)
        has_ended = kind == "succeeded"
        has_failed = has_ended and number % FAILED_OF < 2
        run_at = created + timedelta(seconds=1) if has_ended else now + timedelta(seconds=chance.uniform(60, 86_400))
        yield (
            new_id(created),
            "benchmarks.work:noop",
            f'{{"a":[{number}],"k":{{"user":{number}}}}}',
            "v1:01234567:0123456789012345678901234567890123456789012",
            ("default", "mail", "reports")[number % 3],
            (2, 2, 2, 1, 3, 2, 0)[number % 7],
            "failed" if has_failed else kind,
            instant(run_at),
            instant(created),
            f"order:{number}" if number % 10 == 7 else None,
            f"order:{number}" if number % 10 == 7 and not has_ended else None,
            f'["order:{number}"]' if number % 5 == 0 else None,
            instant(run_at) if has_ended else None,
            instant(run_at + timedelta(seconds=1)) if has_ended else None,
            "error" if has_failed else "success" if has_ended else None,
            "TimeoutError: the relay did not answer" if has_failed else None,
            int(has_ended),
        )


def _as_text(one: datetime) -> Any:
    return one.replace(tzinfo=None).isoformat(" ", "microseconds")


# -- asking ------------------------------------------------------------------------------------------


def lists(port: Port, small_url: str, large_url: str, count: int) -> dict[str, Any]:
    """Ask both databases in turn, many times."""
    clients = {"small": _client(small_url), "large": _client(large_url)}
    found = {}
    for verbs, times in ((INDEXED, count), (SEARCHED, max(1, count * SLOWEST // 100))):
        for what, verb in verbs.items():
            took: dict[str, list[float]] = {size: [] for size in clients}
            for number in range(-3, times):
                for size, client in clients.items():
                    began = time.perf_counter()
                    verb(client)
                    if number >= 0:
                        took[size].append((time.perf_counter() - began) * 1000)
            found[what] = _figures(took)
            note(f"{what}: {shown(found[what])}")
    return found


def _figures(took: dict[str, list[float]]) -> dict[str, float]:
    shares = {"p50_ms": 0.5, "p99_ms": 0.99}
    return {f"{size} {name}": percentile(took[size], share) for size in took for name, share in shares.items()}


def _client(url: str) -> Client:
    store = Store(url)
    store.ensure_ready()
    signer = Signer([b"the key of the benchmarks"])
    calls = Calls(TaskRegistry(ModuleRule(("benchmarks",))), lambda: signer, None, 65_536)
    return Client(store, calls, Limits(1e9, 1000, 200, 30.0), lambda seconds: None)
