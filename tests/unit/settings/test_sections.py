"""Executors and queues: what their mappings may hold."""

from __future__ import annotations

from typing import Any

import pytest

from scheduler_app.settings import ExecutorSettings, QueueSettings
from scheduler_app.settings.sections import usable_cpus
from tests.unit.settings.configured import problems_of, read


def test_executors_have_apschedulers_shape_and_always_a_default() -> None:
    settings = read(SCHEDULER_EXECUTORS={"slow": {"type": "threadpool", "max_workers": 2}, "other": {}})
    assert settings.executors == {
        "default": ExecutorSettings(type="threads", max_workers=10),
        "slow": ExecutorSettings(type="threads", max_workers=2),
        "other": ExecutorSettings(type="threads", max_workers=10),
    }


def test_what_is_wrong_with_executors_is_told_for_each() -> None:
    executors = {
        "a": {"type": "thread"},
        "b": {"max_worker": 3, "class": "x"},
        "c": {"max_workers": 0},
        "d": object,
        "": {},
    }
    assert problems_of(SCHEDULER_EXECUTORS=executors) == [
        "SCHEDULER_EXECUTORS gives the executor 'b' the class 'x', which could lose or repeat jobs."
        " Write {'type': 'threadpool', 'max_workers': 10}.",
        "SCHEDULER_EXECUTORS must give each executor a name that is not empty.",
        "SCHEDULER_EXECUTORS gives the executor 'a' a 'type' that must be 'threads', 'processes', 'threadpool' or"
        " 'processpool', not 'thread'. Did you mean 'threads'?",
        "SCHEDULER_EXECUTORS gives the executor 'b' the option 'max_worker', which does not exist."
        " Did you mean 'max_workers'?",
        "SCHEDULER_EXECUTORS gives the executor 'c' a 'max_workers' that must be a whole number of jobs"
        " from 1 to 1000, not 0.",
        "SCHEDULER_EXECUTORS must give the executor 'd' a mapping of options, not a value of type type.",
    ]


def test_processes_have_limits_and_as_many_workers_as_there_are_processors() -> None:
    limits = {"memory_mb": "512", "max_jobs_per_process": 100}
    executors = read(
        SCHEDULER_EXECUTORS={"cpu": {"type": "processes"} | limits, "one": {"type": "processes"}}
    ).executors
    assert executors["cpu"] == ExecutorSettings(
        type="processes", max_workers=usable_cpus(), memory_mb=512, max_jobs_per_process=100
    )
    assert (executors["one"].memory_mb, executors["one"].max_jobs_per_process) == (None, None)


def test_the_limits_of_processes_are_refused_for_threads() -> None:
    assert problems_of(SCHEDULER_EXECUTORS={"a": {"memory_mb": 5, "max_jobs_per_process": 5}}) == [
        "SCHEDULER_EXECUTORS gives the executor 'a' a 'memory_mb', which only one of 'processes' has.",
        "SCHEDULER_EXECUTORS gives the executor 'a' a 'max_jobs_per_process', which only one of 'processes' has.",
    ]


def test_executors_that_are_no_mapping_are_refused() -> None:
    assert problems_of(SCHEDULER_EXECUTORS="threads") == [
        "SCHEDULER_EXECUTORS must be a mapping of executor names to their options, not a value of type str."
    ]


@pytest.mark.parametrize("raw", [["mail"], "mail", {"mail": {}}, {"mail": {"executor": "default"}}])
def test_queues_are_names_or_a_mapping_and_the_default_one_always_exists(raw: Any) -> None:
    assert read(SCHEDULER_QUEUES=raw).queues == {"default": QueueSettings(), "mail": QueueSettings(executor="default")}


def test_a_queue_may_name_its_executor() -> None:
    settings = read(SCHEDULER_QUEUES={"mail": {"executor": "slow"}}, SCHEDULER_EXECUTORS={"slow": {}})
    assert settings.queues == {"default": QueueSettings(), "mail": QueueSettings(executor="slow")}


def test_a_queue_of_an_executor_that_does_not_exist_is_refused() -> None:
    assert problems_of(SCHEDULER_QUEUES={"mail": {"executor": "slwo"}}, SCHEDULER_EXECUTORS={"slow": {}}) == [
        "SCHEDULER_QUEUES gives the queue 'mail' the executor 'slwo', which is not in SCHEDULER_EXECUTORS."
        " Did you mean 'slow'?"
    ]


def test_queues_that_are_no_names_are_refused() -> None:
    assert problems_of(SCHEDULER_QUEUES="mail,,x") == [
        "SCHEDULER_QUEUES must give each queue a name that is not empty."
    ]
    assert problems_of(SCHEDULER_QUEUES=[1]) == [
        "SCHEDULER_QUEUES must be a mapping of queue names to their options, not a value of type list."
    ]
    assert problems_of(SCHEDULER_QUEUES={"mail": {"executer": "default"}}) == [
        "SCHEDULER_QUEUES gives the queue 'mail' the option 'executer', which does not exist. Did you mean 'executor'?"
    ]


def test_a_queue_may_limit_how_many_run_at_once() -> None:
    settings = read(SCHEDULER_QUEUES='{"mail": {"concurrency": 5, "concurrency_per_process": "2"}}')
    assert settings.queues is not None
    assert settings.queues["mail"] == QueueSettings(concurrency=5, concurrency_per_process=2)
    assert (settings.queues["default"].concurrency, settings.queues["default"].concurrency_per_process) == (None, None)


def test_a_limit_that_is_none_is_refused() -> None:
    queues = {"a": {"concurrency": 0}, "b": {"concurrency": "many"}, "c": {"concurrency_per_process": 1.5}}
    assert problems_of(SCHEDULER_QUEUES=queues) == [
        "SCHEDULER_QUEUES gives the queue 'a' a 'concurrency' that must be a whole number of jobs from 1 to 1000000,"
        " not 0.",
        "SCHEDULER_QUEUES gives the queue 'b' a 'concurrency' that must be a whole number of jobs from 1 to 1000000,"
        " not 'many'.",
        "SCHEDULER_QUEUES gives the queue 'c' a 'concurrency_per_process' that must be a whole number of jobs from 1 to"
        " 1000, not 1.5.",
    ]
