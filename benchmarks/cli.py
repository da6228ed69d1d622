"""The command line: which measurement, on which database, how often; figures on stdout, notes on stderr."""

from __future__ import annotations

import argparse
import importlib
import json
import os
import platform
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from benchmarks.bench import Bench, Report, note
from benchmarks.databases import Databases
from benchmarks.figures import rounded
from benchmarks.table import as_table

JOBS = {
    "drain": 10_000,
    "schedule": 2_000,
    "response": 200,
    "lateness": 0,
    "flood": 100_000,
    "requests": 0,
    "claim": 300,
    "prune": 1_000,
    "memory": 200_000,
    "connections": 100,
    "lists": 200,
}
"""The measurements, and how many jobs each takes unless told otherwise; `claim` and `prune`: claims; `lists`: how often
each is asked."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print; return 0, or with `--check` 1 when a goal was missed."""
    options = _parser().parse_args(arguments)
    bench = Bench(
        databases=Databases(options.store, options.url),
        peer=options.peer == "apscheduler",
        jobs=options.jobs or JOBS[options.measurement],
        rounds=options.rounds,
        threads=options.threads,
        seconds=options.seconds,
        scale=options.scale,
    )
    report: Report = importlib.import_module(f"benchmarks.{options.measurement}").measure(bench)
    found = _described(options.measurement, bench, report)
    print(json.dumps(found, indent=2) if options.format == "json" else as_table(found))
    missed = [goal["what"] for goal in report.goals if not goal["met"]]
    if missed:
        note(f"missed: {', '.join(missed)}")
    return 1 if missed and options.check else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Measure beside the peer and the limit.")
    parser.add_argument("measurement", choices=list(JOBS))
    parser.add_argument("--store", choices=["sqlite", "postgresql"], default="sqlite")
    parser.add_argument("--url", help="a PostgreSQL server to make databases on, or sqlite:////folder to make files in")
    parser.add_argument("--peer", choices=["apscheduler", "none"], default="apscheduler")
    parser.add_argument("--jobs", type=int, help="how many jobs (claim, prune: how many claims; lists: how often each)")
    parser.add_argument("--rounds", type=int, default=3, help="how often the sides take turns (default 3)")
    parser.add_argument("--threads", type=int, default=10, help="threads that run jobs (default 10)")
    parser.add_argument(
        "--seconds", type=float, default=20.0, help="lateness, flood, requests: for how long (default 20)"
    )
    parser.add_argument(
        "--scale",
        type=float,
        default=1.0,
        help="claim, prune, lists: share of the 1,000,000s of other rows (default 1)",
    )
    parser.add_argument("--format", choices=["table", "json"], default="table")
    parser.add_argument("--check", action="store_true", help="exit with 1 when a goal is missed")
    return parser


def _described(measurement: str, bench: Bench, report: Report) -> dict[str, Any]:
    return {
        "measurement": measurement,
        "store": bench.store,
        "jobs": bench.jobs,
        "rounds": bench.rounds,
        "machine": _machine(bench),
        "sides": report.sides,
        "ratios": {name: rounded(value) for name, value in report.ratios.items()},
        "goals": report.goals,
    }


def _machine(bench: Bench) -> dict[str, Any]:
    return {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "cores": os.cpu_count(),
        "load": rounded(os.getloadavg()[0]),
        "python": platform.python_version(),
        "database": bench.databases.version(),
        "command": " ".join(sys.argv[1:]),
    }
