"""The OpenAPI document, made of the tables that the requests go through: addresses, roles, bodies, answers.

No library is needed for it: the tables are JSON Schema already, which is what OpenAPI 3.1 says bodies in.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from http import HTTPStatus
from inspect import getdoc
from typing import Any

from flask import Response

from ..client import current_scheduler
from ..shapes import PRINTABLE, published
from .answering import conditional
from .answers import SHAPES, ref
from .auth import OPEN, RULES
from .bodies import BODIES, EXAMPLES
from .examples import EXAMPLES as SHOWN
from .examples import PLACES
from .operations import errors_of, operation_of
from .params import no_parameters

Route = tuple[str, tuple[str, ...], Callable[..., Any]]

_IN_PATH = {"type": "string", "format": PRINTABLE, "minLength": 1}
_PARAMETER = re.compile(r"<(?:\w+:)?(\w+)>")


def show_openapi() -> Response:
    """Answer the OpenAPI document of this API."""
    no_parameters()
    return conditional(current_scheduler().openapi())


def document(routes: Iterable[Route], prefix: str) -> dict[str, Any]:
    """Return the OpenAPI 3.1 document of these routes, below a prefix."""
    paths: dict[str, dict[str, Any]] = {}
    named: set[str] = set()
    for address, methods, action in routes:
        if len(methods) > 1:
            continue  # what takes everything else is no part of the API
        path = paths.setdefault(_PARAMETER.sub(r"{\1}", address), {})
        name, method = action.__name__, methods[0].lower()
        unique = f"{name}_by_{method}" if name in named else name  # one action may have two addresses
        named.add(name)
        path[method] = {"operationId": unique, **_operation(address, methods[0], action)}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "scheduler-app",
            "version": "1",
            "description": "Deferred and recurring calls of a Flask app. Ids are opaque; instants are RFC 3339 in UTC.",
        },
        "servers": [{"url": prefix}],
        "security": [{"bearer": []}],
        "paths": paths,
        "components": {
            "schemas": {name: {**published(shape), "examples": [SHOWN[name]]} for name, shape in SHAPES.items()},
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}},
        },
    }


def summary_of(action: Callable[..., Any]) -> str:
    """Return what an action does, in one sentence."""
    return " ".join((getdoc(action) or action.__name__).partition("\n\n")[0].split())


def _operation(address: str, method: str, action: Callable[..., Any]) -> dict[str, Any]:
    name = action.__name__
    role, known = RULES.get(name, "admin"), operation_of(name)
    said: dict[str, Any] = {
        "summary": summary_of(action),
        **({"description": known.description} if known.description else {}),
        "tags": [address.removeprefix("/api/v1").split("/")[1].partition(".")[0]],
        "x-role": role,
        "parameters": [*_in_path(address), *_in_query(known.query), *_in_headers(name)],
        "responses": {
            **{str(status): _answer(status, shape) for status, shape in known.answers.items()},
            **{str(status): _error(status) for status in errors_of(name, method, address, role)},
        },
    }
    if role == OPEN:
        said["security"] = []
    if name in BODIES:
        needed = any(word in BODIES[name] for word in ("required", "minProperties"))
        said["requestBody"] = {"required": needed, "content": {"application/json": _body(name)}}
    return said


def _body(action: str) -> dict[str, Any]:
    body = {"schema": published(BODIES[action])}
    return body | {"example": EXAMPLES[action]} if action in EXAMPLES else body


def _in_path(address: str) -> list[dict[str, Any]]:
    return [
        {"name": name, "in": "path", "required": True, "schema": _IN_PATH, "example": example}
        for name in _PARAMETER.findall(address)
        if (example := PLACES.get(name, "mail"))
    ]


def _in_query(query: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [{"name": name, "in": "query", "schema": published(shape)} for name, shape in query.items()]


def _in_headers(action: str) -> list[dict[str, Any]]:
    known = operation_of(action)
    names = [*(["If-Match"] if 412 in known.errors else []), *(["If-None-Match"] if 304 in known.answers else [])]
    return [{"name": name, "in": "header", "schema": {"type": "string"}} for name in names]


def _answer(status: int, shape: Any) -> dict[str, Any]:
    said: dict[str, Any] = {"description": HTTPStatus(status).phrase}
    return said if shape is None else {**said, "content": {"application/json": {"schema": published(shape)}}}


def _error(status: int) -> dict[str, Any]:
    name = "Invalid" if status == 422 else "Problem"
    content = {"schema": ref(name), "example": SHOWN[name]}
    return {"description": HTTPStatus(status).phrase, "content": {"application/problem+json": content}}
