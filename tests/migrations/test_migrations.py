"""The schema: up, down and up again, beside the app's own migrations, by several processes at once."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Barrier, Thread

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from flask import Flask
from sqlalchemy import Column, Integer, MetaData, String, Table, create_engine, inspect, text

from alembic import command
from scheduler_app import Scheduler, include_name
from scheduler_app.errors import SchemaMissingError, SchemaNewerError, SchemaOlderError
from scheduler_app.jobs import JobState
from scheduler_app.store import Store, schema
from scheduler_app.store.tables import VERSION_TABLE, metadata

ROOT = Path(__file__).resolve().parents[2]
TABLES = {
    "scheduler_jobs",
    "scheduler_attempts",
    "scheduler_schedules",
    "scheduler_queues",
    "scheduler_workers",
    "scheduler_audit",
}
PROCESSES = 6


@pytest.fixture
def make_store(store_url: str) -> Iterator[Callable[..., Store]]:
    """Open the test's database, which has no tables yet."""
    made: list[Store] = []

    def make(**options: bool) -> Store:
        made.append(Store(store_url, **options))  # type: ignore[arg-type]
        return made[-1]

    yield make
    for store in made:
        store.close()


@pytest.fixture
def store(make_store: Callable[..., Store]) -> Store:
    return make_store()


def upgrade(store: Store, target: str = "head") -> None:
    schema.upgrade_to(store.engine, store.dialect, target)


def downgrade(store: Store, target: str = "base") -> None:
    schema.downgrade_to(store.engine, store.dialect, target)


def tables_in(store: Store) -> set[str]:
    return set(inspect(store.engine).get_table_names())


def shape_of(store: Store) -> dict[str, object]:
    """Return the columns and indexes of every table, as the database tells them."""
    looking = inspect(store.engine)
    return {
        name: ([(c["name"], str(c["type"]), c["nullable"]) for c in looking.get_columns(name)],
               sorted(str(i["name"]) for i in looking.get_indexes(name)))
        for name in sorted(tables_in(store) - {VERSION_TABLE})
    }  # fmt: skip


def execute(store: Store, statement: str) -> None:
    with store.engine.begin() as connection:
        connection.execute(text(statement))


def stamp(store: Store, revision: str) -> None:
    """Have the database say that it is at a revision that this code may not know."""
    execute(store, f"UPDATE {VERSION_TABLE} SET version_num = '{revision}'")


# -- up and down ---------------------------------------------------------------------------------------


def test_up_makes_the_tables_down_removes_them_and_up_makes_the_same_again(store: Store) -> None:
    upgrade(store)
    assert tables_in(store) == TABLES | {VERSION_TABLE}
    first = shape_of(store)
    downgrade(store)
    assert tables_in(store) <= {VERSION_TABLE}
    assert schema.current(store.engine) is None
    upgrade(store)
    assert shape_of(store) == first
    assert schema.current(store.engine) == schema.HEAD


def test_the_newest_migration_is_the_one_that_the_code_was_written_for() -> None:
    assert schema.history()[0].revision == schema.HEAD


def test_the_migrated_tables_are_those_of_the_metadata(store: Store) -> None:
    upgrade(store)
    with store.engine.connect() as connection:
        options = {
            "compare_type": True,
            "compare_server_default": store.dialect.name != "mysql",  # which tells false as 0
            "version_table": VERSION_TABLE,
            "include_object": schema.expected_of(connection),
        }
        context = MigrationContext.configure(connection, opts=options)
        assert compare_metadata(context, metadata) == []
    assert schema.differences(store.engine) == []


def test_the_indexes_are_partial_and_unique_as_the_metadata_says(
    store: Store, make_store: Callable[..., Store]
) -> None:
    upgrade(store)
    migrated = definitions(store)
    downgrade(store)
    metadata.create_all(store.engine)
    assert definitions(store) == migrated
    assert sum(" WHERE " in sql for sql in migrated) == (0 if store.dialect.name == "mysql" else 10)


INDEXES = {
    "sqlite": "SELECT sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL",
    "postgresql": "SELECT indexdef FROM pg_indexes WHERE schemaname = 'public'",
    "mysql": "SELECT concat_ws(' ', table_name, index_name, non_unique, seq_in_index, column_name)"
    " FROM information_schema.statistics WHERE table_schema = database()",
}


def definitions(store: Store) -> list[str]:
    """Return the index definitions in the database's own words."""
    with store.engine.connect() as connection:
        rows = connection.execute(text(INDEXES[store.dialect.name]))
        found = [" ".join(str(row[0]).split()) for row in rows]
    return sorted(sql for sql in found if VERSION_TABLE not in sql)


def test_a_difference_is_told_in_words(store: Store) -> None:
    upgrade(store)
    of_table = " ON scheduler_schedules" if store.dialect.name == "mysql" else ""
    execute(store, f"DROP INDEX scheduler_schedules_next{of_table}")
    assert schema.differences(store.engine) == ["The index scheduler_schedules_next is missing."]


def test_an_upgrade_that_fails_half_way_leaves_nothing_behind(store: Store) -> None:
    if store.dialect.name == "mysql":
        pytest.skip("MySQL and MariaDB commit each change of a table by itself")
    execute(store, "CREATE TABLE scheduler_workers (id INTEGER)")
    with pytest.raises(Exception, match="already exists"):
        upgrade(store)
    assert tables_in(store) == {"scheduler_workers"}
    execute(store, "DROP TABLE scheduler_workers")
    upgrade(store)
    assert tables_in(store) == TABLES | {VERSION_TABLE}


def test_upgrading_what_is_up_to_date_changes_nothing_and_loses_no_row(store: Store) -> None:
    upgrade(store)
    execute(store, "INSERT INTO scheduler_queues (name, created_at) VALUES ('mails', '2026-01-01 00:00:00.000000')")
    upgrade(store)
    with store.engine.connect() as connection:
        assert connection.execute(text("SELECT name FROM scheduler_queues")).scalars().all() == ["mails"]


# -- beside the app's own migrations ---------------------------------------------------------------------

ENVIRONMENT = """
from alembic import context
options = dict(target_metadata=context.config.attributes["metadata"])
if context.config.attributes["include_name"] is not None:
    options["include_name"] = context.config.attributes["include_name"]
context.configure(connection=context.config.attributes["connection"], **options)
with context.begin_transaction():
    context.run_migrations()
"""
REVISION = """
import sqlalchemy as sa
from alembic import op
revision, down_revision = "abc", None
def upgrade():
    op.create_table("books", sa.Column("id", sa.Integer, primary_key=True), sa.Column("title", sa.String(50)))
def downgrade():
    op.drop_table("books")
"""

app_metadata = MetaData()
Table("books", app_metadata, Column("id", Integer, primary_key=True), Column("title", String(50)))


@pytest.fixture
def migrate_app(tmp_path: Path, store: Store) -> Callable[..., None]:
    """Run a command of the app's own Alembic, whose migrations stand in a folder of the app's."""
    folder = tmp_path / "migrations"
    (folder / "versions").mkdir(parents=True)
    (folder / "env.py").write_text(ENVIRONMENT)
    (folder / "versions" / "abc_books.py").write_text(REVISION)

    def run(verb: Callable[..., object], *arguments: str, include: object = include_name) -> None:
        config = Config()
        config.set_main_option("script_location", str(folder))
        config.set_main_option("path_separator", "os")
        with store.engine.begin() as connection:
            config.attributes |= {"connection": connection, "metadata": app_metadata, "include_name": include}
            verb(config, *arguments)

    return run


@pytest.mark.parametrize("scheduler_first", [True, False])
def test_both_histories_live_in_one_database_and_neither_sees_the_other(
    scheduler_first: bool, store: Store, migrate_app: Callable[..., None]
) -> None:
    steps = [lambda: upgrade(store), lambda: migrate_app(command.upgrade, "head")]
    for step in steps if scheduler_first else reversed(steps):
        step()
    assert tables_in(store) == TABLES | {VERSION_TABLE, "books", "alembic_version"}
    migrate_app(command.check)
    assert schema.differences(store.engine) == []
    downgrade(store)
    assert tables_in(store) - {VERSION_TABLE} == {"books", "alembic_version"}
    upgrade(store)
    migrate_app(command.downgrade, "base")
    assert tables_in(store) == TABLES | {VERSION_TABLE, "alembic_version"}


def test_without_include_name_the_apps_autogenerate_would_drop_the_schedulers_tables(
    store: Store, migrate_app: Callable[..., None]
) -> None:
    upgrade(store)
    migrate_app(command.upgrade, "head")
    with pytest.raises(Exception, match="scheduler_jobs"):
        migrate_app(command.check, include=None)
    migrate_app(command.check)


# -- several processes at once ------------------------------------------------------------------------------

BOOT = """
import sys
from flask import Flask
from scheduler_app import Scheduler
from tests.migrations.test_migrations import never_due
app = Flask("tests")
app.config.update(SECRET_KEY="the secret of all", SCHEDULER_DATABASE_URL=sys.argv[1], SCHEDULER_AUTO_UPGRADE=True,
                  SCHEDULER_ROLE="client", SCHEDULER_TASK_MODULES=["tests"])
scheduler = Scheduler(app)
print("ready", flush=True)
sys.stdin.readline()
print(scheduler.schedule_after(3600, never_due).id)
"""


def never_due() -> None:
    """Is only ever scheduled."""


def test_six_processes_that_boot_at_once_on_an_empty_database_all_come_up(store: Store, store_url: str) -> None:
    command_line = [sys.executable, "-c", BOOT, store_url]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    booting = [subprocess.Popen(command_line, cwd=ROOT, text=True, **pipes) for _ in range(PROCESSES)]  # type: ignore[call-overload]
    try:
        for one in booting:
            assert one.stdout.readline() == "ready\n", one.stderr.read()
        for one in booting:
            one.stdin.write("go\n")
            one.stdin.flush()
        answers = [one.communicate(timeout=50) for one in booting]
    finally:
        for one in booting:
            one.kill()
    assert [one.returncode for one in booting] == [0] * PROCESSES, [err for _out, err in answers]
    with store.reading() as connection:
        stored = set(connection.execute(text("SELECT id FROM scheduler_jobs")).scalars())
    assert stored == {out.strip() for out, _err in answers}
    assert len(stored) == PROCESSES


def test_six_threads_with_stores_of_their_own_all_come_up(make_store: Callable[..., Store]) -> None:
    stores = [make_store(auto_upgrade=True) for _ in range(PROCESSES)]
    barrier, errors = Barrier(PROCESSES), []

    def boot(store: Store) -> None:
        barrier.wait()
        try:
            store.ensure_ready()
        except Exception as error:
            errors.append(error)

    threads = [Thread(target=boot, args=(store,)) for store in stores]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(50)
    assert errors == []
    assert schema.current(stores[0].engine) == schema.HEAD


# -- what the code makes of what it finds ----------------------------------------------------------------------


def test_missing_tables_are_told_with_both_remedies(store: Store) -> None:
    with pytest.raises(SchemaMissingError) as caught:
        store.ensure_ready()
    assert str(caught.value) == (
        f"The scheduler's tables are missing from {store.url}. Create them with 'flask scheduler db upgrade',"
        " or set SCHEDULER_AUTO_UPGRADE=True."
    )
    assert tables_in(store) == set()


def test_older_tables_are_told_with_both_remedies(store: Store) -> None:
    upgrade(store)
    stamp(store, "0_9")
    with pytest.raises(SchemaOlderError) as caught:
        store.ensure_ready()
    assert str(caught.value) == (
        f"The scheduler's tables in {store.url} are at revision 0_9, but this version needs 1_0."
        " Bring them up to date with 'flask scheduler db upgrade', or set SCHEDULER_AUTO_UPGRADE=True."
    )


@pytest.mark.parametrize("auto_upgrade", [True, False])
def test_tables_of_a_newer_major_version_are_refused_and_left_alone(
    auto_upgrade: bool, store: Store, make_store: Callable[..., Store]
) -> None:
    upgrade(store)
    stamp(store, "2_0")
    with pytest.raises(SchemaNewerError) as caught:
        make_store(auto_upgrade=auto_upgrade).ensure_ready()
    assert str(caught.value) == (
        f"The scheduler's tables in {store.url} are at revision 2_0, which is newer than this version"
        " can use (1_0). Upgrade the scheduler-app package on this machine."
    )
    assert schema.current(store.engine) == "2_0"


def test_tables_made_later_are_found_without_a_restart(store: Store, make_store: Callable[..., Store]) -> None:
    waiting = make_store()
    with pytest.raises(SchemaMissingError):
        waiting.ensure_ready()
    upgrade(store)
    waiting.ensure_ready()
    waiting.probe()


def test_this_code_runs_on_the_next_minor_version_of_the_tables(store: Store, store_url: str) -> None:
    upgrade(store)
    execute(store, "ALTER TABLE scheduler_jobs ADD COLUMN mood TEXT")
    execute(store, "ALTER TABLE scheduler_workers ADD COLUMN mood TEXT DEFAULT 'fine' NOT NULL")
    execute(store, "CREATE TABLE scheduler_moods (id INTEGER)")
    stamp(store, "1_1")
    app = Flask("tests")
    app.config.update(
        SECRET_KEY="the secret of all", SCHEDULER_DATABASE_URL=store_url, SCHEDULER_AUTO_UPGRADE=True,
        SCHEDULER_ROLE="client", SCHEDULER_TASK_MODULES=["tests"],
    )  # fmt: skip
    scheduler = Scheduler(app)
    with app.app_context():
        scheduler.start()
        handle = scheduler.schedule_now(never_due)
        until_finished(scheduler, handle.id)
        scheduler.shutdown()
        assert handle.refresh().state is JobState.SUCCEEDED
    app.extensions["scheduler"].store.close()
    assert schema.current(store.engine) == "1_1"


def until_finished(scheduler: Scheduler, job_id: str) -> None:
    import time

    deadline = time.monotonic() + 20
    while not scheduler.client.get(job_id).finished:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_an_embedded_file_is_migrated_by_its_first_use(tmp_path: Path) -> None:
    app = Flask("tests", instance_path=str(tmp_path))
    app.config.update(SECRET_KEY="the secret of all", SCHEDULER_ROLE="client", SCHEDULER_TASK_MODULES=["tests"])
    scheduler = Scheduler(app)
    assert list(tmp_path.iterdir()) == []
    with app.app_context():
        scheduler.schedule_after(3600, never_due)
    store = app.extensions["scheduler"].store
    assert schema.current(store.engine) == schema.HEAD
    store.close()


def test_the_app_may_read_the_schedulers_tables_with_an_engine_of_its_own(store: Store, store_url: str) -> None:
    upgrade(store)
    engine = create_engine(store_url)
    with engine.connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM scheduler_jobs")).scalar_one() == 0
    engine.dispose()
