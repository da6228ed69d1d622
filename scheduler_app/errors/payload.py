"""Arguments or a result cannot be carried as signed JSON."""

from __future__ import annotations

from .base import SchedulerError


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


class UnknownValueError(MalformedPayloadError):
    """A stored argument is well written, and of a type or Enum that is not known here: a newer version may know it."""


class ResultError(SchedulerError, ValueError):
    """What a function returned cannot be stored, or a stored result cannot be read."""

    def __init__(self, action: str, reason: str) -> None:
        self.action, self.reason = action, reason
        super().__init__(f"The result of the function cannot be {action}: {reason}")


class ResultNotKeptError(ResultError):
    """The job has succeeded, and what it returned could not be stored."""

    def __init__(self, job_id: str, why: str) -> None:
        self.job_id, self.reason = job_id, why
        SchedulerError.__init__(self, f"Job {job_id} has succeeded, but what it returned was not kept: {why}")
