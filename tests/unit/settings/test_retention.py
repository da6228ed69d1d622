"""What `SCHEDULER_RETENTION_SECONDS` may say."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from tests.unit.settings.configured import problems_of, read

DAY = 86_400


@pytest.mark.parametrize(
    ("raw", "kept"),
    [
        (None, [DAY, 14 * DAY, 14 * DAY, 14 * DAY]),
        (60, [60] * 4),
        ("60", [60] * 4),
        (timedelta(hours=1), [3600] * 4),
        ({"succeeded": 0}, [0, 14 * DAY, 14 * DAY, 14 * DAY]),
        ('{"failed": null, "missed": 5}', [DAY, None, 14 * DAY, 5]),
    ],
    ids=str,
)
def test_each_state_has_its_time(raw: Any, kept: list[float | None]) -> None:
    found = read(SCHEDULER_RETENTION_SECONDS=raw).retention
    assert [found[state] for state in ("succeeded", "failed", "cancelled", "missed")] == kept


@pytest.mark.parametrize(
    ("raw", "problem"),
    [
        ({"succeded": 5}, "names 'succeded', which is no state that a job ends in. Did you mean 'succeeded'?"),
        (
            {"failed": -1},
            "gives 'failed' a time that must be a number of seconds from 0 to 31536000000, not -1.",
        ),
        ("for ever", "must be a number of seconds from 0 to 31536000000, not 'for ever'."),
    ],
    ids=range(3),
)
def test_what_is_no_time_is_told(raw: Any, problem: str) -> None:
    assert problems_of(SCHEDULER_RETENTION_SECONDS=raw) == [f"SCHEDULER_RETENTION_SECONDS {problem}"]
