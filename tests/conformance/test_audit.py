"""The audit: each change that somebody makes at a door leaves one row, with the change or not at all."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from scheduler_app import Actor, Scheduler, Secret
from scheduler_app.audit import Entry
from scheduler_app.client import Client, audited, cancelling, make_options
from scheduler_app.errors import JobConflictError, JobNotFoundError
from scheduler_app.jobs import JobState, new_id
from scheduler_app.loop.pruner import Pruner
from scheduler_app.store import Store, audit
from tests.conformance.cranked import ManualClock, Process, fetch, forge

ANN = Actor("ann", "operator")
SOURCE = {"door": "rest", "address": "192.0.2.7", "request_id": "r-1"}


def remind(user: int, token: Secret[str] = "") -> None:
    """Run never."""


def tidy() -> None:
    """Run never."""


@pytest.fixture
def client(make_app: Callable[..., Flask]) -> Iterator[Client]:
    scheduler = Scheduler()
    app = make_app(scheduler)
    with app.app_context():
        scheduler.schedule_cron("0 4 * * *", tidy, name="nightly")
        yield scheduler.client


def rows(client: Client) -> list[Entry]:
    return client.audit(limit=200)[::-1]


def changed(entry: Entry, *names: str) -> tuple[Any, ...]:
    """Return these of what was before and is after, as pairs."""
    return tuple(((entry.before or {}).get(name), (entry.after or {}).get(name)) for name in names)


def say_everything(client: Client) -> dict[str, str]:
    """Say each verb, and some that change nothing or are refused; return the ids of the jobs that came to be."""
    added = client.schedule_after(60, remind, (1, "hunter2"), {}, make_options(key="k", tags=["a"]))
    client.schedule_after(60, remind, (2,), {}, make_options(key="k"))  # that job stands, and stays as it is
    client.schedule_after(90, remind, (2,), {}, make_options(key="k", on_conflict="debounce"))
    unkeyed = client.schedule_after(60, tidy, (), {})
    client.reschedule(added.id, after=120)
    client.pause(key="k")
    client.pause(key="k")
    client.resume(added.id)
    client.run_now(added.id)
    client.cancel(added.id)
    client.cancel(added.id)
    client.retry(added.id)
    with pytest.raises(JobConflictError):
        client.retry(added.id)
    with pytest.raises(JobNotFoundError):
        client.cancel("nobody")
    client.pause_queue("mail", reason="the relay is down")
    client.resume_queue("mail")
    client.resume_queue("mail")
    client.pause_schedule("nightly")
    client.pause_schedule("nightly")
    client.resume_schedule("nightly")
    emitted = client.run_schedule_now("nightly")
    client.remove_schedule("nightly")
    client.schedule_many([(5, tidy), (5, tidy)])
    return {"added": added.id, "unkeyed": unkeyed.id, "emitted": emitted.id}


def test_every_verb_leaves_one_row_of_what_it_changed_and_what_changes_nothing_none(client: Client) -> None:
    plain = client.schedule_after(60, remind, (1, "hunter2"), {}, make_options(queue="mail"))
    client.pause(plain.id)
    assert rows(client) == [], "the app's own code does not say who asks"
    with audited(ANN, **SOURCE):
        ids = say_everything(client)
    client.resume(plain.id)

    found = rows(client)
    assert [(entry.action, entry.target) for entry in found] == [
        ("job.add", ids["added"]),
        ("job.add", ids["added"]),
        ("job.add", ids["unkeyed"]),
        ("job.reschedule", ids["added"]),
        ("job.pause", ids["added"]),
        ("job.resume", ids["added"]),
        ("job.run-now", ids["added"]),
        ("job.cancel", ids["added"]),
        ("job.retry", ids["added"]),
        ("queue.pause", "mail"),
        ("queue.resume", "mail"),
        ("schedule.pause", "nightly"),
        ("schedule.resume", "nightly"),
        ("schedule.run-now", "nightly"),
        ("schedule.remove", "nightly"),
        ("jobs.add", None),
    ]
    assert {(entry.actor, entry.role, json.dumps(dict(entry.source))) for entry in found} == {
        ("ann", "operator", json.dumps(SOURCE))
    }
    add, debounce, _, move, pause, _, _, cancel, retry, close, reopen, still, again, emit, remove, many = found
    assert add.before is None
    assert add.after is not None
    assert (add.after["args"], add.after["state"], add.after["tags"]) == ([1, "***"], "scheduled", ["a"])
    assert changed(debounce, "args") == (([1, "***"], [2]),)
    assert set(move.after or {}) == {"run_at", "version"}
    assert changed(pause, "state") == (("scheduled", "paused"),)
    assert changed(cancel, "state", "outcome") == (("scheduled", "cancelled"), (None, "cancelled"))
    assert changed(retry, "state") == (("cancelled", "scheduled"),)
    assert changed(close, "pause_reason") == ((None, "the relay is down"),)
    assert changed(reopen, "pause_reason") == (("the relay is down", None),)
    assert changed(still, "next_run_time")[0][1] is None
    assert changed(again, "next_run_time")[0][0] is None
    assert changed(emit, "id", "task") == ((None, ids["emitted"]), (None, f"{__name__}:tidy"))
    assert (remove.after, (remove.before or {})["task"]) == (None, f"{__name__}:tidy")
    assert many.after == {"filter": {"tasks": [f"{__name__}:tidy"]}, "added": 2}
    assert "hunter2" not in str(fetch(client.store, "SELECT * FROM scheduler_audit"))


def test_a_change_of_many_is_one_row_with_what_was_meant_and_the_counts(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cancelling, "CANCELLED_AT_ONCE", 2)
    client.schedule_many([(60, tidy)] * 5, make_options(tags=["order:42"]))
    with audited(ANN, **SOURCE):
        assert client.cancel(tag="order:42") == (5, 0)
        assert client.cancel(tag="order:42") == (0, 0)
        assert client.cancel(prefix="nothing:") == (0, 0)
        assert client.prune(0, [JobState.SUCCEEDED]) == 0
        assert client.prune(timedelta(0)) == 5
    cancel, prune = rows(client)
    assert (cancel.action, cancel.target, cancel.before) == ("jobs.cancel", None, None)
    assert cancel.after == {"filter": {"tag": "order:42"}, "cancelled": 5, "asked": 0}
    states = ["cancelled", "failed", "missed", "succeeded"]
    assert (prune.action, prune.after) == (
        "jobs.prune",
        {"filter": {"older_than": 0.0, "states": states}, "deleted": 5},
    )


def test_neither_the_change_nor_its_row_is_there_without_the_other(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = client.schedule_after(60, tidy, (), {})

    def refuse(connection: Connection, *_: Any) -> None:
        connection.execute(text("INSERT INTO scheduler_audit (id) VALUES ('1')"))

    with monkeypatch.context() as patched, audited(ANN, **SOURCE):
        patched.setattr(audit, "insert_if_absent", refuse)
        with pytest.raises(DBAPIError):
            client.cancel(job.id)
        with pytest.raises(DBAPIError):
            client.pause_queue("mail")
    assert job.refresh().state is JobState.SCHEDULED
    assert all(not status.paused for status in client.queues())

    engine = client.store.engine
    with engine.connect() as connection, audited(ANN, **SOURCE):
        client.schedule_after(60, tidy, (), {}, make_options(session=connection))
        connection.rollback()
        kept = client.schedule_after(60, tidy, (), {}, make_options(session=connection))
        connection.commit()
    assert [entry.target for entry in rows(client)] == [kept.id]


def test_a_change_whose_reply_was_lost_and_that_is_tried_again_is_one_row(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = client.schedule_after(60, tidy, (), {})
    keyed = make_options(key="k")
    once = client.store._once

    def twice(opener: Any, work: Any) -> Any:
        once(opener, work)
        return once(opener, work)

    monkeypatch.setattr(client.store, "_once", twice)
    with audited(ANN, **SOURCE):
        client.run_now(job.id)
        client.pause_queue("mail")
        made = [client.schedule_after(60, tidy, (), {}), client.schedule_after(60, tidy, (), {}, keyed)]
    monkeypatch.undo()
    found = rows(client)
    assert [(entry.action, entry.target) for entry in found] == [
        ("job.run-now", job.id),
        ("queue.pause", "mail"),
        *(("job.add", one.id) for one in made),
    ]
    assert all(entry.before is None for entry in found[2:])


def test_of_several_at_once_each_tells_what_it_found(client: Client) -> None:
    """What one leaves is what the next one finds: each look and its change are one, under the row's lock."""
    job = client.schedule_after(60, tidy, (), {})
    client.pause_queue("mail", reason="at first")  # what has no row yet cannot be locked
    barrier = Barrier(4)

    def act(number: int) -> None:
        with audited(Actor(f"{number}", "operator"), **SOURCE):
            barrier.wait()
            for turn in range(4):
                client.reschedule(job.id, after=100 * number + turn)
                client.pause_queue("mail", reason=f"{number} {turn}")

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(act, range(4)))
    moved, paused = (client.audit(target=target, limit=200) for target in (job.id, "mail"))
    versions = sorted(changed(row, "version")[0] for row in moved)
    assert versions == [(version, version + 1) for version in range(16)]
    assert job.refresh().run_at.isoformat(timespec="microseconds").replace("+00:00", "Z") in [
        (row.after or {})["run_at"] for row in moved if changed(row, "version")[0] == (15, 16)
    ]
    found, left = ([reason[end] for row in paused for reason in changed(row, "pause_reason")] for end in (0, 1))
    assert len(left) == 16
    assert len(set(found)) == 16, "no two found the same"
    assert set(found) - set(left) == {"at first"}


def test_pages_follow_one_another_by_actor_action_and_target(client: Client, clock: ManualClock) -> None:
    wanted = [("ann", "job.cancel", "a"), ("bob", "job.cancel", "b"), ("ann", "queue.pause", "b"), ("Ann", "x", "a ")]
    with client.store.begin() as connection:
        for number in range(40):
            actor, action, target = wanted[number % 4]
            at = clock.advance(0.0001 * (number % 3))  # some are of one instant
            entry = Entry(new_id(at), at, actor, "admin", {}, action, target)
            audit.insert_if_absent(connection, client.store.dialect, entry)
    every = client.audit(limit=100)
    assert [entry.id for entry in every] == sorted((entry.id for entry in every), reverse=True)
    for narrowed, count in (
        ({"actor": "ann"}, 20),
        ({"action": "job.cancel"}, 20),
        ({"target": "b"}, 20),
        ({"target": "a"}, 10),
        ({"actor": "ann", "target": "b"}, 10),
        ({"actor": "nobody"}, 0),
    ):
        pages, before = [], None
        while page := client.audit(**narrowed, before=before, limit=7):
            pages += page
            before = page[-1].id
        assert len(pages) == count
        assert pages == [e for e in every if all(getattr(e, name) == text for name, text in narrowed.items())]


def test_what_somebody_else_wrote_into_the_audit_is_shown_as_it_is(client: Client) -> None:
    with audited(ANN, **SOURCE):
        client.schedule_after(60, tidy, (), {})
    for stored, shown in (("{torn", {"text": "{torn"}), ("7", {"text": "7"}), ("[" * 9000, {"text": "[" * 9000})):
        forge(client.store, "UPDATE scheduler_audit SET source = :s", s=stored)
        assert rows(client)[0].source == shown


def test_rows_are_deleted_when_their_time_is_over_and_by_nothing_else(
    store: Store, process: Process, clock: ManualClock
) -> None:
    for number in range(45):
        at = clock.advance(1)
        with store.begin() as connection:
            audit.insert_if_absent(
                connection, store.dialect, Entry(new_id(at), at, "ann", "admin", {}, "x", str(number))
            )

    def left() -> list[str]:
        return [row.target for row in fetch(store, "SELECT target FROM scheduler_audit ORDER BY id")]

    pruner = Pruner(store, process.worker, {JobState.FAILED: 0.0}, 60.0, 30.0)
    pruner.run()
    assert len(left()) == 45, "a job's retention is not the audit's"
    assert (pruner.run_audit(), pruner.run_audit()) == (14, 0)
    assert left() == [str(number) for number in range(14, 45)]
    clock.advance(1000)
    assert Pruner(store, process.worker, {}, 60.0).run_audit() == 0, "kept for good where nothing says how long"
    assert pruner.run_audit(lambda seconds: True) == 20, "it stops between batches when it is told to"
    assert pruner.run_audit() == 11
