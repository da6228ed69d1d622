"""Where the service's settings come from: files for what is the same everywhere, the environment for what is not."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ..errors import UnknownEnvironmentError

ENVIRONMENT = "SCHEDULER_ENV"
"""The variable that names the file read after config/default.toml: "development", "production" or one of your own."""
NOT_SETTINGS = (ENVIRONMENT, "SCHEDULER_DEBUG_TOKEN", "SCHEDULER_TEST_")
"""How those variables begin that are no settings of the scheduler: they say which file, or belong to others."""


def read_configuration(environ: Mapping[str, str], folder: Path | None = None) -> dict[str, Any]:
    """Return the settings: config/default.toml, then the file that `SCHEDULER_ENV` names, then `SCHEDULER_*` variables.

    A variable is read as JSON where it is JSON, and as text where it is not. Raises `UnknownEnvironmentError`.
    """
    folder = folder or config_folder()
    settings = _read_file(folder / "default.toml")
    if name := environ.get(ENVIRONMENT, "").strip():
        settings |= _read_file(_file_of(name, folder))
    return settings | dict(_read_variables(environ))


def config_folder() -> Path:
    """Return the folder of the values: inside the installed package, or beside it in a checkout."""
    package = Path(__file__).resolve().parent.parent
    installed = package / "config"
    return installed if installed.is_dir() else package.parent / "config"


def _file_of(name: str, folder: Path) -> Path:
    known = {path.stem: path for path in sorted(folder.glob("*.toml"))}
    if name not in known:
        raise UnknownEnvironmentError(name, known)
    return known[name]


def _read_file(path: Path) -> dict[str, Any]:
    return tomllib.loads(path.read_text(encoding="utf-8"))


def _read_variables(environ: Mapping[str, str]) -> Iterator[tuple[str, Any]]:
    for name, text in environ.items():
        if name.startswith("SCHEDULER_") and not name.startswith(NOT_SETTINGS):
            yield name, _value(text)


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text
