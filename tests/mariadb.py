"""The MariaDB (or MySQL) server that the suites need: found where it runs, or started from installed binaries.

Looked for in this order: the one that `TEST_MYSQL_URL` names, the one on the standard port of this machine, and one of
our own, started for this run and thrown away after it.
"""

from __future__ import annotations

import getpass
import os
import shutil
import subprocess
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pymysql
from sqlalchemy import URL, make_url

from tests.servers import START_SECONDS, NoServerError, free_port, give_away, run_as


@dataclass(frozen=True)
class MariadbServer:
    """A server on which databases may be made and dropped."""

    url: URL

    @contextmanager
    def fresh_database(self) -> Iterator[str]:
        """Yield the URL of a new, empty database; it is dropped afterwards, whoever is still connected."""
        name = f"scheduler_test_{uuid.uuid4().hex}"
        self._execute(f"CREATE DATABASE `{name}`")
        try:
            yield self.url.set(drivername=self.kind, database=name).render_as_string(hide_password=False)
        finally:
            self.disconnect(name)
            self._execute(f"DROP DATABASE IF EXISTS `{name}`")

    @cached_property
    def kind(self) -> str:
        """The scheme of its URL: which of the two it is, with the driver, for engines that tests make themselves."""
        with connect(self.url) as connection, connection.cursor() as cursor:
            cursor.execute("SELECT version()")
            kind = "mariadb" if "mariadb" in cursor.fetchone()[0].lower() else "mysql"
        return f"{kind}+pymysql"

    def disconnect(self, name: str) -> None:
        """End every connection to a database of this server."""
        with connect(self.url) as connection, connection.cursor() as cursor:
            cursor.execute("SELECT id FROM information_schema.processlist WHERE db = %s", (name,))
            for (pid,) in cursor.fetchall():
                try:
                    cursor.execute(f"KILL {pid}")
                except pymysql.err.OperationalError:
                    pass  # it has ended by itself

    def _execute(self, statement: str) -> None:
        with connect(self.url) as connection, connection.cursor() as cursor:
            cursor.execute(statement)


def connect(url: URL) -> Any:
    """Connect in autocommit."""
    return pymysql.connect(
        host=url.host, port=url.port or 3306, user=url.username, password=url.password or "", database=url.database,
        autocommit=True, connect_timeout=5,
    )  # fmt: skip


@contextmanager
def find_mariadb() -> Iterator[MariadbServer]:
    """Yield a server that is running, or start one for as long as the context lasts.

    Raises `NoServerError` when none can be had.
    """
    named = os.environ.get("TEST_MYSQL_URL")
    if named:
        url = make_url(named).set(drivername="mysql+pymysql")
        refusal = _refusal(url)
        if refusal:
            raise NoServerError(f"TEST_MYSQL_URL names {url}, which cannot be used: {refusal}")
        yield MariadbServer(url)
        return
    users = dict.fromkeys(["root", getpass.getuser()])
    running = next((url for url in (_url(user, 3306) for user in users) if not _refusal(url)), None)
    if running is not None:
        yield MariadbServer(running)
        return
    with _private_mariadb() as url:
        yield MariadbServer(url)


def _url(user: str, port: int) -> URL:
    return URL.create("mysql+pymysql", user, host="127.0.0.1", port=port)


def _refusal(url: URL) -> str:
    """Return why databases cannot be made there, or an empty string."""
    name = f"scheduler_probe_{uuid.uuid4().hex}"
    try:
        with connect(url) as connection, connection.cursor() as cursor:
            cursor.execute(f"CREATE DATABASE `{name}`")
            cursor.execute(f"DROP DATABASE `{name}`")
    except pymysql.err.MySQLError as error:
        return " ".join(str(error).split())
    return ""


# -- a server of our own -----------------------------------------------------------------------------


@contextmanager
def _private_mariadb() -> Iterator[URL]:
    server = shutil.which("mariadbd") or "/usr/sbin/mariadbd"
    installer = shutil.which("mariadb-install-db")
    if not Path(server).exists() or installer is None:
        raise NoServerError(
            "no MariaDB or MySQL server answers on 127.0.0.1:3306 and none is installed"
            " (apt-get install mariadb-server, or set TEST_MYSQL_URL)"
        )
    folder = Path(tempfile.mkdtemp(prefix="scheduler-mariadb-"))
    try:
        owner = give_away(folder, "mysql")
        data = f"--datadir={folder / 'data'}"
        run_as(owner, folder, installer, "--no-defaults", data, "--auth-root-authentication-method=normal")
        port = free_port()
        # Thrown away after the run: no need to survive a crash of the machine.
        options = [f"--port={port}", "--bind-address=127.0.0.1", f"--socket={folder / 'socket'}",
                   f"--pid-file={folder / 'pid'}", "--innodb-flush-log-at-trx-commit=0"]  # fmt: skip
        with subprocess.Popen(
            [server, "--no-defaults", data, *options],
            cwd=folder, user=owner.pw_uid if owner else None, group=owner.pw_gid if owner else None,
            extra_groups=[] if owner else None, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        ) as popen:  # fmt: skip
            try:
                yield _await(_url("root", port), popen)
            finally:
                popen.kill()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _await(url: URL, popen: subprocess.Popen[bytes]) -> URL:
    deadline = time.monotonic() + START_SECONDS
    while refusal := _refusal(url):
        if popen.poll() is not None or time.monotonic() > deadline:
            raise NoServerError(f"the MariaDB server that was started does not answer: {refusal}")
        time.sleep(0.1)
    return url
