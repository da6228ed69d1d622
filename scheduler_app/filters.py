"""One language for every door that says which jobs are meant: ``state=failed task=mail.* created>=2026-01-01``.

The same words stand in a terminal, in one text, and as parameters of an address. All conditions hold at once. A
filter is told by its canonical text, `str(filter)`, which reads back to the same filter.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from typing import Any, NamedTuple

from .arguments import Argument
from .errors import FilterError, did_you_mean
from .jobs import FINISHED, JobState, Priority

LONGEST_NAME = 191
LONGEST_VALUE = 500
MOST_WORDS = 50

_EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)
_LATEST = datetime(9999, 12, 1, tzinfo=UTC)
_TICK = timedelta(microseconds=1)
_DAY = timedelta(days=1)
_WORD = re.compile(r"([^=<>~]*)(>=|<=|~=|[=<>~])(.*)", re.DOTALL)
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_PLUS_LOST = re.compile(r"(.*\d) (\d\d:?\d\d)", re.ASCII)
"""An offset whose plus sign the address has turned into a blank."""


class Sort(StrEnum):
    """The order of a list. Jobs of one instant stand in the order of their ids."""

    NEWEST = "newest"
    """Made last first."""

    OLDEST = "oldest"
    """Made first first."""

    RUN_AT = "run_at"
    """What is scheduled, the next one first; no other job is in it."""

    FINISHED = "finished"
    """What has ended, the last one first; no other job is in it."""


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


_ALWAYS = Span()


@dataclass(frozen=True, slots=True)
class JobFilter:
    """Which jobs are meant: those of which everything that is said here is true; nothing said means all."""

    ids: tuple[str, ...] = ()
    states: tuple[JobState, ...] = ()
    task: Pattern | None = None
    queue: str | None = None
    key: Pattern | None = None
    schedule: str | None = None
    """The name of the schedule that made them."""
    priorities: tuple[int, ...] = ()
    tags: tuple[str, ...] = ()
    arguments: tuple[Argument, ...] = ()
    created: Span = _ALWAYS
    run_at: Span = _ALWAYS
    started: Span = _ALWAYS
    finished: Span = _ALWAYS
    errors: tuple[str, ...] = ()
    """Each stands in the error, ASCII letters in any case."""
    texts: tuple[str, ...] = ()
    """Each stands in the id, the task, the queue, the key, a tag or the error."""

    def __bool__(self) -> bool:
        return self != _ALL

    def __str__(self) -> str:
        return shlex.join(self.words())

    def words(self) -> list[str]:
        """Return the words that this filter is read from, in a fixed order."""
        return list(_words(self))

    def parameters(self) -> list[tuple[str, str]]:
        """Return the same as parameters of an address."""
        return [(_PARAMETERS.get(sign, "{}").format(name), value) for name, sign, value in map(_split, self.words())]


_ALL = JobFilter()


def parse_filter(text: str) -> JobFilter:
    """Return the filter that a text says, its words apart as a shell takes them apart. Raises `FilterError`."""
    try:
        return filter_of_words(shlex.split(text))
    except ValueError as error:
        if isinstance(error, FilterError):
            raise
        said = "The filter has a quotation mark that does not close, or a backslash at its end."
        raise FilterError({"filter": said}) from None


def filter_of_words(words: Iterable[str], known: Sequence[str] = ()) -> JobFilter:
    """Return the filter that these words say. Raises `FilterError` with every problem at once.

    `known` are further names for "did you mean".
    """
    said: dict[str, list[_Said]] = {}
    problems: dict[str, str] = {}
    for number, word in enumerate(words):
        if number == MOST_WORDS:
            problems["q"] = f"The filter has more than {MOST_WORDS} words."
            break
        one = _split(word)
        said.setdefault(_FIELD_OF.get(one.name, one.name), []).append(one)
    found: dict[str, Any] = {}
    for name, listed in said.items():
        try:
            _read(name, listed, found)
        except _UnknownError:
            hint = did_you_mean(name, [*NAMES, *known])
            problems[name] = f"There is no filter {_shown(name)}.{hint}"
        except ValueError as problem:
            problems[listed[-1].name] = f"The filter {_shown(listed[-1].name)} {problem}"
    if problems:
        raise FilterError(problems)
    return JobFilter(**found)


def filter_of_parameters(pairs: Iterable[tuple[str, str]], known: Sequence[str] = ()) -> JobFilter:
    """Return the filter that the parameters of an address say: ``created>=2026-01-01`` is one named ``created>``."""
    return filter_of_words((_joined(name, value) for name, value in pairs), known)


def is_filter(word: str) -> bool:
    """Whether a word says a condition, rather than the id of a job."""
    return _WORD.fullmatch(word) is not None


def check_sort(wanted: JobFilter, sort: Sort) -> None:
    """Raise `FilterError` where a filter asks for jobs that the order has no place for."""
    placed = _PLACED.get(sort)
    if placed and not set(wanted.states) <= set(placed):
        which = "jobs that wait" if sort is Sort.RUN_AT else "jobs that have ended"
        names = ", ".join(placed)
        raise FilterError({"sort": f"The order {sort.value!r} is one of {which}: it goes with state={names}."})


_PLACED = {Sort.RUN_AT: (JobState.SCHEDULED,), Sort.FINISHED: FINISHED}


# -- words -------------------------------------------------------------------------------------------


class _Said(NamedTuple):
    name: str
    sign: str
    value: str


class _UnknownError(Exception):
    """There is no filter of this name."""


def _split(word: str) -> _Said:
    parts = _WORD.fullmatch(word)
    return _Said("q", "=", word) if parts is None else _Said(parts[1], "~" if parts[2] == "~=" else parts[2], parts[3])


def _joined(name: str, value: str) -> str:
    has_sign = re.search("[<>~]", name) is not None
    return name if has_sign and not value and name[-1] not in "<>~" else f"{name}={value}"


def _read(name: str, listed: Sequence[_Said], found: dict[str, Any]) -> None:
    """Read all that is said of one thing. Raises ValueError with the words that follow the filter's name."""
    for one in listed:
        if len(one.value) > LONGEST_VALUE:
            raise ValueError(f"must be at most {LONGEST_VALUE} characters.")
    if name.startswith("args."):
        found["arguments"] = (*found.get("arguments", ()), *(_argument(one) for one in listed))
    elif name in _READERS:
        into, read = _READERS[name]
        found[into] = read(listed)
    else:
        raise _UnknownError


def _shown(text: str) -> str:
    return repr(text if len(text) <= 60 else f"{text[:57]}...")


# -- values: each raises ValueError with the words that follow the filter's name ---------------------------


def _value(one: _Said, sign: str = "=") -> str:
    if one.sign != sign:
        raise ValueError(f"takes {sign!r}, not {one.sign!r}.")
    if not one.value:
        raise ValueError("is empty; leave it out, or give it a value.")
    return one.value


def _printable(text: str) -> str:
    if len(text) > LONGEST_NAME or not text.isprintable():
        raise ValueError(f"must be at most {LONGEST_NAME} printable characters.")
    return text


def _once(listed: Sequence[_Said]) -> str:
    if len(listed) > 1:
        raise ValueError("is given more than once.")
    return _printable(_value(listed[0]))


def _each(listed: Sequence[_Said], sign: str = "=") -> tuple[str, ...]:
    return tuple(dict.fromkeys(_printable(_value(one, sign)) for one in listed))


def _listed(listed: Sequence[_Said]) -> Iterator[str]:
    for one in listed:
        yield from (part.strip() for part in _value(one).split(","))


def _ids(listed: Sequence[_Said]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(_printable(job_id) for job_id in _listed(listed)))


def _states(listed: Sequence[_Said]) -> tuple[JobState, ...]:
    names = [state.value for state in JobState]
    found = {_one_of(word, names) for word in _listed(listed)}
    return tuple(state for state in JobState if state.value in found)


def _priorities(listed: Sequence[_Said]) -> tuple[int, ...]:
    names = {priority.name.lower(): int(priority) for priority in Priority}
    numbers = {str(number): name for name, number in names.items()}
    return tuple(sorted({names[_one_of(numbers.get(word, word), list(names))] for word in _listed(listed)}))


def _one_of(word: str, names: Sequence[str]) -> str:
    if word not in names:
        raise ValueError(f"must be of {', '.join(names)}, not {_shown(word)}.{did_you_mean(word, names)}")
    return word


def _key(listed: Sequence[_Said]) -> Pattern:
    text = _once(listed)
    return Pattern(text[:-1], is_prefix=True) if text.endswith("*") else Pattern(text)


def _task(listed: Sequence[_Said]) -> Pattern:
    pattern = _key(listed)
    if "*" in pattern.text:
        raise ValueError(f"may have a * at its end only, as in 'mail.*', not {_shown(str(pattern))}.")
    return pattern


def _argument(one: _Said) -> Argument:
    path = tuple(one.name.split(".")[1:])
    if not all(path) or not one.name.isprintable():
        raise ValueError("needs the name of an argument, or its position, as in args.user or args.0.")
    value = _value(one)
    if not value.isprintable():
        raise ValueError("must be printable.")
    return Argument(path, value)


def _span(listed: Sequence[_Said]) -> Span:
    span = _ALWAYS
    for one in listed:
        span = span.within(_bounds(one))
    if span.since is not None and span.until is not None and span.since >= span.until:
        raise ValueError("ends before it begins.")
    return span


def _bounds(one: _Said) -> Span:
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
        raise ValueError(f"must be a day or an instant such as {examples}, not {_shown(text)}.") from None
    if not _EARLIEST <= first <= _LATEST:
        raise ValueError(f"must be from 1970 on and before {_LATEST:%Y-%m-%d}, not {_shown(text)}.")
    return first, after


_COMPARISONS = (">=", ">", "<", "<=", "=")
_SPELLED = {"after": ">=", "before": "<"}
_PARAMETERS = {">=": "{}_after", "<": "{}_before", "~": "{}~"}
TIMES = ("created", "run_at", "started", "finished")
"""What of a job is an instant."""
_FIELD_OF = {f"{name}_{end}": name for name in TIMES for end in _SPELLED}
"""The spelled names of comparisons, for where < and > mean something else, and the field of each."""

_Reader = Callable[[Sequence[_Said]], Any]
_READERS: Mapping[str, tuple[str, _Reader]] = {
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
NAMES = (*_READERS, *_FIELD_OF, "args.")
"""The names of all filters; after "args." comes that of an argument."""


# -- the canonical text ------------------------------------------------------------------------------


def _words(wanted: JobFilter) -> Iterator[str]:
    for name, values in (
        ("id", wanted.ids),
        ("state", [state.value for state in wanted.states]),
        ("priority", [Priority(number).name.lower() for number in wanted.priorities]),
    ):
        if values:
            yield f"{name}={','.join(values)}"
    for name in ("task", "queue", "key", "schedule"):
        value = getattr(wanted, name)
        if value is not None:
            yield f"{name}={value}"
    yield from (f"tag={tag}" for tag in wanted.tags)
    yield from (f"args.{'.'.join(one.path)}={one.text}" for one in wanted.arguments)
    for name in TIMES:
        span: Span = getattr(wanted, name)
        for sign, instant in ((">=", span.since), ("<", span.until)):
            if instant is not None:
                yield f"{name}{sign}{_told(instant)}"
    yield from (f"error~{text}" for text in wanted.errors)
    yield from (f"q={text}" for text in wanted.texts)


def _told(instant: datetime) -> str:
    if instant.time() == time():
        return f"{instant:%Y-%m-%d}"
    return instant.replace(tzinfo=None).isoformat() + "Z"
