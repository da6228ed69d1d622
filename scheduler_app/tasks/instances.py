"""Methods of objects that a module holds, named by a path written as text: "app.mail:mailer.send".

Such an object is made anew in every process, by importing its module; nothing of it is stored.
"""

from __future__ import annotations

import inspect
from types import FunctionType, MethodType, ModuleType
from typing import Any

from werkzeug.local import LocalProxy

from scheduler_app.tasks.refusals import find

_NO_OBJECTS = (type, ModuleType, FunctionType, MethodType, LocalProxy)


def method_at(module: ModuleType | None, qualname: str) -> MethodType | None:
    """Return the method that a path leads to through an object, or the `__call__` of the object there; else None.

    Only what a class defines in Python counts; no attribute is computed to find it.
    """
    holder, _, last = qualname.rpartition(".")
    return _method(find(module, qualname), "__call__") or (_method(find(module, holder), last) if holder else None)


def is_method_of_object(function: Any) -> bool:
    """Whether this is a method bound to an object, or an object that can be called like one."""
    if isinstance(function, MethodType):
        return not isinstance(function.__self__, type)
    return _method(function, "__call__") is not None


def _method(holder: Any, name: str) -> MethodType | None:
    if holder is None or issubclass(type(holder), _NO_OBJECTS) or hasattr(type(holder), "is_scheduler_task"):
        return None
    defined = inspect.getattr_static(type(holder), name, None)
    return MethodType(defined, holder) if type(defined) is FunctionType else None
