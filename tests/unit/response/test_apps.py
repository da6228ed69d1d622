"""Requests inside of requests, several apps in one process, other middleware, files and forks: nothing is mixed up."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
from flask import Flask, Response, request, send_file
from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.middleware.profiler import ProfilerMiddleware
from werkzeug.middleware.proxy_fix import ProxyFix
from werkzeug.wsgi import FileWrapper

from scheduler_app import Scheduler, after_response
from tests.unit.response.work import HELD, RELEASED, call, seen
from tests.wsgi import Exchange

MakeApp = Callable[..., Flask]


# -- requests inside of requests ---------------------------------------------------------------------


def test_a_request_to_the_same_app_inside_of_a_request_has_its_own_jobs(app: Flask) -> None:
    @app.get("/outer")
    def outer() -> str:
        after_response(call, "outer before")
        with app.test_client().get("/ok/inner"):
            assert seen(app) == {"inner": HELD}
        assert seen(app) == {"inner": RELEASED}
        with app.test_client().get("/raises/inner"):
            pass
        after_response(call, "outer after")
        return "outer"

    opened = Exchange(app, "/outer")
    held = {"outer before": HELD, "outer after": HELD}
    assert seen(app) == {"inner": RELEASED, "inner even so": RELEASED} | held
    opened.finish()
    assert set(seen(app).values()) == {RELEASED}


def test_an_error_outside_drops_nothing_of_a_request_inside(app: Flask) -> None:
    @app.get("/outer")
    def outer() -> str:
        after_response(call, "outer")
        opened.append(Exchange(app, "/ok/inner"))
        raise RuntimeError

    opened: list[Exchange] = []
    Exchange(app, "/outer").finish()
    assert seen(app) == {"inner": HELD}
    opened[0].finish()
    assert seen(app) == {"inner": RELEASED}


def test_a_made_up_request_inside_of_a_request_has_no_response_to_wait_for(app: Flask) -> None:
    @app.get("/outer")
    def outer() -> str:
        after_response(call, "outer")
        with app.test_request_context("/ok/made-up"):
            after_response(call, "made up")
            app.full_dispatch_request()
        assert seen(app) == {"made up": RELEASED, "made-up": RELEASED}
        with app.test_request_context("/raises/made-up"):
            app.handle_exception(RuntimeError())
        return "outer"

    opened = Exchange(app, "/outer")
    assert seen(app)["outer"] == HELD
    opened.finish()
    assert seen(app)["outer"] == RELEASED


def test_a_view_may_answer_with_its_own_app(app: Flask) -> None:
    @app.get("/again")
    def again() -> Any:
        after_response(call, "outer")
        environ = dict(request.environ, PATH_INFO="/ok/inner")
        return Response.from_app(app.wsgi_app, environ)

    @app.get("/same")
    def same() -> Any:
        request.environ["PATH_INFO"] = "/ok/inner of the same environ"
        body: Any = app.wsgi_app(request.environ, lambda *_: lambda _chunk: None)
        answer = b"".join(body)
        body.close()
        after_response(call, "outer of the same environ")
        assert "outer of the same environ" not in seen(app), "the view goes on, so it is only collected"
        return answer

    opened = [Exchange(app, "/again"), Exchange(app, "/same")]
    assert seen(app) == {
        "inner of the same environ": RELEASED, "outer": HELD, "inner": HELD, "outer of the same environ": HELD,
    }  # fmt: skip
    for one in opened:
        assert one.finish() == b"ok"
    assert list(seen(app).values()) == [RELEASED] * 4


# -- several apps ------------------------------------------------------------------------------------


def test_apps_beside_each_other_have_their_own(make_app: MakeApp) -> None:
    shared = Scheduler()
    one, two = make_app("one", shared), make_app("two", shared)
    site = DispatcherMiddleware(Flask("nothing"), {"/one": one, "/two": two})
    opened = Exchange(site, "/one/ok/of one")
    other = Exchange(site, "/two/ok/of two")
    other.finish()
    assert (seen(one), seen(two)) == ({"of one": HELD}, {"of two": RELEASED})
    opened.finish()
    assert seen(one) == {"of one": RELEASED}


def test_an_app_inside_of_another_ones_dispatcher_or_view(make_app: MakeApp) -> None:
    inside, outside = make_app("inside"), make_app("outside")

    @outside.get("/view")
    def view() -> Any:
        after_response(call, "of the view")
        with inside.app_context():
            after_response(call, "of the other app: now")
        answer = Response.from_app(inside, dict(request.environ, PATH_INFO="/ok/by the view"))
        return answer

    outside.wsgi_app = DispatcherMiddleware(outside.wsgi_app, {"/inside": inside})  # type: ignore[method-assign]
    first, second = Exchange(outside, "/inside/ok/by the dispatcher"), Exchange(outside, "/view")
    assert seen(outside) == {"of the view": HELD}
    assert seen(inside) == {"of the other app: now": RELEASED, "by the dispatcher": HELD, "by the view": HELD}
    first.finish()
    second.finish()
    assert {*seen(inside).values(), *seen(outside).values()} == {RELEASED}


def test_a_body_that_works_for_another_app_does_not_have_that_wait_for_it(make_app: MakeApp) -> None:
    one, two = make_app("one"), make_app("two")

    @one.get("/stream")
    def stream() -> Response:
        def chunks() -> Iterable[bytes]:
            with two.app_context():
                after_response(call, "for the other")
            with one.app_context():
                after_response(call, "for its own")
            yield b"stream"

        return Response(chunks())

    opened = Exchange(one, "/stream")
    opened.read()
    assert (seen(two), seen(one)) == ({"for the other": RELEASED}, {"for its own": HELD})
    opened.close()


# -- other middleware --------------------------------------------------------------------------------


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("other", [ProxyFix, lambda app: ProfilerMiddleware(app, io.StringIO())])
def test_middleware_may_be_put_on_before_or_after(tmp_path: Path, when: str, other: Callable[..., Any]) -> None:
    app = Flask("shop", static_folder=None)
    app.config.update(SECRET_KEY="a secret", SCHEDULER_DATABASE_URL=f"sqlite:///{tmp_path}/jobs.sqlite3")
    app.config.update(SCHEDULER_TASK_MODULES=["tests"], SCHEDULER_ROLE="client")
    if when == "before":
        app.wsgi_app = other(app.wsgi_app)
    Scheduler(app)
    if when == "after":
        app.wsgi_app = other(app.wsgi_app)

    @app.get("/ok")
    def ok() -> str:
        after_response(call, "it")
        return "ok"

    opened = Exchange(app, "/ok", HTTP_X_FORWARDED_PROTO="https")
    assert opened.read() == b"ok"
    if hasattr(opened.body, "close"):  # the profiler answers with a list, whose origin it has closed
        opened.close()
    assert seen(app) == {"it": RELEASED}
    app.extensions["scheduler"].store.close()


def test_middleware_that_forgets_the_close_leaves_it_to_the_fallback(app: Flask) -> None:
    def forgetful(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        return [b"".join(app(environ, start_response))]

    assert list(Exchange(forgetful, "/ok/it").body) == [b"ok"]
    assert seen(app) == {"it": HELD}


# -- bodies ------------------------------------------------------------------------------------------


class KernelFile:
    """A server's own way to send a file, as `wsgi.file_wrapper` gives it."""

    def __init__(self, file: io.BytesIO, _size: int = 8192) -> None:
        self.file = file

    def __iter__(self) -> Any:
        return iter(self.file)

    def close(self) -> None:
        self.file.close()


def plain_file(file: Any, _size: int = 8192) -> Any:
    """What uWSGI's `wsgi.file_wrapper` answers: the file itself."""
    return file


@pytest.mark.parametrize("wrapper", [KernelFile, plain_file])
def test_a_file_reaches_the_server_as_it_is_unless_something_waits_for_its_end(
    app: Flask, tmp_path: Path, wrapper: Any
) -> None:
    path = tmp_path / "file.txt"
    path.write_bytes(b"a file")

    @app.get("/file/<label>")
    def file(label: str) -> Response:
        if label != "nothing":
            after_response(call, label)
        return send_file(path)

    plain = Exchange(app, "/file/nothing", **{"wsgi.file_wrapper": wrapper})
    assert type(plain.body) is KernelFile or plain.body.fileno()
    assert plain.finish() == b"a file"
    waited = Exchange(app, "/file/it", **{"wsgi.file_wrapper": wrapper})
    assert waited.read() == b"a file"
    assert seen(app) == {"it": HELD}
    waited.close()
    assert seen(app) == {"it": RELEASED}


@pytest.mark.parametrize("label", ["nothing", "it"])
def test_a_list_that_other_middleware_answers_with_stays_one_unless_something_waits(app: Flask, label: str) -> None:
    inner: Any = app.wsgi_app
    inner._wsgi_app = _as_list(inner._wsgi_app)
    opened = Exchange(app, "/nothing" if label == "nothing" else "/ok/it")
    assert isinstance(opened.body, list) is (label == "nothing")
    assert opened.read() in (b"nothing", b"ok")
    if label == "it":
        assert seen(app) == {"it": HELD}
        opened.close()
        assert seen(app) == {"it": RELEASED}


def _as_list(wsgi_app: Any) -> Any:
    return lambda environ, start_response: [b"".join(wsgi_app(environ, start_response))]


def test_a_file_that_werkzeug_wraps_is_sent_too(app: Flask, tmp_path: Path) -> None:
    (tmp_path / "file.txt").write_bytes(b"a file")

    @app.get("/file")
    def file() -> Response:
        after_response(call, "it")
        answer = send_file(tmp_path / "file.txt")
        assert isinstance(answer.response, FileWrapper)
        return answer

    assert Exchange(app, "/file").finish() == b"a file"
    assert seen(app) == {"it": RELEASED}


@pytest.mark.parametrize(("method", "status"), [("HEAD", 200), ("GET", 204), ("GET", 304)])
def test_a_response_without_a_body_is_closed_like_any_other(app: Flask, method: str, status: int) -> None:
    @app.get("/empty")
    def empty() -> tuple[str, int]:
        after_response(call, "it")
        return "not sent", status

    opened = Exchange(app, "/empty", method)
    assert opened.read() == b""
    assert seen(app) == {"it": HELD}
    opened.close()
    assert seen(app) == {"it": RELEASED}


def test_flasks_test_client_releases_where_it_closes(app: Flask) -> None:
    app.testing = True
    with app.test_client().get("/ok/with"):
        assert seen(app) == {"with": HELD}
    app.test_client().get("/ok/buffered", buffered=True)
    app.test_client().get("/ok/closed").close()
    assert set(seen(app).values()) == {RELEASED}


# -- forks -------------------------------------------------------------------------------------------


def test_a_child_that_a_view_forks_releases_nothing_of_its_parent_and_loses_nothing_of_its_own(app: Flask) -> None:
    @app.get("/fork")
    def fork() -> str:
        after_response(call, "the parent's")
        child = os.fork()
        if child == 0:
            try:
                after_response(call, "the child's")
                opened[0].close()
                app.extensions["scheduler"].keeper.flush()
            finally:
                os._exit(0)
        os.waitpid(child, 0)
        return "fork"

    opened = [Exchange(app, "/ok/another one's")]
    forking = Exchange(app, "/fork")
    assert seen(app) == {"the child's": RELEASED, "another one's": HELD, "the parent's": HELD}
    forking.finish()
    opened[0].finish()
    assert set(seen(app).values()) == {RELEASED}
