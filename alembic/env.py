"""How Alembic runs the scheduler's migrations: on a connection that the store hands over, or as SQL text."""

from __future__ import annotations

from alembic import context
from scheduler_app.store.tables import VERSION_TABLE, metadata

OURS = {"target_metadata": metadata, "version_table": VERSION_TABLE}


def owns(name: str | None, type_: str, parent_names: object) -> bool:
    """Look at the scheduler's own tables only; whatever else is in the database belongs to the app."""
    return type_ != "table" or name in metadata.tables


def run() -> None:
    """Migrate on the connection given in the configuration, inside its transaction."""
    connection = context.config.attributes.get("connection")
    if context.is_offline_mode():
        context.configure(dialect_name=context.config.attributes["dialect_name"], literal_binds=True, **OURS)
    else:
        context.configure(connection=connection, include_name=owns, **OURS)
    with context.begin_transaction():
        context.run_migrations()


run()
