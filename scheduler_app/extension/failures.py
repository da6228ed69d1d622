"""What went wrong in jobs that ran in the caller's own thread: gathered until all have run, then raised there."""

from __future__ import annotations

from ..errors import NotRunError
from ..executors import runner
from ..jobs import JobState
from ..loop.turned import Turned
from ..outcomes import Refusal, Result
from ..store import Claim, Settlement

__tracebackhide__ = True  # for pytest: a traceback goes from the test's own line to the job's


class Failures:
    """The errors of jobs, each as its function raised it."""

    def __init__(self) -> None:
        self._errors: dict[str, BaseException] = {}
        """By what went wrong: a job's id, or a schedule's name."""

    def note(self, settlement: Settlement) -> None:
        """Remember how an attempt ended, if nothing will repair that: an error that is retried is not remembered."""
        claim, result, transition = settlement.claim, settlement.result, settlement.transition
        if result.refusal in (Refusal.UNSERVED, Refusal.UNFIT, Refusal.MALFORMED):
            self._errors[claim.id] = NotRunError(name_of(claim), result.error or result.refusal.value)
        elif result.exception is not None and (transition.state is JobState.FAILED or is_abrupt(result)):
            self._errors[claim.id] = _from_function(result.exception)
        elif transition.state is JobState.FAILED:
            self._errors[claim.id] = NotRunError(name_of(claim), transition.error or "it failed")

    def note_turn(self, turned: Turned) -> None:
        """Remember what went wrong in a turn."""
        for settlement in turned.settled:
            self.note(settlement)
        for job_id, reason in turned.quarantined:
            self._errors[job_id] = NotRunError(f"The job {job_id}", reason)
        for fired in turned.fired:
            if fired.paused is not None:
                name = fired.schedule.name
                self._errors[name] = NotRunError(f"The schedule {name!r}", fired.paused)

    def raise_any(self) -> None:
        """Raise the error, if there is one; of several, an exception group."""
        errors = list(self._errors.values())
        if len(errors) == 1:
            raise errors[0]
        if errors:
            raise BaseExceptionGroup(f"{len(errors)} jobs went wrong", errors)


def is_abrupt(result: Result) -> bool:
    """Whether it was ended by what is no mere error and must reach the caller: Ctrl-C, `SystemExit`, pytest's own."""
    return result.exception is not None and not isinstance(result.exception, Exception)


def name_of(claim: Claim) -> str:
    """Return a job as an error names it."""
    return f"The job {claim.task} ({claim.id})"


def _from_function(error: BaseException) -> BaseException:
    """Return the error with a traceback that begins in the job's function."""
    frames = error.__traceback__
    while frames is not None and frames.tb_frame.f_code.co_filename == runner.__file__:
        frames = frames.tb_next
    return error.with_traceback(frames)
