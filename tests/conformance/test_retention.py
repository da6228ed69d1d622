"""How long finished jobs are kept: by outcome and age, in small batches, one process at a time."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask

from scheduler_app import schedule_after, schedule_now, signals
from scheduler_app.client import Client
from scheduler_app.errors import DelayError
from scheduler_app.extension import Parts
from scheduler_app.jobs import FINISHED, JobState, Outcome, first_id_of, new_id
from scheduler_app.loop.pruner import Pruner
from scheduler_app.store import Store, prune, workers
from tests.conformance.cranked import ManualClock, Process, attempts_of, fetch, forge, job, put
from tests.conformance.sides import until

HOUR = 3600.0
KEPT = {JobState.SUCCEEDED: HOUR, JobState.FAILED: 10 * HOUR, JobState.CANCELLED: None, JobState.MISSED: 10 * HOUR}


def left(store: Store) -> list[str]:
    return [row.id for row in fetch(store, "SELECT id FROM scheduler_jobs ORDER BY id")]


def pruner(process: Process) -> Pruner:
    return Pruner(process.store, process.worker, KEPT, 60.0)


def test_ids_are_in_the_order_of_instants(clock: ManualClock) -> None:
    ids = []
    for _ in range(50):
        ids += [first_id_of(clock.now()), new_id(clock.now())]
        clock.advance(0.001)
    assert ids == sorted(ids)


def test_a_finished_job_goes_when_its_time_is_over_with_its_attempts(
    store: Store, process: Process, clock: ManualClock
) -> None:
    put(store, job(clock, id=new_id(clock.now()), max_attempts=2), job(clock))
    first, second = sorted(process.claim(), key=lambda claim: -claim.max_attempts)
    process.fail(first)
    process.finish(second)
    clock.advance(20)
    process.finish(process.claim_one())
    assert len(attempts_of(store, first.id)) == 2
    clock.advance(HOUR - 20)
    assert pruner(process).run() == 0
    clock.advance(1)
    assert pruner(process).run() == 1
    assert left(store) == [first.id]
    clock.advance(20)
    assert pruner(process).run() == 1
    assert left(store) == []
    assert fetch(store, "SELECT count(*) FROM scheduler_attempts")[0][0] == 0


def test_each_state_has_its_own_time_and_what_has_not_ended_none(
    store: Store, process: Process, clock: ManualClock
) -> None:
    made = {state: job(clock, after=1) for state in JobState}
    put(store, *made.values())
    clock.advance(1)
    for state, one in made.items():
        finished = clock.now() if state in FINISHED else None
        forge(store, "UPDATE scheduler_jobs SET state = :s, finished_at = :f WHERE id = :id",
              s=state.value, f=None if finished is None else finished.isoformat(" ")[:19], id=one.id)  # fmt: skip
    clock.advance(2 * HOUR)
    assert pruner(process).run() == 1
    clock.advance(10 * HOUR)
    assert pruner(process).run() == 2
    clock.advance(1_000_000 * HOUR)
    assert pruner(process).run() == 0
    ended = {JobState.SUCCEEDED, JobState.FAILED, JobState.MISSED}
    assert left(store) == sorted(made[state].id for state in JobState if state not in ended)


def test_batches_walk_past_what_stays(store: Store, process: Process, clock: ManualClock, monkeypatch: Any) -> None:
    for bound in ("SMALLEST", "LARGEST"):
        monkeypatch.setattr(f"scheduler_app.loop.pruner.{bound}", 7)
    put(store, *(job(clock, id=new_id(clock.advance(0.001))) for _ in range(50)))
    over = "UPDATE scheduler_jobs SET state = 'succeeded', finished_at = :now WHERE id = :id"
    for number, job_id in enumerate(left(store)):
        if number % 3:
            forge(store, over, now=clock.now().isoformat(" ")[:26].removesuffix("+00:00"), id=job_id)
    clock.advance(HOUR + 1)
    rests: list[float] = []

    def rest(seconds: float) -> bool:
        rests.append(seconds)
        return False

    assert pruner(process).run(rest) == 33
    assert len(left(store)) == 17
    assert len(rests) == 8
    assert pruner(process).run(lambda _seconds: True) == 0


def test_a_damaged_row_keeps_no_other_from_going(store: Store, process: Process, clock: ManualClock) -> None:
    put(store, *(job(clock) for _ in range(3)))
    claims = process.claim()
    for one in claims:
        process.end(one)
    process.turn()
    forge(store, "UPDATE scheduler_jobs SET finished_at = NULL, result = 'x' WHERE id = :id", id=claims[0].id)
    clock.advance(HOUR + 1)
    assert pruner(process).run() == 2
    assert left(store) == [claims[0].id]


def test_a_job_that_a_person_retries_meanwhile_stays(store: Store, process: Process, clock: ManualClock) -> None:
    put(store, job(clock))
    claim = process.claim_one()
    process.finish(claim, Outcome.ERROR, error="x")
    clock.advance(11 * HOUR)

    forge(store, "UPDATE scheduler_jobs SET state = 'scheduled' WHERE id = :id", id=claim.id)
    assert store.write(lambda c: prune.prune_some(c, store.dialect, KEPT, clock.now(), "", 10).count) == 0
    assert left(store) == [claim.id]


def test_only_the_eldest_that_lives_prunes(
    store: Store, make_process: Callable[..., Process], clock: ManualClock
) -> None:
    eldest = make_process()
    clock.advance(1)
    younger = make_process()
    assert [pruner(one)._is_eldest() for one in (eldest, younger)] == [True, False]
    store.write(lambda connection: workers.remove(connection, eldest.worker.id))
    assert [pruner(one)._is_eldest() for one in (eldest, younger)] == [False, True]


# -- in a running scheduler -------------------------------------------------------------------------------------


def note() -> None:
    """What the jobs here call."""


def test_a_running_scheduler_prunes_by_itself_and_says_so(make_app: Callable[..., Flask]) -> None:
    app = make_app(SCHEDULER_RETENTION_SECONDS={"succeeded": 0})
    parts: Parts = app.extensions["scheduler"]
    heard: list[int] = []

    def hear(_sender: object, count: int) -> None:
        heard.append(count)

    with app.app_context(), signals.jobs_pruned.connected_to(hear):
        parts.aps.start()
        parts.aps._pruner._seconds = 0.1
        handles = [schedule_now(note) for _ in range(3)]
        waiting = schedule_after(3600, note)
        parts.aps._pruner.stop()
        parts.aps._pruner.start()
        until(lambda: sum(heard) == len(handles))
        assert [one.id for one in parts.client.list()] == [waiting.id]


@pytest.fixture
def client(make_app: Callable[..., Flask]) -> Client:
    app = make_app()
    parts: Parts = app.extensions["scheduler"]
    return parts.client


def test_a_person_prunes(client: Client) -> None:
    jobs = [client.schedule_after(60, note, (), {}) for _ in range(3)]
    for one in jobs[:2]:
        client.cancel(one.id)
    assert client.prune(timedelta(days=1)) == 0
    assert client.prune(0, states=[JobState.SUCCEEDED]) == 0
    until(lambda: client.prune(0, states=[JobState.CANCELLED]) == 2 or len(client.list()) == 1)
    assert [one.id for one in client.list()] == [jobs[2].id]


def test_what_has_not_ended_cannot_be_pruned(client: Client) -> None:
    with pytest.raises(ValueError, match="only jobs that have ended can be deleted: succeeded, failed"):
        client.prune(1, states=[JobState.SCHEDULED])
    with pytest.raises(DelayError):
        client.prune(-1)
