"""Why a job has not run yet: what is told of workers that live, and of those that only have a row."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from scheduler_app.client.explain import explain
from scheduler_app.client.liveness import ALL_PAUSED, NOBODY, state_of
from scheduler_app.client.queueing import QueueStatus
from scheduler_app.jobs import Job, JobState
from scheduler_app.queues import Queue
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


def test_where_the_workers_are_paused_it_is_said_how_they_go_on() -> None:
    found = explain(JOB, [worker(state="paused")], NOW, LEASE_SECONDS)
    assert found.facts[-2:] == (
        "Live workers that serve its queue: 0.",
        "Paused by scheduler.aps.pause(), and so starting nothing: 1 more.",
    )
    assert found.remedy == ALL_PAUSED


def test_a_worker_that_takes_jobs_counts_beside_a_paused_one() -> None:
    found = explain(JOB, [worker(state="paused"), worker(worker_id="w2")], NOW, LEASE_SECONDS)
    assert "Live workers that serve its queue: 1." in found.facts
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


@pytest.mark.parametrize(
    ("error", "remedy"),
    [
        ("no live worker knows its task: shop:sell", "Deploy code that has this task, by this name or an alias"),
        (
            "no live worker takes its arguments: missing a required argument: 'n'",
            "Deploy code that takes these arguments",
        ),
        ("no live worker knows its signing key: v1:0", "Give a worker its signing key again"),
        ("its signature is forged: the row was changed by other means", "schedule the call anew, and cancel it."),
    ],
)
def test_what_is_put_aside_says_what_mends_it(error: str, remedy: str) -> None:
    found = explain(replace(JOB, state=JobState.QUARANTINED, error=error), [worker()], NOW, LEASE_SECONDS)
    assert found.facts == (f"It is put aside (quarantined): {error}.",)
    assert remedy in str(found.remedy)


def test_a_job_that_a_worker_gave_back_unrun_says_why_and_what_it_lacks() -> None:
    error = "The task 'shop:sell' is not known here: no task is registered under this name."
    found = explain(replace(JOB, error=error), [worker()], NOW, LEASE_SECONDS)
    assert found.facts[-1] == f"A worker gave it back unrun: {error}"
    assert str(found.remedy).startswith("Deploy what it lacks to a worker that serves its queue")
    retried = explain(replace(JOB, error="ValueError: no", attempt=1, max_attempts=2), [worker()], NOW, LEASE_SECONDS)
    assert retried.remedy == "It starts as soon as one of them has a free slot."


# -- its queue -----------------------------------------------------------------------------------------


def standing(*, running: int = 0, paused: bool = False, here: int | None = None, **columns: Any) -> QueueStatus:
    held = {"w1": running} if running else {}
    return QueueStatus(Queue("mail", **columns), 1, running, None, paused, here, held)


MAIL_PAUSED = standing(paused=True, paused_at=NOW, paused_until=NOW + timedelta(hours=1), pause_reason="relay down")
RESUME = "Resume it with 'flask scheduler resume --queue mail'."
FULL = "Its queue is full: 3 of its jobs are running, and 3 may at once in all processes."
FULL_HERE = "Its queue is full: 2 of its jobs may run at once in each process, and in each as many do."


@pytest.mark.parametrize(
    ("queue", "workers", "fact", "remedy"),
    [
        (
            MAIL_PAUSED,
            [worker()],
            "Its queue is paused since 2026-07-01 12:00:00 UTC, until 2026-07-01 13:00:00 UTC: relay down.",
            RESUME,
        ),
        (
            standing(paused=True, paused_at=NOW),
            [],
            "Its queue is paused since 2026-07-01 12:00:00 UTC, until someone resumes it.",
            f"{RESUME} {NOBODY}",
        ),
        (
            standing(running=3, concurrency=3),
            [worker()],
            FULL,
            "It starts when one of those ends; 'concurrency' of 'mail' in SCHEDULER_QUEUES allows more.",
        ),
        (
            standing(running=2, here=2),
            [worker()],
            FULL_HERE,
            "It starts when one of those ends; 'concurrency_per_process' of 'mail' in SCHEDULER_QUEUES allows more;"
            " so do more processes.",
        ),
        (
            standing(running=2, here=2, concurrency=3),
            [worker(), worker(worker_id="w2")],
            "Live workers that serve its queue: 2.",
            "It starts as soon as one of them has a free slot.",
        ),
        (standing(running=3, concurrency=3), [], "Live workers that serve its queue: 0.", NOBODY),
    ],
)
def test_a_paused_or_full_queue_is_named_with_the_remedy(
    queue: QueueStatus, workers: list[WorkerRow], fact: str, remedy: str
) -> None:
    found = explain(JOB, workers, NOW, LEASE_SECONDS, queue)
    assert (found.facts[-1], found.remedy) == (fact, remedy)


@pytest.mark.parametrize("error", ["ValueError: Is it there?", "ValueError: Give it a name."])
def test_an_error_that_is_a_sentence_is_not_ended_once_more(error: str) -> None:
    ended = (
        replace(JOB, state=JobState.QUARANTINED, error=error),
        replace(JOB, state=JobState.FAILED, error=error),
        replace(JOB, error=error),
        replace(JOB, error=error, attempt=1, max_attempts=2),
    )
    for job in ended:
        assert any(fact.endswith(error) for fact in explain(job, [worker()], NOW, LEASE_SECONDS).facts), job.state
