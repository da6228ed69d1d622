"""An app, its settings or its keys are not as they must be."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from .base import SchedulerError, did_you_mean
from .store import StoreError


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


class NoSigningKeyError(SchedulerError):
    """There is nothing to sign stored calls with."""

    def __init__(self) -> None:
        super().__init__(
            "Stored calls must be signed, and there is no key to sign them with."
            " Set SECRET_KEY or SCHEDULER_SIGNING_KEY, the same on every host."
        )


class KeyFileError(StoreError):
    """The file beside an embedded database, in which its signing key is kept, cannot be read or made."""

    def __init__(self, path: str, reason: str) -> None:
        self.path = path
        super().__init__(
            f"The key that signs stored calls cannot be kept in {path}: {reason}. Let this process write in that"
            " folder, or set SECRET_KEY or SCHEDULER_SIGNING_KEY."
        )


class SigningKeyError(SchedulerError, ValueError):
    """A signing key is missing or too weak to sign with."""

    def __init__(self, problem: str) -> None:
        super().__init__(
            f"{problem} Make a key with 'python -c \"import secrets; print(secrets.token_hex(32))\"'"
            " and set it as SCHEDULER_SIGNING_KEY."
        )


class UnknownEnvironmentError(SchedulerError, LookupError):
    """`SCHEDULER_ENV` names no file of settings."""

    def __init__(self, name: str, known: Iterable[str]) -> None:
        names = sorted(known)
        super().__init__(
            f"SCHEDULER_ENV is {name!r}, and there is no file of that name in config/; it has"
            f" {', '.join(map(repr, names))}.{did_you_mean(name, names)}"
        )


class ForeignPartError(SchedulerError, TypeError):
    """A part of APScheduler's own was handed to the scheduler, which works with this package's only."""

    def __init__(self, what: str, alias: str, given: object, remedy: str) -> None:
        kind = given if isinstance(given, str) else type(given).__name__
        super().__init__(f"The {what} {alias!r} cannot be added: {kind!r} could lose or repeat jobs. {remedy}")


class ForeignSchedulerError(SchedulerError, TypeError):
    """The job store was started by a scheduler that runs jobs in another way than this package's."""

    def __init__(self, scheduler: object) -> None:
        super().__init__(
            f"A DurableJobStore cannot be used by a {type(scheduler).__name__}, which deletes a job before it runs and"
            " would run it in each of its processes. Use 'scheduler.aps' of a 'Scheduler(app)' instead, or start the"
            " store by itself, with start(None, 'default')."
        )


class NoAppPathError(SchedulerError):
    """An executor of processes is to start, and nothing tells how its children make the app."""

    def __init__(self, alias: str) -> None:
        super().__init__(
            f"The executor {alias!r} runs jobs in processes, each of which makes the app anew, and nothing says how."
            " Set SCHEDULER_APP (or FLASK_APP) to what 'flask --app' takes, such as 'shop:create_app'."
        )


class NoProcessesError(SchedulerError):
    """An executor of processes is to start where it cannot."""

    def __init__(self, alias: str, *, limit: bool) -> None:
        why = (
            "limits the memory of its jobs, which needs Linux; leave out 'memory_mb'."
            if limit
            else "runs jobs in processes, which needs a POSIX system. Give it the type 'threads' here."
        )
        super().__init__(f"The executor {alias!r} {why}")


class AppInChildError(SchedulerError):
    """A child of an executor made an app that is not the scheduler's."""

    def __init__(self, path: str, name: str) -> None:
        super().__init__(
            f"{path!r} makes the app {name!r}, which has no scheduler. Set SCHEDULER_APP to what makes the app whose"
            " jobs are run."
        )


class UnknownInChildError(SchedulerError):
    """A child of an executor does not know what its parent knows."""

    def __init__(self, alias: str, path: str, job_id: str, reason: str) -> None:
        super().__init__(
            f"A process of the executor {alias!r} cannot run job {job_id}: {reason} What {path!r} makes there is not"
            " what this process has; set SCHEDULER_APP to what makes this very app."
        )


class NoThreadsError(SchedulerError):
    """Jobs were to run in a process whose threads are none."""

    def __init__(self, who: str) -> None:
        super().__init__(_NO_THREADS.get(who, _GREENLETS.format(who=who)))


_NO_THREADS = {
    "uWSGI": "uWSGI was started without threads, so nothing goes on in this process between two requests, and no job"
    " can run in it. Start it with --enable-threads, or start 'flask scheduler run' beside it.",
    "gevent's queue": "gevent has replaced this process's queues and not its threads, so a thread that waits for work"
    " ends with an error instead. Call patch_all(thread=False, queue=False), which leaves both alone, or start"
    " 'flask scheduler run' beside it.",
}
_GREENLETS = (
    "{who} has made this process's threads into greenlets, so a job that computes would hold up every request, and the"
    " heartbeat by which others know that this process lives. Start 'flask scheduler run' beside it, in a process that"
    " {who} leaves alone."
)
