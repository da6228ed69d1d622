"""The admin: the REST API and the health checks of one app, on one blueprint.

Closed by default: who asks is decided at each request, and a route without a row in `RULES` answers nobody. Nothing is
registered on the host app outside the blueprint; every error under its prefix, and none elsewhere, is
`application/problem+json`. An action parses, asks the client for one verb, and shows the answer; it decides nothing.
"""

from .auth import RULES
from .blueprint import admin_blueprint, openapi_document

__all__ = ["RULES", "admin_blueprint", "openapi_document"]
