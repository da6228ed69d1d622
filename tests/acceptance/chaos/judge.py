"""What the history proves: every way in which a promise can be seen to be broken, as sentences."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise

from .journal import Line

EARLY_SECONDS = 0.001
"""The wall clock is slewed against the monotonic one by less than this between two synchronizations."""


@dataclass
class Run:
    """One call of a job's function, as the function itself wrote it down."""

    job: str
    seq: str
    fence: int
    pid: int
    started: float
    run_at: float
    wall: float
    ended: float | None = None


@dataclass
class History:
    """The history, sorted by who did what."""

    acknowledged: dict[str, Line] = field(default_factory=dict)
    """By job id: what the schedule call returned."""
    raised: list[Line] = field(default_factory=list)
    runs: dict[str, list[Run]] = field(default_factory=lambda: defaultdict(list))
    """By job id, in the order of their fences."""
    settled: dict[str, list[Line]] = field(default_factory=lambda: defaultdict(list))
    """By job id: what a scheduler said that it stored as finished for good."""
    doomed: dict[int, float] = field(default_factory=dict)
    """By process: when its death was decided, by itself or from outside; it died at some moment after that."""
    dead: dict[int, float] = field(default_factory=dict)
    """By process: when it was known to be dead."""
    points: dict[int, str] = field(default_factory=dict)
    """By killed process: where."""

    @property
    def unfinished(self) -> list[str]:
        """Acknowledged jobs that have not come to their end."""
        return [job for job in self.acknowledged if not any(run.ended for run in self.runs.get(job, ()))]

    @property
    def repeated(self) -> list[str]:
        """Jobs whose function was called more than once."""
        return [job for job, runs in self.runs.items() if len(runs) > 1]

    @property
    def ended_twice(self) -> list[str]:
        """Jobs whose function came to its end more than once."""
        return [job for job, runs in self.runs.items() if sum(run.ended is not None for run in runs) > 1]


def gather(lines: Iterable[Line]) -> History:
    """Sort the lines."""
    history = History()
    open_runs: dict[tuple[str, int, int], Run] = {}
    for line in lines:
        kind, pid = line["kind"], line["pid"]
        if kind == "acknowledged":
            history.acknowledged[line["job"]] = line
        elif kind == "raised":
            history.raised.append(line)
        elif kind == "start":
            run = Run(line["job"], line["seq"], line["fence"], pid, line["at"], line["run_at"], line["wall"])
            history.runs[run.job].append(run)
            open_runs[run.job, run.fence, pid] = run
        elif kind == "end":
            open_runs[line["job"], line["fence"], pid].ended = line["at"]
        elif kind == "settled" and line["finished"]:
            history.settled[line["job"]].append(line)
        elif kind in ("dying", "kill"):
            _doom(history, line["victim"] if kind == "kill" else pid, line)
        elif kind == "died":
            history.dead[line["victim"]] = line["at"]
    for runs in history.runs.values():
        runs.sort(key=lambda run: (run.fence, run.started))
    return history


def _doom(history: History, pid: int, line: Line) -> None:
    if pid not in history.doomed:
        history.doomed[pid] = line["at"]
        history.points[pid] = line["point"]


def violations(history: History) -> list[str]:
    """Return every broken promise that shows in the history, whether or not it is drained yet."""
    broken = [sentence for runs in history.runs.values() for sentence in _of_runs(history, runs)]
    broken += [sentence for job in history.settled for sentence in _of_settled(history, job)]
    return broken + list(_of_fires(history))


def losses(history: History) -> list[str]:
    """Return the acknowledged jobs that never came to their end; to be asked once the store is drained."""
    return [f"{job} was acknowledged and is lost" for job in history.unfinished]


def _of_runs(history: History, runs: list[Run]) -> Iterator[str]:
    for run in runs:
        due = history.acknowledged.get(run.job, {"run_at": run.run_at})["run_at"]
        if run.wall < max(due, run.run_at) - EARLY_SECONDS:
            yield f"{run.job} started {due - run.wall:.6f} s early"
    for earlier, later in pairwise(runs):
        yield from _of_repeat(history, earlier, later)


def _of_repeat(history: History, earlier: Run, later: Run) -> Iterator[str]:
    """A second run needs the death of the process that held the first one, between the two starts."""
    name = f"{later.job} (fence {earlier.fence}, then {later.fence})"
    if later.fence == earlier.fence:
        yield f"{name} ran twice under one claim"
    death = history.doomed.get(earlier.pid)
    if death is None:
        yield f"{name} ran again although process {earlier.pid} was not killed"
    elif history.dead.get(earlier.pid, death) < earlier.started:
        yield f"{name} started in process {earlier.pid} after its death"
    elif earlier.ended is not None and later.started < earlier.ended:
        yield f"{name} ran in two processes at once, {earlier.pid} and {later.pid}"
    elif later.started < death:
        yield f"{name} ran in process {later.pid} {death - later.started:.3f} s before process {earlier.pid} was killed"


def _of_settled(history: History, job: str) -> Iterator[str]:
    told = history.settled[job]
    runs = history.runs[job]
    if len(told) > 1:
        yield f"{job} was finished {len(told)} times"
    if not runs:
        yield f"{job} was finished and never ran"
    elif runs[-1].pid != told[0]["pid"]:
        yield f"{job} was finished by process {told[0]['pid']} and then ran again in {runs[-1].pid}"


def _of_fires(history: History) -> Iterator[str]:
    jobs_at: dict[float, set[str]] = defaultdict(set)
    for job, runs in history.runs.items():
        if runs[0].seq == "tick":
            jobs_at[runs[0].run_at].add(job)
    for run_at, jobs in jobs_at.items():
        if len(jobs) > 1:
            yield f"the schedule fired {len(jobs)} jobs for {run_at}"
