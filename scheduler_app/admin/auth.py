"""Who may do what: decided anew at each request, and closed wherever nothing says otherwise."""

from __future__ import annotations

import hmac
from collections.abc import Iterator
from hashlib import sha256
from typing import Final
from urllib.parse import urlsplit

from flask import current_app, g, request
from werkzeug.exceptions import Forbidden, NotFound, Unauthorized

from ..client import Actor, AppScheduler, Authorize, current_scheduler
from ..errors import AuthorizeError
from ..settings.readers import ADMIN_ROLES as ROLES

OPEN: Final = "anyone"
RULES: Final = {
    "livez": OPEN,
    "readyz": OPEN,
    "list_jobs": "viewer",
    "show_job": "viewer",
    "cancel_job": "operator",
    "list_queues": "viewer",
    "pause_queue": "operator",
    "resume_queue": "operator",
    "create_job": "admin",
    "change_job": "operator",
    "delete_job": "admin",
    "run_now_job": "operator",
    "retry_job": "operator",
    "pause_job": "operator",
    "resume_job": "operator",
    "release_job": "operator",
    "list_attempts": "viewer",
    "explain_job": "viewer",
    "list_schedules": "viewer",
    "show_schedule": "viewer",
    "preview_schedule": "viewer",
    "change_schedule": "operator",
    "delete_schedule": "admin",
    "pause_schedule": "operator",
    "resume_schedule": "operator",
    "run_now_schedule": "operator",
    "list_tasks": "viewer",
    "show_task": "viewer",
    "list_workers": "viewer",
    "show_stats": "viewer",
    "show_openapi": "viewer",
    "list_audit": "admin",
    "show_handle": OPEN,
    "cancel_handle": OPEN,
    "nothing_here": "viewer",
    "bulk_jobs": "admin",
}
"""The least role for each action. One that has no row here answers nobody. A handle asks for its token instead."""

OTHER_SITE: Final = "A browser may do this only from this site's own pages, and this request does not show that."
SAFE: Final = ("GET", "HEAD", "OPTIONS")


def require_role() -> None:
    """Let the request through if whoever asks has the role that its action needs.

    Raises `NotFound` where no authentication is configured, `Unauthorized` for nobody known, and `Forbidden`.
    """
    action = str(request.endpoint).rpartition(".")[2]
    needed = RULES.get(action)
    if needed == OPEN:
        return
    actor = find_actor(current_scheduler())
    if needed is None:
        raise Forbidden("No role may do this.")
    if ROLES.index(actor.role) < ROLES.index(needed):
        raise Forbidden(f"The role {actor.role!r} may not do this; it takes the role {needed!r}.")
    g.scheduler_actor = actor


def current_actor() -> Actor:
    """Return who makes the current request, where `require_role` let it through."""
    actor: Actor = g.scheduler_actor
    return actor


def find_actor(scheduler: AppScheduler) -> Actor:
    """Return who makes the request: the app's own `authorize` decides where there is one, else the tokens do."""
    if scheduler.authorize is not None:
        actor = _ask_app(scheduler.authorize)
        _refuse_foreign_site()
    else:
        actor = _find_by_token(scheduler)
    if actor is None:
        raise Unauthorized(
            "This needs authentication that is known here, such as the header 'Authorization: Bearer <token>'."
        )
    return actor


def _ask_app(authorize: Authorize) -> Actor | None:
    """Ask the app's own function. Raises `AuthorizeError` for an answer that is no known role."""
    answer = current_app.ensure_sync(authorize)(request)
    if answer is None:
        return None
    if not isinstance(answer, Actor):
        raise AuthorizeError(f"a value of type {type(answer).__name__!r}")
    if answer.role not in ROLES:
        raise AuthorizeError(f"an Actor with the role {str(answer.role)[:60]!r}")
    return answer


# -- tokens ----------------------------------------------------------------------------------------


def _find_by_token(scheduler: AppScheduler) -> Actor | None:
    known = list(_known_tokens(scheduler))
    if not known:
        raise NotFound()
    given = _bearer() or _token_in_address(scheduler)
    # Every token is compared, so that the time taken tells nothing of which one was nearly right.
    found = [actor for token, actor in known if hmac.compare_digest(_digest(token), _digest(given))]
    return found[0] if given and found else None


def _known_tokens(scheduler: AppScheduler) -> Iterator[tuple[str, Actor]]:
    settings = scheduler.settings
    if settings.admin_token:
        yield settings.admin_token, Actor("admin token", "admin")
    for number, (token, role) in enumerate(settings.admin_tokens.items(), 1):
        yield token, Actor(f"{role} token {number}", role)
    if scheduler.debug_token:
        yield scheduler.debug_token, Actor("debug token", "admin")


def _bearer() -> str:
    scheme, _, token = request.headers.get("Authorization", "").strip().partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def _token_in_address(scheduler: AppScheduler) -> str:
    """Return `?token=`, by which the address printed in debug opens; no other token is taken from an address."""
    given = request.args.get("token", "") if request.method in ("GET", "HEAD") else ""
    is_debug = hmac.compare_digest(_digest(given), _digest(scheduler.debug_token or ""))
    return given if is_debug else ""


def _digest(token: str) -> bytes:
    return sha256(token.encode("utf-8", "surrogatepass")).digest()


# -- other sites -----------------------------------------------------------------------------------


def _refuse_foreign_site() -> None:
    """Refuse a write that another site made a browser send along with this site's cookies."""
    is_same = _is_said_to_be_same()
    if request.method not in SAFE and not _bearer() and not (not request.cookies if is_same is None else is_same):
        raise Forbidden(OTHER_SITE)


def refuse_other_site() -> None:
    """Refuse what a browser says that another site made it send. What says nothing holds the address, and no cookie
    would help it."""
    if _is_said_to_be_same() is False:
        raise Forbidden(OTHER_SITE)


def _is_said_to_be_same() -> bool | None:
    """Return whether the request says that it comes from this site; None where it says nothing."""
    site, origin = request.headers.get("Sec-Fetch-Site"), request.headers.get("Origin")
    if site is not None:
        return site == "same-origin"
    if origin is not None:
        return _host_of(origin) == request.host
    return None


def _host_of(origin: str) -> str | None:
    try:
        return urlsplit(origin).netloc
    except ValueError:  # no browser sends such a one
        return None
