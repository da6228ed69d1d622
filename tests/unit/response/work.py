"""The functions that are deferred here, the views that defer them, and what the store says of that."""

from __future__ import annotations

import json
from datetime import timedelta

from flask import Flask, abort

from scheduler_app import after_response, using
from scheduler_app.extension import Parts
from scheduler_app.jobs import Job, JobState
from tests.wsgi import written

HELD, RELEASED, GONE = "held", "released", "cancelled"


def call(label: str) -> None:
    """A function to defer."""


class HandledError(Exception):
    """One that the app has a handler for."""


def add_views(app: Flask) -> None:
    """Give an app a view for each way in which a request may end."""

    @app.get("/ok/<label>")
    def ok(label: str) -> str:
        after_response(call, label)
        return "ok"

    @app.get("/nothing")
    def nothing() -> str:
        return "nothing"

    @app.get("/raises/<label>")
    def raises(label: str) -> str:
        after_response(call, label)
        using(even_on_error=True).after_response(call, f"{label} even so")
        raise RuntimeError("the view's own")

    @app.get("/aborts/<label>")
    def aborts(label: str) -> str:
        after_response(call, label)
        abort(404)

    @app.get("/handled/<label>")
    def handled(label: str) -> str:
        after_response(call, label)
        raise HandledError

    app.register_error_handler(HandledError, lambda _error: ("handled", 409))


def label_of(job: Job) -> str:
    label: str = json.loads(job.payload)["a"][0]
    return label


def seen(app: Flask) -> dict[str, str]:
    """Return each stored call's label, and whether it is held for a response, released or cancelled."""
    written(app)
    parts: Parts = app.extensions["scheduler"]
    soon = parts.store.clock.now() + timedelta(seconds=1)
    found = {}
    for job in sorted(parts.client.list(limit=200), key=lambda job: job.run_at):
        state = GONE if job.state is JobState.CANCELLED else HELD if job.run_at > soon else RELEASED
        found[label_of(job)] = state
    return found
