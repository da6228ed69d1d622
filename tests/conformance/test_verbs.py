"""What a person says to jobs: each verb in each state, by id and by key, of one job and of many, in both doors."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from threading import Barrier
from types import SimpleNamespace
from typing import Any

import pytest
from apscheduler.triggers.interval import IntervalTrigger
from flask import Flask
from sqlalchemy import event
from sqlalchemy.exc import DBAPIError

from scheduler_app import signals
from scheduler_app.asking import RULES, Answer, Verb, answer
from scheduler_app.client import Calls, Client, Limits, cancelling
from scheduler_app.errors import (
    DelayError,
    DuplicateKeyError,
    JobConflictError,
    JobNotFoundError,
    NaiveDatetimeError,
    OptionError,
    ScheduleNotFoundError,
    StoreUnavailableError,
    TooFarError,
)
from scheduler_app.jobs import Job, JobState
from scheduler_app.outcomes import Refusal
from scheduler_app.store import NewJob, Store, change, find, when
from scheduler_app.store import store as store_module
from scheduler_app.tasks import ModuleRule, TaskRegistry
from tests.conformance.cranked import (
    SIGNER,
    ManualClock,
    Process,
    attempts_of,
    broken,
    forge,
    job,
    job_of,
    lost_reply,
    put,
    put_schedules,
    schedule,
    state_of,
    value_of,
)

HOUR = timedelta(hours=1)


@pytest.fixture
def woken() -> list[float]:
    """How soon what the loop was told of is due, in seconds."""
    return []


@pytest.fixture
def client(store: Store, woken: list[float]) -> Client:
    calls = Calls(TaskRegistry(ModuleRule(("tests",))), lambda: SIGNER, None, 10_000)
    return Client(store, calls, Limits(86_400.0, 1000, 1000, 30.0), woken.append)


Reach = Callable[..., Job]


@pytest.fixture
def reach(store: Store, clock: ManualClock, process: Process) -> Reach:
    """Bring a new job to a state, by the way that jobs get there."""

    def hold(new: NewJob) -> Any:
        put(store, new)
        return process.claim_one()

    def to(state: JobState, **columns: Any) -> Job:
        held = state not in (JobState.SCHEDULED, JobState.PAUSED, JobState.CANCELLED, JobState.QUARANTINED)
        lateness = {"max_lateness": 1.0} if state is JobState.MISSED else {}
        new = job(clock, after=-9 if lateness else 0 if held else 60, **(columns | lateness))
        if state is JobState.MISSED:
            put(store, new)
            assert process.claim() == []
        elif held:
            claim = hold(new)
            if state is JobState.CLAIMED:
                forge(store, "UPDATE scheduler_jobs SET state = 'claimed' WHERE id = :id", id=new.id)
            elif state is JobState.SUCCEEDED:
                process.finish(claim)
            elif state is JobState.FAILED:
                process.fail(claim)
                process.turn()
        else:
            put(store, new)
            moves: dict[JobState, Callable[[Any], bool]] = {
                JobState.SCHEDULED: lambda _connection: True,
                JobState.PAUSED: lambda connection: when.pause_if_scheduled(connection, new.id),
                JobState.CANCELLED: lambda connection: change.cancel_if_waiting(connection, new.id, clock.now()),
                JobState.QUARANTINED: lambda connection: change.quarantine_if_scheduled(connection, new.id, "damaged"),
            }
            assert store.write(moves[state])
        reached = job_of(store, new.id)
        assert reached.state is state
        return reached

    return to


ASK: dict[Verb, Callable[..., Job]] = {
    Verb.CANCEL: lambda client, *job_id, **key: client.cancel(*job_id, **key),
    Verb.RESCHEDULE: lambda client, *job_id, **key: client.reschedule(*job_id, **key, after=7200),
    Verb.RUN_NOW: lambda client, *job_id, **key: client.run_now(*job_id, **key),
    Verb.PAUSE: lambda client, *job_id, **key: client.pause(*job_id, **key),
    Verb.RESUME: lambda client, *job_id, **key: client.resume(*job_id, **key),
    Verb.RETRY: lambda client, *job_id, **key: client.retry(*job_id, **key),
    Verb.RELEASE: lambda client, *job_id, **key: client.release(*job_id, **key),
}
BY_KEY = [verb for verb in ASK if verb is not Verb.RETRY]


# -- each verb in each state ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", JobState)
@pytest.mark.parametrize("verb", ASK)
def test_a_verb_does_in_a_state_what_the_table_says_and_answers_whether_it_did(
    verb: Verb, state: JobState, store: Store, client: Client, reach: Reach
) -> None:
    before = reach(state)
    comes = answer(verb, state)
    if comes is Answer.NO:
        with pytest.raises(JobConflictError, match=f"is '{state}', so it cannot be asked to {RULES[verb].words}"):
            ASK[verb](client, before.id)
    else:
        told = ASK[verb](client, before.id)
        assert told == job_of(store, before.id)
    after = job_of(store, before.id)
    if comes is Answer.YES:
        assert after.state is (RULES[verb].target or state)
        assert after.version > before.version
    elif comes is Answer.ASKED:
        assert after.state is state
        assert after.cancel_requested_at is not None
    else:
        assert after == before


@pytest.mark.parametrize("verb", ASK)
def test_no_verb_finds_a_job_that_is_not_there(verb: Verb, client: Client) -> None:
    with pytest.raises(JobNotFoundError, match="No job has the id 'nothing'"):
        ASK[verb](client, "nothing")


@pytest.mark.parametrize("verb", BY_KEY)
def test_each_verb_takes_the_id_or_the_key_and_not_both(verb: Verb, client: Client, reach: Reach) -> None:
    reached = reach(JobState.PAUSED if verb is Verb.RESUME else JobState.SCHEDULED, key="k")
    assert ASK[verb](client, key="k").id == reached.id
    for wrong in ({}, {"job_id": reached.id, "key": "k"}):
        with pytest.raises(TypeError, match=r"\(\) takes "):
            ASK[verb](client, **wrong)
    with pytest.raises(JobNotFoundError, match="No job that has not ended has the key 'another'"):
        ASK[verb](client, key="another")
    with pytest.raises(OptionError, match=rf"^{verb.name.lower()}\(key=...\): it must be a non-empty string"):
        ASK[verb](client, key="")


# -- a key is a handle ---------------------------------------------------------------------------------------------


def test_a_key_is_first_of_all_the_job_that_has_not_started(
    store: Store, clock: ManualClock, client: Client, reach: Reach
) -> None:
    runs = reach(JobState.RUNNING, key="k")
    assert client.get(key="k") == job_of(store, runs.id)
    waits = reach(JobState.SCHEDULED, key="k")
    assert client.get(key="k").id == waits.id
    assert client.cancel(key="k").id == waits.id
    assert state_of(store, waits.id) is JobState.CANCELLED
    assert client.cancel(key="k").id == runs.id
    assert value_of(store, runs.id, "cancel_requested_at") is not None


def test_what_was_put_aside_is_not_released_while_a_newer_job_has_its_key(client: Client, reach: Reach) -> None:
    aside = reach(JobState.QUARANTINED, key="k")
    newer = reach(JobState.SCHEDULED, key="k")
    with pytest.raises(DuplicateKeyError, match=newer.id):
        client.release(aside.id)
    client.cancel(newer.id)
    assert client.release(key="k").id == aside.id
    assert client.get(key="k").state is JobState.SCHEDULED


def test_a_key_is_also_what_was_put_aside_and_not_what_has_ended(
    store: Store, client: Client, reach: Reach, process: Process
) -> None:
    for state in (JobState.SUCCEEDED, JobState.FAILED, JobState.MISSED, JobState.CANCELLED):
        reach(state, key="k")
        with pytest.raises(JobNotFoundError):
            client.get(key="k")
    aside = reach(JobState.QUARANTINED, key="k")
    assert client.get(key="k").id == aside.id


def test_a_verb_by_key_that_came_too_late_says_so(client: Client, reach: Reach) -> None:
    runs = reach(JobState.RUNNING, key="k")
    with pytest.raises(JobConflictError, match=f"Job {runs.id} is 'running'"):
        client.reschedule(key="k", after=60)


def test_a_verb_by_key_that_met_a_job_as_it_started_goes_to_the_next_one_of_the_key(
    store: Store, clock: ManualClock, client: Client, process: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = job(clock, key="k"), job(clock, key="k", after=60)
    put(store, first)
    get = client.get

    def get_and_start(*job_id: Any, **key: Any) -> Job:
        found = get(*job_id, **key)
        if key and found.id == first.id:
            process.claim_one()
            put(store, second)
        return found

    monkeypatch.setattr(client, "get", get_and_start)
    assert client.pause(key="k").id == second.id
    assert (state_of(store, first.id), state_of(store, second.id)) == (JobState.RUNNING, JobState.PAUSED)


# -- another time --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", [JobState.SCHEDULED, JobState.PAUSED])
def test_another_time_is_from_now_at_an_instant_or_by_so_much(
    state: JobState, store: Store, clock: ManualClock, client: Client, reach: Reach, woken: list[float]
) -> None:
    reached = reach(state)
    assert client.reschedule(reached.id, after=90).run_at == clock.now() + timedelta(seconds=90)
    assert client.reschedule(reached.id, at=clock.now() + HOUR).run_at == clock.now() + HOUR
    assert client.reschedule(reached.id, by=1800).run_at == clock.now() + 1.5 * HOUR
    assert client.reschedule(reached.id, by=-HOUR).run_at == clock.now() + 0.5 * HOUR
    assert client.reschedule(reached.id, by=timedelta(days=-1)).run_at == clock.now()  # what has passed means now
    assert client.reschedule(reached.id, at=clock.now() - HOUR).run_at == clock.now()
    assert client.change(reached.id, at=clock.now() - HOUR).run_at == clock.now()
    assert state_of(store, reached.id) is state
    assert woken == ([90, 3600, 5400, 1800, 0, 0, 0] if state is JobState.SCHEDULED else [])


def test_a_time_that_cannot_be_changes_nothing(store: Store, clock: ManualClock, client: Client, reach: Reach) -> None:
    before = reach(JobState.SCHEDULED)
    naive = datetime(2026, 3, 1, 13)
    wrong: list[tuple[type[Exception], dict[str, Any]]] = [
        (DelayError, {"after": -1}),
        (DelayError, {"after": float("nan")}),
        (DelayError, {"by": float("inf")}),
        (DelayError, {"by": "soon"}),
        (DelayError, {"by": True}),
        (DelayError, {"by": 1e300}),
        (DelayError, {"at": "soon"}),
        (NaiveDatetimeError, {"at": naive}),
        (TooFarError, {"after": 86_401}),
        (TooFarError, {"by": 86_401}),
        (TooFarError, {"by": timedelta.max}),
        (TooFarError, {"at": datetime(2099, 1, 1, tzinfo=UTC)}),
        (TypeError, {}),
        (TypeError, {"after": 1, "by": 1}),
    ]
    for error, given in wrong:
        with pytest.raises(error):
            client.reschedule(before.id, **given)
    assert job_of(store, before.id) == before
    assert client.reschedule(before.id, by=timedelta.min).run_at == clock.now()


def test_of_many_who_move_a_job_by_so_much_each_moves_it(store: Store, client: Client, reach: Reach) -> None:
    store.patience = 50.0
    before = reach(JobState.SCHEDULED, key="k")
    barrier = Barrier(16)

    def move(index: int) -> None:
        barrier.wait()
        client.reschedule(before.id, by=60) if index % 2 else client.reschedule(key="k", by=60)

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(move, range(16)))
    assert job_of(store, before.id).run_at == before.run_at + timedelta(minutes=16)


def test_a_job_is_moved_once_though_the_reply_of_the_commit_was_lost(
    store: Store, client: Client, reach: Reach
) -> None:
    before = reach(JobState.SCHEDULED)
    with lost_reply(store):
        client.reschedule(before.id, by=60)
    assert job_of(store, before.id).run_at == before.run_at + timedelta(minutes=1)


def test_a_job_is_retried_once_though_the_reply_of_the_commit_was_lost(
    store: Store, client: Client, reach: Reach
) -> None:
    before = reach(JobState.FAILED)
    with lost_reply(store):
        assert client.retry(before.id).state is JobState.SCHEDULED
    assert job_of(store, before.id).version == before.version + 1


def test_a_retry_that_ran_and_failed_before_its_reply_was_known_to_be_lost_is_not_retried_again(
    store: Store, client: Client, reach: Reach, process: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = reach(JobState.FAILED)

    def run(_seconds: float) -> None:
        patch.undo()
        process.fail(process.claim_one())
        process.turn()

    with lost_reply(store), monkeypatch.context() as patch:
        patch.setattr(store_module, "time", SimpleNamespace(sleep=run))
        assert client.retry(before.id).state is JobState.FAILED
    assert len(attempts_of(store, before.id)) == 2


def test_a_retry_that_was_not_committed_is_made_by_the_next_try(
    store: Store, client: Client, reach: Reach, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = reach(JobState.FAILED)
    retry_if_finished = change.retry_if_finished
    tries: list[bool] = []

    def retry(*facts: Any) -> bool:
        tries.append(retry_if_finished(*facts))
        return tries[-1]

    def break_off(_connection: object) -> None:
        if len(tries) == 1:
            raise DBAPIError("COMMIT", None, broken(store), connection_invalidated=True)

    monkeypatch.setattr(change, "retry_if_finished", retry)
    event.listen(store.engine, "commit", break_off)
    assert client.retry(before.id).state is JobState.SCHEDULED
    assert tries == [True, True]


def test_a_job_is_deleted_though_the_reply_of_the_commit_was_lost(store: Store, client: Client, reach: Reach) -> None:
    gone, kept = reach(JobState.SUCCEEDED), reach(JobState.SCHEDULED)
    with lost_reply(store):
        client.delete(gone.id)
    for error, job_id in ((JobNotFoundError, gone.id), (JobConflictError, kept.id)):
        with pytest.raises(error):
            client.delete(job_id)


def test_a_schedule_is_removed_though_the_reply_of_the_commit_was_lost(
    store: Store, clock: ManualClock, client: Client
) -> None:
    put_schedules(store, schedule(clock, "s", IntervalTrigger(hours=1)))
    with lost_reply(store):
        client.remove_schedule("s")
    with pytest.raises(ScheduleNotFoundError):
        client.remove_schedule("s")


# -- now -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", [JobState.SCHEDULED, JobState.PAUSED])
def test_a_job_runs_now_that_was_due_later_or_paused(
    state: JobState, clock: ManualClock, client: Client, reach: Reach, process: Process, woken: list[float]
) -> None:
    reached = reach(state)
    assert client.run_now(reached.id).run_at == clock.now()
    assert woken == [0]
    assert process.claim_one().id == reached.id


def test_a_job_that_is_due_keeps_its_place_in_the_line(
    store: Store, clock: ManualClock, client: Client, process: Process
) -> None:
    process.executor.slots = process.slots = 1
    first, second = job(clock, after=-20), job(clock, after=-10)
    put(store, second, first)
    assert client.run_now(first.id).run_at == first.run_at
    assert process.claim_one().id == first.id


def test_a_job_that_would_be_missed_runs_where_a_person_says_now(
    store: Store, clock: ManualClock, client: Client, process: Process
) -> None:
    late = job(clock, after=-20, max_lateness=5.0)
    put(store, late)
    client.run_now(late.id)
    assert process.claim_one().id == late.id


# -- pause and resume ----------------------------------------------------------------------------------------------


def test_a_paused_job_is_not_claimed_and_keeps_its_time_and_its_key(
    store: Store, clock: ManualClock, client: Client, process: Process, woken: list[float]
) -> None:
    new = job(clock, after=10, key="k", max_attempts=3)
    put(store, new)
    client.pause(new.id)
    clock.advance(20)
    assert process.claim() == []
    assert value_of(store, new.id, "live_key") == "k"
    resumed = client.resume(key="k")
    assert (resumed.state, resumed.run_at) == (JobState.SCHEDULED, new.run_at)
    assert woken == [-10]
    assert process.claim_one().id == new.id


def test_a_job_that_was_resumed_too_late_for_it_is_missed(
    store: Store, clock: ManualClock, client: Client, process: Process
) -> None:
    new, saved = (job(clock, after=10, max_lateness=5.0) for _ in range(2))
    put(store, new, saved)
    for one in (new, saved):
        client.pause(one.id)
    clock.advance(60)
    client.reschedule(saved.id, after=0)
    client.resume(new.id)
    client.resume(saved.id)
    assert process.claim_one().id == saved.id
    assert state_of(store, new.id) is JobState.MISSED


def test_a_waiting_retry_can_be_paused_and_resumed_with_its_attempts(
    store: Store, clock: ManualClock, client: Client, process: Process
) -> None:
    new = job(clock, max_attempts=3)
    put(store, new)
    process.fail(process.claim_one())
    process.turn()
    client.pause(new.id)
    clock.advance(3600)
    assert process.claim() == []
    client.resume(new.id)
    assert process.claim_one().attempt == 1


# -- of many -------------------------------------------------------------------------------------------------------


def test_all_of_a_prefix_are_cancelled_or_asked_and_no_others(
    store: Store, clock: ManualClock, client: Client, reach: Reach
) -> None:
    waiting = [reach(state, key=f"order:42:{state}") for state in (JobState.SCHEDULED, JobState.PAUSED)]
    aside = reach(JobState.QUARANTINED, key="order:42:aside")
    runs = reach(JobState.RUNNING, key="order:42:runs")
    done = reach(JobState.SUCCEEDED, key="order:42:done")
    others = [reach(JobState.SCHEDULED, key=key) for key in ("order:42", "order:420", "Order:42:x", "order:41:z")]
    plain = reach(JobState.SCHEDULED)
    assert client.count_to_cancel(prefix="order:42:") == 4
    assert client.cancel(prefix="order:42:") == (3, 1)
    assert {state_of(store, one.id) for one in (*waiting, aside)} == {JobState.CANCELLED}
    assert value_of(store, runs.id, "cancel_requested_at") is not None
    assert job_of(store, done.id) == done
    assert [job_of(store, one.id) for one in (*others, plain)] == [*others, plain]
    assert client.cancel(prefix="order:42:") == (0, 0)


@pytest.mark.parametrize("wild", ["%", "_", "a%", "*", "?", "[a]", "\\", "/", "'", '"', "ø", "\U0001f40d"])
def test_no_character_of_a_prefix_means_anything_else(wild: str, store: Store, client: Client, reach: Reach) -> None:
    meant = [reach(JobState.SCHEDULED, key=wild + rest) for rest in ("", "x", "ø", "\U0001f40d")]
    other = reach(JobState.SCHEDULED, key="abc")
    assert client.cancel(prefix=wild) == (4, 0)
    assert {state_of(store, one.id) for one in meant} == {JobState.CANCELLED}
    assert job_of(store, other.id) == other


def test_all_of_a_tag_are_cancelled_or_asked_and_no_others(store: Store, client: Client, reach: Reach) -> None:
    tags = ("order:42", "urgent")
    meant = [reach(state, tags=tags) for state in (JobState.SCHEDULED, JobState.PAUSED, JobState.QUARANTINED)]
    runs = reach(JobState.RUNNING, tags=tags)
    done = reach(JobState.SUCCEEDED, tags=tags)
    others = [reach(JobState.SCHEDULED, tags=(tag,)) for tag in ("order:421", "Order:42", "an order:42", "%")]
    plain = reach(JobState.SCHEDULED)
    assert client.count_to_cancel(tag="order:42") == 4
    assert client.cancel(tag="order:42") == (3, 1)
    assert {state_of(store, one.id) for one in meant} == {JobState.CANCELLED}
    assert value_of(store, runs.id, "cancel_requested_at") is not None
    assert [job_of(store, one.id) for one in (done, *others, plain)] == [done, *others, plain]


@pytest.mark.parametrize("tag", ['"', 'a"b', "\\", "%", "_", "/", "ø", "\U0001f40d", ","])
def test_a_tag_is_met_whole_whatever_is_in_it(tag: str, store: Store, client: Client, reach: Reach) -> None:
    meant = reach(JobState.SCHEDULED, tags=("first", tag))
    others = [reach(JobState.SCHEDULED, tags=(other,)) for other in (f'x"{tag}', f"{tag}y", f"{tag}{tag}", "b")]
    assert client.cancel(tag=tag) == (1, 0)
    assert state_of(store, meant.id) is JobState.CANCELLED
    assert [job_of(store, one.id) for one in others] == others


@pytest.mark.parametrize("by", [{"prefix": "k:"}, {"tag": "t"}])
def test_many_are_cancelled_in_small_transactions_and_each_is_told(
    by: dict[str, str], store: Store, clock: ManualClock, client: Client, process: Process, monkeypatch: Any
) -> None:
    monkeypatch.setattr(cancelling, "FOUND_AT_ONCE", 20)
    monkeypatch.setattr(cancelling, "CANCELLED_AT_ONCE", 7)
    running, waiting = ([job(clock, after=after, key=f"k:{after}:{i}", tags=("t",)) for i in range(n)]
                        for after, n in ((0, 5), (60, 50)))  # fmt: skip
    put(store, *running)
    process.claim()
    put(store, *waiting)
    sizes: list[int] = []
    write = store.write
    monkeypatch.setattr(store, "write", lambda work: _sized(write(work), sizes))
    told: list[tuple[str, JobState]] = []

    def hear(_sender: Any, *, job_id: str, state: JobState) -> None:
        told.append((job_id, state))

    with signals.job_cancelled.connected_to(hear):
        cancelled: Any = client.cancel(**by)
    assert cancelled == (50, 5)
    assert sum(sizes) == 55
    assert max(sizes) == 7
    assert sorted(told) == sorted(
        [(one.id, JobState.RUNNING) for one in running] + [(one.id, JobState.CANCELLED) for one in waiting]
    )


def _sized(stopped: Any, sizes: list[int]) -> Any:
    sizes.append(len(stopped.cancelled) + len(stopped.asked))
    return stopped


def test_what_is_scheduled_after_the_call_is_not_meant(
    store: Store, clock: ManualClock, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(store, *(job(clock, after=60, key=f"k:{i}") for i in range(3)))
    read = store.read

    def read_and_schedule(work: Any) -> Any:
        found = read(work)
        clock.advance(0.001)
        if found:
            put(store, job(clock, after=60, key=f"k:later:{clock.passed}"))
        return found

    monkeypatch.setattr(store, "read", read_and_schedule)
    assert client.cancel(prefix="k:") == (3, 0)


def test_a_job_that_goes_back_in_line_while_many_are_cancelled_is_met_all_the_same(
    store: Store, clock: ManualClock, client: Client, process: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    new = job(clock, key="k:1", max_attempts=3)
    put(store, new)
    claim = process.claim_one()
    read = store.read

    def read_and_fail(work: Any) -> Any:
        found = read(work)
        if found and claim in process.executor.running():
            process.fail(claim)
            process.turn()
        return found

    monkeypatch.setattr(store, "read", read_and_fail)
    assert client.cancel(prefix="k:") == (1, 0)
    assert state_of(store, new.id) is JobState.CANCELLED


@pytest.mark.parametrize("given", [{}, {"prefix": "a", "tag": "b"}, {"job_id": "a", "prefix": "b"}])
def test_cancel_takes_one_way_to_say_which(given: dict[str, str], client: Client) -> None:
    with pytest.raises(TypeError, match="cancel\\(\\) takes one of"):
        client.cancel(**given)
    with pytest.raises(TypeError):
        client.count_to_cancel(**(given if "job_id" not in given else {}))


@pytest.mark.parametrize("wrong", ["", "x" * 192, "a\nb", "\ud800", 42])
@pytest.mark.parametrize("name", ["prefix", "tag"])
def test_what_no_key_or_tag_can_be_cancels_nothing(
    name: str, wrong: Any, store: Store, client: Client, reach: Reach
) -> None:
    before = reach(JobState.SCHEDULED, key="k", tags=("t",))
    with pytest.raises(OptionError, match=rf"^cancel\({name}=...\): "):
        client.cancel(**{name: wrong})
    assert job_of(store, before.id) == before


# -- what was asked to stop stays so -------------------------------------------------------------------------------


def come_back(way: str, process: Process, observer: Process, held: Any) -> None:
    """Bring a job that runs back in line, where nothing speaks against it."""
    if way == "retry":
        process.fail(held)
        process.turn()
    elif way == "release":
        process.refuse(held, Refusal.NOT_STARTED)
        process.turn()
    elif way == "drain":
        process.leave()
    else:
        observer.watch(process.worker.lease_seconds)


@pytest.mark.parametrize("way", ["retry", "release", "drain", "rescue"])
@pytest.mark.parametrize(
    ("asked", "newer", "ends"),
    [
        (False, False, JobState.SCHEDULED),
        (False, True, JobState.CANCELLED),
        (True, False, JobState.CANCELLED),
        (True, True, JobState.CANCELLED),
    ],
)
def test_what_comes_back_runs_again_unless_it_was_asked_to_stop_or_yields(
    asked: bool,
    newer: bool,
    ends: JobState,
    way: str,
    store: Store,
    clock: ManualClock,
    client: Client,
    make_process: Callable[..., Process],
) -> None:
    process, observer = make_process(), make_process()
    new, other = job(clock, key="k", max_attempts=5), job(clock, key="k", after=86_000)
    put(store, new)
    held = process.claim_one()
    if asked:
        client.cancel(new.id)
    if newer:
        put(store, other)
    process.loop.paused = True
    come_back(way, process, observer, held)
    found = job_of(store, new.id)
    assert found.state is ends
    holder = new.id if ends is JobState.SCHEDULED else other.id if newer else None
    key_of = value_of(store, holder, "live_key") if holder else value_of(store, new.id, "live_key")
    assert key_of == ("k" if holder else None)
    if newer and not asked:
        assert found.error == f"not run again: the newer job {other.id} holds its key"
    clock.advance(3600)
    process.loop.paused = False
    assert [one.id for one in observer.claim()] == ([new.id] if ends is JobState.SCHEDULED else [])


def test_the_attempt_after_which_a_job_yielded_is_kept_with_it_and_told_as_it_was(
    store: Store, clock: ManualClock, process: Process
) -> None:
    new, other = job(clock, key="k", max_attempts=5), job(clock, key="k", after=60)
    put(store, new)
    held = process.claim_one()
    put(store, other)
    process.fail(held)
    [settled] = process.turn().settled
    assert (settled.transition.state, settled.transition.run_at) == (JobState.CANCELLED, None)
    assert attempts_of(store, new.id) == [(1, "error", None)]
    [attempt] = store.read(lambda connection: find.attempts_of(connection, new.id))
    assert (attempt.error, attempt.traceback) == ("ValueError: no such box", "Traceback ...\nValueError: no such box")


@pytest.mark.parametrize("attempts", [1, 5])
def test_a_job_that_fails_after_it_was_asked_to_stop_is_told_as_cancelled(
    attempts: int, store: Store, clock: ManualClock, client: Client, process: Process
) -> None:
    new = job(clock, max_attempts=attempts)
    put(store, new)
    held = process.claim_one()
    client.cancel(new.id)
    process.fail(held)
    [settled] = process.turn().settled
    assert settled.transition.state is JobState.CANCELLED
    assert state_of(store, new.id) is JobState.CANCELLED


# -- both doors ----------------------------------------------------------------------------------------------------


def later(name: str = "x") -> str:
    return name


def test_apschedulers_door_and_the_clients_are_one(make_app: Callable[..., Flask]) -> None:
    app = make_app()
    told: list[tuple[str, str]] = []

    def hear(sender: Any, *, job_id: str, **facts: Any) -> None:
        told.append(((facts.get("run_at") and "timed") or "paused", job_id))

    with app.app_context():
        parts = app.extensions["scheduler"]
        parts.aps.start(paused=True)
        client = parts.client
        handle = client.schedule_after(3600, later, (), {})
        with (
            signals.job_paused.connected_to(hear),
            signals.job_resumed.connected_to(hear),
            signals.job_rescheduled.connected_to(hear),
        ):
            parts.aps.pause_job(handle.id)
            assert client.get(handle.id).state is JobState.PAUSED
            assert client.resume(handle.id).run_at == handle.run_at
            assert handle.pause().state is JobState.PAUSED
            assert parts.aps.get_job(handle.id).next_run_time is None
            parts.aps.resume_job(handle.id)
            assert handle.refresh().state is JobState.SCHEDULED
            parts.aps.reschedule_job(handle.id, trigger="date", run_date=handle.run_at + HOUR)
            assert handle.refresh().run_at == client.get(handle.id).run_at
        assert told == [(what, handle.id) for what in ("paused", "timed", "paused", "timed", "timed")]
        assert handle.run_now().run_at <= datetime.now(UTC)


# -- telling of it ------------------------------------------------------------------------------------------


def test_what_is_stored_raises_nothing_though_the_database_answers_no_more(
    client: Client, store: Store, clock: ManualClock, woken: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    def away() -> datetime:
        raise StoreUnavailableError(store.url, "it is away", undecided=False, writing=False)

    write = store.write

    def write_and_lose_it(work: Any) -> Any:
        written = write(work)
        patch.setattr(clock, "now", away)  # its time was asked for 30 s ago
        return written

    with monkeypatch.context() as patch:
        patch.setattr(store, "write", write_and_lose_it)
        handle = client.schedule_after(60, shipped, (), {})
    assert (state_of(store, handle.id), woken) == (JobState.SCHEDULED, [60.0])


def shipped() -> None:
    """What is scheduled, and not run."""
