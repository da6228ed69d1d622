"""`flask scheduler config`: every setting as it is here, and whence it comes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from flask import current_app

from ..client import current_scheduler
from ..settings.shown import ShownSetting, shown_settings
from .group import scheduler_commands
from .options import format_option
from .output import write_list
from .table import Column


@scheduler_commands.command("config", short_help="Show every setting, and whence it comes.")
@format_option("table", "json", "jsonl", "csv")
def show_config(shape: str) -> None:
    """Show every setting as it is here, and whether app.config says so or it is the default. Secrets are masked."""
    found = shown_settings(current_scheduler().settings, current_app.config)
    write_list(found, shape, _columns(), _facts, ("name", "value", "whence"))


def _columns() -> Sequence[Column]:
    return [
        Column("setting", lambda one: one.name),
        Column("value", lambda one: _text(one.value), least=12),
        Column("whence", lambda one: one.whence),
    ]


def _text(value: Any) -> str:
    if value is None:
        return "-"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _facts(one: ShownSetting) -> dict[str, Any]:
    return one._asdict()
