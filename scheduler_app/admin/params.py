"""What a request may say, read strictly: every unknown name and every bad value is told at once, by name."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from flask import request
from werkzeug.exceptions import BadRequest, RequestEntityTooLarge

from ..client import current_scheduler
from ..client.options import LONGEST_NAME
from ..errors import BodyError, FilterError, RequestError, did_you_mean
from ..filters import JobFilter, Sort, check_sort, filter_of_parameters
from ..shapes import step

DEFAULT_PAGE = 50
LARGEST_BODY = 65_536


@dataclass(frozen=True, slots=True)
class ListOfJobs:
    """The parameters of a list of jobs, checked."""

    wanted: JobFilter
    sort: Sort = Sort.NEWEST
    limit: int | None = None
    cursor: str | None = None


def list_of_jobs(max_page: int) -> ListOfJobs:
    """Read the parameters of a list of jobs: what is no other one is part of the filter. Raises `RequestError`."""
    readers: Mapping[str, Callable[[list[str]], Any]] = {
        "limit": lambda values: _limit(values, max_page),
        "cursor": _single,
        "sort": _sort,
    }
    said = {name: values for name, values in _said() if name in readers}
    problems: dict[str, str] = {}
    read = _read_all(said, readers, problems)
    words = [(name, value) for name, values in _said() if name not in readers for value in values]
    wanted = JobFilter()
    try:
        wanted = filter_of_parameters(words, tuple(readers))
        check_sort(wanted, read.get("sort", Sort.NEWEST))
    except FilterError as error:
        problems |= error.problems
    if problems:
        raise RequestError(problems)
    return ListOfJobs(wanted, **read)


def audit_filters(max_page: int) -> dict[str, Any]:
    """Read the parameters of a list of the audit: those that are given. Raises `RequestError`."""
    return _read_query(
        {
            "actor": _name,
            "action": _name,
            "target": _name,
            "limit": lambda values: _limit(values, max_page),
            "cursor": _single,
        }
    )


def no_parameters() -> None:
    """Refuse every parameter in the address. Raises `RequestError`."""
    _read_query({})


def count_of(most: int, default: int) -> int:
    """Read the one parameter `count`. Raises `RequestError`."""
    found: int = _read_query({"count": lambda values: _limit(values, most)}).get("count", default)
    return found


def no_precondition() -> None:
    """Refuse `If-Match` where it would not be heeded. Raises `BadRequest`."""
    if "If-Match" in request.headers and not request.if_match.star_tag:
        raise BadRequest("If-Match is heeded for jobs only. Leave it out.")


def no_body() -> None:
    """Refuse a body that says anything. Raises `BadRequest` for one that is not JSON, and `BodyError`."""
    body(())


def body(known: Sequence[str]) -> dict[str, Any]:
    """Return the fields of the body, {} where there is none.

    Raises `BadRequest` for one that is not a JSON object, and `BodyError` for fields that are not `known`.
    """
    hint = f"It takes {', '.join(known)}." if known else "Leave it empty: this takes no fields."
    fields = json_body(hint, LARGEST_BODY, blank_is_empty=True)
    unknown = [name for name in fields if name not in known]
    if unknown:
        end = "" if known else "; leave the body empty"
        problems = {n: f"There is no field {_shown(n)}{end}.{did_you_mean(n, known)}" for n in unknown}
        raise BodyError({step("", name): sentence for name, sentence in problems.items()})
    return fields


def json_body(hint: str, most: int, *, blank_is_empty: bool = False) -> dict[str, Any]:
    """Return the JSON object that the body is, {} where there is none; `hint` is what it should have been.

    Raises `BadRequest` for one that is none, and `RequestEntityTooLarge` for one of more than `most` bytes.
    """
    data = request.stream.read(most + 1)
    if len(data) > most:
        raise RequestEntityTooLarge(f"The body has more than {most} bytes.")
    is_empty = not (data.strip() if blank_is_empty else data)
    try:
        fields = {} if is_empty else json.loads(data, parse_constant=_finite, parse_float=_finite)
    except (ValueError, RecursionError):
        raise BadRequest(f"The body is not JSON. {hint}") from None
    if not isinstance(fields, dict):
        raise BadRequest(f"The body is not a JSON object. {hint}")
    return fields


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError("not a finite number")
    return number


def _read_query(readers: Mapping[str, Callable[[list[str]], Any]]) -> dict[str, Any]:
    problems: dict[str, str] = {}
    found = _read_all(dict(_said()), readers, problems)
    if problems:
        raise RequestError(problems)
    return found


def _said() -> Iterator[tuple[str, list[str]]]:
    """Yield the parameters but the token, which was read where the request was let in."""
    for name, values in request.args.lists():
        if name != "token" or not current_scheduler().debug_token:
            yield name, values


def _read_all(
    said: Mapping[str, list[str]], readers: Mapping[str, Callable[[list[str]], Any]], problems: dict[str, str]
) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, values in said.items():
        try:
            found[name] = readers[name](values)
        except KeyError:
            problems[name] = f"There is no parameter {_shown(name)}.{did_you_mean(name, readers)}"
        except ValueError as problem:
            problems[name] = f"The parameter {name!r} {problem}"
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


def _sort(values: list[str]) -> Sort:
    text = _single(values)
    names = [sort.value for sort in Sort]
    if text not in names:
        raise ValueError(f"must be of {', '.join(names)}, not {_shown(text)}.{did_you_mean(text, names)}")
    return Sort(text)


def _shown(text: str) -> str:
    return repr(text if len(text) <= 60 else f"{text[:57]}...")
