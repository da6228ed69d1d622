"""What makes this app in another process, as `flask --app` takes it."""

from __future__ import annotations

import os

import click
from flask.cli import ScriptInfo


def path_of_app(configured: str | None) -> str | None:
    """Return SCHEDULER_APP as configured, else that of the environment, else FLASK_APP, else what `--app` names."""
    return configured or os.environ.get("SCHEDULER_APP") or os.environ.get("FLASK_APP") or _named_by_command()


def _named_by_command() -> str | None:
    """Return what `flask --app` was given, while that command makes the app."""
    context = click.get_current_context(silent=True)
    info = context.find_object(ScriptInfo) if context is not None else None
    return None if info is None else info.app_import_path
