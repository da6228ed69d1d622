"""Several apps in one process: each runs its own jobs, in its own context."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from tests.acceptance.processes import Process, until
from tests.acceptance.sites import GUNICORN, Site, make_site

APPS = """
import json, os
import work
from flask import Flask, current_app
from scheduler_app import Scheduler, schedule_now
from werkzeug.middleware.dispatcher import DispatcherMiddleware

shared = Scheduler()


def tell(label):
    work.write_down("ran", f"{label} in {current_app.name}")


def create_app(name, scheduler, url, key):
    app = Flask(name)
    app.config.update(SECRET_KEY=key, SCHEDULER_DATABASE_URL=url)
    scheduler.init_app(app)

    @app.post("/schedule")
    def schedule():
        schedule_now(tell, f"{name} by the function")
        scheduler.schedule_now(tell, f"{name} by its own")
        return name

    return app


def create_apps():
    schedulers = {"one": shared, "two": shared, "three": Scheduler()}
    apps = {f"/{name}": create_app(name, schedulers[name], *given) for name, given in json.loads(os.environ["APPS"])}
    return DispatcherMiddleware(Flask("nothing"), apps)
"""
SERVERS = {
    "waitress": ("-m", "waitress", "--listen=127.0.0.1:PORT", "--call", "apps:create_apps"),
    "gunicorn": (*GUNICORN[:-1], "apps:create_apps()", "-k", "gthread", "--preload"),
}
HOWS = ("by the function", "by its own")


def schedule(site: Site, process: Process, names: list[str]) -> None:
    process.wait_until_it_answers()
    for name in names:
        assert process.post(f"/{name}/schedule").text == name


def serve(
    site: Site, monkeypatch: pytest.MonkeyPatch, apps: dict[str, tuple[str, str]], server: str
) -> tuple[str, ...]:
    """Have the site's processes make these apps, each with a database and a key; return the command that does."""
    (site.folder / "apps.py").write_text(APPS)
    monkeypatch.setenv("APPS", json.dumps(list(apps.items())))
    return SERVERS[server]


def pids_of(site: Site) -> set[int]:
    return {row.pid for row in site.rows("SELECT pid FROM scheduler_workers")}


@pytest.mark.parametrize("server", list(SERVERS))
def test_apps_with_a_store_each_run_what_is_in_it(
    server: str, tmp_path: Path, sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = make_site(tmp_path, sqlite_url)
    urls = {name: f"sqlite:///{tmp_path}/{name}.sqlite3" for name in ("one", "two", "three")}
    command = serve(site, monkeypatch, {name: (url, f"the key of {name}") for name, url in urls.items()}, server)
    with site.run(*command) as process:
        schedule(site, process, list(urls))
        wanted = [f"{name} {how} in {name}" for name in urls for how in HOWS]
        site.wait_for("ran", *wanted)
        serving = {process.pid} if server == "waitress" else process.children()
        for name, url in urls.items():
            own = Site(tmp_path, url)
            own.wait_for_jobs({("succeeded", 0, 0): 2})
            until(lambda own=own: pids_of(own) == serving, f"{serving} as workers")
            payloads = [row.payload for row in own.rows("SELECT payload FROM scheduler_jobs")]
            assert all(f"{name} by" in payload for payload in payloads)
    assert site.labels("ran") == Counter(wanted)


def test_apps_with_one_store_and_a_key_each_run_what_they_have_signed(
    tmp_path: Path, store_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = make_site(tmp_path, store_url)
    names = ["one", "two"]
    command = serve(site, monkeypatch, {name: (store_url, f"the key of {name}") for name in names}, "waitress")
    with site.run(*command) as process:
        for _ in range(10):
            schedule(site, process, names)
        site.wait_for_jobs({("succeeded", 0, 0): 40})
        assert site.workers() == 2
    assert site.labels("ran") == Counter({f"{name} {how} in {name}": 10 for name in names for how in HOWS})


def test_apps_with_one_store_and_one_key_share_the_work_and_each_job_runs_once(
    tmp_path: Path, store_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = make_site(tmp_path, store_url)
    names = ["one", "two"]
    command = serve(site, monkeypatch, dict.fromkeys(names, (store_url, "the key of both")), "waitress")
    with site.run(*command) as process:
        for _ in range(10):
            schedule(site, process, names)
        site.wait_for_jobs({("succeeded", 0, 0): 40})
        assert site.workers() == 2
    ran = Counter(line.label.rpartition(" in ")[0] for line in site.lines("ran"))
    assert ran == Counter({f"{name} {how}": 10 for name in names for how in HOWS})
