"""What a job's attempt came to whose child did not tell its end: decided here, purely."""

from __future__ import annotations

from datetime import datetime

from ..errors import JobTimeoutError
from ..jobs import Outcome
from ..outcomes import Refusal, Result
from ..retry import kinds_of
from ..store import Claim
from .children import How


def killed_result(claim: Claim, how: How, why: str, began: datetime, ended: datetime) -> Result:
    """Return the result of a claim whose child was killed or died; `why` says how that process ended.

    A timeout is an error, as if the function had raised TimeoutError; a cancellation is none. A child that nobody
    killed is a crash, which spends no attempt and is counted; if it had not begun, the claim is given back.
    """
    if how is How.TIMED_OUT:
        error = JobTimeoutError(f"ran longer than its timeout of {claim.timeout:g} s and was killed")
        said = f"JobTimeoutError: {error}"
        return Result(began, ended, Outcome.TIMEOUT, error=said, exception=error, kinds=kinds_of(error))
    if claim.cancelled:
        return Result(
            began, ended, Outcome.CANCELLED, error=f"Job {claim.id} was asked to stop, and its process was killed."
        )
    if how is How.NOT_STARTED:
        return Result(began, ended, refusal=Refusal.NOT_STARTED, error=f"its process had gone: {why}")
    return Result(began, ended, Outcome.ABANDONED, error=f"its process died: {why}")
