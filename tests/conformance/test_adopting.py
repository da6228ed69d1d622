"""Adopting the table of a stock APScheduler, on each database: what comes over, what is refused, and nothing twice."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, timedelta
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import create_engine, text

from scheduler_app import Scheduler
from scheduler_app.adoption import read_apart
from scheduler_app.client import Actor, Adopted, Client, Fate, audited
from scheduler_app.jobs import JobState
from scheduler_app.payload import decode_call
from scheduler_app.schedules import decode_trigger
from scheduler_app.store import foreign
from tests.old_jobs import (
    DUE,
    GOOD,
    HOUR,
    OSLO,
    REFUSED,
    SOON,
    TABLE,
    Colour,
    add_bad,
    add_good,
    let_be_due,
    raw_rows,
    stock,
)

EXECUTORS = {"default"}


@pytest.fixture
def client(migrated_url: str) -> Iterator[Client]:
    app = Flask("adopting")
    app.config |= {"SECRET_KEY": "0123456789abcdef", "SCHEDULER_DATABASE_URL": migrated_url, "SCHEDULER_ROLE": "client"}
    Scheduler(app)
    with app.app_context():
        client: Client = app.extensions["scheduler"].client
        yield client
        client.store.close()
    engine = create_engine(migrated_url)
    with engine.begin() as connection:
        connection.execute(text(f"DROP TABLE IF EXISTS {TABLE}"))
    engine.dispose()


def insert(url: str, rows: dict[str, bytes]) -> None:
    engine = create_engine(url)
    statement = text(f"INSERT INTO {TABLE} (id, next_run_time, job_state) VALUES (:id, :at, :state)")
    with engine.begin() as connection:
        connection.execute(
            statement, [{"id": job_id, "at": SOON.timestamp(), "state": state} for job_id, state in rows.items()]
        )
    engine.dispose()


def test_a_table_of_stock_apscheduler_is_adopted_once(client: Client, migrated_url: str, tmp_path: Path) -> None:
    evil = tmp_path / "evil"
    now = client.store.clock.now()
    with stock(migrated_url) as scheduler:
        add_good(scheduler)
        add_bad(scheduler)
        unnamed = scheduler.add_job("tests.old_jobs:note", "date", run_date=SOON).id
        times = {job.id: job.next_run_time for job in scheduler.get_jobs()} | dict.fromkeys(DUE, now - HOUR)
    let_be_due(migrated_url, DUE, now - HOUR)
    insert(migrated_url, raw_rows(str(evil)))

    rows = foreign.rows_beside(client.store, TABLE)
    read = [(row.id, row.next_run_time, row.job_state) for row in rows]
    found = read_apart(read, modules=None, max_payload_bytes=65_536)
    dry = client.adopt(found, EXECUTORS, dry_run=True)
    assert (client.schedules(), client.list(limit=200)) == ([], [])
    with audited(Actor("ann", "admin"), door="test"):
        adopted = client.adopt(found, EXECUTORS)
    assert dry == adopted
    fates = {one.id: one for one in adopted}
    assert sorted(one.id for one in adopted if one.fate is Fate.ADOPTED) == sorted([*GOOD, unnamed])
    assert {one.id for one in adopted if one.fate is Fate.REFUSED} == set(REFUSED)
    for name, said in REFUSED.items():
        assert said in " ".join(fates[name].remarks), fates[name].remarks
    assert not evil.exists()

    check_schedules(client, times)
    check_jobs(client, fates, now)
    assert [one.fate for one in client.adopt(found, EXECUTORS)] == [
        Fate.THERE if one.fate is Fate.ADOPTED else Fate.REFUSED for one in adopted
    ]
    assert len(client.schedules()) + len(client.list(limit=200)) == len(GOOD) + 1
    assert foreign.rows_beside(client.store, TABLE) == rows

    client.remove_schedule("cron")
    client.cancel(key="date")
    assert client.prune(0, [JobState.CANCELLED]) == 1
    gone = {one.id: one for one in client.adopt(found, EXECUTORS)}
    assert [gone[name].fate for name in ("cron", "date")] == [Fate.THERE] * 2
    assert all("and is gone since. --again adopts it anew." in gone[name].remarks[0] for name in ("cron", "date"))
    anew = client.adopt(found, EXECUTORS, again=True)
    assert {one.id for one in anew if one.fate is Fate.ADOPTED} == {"cron", "date"}


def check_schedules(client: Client, times: dict[str, Any]) -> None:
    """Look at the schedules that were made."""
    schedules = {one.name: one for one in client.schedules()}
    assert set(schedules) == {"and", "calendar", "cron", "due", "interval", "paused"}
    for name, one in schedules.items():
        expected = times[name]
        assert one.next_run_time == expected or abs(one.next_run_time - expected) < timedelta(seconds=0.001), name
    cron, interval = schedules["cron"], schedules["interval"]
    assert str(decode_trigger(cron.trigger)) == "cron[day_of_week='1-5', hour='4', minute='5']"
    assert json.loads(schedules["and"].trigger)["jitter"] == 9
    assert [part["kind"] for part in json.loads(schedules["and"].trigger)["of"]] == ["cron", "or"]
    call = decode_call(cron.payload, allowed=lambda _module: True)
    assert (cron.title, call.args[:2]) == ("Each night", (Colour.RED, {1, 2}))
    assert (interval.misfire_grace_time, interval.coalesce, interval.max_instances) == (30, False, 3)
    assert schedules["paused"].next_run_time is None
    client.resume_schedule("paused")
    assert client.preview("cron", 1)


def check_jobs(client: Client, fates: dict[str, Adopted], now: Any) -> None:
    """Look at the jobs that were made."""
    once = client.get(key="date")
    assert (once.id, once.run_at, once.max_lateness) == (fates["date"].job_id, SOON.astimezone(UTC), 60)
    assert once.run_at.astimezone(OSLO).microsecond == 250_000
    assert client.get(key="path").task == "tests.old_jobs:mailer.send"
    assert (client.get(key="paused date").state, client.get(key="paused date").run_at) == (JobState.PAUSED, once.run_at)
    late, missed = client.get(key="late"), client.get(key="missed")
    assert abs(late.run_at - (now - HOUR)) < timedelta(seconds=1)
    assert (late.max_lateness, missed.max_lateness) == (None, 1)
    assert "will run at once" in fates["late"].remarks[0]
    assert "longer ago than its misfire_grace_time of 1 s, so it will be missed" in fates["missed"].remarks[0]
    assert client.get(key="d\u00e9j\u00e0 42").queue == "default"
    assert "Its executor 'cpu' is none of this app's" in fates["d\u00e9j\u00e0 42"].remarks[0]
