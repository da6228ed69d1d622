"""In which order claims that wait for a thread get one."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime

import pytest

from scheduler_app.executors.lanes import Lanes
from scheduler_app.store import Claim

NOW = datetime(2026, 7, 1, 12, tzinfo=UTC)
ONE = Claim("", "t", "{}", "s", "q", 2, NOW, 0, 1, 0, False, 1, None, None, None, None)


@pytest.mark.parametrize(
    ("put", "taken"),
    [
        ("a1 a2 a3", "a1 a2 a3"),
        ("a1 a2 a3 b1", "a1 b1 a2 a3"),
        ("a1 a2 a3 b1 b2 c1", "a1 b1 c1 a2 b2 a3"),
        ("a1 a2 - a3 b1 b2", "a1 a2 b1 a3 b2"),
        ("a1 - b1 - a2 b2", "a1 b1 a2 b2"),
    ],
)
def test_queues_take_turns_and_each_keeps_its_order(put: str, taken: str) -> None:
    """A dash in what is put takes one."""
    lanes, order = Lanes(), []
    for word in put.split():
        if word == "-":
            order.append(lanes.take().id)
        else:
            lanes.put(dataclasses.replace(ONE, id=word, queue=word[0]))
    while len(order) < len([word for word in put.split() if word != "-"]):
        order.append(lanes.take().id)
    assert order == taken.split()
