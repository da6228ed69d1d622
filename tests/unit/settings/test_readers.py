"""What each kind of value is read from, and the exact sentence for one that cannot be read."""

from __future__ import annotations

from datetime import UTC, timedelta, timezone
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from tests.unit.settings.configured import problems_of, read


@pytest.mark.parametrize("raw", [7, 7.0, "7", " 7 ", "7.0", timedelta(seconds=7)])
def test_seconds_are_read_from(raw: Any) -> None:
    assert read(SCHEDULER_POLL_SECONDS=raw).poll_seconds == 7.0


@pytest.mark.parametrize("raw", ["soon", -1, 0, True, float("nan"), float("inf"), "nan", 10**400, [1], 1e12])
def test_what_is_no_number_of_seconds_is_refused(raw: Any) -> None:
    shown = repr(raw) if len(repr(raw)) < 60 else repr(raw)[:57] + "..."
    assert problems_of(SCHEDULER_POLL_SECONDS=raw) == [
        f"SCHEDULER_POLL_SECONDS must be a number of seconds from 0.01 to 31536000000, not {shown}."
    ]


@pytest.mark.parametrize("raw", [7, 7.0, "7", "7.0"])
def test_counts_are_read_from(raw: Any) -> None:
    assert read(SCHEDULER_MAX_CRASHES=raw).max_crashes == 7


@pytest.mark.parametrize("raw", [7.5, "7.5", 0, "many", True, float("inf"), float("nan"), timedelta(seconds=7)])
def test_what_is_no_count_is_refused(raw: Any) -> None:
    assert problems_of(SCHEDULER_MAX_CRASHES=raw) == [
        f"SCHEDULER_MAX_CRASHES must be a whole number of crashes from 1 to 2147483647, not {raw!r}."
    ]


@pytest.mark.parametrize("raw", [True, "true", "True", "yes", "on", "1", 1, 1.0])
def test_true_is_read_from(raw: Any) -> None:
    assert read(SCHEDULER_AUTO_UPGRADE=raw).auto_upgrade is True


@pytest.mark.parametrize("raw", [False, "false", "no", "off", "0", 0])
def test_false_is_read_from(raw: Any) -> None:
    assert read(SCHEDULER_AUTO_UPGRADE=raw).auto_upgrade is False


def test_what_is_neither_true_nor_false_is_refused() -> None:
    assert problems_of(SCHEDULER_AUTO_UPGRADE="maybe") == ["SCHEDULER_AUTO_UPGRADE must be true or false, not 'maybe'."]


def test_a_word_is_read_in_any_case_and_a_wrong_one_gets_a_suggestion() -> None:
    assert read(SCHEDULER_ROLE="Client").role == "client"
    assert problems_of(SCHEDULER_ROLE="embeded") == [
        "SCHEDULER_ROLE must be 'auto', 'embedded' or 'client', not 'embeded'. Did you mean 'embedded'?"
    ]
    assert problems_of(SCHEDULER_SQLITE_JOURNAL="truncate") == [
        "SCHEDULER_SQLITE_JOURNAL must be 'wal' or 'delete', not 'truncate'."
    ]


def test_a_lease_of_three_heartbeats_is_enough() -> None:
    assert read(SCHEDULER_LEASE_SECONDS=15).lease_seconds == 15


def test_a_lease_is_not_compared_with_a_heartbeat_that_cannot_be_read() -> None:
    assert problems_of(SCHEDULER_LEASE_SECONDS=1, SCHEDULER_HEARTBEAT_SECONDS="often") == [
        "SCHEDULER_HEARTBEAT_SECONDS must be a number of seconds from 0.05 to 31536000000, not 'often'."
    ]


@pytest.mark.parametrize("raw", ["Europe/Oslo", ZoneInfo("Europe/Oslo")])
def test_a_time_zone_is_read_by_name_or_as_it_is(raw: Any) -> None:
    settings = read(SCHEDULER_TIMEZONE=raw)
    assert settings.timezone == ZoneInfo("Europe/Oslo")
    assert settings.timezone_configured


def test_utc_is_a_configured_time_zone_when_it_is_said() -> None:
    assert read(SCHEDULER_TIMEZONE=UTC).timezone == ZoneInfo("UTC")
    assert read(SCHEDULER_TIMEZONE="UTC").timezone_configured


def test_a_time_zone_that_does_not_exist_is_refused() -> None:
    assert problems_of(SCHEDULER_TIMEZONE="Europe/Olso") == [
        "SCHEDULER_TIMEZONE must be the name of a time zone, such as 'Europe/Oslo', not 'Europe/Olso'."
        " Did you mean 'Europe/Oslo'?"
    ]


@pytest.mark.parametrize("raw", ["Europe", "../etc/passwd", "/etc/localtime", 3, timezone(timedelta(hours=2))])
def test_what_names_no_time_zone_is_refused(raw: Any) -> None:
    told = problems_of(SCHEDULER_TIMEZONE=raw)
    assert len(told) == 1
    assert told[0].startswith(
        f"SCHEDULER_TIMEZONE must be the name of a time zone, such as 'Europe/Oslo', not {raw!r}."
    )


@pytest.mark.parametrize("raw", [["shop.tasks", "jobs"], ("shop.tasks", "jobs"), "shop.tasks, jobs"])
def test_task_modules_are_a_list_or_a_text_with_commas(raw: Any) -> None:
    assert read(SCHEDULER_TASK_MODULES=raw).task_modules == ("shop.tasks", "jobs")


def test_an_empty_list_of_task_modules_is_kept_apart_from_none() -> None:
    assert read(SCHEDULER_TASK_MODULES=[]).task_modules == ()


def test_what_is_no_module_name_is_refused() -> None:
    assert problems_of(SCHEDULER_TASK_MODULES=["shop.tasks", "shop/mail.py", "shop..x"]) == [
        "SCHEDULER_TASK_MODULES lists 'shop/mail.py', which is not a module name such as 'myapp.tasks'.",
        "SCHEDULER_TASK_MODULES lists 'shop..x', which is not a module name such as 'myapp.tasks'.",
    ]
    assert problems_of(SCHEDULER_TASK_MODULES=7) == [
        "SCHEDULER_TASK_MODULES must be a list of module names, such as ['myapp.tasks'], not 7."
    ]


def test_the_slash_at_the_end_of_a_prefix_is_dropped() -> None:
    assert read(SCHEDULER_ADMIN_URL_PREFIX="/ops/jobs/").admin_url_prefix == "/ops/jobs"


@pytest.mark.parametrize("raw", ["scheduler", "/", "//x", "/a b", "/<x>", "/é", 7])
def test_what_is_no_prefix_is_refused(raw: Any) -> None:
    assert problems_of(SCHEDULER_ADMIN_URL_PREFIX=raw) == [
        f"SCHEDULER_ADMIN_URL_PREFIX must be a path that starts with '/', such as '/scheduler', not {raw!r}."
    ]
