"""A process that ends right after it scheduled something has told the others of it all the same."""

from __future__ import annotations

import subprocess
import sys

import psycopg

from scheduler_app.store.postgresql import CHANNEL

BURST = """
import sys
from flask import Flask
from scheduler_app import Scheduler, schedule_now
from scheduler_app.extension import nudge
from tests.conformance.test_nudge import arrive

nudge.APART_SECONDS = 60.0  # so that the second one's notification is put off beyond the end of this process
app = Flask("tests")
app.config |= {
    "SECRET_KEY": "the secret of the conformance tests",
    "SCHEDULER_DATABASE_URL": sys.argv[1],
    "SCHEDULER_ROLE": sys.argv[2],
    "SCHEDULER_TASK_MODULES": ["tests"],
}
Scheduler(app)
with app.app_context():
    schedule_now(arrive)
    schedule_now(arrive)
"""


def arrive() -> None:
    """What is scheduled, and not run."""


def test_the_last_notification_is_sent_before_the_end(migrated_postgresql: str) -> None:
    with psycopg.connect(migrated_postgresql.replace("+psycopg", ""), autocommit=True) as listener:
        listener.execute(f"LISTEN {CHANNEL}".encode())
        for role in ("client", "auto"):
            subprocess.run([sys.executable, "-c", BURST, migrated_postgresql, role], check=True, timeout=60)
            assert len(list(listener.notifies(timeout=1))) == 2, role
