"""How much a worker process grows when very many jobs are due at once.

Resident memory is read from `/proc/self/statm` every 20 ms. Growth is its highest value while the jobs run, less its
value after a warm-up of some jobs just before. The jobs are stored by another process.

*ours* runs all of them, and its jobs remember nothing. *peer* is stopped once its first jobs have run: it reads all due
jobs before, and would need minutes for the rest; what it grows later is not counted.
"""

from __future__ import annotations

import gc
import os
from pathlib import Path
from typing import Any

from benchmarks import ours as our_side
from benchmarks import peer as peer_side
from benchmarks import work
from benchmarks.bench import Bench, Report, note, shown
from benchmarks.figures import Sample, at_most, medians
from benchmarks.process import Port, run

WARM_UP = 1_000
PEER_RUNS = 1_000
MOST_MB = 50.0
MB = 1024 * 1024


def measure(bench: Bench) -> Report:
    """Load and run the jobs by each side in turn."""
    sides = bench.sides("ours", "peer")
    rounds: dict[str, list[Sample]] = {side: [] for side in sides}
    for _ in range(bench.rounds):
        for side in sides:
            with bench.databases.fresh() as url, bench.databases.fresh() as warm_url:
                run("memory", f"load_{side}", url=url, jobs=bench.jobs)
                sample = run("memory", side, url=url, warm_url=warm_url, jobs=bench.jobs)
            note(f"{side}: {shown(sample)}")
            rounds[side].append(sample)
    found = {side: medians(samples) for side, samples in rounds.items()}
    ratios = {"peer/ours growth": found["peer"]["growth_mb"] / found["ours"]["growth_mb"]} if bench.peer else {}
    return Report(found, ratios, [at_most("growth_mb", found["ours"]["growth_mb"], MOST_MB)])


def load_ours(port: Port, url: str, jobs: int) -> dict[str, Any]:
    """Store the jobs."""
    app, _scheduler = our_side.make_app(url, role="client")
    our_side.load(app, work.nothing, jobs)
    return {}


def load_peer(port: Port, url: str, jobs: int) -> dict[str, Any]:
    """Store the peer's jobs."""
    peer_side.load(url, work.noop, jobs)
    return {}


def ours(port: Port, url: str, warm_url: str, jobs: int) -> dict[str, Any]:
    """Run a few jobs of another database, then all of this one."""
    our_side.warm_up(warm_url, 10, WARM_UP)
    _app, scheduler = our_side.make_app(url)
    rows = our_side.Rows(url)
    peak = _Peak()
    scheduler.start()
    our_side.wait_until(lambda: peak.look() and not rows.live(), every=0.02)
    figures = peak.figures()
    assert rows.unfinished() == 0
    scheduler.shutdown()
    return figures


def peer(port: Port, url: str, warm_url: str, jobs: int) -> dict[str, Any]:
    """Run a few jobs of another database, then the first of this one, then give up."""
    peer_side.load(warm_url, work.noop, 50)
    warm = peer_side.make_scheduler(warm_url)
    warm.start()
    our_side.wait_until(lambda: len(work.ran) >= 50)
    warm.shutdown()
    work.ran.clear()
    scheduler = peer_side.make_scheduler(url)
    peak = _Peak()
    scheduler.start()
    our_side.wait_until(lambda: peak.look() and len(work.ran) >= min(jobs, PEER_RUNS), every=0.02)
    figures = peak.figures()
    port.say({"result": figures})
    os._exit(0)  # its shutdown would run the other jobs first


class _Peak:
    """Resident memory, now and at its highest."""

    def __init__(self) -> None:
        gc.collect()
        self.before = self.highest = _resident()

    def look(self) -> bool:
        """Look again; always true."""
        self.highest = max(self.highest, _resident())
        return True

    def figures(self) -> dict[str, Any]:
        """Return what was found, in megabytes."""
        return {"before_mb": self.before / MB, "growth_mb": (self.highest - self.before) / MB}


def _resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
