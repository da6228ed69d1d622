"""Every error this package raises: what happened, then what to do.

Each class takes the facts and words itself. `SchedulerError` is the one base; lookup errors are
also `LookupError`s and bad values are also `ValueError`s or `TypeError`s, so that code which knows
nothing of this package still catches them.
"""

from .admin import AuthorizeError, CursorError, RequestError
from .apps import (
    AlreadyRegisteredError,
    ConfigurationError,
    ForeignPartError,
    KeyFileError,
    NoAppContextError,
    NoSigningKeyError,
    NotRegisteredError,
    SigningKeyError,
    UnknownEnvironmentError,
)
from .base import SchedulerError, did_you_mean
from .calls import (
    BatchError,
    DelayError,
    NaiveDatetimeError,
    OptionError,
    ReminderError,
    TooFarError,
    UnknownQueueError,
)
from .jobs import DuplicateKeyError, JobCancelledError, JobConflictError, JobNotFoundError, NoCurrentJobError
from .payload import (
    MalformedPayloadError,
    PayloadError,
    PayloadTooDeepError,
    PayloadTooLargeError,
    PayloadTypeError,
    PayloadValueError,
    ResultError,
)
from .schedules import (
    CronError,
    DeclarationsError,
    IntervalError,
    MalformedTriggerError,
    RetryPolicyError,
    ScheduleNameError,
    TimezoneError,
    TriggerError,
)
from .store import (
    NetworkFileSystemError,
    SchemaMissingError,
    SchemaNewerError,
    SchemaOlderError,
    StoreError,
    StoreRefusedError,
    StoreUnavailableError,
    UnknownRevisionError,
)
from .tasks import (
    ArgumentsError,
    DuplicateTaskError,
    NoAsyncError,
    NotSchedulableError,
    TaskOptionError,
    UnknownTaskError,
)

__all__ = [
    "AlreadyRegisteredError",
    "ArgumentsError",
    "AuthorizeError",
    "BatchError",
    "ConfigurationError",
    "CronError",
    "CursorError",
    "DeclarationsError",
    "DelayError",
    "DuplicateKeyError",
    "DuplicateTaskError",
    "ForeignPartError",
    "IntervalError",
    "JobCancelledError",
    "JobConflictError",
    "JobNotFoundError",
    "KeyFileError",
    "MalformedPayloadError",
    "MalformedTriggerError",
    "NaiveDatetimeError",
    "NetworkFileSystemError",
    "NoAppContextError",
    "NoAsyncError",
    "NoCurrentJobError",
    "NoSigningKeyError",
    "NotRegisteredError",
    "NotSchedulableError",
    "OptionError",
    "PayloadError",
    "PayloadTooDeepError",
    "PayloadTooLargeError",
    "PayloadTypeError",
    "PayloadValueError",
    "ReminderError",
    "RequestError",
    "ResultError",
    "RetryPolicyError",
    "ScheduleNameError",
    "SchedulerError",
    "SchemaMissingError",
    "SchemaNewerError",
    "SchemaOlderError",
    "SigningKeyError",
    "StoreError",
    "StoreRefusedError",
    "StoreUnavailableError",
    "TaskOptionError",
    "TimezoneError",
    "TooFarError",
    "TriggerError",
    "UnknownEnvironmentError",
    "UnknownQueueError",
    "UnknownRevisionError",
    "UnknownTaskError",
    "did_you_mean",
]
