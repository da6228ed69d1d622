"""Whether this process was made by an executor, to run the jobs that are handed to it and nothing else."""

from __future__ import annotations


class _Process:
    is_handed_jobs = False


def be_handed_jobs() -> None:
    """Say so of this process, once and for all, before the app is made in it: no loop will run here."""
    _Process.is_handed_jobs = True


def is_handed_jobs() -> bool:
    """Tell whether this process is a child of an executor, whatever the app's settings and code ask for."""
    return _Process.is_handed_jobs
