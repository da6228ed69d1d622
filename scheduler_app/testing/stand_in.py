"""Putting parts for one test in the place of an app's own, and the app's own back afterwards."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from flask import Flask

from ..clock import Clock
from ..errors import ClockInUseError, LoopInTestError, NotEmptyError, NotRegisteredError
from ..extension import Parts
from ..store.fresh import FreshStore, empty, rows_by_table

SECRET = "signs the jobs of one test"  # noqa: S105 - of no use to anybody


@contextmanager
def standing_in(app: Flask, clock: Clock, *, own_database: bool) -> Iterator[Parts]:
    """Give an app parts with a cranked loop, a database for one test and this clock, for as long as the block runs.

    Raises `NotRegisteredError` for an app without a scheduler, `ClockInUseError`, `LoopInTestError`, `NotEmptyError`.
    """
    own = own_parts(app)
    with _on_its_own_database(own) if own_database else _on_a_fresh_one(own) as parts:
        parts.store.clock = clock
        parts.start = parts.run_worker = _refuse_loop
        app.extensions["scheduler"] = parts
        wsgi_app = app.wsgi_app
        parts.responses.install(app)
        try:
            yield parts
        finally:
            parts.responses.withdraw(app)
            app.wsgi_app = wsgi_app  # type: ignore[method-assign]
            app.extensions["scheduler"] = own
            if parts.running:
                parts.aps.shutdown(wait=False, exiting=True)


def own_parts(app: Flask) -> Parts:
    """Return an app's own parts."""
    own = app.extensions.get("scheduler")
    if not isinstance(own, Parts):
        raise NotRegisteredError()
    if own.is_cranked:
        raise ClockInUseError.twice()
    check_no_loop(own)
    return own


def check_no_loop(own: Parts) -> None:
    """Raise `LoopInTestError` where an app's own loop runs in this process."""
    if own.running:
        raise LoopInTestError()


def _refuse_loop(**_: Any) -> Any:
    raise LoopInTestError()


@contextmanager
def _on_a_fresh_one(own: Parts) -> Iterator[Parts]:
    store = FreshStore()
    settings = replace(
        own.settings,
        database_url=store.url,
        database_url_source="setting",
        signing_secrets=own.settings.signing_secrets or (SECRET,),
    )
    try:
        yield own.cranked(settings, store)
    finally:
        store.discard()


@contextmanager
def _on_its_own_database(own: Parts) -> Iterator[Parts]:
    """Use the database that the app has, which must hold nothing of the scheduler's, and leave it so."""
    parts = own.cranked(replace(own.settings, auto_upgrade=True))
    try:
        held = parts.store.read(rows_by_table)
        if held:
            raise NotEmptyError(parts.store.url, held)
        try:
            yield parts
        finally:
            parts.store.write(empty)
    finally:
        parts.store.close()
