"""When the loop starts by itself, and what is made of a start that fails. The real servers are in tests/acceptance."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask

from scheduler_app import Scheduler
from scheduler_app.errors import KeyFileError
from scheduler_app.extension import starting
from scheduler_app.extension.parts import Parts
from scheduler_app.extension.starting import Starting, _is_test_run


@pytest.fixture
def parts(tmp_path: Path) -> Iterator[Parts]:
    """An app without a key, whose key file cannot be made: a file is where its folder should be."""
    (tmp_path / "place").touch()
    app = Flask("shop")
    app.config["SCHEDULER_DATABASE_URL"] = f"sqlite:///{tmp_path / 'place' / 'jobs.sqlite3'}"
    app.config["SCHEDULER_ROLE"] = "client"  # what starts here is started by the tests
    Scheduler(app)
    found: Parts = app.extensions["scheduler"]
    yield found
    if found.running:
        found.aps.shutdown()
    found.store.close()


@pytest.fixture
def here(parts: Parts, monkeypatch: pytest.MonkeyPatch) -> Starting:
    monkeypatch.setattr(starting, "_is_test_run", lambda: False)
    monkeypatch.setattr(starting, "RETRY_SECONDS", 0.0)
    monkeypatch.setattr(parts, "settings", parts.settings)
    return Starting(parts._app, parts)


def test_a_start_by_itself_that_fails_raises_nothing_is_told_once_and_makes_the_process_unready(
    here: Starting, parts: Parts, caplog: pytest.LogCaptureFixture
) -> None:
    assert not here._try_to_start("of a test")
    assert not here._try_to_start("of a test")
    assert [r.message for r in caplog.records if "cannot start" in r.message] == [
        f"scheduler cannot start in this process, and runs no job here until it can: {parts.start_failure}"
    ]
    assert isinstance(parts.start_failure, KeyFileError)
    assert not parts.health().ready


def test_a_start_that_failed_is_not_tried_again_before_its_time(
    here: Starting, parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(starting, "RETRY_SECONDS", 60.0)
    assert not here._try_to_start("of a test")
    parts.start_failure = None
    assert not here._try_to_start("of a test")
    assert parts.start_failure is None


def test_a_start_that_succeeds_later_makes_the_process_ready(here: Starting, parts: Parts, tmp_path: Path) -> None:
    assert not here._try_to_start("of a test")
    (tmp_path / "place").unlink()
    assert here._try_to_start("of a test")
    assert (parts.start_failure, parts.running) == (None, True)


def test_a_start_by_hand_raises_the_sentence(here: Starting, tmp_path: Path) -> None:
    key = tmp_path / "place" / "jobs.sqlite3.key"
    with pytest.raises(KeyFileError) as raised:
        here.start()
    assert str(raised.value) == (
        f"The key that signs stored calls cannot be kept in {key}: File exists. Let this process write in that"
        " folder, or set SECRET_KEY or SCHEDULER_SIGNING_KEY."
    )


def test_nothing_starts_any_more_in_a_process_that_ends(here: Starting, parts: Parts, tmp_path: Path) -> None:
    (tmp_path / "place").unlink()
    here.stop(drain=True)
    assert here._try_to_start("of a test")
    assert not parts.running


def test_a_process_is_a_test_run_only_where_pytest_runs_in_it(monkeypatch: pytest.MonkeyPatch) -> None:
    assert _is_test_run()
    with monkeypatch.context() as child_of_a_test:
        child_of_a_test.delitem(sys.modules, "pytest")
        assert not _is_test_run()
    for name in ("PYTEST_VERSION", "PYTEST_CURRENT_TEST"):  # an app that imports pytest
        monkeypatch.delenv(name)
    assert not _is_test_run()
