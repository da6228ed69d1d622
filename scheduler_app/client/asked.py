"""What was asked for under an id of the caller's own: whether it is the same again is told by this."""

from __future__ import annotations

import json
import re
from dataclasses import fields
from datetime import datetime, timedelta
from typing import Any

from ..errors import OptionError
from ..jobs import first_id_of
from .options import Options

ID_PATTERN = "^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$"
"""The form of a job's id that a caller may choose: a UUIDv7 (RFC 9562) in small letters."""

AHEAD = timedelta(days=1)
"""How far the time in such an id may be ahead: lists and retention go by it."""

_NOT_OF_THE_CALL = ("session", "even_on_error")


def checked_id(job_id: str, now: datetime) -> str:
    """Return an id that a caller chose. Raises `OptionError`."""
    if not re.fullmatch(ID_PATTERN, job_id):
        raise OptionError("id", "it must be a UUID of version 7, in small letters.", "create")
    if job_id >= first_id_of(now + AHEAD):
        raise OptionError("id", "the time in it is more than a day ahead.", "create")
    return job_id


def asked_for(task: str, payload: str, when: datetime | timedelta, options: Options) -> str:
    """Return what a call asks for as text: the same for the same, whichever request carries it, and whenever."""
    call = {name: part for name, part in json.loads(payload).items() if name in ("a", "k")}
    moment = when.total_seconds() if isinstance(when, timedelta) else when.isoformat()
    said = {one.name: _plain(getattr(options, one.name)) for one in fields(options) if one.name not in _NOT_OF_THE_CALL}
    chosen = {name: value for name, value in said.items() if value is not None}
    return json.dumps([task, call, moment, chosen], sort_keys=True)


def _plain(value: Any) -> Any:
    return value if value is None or isinstance(value, str | int | float | list | tuple) else str(value)
