"""The demo's page, and the same for programs: a browser is answered with pages, anything else with JSON."""

from __future__ import annotations

import math
import os
import re
import signal
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from flask import Blueprint, Response, abort, jsonify, redirect, render_template, request, url_for
from werkzeug.exceptions import HTTPException

from ..client import current_client
from ..clock import host_now
from ..errors import JobConflictError, JobNotFoundError, ReminderError, SchedulerError, StoreError
from .guard import is_cross_site, is_from_this_machine
from .messages import MOST_KEPT
from .reminders import LONGEST_TEXT, MOST_SECONDS, MOST_SHOWN, Pending, Wish, messages, pending, take_back

page = Blueprint("demo", __name__, template_folder="templates", static_folder="static", static_url_path="/static/demo")
LONGEST_REFRESH = 30
"""Seconds between two looks of a browser without JavaScript, at most; it looks when the next reminder is due."""

_STEPS = ((172_800, "days"), (7200, "h"), (120, "min"), (0, "s"))
_UNIT_SECONDS = {"days": 86_400, "h": 3600, "min": 60, "s": 1}
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self';"
    " img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
}


@page.before_request
def refuse_other_sites() -> None:
    """Answer 403 where another site's page asks for a change."""
    if is_cross_site(request):
        abort(403, "Another site's page asked for this, so it was not done. Open this page itself and ask there.")


@page.after_request
def harden(response: Response) -> Response:
    """Let the page load and send nothing elsewhere, and no cache keep what changes."""
    response.headers.update(_HEADERS)
    if request.endpoint != "demo.static":
        response.headers["Cache-Control"] = "no-store"
        response.vary.add("Accept")
    return response


# -- looking ---------------------------------------------------------------------------------------


@page.get("/")
def show() -> str:
    """Show the form, what waits and what has come."""
    return _render()


@page.get("/live")
def live() -> str:
    """Show only what waits and what has come: the part of the page that its script renews."""
    return render_template("demo/live.html", **_lists())


@page.get("/messages")
def list_messages() -> Any:
    """List what has come, the newest first, up to `limit` (50); 422 for a limit that is none."""
    given = request.args.get("limit", str(MOST_SHOWN))
    if not re.fullmatch("[0-9]{1,9}", given) or not 1 <= int(given) <= MOST_KEPT:
        return _answer_error(f"The limit must be a whole number from 1 to {MOST_KEPT}, not {given!r:.40}.", 422)
    return jsonify({"messages": messages().latest(int(given))})


# -- asking ----------------------------------------------------------------------------------------


@page.post("/remind")
def remind() -> Any:
    """Store a reminder: 202 and the job, or back to the page; 422 with a sentence, and nothing stored."""
    fields = _fields()
    try:
        job = Wish.read(fields).schedule()
    except (ReminderError, SchedulerError) as error:
        status = 503 if isinstance(error, StoreError) else 422
        return _answer_error(str(error), status, fields)
    return redirect(url_for(".show"), 303) if _is_browser() else (jsonify(Pending.of(job.job).as_json()), 202)


@page.post("/reminders/<job_id>/cancel")
def cancel(job_id: str) -> Any:
    """Take a reminder back: 200 and the job, or back to the page; 404, 409 when it has come, or 503."""
    try:
        taken_back = take_back(job_id)
    except JobNotFoundError:
        return _answer_error("There is no such reminder.", 404)
    except JobConflictError as error:
        return _answer_error(f"That reminder cannot be taken back: it has {error.state}.", 409)
    except StoreError as error:
        return _answer_error(str(error), 503)
    return redirect(url_for(".show"), 303) if _is_browser() else jsonify(taken_back.as_json())


@page.post("/pull-the-plug")
def pull_the_plug() -> Any:
    """Kill this process with SIGKILL once it has answered; from this machine only."""
    if not is_from_this_machine(request):
        abort(403, "Only a browser or program on this machine may pull the plug.")
    facts = {"killed": os.getpid(), "start_again": _start_again()}
    body = render_template("demo/pulled.html", **facts, styles=_version()) if _is_browser() else jsonify(facts)
    response = body if isinstance(body, Response) else Response(body)
    response.call_on_close(lambda: os.kill(os.getpid(), signal.SIGKILL))
    return response


@page.errorhandler(HTTPException)
def say_what_is_wrong(error: HTTPException) -> Any:
    """Answer an error as whoever asked can read it."""
    if error.code == 413:
        return _answer_error(f"That is too much at once; a message has {LONGEST_TEXT} characters at most.", 413)
    return _answer_error(error.description or error.name, error.code or 500)


def _fields() -> Mapping[str, Any]:
    """Return what was sent, from a form or a JSON object; 400 for anything malformed."""
    if not request.is_json:
        return request.form
    found = request.get_json(silent=True)
    if not isinstance(found, dict):
        abort(400, 'The body must be a JSON object, such as {"message": "hello", "seconds": 3}.')
    return found


def _is_browser() -> bool:
    """Tell whether a page is wanted; a program that takes anything gets JSON."""
    return request.accept_mimetypes.best_match(["application/json", "text/html"]) == "text/html"


def _answer_error(sentence: str, status: int, fields: Mapping[str, Any] | None = None) -> Any:
    if not _is_browser():
        return jsonify({"error": sentence}), status
    return _render(error=sentence, fields=fields), status


# -- rendering -------------------------------------------------------------------------------------


def _render(error: str | None = None, fields: Mapping[str, Any] | None = None) -> str:
    lists = _lists()
    return render_template(
        "demo/page.html",
        **lists,
        error=error,
        fields=fields or {"seconds": 3},
        most_seconds=MOST_SECONDS,
        longest_text=LONGEST_TEXT,
        may_pull=is_from_this_machine(request),
        pid=os.getpid(),
        start_again=_start_again(),
        refresh=_refresh(lists["waiting"], lists["now"]),
        styles=_version(),
    )


def _lists() -> dict[str, Any]:
    """Return what waits and what has come; where the database fails, what has come and what is wrong."""
    arrived = messages().latest(MOST_SHOWN)
    lists: dict[str, Any] = {"arrived": [(one, datetime.fromisoformat(one.arrived_at)) for one in arrived]}
    try:
        return lists | {"waiting": pending(), "now": current_client().store.clock.reckon(), "problem": None}
    except SchedulerError as error:
        return lists | {"waiting": [], "now": host_now(), "problem": str(error)}


def _refresh(waiting: list[Pending], now: datetime) -> int | None:
    """Return in how many seconds a browser without JavaScript should look again: when the next one has come."""
    if not waiting:
        return None
    ahead = (waiting[0].run_at - now).total_seconds()
    return min(max(1, math.ceil(ahead + 0.5)), LONGEST_REFRESH)


@page.app_template_filter()
def in_words(seconds: float) -> str:
    """Return a time span short: "8 ms", "3 s", "67 min", "5 h", "3 days"; from a second on rounded up."""
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    unit = next(unit for least, unit in _STEPS if seconds >= least)
    return f"{math.ceil(seconds / _UNIT_SECONDS[unit])} {unit}"


def _start_again() -> str:
    """Return the command that starts this service again where it was started."""
    port = request.environ.get("SERVER_PORT", "5000")
    in_checkout = (Path.cwd() / "Makefile").is_file() and (Path.cwd() / "scheduler_app").is_dir()
    if in_checkout:
        return "make run" if port == "5000" else f"make run PORT={port}"
    return "flask --app scheduler_app run" if port == "5000" else f"flask --app scheduler_app run --port {port}"


def _version() -> int:
    """Return what changes when a style or script does, so that a browser never uses an old one."""
    return max(path.stat().st_mtime_ns for path in Path(str(page.static_folder)).iterdir())
