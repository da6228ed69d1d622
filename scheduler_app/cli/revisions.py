"""The revisions of the schema: which there are, which the tables have, and what lies between."""

from __future__ import annotations

from ..errors import SchemaNewerError, StoreUnavailableError, UnknownRevisionError
from ..store import Store, reason, schema
from ..store.schema import Migration
from .output import note


def current_of(store: Store) -> str | None:
    """Return the revision of the tables. Raises `StoreUnavailableError` at once when nobody answers."""
    try:
        return schema.current(store.engine)
    except Store.errors as error:
        if store.may_pass(error):
            raise StoreUnavailableError(store.url, reason(error)) from error
        raise


def known(revision: str) -> str:
    """Return a revision that there is. Raises `UnknownRevisionError`."""
    names = [*(step.revision for step in schema.history()), "head", "base"]
    if revision not in names:
        raise UnknownRevisionError(revision, names)
    return revision


def below(revision: str | None) -> str:
    """Return the revision one step down, or "base" where there is none."""
    return next((step.below for step in schema.history() if step.revision == revision), None) or "base"


def places_of(steps: list[Migration], found: str | None) -> dict[str, str]:
    """Return for each revision whether the tables have it: they have the current one and all below it."""
    names = [step.revision for step in steps]
    reached = names.index(found) if found in names else len(names)
    below_it = ("pending", "applied")
    return {name: "current" if i == reached else below_it[i > reached] for i, name in enumerate(names)}


def steps_above(target: str, found: str | None, store: Store) -> list[Migration]:
    """Return the steps that a downgrade undoes, the newest first. Raises where the tables have steps unknown here."""
    steps = schema.history()
    names = [step.revision for step in steps]
    if found is None:
        return []
    if found not in names:
        raise SchemaNewerError(store.url, found, schema.HEAD)
    ends = {name: index for index, name in enumerate(names)} | {"base": len(names), "head": 0}
    return steps[names.index(found) : ends[target]]


def tell_change(store: Store, before: str | None) -> None:
    """Say what the revision was and is; the process that did it checks the tables anew."""
    store.recheck()
    after = current_of(store)
    if after == before:
        note(f"Nothing to do: {store.url} is at {after or 'no revision'}.")
        return
    note(f"{store.url} went from {before or 'nothing'} to {after or 'nothing'}.")
