"""A deploy that is half done: two versions of an app on one store. What one does not know, the other runs.

Nothing is deleted, nothing is put aside that someone can run, and what was put aside runs after the fix.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC
from enum import Enum
from typing import Any

import pytest
from flask import Flask

from scheduler_app.executors import InlineExecutor, Runner
from scheduler_app.jobs import Job, JobState
from scheduler_app.loop import CrankedScheduler, Pace, Worker, cranked, unserved
from scheduler_app.payload import encode_call
from scheduler_app.store import NewJob, Store
from scheduler_app.store.claim import KEY_PREFIX
from scheduler_app.tasks import ModuleRule, TaskRegistry
from tests.conformance.cranked import SIGNER, ManualClock, fetch, job, job_of, moves, put

ran: list[tuple[str, Any]] = []
MINUTES = 60


class Size(Enum):
    """An Enum of the new version."""

    SMALL = "s"


class Deployed:
    """A worker process with some version of the app's code: the loop's turns and beats are cranked by hand."""

    def __init__(self, store: Store, clock: ManualClock, name: str, tasks: dict[str, Any], module: str = "") -> None:
        self.store, self.clock = store, clock
        self.registry = TaskRegistry(ModuleRule((module or "none.of.it",)), shared={})
        for stored, function in tasks.items():
            stored, *aliases = stored.split(" also ")
            self.registry.register(function(name), name=stored, aliases=tuple(aliases))
        app = Flask(name)
        self.loop = CrankedScheduler(
            store, SIGNER, self.registry,
            lambda may_start: Runner(app, self.registry, SIGNER, clock, may_start, 1000, 2000),  # type: ignore[arg-type]
            lambda: {"default": InlineExecutor()}, lambda _queue: "default",
            Pace(lease_seconds=30.0, drain_seconds=0.0), Worker(30.0, executors={"default": 1}, key_ids=SIGNER.key_ids),
            timezone=UTC, max_payload_bytes=10_000, reshape=lambda _: {}, on_configured=lambda _: None,
        )  # fmt: skip
        self.loop.start()

    def works(self, turns: int = 12) -> None:
        """Do some turns and run what they claim, as long as something is left to do at all."""
        for _ in range(turns):
            self.loop.crank()

    def beats(self) -> None:
        self.loop._heartbeat.beat()

    def ends(self) -> None:
        self.loop.shutdown()


def does(signature: str) -> Callable[[str], Any]:
    """Return what makes, for a version, a function of this signature that notes who ran it, and with what."""

    def of_version(version: str) -> Any:
        scope: dict[str, Any] = {"ran": ran, "version": version}
        exec(f"def work({signature}):\n    ran.append((version, dict(sorted(locals().items()))))", scope)
        return scope["work"]

    return of_version


Deploy = Callable[..., Deployed]


@pytest.fixture
def deploy(
    make_store: Callable[[], Store], store: Store, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Deploy]:
    """Start a process with a version of the code: functions by the names of their tasks."""
    ran.clear()
    monkeypatch.setattr(cranked, "lasting", clock.monotonic)
    started: list[Deployed] = []

    def start(name: str, tasks: dict[str, Any], module: str = "") -> Deployed:
        started.append(Deployed(make_store(), clock, name, tasks, module))
        return started[-1]

    yield start
    for one in started:
        if one.loop.running:
            one.ends()


def stored(store: Store, clock: ManualClock, task: str, *args: Any, **kwargs: Any) -> NewJob:
    new = job(clock, task=task)
    payload = encode_call(args, kwargs, max_bytes=1000, allowed=lambda _module: True)
    signature = SIGNER.sign(new.id, task, new.queue, payload)
    made = job(clock, id=new.id, task=task, payload=payload, signature=signature)
    put(store, made)
    return made


def let_pass(clock: ManualClock, seconds: float, *processes: Deployed) -> None:
    """Let time pass, with every process's heart beating; none has a slot for a job."""
    while seconds > 0:
        clock.advance(min(seconds, 20.0))
        seconds -= 20.0
        for one in processes:
            one.beats()


def was_put_aside(store: Store) -> bool:
    return any(target == "quarantined" for _source, target in moves(store))


def found(store: Store, new: NewJob) -> Job:
    return job_of(store, new.id)


def test_a_task_that_only_the_new_version_knows_is_run_by_that(
    deploy: Deploy, store: Store, clock: ManualClock
) -> None:
    old, new = (
        deploy("old", {"shop:sell": does("n")}),
        deploy("new", {"shop:sell": does("n"), "shop:refund": does("n")}),
    )
    refund = stored(store, clock, "shop:refund", 1)
    old.works()
    waits = found(store, refund)
    assert (waits.state, waits.attempt, waits.crashes) == (JobState.SCHEDULED, 0, 0)
    assert str(waits.error).startswith("The task 'shop:refund' is not known here")
    let_pass(clock, 20 * MINUTES, old, new)
    new.works()
    assert ran == [("new", {"n": 1})]
    assert (found(store, refund).state, was_put_aside(store)) == (JobState.SUCCEEDED, False)


def test_a_task_that_the_new_version_has_only_to_import_is_never_put_aside_while_that_is_busy(
    deploy: Deploy, store: Store, clock: ManualClock
) -> None:
    """Nobody registered it and nobody ran it here, so that only a question can tell that it is known."""
    old, new = deploy("old", {}), deploy("new", {}, module="tests")
    late = stored(store, clock, f"{__name__}:importable", 1)
    clock.advance(20 * MINUTES)
    old.works()
    let_pass(clock, 20 * MINUTES, old, new)
    old.works()
    assert not was_put_aside(store)
    new.works()
    assert (ran, found(store, late).state) == ([("imported", {"n": 1})], JobState.SUCCEEDED)


def importable(n: int) -> None:
    ran.append(("imported", {"n": n}))


def test_a_renamed_task_is_run_under_both_names(deploy: Deploy, store: Store, clock: ManualClock) -> None:
    old = deploy("old", {"mail.hello": does("n")})
    new = deploy("new", {"mail.welcome also mail.hello": does("n")})
    before, after = stored(store, clock, "mail.hello", 1), stored(store, clock, "mail.welcome", 2)
    old.works()
    assert (ran, found(store, after).state) == ([("old", {"n": 1})], JobState.SCHEDULED)
    late = stored(store, clock, "mail.hello", 3)
    new.works()
    assert sorted(ran, key=str) == [("new", {"n": 2}), ("new", {"n": 3}), ("old", {"n": 1})]
    assert {found(store, one).state for one in (before, after, late)} == {JobState.SUCCEEDED}
    assert not was_put_aside(store)


def test_a_removed_task_is_run_by_the_old_version_then_put_aside_and_run_after_the_fix(
    deploy: Deploy, store: Store, clock: ManualClock
) -> None:
    old, new = deploy("old", {"shop:sell": does("n")}), deploy("new", {})
    first = stored(store, clock, "shop:sell", 1)
    new.works()
    let_pass(clock, 20 * MINUTES, old, new)
    assert not was_put_aside(store)
    old.works()
    old.ends()
    assert (ran, found(store, first).state) == ([("old", {"n": 1})], JobState.SUCCEEDED)
    second = stored(store, clock, "shop:sell", 2)
    new.works()
    let_pass(clock, 15 * MINUTES, new)
    aside = found(store, second)
    assert (aside.state, aside.error) == (JobState.QUARANTINED, "no live worker knows its task: shop:sell")
    fixed = deploy("fixed", {"shop:sell": does("n")})
    fixed.beats()
    fixed.works()
    assert ran[1:] == [("fixed", {"n": 2})]
    assert found(store, second).state is JobState.SUCCEEDED


def test_a_call_that_fits_one_version_only_is_run_by_that_and_delays_no_other_call_of_its_task(
    deploy: Deploy, store: Store, clock: ManualClock
) -> None:
    old, new = deploy("old", {"shop:sell": does("n")}), deploy("new", {"shop:sell": does("n, currency")})
    of_old, of_new = stored(store, clock, "shop:sell", 1), stored(store, clock, "shop:sell", 2, currency="NOK")
    for one in (new, old) * 3:
        one.works()
    assert sorted(ran, key=str) == [("new", {"currency": "NOK", "n": 2}), ("old", {"n": 1})]
    assert {found(store, one).state for one in (of_old, of_new)} == {JobState.SUCCEEDED}
    assert not was_put_aside(store)


def test_a_call_that_fits_no_version_is_put_aside_with_the_reason_and_runs_after_the_fix(
    deploy: Deploy, store: Store, clock: ManualClock
) -> None:
    new = deploy("new", {"shop:sell": does("n, currency")})
    stale, fresh = stored(store, clock, "shop:sell", 1), stored(store, clock, "shop:sell", 2, "NOK")
    new.works()
    assert ran == [("new", {"currency": "NOK", "n": 2})]
    let_pass(clock, 15 * MINUTES - 5, new)
    assert found(store, stale).state is JobState.SCHEDULED
    let_pass(clock, 40, new)
    aside = found(store, stale)
    assert (aside.state, aside.attempt) == (JobState.QUARANTINED, 0)
    assert aside.error == (
        "no live worker takes its arguments: missing a required argument: 'currency'; it takes (n, currency)"
    )
    new.works()
    let_pass(clock, 60, new)
    assert found(store, stale).state is JobState.QUARANTINED
    new.ends()
    fixed = deploy("fixed", {"shop:sell": does("n, currency='NOK'")})
    fixed.beats()
    fixed.works()
    assert ran[1:] == [("fixed", {"currency": "NOK", "n": 1})]
    assert found(store, fresh).state is found(store, stale).state is JobState.SUCCEEDED


def test_an_enum_that_only_the_new_version_has_is_left_to_it(deploy: Deploy, store: Store, clock: ManualClock) -> None:
    old = deploy("old", {"shop:sell": does("size")})
    new = deploy("new", {"shop:sell": does("size")}, module="tests")
    small = stored(store, clock, "shop:sell", Size.SMALL)
    old.works()
    assert (found(store, small).state, was_put_aside(store)) == (JobState.SCHEDULED, False)
    new.works()
    assert (ran, found(store, small).state) == ([("new", {"size": Size.SMALL})], JobState.SUCCEEDED)


def test_more_calls_than_can_be_left_to_others_one_by_one_are_kept_and_run_by_whom_they_fit(
    deploy: Deploy, store: Store, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unserved, "MOST_UNFIT", 2)
    old, new = deploy("old", {"shop:sell": does("n")}), deploy("new", {"shop:sell": does("n, currency")})
    many = [stored(store, clock, "shop:sell", number) for number in range(6)]
    new.works()
    assert len(new.loop._unserved.current().jobs) == 2
    assert len(fetch(store, "SELECT id FROM scheduler_jobs WHERE state = 'quarantined'")) == 4
    for one in (old, new) * 3:
        one.beats()
        one.works()
    assert sorted(call["n"] for _version, call in ran) == [0, 1, 2, 3, 4, 5]
    assert {found(store, one).state for one in many} == {JobState.SUCCEEDED}


def test_nothing_is_deleted_whatever_nobody_knows(deploy: Deploy, store: Store, clock: ManualClock) -> None:
    jobs = [stored(store, clock, "shop:gone", 1), stored(store, clock, "shop:sell", 1, 2, 3)]
    foreign = job(clock, signature="v1:00000000:" + "0" * 64)
    put(store, foreign)
    only = deploy("new", {"shop:sell": does("n")})
    only.works()
    let_pass(clock, 40 * MINUTES, only)
    assert foreign.signature[:KEY_PREFIX] in only.loop._unserved.current().keys
    assert {found(store, one).state for one in (*jobs, foreign)} == {JobState.QUARANTINED}
    assert len(fetch(store, "SELECT id FROM scheduler_jobs")) == 3
