"""Following a job to its end, with how far it is on stderr: a bar on a terminal, else a line for each change."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ..client import Client, shown_job
from ..jobs import Job, JobState
from ..progress import Progress, decode_progress
from .output import note
from .terminal import console
from .words import printable

if TYPE_CHECKING:
    from rich.console import Console

Tell = Callable[[Job], None]


def follow(client: Client, job_id: str, seconds: float) -> Job:
    """Return a job once it has ended, or was put aside, telling meanwhile how far it is.

    Raises `ResultTimeoutError` when it has not within so many seconds, and `JobNotFoundError`.
    """
    with _telling() as tell:
        for job in client.follow(job_id, seconds):
            tell(shown_job(job, client.calls.registry))
            if job.state is JobState.QUARANTINED:
                break
    return job


@contextmanager
def _telling() -> Iterator[Tell]:
    """Give what tells a person of each look."""
    terminal = console(stderr=True)
    if terminal is None:
        yield _lines()
        return
    with _bar(terminal) as tell:
        yield tell


def _lines() -> Tell:
    last = ""

    def tell(job: Job) -> None:
        nonlocal last
        line = _said(job)
        if line != last and not job.finished:
            note(line)
        last = line

    return tell


def _said(job: Job) -> str:
    progress = decode_progress(job.progress)
    return job.state.value if progress is None else f"{job.state.value}: {printable(str(progress))}"


@contextmanager
def _bar(terminal: Console) -> Iterator[Tell]:
    from rich import progress

    columns = (
        progress.TextColumn("{task.description}", markup=False),
        progress.BarColumn(),
        progress.TextColumn("{task.fields[said]}", markup=False),
        progress.TimeElapsedColumn(),
    )
    with progress.Progress(*columns, console=terminal, transient=True) as shown:
        task = shown.add_task("scheduled", total=None, said="")

        def tell(job: Job) -> None:
            far = decode_progress(job.progress) or Progress(0)
            said = "" if job.progress is None else printable(str(far))
            shown.update(task, description=job.state.value, completed=far.done, total=far.total, said=said)

        yield tell
