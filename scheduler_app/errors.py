"""Every error this package raises: what happened, then what to do.

Each class takes the facts and words itself. `SchedulerError` is the one base; lookup errors are
also `LookupError`s and bad values are also `ValueError`s or `TypeError`s, so that code which knows
nothing of this package still catches them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return ``" Did you mean 'x'?"`` for the known word nearest to `word`, else an empty string."""
    close = get_close_matches(word, list(known), n=1)
    return f" Did you mean {close[0]!r}?" if close else ""


class SchedulerError(Exception):
    """The base of every error of this package."""


# -- set-up ----------------------------------------------------------------------------------------


class ConfigurationError(SchedulerError):
    """The `SCHEDULER_*` settings of an app cannot be used; every problem is listed at once."""

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        count = len(self.problems)
        head = "1 problem" if count == 1 else f"{count} problems"
        super().__init__("\n".join([f"{head} in the scheduler's settings:", *(f"  - {p}" for p in problems)]))


class AlreadyRegisteredError(SchedulerError):
    """A second `Scheduler` was registered on one app."""

    def __init__(self) -> None:
        super().__init__(
            "A 'Scheduler' instance has already been registered on this Flask app."
            " Import and use that instance instead."
        )


class NotRegisteredError(SchedulerError):
    """The current app has no `Scheduler`."""

    def __init__(self) -> None:
        super().__init__(
            "The current Flask app has no scheduler."
            " Call 'Scheduler(app)' or 'scheduler.init_app(app)' when the app is made."
        )


class NoAppContextError(SchedulerError, RuntimeError):
    """The scheduler was used where no Flask app is current."""

    def __init__(self) -> None:
        super().__init__(
            "The scheduler was used outside of a Flask app context, so it cannot tell which app is meant."
            " Wrap the call in 'with app.app_context():'."
        )


# -- the store -------------------------------------------------------------------------------------


class StoreError(SchedulerError):
    """The base of errors of the database under the scheduler."""


class StoreUnavailableError(StoreError):
    """The database did not answer, or refused the write.

    Nothing was stored, unless `undecided`: then the reply to a commit was lost, and no later try could tell.
    """

    def __init__(self, url: str, reason: str, *, undecided: bool = False) -> None:
        self.url = url
        self.undecided = undecided
        if undecided:
            ending = "Whether this was stored is not known. Check that it runs, then look before you try again."
        else:
            ending = "Nothing was stored. Check that it runs and accepts connections, then try again."
        super().__init__(f"The scheduler's database {url} cannot be used now: {reason}. {ending}")


class StoreRefusedError(StoreError):
    """The database answered, and refused a statement: a right or a table is missing, say."""

    def __init__(self, url: str, reason: str) -> None:
        self.url = url
        super().__init__(
            f"The scheduler's database {url} refused: {reason}. Look at its tables with 'flask scheduler db check'."
        )


class UnknownRevisionError(StoreError, LookupError):
    """No migration of this package has this revision."""

    def __init__(self, revision: str, known: Iterable[str]) -> None:
        names = list(known)
        super().__init__(
            f"There is no revision {revision!r}.{did_you_mean(revision, names)}"
            " See what there is with 'flask scheduler db history'."
        )


class SchemaMissingError(StoreError):
    """The scheduler's tables are not in the database."""

    def __init__(self, url: str) -> None:
        super().__init__(
            f"The scheduler's tables are missing from {url}. Create them with 'flask scheduler db upgrade',"
            " or set SCHEDULER_AUTO_UPGRADE=True."
        )


class SchemaOlderError(StoreError):
    """The scheduler's tables are of an older version than this code."""

    def __init__(self, url: str, found: str, wanted: str) -> None:
        super().__init__(
            f"The scheduler's tables in {url} are at revision {found}, but this version needs {wanted}."
            " Bring them up to date with 'flask scheduler db upgrade', or set SCHEDULER_AUTO_UPGRADE=True."
        )


class SchemaNewerError(StoreError):
    """The scheduler's tables are of a newer, incompatible version."""

    def __init__(self, url: str, found: str, wanted: str) -> None:
        super().__init__(
            f"The scheduler's tables in {url} are at revision {found}, which is newer than this version"
            f" can use ({wanted}). Upgrade the scheduler-app package on this machine."
        )


class NetworkFileSystemError(StoreError):
    """A SQLite file stands on a network file system, where its locks cannot be trusted."""

    def __init__(self, path: str, kind: str) -> None:
        super().__init__(
            f"The SQLite file {path} is on a network file system ({kind}), where SQLite loses writes."
            " Put it on a local disk, or set SCHEDULER_DATABASE_URL to PostgreSQL."
        )


# -- looking things up -----------------------------------------------------------------------------


class JobNotFoundError(SchedulerError, LookupError):
    """No job has this id."""

    def __init__(self, job_id: str) -> None:
        self.job_id = job_id
        super().__init__(
            f"No job has the id {job_id!r}. It may have been removed by retention;"
            " 'flask scheduler list' shows what there is."
        )


class JobConflictError(SchedulerError):
    """The job's state forbids what was asked."""

    def __init__(self, job_id: str, state: str, asked: str, allowed: Sequence[str]) -> None:
        self.job_id, self.state, self.asked, self.allowed = job_id, state, asked, tuple(allowed)
        can = f"It allows: {', '.join(allowed)}." if allowed else "Nothing more can be done with it."
        super().__init__(f"Job {job_id} is {state!r}, so it cannot be asked to {asked}. {can}")


class DuplicateKeyError(SchedulerError):
    """A job that has not started yet holds this key, and the call asked for that to be an error."""

    def __init__(self, key: str, job_id: str) -> None:
        self.key, self.job_id = key, job_id
        super().__init__(
            f"Job {job_id} holds the key {key!r} and has not started yet. Cancel or reschedule that job,"
            " or schedule with another on_conflict: 'existing', 'debounce' or 'throttle'."
        )


# -- what may be scheduled -------------------------------------------------------------------------


class NotSchedulableError(SchedulerError, TypeError):
    """This callable cannot be scheduled, because no other process could find it by name."""

    def __init__(self, function: str, reason: str, instead: str) -> None:
        self.function, self.reason, self.instead = function, reason, instead
        super().__init__(f"{function} cannot be scheduled: {reason}. {instead}")


class ArgumentsError(SchedulerError, TypeError):
    """The arguments do not bind to the task's signature."""

    def __init__(self, task: str, reason: str) -> None:
        self.task, self.reason = task, reason
        super().__init__(
            f"The task {task!r} cannot be called with these arguments: {reason}. Nothing was stored;"
            " pass the arguments that the function takes."
        )


class UnknownTaskError(SchedulerError, LookupError):
    """This process knows no task of this name, and may not or cannot import one."""

    def __init__(self, name: str, reason: str) -> None:
        self.name, self.reason = name, reason
        super().__init__(f"The task {name!r} is not known here: {reason}")


class DuplicateTaskError(SchedulerError, ValueError):
    """Two functions claim one task name."""

    def __init__(self, name: str, holder: str, newcomer: str) -> None:
        self.name = name
        super().__init__(
            f"The task name {name!r} belongs to {holder}, so {newcomer} cannot have it too."
            " Give one of them another name with @task(name=...)."
        )


class TaskOptionError(SchedulerError, ValueError):
    """An option of a task does not exist, or has a value that cannot be used."""

    def __init__(self, task: str, problem: str) -> None:
        self.task = task
        super().__init__(f"The task {task!r} cannot be declared: {problem}")


# -- arguments and results -------------------------------------------------------------------------


class PayloadError(SchedulerError):
    """The base of errors of arguments that cannot be stored with a job; nothing was stored."""


class PayloadTypeError(PayloadError, TypeError):
    """A value is of a type that JSON with type tags cannot carry."""

    def __init__(self, path: str, value_type: type, hint: str) -> None:
        self.path, self.value_type, self.hint = path, value_type, hint
        module = value_type.__module__
        name = value_type.__qualname__ if module == "builtins" else f"{module}.{value_type.__qualname__}"
        super().__init__(f"{path} is of type {name!r}, which cannot be stored: {hint}.")


class PayloadValueError(PayloadError, ValueError):
    """A value is of a type that could be carried, but not this value of it."""

    def __init__(self, path: str, problem: str, hint: str) -> None:
        self.path, self.problem, self.hint = path, problem, hint
        super().__init__(f"{path} {problem}, which cannot be stored: {hint}.")


class PayloadTooLargeError(PayloadError, ValueError):
    """The arguments take more bytes than the limit; `size` is None where counting stopped early."""

    def __init__(self, size: int | None, limit: int) -> None:
        self.size, self.limit = size, limit
        taken = f"{size} bytes as JSON, more than" if size is not None else "more bytes as JSON than"
        super().__init__(
            f"The arguments take {taken} the {limit} that SCHEDULER_MAX_PAYLOAD_BYTES allows."
            " Store the data elsewhere and pass its key, or raise the setting."
        )


class PayloadTooDeepError(PayloadError, ValueError):
    """The arguments are nested more deeply than the limit, or contain themselves."""

    def __init__(self, path: str, limit: int) -> None:
        self.path, self.limit = path, limit
        super().__init__(
            f"{path} is nested more than {limit} levels deep, or contains itself."
            " Pass a flatter value, or store the data elsewhere and pass its key."
        )


class MalformedPayloadError(PayloadError, ValueError):
    """Stored arguments cannot be read; nothing was run with them."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(f"The stored arguments cannot be read: {reason}. Nothing was run with them.")


class ResultError(SchedulerError, ValueError):
    """What a function returned cannot be stored, or a stored result cannot be read."""

    def __init__(self, action: str, reason: str) -> None:
        self.action, self.reason = action, reason
        super().__init__(f"The result of the function cannot be {action}: {reason}")


class SigningKeyError(SchedulerError, ValueError):
    """A signing key is missing or too weak to sign with."""

    def __init__(self, problem: str) -> None:
        super().__init__(
            f"{problem} Make a key with 'python -c \"import secrets; print(secrets.token_hex(32))\"'"
            " and set it as SCHEDULER_SIGNING_KEY."
        )


# -- schedules and retries -------------------------------------------------------------------------


class CronError(SchedulerError, ValueError):
    """A crontab line is malformed, or says what one trigger cannot do."""

    def __init__(self, expression: object, reason: str) -> None:
        self.expression, self.reason = expression, reason
        super().__init__(f"The cron line {expression!r} cannot be used: {reason}.")


class IntervalError(SchedulerError, ValueError):
    """The interval of a recurring schedule cannot be used."""

    def __init__(self, reason: str) -> None:
        super().__init__(
            f"The interval cannot be used: {reason}. Give weeks, days, hours, minutes or seconds"
            " that together are 1 second or more, such as every(minutes=5)."
        )


class TriggerError(SchedulerError, ValueError):
    """A trigger cannot be stored, for it could not be read back as it is."""

    def __init__(self, kind: str, reason: str | None = None) -> None:
        self.kind = kind
        why = reason or (
            "only APScheduler's own DateTrigger, IntervalTrigger and CronTrigger are supported now."
            " Use one of them; what several triggers say together, say as several schedules"
        )
        super().__init__(f"The trigger {kind} cannot be stored: {why}.")


class MalformedTriggerError(SchedulerError, ValueError):
    """A stored trigger cannot be read."""

    def __init__(self, text: str, reason: str) -> None:
        self.text = text
        shown = text if len(text) <= 80 else text[:79] + "…"
        super().__init__(
            f"The stored trigger {shown!r} cannot be read: {reason}. Declare the schedule again, or remove it."
        )


class RetryPolicyError(SchedulerError, ValueError):
    """A value of a retry policy cannot be used."""

    def __init__(self, name: str, value: object, allowed: str) -> None:
        self.name, self.value = name, value
        super().__init__(f"RetryPolicy({name}={value!r}) cannot be used: {name} must be {allowed}.")


# -- inside a running job --------------------------------------------------------------------------


class JobCancelledError(SchedulerError):
    """Raised by `current_job.raise_if_cancelled()`; it ends the function, and the job is cancelled."""

    def __init__(self, job_id: str) -> None:
        super().__init__(f"Job {job_id} was asked to stop.")


class NoCurrentJobError(SchedulerError, RuntimeError):
    """`current_job` was used where no job runs."""

    def __init__(self) -> None:
        super().__init__(
            "No job runs here. 'current_job' works inside a function that the scheduler runs;"
            " test it first with 'if current_job:' where both are possible."
        )


# -- when and how to schedule ----------------------------------------------------------------------


class DelayError(SchedulerError, ValueError):
    """A delay is not a number of seconds from now that can be kept."""

    def __init__(self, delay: object, problem: str) -> None:
        super().__init__(
            f"Cannot schedule after {delay!r}: {problem}. Pass seconds as a number of 0 or more, or a timedelta."
        )


class NaiveDatetimeError(SchedulerError, ValueError):
    """A datetime without a time zone, where the app has not said which one is meant."""

    def __init__(self, value: object) -> None:
        super().__init__(
            f"Cannot schedule at {value}: it has no time zone. Pass an aware datetime, such as"
            " datetime(..., tzinfo=ZoneInfo('Europe/Oslo')), or set SCHEDULER_TIMEZONE."
        )


class TooFarError(SchedulerError, ValueError):
    """A time that lies further ahead than the scheduler is set to keep."""

    def __init__(self, limit_seconds: float) -> None:
        days = limit_seconds / 86400
        super().__init__(
            f"Cannot schedule more than {days:,.0f} days ahead. Raise SCHEDULER_MAX_DELAY_SECONDS if that is meant."
        )


class OptionError(SchedulerError, ValueError):
    """An option of `using()` is unknown or has a value that cannot be used."""

    def __init__(self, name: str, problem: str) -> None:
        super().__init__(f"using({name}=...): {problem}")


class UnknownQueueError(SchedulerError, LookupError):
    """A queue that is not among the configured ones."""

    def __init__(self, queue: str, known: Iterable[str]) -> None:
        names = sorted(known)
        super().__init__(
            f"There is no queue {queue!r}; SCHEDULER_QUEUES has {', '.join(map(repr, names))}."
            f"{did_you_mean(queue, names)}"
        )


class BatchError(SchedulerError, ValueError):
    """The calls handed to `schedule_many` are not in its form, or too many."""

    def __init__(self, problem: str) -> None:
        super().__init__(f"schedule_many: {problem}")


class ScheduleNameError(SchedulerError, ValueError):
    """A schedule's name cannot be used."""

    def __init__(self, name: object, problem: str) -> None:
        super().__init__(f"Cannot name a schedule {name!r}: {problem}.")


class TimezoneError(SchedulerError, ValueError):
    """A time zone's name is unknown."""

    def __init__(self, name: object) -> None:
        super().__init__(
            f"There is no time zone {name!r}. Use a name of the IANA database, such as 'Europe/Oslo' or 'UTC'."
        )


class NoSigningKeyError(SchedulerError):
    """There is nothing to sign stored calls with."""

    def __init__(self) -> None:
        super().__init__(
            "Stored calls must be signed, and there is no key to sign them with."
            " Set SECRET_KEY or SCHEDULER_SIGNING_KEY, the same on every host."
        )


# -- the admin -------------------------------------------------------------------------------------


class CursorError(SchedulerError, ValueError):
    """The cursor of a list was not made by this app for this list."""

    def __init__(self) -> None:
        super().__init__(
            "The cursor cannot be used: it was cut, changed, or made before the signing key changed."
            " Ask again without cursor=, and follow next_cursor from there."
        )


class RequestError(SchedulerError, ValueError):
    """A request names parameters that do not exist or cannot be used; `problems` has a sentence for each, by name."""

    def __init__(self, problems: Mapping[str, str]) -> None:
        self.problems = dict(problems)
        super().__init__(" ".join(self.problems.values()))


class AuthorizeError(SchedulerError, TypeError):
    """The app's own `authorize` function answered neither an `Actor` with a known role nor None."""

    def __init__(self, answer: str) -> None:
        super().__init__(
            f"The function given to @scheduler.authorize returned {answer}, so the request was refused."
            " Return Actor(name, role) with the role 'viewer', 'operator' or 'admin', or None."
        )


# -- the stand-alone service -----------------------------------------------------------------------


class UnknownEnvironmentError(SchedulerError, LookupError):
    """`SCHEDULER_ENV` names no file of settings."""

    def __init__(self, name: str, known: Iterable[str]) -> None:
        names = sorted(known)
        super().__init__(
            f"SCHEDULER_ENV is {name!r}, and there is no file of that name in config/; it has"
            f" {', '.join(map(repr, names))}.{did_you_mean(name, names)}"
        )


class ReminderError(SchedulerError, ValueError):
    """What a person asked the demo for cannot be done; the sentence is for that person."""
