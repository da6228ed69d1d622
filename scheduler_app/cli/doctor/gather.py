"""Gathering the facts: reads settings, asks the database, and changes nothing in either."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Sequence

from flask import Flask

from ...client import AppScheduler
from ...errors import SchedulerError, SchemaMissingError, SchemaOlderError, StoreError, StoreUnavailableError
from ...executors.memory import CAN_LIMIT
from ...jobs import JobState
from ...store import Store, examine, reason, schema
from ...store.examine import Look
from ...store.place import Place
from .. import app_migrations
from .facts import Admin, Facts, Host, Key, Pool, Work

WELL_KNOWN = frozenset(
    {
        "dev", "development", "secret", "secret_key", "secret-key", "secretkey", "mysecret", "supersecret",
        "super-secret", "super secret key", "change-me", "changeme", "change_me", "change this", "your-secret-key",
        "your_secret_key", "a secret key", "secret key", "you-will-never-guess", "hard to guess string", "password",
        "test", "key",
    }
)  # fmt: skip
"""What stands for a secret in tutorials and examples."""


def gather(app: Flask, scheduler: AppScheduler) -> Facts:
    """Return the facts of an app. Makes no file, no table and no key; what cannot be seen is a fact, too."""
    settings, store = scheduler.settings, scheduler.client.store
    place = store.place()
    look, unusable = _look(store, place)
    upgrades = isinstance(unusable, SchemaMissingError | SchemaOlderError) and store.auto_upgrade
    is_usable = look is not None and unusable is None
    return Facts(
        url=store.url,
        upgrades_at_start=upgrades,
        role=settings.role,
        executors=settings.executors,
        app_path=scheduler.app_path,
        key=_key(app, scheduler, place),
        admin=_admin(app, scheduler),
        pools=list(_pools(app)),
        host=Host(has_processes=os.name == "posix", can_limit_memory=CAN_LIMIT, temporary=_temporary()),
        autogenerate=_autogenerate(store) if is_usable else None,
        place=place,
        look=look,
        unusable=None if unusable is None or upgrades else str(unusable),
        work=_work(scheduler) if is_usable else None,
    )


def _look(store: Store, place: Place | None) -> tuple[Look | None, StoreError | None]:
    """Return what is seen of the database, and why it cannot be used; a file that is not there yet is not made."""
    if place is not None and not place.exists:
        return None, None
    try:
        found = examine.look(store)
    except StoreError as error:
        return None, error
    except Store.errors as error:
        return None, StoreUnavailableError(store.url, reason(error), writing=False)
    try:
        schema.check(found.revision, store.url)
    except StoreError as error:
        return found, error
    return found, None


def _autogenerate(store: Store) -> str | None:
    try:
        return app_migrations.problem(store)
    except Store.errors:  # the app's own database is away: whether it is this one cannot be known
        return None


def _work(scheduler: AppScheduler) -> Work:
    client = scheduler.client
    return Work(
        now=client.store.clock.now(),
        lease_seconds=scheduler.settings.lease_seconds,
        workers=client.workers(),
        queues=client.queues(),
        unknown_tasks=client.unknown_tasks(),
        quarantined=client.stats()[JobState.QUARANTINED],
    )


# -- secrets: what they are like, not what they are ------------------------------------------------


def _key(app: Flask, scheduler: AppScheduler, place: Place | None) -> Key:
    secrets = scheduler.settings.signing_secrets
    if not secrets:
        is_made = place is not None and os.path.exists(f"{place.path}.key")
        return Key(source="" if place is None else "file", signs_with=_signs_with(scheduler) if is_made else None)
    return Key(
        source="SCHEDULER_SIGNING_KEY" if app.config.get("SCHEDULER_SIGNING_KEY") else "SECRET_KEY",
        shortest=min(map(len, secrets)),
        is_well_known=any(secret.strip().lower() in WELL_KNOWN for secret in secrets),
        count=len(secrets),
        signs_with=_signs_with(scheduler),
    )


def _signs_with(scheduler: AppScheduler) -> str | None:
    try:
        return scheduler.client.calls.signer().key_ids[0]
    except SchedulerError:
        return None


def _admin(app: Flask, scheduler: AppScheduler) -> Admin:
    settings = scheduler.settings
    tokens = [*settings.admin_tokens, *([settings.admin_token] if settings.admin_token else [])]
    return Admin(
        is_open=bool(tokens) or scheduler.authorize is not None,
        is_debug=app.debug,
        shortest=min(map(len, tokens), default=None),
    )


# -- the app and its host --------------------------------------------------------------------------


def _pools(app: Flask) -> Iterator[Pool]:
    """Yield the pools of Flask-SQLAlchemy's engines, where the app has it."""
    engines = getattr(app.extensions.get("sqlalchemy"), "engines", {})
    for bind, engine in engines.items():
        yield Pool(name=bind or "default", capacity=examine.capacity_of(engine))


def _temporary() -> Sequence[str]:
    return sorted({"/tmp", "/dev/shm", "/run", os.path.realpath(tempfile.gettempdir())})  # noqa: S108 - told of, not used
