"""How soon the job of a killed process runs again: measured, printed, and held to the promise.

Time budget: 20 s per database.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

import pytest

from ..processes import ROOT, until
from . import jobs
from .journal import Journal, of_kind
from .worker import Options, make_app

SAME_HOST_SECONDS = 2.0
LEASE_SECONDS = 3.0
HEARTBEAT_SECONDS = 0.5
SWEEP_SECONDS = HEARTBEAT_SECONDS  # a sweep comes with each beat, and at least each second
LOOKED_SECONDS = 0.5
"""How long before it says that it is up a process may have begun to watch the others' counters."""
OTHER_BOOT = "00000000-0000-4000-8000-000000000000"
SETTINGS = {"SCHEDULER_LEASE_SECONDS": LEASE_SECONDS, "SCHEDULER_HEARTBEAT_SECONDS": HEARTBEAT_SECONDS}


@contextmanager
def _process(options: Options) -> Iterator[subprocess.Popen[bytes]]:
    """Start a process afresh, with all its imports, as a restart does."""
    command = [sys.executable, "-m", "tests.acceptance.chaos.worker", json.dumps(asdict(options))]
    log = Path(options.folder) / "processes.log"
    with log.open("ab") as said, subprocess.Popen(command, cwd=ROOT, stdout=said, stderr=said) as popen:
        try:
            yield popen
        finally:
            popen.kill()


def _measure(url: str, folder: Path, boot_id: str | None) -> float:
    """Kill a process in the middle of a job; return how long after the next one is up the job starts again."""
    _schedule(url, folder)
    journal = Journal(folder, "test")
    with _process(Options(str(folder), url, "worker", SETTINGS, boot_id=boot_id)) as first:
        until(lambda: of_kind(folder, "start"), "the job starts")
        journal.write("kill", victim=first.pid, point="outside")
        first.send_signal(signal.SIGKILL)
        first.wait(timeout=10)
    with _process(Options(str(folder), url, "worker", SETTINGS)) as second:
        until(lambda: len(of_kind(folder, "start")) == 2, "the job starts again")
        up = next(line["at"] for line in of_kind(folder, "up") if line["pid"] == second.pid)
        again = of_kind(folder, "start")[-1]
        assert again["pid"] == second.pid
        return float(again["at"] - up)


def _schedule(url: str, folder: Path) -> None:
    app, scheduler = make_app(Options(str(folder), url, "producer", SETTINGS))
    store = app.extensions["scheduler"].store
    store.auto_upgrade = True
    scheduler.schedule_now(jobs.hold, "held")
    store.close()


@pytest.mark.chaos
@pytest.mark.timeout(90)
def test_a_killed_process_job_runs_again_at_once_after_a_restart_on_the_same_host(
    store_url: str, tmp_path: Path
) -> None:
    seconds = _measure(store_url, tmp_path, None)
    print(f"\n{store_url.partition(':')[0]}: same host, again {seconds:.3f} s after the new process was up")
    assert seconds < SAME_HOST_SECONDS


@pytest.mark.chaos
@pytest.mark.timeout(90)
def test_another_hosts_job_runs_again_after_the_lease_and_two_sweeps(store_url: str, tmp_path: Path) -> None:
    seconds = _measure(store_url, tmp_path, OTHER_BOOT)
    print(f"\n{store_url.partition(':')[0]}: another host, again {seconds:.3f} s after the new process was up")
    assert seconds < LEASE_SECONDS + 2 * SWEEP_SECONDS
    assert seconds > LEASE_SECONDS - LOOKED_SECONDS, "Another host cannot know earlier that the process is gone."
