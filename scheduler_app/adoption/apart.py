"""Reading pickles in a process of its own, which is bounded in time and knows nothing of this one's secrets."""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
from base64 import b64encode
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Any

from scheduler_app.adoption.facts import Found, Unreadable, job_of
from scheduler_app.errors import UnpicklingError

Row = tuple[str, Any, bytes]
"""The id of a job, its time as it stands in the column, and its pickle."""

SECONDS = 30.0
"""How long it may take, and a second more for each `ROWS_PER_SECOND` jobs."""
ROWS_PER_SECOND = 500

_KEPT = (
    "PATH", "HOME", "LANG", "LANGUAGE", "TZ", "TMPDIR", "VIRTUAL_ENV", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH",
    "PYTHONHOME", "PYTHONHASHSEED", "PYTHONUTF8", "PYTHONIOENCODING", "PYTHONTZPATH", "PYTHONDONTWRITEBYTECODE",
)  # fmt: skip
"""The environment variables that it gets; an app's secrets are in others."""


def read_apart(
    rows: Sequence[Row],
    *,
    modules: Sequence[str] | None,
    max_payload_bytes: int,
    main: str | None = None,
    seconds: float | None = None,
) -> list[Found | Unreadable]:
    """Return what the rows hold, in their order, read by a process that is started for that and ends with it.

    `modules` is SCHEDULER_TASK_MODULES; `main` is what the old program's main file is imported as. Raises
    `UnpicklingError`, which names the job, when that process dies, takes more than `seconds`, or talks nonsense.
    """
    patience = SECONDS + len(rows) / ROWS_PER_SECOND if seconds is None else seconds
    order = {
        "modules": None if modules is None else list(modules),
        "max_payload_bytes": max_payload_bytes,
        "main": main,
        "seconds": math.ceil(patience),
        "rows": [[job_id, at, b64encode(pickled).decode()] for job_id, at, pickled in rows],
    }
    with _started() as child:
        try:
            said, told = child.communicate(json.dumps(order, default=repr).encode(), timeout=patience)
            why = None if child.returncode == 0 else _ending(child.returncode, told)
        except subprocess.TimeoutExpired as over:
            said, why = over.stdout or b"", f"took more than {patience:g} seconds"
        finally:
            _kill(child)
    return _answers(said, [row[0] for row in rows], why)


def _started() -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "scheduler_app.adoption"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=_environment(),
        process_group=0,  # a kill takes along what an imported module has started
    )


def _environment() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name in _KEPT or name.startswith("LC_")}
    return kept | {"PYTHONPATH": os.pathsep.join(os.path.abspath(entry) for entry in sys.path)}


def _kill(child: subprocess.Popen[bytes]) -> None:
    if child.returncode is None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(child.pid, signal.SIGKILL)
        child.wait()


def _ending(code: int, told: bytes) -> str:
    if code < 0:
        return f"was killed by {signal.Signals(-code).name}"
    last = told.decode(errors="replace").strip().splitlines()[-1:]
    return f"ended with exit code {code}" + (f": {last[0].strip()[:300]}" if last else "")


def _answers(said: bytes, ids: Sequence[str], why: str | None) -> list[Found | Unreadable]:
    """Return the answers. Raises `UnpicklingError` unless there is one for each job, and nothing ended early."""
    lines = said.split(b"\n")[:-1]
    if why is not None:
        raise UnpicklingError(why, _nth(ids, len(lines)))
    try:
        found = [job_of(line) for line in lines]
    except (ValueError, RecursionError) as error:
        raise UnpicklingError(f"said what is no answer: {error}") from None
    if [one.id for one in found] != list(ids):
        raise UnpicklingError("did not answer for each job", _nth(ids, len(found)))
    return found


def _nth(ids: Iterable[str], place: int) -> str | None:
    return next((job_id for index, job_id in enumerate(ids) if index == place), None)
