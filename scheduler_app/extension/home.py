"""Under which name and in which folder an app is at home, however it is started."""

from __future__ import annotations

import os

from flask import Flask
from flask.sansio.scaffold import find_package

from ..tasks import main_name


def home_of(app: Flask) -> tuple[str, str]:
    """Return an app's name and its instance folder: the same for `python shop.py`, `python -m shop` and `flask run`.

    To Flask an app of the main file is called "__main__" and at home in the current folder. So its name is taken
    to be the one by which other processes import that file, and its folder the one that Flask gives to that name,
    unless the app chose its `instance_path` itself.
    """
    name = main_name() if app.import_name == "__main__" else app.import_name
    if name is None:  # an interactive session, or a script that no other process can import
        return app.name, app.instance_path
    chose_folder = app.instance_path != app.auto_find_instance_path()
    is_main = app.import_name == "__main__" and not chose_folder
    return name, _instance_path(name) if is_main else app.instance_path


def _instance_path(name: str) -> str:
    """Return what `Flask(name)` finds, as its `auto_find_instance_path` does."""
    prefix, folder = find_package(name)
    return os.path.join(folder, "instance") if prefix is None else os.path.join(prefix, "var", f"{name}-instance")
