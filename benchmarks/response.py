"""What `after_response` costs a request, beside one bare durable insert and a bare thread; and one that defers nothing.

One app answers five requests in turns, each by WSGI and without a network: called, iterated and closed, as by a server.

- *ours*: the view calls `after_response(noop, i)`, in a process whose scheduler runs, as in a web process.
- *bare*: the view inserts the same row by SQLAlchemy Core with commit, on a connection from a pool, with the same
  durability (`bare.py`).
- *thread*: the view starts `threading.Thread(target=noop)`.
- *nothing*, *without*: the view only answers; in the app with this package, and in one without it.

A turn begins once what the one before left to others (the release, the job itself) is over, so `us` is what the client
of one request waits for: wall clock, the median of all turns. `cpu_us` is the same of the thread's own CPU time.
`nothing` and `without` are measured by themselves, in small blocks in turns, since they differ by microseconds:
`added_us` is the median block's difference, by the thread's CPU time.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from threading import Thread
from typing import Any

from flask import Flask
from werkzeug.test import EnvironBuilder

from benchmarks import bare as bare_limit
from benchmarks import ours as our_side
from benchmarks import work
from benchmarks.bench import Bench, Report, note, shown
from benchmarks.figures import at_most, medians, paired_ratio
from benchmarks.process import Port, run
from scheduler_app import after_response

DELAY = 60
WARM_UP = 5
BLOCK = 20
BLOCKS = 400
PAUSE_SECONDS = 0.02
"""Between two turns, after what the first has left is over: each finds the caches as a request of its own would."""
MOST_RATIO = 1.3
MOST_ADDED_US = 5.0


def measure(bench: Bench) -> Report:
    """Answer the requests in turns, in each round in a new process on new databases."""
    rounds = [_round(bench) for _ in range(bench.rounds)]
    names = ("ours", "bare", "thread")
    samples = {name: [sample[name] for sample in rounds] for name in names}
    added = [sample["nothing"] for sample in rounds]
    ratios = {f"ours/{name}": paired_ratio(samples["ours"], samples[name], "us") for name in names[1:]}
    ratios |= {"ours/bare, cpu": paired_ratio(samples["ours"], samples["bare"], "cpu_us")}
    found = {name: medians(samples[name]) for name in names} | {"nothing": medians(added)}
    goals = [
        at_most("ours/bare", ratios["ours/bare"], MOST_RATIO),
        at_most("added_us", found["nothing"]["added_us"], MOST_ADDED_US),
    ]
    return Report(found, ratios, goals)


def _round(bench: Bench) -> dict[str, dict[str, Any]]:
    with bench.databases.fresh() as url, bench.databases.fresh() as bare_url:
        sample = run("response", "turns", url=url, bare_url=bare_url, jobs=bench.jobs)
    for name, figures in sample.items():
        note(f"{name}: {shown(figures)}")
    return sample


def turns(port: Port, url: str, bare_url: str, jobs: int) -> dict[str, Any]:
    """Answer all kinds of requests in turns; the loop runs, and each job is over before the next turn."""
    found: dict[str, Any] = {"nothing": _added(*_apps_that_answer_only(url))}
    app, scheduler = our_side.make_app(url)
    bare_limit.migrate(bare_url)
    _add_views(app, bare_limit.Tables(bare_url))
    with app.app_context():
        scheduler.start()
        found |= _compared({name: _request(app, f"/{name}") for name in ("ours", "bare", "thread")}, app, jobs)
        scheduler.shutdown()
    return found


def _apps_that_answer_only(url: str) -> Iterator[Callable[[], None]]:
    """Yield a request to an app with this package, and one to an app without it."""
    with_it, _ = our_side.make_app(url, role="client")  # which looks for no server at each request of this benchmark
    without = Flask("benchmarks")
    without.secret_key = "a key that only measures"
    for app in (with_it, without):
        app.get("/nothing", endpoint="nothing")(lambda: "nothing")
        yield _request(app, "/nothing")


def _add_views(app: Flask, tables: bare_limit.Tables) -> None:
    def ours() -> str:
        return after_response(work.noop, 1).id

    def bare() -> str:
        bare_limit.insert_one(tables, 1, DELAY)
        return "bare"

    def thread() -> str:
        Thread(target=work.noop, args=(1,)).start()
        return "thread"

    for view in (ours, bare, thread):
        app.get(f"/{view.__name__}")(view)


def _request(app: Flask, path: str) -> Callable[[], None]:
    """Return what answers one request, from the call of the app to the close of its body."""
    # As from a server: for one, an app with this package looks until then.
    template = EnvironBuilder(path=path).get_environ() | {"SERVER_SOFTWARE": "benchmarks"}

    def answer() -> None:
        body: Any = app(template.copy(), lambda _status, _headers, _error=None: lambda _chunk: None)
        for _ in body:
            pass
        body.close()

    return answer


def _compared(requests: dict[str, Callable[[], None]], app: Flask, jobs: int) -> dict[str, Any]:
    wall: dict[str, list[float]] = {name: [] for name in requests}
    cpu: dict[str, list[float]] = {name: [] for name in requests}
    for turn in range(-WARM_UP, jobs):
        for name, request in requests.items():
            began, used = time.perf_counter(), time.thread_time()
            request()
            used, took = time.thread_time() - used, time.perf_counter() - began
            _await_idle(app)
            if turn >= 0:
                wall[name].append(took * 1e6)
                cpu[name].append(used * 1e6)
    return {name: {"us": statistics.median(wall[name]), "cpu_us": statistics.median(cpu[name])} for name in requests}


def _await_idle(app: Flask) -> None:
    """Wait until the job of `ours` has run and its end is written, and a little longer."""
    stats = app.extensions["scheduler"].client.stats
    our_side.wait_until(lambda: not (stats()["scheduled"] or stats()["running"]), every=0.005)
    time.sleep(PAUSE_SECONDS)


def _added(nothing: Callable[[], None], without: Callable[[], None]) -> dict[str, Any]:
    used: dict[str, list[float]] = {"nothing": [], "without": []}
    for block in range(-BLOCK, BLOCKS):
        for name, request in (("nothing", nothing), ("without", without)):
            took = _cpu_of(request)
            if block >= 0:
                used[name].append(took / BLOCK * 1e6)
    differences = [more - less for more, less in zip(used["nothing"], used["without"], strict=True)]
    medians_us = {f"{name}_us": statistics.median(some) for name, some in used.items()}
    return medians_us | {"added_us": statistics.median(differences)}


def _cpu_of(request: Callable[[], None]) -> float:
    before = time.thread_time()
    for _ in range(BLOCK):
        request()
    return time.thread_time() - before
