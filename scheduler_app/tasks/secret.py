"""Arguments that nobody may see: `token: Secret[str]`, or `@task(redact=("token",))`."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Annotated, Any, ForwardRef, TypeVar, get_args, get_origin

T = TypeVar("T")


class _Marker:
    def __repr__(self) -> str:
        return "SECRET"


SECRET = _Marker()
Secret = Annotated[T, SECRET]
"""Marks an argument, or what a function returns, as one that is shown nowhere: ``def welcome(token: Secret[str])``.

To a type checker, and to the function, `Secret[str]` is `str`. The value is stored as any other.
"""

Place = int | str
"""Where a secret is among the arguments of a call: a position, or a name; `RESULT` is what the function returns."""

RESULT = "return"

_DEEPEST = 6


def places(
    function: Callable[..., Any], redact: Collection[str], args: Sequence[Any], kwargs: Mapping[str, Any]
) -> tuple[Place, ...]:
    """Return where the secrets of a call are.

    Where a decorator's wrapper takes `*args`, only the wrapper knows what becomes of them: all of those are secret.
    """
    secret = _secrets(function) | frozenset(redact)
    if not secret:
        return ()
    shape = _shape(function)
    wrapped = hasattr(function, "__wrapped__")
    found: list[Place] = []
    for index in range(len(args)):
        if index < len(shape.positional):
            hidden = shape.positional[index] in secret
        else:
            hidden = wrapped or shape.rest in secret
        if hidden:
            found.append(index)
    found += [name for name in kwargs if name in secret or (shape.others in secret and name not in shape.named)]
    return (*found, RESULT) if RESULT in secret else tuple(found)


def has_secrets(function: Callable[..., Any], redact: Collection[str]) -> bool:
    """Whether some argument of the function, or what it returns, is a secret."""
    return bool(redact) or bool(_secrets(function))


def unknown_names(function: Callable[..., Any], redact: Collection[str]) -> list[str]:
    """Return the names that can be no argument of the function, nor `RESULT`."""
    shapes = [_shape(layer) for layer in _layers(function)]
    if any(shape.open_ended for shape in shapes):
        return []
    known = {RESULT, *parameters(function)}
    return [name for name in redact if name not in known]


def parameters(function: Callable[..., Any]) -> list[str]:
    """Return the names of a function's parameters, and of those that it wraps."""
    return [name for layer in _layers(function) for name in _shape(layer).all_names]


class _Shape:
    """The parameters of one function, as what calls it sees them."""

    def __init__(self, function: Callable[..., Any]) -> None:
        try:
            found = list(inspect.signature(function, follow_wrapped=False).parameters.values())
        except (TypeError, ValueError):  # some functions written in C tell no signature
            self.open_ended = True
            found = []
        else:
            self.open_ended = any(p.kind is p.VAR_KEYWORD for p in found)
        self.all_names = [p.name for p in found]
        self.positional = [p.name for p in found if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
        self.named = {p.name for p in found if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)}
        self.rest = next((p.name for p in found if p.kind is p.VAR_POSITIONAL), "")
        self.others = next((p.name for p in found if p.kind is p.VAR_KEYWORD), "")


@lru_cache(maxsize=4096)
def _shape(function: Callable[..., Any]) -> _Shape:
    return _Shape(function)


def _layers(function: Any) -> Iterator[Any]:
    """Yield a function, and what it wraps, and what that wraps."""
    seen: set[int] = set()
    while function is not None and id(function) not in seen:
        seen.add(id(function))
        yield function
        function = getattr(function, "__wrapped__", None)


@lru_cache(maxsize=4096)
def _secrets(function: Callable[..., Any]) -> frozenset[str]:
    """Return the names of the parameters that are annotated as secret, and `RESULT` where what it returns is."""
    return frozenset(
        name
        for layer in _layers(function)
        for name, noted in getattr(layer, "__annotations__", {}).items()
        if _is_secret(noted, getattr(layer, "__globals__", {}))
    )


def _is_secret(noted: Any, scope: dict[str, Any], depth: int = _DEEPEST) -> bool:
    """Whether `Secret` stands in an annotation, at whatever place. One that leads nowhere is judged by its text."""
    if depth < 0:
        return False
    if isinstance(noted, str | ForwardRef):
        text = noted if isinstance(noted, str) else noted.__forward_arg__
        try:
            noted = eval(text, scope)  # noqa: S307 - the app's own code, as Python itself would evaluate it
        except Exception:  # a name that is imported for type checkers only, say
            return re.search(r"\bSecret\b", text) is not None
        return _is_secret(noted, scope, depth - 1)
    if isinstance(noted, list | tuple):
        return any(_is_secret(part, scope, depth - 1) for part in noted)
    if get_origin(noted) is Annotated and any(part is SECRET for part in noted.__metadata__):
        return True
    inner = getattr(noted, "__value__", None) if type(noted).__name__ == "TypeAliasType" else None
    return any(_is_secret(part, scope, depth - 1) for part in (*get_args(noted), inner) if part is not None)
