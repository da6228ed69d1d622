"""`flask scheduler doctor`: the rules by a table of cases, and the command on real databases."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask
from flask_migrate import Migrate
from flask_sqlalchemy import SQLAlchemy

from scheduler_app import Scheduler
from scheduler_app.cli.doctor import RULES, Facts, Level, examined
from scheduler_app.cli.doctor.facts import Admin, Host, Key, Pool, Work
from scheduler_app.client import Client, QueueStatus, UnknownTask, make_options
from scheduler_app.queues import Queue
from scheduler_app.settings import ExecutorSettings
from scheduler_app.store import schema
from scheduler_app.store.examine import Look
from scheduler_app.store.place import Place
from scheduler_app.store.workers import WorkerRow
from tests.unit.cli.conftest import MakeApp, commands_of
from tests.unit.cli.shop import put
from tests.unit.cli.test_status import register

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
ALIVE = WorkerRow(
    id="w1", host="alpha", pid=42, boot_id=None, pid_namespace=None, pid_started=None, beat=3, state="running",
    queues=None, executors="{}", tasks="[]", key_ids='["0123abcd"]', started_at=NOW, seen_at=NOW,
    package_version="1.0",
)  # fmt: skip
SILENT = replace(ALIVE, id="w2", seen_at=NOW - timedelta(seconds=45))
LOOK = Look(revision=schema.HEAD, differences=(), journal="", skew_seconds=0.01, transactions=(), unseen=None)
PLACE = Place(
    path="/var/lib/shop/jobs.sqlite3", exists=True, file_system="ext4", is_network=False, version="3.52.0",
    is_too_old=False, may_lose_writes=False, is_elected=False,
)  # fmt: skip
WORK = Work(now=NOW, lease_seconds=30, workers=(ALIVE,), queues=(), unknown_tasks=(), quarantined=0)
KEY = Key(source="SECRET_KEY", shortest=32, signs_with="0123abcd")
WELL = Facts(
    url="postgresql://me:***@db/shop", upgrades_at_start=False, role="auto", app_path=None,
    executors={"default": ExecutorSettings()}, key=KEY, admin=Admin(is_open=True, is_debug=False, shortest=43),
    pools=(Pool(name="default", capacity=15),),
    host=Host(has_processes=True, can_limit_memory=True, temporary=("/tmp",)), autogenerate=None, place=None,
    look=LOOK, unusable=None, work=WORK,
)  # fmt: skip
"""An app that has nothing wrong with it, on a server."""

FILE = replace(WELL, place=PLACE, look=replace(LOOK, journal="wal"))
"""The same on SQLite."""


def waits(name: str = "mail", late: float | None = 0.0, paused: bool = False) -> tuple[QueueStatus, ...]:
    oldest = None if late is None else NOW - timedelta(seconds=late)
    return (QueueStatus(Queue(name), 3, 0, oldest, paused),)


def working(**changes: Any) -> dict[str, Any]:
    return {"work": replace(WORK, **changes)}


CASES: Mapping[str, tuple[Facts, dict[str, Any], tuple[str, Level, str]]] = {
    "the database is away": (
        WELL, {"look": None, "work": None, "unusable": "It cannot be used now."},
        ("schema", Level.ERROR, "It cannot be used now."),
    ),
    "no file yet": (FILE, {"look": None, "work": None}, ("schema", Level.OK, "There is no file")),
    "no tables yet": (
        FILE, {"look": replace(LOOK, revision=None), "upgrades_at_start": True},
        ("schema", Level.OK, "There are no tables yet"),
    ),
    "older tables that are brought up to date at a start": (
        FILE, {"look": replace(LOOK, revision="0_9"), "upgrades_at_start": True},
        ("schema", Level.OK, "brought to 1_0 at a start"),
    ),
    "tables of a later minor version": (
        WELL, {"look": replace(LOOK, revision="1_9")}, ("schema", Level.WARNING, "1_9"),
    ),
    "a column is gone": (
        WELL, {"look": replace(LOOK, differences=["The column scheduler_jobs.tags is missing."])},
        ("schema", Level.ERROR, "The column scheduler_jobs.tags is missing."),
    ),
    "the host's clock is behind": (
        WELL, {"look": replace(LOOK, skew_seconds=65.0)}, ("clock", Level.WARNING, "1 min 5 s behind the database's"),
    ),
    "the host's clock is ahead": (
        WELL, {"look": replace(LOOK, skew_seconds=-3.0)}, ("clock", Level.WARNING, "3.0 s ahead of the database's"),
    ),
    "SQLite's clock is the host's": (FILE, {}, ("clock", Level.OK, "this host's own")),
    "SQLite is too old": (FILE, {"place": replace(PLACE, is_too_old=True)}, ("sqlite", Level.ERROR, "older than 3.35")),
    "SQLite may lose writes, and is bound": (
        FILE, {"place": replace(PLACE, may_lose_writes=True, is_elected=True)}, ("sqlite", Level.OK, "one elected"),
    ),
    "SQLite may lose writes, and the app writes too": (
        FILE, {"place": replace(PLACE, may_lose_writes=True)}, ("sqlite", Level.WARNING, "a file of its own"),
    ),
    "SQLite may lose writes in WAL, which this file has not": (
        FILE, {"place": replace(PLACE, may_lose_writes=True), "look": replace(LOOK, journal="delete")},
        ("sqlite", Level.OK, "another journal"),
    ),
    "a network file system": (
        FILE, {"place": replace(PLACE, is_network=True, file_system="nfs4")}, ("file", Level.ERROR, "(nfs4)"),
    ),
    "a folder shared with another system": (
        FILE, {"place": replace(PLACE, file_system="virtiofs")}, ("file", Level.WARNING, "two systems share"),
    ),
    "a folder that is emptied": (
        FILE, {"place": replace(PLACE, path="/tmp/jobs.sqlite3")}, ("file", Level.WARNING, "is in /tmp, and lost"),
    ),
    "a folder whose name only begins so": (
        FILE, {"place": replace(PLACE, path="/tmpfiles/jobs.sqlite3")}, ("file", Level.OK, "local file system (ext4)"),
    ),
    "memory": (FILE, {"place": replace(PLACE, file_system="tmpfs")}, ("file", Level.WARNING, "memory (tmpfs)")),
    "a container's layer": (
        FILE, {"place": replace(PLACE, file_system="overlay")}, ("file", Level.WARNING, "Mount a volume"),
    ),
    "a long transaction": (
        WELL, {"look": replace(LOOK, transactions=[(125.0, "pid 7, idle in transaction")])},
        ("transactions", Level.WARNING, "open for 2 min 5 s (pid 7, idle in transaction)"),
    ),
    "transactions that may not be seen": (
        WELL, {"look": replace(LOOK, unseen="Access denied; you need PROCESS")}, ("transactions", Level.OK, "PROCESS"),
    ),
    "the app's migrations": (WELL, {"autogenerate": "They would drop."}, ("migrations", Level.ERROR, "would drop")),
    "processes without an app": (
        WELL, {"executors": {"cpu": ExecutorSettings(type="processes")}}, ("executors", Level.ERROR, "SCHEDULER_APP"),
    ),
    "processes that know the app": (
        WELL, {"executors": {"cpu": ExecutorSettings(type="processes", max_workers=2)}, "app_path": "shop:app"},
        ("executors", Level.OK, "cpu=2"),
    ),
    "processes where there are none": (
        WELL, {"executors": {"cpu": ExecutorSettings(type="processes")}, "app_path": "shop:app",
               "host": replace(WELL.host, has_processes=False)},
        ("executors", Level.ERROR, "POSIX"),
    ),
    "a limit of memory where there is none": (
        WELL, {"executors": {"cpu": ExecutorSettings(type="processes", memory_mb=9)}, "app_path": "shop:app",
               "host": replace(WELL.host, can_limit_memory=False)},
        ("executors", Level.ERROR, "'memory_mb'"),
    ),
    "more threads than connections": (
        WELL, {"executors": {"a": ExecutorSettings(max_workers=20)}}, ("pools", Level.WARNING, "gives 15 connections"),
    ),
    "no key": (WELL, {"key": Key(source="")}, ("key", Level.ERROR, "nothing to sign")),
    "a key of the tutorial": (WELL, {"key": replace(KEY, is_well_known=True)}, ("key", Level.ERROR, "anybody")),
    "a short key": (WELL, {"key": replace(KEY, shortest=9)}, ("key", Level.WARNING, "a secret of 9 characters")),
    "a key in a file": (FILE, {"key": Key(source="file")}, ("key", Level.OK, "with every backup")),
    "an older key": (WELL, {"key": replace(KEY, count=2)}, ("key", Level.OK, "1 older key is still believed")),
    "a worker with other keys": (
        WELL, {"key": replace(KEY, signs_with="ffffffff")}, ("key", Level.ERROR, "does not believe the key"),
    ),
    "a short token": (
        WELL, {"admin": Admin(is_open=True, is_debug=False, shortest=6)}, ("admin", Level.ERROR, "6 characters"),
    ),
    "debug": (WELL, {"admin": Admin(is_open=False, is_debug=True)}, ("admin", Level.WARNING, "debug mode")),
    "a closed admin": (WELL, {"admin": Admin(is_open=False, is_debug=False)}, ("admin", Level.OK, "closed")),
    "a silent worker": (
        WELL, working(workers=(ALIVE, SILENT)),
        ("workers", Level.WARNING, "w2 on alpha, pid 42, has been silent for 45 s"),
    ),
    "nobody is alive": (
        WELL, working(workers=(SILENT,)), ("roles", Level.WARNING, "No worker is alive. Start the app"),
    ),
    "nobody runs what is due": (
        WELL, working(workers=(), queues=waits()), ("roles", Level.ERROR, "Jobs are due, and nobody runs them."),
    ),
    "nobody but clients": (
        WELL, {"role": "client"} | working(workers=()), ("roles", Level.WARNING, "Start 'flask scheduler run'."),
    ),
    "a queue that nobody serves": (
        WELL, working(workers=(replace(ALIVE, queues='["slow"]'),), queues=waits(late=5)),
        ("queues", Level.ERROR, "serves the queue 'mail'; 3 jobs wait in it. Start one with"),
    ),
    "a queue that nobody serves yet": (
        WELL, working(workers=(replace(ALIVE, queues='["slow"]'),), queues=waits(late=None)),
        ("queues", Level.WARNING, "No live worker serves"),
    ),
    "a queue that is late": (WELL, working(queues=waits(late=90)), ("queues", Level.WARNING, "due for 1 min 30 s")),
    "a queue that is paused for good": (
        WELL, working(queues=waits(late=90, paused=True)), ("queues", Level.WARNING, "resume --queue mail"),
    ),
    "a queue in order": (WELL, working(queues=waits(late=1)), ("queues", Level.OK, "is served")),
    "a task that nobody has": (
        WELL, working(unknown_tasks=(UnknownTask("mail.hello", NOW, "it is not here.", False),)),
        ("tasks", Level.ERROR, "'mail.hello' wait, and nobody is known to have it: it is not here. Deploy"),
    ),
    "a task that is nearly one's name": (
        WELL, working(unknown_tasks=(UnknownTask("mail.snt", NOW, "gone. Did you mean 'mail.sent'?", False),)),
        ("tasks", Level.ERROR, "have it: gone. Did you mean 'mail.sent'? Deploy"),
    ),
    "a task that nobody has yet": (
        WELL, working(unknown_tasks=(UnknownTask("x", NOW + timedelta(hours=1), "gone", False),)),
        ("tasks", Level.WARNING, "nobody is known"),
    ),
    "a task that a worker asks for": (
        WELL, working(unknown_tasks=(UnknownTask("x", NOW + timedelta(hours=1), "gone", True),)),
        ("tasks", Level.ERROR, "A worker has met it"),
    ),
    "jobs that are put aside": (WELL, working(quarantined=1), ("quarantine", Level.WARNING, "1 job is put aside.")),
}  # fmt: skip


SELF_EXPLAINING = ("schema", "migrations", "executors")
"""The checks that pass on an error's own sentence, which ends with its remedy."""


def test_each_rule_says_what_it_finds_and_the_remedy() -> None:
    for facts in (WELL, FILE):
        assert {finding.level for finding in examined(facts)} == {Level.OK}
    wrong = []
    for name, (facts, changes, (check, level, words)) in CASES.items():
        found = examined(replace(facts, **changes))
        if not any((one.check, one.level) == (check, level) and words in f"{one.text} {one.remedy}" for one in found):
            wrong.append((name, found))
        bad = [one for one in found if one.level is not Level.OK and one.check not in SELF_EXPLAINING]
        wrong += [(name, one) for one in bad if not one.remedy]
    assert wrong == []


def test_every_rule_has_a_case_that_is_well_and_one_that_is_not() -> None:
    cases: dict[str, set[Level]] = {}
    for facts, _changes, (check, level, _words) in CASES.values():
        cases.setdefault(check, set()).update({level, *(one.level for one in examined(facts) if one.check == check)})
    said_when_well = {one.check for facts in (WELL, FILE) for one in examined(facts)}
    assert cases.keys() == said_when_well | {"roles", "quarantine"}
    assert [check for check, levels in cases.items() if levels == {Level.OK}] == []
    assert len(RULES) == 16


# -- the command -----------------------------------------------------------------------------------


def told(app: Flask, *words: str) -> tuple[int, dict[str, list[dict[str, Any]]], str]:
    done = commands_of(app)("doctor", "--format", "json", *words)
    found: dict[str, list[dict[str, Any]]] = {}
    for one in json.loads(done.stdout):
        found.setdefault(one["check"], []).append(one)
    return done.exit_code, found, done.stderr


def test_before_the_first_start_nothing_is_made(make_app: MakeApp, tmp_path: Path) -> None:
    code, found, _ = told(make_app(SECRET_KEY=None))
    assert code == 0
    assert found["schema"][0]["text"].startswith("There is no file sqlite:")
    assert found["key"][0]["text"].startswith("Jobs are signed with a key in a file")
    assert list(tmp_path.iterdir()) == []


def test_a_real_database_is_examined_and_an_error_ends_with_1(make_app: MakeApp, store_url: str) -> None:
    app = make_app(SCHEDULER_DATABASE_URL=store_url, SCHEDULER_AUTO_UPGRADE=True, SCHEDULER_ADMIN_TOKEN="x" * 20)
    client: Client = app.extensions["scheduler"].client
    put(client, options=make_options(queue="mail"))
    key = client.calls.signer().key_ids[0]
    register(client, key_ids=f'["{key}"]')
    code, found, summary = told(app)
    assert (code, summary.startswith("0 errors, ")) == (0, True), found
    assert {check for check, lines in found.items() if any(one["level"] == "warning" for one in lines)} <= {"file"}
    assert found["schema"][0]["text"].endswith("are at revision 1_0.")
    assert ("transactions" in found) == ("sqlite" not in found)

    register(client, id="w2", queues='["slow"]', key_ids='["00000000"]')
    put(client, after=0)
    late = commands_of(app)("doctor")
    assert late.exit_code == 1
    assert "error    key " in late.stdout
    assert late.stderr.startswith("1 error, ")


def test_the_pools_and_the_migrations_of_the_apps_own_database_are_examined(sqlite_url: str, tmp_path: Path) -> None:
    app = Flask("shop", root_path=str(tmp_path))
    app.config.from_mapping(SECRET_KEY="0123456789abcdef", SQLALCHEMY_DATABASE_URI=sqlite_url)
    app.config["SQLALCHEMY_ENGINE_OPTIONS"] = {"pool_size": 2, "max_overflow": 1}
    db = SQLAlchemy(app)
    Migrate(app, db, directory=str(tmp_path))
    (tmp_path / "env.py").write_text("")
    Scheduler(app)
    put(app.extensions["scheduler"].client)
    code, found, _ = told(app)
    assert (code, found["migrations"][0]["level"], found["pools"][0]["level"]) == (1, "error", "warning")
    assert found["pools"][0]["text"].startswith("The app's pool 'default' gives 3 connections, and 10 jobs may run")
    app.extensions["scheduler"].client.store.close()
    with app.app_context():
        db.engine.dispose()


def test_older_tables_are_told_and_left_as_they_are(make_app: MakeApp) -> None:
    upgrades, left = make_app(), make_app(SCHEDULER_AUTO_UPGRADE=False)
    client: Client = upgrades.extensions["scheduler"].client
    put(client)
    client.store.write(lambda c: c.execute(sa.text("UPDATE scheduler_alembic_version SET version_num = '0_9'")))
    code, found, _ = told(upgrades)
    assert (code, found["schema"][0]["level"]) == (0, "ok")
    assert found["schema"][0]["text"].startswith("The tables are at 0_9 in ")
    code, found, _ = told(left)
    assert (code, found["schema"][0]["level"]) == (1, "error")
    assert client.store.read(schema.revision) == "0_9"


def test_a_warning_is_enough_with_strict(make_app: MakeApp) -> None:
    app = make_app()
    put(app.extensions["scheduler"].client)
    assert (told(app)[0], told(app, "--strict")[0]) == (0, 1)


@pytest.mark.parametrize("url", ["postgresql://me:hush@127.0.0.1:1/jobs"])
def test_a_database_that_is_away_is_one_error_and_the_rest_is_examined(make_app: MakeApp, url: str) -> None:
    code, found, _ = told(make_app(SCHEDULER_DATABASE_URL=url, SECRET_KEY="dev"))
    assert code == 1
    assert found["schema"][0]["text"].startswith("The scheduler's database postgresql://me:***@127.0.0.1:1/jobs cannot")
    assert found["key"][0]["level"] == "error"
    assert "workers" not in found
