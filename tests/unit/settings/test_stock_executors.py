"""Executors as APScheduler lets them be written down, and those that are refused."""

from __future__ import annotations

from copy import deepcopy
from multiprocessing import get_context
from typing import Any

import pytest
from apscheduler.executors.debug import DebugExecutor
from apscheduler.executors.pool import ProcessPoolExecutor, ThreadPoolExecutor

from scheduler_app.executors import ProcessExecutor, ThreadExecutor
from scheduler_app.settings import ExecutorSettings
from tests.unit.settings.configured import problems_of, read


@pytest.mark.parametrize(
    "written",
    [
        {"type": "threadpool", "max_workers": 20},
        {"type": "threadpool", "max_workers": "20"},
        {"class": "apscheduler.executors.pool:ThreadPoolExecutor", "max_workers": 20},
        {"class": ThreadPoolExecutor, "max_workers": 20},
        {"type": "threads", "class": "whatever:It", "max_workers": 20},
        {"class": "scheduler_app.executors:ThreadExecutor", "max_workers": 20},
        {"class": ThreadExecutor, "max_workers": 20},
        ThreadPoolExecutor(20),
        ThreadExecutor(20),
    ],
    ids=["type", "text", "class", "class itself", "both", "our class", "our class itself", "instance", "our instance"],
)
def test_a_pool_of_threads_means_ours_however_it_is_written(written: Any) -> None:
    config = {"slow": written}
    before = deepcopy(written) if isinstance(written, dict) else written
    assert read(SCHEDULER_EXECUTORS=config).executors["slow"] == ExecutorSettings(type="threads", max_workers=20)
    assert config == {"slow": before}  # APScheduler takes the keys out of what it is given; the app's own stays whole


@pytest.mark.parametrize(
    "written",
    [
        {"type": "processes", "max_workers": 5},
        {"type": "processpool", "max_workers": 5},
        {"type": "processpool", "max_workers": 5, "pool_kwargs": {"mp_context": None}},
        {"class": "apscheduler.executors.pool:ProcessPoolExecutor", "max_workers": 5},
        {"class": ProcessPoolExecutor, "max_workers": 5},
        {"class": "scheduler_app.executors:ProcessExecutor", "max_workers": 5},
        {"class": ProcessExecutor, "max_workers": 5},
        ProcessPoolExecutor(5),
        ProcessExecutor(5),
    ],
    ids=[
        "our type", "type", "pool_kwargs", "class", "class itself", "our class", "our class itself", "instance",
        "our instance",
    ],
)  # fmt: skip
def test_a_pool_of_processes_means_ours_however_it_is_written(written: Any) -> None:
    executors = read(SCHEDULER_EXECUTORS={"cpu": written}).executors
    assert executors["cpu"] == ExecutorSettings(type="processes", max_workers=5)


@pytest.mark.parametrize(
    "written",
    [
        {"type": "processes", "max_workers": 5, "max_jobs_per_process": 9},
        {"type": "processpool", "max_workers": 5, "pool_kwargs": {"max_tasks_per_child": 9}},
        ProcessPoolExecutor(5, pool_kwargs={"max_tasks_per_child": 9, "mp_context": get_context("spawn")}),
        ProcessExecutor(5, max_jobs_per_process=9),
    ],
    ids=["ours", "pool_kwargs", "instance", "our instance"],
)
def test_after_how_many_jobs_a_process_is_replaced_means_the_same(written: Any) -> None:
    executors = read(SCHEDULER_EXECUTORS={"cpu": written}).executors
    assert executors["cpu"] == ExecutorSettings(type="processes", max_workers=5, max_jobs_per_process=9)


def test_any_other_executor_is_refused() -> None:
    executors = {"a": DebugExecutor(), "b": {"class": "mine:Executor"}, "c": {"type": "gevent"}}
    assert problems_of(SCHEDULER_EXECUTORS=executors) == [
        "SCHEDULER_EXECUTORS gives the executor 'a' the class 'apscheduler.executors.debug:DebugExecutor', which could"
        " lose or repeat jobs. Write {'type': 'threadpool', 'max_workers': 10}.",
        "SCHEDULER_EXECUTORS gives the executor 'b' the class 'mine:Executor', which could"
        " lose or repeat jobs. Write {'type': 'threadpool', 'max_workers': 10}.",
        "SCHEDULER_EXECUTORS gives the executor 'c' a 'type' that must be 'threads', 'processes', 'threadpool' or"
        " 'processpool', not 'gevent'.",
    ]


def test_what_a_pool_would_do_and_ours_does_not_is_refused() -> None:
    executors = {
        "a": ThreadPoolExecutor(2, pool_kwargs={"initializer": print}),
        "b": {"type": "threadpool", "pool_kwargs": {"initializer": print}},
        "c": ProcessPoolExecutor(2, pool_kwargs={"initializer": print}),
        "d": {"type": "processpool", "pool_kwargs": {"initializer": print, "initargs": (1,)}},
    }
    assert problems_of(SCHEDULER_EXECUTORS=executors) == [
        "SCHEDULER_EXECUTORS gives the executor 'a' an initializer, which would not be called here.",
        "SCHEDULER_EXECUTORS gives the executor 'c' an initializer, which would not be called here.",
        "SCHEDULER_EXECUTORS gives the executor 'd' an initializer, which would not be called here.",
        "SCHEDULER_EXECUTORS gives the executor 'b' the option 'pool_kwargs', which does not exist.",
    ]
