"""Whether the app's own migrations, made by Flask-Migrate, leave the scheduler's tables alone."""

from __future__ import annotations

from pathlib import Path

from flask import current_app

from ..store import Store
from ..store.app_migrations import REMEDY, spares_our_tables


def problem(store: Store) -> str | None:
    """Return in words what is wrong and what to do, or None: all is well, or the app migrates another database."""
    migrate = current_app.extensions.get("migrate")
    engines = getattr(getattr(migrate, "db", None), "engines", {})  # of Flask-SQLAlchemy 3
    if migrate is None or not any(store.is_in_reach_of(engine) for engine in engines.values()):
        return None
    env = Path(migrate.directory) / "env.py"
    if not env.exists() or spares_our_tables(migrate.configure_args, env):
        return None
    told = f"The app's own migrations in {env.parent} would drop the scheduler's tables at their next autogenerate."
    return f"{told} {REMEDY}"
