"""Calls with a key: what a view is told at once of a job that holds the key already."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ..client import Client, JobHandle
from ..errors import DuplicateKeyError
from ..store import NewJob, OnConflict, find
from .storing import Deferred


def standing_job(
    client: Client, collected: Sequence[Deferred], call: Deferred, handle_of: Callable[[NewJob], JobHandle]
) -> JobHandle | None:
    """Return the job that holds a call's key, of this request or stored; None when nobody does.

    Raises `DuplicateKeyError` where the call asks for that. Who comes in between is met when the call is stored, by the
    database's own word.
    """
    own = next((other.new for other in collected if other.new.key == call.new.key), None)
    key = str(call.new.key)
    stored = None if own else client.store.read(lambda connection: find.job_by_live_key(connection, key))
    if own is None and stored is None:
        return None
    found = handle_of(own) if own is not None else JobHandle(client, stored, created=False)  # type: ignore[arg-type]
    if call.on_conflict is OnConflict.RAISE:
        raise DuplicateKeyError(key, found.id)
    found.created = False
    return found
