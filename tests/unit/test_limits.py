"""Limits in seconds, as a person writes them."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from scheduler_app.tasks.limits import limit_of


@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        (30, 30.0),
        (0.5, 0.5),
        (timedelta(minutes=5), 300.0),
        (315_360_000, 315_360_000.0),
        (0, None),
        (-1, None),
        (timedelta(0), None),
        (float("inf"), None),
        (float("nan"), None),
        (315_360_001, None),
        (10**400, None),
        (True, None),
        ("5", None),
        (None, None),
    ],
)
def test_a_limit_is_a_number_or_a_timedelta_above_nothing(written: Any, seconds: float | None) -> None:
    assert limit_of(written) == seconds
