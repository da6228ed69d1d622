"""The one function that calls user code, in whatever process it lands."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from contextvars import Context
from dataclasses import dataclass
from typing import Any

from flask import Flask

from .. import faults, signals
from ..clock import Clock
from ..errors import JobCancelledError, MalformedPayloadError, ResultError, UnknownTaskError
from ..jobs import Outcome
from ..outcomes import Refusal, Result
from ..payload import Call, Signer, Verdict, decode_call, encode_result
from ..store import Claim
from ..tasks import Task, TaskRegistry
from . import current


class _RefusedError(Exception):
    def __init__(self, refusal: Refusal, reason: str) -> None:
        self.refusal, self.reason = refusal, reason


@dataclass(frozen=True)
class Runner:
    """Runs one claim: verify, resolve, decode, call in an app context, and say how it ended.

    Never raises: whatever user code does, the answer is a `Result`. Writes nothing.
    """

    app: Flask
    registry: TaskRegistry
    signer: Signer
    clock: Clock
    may_start: Callable[[], bool]
    """Whether this process's worker renewed its lease recently enough to start work."""
    max_result_bytes: int
    max_error_chars: int

    def run(self, claim: Claim) -> Result:
        """Run the claim in the calling thread and return how it ended."""
        began = self.clock.reckon()
        try:
            self._check_lease()
            self._check_signature(claim)
            task = self._resolve(claim)
            call = self._decode(claim)
        except _RefusedError as error:
            return Result(began, began, refusal=error.refusal, error=error.reason)
        try:
            returned = Context().run(self._call, claim, task, call)
        except JobCancelledError as error:
            return Result(began, self.clock.reckon(), Outcome.CANCELLED, error=str(error), exception=error)
        except BaseException as error:  # user code may raise anything; all of it is an answer
            return self._failed(began, error)
        return self._returned(began, returned)

    def _check_lease(self) -> None:
        if not self.may_start():
            raise _RefusedError(Refusal.NOT_STARTED, "its worker could not renew its lease")

    def _check_signature(self, claim: Claim) -> None:
        verdict = self.signer.verify(claim.signature, claim.id, claim.task, claim.queue, claim.payload)
        if verdict is Verdict.VALID:
            return
        if verdict is Verdict.UNKNOWN_KEY:
            raise _RefusedError(Refusal.UNSERVED, "signed with a key that this process does not have")
        raise _RefusedError(Refusal.MALFORMED, f"its signature is {verdict.value}: the row was changed by other means")

    def _resolve(self, claim: Claim) -> Task:
        try:
            return self.registry.resolve(claim.task)
        except UnknownTaskError as error:
            raise _RefusedError(Refusal.UNSERVED, str(error)) from error

    def _decode(self, claim: Claim) -> Call:
        try:
            return decode_call(claim.payload, allowed=self.registry.rule.allows)
        except MalformedPayloadError as error:
            raise _RefusedError(Refusal.MALFORMED, str(error)) from error

    def _call(self, claim: Claim, task: Task, call: Call) -> Any:
        current.enter(claim)
        with self.app.app_context():
            if signals.job_started.receivers:
                signals.job_started.send(
                    self, job_id=claim.id, task=claim.task, attempt=claim.attempt + 1, queue=claim.queue
                )
            faults.reach("start")
            function = self.app.ensure_sync(task.function) if task.is_async else task.function
            returned = function(*call.args, **call.kwargs)
            faults.reach("end")
            return returned

    def _returned(self, began: Any, returned: Any) -> Result:
        """A function that returned has succeeded, even if what it returned cannot be kept."""
        ended = self.clock.reckon()
        if returned is None:
            return Result(began, ended, Outcome.SUCCESS)
        try:
            value = encode_result(returned, max_bytes=self.max_result_bytes, allowed=self.registry.rule.allows)
        except ResultError as error:
            return Result(began, ended, Outcome.SUCCESS, error=f"result not kept: {error}", returned=returned)
        return Result(began, ended, Outcome.SUCCESS, value=value, returned=returned)

    def _failed(self, began: Any, error: BaseException) -> Result:
        """The error and its traceback, without this file's own frames and without any local variable."""
        frames = error.__traceback__
        while frames is not None and frames.tb_frame.f_code.co_filename == __file__:
            frames = frames.tb_next
        text = "".join(traceback.format_exception(type(error), error, frames))
        return Result(
            began,
            self.clock.reckon(),
            Outcome.ERROR,
            error=storable(one_line(error), 500),
            traceback=storable(text, self.max_error_chars),
            exception=error,
        )


def one_line(error: BaseException) -> str:
    """Return an exception as one line: its type and what it says."""
    try:
        said = " ".join(str(error).split())
    except Exception as broken:  # an exception's own __str__ may raise anything
        said = f"<its message raised {type(broken).__name__}>"
    name = type(error).__qualname__
    return f"{name}: {said}" if said else name


def storable(text: str, limit: int) -> str:
    """Return `text` as every database can keep it: no NUL, no lone surrogate, the middle cut out if too long."""
    clean = text.encode("utf-8", "backslashreplace").decode().replace("\x00", "\\x00")
    if len(clean) <= limit:
        return clean
    half = (limit - 20) // 2
    return f"{clean[:half]}\n... cut ...\n{clean[-half:]}"
