"""The app's own migrations, where our tables are in the app's database: whether its autogenerate leaves them alone.

Alembic takes each table that no model of the app's describes for one to drop. `include_name` has it look away. Where
that is missing, `spares_our_tables` says so to whoever asks, and Alembic's own log at the moment when it proposes to
drop them, whoever called it.
"""

from __future__ import annotations

import ast
import logging
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .tables import VERSION_TABLE, jobs, metadata

REMEDY = (
    "Pass include_name (from scheduler_app import include_name) to Alembic: Migrate(app, db, include_name=include_name)"
    " with Flask-Migrate, or context.configure(..., include_name=include_name) in the env.py of the app's migrations."
)
_OPTIONS = ("include_name", "include_object")
_WATCHING = "scheduler_app_watches"


def spares_our_tables(options: Mapping[str, Any], env: Path) -> bool:
    """Whether Alembic is told to look away from our tables: by what is passed to `context.configure`, or in `env.py`.

    A function in the options is asked; of the text of `env.py` it is only known that it names one.
    """
    by_name, by_object = (options.get(name) for name in _OPTIONS)
    if by_name is not None and not by_name(jobs.name, "table", {"schema_name": None}):
        return True
    if by_object is not None and not by_object(jobs, jobs.name, "table", True, None):
        return True
    return env.exists() and any(word in _OPTIONS for word in _words(ast.parse(env.read_text())))


def _words(code: ast.Module) -> list[str]:
    """Return the names in some code: of arguments, variables and attributes, and its texts."""
    fields = (getattr(node, name, None) for node in ast.walk(code) for name in ("arg", "id", "attr", "value"))
    return [word for word in fields if isinstance(word, str)]


def watch_autogenerate() -> None:
    """Have Alembic's log say so, in this process, when an autogenerate would drop our tables. Harmless to repeat.

    Only where Alembic is imported already, as it is by whatever is about to run it: importing it would cost each start.
    """
    compare: Any = sys.modules.get("alembic.autogenerate.compare")
    if compare is None or hasattr(compare, _WATCHING):
        return
    setattr(compare, _WATCHING, True)
    compare.comparators.dispatch_for("schema", **_last())(_warn_of_drops)


def _last() -> dict[str, Any]:
    """Have it asked after Alembic's own comparisons: by priority since 1.18, before that by coming last."""
    from alembic import util

    priorities = getattr(util, "DispatchPriority", None)
    return {} if priorities is None else {"priority": priorities.LAST}


def _warn_of_drops(context: Any, operations: Any, _schemas: object) -> None:
    from alembic.operations.ops import DropTableOp

    ours = {*metadata.tables, VERSION_TABLE}
    dropped = {op.table_name for op in operations.ops if isinstance(op, DropTableOp)}
    if lost := sorted(dropped & ours):
        logging.getLogger("alembic.autogenerate.scheduler_app").warning(
            "This would drop the scheduler's tables (%s) and every job in them. Do not apply it: delete these lines, or"
            " the new revision. %s",
            ", ".join(lost),
            REMEDY,
        )
