"""What to pass instead of a value that cannot be stored.

Only the value's type is looked at, and never through `__class__`: a LocalProxy would resolve itself.
"""

from __future__ import annotations

import dataclasses
import functools
import io
import types
from collections import deque
from collections.abc import Callable, ItemsView, KeysView, ValuesView
from inspect import getattr_static
from pathlib import PurePath
from typing import Any

from werkzeug.local import LocalProxy

_FUNCTIONS = (types.FunctionType, types.MethodType, types.BuiltinFunctionType, functools.partial)
_FILES = {"FileStorage", "SpooledTemporaryFile", "_TemporaryFileWrapper"}
_LISTS = (range, deque, KeysView, ValuesView, ItemsView)
_EXACT = (str, int, float, bytes, dict, list, tuple, set, frozenset)


def hint_for(value: Any, give: str = "pass") -> str:
    """Return why the value cannot be stored or what to do instead; `give` is "pass" or "return"."""
    kind = type(value)
    for fits, hint in _HINTS:
        if fits(kind, value):
            return hint.format(give=give)
    for base in _EXACT:
        if issubclass(kind, base):
            return f"{give} a plain {base.__name__} made of it, {base.__name__}(...)"
    return f"{give} the plain values it holds, or its id"


_HINTS: tuple[tuple[Callable[[type, Any], bool], str], ...] = (
    (
        lambda kind, _: issubclass(kind, LocalProxy),
        "it belongs to one request; {give} the values it holds, e.g. its id",
    ),
    (
        lambda _, value: getattr_static(value, "_sa_instance_state", None) is not None,
        "it belongs to one database session; {give} its primary key and load it again in the function",
    ),
    (
        lambda kind, _: issubclass(kind, io.IOBase) or kind.__name__ in _FILES,
        "an open file cannot outlive its process; save it and {give} its path",
    ),
    (lambda kind, _: hasattr(kind, "__await__"), "await it and {give} what it returns"),
    (lambda kind, _: hasattr(kind, "__anext__"), "{give} a list of what it yields"),
    (lambda kind, _: hasattr(kind, "__next__"), "it can be read only once; {give} list(...) of it"),
    (lambda kind, _: issubclass(kind, _LISTS), "{give} list(...) of it"),
    (lambda kind, _: issubclass(kind, _FUNCTIONS), "{give} its name and look the function up by that"),
    (lambda kind, _: issubclass(kind, type), "{give} its name and look the class up by that"),
    (lambda kind, _: issubclass(kind, types.ModuleType), "{give} its name"),
    (lambda kind, _: issubclass(kind, (bytearray, memoryview)), "{give} bytes(...) of it"),
    (lambda kind, _: issubclass(kind, (PurePath, complex)), "{give} str(...) of it"),
    (lambda kind, _: issubclass(kind, BaseException), "{give} its text, str(...)"),
    (lambda kind, _: kind.__module__.partition(".")[0] == "numpy", "{give} its .item() or .tolist()"),
    (lambda kind, _: dataclasses.is_dataclass(kind), "{give} dataclasses.asdict(...) of it"),
    (lambda kind, _: hasattr(kind, "model_dump"), "{give} its model_dump()"),
    (
        lambda kind, _: issubclass(kind, tuple) and hasattr(kind, "_fields"),
        "a namedtuple loses its class; {give} tuple(...) of it",
    ),
)
