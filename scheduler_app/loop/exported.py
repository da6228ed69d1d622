"""Reading a file of APScheduler's `export_jobs`, which is JSON with pickles in it, without believing it.

The pickles in it are read by `adoption.unpickler`, which calls nothing that they name.
"""

from __future__ import annotations

import binascii
import datetime as dt
import io
import json
import pickle
import struct
from base64 import b64decode
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from apscheduler.triggers.base import BaseTrigger

from ..adoption.unpickler import Unpickler, make_trigger
from ..errors import JobImportError, SchedulerError


def read_export(infile: Any, allows: Callable[[str], bool]) -> list[Mapping[str, Any]]:
    """Return the jobs of an export as plain mappings; `infile` is a text file or its path.

    `allows` says of which modules an enum may be. Raises `JobImportError` for a file that is no such export, and for
    one with values that may not be read, which names each job that has one.
    """
    listed = _listed(infile)
    jobs: list[Mapping[str, Any]] = []
    problems: list[str] = []
    for number, stored in enumerate(listed, 1):
        name = f"job {stored.get('id', number)!r}" if isinstance(stored, dict) else f"job {number}"
        try:
            jobs.append(_checked(_Reader(allows).read(stored)))
        except (SchedulerError, pickle.UnpicklingError, ValueError) as error:
            problems.append(f"{name}: {error}")
    if problems:
        raise JobImportError(problems)
    return jobs


def _listed(infile: Any) -> list[Any]:
    try:
        with nullcontext(infile) if hasattr(infile, "read") else Path(infile).open(encoding="utf-8") as file:
            export = json.load(file)
    except ValueError as error:
        raise JobImportError([f"the file is not JSON: {error}"]) from None
    if not isinstance(export, dict) or not isinstance(export.get("jobs"), list):
        raise JobImportError(["the file is not an export of APScheduler's jobs, made by export_jobs()"])
    if export.get("version") != 1:
        raise JobImportError([f"the export has version {export.get('version')!r}; 1 is known"])
    listed: list[Any] = export["jobs"]
    return listed


_FACTS = (
    "id", "func", "trigger", "executor", "args", "kwargs", "name", "misfire_grace_time", "coalesce", "max_instances",
    "next_run_time",
)  # fmt: skip


def _checked(job: Any) -> Mapping[str, Any]:
    if not isinstance(job, dict):
        raise ValueError("it is not a JSON object")
    missing = [name for name in _FACTS if name not in job]
    if missing:
        raise ValueError(f"it has no {missing[0]!r}")
    texts = ("id", "func", "executor", "name")
    wrong = [name for name in texts if not isinstance(job[name], str)]
    wrong += [] if isinstance(job["trigger"], BaseTrigger) else ["trigger"]
    wrong += [] if isinstance(job["args"], list | tuple) else ["args"]
    wrong += [] if isinstance(job["kwargs"], dict) else ["kwargs"]
    wrong += [] if isinstance(job["next_run_time"], dt.datetime | None) else ["next_run_time"]
    if wrong:
        raise ValueError(f"its {wrong[0]!r} is not what it should be")
    return {name: job[name] for name in _FACTS}


class _Reader:
    def __init__(self, allows: Callable[[str], bool]) -> None:
        self._allows = allows

    def read(self, value: Any) -> Any:
        """Return a JSON value with what APScheduler wrote into it in its own ways made whole."""
        if isinstance(value, list):
            return [self.read(item) for item in value]
        if not isinstance(value, dict):
            return value
        if "__apscheduler_pickle__" in value:
            return self._unpickled(value["__apscheduler_pickle__"])
        if "__apscheduler_class__" in value:
            return self._trigger(value["__apscheduler_class__"], self.read(value.get("__apscheduler_state__")))
        return {name: self.read(item) for name, item in value.items()}

    def _unpickled(self, text: Any) -> Any:
        try:
            return Unpickler(io.BytesIO(b64decode(text)), self._allows).load()
        except (binascii.Error, struct.error, TypeError, AttributeError, EOFError, IndexError, KeyError) as error:
            raise ValueError(f"a value in it cannot be read: {type(error).__name__}: {error}") from None

    @staticmethod
    def _trigger(reference: Any, state: Any) -> Any:
        try:
            return make_trigger(reference, state)
        except (TypeError, AttributeError, KeyError, LookupError) as error:
            raise ValueError(f"its trigger cannot be read: {type(error).__name__}: {error}") from None
