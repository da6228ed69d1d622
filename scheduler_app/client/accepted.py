"""The address of one job, for whoever asked for it: signed, with an end, and good for nothing else.

A token holds a job's id, when it ends, and whether it may cancel. It is signed as rows are, by the same keys, over two
parts of which the first says what it is for: a row's signature covers four or five, a cursor's begins otherwise.
"""

from __future__ import annotations

import json
import math
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from flask import Response, url_for

from ..errors import DelayError, HandleError, TooFarError
from ..jobs import HELD, Job, JobState
from ..payload import Signer, Verdict
from .times import Delay, seconds_of

PURPOSE = "address of a job, for its owner"
MOST_SECONDS = 365 * 86_400
"""How long a token may be good for."""
LONGEST_PAUSE = 60
"""Seconds after which one may look again at the latest."""


@dataclass(frozen=True, slots=True)
class Pass:
    """What a token says."""

    job_id: str
    expires_at: datetime
    """To the second."""
    may_cancel: bool

    def has_ended(self, now: datetime) -> bool:
        """Whether it is good no more."""
        return now >= self.expires_at


def write_token(signer: Signer, given: Pass) -> str:
    """Return the token of a pass: text for an address."""
    said = f"{int(given.expires_at.timestamp())} {int(given.may_cancel)} {given.job_id}"
    return _encoded(f"{signer.sign(PURPOSE, said)} {said}")


def read_token(signer: Signer, token: str) -> Pass | None:
    """Return what a token says, also one that has ended; None for any text that was not made here, to the letter."""
    signature, _, said = _decoded(token).partition(" ")
    if signer.verify(signature, PURPOSE, said) is not Verdict.VALID:
        return None
    ends, may_cancel, job_id = said.split(" ", 2)
    return Pass(job_id, datetime.fromtimestamp(int(ends), UTC), may_cancel == "1")


def _encoded(text: str) -> str:
    return urlsafe_b64encode(text.encode("utf-8", "surrogatepass")).decode().rstrip("=")


def _decoded(token: str) -> str:
    """Return the text of a token, "" where another spelling of it is the right one."""
    try:
        text = urlsafe_b64decode(token.encode("ascii") + b"=" * (-len(token) % 4)).decode("utf-8", "surrogatepass")
    except ValueError:
        return ""
    return text if _encoded(text) == token else ""


def retry_after(job: Job, now: datetime) -> int:
    """Return after how many seconds it is worth to look again: when it is due, or soon, and within a minute."""
    if job.state in (JobState.PAUSED, JobState.QUARANTINED):
        return LONGEST_PAUSE
    ahead = 0.0 if job.state in HELD else (job.run_at - now).total_seconds()
    return max(1, min(LONGEST_PAUSE, math.ceil(ahead)))


def accepted(job: Job, signer: Callable[[], Signer], now: datetime, *, allow_cancel: bool, expires: Delay) -> Response:
    """Return the answer of a view that gave a job to do; see `JobHandle.accepted`."""
    given = Pass(job.id, _end(now, expires), bool(allow_cancel))
    address = url_for("scheduler.show_handle", token=write_token(signer(), given))
    body: dict[str, Any] = {
        "href": address,
        "state": job.state.value,
        "expires_at": given.expires_at.isoformat().replace("+00:00", "Z"),
        "may_cancel": given.may_cancel,
    }
    answer = Response(json.dumps(body) + "\n", 202, mimetype="application/json")
    answer.headers["Location"] = address
    answer.headers["Retry-After"] = str(retry_after(job, now))
    answer.headers["Cache-Control"] = "no-store"
    return answer


def _end(now: datetime, expires: Delay) -> datetime:
    """Return when a token ends that is good from now on, in whole seconds, the last of them begun."""
    try:
        seconds = seconds_of(expires, MOST_SECONDS)
    except (DelayError, TooFarError):
        seconds = 0.0
    if not seconds:
        raise HandleError(expires, MOST_SECONDS)
    return datetime.fromtimestamp(math.ceil((now + timedelta(seconds=seconds)).timestamp()), UTC)
