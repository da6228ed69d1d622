"""In a process that an executor made: no loop, whatever the app's settings and code ask for."""

from __future__ import annotations

import signal
import threading
from pathlib import Path

import pytest
from flask import Flask
from flask_apscheduler import APScheduler

from scheduler_app import Scheduler
from scheduler_app.extension.parts import Parts
from scheduler_app.serving import handed


def test_nothing_starts_there_and_no_signal_is_handled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handed._Process, "is_handed_jobs", True)
    threads, handler = threading.active_count(), signal.getsignal(signal.SIGTERM)
    app = Flask("shop", instance_path=str(tmp_path))
    app.config |= {"SECRET_KEY": "secret", "SCHEDULER_ROLE": "embedded"}
    scheduler = Scheduler(app)
    with app.app_context():
        scheduler.start()
        scheduler.aps.start()
        APScheduler(scheduler=scheduler.aps, app=app).start()
    parts: Parts = app.extensions["scheduler"]
    assert not parts.running
    assert (threading.active_count(), signal.getsignal(signal.SIGTERM)) == (threads, handler)
    assert list(tmp_path.glob("*.sqlite3")) == []
