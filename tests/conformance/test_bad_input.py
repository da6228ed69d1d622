"""Whatever cannot run later is refused where it enters, in one sentence that says what to do, with nothing stored."""

from __future__ import annotations

import functools
import logging
import math
import socket
import sys
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from flask import Flask, current_app, g, request
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import text

import scheduler_app.store.sqlite
from scheduler_app import Scheduler, schedule_after, schedule_at, schedule_many, using
from scheduler_app.errors import (
    AlreadyRegisteredError,
    ConfigurationError,
    NetworkFileSystemError,
    NoAppContextError,
    NoSigningKeyError,
    NotRegisteredError,
    SchedulerError,
    SchemaMissingError,
    SchemaNewerError,
    SchemaOlderError,
    StoreUnavailableError,
)
from scheduler_app.store import Store

HERE = __name__


def remind(user_id: int, text: str = "") -> None:
    """A function that may be deferred."""


def generate() -> Iterator[int]:
    yield 1


class Mailer:
    def send(self, to: str) -> None:
        """A method of an instance."""


@pytest.fixture
def app(migrated_url: str) -> Iterator[Flask]:
    app = Flask("bad_input")
    app.config.update(SECRET_KEY="a secret of the tests", SCHEDULER_DATABASE_URL=migrated_url)
    app.config["SCHEDULER_ROLE"] = "client"
    app.config["SCHEDULER_QUEUES"] = ["mail", "reports"]
    Scheduler(app)
    try:
        with app.app_context():
            yield app
            assert app.extensions["scheduler"].client.list() == [], "something was stored"
    finally:
        app.extensions["scheduler"].store.close()


def closure() -> Callable[[], None]:
    def inner() -> None: ...

    return inner


YEARS = "Cannot schedule more than 3,650 days ahead. Raise SCHEDULER_MAX_DELAY_SECONDS if that is meant."
PASS_SECONDS = "Pass seconds as a number of 0 or more, or a timedelta."


@pytest.mark.parametrize(
    ("delay", "sentence"),
    [
        (-1, f"Cannot schedule after -1: it is negative. {PASS_SECONDS}"),
        (timedelta(seconds=-1), f"Cannot schedule after {timedelta(seconds=-1)!r}: it is negative. {PASS_SECONDS}"),
        (math.nan, f"Cannot schedule after nan: it is not a number. {PASS_SECONDS}"),
        (math.inf, f"Cannot schedule after inf: it is not finite. {PASS_SECONDS}"),
        (10**400, f"Cannot schedule after {10**400}: it is not finite. {PASS_SECONDS}"),
        ("3", f"Cannot schedule after '3': it is a str, not a number. {PASS_SECONDS}"),
        (True, f"Cannot schedule after True: it is a bool, not a number. {PASS_SECONDS}"),
        (None, f"Cannot schedule after None: it is a NoneType, not a number. {PASS_SECONDS}"),
        (10**9, YEARS),
    ],
    ids=lambda value: repr(value)[:20],
)
def test_a_delay_that_is_no_time_from_now_is_refused(app: Flask, delay: Any, sentence: str) -> None:
    with pytest.raises(SchedulerError) as refused:
        schedule_after(delay, remind, 1)
    assert str(refused.value) == sentence


def test_a_naive_datetime_is_refused_where_no_timezone_is_configured(app: Flask) -> None:
    with pytest.raises(SchedulerError) as refused:
        schedule_at(datetime(2030, 1, 1, 12), remind, 1)
    assert str(refused.value) == (
        "Cannot schedule at 2030-01-01 12:00:00: it has no time zone. Pass an aware datetime, such as"
        " datetime(..., tzinfo=ZoneInfo('Europe/Oslo')), or set SCHEDULER_TIMEZONE."
    )


NAME = "which has no name that other processes could find it by"
OWN = "it is not a function of your app. Write a module-level function that calls it, and pass that."


@pytest.mark.parametrize(
    ("function", "sentence"),
    [
        pytest.param(
            lambda: None,
            f"'{HERE}:<lambda>' cannot be scheduled: it is a lambda, {NAME}."
            " Write it as a module-level function with 'def', and pass that.",
            id="lambda",
        ),
        pytest.param(
            closure(),
            f"'{HERE}:closure.<locals>.inner' cannot be scheduled: it is defined inside another function, so other"
            " processes cannot find it. Move it to the top level of its module, and pass as arguments what it takes"
            " from around it.",
            id="closure",
        ),
        pytest.param(
            functools.partial(remind, 1),
            "A functools.partial cannot be scheduled: it has no name that other processes could find it by."
            " Pass the function itself, and the bound values as its arguments.",
            id="partial",
        ),
        pytest.param(
            Mailer().send,
            f"The method '{HERE}:Mailer.send' cannot be scheduled: it is bound to an instance, which cannot be stored."
            " Pass a module-level function and the instance's id, and load the instance in that function.",
            id="bound method",
        ),
        pytest.param(
            generate,
            f"'{HERE}:generate' cannot be scheduled: it is a generator, which does nothing until something goes"
            " through it. Run it in a function of your own that goes through what it yields, and pass that function.",
            id="generator function",
        ),
        pytest.param(print, f"The built-in 'print' cannot be scheduled: {OWN}", id="builtin"),
        pytest.param(math.sqrt, f"The built-in 'sqrt' cannot be scheduled: {OWN}", id="standard library"),
        pytest.param(
            "tests:remind",
            "A value of type 'str' cannot be scheduled: it is not a function. Pass the function without calling it:"
            " schedule_after(3, send, 42), not schedule_after(3, send(42)).",
            id="a name",
        ),
    ],
)
def test_what_cannot_be_found_again_by_its_name_is_refused(app: Flask, function: Any, sentence: str) -> None:
    with pytest.raises(SchedulerError) as refused:
        schedule_after(1, function)
    assert str(refused.value) == sentence


def test_a_local_proxy_is_refused_without_being_asked_what_it_stands_for(app: Flask) -> None:
    with pytest.raises(SchedulerError) as refused:
        schedule_after(1, request)  # type: ignore[arg-type]
    assert str(refused.value) == (
        "A LocalProxy (such as request, g or current_user) cannot be scheduled: it belongs to one request and stands"
        " for something else in the next. Pass a function, and as arguments the values that the proxy holds, e.g. an"
        " id."
    )


def test_arguments_that_do_not_fit_the_function_are_refused_when_scheduling(app: Flask) -> None:
    with pytest.raises(SchedulerError) as refused:
        schedule_after(1, remind)  # type: ignore[call-arg]
    assert str(refused.value) == (
        f"The task '{HERE}:remind' cannot be called with these arguments: missing a required argument: 'user_id';"
        " it takes (user_id, text=...). Nothing was stored; pass the arguments that the function takes."
    )


LOCAL = "it belongs to one request; pass the values it holds, e.g. its id."


@pytest.mark.parametrize(
    ("args", "sentence"),
    [
        (
            (object(),),
            "args[0] is of type 'object', which cannot be stored: pass the plain values it holds, or its id.",
        ),
        (
            (1, {"user": [0, current_app]}),
            f"args[1]['user'][1] is of type 'werkzeug.local.LocalProxy', which cannot be stored: {LOCAL}",
        ),
        ((1, {"g": g}), f"args[1]['g'] is of type 'werkzeug.local.LocalProxy', which cannot be stored: {LOCAL}"),
        ((math.nan,), "args[0] is nan, which cannot be stored: pass a finite number or None."),
        (
            (iter([1]),),
            "args[0] is of type 'list_iterator', which cannot be stored: it can be read only once;"
            " pass list(...) of it.",
        ),
        (
            (remind,),
            "args[0] is of type 'function', which cannot be stored: pass its name and look the function up by that.",
        ),
    ],
    ids=["object", "current_app", "g", "nan", "iterator", "function"],
)
def test_an_argument_that_json_cannot_carry_is_named_by_its_path(app: Flask, args: Any, sentence: str) -> None:
    with pytest.raises(SchedulerError) as refused:
        schedule_after(1, remind, *args)
    assert str(refused.value) == sentence


def test_an_orm_instance_is_refused_as_the_key_would_do(app: Flask) -> None:
    app.config["SQLALCHEMY_DATABASE_URI"] = "sqlite://"
    db = SQLAlchemy(app)

    class User(db.Model):  # type: ignore[name-defined, misc]
        id = db.Column(db.Integer, primary_key=True)

    with pytest.raises(SchedulerError) as refused:
        schedule_after(1, remind, 1, User(id=1))
    assert str(refused.value) == (
        f"args[1] is of type '{HERE}.{User.__qualname__}', which cannot be stored: it belongs to one database session;"
        " pass its primary key and load it again in the function."
    )


def test_arguments_that_are_too_large_are_refused(app: Flask) -> None:
    with pytest.raises(SchedulerError) as refused:
        schedule_after(1, remind, 1, "x" * 70_000)
    assert str(refused.value) == (
        "The arguments take more bytes as JSON than the 65536 that SCHEDULER_MAX_PAYLOAD_BYTES allows."
        " Store the data elsewhere and pass its key, or raise the setting."
    )


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (
            {"queue": "mial"},
            "There is no queue 'mial'; SCHEDULER_QUEUES has 'default', 'mail', 'reports'. Did you mean 'mail'?",
        ),
        ({"priorty": "high"}, "using(priorty=...): there is no such option. Did you mean 'priority'?"),
        (
            {"priority": "hihg"},
            "using(priority=...): it must be one of 'urgent', 'high', 'normal', 'low', not 'hihg'."
            " Did you mean 'high'?",
        ),
        ({"attempts": 0}, "using(attempts=...): it must be a whole number of 1 or more: runs in all, not 0."),
        (
            {"timeout": 0},
            "using(timeout=...): it must be a number of seconds above 0, at most ten years, or a timedelta, not 0.",
        ),
        (
            {"max_lateness": float("nan")},
            "using(max_lateness=...): it must be a number of seconds above 0, at most ten years, or a timedelta, not"
            " nan.",
        ),
        ({"key": ""}, "using(key=...): it must be a non-empty string, not ''."),
        ({"key": "k\x00"}, "using(key=...): 'k\\x00' has a character that cannot be printed."),
        (
            {"on_conflict": "raise"},
            "using(on_conflict=...): it says what to do about a key, so it needs key=... beside it.",
        ),
        (
            {"key": "k", "on_conflict": "rais"},
            "using(on_conflict=...): it must be one of 'existing', 'debounce', 'throttle', 'raise', not 'rais'."
            " Did you mean 'raise'?",
        ),
        ({"tags": "a"}, "using(tags=...): it must be a list of strings, not 'a'."),
    ],
    ids=lambda value: str(value)[:30] if isinstance(value, dict) else "",
)
def test_an_option_that_cannot_be_used_is_refused(app: Flask, options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(SchedulerError) as refused:
        using(**options).schedule_after(1, remind, 1)
    assert str(refused.value) == sentence


@pytest.mark.parametrize(
    ("calls", "sentence"),
    [
        ([(1, remind, (1,)), (1,)], "schedule_many: call 1 is not (seconds, function[, args[, kwargs]])."),
        ([(1, remind, 5)], "schedule_many: the args of call 0 must be a tuple or list, not int."),
        ([(1, remind, (1,), [])], "schedule_many: the kwargs of call 0 must be a dict, not list."),
        (
            [(1, remind, (1,))] * 10_001,
            "schedule_many: 10,001 calls are more than 10,000 at once. Split them, or raise SCHEDULER_MAX_BATCH.",
        ),
    ],
    ids=["shape", "args", "kwargs", "too many"],
)
def test_a_batch_with_one_bad_call_stores_none(app: Flask, calls: Any, sentence: str) -> None:
    with pytest.raises(SchedulerError) as refused:
        schedule_many(calls)
    assert str(refused.value) == sentence


def test_a_batch_whose_last_call_cannot_be_stored_stores_none(app: Flask) -> None:
    with pytest.raises(SchedulerError):
        schedule_many([(1, remind, (1,)), (1, remind, (object(),))])


def test_a_duplicate_key_is_refused_on_request(app: Flask) -> None:
    first = using(key="order:42").schedule_after(60, remind, 1)
    with pytest.raises(SchedulerError) as refused:
        using(key="order:42", on_conflict="raise").schedule_after(60, remind, 1)
    assert str(refused.value) == (
        f"Job {first.id} holds the key 'order:42' and has not started yet. Cancel or reschedule that job,"
        " or schedule with another on_conflict: 'existing', 'debounce' or 'throttle'."
    )
    client = app.extensions["scheduler"].client
    assert [job.id for job in client.list()] == [first.id]
    with client.store.begin() as connection:
        connection.execute(text("DELETE FROM scheduler_jobs"))


@pytest.mark.parametrize(
    ("line", "zone", "sentence"),
    [
        (
            "* * *",
            None,
            "The cron line '* * *' cannot be used: it has 3 fields, and needs five: minute, hour, day-of-month, month"
            " and weekday.",
        ),
        (
            "61 * * * *",
            None,
            "The cron line '61 * * * *' cannot be used: its minute field has '61', but takes *, 0-59, ranges, steps"
            " such as */2, and lists of them.",
        ),
        (
            "0 0 30 2 *",
            None,
            "The cron line '0 0 30 2 *' cannot be used: it never fires: no month it names has a day 30.",
        ),
        (
            "0 4 * * *",
            "Europe/Olso",
            "There is no time zone 'Europe/Olso'. Use a name of the IANA database, such as 'Europe/Oslo' or 'UTC'.",
        ),
    ],
    ids=["fields", "minute", "never", "zone"],
)
def test_a_malformed_schedule_is_refused(app: Flask, line: str, zone: str | None, sentence: str) -> None:
    with pytest.raises(SchedulerError) as refused:
        Scheduler().schedule_cron(line, remind, 1, timezone=zone)
    assert str(refused.value) == sentence
    assert list(app.extensions["scheduler"].client.schedules()) == []


# -- the app and its settings ----------------------------------------------------------------------


def test_every_problem_of_the_settings_is_reported_at_once(tmp_path: Path) -> None:
    app = Flask("settings", instance_path=str(tmp_path))
    app.config.update(SCHEDULER_POL_SECONDS=1, SCHEDULER_POLL_SECONDS="soon", SCHEDULER_ROLE="embeded")
    with pytest.raises(ConfigurationError) as refused:
        Scheduler(app)
    assert len(refused.value.problems) == 3
    assert str(refused.value).startswith("3 problems in the scheduler's settings:\n  - ")
    assert "SCHEDULER_POLL_SECONDS" in str(refused.value)
    assert "embedded" in str(refused.value)


def test_flask_apschedulers_own_keys_are_ignored_with_one_notice(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "flask_apscheduler", raising=False)
    app = Flask("settings", instance_path=str(tmp_path))
    app.config.update(SCHEDULER_API_ENABLED=True, SCHEDULER_JOBSTORES={}, SCHEDULER_ROLE="client")
    with caplog.at_level(logging.WARNING, "scheduler_app"):
        Scheduler(app)
    assert len([r for r in caplog.records if "Flask-APScheduler" in r.message]) == 1


def test_a_second_scheduler_on_one_app_is_refused(app: Flask) -> None:
    with pytest.raises(AlreadyRegisteredError) as refused:
        Scheduler(app)
    assert str(refused.value) == (
        "A 'Scheduler' instance has already been registered on this Flask app. Import and use that instance instead."
    )


def test_scheduling_outside_an_app_context_says_what_to_write() -> None:
    with pytest.raises(NoAppContextError) as refused:
        schedule_after(1, remind, 1)
    assert str(refused.value) == (
        "The scheduler was used outside of a Flask app context, so it cannot tell which app is meant."
        " Wrap the call in 'with app.app_context():'."
    )


def test_scheduling_in_an_app_without_a_scheduler_says_what_to_call() -> None:
    with Flask("none").app_context(), pytest.raises(NotRegisteredError) as refused:
        schedule_after(1, remind, 1)
    assert str(refused.value) == (
        "The current Flask app has no scheduler."
        " Call 'Scheduler(app)' or 'scheduler.init_app(app)' when the app is made."
    )


# -- the database ----------------------------------------------------------------------------------


def _app_on(url: str, **config: Any) -> Flask:
    app = Flask("database")
    app.config.update({"SECRET_KEY": "a secret of the tests", "SCHEDULER_ROLE": "client", **config})
    app.config["SCHEDULER_DATABASE_URL"] = url
    Scheduler(app)
    return app


REFUSED_SECONDS = 2.0
"""Within which a call raises when nobody listens: at once, on a busy machine."""
TIMEOUT_SECONDS = 2
"""The shortest time to wait for a connection that the driver takes."""


@pytest.fixture
def silent_port() -> Iterator[int]:
    """A port on which somebody listens, and says nothing."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


def _refusal_of(port: int, reason: str) -> float:
    """Check that scheduling on this port raises with the reason, and return the seconds that it took."""
    app = _app_on(
        f"postgresql://someone:hidden@127.0.0.1:{port}/none", SCHEDULER_CONNECT_TIMEOUT_SECONDS=TIMEOUT_SECONDS
    )
    began = time.monotonic()
    with app.app_context(), pytest.raises(StoreUnavailableError) as refused:
        schedule_after(1, remind, 1)
    seconds = time.monotonic() - began
    assert str(refused.value) == (
        f"The scheduler's database postgresql://someone:***@127.0.0.1:{port}/none cannot be used now: {reason}."
        " Nothing was stored. Check that it runs and accepts connections, then try again."
    )
    app.extensions["scheduler"].store.close()
    return seconds


def test_a_database_where_nobody_listens_is_told_at_once() -> None:
    reason = 'connection failed: connection to server at "127.0.0.1", port 1 failed: Connection refused'
    assert _refusal_of(1, reason) < REFUSED_SECONDS


def test_a_database_that_says_nothing_is_told_within_its_time(silent_port: int) -> None:
    seconds = _refusal_of(silent_port, "connection timeout expired")
    assert TIMEOUT_SECONDS - 0.1 < seconds < TIMEOUT_SECONDS + REFUSED_SECONDS


def test_a_missing_schema_names_the_command_that_makes_it(store_url: str) -> None:
    app = _app_on(store_url, SCHEDULER_AUTO_UPGRADE=False)
    shown = app.extensions["scheduler"].store.url
    with app.app_context(), pytest.raises(SchemaMissingError) as refused:
        schedule_after(1, remind, 1)
    assert str(refused.value) == (
        f"The scheduler's tables are missing from {shown}. Create them with 'flask scheduler db upgrade',"
        " or set SCHEDULER_AUTO_UPGRADE=True."
    )
    app.extensions["scheduler"].store.close()


@pytest.mark.parametrize(
    ("found", "error", "sentence"),
    [
        (
            "0_9",
            SchemaOlderError,
            "The scheduler's tables in {url} are at revision 0_9, but this version needs 1_0."
            " Bring them up to date with 'flask scheduler db upgrade', or set SCHEDULER_AUTO_UPGRADE=True.",
        ),
        (
            "2_0",
            SchemaNewerError,
            "The scheduler's tables in {url} are at revision 2_0, which is newer than this version can use (1_0)."
            " Upgrade the scheduler-app package on this machine.",
        ),
    ],
)
def test_a_schema_of_another_major_version_is_refused(store_url: str, found: str, error: Any, sentence: str) -> None:
    engine = Store(store_url).engine
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE scheduler_alembic_version (version_num VARCHAR(32))"))
        connection.execute(text("INSERT INTO scheduler_alembic_version VALUES (:found)"), {"found": found})
    engine.dispose()
    app = _app_on(store_url, SCHEDULER_AUTO_UPGRADE=False)
    store = app.extensions["scheduler"].store
    with app.app_context(), pytest.raises(error) as refused:
        schedule_after(1, remind, 1)
    assert str(refused.value) == sentence.format(url=store.url)
    store.close()


def test_a_server_database_without_any_key_to_sign_with_is_refused(postgresql_url: str) -> None:
    app = _app_on(postgresql_url, SECRET_KEY=None, SCHEDULER_AUTO_UPGRADE=True)
    with app.app_context(), pytest.raises(NoSigningKeyError) as refused:
        schedule_after(1, remind, 1)
    assert str(refused.value) == (
        "Stored calls must be signed, and there is no key to sign them with."
        " Set SECRET_KEY or SCHEDULER_SIGNING_KEY, the same on every host."
    )
    app.extensions["scheduler"].store.close()


@pytest.mark.parametrize(
    "kind",
    [
        "nfs",
        "nfs4",
        "cifs",
        "smb3",
        "9p",
        "fuse.sshfs",
        "fuse.glusterfs",
        "fuse.ceph-fuse",
        "fuse.s3fs",
        "fuse.rclone",
        "fuse.gcsfuse",
    ],
)
def test_a_sqlite_file_on_a_network_file_system_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setattr(scheduler_app.store.sqlite, "file_system", lambda path: kind)
    app = _app_on(f"sqlite:///{tmp_path}/jobs.sqlite3")
    with app.app_context(), pytest.raises(NetworkFileSystemError) as refused:
        schedule_after(1, remind, 1)
    assert str(refused.value) == (
        f"The SQLite file {tmp_path}/jobs.sqlite3 is on a network file system ({kind}), where SQLite loses writes."
        " Put it on a local disk, or set SCHEDULER_DATABASE_URL to PostgreSQL."
    )
    assert not (tmp_path / "jobs.sqlite3").exists()


@pytest.mark.parametrize("kind", ["ext4", "overlay", "tmpfs", "fuseblk", "fuse.ntfs-3g", "fuse.mergerfs", ""])
def test_a_sqlite_file_on_a_local_file_system_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setattr(scheduler_app.store.sqlite, "file_system", lambda path: kind)
    app = _app_on(f"sqlite:///{tmp_path}/jobs.sqlite3")
    with app.app_context():
        assert schedule_after(1, remind, 1)
    app.extensions["scheduler"].store.close()


def test_the_type_of_a_real_file_system_is_found(tmp_path: Path) -> None:
    assert scheduler_app.store.sqlite.file_system(Path("/proc/self")) == "proc"
    assert scheduler_app.store.sqlite.file_system(tmp_path) not in ("", "proc")
