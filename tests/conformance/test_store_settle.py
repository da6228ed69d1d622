"""Settling: every write names its fence, a repeated one changes nothing, and one bad row delays no neighbour."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest

from scheduler_app import faults
from scheduler_app.jobs import JobState, Outcome
from scheduler_app.outcomes import Refusal
from scheduler_app.store import Store, change
from tests.conformance.cranked import (
    ALLOWED,
    ManualClock,
    Process,
    attempts_of,
    broken,
    fetch,
    forge,
    job,
    job_of,
    lost_reply,
    moves,
    put,
    state_of,
    value_of,
)


def request_cancel(store: Store, clock: ManualClock, job_id: str) -> None:
    assert store.write(lambda connection: change.request_cancel_if_held(connection, job_id, clock.now()))


def cannot(store: Store) -> str:
    """Return a result that this database refuses: text with a lone half of a character."""
    return '"\ud800"'


# -- how an attempt's end is written -----------------------------------------------------------------------


def test_a_first_try_success_is_told_by_the_job_row_alone(store: Store, clock: ManualClock, process: Process) -> None:
    new = job(clock)
    put(store, new)
    process.finish(process.claim_one(), value='{"ok": true}')
    found = job_of(store, new.id)
    assert (found.state, found.outcome, found.result) == (JobState.SUCCEEDED, Outcome.SUCCESS, '{"ok": true}')
    assert (found.finished_at, found.attempt, found.claim_seq) == (clock.now(), 0, 1)
    assert attempts_of(store, new.id) == []


def test_a_failure_fails_the_job_and_keeps_its_error_and_traceback(
    store: Store, clock: ManualClock, process: Process
) -> None:
    new = job(clock)
    put(store, new)
    process.fail(process.claim_one())
    process.turn()
    found = job_of(store, new.id)
    assert (found.state, found.outcome, found.attempt) == (JobState.FAILED, Outcome.ERROR, 1)
    assert found.error == "ValueError: no such box"
    kept = fetch(store, "SELECT attempt, outcome, error, traceback FROM scheduler_attempts")
    assert kept == [(1, "error", "ValueError: no such box", "Traceback ...\nValueError: no such box")]


def test_a_retry_comes_back_off_by_the_policy_and_every_attempt_has_a_row(
    store: Store, clock: ManualClock, process: Process
) -> None:
    new = job(clock, max_attempts=3)
    put(store, new)
    for attempt, backoff in ((1, 5.0), (2, 10.0)):
        process.fail(process.claim_one())
        process.turn()
        found = job_of(store, new.id)
        assert (found.state, found.attempt, found.claim_seq) == (JobState.SCHEDULED, attempt, attempt)
        later = found.run_at - clock.now()
        assert timedelta(seconds=0.8 * backoff) <= later <= timedelta(seconds=1.2 * backoff)
        assert process.claim() == []
        clock.advance(later.total_seconds())
    process.finish(process.claim_one())
    assert state_of(store, new.id) is JobState.SUCCEEDED
    assert attempts_of(store, new.id) == [(1, "error", None), (2, "error", None), (3, "success", None)]


def test_when_no_attempt_is_left_the_job_fails(store: Store, clock: ManualClock, process: Process) -> None:
    new = job(clock, max_attempts=2)
    put(store, new)
    for _ in range(2):
        process.fail(process.claim_one())
        process.turn()
        clock.advance(10)
    found = job_of(store, new.id)
    assert (found.state, found.attempt) == (JobState.FAILED, 2)
    assert attempts_of(store, new.id) == [(1, "error", None), (2, "error", None)]
    assert process.claim() == []


@pytest.mark.parametrize("max_attempts", [1, 3])
def test_an_error_after_a_cancel_request_cancels_the_job(
    max_attempts: int, store: Store, clock: ManualClock, process: Process
) -> None:
    new = job(clock, max_attempts=max_attempts)
    put(store, new)
    claim = process.claim_one()
    request_cancel(store, clock, new.id)
    process.fail(claim)
    process.turn()
    clock.advance(60)
    assert process.claim() == []
    assert state_of(store, new.id) is JobState.CANCELLED
    assert attempts_of(store, new.id) == [(1, "error", None)]


def test_a_release_after_a_cancel_request_cancels_the_job(store: Store, clock: ManualClock, process: Process) -> None:
    new = job(clock)
    put(store, new)
    claim = process.claim_one()
    request_cancel(store, clock, new.id)
    process.refuse(claim, Refusal.NOT_STARTED)
    process.turn()
    assert state_of(store, new.id) is JobState.CANCELLED


def test_a_success_after_a_cancel_request_is_a_success(store: Store, clock: ManualClock, process: Process) -> None:
    new = job(clock)
    put(store, new)
    claim = process.claim_one()
    request_cancel(store, clock, new.id)
    process.finish(claim)
    assert state_of(store, new.id) is JobState.SUCCEEDED


def test_a_malformed_job_is_quarantined_at_once_with_the_reason(
    store: Store, clock: ManualClock, process: Process
) -> None:
    new = job(clock)
    put(store, new)
    process.refuse(process.claim_one(), Refusal.MALFORMED, "its signature is forged")
    process.turn()
    found = job_of(store, new.id)
    assert (found.state, found.error, found.attempt) == (JobState.QUARANTINED, "its signature is forged", 0)
    assert attempts_of(store, new.id) == []


# -- the process of a job that died, while its worker lives ------------------------------------------------

DIED = "its process died: killed by SIGKILL"


def crash(process: Process) -> None:
    """Have the one job that is due run in a process that dies, and leave it there."""
    claim = process.claim_one()
    process.loop.draining = True
    process.finish(claim, Outcome.ABANDONED, error=DIED)
    process.loop.draining = False


def test_a_job_whose_process_died_runs_again_and_the_crash_is_counted_and_spends_no_attempt(
    store: Store, clock: ManualClock, process: Process
) -> None:
    new = job(clock, key="k")
    put(store, new)
    crash(process)
    found = job_of(store, new.id)
    assert (found.state, found.outcome, found.error) == (JobState.SCHEDULED, Outcome.ABANDONED, DIED)
    assert (found.crashes, found.attempt, value_of(store, new.id, "live_key")) == (1, 0, "k")
    process.finish(process.claim_one())
    assert (state_of(store, new.id), job_of(store, new.id).crashes) == (JobState.SUCCEEDED, 1)
    assert attempts_of(store, new.id) == [(1, "abandoned", None), (1, "success", None)]
    assert moves(store) <= ALLOWED


def test_a_job_whose_process_dies_again_and_again_fails_with_that_reason(
    store: Store, clock: ManualClock, process: Process
) -> None:
    new = job(clock)
    put(store, new)
    for _ in range(3):
        crash(process)
    found = job_of(store, new.id)
    assert (found.state, found.outcome, found.crashes) == (JobState.FAILED, Outcome.ABANDONED, 3)
    assert found.error == "its process died 3 times while it ran"
    assert attempts_of(store, new.id) == [(1, "abandoned", None)] * 3


def test_an_at_most_once_job_whose_process_died_fails_with_that_reason(
    store: Store, clock: ManualClock, process: Process
) -> None:
    new = job(clock, at_most_once=True)
    put(store, new)
    crash(process)
    found = job_of(store, new.id)
    assert (found.state, found.crashes) == (JobState.FAILED, 1)
    assert found.error == "its process died, and its task runs at most once"


@pytest.mark.parametrize("at_most_once", [False, True])
def test_a_job_whose_process_died_after_a_cancel_request_is_cancelled(
    at_most_once: bool, store: Store, clock: ManualClock, process: Process
) -> None:
    new = job(clock, at_most_once=at_most_once)
    put(store, new)
    claim = process.claim_one()
    request_cancel(store, clock, new.id)
    process.finish(claim, Outcome.ABANDONED, error=DIED)
    assert (state_of(store, new.id), job_of(store, new.id).crashes) == (JobState.CANCELLED, 1)


def test_a_crash_is_counted_once_though_the_reply_to_its_settle_was_lost(
    store: Store, clock: ManualClock, process: Process
) -> None:
    lasting, last = job(clock), job(clock, at_most_once=True)
    put(store, lasting, last)
    for claim in process.claim():
        process.end(claim, Outcome.ABANDONED, error=DIED)
    process.loop.draining = True
    with lost_reply(store):
        turn_that_fails(process)
    process.turn()
    assert [job_of(store, one.id).crashes for one in (lasting, last)] == [1, 1]


def test_the_crash_of_a_stale_claim_changes_nothing(store: Store, clock: ManualClock, process: Process) -> None:
    new = job(clock, at_most_once=True)
    put(store, new)
    claim = process.claim_one()
    forge(store, "UPDATE scheduler_jobs SET claim_seq = claim_seq + 1")
    process.finish(claim, Outcome.ABANDONED, error=DIED)
    assert (state_of(store, new.id), job_of(store, new.id).crashes) == (JobState.RUNNING, 0)


# -- the fence ---------------------------------------------------------------------------------------------


def test_a_stale_end_changes_nothing_and_is_recorded_on_the_attempt_that_was_abandoned(
    store: Store, clock: ManualClock, make_process: Callable[..., Process]
) -> None:
    new = job(clock)
    put(store, new)
    zombie, other = make_process(), make_process()
    stale = zombie.claim_one()
    assert other.watch(30) == 1
    fresh = other.claim_one()
    assert fresh.fence > stale.fence
    before = job_of(store, new.id)
    turned = zombie.finish(stale, value='"late"')
    assert [s.claim for s in turned.superseded] == [stale]
    assert turned.settled == []
    assert job_of(store, new.id) == before
    assert attempts_of(store, new.id) == [(1, "abandoned", f"success at {clock.now()}")]
    other.finish(fresh, value='"in time"')
    assert job_of(store, new.id).result == '"in time"'


def test_a_stale_end_in_a_batch_does_not_hinder_the_others(store: Store, clock: ManualClock, process: Process) -> None:
    put(store, *(job(clock, max_attempts=1 + i % 2) for i in range(6)))
    claims = process.claim()
    forge(store, "UPDATE scheduler_jobs SET claim_seq = 9 WHERE id = :id", id=claims[0].id)
    for claim in claims:
        process.fail(claim)
    turned = process.turn()
    assert [s.claim for s in turned.superseded] == [claims[0]]
    assert len(turned.settled) == 5
    assert process.flight.claims == {}


def test_a_stale_retry_and_a_stale_release_change_nothing(store: Store, clock: ManualClock, process: Process) -> None:
    put(store, job(clock, max_attempts=2), job(clock))
    retry, release = sorted(process.claim(), key=lambda claim: -claim.max_attempts)
    forge(store, "UPDATE scheduler_jobs SET claim_seq = claim_seq + 1")
    process.fail(retry)
    process.refuse(release, Refusal.NOT_STARTED)
    process.turn()
    assert {row.state for row in fetch(store, "SELECT state FROM scheduler_jobs")} == {"running"}


def test_the_end_of_a_job_whose_row_is_gone_is_superseded(store: Store, clock: ManualClock, process: Process) -> None:
    put(store, job(clock))
    claim = process.claim_one()
    forge(store, "DELETE FROM scheduler_jobs")
    assert [s.claim for s in process.finish(claim).superseded] == [claim]
    assert not process.flight.has_unwritten()


# -- commits whose reply is lost -----------------------------------------------------------------------------


def turn_that_fails(process: Process) -> None:
    with pytest.raises(Exception, match="the connection broke"):
        process.turn()


def test_a_settle_whose_commit_is_unknown_is_neither_lost_nor_superseded(
    store: Store, clock: ManualClock, process: Process
) -> None:
    put(store, *(job(clock, max_attempts=1 + i % 2) for i in range(6)))
    claims = process.claim()
    for index, claim in enumerate(claims):
        process.fail(claim) if index < 4 else process.end(claim)
    process.loop.draining = True
    with lost_reply(store):
        turn_that_fails(process)
    before = fetch(store, "SELECT id, state, attempt, run_at, claim_seq FROM scheduler_jobs ORDER BY id")
    turned = process.turn()
    assert (len(turned.settled), turned.superseded) == (6, [])
    assert fetch(store, "SELECT id, state, attempt, run_at, claim_seq FROM scheduler_jobs ORDER BY id") == before
    assert fetch(store, "SELECT count(*) FROM scheduler_attempts WHERE superseded IS NULL")[0][0] == 4
    assert process.flight.claims == {}


def test_a_settle_whose_commit_failed_is_written_by_the_next_turn(
    store: Store, clock: ManualClock, process: Process
) -> None:
    new = job(clock)
    put(store, new)
    process.end(process.claim_one(), value="7")

    def break_before_commit(point: str) -> None:
        if point == "settle-before-commit":
            faults.install(None)
            raise store.engine.dialect.dbapi.OperationalError  # type: ignore[union-attr]

    faults.install(break_before_commit)
    try:
        process.turn()
    finally:
        faults.install(None)
    assert job_of(store, new.id).result == "7"


def test_a_claim_whose_commit_is_unknown_is_released_unspent_by_the_next_turn(
    store: Store, clock: ManualClock, process: Process
) -> None:
    new = job(clock, key="k")
    put(store, new)
    with lost_reply(store):
        turn_that_fails(process)
    assert (state_of(store, new.id), process.executor.submitted) == (JobState.RUNNING, [])
    process.loop.draining = True
    process.turn()
    found = job_of(store, new.id)
    assert (found.state, found.attempt, found.crashes, found.claim_seq) == (JobState.SCHEDULED, 0, 0, 2)
    assert value_of(store, new.id, "live_key") == "k"
    process.loop.draining = False
    assert process.claim_one().fence == 3


def test_reconciling_leaves_alone_what_runs_and_what_others_hold(
    store: Store, clock: ManualClock, make_process: Callable[..., Process]
) -> None:
    process, other = make_process(slots=1), make_process(slots=1)
    put(store, job(clock), job(clock))
    mine, theirs = process.claim_one(), other.claim_one()
    process.loop.must_reconcile = True
    process.turn()
    assert [state_of(store, one.id) for one in (mine, theirs)] == [JobState.RUNNING] * 2


# -- ends that cannot be stored --------------------------------------------------------------------------------


def test_an_end_that_cannot_be_stored_fails_its_job_and_its_neighbours_settle(store: Store, clock: ManualClock) -> None:
    put(store, *(job(clock, i) for i in range(50)))
    process = Process(store, clock, slots=50)
    claims = process.claim()
    bad = claims[17]
    for claim in claims:
        process.end(claim, value=cannot(store) if claim is bad else "1")
    turned = process.turn()
    assert len(turned.settled) >= 49
    found = job_of(store, bad.id)
    assert (found.state, found.outcome, found.result) == (JobState.FAILED, Outcome.ERROR, None)
    assert str(found.error).startswith("result could not be stored: ")
    assert {state_of(store, c.id) for c in claims if c is not bad} == {JobState.SUCCEEDED}
    assert process.flight.claims == {}
    assert not process.flight.has_unwritten()


def test_an_attempt_whose_end_cannot_be_stored_has_a_row(store: Store, clock: ManualClock, process: Process) -> None:
    new = job(clock)
    put(store, new)
    process.finish(process.claim_one(), value=cannot(store))
    assert attempts_of(store, new.id) == [(1, "error", None)]


def test_an_end_that_cannot_be_stored_changes_nothing_under_a_stale_fence(
    store: Store, clock: ManualClock, process: Process
) -> None:
    new = job(clock)
    put(store, new)
    claim = process.claim_one()
    forge(store, "UPDATE scheduler_jobs SET claim_seq = 9")
    process.finish(claim, value=cannot(store))
    assert state_of(store, new.id) is JobState.RUNNING
    assert not process.flight.has_unwritten()


def test_nothing_that_text_can_hold_is_changed_on_its_way(store: Store, clock: ManualClock, process: Process) -> None:
    text = 'quotes " and \' \\ backslashes, \t tabs, \u2028, \U0001f680, {"a": [1]}'
    new = job(clock)
    put(store, new)
    process.end(process.claim_one(), Outcome.ERROR, value=text, error=text, traceback=text)
    process.turn()
    found = job_of(store, new.id)
    assert (found.result, found.error) == (text, text)
    assert fetch(store, "SELECT error, traceback FROM scheduler_attempts") == [(text, text)]


def test_the_driver_error_of_the_test_is_one_that_passes(store: Store) -> None:
    """Without this the tests of lost replies would show the wrong thing."""
    from sqlalchemy.exc import OperationalError

    assert store.may_pass(OperationalError("COMMIT", {}, broken(store)))
