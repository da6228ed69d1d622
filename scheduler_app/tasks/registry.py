"""The registry: from a function to its Task when it is scheduled, from a name to its Task when it runs."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import FunctionType, MethodType
from typing import Any

from scheduler_app.errors import DuplicateTaskError, NotSchedulableError, UnknownTaskError, did_you_mean, sentence
from scheduler_app.tasks.instances import is_method_of_object, method_at
from scheduler_app.tasks.modules import ModuleRule, import_module, main_name
from scheduler_app.tasks.refusals import (
    address,
    check_kind,
    check_name_leads_back,
    check_not_around,
    describe,
    find,
    is_instance_method,
    module_not_allowed,
    same_definition,
    stored_name,
)
from scheduler_app.tasks.secret import places
from scheduler_app.tasks.task import Task, check_name, make_task

DECLARED: dict[str, Task] = {}
"""Tasks by name and alias that `@task` declared at import, before there was an app; shared by every registry."""


def declare(function: Callable[..., Any], *, name: str | None = None, **options: Any) -> Task:
    """Make a function a task of every app in this process. Raises as `TaskRegistry.register`."""
    return _put(DECLARED, _make(function, name, options))


class TaskRegistry:
    """The tasks that one app knows: those declared for all, those registered here, and those found on demand."""

    def __init__(self, rule: ModuleRule, shared: dict[str, Task] = DECLARED) -> None:
        self.rule = rule
        self._shared = shared
        self._own: dict[str, Task] = {}
        self._by_function: dict[Callable[..., Any], Task] = {}
        self._registered: set[str] = set()

    def register(self, function: Callable[..., Any], *, name: str | None = None, **options: Any) -> Task:
        """Make a function a task under a stable name, by default "module:qualname".

        A function of the same module and qualified name replaces the former one, as after a reload. Raises
        `DuplicateTaskError` when another function has the name, `NotSchedulableError`, `TaskOptionError`.
        """
        task = _make(function, name, options)
        _check_free(self._shared, task)
        _put(self._own, task)
        self._registered |= {task.name, *task.aliases}
        if type(function) is FunctionType:
            self._by_function[function] = task
        return task

    def for_function(self, function: Callable[..., Any]) -> Task:
        """Return the function's Task; a module-level function of the app needs no registration.

        Raises `NotSchedulableError`, which says what to pass instead.
        """
        if type(function) is FunctionType:
            task = self._by_function.get(function)
            if task is not None:
                return task
        return self._learn(function)

    def resolve(self, name: str) -> Task:
        """Return the Task to run for a stored name; an allowed module is imported for it.

        Raises `UnknownTaskError`, whatever the import raised.
        """
        task = self._shared.get(name) or self._own.get(name)
        if task is None:
            task = self._import(name)
            self._own.setdefault(name, task)
        return task

    def known(self, name: str) -> Task | None:
        """Return the Task of a stored name if it was met here already; nothing is imported to find it."""
        return self._shared.get(name) or self._own.get(name)

    def registered(self, name: str) -> Task:
        """Return the Task that somebody registered under a name; functions that were met on the way do not count.

        Raises `UnknownTaskError`, with the nearest name.
        """
        task = self._shared.get(name) or (self._own.get(name) if name in self._registered else None)
        if task is None:
            names = [known for one in self.registered_tasks() for known in (one.name, *one.aliases)]
            raise UnknownTaskError(name, f"no task is registered under this name.{did_you_mean(name, names)}")
        return task

    def registered_tasks(self) -> tuple[Task, ...]:
        """Return the tasks that somebody registered, by name."""
        own = [task for name, task in self._own.items() if name in self._registered]
        return tuple(sorted({task.name: task for task in (*own, *self._shared.values())}.values(), key=_name_of))

    def secret_places(
        self, function: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> tuple[int | str, ...]:
        """Return where the secrets of a call of this function are, whatever the tasks are named that it is known as."""
        if hasattr(type(function), "is_scheduler_task"):
            function = function.scheduler_task.function  # type: ignore[attr-defined]
        redact = {name for task in self._tasks() if task.function == function for name in task.redact}
        return places(function, redact, args, kwargs)

    def at(self, path: str, function: Callable[..., Any]) -> Task | None:
        """Return the Task of a method that `path` ("module:object.method") leads to; None when it leads elsewhere.

        The path is its name: each process that runs it takes the object that its own module holds. Raises
        `NotSchedulableError` where the module, or that of the method's class, is none of the app's.
        """
        module, _, qualname = path.partition(":")
        if module == "__main__":
            module = main_name() or module
        method = method_at(sys.modules.get(module) or import_module(module), qualname)
        if method is None or not (function == method or function is method.__self__):
            return None
        self._check_allowed(module, method)
        return self._own.setdefault(f"{module}:{qualname}", make_task(f"{module}:{qualname}", method, {}))

    def _check_allowed(self, module: str, method: MethodType) -> None:
        check_kind(method.__func__)
        if module == "__main__" or not (self.rule.allows(module) and self.rule.allows(address(method.__func__)[0])):
            raise module_not_allowed(method.__func__)

    def names(self) -> tuple[str, ...]:
        """Return the names and aliases that this process can run: registered ones, and those found so far."""
        return tuple(sorted({*self._shared, *self._own}))

    def _tasks(self) -> Iterator[Task]:
        yield from list(self._shared.values())
        yield from list(self._own.values())

    def _learn(self, function: Callable[..., Any]) -> Task:
        check_kind(function)
        task = next((task for task in self._tasks() if task.function is function), None) or self._adopt(function)
        if type(function) is FunctionType:
            self._by_function[function] = task
        return task

    def _adopt(self, function: Callable[..., Any]) -> Task:
        """Return the Task of a function that nobody registered as it is."""
        name = stored_name(function)
        holder = self._shared.get(name) or self._own.get(name)
        if holder is not None:
            check_not_around(function, holder.function)
            if "<locals>" in name and same_definition(function, holder.function):
                return holder  # the app's factory ran again, and made the registered function anew
        check_name_leads_back(function)
        if not self.rule.allows(address(function)[0]):
            raise module_not_allowed(function)
        task = make_task(name, function, {})
        _check_free(self._shared, task)
        return _put(self._own, task)

    def _import(self, name: str) -> Task:
        module, colon, qualname = name.partition(":")
        if not colon or not qualname:
            near = did_you_mean(name, self.names())
            raise UnknownTaskError(name, f"no task is registered under this name.{near}")
        if not self.rule.allows(module):
            raise UnknownTaskError(
                name,
                f"no such task is registered, and the module {module!r} is not found or not one of the app's."
                " Register it with @task, or name its module in SCHEDULER_TASK_MODULES.",
            )
        try:
            found = find(import_module(module), qualname)
            method = method_at(import_module(module), qualname)
        except (Exception, SystemExit) as error:  # an app's module may raise anything, and must not end the loop
            cause = f"{type(error).__name__}: {error}".splitlines()[0][:200]
            raise UnknownTaskError(name, sentence(f"importing {module!r} failed with {cause}")) from error
        declared = next((task for task in self._tasks() if name in _ways_to(task)), None)
        return declared or self._through(name, module, method) or self._found(name, module, qualname, found)

    def _through(self, name: str, module: str, method: MethodType | None) -> Task | None:
        """Return a Task for a method of an object that the module holds; None where there is none."""
        if method is None:
            return None
        try:
            self._check_allowed(module, method)
        except NotSchedulableError as error:
            raise UnknownTaskError(name, f"{error.function} stands there: {error.reason}.") from None
        return make_task(name, method, {})

    def _found(self, name: str, module: str, qualname: str, found: Any) -> Task:
        """Return a Task for what stands at an imported name, once it proves to be a function of the app."""
        if found is None:
            raise UnknownTaskError(name, f"the module {module!r} has no {qualname!r}.")
        try:
            check_kind(found)
        except NotSchedulableError as error:
            raise UnknownTaskError(name, f"{error.function} stands there: {error.reason}.") from None
        if not self.rule.allows(address(found)[0]):
            raise UnknownTaskError(name, f"{describe(found)} stands there, which is not the app's own.")
        where = import_module(module)
        if is_instance_method(where, qualname):
            raise UnknownTaskError(name, "it is a method that needs an instance.")
        return make_task(name, found, {})


def _name_of(task: Task) -> str:
    return task.name


def _make(function: Callable[..., Any], name: str | None, options: dict[str, Any]) -> Task:
    check_kind(function)
    if name is None and address(function)[0] == "__main__" and main_name() is None:
        check_name_leads_back(function)
    return make_task(check_name(stored_name(function) if name is None else name), function, options)


def _ways_to(task: Task) -> tuple[str, ...]:
    own = () if is_method_of_object(task.function) else (stored_name(task.function),)
    return (task.name, *task.aliases, *own)


def _put(table: dict[str, Task], task: Task) -> Task:
    """Store a task under its name and aliases, in the place of what the same function was before."""
    _check_free(table, task)
    names = (task.name, *task.aliases)
    replaced = [table[name] for name in names if name in table]
    for name, old in list(table.items()) if replaced else ():
        if old in replaced and name not in names:
            del table[name]
    table.update(dict.fromkeys(names, task))
    return task


def _check_free(table: dict[str, Task], task: Task) -> None:
    for name in (task.name, *task.aliases):
        holder = table.get(name)
        if holder is not None and not same_definition(holder.function, task.function):
            raise DuplicateTaskError(name, describe(holder.function), describe(task.function))
