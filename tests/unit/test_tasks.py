"""Which functions may be scheduled, by which names they are found again, and what the refusals say."""

from __future__ import annotations

import functools
import importlib
import json
import os
import subprocess
import sys
import textwrap
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from werkzeug.local import LocalProxy

import scheduler_app.tasks.registry as registry_module
from scheduler_app.errors import (
    ArgumentsError,
    DuplicateTaskError,
    NotSchedulableError,
    TaskOptionError,
    UnknownTaskError,
)
from scheduler_app.jobs import Priority
from scheduler_app.tasks import Delivery, ModuleRule, Task, TaskRegistry, declare

HERE = __name__

# -- functions to schedule, and others -------------------------------------------------------------


def send(user_id: int, token: str = "secret", *, urgent: bool = False) -> int:
    return user_id


def other() -> None: ...


async def send_async() -> None: ...


def yields() -> Any:
    yield 1


async def yields_async() -> Any:
    yield 1


def outer() -> Callable[[], None]:
    def inner() -> None: ...

    return inner


def bare_decorator(function: Callable[..., Any]) -> Callable[..., Any]:
    def wrapper(*args: Any) -> Any:
        return function(*args)

    return wrapper


def tidy_decorator(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def wrapper(*args: Any) -> Any:
        return function(*args)

    return wrapper


@tidy_decorator
def decorated() -> None: ...


@functools.lru_cache
def cached() -> int:
    return 1


class Mail:
    @staticmethod
    def static() -> str:
        return "static"

    @classmethod
    def made(cls) -> str:
        return cls.__name__

    def method(self) -> None: ...

    def __call__(self) -> None: ...


class Post(Mail): ...


renamed = tidy_decorator(send)
anonymous = lambda: None  # noqa: E731


@pytest.fixture
def registry() -> TaskRegistry:
    return TaskRegistry(ModuleRule(), shared={})


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str, str], str]]:
    """Write a module that can be imported, and forget it afterwards; returns its name."""
    monkeypatch.syspath_prepend(str(tmp_path))
    before = set(sys.modules)

    def module(name: str, source: str) -> str:
        path = tmp_path.joinpath(*name.split(".")).with_suffix(".py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(source))
        importlib.invalidate_caches()
        return name

    yield module
    for name in set(sys.modules) - before:
        del sys.modules[name]


# -- from a function to its task -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("function", "name"),
    [
        (send, "send"),
        (send_async, "send_async"),
        (decorated, "decorated"),
        (cached, "cached"),
        (Mail.static, "Mail.static"),
        (Mail.made, "Mail.made"),
        (Post.made, "Post.made"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_function_of_the_app_needs_no_registration(registry: TaskRegistry, function: Any, name: str) -> None:
    task = registry.for_function(function)
    assert task == Task(f"{HERE}:{name}", function)
    assert registry.for_function(function) is task or not isinstance(function, types.FunctionType)
    assert TaskRegistry(ModuleRule(), shared={}).resolve(task.name).function == function


def test_a_known_function_is_found_by_one_look(registry: TaskRegistry, monkeypatch: pytest.MonkeyPatch) -> None:
    task = registry.for_function(send)
    monkeypatch.delattr(TaskRegistry, "_learn")
    assert registry.for_function(send) is task


def _resolves() -> Any:
    raise AssertionError("the proxy was resolved")


REFUSED: list[tuple[str, Any, str]] = [
    (
        "a lambda",
        anonymous,
        f"'{HERE}:<lambda>' cannot be scheduled: it is a lambda, which has no name that other processes could find"
        " it by. Write it as a module-level function with 'def', and pass that.",
    ),
    (
        "a nested function",
        outer(),
        f"'{HERE}:outer.<locals>.inner' cannot be scheduled: it is defined inside another function, so other"
        " processes cannot find it. Move it to the top level of its module, and pass as arguments what it takes"
        " from around it.",
    ),
    (
        "a functools.partial",
        functools.partial(send, 1),
        "A functools.partial cannot be scheduled: it has no name that other processes could find it by."
        " Pass the function itself, and the bound values as its arguments.",
    ),
    (
        "a bound method",
        Mail().method,
        f"The method '{HERE}:Mail.method' cannot be scheduled: it is bound to an instance, which cannot be stored."
        " Pass a module-level function and the instance's id, and load the instance in that function.",
    ),
    (
        "a method without its instance",
        Mail.method,
        f"'{HERE}:Mail.method' cannot be scheduled: it is a method that needs an instance, which cannot be stored."
        " Make it a staticmethod, or write a function that loads the instance by its id and calls the method.",
    ),
    (
        "a generator function",
        yields,
        f"'{HERE}:yields' cannot be scheduled: it is a generator, which does nothing until something goes through it."
        " Run it in a function of your own that goes through what it yields, and pass that function.",
    ),
    (
        "an async generator function",
        yields_async,
        f"'{HERE}:yields_async' cannot be scheduled: it is an async generator, which does nothing until something"
        " goes through it. Run it in a function of your own that goes through what it yields, and pass that function.",
    ),
    (
        "an instance with __call__",
        Mail(),
        f"An instance of '{HERE}:Mail' cannot be scheduled: it is an object that can be called, and cannot be stored."
        " Write a module-level function that makes the object and calls it, and pass that.",
    ),
    (
        "a class",
        Mail,
        f"The class '{HERE}:Mail' cannot be scheduled: it is not a function."
        " Write a module-level function that makes and uses the instance, and pass that.",
    ),
    (
        "a built-in function",
        print,
        "The built-in 'print' cannot be scheduled: it is not a function of your app."
        " Write a module-level function that calls it, and pass that.",
    ),
    (
        "a method of a built-in type",
        str.join,
        "The built-in 'str.join' cannot be scheduled: it is not a function of your app."
        " Write a module-level function that calls it, and pass that.",
    ),
    (
        "a function of the standard library",
        json.dumps,
        "'json:dumps' cannot be scheduled: its module 'json' is not one of the app's. Write a function of your own"
        " that calls it and pass that, or name the module in SCHEDULER_TASK_MODULES.",
    ),
    (
        "a function of an installed package",
        pytest.raises,
        "'_pytest.raises:raises' cannot be scheduled: its module '_pytest.raises' is not one of the app's. Write a"
        " function of your own that calls it and pass that, or name the module in SCHEDULER_TASK_MODULES.",
    ),
    (
        "a function of this package",
        declare,
        "'scheduler_app.tasks.registry:declare' cannot be scheduled: its module 'scheduler_app.tasks.registry' is not"
        " one of the app's. Write a function of your own that calls it and pass that, or name the module in"
        " SCHEDULER_TASK_MODULES.",
    ),
    (
        "a function whose name leads elsewhere",
        renamed,
        f"'{HERE}:send' cannot be scheduled: its name leads to something else, since it was replaced, reloaded or"
        f" decorated under another name. Pass what 'send' is now in the module '{HERE}', or register it with"
        " @task(name=...).",
    ),
    (
        "a LocalProxy",
        LocalProxy(_resolves),
        "A LocalProxy (such as request, g or current_user) cannot be scheduled: it belongs to one request and stands"
        " for something else in the next. Pass a function, and as arguments the values that the proxy holds,"
        " e.g. an id.",
    ),
    (
        "what is no function",
        42,
        "A value of type 'int' cannot be scheduled: it is not a function. Pass the function without calling it:"
        " schedule_after(3, send, 42), not schedule_after(3, send(42)).",
    ),
]


@pytest.mark.parametrize(
    ("function", "sentence"), [case[1:] for case in REFUSED], ids=[case[0].replace(" ", "_") for case in REFUSED]
)
def test_what_other_processes_cannot_find_is_refused_with_what_to_pass(
    registry: TaskRegistry, function: Any, sentence: str
) -> None:
    with pytest.raises(NotSchedulableError) as refusal:
        registry.for_function(function)
    assert str(refusal.value) == sentence
    assert registry.names() == ()


def test_a_wrapper_around_a_registered_task_of_its_name_is_refused(registry: TaskRegistry) -> None:
    registry.register(decorated.__wrapped__)  # type: ignore[attr-defined]
    with pytest.raises(NotSchedulableError) as refusal:
        registry.for_function(decorated)
    assert str(refusal.value) == (
        f"'{HERE}:decorated' cannot be scheduled: it wraps a registered task of the same name, which would run"
        " without this wrapper. Put @task above the other decorators."
    )


# -- registering -----------------------------------------------------------------------------------


def test_a_registered_function_is_found_by_its_name_its_aliases_and_itself(registry: TaskRegistry) -> None:
    task = registry.register(send, name="mail.send", aliases=("mail.post",), queue="mail", attempts=5)
    assert task == Task("mail.send", send, "mail", attempts=5, aliases=("mail.post",))
    assert registry.resolve("mail.send") is registry.resolve("mail.post") is registry.for_function(send) is task
    assert registry.names() == ("mail.post", "mail.send")


def test_a_nested_function_may_be_registered_and_is_found_while_registered(registry: TaskRegistry) -> None:
    inner = outer()
    task = registry.register(inner)
    assert task.name == f"{HERE}:outer.<locals>.inner"
    assert registry.for_function(inner) is registry.resolve(task.name) is task


def test_a_registered_function_that_a_factory_made_anew_is_the_same_task(registry: TaskRegistry) -> None:
    task = registry.register(outer(), queue="a")
    assert registry.for_function(outer()) is task
    newer = registry.register(outer(), queue="b")
    assert registry.resolve(task.name) is newer


def test_two_functions_cannot_have_one_name(registry: TaskRegistry) -> None:
    registry.register(send, name="mail")
    with pytest.raises(DuplicateTaskError) as refusal:
        registry.register(other, name="post", aliases=("mail",))
    assert str(refusal.value) == (
        f"The task name 'mail' belongs to '{HERE}:send', so '{HERE}:other' cannot have it too."
        " Give one of them another name with @task(name=...)."
    )
    assert registry.names() == ("mail",)


def test_two_functions_in_wrappers_of_one_decorator_cannot_have_one_name(registry: TaskRegistry) -> None:
    registry.register(bare_decorator(send))
    with pytest.raises(DuplicateTaskError):
        registry.register(bare_decorator(other))
    with pytest.raises(NotSchedulableError, match="it is defined inside another function"):
        registry.for_function(bare_decorator(other))
    registry.register(bare_decorator(send))


def test_a_reloaded_function_replaces_its_former_self_and_its_aliases(
    registry: TaskRegistry, write: Callable[[str, str], str]
) -> None:
    module = importlib.import_module(write("task_reload", "def job(): ..."))
    registry.register(module.job, name="job", aliases=("old",))
    module = importlib.reload(module)
    task = registry.register(module.job, name="job", aliases=("new",))
    assert registry.resolve("job").function is module.job is task.function
    assert registry.names() == ("job", "new")


def test_declared_tasks_are_known_to_every_registry_and_come_first() -> None:
    shared: dict[str, Task] = {}
    one, two = TaskRegistry(ModuleRule(), shared), TaskRegistry(ModuleRule(), shared)
    one.register(other, name="other")
    task = shared.setdefault("mail", Task("mail", send))
    assert one.for_function(send) is two.for_function(send) is one.resolve("mail") is task
    assert (one.names(), two.names()) == (("mail", "other"), ("mail",))
    with pytest.raises(DuplicateTaskError):
        one.register(other, name="mail")


def test_declare_reaches_the_registries_of_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    declared: dict[str, Task] = {}
    monkeypatch.setattr(registry_module, "DECLARED", declared)
    task = declare(send, name="mail", aliases=("post",))
    assert TaskRegistry(ModuleRule(), declared).resolve("mail") is task
    assert task.aliases == ("post",)
    with pytest.raises(DuplicateTaskError):
        declare(other, name="mail")


@pytest.mark.parametrize(
    "function",
    [anonymous, yields, Mail(), Mail().method, print, 42],
    ids=["lambda", "generator", "instance", "method", "builtin", "number"],
)
def test_what_can_never_run_by_name_cannot_be_registered_either(registry: TaskRegistry, function: Any) -> None:
    with pytest.raises(NotSchedulableError):
        registry.register(function, name="x")


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"quue": "a"}, "there is no option 'quue'. Did you mean 'queue'?"),
        ({"queue": ""}, "queue='' is not a queue's name."),
        ({"attempts": 0}, "attempts=0 is not a whole number from 1 up; it counts the first run too."),
        ({"timeout": 0}, "timeout=0 is not a number of seconds above 0, at most ten years, or a timedelta."),
        (
            {"max_lateness": "5"},
            "max_lateness='5' is not a number of seconds above 0, at most ten years, or a timedelta.",
        ),
        ({"attempts": True}, "attempts=True is not a whole number from 1 up; it counts the first run too."),
        ({"priority": "top"}, "priority='top' is none of 'urgent', 'high', 'normal', 'low'."),
        ({"priority": 9}, "priority=9 is none of 'urgent', 'high', 'normal', 'low'."),
        ({"aliases": "token"}, "'token' is not a tuple of names, such as ('mail.hello',)."),
        ({"delivery": "never"}, "delivery='never' is neither 'at_least_once' nor 'at_most_once'."),
    ],
    ids=str,
)
def test_an_option_that_cannot_be_used_is_refused(registry: TaskRegistry, options: Any, problem: str) -> None:
    with pytest.raises(TaskOptionError) as refusal:
        registry.register(send, name="mail", **options)
    assert str(refusal.value) == f"The task 'mail' cannot be declared: {problem}"


@pytest.mark.parametrize("name", ["", " ", "x" * 192, 7], ids=repr)
def test_a_name_that_cannot_be_stored_is_refused(registry: TaskRegistry, name: Any) -> None:
    with pytest.raises(TaskOptionError, match=r"a name is text of 1 to 191 characters\.$"):
        registry.register(send, name=name)


def test_options_are_kept_in_their_plainest_form(registry: TaskRegistry) -> None:
    task = registry.register(send, priority="high", attempts=3, delivery="at_most_once", aliases=["token"])
    assert (task.priority, task.attempts, task.delivery, task.aliases) == (
        Priority.HIGH,
        3.0,
        Delivery.AT_MOST_ONCE,
        ("token",),
    )
    assert registry.register(send, priority=Priority.LOW).priority == 3


# -- arguments -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("args", "kwargs", "reason"),
    [
        ((), {}, "missing a required argument: 'user_id'"),
        ((1, "t", 3), {}, "too many positional arguments"),
        ((1,), {"urgnt": True}, "got an unexpected keyword argument 'urgnt'"),
        ((1,), {"user_id": 2}, "multiple values for argument 'user_id'"),
    ],
)
def test_arguments_that_do_not_fit_are_refused_without_showing_values(args: Any, kwargs: Any, reason: str) -> None:
    with pytest.raises(ArgumentsError) as refusal:
        Task("mail", send).bind(args, kwargs)
    assert str(refusal.value) == (
        f"The task 'mail' cannot be called with these arguments: {reason};"
        " it takes (user_id, token=..., *, urgent=...). Nothing was stored; pass the arguments that the function takes."
    )


def test_arguments_that_fit_pass() -> None:
    Task("mail", send).bind((1,), {"urgent": True})
    Task("any", decorated).bind((1, 2), {})  # what is called is the wrapper, which takes anything
    Task("made", Mail.made).bind((), {})


def test_a_function_without_a_signature_takes_anything() -> None:
    Task("x", min).bind((1, 2, 3), {"x": 4})


# -- from a name to its task -----------------------------------------------------------------------


def test_a_name_is_resolved_by_importing_its_module_once(
    registry: TaskRegistry, write: Callable[[str, str], str]
) -> None:
    write("task_pkg.jobs", "def job(): return 7")
    task = registry.resolve("task_pkg.jobs:job")
    assert (task.name, task.function()) == ("task_pkg.jobs:job", 7)
    assert registry.resolve("task_pkg.jobs:job") is task
    assert registry.names() == ("task_pkg.jobs:job",)


def test_an_import_that_registers_the_task_gives_the_registered_one(
    registry: TaskRegistry, write: Callable[[str, str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry_module, "DECLARED", registry._shared)
    source = """
        from scheduler_app.tasks import declare
        def job(): ...
        declare(job, name="nice", queue="q")
        job = object()
        def late(): ...
        declare(late, queue="late")
        """
    write("task_declares", source)
    assert registry.resolve("task_declares:job").name == "nice"
    assert registry.resolve("task_declares:late").queue == "late"


def test_a_function_that_moved_is_found_where_it_is_still_imported(
    registry: TaskRegistry, write: Callable[[str, str], str]
) -> None:
    write("task_new_home", "def job(): ...")
    write("task_old_home", "from task_new_home import job")
    assert registry.resolve("task_old_home:job").function.__module__ == "task_new_home"


UNKNOWN: list[tuple[str, str]] = [
    ("mail.snd", "no task is registered under this name. Did you mean 'mail.send'?"),
    ("nothing", "no task is registered under this name."),
    *(
        (
            name,
            f"no such task is registered, and the module {name.partition(':')[0]!r} is not found or not one of the"
            " app's. Register it with @task, or name its module in SCHEDULER_TASK_MODULES.",
        )
        for name in ("os:system", "subprocess:run", "pytest:raises", "no_such_module:x", ":x", "..:x", "/tmp/x:y")
    ),
    ("scheduler_app.jobs:Job", "no such task is registered, and the module 'scheduler_app.jobs' is not found or not one"
     " of the app's. Register it with @task, or name its module in SCHEDULER_TASK_MODULES."),
    ("task_app:gone", "the module 'task_app' has no 'gone'."),
    ("task_app:os.path.join", "the module 'task_app' has no 'os.path.join'."),
    ("task_app:outer.<locals>.x", "the module 'task_app' has no 'outer.<locals>.x'."),
    ("task_app:system", "The built-in 'system' stands there: it is not a function of your app."),
    ("task_app:run", "'subprocess:run' stands there, which is not the app's own."),
    ("task_app:Class", "The class 'task_app:Class' stands there: it is not a function."),
    ("task_app:Class.method", "it is a method that needs an instance."),
    ("task_app:VALUE", "A value of type 'int' stands there: it is not a function."),
    ("task_app:proxy", "A LocalProxy (such as request, g or current_user) stands there: it belongs to one request and"
     " stands for something else in the next."),
    ("task_raises:job", "importing 'task_raises' failed with ZeroDivisionError: division by zero."),
    ("task_tells:job", "importing 'task_tells' failed with ValueError: Give it a name."),
    ("task_exits:job", "importing 'task_exits' failed with SystemExit: 3."),
    ("task_imports:job", "importing 'task_imports' failed with ModuleNotFoundError: No module named 'no_such'."),
    ("task_app.sub:job", "importing 'task_app.sub' failed with ModuleNotFoundError: No module named 'task_app.sub';"
     " 'task_app' is not a package."),
]  # fmt: skip


@pytest.mark.parametrize(("name", "reason"), UNKNOWN, ids=[name for name, _ in UNKNOWN])
def test_a_name_that_leads_to_no_function_of_the_app_is_unknown_with_its_reason(
    registry: TaskRegistry, write: Callable[[str, str], str], name: str, reason: str
) -> None:
    source = """
        import os
        from os import system
        from subprocess import run
        from werkzeug.local import LocalProxy
        VALUE = 1
        proxy = LocalProxy(lambda: 1 / 0)
        class Class:
            def method(self): ...
        def outer(): ...
        """
    write("task_app", source)
    write("task_raises", "1 / 0")
    write("task_tells", "raise ValueError('Give it a name.')")
    write("task_exits", "raise SystemExit(3)")
    write("task_imports", "import no_such")
    registry.register(send, name="mail.send")
    with pytest.raises(UnknownTaskError) as refusal:
        registry.resolve(name)
    assert isinstance(refusal.value, LookupError)
    assert str(refusal.value) == f"The task {name!r} is not known here: {reason}"


def test_a_module_that_is_not_allowed_is_never_imported(write: Callable[[str, str], str]) -> None:
    write("task_trap.inner", "")
    registry = TaskRegistry(ModuleRule(("app",)), shared={})
    with pytest.raises(UnknownTaskError):
        registry.resolve("task_trap.inner:job")
    assert not {"task_trap", "task_trap.inner"} & set(sys.modules)


def test_a_module_that_appears_later_is_found_then(registry: TaskRegistry, write: Callable[[str, str], str]) -> None:
    with pytest.raises(UnknownTaskError):
        registry.resolve("task_later:job")
    write("task_later", "def job(): ...")
    assert registry.resolve("task_later:job")


# -- which modules are the app's -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("module", "allowed"),
    [
        (HERE, True),
        ("os", False),
        ("sys", False),
        ("json.decoder", False),
        ("pytest", False),
        ("flask.cli", False),
        ("scheduler_app", False),
        ("scheduler_app.tasks.task", False),
        ("no_such_module", False),
        ("", False),
        (".x", False),
        ("a/b", False),
    ],
)
def test_by_default_all_but_the_library_and_installed_packages_is_the_apps(module: str, allowed: bool) -> None:
    assert ModuleRule().allows(module) is allowed


def test_a_namespace_package_of_the_app_is_allowed_and_deciding_imports_nothing(
    write: Callable[[str, str], str],
) -> None:
    write("task_space.deep.jobs", "raise RuntimeError")
    assert ModuleRule().allows("task_space.deep.jobs")
    assert "task_space" not in sys.modules


def test_a_copy_in_any_site_packages_is_not_the_apps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "venv" / "site-packages"
    folder.mkdir(parents=True)
    (folder / "task_installed.py").write_text("")
    monkeypatch.syspath_prepend(str(folder))
    assert not ModuleRule().allows("task_installed")
    assert ModuleRule(("task_installed",)).allows("task_installed")


@pytest.mark.parametrize(
    ("pattern", "module", "allowed"),
    [
        ("app.tasks", "app.tasks", True),
        ("app.tasks", "app.tasks.mail", True),
        ("app.tasks", "app.tasks2", False),
        ("app.tasks", "app", False),
        ("app.*", "app", True),
        ("app.*", "app.x.y", True),
        ("app.*", "apple", False),
        ("app_*", "app_one.jobs", True),
        ("app_*", "other", False),
        ("scheduler_app", "scheduler_app.jobs", False),
    ],
)
def test_a_setting_names_modules_their_submodules_and_patterns(pattern: str, module: str, allowed: bool) -> None:
    assert ModuleRule(("unrelated", pattern)).allows(module) is allowed


# -- the main file ---------------------------------------------------------------------------------

MAIN = """
    import sys
    from scheduler_app.errors import SchedulerError
    from scheduler_app.tasks import ModuleRule, TaskRegistry

    def job(): ...

    class Mail:
        @classmethod
        def made(cls): ...

    print("run")
    if __name__ == "__main__":
        registry = TaskRegistry(ModuleRule(), shared={})
        try:
            task = registry.for_function(job)
            again = TaskRegistry(ModuleRule(), shared={}).resolve(task.name)
            print(task.name, again.function is job, registry.for_function(Mail.made).name)
            print(registry.register(job, queue="q").name, ModuleRule().allows("__main__"))
        except SchedulerError as error:
            print(error)
    """


def _run(folder: Path, *command: str, source: str | None = None) -> list[str]:
    env = {**os.environ, "PYTHONPATH": str(Path(registry_module.__file__).parents[2])}
    done = subprocess.run(
        [sys.executable, *command], cwd=folder, env=env, input=source, capture_output=True, text=True, timeout=30
    )
    assert done.stderr == ""
    return done.stdout.splitlines()


@pytest.mark.parametrize(
    ("command", "name"),
    [
        (("web.py",), "web"),
        (("-m", "web"), "web"),
        (("-m", "pkg.web"), "pkg.web"),
        (("-m", "pkg"), "pkg.__main__"),
        (("pkg/web.py",), "web"),
    ],
    ids=" ".join,
)
def test_a_function_of_the_main_file_has_its_importable_name_and_is_not_imported_twice(
    tmp_path: Path, command: tuple[str, ...], name: str
) -> None:
    (tmp_path / "pkg").mkdir()
    for file in ("web.py", "pkg/web.py", "pkg/__main__.py", "pkg/__init__.py"):
        (tmp_path / file).write_text("" if "init" in file else textwrap.dedent(MAIN))
    assert _run(tmp_path, *command) == ["run", f"{name}:job True {name}:Mail.made", f"{name}:job True"]


def test_a_file_of_a_package_on_the_path_is_named_with_its_package(tmp_path: Path) -> None:
    (tmp_path / "pkg").mkdir()
    (tmp_path / "pkg" / "__init__.py").write_text("")
    (tmp_path / "pkg" / "web.py").write_text("import sys; sys.path.append('.')\n" + textwrap.dedent(MAIN))
    assert _run(tmp_path, "pkg/web.py")[1] == "pkg.web:job True pkg.web:Mail.made"


def test_a_function_of_an_interactive_session_is_refused_in_words(tmp_path: Path) -> None:
    assert _run(tmp_path, "-", source=textwrap.dedent(MAIN)) == [
        "run",
        "'__main__:job' cannot be scheduled: it was defined in an interactive session or a script that other processes"
        " cannot import. Put it into a module of your app and import it from there.",
    ]
