"""Flask-APScheduler on top: `APScheduler(scheduler=scheduler.aps)`, held to this package's rules.

It is met when it configures the scheduler, which it does first of all in its `init_app`. From then on its `start` is a
wish (see `loop.hosted`), its API answers nobody while it asks for no authentication, and the jobs of its configuration
are declarations. It is never imported here, and no more of it is used than its public attributes.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterator, Mapping
from types import FrameType
from typing import Any, Final

import click
from flask import Flask, Response, abort, appcontext_pushed, has_request_context, request, request_started

from ..errors import ConfigurationError
from ..loop import HostedScheduler
from ..settings import Settings

VIEWS: Final = "flask_apscheduler.api"
"""The module of its views."""
ENDPOINTS: Final = "scheduler."
"""How its endpoints begin unless it is told otherwise: as ours do, whose rules would then be applied to them."""
OTHER_ENDPOINTS: Final = "apscheduler."

_log = logging.getLogger("scheduler_app")


class OnTop:
    """What is done about a Flask-APScheduler on top of one app's scheduler; nothing where there is none."""

    def __init__(self, app: Flask, settings: Settings) -> None:
        self._app, self._settings = app, settings
        self._theirs: Any = None
        self._aps: HostedScheduler | None = None
        self._told_host = False
        self.start_if_serving: Callable[[], None] = lambda: None
        """Starts the loop where it is known by now that requests are served."""

    def meet(self, aps: HostedScheduler) -> None:
        """Look whether it was Flask-APScheduler that configured the scheduler, and if so hold it to the rules.

        Raises `ConfigurationError` where its API would stand in the way of this package's, or the other way round.
        """
        theirs = getattr(self._app, "apscheduler", None)
        if theirs is None or getattr(theirs, "scheduler", None) is not aps:
            return
        self._theirs, self._aps = theirs, aps
        config = self._app.config
        aps.declared = frozenset(_ids(config.get("SCHEDULER_JOBS") or config.get("JOBS")))
        aps.governor = self._on_start
        if config.get("SCHEDULER_API_ENABLED", config.get("SCHEDULER_VIEWS_ENABLED", theirs.api_enabled)):
            self._check_prefixes()
            self._guard_api()
        if config.get("SCHEDULER_JOBSTORES"):
            _log.warning(
                "SCHEDULER_JOBSTORES is ignored: jobs are kept in %s. To bring over those of the old store, see"
                " export_jobs and import_jobs.",
                self._settings.shown_database_url,
            )

    # -- its API -----------------------------------------------------------------------------------

    def _check_prefixes(self) -> None:
        """Refuse addresses and endpoints that are ours. Where it was told no endpoints, give it others."""
        problems = []
        prefix = str(self._app.config.get("SCHEDULER_API_PREFIX", self._theirs.api_prefix) or "")
        ours = self._settings.admin_url_prefix
        if f"/{prefix.strip('/')}/".startswith(f"{ours}/"):
            problems.append(
                f"The API of Flask-APScheduler would begin at {prefix!r}, where this scheduler's admin is ({ours!r})."
                " Set SCHEDULER_API_PREFIX to a place of its own, such as '/apscheduler'."
            )
        if str(self._app.config.get("SCHEDULER_ENDPOINT_PREFIX", "")).startswith(ENDPOINTS):
            problems.append(
                f"SCHEDULER_ENDPOINT_PREFIX begins with {ENDPOINTS!r}, as this scheduler's own endpoints do."
                f" Leave it out, or set it to {OTHER_ENDPOINTS!r}."
            )
        if problems:
            raise ConfigurationError(problems)
        if self._theirs.endpoint_prefix == ENDPOINTS:
            self._theirs.endpoint_prefix = OTHER_ENDPOINTS

    def _guard_api(self) -> None:
        """Answer 404 in the place of its API for as long as that would answer anybody."""
        self._app.before_request(self._answer_nobody)
        self._app.after_request(self._mask_secrets)
        if not self._app.config.get("SCHEDULER_AUTH", self._theirs.auth):
            _log.warning(
                "The API of Flask-APScheduler answers nobody (404) while it asks for no authentication: whoever reached"
                " it could run the app's functions. Set SCHEDULER_AUTH = HTTPBasicAuth() and say who may enter with"
                " @apscheduler.authenticate, or set SCHEDULER_API_ENABLED = False."
            )

    def _answer_nobody(self) -> None:
        if self._is_theirs() and not self._theirs.auth:
            abort(404)

    def _is_theirs(self) -> bool:
        """Whether the current request is for its API."""
        view = self._app.view_functions.get(request.endpoint or "")
        return getattr(view, "__module__", None) == VIEWS

    def _mask_secrets(self, response: Response) -> Response:
        """Mask, in what its API tells of jobs, the arguments that nobody may see."""
        told = response.get_json(silent=True) if self._is_theirs() and response.is_json else None
        jobs = [job for job in (told if isinstance(told, list) else [told]) if isinstance(job, dict) and "func" in job]
        if jobs and self._aps is not None:
            for job in jobs:
                job["args"], job["kwargs"] = self._aps.shown_call(job["func"], job["args"], job["kwargs"])
            response.set_data(self._app.json.dumps(told))
        return response

    # -- its start ---------------------------------------------------------------------------------

    def allows_host(self) -> bool:
        """Whether its `allowed_hosts` let jobs run on this host; where they do not, no loop starts by itself."""
        theirs = self._theirs
        if theirs is None or "*" in theirs.allowed_hosts or theirs.host_name in theirs.allowed_hosts:
            return True
        if not self._told_host:
            self._told_host = True
            _log.warning("SCHEDULER_ALLOWED_HOSTS does not name this host, %r: no job runs here", theirs.host_name)
        return False

    def _on_start(self) -> None:
        """Start the loop where it may run, and open the scheduler for requests and commands.

        Not at once: the app is still being made. What it adds until then waits in memory, so that neither a database
        that is away nor a sibling that was quicker keeps it from being made.
        """
        request_started.connect(self._on_request, self._app)
        appcontext_pushed.connect(self._on_context, self._app)
        if has_request_context():
            self._on_request()
        self.start_if_serving()

    def _on_request(self, *_: Any, **__: Any) -> None:
        request_started.disconnect(self._on_request)  # whole: of one app only, it would cost each request a look
        appcontext_pushed.disconnect(self._on_context)
        if self._aps is not None:
            self._aps.open()

    def _on_context(self, *_: Any, **__: Any) -> None:
        if click.get_current_context(silent=True) is not None and not _is_loading_app():
            self._on_request()


def _ids(jobs: Any) -> Iterator[str]:
    """Yield the ids of the jobs that a configuration holds."""
    for job in jobs if isinstance(jobs, list | tuple) else ():
        if isinstance(job, Mapping) and "id" in job:
            yield str(job["id"])


def _is_loading_app() -> bool:
    """Whether this thread is inside Flask's loading of the app for a command, rather than in the command itself."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        if frame.f_code.co_name == "load_app" and frame.f_code.co_filename.replace("\\", "/").endswith("/flask/cli.py"):
            return True
        frame = frame.f_back
    return False
