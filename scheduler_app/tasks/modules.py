"""Which modules are the app's, and by which name other processes import the program's main file."""

from __future__ import annotations

import importlib
import os
import re
import site
import sys
import sysconfig
from fnmatch import fnmatchcase
from functools import cache
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

_MODULE_NAME = re.compile(r"[\w-]+(\.[\w-]+)*")  # no path separators: a finder would take them for folders
_OURS = __name__.partition(".")[0]


class ModuleRule:
    """Decides whether a function may be scheduled, or an Enum named, by its module.

    `modules` is SCHEDULER_TASK_MODULES: "app.tasks" allows that module and its submodules, as does "app.tasks.*";
    "app_*" allows all that match. None allows every module outside the standard library and site-packages.
    This package's own modules are never allowed; its functions are tasks only where they are registered.
    """

    def __init__(self, modules: tuple[str, ...] | None = None) -> None:
        self.modules = modules
        self._known: dict[str, bool] = {}

    def allows(self, module: str) -> bool:
        """Return whether the module is the app's. Imports nothing; what was found once is remembered."""
        known = self._known.get(module)
        return known if known is not None else self._decide(module)

    def _decide(self, module: str) -> bool:
        name = main_name() if module == "__main__" else module
        if name is None or not _MODULE_NAME.fullmatch(name) or name.partition(".")[0] == _OURS:
            return False
        if self.modules is not None:
            answer = any(_matches(name, pattern) for pattern in self.modules)
        elif (spec := _find(name.partition(".")[0])) is None:
            return False  # not remembered: it may be installed or put on the path later
        else:
            answer = _is_app_code(spec)
        self._known[module] = answer
        return answer


def _matches(module: str, pattern: str) -> bool:
    prefix = pattern.removesuffix(".*")
    return module == prefix or module.startswith(f"{prefix}.") or fnmatchcase(module, pattern)


def _find(top: str) -> ModuleSpec | None:
    """Return the spec of a top-level module, without importing it."""
    try:
        return find_spec(top)
    except ValueError:  # it is in sys.modules without a spec, as test runners make them
        return PathFinder.find_spec(top)
    except (ImportError, AttributeError):
        return None


def _is_app_code(spec: ModuleSpec) -> bool:
    """Return whether all places that a top-level module comes from are outside of Python's own folders."""
    places = [spec.origin] if spec.has_location and spec.origin else list(spec.submodule_search_locations or ())
    return bool(places) and not any(_is_installed(place) for place in places)


def _is_installed(place: str) -> bool:
    if {"site-packages", "dist-packages"} & set(Path(place).parts):
        return True
    real = os.path.realpath(place)
    return any(real == folder or real.startswith(folder + os.sep) for folder in _library_folders())


@cache
def _library_folders() -> frozenset[str]:
    folders = {sysconfig.get_path(kind) for kind in ("stdlib", "platstdlib", "purelib", "platlib")}
    folders |= {*site.getsitepackages(), site.getusersitepackages()}
    return frozenset(os.path.realpath(folder) for folder in folders if folder)


# -- the main file ---------------------------------------------------------------------------------------------------


def main_name() -> str | None:
    """Return the name by which other processes import the file that runs as `__main__`; None when they cannot.

    `python -m app.web` is "app.web"; `python app.py` is "app", and "pkg.app" for a file in a package whose parent
    folder is on the path. An interactive session, and a script whose folder is not on the path, have no such name.
    """
    main = sys.modules.get("__main__")
    spec = getattr(main, "__spec__", None)
    if spec is not None:
        return str(spec.name)
    file = getattr(main, "__file__", None)
    return _name_of_file(Path(file).resolve()) if file and file.endswith(".py") else None


def _name_of_file(file: Path) -> str | None:
    on_path = {os.path.realpath(entry or os.curdir) for entry in sys.path}
    folder, names = file.parent, [file.stem]
    while (folder / "__init__.py").exists():
        names.insert(0, folder.name)
        folder = folder.parent
    if str(folder) in on_path:
        return ".".join(names)
    return file.stem if str(file.parent) in on_path else None


def import_module(name: str) -> ModuleType:
    """Return the module; the running main file is not run a second time under its importable name."""
    if name == main_name():
        return sys.modules["__main__"]
    return importlib.import_module(name)
