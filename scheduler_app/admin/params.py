"""What a request may say, read strictly: every unknown name and every bad value is told at once, by name."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from flask import request
from werkzeug.exceptions import BadRequest, RequestEntityTooLarge

from ..client import current_scheduler
from ..client.options import LONGEST_NAME
from ..errors import RequestError, did_you_mean
from ..jobs import JobState

DEFAULT_PAGE = 50
LARGEST_BODY = 65_536


@dataclass(frozen=True, slots=True)
class JobFilters:
    """The parameters of a list of jobs, checked."""

    states: tuple[JobState, ...] = ()
    queue: str | None = None
    task: str | None = None
    limit: int | None = None
    cursor: str | None = None


def job_filters(max_page: int) -> JobFilters:
    """Read the parameters of a list of jobs. Raises `RequestError`."""
    readers: Mapping[str, Callable[[list[str]], Any]] = {
        "state": _states,
        "queue": _name,
        "task": _name,
        "limit": lambda values: _limit(values, max_page),
        "cursor": _single,
    }
    read = _read_query(readers)
    states = read.pop("state", ())
    return JobFilters(states=states, **read)


def no_parameters() -> None:
    """Refuse every parameter in the address. Raises `RequestError`."""
    _read_query({})


def no_body() -> None:
    """Refuse a body that says anything. Raises `BadRequest` for one that is not JSON, and `RequestError`."""
    data = request.stream.read(LARGEST_BODY + 1)
    if len(data) > LARGEST_BODY:
        raise RequestEntityTooLarge(f"The body has more than {LARGEST_BODY} bytes.")
    try:
        fields = json.loads(data) if data.strip() else {}
    except (ValueError, RecursionError):
        raise BadRequest("The body is not JSON. Leave it empty: this takes no fields.") from None
    if not isinstance(fields, dict):
        raise BadRequest("The body is not a JSON object. Leave it empty: this takes no fields.")
    if fields:
        raise RequestError({name: f"There is no field {_shown(name)}; leave the body empty." for name in fields})


def _read_query(readers: Mapping[str, Callable[[list[str]], Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    problems: dict[str, str] = {}
    for name, values in request.args.lists():
        if name == "token" and current_scheduler().debug_token:
            continue  # It was read where the request was let in.
        try:
            found[name] = readers[name](values)
        except KeyError:
            problems[name] = f"There is no parameter {_shown(name)}.{did_you_mean(name, readers)}"
        except ValueError as problem:
            problems[name] = f"The parameter {name!r} {problem}"
    if problems:
        raise RequestError(problems)
    return found


# -- values: each raises ValueError with the words that follow the parameter's name ------------------


def _single(values: list[str]) -> str:
    if len(values) > 1:
        raise ValueError("is given more than once.")
    if not values[0]:
        raise ValueError("is empty; leave it out, or give it a value.")
    return values[0]


def _name(values: list[str]) -> str:
    name = _single(values)
    if len(name) > LONGEST_NAME or not name.isprintable():
        raise ValueError(f"must be at most {LONGEST_NAME} printable characters.")
    return name


def _limit(values: list[str], most: int) -> int:
    text = _single(values)
    if not re.fullmatch(r"[0-9]{1,9}", text) or not 1 <= int(text) <= most:
        raise ValueError(f"must be a whole number from 1 to {most}, not {_shown(text)}.")
    return int(text)


def _states(values: list[str]) -> tuple[JobState, ...]:
    names = [state.value for state in JobState]
    words = [word.strip() for value in values for word in value.split(",")]
    for word in words:
        if word not in names:
            known = ", ".join(names)
            raise ValueError(f"must be of {known}, not {_shown(word)}.{did_you_mean(word, names)}")
    return tuple(dict.fromkeys(map(JobState, words)))


def _shown(text: str) -> str:
    return repr(text if len(text) <= 60 else f"{text[:57]}...")
