"""The app under test: each way to do work after a response, for each kind of response, under each server."""

from __future__ import annotations

from pathlib import Path

from tests.acceptance.sites import Site, make_site

SHOP = '''
import os, threading, time
from pathlib import Path
from flask import Flask, Response, g, request, send_file, stream_with_context
from scheduler_app import Scheduler, after_response
import work

CHUNK = b"x" * 65536


def hold(label):
    """Work until the test opens the gate, and write down when it began: by the clock of the kernel's timestamps."""
    work.write_down("began", f"{label} {time.time_ns()}")
    gate = Path(os.environ["RECORD"]).with_name(f"open-{label}")
    while not gate.exists():
        time.sleep(0.002)
    work.write_down("ended", label)


def create_app():
    app = Flask("shop", static_folder=None)
    app.config.from_prefixed_env()
    Scheduler(app)

    @app.get("/plain")
    def plain():
        return "plain"

    @app.get("/many")
    def many():
        for number in range(100):
            after_response(hold, f"call-{number}")
        return "many"

    @app.get("/<way>/<kind>/<label>")
    def view(way, kind, label):
        if way == "after_response":
            after_response(hold, label)
        elif way == "thread":
            threading.Thread(target=hold, args=(label,)).start()
        elif way == "teardown_request":
            g.label = label
        elif way == "generator":
            return Response(stream_with_context(generate(kind, label)), STATUS.get(kind, 200))
        time.sleep(0.01)  # a view commits, or renders
        if kind == "raises":
            raise RuntimeError("the view's own")
        response = make(kind)
        if way == "call_on_close":
            response.call_on_close(lambda: hold(label))
        return response

    @app.teardown_request
    def teardown(error):
        if "label" in g:
            hold(g.label)

    return app


STATUS = {"empty": 202, "none": 204, "not modified": 304}


def make(kind):
    if kind == "stream":
        return Response(slowly())
    if kind == "gone":
        return Response(CHUNK for _ in range(512))
    if kind == "open":
        return Response(until_opened())
    if kind == "file":
        return send_file(__file__)
    return Response(b"x" * 1000 if kind in ("body", "head", "kept") else b"", STATUS.get(kind, 200))


def slowly():
    """Take longer than the moment that lies between a close and the work."""
    for chunk in (b"one", b"two", b"three"):
        time.sleep(0.03)
        yield chunk


def until_opened():
    yield b"first"
    while not Path(os.environ["RECORD"]).with_name("open-stream").exists():
        time.sleep(0.01)
    yield b"last"


def generate(kind, label):
    if kind == "raises":
        raise RuntimeError("the body's own")
    yield from make(kind).response
    hold(label)


app = create_app()
'''

SERVE_UWSGI = "import sys, pyuwsgi; pyuwsgi.run(sys.argv[1:])"
RUN = "import sys; from shop import app; app.run(port=int(sys.argv[1]), debug='debug' in sys.argv, use_reloader=False)"
GUNICORN = ("-m", "gunicorn", "-w", "1", "-b", "127.0.0.1:PORT", "shop:app")
SERVERS = {
    "gunicorn sync": (*GUNICORN, "-k", "sync"),
    "gunicorn gthread": (*GUNICORN, "-k", "gthread", "--threads", "1"),
    "waitress": ("-m", "waitress", "--listen=127.0.0.1:PORT", "--threads=1", "shop:app"),
    "uWSGI": ("-c", SERVE_UWSGI, "--http-socket", "127.0.0.1:PORT", "--module", "shop:app", "--enable-threads"),
    "Werkzeug": ("-c", RUN, "PORT"),
    "Werkzeug, debugger": ("-c", RUN, "PORT", "debug"),
}
"""Each server with one process, and one thread for requests where it has a fixed number: who holds it up is seen."""


def make_shop(folder: Path, url: str, **settings: str) -> Site:
    """Write the app's files beside those of any site."""
    (folder / "shop.py").write_text(SHOP)
    return make_site(folder, url, **settings)
