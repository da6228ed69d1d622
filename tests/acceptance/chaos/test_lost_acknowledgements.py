"""One in five commits succeeds and is never answered: on schedule, claim and settle alike. Nothing is lost, nothing is
doubled, nothing is stuck.

Time budget: 25 s per database.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from scheduler_app.errors import StoreUnavailableError
from scheduler_app.filters import JobFilter
from scheduler_app.jobs import LIVE, JobState
from scheduler_app.store import Connection, NewJob, OnConflict, Store, add, claim, find
from scheduler_app.store.walking import Walk

from ..processes import until
from . import judge
from .journal import Journal, of_kind, read
from .nursery import nursery
from .proxy import proxy_to
from .worker import Options, lose_replies

SHARE = 0.2
CALLS_A_SECOND = 7.5
KINDS = ("schedule", "claim", "settle")
SETTINGS = {
    "SCHEDULER_HEARTBEAT_SECONDS": 0.5,
    "SCHEDULER_POLL_SECONDS": 0.2,
    "SCHEDULER_EXECUTORS": {"default": {"type": "threads", "max_workers": 4}},
}


@contextmanager
def lossy(url: str, folder: Path) -> Iterator[tuple[str, float, Any]]:
    """Yield the URL to use, the share that a process is to lose by itself, and what tells the counts in the end."""
    if not url.startswith("postgresql"):
        told = lambda: Counter(kind for line in of_kind(folder, "lost") for kind in line["kinds"] or ["other"])  # noqa: E731
        yield url, SHARE, told
        return
    with proxy_to(url) as (proxy, through):
        proxy.share = SHARE
        yield through, 0.0, lambda: proxy.lost


@pytest.mark.chaos
@pytest.mark.timeout(120)
def test_a_commit_whose_reply_is_lost_neither_loses_nor_doubles_a_job(
    store_url: str, tmp_path: Path, chaos_seconds: float
) -> None:
    calls = round(CALLS_A_SECOND * chaos_seconds)
    store = Store(store_url, auto_upgrade=True)
    store.ensure_ready()
    with lossy(store_url, tmp_path) as (url, share, told), nursery(tmp_path) as hatchery:
        for _ in range(2):
            hatchery.spawn(Options(str(tmp_path), url, "worker", SETTINGS, lossy=share))
        producers = [
            hatchery.spawn(Options(str(tmp_path), url, "producer", SETTINGS, lossy=share, calls=calls, pause=0.02))
            for _ in range(2)
        ]
        for pid in producers:
            hatchery.await_death(pid, 30 + 2 * chaos_seconds)
        until(lambda: _is_over(store), "every stored job comes to its end")
        counts = store.read(lambda c: {state: find.count_of(c, state, 10_000) for state in JobState})
        lost = told()
    store.close()
    history = judge.gather(read(tmp_path))
    _print_figures(store_url, history, lost)
    assert judge.losses(history) == []
    assert judge.violations(history) == []
    assert history.repeated == [], "Nobody was killed, so nothing may run twice."
    assert [kind for kind in KINDS if not lost[kind]] == [], "No reply of this kind was lost."
    _assert_as_many_as_said(history, counts)


def _is_over(store: Store) -> bool:
    """Whether no job is live; asked in one statement, so that none can slip from one state to another in between."""
    return store.read(lambda c: next(Walk(c, store.dialect, JobFilter(states=LIVE), first=1).rows(), None)) is None


def _assert_as_many_as_said(history: judge.History, counts: dict[JobState, int]) -> None:
    """Each call that returned is one job; one that raised is one job or none."""
    seqs = Counter(run.seq for runs in history.runs.values() for run in runs)
    assert [seq for seq, runs in seqs.items() if runs > 1] == [], "These calls became several jobs."
    assert set(history.acknowledged) <= set(history.runs)
    unsure = {job for job in history.runs if job not in history.acknowledged}
    raised = {line["seq"] for line in history.raised}
    assert {history.runs[job][0].seq.partition("/")[0] for job in unsure} <= raised
    assert counts[JobState.SUCCEEDED] == len(history.runs)
    assert sum(counts.values()) == len(history.runs), "Something that ran nowhere is stored."


def _print_figures(url: str, history: judge.History, lost: Counter[str]) -> None:
    print(
        f"\n{url.partition(':')[0]}: {len(history.acknowledged)} acknowledged, {len(history.raised)} calls raised,"
        f" {len(history.runs)} run, {len(history.repeated)} run again; replies lost: {dict(lost)}"
    )


# -- one call at a time ------------------------------------------------------------------------------


def _new(store: Store, job_id: str, key: str | None = None) -> NewJob:
    now = store.clock.now()
    return NewJob(job_id, "task", "{}", "v1:01234567:mac", "default", 2, now, now, key=key)


def test_a_call_that_never_gets_a_reply_says_that_it_is_not_known_whether_it_was_stored(
    sqlite_url: str, tmp_path: Path
) -> None:
    store = Store(sqlite_url, auto_upgrade=True, patience=0.2)
    store.ensure_ready()
    lose_replies(store, Journal(tmp_path, "test"), 1.0)
    with pytest.raises(StoreUnavailableError) as caught:
        store.write(lambda connection: add.insert_jobs(connection, store.dialect, [_new(store, "a")]))
    assert caught.value.undecided
    assert str(caught.value) == (
        f"The scheduler's database {sqlite_url} cannot be used now: the reply was lost. Whether this was stored is not"
        " known. Check that it runs, then look before you try again."
    )
    assert store.read(lambda connection: find.job(connection, "a")) is not None
    store.close()


def test_a_call_with_a_key_that_is_tried_again_is_its_own_job_even_when_that_has_started(store_url: str) -> None:
    store = Store(store_url, auto_upgrade=True)

    def insert(job_id: str) -> tuple[str, bool]:
        new = _new(store, job_id, key="k")
        return store.write(
            lambda c: add.insert_keyed(c, store.dialect, new, OnConflict.RAISE, lambda standing: {"id": standing})
        )

    def start(connection: Connection) -> int:
        now: datetime = store.clock.now()
        [due] = claim.peek_ranges(connection, store.dialect, now)
        claims = claim.lock_due(connection, store.dialect, due, now, 1, claim.Unserved(), crashed=False)
        claim.take(connection, store.dialect, claims, "worker", now)
        return len(claims)

    assert insert("a") == ("a", True)
    assert store.write(start) == 1
    assert insert("b") == ("b", True)
    assert insert("a") == ("a", True)
    store.close()
