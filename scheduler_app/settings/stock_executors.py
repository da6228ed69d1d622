"""APScheduler's ways to write an executor down (a type, a class, an instance), read as this package's own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

POOLS: Final = {
    "apscheduler.executors.pool:ThreadPoolExecutor": "threads",
    "scheduler_app.executors:ThreadExecutor": "threads",
    "apscheduler.executors.pool:ProcessPoolExecutor": "processes",
    "scheduler_app.executors:ProcessExecutor": "processes",
}
"""The classes that mean one of ours, and of which type."""

PROCESSES: Final = ("processes", "processpool")


def in_our_words(executors: Mapping[Any, Any], problems: list[str]) -> dict[Any, Any]:
    """Return executors as `{alias: {"type": "threads", ...}}`; one that is in no shape of APScheduler's stays as it is.

    Notes in `problems` what cannot be had: any other class, whose jobs could be lost or run twice, and what a pool of
    `concurrent.futures` would do and ours does not.
    """
    return {alias: _translated(alias, given, problems) for alias, given in executors.items()}


def _translated(alias: Any, given: Any, problems: list[str]) -> Any:
    if not isinstance(given, Mapping):
        return _from_instance(alias, given, problems)
    options = {option: value for option, value in given.items() if option not in ("type", "class")}
    if "type" in given:  # of both, APScheduler takes the type
        options["type"] = given["type"]
    elif "class" in given:
        options |= _type_of(alias, _reference(given["class"]), problems)
    is_pool = str(options.get("type")).strip().lower() in PROCESSES
    if is_pool and isinstance(options.get("pool_kwargs"), Mapping):
        options |= _pool_options(alias, options.pop("pool_kwargs"), problems)
    return options


def _pool_options(alias: Any, given: Mapping[Any, Any], problems: list[str]) -> dict[str, Any]:
    """Return what a pool of processes is told besides, in our words. How it makes them is no choice: always anew."""
    rest = {option: value for option, value in given.items() if value not in (None, ())}
    most = rest.pop("max_tasks_per_child", None)
    rest.pop("mp_context", None)
    if rest.pop("initializer", None) is not None:
        rest.pop("initargs", None)
        _refuse_initializer(alias, problems)
    found = {} if most is None else {"max_jobs_per_process": most}
    return found | {str(option): value for option, value in rest.items()}


def _from_instance(alias: Any, given: Any, problems: list[str]) -> Any:
    if isinstance(given, type) or not hasattr(given, "submit_job"):
        return given
    found = _type_of(alias, _reference(type(given)), problems)
    pool = getattr(given, "_pool", None)  # APScheduler's holds one of `concurrent.futures`
    if not found:
        return {}
    if pool is None:
        own = {name: getattr(given, name, None) for name in ("max_workers", "memory_mb", "max_jobs_per_process")}
        return found | {name: value for name, value in own.items() if value is not None}
    if getattr(pool, "_initializer", None) is not None:
        _refuse_initializer(alias, problems)
    most = getattr(pool, "_max_tasks_per_child", None)
    return found | {"max_workers": pool._max_workers} | ({} if most is None else {"max_jobs_per_process": most})


def _refuse_initializer(alias: Any, problems: list[str]) -> None:
    problems.append(f"gives the executor {alias!r} an initializer, which would not be called here.")


def _reference(kind: Any) -> str:
    """Return "module:name" of a class, or what stands for one."""
    if not isinstance(kind, type):
        return str(kind)
    module = "scheduler_app.executors" if kind.__module__.startswith("scheduler_app.executors.") else kind.__module__
    return f"{module}:{kind.__qualname__}"


def _type_of(alias: Any, reference: str, problems: list[str]) -> dict[str, Any]:
    """Return the type that a class means; none, after a note of what is wrong, for any other class."""
    if reference in POOLS:
        return {"type": POOLS[reference]}
    problems.append(
        f"gives the executor {alias!r} the class {reference!r}, which could lose or repeat jobs. Write"
        " {'type': 'threadpool', 'max_workers': 10}."
    )
    return {}
