"""Several processes on one store, killed all the time, at random and at each named point: no job lost, none finished
twice, none early, and none run again but those that a killed process held.

Time budget: 40 s per database, and a minute more on a machine so busy that some point is hard to reach.
"""

from __future__ import annotations

import random
import signal
import time
from collections import Counter
from pathlib import Path

import pytest

from scheduler_app import faults
from scheduler_app.jobs import JobState
from scheduler_app.store import Store, find

from . import judge
from .journal import read
from .nursery import Nursery, nursery
from .worker import Options

WORKERS, PRODUCERS = 3, 2
OUTSIDE = "outside"
OF_PRODUCERS = ("insert-before-commit", "insert-after-commit")
ON_A_CLEAN_STOP = "release-before-commit"
POINTS = (*faults.POINTS, "function", OUTSIDE)
"""Where a kill must land at least once: the package's named places, the middle of a user function, and anywhere."""
OFTEN = {"insert": 150, "fire": 2, "rescue": 2, "release": 1}
"""At which passing of a point a process dies at the latest, if not at the 25th: some are passed more often."""
SETTINGS = {
    "SCHEDULER_HEARTBEAT_SECONDS": 0.5,
    "SCHEDULER_MAX_CRASHES": 1000,  # each kill is a crash of the jobs that the process held; here none may fail of it
    "SCHEDULER_EXECUTORS": {"default": {"type": "threads", "max_workers": 4}},
}
SOON_SECONDS = (0.1, 1.0)
"""After how long a process is killed from outside, or told to stop, that has no other place to die at."""
PATIENCE_SECONDS = (4.0, 8.0)
"""How long a process may wait for its point before it is killed wherever it is: workers that all wait for a rescue
would otherwise wait for each other's deaths."""
EXTRA_SECONDS = 60.0
"""How much longer it goes on, on a busy machine, until a kill has landed at each point."""
DRAIN_SECONDS = 40.0


class Killing:
    """Keeps so many processes up, each with a place to die at, those first where the fewest have died."""

    def __init__(self, hatchery: Nursery, folder: Path, url: str) -> None:
        self._nursery, self._folder, self._url = hatchery, folder, url
        self._died: Counter[str] = Counter()
        self._strike_at: dict[int, float] = {}
        self._told_to_stop: set[int] = set()

    def keep_up(self) -> None:
        """Replace who has died, and strike from outside whose time has come."""
        self._bury()
        roles = Counter(options.role for options in self._nursery.alive.values())
        for role, wanted in (("worker", WORKERS), ("producer", PRODUCERS)):
            for _ in range(wanted - roles[role]):
                self._bring_up(role)
        now = time.monotonic()
        for pid, at in tuple(self._strike_at.items()):
            if now >= at:
                del self._strike_at[pid]
                self._strike(pid)

    def _bury(self) -> None:
        for pid, options in self._nursery.bury():
            before_its_time = self._strike_at.pop(pid, None) is not None
            self._died[options.die_at if options.die_at and before_its_time else OUTSIDE] += 1

    def _bring_up(self, role: str) -> None:
        point = self._choose(role)
        inside = None if point == OUTSIDE else point
        after = random.randint(1, OFTEN.get(point.partition("-")[0], 25))
        pid = self._nursery.spawn(
            Options(str(self._folder), self._url, role, SETTINGS, inside, after, pause=0.004, ticks=True)
        )
        soon = point in (OUTSIDE, ON_A_CLEAN_STOP)
        self._strike_at[pid] = time.monotonic() + random.uniform(*(SOON_SECONDS if soon else PATIENCE_SECONDS))

    def _choose(self, role: str) -> str:
        mine = [p for p in POINTS if p == OUTSIDE or (p in OF_PRODUCERS) == (role == "producer")]
        bound_for = Counter(options.die_at or OUTSIDE for options in self._nursery.alive.values())
        lots = {point: self._died[point] + bound_for[point] for point in mine}
        return random.choice([point for point in mine if lots[point] <= min(lots.values()) + 1])

    def _strike(self, pid: int) -> None:
        """Kill it, or tell it to stop, if that is where it is to die."""
        options = self._nursery.alive.get(pid)
        if options is None:
            return
        if options.die_at == ON_A_CLEAN_STOP and pid not in self._told_to_stop:
            self._told_to_stop.add(pid)
            self._strike_at[pid] = time.monotonic() + max(PATIENCE_SECONDS)
            self._nursery.signal(pid, signal.SIGTERM)
        else:
            self._nursery.signal(pid, signal.SIGKILL)

    def misses_a_point(self) -> bool:
        """Whether at some point no kill has landed yet."""
        return not set(POINTS) <= set(judge.gather(read(self._folder)).points.values())

    def calm_down(self) -> None:
        """End everyone, and bring up workers that nobody kills."""
        for pid in tuple(self._nursery.alive):
            self._nursery.kill(pid)
        for _ in range(WORKERS):
            self._nursery.spawn(Options(str(self._folder), self._url, "worker", SETTINGS))


@pytest.mark.chaos
@pytest.mark.timeout(180)
def test_whatever_is_killed_every_acknowledged_job_runs_once_and_only_held_ones_again(
    store_url: str, tmp_path: Path, chaos_seconds: float
) -> None:
    store = Store(store_url, auto_upgrade=True)
    store.ensure_ready()
    with nursery(tmp_path) as hatchery:
        killing = Killing(hatchery, tmp_path, store_url)
        end = time.monotonic() + chaos_seconds
        while time.monotonic() < end or (killing.misses_a_point() and time.monotonic() < end + EXTRA_SECONDS):
            killing.keep_up()
            time.sleep(0.02)
        killing.calm_down()
        _await_drained(tmp_path)
        unsettled = _await_settled(store, judge.gather(read(tmp_path)))
    store.close()
    history = judge.gather(read(tmp_path))
    kills = Counter(history.points.values())
    _print_figures(store_url, history, kills)
    assert judge.losses(history) == []
    assert judge.violations(history) == []
    assert [point for point in POINTS if not kills[point]] == [], "No kill landed at these points."
    assert unsettled == [], "The history says that these ended; the store does not."


def _await_drained(folder: Path) -> None:
    """Wait until every acknowledged job has come to its end, or until waiting is of no use; the judge says which."""
    deadline = time.monotonic() + DRAIN_SECONDS
    while judge.gather(read(folder)).unfinished and time.monotonic() < deadline:
        time.sleep(0.5)


def _await_settled(store: Store, history: judge.History) -> list[str]:
    """Compare with the store, once the history is judged by itself: return what it holds as not succeeded."""
    left = sorted(history.acknowledged)
    deadline = time.monotonic() + 10
    while left and time.monotonic() < deadline:
        found = store.read(lambda connection, ids=tuple(left): {i: find.job(connection, i) for i in ids})  # type: ignore[misc]
        left = [i for i, job in found.items() if job is None or job.state is not JobState.SUCCEEDED]
    return left


def _print_figures(url: str, history: judge.History, kills: Counter[str]) -> None:
    print(
        f"\n{url.partition(':')[0]}: {len(history.acknowledged)} acknowledged, {len(history.runs)} run,"
        f" {len(history.repeated)} run again after a kill, {len(history.ended_twice)} of them ended twice;"
        f" {kills.total()} kills: " + ", ".join(f"{kills[point]} {point}" for point in POINTS)
    )
