"""Cursors: where the next page of a list begins, opaque and signed, so that nobody builds on what is inside."""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode

from ..errors import CursorError
from ..payload import Signer, Verdict

_PURPOSE = "cursor of jobs"


def write_cursor(signer: Signer, job_id: str) -> str:
    """Return the cursor of the page after this job."""
    text = f"{signer.sign(_PURPOSE, job_id)} {job_id}"
    return urlsafe_b64encode(text.encode()).decode().rstrip("=")


def read_cursor(signer: Signer, cursor: str) -> str:
    """Return the job's id that a cursor was made of. Raises `CursorError` for any other text."""
    try:
        padded = cursor.encode("ascii") + b"=" * (-len(cursor) % 4)
        text = urlsafe_b64decode(padded).decode()
    except ValueError:
        raise CursorError() from None
    signature, _, job_id = text.partition(" ")
    if signer.verify(signature, _PURPOSE, job_id) is not Verdict.VALID:
        raise CursorError()
    return job_id
