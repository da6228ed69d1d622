"""Cursors: where the next page of a list begins, opaque and signed, so that nobody builds on what is inside."""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode

from ..errors import CursorError
from ..payload import Signer, Verdict


def write_cursor(signer: Signer, row_id: str, purpose: str) -> str:
    """Return the cursor of the page after this row. Its purpose is signed: it leads nowhere in another list."""
    text = f"{signer.sign(purpose, row_id)} {row_id}"
    return urlsafe_b64encode(text.encode()).decode().rstrip("=")


def read_cursor(signer: Signer, cursor: str, purpose: str) -> str:
    """Return the id that a cursor of this list was made of. Raises `CursorError` for any other text."""
    try:
        padded = cursor.encode("ascii") + b"=" * (-len(cursor) % 4)
        text = urlsafe_b64decode(padded).decode()
    except ValueError:
        raise CursorError() from None
    signature, _, row_id = text.partition(" ")
    if signer.verify(signature, purpose, row_id) is not Verdict.VALID:
        raise CursorError()
    return row_id
