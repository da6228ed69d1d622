"""`flask scheduler openapi`: the REST API as a document that other programs read."""

from __future__ import annotations

from ..client import current_scheduler
from .group import scheduler_commands
from .output import write_json


@scheduler_commands.command("openapi", short_help="Print the OpenAPI document of the REST API.")
def print_openapi() -> None:
    """Print the OpenAPI 3.1 document of this app's REST API, as JSON. Asks nothing of the database.

    \b
    flask scheduler openapi > openapi.json
    """
    write_json(current_scheduler().openapi())
