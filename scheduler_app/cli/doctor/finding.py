"""What a rule says of the facts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from enum import StrEnum
from typing import NamedTuple

from .facts import Facts


class Level(StrEnum):
    """How bad something is."""

    OK = "ok"
    WARNING = "warning"
    """It works, and may not for long, or not as is meant."""
    ERROR = "error"
    """Something does not work, or anybody could get in."""


class Finding(NamedTuple):
    """One line of the answer."""

    check: str
    level: Level
    text: str
    remedy: str = ""
    """What to do; "" where nothing is."""


Rule = Callable[[Facts], Iterator[Finding]]
"""Judges the facts, and says at least one thing where it applies. Looks at nothing else."""
