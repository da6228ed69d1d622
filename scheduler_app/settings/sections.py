"""The settings that are mappings of names to options: executors and queues."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

from scheduler_app.errors import did_you_mean
from scheduler_app.settings import readers
from scheduler_app.settings.readers import Reader, Refused
from scheduler_app.settings.stock_executors import in_our_words

DEFAULT_NAME: Final = "default"
"""The queue of a job that names none, and the executor of a queue that names none."""
EXECUTOR_TYPES: Final = {
    "threads": "threads",
    "processes": "processes",
    "threadpool": "threads",
    "processpool": "processes",
}
"""What may be written as an executor's type, and what it means; the pools are APScheduler's words."""
ONLY_OF_PROCESSES: Final = ("memory_mb", "max_jobs_per_process")


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutorSettings:
    """Describe one executor: its type, and how many jobs it runs at once."""

    type: str = "threads"
    max_workers: int = 10
    memory_mb: int | None = None
    """How much memory one job may take, of processes."""
    max_jobs_per_process: int | None = None
    """After how many jobs a process is replaced."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueSettings:
    """Describe one queue: the alias of the executor that runs its jobs, and how many of them run at once.

    A limit that is None is none: as many as there are slots.
    """

    executor: str = DEFAULT_NAME
    concurrency: int | None = None
    """How many at once across all processes."""
    concurrency_per_process: int | None = None


def _sections(
    raw: Any, noun: str, options: Mapping[str, Reader], known: Sequence[str] = ()
) -> dict[str, dict[str, Any]]:
    """Read the shape `{name: {option: value}}`, from Python or JSON; problems that are known already come first."""
    found = readers.parsed(raw)
    if not isinstance(found, Mapping):
        raise Refused(
            f"must be a mapping of {noun} names to their options, not a value of type {type(found).__name__}."
        )
    problems = list(known)
    if not all(isinstance(name, str) and name.strip() for name in found):
        problems.append(f"must give each {noun} a name that is not empty.")
    sections = {name: _section(f"the {noun} {name!r}", found[name], options, problems) for name in found}
    if problems:
        raise Refused(*problems)
    return sections


def _section(whose: str, raw: Any, options: Mapping[str, Reader], problems: list[str]) -> dict[str, Any]:
    if not isinstance(raw, Mapping):
        problems.append(f"must give {whose} a mapping of options, not a value of type {type(raw).__name__}.")
        return {}
    section = {}
    for option, value in raw.items():
        if option not in options:
            hint = did_you_mean(str(option), options)
            problems.append(f"gives {whose} the option {option!r}, which does not exist.{hint}")
            continue
        try:
            section[option] = options[option](value)
        except Refused as refused:
            problems += [f"gives {whose} a {option!r} that {problem}" for problem in refused.problems]
    return section


def executors(raw: Any) -> Mapping[str, ExecutorSettings]:
    """Read APScheduler's shapes; `default` is there whether named or not, as in APScheduler."""
    return MappingProxyType({DEFAULT_NAME: ExecutorSettings()} | named_executors(raw))


def named_executors(raw: Any) -> dict[str, ExecutorSettings]:
    """Read APScheduler's shapes, and those that are named only."""
    given = readers.parsed(raw)
    problems: list[str] = []
    if isinstance(given, Mapping):
        given = in_our_words(given, problems)
    options = {
        "type": readers.one_of(*EXECUTOR_TYPES),
        "max_workers": readers.count("jobs", most=1000),
        "memory_mb": readers.count("megabytes"),
        "max_jobs_per_process": readers.count("jobs"),
    }
    sections = _sections(given, "executor", options, problems)
    return {name: _executor(name, section) for name, section in sections.items()}


def _executor(name: str, section: dict[str, Any]) -> ExecutorSettings:
    kind = EXECUTOR_TYPES[section.pop("type", "threads")]
    if kind == "processes":
        return ExecutorSettings(type=kind, **{"max_workers": usable_cpus()} | section)
    foreign = [option for option in ONLY_OF_PROCESSES if option in section]
    if foreign:
        raise Refused(*(f"gives the executor {name!r} a {o!r}, which only one of 'processes' has." for o in foreign))
    return ExecutorSettings(type=kind, **section)


def usable_cpus() -> int:
    """Return how many processors this process may use: as many processes as an executor has by default."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


QUEUE_OPTIONS: Final[Mapping[str, Reader]] = {
    "executor": str,
    "concurrency": readers.count("jobs", most=1_000_000),
    "concurrency_per_process": readers.count("jobs", most=1000),
}


def queues(raw: Any) -> Mapping[str, QueueSettings]:
    """Read a list of names, a text with commas, or `{name: {option: value}}`; `default` is always there."""
    names = readers.strings(raw)
    sections = _sections(raw if names is None else {name: {} for name in names}, "queue", QUEUE_OPTIONS)
    found = {name: QueueSettings(**section) for name, section in sections.items()}
    return MappingProxyType({DEFAULT_NAME: QueueSettings()} | found)
