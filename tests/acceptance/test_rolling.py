"""A rolling deploy with real processes: two versions of one app's module on one database, then the fix."""

from __future__ import annotations

import signal
from collections import Counter
from contextlib import ExitStack
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.pool import NullPool

from scheduler_app.store import Store
from tests.acceptance.processes import Process, environment, running, until

APP = """
import os, sys
from flask import Flask
from scheduler_app import Scheduler
import shop

def create_app():
    app = Flask("shop")
    app.config.from_prefixed_env()
    app.config["SCHEDULER_TASK_MODULES"] = ["shop"]
    Scheduler(app)
    return app

def schedule():
    app = create_app()
    with app.app_context():
        scheduler = app.extensions["scheduler"].client
        scheduler.schedule_many([(0, fn, args) for fn, args in shop.CALLS for _ in range(TIMES)])

TIMES = 5
if __name__ == "__main__":
    schedule()
"""
COMMON = """
import os
from scheduler_app import task

def note(*said):
    with open(os.environ["RECORD"], "a") as record:
        record.write(" ".join(map(str, (VERSION, *said))) + "\\n")
"""
OLD = f"""{COMMON}
VERSION = "old"

@task(name="mail.hello")
def hello(n):
    note("hello", n)

@task(name="shop.removed")
def removed(n):
    note("removed", n)

def price(n):
    note("price", n)

CALLS = [(hello, (1,)), (removed, (2,)), (price, (3,))]
"""
NEW = f"""{COMMON}
VERSION = "new"

@task(name="mail.welcome", aliases=("mail.hello",))
def hello(n):
    note("hello", n)

def refund(n):
    note("refund", n)

def price(n, currency):
    note("price", n, currency)

CALLS = [(hello, (4,)), (refund, (5,)), (price, (6, "NOK"))]
"""
FIXED = (
    NEW.replace('VERSION = "new"', 'VERSION = "fixed"').replace("currency):", 'currency="NOK"):')
    + OLD[OLD.index('@task(name="shop.removed")') : OLD.index("def price")]
)
VERSIONS = {"old": OLD, "new": NEW, "fixed": FIXED}
SETTINGS = {
    "SECRET_KEY": "the secret of a rolling deploy",
    "SCHEDULER_POLL_SECONDS": "0.1",
    "SCHEDULER_HEARTBEAT_SECONDS": "0.3",
    "SCHEDULER_LEASE_SECONDS": "3",
    "SCHEDULER_UNSERVED_SECONDS": "4",
}


class Deploy:
    """The folders of the versions, and the database that their processes share."""

    def __init__(self, folder: Path, url: str) -> None:
        self.folder, self.url, self.record = folder, url, folder / "record"
        for version, module in VERSIONS.items():
            (folder / version).mkdir()
            (folder / version / "app.py").write_text(APP)
            (folder / version / "shop.py").write_text(module)
        store = Store(url, auto_upgrade=True)
        store.ensure_ready()
        store.close()

    def run(self, stack: ExitStack, version: str, *command: str) -> Process:
        settings = {f"FLASK_{name}": value for name, value in (SETTINGS | {"SCHEDULER_DATABASE_URL": self.url}).items()}
        env = environment(self.folder / version, RECORD=str(self.record), **settings)
        return stack.enter_context(running(*command, folder=self.folder / version, env=env, name=version))

    def work(self, stack: ExitStack, version: str) -> Process:
        return self.run(stack, version, "-m", "flask", "--app", "app", "scheduler", "run")

    def schedule(self, stack: ExitStack, version: str) -> None:
        process = self.run(stack, version, "app.py")
        assert process.wait() == 0, process.said()

    def states(self) -> Counter[str]:
        engine = sa.create_engine(self.url, poolclass=NullPool)
        with engine.begin() as connection:
            return Counter(connection.execute(sa.text("SELECT state FROM scheduler_jobs")).scalars())

    def ran(self) -> Counter[str]:
        return Counter(self.record.read_text().splitlines() if self.record.exists() else [])


def test_what_one_version_does_not_know_the_other_runs_and_the_rest_waits_for_the_fix(
    tmp_path: Path, sqlite_url: str
) -> None:
    deploy = Deploy(tmp_path, sqlite_url)
    with ExitStack() as stack:
        old, new = deploy.work(stack, "old"), deploy.work(stack, "new")
        for version in ("old", "new"):
            deploy.schedule(stack, version)
        until(lambda: deploy.states() == {"succeeded": 30}, f"all succeed, not {deploy.states()}")
        ran = deploy.ran()
        assert ran["old removed 2"] == ran["old price 3"] == 5
        assert ran["new hello 4"] == ran["new refund 5"] == ran["new price 6 NOK"] == 5
        assert ran["old hello 1"] + ran["new hello 1"] == 5
        assert "quarantined" not in old.said() + new.said()

        old.send(signal.SIGTERM)
        assert old.wait() == 0
        deploy.schedule(stack, "old")
        until(lambda: deploy.states() == {"succeeded": 35, "quarantined": 10}, "what nobody can run is put aside")
        assert deploy.ran()["new hello 1"] >= 5
        assert "no live worker knows its task: shop.removed" in new.said()
        assert "no live worker takes its arguments: missing a required argument: 'currency'" in new.said()

        deploy.work(stack, "fixed")
        until(lambda: deploy.states() == {"succeeded": 45}, "what was put aside runs after the fix")
        ran = deploy.ran()
        assert ran["fixed removed 2"] == ran["fixed price 3 NOK"] == 5
