"""Reading JSON by its shape: what it becomes, and every problem by its place."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from scheduler_app.shapes import INSTANT, PRINTABLE, READ, Problems, Shape, published, read, step

WHOLE: Shape = {
    "type": "object",
    "properties": {
        "n": {"type": "integer", "minimum": 1, "maximum": 9},
        "at": INSTANT,
        "name": {"type": "string", "format": PRINTABLE, "minLength": 1, "maxLength": 5, "pattern": "^[a-z]*$"},
        "tags": {"type": "array", "items": {"type": "string"}, "minItems": 1, "maxItems": 2},
        "pair": {"type": "array", "prefixItems": [{"type": "string"}], "items": {"type": "number"}, READ: tuple},
        "maybe": {"anyOf": [{"type": "number", "exclusiveMinimum": 0}, {"type": "null"}]},
        "kind": {"enum": ["urgent", 1, True, None]},
        "many": {"type": "object", "additionalProperties": {"type": "boolean"}, "minProperties": 1},
        "open": {"type": "object"},
        "any": {},
    },
    "required": ["n"],
    "additionalProperties": False,
    "not": {"required": ["at", "name"]},
    "dependentRequired": {"kind": ["any"]},
}
MOMENT = datetime(2026, 3, 1, 3, tzinfo=UTC)
INSTANT_WORDS = "It must be an instant with its offset, such as '2026-03-01T03:00:00Z'."

READS: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({"n": 1}, {"n": 1}),
    ({"n": 9.0, "at": "2026-03-01T04:00:00+01:00"}, {"n": 9, "at": MOMENT}),
    ({"n": 1, "pair": ["x", 2, 3.5], "tags": ["a"]}, {"n": 1, "pair": ("x", 2, 3.5), "tags": ["a"]}),
    ({"n": 1, "maybe": None, "kind": True, "any": [1]}, {"n": 1, "maybe": None, "kind": True, "any": [1]}),
    ({"n": 1, "maybe": 0.5, "many": {"x": True}, "open": {"x": {}}},) * 2,
]
REFUSES: list[tuple[dict[str, Any], Problems]] = [
    ({}, {"/n": "It is missing."}),
    ({"n": True}, {"/n": "It must be a whole number, not true or false."}),
    ({"n": 1.5}, {"/n": "It must be a whole number, not a number."}),
    ({"n": 0}, {"/n": "It must be 1 or more."}),
    ({"n": 10}, {"/n": "It must be 9 or less."}),
    ({"n": None, "tags": "a"}, {
        "/n": "It must be a whole number, not null.", "/tags": "It must be an array, not a string.",
    }),
    ({"n": 1, "at": "2026-03-01T03:00:00"}, {"/at": INSTANT_WORDS}),
    ({"n": 1, "at": "soon"}, {"/at": INSTANT_WORDS}),
    ({"n": 1, "at": "0001-01-01T00:00:00+23:00"}, {"/at": INSTANT_WORDS}),
    ({"n": 1, "name": ""}, {"/name": "It must not be empty."}),
    ({"n": 1, "name": "abcdef"}, {"/name": "It has 6 characters; 5 is the most."}),
    ({"n": 1, "name": "a\n"}, {"/name": "It does not have the form ^[a-z]*$."}),
    ({"n": 1, "name": "A"}, {"/name": "It does not have the form ^[a-z]*$."}),
    ({"n": 1, "tags": []}, {"/tags": "It must have 1 or more."}),
    ({"n": 1, "tags": ["a", 2]}, {"/tags/1": "It must be a string, not a whole number."}),
    ({"n": 1, "tags": ["a"] * 3}, {"/tags": "It has 3; 2 is the most."}),
    ({"n": 1, "pair": [1, "x"]}, {
        "/pair/0": "It must be a string, not a whole number.", "/pair/1": "It must be a number, not a string.",
    }),
    ({"n": 1, "maybe": 0}, {"/maybe": "It must be more than 0."}),
    ({"n": 1, "maybe": "x"}, {"/maybe": "It must be a number or null, not a string."}),
    ({"n": 1, "kind": "urgnt", "any": 1}, {
        "/kind": "It must be one of 'urgent', 1, True, None. Did you mean 'urgent'?",
    }),
    ({"n": 1, "kind": False, "any": 1}, {"/kind": "It must be one of 'urgent', 1, True, None."}),
    ({"n": 1, "kind": 1}, {"/kind": "It needs any beside it."}),
    ({"n": 1, "many": {}}, {"/many": "It says nothing."}),
    ({"n": 1, "many": {"a/b~": 1}}, {"/many/a~1b~0": "It must be true or false, not a whole number."}),
    ({"n": 1, "at": "2026-03-01T03:00:00Z", "name": "a"}, {"/name": "It takes at or name, not both."}),
    ({"n": 1, "nam": "a"}, {"/nam": "There is no field 'nam'. Did you mean 'name'?"}),
]  # fmt: skip


def test_what_has_the_shape_is_read_as_python_takes_it() -> None:
    for given, expected in READS:
        problems: Problems = {}
        made = read(WHOLE, json.loads(json.dumps(given)), problems)
        assert (made, problems) == (expected, {}), given
        assert list(map(type, made.values())) == list(map(type, expected.values()))


def test_what_has_not_the_shape_is_told_by_its_place_and_all_at_once() -> None:
    for given, expected in REFUSES:
        problems: Problems = {}
        read(WHOLE, json.loads(json.dumps(given)), problems)
        assert problems == expected, given


def test_what_cannot_be_printed_is_no_name() -> None:
    for wrong in ("a\x00", "a\u2028", "\ud800"):
        problems: Problems = {}
        read({"type": "string", "format": PRINTABLE}, wrong, problems, "/x")
        assert problems == {"/x": "It must be one line of printable characters."}


def test_what_is_published_is_plain_json_schema() -> None:
    assert READ not in json.dumps(published(WHOLE))
    assert published({"anyOf": [INSTANT, {}]}) == {"anyOf": [{"type": "string", "format": "date-time"}, {}]}


@pytest.mark.parametrize(("name", "pointer"), [("a", "/a"), (0, "/0"), ("a/b~c", "/a~1b~0c"), ("", "/")])
def test_a_pointer_escapes_what_it_must(name: str | int, pointer: str) -> None:
    assert step("", name) == pointer
