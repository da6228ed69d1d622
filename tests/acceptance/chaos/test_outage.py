"""The database goes away and comes back: meanwhile scheduling raises and the health check says so, afterwards what is
due runs without a human act.

Time budget: 20 s for each database.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from scheduler_app.errors import StoreUnavailableError
from scheduler_app.jobs import JobState
from scheduler_app.store import Store, find

from ..processes import until
from . import jobs, judge
from .journal import Journal, of_kind, read
from .nursery import nursery
from .proxy import proxy_to
from .worker import Options, make_app

AWAY_SECONDS = 3.0
BACK_SECONDS = 5.0
"""How soon after the database is back what is due has started, and the health check says that all is well."""
SETTINGS = {
    "SCHEDULER_HEARTBEAT_SECONDS": 0.5,
    "SCHEDULER_POLL_SECONDS": 0.1,
    "SCHEDULER_CONNECT_TIMEOUT_SECONDS": 2,
}


class Caller:
    """A process that schedules, this one, and writes down what it is told."""

    def __init__(self, url: str, folder: Path) -> None:
        self.app, self.scheduler = make_app(Options(str(folder), url, "producer", SETTINGS))
        self.store: Store = self.app.extensions["scheduler"].store
        self.store.auto_upgrade = True
        self._journal = Journal(folder, "test")

    def schedule(self, seq: str, delay: float, seconds: float = 0.0, bulk: str = "") -> None:
        """Schedule `jobs.work`; raises what scheduling raises."""
        try:
            made = self.scheduler.schedule_after(delay, jobs.work, seq, seconds, bulk)
        except StoreUnavailableError as error:
            self._journal.write("raised", seq=seq, error=str(error))
            raise
        self._journal.write("acknowledged", seq=seq, job=made.id, run_at=made.run_at.timestamp())


def _readiness(folder: Path) -> list[int]:
    return [line["status"] for line in of_kind(folder, "ready")]


def _assert_all_ran_once(folder: Path) -> judge.History:
    until(lambda: not judge.gather(read(folder)).unfinished, "every acknowledged job ends")
    history = judge.gather(read(folder))
    assert judge.violations(history) == []
    assert history.repeated == []
    return history


def _first_start_after(folder: Path, instant: float) -> float:
    starts = [line["at"] for line in of_kind(folder, "start") if line["at"] > instant]
    return min(starts) - instant if starts else float("inf")


@pytest.mark.chaos
@pytest.mark.timeout(90)
def test_due_jobs_start_again_unaided_after_postgresql_was_away(postgresql_url: str, tmp_path: Path) -> None:
    with proxy_to(postgresql_url) as (proxy, through), nursery(tmp_path) as hatchery:
        near, far = Caller(postgresql_url, tmp_path), Caller(through, tmp_path)
        near.schedule("before", 0)
        hatchery.spawn(Options(str(tmp_path), through, "worker", SETTINGS, watch_health=True))
        until(lambda: _readiness(tmp_path)[-1:] == [200] and of_kind(tmp_path, "end"), "the worker is up")
        near.schedule("across", 0, seconds=AWAY_SECONDS / 2)
        until(lambda: len(of_kind(tmp_path, "start")) == 2, "a job runs into the outage")
        far.schedule("due meanwhile", 0.5)
        proxy.go_away()
        left = time.monotonic()
        with pytest.raises(StoreUnavailableError, match=r"cannot be used now: .*Nothing was stored\."):
            far.schedule("refused", 0)
        assert time.monotonic() - left < AWAY_SECONDS
        near.schedule("due meanwhile, too", 0.5)
        until(lambda: _readiness(tmp_path)[-1] == 503, "the health check says that the database is away")
        until(lambda: time.monotonic() > left + AWAY_SECONDS, "the outage lasts")
        assert not [line for line in of_kind(tmp_path, "start") if line["at"] > left]
        proxy.come_back()
        back = time.monotonic()
        until(lambda: len(of_kind(tmp_path, "end")) == 4, "the jobs that became due meanwhile run", BACK_SECONDS)
        until(lambda: _readiness(tmp_path)[-1] == 200, "the health check says that all is well", BACK_SECONDS)
        history = _assert_all_ran_once(tmp_path)
        until(lambda: _count(near.store, JobState.SUCCEEDED) == 4, "the ends are stored")
        near.store.close()
        far.store.close()
    print(f"\npostgresql: away for {AWAY_SECONDS:g} s, jobs again {_first_start_after(tmp_path, back):.3f} s after")
    assert "refused" not in {run.seq for runs in history.runs.values() for run in runs}


def _count(store: Store, state: JobState) -> int:
    return store.read(lambda connection: find.count_of(connection, state, 10_000))


# -- SQLite ------------------------------------------------------------------------------------------


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 16 MB; where none may be mounted the test is skipped: a right is no server, to be required."""
    if os.geteuid() != 0 or shutil.which("mount") is None:
        pytest.skip("only root may mount the small file system that this test fills")
    place = tmp_path / "disk"
    place.mkdir()
    mount: list[str | Path] = ["mount", "-t", "tmpfs", "-o", "size=16m", "none", place]
    mounted = subprocess.run(mount, capture_output=True, check=False)
    if mounted.returncode:
        reason = mounted.stderr.decode().strip()
        pytest.skip(f"the small file system that this test fills cannot be mounted: {reason}")
    yield place
    subprocess.run(["umount", "--lazy", place], check=True)


@pytest.mark.parametrize("lacking", ["root", "mount", "the right"])
def test_who_may_not_mount_skips_the_full_disk_though_servers_are_required(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, lacking: str
) -> None:
    monkeypatch.setenv("SCHEDULER_TEST_REQUIRE_SERVERS", "1")
    monkeypatch.setattr(os, "geteuid", lambda: 1000 if lacking == "root" else 0)
    monkeypatch.setattr(shutil, "which", lambda name: None if lacking == "mount" else f"/bin/{name}")
    refused = subprocess.CompletedProcess((), 32, b"", b"mount: permission denied.\n")
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: refused)
    with pytest.raises(pytest.skip.Exception, match=r"^(only root may mount|.* cannot be mounted: mount: permission)"):
        request.getfixturevalue("small_disk")


@pytest.mark.chaos
@pytest.mark.timeout(90)
def test_due_jobs_start_again_unaided_after_the_disk_was_full(small_disk: Path, tmp_path: Path) -> None:
    url = f"sqlite:///{small_disk / 'scheduler.sqlite3'}"
    with nursery(tmp_path) as hatchery:
        caller = Caller(url, tmp_path)
        caller.schedule("before", 0)
        hatchery.spawn(Options(str(tmp_path), url, "worker", SETTINGS, watch_health=True))
        until(lambda: _readiness(tmp_path)[-1:] == [200] and of_kind(tmp_path, "end"), "the worker is up")
        ballast = _fill(small_disk, leave=6 << 20)
        error = _schedule_until_full(caller)
        assert error == (
            f"The scheduler's database {url} cannot be used now: database or disk is full. Nothing was stored."
            " Check that it runs and accepts connections, then try again."
        )
        _fill(small_disk, leave=0)
        until(lambda: _readiness(tmp_path)[-1] == 503, "the health check says that nothing can be written")
        ballast.unlink()
        emptied = time.monotonic()
        until(lambda: _first_start_after(tmp_path, emptied) < BACK_SECONDS, "a job that became due runs", BACK_SECONDS)
        until(lambda: _readiness(tmp_path)[-1] == 200, "the health check says that all is well", BACK_SECONDS)
        caller.schedule("after", 0)
        history = _assert_all_ran_once(tmp_path)
        caller.store.close()
    again = _first_start_after(tmp_path, emptied)
    ran = {run.seq for runs in history.runs.values() for run in runs}
    print(f"\nsqlite: disk full after {len(history.acknowledged)} jobs, again {again:.3f} s after there was room")
    assert ran & {line["seq"] for line in history.raised} == set(), "The error said that nothing was stored."


def _fill(place: Path, leave: int) -> Path:
    """Fill a file system but for so many bytes; return the file that does."""
    ballast = place / f"ballast-{leave}"
    free = os.statvfs(place).f_bavail * os.statvfs(place).f_frsize
    with ballast.open("wb") as file:
        try:
            file.write(bytes(max(0, free - leave)))
        except OSError:
            pass  # a neighbour wrote meanwhile: so much the fuller
    return ballast


def _schedule_until_full(caller: Caller) -> str:
    """Schedule large calls until one is refused; return what the refusal says."""
    for number in range(200):
        try:
            caller.schedule(f"large {number}", 2.0, bulk="x" * 40_000)
        except StoreUnavailableError as error:
            return str(error)
    raise AssertionError("The disk did not become full.")
