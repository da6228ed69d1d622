"""Reading an app's whole configuration: every value, what is wrong with it, and what is worth a notice."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from scheduler_app.errors import ConfigurationError, did_you_mean
from scheduler_app.settings import readers
from scheduler_app.settings.database_url import RefusedInMemory, anchored, database_url
from scheduler_app.settings.keys import FIELDS, PREFIX, Settings
from scheduler_app.settings.readers import Reader, Refused
from scheduler_app.settings.sections import ExecutorSettings, QueueSettings, named_executors

FLASK_APSCHEDULER_KEYS: Final = frozenset(
    {
        "SCHEDULER_ALLOWED_HOSTS",
        "SCHEDULER_API_ENABLED",
        "SCHEDULER_API_PREFIX",
        "SCHEDULER_AUTH",
        "SCHEDULER_ENDPOINT_PREFIX",
        "SCHEDULER_JOBS",
        "SCHEDULER_JOBSTORES",
        "SCHEDULER_JOB_DEFAULTS",
        "SCHEDULER_VIEWS_ENABLED",
    }
)
"""Flask-APScheduler's own keys. It also reads `JOBS`, and shares `SCHEDULER_EXECUTORS` and `SCHEDULER_TIMEZONE`."""


def read_settings(
    config: Mapping[str, Any],
    *,
    app_name: str,
    instance_path: str,
    debug: bool,
    default_url: str | None = None,
    default_folder: str | None = None,
    is_flask_apscheduler_here: bool = False,
) -> tuple[Settings, tuple[str, ...]]:
    """Read an app's configuration; give its settings, and notices to log.

    A key that is None or empty counts as not set. `default_url` is the URL, with its password, of the database that
    the app already has; a relative path in it starts at `default_folder`, any other at `instance_path`.
    Flask-APScheduler's keys are worth a notice unless it is here to read them.
    Raises `ConfigurationError` with every problem there is; opens and creates nothing.
    """
    reading = _Reading(config)
    if not is_flask_apscheduler_here:
        reading.note_foreign_keys()
    values = reading.read_keys()
    values["timezone_configured"] = "timezone" in values
    values.setdefault("signing_secrets", reading.read_app_secrets())
    values.setdefault("database_url", "")
    if not reading.is_set(f"{PREFIX}DATABASE_URL"):
        values |= reading.choose_database(default_url, _default_file(app_name))
    is_apps_own = values.get("database_url_source") == "flask-sqlalchemy"
    values["database_url"] = anchored(values["database_url"], (is_apps_own and default_folder) or instance_path)
    settings = Settings(**values, debug=debug)
    reading.compare(settings)
    if reading.problems:
        raise ConfigurationError(reading.problems)
    return settings, tuple(reading.notices)


def is_set(config: Mapping[str, Any], name: str) -> bool:
    """Tell whether a key has a value: None and a blank text are none."""
    value = config.get(name)
    return value is not None and not (isinstance(value, str) and not value.strip())


def read_executors(raw: Any) -> dict[str, ExecutorSettings]:
    """Read executors that are configured in APScheduler's way, by alias. Raises `ConfigurationError`."""
    try:
        return named_executors(raw)
    except Refused as refused:
        raise ConfigurationError([f"configure(executors=...) {problem}" for problem in refused.problems]) from None


def _default_file(app_name: str) -> str:
    name = re.sub(r"[^A-Za-z0-9_.-]+", "-", app_name).strip("-.") or "app"
    return f"sqlite:///{name}-scheduler.sqlite3"


def _did_you_mean_key(name: str) -> str:
    """Compare without the prefix, which would make any two keys look alike."""
    keys = (*FIELDS, *sorted(FLASK_APSCHEDULER_KEYS))
    hint = did_you_mean(name.removeprefix(PREFIX), [key.removeprefix(PREFIX) for key in keys])
    return hint.replace("'", f"'{PREFIX}", 1)


class _Reading:
    """One reading of a configuration; gathers what is wrong with it, and what is worth a notice."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        self.config = config
        self.problems: list[str] = []
        self.notices: list[str] = []
        self.failed: set[str] = set()
        self._note_unknown_keys()

    def is_set(self, name: str) -> bool:
        """Tell whether a key has a value."""
        return is_set(self.config, name)

    def _note_unknown_keys(self) -> None:
        known = FIELDS.keys() | FLASK_APSCHEDULER_KEYS
        for name in sorted(name for name in self.config if name.startswith(PREFIX) and name not in known):
            self.problems.append(f"{name} is not a setting.{_did_you_mean_key(name)}")

    def note_foreign_keys(self) -> None:
        """Note, at once, the keys of Flask-APScheduler."""
        foreign = sorted(FLASK_APSCHEDULER_KEYS.intersection(self.config))
        jobs = self.config.get("JOBS")
        if isinstance(jobs, list | tuple) and any(isinstance(job, Mapping) and "func" in job for job in jobs):
            foreign.insert(0, "JOBS")
        if foreign:
            self.notices.append(
                f"Settings of Flask-APScheduler are ignored: {', '.join(foreign)}. Declare recurring jobs with"
                " @scheduler.cron or @scheduler.every, and open the REST API with SCHEDULER_ADMIN_TOKEN."
            )

    def _read(self, name: str, read: Reader) -> Any:
        """Answer the value of a key that is set, or None after noting what is wrong with it."""
        try:
            return read(self.config[name])
        except Refused as refused:
            self.problems += [f"{name} {problem}" for problem in refused.problems]
            return None

    def read_keys(self) -> dict[str, Any]:
        """Answer the values of all keys that are set and sound, by field."""
        values: dict[str, Any] = {}
        for name, part in FIELDS.items():
            if self.is_set(name):
                values[part.name] = self._read(name, part.metadata["read"])
        self.failed = {field for field, value in values.items() if value is None}
        return {field: value for field, value in values.items() if value is not None}

    def read_app_secrets(self) -> tuple[str, ...]:
        """Answer the app's own SECRET_KEY and its fallbacks: what signs when no signing key is set."""
        key = self._read("SECRET_KEY", readers.secret) if self.config.get("SECRET_KEY") else None
        if key is None:
            return ()
        has_others = self.config.get("SECRET_KEY_FALLBACKS")
        return (key, *((self._read("SECRET_KEY_FALLBACKS", readers.secrets) or ()) if has_others else ()))

    def choose_database(self, default_url: str | None, default_file: str) -> dict[str, str]:
        """Answer the database of an app that sets none: its own if that can hold jobs, else a file."""
        try:
            if default_url:
                return {"database_url": database_url(default_url), "database_url_source": "flask-sqlalchemy"}
        except RefusedInMemory:
            self.notices.append(
                "The app's Flask-SQLAlchemy database is in memory, where no job would survive; jobs are stored in a"
                " SQLite file in the instance folder instead. Set SCHEDULER_DATABASE_URL to choose another place."
            )
        except Refused as refused:
            subject = "SCHEDULER_DATABASE_URL is not set, and the URL of the app's Flask-SQLAlchemy database"
            self.problems += [f"{subject} {problem}" for problem in refused.problems]
        return {"database_url": default_file, "database_url_source": "default"}

    def compare(self, settings: Settings) -> None:
        """Note values that are sound alone and not together."""
        if not self.failed & {"lease_seconds", "heartbeat_seconds"}:
            self._compare_lease(settings.lease_seconds, settings.heartbeat_seconds)
        if not self.failed & {"after_response_delay_seconds", "after_response_fallback_seconds"}:
            self._compare_responses(settings.after_response_delay_seconds, settings.after_response_fallback_seconds)
        if not self.failed & {"queues", "executors"}:
            self._compare_queues(settings.queues or {}, settings.executors)

    def _compare_lease(self, lease: float, beat: float) -> None:
        if lease < 3 * beat:
            self.problems.append(
                f"SCHEDULER_LEASE_SECONDS ({lease:g}) must be at least three times SCHEDULER_HEARTBEAT_SECONDS"
                f" ({beat:g}), or a process that is only slow would be taken for dead."
            )

    def _compare_responses(self, delay: float, fallback: float) -> None:
        if fallback <= delay:
            self.problems.append(
                f"SCHEDULER_AFTER_RESPONSE_FALLBACK_SECONDS ({fallback:g}) must be more than"
                f" SCHEDULER_AFTER_RESPONSE_DELAY_SECONDS ({delay:g}), which is the ordinary way."
            )

    def _compare_queues(self, queues: Mapping[str, QueueSettings], executors: Mapping[str, ExecutorSettings]) -> None:
        for name, queue in queues.items():
            if queue.executor not in executors:
                self.problems.append(
                    f"SCHEDULER_QUEUES gives the queue {name!r} the executor {queue.executor!r},"
                    f" which is not in SCHEDULER_EXECUTORS.{did_you_mean(queue.executor, executors)}"
                )
