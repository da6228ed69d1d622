"""The JSON Schema of a task's arguments from its signature, and reading JSON's arguments by it: tables of cases."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from enum import Enum
from typing import TYPE_CHECKING, Any, Literal, NewType, Optional, TypedDict
from uuid import UUID

from scheduler_app.shapes import Problems
from scheduler_app.tasks import Task
from scheduler_app.tasks.annotations import shape_of
from scheduler_app.tasks.arguments import arguments_schema, read_arguments
from scheduler_app.tasks.secret import Secret

if TYPE_CHECKING:
    from somewhere import Unknown  # type: ignore[import-not-found]

UserId = NewType("UserId", int)
MOMENT = dt.datetime(2026, 3, 1, 3, tzinfo=dt.UTC)


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


class Address(TypedDict):
    street: str


class Thing:
    pass


TEXT, WHOLE, NULL = {"type": "string"}, {"type": "integer"}, {"type": "null"}
ANNOTATIONS: list[tuple[Any, dict[str, Any]]] = [
    (str, TEXT),
    (bool, {"type": "boolean"}),
    (float, {"type": "number"}),
    ("int", WHOLE),
    (None, NULL),
    (Any, {}),
    (Thing, {}),
    ("Unknown", {}),
    ("list[Unknown]", {}),
    (int | None, {"anyOf": [WHOLE, NULL]}),
    (Optional[list[int]], {"anyOf": [{"type": "array", "items": WHOLE}, NULL]}),  # noqa: UP045
    (int | str | int, {"anyOf": [WHOLE, TEXT]}),
    (int | Thing, {}),
    (Literal["a", "b"], {"enum": ["a", "b"]}),
    (list, {"type": "array"}),
    (Sequence[str], {"type": "array", "items": TEXT}),
    (set[int], {"type": "array", "items": WHOLE, "uniqueItems": True}),
    (tuple[int, str], {"type": "array", "prefixItems": [WHOLE, TEXT], "minItems": 2, "maxItems": 2}),
    (tuple[int, ...], {"type": "array", "items": WHOLE}),
    (dict[str, int], {"type": "object", "additionalProperties": WHOLE}),
    (Mapping, {"type": "object"}),
    (Address, {"type": "object"}),
    (Colour, {"enum": ["red", "blue"]}),
    (UserId, WHOLE),
    (Secret[str], TEXT),
    (dt.datetime, {"type": "string", "format": "date-time"}),
    (dt.date, {"type": "string", "format": "date"}),
    (dt.timedelta, {"type": "number", "description": "Seconds."}),
    (UUID, {"type": "string", "format": "uuid"}),
    (Decimal, {"type": "string", "format": "decimal"}),
    (Callable[[], int], {}),
]


def nothing() -> None: ...
def plain(user_id: int, /, name: str = "ann", *, loud: bool, at: dt.datetime | None = None) -> None: ...
def rest(first: str, *more: int, **others: float) -> None: ...
def secret(token: Secret[str], pin: str = "0000", note: "Unknown" = None) -> None: ...  # noqa: UP037
def bare(a, b=dt.UTC): ...  # type: ignore[no-untyped-def]
def rich(
    at: dt.datetime, day: dt.date, wait: dt.timedelta, who: UUID, price: Decimal, colour: Colour, ids: set[int],
    pair: tuple[int, str], maybe: UUID | None,
) -> None: ...  # fmt: skip


def task(function: Callable[..., Any], **options: Any) -> Task:
    return Task(function.__name__, function, **options)


def _open(args: dict[str, Any], kwargs: dict[str, Any], **more: Any) -> dict[str, Any]:
    parts = {"args": {"type": "array", **args}, "kwargs": {"type": "object", **kwargs}}
    return {"type": "object", "properties": parts, **more, "additionalProperties": False}


SCHEMAS: list[tuple[Task, dict[str, Any]]] = [
    (task(nothing), _open({"maxItems": 0}, {"properties": {}, "additionalProperties": False})),
    (
        task(plain),
        _open(
            {
                "prefixItems": [{"title": "user_id", **WHOLE}, {"title": "name", **TEXT, "default": "ann"}],
                "minItems": 1,
                "maxItems": 2,
            },
            {
                "properties": {
                    "name": {**TEXT, "default": "ann"},
                    "loud": {"type": "boolean"},
                    "at": {"anyOf": [{"type": "string", "format": "date-time"}, NULL], "default": None},
                },
                "required": ["loud"],
                "additionalProperties": False,
            },
            required=["args", "kwargs"],
        ),
    ),
    (
        task(rest),
        _open(
            {"prefixItems": [{"title": "first", **TEXT}], "items": WHOLE},
            {"properties": {"first": TEXT}, "additionalProperties": {"type": "number"}},
        ),
    ),
    (
        task(secret, redact=("pin",)),
        _open(
            {
                "prefixItems": [
                    {"title": "token", **TEXT, "writeOnly": True},
                    {"title": "pin", **TEXT, "writeOnly": True},
                    {"title": "note", "default": None},
                ],
                "maxItems": 3,
            },
            {
                "properties": {
                    "token": {**TEXT, "writeOnly": True},
                    "pin": {**TEXT, "writeOnly": True},
                    "note": {"default": None},
                },
                "required": ["token"],
                "additionalProperties": False,
            },
            required=["kwargs"],
        ),
    ),
]

READS: list[tuple[Callable[..., Any], list[Any], dict[str, Any], tuple[Any, ...], dict[str, Any]]] = [
    (plain, [1, "bo"], {"loud": True}, (1, "bo"), {"loud": True}),
    (plain, [1], {"loud": False, "at": "2026-03-01T03:00:00Z"}, (1,), {"loud": False, "at": MOMENT}),
    (rest, ["a", 1, 2], {"x": 1.5}, ("a", 1, 2), {"x": 1.5}),
    (rest, [], {"first": "a"}, (), {"first": "a"}),
    (bare, [{"any": 1}], {"b": None}, ({"any": 1},), {"b": None}),
    (max, [1], {"k": 2}, (1,), {"k": 2}),
    (
        rich,
        ["2026-03-01T03:00:00Z", "2026-03-01", 1.5],
        {
            "who": "0195f3a0-0000-7000-8000-000000000000", "price": "12.50", "colour": "red", "ids": [1, 2],
            "pair": [1, "x"], "maybe": None,
        },
        (MOMENT, dt.date(2026, 3, 1), dt.timedelta(seconds=1.5)),
        {
            "who": UUID("0195f3a0-0000-7000-8000-000000000000"), "price": Decimal("12.50"), "colour": Colour.RED,
            "ids": {1, 2}, "pair": (1, "x"), "maybe": None,
        },
    ),
]  # fmt: skip
REFUSES: list[tuple[Callable[..., Any], list[Any], dict[str, Any], Problems]] = [
    (nothing, [1], {"x": 1}, {
        "/args/0": "It takes no more than 0 arguments by place.", "/kwargs/x": "There is no argument of this name.",
    }),
    (plain, [], {}, {"/args/0": "It is missing.", "/kwargs/loud": "It is missing."}),
    (plain, ["x", 2], {"lod": 1, "loud": 1}, {
        "/args/0": "It must be a whole number, not a string.",
        "/args/1": "It must be a string, not a whole number.",
        "/kwargs/lod": "There is no argument of this name. Did you mean 'loud'?",
        "/kwargs/loud": "It must be true or false, not a whole number.",
    }),
    (plain, [1, "a"], {"name": "b", "loud": True}, {
        "/kwargs/name": "It is given twice: it stands in args, too, at place 1.",
    }),
    (plain, [1], {"user_id": 1, "loud": True}, {"/kwargs/user_id": "There is no argument of this name."}),
    (rest, ["a", "b"], {"x": "y"}, {
        "/args/1": "It must be a whole number, not a string.", "/kwargs/x": "It must be a number, not a string.",
    }),
    (rich, ["soon", "2026-13-01", 1e300], {
        "who": "me", "price": "x", "colour": "green", "ids": [[1]], "pair": [1], "maybe": 3,
    }, {
        "/args/0": "It must be an instant with its offset, such as '2026-03-01T03:00:00Z'.",
        "/args/1": "It must be a date such as '2026-03-01'.",
        "/args/2": "It is too many seconds.",
        "/kwargs/who": "It must be a UUID.",
        "/kwargs/price": "It must be a decimal number such as '12.50'.",
        "/kwargs/colour": "It must be one of 'red', 'blue'.",
        "/kwargs/ids/0": "It must be a whole number, not an array.",
        "/kwargs/pair": "It must have 2 or more.",
        "/kwargs/maybe": "It must be a string or null, not a whole number.",
    }),
]  # fmt: skip


def _published(shape: Any) -> Any:
    return {name: value for name, value in shape.items() if name != "x-read"}


def test_each_annotation_has_a_shape() -> None:
    for noted, expected in ANNOTATIONS:
        found = shape_of(noted, globals())
        if expected == {} and noted == "list[Unknown]":
            assert _published(found) == {}
        assert _published(found) == expected, noted


def test_the_schema_of_a_tasks_arguments_tells_names_places_defaults_and_secrets() -> None:
    for found, expected in SCHEMAS:
        assert arguments_schema(found) == expected, found.name
    assert arguments_schema(task(max))["properties"]["kwargs"] == {"type": "object"}
    assert "additionalProperties" not in str(arguments_schema(task(bare))["properties"]["args"])


def test_arguments_are_read_as_the_function_takes_them() -> None:
    for function, args, kwargs, expected_args, expected_kwargs in READS:
        problems: Problems = {}
        found = read_arguments(task(function), args, kwargs, problems)
        assert (found, problems) == ((expected_args, expected_kwargs), {}), function


def test_arguments_that_do_not_fit_are_told_by_their_places_all_at_once() -> None:
    for function, args, kwargs, expected in REFUSES:
        problems: Problems = {}
        read_arguments(task(function), args, kwargs, problems)
        assert problems == expected, function
