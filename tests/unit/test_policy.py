"""What a due schedule does, as a table: catch-up, overlap, and what is left waiting."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from apscheduler.triggers.base import BaseTrigger
from apscheduler.triggers.cron import CronTrigger
from apscheduler.triggers.date import DateTrigger
from apscheduler.triggers.interval import IntervalTrigger

from scheduler_app.schedules import (
    MOST_CAUGHT_UP,
    ON_TIME,
    UNLIMITED,
    CatchUp,
    Decision,
    Overlap,
    Policy,
    Schedule,
    decide,
    policy_of,
)

START = datetime(2026, 6, 1, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
EACH_MINUTE = [
    IntervalTrigger(minutes=1, start_date=START, timezone=UTC),
    CronTrigger(minute="*", timezone=UTC),
]
LATEST, ALL, NONE = CatchUp.LATEST, CatchUp.ALL, CatchUp.NONE
SKIP, ALLOW, QUEUE = Overlap.SKIP, Overlap.ALLOW, Overlap.QUEUE


def minutes(*times: datetime) -> list[float]:
    return [(at - START) / MINUTE for at in times]


def decided(trigger: BaseTrigger, policy: Policy, after: float, **facts: Any) -> Decision:
    """Decide `after` so many minutes about a schedule that is due at START."""
    ended = facts.pop("ended", None)
    last_end = None if ended is None else START + ended * MINUTE
    return decide(trigger, policy, START, START + after * MINUTE, **({"unfinished": 0, "last_end": last_end} | facts))


@pytest.mark.parametrize("trigger", EACH_MINUTE, ids=["interval", "cron"])
@pytest.mark.parametrize(
    ("catch_up", "overlap", "after", "facts", "emitted", "overlapped", "missed", "following", "waits"),
    [
        # on time
        *[(c, o, 0.1, {}, [0], [], [], 1, False) for c in CatchUp for o in Overlap],
        # down over ten fire times: which of 0..9 (9.6: the latest is 36 s late)
        (LATEST, SKIP, 9.6, {}, [9], [], [], 10, False),
        (LATEST, ALLOW, 9.6, {}, [9], [], [], 10, False),
        (LATEST, QUEUE, 9.6, {}, [9], [], [], 10, False),
        (ALL, ALLOW, 9.6, {}, [*range(10)], [], [], 10, False),
        (ALL, SKIP, 9.6, {}, [0], [], [], 1, True),
        (ALL, QUEUE, 9.6, {}, [0], [], [], 1, True),
        (NONE, SKIP, 9.6, {}, [], [], [9], 10, False),
        (NONE, ALLOW, 9.6, {}, [], [], [9], 10, False),
        (NONE, QUEUE, 9.6, {}, [], [], [9], 10, False),
        # the same, but the latest one is on time
        (NONE, SKIP, 9.4, {}, [9], [], [], 10, False),
        # an earlier job is unfinished
        (LATEST, SKIP, 0.1, {"unfinished": 1}, [], [0], [], 1, False),
        (LATEST, ALLOW, 0.1, {"unfinished": 7}, [0], [], [], 1, False),
        (LATEST, QUEUE, 0.1, {"unfinished": 1}, [], [], [], 0, True),
        (ALL, SKIP, 0.1, {"unfinished": 1}, [], [0], [], 1, False),
        (ALL, SKIP, 9.6, {"unfinished": 1}, [], [], [], 0, True),
        (ALL, QUEUE, 9.6, {"unfinished": 1}, [], [], [], 0, True),
        (NONE, SKIP, 0.1, {"unfinished": 1}, [], [0], [], 1, False),
        # what came while an earlier job was unfinished waited in line, whatever catch-up says
        (LATEST, QUEUE, 3.6, {"ended": 3.5}, [0], [], [], 1, True),
        (NONE, QUEUE, 3.6, {"ended": 3.5}, [0], [], [], 1, True),
        (LATEST, SKIP, 3.6, {"ended": 3.5}, [3], [], [], 4, False),
        # the end lies before it: nobody was there
        (LATEST, QUEUE, 3.6, {"ended": -0.5}, [3], [], [], 4, False),
        (NONE, QUEUE, 3.6, {"ended": -0.5}, [], [], [3], 4, False),
    ],
)
def test_catch_up_and_overlap(
    trigger: BaseTrigger,
    catch_up: CatchUp,
    overlap: Overlap,
    after: float,
    facts: dict[str, Any],
    emitted: list[int],
    overlapped: list[int],
    missed: list[int],
    following: int,
    waits: bool,
) -> None:
    found = decided(trigger, Policy(catch_up, overlap), after, **facts)
    assert minutes(*found.emitted) == emitted
    assert minutes(*found.overlapped) == overlapped
    assert minutes(*(at for at, _reason in found.missed)) == missed
    assert found.following is not None
    assert (minutes(found.following), found.waits) == ([following], waits)
    assert found.changes is bool(emitted or overlapped or missed)


@pytest.mark.parametrize("trigger", EACH_MINUTE, ids=["interval", "cron"])
def test_all_makes_up_for_the_newest_hundred_and_says_so(trigger: BaseTrigger) -> None:
    found = decided(trigger, Policy(ALL, ALLOW), 1000.9)
    assert minutes(*found.emitted) == list(range(1001 - MOST_CAUGHT_UP, 1001))
    [(at, reason)] = found.missed
    assert at == START
    until = "2026-06-01T15:01:00+00:00"
    assert reason == f"more than 100 were missed, so that it and all others before {until} emit no job"


def test_a_bound_that_was_reached_holds_for_what_waits_too() -> None:
    found = decided(EACH_MINUTE[0], Policy(ALL, SKIP), 1000.9)
    assert (minutes(*found.emitted), len(found.missed)) == ([901.0], 1)
    assert found.following == START + 902 * MINUTE
    assert decided(EACH_MINUTE[0], Policy(ALL, SKIP), 1000.9, unfinished=1).following == START + 901 * MINUTE


def test_as_many_may_be_unfinished_as_max_instances_says() -> None:
    three = Policy(ALL, SKIP, max_instances=3)
    assert minutes(*decided(EACH_MINUTE[0], three, 9.6).emitted) == [0, 1, 2]
    assert minutes(*decided(EACH_MINUTE[0], three, 9.6, unfinished=2).emitted) == [0]
    assert minutes(*decided(EACH_MINUTE[0], Policy(LATEST, SKIP, 3), 0.1, unfinished=2).emitted) == [0]


def test_the_end_of_a_trigger_ends_the_schedule_once_nothing_waits() -> None:
    ending = IntervalTrigger(minutes=1, start_date=START, end_date=START + MINUTE, timezone=UTC)
    assert decided(ending, Policy(), 9.6) == Decision((START + MINUTE,), following=None)
    assert decided(ending, Policy(NONE), 9.6).following is None
    assert decided(ending, Policy(ALL), 9.6) == Decision((START,), following=START + MINUTE, waits=True)
    assert decided(DateTrigger(START), Policy(NONE), 9.6).emitted == ()


SCHEDULE = Schedule(
    uid="u", name="n", title="n", task="t", payload="{}", trigger="{}", signature="", queue="default", priority=2,
    next_run_time=START, generation=0, misfire_grace_time=None, coalesce=True, max_instances=1,
)  # fmt: skip


@pytest.mark.parametrize(
    ("columns", "policy"),
    [
        ({}, Policy()),
        ({"coalesce": False}, Policy(ALL)),
        ({"catch_up": "none"}, Policy(NONE)),
        ({"catch_up": "none", "misfire_grace_time": 5}, Policy(NONE, on_time=timedelta(seconds=5))),
        ({"misfire_grace_time": 5}, Policy(on_time=ON_TIME)),
        ({"max_instances": 3}, Policy(max_instances=3)),
        ({"max_instances": UNLIMITED}, Policy(overlap=ALLOW, max_instances=UNLIMITED)),
        ({"overlap": "queue"}, Policy(overlap=QUEUE)),
    ],
    ids=str,
)
def test_apschedulers_words_and_ours_mean_one_thing(columns: dict[str, Any], policy: Policy) -> None:
    assert policy_of(replace(SCHEDULE, **columns)) == policy


def test_a_word_that_is_none_is_an_error() -> None:
    with pytest.raises(ValueError, match="'some' is not a valid CatchUp"):
        policy_of(replace(SCHEDULE, catch_up="some"))
