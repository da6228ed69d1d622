"""`flask scheduler db`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from flask import Flask
from sqlalchemy import Connection, create_engine, text

from scheduler_app.client import Client
from scheduler_app.store import Store, schema
from tests.unit.cli.conftest import MakeApp, Run, commands_of
from tests.unit.cli.shop import put

HISTORY = "The first schema: jobs, attempts, schedules, queues, workers, audit."


@pytest.fixture
def store(make_app: MakeApp, store_url: str) -> Store:
    """An empty database of each kind, in which nothing makes tables by itself."""
    app = make_app(SCHEDULER_DATABASE_URL=store_url, SCHEDULER_AUTO_UPGRADE=False)
    store: Store = app.extensions["scheduler"].client.store
    return store


@pytest.fixture
def db(make_app: MakeApp, store: Store, store_url: str) -> Run:
    """Runs `flask scheduler db` on that database."""
    run = commands_of(make_app(SCHEDULER_DATABASE_URL=store_url, SCHEDULER_AUTO_UPGRADE=False))
    return lambda *words, **how: run("db", *words, **how)


def execute(store: Store, *statements: str) -> None:
    with store.engine.begin() as connection:
        for statement in statements:
            connection.execute(text(statement))


def test_upgrade_makes_the_tables_and_repeating_it_is_harmless(db: Run, store: Store) -> None:
    done = db("upgrade")
    assert (done.exit_code, done.stdout, done.stderr) == (0, "", f"{store.url} went from nothing to 1_0.\n")
    assert db("upgrade").stderr == f"Nothing to do: {store.url} is at 1_0.\n"
    store.ensure_ready()


def test_current_prints_the_revision_and_nothing_where_there_is_none(db: Run, store: Store) -> None:
    done = db("current")
    assert (done.exit_code, done.stdout) == (0, "")
    assert done.stderr == (
        f"There are no tables of the scheduler in {store.url}. Make them with 'flask scheduler db upgrade'.\n"
    )
    db("upgrade")
    assert (db("current").stdout, db("current").stderr) == ("1_0\n", "")


def test_history_tells_which_revisions_the_tables_have(db: Run) -> None:
    row = {"revision": "1_0", "tables": "pending", "title": HISTORY}
    assert json.loads(db("history", "--format", "json").stdout) == [row]
    db("upgrade")
    assert json.loads(db("history", "--format", "json").stdout) == [row | {"tables": "current"}]
    assert db("history").stdout.splitlines()[1].split(maxsplit=2) == ["1_0", "current", HISTORY]


@pytest.mark.parametrize("command", ["upgrade", "downgrade", "stamp"])
def test_a_revision_that_there_is_not_is_told_the_nearest(db: Run, command: str) -> None:
    done = db(command, "haed")
    assert done.exit_code == 1
    assert done.stderr == (
        "Error: There is no revision 'haed'. Did you mean 'head'?"
        " See what there is with 'flask scheduler db history'.\n"
    )


def test_check_is_content_with_tables_that_upgrade_made(db: Run, store: Store) -> None:
    db("upgrade")
    done = db("check")
    assert done.exit_code == 0
    assert done.stderr == f"The tables in {store.url} are as they should be, at revision 1_0.\n"


def test_check_ends_with_1_where_there_are_no_tables(db: Run, store: Store) -> None:
    done = db("check")
    assert done.exit_code == 1
    assert done.stderr.startswith(f"Error: The scheduler's tables are missing from {store.url}. Create them with")


def test_check_names_what_somebody_changed(db: Run, store: Store) -> None:
    db("upgrade")
    execute(
        store,
        "ALTER TABLE scheduler_jobs DROP COLUMN progress",
        "ALTER TABLE scheduler_workers ADD COLUMN shoe_size INTEGER",
        "DROP INDEX scheduler_schedules_next" + (" ON scheduler_schedules" if store.dialect.name == "mysql" else ""),
        "DROP TABLE scheduler_audit",
        "CREATE TABLE users (id INTEGER PRIMARY KEY)",
    )
    done = db("check")
    assert done.exit_code == 1
    assert {line for line in done.stderr.splitlines() if line.startswith("  - ")} == {
        "  - The column scheduler_jobs.progress is missing.",
        "  - The column scheduler_workers.shoe_size is not expected.",
        "  - The index scheduler_schedules_next is missing.",
        "  - The table scheduler_audit is missing.",
        "  - The index scheduler_audit_actor is missing.",
        "  - The index scheduler_audit_action is missing.",
        "  - The index scheduler_audit_target is missing.",
    }
    assert done.stderr.endswith("Somebody changed them by hand: undo that, or restore them from a backup.\n")


@pytest.mark.parametrize(("found", "sentence"), [("0_9", "Bring them up to date with"), ("2_0", "which is newer than")])
def test_check_ends_with_1_on_an_older_or_newer_schema(db: Run, store: Store, found: str, sentence: str) -> None:
    db("upgrade")
    execute(store, f"UPDATE scheduler_alembic_version SET version_num = '{found}'")
    done = db("check")
    assert done.exit_code == 1
    assert sentence in done.stderr


def test_stamp_writes_the_revision_and_makes_nothing(db: Run, store: Store) -> None:
    assert db("stamp", "1_0").stderr == f"{store.url} went from nothing to 1_0.\n"
    assert db("current").stdout == "1_0\n"
    assert "  - The table scheduler_jobs is missing." in db("check").stderr
    assert db("stamp", "base").stderr == f"{store.url} went from 1_0 to nothing.\n"


# -- downgrade -------------------------------------------------------------------------------------


def test_downgrade_names_what_is_lost_and_refuses_where_nobody_can_be_asked(
    client: Client, flask_scheduler: Run
) -> None:
    client.cancel(put(client).id)
    put(client)
    done = flask_scheduler("db", "downgrade", stdin="y\n")
    assert done.exit_code == 2
    lost, *_, refusal = done.stderr.splitlines()
    assert lost == (
        f"This removes all tables of the scheduler from {client.store.url}, and in them 2 jobs (1 not finished)"
        " and 0 schedules."
    )
    assert refusal == "Error: Nobody can be asked, because stdin is no terminal. Repeat with --yes if it is meant."
    assert len(client.list()) == 2


def test_downgrade_with_yes_removes_every_table(db: Run, store: Store) -> None:
    db("upgrade")
    done = db("downgrade", "--yes")
    assert done.exit_code == 0
    assert done.stderr.endswith(f"and 0 schedules.\n{store.url} went from 1_0 to nothing.\n")
    with store.engine.connect() as connection:
        assert connection.dialect.get_table_names(connection) == [schema.VERSION_TABLE]
    assert db("downgrade", "--yes").stderr == f"Nothing to do: {store.url} is at no revision.\n"


def test_downgrade_says_that_the_app_makes_its_tables_again(flask_scheduler: Run) -> None:
    flask_scheduler("db", "upgrade")
    last = flask_scheduler("db", "downgrade", "--yes").stderr.splitlines()[-1]
    assert last == "The app makes its tables again when it starts next, unless SCHEDULER_AUTO_UPGRADE=False."


def test_downgrade_to_where_the_tables_are_does_nothing(db: Run, store: Store) -> None:
    db("upgrade")
    assert db("downgrade", "1_0").stderr == f"Nothing to do: {store.url} is at 1_0.\n"
    assert db("current").stdout == "1_0\n"


def test_downgrade_leaves_a_schema_that_it_does_not_know_alone(db: Run, store: Store) -> None:
    db("upgrade")
    execute(store, "UPDATE scheduler_alembic_version SET version_num = '2_0'")
    done = db("downgrade", "--yes")
    assert done.exit_code == 69
    assert done.stderr.endswith(
        "are at revision 2_0, which is newer than this version can use (1_0). Upgrade the scheduler-app package"
        " on this machine. 'flask scheduler db current' shows the revision.\n"
    )


# -- as SQL ----------------------------------------------------------------------------------------


def test_the_sql_of_upgrade_makes_the_tables_that_are_expected_and_that_of_downgrade_removes_them(
    db: Run, store: Store
) -> None:
    up, down = db("upgrade", "--sql"), db("downgrade", "--sql")
    assert (up.exit_code, up.stderr, down.exit_code, down.stderr) == (0, "", 0, "")
    run_script(store, up.stdout)
    assert db("check").exit_code == 0
    run_script(store, down.stdout)
    assert db("current").stdout == ""


def test_the_sql_of_stamp_writes_the_revision(db: Run, store: Store) -> None:
    run_script(store, db("stamp", "head", "--sql").stdout)
    assert db("current").stdout == "1_0\n"


def run_script(store: Store, script: str) -> None:
    """Run a script's statements one by one, as a database administrator's tool would."""
    lines = "\n".join(line for line in script.splitlines() if not line.startswith("--"))
    statements = [statement.strip() for statement in lines.split(";")]
    engine = create_engine(store.engine.url)
    with engine.begin() as connection:
        for statement in statements:
            if statement not in ("", "BEGIN", "COMMIT"):
                connection.execute(text(statement))
    engine.dispose()


def test_the_sql_is_printed_without_a_connection(make_app: MakeApp) -> None:
    app: Flask = make_app(SCHEDULER_DATABASE_URL="postgresql://me@127.0.0.1:1/jobs")
    run = commands_of(app)
    up = run("db", "upgrade", "--sql")
    assert up.exit_code == 0
    assert "run_at TIMESTAMP WITH TIME ZONE NOT NULL" in up.stdout
    assert "DROP TABLE scheduler_jobs" in run("db", "downgrade", "--sql").stdout


# -- a database that cannot be used ----------------------------------------------------------------


@pytest.mark.parametrize(
    "words", [["current"], ["check"], ["upgrade"], ["stamp", "head"], ["downgrade", "--yes"]], ids=" ".join
)
def test_a_database_that_does_not_answer_ends_with_69(make_app: MakeApp, words: list[str]) -> None:
    run = commands_of(make_app(SCHEDULER_DATABASE_URL="postgresql://me:hush@127.0.0.1:1/jobs"))
    done = run("db", *words)
    assert done.exit_code == 69
    assert done.stderr.startswith("Error: The scheduler's database postgresql://me:***@127.0.0.1:1/jobs cannot be used")


def test_history_is_known_without_the_database(make_app: MakeApp) -> None:
    done = commands_of(make_app(SCHEDULER_DATABASE_URL="postgresql://me@127.0.0.1:1/jobs"))("db", "history")
    assert done.exit_code == 0
    assert done.stdout.splitlines()[1].split(maxsplit=2) == ["1_0", "?", HISTORY]
    assert done.stderr.startswith("Which of them the tables have is not known: The scheduler's database")


def test_a_file_that_is_no_database_ends_with_69(make_app: MakeApp, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("Dear diary, " * 100)
    done = commands_of(make_app(SCHEDULER_DATABASE_URL=f"sqlite:///{tmp_path}/notes.txt"))("db", "current")
    assert done.exit_code == 69
    assert "file is not a database" in done.stderr


def test_what_the_database_refuses_is_told_with_the_command_to_try(client: Client, flask_scheduler: Run) -> None:
    put(client)

    def spoil(connection: Connection) -> None:
        connection.execute(text("DROP TABLE scheduler_jobs"))

    client.store.write(spoil)
    done = flask_scheduler("list")
    assert done.exit_code == 69
    assert done.stderr == (
        f"Error: The scheduler's database {client.store.url} refused: no such table: scheduler_jobs."
        " Look at its tables with 'flask scheduler db check'.\n"
    )
