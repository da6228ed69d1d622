"""The session of an app's Flask-SQLAlchemy, for calls that join it by default."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flask import Flask, current_app, has_app_context

from ..errors import JoinError


def apps_session(app: Flask) -> Callable[[], Any]:
    """Return what gives `db.session` of an app, where it is current; None where no app context has one.

    Raises `JoinError` for an app without Flask-SQLAlchemy, whose calls nothing would carry.
    """
    extensions = app.extensions

    def session() -> Any:
        if not has_app_context() or current_app.extensions is not extensions:
            return None
        if "sqlalchemy" not in extensions:
            raise JoinError(
                "SCHEDULER_JOIN_SESSION is on, and this app has no Flask-SQLAlchemy whose session could be joined",
                "Take the setting away, or name a session or session=False in the call.",
            )
        return extensions["sqlalchemy"].session

    return session
