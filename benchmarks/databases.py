"""Fresh databases: one for each run of each side, gone afterwards."""

from __future__ import annotations

import os
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from sqlalchemy import Engine, create_engine, make_url, text

LOCAL_POSTGRESQL = "postgresql+psycopg://postgres@127.0.0.1/postgres"


@dataclass(frozen=True)
class Databases:
    """Where databases are made: in a folder for SQLite, on a server for PostgreSQL."""

    store: str
    url: str | None = None

    @contextmanager
    def fresh(self) -> Iterator[str]:
        """Yield the URL of a new, empty database, and drop it afterwards, whoever is still connected."""
        opened = _sqlite_file(self.url) if self.store == "sqlite" else _postgresql_database(self._server())
        with opened as url:
            yield url

    def _server(self) -> str:
        return self.url or os.environ.get("TEST_POSTGRESQL_URL") or LOCAL_POSTGRESQL

    def version(self) -> str:
        """Return the database's own version."""
        if self.store == "sqlite":
            import sqlite3

            return f"SQLite {sqlite3.sqlite_version}"
        with _maintenance(self._server()) as engine, engine.connect() as connection:
            return f"PostgreSQL {connection.execute(text('SHOW server_version')).scalar_one()}"


@contextmanager
def _sqlite_file(url: str | None) -> Iterator[str]:
    folder = make_url(url).database if url else None
    with tempfile.TemporaryDirectory(prefix="benchmarks-", dir=folder, ignore_cleanup_errors=True) as place:
        yield f"sqlite:///{place}/jobs.sqlite3"


@contextmanager
def _postgresql_database(server: str) -> Iterator[str]:
    name = f"benchmarks_{uuid.uuid4().hex}"
    with _maintenance(server) as engine:
        with engine.connect() as connection:
            connection.execute(text(f'CREATE DATABASE "{name}" TEMPLATE template0'))
        try:
            yield make_url(server).set(drivername="postgresql+psycopg", database=name).render_as_string(False)
        finally:
            with engine.connect() as connection:
                connection.execute(text(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)'))


@contextmanager
def _maintenance(server: str) -> Iterator[Engine]:
    url = make_url(server).set(drivername="postgresql+psycopg")
    engine = create_engine(url, isolation_level="AUTOCOMMIT")
    try:
        yield engine
    finally:
        engine.dispose()
