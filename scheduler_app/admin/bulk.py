"""The action on many jobs at once: on all that a filter means, or on those of a list of ids."""

from __future__ import annotations

import logging
from dataclasses import asdict
from typing import Any

from flask import Response

from ..client import Bulk, current_client
from ..errors import BodyError, DelayError, FilterError, NaiveDatetimeError, TooFarError
from ..filters import parse_filter
from ..shapes import Problems
from .auth import current_actor
from .bodies import MOVES, read_body
from .json_shapes import json_response
from .params import no_parameters

logger = logging.getLogger("scheduler_app.admin")

MOST_AT_ONCE = 10_000
"""How many jobs one request changes; what is left is for the next one."""


def bulk_jobs() -> Response:
    """Do one thing to many jobs; answer in numbers what came of it, and whether there are more."""
    no_parameters()
    said = read_body(_check_together)
    done, actor = _do(said), current_actor()
    numbers, dry_run = asdict(done), said.get("dry_run", False)
    logger.info(
        "admin asked to %s many filter=%r ids=%d dry_run=%s %s actor=%r role=%s",
        said["action"], str(said.get("filter", "")), len(said.get("ids", ())), dry_run,
        " ".join(f"{name}={number}" for name, number in numbers.items()), actor.name, actor.role,
    )  # fmt: skip
    return json_response({"action": said["action"], "dry_run": dry_run, **numbers})


def _do(said: dict[str, Any]) -> Bulk:
    """Have it done. Raises `BodyError` for a time that cannot be, and for a filter that means no job that could."""
    moves = {name: said.get(field) for field, name in MOVES.items()}
    try:
        return current_client().bulk(
            said["action"], said.get("filter"), ids=said.get("ids"), expect=said.get("expected_count"),
            dry_run=said.get("dry_run", False), at_most=MOST_AT_ONCE if "filter" in said else None, **moves,
        )  # fmt: skip
    except FilterError as error:
        raise BodyError({"/filter": str(error)}) from error
    except (DelayError, TooFarError, NaiveDatetimeError) as error:
        raise BodyError({f"/{next(field for field in MOVES if field in said)}": str(error)}) from error


def _check_together(fields: dict[str, Any], problems: Problems) -> None:
    """Read the filter, and say what is wrong with the fields as a whole."""
    if "filter" in fields and "/filter" not in problems:
        try:
            fields["filter"] = parse_filter(fields["filter"])
        except FilterError as error:
            problems["/filter"] = str(error)
    if "/ids" not in problems and ("filter" in fields) == ("ids" in fields):
        problems.setdefault("/filter", "Name the jobs either by the field 'filter' or by the field 'ids'.")
    moves = [name for name in MOVES if name in fields]
    if fields.get("action") == "reschedule":
        if len(moves) != 1 and not any(f"/{name}" in problems for name in MOVES):
            problems["/run_at"] = f"The action 'reschedule' takes one of {', '.join(MOVES)}."
    elif "action" in fields and "/action" not in problems:
        for name in moves:
            problems.setdefault(f"/{name}", f"The field {name!r} goes with the action 'reschedule' only.")
