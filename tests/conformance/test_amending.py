"""Another time, priority or tags; deleting; creating under an id of one's own; moving a schedule: on each database."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from scheduler_app import signals, task
from scheduler_app.asking import RULES, Verb
from scheduler_app.client import Calls, Client, Declaration, Limits, Recurring, make_options
from scheduler_app.errors import (
    JobChangedError,
    JobConflictError,
    JobIdTakenError,
    JobNotFoundError,
    OptionError,
    ScheduleConflictError,
    ScheduleNotFoundError,
    UnknownTaskError,
)
from scheduler_app.jobs import JobState, new_id
from scheduler_app.store import Store
from scheduler_app.tasks import ModuleRule, TaskRegistry
from tests.conformance.cranked import SIGNER, ManualClock, Process, attempts_of, forge, job, job_of, lost_reply, put


@task(name="amending.remind", aliases=("amending.nudge",))
def remind(user: int, text: str = "") -> None:
    raise AssertionError("nothing runs here")


@pytest.fixture
def woken() -> list[float]:
    """How soon what the loop was told of is due, in seconds."""
    return []


@pytest.fixture
def client(store: Store, woken: list[float]) -> Client:
    calls = Calls(TaskRegistry(ModuleRule(("tests",))), lambda: SIGNER, None, 10_000)
    return Client(store, calls, Limits(86_400.0, 1000, 1000, 30.0), woken.append)


def in_state(store: Store, clock: ManualClock, state: JobState) -> str:
    new = job(clock, after=60, tags=("old",))
    put(store, new)
    forge(store, "UPDATE scheduler_jobs SET state = :state WHERE id = :id", id=new.id, state=state.value)
    return new.id


def test_each_state_allows_a_change_and_a_deletion_as_the_rules_say(
    store: Store, clock: ManualClock, client: Client, woken: list[float]
) -> None:
    told: list[tuple[str, Any]] = []
    changed = lambda _sender, job_id, changed: told.append((job_id, changed))  # noqa: E731 - kept, for signals are weak
    deleted = lambda _sender, job_id: told.append((job_id, "deleted"))  # noqa: E731
    with signals.job_changed.connected_to(changed), signals.job_deleted.connected_to(deleted):
        for state in JobState:
            job_id = in_state(store, clock, state)
            before = job_of(store, job_id)
            if state in RULES[Verb.CHANGE].sources:
                after = client.change(job_id, after=90, priority="high", tags=["new", "new"])
                assert (after.run_at, after.priority, after.tags) == (clock.now() + timedelta(seconds=90), 1, ("new",))
                assert (after.state, after.version) == (state, before.version + 1)
                assert client.change(job_id, tags=[]).tags == ()
                assert told == [(job_id, ["priority", "tags"]), (job_id, ["tags"])]
                told.clear()
            else:
                with pytest.raises(JobConflictError, match=f"is '{state}', so it cannot be asked to run otherwise"):
                    client.change(job_id, priority="high")
                assert job_of(store, job_id) == before
            if state in RULES[Verb.DELETE].sources:
                client.delete(job_id)
                with pytest.raises(JobNotFoundError):
                    client.delete(job_id)
                assert told.pop() == (job_id, "deleted")
            else:
                with pytest.raises(JobConflictError, match=f"is '{state}', so it cannot be asked to be deleted"):
                    client.delete(job_id)
                assert client.get(job_id).state is state
    assert woken == [90, 90]


def test_a_deleted_jobs_attempts_go_with_it_and_no_others(
    store: Store, clock: ManualClock, client: Client, process: Process
) -> None:
    ids = []
    for _ in range(2):
        new = job(clock)
        put(store, new)
        process.fail(process.claim_one())
        process.turn()
        ids.append(new.id)
    client.delete(ids[0])
    assert (attempts_of(store, ids[0]), len(attempts_of(store, ids[1]))) == ([], 1)


def test_a_change_of_what_was_changed_since_it_was_seen_is_refused(
    store: Store, clock: ManualClock, client: Client
) -> None:
    job_id = in_state(store, clock, JobState.SCHEDULED)
    seen = client.get(job_id).version
    with lost_reply(store):
        client.change(job_id, priority="low", versions={seen})
    for versions in ({seen}, set[int]()):
        with pytest.raises(JobChangedError, match=f"its version is {seen + 1}"):
            client.change(job_id, priority="high", versions=versions)
    assert client.change(job_id, priority="high", versions={seen, seen + 1}).priority == 1
    with pytest.raises(JobNotFoundError):
        client.change("nothing", priority="high", versions={0})
    for wrong in ({}, {"after": 1, "at": clock.now()}):
        with pytest.raises(TypeError, match=r"change\(\) takes"):
            client.change(job_id, **wrong)  # type: ignore[arg-type]


def test_an_id_of_ones_own_makes_a_creation_that_may_be_repeated(
    store: Store, clock: ManualClock, client: Client, process: Process, woken: list[float]
) -> None:
    job_id = new_id(clock.now())
    made = client.create("amending.nudge", [7], {"text": "æ"}, after=60, job_id=job_id, options=make_options(key="k"))
    assert (made.id, made.created, made.job.task, woken) == (job_id, True, "amending.remind", [60])
    client.reschedule(job_id, after=5)
    clock.advance(10)
    again = {"after": 60.0, "job_id": job_id, "options": make_options(key="k")}
    for _ in range(2):
        same = client.create("amending.remind", [7], {"text": "æ"}, **again)
        assert (same.id, same.created) == (job_id, False)
        process.claim()  # whatever becomes of it meanwhile
    assert (same.state, woken) == (JobState.RUNNING, [60, 5])
    others: list[dict[str, Any]] = [
        again | {"after": 61},
        again | {"options": make_options(key="l")},
        again | {"options": make_options(key="k", tags=["x"])},
    ]
    for other in others:
        with pytest.raises(JobIdTakenError, match=f"Job {job_id} is there already"):
            client.create("amending.remind", [7], {"text": "æ"}, **other)
    with pytest.raises(JobIdTakenError):
        client.create("amending.remind", [8], {"text": "æ"}, **again)
    plain = client.schedule_after(60, remind, (7,), {}).id
    with pytest.raises(JobIdTakenError):
        client.create("amending.remind", [7], after=60, job_id=plain)


def test_a_creation_whose_reply_was_lost_made_one_job(store: Store, clock: ManualClock, client: Client) -> None:
    with lost_reply(store):
        assert client.create("amending.remind", [7], job_id=new_id(clock.now())).created
    assert len(client.list()) == 1
    for wrong in ("x", new_id(clock.now()).upper() + "0", new_id(clock.now() + timedelta(days=2))):
        with pytest.raises(OptionError, match=r"create\(id=...\)"):
            client.create("amending.remind", [7], job_id=wrong)
    with pytest.raises(UnknownTaskError, match=r"Did you mean 'amending\.remind'\?"):
        client.create("amending.remid", [7])
    with pytest.raises(UnknownTaskError):
        client.create("tests.conformance.test_amending:in_state", [7])
    assert len(client.list()) == 1


def test_a_schedule_fires_next_when_a_person_says(
    store: Store, clock: ManualClock, client: Client, process: Process, woken: list[float]
) -> None:
    Recurring(store, client.calls, clock.now().tzinfo).upsert(  # type: ignore[arg-type]
        Declaration(remind, args=(7,), every={"hours": 1}, name="hourly")
    )
    before = client.schedule("hourly")
    moved = client.move_schedule("hourly", clock.now() + timedelta(seconds=20))
    assert (moved.next_run_time, moved.generation) == (clock.now() + timedelta(seconds=20), before.generation + 1)
    assert woken[-1] == 20
    assert client.move_schedule("hourly", clock.now() - timedelta(days=1)).next_run_time == clock.now()
    process.turn()
    assert [one.task for one in client.list()] == ["amending.remind"]
    assert client.schedule("hourly").next_run_time == before.next_run_time
    client.pause_schedule("hourly")
    with pytest.raises(ScheduleConflictError, match=r"it is paused\. Resume it first\."):
        client.move_schedule("hourly", clock.now())
    with pytest.raises(ScheduleNotFoundError):
        client.move_schedule("nothing", clock.now())
