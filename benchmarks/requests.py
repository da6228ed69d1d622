"""How long a trivial view takes while jobs run in the same process: gunicorn, one gthread worker of four threads.

- *without*: an app without this package.
- *idle*: the same app with a running scheduler that has nothing to do.
- *computing*: its threads (`--threads`) are busy with jobs that compute in Python for 10 ms each.
- *sleeping*: they are busy with jobs that wait for 50 ms each.

One client in another process sends a request over a kept connection, waits for the answer, rests for 5 ms, and sends
the next; a request counts from its first byte sent to its last byte received. So these are the latencies of a server
that is not short of threads: what is seen is the interpreter's lock and the CPU that the jobs take. Jobs that are due
are stored before, more than can run meanwhile, so that the executor has work all the time; `jobs_per_s` tells how many
ran. If they do run out, the run fails.
"""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from typing import Any

from flask import Flask

from benchmarks import ours as our_side
from benchmarks import work
from benchmarks.bench import Bench, Report
from benchmarks.figures import medians, paired_ratio, percentile
from benchmarks.process import ROOT, Port

SIDES = ("without", "idle", "computing", "sleeping")
PAUSE_SECONDS = 0.005
WARM_UP_SHARE = 0.1
"""Requests are sent, and not counted, for this share of the seconds before."""
SPARE = 1.5
"""How many times as many jobs are stored as could run, at best, in twice the time that is measured and a second more.
"""


def measure(bench: Bench) -> Report:
    """Let the four take turns."""
    samples = bench.take_turns("requests", SIDES, seconds=bench.seconds, threads=bench.threads)
    ratios = {
        f"{side}/without {share}": paired_ratio(samples[side], samples["without"], f"{share}_ms")
        for side in SIDES[1:]
        for share in ("p50", "p99")
    }
    return Report({side: medians(samples[side]) for side in SIDES}, ratios, [])


# -- the sides -----------------------------------------------------------------------------------------


def without(port: Port, url: str, seconds: float, threads: int) -> dict[str, Any]:
    """Ask an app that has no scheduler."""
    with _serving("make_plain_app()") as server:
        return {**_latencies(server, seconds), "jobs_per_s": 0.0}


def idle(port: Port, url: str, seconds: float, threads: int) -> dict[str, Any]:
    """Ask an app whose scheduler waits."""
    app, _ = our_side.make_app(url, threads, role="client")
    with _serving(f"make_app({url!r}, {threads})") as server:
        our_side.wait_until(lambda: len(_workers(app)) == 1, seconds=60)
        return {**_latencies(server, seconds), "jobs_per_s": 0.0}


def computing(port: Port, url: str, seconds: float, threads: int) -> dict[str, Any]:
    """Ask an app whose jobs compute: they have one core between them, whatever their number."""
    return _busy(url, seconds, threads, work.burn, 1 / work.BURN_SECONDS)


def sleeping(port: Port, url: str, seconds: float, threads: int) -> dict[str, Any]:
    """Ask an app whose jobs wait."""
    return _busy(url, seconds, threads, work.nap, threads / work.NAP_SECONDS)


def _busy(url: str, seconds: float, threads: int, job: Callable[[int], None], most_per_s: float) -> dict[str, Any]:
    app, _ = our_side.make_app(url, threads, role="client")
    our_side.load(app, job, round(SPARE * most_per_s * (2 * seconds + 1)))
    rows = our_side.Rows(url)
    with _serving(f"make_app({url!r}, {threads})") as server:
        our_side.wait_until(lambda: rows.succeeded() > threads, seconds=60)
        ran, began = rows.succeeded(), time.perf_counter()
        found = _latencies(server, seconds)
        ran, took = rows.succeeded() - ran, time.perf_counter() - began
        assert rows.unfinished() > threads, "the jobs ran out, so that the executor was not busy all the time"
    return {**found, "jobs_per_s": ran / took}


def _workers(app: Flask) -> list[Any]:
    return list(app.extensions["scheduler"].client.workers())


# -- the server ----------------------------------------------------------------------------------------


def make_plain_app() -> Flask:
    """Return an app with the view, and nothing else."""
    return _with_view(Flask("benchmarks"))


def make_app(url: str, threads: int) -> Flask:
    """Return one with a scheduler too."""
    return _with_view(our_side.make_app(url, threads)[0])


def _with_view(app: Flask) -> Flask:
    app.get("/")(lambda: "hello")
    return app


@contextmanager
def _serving(factory: str) -> Iterator[int]:
    """Serve an app by gunicorn in a process of its own; give its port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        number: int = probe.getsockname()[1]
    options = ["-w", "1", "-k", "gthread", "--threads", "4", "--keep-alive", "60", "--log-level", "warning"]
    command = [
        sys.executable,
        "-m",
        "gunicorn",
        *options,
        "-b",
        f"127.0.0.1:{number}",
        f"benchmarks.requests:{factory}",
    ]
    server = subprocess.Popen(command, cwd=ROOT)
    try:
        our_side.wait_until(lambda: _answers(number), seconds=60, every=0.05)
        yield number
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(60)


def _answers(number: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", number)) == 0


# -- the client ----------------------------------------------------------------------------------------


def _latencies(number: int, seconds: float) -> dict[str, Any]:
    """Send requests for so many seconds; return how long they took."""
    connection = HTTPConnection("127.0.0.1", number, timeout=60)
    _asked_for(connection, WARM_UP_SHARE * seconds)
    took = _asked_for(connection, seconds)
    connection.close()
    figures = {"p50_ms": percentile(took, 0.5), "p99_ms": percentile(took, 0.99), "most_ms": max(took)}
    return {"requests": len(took), **figures}


def _asked_for(connection: HTTPConnection, seconds: float) -> list[float]:
    took = []
    until = time.perf_counter() + seconds
    while time.perf_counter() < until:
        took.append(_ask(connection))
        time.sleep(PAUSE_SECONDS)
    return took


def _ask(connection: HTTPConnection) -> float:
    began = time.perf_counter()
    connection.request("GET", "/")
    answer = connection.getresponse()
    answer.read()
    took = time.perf_counter() - began
    assert answer.status == 200, answer.status
    return 1000 * took
