"""Whose turn it is: the rules by which queues and priorities share a process's slots, as tables of cases."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import NamedTuple

import pytest

from scheduler_app.jobs import Priority
from scheduler_app.queues import LOWEST_FIRST_EVERY, Queue, in_turn, is_paused, places, priorities

NOW = datetime(2026, 7, 1, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)
URGENT, HIGH, NORMAL, LOW = Priority


class Due(NamedTuple):
    queue: str
    priority: int = NORMAL


@pytest.mark.parametrize(
    ("paused_at", "paused_until", "paused"),
    [
        (None, None, False),
        (None, NOW + SECOND, False),
        (NOW, None, True),
        (NOW - 1000 * SECOND, None, True),
        (NOW - SECOND, NOW + SECOND, True),
        (NOW - SECOND, NOW, False),
        (NOW - SECOND, NOW - SECOND, False),
    ],
)
def test_a_pause_is_in_force_until_its_end_and_not_at_it(
    paused_at: datetime | None, paused_until: datetime | None, paused: bool
) -> None:
    assert is_paused(paused_at, paused_until, NOW) is paused
    assert Queue("mail", None, paused_at, paused_until).is_paused(NOW) is paused


@pytest.mark.parametrize(
    ("limit", "held", "limit_here", "held_here", "free"),
    [
        (None, 99, None, 99, None),
        (3, 0, None, 0, 3),
        (3, 2, None, 2, 1),
        (3, 3, None, 0, 0),
        (3, 5, None, 0, 0),
        (None, 9, 2, 0, 2),
        (None, 9, 2, 2, 0),
        (5, 1, 2, 1, 1),
        (5, 4, 9, 0, 1),
        (0, 0, None, 0, 0),
        (-1, 0, None, 0, 0),
    ],
)
def test_what_may_start_is_what_both_limits_leave(
    limit: int | None, held: int, limit_here: int | None, held_here: int, free: int | None
) -> None:
    assert places(limit, held, limit_here, held_here) == free


# -- priorities ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("count", "order"),
    [
        (1, (URGENT, HIGH, NORMAL, LOW)),
        (3, (URGENT, HIGH, NORMAL, LOW)),
        (4, (NORMAL, URGENT, HIGH, LOW)),
        (7, (URGENT, HIGH, NORMAL, LOW)),
        (8, (LOW, NORMAL, HIGH, URGENT)),
        (12, (HIGH, URGENT, NORMAL, LOW)),
        (16, (LOW, NORMAL, HIGH, URGENT)),
        (20, (NORMAL, URGENT, HIGH, LOW)),
    ],
)
def test_the_order_of_the_priorities_in_the_claim_of_a_number(count: int, order: tuple[Priority, ...]) -> None:
    assert priorities(count) == order


def test_of_sixteen_claims_12_begin_with_urgent_2_with_low_and_1_with_each_other() -> None:
    assert LOWEST_FIRST_EVERY == 8
    for beginning in (1, 5, 33):
        first = Counter(priorities(count)[0] for count in range(beginning, beginning + 16))
        assert first == {URGENT: 12, LOW: 2, NORMAL: 1, HIGH: 1}


@pytest.mark.parametrize(
    ("flooded", "gap"),
    [
        ((URGENT, LOW), {LOW: 8}),
        ((URGENT, NORMAL), {NORMAL: 8}),
        ((HIGH, NORMAL, LOW), {NORMAL: 16, LOW: 8}),
        ((URGENT, HIGH, NORMAL, LOW), {HIGH: 16, NORMAL: 16, LOW: 8}),
    ],
)
def test_no_priority_waits_for_more_than_so_many_claims_whichever_are_flooded(
    flooded: tuple[Priority, ...], gap: dict[Priority, int]
) -> None:
    due = [Due("default", priority) for priority in flooded]
    first = [in_turn(due, count, {}, {})[0].priority for count in range(1, 200)]
    for priority, most in gap.items():
        turns = [0, *(count for count, one in enumerate(first, 1) if one == priority)]
        assert max(b - a for a, b in pairwise(turns)) <= most


# -- queues --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("due", "here", "last", "order"),
    [
        ("ab", {}, {}, "ab"),
        ("ba", {}, {}, "ab"),
        ("ab", {"a": 1}, {}, "ba"),
        ("ab", {"a": 1, "b": 1}, {}, "ab"),
        ("ab", {"a": 1, "b": 2}, {"a": 7, "b": 3}, "ab"),
        ("ab", {}, {"a": 7, "b": 3}, "ba"),
        ("abc", {}, {"a": 1, "b": 2}, "cab"),
        ("abc", {"c": 500}, {"a": 9, "b": 2}, "bac"),
    ],
)
def test_the_queue_with_the_fewest_jobs_here_goes_first_then_the_one_whose_turn_was_longest_ago(
    due: str, here: dict[str, int], last: dict[str, int], order: str
) -> None:
    turns = {(queue, int(NORMAL)): count for queue, count in last.items()}
    assert [one.queue for one in in_turn([Due(q) for q in due], 1, here, turns)] == [*order]


def test_a_queue_that_floods_its_urgent_jobs_does_not_keep_its_turn_from_anothers_low_ones() -> None:
    """With one slot: every 8th claim is a low one, and the low jobs of both queues have every other of these."""
    due = [Due("a", URGENT), Due("a", LOW), Due("b", LOW)]
    last: dict[tuple[str, int], int] = {}
    taken = []
    for count in range(1, 65):
        one = in_turn(due, count, {}, last)[0]
        last[one.queue, one.priority] = count
        taken.append((one.queue, Priority(one.priority)))
    assert Counter(taken) == {("a", URGENT): 56, ("a", LOW): 4, ("b", LOW): 4}


@pytest.mark.parametrize("names", ["ab", "abcdefgh", "abcdefghijklmno"])
def test_with_one_slot_flooded_queues_take_turns_whatever_their_number(names: str) -> None:
    last: dict[tuple[str, int], int] = {}
    taken = Counter[str]()
    for count in range(1, 10 * len(names) + 1):
        one = in_turn([Due(name) for name in names], count, {}, last)[0]
        last[one.queue, one.priority] = count
        taken[one.queue] += 1
    assert taken == dict.fromkeys(names, 10)
