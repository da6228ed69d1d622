"""The examples of the guide's pages do what the page says: each page is run as one module of an app."""

from __future__ import annotations

import re
import shlex
import sys
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from types import ModuleType
from zoneinfo import ZoneInfo

import pytest
from flask import Flask, current_app
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from scheduler_app import JobHandle, Scheduler, schedule_now, using
from scheduler_app.client import Shown
from scheduler_app.errors import JobNotFoundError
from scheduler_app.jobs import JobState, Outcome
from scheduler_app.progress import decode_progress
from scheduler_app.schedules import cron_trigger, preview
from scheduler_app.tasks.registry import DECLARED
from tests.unit.test_docs import DOCS, code, load


@pytest.fixture
def page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], ModuleType]]:
    """Load a page's code as a module; the tasks that it declares are forgotten afterwards."""
    declared = dict(DECLARED)
    DECLARED.clear()
    names: list[str] = []
    monkeypatch.syspath_prepend(str(tmp_path))

    def make(name: str) -> ModuleType:
        names.append(f"guide_{name}")
        (tmp_path / f"{names[-1]}.py").write_text("\n\n".join(code(DOCS / "guide" / f"{name}.md")))
        return load(names[-1], tmp_path / f"{names[-1]}.py")

    yield make
    for name in names:
        del sys.modules[name]
    DECLARED.clear()
    DECLARED.update(declared)


@pytest.fixture
def scheduler(tmp_path: Path) -> Iterator[Scheduler]:
    """A running scheduler, in its app's context."""
    app = Flask("guide", instance_path=str(tmp_path / "instance"))
    app.config |= {"SCHEDULER_ROLE": "client", "SCHEDULER_POLL_SECONDS": 0.05, "SECRET_KEY": "the guide's secret"}
    made = Scheduler(app)
    with app.app_context():
        made.aps.start()
        yield made
        made.shutdown()
        app.extensions["scheduler"].store.close()


def settle(scheduler: Scheduler, but: str = "") -> None:
    """Wait until nothing is due or running, in no other queue than that."""
    deadline = datetime.now(UTC) + timedelta(seconds=20)
    while any(
        job.state is JobState.RUNNING or job.run_at <= datetime.now(UTC)
        for job in scheduler.client.list(states=[JobState.SCHEDULED, JobState.RUNNING])
        if job.queue != but
    ):
        assert datetime.now(UTC) < deadline
        threading.Event().wait(0.01)


def test_when_a_job_fails(
    page: Callable[[str], ModuleType], scheduler: Scheduler, capsys: pytest.CaptureFixture[str]
) -> None:
    guide = page("retries")
    guide.pay(1)
    guide.once_more()
    guide.checkout(2)
    settle(scheduler)
    assert sorted(capsys.readouterr().out.splitlines()) == ["Invoice 1", "Rates of NOK", "Rates of SEK"]
    [put_off] = scheduler.client.list(states=[JobState.SCHEDULED])
    assert put_off.task.endswith(":charge")
    assert put_off.attempt == 0
    assert timedelta(seconds=50) < put_off.run_at - datetime.now(UTC) <= timedelta(seconds=60)
    assert [job.max_attempts for job in reversed(scheduler.client.list())] == [5, 5, 2, 3]


def test_results_and_progress(page: Callable[[str], ModuleType], scheduler: Scheduler) -> None:
    guide = page("results")
    with current_app.test_request_context():
        assert guide.report().get_json() == {"pages": 3}
    [job] = scheduler.client.list()
    assert str(decode_progress(job.progress)) == "3 of 3: page 3"


def test_retention(page: Callable[[str], ModuleType]) -> None:
    guide = page("retention")
    parts = guide.app.extensions["scheduler"]
    assert parts.settings.retention == {"succeeded": 3600, "failed": 90 * 86_400, "cancelled": 0, "missed": None}
    with guide.app.app_context():
        job = guide.order_is_paid(7)
        guide.scheduler.aps.start()
        assert job.result(timeout=20) == {"file": "invoice-7.pdf"}
        assert guide.clear_up() == 0
        assert guide.scheduler.client.prune(0) == 1
        with pytest.raises(JobNotFoundError):
            job.refresh()
        guide.scheduler.aps.shutdown()
    parts.store.close()


def test_time_limits(
    page: Callable[[str], ModuleType], scheduler: Scheduler, capsys: pytest.CaptureFixture[str]
) -> None:
    guide = page("time-limits")
    guide.place(1)
    guide.flash_sale(2)
    assert [job.state for job in scheduler.client.list()] == [JobState.SCHEDULED] * 3
    over = guide.export.using(timeout=1e-9).schedule_now(3)
    done = guide.export.using(timeout=60).schedule_now(3)
    late = scheduler.using(max_lateness=1e-9).schedule_now(guide.announce, 3)
    settle(scheduler)
    assert (over.refresh().job.outcome, done.refresh().state, late.refresh().state) == (
        Outcome.TIMEOUT, JobState.SUCCEEDED, JobState.MISSED,
    )  # fmt: skip
    assert capsys.readouterr().out == ""


def test_processes(page: Callable[[str], ModuleType], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SCHEDULER_APP", "guide_processes:create_app")
    monkeypatch.setenv("FLASK_SCHEDULER_DATABASE_URL", f"sqlite:///{tmp_path / 'jobs.sqlite3'}")
    monkeypatch.setenv("FLASK_SECRET_KEY", "the guide's secret")
    app = page("processes").create_app()
    job_id = app.test_client().post("/orders/7/invoice").get_json()["job"]
    scheduler = app.extensions["scheduler"]
    scheduler.aps.start()
    with app.app_context():
        assert JobHandle(scheduler.client, scheduler.client.get(job_id)).result(20) == "invoice-7.pdf"
        assert decode_progress(scheduler.client.get(job_id).progress) is not None
    scheduler.aps.shutdown()
    scheduler.store.close()


def test_queues(page: Callable[[str], ModuleType], scheduler: Scheduler, capsys: pytest.CaptureFixture[str]) -> None:
    guide = page("queues")
    guide.relay_is_down(scheduler.client)
    guide.order(42)
    settle(scheduler, but="mail")
    assert capsys.readouterr().out == "Export of 2026\n"
    assert guide.crowded(scheduler.client) == [("mail", 1, 0)]
    guide.relay_is_back(scheduler.client)
    settle(scheduler)
    assert capsys.readouterr().out == "Mail 42\n"
    assert guide.crowded(scheduler.client) == []


def test_tasks(page: Callable[[str], ModuleType], scheduler: Scheduler, capsys: pytest.CaptureFixture[str]) -> None:
    guide = page("tasks")
    guide.sign_up(1)
    guide.reset(2)
    assert guide.a_mistake().startswith(
        "The task 'mail.welcome' cannot be called with these arguments: too many positional"
    )
    settle(scheduler)
    lines = ["Account 2", "Link for 2", "Welcome, 1 (en)", "Welcome, 1 (en)", "Welcome, 1 (no)"]
    assert sorted(capsys.readouterr().out.splitlines()) == lines
    shown = [scheduler.client.calls.registry.known(job.task) for job in scheduler.client.list()]
    assert None not in shown
    secret = {Shown(j.task, j.payload, scheduler.client.calls.registry).has_secrets for j in scheduler.client.list()}
    assert secret == {True, False}


def test_hooks_and_signals(
    page: Callable[[str], ModuleType], scheduler: Scheduler, capsys: pytest.CaptureFixture[str]
) -> None:
    guide = page("hooks-and-signals")
    jobs = [guide.pay(1), guide.pay(-1)]
    settle(scheduler)
    jobs[1].reschedule(after=0)
    settle(scheduler)
    scheduler.shutdown()
    failed = "guide_hooks-and-signals:charge failed for good: there is no order -1"
    assert sorted(capsys.readouterr().out.splitlines()) == ["Receipt R-1", failed]
    states = sorted(state for task, state in guide.started if task == "guide_hooks-and-signals:charge")
    assert states == ["failed", "scheduled", "succeeded"]


def test_leaving(
    page: Callable[[str], ModuleType],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    guide = page("leaving")
    guide.app.instance_path = str(tmp_path / "instance")
    assert {"signup", "order"} <= vars(guide).keys()
    scheduler = guide.app.extensions["scheduler"]
    called = 0
    for block in code(DOCS / "guide" / "leaving.md")[1:]:
        exec(block, vars(guide))
        view = guide.order if "def order" in block else guide.signup if "def signup" in block else None
        if view is not None:
            with guide.app.app_context():
                view()
            called += 1
    assert called == 4
    assert len(scheduler.client.list()) == 1 + 1 + 1 + 4
    scheduler.aps.start()
    deadline = datetime.now(UTC) + timedelta(seconds=20)
    while len(scheduler.client.list(states=[JobState.SUCCEEDED])) < 7:
        assert datetime.now(UTC) < deadline
        threading.Event().wait(0.01)
    scheduler.aps.shutdown()
    scheduler.store.close()
    assert (
        sorted(capsys.readouterr().out.splitlines())
        == ["Remember, 42"] + ["Welcome, 1", "Welcome, 2", "Welcome, 3"] + ["Welcome, 42"] * 3
    )


def test_schedules(page: Callable[[str], ModuleType], scheduler: Scheduler, capsys: pytest.CaptureFixture[str]) -> None:
    guide = page("schedules")
    parts = current_app.extensions["scheduler"]
    parts.recurring.reconcile(guide.scheduler._declarations)
    guide.open_shop("Bergen", datetime(2030, 1, 1, tzinfo=UTC))
    guide.every_day(datetime(2030, 1, 1, tzinfo=UTC))
    guide.open_the_office()
    mornings = [one.fire_time for one in scheduler.preview("some mornings", 20)]
    assert {(at.hour, at.minute, (at.date() - date(2026, 6, 1)).days % 2) for at in mornings} == {(9, 0, 0)}
    assert max(at.weekday() for at in mornings) == 4
    guide.look_ahead()
    marks = [line.split()[1] for line in capsys.readouterr().out.splitlines()]
    assert sorted(marks) == ["fold", "gap"]
    assert guide.look_after().id
    settle(scheduler)
    assert "Tidy" in capsys.readouterr().out.splitlines()
    names = ["in order", "month:Bergen", "nightly", "owner:Bergen", "remind:Bergen", "rollup", "guide_schedules:tidy"]
    names += ["often", "some mornings"]
    assert {one.name for one in scheduler.client.schedules()} == set(names)


def test_the_table_of_clock_changes_is_what_fires() -> None:
    text = (DOCS / "guide" / "schedules.md").read_text()
    rows = [[cell.strip(" `") for cell in line.split("|")[1:-1]] for line in text.splitlines() if line.count("|") == 5]
    rows = [row for row in rows if "/" in row[0]]
    assert len(rows) == 10
    for zone, line, day, expected in rows:
        start = datetime.fromisoformat(day).replace(tzinfo=ZoneInfo(zone))
        planned = preview(cron_trigger(line, ZoneInfo(zone)), None, start, 30)
        fires = [
            f"{one.fire_time:%H:%M}{one.fire_time.isoformat()[-6:]}" for one in planned if f"{one.fire_time:%F}" == day
        ]
        if expected == "each hour but 02:30":
            expected = ", ".join(f"{hour:02}:30+0{1 + (hour > 2)}:00" for hour in range(24) if hour != 2)
        assert ", ".join(fires) == expected, (zone, line, day)


def test_keys(page: Callable[[str], ModuleType], scheduler: Scheduler, capsys: pytest.CaptureFixture[str]) -> None:
    guide = page("keys")
    guide.scheduler = scheduler
    first = guide.place_order(42)
    assert guide.place_order(42).id == first.id
    guide.order_was_paid(42)
    assert first.refresh().state is JobState.CANCELLED
    for price in (9, 8, 7):
        guide.search_index_is_stale(1)
        guide.price_was_seen(1, price)
    scheduler.client.run_now(key="index:1")
    scheduler.client.run_now(key="price:1")
    settle(scheduler)
    assert sorted(capsys.readouterr().out.splitlines()) == ["Index product 1", "Product 1 costs 7"]


def test_cancel_and_change(
    page: Callable[[str], ModuleType], scheduler: Scheduler, capsys: pytest.CaptureFixture[str]
) -> None:
    guide = page("cancel-and-change")
    guide.scheduler = scheduler
    job_id = guide.start_trial(1)
    before = scheduler.client.get(job_id)
    assert guide.user_asks_for_more_time(1) == "Granted"
    assert scheduler.client.get(job_id).run_at - before.run_at == timedelta(days=7)
    guide.end_it_today(1)
    settle(scheduler)
    assert capsys.readouterr().out == "The trial of user 1 has ended\n"
    assert schedule_now(guide.import_rows, 3).result(timeout=20) == 3
    guide.start_trial(2)
    assert guide.user_leaves(2) == "1 cancelled, 0 asked to stop"
    guide.start_trial(3)
    assert guide.no_more_trials() == 1


def test_rest(page: Callable[[str], ModuleType], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    named = {"FLASK_SCHEDULER_ADMIN_TOKEN": "only-0123456789"}
    monkeypatch.setenv("FLASK_SCHEDULER_ADMIN_TOKEN", named["FLASK_SCHEDULER_ADMIN_TOKEN"])
    monkeypatch.setenv("FLASK_SCHEDULER_DATABASE_URL", f"sqlite:///{tmp_path / 'jobs.sqlite3'}")
    monkeypatch.setenv("FLASK_SCHEDULER_ROLE", "client")
    monkeypatch.setenv("FLASK_SECRET_KEY", "the guide's secret")
    app: Flask = page("rest").create_app()
    text = (DOCS / "guide" / "rest.md").read_text()
    asked = 0
    for line, said in re.findall(r"(?m)^\$ (.+)\n(?:(HTTP/1\.1 .+)\n)?", text):
        filled = re.sub(r"\$(\w+)", lambda name: named[name[1]], line)
        if setting := re.fullmatch(r"(\w+)=\"?([^\"]*)\"?", filled):
            named[setting[1]] = setting[2]
        else:
            assert f"HTTP/1.1 {curl(app.test_client(), filled).status}" == said, line
            asked += 1
    assert asked == 13
    app.extensions["scheduler"].store.close()


def curl(web: FlaskClient, line: str) -> TestResponse:
    """Ask what a command of curl would ask."""
    words, headers, method, data = iter(shlex.split(line)[1:]), {}, None, None
    for word in words:
        if word == "-H":
            name, _, value = next(words).partition(": ")
            headers[name] = value
        elif word == "-X":
            method = next(words)
        elif word == "-d":
            data = next(words)
        elif word != "-i":
            address = word
    return web.open(address, method=method or ("GET" if data is None else "POST"), headers=headers, data=data)


def test_the_audit(page: Callable[[str], ModuleType], scheduler: Scheduler) -> None:
    guide = page("audit")
    guide.scheduler, remind = scheduler, page("keys").remind
    for number in (1, 2):
        using(key=f"order:42:{number}").schedule_after(60, remind, 42)
    assert guide.stop_reminding(42, "ann") == (2, 0)
    (row,) = scheduler.client.audit(actor="ann")
    assert (row.action, row.source, row.after) == (
        "jobs.cancel",
        {"door": "support desk"},
        {"filter": {"prefix": "order:42:"}, "cancelled": 2, "asked": 0},
    )


def test_an_address_for_whoever_waits(page: Callable[[str], ModuleType], scheduler: Scheduler) -> None:
    current_app.register_blueprint(page("accepted").reports)
    web = current_app.test_client()
    address = web.post("/reports").headers["Location"]
    settle(scheduler)
    answer = web.get(address)
    assert answer.get_json() == {
        "state": "succeeded",
        "progress": {"done": 3, "total": 3, "message": "page 3", "share": 1.0},
        "result": {"pages": 3},
        "error": None,
    }
    assert "Retry-After" not in answer.headers
    assert web.delete(address).status_code == 409
