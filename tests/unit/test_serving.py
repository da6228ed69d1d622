"""What `serving` says of real stacks: of fake server modules under the real file names, and of a real server."""

from __future__ import annotations

import subprocess
import sys
import textwrap
import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import SpooledTemporaryFile
from types import FrameType
from typing import Any

import pytest
from asgiref.wsgi import WsgiToAsgiInstance
from flask import Flask, request
from werkzeug.serving import make_server
from werkzeug.test import Client, EnvironBuilder

from scheduler_app.serving import Serving, Watch, comes_from_server, is_copy_of_server, look

SITE = "/venv/lib/python3.11/site-packages/"
DEADLINE_SECONDS = 10
ROOT = Path(__file__).parents[2]

ARBITER = ("gunicorn/arbiter.py", "run")
SPAWN = ("gunicorn/arbiter.py", "spawn_worker")
BOOT = ("gunicorn/workers/base.py", "init_process")
GTHREAD = "gunicorn/workers/gthread.py"
SYNC = ("gunicorn/workers/sync.py", "run")
RELOADER = ("werkzeug/_reloader.py", "restart_with_reloader")
WERKZEUG = ("werkzeug/serving.py", "serve_forever")
WAITRESS = ("waitress/server.py", "run")


def nest(calls: list[tuple[str, str]], innermost: Callable[[], Any], site: str = SITE) -> Callable[[], Any]:
    """Make a function that calls through `calls` (file, function), outermost first, down to `innermost`."""
    for path, name in reversed(calls):
        scope: dict[str, Any] = {"inner": innermost}
        exec(compile(f"def {name}():\n    return inner()\n", site + path, "exec"), scope)
        innermost = scope[name]
    return innermost


@contextmanager
def blocked_in(*calls: tuple[str, str], site: str = SITE) -> Iterator[int]:
    """Keep a thread inside `calls` while the block runs, and give its id."""
    arrived, leave = threading.Event(), threading.Event()

    def wait() -> None:
        arrived.set()
        leave.wait(DEADLINE_SECONDS)

    thread = threading.Thread(target=nest(list(calls), wait, site), daemon=True)
    thread.start()
    assert arrived.wait(DEADLINE_SECONDS)
    try:
        assert thread.ident is not None
        yield thread.ident
    finally:
        leave.set()
        thread.join(DEADLINE_SECONDS)


def frames_of(*threads: int) -> dict[int, FrameType]:
    frames = sys._current_frames()
    return {thread: frames[thread] for thread in threads}


# -- look ------------------------------------------------------------------------------------------


def test_a_process_without_a_server_is_nothing() -> None:
    assert look().serving is Serving.NOTHING


@pytest.mark.parametrize(
    ("name", "calls"),
    [
        pytest.param("Werkzeug", [WERKZEUG], id="flask run and app.run"),
        pytest.param("waitress", [WAITRESS], id="waitress"),
        pytest.param("gunicorn", [ARBITER, SPAWN, BOOT, SYNC], id="gunicorn sync"),
        pytest.param(
            "gunicorn", [ARBITER, SPAWN, (GTHREAD, "init_process"), BOOT, (GTHREAD, "run")], id="gunicorn gthread"
        ),
        pytest.param(
            "gunicorn", [ARBITER, SPAWN, BOOT, ("mycompany/worker.py", "run")], id="gunicorn with a foreign class"
        ),
        pytest.param("waitress", [WAITRESS, ("myapp/views.py", "run")], id="a view named as a server's function"),
    ],
)
def test_a_thread_inside_a_servers_loop_makes_the_process_a_server(name: str, calls: list[tuple[str, str]]) -> None:
    with blocked_in(*calls):
        assert look() == (Serving.SERVER, name)


@pytest.mark.parametrize("calls", [[ARBITER], [RELOADER]], ids=["arbiter", "reloader"])
def test_a_process_that_forks_or_restarts_servers_is_a_parent(calls: list[tuple[str, str]]) -> None:
    with blocked_in(*calls):
        assert look().serving is Serving.PARENT


@pytest.mark.parametrize(
    "calls",
    [
        pytest.param([ARBITER, SPAWN], id="at the fork, on either side"),
        pytest.param([ARBITER, SPAWN, BOOT], id="in the worker, before its loop"),
        pytest.param([ARBITER, SPAWN, BOOT, ("myapp/__init__.py", "create_app")], id="while the worker loads the app"),
    ],
)
def test_a_gunicorn_worker_that_still_boots_is_neither_server_nor_parent(calls: list[tuple[str, str]]) -> None:
    with blocked_in(*calls):
        assert look().serving is Serving.NOTHING


@pytest.mark.parametrize(
    "call",
    [("myapp/server.py", "run"), ("notwaitress/server.py", "run"), ("socketserver.py", "serve_forever")],
    ids=lambda call: call[0],
)
def test_a_function_of_the_same_name_elsewhere_says_nothing(call: tuple[str, str]) -> None:
    with blocked_in(call):
        assert look().serving is Serving.NOTHING


def test_a_parent_stays_a_parent_while_another_of_its_threads_serves() -> None:
    with blocked_in(ARBITER), blocked_in(WERKZEUG):
        assert look().serving is Serving.PARENT


def test_a_worker_that_boots_is_not_a_server_yet_while_another_of_its_threads_serves() -> None:
    with blocked_in(ARBITER, SPAWN, BOOT), blocked_in(WERKZEUG):
        assert look().serving is Serving.NOTHING


def test_windows_file_names_are_read_too() -> None:
    with blocked_in(("waitress\\server.py", "run"), site="C:\\venv\\Lib\\site-packages\\"):
        assert look().serving is Serving.SERVER


def test_only_the_given_frames_are_looked_at() -> None:
    with blocked_in(WERKZEUG) as serving, blocked_in(("myapp/loop.py", "work")) as other:
        assert look(frames_of(serving, other)).serving is Serving.SERVER
        assert look(frames_of(other)).serving is Serving.NOTHING


def test_looking_keeps_no_local_variable_of_anyone_alive() -> None:
    class Local:
        pass

    def hold_and_look() -> weakref.ref[Local]:
        local = Local()
        look()
        return weakref.ref(local)

    assert hold_and_look()() is None


def test_a_real_werkzeug_server_is_seen_by_its_watch_and_not_before_it_serves() -> None:
    def app(environ: Any, start_response: Any) -> list[bytes]:
        return []

    server = make_server("127.0.0.1", 0, app)
    assert look().serving is Serving.NOTHING
    seen = threading.Event()
    watch = Watch(lambda _: seen.set() or True)
    watch.start()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        assert seen.wait(DEADLINE_SECONDS)
        assert look().serving is Serving.SERVER
    finally:
        watch.stop()
        server.shutdown()
        thread.join(DEADLINE_SECONDS)
        server.server_close()


# -- forks: in processes of their own, because a fork hook cannot be taken back ---------------------

FORK = """
import os, sys
sys.path.insert(0, {here!r})
from test_serving import ARBITER, BOOT, RELOADER, SPAWN, SYNC, WERKZEUG, blocked_in, nest
from scheduler_app.serving import forked_by_server, is_copy_of_server, look

told = []
os.register_at_fork(after_in_child=lambda: told.append(forked_by_server()))

def fork(then=lambda: ()):
    pid = os.fork()
    if pid == 0:
        print(told[-1], is_copy_of_server(), look().serving, *then(), flush=True)
        os._exit(0)
    os.waitpid(pid, 0)

"""


def run_fork(body: str) -> str:
    """Run `body` after FORK in a fresh interpreter and give what its forked child printed."""
    code = FORK.format(here=str(Path(__file__).parent)) + textwrap.dedent(body)
    # Python 3.12 and later warn of any fork beside a thread, which is what is tried here.
    command = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", code]
    result = subprocess.run(command, capture_output=True, text=True, timeout=30, cwd=ROOT)
    assert result.stderr == ""
    return result.stdout.strip()


def test_a_gunicorn_worker_knows_that_its_arbiter_forked_it() -> None:
    assert run_fork("nest([ARBITER, SPAWN], os.fork)() or print(*told)") == "True"


def test_a_gunicorn_worker_is_no_copy_even_where_gunicorn_runs_in_a_copy() -> None:
    body = """
    def run_gunicorn():
        if nest([ARBITER, SPAWN], os.fork)() == 0:
            print(told[-1], is_copy_of_server(), flush=True)
            os._exit(0)
        os.wait()
        return ["arbiter"]

    with blocked_in(WERKZEUG):
        fork(then=run_gunicorn)
    """
    assert run_fork(body).splitlines() == ["True False", "False True nothing arbiter"]


def test_a_fork_from_a_view_is_no_worker_and_its_copied_stack_is_no_server() -> None:
    assert run_fork("nest([ARBITER, SPAWN, BOOT, SYNC], fork)()") == "False True nothing"


def test_a_fork_in_a_hook_of_the_arbiter_is_no_worker() -> None:
    assert run_fork("nest([ARBITER, SPAWN, ('myapp/hooks.py', 'pre_fork')], fork)()") == "False False nothing"


def test_a_fork_beside_a_serving_thread_is_a_copy_of_a_server() -> None:
    assert run_fork("with blocked_in(WERKZEUG): fork()") == "False True nothing"


def test_a_fork_of_a_script_is_a_copy_of_nothing() -> None:
    assert run_fork("fork()") == "False False nothing"


def test_a_forked_child_that_itself_begins_to_serve_is_a_server() -> None:
    assert run_fork("fork(then=lambda: [nest([WERKZEUG], look)().serving])") == "False False nothing server"


def test_a_forked_copy_of_a_server_that_itself_begins_to_serve_is_a_server() -> None:
    serve = "nest([WERKZEUG], lambda: fork(then=lambda: [nest([WERKZEUG], look)().serving]))()"
    assert run_fork(serve) == "False True nothing server"


def test_the_process_of_the_tests_is_no_copy_of_a_server() -> None:
    assert not is_copy_of_server()


# -- requests --------------------------------------------------------------------------------------


ADDRESS = {"REMOTE_ADDR": "127.0.0.1"}


def asked(send: Callable[[Flask], Any]) -> list[bool]:
    """Answer what a view finds out about the request that `send` sends it."""
    app, found = Flask("asked"), []
    app.add_url_rule("/", view_func=lambda: str(found.append(comes_from_server(request.environ))))
    send(app)
    return found


def ask_through_asgi(app: Flask) -> None:
    """Serve one request as uvicorn does with asgiref's adapter, of a client without an address."""
    scope = {"type": "http", "method": "GET", "path": "/", "query_string": b"", "http_version": "1.1", "headers": []}
    adapter = WsgiToAsgiInstance(app)
    adapter.scope = scope
    with SpooledTemporaryFile() as body:
        app(adapter.build_environ(scope, body), lambda *_: lambda _: None)


@pytest.mark.parametrize(
    "send",
    [
        pytest.param(lambda app: app.test_client().get("/"), id="flask"),
        pytest.param(lambda app: app.test_client().get("/", headers={"User-Agent": "Firefox"}), id="flask as firefox"),
        pytest.param(lambda app: Client(app).get("/", environ_overrides=ADDRESS), id="werkzeug"),
    ],
)
def test_a_request_of_a_test_client_comes_from_no_server(send: Callable[[Flask], Any]) -> None:
    assert asked(send) == [False]


def test_a_request_that_was_made_up_comes_from_no_server() -> None:
    assert not comes_from_server(EnvironBuilder("/").get_environ())


@pytest.mark.parametrize("key", ["SERVER_SOFTWARE", "uwsgi.version", "REMOTE_ADDR"])
def test_a_request_at_whose_ends_somebody_is_named_comes_from_a_server(key: str) -> None:
    assert comes_from_server(EnvironBuilder("/").get_environ() | {key: "any"})


def test_a_request_of_a_server_that_names_nobody_comes_from_a_server() -> None:
    assert asked(ask_through_asgi) == [True]


# -- watch -----------------------------------------------------------------------------------------


def watch_thread() -> threading.Thread:
    return next(thread for thread in threading.enumerate() if thread.name == "scheduler-watch")


def test_a_watch_calls_once_and_ends() -> None:
    calls: list[str] = []
    with blocked_in(WAITRESS):
        watch = Watch(lambda server: calls.append(f"{threading.current_thread().name} of {server}") or True)
        watch.start()
        watch.start()
        watch._thread.join(DEADLINE_SECONDS)  # type: ignore[union-attr]
        watch.start()
    assert not watch._thread.is_alive()  # type: ignore[union-attr]
    assert calls == ["scheduler-watch of waitress"]


def test_a_watch_calls_again_until_it_is_told_that_this_is_settled() -> None:
    answers = iter([False, False, True])
    with blocked_in(WAITRESS):
        watch = Watch(lambda _: next(answers))
        watch.start()
        watch._thread.join(DEADLINE_SECONDS)  # type: ignore[union-attr]
    assert not watch._thread.is_alive()  # type: ignore[union-attr]
    assert list(answers) == []


def test_a_watch_gives_up_for_good_in_a_parent() -> None:
    calls: list[str] = []
    watch = Watch(lambda _: calls.append("called") or True)
    with blocked_in(ARBITER):
        watch.start()
        watch._thread.join(DEADLINE_SECONDS)  # type: ignore[union-attr]
    assert not watch._thread.is_alive()  # type: ignore[union-attr]
    assert calls == []


def test_a_watch_waits_through_the_boot_of_a_worker() -> None:
    seen = threading.Event()
    watch = Watch(lambda _: seen.set() or True)
    with blocked_in(ARBITER, SPAWN, BOOT):
        watch.start()
        assert watch_thread().daemon
        assert not seen.is_set()
        assert watch._thread.is_alive()  # type: ignore[union-attr]
    with blocked_in(ARBITER, SPAWN, BOOT, SYNC):
        assert seen.wait(DEADLINE_SECONDS)


def test_a_stopped_watch_ends_at_once_and_calls_nothing() -> None:
    calls: list[str] = []
    watch = Watch(lambda _: calls.append("called") or True)
    watch.start()
    watch.stop()
    watch._thread.join(DEADLINE_SECONDS)  # type: ignore[union-attr]
    with blocked_in(WAITRESS):
        watch.start()
    assert not watch._thread.is_alive()  # type: ignore[union-attr]
    assert calls == []
