"""Instants and spans as people and programs read them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from flask import Flask

from scheduler_app.cli.instants import exact, iso, plain, relative, short, span
from scheduler_app.client import Client, declaration_of
from tests.unit.cli.conftest import Run
from tests.unit.cli.shop import put, sell

NOON = datetime(2026, 7, 1, 12, 0, 3, 120_456, tzinfo=UTC)
OSLO = ZoneInfo("Europe/Oslo")


def test_an_instant_is_shown_in_the_zone() -> None:
    assert plain(NOON, OSLO) == "2026-07-01 14:00:03"
    assert short(NOON, OSLO) == "01 Jul 14:00:03"
    assert exact(NOON, OSLO) == "2026-07-01 14:00:03.120 CEST"
    assert iso(NOON, OSLO) == "2026-07-01T14:00:03.120456+02:00"
    assert iso(NOON, ZoneInfo("UTC")) == "2026-07-01T12:00:03.120456Z"
    assert iso(None, OSLO) is None


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 ms"),
        (0.0123, "12 ms"),
        (1.25, "1.2 s"),
        (59.9, "59 s"),
        (60, "1 min"),
        (125, "2 min 5 s"),
        (3600, "1 h"),
        (3 * 3600 + 61, "3 h 1 min"),
        (2 * 86_400 + 3 * 3600, "2 d 3 h"),
    ],
)
def test_a_span_is_told_in_its_two_largest_units(seconds: float, text: str) -> None:
    assert span(seconds) == text


def test_an_instant_is_told_as_ahead_or_past() -> None:
    assert relative(NOON + timedelta(seconds=125), NOON) == "in 2 min 5 s"
    assert relative(NOON - timedelta(hours=3), NOON) == "3 h ago"


def test_every_command_that_prints_times_takes_a_zone(client: Client, app: Flask, flask_scheduler: Run) -> None:
    job = put(client)
    app.extensions["scheduler"].recurring.upsert(declaration_of(sell, {}, every={"hours": 1}, name="hourly"))
    for words in (
        ("add", "tests.unit.cli.shop:sell", "--in", "1h", "--format", "json"),
        ("reschedule", job.id, "--in", "1h"),
        ("run-now", job.id),
        ("pause", "--queue", "mail", "--for", "1h"),
        ("schedules", "preview", "hourly", "--format", "json"),
        ("schedules", "resume", "hourly"),
    ):
        assert flask_scheduler(*words, "--utc").exit_code == 0, words
    client.cancel(job.id)
    assert "+05:45" in flask_scheduler("retry", job.id, "--tz", "Asia/Kathmandu").stdout
    client.pause(job.id)
    assert "+05:45" in flask_scheduler("resume", job.id, "--tz", "Asia/Kathmandu").stdout
    shown = flask_scheduler("schedules", "preview", "hourly", "--tz", "Asia/Kathmandu", "--format", "json").stdout
    assert "+05:45" in shown
    assert "+05:45" in flask_scheduler("status", "--format", "json", "--tz", "Asia/Kathmandu").stdout
