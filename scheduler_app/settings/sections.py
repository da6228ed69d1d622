"""The settings that are mappings of names to options: executors and queues."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

from scheduler_app.errors import did_you_mean
from scheduler_app.settings import readers
from scheduler_app.settings.readers import Reader, Refused

DEFAULT_NAME: Final = "default"
"""The queue of a job that names none, and the executor of a queue that names none."""
EXECUTOR_TYPES: Final = {"threads": "threads", "threadpool": "threads"}
"""What may be written as an executor's type, and what it means; the second is APScheduler's word."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutorSettings:
    """Describe one executor: its type, and how many jobs it runs at once."""

    type: str = "threads"
    max_workers: int = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueSettings:
    """Describe one queue: the alias of the executor that runs its jobs."""

    executor: str = DEFAULT_NAME


def _sections(raw: Any, noun: str, options: Mapping[str, Reader]) -> dict[str, dict[str, Any]]:
    """Read the shape `{name: {option: value}}`, from Python or JSON."""
    found = readers.parsed(raw)
    if not isinstance(found, Mapping):
        raise Refused(
            f"must be a mapping of {noun} names to their options, not a value of type {type(found).__name__}."
        )
    problems: list[str] = []
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
    """Read APScheduler's shape; `default` is there whether named or not, as in APScheduler."""
    options = {"type": readers.one_of(*EXECUTOR_TYPES), "max_workers": readers.count("jobs", most=1000)}
    found = {DEFAULT_NAME: ExecutorSettings()}
    for name, section in _sections(raw, "executor", options).items():
        kind = EXECUTOR_TYPES[section.pop("type", "threads")]
        found[name] = ExecutorSettings(type=kind, **section)
    return MappingProxyType(found)


def queues(raw: Any) -> Mapping[str, QueueSettings]:
    """Read a list of names, a text with commas, or `{name: {"executor": alias}}`; `default` is always there."""
    names = readers.strings(raw)
    sections = _sections(raw if names is None else {name: {} for name in names}, "queue", {"executor": str})
    found = {name: QueueSettings(**section) for name, section in sections.items()}
    return MappingProxyType({DEFAULT_NAME: QueueSettings()} | found)
