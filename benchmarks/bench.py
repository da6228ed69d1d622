"""What every measurement is given, and how its sides take turns."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.databases import Databases
from benchmarks.figures import Goal, Sample
from benchmarks.process import run


@dataclass(frozen=True)
class Bench:
    """The options of one invocation."""

    databases: Databases
    peer: bool
    jobs: int
    rounds: int
    threads: int
    seconds: float
    scale: float

    @property
    def store(self) -> str:
        """The kind of database."""
        return self.databases.store

    def sides(self, *names: str) -> list[str]:
        """Return those sides that this invocation measures."""
        return [name for name in names if self.peer or name != "peer"]

    def take_turns(self, module: str, sides: Sequence[str], **options: Any) -> dict[str, list[Sample]]:
        """Run every side once in each round, each time in a new process on a new database.

        Each round begins with another side, so that none is always the first.
        """
        samples: dict[str, list[Sample]] = {side: [] for side in sides}
        for number in range(self.rounds):
            shift = number % len(sides)
            for side in [*sides[shift:], *sides[:shift]]:
                with self.databases.fresh() as url:
                    sample = run(module, side, url=url, **options)
                note(f"round {number + 1}, {side}: {shown(sample)}")
                samples[side].append(sample)
        return samples


@dataclass(frozen=True)
class Report:
    """What a measurement found."""

    sides: dict[str, Any]
    ratios: dict[str, float]
    goals: list[Goal]


def note(text: str) -> None:
    """Tell a person how far it is; figures go to stdout, notes to stderr."""
    print(text, file=sys.stderr, flush=True)


def shown(sample: Sample) -> str:
    """Return a sample as one line."""
    return " ".join(f"{name}={value:,.4g}" for name, value in sample.items() if isinstance(value, int | float))
