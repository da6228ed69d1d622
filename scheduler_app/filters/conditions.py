"""One condition of a filter: a name, a sign and a value; and what the value means, or why it means nothing."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, NamedTuple

from ..arguments import Argument
from ..errors import did_you_mean
from ..jobs import JobState, Priority

LONGEST_NAME = 191

_EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)
_LATEST = datetime(9999, 12, 1, tzinfo=UTC)
_TICK = timedelta(microseconds=1)
_DAY = timedelta(days=1)
_WORD = re.compile(r"([^=<>~]*)(>=|<=|~=|[=<>~])(.*)", re.DOTALL)
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_PLUS_LOST = re.compile(r"(.*\d) (\d\d:?\d\d)", re.ASCII)
"""An offset whose plus sign the address has turned into a blank."""


@dataclass(frozen=True, slots=True)
class Pattern:
    """A name, or how it begins."""

    text: str
    is_prefix: bool = False

    def __str__(self) -> str:
        return f"{self.text}*" if self.is_prefix else self.text


@dataclass(frozen=True, slots=True)
class Span:
    """The instants from `since` on and before `until`; None: without an end."""

    since: datetime | None = None
    until: datetime | None = None

    def __bool__(self) -> bool:
        return self.since is not None or self.until is not None

    def within(self, other: Span) -> Span:
        """Return the instants that are in both."""
        since = max((one for one in (self.since, other.since) if one), default=None)
        return Span(since, min((one for one in (self.until, other.until) if one), default=None))


ALWAYS = Span()


class Said(NamedTuple):
    """A word of a filter, taken apart."""

    name: str
    sign: str
    value: str


def is_filter(word: str) -> bool:
    """Whether a word says a condition, rather than the id of a job."""
    return _WORD.fullmatch(word) is not None


def split(word: str) -> Said:
    """Take a word apart; one without a sign is a text that is looked for."""
    parts = _WORD.fullmatch(word)
    return Said("q", "=", word) if parts is None else Said(parts[1], "~" if parts[2] == "~=" else parts[2], parts[3])


def shown(text: str) -> str:
    """Return a text as a sentence about it shows it."""
    return repr(text if len(text) <= 60 else f"{text[:57]}...")


# -- values: each raises ValueError with the words that follow the filter's name ---------------------------


def _value(one: Said, sign: str = "=") -> str:
    if one.sign != sign:
        raise ValueError(f"takes {sign!r}, not {one.sign!r}.")
    if not one.value:
        raise ValueError("is empty; leave it out, or give it a value.")
    return one.value


def _printable(text: str) -> str:
    if len(text) > LONGEST_NAME or not text.isprintable():
        raise ValueError(f"must be at most {LONGEST_NAME} printable characters.")
    return text


def _once(listed: Sequence[Said]) -> str:
    if len(listed) > 1:
        raise ValueError("is given more than once.")
    return _printable(_value(listed[0]))


def _each(listed: Sequence[Said], sign: str = "=") -> tuple[str, ...]:
    return tuple(dict.fromkeys(_printable(_value(one, sign)) for one in listed))


def _listed(listed: Sequence[Said]) -> Iterator[str]:
    for one in listed:
        yield from (part.strip() for part in _value(one).split(","))


def _ids(listed: Sequence[Said]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(_printable(job_id) for job_id in _listed(listed)))


def _states(listed: Sequence[Said]) -> tuple[JobState, ...]:
    names = [state.value for state in JobState]
    found = {_one_of(word, names) for word in _listed(listed)}
    return tuple(state for state in JobState if state.value in found)


def _priorities(listed: Sequence[Said]) -> tuple[int, ...]:
    names = {priority.name.lower(): int(priority) for priority in Priority}
    numbers = {str(number): name for name, number in names.items()}
    return tuple(sorted({names[_one_of(numbers.get(word, word), list(names))] for word in _listed(listed)}))


def _one_of(word: str, names: Sequence[str]) -> str:
    if word not in names:
        raise ValueError(f"must be of {', '.join(names)}, not {shown(word)}.{did_you_mean(word, names)}")
    return word


def _key(listed: Sequence[Said]) -> Pattern:
    text = _once(listed)
    return Pattern(text[:-1], is_prefix=True) if text.endswith("*") else Pattern(text)


def _task(listed: Sequence[Said]) -> Pattern:
    pattern = _key(listed)
    if "*" in pattern.text:
        raise ValueError(f"may have a * at its end only, as in 'mail.*', not {shown(str(pattern))}.")
    return pattern


def argument(one: Said) -> Argument:
    """Return the argument that a condition on `args.NAME` is about, and its value."""
    path = tuple(one.name.split(".")[1:])
    if not all(path) or not one.name.isprintable():
        raise ValueError("needs the name of an argument, or its position, as in args.user or args.0.")
    value = _value(one)
    if not value.isprintable():
        raise ValueError("must be printable.")
    return Argument(path, value)


def _span(listed: Sequence[Said]) -> Span:
    span = ALWAYS
    for one in listed:
        span = span.within(_bounds(one))
    if span.since is not None and span.until is not None and span.since >= span.until:
        raise ValueError("ends before it begins.")
    return span


def _bounds(one: Said) -> Span:
    """Return the instants that one comparison allows; a day is all of it."""
    sign = _SPELLED.get(one.name.rpartition("_")[2], one.sign) if one.sign == "=" else one.sign
    if sign not in _COMPARISONS:
        raise ValueError(f"takes >=, >, <, <= or =, not {sign!r}.")
    first, after = _moments(_value(one, one.sign))
    spans = {
        ">=": Span(since=first),
        ">": Span(since=after),
        "<": Span(until=first),
        "<=": Span(until=after),
        "=": Span(first, after),
    }
    return spans[sign]


def _moments(text: str) -> tuple[datetime, datetime]:
    """Return the first instant that a text means, and the first one after it; without an offset it is UTC."""
    try:
        if _DATE.fullmatch(text):
            first = datetime.combine(date.fromisoformat(text), time(), UTC)
            after = first + _DAY
        else:
            first = datetime.fromisoformat(_PLUS_LOST.sub(r"\1+\2", text))
            first = first.replace(tzinfo=UTC) if first.tzinfo is None else first.astimezone(UTC)
            after = first + _TICK
    except (ValueError, OverflowError):
        examples = "2026-01-31 or 2026-01-31T10:00Z"
        raise ValueError(f"must be a day or an instant such as {examples}, not {shown(text)}.") from None
    if not _EARLIEST <= first <= _LATEST:
        raise ValueError(f"must be from 1970 on and before {_LATEST:%Y-%m-%d}, not {shown(text)}.")
    return first, after


_COMPARISONS = (">=", ">", "<", "<=", "=")
_SPELLED = {"after": ">=", "before": "<"}
PARAMETERS = {">=": "{}_after", "<": "{}_before", "~": "{}~"}
"""How a parameter of an address is named that says a sign."""
TIMES = ("created", "run_at", "started", "finished")
"""What of a job is an instant."""
FIELD_OF = {f"{name}_{end}": name for name in TIMES for end in _SPELLED}
"""The spelled names of comparisons, for where < and > mean something else, and the field of each."""

_Reader = Callable[[Sequence[Said]], Any]
READERS: Mapping[str, tuple[str, _Reader]] = {
    "id": ("ids", _ids),
    "state": ("states", _states),
    "task": ("task", _task),
    "queue": ("queue", _once),
    "key": ("key", _key),
    "schedule": ("schedule", _once),
    "priority": ("priorities", _priorities),
    "tag": ("tags", _each),
    "error": ("errors", lambda listed: _each(listed, "~")),
    "q": ("texts", _each),
    **{name: (name, _span) for name in TIMES},
}
"""By name: the field of `JobFilter` that is said, and what reads all that is said of it."""
