"""The database servers that the suites need: found where they run, or started from installed binaries.

A server is looked for in this order: the one that `TEST_POSTGRESQL_URL` names, the one on the standard port of this
machine, and one of our own, started for this run and thrown away after it.
"""

from __future__ import annotations

import getpass
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
from sqlalchemy import URL, make_url

START_SECONDS = 60
OLDEST = 130000  # DROP DATABASE ... WITH (FORCE)


class NoServerError(Exception):
    """No server could be had; the message says why."""


@dataclass(frozen=True)
class PostgresqlServer:
    """A PostgreSQL server on which databases may be made and dropped."""

    url: URL

    @contextmanager
    def fresh_database(self) -> Iterator[str]:
        """Yield the URL of a new, empty database; it is dropped afterwards, whoever is still connected."""
        name = f"scheduler_test_{uuid.uuid4().hex}"
        self._execute(f'CREATE DATABASE "{name}" TEMPLATE template0')
        try:
            yield self.url.set(database=name).render_as_string(hide_password=False)
        finally:
            self._execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')

    def _execute(self, statement: str) -> None:
        with _connect(self.url) as connection:
            connection.execute(statement.encode())


@contextmanager
def find_postgresql() -> Iterator[PostgresqlServer]:
    """Yield a PostgreSQL server that is running, or start one for as long as the context lasts.

    Raises `NoServerError` when none can be had.
    """
    named = os.environ.get("TEST_POSTGRESQL_URL")
    if named:
        yield _named_server(named)
        return
    running = next((url for url in _local_urls() if not _refusal(url)), None)
    if running is not None:
        yield PostgresqlServer(running)
        return
    with _private_postgresql() as url:
        yield PostgresqlServer(url)


def _named_server(text: str) -> PostgresqlServer:
    url = make_url(text).set(drivername="postgresql+psycopg")
    refusal = _refusal(url)
    if refusal:
        raise NoServerError(f"TEST_POSTGRESQL_URL names {url}, which cannot be used: {refusal}")
    return PostgresqlServer(url)


def _local_urls() -> list[URL]:
    users = dict.fromkeys(["postgres", getpass.getuser(), "root"])
    return [_url(user, 5432) for user in users]


def _url(user: str, port: int) -> URL:
    return URL.create("postgresql+psycopg", user, host="127.0.0.1", port=port, database="postgres")


def _connect(url: URL) -> psycopg.Connection[tuple[object, ...]]:
    plain = url.set(drivername="postgresql").render_as_string(hide_password=False)
    return psycopg.connect(plain, autocommit=True, connect_timeout=5)


def _refusal(url: URL) -> str:
    """Return why databases cannot be made there, or an empty string."""
    try:
        with _connect(url) as connection:
            if connection.info.server_version < OLDEST:
                return "it is older than PostgreSQL 13"
            may = connection.execute(
                "SELECT rolsuper OR rolcreatedb FROM pg_roles WHERE rolname = current_user"
            ).fetchone()
    except psycopg.OperationalError as error:
        return " ".join(str(error).split())
    return "" if may and may[0] else "its user may not create databases"


# -- a server of our own -----------------------------------------------------------------------------


@contextmanager
def _private_postgresql() -> Iterator[URL]:
    binaries = _binaries()
    folder = Path(tempfile.mkdtemp(prefix="scheduler-postgresql-"))
    try:
        owner = give_away(folder, "postgres")
        port = free_port()
        trusting = ["-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-locale", "--no-sync"]
        run_as(owner, folder, binaries / "initdb", "-D", "data", *trusting)
        # Thrown away after the run: no need to survive a crash of the machine.
        options = f"-p {port} -h 127.0.0.1 -k {folder} -c fsync=off -c max_connections=200"
        run_as(owner, folder, binaries / "pg_ctl", "-D", "data", "-l", "log", "-w", "-o", options, "start")
        try:
            yield _url("postgres", port)
        finally:
            run_as(owner, folder, binaries / "pg_ctl", "-D", "data", "-m", "immediate", "-w", "stop")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _binaries() -> Path:
    packaged = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: float(path.parts[-3]))
    on_path = shutil.which("initdb")
    found = [*([Path(on_path)] if on_path else []), *packaged]
    if not found:
        raise NoServerError(
            "no PostgreSQL server answers on 127.0.0.1:5432 and none is installed"
            " (apt-get install postgresql, or set TEST_POSTGRESQL_URL)"
        )
    return found[-1].parent


def give_away(folder: Path, name: str) -> pwd.struct_passwd | None:
    """Give the folder to the user of this name, or to nobody, when we are root: servers refuse to run as root."""
    if os.geteuid() != 0:
        return None
    names = {entry.pw_name: entry for entry in pwd.getpwall()}
    owner = names.get(name) or names["nobody"]
    os.chown(folder, owner.pw_uid, owner.pw_gid)
    return owner


def run_as(owner: pwd.struct_passwd | None, folder: Path, *command: str | Path) -> None:
    """Run a command to its end as that user, in that folder. Raises `NoServerError` with what it said."""
    done = subprocess.run(
        command,
        cwd=folder,
        user=owner.pw_uid if owner else None,
        group=owner.pw_gid if owner else None,
        extra_groups=[] if owner else None,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=START_SECONDS,
        check=False,
    )
    if done.returncode:
        raise NoServerError(f"'{Path(command[0]).name}' failed: {' '.join(done.stdout.split())[-400:]}")


def free_port() -> int:
    """Return a port of 127.0.0.1 that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
