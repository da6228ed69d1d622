"""The rules on the database: its tables, its clock, its file, and who keeps it waiting."""

from __future__ import annotations

from collections.abc import Iterator

from ...store import schema
from ..instants import span
from .facts import Facts
from .finding import Finding, Level

SKEW_SECONDS = 2.0
"""From how far apart on two clocks are told: jobs run by the database's, log lines and the app's own times do not."""

_CONTAINERS = ("overlay", "aufs")
_SHARED = ("virtiofs", "vboxsf", "prl_fs", "fakeowner", "osxfs", "grpcfuse", "fuse.grpcfuse")
"""How the folders of a host are shown to a virtual machine, and to containers in one."""


def tables(facts: Facts) -> Iterator[Finding]:
    """Judge whether the database answers, and its tables are those of this version."""
    if facts.unusable is not None:
        yield Finding("schema", Level.ERROR, facts.unusable)
    elif facts.look is None:
        yield Finding("schema", Level.OK, f"There is no file {facts.url} yet: it is made, with its tables, at a start.")
    elif facts.look.differences:
        wrong = " ".join(facts.look.differences)
        remedy = "Somebody changed them by hand: undo that, or restore them from a backup."
        yield Finding(
            "schema", Level.ERROR, f"The tables are not those of revision {facts.look.revision}: {wrong}", remedy
        )
    elif facts.upgrades_at_start:
        found = "There are no tables yet" if facts.look.revision is None else f"The tables are at {facts.look.revision}"
        yield Finding("schema", Level.OK, f"{found} in {facts.url}: they are brought to {schema.HEAD} at a start.")
    elif facts.look.revision != schema.HEAD:
        found = f"The tables are at revision {facts.look.revision}, with which this version ({schema.HEAD}) works."
        yield Finding("schema", Level.WARNING, found, "Upgrade the package here, or finish the deploy.")
    else:
        yield Finding("schema", Level.OK, f"The tables in {facts.url} are at revision {facts.look.revision}.")


def clock(facts: Facts) -> Iterator[Finding]:
    """Judge how far the clocks of this host and of the database are apart."""
    if facts.look is None:
        return
    skew = facts.look.skew_seconds
    if facts.place is not None:
        yield Finding("clock", Level.OK, "The database's time is this host's own.")
    elif abs(skew) < SKEW_SECONDS:
        yield Finding("clock", Level.OK, f"This host's clock and the database's agree within {span(abs(skew))}.")
    else:
        side = "behind" if skew > 0 else "ahead of"
        text = f"This host's clock is {span(abs(skew))} {side} the database's, by which jobs run."
        yield Finding("clock", Level.WARNING, text, "Have both follow an NTP server.")


def library(facts: Facts) -> Iterator[Finding]:
    """Judge the version of SQLite."""
    place = facts.place
    if place is None:
        return
    bug = f"SQLite {place.version} can lose writes when connections write and checkpoint a WAL at once"
    if place.is_too_old:
        yield Finding("sqlite", Level.ERROR, f"SQLite {place.version} is older than 3.35.", "Upgrade Python or SQLite.")
    elif not place.may_lose_writes:
        yield Finding("sqlite", Level.OK, f"SQLite {place.version}.")
    elif place.is_elected:
        yield Finding("sqlite", Level.OK, f"{bug}; one elected connection checkpoints here, so none are lost.")
    elif facts.look is not None and facts.look.journal == "wal":
        remedy = "Give the scheduler a file of its own (SCHEDULER_DATABASE_URL), or upgrade SQLite."
        yield Finding("sqlite", Level.WARNING, f"{bug}, and the app itself writes this file so.", remedy)
    else:
        yield Finding("sqlite", Level.OK, f"{bug}; this file has another journal, so none are lost.")


def file(facts: Facts) -> Iterator[Finding]:
    """Judge where the file of a SQLite database stands: it must be on a disk of this host's own that stays."""
    place = facts.place
    if place is None:
        return
    where, kind = f"The database {place.path}", place.file_system
    elsewhere = "Put it on a disk of this host's that stays (SCHEDULER_DATABASE_URL), or use PostgreSQL."
    temporary = next((folder for folder in facts.host.temporary if _is_below(place.path, folder)), None)
    if place.is_network:
        yield Finding(
            "file", Level.ERROR, f"{where} is on a network file system ({kind}): SQLite loses writes there.", elsewhere
        )
    elif kind in _SHARED:
        text = f"{where} is on a folder that two systems share ({kind}), whose locks do not reach the other side."
        yield Finding("file", Level.WARNING, text, elsewhere)
    elif kind == "tmpfs" or temporary is not None:
        text = f"{where} is in {'memory (tmpfs)' if kind == 'tmpfs' else temporary}, and lost with it."
        yield Finding("file", Level.WARNING, text, elsewhere)
    elif kind in _CONTAINERS:
        text = f"{where} is in the container's own layer ({kind}), and lost with the container."
        yield Finding("file", Level.WARNING, text, "Mount a volume for it, or use PostgreSQL.")
    else:
        yield Finding("file", Level.OK, f"{where} is on a local file system{f' ({kind})' if kind else ''}.")


def transactions(facts: Facts) -> Iterator[Finding]:
    """Judge who holds transactions open, for which writes may wait."""
    if facts.look is None or facts.place is not None:
        return
    if facts.look.unseen is not None:
        text = f"Long transactions cannot be seen: {facts.look.unseen}."
        yield Finding("transactions", Level.OK, text, "Allow this user to see them, if that is wanted.")
    for age, whose in facts.look.transactions:
        remedy = "End it: commit or close the session that is left open, or terminate the connection."
        yield Finding("transactions", Level.WARNING, f"A transaction has been open for {span(age)} ({whose}).", remedy)
    if facts.look.unseen is None and not facts.look.transactions:
        yield Finding("transactions", Level.OK, "No transaction has been open for more than a minute.")


def migrations(facts: Facts) -> Iterator[Finding]:
    """Judge whether the app's own migrations leave the scheduler's tables alone."""
    if facts.autogenerate is not None:
        yield Finding("migrations", Level.ERROR, facts.autogenerate)
    else:
        yield Finding("migrations", Level.OK, "The app's own migrations would drop none of the scheduler's tables.")


def _is_below(path: str, folder: str) -> bool:
    return path == folder or path.startswith(f"{folder.rstrip('/')}/")


RULES = (tables, clock, library, file, transactions, migrations)
