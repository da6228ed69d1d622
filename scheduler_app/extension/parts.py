"""The parts of one app's scheduler, put together from its settings: the composition root."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from threading import Lock

from flask import Flask

from ..client import Authorize, Calls, Client, Declaration, Health, Limits, Recurring
from ..errors import SchedulerError
from ..executors import DurableExecutor, Runner, ThreadExecutor
from ..loop import DurableScheduler, Pace, Worker
from ..payload import Signer
from ..settings import DEFAULT_NAME, Settings
from ..settings.database_url import anchored
from ..store import Store
from ..store.sqlite import SHARED, may_lose_writes
from ..tasks import ModuleRule, TaskRegistry
from .asynchronous import runs_async
from .keys import make_signer
from .nudge import Nudge

DEBUG_TOKEN = "SCHEDULER_DEBUG_TOKEN"  # noqa: S105 - the name of a variable, not a secret
"""The environment variable by which a reloader's children keep the token that their parent made."""

_log = logging.getLogger("scheduler_app")
_EXECUTORS: Mapping[str, Callable[[int], DurableExecutor]] = {"threads": ThreadExecutor}


class Parts:
    """Everything of one app's scheduler. Opens no connection and starts no thread until it is used."""

    def __init__(self, app: Flask, settings: Settings, declarations: Sequence[Declaration]) -> None:
        self._app = app
        self.settings = settings
        self._declarations = declarations
        self.authorize: Authorize | None = None
        self.start: Callable[[], None] = lambda: None
        """Starts the loop in this process, unless it runs."""
        self.start_failure: Exception | None = None
        """Why a loop that was wanted in this process could not be started, until one is."""
        self.run_worker: Callable[..., int] = lambda **_: 0
        """Runs a loop in this process until a signal ends it; see `AppScheduler.run_worker`."""
        self.registry = TaskRegistry(ModuleRule(settings.task_modules))
        self.store = Store(
            settings.database_url,
            auto_upgrade=settings.upgrades_itself,
            journal=_journal(settings, app),
            connect_timeout=settings.connect_timeout_seconds,
        )
        self._signer: Signer | None = None
        self._aps: DurableScheduler | None = None
        self._executors: Mapping[str, DurableExecutor] = {}
        self._drain_seconds = settings.drain_seconds
        self._lock = Lock()
        queues = None if settings.queues is None else frozenset(settings.queues)
        calls = Calls(self.registry, self.signer, queues, settings.max_payload_bytes, lambda: runs_async(app))
        self.nudge = Nudge(self.store, settings.poll_seconds, lambda: self._aps)
        self.client = Client(self.store, calls, _limits(settings), self.nudge)
        self.recurring = Recurring(self.store, calls, settings.timezone)

    def signer(self) -> Signer:
        """Return the signer, made (with its key file, perhaps) at its first use."""
        if self._signer is None:
            with self._lock:
                if self._signer is None:
                    self._signer = make_signer(self.settings)
        return self._signer

    @property
    def debug_token(self) -> str | None:
        """In debug without configured authentication: the token that opens the admin; else None."""
        settings = self.settings
        configured = settings.admin_token or settings.admin_tokens or self.authorize is not None
        return None if configured or not self._app.debug else os.environ.get(DEBUG_TOKEN)

    def tell_admin(self) -> None:
        """Say where the admin is, or how to open it: as a warning, which is seen where no logging is set up."""
        path = f"{self.settings.admin_url_prefix}/api/v1/jobs"
        if self.debug_token is not None:
            _log.warning("scheduler admin is at %s?token=%s while debug is on", path, self.debug_token)
        elif not (self.settings.admin_token or self.settings.admin_tokens or self.authorize):
            _log.warning("scheduler admin is closed; set SCHEDULER_ADMIN_TOKEN to open %s", path)

    def tell_drain(self, hint: str) -> None:
        """Say, before the end waits for jobs that run, for how many and how long; as a warning, as above."""
        count = sum(len(executor.running()) for executor in self._executors.values())
        if count and self._drain_seconds:
            jobs = "1 job" if count == 1 else f"{count} jobs"
            _log.warning("scheduler stops: waiting up to %g s for %s%s", self._drain_seconds, jobs, hint)

    # -- the loop ----------------------------------------------------------------------------------

    @property
    def aps(self) -> DurableScheduler:
        """The `BackgroundScheduler` of this app in this process; made at its first use, started elsewhere."""
        if self._aps is None:
            signer = self.signer()
            with self._lock:
                if self._aps is None:
                    self._aps = self._make_scheduler(signer)
        return self._aps

    @property
    def running(self) -> bool:
        """Whether a loop runs in this process."""
        return self._aps is not None and self._aps.running

    def narrow(self, queues: Sequence[str] | None, executors: Mapping[str, int] | None, drain: float | None) -> None:
        """Make the scheduler serve some queues only, with other sizes of its executors. Before its start."""
        signer = self.signer()
        with self._lock:
            self._drain_seconds = self.settings.drain_seconds if drain is None else drain
            self._aps = self._make_scheduler(signer, queues, executors)

    def _make_scheduler(
        self,
        signer: Signer,
        queues: Sequence[str] | None = None,
        sizes: Mapping[str, int] | None = None,
    ) -> DurableScheduler:
        settings = self.settings
        shape = {alias: (sizes or {}).get(alias, e.max_workers) for alias, e in settings.executors.items()}
        worker = Worker(
            settings.lease_seconds,
            queues=None if queues is None else tuple(queues),
            executors=shape,
            key_ids=signer.key_ids,
            package_version=package_version(),
        )
        return DurableScheduler(
            self.store,
            signer,
            self.registry,
            lambda may_start: self._make_runner(signer, may_start),
            lambda: self._make_executors(shape),
            self.executor_of,
            _pace(settings, self._drain_seconds),
            worker,
            timezone=settings.timezone,
            max_payload_bytes=settings.max_payload_bytes,
            on_ready=lambda: self.recurring.reconcile(self._declarations),
        )

    def _make_executors(self, shape: Mapping[str, int]) -> Mapping[str, DurableExecutor]:
        kinds = {alias: _EXECUTORS[e.type] for alias, e in self.settings.executors.items()}
        self._executors = {alias: kind(shape[alias]) for alias, kind in kinds.items()}
        return self._executors

    def _make_runner(self, signer: Signer, may_start: Callable[[], bool]) -> Runner:
        return Runner(
            self._app,
            self.registry,
            signer,
            self.store.clock,
            may_start,
            self.settings.max_result_bytes,
            self.settings.max_error_chars,
        )

    def executor_of(self, queue: str) -> str:
        """Return the executor of a queue: as configured, else the one of its name, else the default."""
        configured = (self.settings.queues or {}).get(queue)
        if configured is not None:
            return configured.executor
        return queue if queue in self.settings.executors else DEFAULT_NAME

    # -- health and the end ------------------------------------------------------------------------

    def health(self) -> Health:
        """Tell whether the store can be used and, where a loop was wanted in this process, whether it turns."""
        try:
            self.store.probe()
        except SchedulerError as error:
            return Health(False, str(error))
        if self.start_failure is not None:
            return Health(False, f"no loop could be started in this process: {self.start_failure}")
        if self._aps is not None and self._aps.running and not self._aps.is_healthy():
            return Health(False, "the loop of this process has not turned for a while")
        return Health(True)

    def forget_parent(self) -> None:
        """In a forked child: drop the parent's loop, of which only a lifeless copy is here."""
        self._aps = None
        self.start_failure = None
        self._lock = Lock()


def _limits(settings: Settings) -> Limits:
    zone = settings.timezone if settings.timezone_configured else None
    return Limits(settings.max_delay_seconds, settings.max_batch, settings.max_page, settings.lease_seconds, zone)


def _pace(settings: Settings, drain_seconds: float) -> Pace:
    return Pace(
        poll_seconds=settings.poll_seconds,
        heartbeat_seconds=settings.heartbeat_seconds,
        lease_seconds=settings.lease_seconds,
        drain_seconds=drain_seconds,
        not_started_seconds=settings.not_started_seconds,
        unserved_seconds=settings.unserved_seconds,
        max_crashes=settings.max_crashes,
    )


def _journal(settings: Settings, app: Flask) -> str:
    """Return SQLite's journal mode: as set; else WAL, but left as it is in a file that the app itself writes, on
    versions where connections that write and checkpoint at once can lose writes and no election can bind the app's."""
    if settings.sqlite_journal is not None:
        return settings.sqlite_journal
    return SHARED if may_lose_writes() and _is_apps_own_file(settings, app) else "wal"


def _is_apps_own_file(settings: Settings, app: Flask) -> bool:
    """Whether the database is the file of the app's Flask-SQLAlchemy, chosen for that or named by its path."""
    if settings.database_url_source == "flask-sqlalchemy":
        return True
    own = anchored(str(app.config.get("SQLALCHEMY_DATABASE_URI") or ""), app.instance_path)
    return settings.is_sqlite and own.startswith("sqlite") and _file_of(own) == _file_of(settings.database_url)


def _file_of(url: str) -> str:
    return os.path.realpath(url.partition("///")[2].partition("?")[0])


def package_version() -> str:
    """Return this package's version, or "" where it runs uninstalled."""
    try:
        return version("scheduler-app")
    except PackageNotFoundError:
        return ""
