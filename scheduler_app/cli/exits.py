"""How a command ends: its exit code, and the one message that a person reads."""

from __future__ import annotations

from enum import IntEnum

import click

from ..errors import (
    ArgumentsError,
    CountError,
    CursorError,
    DelayError,
    DuplicateKeyError,
    FilterError,
    JobConflictError,
    JobNotFoundError,
    JobTableNotFoundError,
    MalformedPayloadError,
    NaiveDatetimeError,
    NeverFiresError,
    NeverMeetError,
    OptionError,
    PayloadError,
    QueueNotFoundError,
    QueuePauseError,
    ResultTimeoutError,
    ScheduleConflictError,
    ScheduleNotFoundError,
    SchedulerError,
    SchemaNewerError,
    StoreError,
    StoreUnavailableError,
    TooFarError,
    UnknownQueueError,
    UnknownRevisionError,
    UnknownTaskError,
)
from ..jobs import FINISHED


class Exit(IntEnum):
    """The exit codes of every command."""

    OK = 0
    ERROR = 1
    USAGE = 2
    NOT_FOUND = 3
    CONFLICT = 4
    PARTLY = 5
    """Several were asked for, and only some could be done."""
    UNUSABLE = 69
    """The store is unreachable or cannot be used (sysexits.h: EX_UNAVAILABLE)."""
    INTERRUPTED = 130


class Failed(click.ClickException):
    """Ends a command with a message on stderr and an exit code."""

    def __init__(self, message: str, code: Exit) -> None:
        super().__init__(message)
        self.exit_code = int(code)  # type: ignore[misc] # click reads it from the instance


_CODES: tuple[tuple[type[SchedulerError], Exit], ...] = (
    (JobNotFoundError, Exit.NOT_FOUND),
    (JobTableNotFoundError, Exit.NOT_FOUND),
    (JobConflictError, Exit.CONFLICT),
    (ScheduleNotFoundError, Exit.NOT_FOUND),
    (ScheduleConflictError, Exit.CONFLICT),
    (NeverFiresError, Exit.CONFLICT),
    (NeverMeetError, Exit.CONFLICT),
    (DuplicateKeyError, Exit.CONFLICT),
    (CountError, Exit.CONFLICT),
    (FilterError, Exit.USAGE),
    (CursorError, Exit.USAGE),
    (QueueNotFoundError, Exit.NOT_FOUND),
    (QueuePauseError, Exit.USAGE),
    (UnknownTaskError, Exit.NOT_FOUND),
    (ArgumentsError, Exit.USAGE),
    (UnknownQueueError, Exit.USAGE),
    (OptionError, Exit.USAGE),
    (TooFarError, Exit.USAGE),
    (DelayError, Exit.USAGE),
    (NaiveDatetimeError, Exit.USAGE),
    (MalformedPayloadError, Exit.ERROR),  # of what is stored, while all others are of what was typed
    (PayloadError, Exit.USAGE),
    (UnknownRevisionError, Exit.ERROR),
    (StoreError, Exit.UNUSABLE),
)


def code_of(error: SchedulerError) -> Exit:
    """Return the exit code of an error."""
    return next((code for kind, code in _CODES if isinstance(error, kind)), Exit.ERROR)


def message_of(error: SchedulerError, command: str | None = None) -> str:
    """Return what happened in a command, and at its end the next command to try where there is one."""
    if isinstance(error, ResultTimeoutError):
        return (
            f"{error.found} It goes on: 'flask scheduler show {error.job_id}' tells how far it is, and"
            f" 'flask scheduler why {error.job_id}' why it has not ended."
        )
    return f"{error}{_next_command(error, command)}"


def failure(error: SchedulerError, command: str | None = None) -> Failed:
    """Return the end of a command for an error."""
    return Failed(message_of(error, command), code_of(error))


def _next_command(error: SchedulerError, command: str | None) -> str:
    if isinstance(error, JobConflictError):
        how = "how it ended" if error.state in FINISHED else "how it stands"
        return f" See {how} with 'flask scheduler show {error.job_id}'."
    if isinstance(error, ScheduleNotFoundError):
        return " 'flask scheduler schedules list' shows their names."
    if isinstance(error, StoreUnavailableError) and command != "status":
        return " 'flask scheduler status' tells when it answers."
    if isinstance(error, UnknownTaskError):
        return " 'flask scheduler tasks' lists those that there are."
    if isinstance(error, SchemaNewerError):
        return " 'flask scheduler db current' shows the revision."
    return ""
