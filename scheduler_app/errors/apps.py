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
