"""Jobs that wait for a response, on every database: stored with a fallback, put off, released, left alone."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import Engine, create_engine, event

from scheduler_app import after_response, using
from scheduler_app.client import JobHandle
from scheduler_app.extension import Parts
from scheduler_app.jobs import Job, JobState
from scheduler_app.response import keeper
from scheduler_app.response.opened import OpenResponse
from scheduler_app.store import NewJob, add
from tests.conformance.cranked import ManualClock
from tests.wsgi import Exchange, written

FALLBACK_SECONDS = 10.0
DELAY_SECONDS = 0.025


handles: list[JobHandle] = []
"""The jobs of the last request, as its view keeps them: that keeps no response open."""


def note(number: int) -> None:
    """A function to defer; these tests look at the rows."""


@pytest.fixture
def parts(make_app: Callable[..., Flask], clock: ManualClock, monkeypatch: pytest.MonkeyPatch) -> Parts:
    """An app whose keeper's thread writes nothing by itself, on a clock that the test moves."""
    monkeypatch.setattr(keeper, "monotonic", clock.monotonic)
    monkeypatch.setattr(keeper.Keeper, "_start_thread", lambda self: None)
    app = make_app()
    parts: Parts = app.extensions["scheduler"]
    parts.store.clock = clock  # type: ignore[assignment]

    @app.get("/<int:count>")
    def view(count: int) -> str:
        handles[:] = [after_response(note, number) for number in range(count)]
        return " ".join(job.id for job in handles)

    @app.get("/keyed/<on_conflict>")
    def keyed(on_conflict: str) -> str:
        job = using(key="k", on_conflict=on_conflict).after_response(note, 7)
        return f"{job.id} {job.created}"

    return parts


def exchange(parts: Parts, path: str) -> Exchange:
    return Exchange(parts._app, path)


def jobs(parts: Parts) -> list[Job]:
    """Return all jobs, in the order in which they are due."""
    return sorted(parts.client.list(limit=200), key=lambda job: job.run_at)


def times(parts: Parts) -> list[datetime]:
    return [job.run_at for job in jobs(parts)]


def after(clock: ManualClock, seconds: float, count: int = 1) -> list[datetime]:
    """Return the times of jobs that are due so long after now, in their order."""
    return [clock.now() + timedelta(seconds=seconds, microseconds=number) for number in range(count)]


def test_the_calls_of_a_request_are_stored_in_one_transaction_before_its_body_is_handed_over(
    parts: Parts, clock: ManualClock
) -> None:
    parts.client.on_queue("default")  # which asks, once a minute, whether somebody serves it
    commits: list[object] = []
    event.listen(parts.store.engine, "commit", commits.append)
    opened = exchange(parts, "/20")
    assert len(commits) == 1
    stored = jobs(parts)
    assert [job.state for job in stored] == [JobState.SCHEDULED] * 20
    assert times(parts) == after(clock, FALLBACK_SECONDS, 20)
    assert opened.read().decode().split() == [job.id for job in stored]
    opened.close()


def test_a_close_releases_them_a_moment_later_in_their_order(parts: Parts, clock: ManualClock) -> None:
    opened = exchange(parts, "/20")
    opened.read()
    clock.advance(3)
    written(parts._app)
    assert times(parts)[0] > clock.now() + timedelta(seconds=5), "it waits for the close, not for the body"
    opened.close()
    closed = after(clock, DELAY_SECONDS, 20)
    clock.advance(0.01)  # the write comes later than the close, which is what counts
    written(parts._app)
    assert times(parts) == closed
    opened.close()
    written(parts._app)
    assert times(parts) == closed


def test_what_happened_to_a_job_meanwhile_stands(parts: Parts, clock: ManualClock) -> None:
    opened = exchange(parts, "/3")
    cancelled, later, waiting = (job.id for job in jobs(parts))
    parts.client.cancel(cancelled)
    parts.client.reschedule(later, after=3600)
    opened.finish()
    written(parts._app)
    found = {job.id: job for job in jobs(parts)}
    assert found[cancelled].state is JobState.CANCELLED
    assert found[later].run_at == clock.now() + timedelta(seconds=3600)
    assert found[waiting].run_at == after(clock, DELAY_SECONDS, 3)[2]


def test_an_open_response_puts_the_fallback_off_however_long_it_takes(parts: Parts, clock: ManualClock) -> None:
    opened = exchange(parts, "/2")
    versions = [job.version for job in jobs(parts)]
    for _ in range(8):
        clock.advance(FALLBACK_SECONDS / 2)
        written(parts._app)
        assert times(parts) == after(clock, FALLBACK_SECONDS, 2)
    assert [job.version for job in jobs(parts)] == versions
    opened.finish()
    written(parts._app)
    assert times(parts) == after(clock, DELAY_SECONDS, 2)


def test_a_fallback_that_is_far_off_is_not_written(parts: Parts, clock: ManualClock) -> None:
    opened = exchange(parts, "/1")
    before = times(parts)
    clock.advance(FALLBACK_SECONDS / 4)
    written(parts._app)
    assert times(parts) == before
    opened.finish()


@pytest.mark.parametrize("how", ["forgotten", "spent"])
def test_a_response_that_nobody_will_close_is_left_to_its_fallback(parts: Parts, clock: ManualClock, how: str) -> None:
    opened = exchange(parts, "/1")
    before = times(parts)
    if how == "forgotten":
        del opened
        gc.collect()
    else:
        opened.read()
    clock.advance(FALLBACK_SECONDS / 2)
    written(parts._app)
    assert times(parts) == before


def test_a_key_that_is_free_is_taken_when_the_calls_are_stored(parts: Parts, clock: ManualClock) -> None:
    opened = exchange(parts, "/keyed/existing")
    job_id, created = opened.finish().decode().split()
    written(parts._app)
    assert [(job.id, job.key, job.run_at) for job in jobs(parts)] == [(job_id, "k", after(clock, DELAY_SECONDS)[0])]
    assert created == "True"


@pytest.mark.parametrize(("on_conflict", "seconds"), [("existing", 60), ("throttle", 60), ("debounce", DELAY_SECONDS)])
def test_a_key_that_is_taken_keeps_its_job(parts: Parts, clock: ManualClock, on_conflict: str, seconds: float) -> None:
    with parts._app.app_context():
        standing = using(key="k").schedule_after(60, note, 1)
    opened = exchange(parts, f"/keyed/{on_conflict}")
    if on_conflict == "debounce":
        assert times(parts) == after(clock, FALLBACK_SECONDS), "it waits for the response, too"
    assert opened.finish().decode() == f"{standing.id} False"
    written(parts._app)
    [found] = jobs(parts)
    assert found.run_at == after(clock, seconds)[0]
    assert ("7" in found.payload) is (on_conflict != "existing")


def test_a_key_that_is_taken_by_another_request_in_between_is_the_databases_to_decide(
    parts: Parts, clock: ManualClock, make_app: Callable[..., Flask]
) -> None:
    opened = OpenResponse(parts.keeper)
    with parts._app.app_context():
        new = using(key="k")
        held = opened.hold(_new(parts, "k"), new._options)
        winner = new.schedule_after(60, note, 1)
    opened.store_collected()
    opened.end()
    written(parts._app)
    assert [(job.id, job.run_at) for job in jobs(parts)] == [(winner.id, after(clock, 60)[0])]
    assert held.id != winner.id


def _new(parts: Parts, key: str | None = None) -> NewJob:
    calls, now = parts.client.calls, parts.store.clock.now()
    task = calls.task_of(note)
    with parts._app.app_context():
        return calls.new_job(task, calls.payload_of(task, (1,), {}), using(key=key)._options, now, now)


@pytest.mark.parametrize("commits", [True, False])
def test_a_row_of_another_transaction_waits_too_if_that_commits(
    parts: Parts, clock: ManualClock, commits: bool
) -> None:
    """The seam for rows that a caller's own session stores."""
    opened = OpenResponse(parts.keeper)
    new = replace(_new(parts), run_at=clock.now() + timedelta(seconds=opened.fallback_seconds))
    parts.store.ensure_ready()
    with parts.store.engine.connect() as connection:
        add.insert_jobs(connection, parts.store.dialect, [new])
        opened.adopt(new.id, 0)
        opened.drop()
        (connection.commit if commits else connection.rollback)()
    clock.advance(FALLBACK_SECONDS / 2)
    written(parts._app)
    assert times(parts) == (after(clock, FALLBACK_SECONDS) if commits else [])
    opened.end()
    written(parts._app)
    assert times(parts) == (after(clock, DELAY_SECONDS) if commits else [])


def test_what_was_stored_before_an_error_came_is_cancelled(parts: Parts) -> None:
    opened = OpenResponse(parts.keeper)
    with parts._app.app_context():
        opened.hold(_new(parts), using()._options)
        opened.hold(_new(parts), using(even_on_error=True)._options)
    opened.store_collected()
    opened.drop()
    written(parts._app)
    assert [job.state for job in jobs(parts)] == [JobState.CANCELLED, JobState.SCHEDULED]


# -- in the caller's own transaction -----------------------------------------------------------------------------


@pytest.fixture
def engine(parts: Parts) -> Iterator[Engine]:
    """An engine of the app's own on the same database."""
    made = create_engine(parts.store.engine.url)
    yield made
    made.dispose()


@pytest.fixture
def joining(parts: Parts, engine: Engine) -> Parts:
    """Its views join a transaction of the app's own."""

    def view(end: str, options: dict[str, Any]) -> str:
        with engine.connect() as connection:
            verbs = using(session=connection, **options)
            handles[:] = [verbs.after_response(note, number) for number in range(1 if options else 2)]
            if end != "close":
                (connection.commit if end == "commit" else connection.rollback)()
        if end == "raise":
            raise RuntimeError("the view's own")
        return " ".join(job.id for job in handles)

    parts._app.add_url_rule("/joined/<end>", "joined", lambda end: view(end, {}))
    parts._app.add_url_rule("/debounced", "debounced", lambda: view("commit", {"key": "k", "on_conflict": "debounce"}))
    return parts


def test_a_call_in_the_callers_transaction_waits_for_the_response_once_that_is_committed(
    joining: Parts, clock: ManualClock
) -> None:
    opened = exchange(joining, "/joined/commit")
    assert [job.run_at >= after(clock, FALLBACK_SECONDS)[0] for job in jobs(joining)] == [True, True]
    clock.advance(FALLBACK_SECONDS / 2)
    written(joining._app)
    assert min(times(joining)) >= after(clock, FALLBACK_SECONDS)[0]  # put off: the response is still open
    opened.finish()
    written(joining._app)
    assert times(joining) == after(clock, DELAY_SECONDS, 2)
    assert [job.id for job in sorted(jobs(joining), key=lambda job: job.run_at)] == [job.id for job in handles]


@pytest.mark.parametrize("end", ["rollback", "close"])
def test_a_rollback_takes_it_along(end: str, joining: Parts) -> None:
    exchange(joining, f"/joined/{end}").finish()
    written(joining._app)
    assert jobs(joining) == []


def test_what_its_transaction_committed_stays_though_the_view_fails_afterwards(
    joining: Parts, clock: ManualClock
) -> None:
    joining._app.add_url_rule("/late", "late", lambda: joining._app.view_functions["joined"]("commit") and 1 / 0)
    joining._app.config["PROPAGATE_EXCEPTIONS"] = False
    exchange(joining, "/late").finish()
    written(joining._app)
    assert times(joining) == after(clock, DELAY_SECONDS, 2)


def test_a_job_that_takes_its_time_by_its_key_waits_too(joining: Parts, clock: ManualClock) -> None:
    with joining._app.app_context():
        standing = using(key="k").schedule_after(3600, note, 0)
    exchange(joining, "/debounced").finish()
    written(joining._app)
    assert [(job.id, job.run_at) for job in jobs(joining)] == [(standing.id, after(clock, DELAY_SECONDS)[0])]


def test_outside_a_request_it_is_a_row_of_the_transaction_that_is_due_at_once(
    joining: Parts, engine: Engine, clock: ManualClock
) -> None:
    with joining._app.app_context(), engine.begin() as connection:
        using(session=connection).after_response(note, 1)
    assert times(joining) == [clock.now()]
