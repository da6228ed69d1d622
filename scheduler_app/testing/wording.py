"""What a failed assertion says: what was looked for, and what was scheduled instead."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from types import MappingProxyType

from ..jobs import JobState
from .calls import Call, seconds_between

LONGEST_LIST = 20
LONGEST_CALL = 160

_UNITS = ((86_400, "d"), (3600, "h"), (60, "min"))


def span(seconds: float) -> str:
    """Return a time span in words: ``3 s``, ``0.5 s``, ``1 min 30 s``, ``1 d``; from a second up to a tenth of it."""
    rest, parts = round(seconds, 1 if seconds >= 1 else 3), []
    for size, unit in _UNITS:
        count, rest = divmod(rest, size)
        if count:
            parts.append(f"{count:g} {unit}")
    rest = round(rest, 3)
    if rest or not parts:
        parts.append(f"{rest:g} s")
    return " ".join(parts)


def often(count: int) -> str:
    """Return how often: ``once``, ``twice``, ``3 times``."""
    return {1: "once", 2: "twice"}.get(count, f"{count} times")


def report(
    headline: str,
    calls: Sequence[Call],
    now: datetime,
    faults: Mapping[str, str | None] = MappingProxyType({}),
    hints: Iterable[str] = (),
) -> str:
    """Return a headline, and below it everything that was scheduled: what waits, then what became of the rest.

    `faults` says, by a job's id, why it is not what was looked for.
    """
    waiting = [(_when(call, now), call) for call in calls if call.waits]
    others = [(call.job.state.value, call) for call in calls if not call.waits]
    lines = [headline]
    if waiting:
        lines += [f"It is {now:%Y-%m-%d %H:%M:%S} UTC, and this waits:", *_table(waiting, faults)]
    if others:
        lines += ["This no longer waits:", *_table(others, faults)]
    if not calls:
        lines.append("Nothing was scheduled.")
    return "\n".join([*lines, *hints])


def _when(call: Call, now: datetime) -> str:
    ahead = seconds_between(now, call.job.run_at)
    paused = "paused, " if call.job.state is JobState.PAUSED else ""
    if ahead > 0:
        return f"{paused}in {span(ahead)}"
    return f"{paused}due now" if ahead > -1 else f"{paused}due {span(-ahead)} ago"


def _table(rows: Sequence[tuple[str, Call]], faults: Mapping[str, str | None]) -> Iterator[str]:
    width = max(len(left) for left, _ in rows)
    for left, call in rows[:LONGEST_LIST]:
        remarks = "; ".join(_remarks(call, faults.get(call.job.id)))
        yield f"  {left:<{width}}  {_cut(str(call))}{f'  ({remarks})' if remarks else ''}"
    if len(rows) > LONGEST_LIST:
        yield f"  ... and {len(rows) - LONGEST_LIST:,} more"


def _remarks(call: Call, fault: str | None) -> Iterator[str]:
    """Yield what else is to be known of a job: why it is not the one, that it is a retry, why it failed."""
    job = call.job
    if fault is not None:
        yield fault
    if call.waits and job.attempt:
        yield f"attempt {job.attempt + 1} of {job.max_attempts}, after {_cut(str(job.error))}"
    elif job.error is not None:
        yield _cut(job.error)


def _cut(text: str) -> str:
    line = text.replace("\n", "\\n")
    return line if len(line) <= LONGEST_CALL else f"{line[: LONGEST_CALL - 3]}..."
