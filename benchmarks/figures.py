"""From samples to figures: medians, percentiles, paired ratios, and whether a goal is met."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Sequence
from typing import Any

Sample = dict[str, Any]
Goal = dict[str, Any]


def percentile(values: Iterable[float], share: float) -> float:
    """Return the smallest value that at least `share` (0 to 1) of all values do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def median(rounds: Sequence[Sample], name: str) -> float:
    """Return the median of one figure over all rounds."""
    return float(statistics.median(sample[name] for sample in rounds))


def paired_ratio(above: Sequence[Sample], below: Sequence[Sample], name: str) -> float:
    """Return the median of each round's ratio: its two sides ran right after one another, under the same load."""
    return float(statistics.median(a[name] / b[name] for a, b in zip(above, below, strict=True)))


def medians(rounds: Sequence[Sample]) -> Sample:
    """Return the median of every number that each round measured, and all rounds beside it."""
    numbers = [name for name, value in rounds[0].items() if isinstance(value, int | float)]
    return {name: rounded(median(rounds, name)) for name in numbers} | {"rounds": [_short(one) for one in rounds]}


def _short(sample: Sample) -> Sample:
    return {name: rounded(value) for name, value in sample.items()}


def rounded(value: Any) -> Any:
    """Return a float with four significant digits, as more would be noise; anything else as it is."""
    return float(f"{value:.4g}") if isinstance(value, float) else value


def at_least(what: str, found: float, least: float) -> Goal:
    """Return a goal with a lower bound, and whether it is met."""
    return {"what": what, "found": rounded(found), "at_least": least, "met": found >= least}


def at_most(what: str, found: float, most: float) -> Goal:
    """Return a goal with an upper bound, and whether it is met."""
    return {"what": what, "found": rounded(found), "at_most": most, "met": found <= most}
