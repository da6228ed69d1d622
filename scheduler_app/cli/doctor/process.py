"""The rules on this process as its settings make it: executors, pools, the signing key, the admin."""

from __future__ import annotations

from collections.abc import Iterator

from ...errors import NoAppPathError, NoProcessesError
from ..words import plural
from .facts import Facts
from .finding import Finding, Level

SHORT_SECRET = 16
"""Characters; a shorter one could be guessed."""

_MAKE = "Make one with 'python -c \"import secrets; print(secrets.token_hex(32))\"'"


def executors(facts: Facts) -> Iterator[Finding]:
    """Judge whether each executor could start here."""
    broken = False
    for alias, shape in facts.executors.items():
        if shape.type != "processes":
            continue
        wants_more = shape.memory_mb is not None and not facts.host.can_limit_memory
        if not facts.host.has_processes or wants_more:
            broken = True
            yield Finding("executors", Level.ERROR, str(NoProcessesError(alias, limit=facts.host.has_processes)))
        elif not facts.app_path:
            broken = True
            yield Finding("executors", Level.ERROR, str(NoAppPathError(alias)))
    if not broken:
        sizes = ", ".join(f"{alias}={shape.max_workers}" for alias, shape in facts.executors.items())
        yield Finding("executors", Level.OK, f"Each executor can start here: {sizes}.")


def pools(facts: Facts) -> Iterator[Finding]:
    """Judge whether each thread that runs a job can have a connection of the app's own pools."""
    threads = sum(shape.max_workers for shape in facts.executors.values() if shape.type == "threads")
    for pool in facts.pools:
        if pool.capacity is None or pool.capacity >= threads:
            room = "as many connections as are asked for" if pool.capacity is None else f"{pool.capacity} connections"
            yield Finding(
                "pools", Level.OK, f"The app's pool {pool.name!r} gives {room} to {plural(threads, 'thread')}."
            )
        else:
            yield Finding(
                "pools",
                Level.WARNING,
                f"The app's pool {pool.name!r} gives {pool.capacity} connections, and {threads} jobs may run at once"
                " here: some would wait for one, beside the requests.",
                "Raise pool_size or max_overflow in SQLALCHEMY_ENGINE_OPTIONS, or lower 'max_workers' in"
                " SCHEDULER_EXECUTORS.",
            )


def key(facts: Facts) -> Iterator[Finding]:
    """Judge what signs jobs: whoever knows it can have any function of the app called."""
    found = facts.key
    if not found.source:
        remedy = "Set SECRET_KEY or SCHEDULER_SIGNING_KEY, the same on every host."
        yield Finding("key", Level.ERROR, "There is nothing to sign jobs with.", remedy)
    elif found.is_well_known:
        remedy = f"{_MAKE}, and keep the old one as a fallback until the jobs that it signed have run."
        yield Finding(
            "key", Level.ERROR, f"{found.source} is a word that anybody would try, and jobs are signed with it.", remedy
        )
    elif found.source != "file" and found.shortest < SHORT_SECRET:
        text = f"{found.source} has a secret of {found.shortest} characters, which could be guessed."
        yield Finding("key", Level.WARNING, text, f"{_MAKE}, and keep the old one as a fallback for a while.")
    else:
        yield Finding("key", Level.OK, _signing(found.source))
    if found.count > 1:
        older = plural(found.count - 1, "older key")
        text = f"Beside the key that signs, {older} {'is' if found.count == 2 else 'are'} still believed."
        yield Finding("key", Level.OK, text, "Drop what 'flask scheduler check' is content without.")


def _signing(source: str) -> str:
    if source == "file":
        return "Jobs are signed with a key in a file beside the database; keep it with every backup."
    return f"Jobs are signed with a key made from {source}."


def rotation(facts: Facts) -> Iterator[Finding]:
    """Judge whether the live workers believe the key that signs here."""
    mine = facts.key.signs_with
    if facts.work is None or mine is None:
        return
    for row in facts.work.live:
        if row.key_ids is not None and mine not in row.key_ids:
            text = f"The worker {row.id} on {row.host} does not believe the key with which this process signs."
            remedy = "Give every process the same keys: first as a fallback everywhere, then as the one that signs."
            yield Finding("key", Level.ERROR, text, remedy)


def admin(facts: Facts) -> Iterator[Finding]:
    """Judge who could get into the REST API."""
    found = facts.admin
    if found.is_debug:
        text = "The app is in debug mode, in which its debugger runs any code and the admin opens by a printed token."
        yield Finding("admin", Level.WARNING, text, "Turn debug off wherever others can reach it.")
    if found.shortest is not None and found.shortest < SHORT_SECRET:
        text = f"A token of the admin has {found.shortest} characters, which could be guessed."
        yield Finding("admin", Level.ERROR, text, f"{_MAKE}, and set it in SCHEDULER_ADMIN_TOKEN or _TOKENS.")
    elif not found.is_open and not found.is_debug:
        yield Finding("admin", Level.OK, "The admin is closed: neither SCHEDULER_ADMIN_TOKEN nor authorize opens it.")
    elif not found.is_debug:
        yield Finding("admin", Level.OK, "The admin asks everybody for a token, or the app who it is.")


RULES = (executors, pools, key, rotation, admin)
