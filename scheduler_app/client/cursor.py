"""Cursors: where the next page of a list begins, opaque and signed, so that nobody builds on what is inside.

One belongs to its list: the signature covers the filter and the order, too.
"""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from datetime import datetime

from ..errors import CursorError
from ..filters import JobFilter, Sort
from ..payload import Signer, Verdict
from ..store.filtering import Position

_PURPOSE = "cursor of jobs"


def write_cursor(signer: Signer, wanted: JobFilter, sort: Sort, position: Position) -> str:
    """Return the cursor of the page after this position of a list."""
    place = f"{position.at.isoformat() if position.at else '-'} {position.job_id}"
    text = f"{signer.sign(_PURPOSE, _text(wanted, sort, place))} {place}"
    return urlsafe_b64encode(text.encode()).decode().rstrip("=")


def read_cursor(signer: Signer, wanted: JobFilter, sort: Sort, cursor: str) -> Position:
    """Return the position that a cursor of this list was made of. Raises `CursorError` for any other text."""
    try:
        padded = cursor.encode("ascii") + b"=" * (-len(cursor) % 4)
        text = urlsafe_b64decode(padded).decode()
    except ValueError:
        raise CursorError() from None
    signature, _, place = text.partition(" ")
    if signer.verify(signature, _PURPOSE, _text(wanted, sort, place)) is not Verdict.VALID:
        raise CursorError()
    at, _, job_id = place.partition(" ")
    return Position(job_id, None if at == "-" else datetime.fromisoformat(at))


def _text(wanted: JobFilter, sort: Sort, place: str) -> str:
    """Return what is signed beside the purpose, as one part: no other signature here has two parts and this purpose."""
    return json.dumps([str(wanted), sort, place])
