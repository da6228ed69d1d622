"""The one function that calls user code, in whatever process it lands."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import Context
from dataclasses import dataclass
from datetime import datetime, timedelta
from inspect import iscoroutinefunction
from typing import Any
from urllib.parse import urlsplit

from flask import Flask

from .. import faults, signals
from ..carry import Carrier, restored
from ..clock import Clock, monotonic
from ..errors import (
    ArgumentsError,
    JobCancelledError,
    JobTimeoutError,
    MalformedPayloadError,
    ResultError,
    UnknownTaskError,
    UnknownValueError,
)
from ..jobs import Job, Outcome
from ..outcomes import NOT_KEPT, Refusal, Result, how_overran
from ..payload import Call, Scrub, Signer, Verdict, decode_call, decode_result, encode_result, scrubber
from ..retry import kinds_of
from ..store import Claim
from ..tasks import RESULT, Task, TaskRegistry, importable_module
from ..wishes import Snooze, Wish
from . import current
from .base import Admission

UNWANTED = "it was asked to stop before it had started"
"""Why a claim did not run that was cancelled while it waited for its slot."""


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
    carriers: Sequence[Carrier] = ()
    """What may have travelled with a call, and how it is set around the function."""
    base_url: str | None = None
    """Where the app is reached, for `url_for`; None: as Flask's own settings say."""
    tells_start: bool = True
    """Whether it tells that a job starts; in a child, its parent does."""

    def now(self) -> datetime:
        """Return the store's time, without asking the database."""
        return self.clock.reckon()

    def admit(self, claim: Claim) -> Admission:
        """Check a claim before another process runs it, and let it have its task's own timeout if it has none."""
        now = self.clock.reckon()
        try:
            self._check_lease()
            _check_wanted(claim)
            self._check_signature(claim)
            task = self._resolve(claim)
        except _RefusedError as error:
            return Admission(Result(now, now, refusal=error.refusal, error=error.reason))
        if claim.timeout is None:
            claim.timeout = task.timeout
        return Admission(module=importable_module(task.function))

    def run(self, claim: Claim) -> Result:
        """Run the claim in the calling thread and return how it ended."""
        began = self.clock.reckon()
        try:
            self._check_lease()
            _check_wanted(claim)
            self._check_signature(claim)
            task = self._resolve(claim)
            call = self._decode(claim, task)
            secret = secrets_of(task, call)
            scrub = scrubber(call.args, call.kwargs, secret)
            _set_deadline(claim, task)
        except _RefusedError as error:
            return Result(began, began, refusal=error.refusal, error=error.reason)
        except Exception as error:  # an argument's class is the app's own code: its `__str__` may raise anything
            return broken_result(error, began, self.clock.reckon())
        try:
            returned = Context().run(self._call, claim, task, call, scrub)
        except JobCancelledError as error:
            return Result(began, self.clock.reckon(), Outcome.CANCELLED, error=str(error), exception=error)
        except Snooze as wish:
            return Result(began, self.clock.reckon(), wish=wish)
        except BaseException as error:  # user code may raise anything; all of it is an answer
            return self._failed(claim, began, error, scrub)
        result = self._returned(claim, began, returned, scrub)
        result.masked |= RESULT in secret
        return result

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

    def _decode(self, claim: Claim, task: Task) -> Call:
        """Return the stored arguments; those that another version of the app may take are left to that."""
        try:
            call = decode_call(claim.payload, allowed=self.registry.rule.allows)
            task.bind(call.args, call.kwargs)
        except (UnknownValueError, ArgumentsError) as error:
            raise _RefusedError(Refusal.UNFIT, error.reason) from error
        except MalformedPayloadError as error:
            raise _RefusedError(Refusal.MALFORMED, str(error)) from error
        return call

    def _call(self, claim: Claim, task: Task, call: Call, scrub: Scrub) -> Any:
        current.enter(claim, call.context, scrub)
        with self._app_context(), restored(self.carriers, call.context):
            if self.tells_start and signals.job_started.receivers:
                signals.job_started.send(
                    self, job_id=claim.id, task=claim.task, attempt=claim.attempt + 1, queue=claim.queue
                )
            faults.reach("start")
            function = self.app.ensure_sync(task.function) if task.is_async else task.function
            returned = function(*call.args, **call.kwargs)
            faults.reach("end")
            return returned

    def call_hook(self, hook: Callable[..., Any], job: Job, args: tuple[Any, ...]) -> None:
        """Call a task's hook as its function is called, with what travelled with the job. Raises what it raises."""
        context = decode_call(job.payload, allowed=self.registry.rule.allows).context
        Context().run(self._call_hook, hook, context, args)

    def _call_hook(self, hook: Callable[..., Any], context: dict[str, Any], args: tuple[Any, ...]) -> None:
        with self._app_context(), restored(self.carriers, context):
            function = self.app.ensure_sync(hook) if iscoroutinefunction(hook) else hook
            function(*args)

    def scrubber_for(self, job: Job) -> Scrub:
        """Return what replaces, in texts, the values of a job's secret arguments."""
        call = decode_call(job.payload, allowed=self.registry.rule.allows)
        return scrubber(call.args, call.kwargs, secrets_of(self.registry.resolve(job.task), call))

    def returned_of(self, result: Result) -> Any:
        """Return what a function returned, read from what is stored where it ran in another process."""
        if result.returned is None and result.value is not None:
            return decode_result(result.value, allowed=self.registry.rule.allows)
        return result.returned

    @contextmanager
    def _app_context(self) -> Iterator[None]:
        with self.app.app_context() as context:
            if self.base_url is not None and context.url_adapter is None:
                address = urlsplit(self.base_url)
                context.url_adapter = self.app.url_map.bind(
                    address.netloc, script_name=address.path or "/", url_scheme=address.scheme
                )
            yield

    def _returned(self, claim: Claim, began: Any, returned: Any, scrub: Scrub) -> Result:
        """A function that returned has succeeded, even if what it returned cannot be kept, or it came late.

        But one that asked, and heard that its timeout was over, has stopped for that.
        """
        ended = self.clock.reckon()
        late = _overran(claim, ended - began)
        if late and claim.saw_timeout:
            return self._failed(claim, began, JobTimeoutError(f"stopped at its timeout of {claim.timeout:g} s"), scrub)
        if returned is None:
            return Result(began, ended, Outcome.SUCCESS, error=late)
        try:
            value = encode_result(returned, max_bytes=self.max_result_bytes, allowed=self.registry.rule.allows)
            masked = scrub(value) != value
        except Exception as error:  # a `ResultError`; or what it returned changes meanwhile, or raises when read
            why = str(error) if isinstance(error, ResultError) else one_line(error)
            said = storable(scrub(f"{NOT_KEPT}{why}"), self.max_error_chars)
            return Result(began, ended, Outcome.SUCCESS, error=said, returned=returned)
        return Result(began, ended, Outcome.SUCCESS, value=value, error=late, returned=returned, masked=masked)

    def _failed(self, claim: Claim, began: Any, error: BaseException, scrub: Scrub) -> Result:
        """The error and its traceback, without this file's own frames, any local variable, and any secret argument."""
        ended = self.clock.reckon()
        is_timeout = isinstance(error, JobTimeoutError)
        late = None if is_timeout else _overran(claim, ended - began)
        frames = error.__traceback__
        while frames is not None and frames.tb_frame.f_code.co_filename == __file__:
            frames = frames.tb_next
        text = "".join(traceback.format_exception(type(error), error, frames))
        said = one_line(error)
        shown, kept = scrub(said), scrub(text)
        line = storable(shown, 500)
        return Result(
            began,
            ended,
            Outcome.TIMEOUT if is_timeout else Outcome.ERROR,
            error=f"{line} ({late})" if late else line,
            traceback=storable(kept, self.max_error_chars),
            exception=error,
            kinds=kinds_of(error),
            wish=error if isinstance(error, Wish) else None,
            masked=(shown, kept) != (said, text),
        )


def secrets_of(task: Task, call: Call) -> tuple[int | str, ...]:
    """Return the places of a call's secret arguments, as whoever stored it knew them, and as they are known here."""
    return (*call.secret, *task.secret_places(call.args, call.kwargs))


def _check_wanted(claim: Claim) -> None:
    """Refuse what was asked to stop while it waited for its slot: given back, it is cancelled."""
    if claim.cancelled:
        raise _RefusedError(Refusal.NOT_STARTED, UNWANTED)


def _set_deadline(claim: Claim, task: Task) -> None:
    if claim.timeout is None:
        claim.timeout = task.timeout
    if claim.timeout is not None:
        claim.deadline = monotonic() + claim.timeout


def _overran(claim: Claim, ran: timedelta) -> str | None:
    """Return what is to be said of an attempt that is over after its deadline; None where it is not."""
    if claim.timeout is None or monotonic() < claim.deadline:
        return None
    return how_overran(ran.total_seconds(), claim.timeout)


def broken_result(error: BaseException, began: datetime, ended: datetime) -> Result:
    """Return the error of a job around whose function something was raised, before it is known what is secret in it.

    So it shows where that was, and no word of what was said.
    """
    name = type(error).__qualname__
    return Result(
        began,
        ended,
        Outcome.ERROR,
        error=storable(f"{name} was raised around its function; what it said is not shown, as it may be secret", 500),
        traceback=storable("".join([*traceback.format_tb(error.__traceback__), name]), 5000),
        exception=error,
        kinds=kinds_of(error),
        masked=True,
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
