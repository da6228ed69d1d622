"""Which callables have a name that another process can follow, and what to say of those that have none.

Only types are looked at before a value is known to be no LocalProxy, which would resolve itself.
"""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Callable
from types import BuiltinFunctionType, CellType, FunctionType, MethodType, ModuleType
from typing import Any

from werkzeug.local import LocalProxy

from scheduler_app.errors import NotSchedulableError
from scheduler_app.tasks.modules import main_name

_C_FUNCTIONS = (
    BuiltinFunctionType,
    type(str.join),
    type(object.__init__),
    type([].__len__),
    type(dict.__dict__["fromkeys"]),
)


def check_kind(function: Any) -> None:
    """Refuse what can never be a task, however it is registered. Raises `NotSchedulableError`."""
    kind = type(function)
    for fits, label, reason, instead in _KINDS:
        if fits(kind, function):
            raise NotSchedulableError(label(function), reason, instead)


def check_name_leads_back(function: Callable[..., Any]) -> None:
    """Refuse a function that its module and qualified name do not lead back to. Raises `NotSchedulableError`."""
    label = _quoted(function)
    module, qualname = address(function)
    if "<locals>" in qualname:
        raise NotSchedulableError(
            label,
            "it is defined inside another function, so other processes cannot find it",
            "Move it to the top level of its module, and pass as arguments what it takes from around it.",
        )
    if module == "__main__" and main_name() is None:
        raise NotSchedulableError(
            label,
            "it was defined in an interactive session or a script that other processes cannot import",
            "Put it into a module of your app and import it from there.",
        )
    if not leads_to(sys.modules.get(module), qualname, function):
        raise NotSchedulableError(
            label,
            "its name leads to something else, since it was replaced, reloaded or decorated under another name",
            f"Pass what {qualname!r} is now in the module {module!r}, or register it with @task(name=...).",
        )
    if is_instance_method(sys.modules.get(module), qualname):
        raise NotSchedulableError(
            label,
            "it is a method that needs an instance, which cannot be stored",
            "Make it a staticmethod, or write a function that loads the instance by its id and calls the method.",
        )


def check_not_around(function: Callable[..., Any], task: Callable[..., Any]) -> None:
    """Refuse a decorated function that bears the name of the task inside it. Raises `NotSchedulableError`."""
    if inspect.unwrap(function, stop=lambda layer: layer is task) is task:
        raise NotSchedulableError(
            _quoted(function),
            "it wraps a registered task of the same name, which would run without this wrapper",
            "Put @task above the other decorators.",
        )


def module_not_allowed(function: Callable[..., Any]) -> NotSchedulableError:
    """Return the refusal of a function whose module is none of the app's."""
    module = address(function)[0]
    return NotSchedulableError(
        _quoted(function),
        f"its module {module!r} is not one of the app's",
        "Write a function of your own that calls it and pass that, or name the module in SCHEDULER_TASK_MODULES.",
    )


# -- names -----------------------------------------------------------------------------------------------------------


def address(function: Callable[..., Any]) -> tuple[str, str]:
    """Return the module and qualified name by which a function says it can be found."""
    if isinstance(function, MethodType):  # of a class: an inherited classmethod belongs to the class it was taken from
        owner: Any = function.__self__
        return str(owner.__module__), f"{owner.__qualname__}.{function.__name__}"
    return str(function.__module__), str(function.__qualname__)


def importable_module(function: Callable[..., Any]) -> str | None:
    """Return the module that defines a function, by the name under which other processes import it, if they can."""
    module = address(function)[0]
    return main_name() if module == "__main__" else module


def stored_name(function: Callable[..., Any]) -> str:
    """Return "module:qualname", with the importable name of the main file for `__main__` where it has one."""
    module, qualname = address(function)
    if module == "__main__":
        module = main_name() or module
    return f"{module}:{qualname}"


def same_definition(one: Callable[..., Any], other: Callable[..., Any]) -> bool:
    """Return whether two functions come from one `def`, as after a reload or a second run of an app's factory.

    Wrappers that one decorator put around two functions share a `def`, but not the function they wrap.
    """
    return address(one) == address(other) and _captured(one) == _captured(other)


def _captured(function: Callable[..., Any]) -> list[tuple[str, str]]:
    cells = getattr(function, "__closure__", None) or ()
    values = [cell.cell_contents for cell in cells if cell != CellType()]
    return [address(value) for value in values if type(value) is FunctionType]


def find(module: ModuleType | None, qualname: str) -> Any:
    """Return what stands at this name of a module, looking into classes only; None when nothing does."""
    found: Any = module
    for part in qualname.split("."):
        if found is None or (found is not module and not issubclass(type(found), type)):
            return None
        found = getattr(found, part, None)
    return found


def leads_to(module: ModuleType | None, qualname: str, function: Callable[..., Any]) -> bool:
    """Return whether the name leads to this very function; a classmethod is a new, equal object at each look."""
    found = find(module, qualname)
    return found is function or (type(found) is MethodType and found == function)


def is_instance_method(module: ModuleType | None, qualname: str) -> bool:
    """Return whether the name is that of a function which a class would call with an instance."""
    owner, _, last = qualname.rpartition(".")
    if not owner:
        return False
    raw = inspect.getattr_static(find(module, owner), last, None)
    return not isinstance(raw, staticmethod | classmethod)


def describe(function: Any) -> str:
    """Return how messages name a function."""
    return _quoted(function) if has_name(function) else _instance(function)


def has_name(function: Any) -> bool:
    """Return whether a callable bears a module and a qualified name of its own, as functions and wrappers do."""
    if isinstance(function, FunctionType | MethodType):
        return True
    names = (inspect.getattr_static(function, name, None) for name in ("__module__", "__qualname__"))
    return all(isinstance(name, str) for name in names) and "__qualname__" in getattr(function, "__dict__", {})


# -- the kinds of callables that are refused, in the order in which they are looked for ------------------------------


def _quoted(function: Any) -> str:
    return repr(stored_name(function))


def _instance(value: Any) -> str:
    return f"An instance of {f'{type(value).__module__}:{type(value).__qualname__}'!r}"


def _is_bound_to_instance(kind: type, function: Any) -> bool:
    return issubclass(kind, MethodType) and not isinstance(function.__self__, type)


def _bound(function: Any) -> str:
    return f"The method {f'{function.__func__.__module__}:{function.__func__.__qualname__}'!r}"


_GENERATOR = "Run it in a function of your own that goes through what it yields, and pass that function."

_KINDS: tuple[tuple[Callable[[type, Any], bool], Callable[[Any], str], str, str], ...] = (
    (
        lambda kind, _: issubclass(kind, LocalProxy),
        lambda _: "A LocalProxy (such as request, g or current_user)",
        "it belongs to one request and stands for something else in the next",
        "Pass a function, and as arguments the values that the proxy holds, e.g. an id.",
    ),
    (
        lambda _, value: not callable(value),
        lambda value: f"A value of type {type(value).__qualname__!r}",
        "it is not a function",
        "Pass the function without calling it: schedule_after(3, send, 42), not schedule_after(3, send(42)).",
    ),
    (
        lambda kind, _: issubclass(kind, functools.partial),
        lambda _: "A functools.partial",
        "it has no name that other processes could find it by",
        "Pass the function itself, and the bound values as its arguments.",
    ),
    (
        _is_bound_to_instance,
        _bound,
        "it is bound to an instance, which cannot be stored",
        "Pass a module-level function and the instance's id, and load the instance in that function.",
    ),
    (
        lambda kind, _: issubclass(kind, type),
        lambda value: f"The class {f'{value.__module__}:{value.__qualname__}'!r}",
        "it is not a function",
        "Write a module-level function that makes and uses the instance, and pass that.",
    ),
    (
        lambda kind, _: issubclass(kind, _C_FUNCTIONS),
        lambda value: f"The built-in {value.__qualname__!r}",
        "it is not a function of your app",
        "Write a module-level function that calls it, and pass that.",
    ),
    (
        lambda _, value: inspect.isasyncgenfunction(value),
        _quoted,
        "it is an async generator, which does nothing until something goes through it",
        _GENERATOR,
    ),
    (
        lambda _, value: inspect.isgeneratorfunction(value),
        _quoted,
        "it is a generator, which does nothing until something goes through it",
        _GENERATOR,
    ),
    (
        lambda _, value: not has_name(value),
        _instance,
        "it is an object that can be called, and cannot be stored",
        "Write a module-level function that makes the object and calls it, and pass that.",
    ),
    (
        lambda _, value: address(value)[1].endswith("<lambda>"),
        _quoted,
        "it is a lambda, which has no name that other processes could find it by",
        "Write it as a module-level function with 'def', and pass that.",
    ),
)
