"""The WSGI middleware: opens a response with each request, and sees the server close it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from werkzeug.wsgi import ClosingIterator

from .keeper import Keeper
from .opened import OpenResponse

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

in_hand: ContextVar[OpenResponse | None] = ContextVar("scheduler_response_in_hand", default=None)
"""The response that the code of this context makes, its body included: a generator may have no request context."""


class ResponseMiddleware:
    """Passes everything through. A body is wrapped, so that its close is seen; mere data only if something waits.

    So a server can still hand a file to the kernel (`wsgi.file_wrapper`) in a request that deferred nothing.
    """

    def __init__(self, wsgi_app: WSGIApplication, key: str, keeper: Keeper) -> None:
        self._wsgi_app, self._key, self._keeper = wsgi_app, key, keeper

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        outer = environ.get(self._key)  # of a view that answers with this very app, in the same environ
        response = environ[self._key] = Served(self._keeper)
        token = in_hand.set(response)
        try:
            body = self._wsgi_app(environ, start_response)
            response.store_collected()  # what came after Flask's `request_finished`
        except BaseException:
            response.break_off()
            raise
        finally:
            in_hand.reset(token)
            if outer is not None:
                environ[self._key] = outer
        if type(body) is not ClosingIterator and _is_data(environ, body) and not response.rows():
            return body
        response.body, response.next = body, iter(body).__next__
        return response


def _is_data(environ: WSGIEnvironment, body: Any) -> bool:
    """Whether no code of the app's runs while a body is sent: a list, or a file as `send_file` returns it."""
    return isinstance(body, list | tuple) or hasattr(body, "fileno") or type(body) is environ.get("wsgi.file_wrapper")


class Served(OpenResponse):
    """An open response as the server sees it: the body, chunk by chunk as it was, whose close is the end of all.

    It is its own iterator, so that a server or debugger that closes only what it iterates closes it, too.
    """

    body: Iterable[bytes]
    next: Callable[[], bytes]

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        token = in_hand.set(self)  # what the server does between two chunks is not the body's
        try:
            return self.next()
        except StopIteration:
            self.is_spent = True
            raise
        finally:
            in_hand.reset(token)

    def close(self) -> None:
        """Close the body, then release what waits for that, also where the body's own close raises."""
        try:
            if hasattr(self.body, "close"):
                self.body.close()
        finally:
            self.end()
