"""What travels with a job from the request that scheduled it to where it runs: SCHEDULER_CARRY.

A carrier takes a value when a job is scheduled. The value is stored with the arguments, under the same signature; where
the job runs it is there as `g.<name>` and `current_job.context[name]`, and what else it stands for is set around the
function.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from flask import current_app, g, has_request_context, request

from .errors import CarryError

Capture = Callable[[], Any]
Restore = Callable[[Any], AbstractContextManager[Any]]


@dataclass(frozen=True, slots=True)
class Carrier:
    """One thing that travels: how it is taken, and how it is set around the function (None: as `g.<name>` only).

    What takes and sets may be given as text ("myapp.context:tenant") and is then imported at its first use, when the
    app's modules are there.
    """

    name: str
    capture: Capture | str
    restore: Restore | str | None = None


def carriers_of(settings: Mapping[str, tuple[Any, Any]]) -> tuple[Carrier, ...]:
    """Return the carriers that SCHEDULER_CARRY names; one of no functions is among those known here."""
    return tuple(
        BUILT_IN[name] if capture is None else Carrier(name, capture, restore)
        for name, (capture, restore) in settings.items()
    )


def taken(carriers: Sequence[Carrier]) -> dict[str, Any] | None:
    """Return what travels with what is scheduled now, without what is None. Raises `CarryError`."""
    if not carriers:
        return None
    values = {carrier.name: _taken(carrier) for carrier in carriers}
    return {name: value for name, value in values.items() if value is not None} or None


def _taken(carrier: Carrier) -> Any:
    capture: Capture = _found(carrier, carrier.capture)
    try:
        return capture()
    except Exception as error:  # the app's own code may raise anything; the call is refused with it as the cause
        raise CarryError(carrier.name, f"{type(error).__name__}: {error}") from error


@contextmanager
def restored(carriers: Sequence[Carrier], values: Mapping[str, Any]) -> Iterator[None]:
    """Set around a block, inside an app context, what travelled."""
    with ExitStack() as stack:
        for name, value in values.items():
            setattr(g, name, value)
        for carrier in carriers:
            if carrier.restore is not None and carrier.name in values:
                restore: Restore = _found(carrier, carrier.restore)
                stack.enter_context(restore(values[carrier.name]))
        yield


def _found(carrier: Carrier, function: Any) -> Any:
    if not isinstance(function, str):
        return function
    module, _, path = function.partition(":")
    try:
        found: Any = import_module(module)
        for part in path.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError) as error:
        raise CarryError(carrier.name, f"{function!r} leads to nothing ({error})") from error
    return found


# -- what is known here ----------------------------------------------------------------------------


def _request_id() -> str | None:
    """The id that the app or its proxy gave the request: `g.request_id`, or the header X-Request-ID."""
    known = g.get("request_id")
    if known is None and has_request_context():
        known = request.headers.get("X-Request-ID")
    return None if known is None else str(known)[:200]


def _user_id() -> Any:
    """Who is logged in, by Flask-Login; else `g.user_id`."""
    if has_request_context() and hasattr(current_app, "login_manager"):
        from flask_login import current_user

        return current_user.get_id()
    return g.get("user_id")


def _locale() -> str | None:
    """The language that Flask-Babel chose; else `g.locale`."""
    if "babel" in current_app.extensions and "flask_babel" in sys.modules:
        from flask_babel import get_locale

        chosen = get_locale()
        return None if chosen is None else str(chosen)
    locale = g.get("locale")
    return None if locale is None else str(locale)


@contextmanager
def _in_locale(locale: str) -> Iterator[None]:
    if "babel" not in current_app.extensions:
        yield
        return
    from flask_babel import force_locale

    with force_locale(locale):
        yield


_TRACE_PARENT = re.compile(r"[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")
"""https://www.w3.org/TR/trace-context/#traceparent-header"""


def _trace_parent() -> str | None:
    """The trace that OpenTelemetry is in; else `g.trace_parent`, or the header traceparent."""
    if "opentelemetry.trace" in sys.modules:
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        headers: dict[str, str] = {}
        TraceContextTextMapPropagator().inject(headers)
        if "traceparent" in headers:
            return headers["traceparent"]
    known = g.get("trace_parent")
    if known is None and has_request_context():
        known = request.headers.get("traceparent", "")
    return known if isinstance(known, str) and _TRACE_PARENT.fullmatch(known) else None


@contextmanager
def _in_trace(trace_parent: str) -> Iterator[None]:
    if "opentelemetry.trace" not in sys.modules:
        yield
        return
    from opentelemetry import context
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    token = context.attach(TraceContextTextMapPropagator().extract({"traceparent": trace_parent}))
    try:
        yield
    finally:
        context.detach(token)


BUILT_IN = {
    "request_id": Carrier("request_id", _request_id),
    "user_id": Carrier("user_id", _user_id),
    "locale": Carrier("locale", _locale, _in_locale),
    "trace_parent": Carrier("trace_parent", _trace_parent, _in_trace),
}
"""What SCHEDULER_CARRY may name without saying how it is taken."""
