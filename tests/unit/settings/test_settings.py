"""Reading a whole configuration: defaults, all problems at once, the environment, neighbours, what is shipped."""

from __future__ import annotations

import json
import runpy
import tomllib
from datetime import timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import flask
import pytest

from scheduler_app.errors import ConfigurationError
from scheduler_app.settings import KEYS, ExecutorSettings, QueueSettings, Settings, read_settings
from tests.unit.settings.configured import INSTANCE, notices_of, problems_of, read

ROOT = Path(__file__).parents[3]
CONFIG = ROOT / "config"


# -- all of them -----------------------------------------------------------------------------------


def test_an_app_without_any_setting_has_these() -> None:
    assert read() == Settings(
        database_url="sqlite:////srv/app/instance/shop-scheduler.sqlite3",
        database_url_source="default",
        role="auto",
        queues=None,
        executors={"default": ExecutorSettings(type="threads", max_workers=10)},
        timezone=ZoneInfo("UTC"),
        timezone_configured=False,
        task_modules=None,
        signing_secrets=(),
        heartbeat_seconds=5,
        lease_seconds=30,
        poll_seconds=1,
        drain_seconds=25,
        auto_upgrade=None,
        sqlite_journal=None,
        max_crashes=3,
        max_payload_bytes=65_536,
        max_result_bytes=65_536,
        max_error_chars=10_000,
        max_delay_seconds=timedelta(days=3650).total_seconds(),
        max_batch=10_000,
        max_page=200,
        unserved_seconds=900,
        not_started_seconds=0.25,
        after_response_delay_seconds=0.025,
        after_response_fallback_seconds=10,
        connect_timeout_seconds=5,
        admin_token=None,
        admin_tokens={},
        admin_url_prefix="/scheduler",
        debug=False,
    )
    assert notices_of() == ()


def test_settings_are_frozen_all_the_way_down() -> None:
    settings = read()
    with pytest.raises(AttributeError):
        settings.role = "client"  # type: ignore[misc]
    with pytest.raises(TypeError):
        settings.executors["more"] = ExecutorSettings()  # type: ignore[index]


def test_every_problem_is_told_at_once_and_in_one_error() -> None:
    with pytest.raises(ConfigurationError) as caught:
        read(SCHEDULER_HARTBEAT_SECONDS=5, SCHEDULER_ROLE="worker", SCHEDULER_MAX_PAGE=0, SCHEDULER_LEASE_SECONDS=14)
    assert str(caught.value) == (
        "4 problems in the scheduler's settings:\n"
        "  - SCHEDULER_HARTBEAT_SECONDS is not a setting. Did you mean 'SCHEDULER_HEARTBEAT_SECONDS'?\n"
        "  - SCHEDULER_ROLE must be 'auto', 'embedded' or 'client', not 'worker'.\n"
        "  - SCHEDULER_MAX_PAGE must be a whole number of jobs from 1 to 2147483647, not 0.\n"
        "  - SCHEDULER_LEASE_SECONDS (14) must be at least three times SCHEDULER_HEARTBEAT_SECONDS (5), or a process"
        " that is only slow would be taken for dead."
    )


def test_the_fallback_of_a_response_comes_after_its_ordinary_end() -> None:
    assert problems_of(SCHEDULER_AFTER_RESPONSE_DELAY_SECONDS=2, SCHEDULER_AFTER_RESPONSE_FALLBACK_SECONDS="2") == [
        "SCHEDULER_AFTER_RESPONSE_FALLBACK_SECONDS (2) must be more than SCHEDULER_AFTER_RESPONSE_DELAY_SECONDS (2),"
        " which is the ordinary way."
    ]
    assert read(SCHEDULER_AFTER_RESPONSE_DELAY_SECONDS=0).after_response_delay_seconds == 0


def test_an_unknown_key_that_resembles_nothing_gets_no_suggestion() -> None:
    assert problems_of(SCHEDULER_XYZ=None) == ["SCHEDULER_XYZ is not a setting."]


def test_keys_of_others_are_left_alone() -> None:
    assert read(SCHEDULERS=1, MY_SCHEDULER_KEY=2, DEBUG=True) == read()


@pytest.mark.parametrize("empty", [None, "", "  "])
def test_a_key_that_is_none_or_blank_is_not_set(empty: str | None) -> None:
    assert read(**{key.name: empty for key in KEYS}) == read()
    assert read(SECRET_KEY=None, SECRET_KEY_FALLBACKS=None) == read(SECRET_KEY="") == read()


def test_the_table_of_keys_names_each_setting_with_its_default_and_a_sentence() -> None:
    table = {key.name: key for key in KEYS}
    assert len(table) == len(KEYS) == 35
    assert table["SCHEDULER_LEASE_SECONDS"].default == "30"
    assert table["SCHEDULER_NOT_STARTED_SECONDS"].default == "0.25"
    assert table["SCHEDULER_SIGNING_KEY"].default == "derived from SECRET_KEY and SECRET_KEY_FALLBACKS"
    assert all(key.sentence.endswith(".") and key.sentence[0].isupper() and key.default for key in KEYS)


def test_the_debug_mode_is_kept() -> None:
    assert read_settings({}, app_name="shop", instance_path=INSTANCE, debug=True)[0].debug


# -- from the environment --------------------------------------------------------------------------


def test_the_environment_spells_every_kind_of_value(monkeypatch: pytest.MonkeyPatch) -> None:
    environment = {
        "MAX_PAGE": "50",
        "POLL_SECONDS": "0.5",
        "AUTO_UPGRADE": "true",
        "TIMEZONE": "Europe/Oslo",
        "ADMIN_TOKEN": "12345",
        "QUEUES": "mail,reports",
        "EXECUTORS__default__max_workers": "3",
        "TASK_MODULES": '["shop.tasks", "shop.mail"]',
        "SIGNING_KEY": '["new", "old"]',
        "ADMIN_TOKENS": '{"hush": "viewer"}',
    }
    for name, value in environment.items():
        monkeypatch.setenv(f"FLASK_SCHEDULER_{name}", value)
    app = flask.Flask("shop")
    app.config.from_prefixed_env()
    settings = read(**{key: value for key, value in app.config.items() if key.startswith("SCHEDULER_")})
    assert settings.max_page == 50
    assert settings.poll_seconds == 0.5
    assert settings.auto_upgrade is True
    assert settings.timezone == ZoneInfo("Europe/Oslo")
    assert settings.admin_token == "12345"
    assert list(settings.queues or ()) == ["default", "mail", "reports"]
    assert settings.executors == {"default": ExecutorSettings(max_workers=3)}
    assert settings.task_modules == ("shop.tasks", "shop.mail")
    assert settings.signing_secrets == ("new", "old")
    assert settings.admin_tokens == {"hush": "viewer"}


def test_texts_that_nobody_parsed_are_read_too() -> None:
    settings = read(
        SCHEDULER_MAX_PAGE=" 50 ",
        SCHEDULER_EXECUTORS=json.dumps({"default": {"type": "threadpool", "max_workers": "4"}}),
        SCHEDULER_QUEUES=json.dumps({"mail": {"executor": "default"}}),
        SCHEDULER_SIGNING_KEY='["new", "old"]',
        SCHEDULER_AUTO_UPGRADE="no",
    )
    assert settings.max_page == 50
    assert settings.executors == {"default": ExecutorSettings(type="threads", max_workers=4)}
    assert settings.queues == {"default": QueueSettings(), "mail": QueueSettings(executor="default")}
    assert settings.signing_secrets == ("new", "old")
    assert settings.auto_upgrade is False


def test_a_text_that_begins_like_json_and_is_not_is_refused() -> None:
    assert problems_of(SCHEDULER_QUEUES="[mail") == [
        "SCHEDULER_QUEUES begins like JSON and is not: Expecting value: line 1 column 2 (char 1)."
    ]


# -- neighbours ------------------------------------------------------------------------------------


def test_settings_of_flask_apscheduler_are_ignored_with_one_notice() -> None:
    config: dict[str, Any] = {
        "SCHEDULER_API_ENABLED": True,
        "SCHEDULER_JOBSTORES": {"default": object()},
        "SCHEDULER_JOB_DEFAULTS": {"coalesce": False},
        "JOBS": [{"id": "x", "func": "x:y"}],
    }
    assert read(**config) == read()
    assert notices_of(**config) == (
        "Settings of Flask-APScheduler are ignored: JOBS, SCHEDULER_API_ENABLED, SCHEDULER_JOBSTORES,"
        " SCHEDULER_JOB_DEFAULTS. Declare recurring jobs with @scheduler.cron or @scheduler.every, and open the REST"
        " API with SCHEDULER_ADMIN_TOKEN.",
    )


def test_a_misspelt_setting_of_flask_apscheduler_is_told_the_nearest() -> None:
    assert problems_of(SCHEDULER_ALOWED_HOSTS=["web1"]) == [
        "SCHEDULER_ALOWED_HOSTS is not a setting. Did you mean 'SCHEDULER_ALLOWED_HOSTS'?"
    ]


def test_jobs_of_another_meaning_are_no_ones_business() -> None:
    assert notices_of(JOBS=["carpenter", {"title": "smith"}]) == ()


# -- the values that are shipped -------------------------------------------------------------------


@pytest.mark.parametrize("environment", ["development", "production"])
def test_the_shipped_configuration_is_sound(environment: str) -> None:
    config: dict[str, Any] = {}
    for name in ("default", environment):
        config |= tomllib.loads((CONFIG / f"{name}.toml").read_text())
    settings = read(**config)
    assert settings.executors.keys() == {"default"}
    assert notices_of(**config) == ()


def test_gunicorn_waits_longer_than_the_scheduler_drains() -> None:
    values = runpy.run_path(str(CONFIG / "gunicorn.conf.py"))
    production = tomllib.loads((CONFIG / "production.toml").read_text())
    assert values["graceful_timeout"] > read(**production).drain_seconds
    assert values["preload_app"] is False
