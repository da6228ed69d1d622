"""`run --http`: a dedicated worker answers its supervisor's probes, as the admin answers them in a web process."""

from __future__ import annotations

import json
import logging
import re
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import click

from ..client import Health
from .exits import Exit, Failed
from .output import note

logger = logging.getLogger("scheduler_app.admin")

PATIENCE_SECONDS = 5.0
"""How long a client may take to ask."""

LOOK_SECONDS = 0.2
"""How often it looks whether it is to end."""


class Address(click.ParamType):  # type: ignore[type-arg] # older releases of click have none
    """Where to listen: ``:9191`` (everywhere), ``127.0.0.1:9191``, ``[::1]:9191``; port 0 is any that is free."""

    name = "address"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, int]:
        """Return the host and the port."""
        if isinstance(value, tuple):
            return value
        found = re.fullmatch(r"(?:\[([^\]]+)\]|([^:]*)):(\d{1,5})", str(value).strip(), re.ASCII)
        if found is None or int(found[3]) > 65_535:
            self.fail(f"{value!r} is no address such as ':9191', '127.0.0.1:9191' or '[::1]:9191'.", param, ctx)
        return found[1] or found[2], int(found[3])


@contextmanager
def probes(address: tuple[str, int] | None, health: Callable[[], Health]) -> Iterator[None]:
    """Answer /livez and /readyz at an address for as long as the block runs; nothing where there is no address.

    It listens before the block begins. Raises `Failed` where it cannot.
    """
    if address is None:
        yield
        return
    with _listening(address, health) as server:
        note(f"Answering /livez and /readyz at {_shown(server)}.")
        thread = Thread(target=server.serve_forever, args=(LOOK_SECONDS,), name="scheduler-probes", daemon=True)
        thread.start()
        try:
            yield
        finally:
            server.shutdown()
            thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, address: tuple[str, int], family: socket.AddressFamily, health: Callable[[], Health]) -> None:
        self.address_family = family
        self.health = health
        super().__init__(address, _Probe)

    def server_bind(self) -> None:
        """Bind, without asking the network for the host's name, as the class above does."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of a client that went away."""


class _Probe(BaseHTTPRequestHandler):
    server: _Server
    timeout = PATIENCE_SECONDS

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if path == "/livez":
            self._answer(200, "ok")
        elif path == "/readyz":
            self._answer_readiness(self.server.health())
        else:
            self._answer(404, "not found")

    do_HEAD = do_GET

    def _answer_readiness(self, health: Health) -> None:
        if not health.ready:
            logger.info("not ready reason=%r", health.reason)
        self._answer(200 if health.ready else 503, "ok" if health.ready else "unavailable")

    def _answer(self, code: int, status: str) -> None:
        body = f"{json.dumps({'status': status})}\n".encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def version_string(self) -> str:
        """Return who answers, without the versions of what it stands on."""
        return "scheduler-app"

    def log_message(self, format: str, *args: Any) -> None:
        """Write no line for each probe."""


def _listening(address: tuple[str, int], health: Callable[[], Health]) -> _Server:
    host, port = address
    try:
        family, *_, found = socket.getaddrinfo(host or "0.0.0.0", port, type=socket.SOCK_STREAM)[0]  # noqa: S104 - asked for
        return _Server((str(found[0]), port), family, health)
    except (OSError, OverflowError) as error:
        why = getattr(error, "strerror", None) or str(error)
        where = f"{host or '*'}:{port}"
        raise Failed(f"Cannot listen at {where} for --http: {why}. Name another address or port.", Exit.ERROR) from None


def _shown(server: _Server) -> str:
    host, port = server.server_address[:2]
    name = str(host)
    return f"http://[{name}]:{port}" if ":" in name else f"http://{name}:{port}"
