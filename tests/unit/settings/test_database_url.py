"""Which databases may hold jobs, and which one an app gets that names none."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import make_url

from scheduler_app.settings import read_settings
from tests.unit.settings.configured import notices_of, problems_of, read

URL_EXAMPLES = "'postgresql://user:password@host/database' or 'sqlite:////var/lib/app/jobs.sqlite3'"
IN_MEMORY = (
    "names an in-memory SQLite database, where no job would survive the process and each connection would see a"
    " database of its own. Name a file, such as 'sqlite:////var/lib/app/jobs.sqlite3'."
)


@pytest.mark.parametrize(
    ("raw", "url"),
    [
        ("postgresql://u:p@h:5432/d", "postgresql://u:p@h:5432/d"),
        ("postgresql+psycopg://u:p%40ss@[::1]:5432/d?sslmode=require", None),
        ("postgresql:///d?host=/run/postgresql", None),
        ("postgres://u:p@h/d\n", "postgresql://u:p@h/d"),
        ("sqlite:////var/lib/jobs.sqlite3", None),
        ("sqlite+pysqlite:////var/lib/jobs.sqlite3?timeout=3", None),
        ("sqlite:///jobs.sqlite3", "sqlite:////srv/app/instance/jobs.sqlite3"),
    ],
)
def test_the_url_of_a_database_is_accepted(raw: str, url: str | None) -> None:
    settings = read(SCHEDULER_DATABASE_URL=raw)
    assert settings.database_url == (url or raw)
    assert settings.database_url_source == "setting"


def test_a_url_object_of_sqlalchemy_keeps_its_password() -> None:
    url = "postgresql://u:hush@h/d"
    assert read(SCHEDULER_DATABASE_URL=make_url(url)).database_url == url


@pytest.mark.parametrize(
    "raw",
    [
        ":memory:",
        "sqlite://",
        "sqlite:///",
        "sqlite:///:memory:",
        "sqlite+pysqlite:///:memory:?timeout=3",
        "sqlite:///file::memory:?uri=true",
        "sqlite:///file:x?mode=memory&uri=true",
    ],
)
def test_a_database_in_memory_is_refused(raw: str) -> None:
    assert problems_of(SCHEDULER_DATABASE_URL=raw) == [f"SCHEDULER_DATABASE_URL {IN_MEMORY}"]


@pytest.mark.parametrize("raw", ["jobs.sqlite3", "u:hush@h/d", "host=h password=hush", "://x", 7, "a b://c"])
def test_what_is_no_url_is_refused_without_being_shown(raw: Any) -> None:
    assert problems_of(SCHEDULER_DATABASE_URL=raw) == [
        f"SCHEDULER_DATABASE_URL is not the URL of a database, such as {URL_EXAMPLES}."
    ]


@pytest.mark.parametrize(
    ("raw", "problem"),
    [
        (
            "mysql+mysqldb://u:hush@h/d",
            "names the driver 'mysqldb', which is not supported. Begin it with 'mysql+pymysql://'.",
        ),
        (
            "mariadb+mariadbconnector://u:hush@h/d",
            "names the driver 'mariadbconnector', which is not supported. Begin it with 'mariadb+pymysql://'.",
        ),
        (
            "oracle://u:hush@h/d",
            "names a 'oracle' database, which is not supported. Use PostgreSQL, MySQL, MariaDB or a SQLite file.",
        ),
        (
            "postgresq://u:hush@h/d",
            "names a 'postgresq' database, which is not supported. Use PostgreSQL, MySQL, MariaDB or a SQLite file."
            " Did you mean 'postgresql'?",
        ),
        (
            "postgresql+psycopg2://u:hush@h/d",
            "names the driver 'psycopg2', which is not supported. Begin it with 'postgresql+psycopg://'.",
        ),
        (
            "sqlite+aiosqlite:////x.db",
            "names the driver 'aiosqlite', which is not supported. Begin it with 'sqlite+pysqlite://'.",
        ),
        (
            "sqlite://x.db",
            "lacks a slash: write 'sqlite:///' before a relative path and 'sqlite:////' before an absolute one.",
        ),
        (
            "sqlite:///file:/var/lib/jobs.sqlite3?uri=true",
            "names a SQLite file by a URI ('file:...'), of which it cannot be known where that file is: the scheduler"
            " keeps its key and its locks beside it. Write its path, such as 'sqlite:////var/lib/app/jobs.sqlite3'.",
        ),
        ("postgresql://u:hush@h:hush/d", f"has a port that is not a number. It is written like {URL_EXAMPLES}."),
    ],
)
def test_a_database_that_cannot_be_used_is_refused(raw: str, problem: str) -> None:
    assert problems_of(SCHEDULER_DATABASE_URL=raw) == [f"SCHEDULER_DATABASE_URL {problem}"]


def test_the_database_that_the_app_has_is_taken_when_none_is_set() -> None:
    settings = read("postgresql://u:p@h/d")
    assert settings.database_url == "postgresql://u:p@h/d"
    assert settings.database_url_source == "flask-sqlalchemy"
    assert read("postgresql://u:p@h/d", SCHEDULER_DATABASE_URL="sqlite:////x.db").database_url == "sqlite:////x.db"


def test_a_relative_path_of_the_apps_database_starts_where_the_app_has_it_start() -> None:
    folders = {"app_name": "a", "instance_path": "/home/a", "default_folder": "/elsewhere", "debug": False}
    assert read_settings({}, default_url="sqlite:///app.db", **folders)[0].database_url == "sqlite:////elsewhere/app.db"
    assert read_settings({}, **folders)[0].database_url == "sqlite:////home/a/a-scheduler.sqlite3"
    own = {"SCHEDULER_DATABASE_URL": "sqlite:///jobs.db"}
    assert read_settings(own, **folders)[0].database_url == "sqlite:////home/a/jobs.db"


def test_an_apps_database_in_memory_is_passed_over_with_a_notice() -> None:
    settings = read("sqlite:///:memory:")
    assert settings.database_url == "sqlite:////srv/app/instance/shop-scheduler.sqlite3"
    assert settings.database_url_source == "default"
    assert notices_of("sqlite:///:memory:") == (
        "The app's Flask-SQLAlchemy database is in memory, where no job would survive; jobs are stored in a SQLite file"
        " in the instance folder instead. Set SCHEDULER_DATABASE_URL to choose another place.",
    )


def test_an_apps_database_that_cannot_be_used_is_a_problem() -> None:
    assert problems_of("oracle://u:hush@h/d") == [
        "SCHEDULER_DATABASE_URL is not set, and the URL of the app's Flask-SQLAlchemy database names a 'oracle'"
        " database, which is not supported. Use PostgreSQL, MySQL, MariaDB or a SQLite file."
    ]


def test_a_bad_url_does_not_make_the_apps_database_chosen_silently() -> None:
    assert len(problems_of("postgresql://h/d", SCHEDULER_DATABASE_URL="x")) == 1


@pytest.mark.parametrize(
    ("app_name", "file"),
    [("shop", "shop"), ("my shop/../x", "my-shop-..-x"), ("../..", "app"), ("søk.app", "s-k.app")],
)
def test_the_default_file_is_named_for_the_app_and_stays_in_the_instance_folder(app_name: str, file: str) -> None:
    settings, _ = read_settings({}, app_name=app_name, instance_path="/i", debug=False)
    assert settings.database_url == f"sqlite:////i/{file}-scheduler.sqlite3"


def test_an_instance_folder_of_any_name_reaches_the_database_unchanged() -> None:
    settings, _ = read_settings({}, app_name="a", instance_path="/srv/50%20 off?", debug=False)
    assert make_url(settings.database_url).database == "/srv/50%20 off?/a-scheduler.sqlite3"


def test_only_sqlite_upgrades_itself_unless_it_is_said() -> None:
    assert read().upgrades_itself
    assert not read("postgresql://h/d").upgrades_itself
    assert read("postgresql://h/d", SCHEDULER_AUTO_UPGRADE=True).upgrades_itself
    assert not read(SCHEDULER_AUTO_UPGRADE=False).upgrades_itself
