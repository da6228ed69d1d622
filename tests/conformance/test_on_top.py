"""Flask-APScheduler on top of every store: verbs where no loop runs, and the jobs of its configuration."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from apscheduler.jobstores.base import ConflictingIdError, JobLookupError
from apscheduler.schedulers import SchedulerAlreadyRunningError
from flask import Flask
from flask_apscheduler import APScheduler

from scheduler_app import Scheduler
from scheduler_app.extension import Parts

ran: list[str] = []


@pytest.fixture(autouse=True)
def _fresh() -> None:
    ran.clear()


def note(what: str) -> None:
    ran.append(what)


Put = Callable[..., tuple[APScheduler, Parts]]


@pytest.fixture
def put(make_app: Callable[..., Flask]) -> Put:
    """Make one more process's app with Flask-APScheduler, started as far as a test lets it start."""

    def make(*jobs: dict[str, Any]) -> tuple[APScheduler, Parts]:
        scheduler = Scheduler()
        app = make_app(scheduler, SCHEDULER_JOBS=list(jobs))
        top = APScheduler(scheduler=scheduler.aps)
        top.init_app(app)
        top.start()
        parts: Parts = app.extensions["scheduler"]
        return top, parts

    return make


def until(holds: Callable[[], Any], seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.005)


def every_hour(**more: Any) -> dict[str, Any]:
    return {"id": "configured", "func": note, "args": ["configured"], "trigger": "interval", "hours": 1} | more


def open_up(parts: Parts) -> None:
    parts._app.test_client().get("/")


def test_where_no_loop_runs_its_verbs_work_on_the_store_and_another_process_runs_the_jobs(put: Put) -> None:
    top, parts = put(every_hour())
    open_up(parts)
    top.add_job("x", note, args=["x"], trigger="interval", hours=1)
    with pytest.raises(ConflictingIdError):
        top.add_job("x", note, args=["x"], trigger="interval", hours=1)
    other, others_parts = put(every_hour())
    open_up(others_parts)
    other.pause_job("x")
    assert top.get_job("x").next_run_time is None
    other.modify_job("x", args=["changed"], trigger="interval", hours=2)
    assert (top.get_job("x").args, top.get_job("x").trigger.interval) == (("changed",), timedelta(hours=2))
    top.add_job("once", note, args=["once"], trigger="date")
    assert not parts.running
    others_parts.start()
    until(lambda: ran == ["once"])
    until(lambda: [job.id for job in top.get_jobs()] == ["configured", "x"])
    other.remove_job("x")
    with pytest.raises(JobLookupError):
        top.remove_job("x")


def test_what_was_added_before_and_after_the_opening_is_there_once_the_loop_runs(put: Put) -> None:
    top, parts = put(every_hour())
    top.add_job("early", note, args=["early"], trigger="date")
    open_up(parts)
    top.add_job("late", note, args=["late"], trigger="date")
    parts.start()
    until(lambda: sorted(ran) == ["early", "late"])
    with pytest.raises(SchedulerAlreadyRunningError):
        top.start()
    with pytest.raises(SchedulerAlreadyRunningError):
        parts.aps.run_loop()
    parts.aps.shutdown()
    top.start()
    assert not top.running
    parts.start()
    until(parts.aps.is_idle)
    assert [job.id for job in top.get_jobs()] == ["configured"]
