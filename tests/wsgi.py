"""A WSGI server by hand: a test sees each moment of a request, from the app's answer to the close of its body."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from flask import Flask
from werkzeug.test import EnvironBuilder


class Exchange:
    """One request to a WSGI app, as far as its answer: nothing is read and nothing is closed yet."""

    def __init__(self, app: Callable[..., Iterable[bytes]], path: str = "/", method: str = "GET", **extra: Any) -> None:
        self.status = ""
        self.headers: dict[str, str] = {}
        self.environ = EnvironBuilder(path=path, method=method).get_environ() | extra
        self.body: Any = app(self.environ, self._start)

    def _start(self, status: str, headers: list[tuple[str, str]], _error: object = None) -> Callable[[bytes], object]:
        self.status, self.headers = status, dict(headers)
        return lambda _chunk: None

    def read(self) -> bytes:
        """Read the body to its end."""
        return b"".join(self.body)

    def close(self) -> None:
        """Close the body, as a server must."""
        self.body.close()

    def finish(self) -> bytes:
        """Do what is left: read, and close."""
        try:
            return self.read()
        finally:
            self.close()


def written(app: Flask) -> None:
    """Have all written that ended responses have left to write."""
    assert app.extensions["scheduler"].keeper.flush()
