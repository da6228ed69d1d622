"""`flask db migrate` of a real app that shares its database: with `include_name`, and what is told without it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from scheduler_app import include_name
from scheduler_app.store.app_migrations import spares_our_tables
from tests.acceptance.processes import environment

APP = """
from flask import Flask
from flask_migrate import Migrate
from flask_sqlalchemy import SQLAlchemy
from scheduler_app import Scheduler, include_name

app = Flask("shop")
app.config.from_prefixed_env()
app.config.update(SECRET_KEY="the secret of the shop", SCHEDULER_AUTO_UPGRADE=True)
db = SQLAlchemy(app)
Migrate(app, db{options})
Scheduler(app)


class Order(db.Model):
    id = db.Column(db.Integer, primary_key=True)
"""
REMEDY = (
    "Pass include_name (from scheduler_app import include_name) to Alembic: Migrate(app, db, include_name=include_name)"
    " with Flask-Migrate, or context.configure(..., include_name=include_name) in the env.py of the app's migrations."
)
TABLES = (
    "scheduler_alembic_version, scheduler_attempts, scheduler_audit, scheduler_jobs, scheduler_queues,"
    " scheduler_schedules, scheduler_workers"
)

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def flask(tmp_path: Path, store_url: str) -> Run:
    """Run `flask ...` in the folder of an app, whose migrations are told of the scheduler's tables, or not."""

    def run(*arguments: str, options: str = ", include_name=include_name") -> subprocess.CompletedProcess[str]:
        (tmp_path / "shop.py").write_text(APP.replace("{options}", options))
        env = environment(tmp_path, FLASK_SQLALCHEMY_DATABASE_URI=store_url)
        return subprocess.run(
            [sys.executable, "-m", "flask", "--app", "shop", *arguments],
            cwd=tmp_path, env=env, capture_output=True, text=True, timeout=50, check=False,
        )  # fmt: skip

    return run


def revisions(folder: Path) -> list[str]:
    """Return what the app's revisions say."""
    return [path.read_text() for path in (folder / "migrations" / "versions").glob("*.py")]


def said(done: subprocess.CompletedProcess[str]) -> str:
    return done.stdout + done.stderr


def test_the_apps_migrations_leave_the_schedulers_tables_alone_if_they_are_told_to(flask: Run, tmp_path: Path) -> None:
    for arguments in (["scheduler", "db", "upgrade"], ["db", "init"], ["db", "migrate"], ["db", "upgrade"]):
        done = flask(*arguments)
        assert done.returncode == 0, said(done)
        assert "would drop" not in said(done)
    [revision] = revisions(tmp_path)
    assert "scheduler" not in revision
    assert "order" in revision
    for arguments in (["db", "check"], ["scheduler", "db", "check"]):
        done = flask(*arguments)
        assert done.returncode == 0, said(done)

    without = flask("db", "check", options="")
    assert without.returncode != 0
    assert f"This would drop the scheduler's tables ({TABLES}) and every job in them. Do not apply it" in said(without)
    assert REMEDY in said(without)


def test_without_being_told_they_would_drop_them_and_that_is_said(flask: Run, tmp_path: Path) -> None:
    for arguments in (["scheduler", "db", "upgrade"], ["db", "init"]):
        assert flask(*arguments, options="").returncode == 0
    done = flask("db", "migrate", options="")
    assert done.returncode == 0, said(done)
    [revision] = revisions(tmp_path)
    assert "op.drop_table('scheduler_jobs')" in revision
    assert f"This would drop the scheduler's tables ({TABLES}) and every job in them. Do not apply it" in said(done)
    check = flask("scheduler", "db", "check", options="")
    assert check.returncode == 1
    told = "The app's own migrations in migrations would drop the scheduler's tables at their next autogenerate."
    assert check.stderr == f"Error: {told} {REMEDY}\n"


# -- what counts as being told -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "code", "spares"),
    [
        ({}, "context.configure(connection=connection, **conf_args)", False),
        ({}, "# include_name is for others\ncontext.configure(connection=connection)", False),
        ({}, "context.configure(connection=connection, include_name=include_name)", True),
        ({}, "conf_args['include_object'] = leave_alone", True),
        ({}, "conf_args.setdefault('include_name', f)", True),
        ({"include_name": include_name}, "", True),
        ({"include_name": lambda name, type_, parents: True}, "", False),
        ({"include_name": lambda *a: include_name(*a) and a[0] != "spatial_ref_sys"}, "", True),
        ({"include_object": lambda it, name, type_, reflected, other: not name.startswith("scheduler_")}, "", True),
        ({"include_object": lambda *a: True}, "", False),
        ({"include_name": None, "compare_type": True}, "", False),
    ],
)  # fmt: skip
def test_whether_alembic_is_told_to_leave_our_tables_alone(
    options: dict[str, object], code: str, spares: bool, tmp_path: Path
) -> None:
    (tmp_path / "env.py").write_text(code)
    assert spares_our_tables(options, tmp_path / "env.py") is spares
