"""Every setting there is: a field of `Settings`, and beside it its default, how it is read and what it does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, Field, dataclass, field, fields
from types import MappingProxyType
from typing import Any, Final
from zoneinfo import ZoneInfo

from scheduler_app.settings import readers
from scheduler_app.settings.carried import carry
from scheduler_app.settings.database_url import database_url, masked
from scheduler_app.settings.readers import Reader
from scheduler_app.settings.retention import retention
from scheduler_app.settings.sections import ExecutorSettings, QueueSettings, executors, queues

PREFIX: Final = "SCHEDULER_"


@dataclass(frozen=True, slots=True)
class Key:
    """Describe one setting for people: its name in `app.config`, its default in words, and what it does."""

    name: str
    default: str
    sentence: str


def _key(default: Any, read: Reader, sentence: str, *, words: str = "", name: str = "", secret: bool = False) -> Any:
    """Make a field that is a key. A callable default is called; `words` tell a default that its repr does not."""
    metadata = {"read": read, "sentence": sentence, "words": words, "name": name}
    if callable(default):
        return field(default_factory=default, repr=not secret, metadata=metadata)
    return field(default=default, repr=not secret, metadata=metadata)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What an app's scheduler was told, checked and complete. Times are seconds, sizes are bytes."""

    database_url: str = _key(
        MISSING,
        database_url,
        "Where jobs are stored: the URL of a SQLite file (a relative path starts at the instance folder) or of a"
        " PostgreSQL, MariaDB or MySQL database.",
        words="the app's Flask-SQLAlchemy database if it has one, else a SQLite file in the instance folder",
        secret=True,
    )
    database_url_source: str = "setting"
    """Who chose `database_url`: "setting", "flask-sqlalchemy" or "default"."""
    role: str = _key(
        "auto",
        readers.one_of("auto", "embedded", "client"),
        "Which processes run jobs: those that serve requests ('auto'), each that starts ('embedded'), or none"
        " ('client'), which leaves it to `flask scheduler run`.",
    )
    queues: Mapping[str, QueueSettings] | None = _key(
        None,
        queues,
        "The queues that exist, as a list of names or as {name: options}; 'default' always does. Options are 'executor'"
        " (an alias), and how many jobs run at once: 'concurrency' across all processes, 'concurrency_per_process'.",
        words="any queue that a job names",
    )
    executors: Mapping[str, ExecutorSettings] = _key(
        lambda: executors({}),
        executors,
        "What runs jobs, in APScheduler's shape: {alias: {'type': 'threads', 'max_workers': 10}}; of 'processes' also"
        " 'memory_mb' (what one job may take) and 'max_jobs_per_process' (after how many one is replaced).",
        words="{'default': {'type': 'threads', 'max_workers': 10}}",
    )
    app: str | None = _key(
        None,
        readers.app_path,
        "What makes this app in the processes of an executor, as `flask --app` takes it: 'shop:create_app'.",
        words="FLASK_APP",
    )
    join_session: bool = _key(
        False,
        readers.switch,
        "Whether a call is stored in the transaction of Flask-SQLAlchemy's `db.session` where it names no other"
        " session, as if by `using(session=db.session)`: it is then there if and when that is committed.",
        words="no",
    )
    eager: bool = _key(
        False,
        readers.switch,
        "Whether each call runs at once, in the thread that schedules it, and raises there what its function raises;"
        " for tests.",
        words="no",
    )
    timezone: ZoneInfo = _key(  # noqa: RUF009 - it makes a dataclasses.field, as all of these do
        lambda: ZoneInfo("UTC"),
        readers.zone,
        "The time zone of crontab lines and of datetimes without one; such datetimes are refused while it is not set.",
        words="UTC",
    )
    timezone_configured: bool = False
    """Whether `timezone` was set, so that a datetime without a time zone may be read in it."""
    task_modules: tuple[str, ...] | None = _key(
        None,
        readers.modules,
        "The modules and packages whose functions may run without being registered by @task.",
        words="all outside the standard library and site-packages",
    )
    signing_secrets: tuple[str, ...] = _key(
        (),
        readers.secrets,
        "The key that signs stored jobs, or a list of keys: the first signs, the others are still accepted.",
        words="derived from SECRET_KEY and SECRET_KEY_FALLBACKS",
        name="SCHEDULER_SIGNING_KEY",
        secret=True,
    )
    carry: Mapping[str, tuple[Any, Any]] = _key(
        lambda: MappingProxyType({}),
        carry,
        "What travels with a job from the request that schedules it: names among 'request_id', 'user_id', 'locale' and"
        " 'trace_parent', or {name: function} for the app's own.",
        words="nothing",
    )
    base_url: str | None = _key(
        None,
        readers.base_url,
        "Where the app is reached, such as 'https://shop.example/': by it `url_for` works in jobs, too.",
        words="as SERVER_NAME says",
    )
    heartbeat_seconds: float = _key(
        5.0, readers.seconds(least=0.05), "How often a process shows the others that it lives."
    )
    lease_seconds: float = _key(
        30.0,
        readers.seconds(least=0.15),
        "After how long without a heartbeat a process is taken for dead and its jobs run elsewhere; at least three"
        " heartbeats.",
    )
    poll_seconds: float = _key(
        1.0, readers.seconds(least=0.01), "How long a process waits at most before it looks for due jobs again."
    )
    drain_seconds: float = _key(
        25.0, readers.seconds(least=0), "How long a process that was told to stop waits for its running jobs."
    )
    auto_upgrade: bool | None = _key(
        None,
        readers.switch,
        "Whether the scheduler makes and upgrades its tables when it starts.",
        words="yes on SQLite, no elsewhere",
    )
    sqlite_journal: str | None = _key(
        None, readers.one_of("wal", "delete"), "The journal mode of a SQLite file.", words="'wal' where that is safe"
    )
    retention: Mapping[str, float | None] = _key(
        lambda: retention({}),
        retention,
        "For how many seconds a finished job is kept: a number for all, or {state: seconds}, where None is for good.",
        words="{'succeeded': 86400, 'failed': 1209600, 'cancelled': 1209600, 'missed': 1209600}: a day, else two weeks",
        name="SCHEDULER_RETENTION_SECONDS",
    )
    audit_retention_seconds: float = _key(
        90 * 86_400.0,
        readers.seconds(least=0),
        "For how many seconds the audit keeps who changed what (ninety days), whatever becomes of the jobs.",
    )
    max_crashes: int = _key(
        3, readers.count("crashes"), "How many deaths of a process a job may cause or witness before it fails."
    )
    max_payload_bytes: int = _key(65_536, readers.count("bytes"), "How large the stored arguments of one job may be.")
    max_result_bytes: int = _key(65_536, readers.count("bytes"), "How large the stored result of one job may be.")
    max_error_chars: int = _key(
        10_000, readers.count("characters", least=100), "How much of an error and its traceback is stored."
    )
    max_delay_seconds: float = _key(
        10 * 365 * 86_400.0,
        readers.seconds(least=1),
        "How far ahead a job may be scheduled (ten years).",
    )
    max_batch: int = _key(10_000, readers.count("calls"), "How many calls one `schedule_many` may hold.")
    max_page: int = _key(200, readers.count("jobs"), "How many jobs one page of a list may hold.")
    unserved_seconds: float = _key(
        900.0,
        readers.seconds(least=0),
        "How long a due job waits for a process that knows its task before it is put aside.",
    )
    not_started_seconds: float = _key(
        0.25, readers.seconds(least=0.01), "After how long a claimed job that has not started is given back."
    )
    after_response_delay_seconds: float = _key(
        0.025,
        readers.seconds(least=0),
        "How long after the server has closed a response the calls of `after_response` start: some servers send an"
        " empty response, or the end of a streamed one, only then.",
    )
    after_response_fallback_seconds: float = _key(
        10.0,
        readers.seconds(least=0.2),
        "When the calls of `after_response` start if the process dies before the close of the response; a response that"
        " is open puts it off.",
    )
    connect_timeout_seconds: float = _key(
        5.0, readers.seconds(least=1), "How long to wait for a connection to the database."
    )
    admin_token: str | None = _key(
        None,
        readers.token,
        "The bearer token of an administrator of the REST API.",
        words="none: it is closed",
        secret=True,
    )
    admin_tokens: Mapping[str, str] = _key(
        lambda: MappingProxyType({}),
        readers.tokens,
        "Further bearer tokens, as {token: role} with the roles 'viewer', 'operator' and 'admin'.",
        words="none",
        secret=True,
    )
    admin_url_prefix: str = _key("/scheduler", readers.prefix, "Where the REST API and the health checks begin.")
    debug: bool = False
    """Whether the app is in debug mode."""

    @property
    def shown_database_url(self) -> str:
        """Give the database's URL for logs and errors, without its password."""
        return masked(self.database_url)

    @property
    def is_sqlite(self) -> bool:
        """Tell whether jobs are stored in a SQLite file."""
        return self.database_url.startswith("sqlite")

    @property
    def upgrades_itself(self) -> bool:
        """Tell whether the tables are made and upgraded at start: as set, else on SQLite only."""
        return self.is_sqlite if self.auto_upgrade is None else self.auto_upgrade


def _name(part: Field[Any]) -> str:
    return part.metadata["name"] or PREFIX + part.name.upper()


def _default(part: Field[Any]) -> str:
    value: Any = part.default
    return part.metadata["words"] or str(value).removesuffix(".0")


FIELDS: Final = {_name(part): part for part in fields(Settings) if "read" in part.metadata}
"""Name of a key -> its field in `Settings`, in order."""
KEYS: Final = tuple(Key(name, _default(part), part.metadata["sentence"]) for name, part in FIELDS.items())
"""Every setting that exists, for people, in the order of `Settings`."""
