"""A worker of another system, Celery's, that imports the app: it may schedule, and claims nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.acceptance.processes import until
from tests.acceptance.sites import make_site

OVERDUE = ["overdue 1", "overdue 2"]
OF_A_LOOP = {"APScheduler", "scheduler-heartbeat", "scheduler-wakeups", "scheduler-pruner", "scheduler-events"}

WORKER = """
import threading
from pathlib import Path
from celery import Celery
from service import create_app, scheduler
import work

folder = str(Path(__file__).with_name("broker"))
Path(folder).mkdir(exist_ok=True)
site = create_app()
celery = Celery("celery_app", broker="filesystem://", broker_connection_retry_on_startup=True)
celery.conf.broker_transport_options = {
    "data_folder_in": folder, "data_folder_out": folder, "control_folder": f"{folder}-control", "polling_interval": 0.1,
}


@celery.task
def plan(label):
    with site.app_context():
        scheduler.schedule_now(work.mark, label)
    work.observe(label)
    for thread in threading.enumerate():
        work.write_down("thread", thread.name)
"""
SENDER = """
import sys
from celery_app import plan
for label in sys.argv[1:]:
    plan.delay(label)
"""


@pytest.mark.parametrize("pool", ["prefork", "threads", "solo"])
def test_a_celery_worker_that_imports_the_app_schedules_but_claims_nothing(
    pool: str, tmp_path: Path, sqlite_url: str
) -> None:
    site = make_site(tmp_path, sqlite_url)
    site.schedule_here(OVERDUE)
    (tmp_path / "celery_app.py").write_text(WORKER)
    (tmp_path / "send.py").write_text(SENDER)
    labels = ["by celery 1", "by celery 2"]
    command = ("-m", "celery", "-A", "celery_app", "worker", "--pool", pool, "-c", "2", "-l", "warning")
    with site.run(*command, name="celery") as worker, site.run("send.py", *labels, name="sender") as sender:
        assert sender.wait() == 0, sender.said()
        until(lambda: site.labels("observed").keys() == set(labels), f"both tasks' ends\n{worker.said()}")
        processes = {worker.pid} if pool in ("threads", "solo") else worker.children()
        assert {line.pid for line in site.lines("observed")} <= processes
        assert site.labels("thread").keys().isdisjoint(OF_A_LOOP)
        assert site.lines("ran") == []
        assert site.pids_that_registered() == set()
        site.wait_for_jobs({("scheduled", 0, 0): len(OVERDUE + labels)})
