"""Servers that replace their processes while they are busy: nothing is lost, and nothing is charged to a job."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from itertools import count
from pathlib import Path
from threading import Event

import pytest

from tests.acceptance.processes import PATIENCE_SECONDS, Process, until
from tests.acceptance.sites import SERVERS, WORKERS, Site, make_site
from tests.acceptance.starts import MAX_REQUESTS, SIGHUP, SIGUSR2, TO_WORKER, End, ended_by

CLIENTS = 4
MANY = 200
"""How many requests are answered at least while the processes are replaced."""


@dataclass
class Load:
    """What clients have asked for so far, each one request after another."""

    process: Process
    acknowledged: list[str] = field(default_factory=list)
    cut_off: list[str] = field(default_factory=list)
    """Requests whose answer never came; their job may be stored or not."""
    ended: Event = field(default_factory=Event)

    def ask(self, client: int) -> None:
        """Be one client. Any answer but a 200 fails the test."""
        for number in count():
            if self.ended.is_set():
                return
            label = f"{client}-{number}"
            try:
                status = post(self.process.port, f"/schedule?after=0&function=work_briefly&label={label}")
            except (OSError, HTTPException):
                self.cut_off.append(label)
            else:
                assert status == 200, f"{status}\n{self.process.said()}"
                self.acknowledged.append(label)


def post(port: int, path: str) -> int:
    """Send a POST on a connection of its own, and return the status of its answer: a client that costs little."""
    connection = HTTPConnection("127.0.0.1", port, timeout=PATIENCE_SECONDS)
    try:
        connection.request("POST", path, headers={"Connection": "close"})
        answer = connection.getresponse()
        answer.read()
        return answer.status
    finally:
        connection.close()


@contextmanager
def under_load(process: Process) -> Iterator[Load]:
    """Have clients schedule jobs over HTTP while the block runs, and for `MANY` answers at least."""
    load = Load(process)
    with ThreadPoolExecutor(CLIENTS) as pool:
        asking = [pool.submit(load.ask, client) for client in range(CLIENTS)]
        try:
            yield load
            until(
                lambda: len(load.acknowledged) > MANY or any(one.done() for one in asking),
                f"answers: {load.acknowledged} {load.cut_off}\n{process.said()}",
            )
        finally:
            load.ended.set()
        for one in asking:
            one.result()


# -- ways to replace processes ---------------------------------------------------------------------


def wait(process: Process, before: set[int]) -> None:
    """Wait until the server has replaced them by itself."""
    until(lambda: process.children() and not before & process.children(), f"other processes\n{process.said()}")


def starts(process: Process) -> int:
    """Return how often it was said that a process runs jobs."""
    return process.said().count("scheduler started")


def hang_up(process: Process, before: set[int]) -> None:
    """Have the parent make new workers, twice."""
    for told in (2 * len(before), 3 * len(before)):
        process.send(signal.SIGHUP)
        wait(process, before)
        until(lambda told=told: starts(process) >= told, f"new workers\n{process.said()}")
        before = process.children()


def terminate_each(process: Process, before: set[int]) -> None:
    """End one worker after another."""
    for pid in before:
        os.kill(pid, signal.SIGTERM)
        until(lambda pid=pid: pid not in process.children(), f"the end of {pid}\n{process.said()}")


def upgrade(process: Process, before: set[int]) -> None:
    """Have the arbiter start another one beside itself, and end it once that one's workers run jobs."""
    process.send(signal.SIGUSR2)
    until(lambda: starts(process) >= 2 * len(before), f"another arbiter\n{process.said()}")
    process.send(signal.SIGTERM)
    assert process.wait() == 0, process.said()


def command(server: str, how: str) -> tuple[str, ...]:
    """Return the server's command, with what is needed for processes to be replaced so."""
    if how == MAX_REQUESTS:
        return SERVERS[server] + OFTEN[server.split()[0]]
    if how == SIGUSR2:  # by `python -m gunicorn`, the other arbiter would import gunicorn's own `http` as Python's
        return (str(Path(sys.executable).with_name("gunicorn")), *SERVERS[server][2:])
    return SERVERS[server]


OFTEN = {"gunicorn": ("--max-requests", "30"), "uWSGI": ("--max-requests", "30", "--min-worker-lifetime", "1")}
WAYS: dict[str, Callable[[Process, set[int]], None]] = {
    MAX_REQUESTS: wait,
    SIGHUP: hang_up,
    TO_WORKER: terminate_each,
    SIGUSR2: upgrade,
}


@pytest.mark.parametrize(
    ("how", "server", "database"),
    [
        (MAX_REQUESTS, "gunicorn gthread", "sqlite"),
        (MAX_REQUESTS, "gunicorn sync preload", "postgresql"),
        (SIGHUP, "gunicorn gthread preload", "sqlite"),
        (SIGHUP, "gunicorn sync", "postgresql"),
        (TO_WORKER, "gunicorn gthread", "postgresql"),
        (SIGUSR2, "gunicorn sync", "sqlite"),
        (MAX_REQUESTS, "uWSGI master lazy-apps", "sqlite"),
        (SIGHUP, "uWSGI master", "postgresql"),
    ],
)
def test_processes_are_replaced_under_load_and_nothing_is_lost_or_repeated(
    how: str, server: str, database: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    assert server in ended_by(how, End.DRAINS)
    site = make_site(tmp_path, request.getfixturevalue(f"{database}_url"))
    with site.run(*command(server, how)) as process:
        until(lambda: len(site.pids_that_registered()) >= WORKERS, f"its workers\n{process.said()}")
        before = site.pids_that_registered()
        with under_load(process) as load:
            until(lambda: {line.pid for line in site.lines("ran")} & before, f"a job\n{process.said()}")
            WAYS[how](process, before)
        site.wait_for("ran", *load.acknowledged)
        stored = site.rows("SELECT count(*) FROM scheduler_jobs")[0][0]
        site.wait_for_jobs({("succeeded", 0, 0): stored})
        print(f"{how}, {server}: {len(load.acknowledged)} jobs, {len(load.cut_off)} requests cut off")
    assert_nothing_was_repeated(site, before)
    assert len(load.acknowledged) <= stored <= len(load.acknowledged) + len(load.cut_off)


def assert_nothing_was_repeated(site: Site, before: set[int]) -> None:
    """Each job ran once, some in processes of both generations, and no end but a first success is recorded."""
    ran = site.lines("ran")
    assert set(site.labels("ran").values()) == {1}
    assert {line.pid for line in ran} & before
    assert {line.pid for line in ran} - before
    assert site.rows("SELECT * FROM scheduler_attempts") == []
