"""A small app as a user would write it: it mails, reminds, retries, fails and ticks."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from flask import Flask, current_app, g

from scheduler_app import Scheduler, current_job, schedule_after, schedule_now, task, using

scheduler = Scheduler()


@dataclass
class Seen:
    """What the jobs saw and did."""

    mails: list[tuple[str, str]] = field(default_factory=list)
    times: list[datetime] = field(default_factory=list)
    """What `datetime.now` showed in `note_time`."""
    runs: list[datetime] = field(default_factory=list)
    """When `note_time` and `tidy` were due."""
    apps: list[Flask] = field(default_factory=list)
    attempts: list[int] = field(default_factory=list)


seen = Seen()


def send_mail(address: str, subject: str = "Welcome") -> None:
    seen.mails.append((address, subject))


def remind(user_id: int) -> None:
    seen.mails.append((f"user {user_id}", "Reminder"))


def note_time() -> None:
    seen.times.append(datetime.now(UTC))
    seen.runs.append(current_job.run_at)


def note_app() -> None:
    seen.apps.append(current_app._get_current_object())  # type: ignore[attr-defined]
    assert not hasattr(g, "of_the_test")


def fail(sentence: str = "no such box") -> None:
    raise ValueError(sentence)


def interrupt() -> None:
    raise KeyboardInterrupt


def flaky(good_attempt: int) -> str:
    seen.attempts.append(current_job.attempt)
    if current_job.attempt < good_attempt:
        raise ConnectionError("the mail server is away")
    return "sent"


def again() -> None:
    schedule_now(again)


def later() -> None:
    seen.runs.append(current_job.run_at)
    if len(seen.runs) < 3:
        schedule_after(3600, later)


def for_ever() -> None:
    schedule_after(3600, for_ever)


def fan_out(count: int) -> None:
    for number in range(count):
        schedule_now(send_mail, str(number))


def send_tick() -> None:
    seen.mails.append(("tick", ""))


def run_the_clock() -> None:
    current_app.config["CLOCK"].run_due()


def take_long() -> None:
    time.sleep(0.1)


def cancel_by_key(key: str) -> None:
    scheduler.client.cancel(key=key)


def cancel_itself() -> None:
    scheduler.client.cancel(current_job.id)
    seen.attempts.append(int(current_job.cancelled))
    current_job.raise_if_cancelled()


@task(name="mail.greeting", queue="mail")
def welcome(user_id: int, token: str = "t") -> None:
    seen.mails.append((f"user {user_id}", token))


def tidy() -> None:
    seen.runs.append(current_job.run_at)


def create_app(of: Scheduler | None = None, **config: Any) -> Flask:
    """Make the app; `of` is another scheduler, which has no schedules."""
    app = Flask("shop")
    app.config |= {"TESTING": True} | config
    (of or scheduler).init_app(app)

    @app.post("/signup/<address>")
    def signup(address: str) -> str:
        schedule_after(30, send_mail, address)
        using(key=f"remind:{address}").schedule_after(timedelta(days=1), remind, 1)
        return "ok"

    @app.post("/break")
    def break_it() -> str:
        return schedule_now(fail).id

    return app
