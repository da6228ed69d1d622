"""The parts of one app's scheduler, put together from its settings: the composition root."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from threading import Lock
from typing import Any, cast

from flask import Flask

from ..admin import openapi_document
from ..carry import carriers_of
from ..client import Authorize, Calls, Client, Declaration, Health, JobHandle, Limits, Recurring
from ..client.unattended import Unattended
from ..errors import SchedulerError
from ..executors import DurableExecutor, InlineExecutor, ProcessExecutor, Runner, ThreadExecutor
from ..jobs import JobState
from ..loop import CrankedScheduler, HostedScheduler, Pace, Worker
from ..payload import Signer
from ..response import HandKeeper, Keeper, Responses
from ..settings import DEFAULT_NAME, ExecutorSettings, Settings
from ..settings.database_url import anchored
from ..settings.reading import read_executors
from ..store import Store
from ..store.app_migrations import watch_autogenerate
from ..store.sqlite import SHARED, may_lose_writes
from ..tasks import ModuleRule, TaskRegistry
from .app_path import path_of_app
from .asynchronous import runs_async
from .boot import Boot
from .eager import Eager, EagerClient
from .keys import make_signer
from .nudge import Nudge
from .on_top import OnTop
from .session import apps_session

DEBUG_TOKEN = "SCHEDULER_DEBUG_TOKEN"  # noqa: S105 - the name of a variable, not a secret
"""The environment variable by which a reloader's children keep the token that their parent made."""

_log = logging.getLogger("scheduler_app")


class Parts:
    """Everything of one app's scheduler. Opens no connection and starts no thread until it is used."""

    def __init__(
        self,
        app: Flask,
        settings: Settings,
        declarations: Sequence[Declaration],
        *,
        store: Store | None = None,
        cranked: bool = False,
    ) -> None:
        self._app = app
        self.is_cranked = cranked
        """Whether a test turns its loop by hand."""
        self.settings = settings
        self._declarations = declarations
        self.authorize: Authorize | None = None
        self.start: Callable[[], None] = lambda: None
        """Starts the loop in this process, unless it runs."""
        self.start_failure: Exception | None = None
        """Why a loop that was wanted in this process could not be started, until one is."""
        self.run_worker: Callable[..., int] = lambda **_: 0
        """Runs a loop in this process until a signal ends it; see `AppScheduler.run_worker`."""
        self.on_top = OnTop(app, settings)
        self.registry = TaskRegistry(ModuleRule(settings.task_modules))
        self.store = store or Store(
            settings.database_url,
            auto_upgrade=settings.upgrades_itself,
            journal=_journal(settings, app),
            connect_timeout=settings.connect_timeout_seconds,
        )
        self.boot = Boot(app.name, settings.role, self.store.url, settings.admin_url_prefix)
        self._signer: Signer | None = None
        self._aps: HostedScheduler | None = None
        self._shape = dict(settings.executors)
        self.app_path = path_of_app(settings.app)
        self._narrowed: Mapping[str, int] = {}
        self._executors: Mapping[str, DurableExecutor] = {}
        self._drain_seconds = settings.drain_seconds
        self._lock = Lock()
        watch_autogenerate()
        queues = None if settings.queues is None else frozenset(settings.queues)
        self._carriers = carriers_of(settings.carry)
        calls = Calls(
            self.registry, self.signer, queues, settings.max_payload_bytes, self._carriers, lambda: runs_async(app)
        )
        self.nudge = Nudge(self.store, settings.poll_seconds, lambda: self._aps)
        on_due: Callable[[float], None] = (lambda _seconds: None) if cranked else self.nudge
        self.keeper = _keeper(HandKeeper if cranked else Keeper, settings, lambda: self.client, on_due)
        self.responses = Responses(self.keeper)
        self.client = self._make_client(calls, on_due)
        if not (cranked or settings.eager):
            unattended = Unattended(self.store, settings.lease_seconds, self._is_registered_if_running)
            self.client.on_queue = unattended.look
        self.client.joins = apps_session(app) if settings.join_session else None
        self.recurring = Recurring(
            self.store, calls, settings.timezone, configured=settings.timezone_configured, on_due=on_due
        )

    def _make_client(self, calls: Calls, on_due: Callable[[float], None]) -> Client:
        limits = _limits(self.settings)
        if self.settings.eager:
            eager = Eager(
                self._app,
                self.store,
                lambda: self._make_runner(self.signer(), lambda: True),
                lambda: self._make_worker(self.signer()),
                self.handle_of,
            )
            return EagerClient(self.store, calls, limits, eager)
        return Client(self.store, calls, limits, on_due, self.responses.current)

    def cranked(self, settings: Settings, store: Store | None = None) -> Parts:
        """Return parts like these with other settings, perhaps another store, and a loop that is cranked by hand."""
        parts = Parts(self._app, settings, self._declarations, store=store, cranked=True)
        parts.authorize = self.authorize
        if self._aps is not None:
            cast(CrankedScheduler, parts.aps).adopt(self._aps)
        return parts

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

    def openapi(self) -> dict[str, Any]:
        """Return the OpenAPI document of this app's REST API."""
        return openapi_document(self.settings.admin_url_prefix)

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
    def aps(self) -> HostedScheduler:
        """The `BackgroundScheduler` of this app in this process; made at its first use, started elsewhere."""
        if self._aps is None:
            signer = self.signer()
            with self._lock:
                if self._aps is None:
                    self._aps = self._make_scheduler(signer)
        return self._aps

    def _is_registered_if_running(self) -> bool:
        return self._aps is None or not self._aps.looping or self._aps.worker.registered

    @property
    def running(self) -> bool:
        """Whether a loop runs in this process."""
        return self._aps is not None and self._aps.looping

    def narrow(self, queues: Sequence[str] | None, executors: Mapping[str, int] | None, drain: float | None) -> None:
        """Make the scheduler serve some queues only, with other sizes of its executors. Before its start."""
        aps = self.aps
        if aps.looping:
            aps.shutdown(wait=True)
        self._drain_seconds = self.settings.drain_seconds if drain is None else drain
        self._narrowed = executors or {}
        aps.narrow(self._make_worker(self.signer(), queues), _pace(self.settings, self._drain_seconds))

    def _on_ready(self) -> None:
        """Bring the tables up to what the app says: the limits of its queues, and its declared schedules."""
        self.client.limit_queues()
        self.recurring.reconcile(self._declarations)

    def _reshape(self, executors: Any) -> dict[str, int]:
        """Take executors configured in APScheduler's way; return all sizes. Raises `ConfigurationError`."""
        self._shape |= read_executors(executors)
        return self._sizes()

    def _sizes(self) -> dict[str, int]:
        return {alias: self._narrowed.get(alias, shape.max_workers) for alias, shape in self._shape.items()}

    def _make_worker(self, signer: Signer, queues: Sequence[str] | None = None) -> Worker:
        return Worker(
            self.settings.lease_seconds,
            queues=None if queues is None else tuple(queues),
            executors=self._sizes(),
            key_ids=signer.key_ids,
            package_version=package_version(),
        )

    def _make_scheduler(self, signer: Signer) -> HostedScheduler:
        settings = self.settings
        kind = CrankedScheduler if self.is_cranked else HostedScheduler
        return kind(
            self.store,
            signer,
            self.registry,
            lambda may_start: self._make_runner(signer, may_start),
            self._make_executors,
            self.executor_of,
            _pace(settings, self._drain_seconds),
            self._make_worker(signer),
            timezone=settings.timezone,
            max_payload_bytes=settings.max_payload_bytes,
            queue_names=(DEFAULT_NAME, *(settings.queues or ())),
            on_ready=self._on_ready,
            reshape=self._reshape,
            on_configured=self.on_top.meet,
            boot_facts=self.boot.facts,
            handle_of=self.handle_of,
        )

    def _make_executors(self) -> Mapping[str, DurableExecutor]:
        sizes = self._sizes().items()
        self._executors = {
            alias: InlineExecutor() if self.is_cranked else self._make_executor(self._shape[alias], size)
            for alias, size in sizes
        }
        return self._executors

    def _make_executor(self, shape: ExecutorSettings, size: int) -> DurableExecutor:
        if shape.type == "threads":
            return ThreadExecutor(size)
        return ProcessExecutor(
            size,
            app=self.app_path,
            memory_mb=shape.memory_mb,
            max_jobs_per_process=shape.max_jobs_per_process,
        )

    def _make_runner(self, signer: Signer, may_start: Callable[[], bool]) -> Runner:
        return Runner(
            self._app,
            self.registry,
            signer,
            self.store.clock,
            may_start,
            self.settings.max_result_bytes,
            self.settings.max_error_chars,
            self._carriers,
            self.settings.base_url,
        )

    def handle_of(self, job_id: str) -> JobHandle:
        """Return a job as it is now. Raises `JobNotFoundError`."""
        return JobHandle(self.client, self.client.get(job_id))

    def make_runner(self) -> Runner:
        """Return what runs claims in a child of an executor, whose parent answers for the lease."""
        return self._make_runner(self.signer(), lambda: True)

    def executor_of(self, queue: str) -> str:
        """Return the executor of a queue: as configured, else the one of its name, else the default."""
        configured = (self.settings.queues or {}).get(queue)
        if configured is not None:
            return configured.executor
        return queue if queue in self._shape else DEFAULT_NAME

    # -- health and the end ------------------------------------------------------------------------

    def health(self) -> Health:
        """Tell whether the store can be used and, where a loop was wanted in this process, whether it turns."""
        try:
            self.store.probe()
        except SchedulerError as error:
            return Health(False, str(error))
        if self.start_failure is not None:
            return Health(False, f"no loop could be started in this process: {self.start_failure}")
        if self._aps is not None and self._aps.looping and not self._aps.is_healthy():
            return Health(False, "the loop of this process has not turned for a while")
        return Health(True)

    def forget_parent(self) -> None:
        """In a forked child: drop the parent's loop, if one ran there, of which only a lifeless copy is here."""
        if self.running:
            self._aps = None
        elif self._aps is not None:
            self._aps.forget_parent()
        self.start_failure = None
        self._lock = Lock()
        self.keeper.forget_parent()
        self.nudge.forget_parent()


def _limits(settings: Settings) -> Limits:
    zone = settings.timezone if settings.timezone_configured else None
    return Limits(
        settings.max_delay_seconds, settings.max_batch, settings.max_page, settings.lease_seconds, zone, settings.queues
    )


def _keeper(
    kind: type[Keeper], settings: Settings, client: Callable[[], Client], on_due: Callable[[float], None]
) -> Keeper:
    return kind(
        client,
        on_due,
        delay_seconds=settings.after_response_delay_seconds,
        fallback_seconds=settings.after_response_fallback_seconds,
        most_calls=settings.max_batch,
    )


def _pace(settings: Settings, drain_seconds: float) -> Pace:
    return Pace(
        poll_seconds=settings.poll_seconds,
        heartbeat_seconds=settings.heartbeat_seconds,
        lease_seconds=settings.lease_seconds,
        drain_seconds=drain_seconds,
        not_started_seconds=settings.not_started_seconds,
        unserved_seconds=settings.unserved_seconds,
        max_crashes=settings.max_crashes,
        audit_seconds=settings.audit_retention_seconds,
        retention={JobState(state): kept for state, kept in settings.retention.items()},
        limits=limits_here(settings),
    )


def limits_here(settings: Settings) -> dict[str, int]:
    """Return how many jobs of a queue may run at once in one process, of those queues that are limited so."""
    limits = {name: queue.concurrency_per_process for name, queue in (settings.queues or {}).items()}
    return {name: most for name, most in limits.items() if most is not None}


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
