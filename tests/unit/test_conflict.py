"""Two calls of one key, as a table."""

from __future__ import annotations

import pytest

from scheduler_app.conflict import Meeting, OnConflict, meet, yielded_to

TABLE = {
    OnConflict.EXISTING: Meeting(takes_call=False, takes_time=False, refuses=False),
    OnConflict.DEBOUNCE: Meeting(takes_call=True, takes_time=True, refuses=False),
    OnConflict.THROTTLE: Meeting(takes_call=True, takes_time=False, refuses=False),
    OnConflict.RAISE: Meeting(takes_call=False, takes_time=False, refuses=True),
}


@pytest.mark.parametrize("on_conflict", OnConflict)
def test_what_the_job_that_holds_a_key_takes_from_a_further_call(on_conflict: OnConflict) -> None:
    assert meet(on_conflict) == TABLE[on_conflict]


@pytest.mark.parametrize(
    ("newer", "reason"),
    [("0192", "not run again: the newer job 0192 holds its key"), (None, "not run again: a newer job holds its key")],
)
def test_a_job_that_yields_keeps_the_reason(newer: str | None, reason: str) -> None:
    assert yielded_to(newer) == reason
