"""What a row of the audit says: only what changed, within bounds, and nothing that a database could not hold."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from scheduler_app.audit import LONGEST_NAME, LONGEST_VALUE, Acting, Actor, differences, entry_of

LONG = "x" * LONGEST_VALUE


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        ({"a": 1, "b": 2}, {"a": 1, "b": 3}, ({"b": 2}, {"b": 3})),
        ({"a": 1}, {"a": 1}, ({}, {})),
        ({"a": 1}, {}, ({"a": 1}, {"a": None})),
        ({"a": None}, {"a": 0}, ({"a": None}, {"a": 0})),
        (None, {"a": 1, "b": None, "c": [], "d": 0}, (None, {"a": 1, "d": 0})),
        ({"a": 1, "b": None}, None, ({"a": 1}, None)),
        (None, None, (None, None)),
        ({"a": LONG}, {"a": LONG[:-2]}, ({"a": "(2,002 characters)"}, {"a": LONG[:-2]})),
        (None, {"a": [LONG]}, (None, {"a": "(2,004 characters)"})),
        ({"a": LONG + "y"}, {"a": LONG + "z"}, ({"a": "(2,003 characters)"}, {"a": "(2,003 characters)"})),
    ],
)
def test_only_what_differs_is_told(before: Any, after: Any, told: Any) -> None:
    assert differences(before, after) == told


def test_names_are_cut_to_what_the_table_holds() -> None:
    acting = Acting(Actor("ann" * 100, "r" * 20), {"door": "rest", "request_id": "\x00\udcff"})
    entry = entry_of(acting, "1", datetime(2026, 3, 1, tzinfo=UTC), "job.cancel", "t" * 300, None, None)
    assert [len(entry.actor), len(entry.role), len(entry.target or "")] == [LONGEST_NAME, 16, LONGEST_NAME]
    assert entry.actor.endswith("…")
    assert entry.source == {"door": "rest", "request_id": "\\x00\\udcff"}
