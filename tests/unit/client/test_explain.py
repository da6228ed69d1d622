"""Why a job has not run yet: what is told of workers that live, and of those that only have a row."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from scheduler_app.client.explain import NOBODY, explain
from scheduler_app.client.liveness import state_of
from scheduler_app.jobs import Job, JobState
from scheduler_app.store.workers import WorkerRow

NOW = datetime(2026, 7, 1, 12, tzinfo=UTC)
LEASE_SECONDS = 30.0
JOB = Job(
    id="j1", task="shop:sell", payload="{}", queue="mail", priority=2, state=JobState.SCHEDULED, run_at=NOW, key=None,
    attempt=0, max_attempts=1, crashes=0, claim_seq=0, worker_id=None, created_at=NOW,
)  # fmt: skip
HELD = replace(JOB, state=JobState.RUNNING, worker_id="w1", claim_seq=1)
SILENT_SECONDS = 31
SENTENCE = "It is running on alpha, pid 42, which has been silent for 31 s; it will be rescued."


def worker(seconds_ago: float = 2, *, worker_id: str = "w1", state: str = "running") -> WorkerRow:
    return WorkerRow(
        id=worker_id, host="alpha", pid=42, boot_id=None, pid_namespace=None, pid_started=None, beat=3, state=state,
        queues=None, executors="{}", tasks='["shop:sell"]', key_ids="[]", started_at=NOW,
        seen_at=NOW - timedelta(seconds=seconds_ago), package_version="0.1",
    )  # fmt: skip


@pytest.mark.parametrize(("seconds_ago", "state"), [(30, "draining"), (30.1, "silent")])
def test_a_worker_is_silent_when_its_lease_is_over(seconds_ago: float, state: str) -> None:
    assert state_of(worker(seconds_ago, state="draining"), NOW, LEASE_SECONDS) == state


def test_a_silent_worker_serves_no_queue() -> None:
    found = explain(JOB, [worker(SILENT_SECONDS)], NOW, LEASE_SECONDS)
    assert found.facts[-1] == "Live workers that serve its queue: 0."
    assert found.remedy == NOBODY


def test_a_live_worker_counts_beside_a_silent_one() -> None:
    found = explain(JOB, [worker(SILENT_SECONDS), worker(worker_id="w2")], NOW, LEASE_SECONDS)
    assert found.facts[-1] == "Live workers that serve its queue: 1."
    assert found.remedy == "It starts as soon as one of them has a free slot."


def test_a_job_that_a_silent_worker_holds_will_be_rescued() -> None:
    found = explain(HELD, [worker(SILENT_SECONDS), worker(worker_id="w2")], NOW, LEASE_SECONDS)
    assert (found.facts, found.remedy) == ((SENTENCE,), None)


def test_where_nobody_is_left_to_rescue_it_the_remedy_is_said() -> None:
    found = explain(HELD, [worker(SILENT_SECONDS)], NOW, LEASE_SECONDS)
    assert (found.facts, found.remedy) == ((SENTENCE,), NOBODY)


def test_a_job_that_a_live_worker_holds_just_runs() -> None:
    found = explain(HELD, [worker()], NOW, LEASE_SECONDS)
    assert (found.facts, found.remedy) == (("It is running on alpha, pid 42.",), None)
