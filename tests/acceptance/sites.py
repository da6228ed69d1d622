"""A small site under test: an app in a folder, what its jobs wrote down, and its database as an outsider sees it."""

from __future__ import annotations

import importlib
import json
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from flask import Flask
from sqlalchemy.pool import NullPool

from scheduler_app import Scheduler
from scheduler_app.store import Store
from tests.acceptance.processes import Process, environment, running, until

SECRET = "a secret of the tests"

WORK = '''
import json, os, signal, sys, threading, time
from pathlib import Path
from scheduler_app import current_job

WINDOW_SECONDS = 1.5
"""How long a process that must not start is given to start: 30 looks of the watch, and more than the grace."""


def write_down(what, label):
    """Append one line, in one write that reaches the file whole."""
    job = (current_job.id, current_job.attempt) if current_job else (None, None)
    line = {"what": what, "label": label, "pid": os.getpid(), "job": job[0], "attempt": job[1]}
    file = os.open(os.environ["RECORD"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.write(file, json.dumps(line).encode() + b"\\n")
    os.close(file)


def mark(label):
    write_down("ran", label)


def work_briefly(label):
    time.sleep(0.05)
    write_down("ran", label)


def hold(label):
    """Run until a file of this name lies beside the record; tell, too, when this process begins to end."""
    write_down("began", label)
    gate = Path(os.environ["RECORD"]).with_name(f"open-{label}")
    told = False
    while not gate.exists():
        if not told and is_ending():
            told = True
            write_down("ending", label)
        time.sleep(0.02)
    write_down("ended", label)


def is_ending():
    """Whether the main thread is past its end, or a dedicated worker has taken its first signal."""
    has_own_signals = "uwsgi" in sys.modules
    told = not has_own_signals and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    return not threading.main_thread().is_alive() or told


def observe(label):
    """Live on for a while, as a process that must not start."""
    time.sleep(WINDOW_SECONDS)
    write_down("observed", label)
'''

SERVICE = """
import multiprocessing
import os
from flask import Flask, request
from scheduler_app import Scheduler, schedule_after, schedule_now
import work

scheduler = Scheduler()


def be_new_process():
    with create_app().app_context():
        schedule_now(work.mark, "by a child")
    work.observe("child")


def create_app():
    app = Flask("service")
    app.config.from_prefixed_env()
    scheduler.init_app(app)

    @app.get("/pid")
    def pid():
        return str(os.getpid())

    @app.post("/schedule")
    def schedule():
        after, function = float(request.args["after"]), getattr(work, request.args["function"])
        job = schedule_after(after, function, request.args["label"])
        return {"id": job.id, "pid": os.getpid()}

    @app.get("/plan")
    def plan():
        return schedule()

    @app.post("/fork")
    def fork():
        child = os.fork()
        if child == 0:
            try:
                be_child()
            finally:
                os._exit(0)
        os.waitpid(child, 0)
        return str(child)

    @app.post("/multiprocessing")
    def start_process():
        method = request.args["way"]
        target = be_child if method == "fork" else be_new_process  # of which only a function of a module is known there
        child = multiprocessing.get_context(method).Process(target=target)
        child.start()
        child.join()
        return str(child.pid)

    def be_child():
        with app.app_context():
            schedule_now(work.mark, "by a child")
        work.observe("child")

    @app.cli.command("observe")
    def observe():
        work.observe("command")

    return app
"""

RUN = """
import sys
from service import create_app

app = create_app()

if __name__ == "__main__":
    port, *options = sys.argv[1:]
    app.run(port=int(port), debug="debug" in options, **({"use_reloader": False} if "no-reload" in options else {}))
"""

SERVE = """
import sys
import waitress
from service import create_app

waitress.serve(create_app(), listen=sys.argv[1])
"""

WITHOUT_THREADS = """
import uwsgi
uwsgi.has_threads = 0  # as it says itself up to 2.0.26, unless told otherwise; later ones cannot be without threads
from service import create_app
"""

FILES = {
    "work.py": WORK,
    "service.py": SERVICE,
    "run.py": RUN,
    "serve.py": SERVE,
    "without_threads.py": WITHOUT_THREADS,
}

_PACKAGES = [path for path in sys.path if path.endswith("site-packages")]
# uWSGI reloads by starting the interpreter anew, which then knows nothing of this environment.
SERVE_UWSGI = f"import sys; sys.path += {_PACKAGES}; import pyuwsgi; pyuwsgi.run(sys.argv[1:])"

_UWSGI = ("-c", SERVE_UWSGI, "--http-socket", "127.0.0.1:PORT", "--die-on-term")
UWSGI = (*_UWSGI, "--module", "service:create_app()", "--enable-threads")
FLASK = ("-m", "flask", "--app", "service")
WORKERS = 2
"""How many processes a server that has several is given."""


def _gunicorn(workers: int) -> tuple[str, ...]:
    return ("-m", "gunicorn", "-w", str(workers), "-b", "127.0.0.1:PORT", "service:create_app()")


GUNICORN = _gunicorn(WORKERS)


def _servers(workers: int) -> dict[str, tuple[str, ...]]:
    gunicorn = _gunicorn(workers)
    master = ("--master", "--processes", str(workers))
    return {
        "gunicorn sync": (*gunicorn, "-k", "sync"),
        "gunicorn sync preload": (*gunicorn, "-k", "sync", "--preload"),
        "gunicorn gthread": (*gunicorn, "-k", "gthread", "--threads", "4"),
        "gunicorn gthread preload": (*gunicorn, "-k", "gthread", "--threads", "4", "--preload"),
        "gunicorn gevent": (*gunicorn, "-k", "gevent"),
        "gunicorn gevent preload": (*gunicorn, "-k", "gevent", "--preload"),
        "uWSGI": (*UWSGI, "--threads", "2"),
        "uWSGI without threads": (*_UWSGI, "--module", "without_threads:create_app()", *master),
        "uWSGI master": (*UWSGI, *master),
        "uWSGI master lazy-apps": (*UWSGI, *master, "--lazy-apps"),
        "waitress-serve": ("-m", "waitress", "--listen=127.0.0.1:PORT", "--call", "service:create_app"),
        "waitress.serve": ("serve.py", "127.0.0.1:PORT"),
        "flask run": (*FLASK, "run", "--port", "PORT"),
        "flask run --debug": (*FLASK, "run", "--debug", "--port", "PORT"),
        "flask run --reload": (*FLASK, "run", "--reload", "--port", "PORT"),
        "flask run --debug --no-reload": (*FLASK, "run", "--debug", "--no-reload", "--port", "PORT"),
        "app.run": ("run.py", "PORT"),
        "app.run debug": ("run.py", "PORT", "debug"),
        "app.run debug without reloader": ("run.py", "PORT", "debug", "no-reload"),
    }


SERVERS = _servers(WORKERS)
"""Each server that must be right with no hooks, as arguments of `python`."""
ALONE = _servers(1)
"""The same with one process that serves, so that its slots are all there are."""


@dataclass(frozen=True)
class Line:
    """What a job wrote down."""

    what: str
    label: str
    pid: int
    job: str | None
    attempt: int | None


@dataclass
class Site:
    """One app in a folder of its own, with a database that is ready."""

    folder: Path
    url: str
    settings: dict[str, str] = field(default_factory=dict)

    @property
    def env(self) -> dict[str, str]:
        """The environment of its processes: settings as `from_prefixed_env` reads them."""
        settings = {"SECRET_KEY": SECRET, "SCHEDULER_DATABASE_URL": self.url} | self.settings
        extra = {f"FLASK_{name}": value for name, value in settings.items()}
        return environment(self.folder, RECORD=str(self.folder / "record"), **extra)

    @contextmanager
    def run(self, *command: str, stdin: str = "", name: str = "process") -> Iterator[Process]:
        """Run ``python COMMAND`` as one of the site's processes."""
        with running(*command, folder=self.folder, env=self.env, stdin=stdin, name=name) as process:
            yield process

    @contextmanager
    def serve(self, server: str) -> Iterator[Process]:
        """Run one of `SERVERS`; it answers requests when the block begins."""
        with self.run(*SERVERS[server]) as process:
            process.wait_until_it_answers()
            yield process

    # -- what the jobs wrote down --------------------------------------------------------------------

    def lines(self, what: str | None = None) -> list[Line]:
        """Return what was written down so far, all or of one kind."""
        record = self.folder / "record"
        text = record.read_text() if record.exists() else ""
        whole, _, _begun = text.rpartition("\n")  # what is being written now may be half there
        lines = [Line(**json.loads(line)) for line in whole.splitlines()]
        return [line for line in lines if what in (None, line.what)]

    def labels(self, what: str) -> Counter[str]:
        """Return how often each label was written down."""
        return Counter(line.label for line in self.lines(what))

    def wait_for(self, what: str, *labels: str) -> list[Line]:
        """Wait until each label was written down at least once; return the lines of that kind."""
        until(lambda: set(labels) <= self.labels(what).keys(), f"{what}: {labels}")
        return self.lines(what)

    def open(self, *labels: str) -> None:
        """Let the jobs that hold under these labels go on."""
        for label in labels:
            (self.folder / f"open-{label}").touch()

    # -- its database ----------------------------------------------------------------------------------

    @cached_property
    def _engine(self) -> sa.Engine:
        return sa.create_engine(self.url, poolclass=NullPool)

    def rows(self, statement: str, **values: object) -> list[Any]:
        """Run one statement from outside and return its rows."""
        with self._engine.begin() as connection:
            found = connection.execute(sa.text(statement), values)
            return list(found) if found.returns_rows else []

    def pids_that_registered(self) -> set[int]:
        """Return the pid of every process that ever was a worker here: only such ones claim."""
        return {row.pid for row in self.rows("SELECT pid FROM seen_workers")}

    def workers(self) -> int:
        """Return how many workers have a row now."""
        count: int = self.rows("SELECT count(*) FROM scheduler_workers")[0][0]
        return count

    def jobs(self) -> Counter[tuple[str, int, int]]:
        """Return how many jobs there are of each (state, attempts that failed, crashes)."""
        rows = self.rows("SELECT state, attempt, crashes, worker_id FROM scheduler_jobs")
        assert all(row.worker_id is None for row in rows if row.state == "scheduled")
        return Counter((row.state, row.attempt, row.crashes) for row in rows)

    def wait_for_jobs(self, wanted: dict[tuple[str, int, int], int]) -> None:
        """Wait until the jobs are these."""
        until(lambda: self.jobs() == Counter(wanted), f"jobs {wanted}, not {self.jobs()}")

    def schedule_here(self, labels: Sequence[str], function: str = "mark") -> None:
        """Store a job per label, due now, from this process: a test, which is no worker."""
        sys.path.insert(0, str(self.folder))
        try:
            app = Flask("service")
            app.config.update(SECRET_KEY=SECRET, SCHEDULER_DATABASE_URL=self.url)
            scheduler = Scheduler(app)
            with app.app_context():
                work = importlib.import_module("work")
                scheduler.schedule_many([(0, getattr(work, function), (label,)) for label in labels])
            app.extensions["scheduler"].store.close()
        finally:
            sys.path.remove(str(self.folder))
            sys.modules.pop("work", None)


def make_site(folder: Path, url: str, **settings: str) -> Site:
    """Write the site's files, make its tables, and have the database itself note each worker that registers."""
    for name, text in FILES.items():
        (folder / name).write_text(text)
    store = Store(url, auto_upgrade=True)
    store.ensure_ready()
    store.close()
    site = Site(folder, url, settings)
    for statement in _NOTING[sa.make_url(url).get_backend_name()]:
        site.rows(statement)
    return site


_OF_MYSQL = [
    "CREATE TABLE seen_workers (pid INTEGER)",
    "CREATE TRIGGER note_worker AFTER INSERT ON scheduler_workers FOR EACH ROW"
    " INSERT INTO seen_workers VALUES (NEW.pid)",
]
_NOTING = {
    "mysql": _OF_MYSQL,
    "mariadb": _OF_MYSQL,
    "sqlite": [
        "CREATE TABLE seen_workers (pid INTEGER)",
        "CREATE TRIGGER note_worker AFTER INSERT ON scheduler_workers"
        " BEGIN INSERT INTO seen_workers VALUES (NEW.pid); END",
    ],
    "postgresql": [
        "CREATE TABLE seen_workers (pid INTEGER)",
        "CREATE FUNCTION note_worker() RETURNS trigger LANGUAGE plpgsql AS"
        " 'BEGIN INSERT INTO seen_workers VALUES (NEW.pid); RETURN NEW; END'",
        "CREATE TRIGGER note_worker AFTER INSERT ON scheduler_workers FOR EACH ROW EXECUTE FUNCTION note_worker()",
    ],
}
