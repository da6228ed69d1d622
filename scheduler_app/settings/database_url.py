"""What a database's URL says, without the library that will open it.

Scheme, driver, path and port are read here, so that a wrong URL is told with all other problems of the settings and
before anything is imported for it.
"""

from __future__ import annotations

import os
import re
from typing import Any, Final

from scheduler_app.errors import did_you_mean
from scheduler_app.settings.readers import Refused

_DRIVERS: Final = {"sqlite": "pysqlite", "postgresql": "psycopg", "mysql": "pymysql", "mariadb": "pymysql"}
_EXAMPLES: Final = "'postgresql://user:password@host/database' or 'sqlite:////var/lib/app/jobs.sqlite3'"


class RefusedInMemory(Refused):
    """The database named is SQLite's in memory, which keeps nothing."""

    def __init__(self) -> None:
        super().__init__(
            "names an in-memory SQLite database, where no job would survive the process and each connection would see"
            " a database of its own. Name a file, such as 'sqlite:////var/lib/app/jobs.sqlite3'."
        )


def database_url(raw: Any) -> str:
    """Read the URL of a SQLite file or of a server's database, as a text or as SQLAlchemy's URL object."""
    render = getattr(raw, "render_as_string", None)
    url = str(render(hide_password=False) if render else raw).strip()
    if url == ":memory:":
        raise RefusedInMemory
    parts = re.fullmatch(r"([A-Za-z]\w*)(?:\+(\w+))?://(.*)", url, re.ASCII)
    if parts is None:
        raise Refused(f"is not the URL of a database, such as {_EXAMPLES}.")
    scheme, driver, rest = parts[1].lower(), parts[2], parts[3]
    dialect = "postgresql" if scheme == "postgres" else scheme  # What Heroku and others still hand out.
    _refuse_dialect(dialect, driver)
    (_refuse_sqlite if dialect == "sqlite" else _refuse_server)(rest)
    return f"{dialect}{f'+{driver}' if driver else ''}://{rest}"


def _refuse_dialect(dialect: str, driver: str | None) -> None:
    if dialect not in _DRIVERS:
        hint = did_you_mean(dialect, _DRIVERS)
        raise Refused(
            f"names a {dialect!r} database, which is not supported."
            f" Use PostgreSQL, MySQL, MariaDB or a SQLite file.{hint}"
        )
    known = _DRIVERS[dialect]
    if driver not in (None, known):
        raise Refused(f"names the driver {driver!r}, which is not supported. Begin it with '{dialect}+{known}://'.")


def _refuse_sqlite(rest: str) -> None:
    path, _, query = rest.partition("?")
    if path in ("", "/", "/:memory:") or path.startswith("/file::memory:") or "mode=memory" in query:
        raise RefusedInMemory
    if path.startswith("/file:"):
        raise Refused(
            "names a SQLite file by a URI ('file:...'), of which it cannot be known where that file is: the scheduler"
            " keeps its key and its locks beside it. Write its path, such as 'sqlite:////var/lib/app/jobs.sqlite3'."
        )
    if not path.startswith("/"):
        raise Refused(
            "lacks a slash: write 'sqlite:///' before a relative path and 'sqlite:////' before an absolute one."
        )


def _refuse_server(rest: str) -> None:
    host = rest.partition("?")[0].rpartition("@")[2].partition("/")[0]
    port = re.search(r":([^:\]]*)$", host)
    if port and not port[1].isdecimal():
        raise Refused(f"has a port that is not a number. It is written like {_EXAMPLES}.")


def anchored(url: str, folder: str) -> str:
    """Give a SQLite URL with its relative path made absolute under `folder`, and any other URL as it is."""
    head, slashes, path = url.partition(":///")
    if not head.startswith("sqlite") or not slashes or os.path.isabs(path):
        return url
    return f"{head}:///{os.path.join(folder.replace('%', '%25').replace('?', '%3F'), path)}"


def masked(url: str) -> str:
    """Give a URL for people to read: with `***` for its password, wherever that stands."""
    url = re.sub(r"^([^:/]+://[^:/@]*):.*@", r"\1:***@", url, flags=re.S)
    return re.sub(r"([?&]\w*pass\w*=)[^&]*", r"\1***", url)
