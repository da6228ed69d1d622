"""The current app's scheduler, as the doors (views, admin, command line) see it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, cast

from flask import current_app, has_app_context

from ..audit import Actor
from ..errors import NoAppContextError, NotRegisteredError
from ..settings import Settings
from .client import Client
from .recurring import Recurring


@dataclass(frozen=True, slots=True)
class Health:
    """Whether this process can do its part; `reason` says what is wrong, for logs and people who may know."""

    ready: bool
    reason: str | None = None


Authorize = Callable[[Any], Actor | None]


class AppScheduler(Protocol):
    """What `app.extensions["scheduler"]` is: everything of one app's scheduler."""

    settings: Settings
    client: Client
    recurring: Recurring
    authorize: Authorize | None
    app_path: str | None
    """What makes this app in another process, as `flask --app` takes it; None where nothing says so."""
    debug_token: str | None
    """In debug without configured authentication: the token that was made, else None."""

    def health(self) -> Health:
        """Tell whether the store can be used and, where a loop was wanted in this process, whether it turns."""
        ...

    def openapi(self) -> dict[str, Any]:
        """Return the OpenAPI document of this app's REST API."""
        ...

    def run_worker(
        self,
        *,
        queues: Sequence[str] | None = None,
        executors: Mapping[str, int] | None = None,
        drain_seconds: float | None = None,
        until: str | None = None,
    ) -> int:
        """Run a loop in this process until a signal ends it; return how many jobs it gave back.

        `until` is None, "empty" (end when nothing that this process serves is due, and nothing runs here) or
        "once" (end when what was due at the start has run, or is held elsewhere).
        """
        ...


def current_scheduler() -> AppScheduler:
    """Return the current app's scheduler. Raises `NoAppContextError` and `NotRegisteredError`."""
    if not has_app_context():
        raise NoAppContextError()
    found = current_app.extensions.get("scheduler")
    if found is None or not hasattr(found, "client"):
        raise NotRegisteredError()
    return cast(AppScheduler, found)


def current_client() -> Client:
    """Return the current app's client. Raises as `current_scheduler`."""
    return current_scheduler().client
