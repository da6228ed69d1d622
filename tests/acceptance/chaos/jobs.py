"""The functions that the tests schedule. Each writes its start and its end to the history, with its fence."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from scheduler_app import current_job, faults

from .journal import Journal


class _Here:
    """The history of this process; set before anything can run."""

    journal: Journal


def write_to(journal: Journal) -> None:
    """Have the jobs of this process write to `journal`."""
    _Here.journal = journal


def _write(kind: str, seq: str) -> None:
    run_at = current_job.run_at.timestamp()
    wall = time.time()
    _Here.journal.write(kind, job=current_job.id, fence=current_job.fence, seq=seq, run_at=run_at, wall=wall)


def work(seq: str, seconds: float = 0.0, _bulk: str = "") -> str:
    """Take so long, and pass the point "function" in the middle of it. `_bulk` only makes the arguments large."""
    _write("start", seq)
    time.sleep(seconds / 2)
    faults.reach("function")
    time.sleep(seconds / 2)
    _write("end", seq)
    return seq


def tick() -> None:
    """Run by a schedule; told from one another by their fire times."""
    _write("start", "tick")
    _write("end", "tick")


def hold(seq: str) -> int:
    """Go on until a file named for this process appears beside the history; return the process."""
    _write("start", seq)
    deadline = time.monotonic() + 60
    while not go_on(_Here.journal.folder, os.getpid()).exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    _write("end", seq)
    return os.getpid()


def go_on(folder: Path, pid: int) -> Path:
    """Return the file that lets a process's `hold` end."""
    return folder / f"go-on-{pid}"


def die(seq: str) -> None:
    """Kill the process that runs it, each time."""
    _write("start", seq)
    _Here.journal.write("dying", point="poison")
    os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(60)
