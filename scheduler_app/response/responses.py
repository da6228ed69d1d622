"""The responses of one app: which one a call belongs to, and what Flask tells of it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any
from weakref import ref

from flask import Flask, got_request_exception, has_request_context, request, request_finished

from .keeper import Keeper
from .middleware import ResponseMiddleware, in_hand
from .opened import OpenResponse


class Responses:
    """Opens a response with each request of an app, and finds the one that is current."""

    def __init__(self, keeper: Keeper) -> None:
        self._keeper = keeper
        self._key = f"scheduler_app.response.{id(self)}"
        """Where the WSGI environ of a request has it: several apps may share an environ."""
        self._on_finished = self._make_receiver()

    def install(self, app: Flask) -> None:
        """See each response of an app: its making by Flask's signals, its close by a middleware.

        Middleware that was put on the app before is inside, what is put on it later outside. The end of a view is
        heard only while some view has deferred a call: a signal with a receiver takes each request longer.
        """
        app.wsgi_app = ResponseMiddleware(app.wsgi_app, self._key, self._keeper)  # type: ignore[method-assign]
        self._keeper.on_collecting = partial(self._hear_finished, ref(app))
        got_request_exception.connect(self._on_exception, app)

    def withdraw(self, app: Flask) -> None:
        """Hear no more of an app's responses. Its middleware stays where it was put."""
        with self._keeper.lock:
            self._keeper.on_collecting = lambda _begins: None
            request_finished.disconnect(self._on_finished)
        got_request_exception.disconnect(self._on_exception, app)

    def _hear_finished(self, app: ref[Flask], begins: bool) -> None:
        found = app()
        if begins and found is not None:
            request_finished.connect(self._on_finished, found)
        else:
            request_finished.disconnect(self._on_finished)  # from its sender alone, the signal would not forget it

    def current(self) -> OpenResponse | None:
        """Return the response that this code works for; None outside a request.

        A request that came through no server (`app.test_request_context`) has none, whatever it is nested in.
        """
        found = request.environ.get(self._key) if has_request_context() else in_hand.get()
        return found if found is not None and found.is_kept_by(self._keeper) else None

    def _make_receiver(self) -> Callable[..., None]:
        """Return what stores the calls of a finished request; an error in that makes the response a 500.

        A plain function: a signal reaches a bound method thrice as slowly.
        """

        def on_finished(_app: Flask, **_: Any) -> None:
            innermost = in_hand.get()
            if innermost is None or not innermost.has_collected():
                return
            response = self.current()  # which is another one if the request is a made-up one inside of it
            if response is not None:
                response.store_collected()

        return on_finished

    def _on_exception(self, _app: Flask, **_: Any) -> None:
        """Drop what was collected: nobody handled an error of the view."""
        response = self.current()
        if response is not None:
            response.drop()
