"""A line of a standard crontab, as an APScheduler trigger.

The crontab's weekdays are 0-7 with Sunday both 0 and 7; APScheduler's are 0-6 from Monday. Each field is read into
the set of its values and written out anew, so that no numbering leaks.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, tzinfo
from itertools import groupby

from apscheduler.triggers.cron import CronTrigger

from scheduler_app.errors import CronError

NICKNAMES = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}
MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
WEEKDAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
LONGEST_MONTHS = dict(enumerate((31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31), start=1))
ELEMENT = re.compile(r"(?P<first>\*|[0-9]{1,4}|[a-z]+)(?:-(?P<last>[0-9]{1,4}|[a-z]+))?(?:/(?P<step>[0-9]{1,4}))?")


@dataclass(frozen=True, slots=True)
class _Field:
    """One of the five fields: its name, its bounds and the names its values have."""

    name: str
    low: int
    high: int
    names: Mapping[str, int] = field(default_factory=dict)

    @property
    def allowed(self) -> str:
        names = list(self.names)
        return f"{self.low}-{self.high}" + (f" or {names[0]}-{names[-1]}" if names else "")

    @property
    def wraps(self) -> bool:
        return self.name == "weekday"


MINUTE = _Field("minute", 0, 59)
HOUR = _Field("hour", 0, 23)
DAY = _Field("day-of-month", 1, 31)
MONTH = _Field("month", 1, 12, {name: number for number, name in enumerate(MONTHS, start=1)})
WEEKDAY = _Field("weekday", 0, 7, {name: number for number, name in enumerate(WEEKDAYS)})
FIELDS = (MINUTE, HOUR, DAY, MONTH, WEEKDAY)


def cron_trigger(
    expression: str,
    timezone: tzinfo,
    *,
    start: datetime | None = None,
    end: datetime | None = None,
    jitter: float | None = None,
) -> CronTrigger:
    """Return the trigger of a standard crontab line, or of a nickname such as ``@daily``, in `timezone`.

    It fires from `start` to `end`, both aware and inclusive, and up to `jitter` seconds late.

    Weekdays 0 and 7 are Sunday; weekday ranges may run over the end of the week (``fri-mon``, ``5-7``). Raises
    `CronError` for a malformed line, for one that never fires, and for one that restricts both day-of-month and
    weekday: a crontab then runs when either matches, which one trigger cannot say.
    """
    texts = _split(expression)
    minutes, hours, days, months, weekdays = (
        _values(expression, part, text) for part, text in zip(FIELDS, texts, strict=True)
    )
    _refuse_two_day_fields(expression, texts)
    _refuse_never(expression, days, months)
    return CronTrigger(
        minute=_written(MINUTE, minutes),
        hour=_written(HOUR, hours),
        day=_written(DAY, days),
        month=_written(MONTH, months),
        day_of_week=_written_weekdays(weekdays),
        timezone=timezone,
        start_date=start,
        end_date=end,
        jitter=jitter,
    )


def _split(expression: str) -> list[str]:
    if not isinstance(expression, str):
        raise CronError(expression, "it is not text. Write five fields, such as '0 4 * * *'")
    line = expression.strip().lower()
    if line.startswith("@"):
        if line not in NICKNAMES:
            raise CronError(expression, f"the only nicknames are {', '.join(NICKNAMES)}")
        line = NICKNAMES[line]
    texts = line.split()
    if len(texts) != len(FIELDS):
        wanted = "minute, hour, day-of-month, month and weekday"
        count = "1 field" if len(texts) == 1 else f"{len(texts)} fields"
        raise CronError(expression, f"it has {count}, and needs five: {wanted}")
    return texts


def _values(expression: str, part: _Field, text: str) -> frozenset[int]:
    """Return the values that a comma-separated field lists; Sunday is 0."""
    values = {value for element in text.split(",") for value in _element(expression, part, element)}
    return frozenset(value % 7 for value in values) if part is WEEKDAY else frozenset(values)


def _element(expression: str, part: _Field, element: str) -> range:
    match = ELEMENT.fullmatch(element)
    if match is None or (match["first"] == "*" and match["last"]):
        raise _bad_value(expression, part, element)
    step = _step(expression, part, element, match["step"])
    if match["first"] == "*":
        return range(part.low, part.high + (part is not WEEKDAY), step)
    first = _number(expression, part, match["first"], element)
    if match["last"] is None:
        _refuse_step_without_range(expression, part, first, element, match["step"])
        return range(first, first + 1)
    return _span(expression, part, element, first, _number(expression, part, match["last"], element), step)


def _span(expression: str, part: _Field, element: str, first: int, last: int, step: int) -> range:
    if first <= last:
        return range(first, last + 1, step)
    if not part.wraps:
        wanted = f"'{first}-{part.high},{part.low}-{last}'"
        raise CronError(expression, f"its {part.name} range {element!r} runs backwards. Write {wanted}")
    return range(first % 7, last + 7 * (first < 7) + 1, step)


def _number(expression: str, part: _Field, text: str, element: str) -> int:
    value = part.names.get(text, int(text) if text.isdecimal() else -1)
    if not part.low <= value <= part.high:
        raise _bad_value(expression, part, element)
    return value


def _step(expression: str, part: _Field, element: str, text: str | None) -> int:
    most = part.high - part.low + (part is not WEEKDAY)
    step = int(text) if text else 1
    if not 1 <= step <= most:
        raise CronError(expression, f"its {part.name} field has the step {element!r}, but steps there are 1 to {most}")
    return step


def _bad_value(expression: str, part: _Field, element: str) -> CronError:
    allowed = f"*, {part.allowed}, ranges, steps such as */2, and lists of them"
    return CronError(expression, f"its {part.name} field has {element!r}, but takes {allowed}")


def _refuse_step_without_range(expression: str, part: _Field, first: int, element: str, step: str | None) -> None:
    if step is not None:
        wanted = f"'{first}-{part.high}/{step}'"
        raise CronError(expression, f"its {part.name} field has a step without a range, {element!r}. Write {wanted}")


def _refuse_two_day_fields(expression: str, texts: list[str]) -> None:
    minute, hour, day, month, weekday = texts
    if day in ("*", "*/1") or weekday in ("*", "*/1"):
        return
    first, second = f"'{minute} {hour} {day} {month} *'", f"'{minute} {hour} * {month} {weekday}'"
    raise CronError(
        expression,
        "it restricts both day-of-month and weekday, and a crontab runs when either matches."
        f" Write it as two schedules: {first} and {second}",
    )


def _refuse_never(expression: str, days: frozenset[int], months: frozenset[int]) -> None:
    if min(days) > max(LONGEST_MONTHS[month] for month in months):
        raise CronError(expression, f"it never fires: no month it names has a day {min(days)}")


def _written(part: _Field, values: frozenset[int]) -> str:
    if len(values) == part.high - part.low + 1:
        return "*"
    return ",".join(f"{run[0]}-{run[-1]}" if len(run) > 1 else str(run[0]) for run in _runs(values))


def _written_weekdays(values: frozenset[int]) -> str:
    """Write weekdays by name, from Monday on, as APScheduler orders them."""
    if len(values) == len(WEEKDAYS):
        return "*"
    names = [*WEEKDAYS[1:], WEEKDAYS[0]]
    runs = _runs(frozenset((value - 1) % 7 for value in values))
    return ",".join(f"{names[run[0]]}-{names[run[-1]]}" if len(run) > 1 else names[run[0]] for run in runs)


def _runs(values: frozenset[int]) -> list[list[int]]:
    """Group values into runs of neighbours."""
    numbered = enumerate(sorted(values))
    return [[value for _, value in run] for _, run in groupby(numbered, key=lambda pair: pair[1] - pair[0])]
