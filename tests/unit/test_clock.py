"""The clock of production is the host's, whatever a test does to the time of the app; what tests see is another one."""

from __future__ import annotations

import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta

from freezegun import freeze_time

from scheduler_app import clock
from scheduler_app.store import Store

YEAR_2001 = "2001-02-03 04:05:06"


def test_freezegun_moves_neither_the_hosts_clock_nor_a_stores() -> None:
    store = Store("sqlite:////nowhere.sqlite3")
    before = datetime.now(UTC)
    with freeze_time(YEAR_2001):
        seen = clock.host_now(), store.clock.now(), store.clock.reckon()
    after = datetime.now(UTC)
    assert all(before - timedelta(seconds=1) <= one <= after + timedelta(seconds=1) for one in seen)
    assert {type(one) for one in seen} == {datetime}


def test_freezegun_stops_no_deadline_and_no_lease() -> None:
    with freeze_time(YEAR_2001):
        began = clock.monotonic(), clock.lasting()
        time.sleep(0.002)
        assert all(now - then >= 0.002 for now, then in zip((clock.monotonic(), clock.lasting()), began, strict=True))


def test_what_tests_see_is_what_freezegun_shows_as_a_real_datetime() -> None:
    with freeze_time(YEAR_2001):
        shown = clock.shown_now()
    assert (shown, type(shown)) == (datetime(2001, 2, 3, 4, 5, 6, tzinfo=UTC), datetime)
    assert abs(clock.shown_now() - clock.host_now()) < timedelta(seconds=1)


def test_a_clock_that_is_imported_while_time_is_frozen_is_the_hosts_all_the_same() -> None:
    source = f"""
from freezegun import freeze_time
with freeze_time({YEAR_2001!r}):
    from scheduler_app import clock
    frozen = clock.host_now(), clock.monotonic()
import datetime, time
now, ticks = datetime.datetime.now(datetime.UTC), time.monotonic()
assert type(frozen[0]) is datetime.datetime and abs((now - frozen[0]).total_seconds()) < 60
assert 0 <= ticks - frozen[1] < 60
"""
    subprocess.run([sys.executable, "-c", source], check=True)


def test_the_monotonic_clock_is_pythons_own() -> None:
    before, ours, after = time.monotonic(), clock.monotonic(), time.monotonic()
    assert before <= ours <= after
