"""`create_app`: what `flask --app scheduler_app` and gunicorn serve."""

from __future__ import annotations

import logging
import os
from pathlib import Path

from flask import Flask

from .. import Scheduler
from .configuration import read_configuration
from .page import page

LARGEST_REQUEST = 64 * 1024
"""Bytes; a reminder is 500 characters."""
STYLES_SECONDS = 3600
"""How long a browser keeps the style sheet: the page that says how to start again needs it when no server is left."""


def create_app() -> Flask:
    """Make the service, with the settings of config/, of the file that SCHEDULER_ENV names, and of the environment.

    Its database and its messages are in `instance` under the current folder. Connects nowhere and runs no job yet.
    Raises `UnknownEnvironmentError`, and `ConfigurationError` with every problem of the settings.
    """
    app = Flask("scheduler_app", instance_path=str(Path.cwd() / "instance"), static_folder=None)
    app.config.update(MAX_CONTENT_LENGTH=LARGEST_REQUEST, SEND_FILE_MAX_AGE_DEFAULT=STYLES_SECONDS)
    app.config.update(read_configuration(os.environ))
    app.json.compact = False  # type: ignore[attr-defined]  # it is read in terminals
    app.json.sort_keys = False  # type: ignore[attr-defined]
    _show_what_happens(app)
    Scheduler(app)
    app.register_blueprint(page)
    return app


def _show_what_happens(app: Flask) -> None:
    """Show the scheduler's own lines, unless whoever runs the service has said otherwise; not each look of a page."""
    if app.logger.level == logging.NOTSET:
        app.logger.setLevel(logging.INFO)
    logging.getLogger("werkzeug").addFilter(_is_no_look)


def _is_no_look(record: logging.LogRecord) -> bool:
    return "GET /live " not in record.getMessage()
